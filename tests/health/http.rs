//! HTTP probes against real servers on loopback.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use devstack::health::{Ownership, check};
use devstack::machine::Answer;
use devstack::plan::{BodyMatch, HealthPlan, HttpProbe, Probe};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::{LONG, ask, bad, context, first, stranger};

fn probe(host: &str, port: u16) -> HttpProbe {
    HttpProbe {
        host: host.to_owned(),
        port,
        path: "/health?deep=1".to_owned(),
        method: "GET".to_owned(),
        headers: Vec::new(),
        status: vec![(200, 399)],
        body: None,
    }
}

async fn head(stream: &mut TcpStream) -> String {
    let mut seen = Vec::new();
    let mut byte = [0; 1024];
    while !seen.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte).await.expect("read") {
            0 => break,
            count => seen.extend_from_slice(&byte[..count]),
        }
    }
    String::from_utf8(seen).expect("text")
}

/// A server that answers each request with these bytes and keeps the connection open; gives its port and the requests.
async fn server(address: &str, answer: impl Into<Vec<u8>>) -> (u16, Rc<RefCell<Vec<String>>>) {
    let listener = TcpListener::bind(address).await.expect("bound");
    let port = listener.local_addr().expect("an address").port();
    let requests = Rc::new(RefCell::new(Vec::new()));
    let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
    let answer = answer.into();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.expect("accepted");
            let (answer, sender) = (answer.clone(), sender.clone());
            tokio::spawn(async move {
                let _ = sender.send(head(&mut stream).await);
                let _ = stream.write_all(&answer).await;
                // The connection stays open until the other side has gone.
                let _ = stream.read(&mut [0; 16]).await;
            });
        }
    });
    let seen = requests.clone();
    tokio::task::spawn_local(async move {
        while let Some(request) = receiver.recv().await {
            seen.borrow_mut().push(request);
        }
    });
    (port, requests)
}

async fn local<F: Future>(future: F) -> F::Output {
    tokio::task::LocalSet::new().run_until(future).await
}

async fn answer_to(answer: impl Into<Vec<u8>>, change: impl FnOnce(&mut HttpProbe)) -> Answer {
    local(async {
        let (port, _) = server("127.0.0.1:0", answer).await;
        let mut probe = probe("127.0.0.1", port);
        change(&mut probe);
        let timeout = Duration::from_millis(300);
        match first(Probe::Http(probe), timeout, Ownership::Own).await {
            Answer::Bad { asked, got } => {
                assert!(asked.ends_with(&format!(" http://127.0.0.1:{port}/health?deep=1")), "{asked}");
                bad("it", &got)
            }
            other => other,
        }
    })
    .await
}

fn status(line: &str) -> Vec<u8> {
    format!("HTTP/1.1 {line}\r\nContent-Length: 2\r\n\r\nok").into_bytes()
}

#[tokio::test]
async fn the_status_decides() {
    for line in ["200 OK", "204 No Content", "302 Found\r\nLocation: http://127.0.0.1:1/", "399 ?"] {
        assert_eq!(answer_to(status(line), |_| ()).await, Answer::Good, "{line}");
    }
    assert_eq!(answer_to(status("404 Not Found"), |_| ()).await, bad("it", "404"));
    assert_eq!(answer_to(status("503 Service Unavailable"), |_| ()).await, bad("it", "503"));
    let only = |probe: &mut HttpProbe| probe.status = vec![(200, 200), (503, 503)];
    assert_eq!(answer_to(status("503 Service Unavailable"), only).await, Answer::Good);
    assert_eq!(answer_to(status("201 Created"), only).await, bad("it", "201"));
}

#[tokio::test]
async fn the_body_decides_where_it_is_asked() {
    let contains = |text: &str| {
        let body = Some(BodyMatch::Contains(text.to_owned()));
        move |probe: &mut HttpProbe| probe.body = body
    };
    let regex = |text: &str| {
        let body = Some(BodyMatch::Regex(text.to_owned()));
        move |probe: &mut HttpProbe| probe.body = body
    };
    assert_eq!(answer_to(status("200 OK"), contains("k")).await, Answer::Good);
    assert_eq!(answer_to(status("200 OK"), contains(".k")).await, bad("it", "body does not contain \".k\""));
    assert_eq!(answer_to(status("200 OK"), regex("^.k$")).await, Answer::Good);
    assert_eq!(answer_to(status("200 OK"), regex("^k")).await, bad("it", "body does not match /^k/"));
    assert_eq!(answer_to(status("500 No"), contains("ok")).await, bad("it", "500"));
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nre\r\n3\r\nady\r\n0\r\n\r\n";
    assert_eq!(answer_to(chunked, contains("ready")).await, Answer::Good);
    let Answer::Bad { got, .. } = answer_to(status("200 OK"), regex("(")).await else {
        panic!("not a pattern")
    };
    assert!(got.starts_with("cannot be asked: regex parse error"), "{got}");
}

#[tokio::test]
async fn a_slow_or_endless_body_does_not_hold_it() {
    let endless =
        [b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n".to_vec(), vec![b'x'; 300_000]]
            .concat();
    assert_eq!(answer_to(endless.clone(), |_| ()).await, Answer::Good);
    let body = Some(BodyMatch::Contains("y".to_owned()));
    let got = answer_to(endless, |probe| probe.body = body.clone()).await;
    assert_eq!(got, bad("it", "body does not contain \"y\""));
    let half = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf";
    assert_eq!(answer_to(half, |_| ()).await, Answer::Good);
    assert_eq!(answer_to(half, |probe| probe.body = body).await, bad("it", "timed out after 300ms"));
}

#[tokio::test]
async fn bad_answers_are_told_as_what_they_are() {
    assert_eq!(answer_to("", |_| ()).await, bad("it", "timed out after 300ms"));
    let Answer::Bad { got, .. } = answer_to("SSH-2.0-OpenSSH_9\r\n", |_| ()).await else {
        panic!("not HTTP")
    };
    assert!(got.starts_with("answered in something other than HTTP"), "{got}");
    let huge = format!("HTTP/1.1 200 OK\r\nX-Long: {}\r\n\r\n", "x".repeat(1_000_000));
    assert_eq!(answer_to(huge, |_| ()).await, bad("it", "answered with a head of more than 64 KiB"));
    let Answer::Bad { got, .. } = answer_to(status("200 OK"), |probe| probe.method = "G T".into()).await
    else {
        panic!("not a method")
    };
    assert_eq!(got, "cannot be asked: \"G T\" is not a method");
}

#[tokio::test]
async fn a_closed_port_and_a_closed_connection_are_told() {
    local(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let port = listener.local_addr().expect("an address").port();
        let asked = format!("GET http://localhost:{port}/health?deep=1");
        let asking = first(Probe::Http(probe("localhost", port)), LONG, Ownership::Own);
        let (answer, ()) = tokio::join!(asking, async {
            let (mut stream, _) = listener.accept().await.expect("accepted");
            head(&mut stream).await;
        });
        assert_eq!(answer, bad(&asked, "connection closed without an answer"));
        drop(listener);
        let answer = first(Probe::Http(probe("localhost", port)), LONG, Ownership::Own).await;
        assert_eq!(answer, bad(&asked, "connection refused"));
    })
    .await;
}

#[tokio::test]
async fn the_request_is_what_was_asked_for() {
    local(async {
        let (port, requests) = server("127.0.0.1:0", status("200 OK")).await;
        let mut asked = probe("localhost", port);
        asked.method = "POST".into();
        asked.headers = vec![
            ("X-One".into(), "1".into()),
            ("x-one".into(), "2".into()),
            ("Accept".into(), "text/plain".into()),
        ];
        assert_eq!(first(Probe::Http(asked.clone()), LONG, Ownership::Own).await, Answer::Good);
        asked.headers = vec![("Host".into(), "shop.test".into())];
        assert_eq!(first(Probe::Http(asked), LONG, Ownership::Own).await, Answer::Good);
        tokio::task::yield_now().await;
        let requests = requests.borrow();
        let lines: Vec<String> = requests[0].lines().map(str::to_ascii_lowercase).collect();
        assert_eq!(lines[0], "post /health?deep=1 http/1.1");
        for line in [
            &format!("host: localhost:{port}"),
            "x-one: 1",
            "x-one: 2",
            "accept: text/plain",
            "connection: close",
        ] {
            assert!(lines.iter().any(|other| other == line), "{line} in {lines:?}");
        }
        assert!(requests[1].to_ascii_lowercase().contains("host: shop.test\r\n"));
        assert_eq!(requests[1].to_ascii_lowercase().matches("host:").count(), 1);
    })
    .await;
}

#[tokio::test]
async fn localhost_is_both_families() {
    local(async {
        let (port, requests) = server("[::1]:0", status("200 OK")).await;
        for host in ["localhost", "::1"] {
            assert_eq!(first(Probe::Http(probe(host, port)), LONG, Ownership::Own).await, Answer::Good);
        }
        tokio::task::yield_now().await;
        assert!(requests.borrow()[1].to_ascii_lowercase().contains(&format!("host: [::1]:{port}\r\n")));
    })
    .await;
}

#[tokio::test]
async fn a_foreign_answer_is_a_conflict() {
    local(async {
        let (port, _) = server("127.0.0.1:0", status("200 OK")).await;
        let foreign = Ownership::Foreign(stranger());
        let answer = first(Probe::Http(probe("127.0.0.1", port)), LONG, foreign).await;
        assert_eq!(answer, Answer::Foreign { port, holder: stranger() });
        for owner in [Ownership::Unknown, Ownership::Nobody] {
            assert_eq!(first(Probe::Http(probe("127.0.0.1", port)), LONG, owner).await, Answer::Good);
        }
    })
    .await;
}

/// Not a test by itself: what the next one runs as a process of its own.
#[tokio::test]
async fn with_proxies_set() {
    let Some(port) = std::env::var("DEVSTACK_TEST_PORT").ok().and_then(|port| port.parse().ok()) else {
        return;
    };
    assert_eq!(first(Probe::Http(probe("127.0.0.1", port)), LONG, Ownership::Own).await, Answer::Good);
}

#[tokio::test]
async fn proxies_of_the_environment_are_not_used() {
    local(async {
        let (port, requests) = server("127.0.0.1:0", status("200 OK")).await;
        let (proxy, asked) = server("127.0.0.1:0", status("200 OK")).await;
        let mut child = tokio::process::Command::new(std::env::current_exe().expect("this test"));
        child.args(["--exact", "http::with_proxies_set"]).env("DEVSTACK_TEST_PORT", port.to_string());
        for name in ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"] {
            child.env(name, format!("http://127.0.0.1:{proxy}"));
        }
        assert!(child.output().await.expect("ran").status.success());
        assert_eq!((requests.borrow().len(), asked.borrow().len()), (1, 0));
    })
    .await;
}

/// Asks a server that says 503 until `ready` has passed; gives when it was asked and when the gate told, both since
/// the beginning.
async fn timed(ready: Duration) -> (Vec<Duration>, Duration) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let port = listener.local_addr().expect("an address").port();
    let began = Instant::now();
    let server = tokio::spawn(async move {
        let mut asked = Vec::new();
        loop {
            let (mut stream, _) = listener.accept().await.expect("accepted");
            let now = began.elapsed();
            asked.push(now);
            head(&mut stream).await;
            let line = if now < ready { "503 Not Yet" } else { "200 OK" };
            stream.write_all(&status(line)).await.expect("written");
            if now >= ready {
                return asked;
            }
        }
    });
    let dir = tempfile::tempdir().expect("a directory");
    let (ctx, _sender) = context(dir.path(), Ownership::Own);
    ask(Probe::Http(probe("127.0.0.1", port)), LONG, ctx, |_| ()).await;
    let told = began.elapsed();
    (server.await.expect("joined"), told)
}

#[tokio::test]
async fn what_is_ready_after_50_ms_is_told_soon_after() {
    // On a busy machine one round may be late; a gate that asks too seldom is late in each.
    let mut best = LONG;
    for _ in 0..10 {
        let (asked, told) = timed(Duration::from_millis(50)).await;
        best = best.min(told);
        assert!(
            asked.windows(2).all(|pair| pair[1].saturating_sub(pair[0]) >= Duration::from_millis(9)),
            "{asked:?}"
        );
    }
    assert!(best <= Duration::from_millis(65), "told after {best:?}");
}

#[tokio::test]
async fn the_first_question_is_asked_at_once_and_the_others_less_and_less_often() {
    let (asked, told) = timed(Duration::from_millis(900)).await;
    assert!(asked[0] < Duration::from_millis(100), "the first after {:?}", asked[0]);
    let gaps: Vec<Duration> = asked.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).collect();
    let late = gaps[gaps.len() - 3..].iter().min().expect("some");
    assert!(*late >= Duration::from_millis(60), "{gaps:?}");
    assert!(asked.len() < 50, "asked {} times", asked.len());
    assert!(told < Duration::from_millis(1500), "told after {told:?}");
}

#[tokio::test]
async fn health_is_asked_once_per_interval_the_first_time_after_one() {
    local(async {
        let (good, asked_good) = server("127.0.0.1:0", status("200 OK")).await;
        let (poor, asked_poor) = server("127.0.0.1:0", status("500 No")).await;
        let plan = HealthPlan {
            probes: [poor, good].map(|port| Probe::Http(probe("127.0.0.1", port))).to_vec(),
            interval: Duration::from_millis(40),
            timeout: LONG,
            retries: 3,
            start_period: Duration::ZERO,
            restart_on_failure: false,
        };
        let dir = tempfile::tempdir().expect("a directory");
        let (ctx, _sender) = context(dir.path(), Ownership::Own);
        let began = Instant::now();
        let (sender, mut told) = tokio::sync::mpsc::unbounded_channel();
        let checking = check(plan.clone(), ctx.clone(), |answer| {
            let _ = sender.send((began.elapsed(), answer));
        });
        let three = async {
            for round in 1..=3 {
                let (after, answer) = told.recv().await.expect("told");
                assert_eq!(answer, bad(&format!("GET http://127.0.0.1:{poor}/health?deep=1"), "500"));
                assert!(after >= Duration::from_millis(40 * round), "round {round} after {after:?}");
            }
        };
        tokio::select! { () = checking => unreachable!("it never ends"), () = three => {} }
        tokio::task::yield_now().await;
        assert_eq!(
            (asked_poor.borrow().len(), asked_good.borrow().len()),
            (3, 0),
            "the first bad one ends a round"
        );
        let fine = HealthPlan { probes: vec![Probe::Http(probe("localhost", good)); 2], ..plan };
        let (sender, mut told) = tokio::sync::mpsc::unbounded_channel();
        let checking = check(fine, ctx, |answer| {
            let _ = sender.send(answer);
        });
        tokio::select! {
            () = checking => unreachable!("it never ends"),
            answer = told.recv() => assert_eq!(answer, Some(Answer::Good)),
        }
    })
    .await;
}
