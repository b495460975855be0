//! The part of the innocent: it belongs to nobody, may have the number of somebody who has ended, and counts the signals
//! that it gets.

use std::fs::{self, OpenOptions};
use std::io::Write;

use crate::badly::life;
use crate::kernel::{self, Side};
use crate::linux;
use crate::options::{Failure, Mode, Options, Outcome};

pub(crate) const INNOCENT: Mode = Mode {
    name: "innocent",
    values: &[("file", "PATH"), ("number", "PID"), ("life", "SECONDS")],
    flags: &["session", "child"],
    words: true,
    about: "writes each signal that it gets into PATH; with --number in a child of this number (as root); with --child \
            another one in its session, which writes into PATH.child",
    run: innocent,
};

fn innocent(options: &Options) -> Outcome {
    let life = life(options)?;
    let mut file: String = options.need("file")?;
    linux::hold_all_signals();
    if options.text("number").is_some() {
        let number: i32 = options.need("number")?;
        // Whoever started this goes on when the child has the number.
        match linux::fork_as(number).map_err(|why| Failure::run(format!("number {number}"), why))? {
            Side::Parent(_) => return Ok(0),
            Side::Child => {}
        }
    }
    if options.flag("session") {
        kernel::new_session();
    }
    kernel::alarm(life);
    if options.flag("child") && matches!(kernel::fork()?, Side::Child) {
        file.push_str(".child");
        kernel::alarm(life);
    }
    let failed = |why| Failure::run(&file, why);
    // Renamed into place: who reads it knows that it is ready.
    let ready = format!("{file}.new");
    fs::write(&ready, format!("{}\n", std::process::id())).map_err(failed)?;
    fs::rename(&ready, &file).map_err(failed)?;
    let mut told = OpenOptions::new().append(true).open(&file).map_err(failed)?;
    loop {
        let (signal, sender) = linux::next_signal();
        if signal == libc::SIGALRM && sender == 0 {
            return Ok(0);
        }
        writeln!(told, "signal {signal} from {sender}").map_err(failed)?;
    }
}
