//! The bare launcher: forks, executes, polls until every service answers. The floor that devstack is measured against.
//!
//! It is a program of its own (this one, called again), so that its own start counts as devstack's does.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::Trouble;
use crate::look;
use crate::stack::Shape;

/// The argument that turns this program into the launcher.
pub(crate) const MODE: &str = "__bare";

/// One launch.
pub(crate) struct Launch {
    /// From the launcher's start until all services have answered.
    pub(crate) up: Duration,
    /// From the request to end until the launcher had ended.
    pub(crate) down: Duration,
}

/// Starts the services of a shape and ends them again.
pub(crate) fn launch(stand_in: &Path, shape: &Shape) -> Result<Launch, Trouble> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(MODE).arg(stand_in).arg(shape.after.to_string());
    command.arg(if shape.http { "http" } else { "tcp" });
    command.arg(if shape.chain { "chain" } else { "all" });
    command.args(shape.ports().map(|port| port.to_string()));
    let start = Instant::now();
    let mut launcher = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let mut line = [0; 6];
    launcher.stdout.take().ok_or("no pipe")?.read_exact(&mut line)?;
    let up = start.elapsed();
    let start = Instant::now();
    drop(launcher.stdin.take());
    launcher.wait()?;
    Ok(Launch { up, down: start.elapsed() })
}

/// Plays the launcher: STAND-IN AFTER http|tcp chain|all PORT...
pub(crate) fn play(arguments: &[String]) -> ExitCode {
    let [stand_in, after, kind, order, ports @ ..] = arguments else { return ExitCode::from(2) };
    let http = kind == "http";
    let mut children = Vec::new();
    let mut pending = Vec::new();
    for port in ports {
        let mut command = Command::new(stand_in);
        command.args(["listen", "--port", port, "--after", after]).args(http.then_some("--http"));
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let (Ok(child), Ok(port)) = (child, port.parse::<u16>()) else { return end(children) };
        children.push(child);
        pending.push(port);
        if order == "chain" {
            poll(&mut pending, http);
        }
    }
    poll(&mut pending, http);
    let _ = io::stdout().write_all(b"ready\n");
    let _ = io::stdin().read_to_end(&mut Vec::new());
    end(children)
}

fn poll(pending: &mut Vec<u16>, http: bool) {
    while !pending.is_empty() {
        pending.retain(|port| !answers(*port, http));
        if !pending.is_empty() {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Asks a service once.
fn answers(port: u16, http: bool) -> bool {
    let Ok(mut stream) = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], port))) else { return false };
    if !http {
        return true;
    }
    let mut status = [0; 12];
    stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").is_ok()
        && stream.read_exact(&mut status).is_ok()
        && status.ends_with(b" 200")
}

fn end(mut children: Vec<Child>) -> ExitCode {
    for child in &children {
        look::terminate(child);
    }
    for child in &mut children {
        let _ = child.wait();
    }
    ExitCode::SUCCESS
}
