//! The keys of a service, and of `defaults`, which shares most of them.

use crate::manifest::node::{Entry, Kind, Node};
use crate::manifest::{Arrow, Code, PortEntry, Problem, Settings, Text};

use super::reader::{Line, Reader, Use, wrong};
use super::{check, container, limits};

/// Keys of a service that also make sense for all of them.
const SHARED: &[Line<Settings>] = &[
    ("working_dir", Use::Read(|r, s, e| s.working_dir = r.text(e))),
    ("environment", Use::Read(|r, s, e| s.environment = r.variables(e))),
    ("env_file", Use::Read(|r, s, e| s.env_files = r.env_files(e))),
    ("user", Use::Read(|r, s, e| s.user = r.text(e))),
    ("start_timeout", Use::Read(|r, s, e| s.start_timeout = r.text(e))),
    ("restart", Use::Read(|r, s, e| s.restart = r.text(e))),
    ("stop_signal", Use::Read(|r, s, e| s.stop_signal = r.text(e))),
    ("stop_grace_period", Use::Read(|r, s, e| s.stop_grace_period = r.text(e))),
    ("stop_command", Use::Read(|r, s, e| s.stop_command = r.command(e))),
    ("on_supervisor_exit", Use::Read(|r, s, e| s.on_supervisor_exit = r.text(e))),
    ("labels", Use::Read(|r, s, e| s.labels = r.variables(e))),
    ("limits", Use::Read(|r, s, e| s.limits = limits::read(r, e))),
    ("logs", Use::Read(logs)),
    ("tty", Use::NotYet),
    ("watch", Use::NotYet),
    ("hooks", Use::NotYet),
];

/// Keys of one service only.
const OWN: &[Line<Settings>] = &[
    (
        "command",
        Use::Read(|r, s, e| {
            s.has_command = true;
            s.command = r.command(e);
        }),
    ),
    ("type", Use::Read(|r, s, e| s.kind = r.text(e))),
    ("ports", Use::Read(|r, s, e| s.ports = ports(r, e))),
    ("depends_on", Use::Read(|r, s, e| s.depends_on = arrows(r, e))),
    ("ready", Use::Read(|r, s, e| s.ready = check::ready(r, e))),
    ("health", Use::Read(|r, s, e| s.health = check::health(r, e))),
    ("profiles", Use::Read(|r, s, e| s.profiles = r.texts(e))),
];

/// Keys of what runs instead of a container; all else it has from its service.
pub(super) const FALLBACK: &[Line<Settings>] = &[
    (
        "command",
        Use::Read(|r, s, e| {
            s.has_command = true;
            s.command = r.command(e);
        }),
    ),
    ("working_dir", Use::Read(|r, s, e| s.working_dir = r.text(e))),
    ("environment", Use::Read(|r, s, e| s.environment = r.variables(e))),
    ("ports", Use::Read(|r, s, e| s.ports = ports(r, e))),
    ("user", Use::Read(|r, s, e| s.user = r.text(e))),
    ("ready", Use::Read(|r, s, e| s.ready = check::ready(r, e))),
    ("health", Use::Read(|r, s, e| s.health = check::health(r, e))),
    ("stop_signal", Use::Read(|r, s, e| s.stop_signal = r.text(e))),
    ("stop_command", Use::Read(|r, s, e| s.stop_command = r.command(e))),
];

const LOGS: &[Line<Settings>] = &[
    ("max_size", Use::Read(|r, s, e| s.log_size = r.text(e))),
    ("max_files", Use::Read(|r, s, e| s.log_files = r.text(e))),
];

/// Reads a service. False means that nothing of it could be read.
pub(super) fn read(reader: &mut Reader<'_>, entry: &Entry, settings: &mut Settings) -> bool {
    let name = &*entry.key.value;
    if let Kind::Scalar { value, .. } = &entry.value.kind {
        let problem = wrong(name, &entry.value, "a map");
        let hint = format!("write `{name}: {{ command: {value} }}`");
        reader.problems_from(problem.map(|problem| problem.hint(hint)));
        return false;
    }
    let Some(entries) = reader.map(name, &entry.value) else { return false };
    let table = &[OWN, SHARED, container::KEYS];
    reader.entries(entries, "a service", table, settings);
    settings.has_command |= reader.misspelt("command", entries, table);
    container::belongs(reader, name, entries, settings);
    true
}

/// Reads `defaults`.
pub(super) fn defaults(reader: &mut Reader<'_>, entry: &Entry) -> Settings {
    let mut settings = Settings::default();
    let Some(entries) = reader.map("defaults", &entry.value) else { return settings };
    let own = |entry: &&Entry| {
        let key = &*entry.key.value;
        OWN.iter().chain(container::KEYS).any(|(own, _)| *own == key)
    };
    for entry in entries.iter().filter(own) {
        let message = format!("`{}` cannot be a default", entry.key.value);
        let problem = Problem::at(Code::UnknownKey, entry.key.span, message);
        reader.report(problem.hint("write it in each service that needs it"));
    }
    let shared: Vec<Entry> = entries.iter().filter(|entry| !own(entry)).cloned().collect();
    reader.entries(&shared, "`defaults`", &[SHARED], &mut settings);
    settings
}

fn logs(reader: &mut Reader<'_>, settings: &mut Settings, entry: &Entry) {
    if let Some(entries) = reader.map("logs", &entry.value) {
        reader.entries(entries, "`logs`", &[LOGS], settings);
    }
}

fn ports(reader: &mut Reader<'_>, entry: &Entry) -> Vec<PortEntry> {
    match &entry.value.kind {
        Kind::Null | Kind::Bad => Vec::new(),
        Kind::List(items) => {
            let values = reader.texts_in("ports", items);
            values.into_iter().map(|value| PortEntry { name: None, value }).collect()
        }
        Kind::Map(entries) => entries.iter().filter_map(|entry| named_port(reader, entry)).collect(),
        Kind::Scalar { value, .. } => {
            let problem = wrong("ports", &entry.value, "a list or a map of names");
            reader.problems_from(problem.map(|problem| problem.hint(format!("write `ports: [{value}]`"))));
            Vec::new()
        }
    }
}

fn named_port(reader: &mut Reader<'_>, entry: &Entry) -> Option<PortEntry> {
    let name = &entry.key;
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if name.value.is_empty() || !name.value.chars().all(fits) {
        let problem = Problem::at(Code::BadName, name.span, format!("{:?} cannot name a port", &*name.value));
        reader.report(problem.hint("letters, digits, `-` and `_` are fine: it becomes part of PORT_NAME"));
        return None;
    }
    let value = reader.text_of(&name.value, &entry.value, "a port or `auto`")?;
    Some(PortEntry { name: Some(name.clone()), value })
}

fn arrows(reader: &mut Reader<'_>, entry: &Entry) -> Vec<Arrow> {
    match &entry.value.kind {
        Kind::Map(entries) => entries.iter().map(|entry| arrow(reader, entry)).collect(),
        Kind::Null | Kind::List(_) | Kind::Scalar { .. } | Kind::Bad => {
            let units = reader.texts(entry);
            units.into_iter().map(|unit| Arrow { unit, condition: None }).collect()
        }
    }
}

const ARROW: &[Line<Option<Text>>] = &[
    ("condition", Use::Read(|r, condition, e| *condition = r.text(e))),
    ("restart", Use::NotYet),
    ("required", Use::NotYet),
];

fn arrow(reader: &mut Reader<'_>, entry: &Entry) -> Arrow {
    let unit = entry.key.clone();
    let condition = match &entry.value.kind {
        Kind::Map(entries) => {
            let mut condition = None;
            reader.entries(entries, "a dependency", &[ARROW], &mut condition);
            condition
        }
        Kind::Null => None,
        Kind::Scalar { .. } | Kind::List(_) | Kind::Bad => condition(reader, &unit.value, &entry.value),
    };
    Arrow { unit, condition }
}

fn condition(reader: &mut Reader<'_>, unit: &str, node: &Node) -> Option<Text> {
    reader.text_of(unit, node, "started, healthy or completed")
}
