//! Ports: declared and automatic ones, each declared once, and `${services.NAME.port}`.

use std::collections::HashMap;

use crate::domain::UnitName;
use crate::manifest::{Code, Manifest, PortEntry, Problem, Service, Span, nearest};

use super::judge::Judge;
use super::unit::Stage;
use super::values::{self, Fault};
use super::{PortPlan, WantedPorts, auto_port_key};

/// The ports of all services, as references see them.
pub(super) enum PortTable<'a> {
    /// While ports themselves are being read.
    Unknown,
    /// By service; none where something about them was wrong and is reported already.
    Known(HashMap<&'a str, Option<Vec<PortPlan>>>),
}

impl PortTable<'_> {
    /// What `NAME.port` or `NAME.ports.PORT` means.
    pub(super) fn find(&self, reference: &str, hints: bool) -> Result<String, String> {
        let Self::Known(table) = self else {
            return Err("a port of a service cannot be used here".to_owned());
        };
        let (service, port) = match (reference.strip_suffix(".port"), reference.rsplit_once(".ports.")) {
            (Some(service), _) => (service, None),
            (None, Some((service, port))) => (service, Some(port)),
            (None, None) => {
                let forms = "`${services.NAME.port}` or `${services.NAME.ports.PORT}`";
                return Err(format!("`services.{reference}` cannot be read: it can be {forms}"));
            }
        };
        let Some(ports) = table.get(service) else {
            let near = nearest(service, table.keys().copied().filter(|_| hints));
            let near = near.map_or(String::new(), |near| format!("; is `{near}` meant?"));
            return Err(format!("there is no service `{service}`{near}"));
        };
        let Some(ports) = ports else { return Ok("1".to_owned()) };
        let found = match (port, ports.as_slice()) {
            (None, [only]) => Some(only),
            (None, []) => return Err(format!("service `{service}` declares no port")),
            (None, _) => {
                return Err(format!(
                    "service `{service}` has {} ports: {}",
                    ports.len(),
                    names(service, ports)
                ));
            }
            (Some(port), _) => ports.iter().find(|known| known.name.as_deref() == Some(port)),
        };
        match found {
            Some(port) => Ok(port.number.to_string()),
            None => Err(format!("service `{service}` has no port of that name: {}", names(service, ports))),
        }
    }
}

fn names(service: &str, ports: &[PortPlan]) -> String {
    let named: Vec<String> = ports
        .iter()
        .filter_map(|port| port.name.as_ref().map(|name| format!("`${{services.{service}.ports.{name}}}`")))
        .take(5)
        .collect();
    if named.is_empty() { "none of them has a name".to_owned() } else { named.join(", ") }
}

/// A port as it is meant.
enum Meant {
    Number(u16),
    Auto,
}

fn meant(text: &str, named: bool) -> Result<Meant, Fault> {
    if text == "auto" && named {
        return Ok(Meant::Auto);
    }
    if text == "auto" {
        let fault = Fault::new(Code::BadPort, "an automatic port needs a name");
        return Err(fault.hint("write `ports: { http: auto }`"));
    }
    if text.contains(':') {
        let fault = Fault::new(Code::NotYet, format!("`{text}`: ports of containers are not supported yet"));
        return Err(fault.hint("a process listens by itself: write the port that it listens on, as `3000`"));
    }
    if let Some(bare) = text.strip_suffix("/tcp") {
        let fault = Fault::new(Code::BadPort, format!("`{text}` is no port"));
        return Err(fault.hint(format!("write `{bare}`: all ports are TCP ports")));
    }
    values::port(text).map(Meant::Number)
}

/// What the loader must choose, and what it must not choose. Faults are told by [`super::resolve`].
pub(super) fn wanted(judge: &mut Judge<'_>, manifest: &Manifest) -> WantedPorts {
    let mut wanted = WantedPorts::default();
    for service in &manifest.services {
        for entry in &service.settings.ports {
            match (judge.value(&entry.value, |text| meant(text, entry.name.is_some())), &entry.name) {
                (Some(Meant::Auto), Some(name)) => {
                    wanted.auto.push((service.name.clone(), name.value.to_string()));
                }
                (Some(Meant::Number(port)), _) => {
                    wanted.declared.insert(port);
                }
                (Some(Meant::Auto), None) | (None, _) => {}
            }
        }
    }
    wanted
}

/// The ports of one service with their places; those that are wrong are left out.
pub(super) fn read(judge: &mut Judge<'_>, service: &Service) -> Vec<(PortPlan, Span)> {
    let entries = service.settings.ports.iter();
    entries.filter_map(|entry| Some((one(judge, &service.name, entry)?, entry.value.span))).collect()
}

fn one(judge: &mut Judge<'_>, service: &UnitName, entry: &PortEntry) -> Option<PortPlan> {
    let name = entry.name.as_ref().map(|name| name.value.to_string());
    let number = match (judge.value(&entry.value, |text| meant(text, name.is_some()))?, &name) {
        (Meant::Number(number), _) => number,
        (Meant::Auto, name) => {
            let key = auto_port_key(service, name.as_deref().unwrap_or_default());
            let chosen = judge.context.auto_ports.get(&key).copied();
            if chosen.is_none() {
                let problem = Problem::at(Code::BadPort, entry.value.span, "no free port was found for this");
                judge.problems.push(problem.hint("choose one yourself"));
            }
            chosen?
        }
    };
    Some(PortPlan { name, number })
}

/// Reports each port that two services (or one, twice) declare, unless no profile can bring both.
pub(super) fn declared_once(judge: &mut Judge<'_>, manifest: &Manifest, stages: &[Stage]) {
    let mut seen: HashMap<u16, Vec<(usize, Span)>> = HashMap::new();
    for (index, (service, stage)) in manifest.services.iter().zip(stages).enumerate() {
        for (port, span) in &stage.ports {
            let earlier = seen.entry(port.number).or_default();
            if let Some((other, first)) = earlier.iter().find(|(other, _)| together(&stages[*other], stage)) {
                let owner = &manifest.services[*other].name;
                let message = format!("port {} is declared twice", port.number);
                let hint = "two services cannot listen on one port; a free one is `{ http: auto }`";
                let problem =
                    Problem::at(Code::PortTwice, *span, message).note(format!("by `{}`", service.name));
                judge.problems.push(problem.label(*first, format!("by `{owner}`")).hint(hint));
            // A few are enough to find a conflict; all of them would make many services quadratic.
            } else if earlier.len() < 8 {
                earlier.push((index, *span));
            }
        }
    }
}

/// Whether both can run at once: stand-ins with profiles of their own may share a port.
fn together(one: &Stage, other: &Stage) -> bool {
    one.profiles.is_empty() || other.profiles.is_empty() || !one.profiles.is_disjoint(&other.profiles)
}
