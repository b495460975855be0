//! Innocents: processes that belong to nobody and write down each signal that they get.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::world::{Started, World, runs, stat, until};

/// One of them; it is a judge of its own.
#[derive(Clone)]
pub(crate) struct Innocent {
    file: PathBuf,
    pid: i32,
    start: u64,
}

impl Innocent {
    /// One with this number, which must be free: the leader of a session and a group of this number, and a second one in
    /// both.
    pub(crate) fn with_number(world: &World, number: i32) -> [Self; 2] {
        let file = world.beside("innocents").join(number.to_string());
        let _ = fs::remove_file(&file);
        let mut command = Command::new(world.program("innocent"));
        command.args(["innocent", "--session", "--child", "--number", &number.to_string(), "--file"]);
        // No pipe of the test's may be held by it.
        command.arg(&file).stdin(Stdio::null()).stdout(Stdio::null());
        let status = command.status().expect("it starts");
        assert!(status.success(), "the number {number} is not free");
        let leader = Self::at(file.clone());
        assert_eq!(leader.pid, number);
        let second = Self::at(PathBuf::from(format!("{}.child", file.display())));
        let line = stat(second.pid).expect("it lives");
        assert_eq!((line.session, line.group), (number, number));
        [leader, second]
    }

    /// One in a session of its own, as the user whom devstack runs as, with a second one in the session.
    pub(crate) fn start(world: &World, name: &str) -> (Started, [Self; 2]) {
        let file = world.beside("innocents").join(name);
        let mode = fs::Permissions::from_mode(0o777);
        fs::set_permissions(world.beside("innocents"), mode).expect("ours");
        let path = file.to_str().expect("text");
        let started = world.start("innocent", &["innocent", "--child", "--file", path], Path::new("/"));
        let second = PathBuf::from(format!("{path}.child"));
        (started, [Self::at(file), Self::at(second)])
    }

    /// Its number.
    pub(crate) fn pid(&self) -> i32 {
        self.pid
    }

    /// One that was started by somebody else, to write into this file.
    pub(crate) fn at(file: PathBuf) -> Self {
        until("the innocent is ready", || file.exists());
        let text = fs::read_to_string(&file).expect("text");
        let pid: i32 = text.lines().next().and_then(|line| line.parse().ok()).expect("its number");
        Self { file, pid, start: stat(pid).expect("it lives").start }
    }

    /// It lives, was not stopped, and has had no signal.
    #[track_caller]
    pub(crate) fn assert_untouched(&self, after: &str) {
        let text = fs::read_to_string(&self.file).expect("text");
        assert_eq!(text.trim(), self.pid.to_string(), "an innocent was signalled by {after}");
        let line = stat(self.pid).filter(|line| line.start == self.start);
        let line = line.unwrap_or_else(|| panic!("an innocent was killed by {after}: {}", self.pid));
        assert!(runs(self.pid) && line.state != 'T', "an innocent was stopped by {after}: {line:?}");
    }
}
