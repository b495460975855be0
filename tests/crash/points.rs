//! Killed at every step of a start, of a stop and of a take-over: the next `up` takes over what lives, the next `down` ends
//! it, whatever was half done. Each step is a kill point of the program itself.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use devstack::sys::kill_point::{KillPoint, VARIABLE};

use crate::kills::{kill_and_wait, machinery, no_doubles, spoken};
use crate::world::{World, list, number, skip, stat, until};

/// One that talks, one with children in sessions of their own, and one that must be killed.
const STACK: &str = concat!(
    "services:\n",
    "  talk: { command: stand-in talk --every 5 --copy copy, ready: { log: line 3 }, logs: { max_size: 1K, max_files: 999 } }\n",
    "  family: { command: stand-in child --count 2 --session --life 600, ready: { log: 'child [0-9]+' } }\n",
    "  deaf: { command: stand-in deaf --child, ready: { log: deaf }, stop_grace_period: 100ms }\n",
);

/// A word of the command line of each.
const SERVICES: [&str; 3] = [" talk ", " child ", " deaf "];

/// The processes of all when they run: the family has two children, the deaf one has one.
const COUNT: usize = 1 + 3 + 2;

/// What is going on when the kill comes.
#[derive(Clone, Copy)]
enum Scene {
    Start,
    Stop,
    TakeOver,
    /// Of a life that never had a leader.
    TakeOverOfNothing,
}

fn is_supervisors(point: KillPoint) -> bool {
    !matches!(
        point,
        KillPoint::SpecRead
            | KillPoint::Listening
            | KillPoint::LeaderForked
            | KillPoint::LeaderRecorded
            | KillPoint::ByteSent
            | KillPoint::StartedTold
    )
}

/// What the user does next.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Next {
    Up,
    Down,
}

fn scene(point: KillPoint) -> Scene {
    match point {
        KillPoint::PlanWritten
        | KillPoint::RequestHeard
        | KillPoint::CgroupMade
        | KillPoint::IntentWritten
        | KillPoint::KeeperSpawned
        | KillPoint::SpecSent
        | KillPoint::StartedHeard
        | KillPoint::GateHeld
        | KillPoint::ReadyNoted
        | KillPoint::Replying
        | KillPoint::Replied
        | KillPoint::SpecRead
        | KillPoint::Listening
        | KillPoint::LeaderForked
        | KillPoint::LeaderRecorded
        | KillPoint::ByteSent
        | KillPoint::StartedTold => Scene::Start,
        KillPoint::Asked
        | KillPoint::ExitHeard
        | KillPoint::Killed
        | KillPoint::EmptiedHeard
        | KillPoint::RecordRemoved
        | KillPoint::Sought
        | KillPoint::Verified
        | KillPoint::Buried
        | KillPoint::OutputDrained
        | KillPoint::ExitRecorded
        | KillPoint::ExitTold
        | KillPoint::LeaderReaped
        | KillPoint::EmptiedRecorded
        | KillPoint::EmptiedTold => Scene::Stop,
        KillPoint::LifeAdopted => Scene::TakeOver,
        KillPoint::LifeAbandoned => Scene::TakeOverOfNothing,
    }
}

/// Runs commands in which somebody is killed at each of these points, and waits until that has happened.
///
/// A client starts another supervisor when the first one dies before it has answered: one file for each to be killed.
fn killed_at(world: &World, points: &[KillPoint], commands: &[&[&str]]) {
    let token = |at: usize| world.dir().join(format!("kill-{at}"));
    let wanted: Vec<String> = points
        .iter()
        .enumerate()
        .map(|(at, point)| {
            std::fs::write(token(at), "").expect("written");
            format!("{point:?}={}", token(at).display())
        })
        .collect();
    for args in commands {
        let mut command = world.command(args);
        command.env(VARIABLE, wanted.join(","));
        // Whatever it says: what it asked was killed under its hands, perhaps.
        drop(command.output().expect("it starts"));
    }
    until(&format!("{points:?} are reached"), || !token(0).exists());
    for at in 1..points.len() {
        // One that answered before it died was not followed by another.
        let _ = std::fs::remove_file(token(at));
    }
}

fn play(point: KillPoint, next: Next) {
    let world = World::new(STACK);
    match scene(point) {
        // Each supervisor that the client starts.
        Scene::Start if is_supervisors(point) => killed_at(&world, &[point; 8], &[&["up"]]),
        Scene::Start => killed_at(&world, &[point], &[&["up"]]),
        Scene::Stop => killed_at(&world, &[point], &[&["up"], &["down"]]),
        Scene::TakeOver => {
            world.up();
            kill_and_wait(world.supervisor());
            killed_at(&world, &[point; 4], &[&["up"]]);
        }
        Scene::TakeOverOfNothing => {
            // The first supervisor dies at the one, the next at the other; all further ones at one of both.
            let points = [point, KillPoint::IntentWritten, point, KillPoint::IntentWritten];
            killed_at(&world, &points, &[&["up"], &["up"]]);
        }
    }
    no_doubles(&world, &SERVICES);
    let ready = ready_leaders(&world);
    if next == Next::Up {
        world.up();
        no_doubles(&world, &SERVICES);
        let now = leaders(&world, |_| true);
        for (service, leader) in ready {
            assert_eq!(now.get(&service), Some(&leader), "{service} was started anew although it was ready");
        }
        world.await_living(COUNT);
    }
    let report = world.down(&[], 0);
    assert_eq!(report["clean"], true, "{report:#}");
    world.assert_none_but(&[]);
    until("nothing of devstack is left", || machinery(&world).is_empty());
    let records = std::fs::read_dir(world.stack_state().join("lives")).into_iter().flatten().count();
    assert_eq!(records, 0, "a record of a life is left");
    spoken(&world, "talk", "copy");
}

fn ready_leaders(world: &World) -> BTreeMap<String, (i32, u64)> {
    if world.run(&["ps"]).status.code() != Some(0) {
        // Nothing was ever started.
        return BTreeMap::new();
    }
    leaders(world, |service| service["state"] == "ready")
}

fn leaders(world: &World, which: impl Fn(&serde_json::Value) -> bool) -> BTreeMap<String, (i32, u64)> {
    let view = world.ps();
    let services =
        list(&view, "services").iter().filter(|service| which(service) && !service["pid"].is_null());
    let living = services.filter_map(|service| {
        let pid = number(&service["pid"]);
        // In the middle of a stop some of them have just ended.
        let start = stat(pid).filter(|stat| stat.state != 'Z')?.start;
        Some((service["name"].as_str().expect("a name").to_owned(), (pid, start)))
    });
    living.collect()
}

/// Four at a time: most of it is waiting.
fn play_all(next: Next) {
    if !cfg!(debug_assertions) {
        return skip("a release program has no kill points");
    }
    let only = std::env::var("POINT").ok();
    let wanted = |point: &&KillPoint| only.as_ref().is_none_or(|only| *only == format!("{point:?}"));
    let points: Vec<KillPoint> = KillPoint::ALL.iter().filter(wanted).copied().collect();
    let at = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let work = || {
            while let Some(point) = points.get(at.fetch_add(1, Ordering::Relaxed)) {
                let played = std::panic::catch_unwind(|| play(*point, next));
                assert!(played.is_ok(), "killed at {point:?}, then {next:?}");
            }
        };
        let workers: Vec<_> = (0..4).map(|_| scope.spawn(work)).collect();
        let failed = workers.into_iter().filter_map(|worker| worker.join().err()).count();
        assert_eq!(failed, 0);
    });
}

#[test]
fn up_after_a_kill_at_every_step() {
    play_all(Next::Up);
}

#[test]
fn down_after_a_kill_at_every_step() {
    play_all(Next::Down);
}
