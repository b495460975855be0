//! The command is what it would be without devstack: exit codes, signals, streams, environment, descriptors.

use std::io::Write as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Stdio};

use crate::world::{World, behind, finish, is_root, skip};
use crate::{STACK, job};

/// The status of a shell script, bare and as a job. A core dump would only take time.
fn both(world: &World, script: &str) -> (i32, i32) {
    let script = format!("ulimit -c 0; {script}");
    let bare = finish(Command::new("sh").args(["-c", &script]).stdin(Stdio::null()).pass()).status;
    let run = finish(job(world, &["--quiet"], &["sh", "-c", &script])).status;
    (bare.into_raw(), run.into_raw())
}

trait Pass {
    fn pass(&mut self) -> Command;
}

impl Pass for Command {
    /// The same command once more, by value.
    fn pass(&mut self) -> Command {
        std::mem::replace(self, Command::new("true"))
    }
}

#[test]
fn every_exit_code_is_passed_on() {
    let world = World::new(STACK);
    for code in [0, 1, 2, 3, 7, 64, 124, 125, 126, 127, 128, 129, 130, 137, 143, 200, 255] {
        let (bare, run) = both(&world, &format!("exit {code}"));
        assert_eq!((bare, run), (code << 8, code << 8), "exit {code}");
    }
}

#[test]
fn a_command_that_a_signal_ended_is_seen_to_be() {
    let world = World::new(STACK);
    for signal in [1, 2, 3, 6, 8, 9, 10, 11, 13, 14, 15, 34, 64] {
        let (bare, run) = both(&world, &format!("kill -{signal} $$; exit 99"));
        assert_eq!((bare, run), (signal, signal), "signal {signal}");
    }
}

#[test]
fn a_command_that_cannot_run_is_told_as_a_shell_does() {
    let world = World::new(STACK);
    finish(job(&world, &[], &["no-such-program"])).expect(127);
    finish(job(&world, &[], &["./nowhere/x"])).expect(127);
    finish(job(&world, &[], &["/etc/passwd"])).expect(126);
    finish(job(&world, &[], &["/"])).expect(126);
    // Nothing of devstack's own is taken for the command's.
    finish(job(&world, &["--name", "a/b"], &["true"])).expect(125);
    std::fs::remove_file(world.dir().join("devstack.yaml")).expect("it is there");
    let ran = finish(job(&world, &[], &["true"])).expect(125);
    assert!(ran.err.contains("DS040"), "{}", ran.err);
    world.write(STACK);
    world.assert_none_but(&[]);
}

#[test]
fn what_says_nothing_is_refused_with_the_reason() {
    let world = World::new(STACK);
    let cases: [(&[&str], &str); 5] = [
        (&["--name", ""], "the name of a job is empty"),
        (&["--name", " "], "the name of a job is empty"),
        (&["-e", "=x"], "`=x` names no variable"),
        (&["-e", ""], "`` names no variable"),
        (&["-C", "nowhere"], "there is no directory nowhere"),
    ];
    for (options, reason) in cases {
        let ran = finish(job(&world, options, &["touch", "ran"])).expect(125);
        assert!(ran.err.contains(reason) && !ran.err.contains("DEVSTACK_STATE_DIR"), "{}", ran.err);
    }
    assert!(!world.dir().join("ran").exists());
    let ran = finish(job(&world, &[], &[""])).expect(127);
    assert!(ran.err.contains("the command is empty"), "{}", ran.err);
}

#[test]
fn input_and_output_are_the_commands_own() {
    let world = World::new(STACK);
    let cat = job(&world, &[], &["sh", "-c", "cat; echo words >&2; cat <&5"]);
    let mut shell = Command::new("sh");
    std::fs::write(world.dir().join("five"), "by a descriptor").expect("written");
    shell.args(["-c", "exec \"$@\" 5<five", "sh"]).arg(cat.get_program()).args(cat.get_args());
    shell.current_dir(world.dir()).env("DEVSTACK_STATE_DIR", world.state());
    shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = shell.spawn().expect("it starts");
    child.stdin.take().expect("a pipe").write_all(b"by a pipe, ").expect("it reads");
    let out = child.wait_with_output().expect("it ends");
    assert_eq!(String::from_utf8_lossy(&out.stdout), "by a pipe, by a descriptor");
    let err = String::from_utf8_lossy(&out.stderr).into_owned();
    let (words, line) = err.split_once('\n').expect("two lines");
    assert_eq!(words, "words");
    assert!(line.contains("✓ sh  exit 0 in ") && line.contains(" · peak "), "{line}");
    assert_eq!(line.lines().count(), 1, "{line}");
    let quiet = finish(job(&world, &["--quiet"], &["echo", "said"]));
    assert_eq!((quiet.out.as_str(), quiet.err.as_str()), ("said\n", ""));
}

#[test]
fn a_reader_that_goes_away_ends_it_as_it_does_bare() {
    let world = World::new(STACK);
    let yes = job(&world, &["--quiet"], &["yes"]);
    let mut shell = Command::new("bash");
    shell.args(["-c", "\"$@\" | head -1; echo \"${PIPESTATUS[0]}\"", "bash"]);
    shell.arg(yes.get_program()).args(yes.get_args());
    shell.current_dir(world.dir()).env("DEVSTACK_STATE_DIR", world.state()).stdin(Stdio::null());
    assert_eq!(finish(shell).out, "y\n141\n");
}

#[test]
fn the_environment_is_the_callers_the_stacks_and_the_marks() {
    let world = World::new(&format!("environment: {{ OF_STACK: stack, SHARED: stack }}\n{STACK}"));
    let mut run = job(&world, &["-e", "GIVEN=here", "--name", "tests"], &["env"]);
    run.env("OF_CALLER", "caller").env("SHARED", "caller").env("DEVSTACK_SERVICE", "other");
    let ran = finish(run).expect(0);
    let line = |name: &str| ran.out.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    let told = ["OF_CALLER", "OF_STACK", "SHARED", "GIVEN", "DEVSTACK_JOB", "DEVSTACK_STACK"].map(line);
    assert_eq!(told, ["caller", "stack", "stack", "here", "tests", "jobs"].map(Some));
    assert_eq!(line("DEVSTACK_SERVICE"), None);
    let file = std::fs::read_to_string(world.stack_state().join("stack.json")).expect("it is there");
    assert!(file.contains(line("DEVSTACK_STACK_ID").expect("the mark")), "{file}");
    assert_eq!(line("DEVSTACK_LIFE").expect("the mark").len(), 32);
    // The second mark is there where no environment is.
    let held = finish(job(&world, &["-q"], &["env", "-i", "/bin/ls", "-l", "/proc/self/fd"])).expect(0);
    assert!(held.out.contains("/memfd:devstack:"), "{}", held.out);
}

#[test]
fn ignored_signals_stay_ignored_and_others_do_not() {
    let world = World::new(STACK);
    let run = job(&world, &["-q"], &["sh", "-c", "grep -E 'Sig(Ign|Blk|Cgt)' /proc/self/status"]);
    let masks = |ignored: &str| {
        let bare = format!("trap '' {ignored}; grep -E 'Sig(Ign|Blk|Cgt)' /proc/self/status");
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("trap '' {ignored}; exec \"$@\""), "sh"]).arg(run.get_program());
        shell.args(run.get_args()).current_dir(world.dir()).env("DEVSTACK_STATE_DIR", world.state());
        let plain = finish(Command::new("sh").args(["-c", &bare]).stdin(Stdio::null()).pass()).out;
        (plain, finish(shell).out)
    };
    for ignored in ["HUP", "HUP INT QUIT", "USR1"] {
        let (bare, run) = masks(ignored);
        assert_eq!(run, bare, "{ignored}");
    }
}

#[test]
fn what_it_needs_is_up_first_and_stays() {
    let world = World::new(
        "name: jobs\nservices:\n  db: { command: 'touch db; exec stand-in wait' }\n  \
         web: { command: stand-in wait, depends_on: [db] }\n  other: { command: stand-in wait }\n",
    );
    let ran = finish(job(&world, &["-q", "--with", "web"], &["sh", "-c", "ls db; ps -o comm= -p $PPID"]));
    let ran = ran.expect(0);
    assert!(ran.out.starts_with("db\n"), "what `up` says is not on standard output: {}", ran.out);
    let states = ["db", "web", "other"].map(|name| world.service(name)["state"].as_str().map(str::to_owned));
    assert_eq!(states.map(Option::unwrap_or_default), ["ready", "ready", "stopped"]);
    let refused = finish(job(&world, &["--with", "nobody"], &["touch", "ran"])).expect(125);
    assert!(refused.err.contains("DS041"), "{}", refused.err);
    assert!(!world.dir().join("ran").exists());
    world.down(&[], 0);
    world.assert_none_but(&[]);
}

#[test]
fn a_core_dump_is_the_commands_alone() {
    let core = std::fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap_or_default();
    if core.starts_with(['|', '/']) || core.trim().is_empty() {
        return skip("core dumps are not written into the working directory here");
    }
    let world = World::new(STACK);
    let mut run = job(&world, &["-q"], &["sh", "-c", "ulimit -c unlimited; kill -SEGV $$"]);
    let status = run.status().expect("it starts");
    assert_eq!(status.signal(), Some(11));
    let cores = std::fs::read_dir(world.dir()).expect("a directory").flatten();
    let cores = cores.filter(|entry| entry.file_name().to_string_lossy().contains("core")).count();
    assert!(cores <= 1, "{cores} core dumps");
}

#[test]
fn a_session_and_a_group_outside_of_the_pid_namespace_are_no_obstacle() {
    // As `docker exec`, `bwrap` and CI machines start things: the kernel calls both 0.
    let mut enter = vec!["unshare"];
    if !is_root() {
        enter.extend(["--user", "--map-root-user"]);
    }
    enter.extend(["--pid", "--fork", "--mount-proc", "--kill-child", "--"]);
    let world = World::new(STACK);
    let probe = Command::new(enter[0]).args(&enter[1..]).arg("true").stderr(Stdio::null()).status();
    if !probe.is_ok_and(|status| status.success()) {
        return skip("no PID namespace can be made here");
    }
    let script = "read -r own < /proc/self/stat; echo \"$own\" | cut -d' ' -f5,6; \"$@\"; exit $?";
    for leads in [&["sh", "-c", script, "sh"][..], &["timeout", "60", "sh", "-c", script, "sh"]] {
        let words: Vec<&str> = enter.iter().chain(leads).copied().collect();
        let ran = finish(behind(&words, &job(&world, &["-q"], &["sh", "-c", "echo ran; exit 7"]))).expect(7);
        let (standing, ran) = ran.out.split_once('\n').expect("two lines");
        assert!(standing.ends_with(" 0"), "the session is outside: {standing}");
        assert_eq!(ran, "ran\n");
    }
}
