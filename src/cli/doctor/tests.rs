//! What doctor says about machines that this one is not.

use std::path::PathBuf;

use super::engine::{Engine, Said};
use super::facts::{Facts, Here, Layers, Machine, NoCgroup, Spot};
use super::judge::judge;
use super::stale::{Left, What};
use crate::domain::{Fix, Pid, PortHolder, PortStatus, ProcId, Promise, UnitName};
use crate::show::{Paint, doctor, json};
use crate::sys::cgroup::{Ability, Grounds, NoPlace};
use crate::sys::host::{Room, Space};
use crate::sys::pidfd::Features;

/// Root on a machine of this year.
fn good() -> Facts {
    let space = Some(Space { bytes: 12 << 30, files: true });
    let spot = |name, dir: &str| Spot { name, dir: PathBuf::from(dir), problem: None, space };
    let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    Facts {
        layers: Layers {
            cgroup: Ok((PathBuf::from("/sys/fs/cgroup"), Ability { kill: true, freeze: true })),
            controllers: [words("cpu memory pids"), Vec::new()],
            limits: Grounds::default(),
            pidfd: Features { open: true, group: true, exit: true },
            subreaper: true,
            memfd: true,
            children: true,
        },
        machine: Machine {
            system: "Linux 6.18.0".to_owned(),
            user: "root".to_owned(),
            container: None,
            own_process_numbers: false,
            sees_others: true,
            table: Some(Room { used: 412, most: 32768 }),
            of_user: None,
            of_cgroup: None,
            open_files: Some(1024),
            inotify: None,
        },
        places: vec![
            spot("state", "/home/dev/.local/state/devstack"),
            spot("sockets", "/run/user/1000/devstack"),
        ],
        engines: vec![engine("docker", Ok(false), true), engine("podman", Ok(true), false)],
        stack: Here::Stack { name: "shop".to_owned(), dir: "/home/dev/shop".to_owned(), ports: ports(None) },
        left: Vec::new(),
    }
}

fn engine(name: &'static str, rootless: Result<bool, &str>, used: bool) -> Engine {
    let said = |rootless| Said {
        version: "27.1".to_owned(),
        rootless,
        context: (name == "docker").then(|| "default".to_owned()),
    };
    Engine { name, answer: rootless.map(said).map_err(str::to_owned), used }
}

fn ports(owner: Option<PortHolder>) -> Vec<(UnitName, PortStatus)> {
    let api = UnitName::parse("api").expect("a name");
    vec![(api, PortStatus { port: 3000, free: owner.is_none(), owner, container: None })]
}

fn holder(stack: Option<(&str, &str)>) -> PortHolder {
    PortHolder {
        process: Some(ProcId { pid: Pid::new(3120).expect("a number"), start: 7 }),
        command: "node \x1b[2Jserver.js".to_owned(),
        user: "dev".to_owned(),
        dir: Some("/home/dev/shop".to_owned()),
        age_ms: Some(7_200_000),
        stack: stack.map(|(name, dir)| (name.to_owned(), dir.to_owned())),
    }
}

/// A plain user with everything in the way.
fn bad() -> Facts {
    let mut facts = good();
    facts.layers.cgroup =
        Err(NoCgroup::Place(NoPlace::NotPermitted(PathBuf::from("/sys/fs/cgroup/user.slice"))));
    facts.layers.controllers = [Vec::new(), vec!["pids".to_owned()]];
    facts.layers.pidfd = Features { open: true, group: false, exit: false };
    facts.layers.memfd = false;
    facts.layers.children = false;
    facts.machine = Machine {
        system: "Linux 5.10.0".to_owned(),
        user: "dev".to_owned(),
        container: Some("docker".to_owned()),
        own_process_numbers: true,
        sees_others: false,
        table: Some(Room { used: 32000, most: 32768 }),
        of_user: Some(Room { used: 100, most: 4096 }),
        of_cgroup: Some(Room { used: 100, most: 100 }),
        open_files: Some(64),
        inotify: Some("No space left on device (os error 28)".to_owned()),
    };
    facts.places[0].problem = Some("others may write to it".to_owned());
    facts.places[1].space = Some(Space { bytes: 1 << 20, files: true });
    facts.engines = vec![
        engine("docker", Err("no answer within 2 seconds"), true),
        engine("podman", Err("dial unix: connect: permission denied"), false),
    ];
    facts.stack = Here::Stack {
        name: "shop".to_owned(),
        dir: "/home/dev/shop".to_owned(),
        ports: ports(Some(holder(None))),
    };
    let manifest = || PathBuf::from("/home/dev/shop/devstack.yaml");
    let pid = Pid::new(41).expect("a number");
    let unit = UnitName::parse("api").expect("a name");
    let left = [
        What::Unwatched { processes: 5, manifest: manifest() },
        What::Halted { who: "the supervisor".to_owned(), pid },
        What::Hanging { unit, pid, manifest: manifest() },
        What::Records { count: 2, fix: Fix::Possible },
        What::Sockets { count: 1, fix: Fix::Done },
        What::Cgroups {
            dirs: vec![PathBuf::from("/sys/fs/cgroup/devstack-1")],
            fix: Fix::Failed("Permission denied".to_owned()),
        },
        What::Gone {
            dir: PathBuf::from("/home/dev/old"),
            state: PathBuf::from("/home/dev/.local/state/devstack/o-1"),
        },
        What::Unreadable { path: PathBuf::from("/home/dev/x"), why: "it belongs to another user".to_owned() },
    ];
    facts.left = left.into_iter().map(|what| Left { stack: "shop".to_owned(), what }).collect();
    facts
}

/// What macOS has.
fn elsewhere() -> Facts {
    let mut facts = good();
    facts.layers = Layers {
        cgroup: Err(NoCgroup::Place(NoPlace::NotMounted)),
        controllers: [Vec::new(), Vec::new()],
        limits: Grounds::default(),
        pidfd: Features::default(),
        subreaper: false,
        memfd: false,
        children: false,
    };
    facts.machine.system = "Darwin 24.1.0".to_owned();
    facts.machine.table = None;
    facts.engines = Vec::new();
    facts.stack = Here::NoManifest;
    facts
}

#[test]
fn each_machine_is_told_with_its_promise() {
    let paint = Paint::plain().with_home("/home/dev");
    let shown = [("root", good()), ("a plain user", bad()), ("no Linux", elsewhere())]
        .map(|(name, facts)| format!("--- {name}\n{}\n", doctor::screen(&paint, &judge(&facts))));
    assert!(!shown.concat().contains('\x1b'), "an escape sequence of a command passed");
    insta::assert_snapshot!(shown.concat());
}

#[test]
fn the_answer_for_scripts_has_this_shape() {
    insta::assert_snapshot!(json::checkup(&judge(&bad())).expect("JSON"));
}

#[test]
fn the_promise_follows_from_what_the_kernel_has() {
    assert_eq!(judge(&good()).promise, Promise::Cgroup);
    assert_eq!(judge(&good()).attention(), 0);
    assert_eq!(judge(&bad()).promise, Promise::Keeper);
    assert_eq!(judge(&elsewhere()).promise, Promise::Children);
    let mut unborn = good();
    unborn.layers.cgroup =
        Err(NoCgroup::Birth(PathBuf::from("/sys/fs/cgroup"), "Operation not supported".to_owned()));
    let checkup = judge(&unborn);
    assert_eq!(checkup.promise, Promise::Keeper);
    assert!(checkup.why.contains("Operation not supported"), "{}", checkup.why);
}

#[test]
fn a_port_that_this_stack_holds_itself_is_in_nobodys_way() {
    for (stack, open) in [(("shop", "/home/dev/shop"), 0), (("shop", "/home/dev/shop-2"), 1)] {
        let mut facts = good();
        let (name, dir) = ("shop".to_owned(), "/home/dev/shop".to_owned());
        facts.stack = Here::Stack { name, dir, ports: ports(Some(holder(Some(stack)))) };
        assert_eq!(judge(&facts).attention(), open, "{stack:?}");
    }
}

#[test]
fn what_was_mended_needs_nobody_any_more() {
    let with = |fix| {
        let mut facts = good();
        facts.left = vec![Left { stack: "shop".to_owned(), what: What::Records { count: 1, fix } }];
        judge(&facts).attention()
    };
    assert_eq!((with(Fix::Possible), with(Fix::Done), with(Fix::Failed(String::new()))), (1, 0, 1));
}
