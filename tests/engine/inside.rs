//! Questions to an engine about what is inside a container and around it, against a real one.

use std::process::Command;

use devstack::engine::{Build, ContainerSpec, Engine as _, Inside, TroubleKind};
use devstack::sys::clock;

use crate::asked::{Own, block, kind, words};
use crate::engine::engine;
use crate::world::stat;

#[test]
fn the_processes_inside_are_told_with_the_machines_numbers() {
    let Some(engine) = engine() else { return };
    let own = Own::new(engine);
    block(async {
        let client = engine.client();
        let id = client.run(&own.spec(&["sh", "-c", "sleep 1000 & wait"])).await.expect("it runs");
        let inside = loop {
            let inside = client.top(&id).await.expect("told");
            if inside.len() == 2 && inside.iter().any(|one| one.command == "sleep 1000") {
                break inside;
            }
        };
        let find = |command: &str| -> &Inside {
            inside.iter().find(|one| one.command.contains(command)).expect("it is there")
        };
        let (shell, sleep) = (find("sleep 1000 & wait"), find("sleep 1000"));
        let sleep = if sleep.pid == shell.pid { &inside[1] } else { sleep };
        assert_eq!(sleep.parent, shell.pid.get());
        for one in [shell, sleep] {
            assert!(stat(one.pid.get()).is_some_and(|stat| stat.parent != 0), "{one:?}");
        }
        assert_eq!(kind(client.top("nono").await), TroubleKind::NoSuchContainer);
    });
}

#[test]
fn a_probe_runs_inside_by_the_words_that_are_given_for_it() {
    let Some(engine) = engine() else { return };
    let own = Own::new(engine);
    block(async {
        let client = engine.client();
        let id = client.run(&own.spec(&["idle"])).await.expect("it runs");
        let variables = [("WORD".to_owned(), "a b".to_owned())];
        let all = client.exec_words(&id, &variables, &words(&["sh", "-c", "echo \"$WORD\"; exit 5"]));
        let mut command: Command = engine.command(&[]);
        assert_eq!(command.get_program().to_string_lossy(), all[0]);
        let output = command.args(&all[1..]).output().expect("it runs");
        assert_eq!((output.status.code(), &*output.stdout), (Some(5), &b"a b\n"[..]));
    });
}

#[test]
fn networks_and_volumes_are_known_and_made_once() {
    let Some(engine) = engine() else { return };
    let own = Own::new(engine);
    block(async {
        let client = engine.client();
        assert!(!client.has_network("no-such-network").await.expect("told"));
        let network = if engine.is_podman() { "podman" } else { "bridge" };
        assert!(client.has_network(network).await.expect("told"));
        let label = ("dev.devstack.test".to_owned(), own.name.clone());
        for _ in 0..2 {
            client.make_volume(&own.name, std::slice::from_ref(&label)).await.expect("made");
        }
        assert_eq!(client.volumes(&own.label()).await.expect("a list"), std::slice::from_ref(&own.name));
        client.remove_volume(&own.name).await.expect("removed");
    });
}

#[test]
fn an_image_is_built_and_each_line_of_it_told() {
    let Some(engine) = engine() else { return };
    let own = Own::new(engine);
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::write(
        dir.path().join("Recipe"),
        "FROM devstack-test/idle AS first\nARG SECRET\nRUN echo \"got $SECRET\"\nFROM nowhere.invalid/none\n",
    )
    .expect("written");
    let mut build = Build {
        image: format!("devstack-test/{}", own.name),
        dir: dir.path().to_owned(),
        file: Some("Recipe".into()),
        args: vec![("SECRET".to_owned(), "s3cret".to_owned())],
        target: Some("first".to_owned()),
        labels: own.spec(&[]).labels,
    };
    block(async {
        let client = engine.client();
        let mut building = client.build(&build).expect("begun");
        let mut told = Vec::new();
        while let Some(line) = building.next().await.expect("it goes well") {
            told.push(line.to_owned());
        }
        assert!(told.iter().any(|line| line.contains("got s3cret")), "{told:?}");
        let image = client.image(&build.image).await.expect("it is there");
        let spec = ContainerSpec { image: build.image.clone(), ..own.spec(&["true"]) };
        let id = client.run(&spec).await.expect("it runs");
        assert_eq!(client.inspect(&id).await.expect("there").image, image.id);
        build.target = Some("no-such-stage".to_owned());
        let mut building = client.build(&build).expect("begun");
        let trouble = loop {
            match building.next().await {
                Ok(line) => assert!(line.is_some(), "it cannot be built"),
                Err(trouble) => break trouble,
            }
        };
        assert!(trouble.text.contains("no-such-stage"), "{trouble}");
        client.remove(&id).await.expect("removed");
    });
    let _ = engine.command(&["rmi", &build.image]).output();
}

#[test]
fn a_step_of_a_build_that_fails_leaves_no_container_behind() {
    let Some(engine) = engine() else { return };
    let own = Own::new(engine);
    let dir = tempfile::tempdir().expect("a directory");
    let recipe = format!("FROM devstack-test/idle\nRUN echo {} && exit 3\n", own.name);
    std::fs::write(dir.path().join("Dockerfile"), recipe).expect("written");
    let (image, dir) = (format!("devstack-test/{}", own.name), dir.path().to_owned());
    let build = Build { image, dir, ..Build::default() };
    block(async {
        let mut building = engine.client().build(&build).expect("begun");
        let trouble = loop {
            match building.next().await {
                Ok(line) => assert!(line.is_some(), "it cannot be built"),
                Err(trouble) => break trouble,
            }
        };
        assert!(trouble.text.contains(&own.name), "{trouble}");
    });
    // Podman's builder keeps its own list.
    let external: &[&str] = if engine.is_podman() { &["--external"] } else { &[] };
    let all = engine.docker(&[&["ps", "--all", "--no-trunc", "--format", "{{.Command}}"], external].concat());
    assert!(!all.out.contains(&own.name), "{}", all.out);
}

#[test]
fn what_a_health_check_says_is_told_of_one_container_only() {
    let Some(engine) = engine() else { return };
    let (own, other) = (Own::new(engine), Own::new(engine));
    block(async {
        let client = engine.client();
        let since = clock::wall();
        let other = client.run(&other.spec(&["idle"])).await.expect("it runs");
        let id = client.run(&own.spec(&["idle"])).await.expect("it runs");
        let mut events = client.health(&id, since).expect("followed");
        assert_eq!(events.next().await.expect("told").container, id);
        assert_ne!(other, id);
    });
}
