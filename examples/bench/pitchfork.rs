//! The same work by pitchfork, where it is installed: the fastest of the others, side by side in the same run.

use std::fmt::Write as _;
use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::report::{median, ms};
use crate::stack::{Place, Shape};
use crate::{Trouble, Wanted, say, tell};

/// Brings the same services up and down by pitchfork.
pub(crate) fn measure(wanted: &Wanted, place: &Place) -> Result<(), Trouble> {
    let version = Command::new("pitchfork").arg("--version").stdin(Stdio::null()).output();
    let Ok(version) = version else {
        tell("!!!! SKIPPED: side by side with pitchfork: it is not installed (cargo install pitchfork-cli)");
        return Ok(());
    };
    say(&format!("\n{}", String::from_utf8_lossy(&version.stdout).trim()));
    let result = [1, 6, 20, 100].into_iter().try_for_each(|services| cycle(wanted, place, services));
    let _ = run(place, &["supervisor", "stop"]);
    result
}

fn cycle(wanted: &Wanted, place: &Place, services: u16) -> Result<(), Trouble> {
    let shape = Shape { services, after: wanted.after, http: wanted.http, chain: false, health: true };
    shape.check_ports()?;
    let mut manifest = String::new();
    for (at, port) in shape.ports().enumerate() {
        let http = if shape.http { " --http" } else { "" };
        let (stand_in, after) = (place.stand_in.display(), shape.after);
        let ready = if shape.http {
            format!("ready_http = \"http://127.0.0.1:{port}/\"")
        } else {
            format!("ready_port = {port}")
        };
        let _ = writeln!(
            manifest,
            "[daemons.s{at}]\nrun = \"exec '{stand_in}' listen --port {port} --after {after}{http}\"\n{ready}"
        );
    }
    fs::create_dir_all(place.dir.join("home"))?;
    fs::write(place.dir.join("pitchfork.toml"), manifest)?;
    let (mut up, mut down) = (Vec::new(), Vec::new());
    for _ in 0..wanted.runs {
        // Its supervisor starts with the first command, as devstack's does: it is ended after each run.
        up.push(ms(run(place, &["start", "--all"])?));
        down.push(ms(run(place, &["stop", "--all"])?));
        run(place, &["supervisor", "stop"])?;
    }
    let (up, down) = (median(&up).unwrap_or(0.0), median(&down).unwrap_or(0.0));
    say(&format!("pitchfork {services}: up {up:.1} ms, down {down:.1} ms"));
    Ok(())
}

fn run(place: &Place, arguments: &[&str]) -> Result<Duration, Trouble> {
    let home = place.dir.join("home");
    let mut command = Command::new("pitchfork");
    command.args(arguments).current_dir(&place.dir).stdin(Stdio::null()).stdout(Stdio::null());
    for variable in ["HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "PITCHFORK_STATE_DIR"] {
        command.env(variable, &home);
    }
    command.stderr(Stdio::null());
    let start = Instant::now();
    let status = command.status()?;
    let took = start.elapsed();
    if !status.success() {
        return Err(format!("pitchfork {}: {status}", arguments.join(" ")).into());
    }
    Ok(took)
}
