//! Killed at random moments, again and again, under a stack of twenty services: nothing runs twice, nothing is left, and
//! no line is lost. `SEED=random KILLS=200 cargo test --test crash random` goes on for longer, with other kills.

use std::fmt::Write as _;
use std::process::{Child, Stdio};
use std::time::Duration;

use rustix::process::Signal;

use crate::kills::{kill_and_wait, machinery, spoken};
use crate::world::{World, command_line, kill, runs, stat, until};

const SERVICES: usize = 20;

/// Each second one has a child that has left it in every way.
const COUNT: usize = SERVICES + SERVICES / 2;

fn manifest() -> String {
    let mut text = "services:\n".to_owned();
    for at in 0..SERVICES {
        let child = "stand-in child --session --env-clear --chdir --leader-ends 1 --life 600 > /dev/null; ";
        let child = if at % 2 == 1 { child } else { "" };
        let _ = write!(
            text,
            "  s{at}:\n    command: '{child}exec stand-in talk --every 10 --copy copy-{at}'\n    \
             ready: {{ log: line 2 }}\n    logs: {{ max_size: 8K, max_files: 9999 }}\n"
        );
    }
    text
}

/// Past the test runner, which keeps what a passing test says to itself.
fn say(text: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Small and repeatable: xorshift.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }

    fn services(&mut self) -> Vec<String> {
        (0..=self.below(4)).map(|_| format!("s{}", self.below(SERVICES as u64))).collect()
    }
}

fn number_of(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

#[test]
fn nothing_is_doubled_left_or_lost_by_kills_at_random_moments() {
    // xorshift stays at zero for ever.
    let seed = crate::chance::seed().max(1);
    let kills = number_of("KILLS").unwrap_or(30);
    let mut chance = Chance(seed);
    let world = World::new(&manifest());
    world.up();
    for round in 0..kills {
        let work = begin(&world, &mut chance);
        std::thread::sleep(Duration::from_millis(chance.below(120)));
        let everything = work.is_none();
        strike(&world, &mut chance, everything);
        if let Some(mut work) = work {
            // Its supervisor died in the middle of its answer, perhaps: whatever it says.
            work.wait().expect("ours");
        }
        let when = format!("round {round}");
        no_doubles(&world, &when);
        if chance.below(5) == 0 {
            let report = world.down(&[], 0);
            assert_eq!(report["clean"], true, "{when}: {report:#}");
            assert_eq!(world.living().len(), 0, "{when}: {:?}", world.living());
        }
        world.up();
        no_doubles(&world, &when);
        until(&format!("all run ({when})"), || world.living().len() == COUNT);
        if everything {
            // Each has a keeper again: what a service without one says last is lost if its supervisor is killed as well.
            world.run(&["up", "--recreate"]).expect(0);
        }
    }
    world.down(&[], 0);
    world.assert_none_but(&[]);
    until("nothing of devstack is left", || machinery(&world).is_empty());
    let lines: usize = (0..SERVICES).map(|at| spoken(&world, &format!("s{at}"), &format!("copy-{at}"))).sum();
    say(&format!("{kills} kills, {lines} lines, 0 lost"));
}

/// Something that devstack is doing when it is killed; nothing now and then.
fn begin(world: &World, chance: &mut Chance) -> Option<Child> {
    let some = chance.services();
    let some: Vec<&str> = some.iter().map(String::as_str).collect();
    let args: Vec<&str> = match chance.below(6) {
        0 => return None,
        1 => vec!["down"],
        2 => [&["stop"], &some[..]].concat(),
        3 => vec!["up", "--recreate"],
        4 => {
            let stopped = [&["stop"], &some[..]].concat();
            world.run(&stopped).expect(0);
            vec!["up"]
        }
        _ => [&["restart"], &some[..]].concat(),
    };
    let mut command = world.command(&args);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    Some(command.spawn().expect("it starts"))
}

/// Kills the supervisor; where nothing is going on, some of the keepers too, or all at once.
fn strike(world: &World, chance: &mut Chance, keepers_too: bool) {
    let supervisors = supervisors(world);
    let each = 1 + chance.below(3);
    let keepers = machinery(world).into_iter().filter(|pid| keepers_too && !supervisors.contains(pid));
    let keepers: Vec<i32> = keepers.filter(|_| chance.below(each) == 0).collect();
    let all: Vec<i32> = supervisors.iter().chain(&keepers).copied().collect();
    for signal in [Signal::STOP, Signal::KILL] {
        for pid in &all {
            kill(*pid, signal);
        }
    }
    all.into_iter().for_each(kill_and_wait);
}

fn supervisors(world: &World) -> Vec<i32> {
    let state = world.state().display().to_string();
    let is_it = |pid: &i32| command_line(*pid).contains("__supervise") && command_line(*pid).contains(&state);
    crate::world::numbers().into_iter().filter(|pid| is_it(pid) && runs(*pid)).collect()
}

/// Each service talks once at most.
fn no_doubles(world: &World, when: &str) {
    let living = world.living();
    for at in 0..SERVICES {
        let of_it = |pid: &&i32| {
            living[*pid].ends_with(&format!("--copy copy-{at}"))
                && stat(**pid).is_some_and(|stat| stat.state != 'Z')
        };
        let talkers = living.keys().filter(of_it).count();
        assert!(talkers <= 1, "{when}: s{at} runs {talkers} times: {living:?}");
    }
}
