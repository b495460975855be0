//! Limits: when a measurement is a breach, and what follows from one.

use super::*;

const MEGA: u64 = 1 << 20;

fn limited(limits: Limits) -> UnitPlan {
    UnitPlan { limits, ..unit("a") }
}

fn memory(on_breach: OnBreach) -> Limits {
    Limits { memory: Some(100 * MEGA), on_breach, ..Limits::default() }
}

/// The leader of these tests is process 1001, as [`Bench::started`] has it.
fn leader(bench: &Bench) -> ProcId {
    bench.view("a").leader.expect("it runs")
}

fn taker(process: ProcId) -> ProcessUsage {
    let command = format!("program {}", process.pid);
    ProcessUsage { process, command, memory: 0, cpu_milli: None, children: 1, open_files: None }
}

fn usage(life: u32, culprit: ProcId) -> LifeUsage {
    LifeUsage {
        unit: name("a"),
        life: Life(life),
        processes: 1,
        memory: MEGA,
        proportional: false,
        cpu_milli: Some(0),
        biggest: Some(taker(culprit)),
        busiest: Some(taker(culprit)),
        broadest: Some(taker(culprit)),
        most_files: None,
    }
}

impl Bench {
    fn sampled(&mut self, megas: u64, culprit: ProcId) -> Vec<String> {
        self.pass(2000);
        let life = self.view("a").life.0;
        self.event(Event::Sampled { lives: vec![LifeUsage { memory: megas * MEGA, ..usage(life, culprit) }] })
    }
}

#[test]
fn a_peak_is_no_breach_and_two_measurements_in_a_row_are() {
    let mut bench = Bench::running(&[limited(memory(OnBreach::Warn))]);
    let (child, under) = (process(77), bench.stack.overruns());
    for _ in 0..3 {
        assert!(bench.sampled(150, child).is_empty());
        assert_ne!(bench.stack.overruns(), under);
        assert!(bench.sampled(100, child).is_empty(), "at its limit it is not over it");
        assert_eq!(bench.stack.overruns(), under);
    }
    assert!(bench.sampled(150, child).is_empty());
    assert_eq!(bench.sampled(150, child), ["breach a 1 Warn"]);
    let note = bench.view("a").note.expect("it is told");
    assert!(note.starts_with("over its limit of memory: 150.0M of 100.0M, most of it program 77"), "{note}");
    let told = bench.stack.overruns();
    assert!(bench.sampled(160, child).is_empty(), "told once");
    assert!(bench.sampled(160, child).is_empty());
    assert_eq!(bench.stack.overruns(), told, "nothing follows from it any more");
    assert!(bench.sampled(10, child).is_empty());
    assert_eq!(bench.view("a").note, None, "what is over is history");
    assert!(bench.sampled(150, child).is_empty());
    assert_eq!(bench.sampled(150, child), ["breach a 1 Warn"], "and again when it was under it");
}

#[test]
fn what_is_far_over_is_no_peak_and_what_must_last_is_waited_for() {
    let mut bench = Bench::running(&[limited(memory(OnBreach::Warn))]);
    assert_eq!(bench.sampled(202, process(77)), ["breach a 1 Warn"]);
    let limits = Limits { sustained: millis(5000), ..memory(OnBreach::Warn) };
    let mut bench = Bench::running(&[limited(limits)]);
    for _ in 0..3 {
        assert!(bench.sampled(300, process(77)).is_empty());
    }
    assert_eq!(bench.sampled(300, process(77)), ["breach a 1 Warn"], "6 s after the first");
}

#[test]
fn a_culprit_is_ended_alone_and_never_the_leader_for_another() {
    for on_breach in [OnBreach::AsKernel, OnBreach::KillCulprit] {
        let mut bench = Bench::running(&[limited(memory(on_breach))]);
        assert!(bench.sampled(150, process(77)).is_empty());
        assert_eq!(bench.sampled(150, process(77)), ["breach a 1 KillCulprit"]);
        assert_eq!(bench.state("a"), State::Ready);
        assert!(bench.sampled(10, process(78)).is_empty());
        assert_eq!(bench.state("a"), State::Ready);
        // It lives, and not all of it: whoever looks later has to know.
        let note = bench.view("a").note.expect("it is told");
        assert!(note.ends_with("most of it program 77 (pid 77): that was ended"), "{note}");
    }
}

#[test]
fn who_has_all_files_open_that_it_may_is_told_and_ended_where_that_is_wanted() {
    for (on_breach, told) in
        [(OnBreach::AsKernel, "breach a 1 Warn"), (OnBreach::KillCulprit, "breach a 1 KillCulprit")]
    {
        let limits = Limits { open_files: Some(24), on_breach, ..Limits::default() };
        let mut bench = Bench::running(&[limited(limits)]);
        let has = |files| {
            let most_files = Some(ProcessUsage { open_files: Some(files), ..taker(process(77)) });
            Event::Sampled { lives: vec![LifeUsage { most_files, ..usage(1, process(77)) }] }
        };
        for _ in 0..3 {
            assert!(bench.event(has(23)).is_empty(), "it may have one more");
        }
        assert!(bench.event(has(24)).is_empty(), "for a moment");
        assert_eq!(bench.event(has(24)), [told]);
        let note = bench.view("a").note.expect("it is told");
        assert!(
            note.starts_with("at its limit of open files: 24 of 24, all of them of program 77"),
            "{note}"
        );
    }
}

#[test]
fn where_culprits_follow_each_other_the_life_is_ended() {
    let mut bench = Bench::running(&[limited(memory(OnBreach::KillCulprit))]);
    for child in [77, 78, 79] {
        assert!(bench.sampled(150, process(child)).is_empty());
        assert_eq!(bench.sampled(150, process(child)), ["breach a 1 KillCulprit"]);
    }
    assert!(bench.sampled(150, process(80)).is_empty());
    assert_eq!(bench.sampled(150, process(80)), ["breach a 1 AsKernel", "examine a 1"]);
    assert_eq!(bench.examined("a", 1), ["kill a 1"], "nobody is asked");
}

#[test]
fn where_the_leader_is_the_culprit_its_policy_decides() {
    for (restart, state) in
        [(RestartPolicy::No, State::Failed), (RestartPolicy::OnFailure { max: None }, State::Backoff)]
    {
        let plan = UnitPlan { restart, ..limited(memory(OnBreach::AsKernel)) };
        let mut bench = Bench::running(&[plan]);
        let leader = leader(&bench);
        assert!(bench.sampled(150, leader).is_empty());
        assert_eq!(bench.sampled(150, leader), ["breach a 1 AsKernel", "examine a 1"]);
        assert_eq!(bench.examined("a", 1), ["kill a 1"]);
        let _ = bench.exited("a", 1, Exit::Signal(Signal::KILL));
        let _ = bench.emptied("a", 1);
        assert_eq!(bench.state("a"), state);
    }
}

#[test]
fn restart_is_one_whatever_the_policy_and_stop_is_an_end() {
    let mut bench = Bench::running(&[limited(memory(OnBreach::Restart))]);
    let under = bench.stack.overruns();
    let _ = bench.sampled(150, process(77));
    assert_eq!(bench.sampled(150, process(77)), ["breach a 1 Restart", "examine a 1"]);
    assert_eq!(bench.examined("a", 1), ["ask a 1 SIGTERM"], "it may clean up");
    let _ = bench.exited("a", 1, Exit::Code(0));
    let _ = bench.emptied("a", 1);
    assert_eq!(bench.state("a"), State::Backoff);
    assert_eq!(bench.tick(200), ["start a 2"]);
    let _ = bench.started("a", 2);
    assert_eq!(bench.stack.overruns(), under, "a new life begins anew");

    let plan = UnitPlan { restart: RestartPolicy::Always, ..limited(memory(OnBreach::Stop)) };
    let mut bench = Bench::running(&[plan]);
    let _ = bench.sampled(150, process(77));
    assert_eq!(bench.sampled(150, process(77)), ["breach a 1 Stop", "examine a 1"]);
    let _ = bench.examined("a", 1);
    let _ = bench.exited("a", 1, Exit::Code(0));
    let _ = bench.emptied("a", 1);
    assert_eq!(bench.state("a"), State::Failed);
}

#[test]
fn what_the_kernel_holds_is_not_measured_but_processes_are() {
    let limits = Limits { cpus_milli: Some(500), pids: Some(4), ..memory(OnBreach::Warn) };
    let mut bench = Bench::running(&[limited(limits)]);
    assert!(
        bench.event(Event::Bounded { unit: name("a"), life: Life(1), memory: true, cpus: true }).is_empty()
    );
    let over = LifeUsage { memory: 900 * MEGA, cpu_milli: Some(4000), ..usage(1, process(77)) };
    for _ in 0..3 {
        assert!(bench.event(Event::Sampled { lives: vec![over.clone()] }).is_empty());
    }
    let bomb = LifeUsage { processes: 10, ..over };
    assert_eq!(bench.event(Event::Sampled { lives: vec![bomb] }), ["breach a 1 Warn"]);
}

#[test]
fn too_much_processor_time_is_only_told_where_nothing_is_said() {
    for (on_breach, told) in
        [(OnBreach::AsKernel, "breach a 1 Warn"), (OnBreach::KillCulprit, "breach a 1 KillCulprit")]
    {
        let limits = Limits { cpus_milli: Some(500), on_breach, ..Limits::default() };
        let mut bench = Bench::running(&[limited(limits)]);
        let busy = |milli| Event::Sampled {
            lives: vec![LifeUsage { cpu_milli: Some(milli), ..usage(1, process(77)) }],
        };
        for _ in 0..3 {
            assert!(bench.event(busy(549)).is_empty(), "ticks are not that exact");
        }
        assert!(bench.event(busy(2000)).is_empty(), "of processors, much for a moment is a peak");
        assert_eq!(bench.event(busy(600)), [told]);
    }
}

#[test]
fn a_life_that_is_too_long_or_idle_is_ended_and_its_policy_decides() {
    let hour = millis(3_600_000);
    let limits = Limits { runtime: Some(hour), ..Limits::default() };
    let mut bench = Bench::running(&[limited(limits)]);
    assert_eq!(bench.stack.next_deadline(), Some(Moment(1000) + hour));
    assert_eq!(bench.tick(3_600_000), ["breach a 1 AsKernel", "examine a 1"]);
    assert_eq!(bench.examined("a", 1), ["ask a 1 SIGTERM"]);

    let limits = Limits { runtime: Some(hour), on_breach: OnBreach::Warn, ..Limits::default() };
    let mut bench = Bench::running(&[limited(limits)]);
    assert_eq!(bench.tick(3_600_000), ["breach a 1 Warn"]);
    assert_eq!(bench.stack.next_deadline(), None, "told once");

    let limits = Limits { idle: Some(millis(60_000)), ..Limits::default() };
    let mut bench = Bench::running(&[limited(limits)]);
    let idle = |millis| Event::Idle { unit: name("a"), life: Life(1), millis };
    assert!(bench.event(idle(59_999)).is_empty());
    assert_eq!(bench.event(idle(60_000)), ["breach a 1 AsKernel", "examine a 1"]);
}

#[test]
fn a_task_that_still_runs_before_its_time_is_not_late() {
    let plan = UnitPlan { limits: Limits { runtime: Some(millis(100)), ..Limits::default() }, ..task("a") };
    let mut bench = Bench::new();
    let _ = bench.up(1, up(&[plan]));
    let _ = bench.started("a", 1);
    assert_eq!(bench.tick(100), ["breach a 1 AsKernel", "examine a 1"]);
    let _ = bench.examined("a", 1);
    let _ = bench.exited("a", 1, Exit::Signal(Signal::TERM));
    let _ = bench.emptied("a", 1);
    assert_eq!(bench.state("a"), State::Failed);
    assert_eq!(bench.view("a").note.as_deref(), Some("ran for 100ms, and may for 100ms"));
}

#[test]
fn a_stop_that_is_asked_for_wins_over_a_breach() {
    let mut bench = Bench::running(&[limited(memory(OnBreach::Restart))]);
    let _ = bench.sampled(150, process(77));
    let _ = bench.sampled(150, process(77));
    let _ = bench.down(2, down());
    assert!(bench.sampled(900, process(77)).is_empty(), "it is being ended already");
    let _ = bench.exited("a", 1, Exit::Code(0));
    let _ = bench.emptied("a", 1);
    assert_eq!(bench.state("a"), State::Stopped);
}

#[test]
fn what_the_kernel_did_is_told_as_such() {
    let what = OutOfMemory { kills: 1, limit: Some(1 << 30), of_stack: false };
    let mut bench = Bench::running(&[limited(memory(OnBreach::AsKernel))]);
    assert!(bench.event(Event::OutOfMemory { unit: name("a"), life: Life(1), what }).is_empty());
    assert!(bench.view("a").note.expect("a child was killed").contains("out of memory (limit 1.0G)"));
    let _ = bench.exited("a", 1, Exit::Signal(Signal::KILL));
    let _ = bench.emptied("a", 1);
    assert_eq!(bench.view("a").note.as_deref(), Some("killed by the kernel: out of memory (limit 1.0G)"));

    // One that ended well is no victim.
    let mut bench = Bench::running(&[limited(memory(OnBreach::AsKernel))]);
    let _ = bench.event(Event::OutOfMemory { unit: name("a"), life: Life(1), what });
    let _ = bench.exited("a", 1, Exit::Code(0));
    let _ = bench.emptied("a", 1);
    assert_eq!(bench.state("a"), State::Stopped);
}

#[test]
fn what_is_wanted_of_a_breach_follows_a_kill_by_the_kernel_too() {
    let what = OutOfMemory { kills: 1, limit: Some(100 * MEGA), of_stack: false };
    for (on_breach, state) in [(OnBreach::Restart, State::Backoff), (OnBreach::Stop, State::Failed)] {
        let plan = UnitPlan { restart: RestartPolicy::No, ..limited(memory(on_breach)) };
        let mut bench = Bench::running(&[plan]);
        let words = bench.event(Event::OutOfMemory { unit: name("a"), life: Life(1), what });
        assert_eq!(words, [format!("breach a 1 {on_breach:?}"), "examine a 1".to_owned()]);
        let _ = bench.examined("a", 1);
        let _ = bench.exited("a", 1, Exit::Code(0));
        let _ = bench.emptied("a", 1);
        assert_eq!(bench.state("a"), state);
        if state == State::Failed {
            let note = bench.view("a").note;
            assert_eq!(note.as_deref(), Some("killed by the kernel: out of memory (limit 100.0M)"));
        }
    }
    // For the stack's limit it has only to answer: it need not have done anything wrong.
    let mut bench = Bench::running(&[limited(memory(OnBreach::Restart))]);
    let what = OutOfMemory { of_stack: true, ..what };
    assert!(bench.event(Event::OutOfMemory { unit: name("a"), life: Life(1), what }).is_empty());
}

#[test]
fn for_the_stack_the_unit_that_takes_the_most_has_to_answer() {
    let stack = StackLimits { memory: Some(300 * MEGA), ..StackLimits::default() };
    let both = [unit("a"), unit("b")];
    let mut request = up(&both);
    request.plan = Arc::new(Plan { limits: stack, ..(*request.plan).clone() });
    let mut bench = Bench::new();
    let _ = bench.up(1, request);
    let _ = bench.started("a", 1);
    let _ = bench.started("b", 1);
    let lives = || {
        let one = LifeUsage { memory: 150 * MEGA, ..usage(1, process(77)) };
        let other = LifeUsage { unit: name("b"), memory: 160 * MEGA, ..usage(1, process(88)) };
        vec![one, other]
    };
    assert!(bench.event(Event::Sampled { lives: lives() }).is_empty());
    assert_eq!(bench.event(Event::Sampled { lives: lives() }), ["breach b 1 KillCulprit"]);
    assert!(
        bench.view("b").note.expect("told").starts_with("over the stack's limit of memory: 310.0M of 300.0M")
    );
    assert_eq!(bench.view("a").note, None);
}

#[test]
fn limits_that_change_are_held_without_a_new_life() {
    let mut bench = Bench::running(&[limited(memory(OnBreach::Warn))]);
    let wider = Limits { memory: Some(200 * MEGA), ..memory(OnBreach::Warn) };
    let words = bench.up(2, up(&[limited(wider.clone())]));
    assert!(words.contains(&"confine a 1".to_owned()), "{words:?}");
    let _ = bench.sampled(150, process(77));
    assert!(bench.sampled(150, process(77)).is_empty());
    assert!(!bench.up(3, up(&[limited(wider)])).contains(&"confine a 1".to_owned()), "nothing changed");
}
