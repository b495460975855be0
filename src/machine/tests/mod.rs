//! Tests of the machine: tables of rules with exact actions, and properties against a simulated world.

mod judge;
mod properties;
mod rules_container;
mod rules_down;
mod rules_ladder;
mod rules_limits;
mod rules_restart;
mod rules_unit;
mod rules_up;
mod scale;
mod scenario;
mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::domain::*;
use crate::plan::*;

fn name(text: &str) -> UnitName {
    UnitName::parse(text).expect("a name")
}

fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

fn process(number: i32) -> ProcId {
    ProcId { pid: Pid::new(number).expect("a pid"), start: 1 }
}

/// A service without a gate, without a policy, with a grace of one second.
fn unit(text: &str) -> UnitPlan {
    UnitPlan {
        name: name(text),
        kind: UnitKind::Service,
        command: CommandPlan::Shell("run".to_owned()),
        working_dir: PathBuf::from("/stack"),
        environment: BTreeMap::new(),
        user: None,
        ports: Vec::new(),
        depends_on: Vec::new(),
        gate: Vec::new(),
        gate_timeout: millis(1000),
        health: None,
        start_timeout: millis(5000),
        restart: RestartPolicy::No,
        stop: StopPlan { signal: Signal::TERM, grace: millis(1000), command: None },
        container: None,
        fallback: None,
        instead_of: None,
        ends_with_supervisor: false,
        limits: Limits::default(),
        logs: LogPlan { max_size: 1 << 20, max_files: 1 },
        profiles: BTreeSet::new(),
        labels: BTreeMap::new(),
        definition: "1".to_owned(),
    }
}

fn task(text: &str) -> UnitPlan {
    UnitPlan { kind: UnitKind::Task, ..unit(text) }
}

/// With a gate of `count` probes.
fn gated(text: &str, count: u16) -> UnitPlan {
    let gate = (0..count).map(|at| Probe::Tcp { host: "127.0.0.1".to_owned(), port: 1000 + at }).collect();
    UnitPlan { gate, ..unit(text) }
}

fn needs(plan: UnitPlan, needed: &[(&str, Condition)]) -> UnitPlan {
    let depends_on = needed
        .iter()
        .map(|(unit, condition)| Dependency { unit: name(unit), condition: *condition })
        .collect();
    UnitPlan { depends_on, ..plan }
}

fn health(retries: u32, restart_on_failure: bool) -> HealthPlan {
    HealthPlan {
        probes: vec![Probe::Tcp { host: "127.0.0.1".to_owned(), port: 1 }],
        interval: millis(100),
        timeout: millis(100),
        retries,
        start_period: millis(0),
        restart_on_failure,
    }
}

fn plan(units: &[UnitPlan]) -> Arc<Plan> {
    Arc::new(Plan {
        stack: StackName::lenient("test"),
        dir: PathBuf::from("/stack"),
        manifest: PathBuf::from("/stack/devstack.yaml"),
        units: units.to_vec(),
        limits: StackLimits::default(),
        sweep: SweepPlan::default(),
        monitor: MonitorPlan::default(),
        budgets: Budgets::default(),
        environment: std::collections::BTreeMap::new(),
        secrets: Secrets::default(),
    })
}

fn up(units: &[UnitPlan]) -> UpRequest {
    UpRequest {
        plan: plan(units),
        units: units.iter().map(|unit| unit.name.clone()).collect(),
        recreate: Vec::new(),
        no_deps: false,
        keep: false,
        timeout: None,
    }
}

fn down() -> DownRequest {
    DownRequest::default()
}

fn target(unit: &str, life: u32) -> Target {
    Target::Life { unit: name(unit), life: Life(life) }
}

fn bad(got: &str) -> Answer {
    Answer::Bad { asked: "GET /".to_owned(), got: got.to_owned() }
}

fn survivor(number: i32) -> Survivor {
    Survivor {
        process: process(number),
        command: "deaf".to_owned(),
        user: "root".to_owned(),
        evidence: "cgroup".to_owned(),
        reason: "not permitted".to_owned(),
        unit: None,
    }
}

/// A stack, its time, and actions as short words, so that a table of rules reads as one.
struct Bench {
    stack: Stack,
    now: u64,
    replies: Vec<(RequestId, Reply)>,
}

impl Bench {
    fn new() -> Self {
        Self { stack: Stack::new(), now: 1000, replies: Vec::new() }
    }

    /// With these units up: each started, and its gate held where it has one.
    fn running(units: &[UnitPlan]) -> Self {
        let mut bench = Self::new();
        let _ = bench.up(1, up(units));
        for unit in units {
            let _ = bench.started(unit.name.as_str(), 1);
            for probe in 0..unit.gate.len() {
                let _ = bench.gate(unit.name.as_str(), 1, probe, Answer::Good);
            }
        }
        let reply = bench.up_reply(1);
        assert!(reply.ready, "{reply:?}");
        bench
    }

    fn event(&mut self, event: Event) -> Vec<String> {
        let actions = self.stack.handle(event, Moment(self.now));
        let mut words = Vec::new();
        for action in actions {
            words.push(word(&action));
            if let Action::Reply { id, reply } = action {
                self.replies.push((id, reply));
            }
        }
        words
    }

    fn up(&mut self, id: RequestId, request: UpRequest) -> Vec<String> {
        self.event(Event::Requested { id, request: Request::Up(request) })
    }

    fn down(&mut self, id: RequestId, request: DownRequest) -> Vec<String> {
        self.event(Event::Requested { id, request: Request::Down(request) })
    }

    fn started(&mut self, unit: &str, life: u32) -> Vec<String> {
        self.event(Event::Started { unit: name(unit), life: Life(life), leader: process(100) })
    }

    fn gate(&mut self, unit: &str, life: u32, probe: usize, answer: Answer) -> Vec<String> {
        self.event(Event::Gated { unit: name(unit), life: Life(life), probe, answer })
    }

    fn check(&mut self, unit: &str, life: u32, answer: Answer) -> Vec<String> {
        self.event(Event::Checked { unit: name(unit), life: Life(life), answer })
    }

    fn exited(&mut self, unit: &str, life: u32, exit: Exit) -> Vec<String> {
        self.event(Event::Exited { unit: name(unit), life: Life(life), exit, tail: vec!["last".to_owned()] })
    }

    fn emptied(&mut self, unit: &str, life: u32) -> Vec<String> {
        self.event(Event::Emptied { target: target(unit, life) })
    }

    fn asked(&mut self, target: Target, heard: u32, refused: &[i32]) -> Vec<String> {
        let refused = refused.iter().map(|number| process(*number)).collect();
        self.event(Event::Asked { target, heard, refused })
    }

    fn killed(&mut self, target: Target, forced: &[i32], survivors: &[i32]) -> Vec<String> {
        let forced = forced.iter().map(|number| (process(*number), "deaf".to_owned())).collect();
        let survivors = survivors.iter().map(|number| survivor(*number)).collect();
        self.event(Event::Killed { target, forced, survivors })
    }

    fn examined(&mut self, unit: &str, life: u32) -> Vec<String> {
        let tail = vec!["log".to_owned()];
        self.event(Event::Examined { unit: name(unit), life: Life(life), listening: vec![3001], tail })
    }

    fn sought(&mut self, strays: &[i32]) -> Vec<String> {
        let strays = strays.iter().map(|number| stray(*number)).collect();
        self.event(Event::Sought { strays, left_alone: vec![stray(999)] })
    }

    fn verified(&mut self, survivors: &[i32], held: &[u16]) -> Vec<String> {
        let survivors = survivors.iter().map(|number| survivor(*number)).collect();
        let held = held.iter();
        let ports =
            held.map(|port| PortStatus { port: *port, free: false, owner: None, container: None }).collect();
        self.event(Event::Verified { survivors, ports, containers: None })
    }

    fn cancel(&mut self, id: RequestId, force: bool) -> Vec<String> {
        self.event(Event::Cancelled { id, force })
    }

    /// Lets time pass to the next deadline, which must be after exactly `span`.
    fn tick(&mut self, span: u64) -> Vec<String> {
        let deadline = self.stack.next_deadline().expect("a deadline");
        assert_eq!(
            deadline,
            Moment(self.now + span),
            "the next deadline, as a span: {}",
            deadline.0 - self.now
        );
        self.now += span;
        self.event(Event::Tick)
    }

    fn pass(&mut self, span: u64) {
        self.now += span;
    }

    fn state(&self, unit: &str) -> State {
        self.view(unit).state
    }

    fn view(&self, unit: &str) -> UnitView {
        let views = self.stack.view(Moment(self.now), WallTime(0));
        views.into_iter().find(|view| view.name.as_str() == unit).expect("a unit")
    }

    fn reply(&self, id: RequestId) -> Reply {
        let found: Vec<_> = self.replies.iter().filter(|(to, _)| *to == id).collect();
        assert_eq!(found.len(), 1, "one reply to {id}: {:?}", self.replies);
        found[0].1.clone()
    }

    fn up_reply(&self, id: RequestId) -> UpReport {
        let Reply::Up(report) = self.reply(id) else { panic!("an up report, not {:?}", self.reply(id)) };
        report
    }

    fn down_reply(&self, id: RequestId) -> DownReport {
        let Reply::Down(report) = self.reply(id) else { panic!("a down report, not {:?}", self.reply(id)) };
        report
    }

    fn outcome(&self, id: RequestId, unit: &str) -> UnitOutcome {
        let report = self.up_reply(id);
        report.units.into_iter().find(|(of, _)| of.as_str() == unit).expect("an outcome").1
    }
}

fn stray(number: i32) -> Ended {
    Ended {
        process: process(number),
        command: "vitest".to_owned(),
        evidence: "pattern".to_owned(),
        forced: false,
    }
}

fn word(action: &Action) -> String {
    let target = |target: &Target| match target {
        Target::Life { unit, life } => format!("{unit} {life}"),
        Target::Strays => "strays".to_owned(),
    };
    match action {
        Action::Start { plan, life } => format!("start {} {life}", plan.name),
        Action::WatchGate { unit, life } => format!("gate {unit} {life}"),
        Action::WatchHealth { unit, life } => format!("health {unit} {life}"),
        Action::Unwatch { unit, life } => format!("unwatch {unit} {life}"),
        Action::Examine { unit, life } => format!("examine {unit} {life}"),
        Action::Breach { unit, life, breach } => format!("breach {unit} {life} {:?}", breach.action),
        Action::Confine { plan, life } => format!("confine {} {life}", plan.name),
        Action::StopCommand { unit, life } => format!("command {unit} {life}"),
        Action::Ask { target: of, signal, .. } => format!("ask {} {signal}", target(of)),
        Action::Kill { target: of } => format!("kill {}", target(of)),
        Action::Retire { unit, life } => format!("retire {unit} {life}"),
        Action::Seek { beside: false } => "seek".to_owned(),
        Action::Seek { beside: true } => "seek beside".to_owned(),
        Action::Verify { units: None, .. } => "verify all".to_owned(),
        Action::Verify { units: Some(units), strays } => {
            let names = units.iter().map(UnitName::as_str).chain(strays.then_some("strays"));
            format!("verify {}", names.collect::<Vec<_>>().join(","))
        }
        Action::Reply { id, reply } => match reply {
            Reply::Up(report) => format!("reply {id} up {}", report.ready),
            Reply::Down(report) => format!("reply {id} down {}", report.clean),
            Reply::Busy => format!("reply {id} busy"),
            Reply::NoSuchUnit(unit) => format!("reply {id} no {unit}"),
        },
    }
}

/// No actions.
const NOTHING: [&str; 0] = [];
