//! The top of a manifest: the stack's own keys, the services, the sweep.

use crate::domain::UnitName;
use crate::manifest::node::{Entry, Kind, Node};
use crate::manifest::{Code, EnvFileRef, Manifest, Problem, Service, Settings, Span, Sweep};

use super::reader::{Line, Reader, Use, wrong};
use super::{container, limits, monitor, service};

const STACK: &[Line<Manifest>] = &[
    ("name", Use::Read(|r, m, e| m.name = r.text(e))),
    ("env_file", Use::Read(|r, m, e| m.env_files = r.env_files(e))),
    ("environment", Use::Read(|r, m, e| m.environment = r.variables(e))),
    ("defaults", Use::Read(|r, m, e| m.defaults = service::defaults(r, e))),
    ("services", Use::Read(services)),
    ("volumes", Use::Read(|r, m, e| m.volumes = container::named_volumes(r, e))),
    ("limits", Use::Read(|r, m, e| m.limits = limits::stack(r, e))),
    ("sweep", Use::Read(|r, m, e| m.sweep = sweep(r, e))),
    ("monitor", Use::Read(|r, m, e| m.monitor = monitor::monitor(r, e))),
    ("budgets", Use::Read(|r, m, e| m.budgets = monitor::budgets(r, e))),
    ("dashboard", Use::NotYet),
];

const SWEEP: &[Line<Sweep>] = &[
    ("patterns", Use::Read(|r, s, e| s.patterns = r.texts(e))),
    ("scope", Use::Read(|r, s, e| s.scope = r.text(e))),
];

const ENV_FILE: &[Line<(Option<crate::manifest::Text>, bool)>] = &[
    ("path", Use::Read(|r, file, e| file.0 = r.text(e))),
    ("required", Use::Read(|r, file, e| file.1 = r.boolean(e).unwrap_or(true))),
];

const EXAMPLE: &str = "the least is `services: { web: { command: npm start } }`";

pub(super) fn read(reader: &mut Reader<'_>, root: &Node, whole: Span) -> Option<Manifest> {
    let entries = match &root.kind {
        Kind::Map(entries) => entries,
        Kind::Null => {
            reader.report(Problem::at(Code::Missing, whole, "the manifest is empty").hint(EXAMPLE));
            return None;
        }
        Kind::Scalar { .. } | Kind::List(_) | Kind::Bad => {
            let message = format!("a manifest must be a map, not {}", root.word());
            reader.report(Problem::at(Code::WrongType, root.span, message).hint(EXAMPLE));
            return None;
        }
    };
    let mut manifest = Manifest::default();
    reader.entries(entries, "a manifest", &[STACK], &mut manifest);
    let has_services = entries.iter().any(|entry| &*entry.key.value == "services");
    if !has_services && !reader.misspelt("services", entries, &[STACK]) {
        reader.report(Problem::at(Code::Missing, whole, "there are no `services`").hint(EXAMPLE));
    }
    Some(manifest)
}

fn services(reader: &mut Reader<'_>, manifest: &mut Manifest, entry: &Entry) {
    if let Kind::List(_) = entry.value.kind {
        let problem = wrong("services", &entry.value, "a map");
        let problem =
            problem.map(|problem| problem.hint("write each service as `name:` with its keys below"));
        return reader.problems_from(problem);
    }
    let Some(entries) = reader.map("services", &entry.value) else { return };
    if entries.is_empty() {
        reader.report(Problem::at(Code::Missing, entry.key.span, "`services` is empty").hint(EXAMPLE));
    }
    manifest.services.reserve(entries.len());
    for entry in entries {
        let name = match UnitName::parse(&entry.key.value) {
            Ok(name) => name,
            Err(error) => {
                reader.report(Problem::at(Code::BadName, entry.key.span, error.to_string()));
                // Its content is read all the same: its problems count as well.
                service::read(reader, entry, &mut Settings::default());
                continue;
            }
        };
        let mut settings = Settings::default();
        if service::read(reader, entry, &mut settings) {
            manifest.services.push(Service { name, at: entry.key.span, settings });
        } else {
            manifest.broken.push(name);
        }
    }
}

fn sweep(reader: &mut Reader<'_>, entry: &Entry) -> Sweep {
    let mut sweep = Sweep::default();
    if let Some(entries) = reader.map("sweep", &entry.value) {
        reader.entries(entries, "`sweep`", &[SWEEP], &mut sweep);
    }
    sweep
}

impl Reader<'_> {
    /// A path, or a list of paths and of `{path, required}`.
    pub(super) fn env_files(&mut self, entry: &Entry) -> Vec<EnvFileRef> {
        let one = std::slice::from_ref(&entry.value);
        let items: &[Node] = match &entry.value.kind {
            Kind::List(items) => items,
            Kind::Null => &[],
            Kind::Scalar { .. } | Kind::Map(_) | Kind::Bad => one,
        };
        items.iter().filter_map(|item| self.env_file(item)).collect()
    }

    fn env_file(&mut self, node: &Node) -> Option<EnvFileRef> {
        let Kind::Map(entries) = &node.kind else {
            let path = self.text_of("env_file", node, "a path or `{path, required}`")?;
            return Some(EnvFileRef { path, required: true });
        };
        let mut file = (None, true);
        self.entries(entries, "an env file", &[ENV_FILE], &mut file);
        if !entries.iter().any(|entry| &*entry.key.value == "path") {
            self.report(Problem::at(Code::Missing, node.span, "an env file needs a `path`"));
        }
        let (path, required) = file;
        path.map(|path| EnvFileRef { path, required })
    }

    /// `true` or `false`.
    pub(super) fn boolean(&mut self, entry: &Entry) -> Option<bool> {
        let text = self.text_of(&entry.key.value, &entry.value, "true or false")?;
        match &*text.value {
            "true" => Some(true),
            "false" => Some(false),
            other => {
                let message = format!("`{}` must be true or false, not `{other}`", entry.key.value);
                self.report(Problem::at(Code::WrongType, text.span, message));
                None
            }
        }
    }
}
