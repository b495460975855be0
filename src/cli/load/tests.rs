//! Loading on a real disk and with real ports.

use std::fs;

use super::*;
use crate::domain::UnitName;
use crate::manifest::Code;

const MANIFEST: &str =
    "services: {web: {command: x, ports: {http: auto, admin: auto}}, api: {command: y, ports: [20001]}}\n";

fn dir_with(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    for (name, text) in files {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        fs::write(path, text).expect("written");
    }
    dir
}

fn problems(place: &Where) -> Vec<Problem> {
    match load(place, &AutoPorts::new()) {
        Err(LoadError::Problems { problems, .. }) => problems,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_manifest_is_found_from_below_and_only_exactly_where_it_is_asked_for() {
    let dir = dir_with(&[("devstack.yml", "services: {a: {command: x}}\n"), ("sub/deep ü/x", "")]);
    let root = dir.path().canonicalize().expect("real");
    let deep = root.join("sub/deep ü");
    assert_eq!(find(&Where::Above(deep.clone())).expect("found"), root.join("devstack.yml"));
    let loaded = load(&Where::Above(deep.clone()), &AutoPorts::new()).expect("loads");
    assert_eq!((&loaded.plan.dir, &loaded.plan.manifest), (&root, &root.join("devstack.yml")));
    assert_eq!(
        loaded.plan.stack.as_str(),
        StackName::lenient(&root.file_name().expect("a name").to_string_lossy()).as_str()
    );
    fs::write(root.join("devstack.yaml"), "name: preferred\nservices: {a: {command: x}}\n").expect("written");
    assert_eq!(find(&Where::Above(root.clone())).expect("found"), root.join("devstack.yaml"));
    let error = load(&Where::Exactly(deep.clone()), &AutoPorts::new()).expect_err("none there");
    assert!(matches!(&error, LoadError::NotFound { searched } if *searched == [deep.clone()]), "{error}");
    let gone = root.join("gone.yaml");
    assert!(matches!(load(&Where::Exactly(gone), &AutoPorts::new()), Err(LoadError::NotFound { .. })));
    assert!(
        matches!(find(&Where::Exactly(root.join("devstack.yml"))), Ok(path) if path == root.join("devstack.yml"))
    );
}

#[test]
fn nothing_found_tells_every_directory_searched() {
    let dir = dir_with(&[("a/b/x", "")]);
    // A manifest above the temporary directory would be somebody else's: then there is nothing to test.
    if let Err(LoadError::NotFound { searched }) = find(&Where::Above(dir.path().join("a/b"))) {
        assert!(
            searched.len() >= 3
                && searched[0].ends_with("a/b")
                && searched.last().is_some_and(|p| p.parent().is_none())
        );
    }
}

#[test]
fn env_files_are_read_and_their_faults_told() {
    let dir = dir_with(&[
        (".env", "PORT_OF_API=4711\nQUOTED=\"a b\" # no\nNAME=own.env\n"),
        ("own.env", "export A='1'\n"),
        ("bad.env", "A=1\nthis is wrong\n"),
        (
            "devstack.yaml",
            "services:\n  a: {command: 'x ${QUOTED}', ports: ['${PORT_OF_API}'], env_file: ['${NAME}', {path: none, required: false}]}\n",
        ),
        ("bad.yaml", "env_file: bad.env\nservices: {a: {command: x}}\n"),
    ]);
    let unit = &load(&Where::Exactly(dir.path().to_owned()), &AutoPorts::new()).expect("loads").plan.units[0];
    assert_eq!(unit.command, plan::CommandPlan::Shell("x a b".to_owned()));
    assert_eq!((unit.ports[0].number, unit.environment["A"].as_str()), (4711, "1"));
    let told = problems(&Where::Exactly(dir.path().join("bad.yaml")));
    assert_eq!((told.len(), told[0].code), (1, Code::EnvFile));
    assert!(told[0].message.contains("line 2"), "{}", told[0].message);
    fs::write(dir.path().join(".env"), "x y z\n").expect("written");
    let told = problems(&Where::Exactly(dir.path().join("bad.yaml")));
    assert!(
        told.iter().any(|problem| problem.span.is_none() && problem.message.contains("`.env`")),
        "{told:?}"
    );
}

#[test]
fn values_that_name_each_other_do_not_fill_the_memory() {
    let mut text = "A0=xxxxxxxxxxxxxxxx\n".to_owned();
    for n in 0..40 {
        text.extend([format!("A{}=", n + 1), format!("$A{n}").repeat(4), "\n".to_owned()]);
    }
    let told = parse_env(text.as_bytes()).expect_err("4 to the power of 40").to_string();
    assert!(told.contains("too large"), "{told}");
    assert_eq!(parse_env(b"A=1\nB=$A$A\n").expect("small")[1].1, "11");
}

#[test]
fn a_faulty_line_of_an_env_file_is_not_shown() {
    for text in ["A=1\nhunter2 is secret\n", "A=\"one\nhunter2\n", "hunter2", "A=1\nB='hunter2\nC=2\n"] {
        let told = parse_env(text.as_bytes()).expect_err("wrong").to_string();
        assert!(!told.contains("hunter2"), "{told}");
    }
}

#[test]
fn all_problems_come_together_in_the_order_of_the_file() {
    let dir = dir_with(&[(
        "devstack.yaml",
        "services:\n  a: {command: x, stop_grace_period: 5, zzz: 1}\n  b: {}\nfoo: 1\n",
    )]);
    let codes: Vec<Code> =
        problems(&Where::Above(dir.path().to_owned())).iter().map(|problem| problem.code).collect();
    assert_eq!(codes, [Code::BadDuration, Code::UnknownKey, Code::NoCommand, Code::UnknownKey]);
}

#[test]
fn what_is_too_large_or_no_file_ends() {
    let huge = dir_with(&[]);
    let path = huge.path().join("devstack.yaml");
    fs::File::create(&path).and_then(|file| file.set_len(1 << 40)).expect("a sparse file");
    assert_eq!(problems(&Where::Exactly(path))[0].code, Code::TooMuch);
    let dir = dir_with(&[("devstack.yaml/x", "")]);
    assert!(find(&Where::Exactly(dir.path().to_owned())).is_err(), "a directory of that name is no manifest");
}

#[test]
fn automatic_ports_stay_the_same_and_never_collide() {
    let dir = dir_with(&[("devstack.yaml", MANIFEST)]);
    let place = Where::Above(dir.path().to_owned());
    let first = load(&place, &AutoPorts::new()).expect("loads");
    let ports: Vec<u16> = first.auto_ports.values().copied().collect();
    assert!(ports.iter().all(|port| AUTO_PORTS.contains(port)) && ports[0] != ports[1], "{ports:?}");
    assert_eq!(load(&place, &AutoPorts::new()).expect("loads").auto_ports, first.auto_ports, "by hash");
    // The previous one wins although somebody listens there: it may be our own service.
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let held = listener.local_addr().expect("bound").port();
    let key = plan::auto_port_key(&UnitName::parse("web").expect("a name"), "http");
    let again = load(&place, &AutoPorts::from([(key.clone(), held)])).expect("loads");
    assert_eq!(again.auto_ports[&key], held);
    assert!(!can_bind(held));
    // But not one that the stack declares elsewhere.
    let moved = load(&place, &AutoPorts::from([(key.clone(), 20_001)])).expect("loads");
    assert_ne!(moved.auto_ports[&key], 20_001);
}

#[test]
fn a_port_that_is_taken_is_passed_over() {
    let wanted = WantedPorts {
        auto: vec![(UnitName::parse("a").expect("a name"), "p".to_owned())],
        declared: BTreeSet::new(),
    };
    let free = choose_ports(&wanted, Path::new("/x"), &AutoPorts::new(), |_| true)["a/p"];
    let next = choose_ports(&wanted, Path::new("/x"), &AutoPorts::new(), |port| port != free)["a/p"];
    assert!(next == free + 1 || next == AUTO_PORTS.start);
    assert_ne!(
        choose_ports(&wanted, Path::new("/y"), &AutoPorts::new(), |_| true)["a/p"],
        free,
        "another checkout"
    );
    assert!(choose_ports(&wanted, Path::new("/x"), &AutoPorts::new(), |_| false).is_empty());
}

#[test]
fn the_previous_ports_are_asked_for_by_name_and_path_and_only_if_needed() {
    let dir = dir_with(&[
        ("devstack.yaml", &format!("name: shop\n{MANIFEST}")),
        ("none.yaml", "services: {a: {command: x}}\n"),
    ]);
    let mut asked = None;
    load_with(&Where::Above(dir.path().to_owned()), |name, path| {
        asked = Some((name.to_string(), path.to_owned()));
        AutoPorts::new()
    })
    .expect("loads");
    let (name, path) = asked.expect("asked");
    assert_eq!((name.as_str(), path.ends_with("devstack.yaml")), ("shop", true));
    load_with(&Where::Exactly(dir.path().join("none.yaml")), |_, _| panic!("nothing to ask for"))
        .expect("loads");
}

#[test]
fn the_engine_is_the_one_that_is_installed() {
    let dir = tempfile::tempdir().expect("a directory");
    let place = |name: &str| dir.path().join(name);
    let install = |engine: &str| {
        std::fs::create_dir_all(place(engine)).expect("made");
        std::fs::write(place(engine).join(engine), "").expect("written");
    };
    let found = |dirs: &[&str]| {
        let dirs = std::env::join_paths(dirs.iter().map(|dir| place(dir))).expect("a path");
        installed_engine(&dirs)
    };
    install("docker");
    install("podman");
    assert_eq!(found(&["podman"]), EngineKind::Podman);
    assert_eq!(found(&["podman", "docker"]), EngineKind::Docker);
    assert_eq!(found(&["nowhere"]), EngineKind::Docker);
}
