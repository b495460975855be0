//! What each fact makes of each phase: the transition table of `docs/machine.md`, row by row.

use super::ladder::{Entry, Ladder};
use super::restart::{self, Death, Next};
use super::standing::{Checks, Ending, Fact, Fault, Phase, ProbeState, Rest, Run, StopOrder, Then};
use super::turn::Turn;
use super::unit::{Unit, grace_of};
use super::{Action, Answer, words};
use crate::domain::{
    Breach, Exit, Failure, Health, Moment, OnBreach, OutOfMemory, Resource, Survivor, UnitKind,
};

impl Unit {
    pub(super) fn backing_off(&mut self, until: Moment, fact: &Fact, turn: &mut Turn) {
        self.phase = Phase::Backoff { until };
        match fact {
            Fact::Due => {
                self.restarts += 1;
                self.start(turn);
            }
            Fact::Started { .. }
            | Fact::NotStarted { .. }
            | Fact::Gated { .. }
            | Fact::Checked { .. }
            | Fact::Exited { .. }
            | Fact::Emptied
            | Fact::CommandEnded
            | Fact::Asked { .. }
            | Fact::Stirred
            | Fact::Killed { .. }
            | Fact::Examined { .. } => {}
        }
    }

    pub(super) fn starting(&mut self, stop: Option<StopOrder>, fact: Fact, turn: &mut Turn) -> Phase {
        match fact {
            Fact::Started { leader } => {
                let run = Run { leader, started: turn.now, ready: None };
                match stop {
                    // A stop arrived while the start was outstanding: it wins.
                    Some(order) => self.leave(run, order, turn),
                    None => self.gate(run, turn),
                }
            }
            Fact::NotStarted { why } => match stop {
                Some(order) => self.reached(order.goal),
                None => Phase::Resting(Rest::Failed(why)),
            },
            Fact::Gated { .. }
            | Fact::Checked { .. }
            | Fact::Exited { .. }
            | Fact::Emptied
            | Fact::CommandEnded
            | Fact::Asked { .. }
            | Fact::Stirred
            | Fact::Killed { .. }
            | Fact::Examined { .. }
            | Fact::Due => Phase::Starting { stop },
        }
    }

    pub(super) fn gating(
        &mut self,
        run: Run,
        deadline: Moment,
        mut probes: Vec<ProbeState>,
        fact: Fact,
        turn: &mut Turn,
    ) -> Phase {
        match fact {
            Fact::Gated { probe, answer } => {
                let Some(state) = probes.get_mut(probe) else {
                    return Phase::Gating { run, deadline, probes };
                };
                match answer {
                    Answer::Good => *state = ProbeState::Held,
                    // Each probe must hold once; what it says after that does not matter.
                    Answer::Bad { asked, got } => {
                        if *state != ProbeState::Held {
                            *state = ProbeState::Bad { asked, got };
                        }
                    }
                    Answer::Foreign { port, holder } => {
                        self.unwatch(run, turn);
                        let then = Then::Fail(Failure::PortConflict { port, holder });
                        return Phase::Ending(Box::new(self.end(run, then, turn)));
                    }
                }
                if probes.iter().all(|state| *state == ProbeState::Held) {
                    return self.now_ready(run, turn);
                }
                Phase::Gating { run, deadline, probes }
            }
            Fact::Exited { exit, tail } => {
                self.unwatch(run, turn);
                Phase::Ending(Box::new(self.died(run, exit, tail, Then::Judge, turn)))
            }
            Fact::Emptied => {
                self.unwatch(run, turn);
                self.vanished(run, Then::Judge, turn)
            }
            Fact::Due => {
                self.unwatch(run, turn);
                turn.act(Action::Examine { unit: self.plan.name.clone(), life: self.life });
                let after_ms = words::millis(self.plan.start_timeout);
                Phase::Examining {
                    run,
                    fault: Fault::NotReady { after_ms, answers: words::answers(&self.plan, &probes) },
                }
            }
            Fact::Started { .. }
            | Fact::NotStarted { .. }
            | Fact::Checked { .. }
            | Fact::CommandEnded
            | Fact::Asked { .. }
            | Fact::Stirred
            | Fact::Killed { .. }
            | Fact::Examined { .. } => Phase::Gating { run, deadline, probes },
        }
    }

    pub(super) fn running(&mut self, run: Run, checks: Checks, fact: Fact, turn: &mut Turn) -> Phase {
        match fact {
            Fact::Checked { answer } => self.checked(run, checks, answer, turn),
            Fact::Exited { exit, tail } => {
                self.unwatch(run, turn);
                Phase::Ending(Box::new(self.died(run, exit, tail, Then::Judge, turn)))
            }
            Fact::Emptied => {
                self.unwatch(run, turn);
                self.vanished(run, Then::Judge, turn)
            }
            Fact::Started { .. }
            | Fact::NotStarted { .. }
            | Fact::Gated { .. }
            | Fact::CommandEnded
            | Fact::Asked { .. }
            | Fact::Stirred
            | Fact::Killed { .. }
            | Fact::Examined { .. }
            | Fact::Due => Phase::Ready { run, checks },
        }
    }

    fn checked(&mut self, run: Run, mut checks: Checks, answer: Answer, turn: &mut Turn) -> Phase {
        let Some(health) = &self.plan.health else { return Phase::Ready { run, checks } };
        let told = match answer {
            Answer::Good => {
                checks = Checks { bad: 0, health: Health::Healthy, answer: String::new() };
                return Phase::Ready { run, checks };
            }
            Answer::Bad { asked, got } => format!("{asked} → {got}"),
            // It was ready before: one round that a stranger answers is a bad round, not yet a reason to end it.
            Answer::Foreign { port, holder } => format!("port {port} is answered by {holder}"),
        };
        checks.answer = told;
        if turn.now - run.started < health.start_period {
            return Phase::Ready { run, checks };
        }
        checks.bad += 1;
        if checks.bad < health.retries.max(1) {
            return Phase::Ready { run, checks };
        }
        if health.restart_on_failure {
            self.unwatch(run, turn);
            turn.act(Action::Examine { unit: self.plan.name.clone(), life: self.life });
            return Phase::Examining { run, fault: Fault::Unhealthy { answer: checks.answer } };
        }
        checks.health = Health::Unhealthy;
        Phase::Ready { run, checks }
    }

    pub(super) fn examining(&mut self, run: Run, fault: Fault, fact: Fact, turn: &mut Turn) -> Phase {
        match fact {
            Fact::Examined { listening, tail } => {
                let then = fault.then(&self.plan, listening, tail.clone());
                let ending = match &then {
                    // It takes more with each moment: as the kernel would, nobody is asked.
                    Then::Yield { breach } if runs_away(breach) => self.end_at_once(run, then, turn),
                    _ => self.end(run, then, turn),
                };
                Phase::Ending(Box::new(Ending { tail, ..ending }))
            }
            Fact::Exited { exit, tail } => {
                let then = fault.then(&self.plan, Vec::new(), tail.clone());
                Phase::Ending(Box::new(self.died(run, exit, tail, then, turn)))
            }
            Fact::Emptied => {
                let then = fault.then(&self.plan, Vec::new(), Vec::new());
                self.vanished(run, then, turn)
            }
            Fact::Started { .. }
            | Fact::NotStarted { .. }
            | Fact::Gated { .. }
            | Fact::Checked { .. }
            | Fact::CommandEnded
            | Fact::Asked { .. }
            | Fact::Stirred
            | Fact::Killed { .. }
            | Fact::Due => Phase::Examining { run, fault },
        }
    }

    pub(super) fn leaving(&mut self, run: Run, order: StopOrder, fact: Fact, turn: &mut Turn) -> Phase {
        match fact {
            // What its leader left need not wait for those that depended on the leader.
            Fact::Exited { exit, tail } => {
                let then = Then::Reach(order.goal);
                Phase::Ending(Box::new(self.died(run, exit, tail, then, turn)))
            }
            Fact::Emptied => self.vanished(run, Then::Reach(order.goal), turn),
            Fact::Started { .. }
            | Fact::NotStarted { .. }
            | Fact::Gated { .. }
            | Fact::Checked { .. }
            | Fact::CommandEnded
            | Fact::Asked { .. }
            | Fact::Stirred
            | Fact::Killed { .. }
            | Fact::Examined { .. }
            | Fact::Due => Phase::Leaving { run, order },
        }
    }

    pub(super) fn ending(&mut self, mut ending: Box<Ending>, fact: Fact, turn: &mut Turn) -> Phase {
        match fact {
            Fact::Emptied => return self.emptied(*ending, turn),
            Fact::Due => {
                if ending.ladder.due(turn) {
                    let exit = ending.exit.map(|(exit, _)| exit);
                    turn.rows.push(ending.ladder.row(self.plan.name.clone(), exit, turn.now));
                    return Phase::Survived { run: ending.run, survivors: ending.ladder.tally.survivors };
                }
            }
            Fact::Exited { exit, tail } => {
                self.exit = Some(exit);
                ending.exit = Some((exit, turn.now));
                if !tail.is_empty() {
                    ending.tail = tail;
                }
            }
            Fact::CommandEnded => ending.ladder.command_ended(turn),
            Fact::Asked { heard, refused } => ending.ladder.asked(heard, refused, turn),
            Fact::Stirred => ending.ladder.stirred(turn),
            Fact::Killed { forced, survivors } => ending.ladder.killed(forced, survivors, turn.now),
            Fact::Started { .. }
            | Fact::NotStarted { .. }
            | Fact::Gated { .. }
            | Fact::Checked { .. }
            | Fact::Examined { .. } => {}
        }
        Phase::Ending(ending)
    }

    pub(super) fn survived(
        &mut self,
        run: Run,
        survivors: Vec<Survivor>,
        fact: &Fact,
        turn: &mut Turn,
    ) -> Phase {
        match fact {
            // It took longer than the ladder: proven all the same.
            Fact::Emptied => {
                turn.act(Action::Retire { unit: self.plan.name.clone(), life: self.life });
                return Phase::Resting(Rest::Stopped);
            }
            Fact::Exited { exit, .. } => self.exit = Some(*exit),
            Fact::Started { .. }
            | Fact::NotStarted { .. }
            | Fact::Gated { .. }
            | Fact::Checked { .. }
            | Fact::CommandEnded
            | Fact::Asked { .. }
            | Fact::Stirred
            | Fact::Killed { .. }
            | Fact::Examined { .. }
            | Fact::Due => {}
        }
        Phase::Survived { run, survivors }
    }

    /// The proof is there: give back what the life held and go where it was to go.
    fn emptied(&mut self, ending: Ending, turn: &mut Turn) -> Phase {
        let Ending { run, ladder, then, exit, tail } = ending;
        turn.act(Action::Retire { unit: self.plan.name.clone(), life: self.life });
        let mut row = ladder.row(self.plan.name.clone(), exit.map(|(exit, _)| exit), turn.now);
        row.container = self.ended_container(&row, ladder.tally.outlasted);
        if self.plan.container.is_some() {
            // Who stands for a container is devstack's own, and deaf to nobody.
            row.deaf.clear();
        }
        turn.rows.push(row);
        let (exit, at) = exit.unwrap_or((Exit::Unknown, turn.now));
        self.exit = Some(exit);
        let (unhealthy, breach) = match then {
            Then::Reach(goal) => return self.reached(goal),
            Then::Fail(failure) => return Phase::Resting(Rest::Failed(failure)),
            Then::Judge => (None, None),
            Then::Heal { answer } => (Some(answer), None),
            Then::Yield { breach } => (None, Some(breach)),
        };
        let trouble = self.container.as_ref().and_then(|container| container.trouble.clone());
        let tail = self.with_lack_of_memory(tail);
        let of_memory = breach.as_ref().is_some_and(|breach| breach.resource == Resource::Memory);
        let out_of_memory = self.out_of_memory(exit, of_memory);
        let death = Death {
            started: run.started,
            ready: run.ready,
            at,
            exit,
            tail,
            unhealthy,
            breach,
            out_of_memory,
            trouble,
        };
        match restart::after(death, &self.plan, &mut self.deaths) {
            Next::Complete => {
                self.ready_ms = Some(words::millis(at - run.started));
                Phase::Resting(Rest::Completed)
            }
            Next::Ended => Phase::Resting(Rest::Ended),
            Next::Fail(failure) => Phase::Resting(Rest::Failed(failure)),
            Next::Again(pause) => Phase::Backoff { until: turn.now + pause },
        }
    }

    pub(super) fn gate(&mut self, run: Run, turn: &mut Turn) -> Phase {
        let deadline = turn.now + self.plan.start_timeout;
        match self.plan.kind {
            // A task's gate is its exit with 0.
            UnitKind::Task => Phase::Gating { run, deadline, probes: Vec::new() },
            UnitKind::Job => self.now_ready(run, turn),
            UnitKind::Service if self.plan.gate.is_empty() => self.now_ready(run, turn),
            UnitKind::Service => {
                turn.act(Action::WatchGate { unit: self.plan.name.clone(), life: self.life });
                Phase::Gating { run, deadline, probes: vec![ProbeState::Silent; self.plan.gate.len()] }
            }
        }
    }

    fn now_ready(&mut self, run: Run, turn: &mut Turn) -> Phase {
        self.ready_ms = Some(words::millis(turn.now - run.started));
        self.ready(Run { ready: Some(turn.now), ..run }, turn)
    }

    pub(super) fn ready(&mut self, run: Run, turn: &mut Turn) -> Phase {
        let mut health = Health::None;
        if let Some(plan) = &self.plan.health {
            turn.act(Action::WatchHealth { unit: self.plan.name.clone(), life: self.life });
            let same = plan.probes == self.plan.gate;
            health = if same { Health::Healthy } else { Health::Unknown };
        }
        Phase::Ready { run, checks: Checks { bad: 0, health, answer: String::new() } }
    }

    /// Ends all probes, where there are any: called while its plan is still that of the life.
    pub(super) fn unwatch(&self, run: Run, turn: &mut Turn) {
        let watched = match (self.plan.kind, run.ready) {
            (UnitKind::Task | UnitKind::Job, _) => false,
            (UnitKind::Service, None) => !self.plan.gate.is_empty(),
            (UnitKind::Service, Some(_)) => self.plan.health.is_some(),
        };
        if watched {
            turn.act(Action::Unwatch { unit: self.plan.name.clone(), life: self.life });
        }
    }

    /// Waits for its turn in the stop order; force waits for nobody.
    pub(super) fn leave(&mut self, run: Run, order: StopOrder, turn: &mut Turn) -> Phase {
        if order.force { self.ordered(run, order, turn) } else { Phase::Leaving { run, order } }
    }

    /// The ladder, as ordered.
    pub(super) fn ordered(&mut self, run: Run, order: StopOrder, turn: &mut Turn) -> Phase {
        let entry = match (order.force, &self.plan.stop.command) {
            (true, _) => Entry::Force,
            (false, Some(_)) => Entry::Command,
            (false, None) => Entry::Signal,
        };
        let grace = grace_of(&self.plan, order.grace);
        let ladder = Ladder::begin(self.target(), self.plan.stop.signal, grace, entry, turn);
        Phase::Ending(Box::new(Ending {
            run,
            ladder,
            then: Then::Reach(order.goal),
            exit: None,
            tail: Vec::new(),
        }))
    }

    /// The ladder, for a fault of its own.
    fn end(&self, run: Run, then: Then, turn: &mut Turn) -> Ending {
        let entry = if self.plan.stop.command.is_some() { Entry::Command } else { Entry::Signal };
        let grace = grace_of(&self.plan, None);
        let ladder = Ladder::begin(self.target(), self.plan.stop.signal, grace, entry, turn);
        Ending { run, ladder, then, exit: None, tail: Vec::new() }
    }

    /// The ladder from its last rung.
    fn end_at_once(&self, run: Run, then: Then, turn: &mut Turn) -> Ending {
        let grace = grace_of(&self.plan, None);
        let ladder = Ladder::begin(self.target(), self.plan.stop.signal, grace, Entry::Force, turn);
        Ending { run, ladder, then, exit: None, tail: Vec::new() }
    }

    /// What the kernel did, if that is what it died of: its own end by SIGKILL, or an end that followed from another's.
    fn out_of_memory(&self, exit: Exit, ended_for_it: bool) -> Option<OutOfMemory> {
        self.watched.out_of_memory.filter(|_| ended_for_it || !exit.is_success())
    }

    /// The leader has ended by itself; what is left of its tree goes down the same ladder.
    pub(super) fn died(
        &mut self,
        run: Run,
        exit: Exit,
        tail: Vec<String>,
        then: Then,
        turn: &mut Turn,
    ) -> Ending {
        self.exit = Some(exit);
        let grace = grace_of(&self.plan, None);
        let ladder = Ladder::begin(self.target(), self.plan.stop.signal, grace, Entry::Linger, turn);
        Ending { run, ladder, then, exit: Some((exit, turn.now)), tail }
    }

    /// The proof of emptiness came without an exit: its keeper died, so nobody saw how it ended.
    fn vanished(&mut self, run: Run, then: Then, turn: &mut Turn) -> Phase {
        let ending = self.died(run, Exit::Unknown, Vec::new(), then, turn);
        self.emptied(ending, turn)
    }

    fn reached(&mut self, goal: super::standing::Goal) -> Phase {
        self.reach(goal);
        std::mem::replace(&mut self.phase, Phase::Queued)
    }
}

/// Whether it would go on taking more while it is asked to end.
fn runs_away(breach: &Breach) -> bool {
    breach.action == OnBreach::AsKernel && matches!(breach.resource, Resource::Memory | Resource::Pids)
}
