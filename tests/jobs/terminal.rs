//! In a terminal, under a shell that knows of jobs: Ctrl-C, Ctrl-Z, `fg`, `&`, and scripts.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use crate::STACK;
use crate::world::{World, is_root, skip, stat, until};

/// A shell in a terminal of its own.
struct Shell {
    child: Child,
    master: File,
    shown: Arc<Mutex<String>>,
}

impl Shell {
    fn start(world: &World, shell: &[&str]) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("a pty");
        grantpt(&master).and_then(|()| unlockpt(&master)).expect("ours");
        let name = ptsname(&master, Vec::new()).expect("a name").into_string().expect("text");
        let open = || {
            let mut options = File::options();
            std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, 0o400);
            OwnedFd::from(options.read(true).write(true).open(&name).expect("the terminal"))
        };
        let mut command = Command::new("setsid");
        command.arg("--ctty").args(shell).current_dir(world.dir());
        command.env("DEVSTACK_STATE_DIR", world.state()).env("PS1", "$ ").env("TERM", "dumb");
        command.env("DS", env!("CARGO_BIN_EXE_devstack")).env_remove("ENV");
        command.stdin(open()).stdout(open()).stderr(Stdio::from(open()));
        let child = command.spawn().expect("it starts");
        let master = File::from(master);
        let shown = Arc::new(Mutex::new(String::new()));
        let (mut reader, text) = (master.try_clone().expect("a copy"), Arc::clone(&shown));
        std::thread::spawn(move || {
            let mut bytes = [0_u8; 4096];
            while let Ok(count @ 1..) = reader.read(&mut bytes) {
                text.lock().expect("whole").push_str(&String::from_utf8_lossy(&bytes[..count]));
            }
        });
        let shell = Self { child, master, shown };
        shell.sees("$ ");
        shell
    }

    /// Types something; what was shown before does not count any more.
    fn types(&self, text: &str) {
        self.shown.lock().expect("whole").clear();
        (&self.master).write_all(text.as_bytes()).expect("a terminal");
    }

    /// Waits until this is shown.
    #[track_caller]
    fn sees(&self, text: &str) {
        let shown = || self.shown.lock().expect("whole").clone();
        until(&format!("{text:?} on the terminal"), || shown().contains(text));
    }

    fn shown(&self) -> String {
        self.shown.lock().expect("whole").clone()
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const SHELLS: [&[&str]; 2] = [&["bash", "--norc", "--noprofile", "-i"], &["sh", "-i"]];

/// A shell in its terminal, and where the job's command writes its number.
fn each(test: impl Fn(&World, &Shell)) {
    for shell in SHELLS {
        let world = World::new(STACK);
        test(&world, &Shell::start(&world, shell));
        world.assert_none_but(&[]);
    }
}

fn only(world: &World) -> i32 {
    world.await_living(1);
    *world.living().keys().next().expect("one")
}

#[test]
fn ctrl_c_ends_the_job_and_the_shell_sees_it() {
    each(|world, shell| {
        let wait = world.program("wait").display().to_string();
        shell.types(&format!("$DS run -- {wait} wait\n"));
        let pid = only(world);
        // The group of its own, which the terminal listens to.
        assert_eq!(stat(pid).expect("it runs").group, pid);
        shell.types("\x03");
        shell.sees("killed by SIGINT");
        shell.types("echo co\"\"de=$?\n");
        shell.sees("code=130");
        // Also one that sees to its end itself.
        shell.types(
            "$DS run -q -- sh -c 'trap \"exit 9\" INT; echo be\"\"gun; while :; do sleep 0.05; done'\n",
        );
        shell.sees("begun");
        shell.types("\x03");
        shell.types("echo co\"\"de=$?\n");
        shell.sees("code=9");
        shell.types("$DS run -q -- sh -c 'echo be\"\"gun; kill -QUIT $$'; echo co\"\"de=$?\n");
        shell.sees("code=131");
    });
}

#[test]
fn ctrl_z_stops_the_job_and_fg_lets_it_go_on_with_the_terminal() {
    each(|world, shell| {
        let wait = world.program("wait").display().to_string();
        shell.types(&format!("$DS run -q -- sh -c '{wait} wait & cat; exit 5'\n"));
        let pid = only(world);
        shell.types("first\n");
        shell.sees("first\r\nfirst");
        shell.types("\x1a");
        shell.sees("topped");
        until("all of the job has stopped", || stat(pid).is_some_and(|stat| stat.state == 'T'));
        shell.types("echo the sh\"\"ell\n");
        shell.sees("the shell");
        shell.types("fg\n");
        shell.sees("run -q");
        shell.types("second\n");
        shell.sees("second\r\nsecond");
        shell.types("\x04");
        shell.types("echo co\"\"de=$?\n");
        shell.sees("code=5");
    });
}

#[test]
fn in_the_background_it_stops_when_it_reads() {
    each(|_, shell| {
        shell.types("$DS run -q -- cat &\n");
        shell.types("\n");
        until("the shell has seen it stop", || {
            shell.types("jobs\n");
            std::thread::sleep(std::time::Duration::from_millis(20));
            shell.shown().contains("topped")
        });
        shell.types("fg\n");
        shell.sees("run -q");
        shell.types("typed\n");
        shell.sees("typed\r\ntyped");
        shell.types("\x04");
        shell.types("echo co\"\"de=$?\n");
        shell.sees("code=0");
    });
}

#[test]
fn a_script_is_interrupted_with_its_job() {
    each(|world, shell| {
        let wait = world.program("wait").display().to_string();
        shell.types(&format!("sh -c '$DS run -q -- {wait} wait; echo af\"\"ter'\n"));
        only(world);
        shell.types("\x03");
        shell.types("echo co\"\"de=$?\n");
        shell.sees("code=130");
        assert!(!shell.shown().contains("after"), "{}", shell.shown());
    });
}

#[test]
fn a_pager_behind_a_job_keeps_the_terminal() {
    each(|_, shell| {
        // It reads the terminal while the job runs: taken away, it would be stopped.
        let pager = "sh -c 'cat >/dev/null; read line </dev/tty; echo he\"\"ard $line'";
        shell.types(&format!("$DS run -q -- sh -c 'sleep 0.1; echo x' | {pager}\n"));
        shell.types("words\n");
        shell.sees("heard words");
    });
}

#[test]
fn a_terminal_of_a_session_outside_of_the_pid_namespace_is_shared() {
    if !is_root() {
        return skip("a PID namespace below a terminal is root's to make");
    }
    let world = World::new(STACK);
    let shell =
        Shell::start(&world, &["unshare", "--pid", "--fork", "--mount-proc", "--kill-child", "sh", "-i"]);
    shell.types("cut -d' ' -f6 /proc/self/stat; $DS run -q -- sh -c 'echo ran; exit 7'; echo co\"\"de=$?\n");
    shell.sees("0\r\nran\r\ncode=7");
}
