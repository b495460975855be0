//! As much HTTP/1.1 as curl, a browser and a health check need: one request for each connection.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use crate::options::Failure;

/// A peer that says nothing for so long is left alone.
const PATIENCE: Duration = Duration::from_secs(5);
const LONGEST_BODY: u64 = 64 * 1024;

/// What was asked.
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) body: String,
}

/// What is answered, always JSON.
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) body: String,
}

impl Response {
    pub(crate) fn new(status: u16, body: impl Into<String>) -> Self {
        Self { status, body: body.into() }
    }
}

/// Listens on the loopback address.
pub(crate) fn listen(port: u16) -> Result<TcpListener, Failure> {
    TcpListener::bind(("127.0.0.1", port))
        .map_err(|why| Failure::run(format!("cannot listen on 127.0.0.1:{port}"), why))
}

/// Answers each connection on a thread of its own, for ever.
pub(crate) fn serve(
    listener: &TcpListener,
    answer: impl Fn(&Request) -> Response + Send + Sync + 'static,
) -> ! {
    let answer = Arc::new(answer);
    loop {
        let Ok((stream, _)) = listener.accept() else { continue };
        let answer = Arc::clone(&answer);
        let thread = std::thread::Builder::new().stack_size(64 * 1024);
        // A connection that gets no thread is closed: the client sees it and asks again.
        let _ = thread.spawn(move || exchange(&stream, &*answer));
    }
}

/// Sends one request and gives the status of the answer.
pub(crate) fn post(url: &str, body: &str) -> io::Result<u16> {
    let invalid = |text: &str| io::Error::new(io::ErrorKind::InvalidInput, text.to_owned());
    let rest = url.strip_prefix("http://").ok_or_else(|| invalid("only http:// is understood"))?;
    let (host, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
    let mut stream = TcpStream::connect(host)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let length = body.len();
    write!(stream, "POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {length}\r\n\r\n{body}")?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    let status = line.split(' ').nth(1).and_then(|code| code.parse().ok());
    status.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, format!("answered {line:?}")))
}

/// The text of one field of a flat JSON object; texts with escapes are not understood, and not needed.
pub(crate) fn json_text<'a>(body: &'a str, field: &str) -> Option<&'a str> {
    let (_, rest) = body.split_once(&format!("\"{field}\""))?;
    let rest = rest.trim_start().strip_prefix(':')?.trim_start().strip_prefix('"')?;
    let (text, _) = rest.split_once('"')?;
    (!text.is_empty() && !text.contains('\\')).then_some(text)
}

fn exchange(stream: &TcpStream, answer: &impl Fn(&Request) -> Response) {
    let _ = stream.set_read_timeout(Some(PATIENCE));
    let Ok(Some(request)) = read_request(stream) else { return };
    let Response { status, body } = answer(&request);
    let reason = match status {
        200 => "OK",
        201 => "Created",
        400 => "Bad Request",
        404 => "Not Found",
        405 => "Method Not Allowed",
        503 => "Service Unavailable",
        _ => "Other",
    };
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status} {reason}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n"
    );
    let body = if request.method == "HEAD" { "" } else { &body };
    let mut stream = stream;
    let _ = stream.write_all(format!("{head}{body}").as_bytes());
}

fn read_request(stream: &TcpStream) -> io::Result<Option<Request>> {
    let mut reader = BufReader::new(stream);
    let mut first = String::new();
    if reader.by_ref().take(8 * 1024).read_line(&mut first)? == 0 {
        return Ok(None);
    }
    let mut words = first.split_ascii_whitespace();
    let (Some(method), Some(target)) = (words.next(), words.next()) else { return Ok(None) };
    let path = target.split('?').next().unwrap_or(target).to_owned();
    let method = method.to_owned();
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.by_ref().take(8 * 1024).read_line(&mut line)? == 0 || line.trim_end().is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().unwrap_or(0);
        }
    }
    let mut body = String::new();
    reader.take(length.min(LONGEST_BODY)).read_to_string(&mut body)?;
    Ok(Some(Request { method, path, body }))
}
