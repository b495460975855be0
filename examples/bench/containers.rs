//! A postgres in a container, until it can be used: devstack against `docker run` with polling by hand, and against Compose.
//!
//! The data lies in a volume that is there before, so that nobody waits for a new database to be made.

use std::fmt::Write as _;
use std::fs;
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::report::{Goal, Report, Row, ms};
use crate::stack::{Place, Stack};
use crate::{Trouble, Wanted, tell};

const IMAGE: &str = "devstack-test/postgres";
const VOLUME: &str = "devstack-bench-data";
/// Of what is started without devstack.
const NAME: &str = "devstack-bench-bare";
const PORT: u16 = 21_900;
/// As often a user's script would ask.
const POLL: Duration = Duration::from_millis(50);
/// A database takes so long at most.
const PATIENCE: Duration = Duration::from_secs(60);

/// What tells that the database answers: on its port, as a client would ask.
const READY: [&str; 4] = ["pg_isready", "-q", "-h", "localhost"];

/// Measures `up`, where an engine answers that has the image.
pub(crate) fn measure(wanted: &Wanted, place: &Place, report: &mut Report) -> Result<(), Trouble> {
    if !docker(&["image", "inspect", IMAGE]) {
        tell(
            "!!!! SKIPPED: containers: no engine with the test image (scripts/bench containers starts one as root)",
        );
        return Ok(());
    }
    TcpListener::bind(("127.0.0.1", PORT)).map_err(|why| format!("port {PORT}: {why}"))?;
    let compose = Compose::find(place)?;
    // The first one makes the database.
    bare()?;
    let result = alternate(wanted, place, report, compose.as_ref());
    docker(&["rm", "--force", NAME]);
    docker(&["volume", "rm", VOLUME]);
    result
}

fn alternate(
    wanted: &Wanted,
    place: &Place,
    report: &mut Report,
    compose: Option<&Compose>,
) -> Result<(), Trouble> {
    let mut polled = Row::new("up postgres, pg_isready", "ms", Goal::AboveBare(150.0));
    "bare: docker run, polled".clone_into(&mut polled.note);
    let mut own = Row::new("up postgres, the image's check", "ms", Goal::TimesBare(1.0));
    "bare: docker-compose up -d, polled".clone_into(&mut own.note);
    for _ in 0..wanted.runs {
        polled.bare.push(ms(bare()?));
        polled.devstack.push(ms(devstack(
            place,
            &format!("    health: {{ exec: [{}], interval: 1s }}\n", READY.join(", ")),
        )?));
        own.devstack.push(ms(devstack(place, "")?));
        if let Some(compose) = compose {
            own.bare.push(ms(compose.up()?));
        }
    }
    report.add(polled);
    report.add(own);
    Ok(())
}

fn devstack(place: &Place, health: &str) -> Result<Duration, Trouble> {
    let mut manifest = format!("name: bench\nvolumes: {{ data: {{ name: {VOLUME}, external: true }} }}\n");
    let _ = write!(
        manifest,
        "services:\n  db:\n    image: {IMAGE}\n    ports: ['{PORT}:5432']\n    \
         environment: {{ POSTGRES_PASSWORD: dev }}\n    volumes: ['data:/var/lib/postgresql/data']\n{health}"
    );
    let stack = Stack::with(place, &manifest)?;
    let took = stack.time(&["up"])?;
    stack.time(&["down"])?;
    Ok(took)
}

fn bare() -> Result<Duration, Trouble> {
    let (port, volume) = (format!("127.0.0.1:{PORT}:5432"), format!("{VOLUME}:/var/lib/postgresql/data"));
    let run = ["run", "--detach", "--name", NAME, "--env", "POSTGRES_PASSWORD=dev", "--publish", &port];
    let begun = Instant::now();
    if !docker(&[&run[..], &["--volume", &volume, IMAGE]].concat()) {
        return Err("docker run failed".into());
    }
    await_true("pg_isready", || docker(&[&["exec", NAME][..], &READY].concat()))?;
    let took = begun.elapsed();
    docker(&["stop", NAME]);
    docker(&["rm", "--force", NAME]);
    Ok(took)
}

/// Compose, with the same service. The version that Debian has knows no `--wait`: its health is polled.
struct Compose {
    file: String,
}

impl Compose {
    fn find(place: &Place) -> Result<Option<Self>, Trouble> {
        let version = Command::new("docker-compose").arg("version").stdin(Stdio::null()).output();
        if !version.is_ok_and(|version| version.status.success()) {
            tell("!!!! SKIPPED: side by side with Compose: docker-compose is not installed");
            return Ok(None);
        }
        let file = place.dir.join("docker-compose.yml");
        fs::write(
            &file,
            format!(
                "version: '3'\nvolumes: {{ data: {{ external: true, name: {VOLUME} }} }}\nservices:\n  db:\n    \
                 image: {IMAGE}\n    container_name: {NAME}\n    ports: ['127.0.0.1:{PORT}:5432']\n    \
                 environment: {{ POSTGRES_PASSWORD: dev }}\n    volumes: ['data:/var/lib/postgresql/data']\n"
            ),
        )?;
        Ok(Some(Self { file: file.display().to_string() }))
    }

    fn up(&self) -> Result<Duration, Trouble> {
        let compose =
            |words: &[&str]| runs(Command::new("docker-compose").args(["-f", &self.file]).args(words));
        let begun = Instant::now();
        if !compose(&["up", "-d"]) {
            return Err("docker-compose up failed".into());
        }
        await_true("docker-compose's health", || {
            let health = ["inspect", "--format", "{{.State.Health.Status}}", NAME];
            let told = Command::new("docker").args(health).stdin(Stdio::null()).output();
            told.is_ok_and(|told| told.stdout.starts_with(b"healthy"))
        })?;
        let took = begun.elapsed();
        compose(&["down"]);
        Ok(took)
    }
}

fn await_true(what: &str, holds: impl Fn() -> bool) -> Result<(), Trouble> {
    let begun = Instant::now();
    while !holds() {
        if begun.elapsed() > PATIENCE {
            return Err(format!("{what} never held").into());
        }
        thread::sleep(POLL);
    }
    Ok(())
}

fn docker(words: &[&str]) -> bool {
    runs(Command::new("docker").args(words))
}

fn runs(command: &mut Command) -> bool {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
