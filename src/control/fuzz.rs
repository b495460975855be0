//! What a fuzzer throws at the API: bodies of requests, and what the machine makes of those that can be read.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{CancelCall, DownCall, Told, UpCall, Version};
use crate::domain::{Failure, Moment, WallTime};
use crate::machine::{Action, Event, Request, Stack};

/// A body of a request or a line of an answer.
pub(crate) fn control(data: &[u8]) {
    read_back::<CancelCall>(data);
    read_back::<Told>(data);
    read_back::<Version>(data);
    let up = read_back::<UpCall>(data).map(|call| Request::Up(call.request));
    let down = read_back::<DownCall>(data).map(|call| Request::Down(call.request));
    for request in [up, down].into_iter().flatten() {
        play(request);
    }
}

/// What can be read says the same when it is written and read again.
fn read_back<T: Serialize + DeserializeOwned>(data: &[u8]) -> Option<T> {
    let call: T = serde_json::from_slice(data).ok()?;
    let text = serde_json::to_vec(&call).expect("it is data");
    assert!(!text.contains(&b'\n'), "it is one line");
    let again: T = serde_json::from_slice(&text).expect("it reads back");
    assert_eq!(serde_json::to_vec(&again).expect("it is data"), text);
    Some(call)
}

/// A plan that no manifest would give (circles, units twice, needs that are nowhere) must not bring the machine down.
fn play(request: Request) {
    let mut stack = Stack::new();
    let mut now = Moment(1_000);
    let mut events = vec![Event::Requested { id: 1, request }];
    for _ in 0..200 {
        let Some(event) = events.pop() else {
            let Some(due) = stack.next_deadline() else { break };
            now = now.max(due);
            events.push(Event::Tick);
            continue;
        };
        for action in stack.handle(event, now) {
            if let Action::Start { plan, life } = action {
                let why = Failure::Start { reason: "no".to_owned() };
                events.push(Event::NotStarted { unit: plan.name.clone(), life, why });
            }
        }
    }
    let _ = stack.view(now, WallTime(0));
}
