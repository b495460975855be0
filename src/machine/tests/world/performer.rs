//! The world's answers to the machine's actions.

use super::*;

impl World {
    /// Carries an action out. `Err` names a broken promise.
    pub(in crate::machine::tests) fn perform(&mut self, action: &Action) -> Result<(), String> {
        match action {
            Action::Start { plan, life } => {
                if self.lives(&plan.name, true) {
                    return Err(format!("{} {life} is started beside an earlier life", plan.name));
                }
                self.owe(format!("start {} {life}", plan.name));
                self.soon(20, Happening::Spawn(Arc::clone(plan), *life));
            }
            Action::WatchGate { unit, life } => {
                let key = (unit.clone(), *life);
                let Some(cage) = self.cages.get_mut(&key) else {
                    return Err(format!("{unit} {life} has no cage"));
                };
                cage.gate = true;
                for probe in 0..cage.plan.gate.len() {
                    self.soon(10, Happening::Probe(key.clone(), probe));
                }
            }
            Action::WatchHealth { unit, life } => {
                let key = (unit.clone(), *life);
                let Some(cage) = self.cages.get_mut(&key) else {
                    return Err(format!("{unit} {life} has no cage"));
                };
                cage.health = true;
                self.soon(400, Happening::Check(key));
            }
            Action::Unwatch { unit, life } => {
                if let Some(cage) = self.cages.get_mut(&(unit.clone(), *life)) {
                    (cage.gate, cage.health) = (false, false);
                }
            }
            Action::Examine { unit, life } => {
                self.owe(format!("examine {unit} {life}"));
                let event = Event::Examined {
                    unit: unit.clone(),
                    life: *life,
                    listening: Vec::new(),
                    tail: Vec::new(),
                };
                self.tell(unit.as_str(), event);
            }
            Action::StopCommand { unit, life } => {
                self.soon(900, Happening::CommandEnds((unit.clone(), *life)));
            }
            Action::Ask { target, .. } => self.ask(target),
            Action::Kill { target } => self.kill(target),
            Action::Retire { unit, life } => return self.retire(&(unit.clone(), *life)),
            Action::Seek { .. } => self.seek(),
            Action::Verify { units, strays } => self.verify(units.as_deref(), *strays),
            Action::Breach { unit, life, breach } => {
                let event = Event::Breached {
                    unit: unit.clone(),
                    life: *life,
                    breach: breach.clone(),
                    ended: Vec::new(),
                    refused: Vec::new(),
                };
                self.tell(unit.as_str(), event);
            }
            Action::Confine { .. } | Action::Reply { .. } => {}
        }
        Ok(())
    }

    fn retire(&mut self, key: &LifeKey) -> Result<(), String> {
        if !self.members(key).is_empty() {
            return Err(format!("{} {} is retired and lives", key.0, key.1));
        }
        match self.cages.get_mut(key) {
            Some(cage) if !cage.retired => {
                cage.retired = true;
                Ok(())
            }
            Some(_) => Err(format!("{} {} is retired twice", key.0, key.1)),
            None => Err(format!("{} {} is retired and never was", key.0, key.1)),
        }
    }

    fn of(&self, target: &Target) -> (String, Vec<u64>) {
        match target {
            Target::Life { unit, life } => (unit.to_string(), self.members(&(unit.clone(), *life))),
            Target::Strays => {
                let alive = self.sought.iter().filter(|serial| self.processes.contains_key(serial));
                ("strays".to_owned(), alive.copied().collect())
            }
        }
    }

    fn ask(&mut self, target: &Target) {
        let (channel, members) = self.of(target);
        let (mut heard, mut refused) = (0, Vec::new());
        for serial in members {
            let Some(process) = self.processes.get_mut(&serial) else { continue };
            if process.untouchable {
                refused.push(process.id);
            } else if !process.asked {
                process.asked = true;
                heard += 1;
                let (deaf, stubborn) = (process.deaf, process.stubborn);
                if stubborn > 0 {
                    self.soon(20, Happening::Forks(serial));
                }
                if !deaf {
                    let at = self.now + 20 + self.rng.below(150);
                    self.schedule(at, Happening::Dies(serial, Exit::Signal(Signal::TERM)));
                }
            }
        }
        self.tell(&channel, Event::Asked { target: target.clone(), heard, refused });
        self.strays_empty();
    }

    fn kill(&mut self, target: &Target) {
        let (channel, members) = self.of(target);
        self.owe(format!("kill {target:?}"));
        let (mut forced, mut survivors, mut dead) = (Vec::new(), Vec::new(), Vec::new());
        for serial in members {
            let process = &self.processes[&serial];
            if process.untouchable {
                survivors.push(alive(process));
                continue;
            }
            forced.push((process.id, "deaf".to_owned()));
            if process.stubborn > 0 {
                // It forked between the count and the kill.
                self.fork(serial);
            }
            dead.push(serial);
        }
        let answer = Event::Killed { target: target.clone(), forced, survivors };
        let early = self.rng.chance(50);
        if early {
            self.tell(&channel, answer.clone());
        }
        for serial in dead {
            self.death(serial, Exit::Signal(Signal::KILL));
        }
        if !early {
            self.tell(&channel, answer);
        }
        self.strays_empty();
    }

    fn seek(&mut self) {
        self.owe("seek".to_owned());
        self.searches += 1;
        self.sought.clear();
        let mut strays = Vec::new();
        for (serial, process) in &mut self.processes {
            if matches!(process.owner, Owner::Stray(_)) && !std::mem::take(&mut process.hidden) {
                self.sought.insert(*serial);
                strays.push(Ended {
                    process: process.id,
                    command: "stray".to_owned(),
                    evidence: "mark".to_owned(),
                    forced: false,
                });
            }
        }
        self.swept_told = strays.is_empty();
        self.tell("strays", Event::Sought { strays, left_alone: Vec::new() });
    }

    fn verify(&mut self, units: Option<&[UnitName]>, strays: bool) {
        self.owe("verify".to_owned());
        let units = units.map(|units| units.iter().cloned().collect::<BTreeSet<_>>());
        let is_stray = |process: &Process| strays && matches!(process.owner, Owner::Stray(_));
        let found = self
            .processes
            .values()
            .filter(|process| is_stray(process) || covered(&process.owner, units.as_ref()));
        let survivors = found.map(alive).collect();
        let ports = vec![PortStatus { port: 1, free: !self.held_port, owner: None, container: None }];
        self.tell("verify", Event::Verified { survivors, ports, containers: None });
    }
}

pub(super) fn covered(owner: &Owner, units: Option<&BTreeSet<UnitName>>) -> bool {
    match (owner, units) {
        (_, None) => true,
        (Owner::Life((unit, _)) | Owner::Stray(Some(unit)), Some(units)) => units.contains(unit),
        (Owner::Stray(None), Some(_)) => false,
    }
}

fn alive(process: &Process) -> Survivor {
    Survivor { process: process.id, ..survivor(2) }
}
