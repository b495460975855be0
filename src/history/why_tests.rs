use super::*;
use crate::domain::{
    Asker, Breach, ContainerState, ContainerStep, ContainerTrouble, Culprit, Exit, Failure, Life, Moment,
    OnBreach, Pid, ProcId, Resource, Signal, State, UnitKind, UnitName, UnitView, WallTime, Why,
};
use crate::machine::{Answer, DownRequest, Event, Request, Target};
use crate::store::{End, Entry, Line, Outcome, Receipt};

fn name(text: &str) -> UnitName {
    text.parse().expect("a name")
}

fn process(pid: i32) -> ProcId {
    ProcId { pid: Pid::new(pid).expect("a pid"), start: 7 }
}

fn view(unit: &str, state: State, note: Option<&str>) -> UnitView {
    let note = note.map(str::to_owned);
    UnitView { state, note, ..UnitView::at_rest(name(unit), UnitKind::Service, Life(1)) }
}

/// A journal under construction: each line is a second later.
#[derive(Default)]
struct Journal(Vec<Line>);

impl Journal {
    fn push(mut self, by: Option<Asker>, entry: Entry) -> Self {
        let at = i64::try_from(self.0.len()).expect("few");
        self.0.push(Line { at: WallTime(at), moment: Moment(0), by, entry });
        self
    }

    fn event(self, event: Event) -> Self {
        self.push(None, Entry::Event(event))
    }

    fn asked(self, verb: &str, units: Option<&[&str]>) -> Self {
        let units = units.map(|units| units.iter().map(|unit| name(unit)).collect());
        let request = Request::Down(DownRequest { units, force: false, grace: None, strays: false });
        self.push(Some(asker(verb)), Entry::Event(Event::Requested { id: 1, request }))
    }

    fn started(self, unit: &str, life: u32) -> Self {
        let leader = process(100 + i32::try_from(life).expect("small"));
        self.event(Event::Started { unit: name(unit), life: Life(life), leader })
    }

    fn signalled(self, unit: &str, life: u32, why: Why, by: Asker) -> Self {
        let process = process(100 + i32::try_from(life).expect("small"));
        let receipt = Receipt {
            signal: Signal::TERM,
            process,
            command: "node api.js".to_owned(),
            unit: Some(name(unit)),
            evidence: "leader".to_owned(),
            why,
            request: None,
            refused: None,
        };
        self.push(Some(by), Entry::Receipt(receipt))
    }

    fn exited(self, unit: &str, life: u32, exit: Exit, tail: &[&str]) -> Self {
        let tail = tail.iter().map(|line| (*line).to_owned()).collect();
        self.event(Event::Exited { unit: name(unit), life: Life(life), exit, tail })
    }

    fn outcome(self, unit: &str, life: u32, exit: Exit, forced: &[bool]) -> Self {
        let ends = forced.iter().enumerate().map(|(place, forced)| End {
            process: process(
                100 + i32::try_from(life).expect("small") + 50 * i32::try_from(place).expect("few"),
            ),
            signal: Signal::TERM,
            forced: *forced,
            exit: (place == 0).then_some(exit),
            after_ms: 120,
        });
        let outcome = Outcome { unit: Some(name(unit)), ends: ends.collect() };
        let unit = name(unit);
        self.event(Event::Emptied { target: Target::Life { unit, life: Life(life) } })
            .push(None, Entry::Outcome(outcome))
    }

    fn broke(self, unit: &str, life: u32, action: OnBreach) -> Self {
        let breach = Breach {
            resource: Resource::Pids,
            used: 31,
            limit: 10,
            of_stack: false,
            culprit: Some(Culprit { process: process(150), command: "sh bomb.sh".to_owned() }),
            action,
        };
        let ended = match action {
            OnBreach::KillCulprit => vec![(process(150), "sh bomb.sh".to_owned())],
            _ => Vec::new(),
        };
        let (unit, life) = (name(unit), Life(life));
        self.event(Event::Breached { unit, life, breach, ended, refused: Vec::new() })
    }

    /// A process of a life that goes on is ended.
    fn culprit(self, unit: &str) -> Self {
        let receipt = Receipt {
            signal: Signal::KILL,
            process: process(150),
            command: "sh bomb.sh".to_owned(),
            unit: Some(name(unit)),
            evidence: "a descendant of the service".to_owned(),
            why: Why::Breach,
            request: None,
            refused: None,
        };
        let end = End { process: process(150), signal: Signal::KILL, forced: true, exit: None, after_ms: 1 };
        let outcome = Outcome { unit: Some(name(unit)), ends: vec![end] };
        self.push(Some(asker("supervisor")), Entry::Receipt(receipt))
            .broke(unit, 1, OnBreach::KillCulprit)
            .push(None, Entry::Outcome(outcome))
    }

    fn sick(self, unit: &str, life: u32, times: usize) -> Self {
        let answer = Answer::Bad { asked: "GET http://localhost:3000/".to_owned(), got: "503".to_owned() };
        let (unit, life) = (name(unit), Life(life));
        (0..times).fold(self, |journal, _| {
            journal.event(Event::Checked { unit: unit.clone(), life, answer: answer.clone() })
        })
    }
}

fn asker(verb: &str) -> Asker {
    let pid = Some(if verb == "supervisor" { 77 } else { 4211 });
    Asker { verb: verb.to_owned(), user: "dev".to_owned(), pid }
}

fn told(unit: &str, views: &[UnitView], journal: &Journal) -> Vec<String> {
    let clock = |at: WallTime| format!("14:02:{:02}", at.0);
    let known = Known { views, plan: None, lines: &journal.0, clock: &clock };
    why(&name(unit), &known).iter().map(ToString::to_string).collect()
}

#[test]
fn stopped_because_somebody_asked() {
    let journal = Journal::default()
        .started("api", 1)
        .asked("down", None)
        .signalled("api", 1, Why::Request, asker("down"))
        .exited("api", 1, Exit::Code(143), &[])
        .outcome("api", 1, Exit::Code(143), &[false]);
    assert_eq!(
        told("api", &[view("api", State::Stopped, None)], &journal),
        [
            "api is stopped: devstack down (dev, pid 4211) asked to stop it at 14:02:02; SIGTERM → exit 143 in 120ms"
        ]
    );
}

#[test]
fn stopped_by_force() {
    let journal = Journal::default()
        .started("api", 1)
        .signalled("api", 1, Why::Request, asker("stop"))
        .exited("api", 1, Exit::Code(0), &[])
        .outcome("api", 1, Exit::Code(0), &[false, true]);
    assert_eq!(
        told("api", &[view("api", State::Stopped, None)], &journal),
        [
            "api is stopped: devstack stop (dev, pid 4211) asked to stop it at 14:02:01; SIGTERM → exit 0 in 120ms; \
          1 of 2 processes had to be forced"
        ]
    );
}

#[test]
fn stopped_by_itself_is_nobodys_deed() {
    let journal = Journal::default().started("api", 1).exited("api", 1, Exit::Code(0), &["bye"]).signalled(
        "api",
        1,
        Why::LeftBehind,
        asker("supervisor"),
    );
    assert_eq!(
        told("api", &[view("api", State::Stopped, Some("ended by itself with exit 0"))], &journal),
        ["api is stopped: it ended by itself with exit 0 at 14:02:01"]
    );
}

#[test]
fn stopped_and_never_started() {
    let mut never = view("api", State::Stopped, None);
    never.life = Life(0);
    assert_eq!(told("api", &[never], &Journal::default()), ["api is stopped: it was never asked for"]);
    assert_eq!(
        told("api", &[view("api", State::Stopped, None)], &Journal::default()),
        ["api is stopped: the journal does not reach back to its end"]
    );
}

#[test]
fn failed_with_its_last_words() {
    let lines = ["one", "two", "three", "no such table: users"];
    let journal = Journal::default().started("api", 1).exited("api", 1, Exit::Code(1), &lines);
    assert_eq!(
        told("api", &[view("api", State::Failed, Some("exit 1 before it was ready"))], &journal),
        [
            "api is failed: exit 1 before it was ready at 14:02:01; its last words: two ⏎ three ⏎ no such table: users"
        ]
    );
}

#[test]
fn failed_before_it_ran() {
    let why = Failure::Start { reason: "no room".to_owned() };
    let journal = Journal::default().event(Event::NotStarted { unit: name("api"), life: Life(1), why });
    assert_eq!(
        told("api", &[view("api", State::Failed, Some("no room"))], &journal),
        ["api is failed: it could not be started at 14:02:00: no room"]
    );
}

#[test]
fn failed_and_queued_lead_to_the_one_that_is_waited_for() {
    let journal = (1..=3).fold(Journal::default(), |journal, life| {
        journal.started("api", life).exited("api", life, Exit::Code(1), &["boom"])
    });
    let views = [
        view("web", State::Queued, Some("needs api")),
        view("api", State::Backoff, Some("exit 1; starts again in 800ms")),
    ];
    assert_eq!(
        told("web", &views, &journal),
        [
            "web is queued: needs api",
            "api is backoff: after 3 exits (last: exit 1 at 14:02:05, its last words: boom); starts again in 800ms"
        ]
    );
    // Those that wait for each other are told once each.
    let views = [view("a", State::Failed, Some("needs b")), view("b", State::Failed, Some("needs a"))];
    assert_eq!(told("a", &views, &journal), ["a is failed: needs b", "b is failed: needs a"]);
}

#[test]
fn a_container_that_is_gone_is_told_as_that_and_not_by_the_code_of_who_stood_for_it() {
    let removed = |life| Event::Contained {
        unit: name("db"),
        life: Life(life),
        state: ContainerState {
            step: ContainerStep::Ended,
            trouble: Some(ContainerTrouble::Removed),
            ..ContainerState::default()
        },
    };
    let journal =
        Journal::default().started("db", 1).event(removed(1)).exited("db", 1, Exit::Code(125), &["boom"]);
    let waits = [view("db", State::Backoff, Some("somebody removed its container; starts again in 800ms"))];
    assert_eq!(
        told("db", &waits, &journal),
        [
            "db is backoff: after 1 exit (last: somebody removed its container at 14:02:02); starts again in 800ms"
        ]
    );
    let journal = journal.started("db", 2);
    let mut ready = view("db", State::Ready, None);
    (ready.restarts, ready.life) = (1, Life(2));
    let because = told("db", &[ready], &journal);
    assert!(
        because[0].contains("it was restarted: somebody removed its container at 14:02:02"),
        "{because:?}"
    );
}

#[test]
fn restarted_for_its_health() {
    let journal = Journal::default()
        .started("worker", 1)
        .sick("worker", 1, 3)
        .signalled("worker", 1, Why::Unhealthy, asker("supervisor"))
        .exited("worker", 1, Exit::Code(143), &[])
        .outcome("worker", 1, Exit::Code(143), &[false])
        .started("worker", 2);
    let mut ready = view("worker", State::Ready, None);
    (ready.restarts, ready.ready_ms, ready.life) = (1, Some(1200), Life(2));
    assert_eq!(
        told("worker", &[ready], &journal),
        [
            "worker is ready: it was restarted: health check GET http://localhost:3000/ → 503, 3 times since 14:02:01; \
          SIGTERM → exit 143 in 120ms; started at 14:02:08 (pid 102, life 2); ready after 1.2s"
        ]
    );
}

#[test]
fn unhealthy_starting_and_stopping() {
    let journal = Journal::default().started("api", 1).sick("api", 1, 4);
    assert_eq!(
        told("api", &[view("api", State::Unhealthy, Some("503"))], &journal),
        ["api is unhealthy: health check GET http://localhost:3000/ → 503, 4 times since 14:02:01; \
          started at 14:02:00 (pid 101, life 1)"]
    );
    assert_eq!(
        told("api", &[view("api", State::Starting, Some("GET http://localhost:3000/ → 503"))], &journal),
        ["api is starting: its gate does not hold yet (GET http://localhost:3000/ → 503); \
          started at 14:02:00 (pid 101, life 1)"]
    );
    let journal = journal.signalled("api", 1, Why::Rollback, asker("up"));
    assert_eq!(
        told("api", &[view("api", State::Stopping, Some("asked with SIGTERM"))], &journal),
        ["api is stopping: devstack up (dev, pid 4211) asked to roll back at 14:02:05; asked with SIGTERM"]
    );
}

#[test]
fn completed() {
    let journal = Journal::default().started("migrate", 1).exited("migrate", 1, Exit::Code(0), &[]);
    assert_eq!(
        told("migrate", &[view("migrate", State::Completed, None)], &journal),
        ["migrate is completed: it ended by itself with exit 0 at 14:02:01"]
    );
}

const OVER: &str = "over its limit of processes: 31 of 10, most of it sh bomb.sh (pid 150)";

#[test]
fn a_broken_limit_is_told_of_whoever_goes_on() {
    let journal =
        Journal::default().started("api", 1).broke("api", 1, OnBreach::Warn).broke("api", 1, OnBreach::Warn);
    let mut ready = view("api", State::Ready, None);
    assert_eq!(
        told("api", &[ready.clone()], &journal),
        [format!(
            "api is ready: 2 times, at last {OVER}: only told at 14:02:02; started at 14:02:00 (pid 101, life 1)"
        )]
    );
    let journal = Journal::default().started("api", 1).culprit("api");
    assert_eq!(
        told("api", &[ready.clone()], &journal),
        [format!("api is ready: {OVER}: killed pid 150 at 14:02:02; started at 14:02:00 (pid 101, life 1)")]
    );
    // The culprit's end is not the end of the life.
    let journal = journal
        .signalled("api", 1, Why::Request, asker("down"))
        .exited("api", 1, Exit::Code(143), &[])
        .outcome("api", 1, Exit::Code(143), &[false]);
    ready.state = State::Stopped;
    assert_eq!(
        told("api", &[ready], &journal),
        [
            "api is stopped: devstack down (dev, pid 4211) asked to stop it at 14:02:04; SIGTERM → exit 143 in 120ms"
        ]
    );
}

#[test]
fn a_restart_names_the_limit_and_a_job_that_is_over_its_own() {
    let journal = Journal::default()
        .started("api", 1)
        .broke("api", 1, OnBreach::Restart)
        .signalled("api", 1, Why::Breach, asker("supervisor"))
        .exited("api", 1, Exit::Code(143), &[])
        .outcome("api", 1, Exit::Code(143), &[false])
        .started("api", 2);
    let mut ready = view("api", State::Ready, None);
    (ready.restarts, ready.life) = (1, Life(2));
    assert_eq!(
        told("api", &[ready], &journal),
        [format!(
            "api is ready: it was restarted: {OVER}: it is restarted at 14:02:01; SIGTERM → exit 143 in 120ms; \
             started at 14:02:06 (pid 102, life 2)"
        )]
    );
    let journal = Journal::default().broke("job npm test", 1, OnBreach::Warn).broke(
        "job npm test",
        2,
        OnBreach::KillCulprit,
    );
    assert_eq!(
        told("job npm test", &[], &journal),
        [format!("job npm test is gone: {OVER}: killed pid 150 at 14:02:01")]
    );
}
