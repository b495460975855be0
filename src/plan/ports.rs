//! Ports: declared and automatic ones, each declared once, and `${services.NAME.port}`.

use std::collections::HashMap;
use std::net::IpAddr;

use crate::manifest::{Code, Manifest, PortEntry, Problem, Service, Span, nearest};

use super::judge::Judge;
use super::publish::{self, Published};
use super::unit::Stage;
use super::values::{self, Fault};
use super::{PortPlan, PublishPlan, WantedPorts, auto_port_key};

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
struct Meant {
    /// None for a free one.
    number: Option<u16>,
    /// Address and port inside, of a container.
    inside: Option<(IpAddr, u16)>,
}

fn meant(text: &str, named: bool, in_container: bool) -> Result<Meant, Fault> {
    if in_container {
        let Published { address, host, inside } = publish::published(text)?;
        return Ok(Meant { number: host, inside: Some((address, inside)) });
    }
    if text == "auto" && named {
        return Ok(Meant { number: None, inside: None });
    }
    if text == "auto" {
        let fault = Fault::new(Code::BadPort, "an automatic port needs a name");
        return Err(fault.hint("write `ports: { http: auto }`"));
    }
    if text.contains(':') {
        let fault = Fault::new(Code::Contradiction, format!("`{text}` is a port of a container"));
        return Err(fault.hint("a process listens by itself: write the port that it listens on, as `3000`"));
    }
    if let Some(bare) = text.strip_suffix("/tcp") {
        let fault = Fault::new(Code::BadPort, format!("`{text}` is no port"));
        return Err(fault.hint(format!("write `{bare}`: all ports are TCP ports")));
    }
    values::port(text).map(|number| Meant { number: Some(number), inside: None })
}

/// What an automatic port is called among those of its service: by its name, else by the port inside.
fn auto_name(entry: &PortEntry, meant: &Meant) -> String {
    let inside = || meant.inside.map(|(_, port)| port.to_string()).unwrap_or_default();
    entry.name.as_ref().map_or_else(inside, |name| name.value.to_string())
}

/// What the loader must choose, and what it must not choose. Faults are told by [`super::resolve`].
pub(super) fn wanted(judge: &mut Judge<'_>, manifest: &Manifest) -> WantedPorts {
    let mut wanted = WantedPorts::default();
    for service in &manifest.services {
        let in_container = service.settings.container.is_some();
        for entry in &service.settings.ports {
            let read = judge.value(&entry.value, |text| meant(text, entry.name.is_some(), in_container));
            match read {
                Some(Meant { number: Some(port), .. }) => {
                    wanted.declared.insert(port);
                }
                Some(meant) => wanted.auto.push((service.name.clone(), auto_name(entry, &meant))),
                None => {}
            }
        }
    }
    wanted
}

/// A port of a service, with its place.
pub(super) struct StagePort {
    pub(super) port: PortPlan,
    /// Where it leads, in a container.
    pub(super) publish: Option<PublishPlan>,
    pub(super) span: Span,
}

/// The ports of one service with their places; those that are wrong are left out.
pub(super) fn read(judge: &mut Judge<'_>, service: &Service) -> Vec<StagePort> {
    let entries = service.settings.ports.iter();
    entries.filter_map(|entry| one(judge, service, entry)).collect()
}

fn one(judge: &mut Judge<'_>, service: &Service, entry: &PortEntry) -> Option<StagePort> {
    let in_container = service.settings.container.is_some();
    let meant = judge.value(&entry.value, |text| meant(text, entry.name.is_some(), in_container))?;
    let number = meant.number.or_else(|| chosen(judge, service, entry, &meant))?;
    let name = entry.name.as_ref().map(|name| name.value.to_string());
    let publish = meant.inside.map(|(address, inside)| PublishPlan { address, host: number, inside });
    Some(StagePort { port: PortPlan { name, number }, publish, span: entry.value.span })
}

/// The number that the loader chose for an automatic port.
fn chosen(judge: &mut Judge<'_>, service: &Service, entry: &PortEntry, meant: &Meant) -> Option<u16> {
    let key = auto_port_key(&service.name, &auto_name(entry, meant));
    let chosen = judge.context.auto_ports.get(&key).copied();
    if chosen.is_none() {
        let problem = Problem::at(Code::BadPort, entry.value.span, "no free port was found for this");
        judge.problems.push(problem.hint("choose one yourself"));
    }
    chosen
}

/// The ports as the unit has them: one number once, however many addresses it is published on.
pub(super) fn of(stage: &[StagePort]) -> Vec<PortPlan> {
    let mut ports: Vec<PortPlan> = Vec::with_capacity(stage.len());
    for StagePort { port, .. } in stage {
        if port.name.is_some() || !ports.contains(port) {
            ports.push(port.clone());
        }
    }
    ports
}

/// Reports each port that two services (or one, twice) declare, unless no profile can bring both.
pub(super) fn declared_once(judge: &mut Judge<'_>, manifest: &Manifest, stages: &[Stage]) {
    let mut seen: HashMap<u16, Vec<(usize, &StagePort)>> = HashMap::new();
    for (index, (service, stage)) in manifest.services.iter().zip(stages).enumerate() {
        for port in &stage.ports {
            let earlier = seen.entry(port.port.number).or_default();
            let clash = |(other, before): &&(usize, &StagePort)| {
                if *other == index { collide(before, port) } else { stages[*other].can_meet(stage) }
            };
            if let Some((other, first)) = earlier.iter().find(clash) {
                let owner = &manifest.services[*other].name;
                let message = format!("port {} is declared twice", port.port.number);
                let free = if port.publish.is_some() { "`auto:…`" } else { "`{ http: auto }`" };
                let hint = format!("two services cannot listen on one port; a free one is {free}");
                let problem = Problem::at(Code::PortTwice, port.span, message);
                let problem = problem.note(format!("by `{}`", service.name));
                judge.problems.push(problem.label(first.span, format!("by `{owner}`")).hint(hint));
            // A few are enough to find a conflict; all of them would make many services quadratic.
            } else if earlier.len() < 8 {
                earlier.push((index, port));
            }
        }
    }
}

/// Whether two ports of one service are the same: a container can be published on one number of several addresses.
fn collide(one: &StagePort, other: &StagePort) -> bool {
    let (Some(one), Some(other)) = (one.publish, other.publish) else { return true };
    let (a, b) = (one.address, other.address);
    a == b || (a.is_ipv4() == b.is_ipv4() && (a.is_unspecified() || b.is_unspecified()))
}
