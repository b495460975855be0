//! What is measured, part by part.

use std::fs::{self, File};
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::look::{self, Watched};
use crate::report::{Goal, Report, Row, ms};
use crate::stack::{Place, Shape, Stack};
use crate::{Trouble, Wanted, bare, containers, crowd, events, monitor, pitchfork, run, tell};

const LINE: u64 = 100;

/// Measures what is wanted; tells whether every goal was reached.
pub(crate) fn measure(wanted: &Wanted) -> Result<bool, Trouble> {
    let place = Place::make()?;
    let mut report = Report::new();
    if wanted.part("up") || wanted.part("down") {
        up_and_down(wanted, &place, &mut report)?;
    }
    if wanted.part("ps") || wanted.part("memory") || wanted.part("idle") {
        standing(wanted, &place, &mut report)?;
    }
    if wanted.part("monitor") {
        monitor::measure(wanted, &place, &mut report)?;
    }
    if wanted.part("logs") {
        logs(wanted, &place, &mut report, "one file", "4G", 2)?;
        logs(wanted, &place, &mut report, "files of 64 MB", "64M", 100)?;
    }
    if wanted.part("events") {
        events::measure(wanted, &place, &mut report)?;
    }
    if wanted.part("crowd") {
        crowd::measure(wanted, &place, &mut report)?;
    }
    if wanted.part("run") {
        run::measure(wanted, &place, &mut report)?;
    }
    if wanted.part("containers") {
        containers::measure(wanted, &place, &mut report)?;
    }
    if wanted.part("pitchfork") {
        pitchfork::measure(wanted, &place)?;
    }
    report.finish(&wanted.json)
}

fn shape(wanted: &Wanted, services: u16) -> Shape {
    Shape { services, after: wanted.after, http: wanted.http, chain: false, health: true }
}

fn up_and_down(wanted: &Wanted, place: &Place, report: &mut Report) -> Result<(), Trouble> {
    for services in [1, 6, 20, 100] {
        let goal = match services {
            1 => Goal::AboveBare(40.0),
            100 => Goal::TimesBare(1.5),
            _ => Goal::None,
        };
        cycle(wanted, place, report, &shape(wanted, services), &services.to_string(), goal)?;
    }
    let chain = Shape { chain: true, ..shape(wanted, 6) };
    cycle(wanted, place, report, &chain, "chain of 6", Goal::None)
}

/// Brings one shape up and down again and again, in turns with the bare launcher.
fn cycle(
    wanted: &Wanted,
    place: &Place,
    report: &mut Report,
    shape: &Shape,
    name: &str,
    goal: Goal,
) -> Result<(), Trouble> {
    let mut up = Row::new(format!("up {name}"), "ms", goal);
    let mut again = Row::new(format!("up {name}, all running"), "ms", Goal::AtMost(100.0));
    let mut down = Row::new(format!("down {name}"), "ms", Goal::None);
    let mut delay = Row::new(format!("down {name}, after the last exit"), "ms", Goal::AtMost(15.0));
    for _ in 0..wanted.runs {
        let launch = bare::launch(&place.stand_in, shape)?;
        up.bare.push(ms(launch.up));
        down.bare.push(ms(launch.down));
        let stack = Stack::of(place, shape)?;
        up.devstack.push(ms(stack.time(&["up"])?));
        again.devstack.push(ms(stack.time(&["up"])?));
        let processes = stack.view()?.processes();
        if processes.len() < usize::from(shape.services) {
            return Err(format!("ps shows {} processes of {}", processes.len(), shape.services).into());
        }
        let watched = Watched::open(&processes)?;
        let last = thread::spawn(move || {
            watched.last_exit(Duration::from_secs(30)).map_err(|trouble| trouble.to_string())
        });
        down.devstack.push(ms(stack.time(&["down"])?));
        let end = Instant::now();
        let last = last.join().map_err(|_| "the watcher broke")??;
        delay.devstack.push(ms(end.saturating_duration_since(last)));
    }
    for (part, row) in [("up", up), ("up", again), ("down", down), ("down", delay)] {
        if wanted.part(part) {
            report.add(row);
        }
    }
    Ok(())
}

/// What is measured of a stack that stands: `ps`, memory, an idle time.
fn standing(wanted: &Wanted, place: &Place, report: &mut Report) -> Result<(), Trouble> {
    for (services, ps, memory, idle) in [(6, 5.0, 12.0, 0.05), (100, 10.0, 50.0, 0.5)] {
        let with_health = shape(wanted, services);
        let stack = Stack::of(place, &with_health)?;
        stack.time(&["up"])?;
        if wanted.part("ps") {
            let mut row = Row::new(format!("ps {services}"), "ms", Goal::AtMost(ps));
            for _ in 0..wanted.runs.max(30) {
                row.devstack.push(ms(stack.time(&["ps"])?));
            }
            report.add(row);
        }
        if wanted.part("memory") {
            report.add(pss(&stack, place, services, memory, wanted.runs)?);
        }
        if wanted.part("idle") {
            report.add(idle_time(wanted, &stack, place, services, Some(idle))?);
        }
        stack.time(&["down"])?;
        drop(stack);
        if wanted.part("idle") {
            let stack = Stack::of(place, &Shape { health: false, ..with_health })?;
            stack.time(&["up"])?;
            report.add(idle_time(wanted, &stack, place, services, None)?);
            stack.time(&["down"])?;
        }
    }
    Ok(())
}

fn pss(stack: &Stack, place: &Place, services: u16, goal: f64, runs: usize) -> Result<Row, Trouble> {
    let mut row = Row::new(format!("memory (PSS) {services}"), "MB", Goal::AtMost(goal));
    let supervisor = stack.view()?.supervisor()?;
    for _ in 0..runs {
        let processes = look::of_program(supervisor, &place.devstack)?;
        let brain = look::memory(&[supervisor])? / 1e6;
        row.devstack.push(look::memory(&processes)? / 1e6);
        row.note = format!("supervisor {brain:.1} MB, {} keepers", processes.len() - 1);
        thread::sleep(Duration::from_millis(100));
    }
    Ok(row)
}

fn idle_time(
    wanted: &Wanted,
    stack: &Stack,
    place: &Place,
    services: u16,
    goal: Option<f64>,
) -> Result<Row, Trouble> {
    let health = if goal.is_some() { "health each second" } else { "no health checks" };
    tell(&format!("idling for {} s with {services} services, {health}", wanted.seconds));
    let scale = 60.0 / Duration::from_secs(wanted.seconds).as_secs_f64();
    // "Next to nothing" is taken as a tenth of what health checks may cost.
    let limit = goal.unwrap_or(if services <= 6 { 0.005 } else { 0.05 });
    let name =
        format!("CPU of an idle minute {services}, {}", if goal.is_some() { "health" } else { "none" });
    let mut row = Row::new(name, "s", Goal::AtMost(limit));
    // What the start has left to do is not idling.
    thread::sleep(Duration::from_secs(2));
    let supervisor = stack.view()?.supervisor()?;
    let processes = look::of_program(supervisor, &place.devstack)?;
    thread::sleep(Duration::from_millis(500));
    let (before, brain) = (look::processor(&processes)?, look::processor(&[supervisor])?);
    thread::sleep(Duration::from_secs(wanted.seconds));
    let used = look::processor(&processes)? - before;
    let brain = look::processor(&[supervisor])? - brain;
    row.devstack.push(used * scale);
    row.note = format!("supervisor {:.4} s, {} keepers {:.4} s", brain * scale, processes.len() - 1, {
        (used - brain) * scale
    });
    Ok(row)
}

fn logs(
    wanted: &Wanted,
    place: &Place,
    report: &mut Report,
    name: &str,
    max_size: &str,
    max_files: u32,
) -> Result<(), Trouble> {
    let megabytes = wanted.bytes / 1_000_000;
    let mut row = Row::new(format!("{megabytes} MB of log, {name}"), "s", Goal::SpeedOfBare(0.9));
    let told = place.dir.join("seconds");
    let bytes = wanted.bytes.to_string();
    let lines = wanted.bytes / LINE;
    let mut kept = lines;
    for _ in 0..wanted.runs {
        let file = place.dir.join("flood");
        let mut command = Command::new(&place.stand_in);
        command.args(["flood", "--bytes", &bytes, "--line", &LINE.to_string()]);
        command.arg("--to").arg(&file).arg("--report").arg(&told).stdin(Stdio::null());
        if !command.status()?.success() {
            return Err("writing to a file by itself failed".into());
        }
        row.bare.push(seconds(&told)?);
        fs::remove_file(&file)?;

        let manifest = format!(
            "name: bench\nservices:\n  flood:\n    type: task\n    start_timeout: 10m\n    \
             command: [\"{}\", flood, --bytes, \"{bytes}\", --line, \"{LINE}\", --report, \"{}\"]\n    \
             logs: {{ max_size: {max_size}, max_files: {max_files} }}\n",
            place.stand_in.display(),
            told.display()
        );
        let stack = Stack::with(place, &manifest)?;
        stack.time(&["up"])?;
        row.devstack.push(seconds(&told)?);
        kept = kept.min(count_lines(&place.dir.join("state"), lines)?);
        stack.time(&["down"])?;
        drop(stack);
        fs::remove_dir_all(place.dir.join("state"))?;
    }
    row.note = format!("{kept} of {lines} lines kept, in order");
    report.add(row);
    if kept < lines {
        return Err(format!("{} lines were lost", lines - kept).into());
    }
    Ok(())
}

fn seconds(told: &Path) -> Result<f64, Trouble> {
    let text = fs::read_to_string(told)?;
    fs::remove_file(told)?;
    let number = text.split_ascii_whitespace().nth(3).ok_or("no seconds in the report")?;
    Ok(number.parse()?)
}

/// Lines in the log files of the flood that are whole and in their place, counted from the last back to the first gap.
fn count_lines(state: &Path, lines: u64) -> Result<u64, Trouble> {
    let mut files = Vec::new();
    log_files(state, &mut files)?;
    // NAME.log.9 is older than NAME.log.8, and NAME.log is the newest.
    files.sort_by_key(|(age, _)| std::cmp::Reverse(*age));
    let mut expected: Option<u64> = None;
    let mut kept = 0;
    let width = usize::try_from(LINE)?;
    for (_, file) in &files {
        let mut reader = BufReader::with_capacity(1 << 20, File::open(file)?);
        let mut line = vec![0; width];
        while reader.read_exact(&mut line).is_ok() {
            let number: Option<u64> =
                std::str::from_utf8(&line[..12]).ok().and_then(|text| text.parse().ok());
            let whole = line[width - 1] == b'\n' && line[12..width - 1].iter().all(|byte| *byte == b'.');
            let number =
                number.filter(|_| whole).ok_or_else(|| format!("a torn line in {}", file.display()))?;
            kept = if expected.is_none_or(|expected| expected == number) { kept + 1 } else { 1 };
            expected = Some(number + 1);
        }
    }
    Ok(if expected == Some(lines) { kept } else { 0 })
}

fn log_files(dir: &Path, files: &mut Vec<(u32, PathBuf)>) -> Result<(), Trouble> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if path.is_dir() {
            log_files(&path, files)?;
        } else if let Some(age) = name.strip_prefix("flood.log") {
            match age.strip_prefix('.').map(str::parse) {
                None if age.is_empty() => files.push((0, path)),
                Some(Ok(age)) => files.push((age, path)),
                _ => {}
            }
        }
    }
    Ok(())
}
