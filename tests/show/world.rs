//! One stack in every state, and every report that can be made of it.

use devstack::domain::{
    Breach, ContainerTrouble, Culprit, DownReport, Ended, EndedUnit, EngineKind, Exit, Failure, FoundBy,
    Health, Life, MissingImage, OnBreach, OutOfMemory, Pid, PortHolder, PortStatus, ProcId, ProcessView,
    Resource, Signal, StackName, StackView, State, Survivor, UnitKind, UnitName, UnitOutcome, UnitView,
    UpReport, WallTime,
};

pub(crate) const NOW: WallTime = WallTime(1_763_647_402_000);
pub(crate) const DIR: &str = "/home/dev/shop";

pub(crate) fn name(text: &str) -> UnitName {
    UnitName::parse(text).expect("a valid name")
}

pub(crate) fn process_id(pid: i32) -> ProcId {
    ProcId { pid: Pid::new(pid).expect("above 1"), start: 7 }
}

pub(crate) fn unit(text: &str, state: State) -> UnitView {
    UnitView { state, ..UnitView::at_rest(name(text), UnitKind::Service, Life(1)) }
}

pub(crate) fn running(text: &str, pid: i32, port: u16, ready_ms: u64) -> UnitView {
    let leader = process(pid, 1000, "npm run dev", FoundBy::Leader);
    UnitView {
        health: Health::Healthy,
        leader: Some(process_id(pid)),
        pid: Some(pid),
        pgid: Some(pid),
        sid: Some(pid),
        started_at: Some(WallTime(NOW.0 - 125_000)),
        ready_ms: Some(ready_ms),
        ports: vec![port],
        processes: vec![leader],
        ..unit(text, State::Ready)
    }
}

pub(crate) fn process(pid: i32, parent: i32, command: &str, found_by: FoundBy) -> ProcessView {
    ProcessView {
        pid,
        start: 7,
        ppid: parent,
        pgid: 41220,
        sid: 41220,
        command: command.to_owned(),
        cpu_percent: 0.33,
        memory_bytes: 47_300_000,
        age_ms: 125_000,
        found_by,
    }
}

pub(crate) fn stack(services: Vec<UnitView>) -> StackView {
    StackView {
        stack: StackName::lenient("shop"),
        dir: DIR.to_owned(),
        supervisor: Some(4100),
        services,
        strays: vec![],
        warnings: vec![],
        alerts: vec![],
    }
}

pub(crate) fn shop() -> StackView {
    let mut api = running("orchestrator", 41220, 3000, 2100);
    api.restarts = 2;
    api.processes.extend([
        process(41231, 41222, "node --import tsx/loader src/main.ts", FoundBy::Parentage),
        process(41222, 41220, "sh -c tsx watch src/main.ts", FoundBy::Parentage),
        process(41225, 41222, "esbuild --service=0.25", FoundBy::Parentage),
        process(41240, 1, "redis-server *:6379", FoundBy::Session),
    ]);
    let mut agent = unit("validation-agent", State::Starting);
    agent.note = Some("GET http://localhost:3000/health → 503 (attempt 5, 27.7s left)".to_owned());
    agent.pid = Some(41300);
    agent.started_at = Some(WallTime(NOW.0 - 2300));
    agent.processes = vec![process(41300, 1000, "node /home/dev/shop/agent.js", FoundBy::Leader)];
    let mut task = unit("migrate", State::Completed);
    task.kind = UnitKind::Task;
    task.exit = Some(Exit::Code(0));
    task.ready_ms = Some(430);
    let mut dead = unit("worker", State::Failed);
    dead.exit = Some(Exit::Code(3));
    dead.note = Some("exit 3 before it was ready".to_owned());
    let mut queued = unit("web", State::Queued);
    queued.note = Some("needs validation-agent".to_owned());
    let services = vec![
        running("postgres", 41210, 5432, 1900),
        task,
        api,
        agent,
        queued,
        dead,
        unit("extra", State::Stopped),
    ];
    let mut view = stack(services);
    view.strays = vec![process(41930, 900, "node /home/dev/shop/node_modules/.bin/vitest", FoundBy::Pattern)];
    view
}

pub(crate) fn holder() -> PortHolder {
    PortHolder {
        process: Some(process_id(3120)),
        command: "node".to_owned(),
        user: "dev".to_owned(),
        dir: Some("/home/dev/other-checkout".to_owned()),
        age_ms: Some(7_500_000),
        stack: Some(("shop".to_owned(), "/home/dev/other-checkout".to_owned())),
    }
}

pub(crate) fn unseen() -> PortHolder {
    PortHolder {
        process: None,
        command: String::new(),
        user: "uid 0".to_owned(),
        dir: None,
        age_ms: None,
        stack: None,
    }
}

pub(crate) fn port(port: u16) -> PortStatus {
    PortStatus { port, free: true, owner: None, container: None }
}

pub(crate) fn ended_unit(text: &str, exit: Exit, millis: u64, processes: u32) -> EndedUnit {
    EndedUnit {
        name: name(text),
        signal: Some(Signal::TERM),
        exit: Some(exit),
        millis,
        processes,
        deaf: vec![],
        container: None,
    }
}

pub(crate) fn stray(pid: i32, command: &str, evidence: &str) -> Ended {
    Ended {
        process: process_id(pid),
        command: command.to_owned(),
        evidence: evidence.to_owned(),
        forced: false,
    }
}

pub(crate) fn clean_stop() -> DownReport {
    let mut deaf = ended_unit("orchestrator", Exit::Signal(Signal::KILL), 5003, 4);
    deaf.deaf = vec![(process_id(41223), "node src/server.js".to_owned())];
    let matched = "started outside, matched in this checkout";
    DownReport {
        clean: true,
        ended: 48,
        forced: 1,
        survivors: vec![],
        ports: vec![port(3000), port(4001), port(5432)],
        swept: vec![
            stray(41930, "node /home/dev/shop/node_modules/.bin/vitest", matched),
            stray(41941, "/usr/bin/esbuild --service=1", matched),
        ],
        left_alone: vec![],
        spared: vec![],
        containers: None,
        units: vec![
            ended_unit("validation-agent", Exit::Code(143), 104, 5),
            deaf,
            ended_unit("postgres", Exit::Code(0), 810, 7),
        ],
        seconds: 5.912,
    }
}

pub(crate) fn dirty_stop() -> DownReport {
    let survivor = Survivor {
        process: process_id(41500),
        command: "/usr/bin/setuid-thing --serve\x1b[2J".to_owned(),
        user: "root".to_owned(),
        evidence: "parentage".to_owned(),
        reason: "not permitted".to_owned(),
        unit: Some(name("orchestrator")),
    };
    DownReport {
        clean: false,
        ended: 3,
        forced: 0,
        survivors: vec![survivor],
        ports: vec![
            PortStatus { port: 3000, free: false, owner: Some(holder()), container: None },
            port(4001),
            PortStatus { port: 80, free: false, owner: None, container: None },
        ],
        swept: vec![
            stray(41930, "vitest", "cwd in this checkout"),
            Ended { forced: true, ..stray(41931, "turbo run test", "script in this checkout") },
        ],
        left_alone: vec![stray(50001, "vitest run", "works in /home/dev/elsewhere")],
        spared: vec![],
        containers: None,
        units: vec![
            ended_unit("orchestrator", Exit::Signal(Signal::TERM), 95, 2),
            EndedUnit {
                signal: None,
                exit: Some(Exit::Code(1)),
                ..ended_unit("worker", Exit::Code(1), 0, 0)
            },
            ended_unit("crasher", Exit::Signal(Signal::from_number(11)), 210, 1),
            EndedUnit { exit: Some(Exit::Unknown), ..ended_unit("orphan", Exit::Unknown, 30, 1) },
        ],
        seconds: 10.04,
    }
}

pub(crate) fn up_report() -> UpReport {
    let started = |text: &str| (name(text), UnitOutcome::Started);
    UpReport {
        ready: true,
        units: vec![
            (name("postgres"), UnitOutcome::Unchanged),
            started("migrate"),
            (name("orchestrator"), UnitOutcome::Recreated),
        ],
        slowest: vec![(name("postgres"), 1900), (name("orchestrator"), 2100)],
        seconds: 2.149,
        ..UpReport::default()
    }
}

pub(crate) fn failed_up() -> UpReport {
    let exited =
        Failure::Exited { exit: Exit::Code(3), was_ready: false, tail: vec!["Error: boom".to_owned()] };
    UpReport {
        ready: false,
        units: vec![
            (name("postgres"), UnitOutcome::Started),
            (name("worker"), UnitOutcome::Failed(exited)),
            (name("web"), UnitOutcome::Blocked { needs: name("worker") }),
            (name("validation-agent"), UnitOutcome::Unfinished),
        ],
        rolled_back: Some(DownReport { left_alone: vec![], ..clean_stop() }),
        seconds: 0.42,
        ..UpReport::default()
    }
}

/// Every failure that there is; a new variant breaks this until it is rendered here too.
pub(crate) fn failures() -> Vec<Failure> {
    let tail = || vec!["listening on 3000".to_owned(), "Error: \x1b[31mboom\x1b[0m".to_owned()];
    let text = |text: &str| text.to_owned();
    let all = vec![
        Failure::PortInUse { port: 3000, holder: holder() },
        Failure::PortInUse {
            port: 3000,
            holder: PortHolder { stack: Some((text("shop"), text(DIR))), ..holder() },
        },
        Failure::PortInUse { port: 3000, holder: PortHolder { stack: None, ..holder() } },
        Failure::PortInUse {
            port: 3000,
            holder: PortHolder {
                stack: None,
                command: text("/usr/bin/docker-proxy -x"),
                dir: None,
                ..holder()
            },
        },
        Failure::PortInUse { port: 3000, holder: unseen() },
        Failure::PortConflict { port: 3000, holder: PortHolder { stack: None, age_ms: None, ..holder() } },
        Failure::CommandNotFound {
            program: text("nmp"),
            path: text("/usr/bin:/bin"),
            near: vec![text("npm"), text("nm")],
        },
        Failure::CommandNotFound { program: text("./run.sh"), path: String::new(), near: vec![] },
        Failure::NotExecutable { program: text("/home/dev/my shop/run"), reason: text("permission denied") },
        Failure::WorkingDir { dir: text("/home/dev/shop/nowhere"), reason: text("no such directory") },
        Failure::User { user: text("postgres"), reason: text("only root may do that") },
        Failure::Fork {
            reason: text("resource temporarily unavailable"),
            crowd: vec![(text("node (dev)"), 3900), (text("chrome (dev)"), 800)],
        },
        Failure::Start { reason: text("the keeper died") },
        Failure::Exited { exit: Exit::Code(3), was_ready: false, tail: tail() },
        Failure::Exited { exit: Exit::Signal(Signal::KILL), was_ready: true, tail: vec![] },
        Failure::NotReady {
            after_ms: 60_000,
            answers: vec![
                (text("GET http://localhost:3000/"), text("503")),
                (text("tcp localhost:3001"), text("refused")),
            ],
            listening: Some(vec![3002]),
            tail: tail(),
        },
        Failure::NotReady { after_ms: 500, answers: vec![], listening: Some(vec![]), tail: vec![] },
        Failure::Unhealthy { answer: text("GET http://localhost:3000/ → 500"), tail: tail() },
        Failure::CrashLoop { deaths: 5, within_ms: 3200, exit: Exit::Code(1), tail: tail() },
        Failure::Limit {
            breach: Breach {
                resource: Resource::Memory,
                used: 1_288_490_189,
                limit: 1 << 30,
                of_stack: false,
                culprit: Some(Culprit { process: process_id(4711), command: text("node build.js") }),
                action: OnBreach::Stop,
            },
            tail: tail(),
        },
        Failure::OutOfMemory {
            what: OutOfMemory { kills: 1, limit: Some(1 << 30), of_stack: false },
            tail: tail(),
        },
        Failure::Survived { count: 2 },
        Failure::Blocked { needs: name("postgres") },
    ];
    let all: Vec<Failure> = all
        .into_iter()
        .chain(troubles().into_iter().map(|trouble| contained(EngineKind::Docker, trouble)))
        .collect();
    for failure in &all {
        match failure {
            Failure::PortInUse { .. }
            | Failure::PortConflict { .. }
            | Failure::CommandNotFound { .. }
            | Failure::NotExecutable { .. }
            | Failure::WorkingDir { .. }
            | Failure::User { .. }
            | Failure::Fork { .. }
            | Failure::Start { .. }
            | Failure::Exited { .. }
            | Failure::NotReady { .. }
            | Failure::Unhealthy { .. }
            | Failure::CrashLoop { .. }
            | Failure::Limit { .. }
            | Failure::OutOfMemory { .. }
            | Failure::Survived { .. }
            | Failure::Container { .. }
            | Failure::Blocked { .. } => {}
        }
    }
    all
}

/// Everything that can be the matter with a container; a new variant breaks this until it is rendered here too.
pub(crate) fn troubles() -> Vec<ContainerTrouble> {
    let text = |text: &str| text.to_owned();
    let port = |container: Option<&str>, holder: Option<PortHolder>| ContainerTrouble::PortTaken {
        port: 5432,
        container: container.map(str::to_owned),
        holder,
    };
    let image = |why, text: &str| ContainerTrouble::NoImage {
        image: "postgres:16".to_owned(),
        why,
        text: text.to_owned(),
    };
    let engines_own = |command: &str| {
        let holder = PortHolder { stack: None, dir: None, command: command.to_owned(), ..holder() };
        port(None, Some(holder))
    };
    let all = vec![
        ContainerTrouble::NotInstalled { program: text("docker") },
        ContainerTrouble::NotAnswering {
            text: text(
                "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?",
            ),
        },
        ContainerTrouble::NotPermitted {
            text: text("dial unix /var/run/docker.sock: connect: permission denied"),
        },
        ContainerTrouble::NoSuchContext { context: text("build box") },
        ContainerTrouble::NameTaken {
            name: text("shop-db"),
            by: text("3f2ab4c5d6e7 (image redis:7, compose project shop)"),
        },
        port(Some("other-db (image postgres:15)"), None),
        port(None, Some(PortHolder { stack: None, ..holder() })),
        port(None, Some(PortHolder { stack: Some((text("shop"), text(DIR))), ..holder() })),
        port(None, Some(unseen())),
        port(None, None),
        engines_own("/usr/bin/docker-proxy -proto tcp -host-port 5432"),
        engines_own("/usr/bin/conmon --api-version 1"),
        engines_own("rootlessport"),
        engines_own("/usr/bin/slirp4netns --mtu=65520"),
        image(MissingImage::NotPulled, ""),
        image(MissingImage::NotInRegistry, "manifest for postgres:16 not found: manifest unknown"),
        image(MissingImage::Offline, "dial tcp: lookup registry.example: no such host\x1b[2J"),
        ContainerTrouble::NotBuilt { tail: vec![text("Step 3/4 : RUN make"), text("make: not found")] },
        ContainerTrouble::NotBuilt { tail: vec![] },
        ContainerTrouble::NoSuchNetwork { network: text("backend") },
        ContainerTrouble::NotExecutable { text: text("exec: \"/no/such\": no such file or directory") },
        ContainerTrouble::Removed,
        ContainerTrouble::Refused { text: String::new() },
    ];
    for trouble in &all {
        match trouble {
            ContainerTrouble::NotInstalled { .. }
            | ContainerTrouble::NotAnswering { .. }
            | ContainerTrouble::NotPermitted { .. }
            | ContainerTrouble::NoSuchContext { .. }
            | ContainerTrouble::NameTaken { .. }
            | ContainerTrouble::PortTaken { .. }
            | ContainerTrouble::NoImage { .. }
            | ContainerTrouble::NotBuilt { .. }
            | ContainerTrouble::NoSuchNetwork { .. }
            | ContainerTrouble::NotExecutable { .. }
            | ContainerTrouble::Removed
            | ContainerTrouble::Refused { .. } => {}
        }
    }
    all
}

/// A container that its engine did not give.
pub(crate) fn contained(engine: EngineKind, trouble: ContainerTrouble) -> Failure {
    Failure::Container { engine, trouble }
}
