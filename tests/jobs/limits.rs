//! A job that takes more than it may loses what takes the most, and goes on; its neighbours are left in peace.

use crate::world::World;
use crate::{STACK, each, finish, job};

/// Twelve processes of one shell, which never end; the job itself goes on when they have.
fn crowd(world: &World) -> String {
    let left = world.program("left");
    let many = "for i in 1 2 3 4 5 6 7 8 9 10 11 12";
    format!("sh -c '{many}; do {} wait & done; wait'; echo survived", left.display())
}

#[test]
fn too_many_processes_end_with_the_one_that_has_started_them() {
    each(STACK, |world| {
        let bystander = world.start("left", &["wait"], &world.beside("elsewhere"));
        let ran = finish(job(world, &["--pids", "5"], &["sh", "-c", &crowd(world)])).expect(0);
        assert_eq!(ran.out, "survived\n");
        let told = ["over its limit of processes: ", " of 5, most of it sh -c", ": ended\n", "exit 0 in"];
        assert!(told.iter().all(|text| ran.err.contains(text)), "{}", ran.err);
        world.assert_none_but(&[&bystander]);
    });
}

#[test]
fn a_command_that_is_itself_too_much_is_ended_with_all_of_it() {
    each(STACK, |world| {
        let left = world.program("left");
        let script = format!("for i in 1 2 3 4 5 6 7 8; do {} wait & done; wait", left.display());
        let ran = finish(job(world, &["--pids", "3"], &["sh", "-c", &script]));
        assert!(!ran.status.success() && ran.err.contains(": the job was ended"), "{}", ran.err);
        world.assert_none_but(&[]);
    });
}

#[test]
fn a_job_is_held_to_the_limits_of_its_stack_as_well() {
    each("name: jobs\nlimits: { pids: 5 }\nservices: { web: { command: stand-in wait } }\n", |world| {
        let ran = finish(job(world, &[], &["sh", "-c", &crowd(world)])).expect(0);
        assert!(ran.err.contains("over the stack's limit of processes"), "{}", ran.err);
        world.assert_none_but(&[]);
    });
}

#[test]
fn too_much_memory_ends_the_process_that_has_it() {
    each(STACK, |world| {
        // It is held by whoever reads a pipe that never ends.
        let script = "mkfifo hog && exec 3<>hog; head -c 100000000 /dev/zero >hog & tail <hog >/dev/null; echo survived";
        let ran = finish(job(world, &["--memory", "32M"], &["sh", "-c", script])).expect(0);
        assert_eq!(ran.out, "survived\n");
        let by_kernel = ran.err.contains("killed by the kernel: out of memory (limit 32.0M)");
        let measured = ran.err.contains("over its limit of memory: ") && ran.err.contains("most of it tail");
        assert!(by_kernel || measured, "{}", ran.err);
        world.assert_none_but(&[]);
    });
}

#[test]
fn what_is_no_limit_is_a_mistake_of_the_caller() {
    let world = World::new(STACK);
    for wrong in [["--memory", "512"], ["--cpus", "many"], ["--pids", "0"]] {
        let ran = finish(job(&world, &wrong, &["true"])).expect(2);
        assert!(ran.err.contains(wrong[1]), "{}", ran.err);
    }
}

#[test]
fn processors_that_cannot_be_limited_are_told() {
    let world = World::plain(STACK);
    let told = world.run(&["doctor"]).out;
    let ran = finish(job(&world, &["-q", "--cpus", "1"], &["true"])).expect(0);
    let says = ran.err.contains("--cpus is not held: ");
    assert_eq!(says, !told.contains("cpus by the kernel"), "{}\n{told}", ran.err);
    let world = World::new(STACK);
    let ran = finish(job(&world, &["-q"], &["true"])).expect(0);
    assert_eq!(ran.err, "");
}

/// What the closing line says behind this word, in bytes.
fn peak(line: &str) -> f64 {
    let text = line.split(" · peak ").nth(1).and_then(|rest| rest.split(" · ").next()).expect("a peak");
    let text = text.trim().trim_start_matches("under ");
    let (number, unit) = text.split_at(text.len() - 1);
    let unit = if unit == "G" {
        1e9
    } else if unit == "M" {
        1e6
    } else {
        1e3
    };
    number.parse::<f64>().expect("a number") * unit
}

#[test]
fn what_devstack_does_around_a_job_is_not_in_its_figures() {
    let world = World::new(STACK);
    let bare = finish(job(&world, &[], &["true"])).expect(0).err;
    let with = finish(job(&world, &["--with", "web"], &["true"])).expect(0).err;
    assert!(peak(&with) < 2.0 * peak(&bare), "{bare}{with}");
    world.down(&[], 0);
    // A stack that is brought up inside is no job's own: supervisor, keeper and service do not count.
    let mut run = job(&world, &[], &["sh", "-c", "$DS up >/dev/null 2>&1; sleep 0.6"]);
    run.env("DS", env!("CARGO_BIN_EXE_devstack"));
    let ran = finish(run).expect(0);
    let count =
        ran.err.split(" process").next().and_then(|text| text.rsplit(' ').next()?.parse::<u32>().ok());
    assert!(count.is_some_and(|count| count <= 3), "{}", ran.err);
    world.down(&[], 0);
}
