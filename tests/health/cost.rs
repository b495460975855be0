//! What a probe costs: a figure to look at, `cargo test --release --test health -- --ignored --nocapture cost`.

use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

use devstack::health::{Ownership, check};
use devstack::plan::{HealthPlan, HttpProbe, Probe};
use rustix::time::{ClockId, clock_gettime};

use crate::{LONG, context};

fn cpu() -> Duration {
    clock_gettime(ClockId::ProcessCPUTime).try_into().expect("a time")
}

/// Not a test by itself: the server of the next one, a process of its own so that its work is not counted.
#[test]
fn as_a_server() {
    if std::env::var_os("DEVSTACK_TEST_SERVER").is_none() {
        return;
    }
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("bound");
    // A second descriptor of the output: the test harness keeps what is printed.
    writeln!(std::io::stderr(), "port {}", listener.local_addr().expect("an address").port()).expect("told");
    std::thread::spawn(|| {
        let _ = std::io::stdin().read(&mut [0]);
        std::process::exit(0);
    });
    for stream in listener.incoming() {
        let mut stream = stream.expect("accepted");
        let _ = stream.read(&mut [0; 1024]);
        let _ =
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok");
    }
}

#[tokio::test]
#[ignore = "a measurement"]
async fn cost_of_a_probe() {
    let mut server = Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", "cost::as_a_server", "--nocapture"])
        .env("DEVSTACK_TEST_SERVER", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("started");
    let mut told = std::io::BufReader::new(server.stderr.take().expect("its words"));
    let mut line = String::new();
    std::io::BufRead::read_line(&mut told, &mut line).expect("read");
    let port: u16 = line.trim().strip_prefix("port ").and_then(|port| port.parse().ok()).expect("a port");

    let http = HttpProbe {
        host: "localhost".into(),
        port,
        path: "/health".into(),
        method: "GET".into(),
        headers: vec![],
        status: vec![(200, 399)],
        body: None,
    };
    for (kind, probe) in [
        ("http", Probe::Http(http)),
        ("tcp", Probe::Tcp { host: "localhost".into(), port }),
        ("exec", Probe::Exec(devstack::plan::CommandPlan::Exec(vec!["true".into()]))),
    ] {
        if std::env::var("DEVSTACK_TEST_KIND").is_ok_and(|only| only != kind) {
            continue;
        }
        for (services, interval) in [(100, 500), (1, 2)] {
            let rounds = if services == 1 { 500 } else { 20 };
            let dir = tempfile::tempdir().expect("a directory");
            let plan = HealthPlan {
                probes: vec![probe.clone()],
                interval: Duration::from_millis(interval),
                timeout: LONG,
                retries: 3,
                start_period: Duration::ZERO,
                restart_on_failure: false,
            };
            let count = std::cell::Cell::new(0_u32);
            let good = std::cell::Cell::new(0_u32);
            let done = tokio::sync::Notify::new();
            let (ctx, _sender) = context(dir.path(), Ownership::Own);
            let began = cpu();
            let local = tokio::task::LocalSet::new();
            let shared = std::rc::Rc::new((count, good, done));
            local
                .run_until(async {
                    for _ in 0..services {
                        let shared = shared.clone();
                        tokio::task::spawn_local(check(plan.clone(), ctx.clone(), move |answer| {
                            shared.0.set(shared.0.get() + 1);
                            shared
                                .1
                                .set(shared.1.get() + u32::from(answer == devstack::machine::Answer::Good));
                            if shared.0.get() >= services * rounds {
                                shared.2.notify_one();
                            }
                        }));
                    }
                    shared.2.notified().await;
                })
                .await;
            let each = cpu().saturating_sub(began) / shared.0.get();
            let (all, good) = (shared.0.get(), shared.1.get());
            writeln!(
                std::io::stdout(),
                "{kind}: {services} at a time: {each:?} of CPU each, {good} of {all} good"
            )
            .expect("told");
        }
    }
    drop(server.stdin.take());
    server.wait().expect("ended");
}
