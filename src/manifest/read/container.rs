//! The keys of a service that is a container, and which keys belong to containers or to processes alone.

use crate::manifest::node::{Entry, Kind, Node};
use crate::manifest::{
    Build, Code, ContainerKeys, Fallback, LongVolume, NamedVolume, Problem, Settings, Text, VolumeEntry,
};

use super::reader::{Line, Reader, Use, wrong};
use super::{limits, service};

/// Keys of a container.
pub(super) const KEYS: &[Line<Settings>] = &[
    ("image", Use::Read(|r, s, e| keys(s).image = r.filled(e))),
    ("build", Use::Read(|r, s, e| keys(s).build = build(r, e))),
    ("container_name", Use::Read(|r, s, e| keys(s).name = r.text(e))),
    ("pull_policy", Use::Read(|r, s, e| keys(s).pull_policy = r.text(e))),
    ("volumes", Use::Read(|r, s, e| keys(s).volumes = volumes(r, e))),
    ("network", Use::Read(|r, s, e| keys(s).network = r.text(e))),
    ("entrypoint", Use::Read(|r, s, e| keys(s).entrypoint = r.command(e))),
    ("context", Use::Read(|r, s, e| keys(s).context = r.text(e))),
    ("fallback", Use::Read(fallback)),
];

/// Keys that only make sense for a process of this machine, and what a container has instead.
const PROCESS_ONLY: &[(&str, &str)] =
    &[("stop_command", "a container is asked to end by its `stop_signal`: remove it")];

const BUILD: &[Line<Build>] = &[
    ("context", Use::Read(|r, b, e| b.context = r.text(e))),
    ("dockerfile", Use::Read(|r, b, e| b.dockerfile = r.text(e))),
    ("args", Use::Read(|r, b, e| b.args = r.variables(e))),
    ("target", Use::Read(|r, b, e| b.target = r.text(e))),
];

const VOLUME: &[Line<LongVolume>] = &[
    ("type", Use::Read(|r, v, e| v.kind = r.text(e))),
    ("source", Use::Read(|r, v, e| v.source = r.text(e))),
    ("target", Use::Read(|r, v, e| v.target = r.text(e))),
    ("read_only", Use::Read(|r, v, e| v.read_only = r.boolean(e).unwrap_or_default())),
];

const NAMED: &[Line<(Option<Text>, bool)>] = &[
    ("name", Use::Read(|r, v, e| v.0 = r.text(e))),
    ("external", Use::Read(|r, v, e| v.1 = r.boolean(e).unwrap_or_default())),
    ("driver", Use::NotYet),
    ("driver_opts", Use::NotYet),
    ("labels", Use::NotYet),
];

fn keys(settings: &mut Settings) -> &mut ContainerKeys {
    settings.container.get_or_insert_default()
}

/// Reports what belongs to a container where there is none, and the other way round.
pub(super) fn belongs(reader: &mut Reader<'_>, name: &str, entries: &[Entry], settings: &mut Settings) {
    let key = |entry: &Entry| entry.key.value.to_string();
    let is_container = entries.iter().any(|entry| matches!(key(entry).as_str(), "image" | "build"));
    for entry in entries {
        let word = key(entry);
        if is_container {
            if let Some((_, hint)) = PROCESS_ONLY.iter().find(|(only, _)| *only == word) {
                let message = format!("`{word}` cannot be done in a container, and `{name}` is one");
                reader.report(Problem::at(Code::Contradiction, entry.key.span, message).hint(*hint));
            }
            if word == "limits" {
                limits::in_container(reader, entry);
            }
        } else if KEYS.iter().any(|(known, _)| *known == word) {
            let message = format!("`{word}` belongs to a container, and `{name}` is none");
            reader.report(Problem::at(Code::Contradiction, entry.key.span, message).hint(remedy(&word)));
        }
    }
    if is_container {
        let keys = keys(settings);
        keys.broken = keys.image.is_none() && keys.build.is_none();
    } else {
        settings.has_command |= settings.container.is_some();
        settings.container = None;
    }
}

/// What is written instead where a process is meant.
fn remedy(word: &str) -> String {
    match word {
        "fallback" => "a process needs no engine: remove it".to_owned(),
        "entrypoint" => "write all of it as `command`, or add `image: …`".to_owned(),
        "volumes" => "a process sees your files as they are: remove it, or add `image: …`".to_owned(),
        _ => format!("remove `{word}`, or add `image: …`"),
    }
}

/// A directory, or a map.
fn build(reader: &mut Reader<'_>, entry: &Entry) -> Option<Build> {
    let mut build = Build { at: entry.key.span, ..Build::default() };
    match &entry.value.kind {
        Kind::Scalar { .. } => build.context = entry.value.text(),
        Kind::Map(entries) => reader.entries(entries, "`build`", &[BUILD], &mut build),
        Kind::Null | Kind::List(_) | Kind::Bad => {
            reader.wrong_now("build", &entry.value, "a directory or a map");
            return None;
        }
    }
    Some(build)
}

fn volumes(reader: &mut Reader<'_>, entry: &Entry) -> Vec<VolumeEntry> {
    match &entry.value.kind {
        Kind::Null | Kind::Bad => Vec::new(),
        Kind::List(items) => items.iter().filter_map(|item| volume(reader, item)).collect(),
        Kind::Scalar { value, .. } => {
            let problem = wrong("volumes", &entry.value, "a list");
            reader.problems_from(
                problem.map(|problem| problem.hint(format!("write `volumes: [\"{value}\"]`"))),
            );
            Vec::new()
        }
        Kind::Map(_) => {
            let problem = wrong("volumes", &entry.value, "a list");
            reader.problems_from(problem.map(|problem| problem.hint("write `- NAME:/path/inside`")));
            Vec::new()
        }
    }
}

fn volume(reader: &mut Reader<'_>, item: &Node) -> Option<VolumeEntry> {
    let Kind::Map(entries) = &item.kind else {
        return reader.text_of("volumes[]", item, "text or a map").map(VolumeEntry::Short);
    };
    let mut volume = LongVolume { at: item.span, ..LongVolume::default() };
    let before = reader.problems.len();
    reader.entries(entries, "a volume", &[VOLUME], &mut volume);
    volume.broken = reader.problems.len() != before;
    Some(VolumeEntry::Long(volume))
}

/// The volumes of the stack: names, with or without more about them.
pub(super) fn named_volumes(reader: &mut Reader<'_>, entry: &Entry) -> Vec<NamedVolume> {
    let Kind::Map(entries) = &entry.value.kind else {
        if !matches!(entry.value.kind, Kind::Null) {
            let problem = wrong("volumes", &entry.value, "a map");
            let hint = "write each as `NAME:`; where it is mounted is said in the service";
            reader.problems_from(problem.map(|problem| problem.hint(hint)));
        }
        return Vec::new();
    };
    let mut volumes = Vec::with_capacity(entries.len());
    for entry in entries.iter() {
        let mut read = (None, false);
        if let Some(entries) = reader.map(&entry.key.value, &entry.value) {
            reader.entries(entries, "a volume", &[NAMED], &mut read);
        }
        volumes.push(NamedVolume { name: entry.key.clone(), own: read.0, external: read.1 });
    }
    volumes
}

/// A map with the keys of a process, or its command alone.
fn fallback(reader: &mut Reader<'_>, settings: &mut Settings, entry: &Entry) {
    let mut own = Settings::default();
    match &entry.value.kind {
        Kind::Map(entries) => {
            let table = &[service::FALLBACK];
            reader.entries(entries, "`fallback`", table, &mut own);
            own.has_command |= reader.misspelt("command", entries, table);
        }
        Kind::Scalar { .. } | Kind::List(_) | Kind::Null | Kind::Bad => {
            own.has_command = true;
            own.command = reader.command(entry);
        }
    }
    keys(settings).fallback = Some(Fallback { at: entry.key.span, settings: Box::new(own) });
}

impl Reader<'_> {
    /// One text; an empty one is none.
    fn filled(&mut self, entry: &Entry) -> Option<Text> {
        let text = self.text(entry)?;
        if !text.value.trim().is_empty() {
            return Some(text);
        }
        let message = format!("`{}` is empty", entry.key.value);
        self.report(Problem::at(Code::BadValue, text.span, message));
        None
    }
}
