//! `monitor --json`: one document for each look.

use serde::Serialize;

use super::event::rfc3339;
use super::json::{SCHEMA, line};
use crate::domain::{
    Alert, Excess, LifeUsage, PastUsage, ProcessUsage, Sign, SlowStart, StackName, TotalUsage, WallTime,
};

/// One look, in one line.
pub fn usage(
    stack: &StackName,
    at: WallTime,
    lives: &[LifeUsage],
    alerts: &[Alert],
    over: &[Excess],
) -> serde_json::Result<String> {
    line(&UsageDoc {
        schema: SCHEMA,
        stack: stack.as_str(),
        time: rfc3339(at),
        past: false,
        total: FiguresDoc::new(TotalUsage::of(lives)),
        services: lives.iter().map(ServiceDoc::new).collect(),
        alerts: alerts.iter().map(|alert| SignDoc::new(&alert.sign, alert.to_string(), alert.over)).collect(),
        over_budget: over.iter().map(ExcessDoc::new).collect(),
    })
}

/// One look that the supervisor remembers, in one line.
pub fn past(stack: &StackName, past: &PastUsage) -> serde_json::Result<String> {
    let service = |(unit, total): &(crate::domain::UnitName, TotalUsage)| ServiceDoc {
        name: unit.to_string(),
        figures: FiguresDoc::new(*total),
        proportional: None,
        biggest: None,
        busiest: None,
    };
    line(&UsageDoc {
        schema: SCHEMA,
        stack: stack.as_str(),
        time: rfc3339(past.at),
        past: true,
        total: FiguresDoc::new(past.total()),
        services: past.units.iter().map(service).collect(),
        alerts: Vec::new(),
        over_budget: Vec::new(),
    })
}

#[derive(Serialize)]
struct UsageDoc<'a> {
    schema: &'static str,
    stack: &'a str,
    time: String,
    past: bool,
    total: FiguresDoc,
    services: Vec<ServiceDoc<'a>>,
    alerts: Vec<SignDoc<'a>>,
    over_budget: Vec<ExcessDoc>,
}

#[derive(Serialize)]
struct FiguresDoc {
    processes: u32,
    memory_bytes: u64,
    cpu_percent: Option<f64>,
}

impl FiguresDoc {
    fn new(total: TotalUsage) -> Self {
        let TotalUsage { processes, memory, cpu_milli } = total;
        Self { processes, memory_bytes: memory, cpu_percent: percent(cpu_milli) }
    }
}

#[derive(Serialize)]
struct ServiceDoc<'a> {
    name: String,
    #[serde(flatten)]
    figures: FiguresDoc,
    proportional: Option<bool>,
    biggest: Option<OneDoc<'a>>,
    busiest: Option<OneDoc<'a>>,
}

impl<'a> ServiceDoc<'a> {
    fn new(life: &'a LifeUsage) -> Self {
        let LifeUsage { processes, memory, cpu_milli, .. } = *life;
        Self {
            name: life.unit.to_string(),
            figures: FiguresDoc::new(TotalUsage { processes, memory, cpu_milli }),
            proportional: Some(life.proportional),
            biggest: life.biggest.as_ref().map(OneDoc::new),
            busiest: life.busiest.as_ref().map(OneDoc::new),
        }
    }
}

#[derive(Serialize)]
struct OneDoc<'a> {
    pid: i32,
    start: u64,
    command: &'a str,
    memory_bytes: u64,
    cpu_percent: Option<f64>,
}

impl<'a> OneDoc<'a> {
    fn new(one: &'a ProcessUsage) -> Self {
        Self {
            pid: one.process.pid.get(),
            start: one.process.start,
            command: &one.command,
            memory_bytes: one.memory,
            cpu_percent: percent(one.cpu_milli),
        }
    }
}

/// A sign, as every document shows it.
#[derive(Serialize)]
pub(super) struct SignDoc<'a> {
    sign: &'static str,
    text: String,
    over: bool,
    service: Option<&'a str>,
    pid: Option<i32>,
    command: Option<&'a str>,
}

impl<'a> SignDoc<'a> {
    pub(super) fn new(sign: &'a Sign, text: String, over: bool) -> Self {
        let suspect = sign.suspect();
        Self {
            sign: sign.word(),
            text,
            over,
            service: suspect.map(|who| who.unit.as_str()),
            pid: suspect.map(|who| who.process.pid.get()),
            command: suspect.map(|who| who.command.as_str()),
        }
    }
}

/// A budget that is exceeded, as every document shows it.
#[derive(Serialize)]
pub(super) struct ExcessDoc {
    budget: &'static str,
    text: String,
}

impl ExcessDoc {
    pub(super) fn new(excess: &Excess) -> Self {
        Self { budget: excess.word(), text: excess.to_string() }
    }
}

fn percent(milli: Option<u32>) -> Option<f64> {
    milli.map(|milli| f64::from(milli) / 10.0)
}

/// A start that was far slower than usual.
#[derive(Serialize)]
pub(super) struct SlowDoc<'a> {
    name: &'a str,
    ready_ms: u64,
    usual_ms: u64,
}

impl<'a> SlowDoc<'a> {
    pub(super) fn new(slow: &'a SlowStart) -> Self {
        Self { name: slow.unit.as_str(), ready_ms: slow.took, usual_ms: slow.usual }
    }
}
