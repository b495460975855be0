//! Inside a job: another job, and a `down`.

use std::process::{Command, Stdio};

use crate::world::{World, finish, list, until};
use crate::{STACK, job};

/// A job of a shell that knows the program under test as `$DS`.
fn shell(world: &World, options: &[&str], script: &str) -> Command {
    let mut run = job(world, options, &["sh", "-c", script]);
    run.env("DS", env!("CARGO_BIN_EXE_devstack"));
    run
}

#[test]
fn a_job_inside_a_job_stands_in_its_place() {
    let world =
        World::new("name: jobs\nlimits: { jobs: 1 }\nservices: { web: { command: stand-in wait } }\n");
    let inner = "touch inside; until [ -e go ]; do sleep 0.02; done; echo inner";
    // Two deep, and one whose parents have left it to its `devstack run`.
    let script = format!(
        "$DS run -q --no-wait -- $DS run -q --no-wait -- sh -c '{inner}' && \
         (setsid sh -c '$DS run -q --no-wait -- touch apart' & ) && until [ -e apart ]; do sleep 0.02; done; \
         echo outer"
    );
    let outer = shell(&world, &["-q", "--name", "outer"], &script).stdout(Stdio::piped()).spawn();
    let outer = outer.expect("it starts");
    until("the innermost runs", || world.dir().join("inside").exists());
    let refused = finish(job(&world, &["--no-wait"], &["true"])).expect(7);
    assert!(refused.err.contains("1 of 1") || refused.err.contains("outer"), "{}", refused.err);
    std::fs::write(world.dir().join("go"), "").expect("written");
    let ran = outer.wait_with_output().expect("it ends");
    assert!(ran.status.success(), "{}", ran.status);
    assert_eq!(String::from_utf8_lossy(&ran.stdout), "inner\nouter\n");
    finish(job(&world, &["--no-wait"], &["true"])).expect(0);
}

#[test]
fn a_down_inside_a_job_spares_that_job_and_ends_the_others() {
    for supervised in [false, true] {
        let world = World::new(STACK);
        if supervised {
            world.up();
        }
        let left = world.program("left").display().to_string();
        let mut other = job(&world, &["-q", "--name", "other"], &[&left, "wait"]).spawn().expect("it starts");
        until("it runs", || world.living().len() == 1 + usize::from(supervised));
        let script = format!(
            "{left} wait & $DS down --json; echo \"code $?\" >&2; kill -0 $! && echo 'its own live' >&2; \
             $DS down >/dev/null; echo \"again $?\" >&2; $DS down >&2; kill $!; wait; exit 5"
        );
        let ran = finish(shell(&world, &["-q", "--name", "tests"], &script)).expect(5);
        for line in ["code 0", "its own live", "again 0"] {
            assert!(ran.err.lines().any(|said| said == line), "{}", ran.err);
        }
        assert!(ran.err.contains("job tests") && ran.err.contains("called from it"), "{}", ran.err);
        let report: serde_json::Value = serde_json::from_str(&ran.out).expect("a report");
        assert_eq!((&report["clean"], &report["survivors"]), (&true.into(), &serde_json::json!([])));
        let names: Vec<&str> =
            list(&report, "services").iter().filter_map(|one| one["name"].as_str()).collect();
        assert_eq!(names.contains(&"web"), supervised, "{report:#}");
        assert!(names.contains(&"job other") && !names.contains(&"job tests"), "{report:#}");
        assert!(!other.wait().expect("it ends").success());
        world.assert_none_but(&[]);
    }
}
