//! The parts that serve: the orchestrator's API, its agents, a database, a bare listener.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::http::{self, Request, Response};
use crate::kernel::StopSignals;
use crate::options::{Failure, Mode, Options, Outcome};
use crate::{postgres, say};

pub(crate) const API: Mode = Mode {
    name: "api",
    values: &[
        ("port", "PORT"),
        ("after", "MS"),
        ("health", "PATH"),
        ("sick-while", "FILE"),
        ("database", "HOST:PORT"),
    ],
    flags: &[],
    words: false,
    about: "the orchestrator: health 503 until MS have passed, then 200 (503 while FILE exists); POST and GET /agents",
    run: api,
};

pub(crate) const AGENT: Mode = Mode {
    name: "agent",
    values: &[("name", "NAME"), ("port", "PORT"), ("register", "URL"), ("after", "MS")],
    flags: &[],
    words: false,
    about: "serves /health and registers itself at URL, again and again until it is accepted",
    run: agent,
};

pub(crate) const DATABASE: Mode = Mode {
    name: "database",
    values: &[("port", "PORT"), ("data", "DIR"), ("after", "MS")],
    flags: &[],
    words: false,
    about: "lines `SET KEY VALUE` and `GET KEY` over TCP, kept in DIR; says when it is ready to accept connections",
    run: database,
};

pub(crate) const LISTEN: Mode = Mode {
    name: "listen",
    values: &[("port", "PORT"), ("after", "MS")],
    flags: &["http"],
    words: false,
    about: "accepts and closes (with --http: answers 200); prints nothing",
    run: listen,
};

fn api(options: &Options) -> Outcome {
    let port = options.need("port")?;
    let after = options.millis("after")?;
    let health = options.text("health").unwrap_or("/api/v1/health").to_owned();
    let sick = options.text("sick-while").map(PathBuf::from);
    let store = options.text("database").map(str::to_owned);
    stop_gracefully("api", || ());
    let start = Instant::now();
    let listener = http::listen(port)?;
    say(&format!("orchestrator listening on http://localhost:{port}"));
    let agents = Mutex::new(BTreeMap::new());
    http::serve(&listener, move |request| {
        let is_sick = || sick.as_ref().is_some_and(|file| file.exists());
        match (request.method.as_str(), request.path.as_str()) {
            (_, path) if path == health && start.elapsed() < after => {
                Response::new(503, r#"{"status":"starting"}"#)
            }
            (_, path) if path == health && is_sick() => Response::new(503, r#"{"status":"sick"}"#),
            (_, path) if path == health => Response::new(200, r#"{"status":"ok"}"#),
            ("POST", "/agents") => register(&agents, store.as_deref(), request),
            ("GET" | "HEAD", "/agents") => Response::new(200, list(&agents)),
            (_, "/agents") => Response::new(405, r#"{"error":"GET or POST"}"#),
            _ => Response::new(404, r#"{"error":"not found"}"#),
        }
    })
}

fn register(agents: &Mutex<BTreeMap<String, String>>, store: Option<&str>, request: &Request) -> Response {
    let fields = (http::json_text(&request.body, "name"), http::json_text(&request.body, "url"));
    let (Some(name), Some(url)) = fields else {
        return Response::new(400, r#"{"error":"name and url are needed"}"#);
    };
    if name.contains(char::is_whitespace) || url.contains(char::is_whitespace) {
        return Response::new(400, r#"{"error":"no blanks in name and url"}"#);
    }
    if let Some(address) = store
        && ask_database(address, &format!("SET agent:{name} {url}")).as_deref().ok() != Some("OK")
    {
        return Response::new(503, r#"{"error":"the database does not answer"}"#);
    }
    agents.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), url.to_owned());
    say(&format!("agent {name} registered at {url}"));
    Response::new(201, r#"{"registered":true}"#)
}

fn list(agents: &Mutex<BTreeMap<String, String>>) -> String {
    let mut text = String::from(r#"{"agents":["#);
    for (at, (name, url)) in agents.lock().unwrap_or_else(PoisonError::into_inner).iter().enumerate() {
        let comma = if at == 0 { "" } else { "," };
        let _ = write!(text, r#"{comma}{{"name":"{name}","url":"{url}"}}"#);
    }
    text + "]}"
}

fn agent(options: &Options) -> Outcome {
    let name: String = options.need("name")?;
    let port: u16 = options.need("port")?;
    let url: String = options.need("register")?;
    let after = options.millis("after")?;
    stop_gracefully("agent", || ());
    thread::sleep(after);
    let listener = http::listen(port)?;
    say(&format!("{name} listening on http://localhost:{port}"));
    let body = format!(r#"{{"name":"{name}","url":"http://localhost:{port}"}}"#);
    thread::spawn(move || {
        let mut told = false;
        while !matches!(http::post(&url, &body), Ok(200..=299)) {
            if !told {
                say(&format!("{name} cannot register at {url} yet"));
                told = true;
            }
            thread::sleep(Duration::from_millis(100));
        }
        say(&format!("{name} registered"));
    });
    http::serve(&listener, |request| match request.path.as_str() {
        "/health" => Response::new(200, r#"{"status":"ok"}"#),
        _ => Response::new(404, r#"{"error":"not found"}"#),
    })
}

/// The database's memory and the file behind it: one `KEY VALUE` per line, the last one counts.
struct Table {
    values: BTreeMap<String, String>,
    file: File,
}

fn database(options: &Options) -> Outcome {
    let port: u16 = options.need("port")?;
    let dir: PathBuf = options.need("data")?;
    thread::sleep(options.millis("after")?);
    let table = open_table(&dir).map_err(|why| Failure::run(format!("data in {}", dir.display()), why))?;
    let table = Arc::new(Mutex::new(table));
    let at_end = Arc::clone(&table);
    stop_gracefully("database", move || {
        let _ = at_end.lock().unwrap_or_else(PoisonError::into_inner).file.sync_all();
    });
    let listener = http::listen(port)?;
    say(&format!("database system is ready to accept connections on port {port}"));
    loop {
        let Ok((stream, _)) = listener.accept() else { continue };
        let table = Arc::clone(&table);
        thread::spawn(move || serve_client(&stream, &table));
    }
}

fn open_table(dir: &PathBuf) -> io::Result<Table> {
    fs::create_dir_all(dir)?;
    let mut file = OpenOptions::new().read(true).append(true).create(true).open(dir.join("table"))?;
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    let pairs = text.lines().filter_map(|line| line.split_once(' '));
    let values = pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    Ok(Table { values, file })
}

fn serve_client(mut stream: &TcpStream, table: &Mutex<Table>) {
    // No line begins so: somebody tries whether this is a real postgres.
    if begins_with_zero(stream) {
        return;
    }
    for line in BufReader::new(stream).lines() {
        let Ok(line) = line else { return };
        let mut table = table.lock().unwrap_or_else(PoisonError::into_inner);
        let mut words = line.splitn(3, ' ');
        let answer = match (words.next(), words.next(), words.next()) {
            (Some("SET"), Some(key), Some(value)) => match writeln!(table.file, "{key} {value}") {
                Ok(()) => {
                    table.values.insert(key.to_owned(), value.to_owned());
                    "OK".to_owned()
                }
                Err(why) => format!("ERROR {why}"),
            },
            (Some("GET"), Some(key), None) => match table.values.get(key) {
                Some(value) => format!("VALUE {value}"),
                None => "NONE".to_owned(),
            },
            (Some("PING"), None, None) => "PONG".to_owned(),
            _ => "ERROR SET KEY VALUE, GET KEY or PING".to_owned(),
        };
        drop(table);
        if writeln!(stream, "{answer}").is_err() {
            return;
        }
    }
}

fn begins_with_zero(stream: &TcpStream) -> bool {
    let mut first = [1];
    stream.peek(&mut first).is_ok() && first == [0]
}

/// One line to the database, one line back; a real postgres may stand in its place.
pub(crate) fn ask_database(address: &str, line: &str) -> io::Result<String> {
    if let Some(real) = postgres::connect(address)? {
        return postgres::ask(real, line);
    }
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    writeln!(stream, "{line}")?;
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer)?;
    Ok(answer.trim_end().to_owned())
}

fn listen(options: &Options) -> Outcome {
    let port = options.need("port")?;
    thread::sleep(options.millis("after")?);
    let listener: TcpListener = http::listen(port)?;
    loop {
        let Ok((mut stream, _)) = listener.accept() else { continue };
        if options.flag("http") {
            // One read is enough: a probe's request fits in one segment, and nothing is done with it.
            let _ = stream.set_read_timeout(Some(Duration::from_secs(1)));
            let _ = stream.read(&mut [0; 2048]);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        }
    }
}

/// On SIGTERM or SIGINT: says so, puts things in order, ends with 0. Called before any other thread is started.
fn stop_gracefully(part: &'static str, tidy: impl FnOnce() + Send + 'static) {
    let signals = StopSignals::hold();
    thread::spawn(move || {
        signals.wait();
        tidy();
        say(&format!("{part} is stopping"));
        std::process::exit(0);
    });
}
