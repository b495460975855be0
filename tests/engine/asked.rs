//! The module that asks an engine, against a real one: each answer is read, each kind of trouble is told apart.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::time::Duration;

use devstack::domain::Signal;
use devstack::engine::{Client, ContainerSpec, Engine as _, Happened, Publish, Status, Trouble, TroubleKind};
use devstack::plan::EngineKind;
use devstack::sys::clock;
use tokio::time::timeout;

use crate::engine::{Engine, engine};
use crate::world::{PATIENCE, free_port};

const IMAGE: &str = "devstack-test/idle";

/// Runs a test of futures on one thread, as the supervisor does.
pub(crate) fn block<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async { timeout(PATIENCE * 3, future).await.expect("in time") })
}

/// A container of a test and its label; it is taken away when the test ends.
pub(crate) struct Own {
    engine: &'static Engine,
    pub(crate) name: String,
}

impl Own {
    pub(crate) fn new(engine: &'static Engine) -> Self {
        Self { engine, name: format!("asked-{}", free_port()) }
    }

    pub(crate) fn label(&self) -> String {
        format!("dev.devstack.test={}", self.name)
    }

    pub(crate) fn spec(&self, command: &[&str]) -> ContainerSpec {
        ContainerSpec {
            name: self.name.clone(),
            image: IMAGE.to_owned(),
            labels: BTreeMap::from([("dev.devstack.test".to_owned(), self.name.clone())]),
            command: command.iter().map(|word| (*word).to_owned()).collect(),
            ..ContainerSpec::default()
        }
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        let _ = self.engine.command(&["rm", "-f", "-v", &self.name]).output();
    }
}

pub(crate) fn kind<T: std::fmt::Debug>(answer: Result<T, Trouble>) -> TroubleKind {
    answer.expect_err("it cannot go well").kind
}

#[test]
fn a_container_is_made_started_seen_and_ended() {
    let Some(engine) = engine() else { return };
    let own = Own::new(engine);
    let port = free_port();
    let mut spec = own.spec(&["idle"]);
    spec.publish = vec![Publish { address: Some([127, 0, 0, 1].into()), host: port, inside: 80 }];
    spec.environment = BTreeMap::from([("SECRET".to_owned(), "s3cret\nof two lines".to_owned())]);
    spec.volumes = vec![format!("{}:/kept", own.name)];
    block(async {
        let client = engine.client();
        assert!(client.version().await.expect("it answers").engine.starts_with(|c: char| c.is_ascii_digit()));
        let mut events = client.events(&own.label(), clock::wall()).expect("followed");
        let id = client.create(&spec).await.expect("made");
        assert_eq!(id.len(), 64);
        let made = client.inspect(&own.name).await.expect("it is there");
        assert_eq!((made.status, made.published.len()), (Status::Created { error: String::new() }, 0));
        client.start(&id).await.expect("started");
        let running = client.inspect(&id).await.expect("it is there");
        assert!(matches!(running.status, Status::Running { pid: Some(_), .. }), "{running:?}");
        assert_eq!((running.name.as_str(), running.published[0].host), (own.name.as_str(), port));
        assert_eq!(running.mounts[0].name.as_deref(), Some(own.name.as_str()));
        assert_eq!(client.labelled(&own.label()).await.expect("a list"), std::slice::from_ref(&running));
        assert_eq!(client.publishing(port).await.expect("a list")[0].id, id);
        let environment = client.exec(&id, &words(&["sh", "-c", "echo \"$SECRET\"; exit 7"])).await;
        assert_eq!(environment.expect("it ran"), (7, "s3cret\nof two lines\n".to_owned()));

        client.stop(&id, Duration::from_secs(10)).await.expect("stopped");
        assert_eq!(client.wait(&id).await.expect("its code"), 0);
        let Status::Exited(ended) = client.inspect(&id).await.expect("there").status else {
            panic!("it ended")
        };
        assert!(ended.code == 0 && !ended.was_killed());
        client.start(&id).await.expect("started again");
        client.kill(&id, Signal::KILL).await.expect("killed");
        assert_eq!(client.wait(&id).await.expect("its code"), 137);
        client.remove(&id).await.expect("removed");
        client.remove(&id).await.expect("gone is gone");
        assert_eq!(kind(client.inspect(&id).await), TroubleKind::NoSuchContainer);
        client.remove_volume(&own.name).await.expect("removed");
        assert_eq!(kind(client.remove_volume(&own.name).await), TroubleKind::NoSuchVolume);

        let mut seen = Vec::new();
        while seen.last() != Some(&Happened::Removed) {
            let event = events.next().await.expect("told");
            assert_eq!((&event.container, &event.name), (&id, &own.name));
            match event.what {
                Happened::Other(_) => {}
                what => seen.push(what),
            }
        }
        let died = |code| Happened::Died { code: Some(code) };
        let started = || Happened::Started;
        // Podman leaves a code of 0 out.
        let well = || if engine.is_podman() { Happened::Died { code: None } } else { died(0) };
        assert_eq!(seen, [Happened::Created, started(), well(), started(), died(137), Happened::Removed]);
    });
}

#[test]
fn each_kind_of_trouble_is_told_apart() {
    let Some(engine) = engine() else { return };
    let own = Own::new(engine);
    block(async {
        let client = engine.client();
        let id = client.create(&own.spec(&["idle"])).await.expect("made");
        let taken = client.create(&own.spec(&["idle"])).await;
        assert_eq!(kind(taken), TroubleKind::NameTaken { by: Some(id.clone()) });
        let mut spec = own.spec(&[]);
        spec.image = "devstack-test/nono".to_owned();
        assert_eq!(kind(client.create(&spec).await), TroubleKind::NoSuchImage);
        assert_eq!(kind(client.image("devstack-test/nono").await), TroubleKind::NoSuchImage);
        assert_eq!(kind(client.start("nono").await), TroubleKind::NoSuchContainer);
        assert_eq!(kind(client.exec("nono", &words(&["true"])).await), TroubleKind::NoSuchContainer);
        assert_eq!(kind(client.exec(&id, &words(&["true"])).await), TroubleKind::ContainerStopped);
        assert_eq!(kind(client.kill(&id, Signal::TERM).await), TroubleKind::ContainerStopped);
        client.start(&id).await.expect("started");
        assert_eq!(kind(client.exec(&id, &words(&["nono"])).await), TroubleKind::NotExecutable);
        let mut logs = client.logs("nono", None).expect("asked");
        assert_eq!(kind(logs.next().await), TroubleKind::NoSuchContainer);

        // Nobody listens there: the registry is out of reach, and it takes no time to say so.
        let mut pull = client.pull("127.0.0.1:1/nono").expect("asked");
        assert_eq!(kind(pull.next().await), TroubleKind::Offline);

        if engine.is_podman() {
            // It has no daemon that could be elsewhere, or away.
            return;
        }
        let nowhere = engine.client().env("DOCKER_HOST", "unix:///no/such/socket");
        assert_eq!(kind(nowhere.version().await), TroubleKind::NotRunning);
        assert_eq!(
            kind(nowhere.events("x", clock::wall()).expect("asked").next().await),
            TroubleKind::NotRunning
        );
        let context = Client::new(EngineKind::Docker).context("no-such-context");
        assert_eq!(kind(context.inspect("x").await), TroubleKind::NoSuchContext);
        // A socket that accepts and never answers.
        let silent = TcpListener::bind("127.0.0.1:0").expect("bound");
        let host = format!("tcp://{}", silent.local_addr().expect("bound"));
        let hanging = engine.client().env("DOCKER_HOST", host).patience(Duration::from_millis(300));
        assert_eq!(kind(hanging.inspect("x").await), TroubleKind::TimedOut);
    });
}

#[test]
fn a_taken_port_is_named_whoever_has_it() {
    let Some(engine) = engine() else { return };
    let (own, other) = (Own::new(engine), Own::new(engine));
    let holder = TcpListener::bind("127.0.0.1:0").expect("bound");
    let port = holder.local_addr().expect("bound").port();
    let publish = vec![Publish { address: Some([127, 0, 0, 1].into()), host: port, inside: 80 }];
    let spec = |of: &Own| ContainerSpec { publish: publish.clone(), ..of.spec(&["idle"]) };
    let taken = TroubleKind::PortTaken { port: Some(port) };
    block(async {
        let client = engine.client();
        // By a process.
        let id = client.create(&spec(&own)).await.expect("made");
        assert_eq!(kind(client.start(&id).await), taken);
        let left = client.inspect(&id).await.expect("it stays behind");
        // Podman does not say why.
        let told = |error: &str| engine.is_podman() || !error.is_empty();
        assert!(matches!(&left.status, Status::Created { error } if told(error)), "{:?}", left.status);
        drop(holder);
        client.start(&id).await.expect("the port is free now");
        // By a container.
        let second = client.create(&spec(&other)).await.expect("made");
        assert_eq!(kind(client.start(&second).await), taken);
        let names: Vec<String> =
            client.publishing(port).await.expect("a list").into_iter().map(|one| one.name).collect();
        assert_eq!(names, std::slice::from_ref(&own.name));
    });
}

#[test]
fn a_log_goes_on_where_it_was_left() {
    let Some(engine) = engine() else { return };
    let own = Own::new(engine);
    let script = "for i in $(seq 40); do echo line $i; echo err $i >&2; done";
    block(async {
        let client = engine.client();
        let id = client.create(&own.spec(&["sh", "-c", script])).await.expect("made");
        client.start(&id).await.expect("started");
        client.wait(&id).await.expect("it ends");
        let mut all = client.logs(&id, None).expect("followed");
        let mut whole = Vec::new();
        while let Some(line) = all.next().await.expect("read") {
            whole.push(line);
        }
        assert_eq!(whole.len(), 80);
        assert!(
            whole.iter().any(|line| line.text == b"line 40")
                && whole.iter().any(|line| line.text == b"err 1")
        );
        // Left after each line in turn: nothing is lost and nothing told twice.
        for left in [1, 2, 17, 79] {
            let mut first = client.logs(&id, None).expect("followed");
            for _ in 0..left {
                first.next().await.expect("read").expect("a line");
            }
            let position = first.position();
            drop(first);
            let mut second = client.logs(&id, position).expect("followed");
            let mut rest = Vec::new();
            while let Some(line) = second.next().await.expect("read") {
                rest.push(line);
            }
            assert_eq!(rest.len(), 80 - left, "left after {left}");
        }
    });
}

pub(crate) fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}
