use super::*;
use crate::domain::{Asker, DownReport, Exit, Life, Moment, Pid, UnitName, WallTime};
use crate::machine::{DownRequest, Request};
use crate::store::Lost;

const BEGAN: &str = r#"{"supervisor":{"pid":7,"version":"0"}}"#;

fn line(moment: u64, entry: Entry) -> Line {
    Line { at: WallTime(0), moment: Moment(moment), entry, by: None::<Asker> }
}

fn began() -> Line {
    line(0, serde_json::from_str(BEGAN).expect("an entry"))
}

fn process(pid: i32) -> ProcId {
    ProcId { pid: Pid::new(pid).expect("a pid"), start: 7 }
}

fn event(moment: u64, event: Event) -> Line {
    line(moment, Entry::Event(event))
}

fn down() -> Event {
    let request = Request::Down(DownRequest { units: None, force: false, grace: None, strays: false });
    Event::Requested { id: 1, request }
}

fn receipt(signal: Signal, why: Why) -> Line {
    let receipt = Receipt {
        signal,
        process: process(42),
        command: "esbuild".to_owned(),
        unit: None,
        evidence: "mark".to_owned(),
        why,
        request: Some(1),
        refused: None,
    };
    line(3, Entry::Receipt(receipt))
}

fn stray() -> crate::domain::Ended {
    crate::domain::Ended {
        process: process(42),
        command: "esbuild".to_owned(),
        evidence: "mark".to_owned(),
        forced: false,
    }
}

/// A supervisor that is asked to end an empty stack and finds a stray.
fn swept(receipt: Line) -> Vec<Line> {
    let target = Target::Strays;
    vec![
        began(),
        event(1, down()),
        event(2, Event::Sought { strays: vec![stray()], left_alone: Vec::new() }),
        receipt,
        event(3, Event::Asked { target: target.clone(), heard: 1, refused: Vec::new() }),
        event(4, Event::Emptied { target }),
        event(5, Event::Verified { survivors: Vec::new(), ports: Vec::new(), containers: None }),
    ]
}

fn play(lines: &[Line]) -> (Vec<Played>, Tally) {
    let mut replay = Replay::default();
    let played = lines.iter().map(|line| replay.take(line)).collect();
    (played, replay.tally)
}

#[test]
fn what_was_recorded_follows_from_what_is_decided() {
    let (played, tally) = play(&swept(receipt(Signal::TERM, Why::Sweep)));
    assert_eq!(tally.differ, 0, "{played:?}");
    assert_eq!((tally.supervisors, tally.events, tally.receipts), (1, 5, 1));
    assert_eq!(played[3], Played::Agrees);
    let Some(Played::Decided(last)) = played.last() else { panic!("{played:?}") };
    let report = DownReport { clean: true, ..DownReport::default() };
    assert!(
        matches!(&last[..], [Action::Reply { id: 1, reply: Reply::Down(told) }] if told.clean == report.clean)
    );
    assert_eq!(decision(last), "answer that the stop is clean");
}

#[test]
fn what_run_signals_by_itself_is_no_decision_of_the_machine() {
    let Line { entry: Entry::Receipt(bare), .. } = receipt(Signal::KILL, Why::Breach) else { unreachable!() };
    let of = |unit: &str| Receipt { unit: Some(unit.parse().expect("a name")), ..bare.clone() };
    let by = |verb: &str| Some(Asker { verb: verb.to_owned(), ..Asker::default() });
    let mut replay = Replay::default();
    replay.take(&began());
    let killed = line(1, Entry::Receipt(of("job npm test")));
    assert!(matches!(replay.take(&Line { by: by("down"), ..killed.clone() }), Played::Differs(_)));
    assert_eq!(replay.take(&Line { by: by("run"), ..killed }), Played::Agrees);
}

#[test]
fn a_receipt_that_nobody_asked_for_differs() {
    for (wrong, words) in [
        (receipt(Signal::KILL, Why::Sweep), "did not ask for SIGKILL"),
        (receipt(Signal::TERM, Why::Rollback), "reason is another"),
    ] {
        let (played, tally) = play(&swept(wrong));
        assert!(matches!(&played[3], Played::Differs(why) if why.contains(words)), "{played:?}");
        assert_eq!(tally.differ, 1);
    }
    // A journal of an older devstack says no reason.
    assert_eq!(play(&swept(receipt(Signal::TERM, Why::Unknown))).1.differ, 0);
}

#[test]
fn an_answer_without_a_question_differs() {
    let unit: UnitName = "api".parse().expect("a name");
    let started = Event::Started { unit: unit.clone(), life: Life(1), leader: process(42) };
    let (played, tally) = play(&[began(), event(1, started)]);
    assert!(matches!(&played[1], Played::Differs(_)), "{played:?}");
    assert_eq!(tally.differ, 1);
    // Nobody asks for an exit.
    let exited = Event::Exited { unit, life: Life(1), exit: Exit::Code(0), tail: Vec::new() };
    assert_eq!(play(&[began(), event(1, exited)]).1.differ, 0);
}

#[test]
fn a_journal_may_begin_in_the_middle_and_have_gaps() {
    let mut lines = vec![receipt(Signal::KILL, Why::Request), event(1, down())];
    lines.extend(swept(receipt(Signal::TERM, Why::Sweep)));
    lines.push(line(9, Entry::Lost(Lost { lines: 2, reason: "disk full".to_owned() })));
    let (played, tally) = play(&lines);
    assert_eq!(played[..2], [Played::Unknown, Played::Unknown]);
    assert_eq!((tally.unknown, tally.gaps, tally.differ), (2, 1, 0), "{played:?}");
    // The next supervisor's machine knows nothing of what the last one's did.
    lines.extend([began(), receipt(Signal::TERM, Why::Sweep)]);
    assert_eq!(play(&lines).1.differ, 1);
}
