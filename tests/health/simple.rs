//! Probes of one step: tcp, notify, port.

use std::time::Duration;

use devstack::health::Ownership;
use devstack::machine::Answer;
use devstack::plan::Probe;
use tokio::net::TcpListener;

use crate::{LONG, ask, bad, context, first, stranger};

#[tokio::test]
async fn a_connection_is_enough_for_tcp_if_the_listener_is_its_own() {
    for (address, host) in [("127.0.0.1:0", "127.0.0.1"), ("[::1]:0", "localhost")] {
        let listener = TcpListener::bind(address).await.expect("bound");
        let port = listener.local_addr().expect("an address").port();
        let tcp = || Probe::Tcp { host: host.to_owned(), port };
        assert_eq!(first(tcp(), LONG, Ownership::Own).await, Answer::Good);
        let answer = first(tcp(), LONG, Ownership::Foreign(stranger())).await;
        assert_eq!(answer, Answer::Foreign { port, holder: stranger() });
        drop(listener);
        let answer = first(tcp(), LONG, Ownership::Own).await;
        assert_eq!(answer, bad(&format!("connect to {host}:{port}"), "connection refused"));
    }
}

#[tokio::test]
async fn a_name_without_an_address_is_told() {
    let probe = Probe::Tcp { host: "nowhere.invalid".to_owned(), port: 1 };
    let Answer::Bad { asked, got } = first(probe, LONG, Ownership::Own).await else {
        panic!("there is none")
    };
    assert_eq!(asked, "connect to nowhere.invalid:1");
    assert!(!got.is_empty() && !got.contains("os error"), "{got}");
}

#[tokio::test]
async fn notify_waits_for_the_message() {
    let dir = tempfile::tempdir().expect("a directory");
    let (ctx, sender) = context(dir.path(), Ownership::Own);
    let mut answers = Vec::new();
    let asking = ask(Probe::Notify, LONG, ctx.clone(), |answer| {
        if answers.is_empty() {
            // Not before the first answer: the message must wake it.
            sender.send(true).expect("heard");
        }
        answers.push(answer);
    });
    tokio::time::timeout(LONG, asking).await.expect("in time");
    assert_eq!(answers, [bad("READY=1 on its notify socket", "not sent yet"), Answer::Good]);
    let mut answers = Vec::new();
    ask(Probe::Notify, LONG, ctx, |answer| answers.push(answer)).await;
    assert_eq!(answers, [Answer::Good]);
}

#[tokio::test]
async fn a_port_must_be_its_own() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let port = listener.local_addr().expect("an address").port();
    let asked = format!("its own listener on port {port}");
    let probe = || Probe::Port(port);
    assert_eq!(first(probe(), LONG, Ownership::Own).await, Answer::Good);
    assert_eq!(first(probe(), LONG, Ownership::Nobody).await, bad(&asked, "nothing listens there"));
    let answer = first(probe(), LONG, Ownership::Foreign(stranger())).await;
    assert_eq!(answer, Answer::Foreign { port, holder: stranger() });
    assert_eq!(first(probe(), LONG, Ownership::Unknown).await, Answer::Good);
    drop(listener);
    assert_eq!(first(probe(), LONG, Ownership::Unknown).await, bad(&asked, "connection refused"));
}

#[tokio::test]
async fn a_port_is_asked_for_until_it_is_its_own() {
    let dir = tempfile::tempdir().expect("a directory");
    let (mut ctx, _sender) = context(dir.path(), Ownership::Own);
    let count = std::cell::Cell::new(0);
    let asked = std::rc::Rc::new(count);
    let counter = asked.clone();
    ctx.owner = std::rc::Rc::new(move |_| {
        counter.set(counter.get() + 1);
        if counter.get() < 4 { Ownership::Nobody } else { Ownership::Own }
    });
    let asking = ask(Probe::Port(1), Duration::from_secs(1), ctx, |_| ());
    tokio::time::timeout(LONG, asking).await.expect("in time");
    assert_eq!(asked.get(), 4);
}
