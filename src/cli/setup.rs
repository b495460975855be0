//! `check`, `config`, `port`, `url`, `completions` and `version`: what the manifest says, without touching a process.

use clap::CommandFactory as _;

use super::args::{Cli, CompletionsArgs, ConfigArgs, JsonArgs, PortArgs, UrlArgs};
use super::exit::{CliError, Code};
use super::place::{Place, check_names};
use crate::domain::{UnitKind, UnitName};
use crate::plan::{self, Plan, PortPlan, Probe, UnitPlan};
use crate::show::{Door, json, text};

/// `devstack check`
pub(super) fn check(place: &Place, door: &Door) -> Result<Code, CliError> {
    let plan = place.load(door)?.plan;
    let tasks = plan.units.iter().filter(|unit| unit.kind == UnitKind::Task).count();
    let services = text::count(plan.units.len() - tasks, "service", "services");
    let mark = door.out.marks().good;
    let tasks = if tasks == 0 { String::new() } else { format!(", {}", text::count(tasks, "task", "tasks")) };
    let containers: Vec<String> = plan.units.iter().filter_map(container_line).collect();
    let file = plan.manifest.display();
    door.answer(&format!("{mark} {file} is fine: {services}{tasks}\n{}", containers.concat()))?;
    Ok(Code::Done)
}

/// What image a unit is a container of.
fn container_line(unit: &UnitPlan) -> Option<String> {
    let image = &unit.container.as_ref()?.image;
    let instead = if unit.fallback.is_some() { ", or its fallback where no engine answers" } else { "" };
    Some(format!("  {} is a container of {image}{instead}\n", unit.name))
}

/// `devstack config`
pub(super) fn config(place: &Place, door: &Door, args: &ConfigArgs) -> Result<Code, CliError> {
    let plan = place.load(door)?.plan;
    let text = if args.json {
        json::document(&plan::masked(plan, args.show_secrets))?
    } else {
        plan::render_yaml(&plan, args.show_secrets)
    };
    door.answer(&text)?;
    Ok(Code::Done)
}

/// `devstack port`
pub(super) fn port(place: &Place, door: &Door, args: &PortArgs) -> Result<Code, CliError> {
    let plan = place.load(door)?.plan;
    let port = one_port(&plan, &args.service, args.name.as_deref())?;
    door.answer(&format!("{port}\n"))?;
    Ok(Code::Done)
}

/// `devstack url`
pub(super) fn url(place: &Place, door: &Door, args: &UrlArgs) -> Result<Code, CliError> {
    let plan = place.load(door)?.plan;
    let unit = plan.units.iter().find(|unit| unit.name == args.service);
    // A service whose health is asked by HTTP says best itself where it is reached.
    let asked = unit.into_iter().flat_map(|unit| &unit.gate).find_map(|probe| match probe {
        Probe::Http(http) => Some(format!("http://{}:{}\n", http.host, http.port)),
        Probe::Tcp { .. } | Probe::Exec(_) | Probe::Log(_) | Probe::Notify | Probe::Port(_) | Probe::Own => {
            None
        }
    });
    let url = match asked {
        Some(url) => url,
        None => format!("http://localhost:{}\n", one_port(&plan, &args.service, None)?),
    };
    door.answer(&url)?;
    Ok(Code::Done)
}

/// `devstack completions`
pub(super) fn completions(door: &Door, args: &CompletionsArgs) -> Result<Code, CliError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "devstack", &mut script);
    door.answer(&String::from_utf8_lossy(&script))?;
    Ok(Code::Done)
}

/// `devstack version`
pub(super) fn version(door: &Door, args: &JsonArgs) -> Result<Code, CliError> {
    let version = env!("CARGO_PKG_VERSION");
    let text = if args.json {
        json::document(&std::collections::BTreeMap::from([("version", version)]))?
    } else {
        format!("devstack {version}\n")
    };
    door.answer(&text)?;
    Ok(Code::Done)
}

fn one_port(plan: &Plan, service: &UnitName, name: Option<&str>) -> Result<u16, CliError> {
    check_names(plan, std::slice::from_ref(service))?;
    let unit = plan.units.iter().find(|unit| unit.name == *service);
    let ports: &[PortPlan] = unit.map_or(&[], |unit| &unit.ports);
    let found = match name {
        Some(name) => ports.iter().find(|port| port.name.as_deref() == Some(name)),
        None => ports.first().filter(|_| ports.len() == 1),
    };
    found.map(|port| port.number).ok_or_else(|| CliError::NoSuchPort {
        service: service.clone(),
        name: name.map(str::to_owned),
        known: ports
            .iter()
            .map(|port| format!("{} {}", port.name.as_deref().unwrap_or("-"), port.number))
            .collect(),
    })
}
