//! What is tried out: stacks and the things that clients do with them, drawn at random and shrunk by proptest.

use proptest::prelude::*;

use super::*;

/// One run.
#[derive(Clone, Debug)]
pub(super) struct Scenario {
    pub(super) seed: u64,
    pub(super) wild: u64,
    pub(super) units: Vec<Spec>,
    /// What clients do, each after a pause in milliseconds.
    pub(super) deeds: Vec<(u64, Deed)>,
}

/// One unit; `needs` name units before it.
#[derive(Clone, Debug)]
pub(super) struct Spec {
    task: bool,
    needs: Vec<(usize, u8)>,
    gate: u16,
    health: Option<(u32, bool)>,
    restart: RestartPolicy,
    grace: u64,
    start_timeout: u64,
    command: bool,
}

#[derive(Clone, Debug)]
pub(super) enum Deed {
    Up {
        units: u8,
        recreate: u8,
        changed: u8,
        no_deps: bool,
        keep: bool,
        timeout: Option<u64>,
        shorter: bool,
    },
    Down {
        units: Option<u8>,
        force: bool,
        grace: Option<u64>,
        strays: bool,
    },
    Cancel {
        back: u64,
        force: bool,
    },
    /// News of earlier lives and of units that nobody knows.
    Noise,
    Stray,
    /// The supervisor is killed and a new one takes over.
    Crash,
    PortTaken(bool),
}

pub(super) fn scenario() -> impl Strategy<Value = Scenario> {
    let units = prop::collection::vec(spec(), 1..8);
    let deeds = prop::collection::vec((pause(), deed()), 2..16);
    (any::<u64>(), 0..4_u64, units, deeds).prop_map(|(seed, wild, mut units, deeds)| {
        for at in 0..units.len() {
            let tasks: Vec<bool> = units.iter().map(|unit| unit.task).collect();
            units[at].needs.retain(|(needed, _)| *needed < at);
            units[at].needs.sort_unstable();
            units[at].needs.dedup_by_key(|(needed, _)| *needed);
            for (needed, condition) in &mut units[at].needs {
                // Only a task can be waited for to be completed.
                if *condition == 2 && !tasks[*needed] {
                    *condition = 1;
                }
            }
        }
        Scenario { seed, wild, units, deeds }
    })
}

/// Once drawn: the supervisor dies under a task, which is adopted as ready although no task ever is, and is then late.
pub(super) fn a_task_adopted_as_ready() -> Scenario {
    let plain = Spec {
        task: false,
        needs: Vec::new(),
        gate: 0,
        health: None,
        restart: RestartPolicy::No,
        grace: 0,
        start_timeout: 300,
        command: false,
    };
    let up = |units| Deed::Up {
        units,
        recreate: 0,
        changed: 0,
        no_deps: false,
        keep: false,
        timeout: None,
        shorter: false,
    };
    Scenario {
        seed: 5_091_818_197_349_978_161,
        wild: 1,
        units: vec![
            plain.clone(),
            plain.clone(),
            Spec { gate: 2, health: Some((1, false)), ..plain.clone() },
            Spec { needs: vec![(1, 0)], ..plain.clone() },
            Spec { gate: 2, ..plain.clone() },
            Spec { task: true, ..plain },
        ],
        deeds: vec![
            (0, up(255)),
            (9, Deed::Down { units: None, force: true, grace: None, strays: false }),
            (534, up(255)),
            (125, Deed::Crash),
            (0, up(0)),
        ],
    }
}

fn pause() -> impl Strategy<Value = u64> {
    prop_oneof![3 => 0..200_u64, 3 => 200..3000_u64, 1 => 3000..20_000_u64]
}

fn spec() -> impl Strategy<Value = Spec> {
    let restart = prop_oneof![
        2 => Just(RestartPolicy::No),
        1 => Just(RestartPolicy::OnFailure { max: None }),
        1 => (0..3_u32).prop_map(|max| RestartPolicy::OnFailure { max: Some(max) }),
        2 => Just(RestartPolicy::Always),
    ];
    let health = prop::option::of((1..4_u32, any::<bool>()));
    let needs = prop::collection::vec((0..6_usize, 0..3_u8), 0..3);
    let times = (0..1200_u64, 300..3000_u64);
    (prop::bool::weighted(0.2), needs, 0..3_u16, health, restart, times, prop::bool::weighted(0.15)).prop_map(
        |(task, needs, gate, health, restart, (grace, start_timeout), command)| Spec {
            task,
            needs,
            gate,
            health,
            restart,
            grace,
            start_timeout,
            command,
        },
    )
}

fn deed() -> impl Strategy<Value = Deed> {
    let timeout = prop::option::weighted(0.2, 0..3000_u64);
    let rare = prop_oneof![3 => Just(0_u8), 1 => any::<u8>()];
    let up = (any::<u8>(), rare.clone(), rare, 0..16_u8, timeout, prop::bool::weighted(0.1)).prop_map(
        |(units, recreate, changed, flags, timeout, shorter)| Deed::Up {
            units: if flags < 4 { units } else { u8::MAX },
            recreate,
            changed,
            no_deps: flags == 3 || flags == 11,
            keep: flags % 4 == 1,
            timeout,
            shorter,
        },
    );
    let grace = prop::option::weighted(0.3, 0..500_u64);
    // No unit at all is a sweep.
    let some = prop_oneof![3 => any::<u8>(), 1 => Just(0_u8)];
    let down = (prop::option::of(some), prop::bool::weighted(0.25), grace, any::<bool>())
        .prop_map(|(units, force, grace, strays)| Deed::Down { units, force, grace, strays });
    let cancel = (0..3_u64, any::<bool>()).prop_map(|(back, force)| Deed::Cancel { back, force });
    prop_oneof![
        10 => up,
        4 => down,
        2 => cancel,
        1 => Just(Deed::Noise),
        2 => Just(Deed::Stray),
        1 => Just(Deed::Crash),
        1 => any::<bool>().prop_map(Deed::PortTaken),
    ]
}

pub(super) fn label(at: usize) -> UnitName {
    name(&format!("u{at}"))
}

impl Scenario {
    /// The plan of the first `count` units at these versions of their definitions.
    pub(super) fn plan(&self, count: usize, versions: &[u32]) -> Arc<Plan> {
        let units: Vec<UnitPlan> =
            self.units.iter().take(count).enumerate().map(|(at, spec)| spec.plan(at, versions[at])).collect();
        plan(&units)
    }

    /// The units of a mask, with all that they need where `closed`.
    pub(super) fn chosen(&self, mask: u8, count: usize, closed: bool) -> Vec<UnitName> {
        let mut chosen: Vec<bool> = (0..count).map(|at| mask & (1 << at) != 0).collect();
        for at in (0..count).rev().filter(|_| closed) {
            if chosen[at] {
                for (needed, _) in &self.units[at].needs {
                    chosen[*needed] = true;
                }
            }
        }
        (0..count).filter(|at| chosen[*at]).map(label).collect()
    }
}

impl Spec {
    fn plan(&self, at: usize, version: u32) -> UnitPlan {
        let text = format!("u{at}");
        let stop = StopPlan {
            signal: Signal::TERM,
            grace: millis(self.grace),
            command: self.command.then(|| CommandPlan::Shell("stop".to_owned())),
        };
        let depends_on = self
            .needs
            .iter()
            .map(|(needed, condition)| {
                let condition = match condition {
                    0 => Condition::Started,
                    1 => Condition::Healthy,
                    _ => Condition::Completed,
                };
                Dependency { unit: label(*needed), condition }
            })
            .collect();
        UnitPlan {
            kind: if self.task { UnitKind::Task } else { UnitKind::Service },
            depends_on,
            health: self.health.map(|(retries, restart)| health(retries, restart)),
            start_timeout: millis(self.start_timeout),
            restart: self.restart,
            stop,
            definition: version.to_string(),
            ..gated(&text, self.gate)
        }
    }
}
