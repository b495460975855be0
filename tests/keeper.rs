//! The keeper's promises, asked of the real program: what it starts, what it tells, what it writes and when it ends.
#![cfg(target_os = "linux")]

#[path = "keeper/failures.rs"]
mod failures;
#[path = "keeper/output.rs"]
mod output;
#[path = "keeper/world.rs"]
mod world;

use std::fs;
use std::os::fd::AsFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixDatagram;

use devstack::domain::{Exit, ProcId, Signal};
use devstack::keeper::FromKeeper;
use devstack::store::RecordLine;
use world::{MARK, World, parse, proc_file, status};

#[test]
fn a_service_leads_a_session_and_a_group_of_its_own() {
    let mut keeper = World::of(&["sleep", "1000"]).start();
    let leader = keeper.leader();
    let stat = String::from_utf8(proc_file(leader, "stat")).expect("text");
    let fields: Vec<&str> = stat[stat.rfind(')').expect("a name") + 2..].split(' ').collect();
    let pid = leader.pid.to_string();
    // Parent, group, session, terminal.
    assert_eq!(fields[1..5], [&*keeper.child.id().to_string(), &*pid, &*pid, "0"]);
}

#[test]
fn the_identity_is_on_disk_before_the_first_instruction() {
    let world = World::of(&["cat", "record"]);
    let mut keeper = world.start();
    let leader = keeper.leader();
    assert_eq!(keeper.exit(), Exit::Code(0));
    keeper.empties();
    let seen = parse(&keeper.text());
    match seen {
        RecordLine::Leader { leader: recorded, boot, .. } => {
            assert_eq!(recorded, leader);
            assert!(!boot.is_empty());
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn codes_and_signals_are_told_and_recorded() {
    for (script, exit) in [("exit 7", Exit::Code(7)), ("kill -KILL $$", Exit::Signal(Signal::KILL))] {
        let mut keeper = World::shell(script).start();
        assert_eq!(keeper.whole_life(), exit);
        let record = keeper.record();
        assert!(matches!(record[1], RecordLine::Exited { exit: recorded, .. } if recorded == exit));
    }
}

#[test]
fn it_ends_only_when_the_last_escaped_descendant_is_gone() {
    let script = "(setsid env -i /bin/sh -c 'echo $$ > pid; read word < gate' > /dev/null 2>&1 &) ; exit 0";
    let mut keeper = World::shell(script).with_gate().start();
    keeper.leader();
    assert_eq!(keeper.exit(), Exit::Code(0));
    // A later supervisor is told all that has happened: the end is not among it.
    let mut other = keeper.connect();
    assert!(matches!(other.next(), Some(FromKeeper::Started { .. })));
    assert_eq!(other.next(), Some(FromKeeper::Exited { exit: Exit::Code(0) }));
    keeper.release();
    assert_eq!(other.next(), Some(FromKeeper::Emptied));
    let escaped = fs::read_to_string(keeper.world.path("pid")).expect("it ran");
    assert!(!fs::exists(format!("/proc/{}", escaped.trim())).expect("readable"), "it is gone");
    keeper.empties();
}

#[test]
fn members_are_recorded_as_they_are_seen() {
    let mut keeper = World::shell("setsid sh -c 'echo $$; exec sleep 1000' & wait").start();
    let leader = keeper.leader();
    let is_member = |line: &RecordLine| matches!(line, RecordLine::Member(member) if *member != leader);
    // The keeper looks by itself; nothing else tells.
    while !keeper.record().iter().any(is_member) {
        std::thread::yield_now();
    }
    let member = keeper.text().trim().parse::<i32>().expect("a number");
    assert!(
        keeper
            .record()
            .iter()
            .any(|line| matches!(line, RecordLine::Member(ProcId { pid, .. }) if pid.get() == member))
    );
    // The group gets SIGTERM, the leader dies of it, and the member outside the group once the leader is gone.
    let own = rustix::process::Pid::from_child(&keeper.child);
    rustix::process::kill_process(own, rustix::process::Signal::TERM).expect("signalled");
    assert_eq!(keeper.exit(), Exit::Signal(Signal::TERM));
    rustix::process::kill_process(own, rustix::process::Signal::TERM).expect("signalled");
    keeper.empties();
}

#[test]
fn a_service_outlives_its_supervisor_and_the_next_one_is_told_all() {
    let mut keeper = World::shell("read word < gate; exit 5").with_gate().start();
    let leader = keeper.leader();
    keeper.supervisor_dies();
    let (mut one, mut two) = (keeper.connect(), keeper.connect());
    for told in [&mut one, &mut two] {
        assert!(matches!(told.next(), Some(FromKeeper::Started { leader: same, .. }) if same == leader));
    }
    drop(one);
    keeper.release();
    assert_eq!(two.next(), Some(FromKeeper::Exited { exit: Exit::Code(5) }));
    assert_eq!(two.next(), Some(FromKeeper::Emptied));
    assert_eq!(two.next(), None);
}

#[test]
fn only_this_user_can_connect() {
    let mut keeper = World::of(&["sleep", "1000"]).start();
    keeper.leader();
    let mode = fs::metadata(&keeper.world.spec.socket).expect("a socket").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn readiness_is_heard_once() {
    let mut world = World::shell("read word < gate").with_gate();
    let path = world.path("notify");
    world.spec.notify = Some(path.clone());
    let mut keeper = world.start();
    let leader = keeper.leader();
    let entry = format!("NOTIFY_SOCKET={}\0", path.display());
    let environment = String::from_utf8(proc_file(leader, "environ")).expect("text");
    assert!(environment.contains(&entry), "{environment:?}");
    let sender = UnixDatagram::unbound().expect("a socket");
    for message in ["STATUS=warming up", "STATUS=up\nREADY=1\nMAINPID=1", "READY=1"] {
        sender.send_to(message.as_bytes(), &path).expect("sent");
    }
    assert_eq!(keeper.next(), Some(FromKeeper::Notified));
    let mut later = keeper.connect();
    later.next();
    assert_eq!(later.next(), Some(FromKeeper::Notified));
    keeper.release();
    assert_eq!(keeper.exit(), Exit::Code(0));
    keeper.empties();
    assert!(keeper.record().contains(&RecordLine::Notified));
    assert!(!path.exists());
}

#[test]
fn a_service_inherits_no_foreign_descriptor() {
    let world = World::shell("ls -l /proc/self/fd");
    let foreign = fs::File::create(world.path("foreign")).expect("a file");
    rustix::io::fcntl_setfd(foreign.as_fd(), rustix::io::FdFlags::empty()).expect("kept on exec");
    let mut keeper = world.start();
    assert_eq!(keeper.whole_life(), Exit::Code(0));
    let text = keeper.text();
    let mut open: Vec<&str> = text.lines().filter_map(|line| line.split(" -> ").nth(1)).collect();
    // `ls` itself holds the directory.
    open.retain(|target| !target.ends_with("/fd"));
    assert_eq!(open[0], "/dev/null");
    assert!(open[1].starts_with("pipe:") && open[1] == open[2], "{text}");
    // The read end of its own output, for the day when its keeper is killed, and the mark.
    assert_eq!(open[3..], [open[1], &format!("/memfd:devstack:test-1:{MARK} (deleted)")], "{text}");
}

#[test]
fn signals_are_at_their_defaults() {
    let mut keeper = World::of(&["sleep", "1000"]).start();
    let leader = keeper.leader();
    for field in ["SigBlk", "SigIgn", "SigCgt"] {
        assert_eq!(status(leader, field), "0000000000000000", "{field}");
    }
}

#[test]
fn the_environment_is_what_the_spec_says() {
    let mut world = World::of(&["sleep", "1000"]);
    world.spec.environment.push(("EMPTY".to_owned(), String::new()));
    world.spec.environment.push(("LINES".to_owned(), "one\ntwo = ü".to_owned()));
    let entries = world.spec.environment.iter().map(|(name, value)| format!("{name}={value}\0"));
    let expected = entries.collect::<Vec<_>>().concat();
    let mut keeper = world.start_with(|command| {
        command.env("FOREIGN", "1");
    });
    let leader = keeper.leader();
    assert_eq!(String::from_utf8(proc_file(leader, "environ")).expect("text"), expected);
}

#[test]
fn a_cleared_environment_keeps_the_other_mark() {
    let mut keeper = World::shell("exec env -i sleep 1000").start();
    let leader = keeper.leader();
    while !proc_file(leader, "cmdline").starts_with(b"sleep\0") {
        std::thread::yield_now();
    }
    assert!(proc_file(leader, "environ").is_empty());
    let fds = fs::read_dir(format!("/proc/{}/fd", leader.pid)).expect("it lives");
    let marks: Vec<_> = fds
        .filter_map(|fd| fs::read_link(fd.expect("an entry").path()).ok())
        .filter(|target| target.to_string_lossy().contains(MARK))
        .collect();
    assert_eq!(marks.len(), 1);
    // The keeper is no member: it does not carry the mark.
    let own = fs::read_dir(format!("/proc/{}/fd", keeper.child.id())).expect("it lives");
    for fd in own {
        let target = fs::read_link(fd.expect("an entry").path()).unwrap_or_default();
        assert!(!target.to_string_lossy().contains(MARK));
    }
}

#[test]
fn a_service_is_born_in_its_cgroup() {
    let mounts = fs::read_to_string("/proc/self/mounts").expect("mounts");
    let mount = mounts.lines().find_map(|line| {
        let mut words = line.split(' ').skip(1);
        let at = words.next()?;
        (words.next()? == "cgroup2").then(|| std::path::PathBuf::from(at))
    });
    let leaf = mount.map(|at| at.join(format!("devstack-test-{}", std::process::id())));
    let Some(leaf) = leaf.filter(|leaf| fs::create_dir(leaf).is_ok()) else {
        use std::io::Write as _;
        return writeln!(std::io::stderr(), "SKIPPED: no cgroup v2 can be written here").expect("stderr");
    };
    let leaf = Leaf(leaf);
    let mut world = World::shell("read word < gate").with_gate();
    world.spec.cgroup = Some(leaf.0.clone());
    let mut keeper = world.start();
    let leader = keeper.leader();
    let members = fs::read_to_string(leaf.0.join("cgroup.procs")).expect("a list");
    assert_eq!(members.trim(), leader.pid.to_string());
    keeper.release();
    assert_eq!(keeper.exit(), Exit::Code(0));
    keeper.empties();
    let member = |line: &RecordLine| matches!(line, RecordLine::Member(_));
    assert!(!keeper.record().iter().any(member), "the cgroup knows them");
}

/// Declared before the keeper, so that it is removed after it.
struct Leaf(std::path::PathBuf);

impl Drop for Leaf {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}
