//! The parts that do something and end, or go on saying something.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crate::options::{Failure, Mode, Options, Outcome};
use crate::services::ask_database;
use crate::{complain, kernel, say};

pub(crate) const TASK: Mode = Mode {
    name: "task",
    values: &[("millis", "MS"), ("exit", "CODE"), ("database", "HOST:PORT"), ("set", "KEY=VALUE")],
    flags: &[],
    words: false,
    about: "works for MS, writes one value to the database where one is named, and ends with CODE",
    run: task,
};

pub(crate) const TALK: Mode = Mode {
    name: "talk",
    values: &[("every", "MS"), ("lines", "COUNT"), ("copy", "FILE"), ("exit", "CODE")],
    flags: &["stderr"],
    words: false,
    about: "says `line 1`, `line 2` and so on (without --lines for ever), puts each that is said into FILE, ends with CODE",
    run: talk,
};

pub(crate) const FLOOD: Mode = Mode {
    name: "flood",
    values: &[("bytes", "COUNT"), ("line", "LENGTH"), ("to", "FILE"), ("report", "FILE")],
    flags: &["stay"],
    words: false,
    about: "writes numbered lines of LENGTH bytes as fast as it can, and tells its seconds on stderr or in a file",
    run: flood,
};

pub(crate) const CRASH: Mode = Mode {
    name: "crash",
    values: &[("after", "MS"), ("exit", "CODE")],
    flags: &["abort"],
    words: false,
    about: "complains and ends with CODE (1 where none is given), or by SIGABRT",
    run: crash,
};

pub(crate) const NOTIFY: Mode = Mode {
    name: "notify",
    values: &[("after", "MS")],
    flags: &[],
    words: false,
    about: "sends READY=1 to NOTIFY_SOCKET after MS and runs on",
    run: notify,
};

pub(crate) const WAIT: Mode = Mode {
    name: "wait",
    values: &[("until", "FILE"), ("life", "SECONDS")],
    flags: &["deaf", "no-term"],
    words: true,
    about: "does nothing until it is ended, or FILE is there; words after it are only seen in its command line",
    run: wait,
};

fn task(options: &Options) -> Outcome {
    let code = options.or("exit", 0)?;
    thread::sleep(options.millis("millis")?);
    if let Some(address) = options.text("database") {
        let pair: String = options.need("set")?;
        let line = format!("SET {}", pair.replacen('=', " ", 1));
        let answer = ask_database(address, &line)
            .map_err(|why| Failure::run(format!("database at {address}"), why))?;
        if answer != "OK" {
            return Err(Failure::run(format!("database at {address}"), answer));
        }
        say(&format!("{pair} written"));
    }
    say(&format!("task ends with {code}"));
    Ok(code)
}

fn talk(options: &Options) -> Outcome {
    let every = options.millis("every")?;
    let last = options.or("lines", u64::MAX)?;
    let copy = options.text("copy").map(|path| File::options().append(true).create(true).open(path));
    let mut copy = copy.transpose().map_err(|why| Failure::run("copy", why))?;
    for number in 1..=last {
        let line = format!("line {number}\n");
        // A reader who has gone away does not matter.
        let out: &mut dyn Write =
            if options.flag("stderr") { &mut io::stderr() } else { &mut io::stdout().lock() };
        let _ = out.write_all(line.as_bytes());
        if let Some(copy) = &mut copy {
            copy.write_all(line.as_bytes()).map_err(|why| Failure::run("copy", why))?;
        }
        thread::sleep(every);
    }
    options.or("exit", 0)
}

fn flood(options: &Options) -> Outcome {
    const BUFFER: usize = 64 * 1024;
    let bytes: u64 = options.need("bytes")?;
    let length: usize = options.or("line", 100)?;
    if !(16..=BUFFER).contains(&length) {
        return Err(Failure::Usage("flood: --line can be 16 to 65536".into()));
    }
    let out = match options.text("to") {
        Some(path) => File::create(path),
        // The line-buffered standard output would write line by line; the descriptor itself does not.
        None => io::stdout().as_fd().try_clone_to_owned().map(File::from),
    };
    let mut out = out.map_err(|why| Failure::run("output", why))?;
    let start = Instant::now();
    let mut buffer = Vec::with_capacity(BUFFER);
    let lines = bytes / length as u64;
    let mut line = vec![b'.'; length];
    line[length - 1] = b'\n';
    for number in 0..lines {
        put_number(&mut line[..12], number);
        if buffer.len() + length > BUFFER {
            out.write_all(&buffer).map_err(|why| Failure::run("write", why))?;
            buffer.clear();
        }
        buffer.extend_from_slice(&line);
    }
    out.write_all(&buffer).map_err(|why| Failure::run("write", why))?;
    drop(out);
    let report = format!("{lines} lines in {:.6} s\n", start.elapsed().as_secs_f64());
    match options.text("report") {
        // Renamed into place, so that whoever waits for it never reads half of it.
        Some(path) => fs::write(format!("{path}.new"), &report)
            .and_then(|()| fs::rename(format!("{path}.new"), path))
            .map_err(|why| Failure::run(path, why))?,
        None => complain(report.trim_end()),
    }
    Ok(if options.flag("stay") { kernel::rest(Duration::from_secs(900)) } else { 0 })
}

/// Twelve decimal digits: formatting a number for each line would be slower than the writing that is measured.
fn put_number(field: &mut [u8], mut number: u64) {
    for digit in field.iter_mut().rev() {
        *digit = b"0123456789"[usize::try_from(number % 10).unwrap_or(0)];
        number /= 10;
    }
}

fn crash(options: &Options) -> Outcome {
    let code = options.or("exit", 1)?;
    thread::sleep(options.millis("after")?);
    complain("crashing as asked");
    if options.flag("abort") {
        std::process::abort();
    }
    Ok(code)
}

fn notify(options: &Options) -> Outcome {
    thread::sleep(options.millis("after")?);
    let path = std::env::var_os("NOTIFY_SOCKET")
        .ok_or_else(|| Failure::Run("NOTIFY_SOCKET is not in the environment".into()))?;
    let sent = UnixDatagram::unbound().and_then(|socket| socket.send_to(b"READY=1\nSTATUS=playing", &path));
    sent.map_err(|why| Failure::run(path.to_string_lossy(), why))?;
    say("told that it is ready");
    loop {
        thread::park();
    }
}

fn wait(options: &Options) -> Outcome {
    if options.flag("deaf") {
        kernel::ignore_everything();
    }
    if options.flag("no-term") {
        kernel::ignore(libc::SIGTERM);
    }
    let life = Duration::from_secs(options.or("life", 900)?);
    match options.text("until") {
        Some(file) => Ok(kernel::rest_until(Path::new(file), life)),
        None => Ok(kernel::rest(life)),
    }
}
