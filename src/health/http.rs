//! The HTTP question: one request on a connection of its own, driven inline, answered by status and body.
//!
//! No proxy, no redirect followed, nothing kept. The environment has no say in it.

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use http_body_util::Empty;
use hyper::body::{Body, Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{HOST, HeaderName, HeaderValue};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use regex::bytes::Regex;
use tokio::net::TcpStream;

use super::endpoint::{Endpoint, reason};
use crate::plan::{BodyMatch, HttpProbe};

/// So much of a body is looked at.
const BODY: usize = 64 * 1024;
/// So large may the head of an answer be.
const HEAD: usize = 64 * 1024;
/// So long is the end of an answer waited for once its status has said enough.
const COURTESY: Duration = Duration::from_millis(50);

/// A request made ready, and what counts as a good answer.
#[derive(Debug)]
pub(super) struct Http {
    endpoint: Endpoint,
    request: Request<Empty<Bytes>>,
    status: Vec<(u16, u16)>,
    body: Option<Wanted>,
}

#[derive(Debug)]
struct Wanted {
    pattern: Regex,
    failure: String,
}

impl Http {
    /// `GET http://localhost:3000/health`.
    pub(super) fn text(probe: &HttpProbe) -> String {
        format!(
            "{} http://{}{}",
            probe.method,
            Endpoint::new(&probe.host, probe.port).host_header(),
            probe.path
        )
    }

    /// Makes the request ready.
    pub(super) fn new(probe: &HttpProbe) -> Result<Self, String> {
        let endpoint = Endpoint::new(&probe.host, probe.port);
        let body = probe.body.as_ref().map(Wanted::new).transpose()?;
        Ok(Self { request: request(probe, &endpoint)?, endpoint, status: probe.status.clone(), body })
    }

    pub(super) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Asks once; an error is the answer in words.
    pub(super) async fn ask(&mut self) -> Result<(), String> {
        let stream = self.endpoint.connect().await.map_err(|error| reason(&error))?;
        // One small write and then a read: there is nothing for Nagle's algorithm to wait for.
        self.exchange(stream).await
    }

    async fn exchange(&self, stream: TcpStream) -> Result<(), String> {
        let io = TokioIo::new(stream);
        let handshake = http1::Builder::new().max_buf_size(HEAD).handshake(io).await;
        let (mut sender, connection) = handshake.map_err(|error| told(&error))?;
        let mut connection = pin!(connection);
        let answer = drive(connection.as_mut(), sender.send_request(self.request.clone())).await;
        let answer = answer.ok_or("connection closed without an answer")?.map_err(|error| told(&error))?;
        let status = answer.status().as_u16();
        let good = self.status.iter().any(|(from, to)| (*from..=*to).contains(&status));
        let mut body = answer.into_body();
        let wanted = self.body.as_ref().filter(|_| good);
        let Some(wanted) = wanted else {
            // A server that is still writing when we leave would report a broken connection with each probe.
            if body.size_hint().lower() <= BODY as u64 && !body.is_end_stream() {
                let rest = read(connection.as_mut(), &mut body, |_| false);
                let _ = tokio::time::timeout(COURTESY, rest).await;
            }
            return if good { Ok(()) } else { Err(status.to_string()) };
        };
        let mut seen = Vec::new();
        let end = read(connection, &mut body, |bytes| {
            seen.extend_from_slice(bytes);
            seen.len() >= BODY
        });
        let end = end.await;
        seen.truncate(BODY);
        if wanted.pattern.is_match(&seen) {
            return Ok(());
        }
        end.and(Err(wanted.failure.clone()))
    }
}

impl Wanted {
    fn new(body: &BodyMatch) -> Result<Self, String> {
        let (pattern, failure) = match body {
            BodyMatch::Contains(text) => (regex::escape(text), format!("body does not contain {text:?}")),
            BodyMatch::Regex(pattern) => (pattern.clone(), format!("body does not match /{pattern}/")),
        };
        let pattern = Regex::new(&pattern).map_err(|error| format!("cannot be asked: {error}"))?;
        Ok(Self { pattern, failure })
    }
}

fn request(probe: &HttpProbe, endpoint: &Endpoint) -> Result<Request<Empty<Bytes>>, String> {
    let wrong = |what: &str, text: &str| format!("cannot be asked: {text:?} is not {what}");
    let method = Method::from_bytes(probe.method.as_bytes()).map_err(|_| wrong("a method", &probe.method))?;
    let mut request = Request::new(Empty::new());
    *request.method_mut() = method;
    *request.uri_mut() = probe.path.parse().map_err(|_| wrong("a path", &probe.path))?;
    let host = endpoint.host_header();
    let defaults = [
        ("host", host.as_str()),
        ("user-agent", concat!("devstack/", env!("CARGO_PKG_VERSION"))),
        ("accept", "*/*"),
        ("connection", "close"),
    ];
    let headers = request.headers_mut();
    for (name, value) in defaults {
        let value = HeaderValue::from_str(value).map_err(|_| wrong("a host", value))?;
        headers.insert(HeaderName::from_static(name), value);
    }
    let mut own = Vec::new();
    for (name, value) in &probe.headers {
        let name: HeaderName = name.parse().map_err(|_| wrong("a header", name))?;
        let value =
            HeaderValue::from_bytes(value.as_bytes()).map_err(|_| wrong("a header's value", value))?;
        // The user's replace ours; several of the user's with one name all stay.
        if own.contains(&name) && name != HOST {
            headers.append(name, value);
        } else {
            headers.insert(name.clone(), value);
            own.push(name);
        }
    }
    Ok(request)
}

/// Polls the connection until the other future has its result; none if the connection ends before.
async fn drive<T>(mut connection: Pin<&mut Connection>, other: impl Future<Output = T>) -> Option<T> {
    let mut other = pin!(other);
    std::future::poll_fn(|context| {
        if let Poll::Ready(result) = other.as_mut().poll(context) {
            return Poll::Ready(Some(result));
        }
        let ended = connection.as_mut().poll(context).is_ready();
        // The connection may have brought it just now.
        match other.as_mut().poll(context) {
            Poll::Ready(result) => Poll::Ready(Some(result)),
            Poll::Pending if ended => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

type Connection = http1::Connection<TokioIo<TcpStream>, Empty<Bytes>>;

/// Reads a body until it ends or `enough` says so.
async fn read(
    mut connection: Pin<&mut Connection>,
    body: &mut Incoming,
    mut enough: impl FnMut(&[u8]) -> bool,
) -> Result<(), String> {
    loop {
        let next = std::future::poll_fn(|context| Pin::new(&mut *body).poll_frame(context));
        match drive(connection.as_mut(), next).await {
            Some(Some(Ok(frame))) => {
                if frame.data_ref().is_some_and(|bytes| enough(bytes)) {
                    return Ok(());
                }
            }
            Some(Some(Err(error))) => return Err(told(&error)),
            Some(None) | None => return Ok(()),
        }
    }
}

/// What hyper says, as a fragment for people.
fn told(error: &hyper::Error) -> String {
    use std::error::Error as _;
    let source = error.source().and_then(|source| source.downcast_ref::<std::io::Error>());
    if let Some(io) = source {
        return reason(io);
    }
    if error.is_parse_too_large() {
        return "answered with a head of more than 64 KiB".to_owned();
    }
    if error.is_incomplete_message() {
        return "connection closed without an answer".to_owned();
    }
    if error.is_parse() {
        format!("answered in something other than HTTP ({error})")
    } else {
        error.to_string()
    }
}
