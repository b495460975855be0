//! The reader's tools: tables of keys, and values taken in the shape that is wanted or reported.

use std::collections::HashMap;
use std::sync::Arc;

use crate::manifest::near::nearest;
use crate::manifest::node::{Entry, Kind, Node};
use crate::manifest::problem::Problems;
use crate::manifest::{Code, Command, Problem, Span, Text, Variable};

pub(super) struct Reader<'a> {
    pub(super) problems: &'a mut Problems,
}

/// What is done with a key.
pub(super) enum Use<T> {
    /// It is read into the target.
    Read(fn(&mut Reader<'_>, &mut T, &Entry)),
    /// It is known, but its feature is not there yet: refused, never ignored.
    NotYet,
}

/// One line of a table of keys.
pub(super) type Line<T> = (&'static str, Use<T>);

/// Words of other tools, and ours for them.
const FOREIGN: &[(&str, &str)] = &[
    ("args", "command"),
    ("availability", "restart"),
    ("cmd", "command"),
    ("cwd", "working_dir"),
    ("depends", "depends_on"),
    ("dir", "working_dir"),
    ("directory", "working_dir"),
    ("dotenv", "env_file"),
    ("env", "environment"),
    ("exec", "command"),
    ("grace", "stop_grace_period"),
    ("healthcheck", "health"),
    ("is_daemon", "type"),
    ("liveness_probe", "health"),
    ("name", "container_name"),
    ("needs", "depends_on"),
    ("network_mode", "network"),
    ("networks", "network"),
    ("port", "ports"),
    ("processes", "services"),
    ("pull", "pull_policy"),
    ("readiness_probe", "ready"),
    ("run", "command"),
    ("script", "command"),
    ("shutdown", "stop_command"),
    ("test", "exec"),
    ("url", "http"),
    ("workdir", "working_dir"),
];

impl Reader<'_> {
    pub(super) fn report(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    /// Reads each entry of a map by its table. `place` says what the map is: "a service".
    pub(super) fn entries<T>(&mut self, map: &[Entry], place: &str, table: &[&[Line<T>]], target: &mut T) {
        for entry in map {
            let name = &*entry.key.value;
            let found = lines(table).find(|(known, _)| *known == name);
            match found {
                Some((_, Use::Read(read))) => read(self, target, entry),
                Some((_, Use::NotYet)) => self.not_yet(&entry.key),
                None if name.starts_with("x-") => {}
                None => self.unknown(&entry.key, place, table),
            }
        }
    }

    /// Whether `wanted` is not in the map because its key is misspelt, which is told already.
    pub(super) fn misspelt<T>(&self, wanted: &str, map: &[Entry], table: &[&[Line<T>]]) -> bool {
        let is_known = |name: &&str| lines(table).any(|(known, _)| known == name);
        let mut strangers = map.iter().map(|entry| &*entry.key.value).filter(|name| !is_known(name));
        strangers.any(|name| !self.problems.worth_a_hint() || meant(name, table) == Some(wanted))
    }

    pub(super) fn not_yet(&mut self, key: &Text) {
        let name = &key.value;
        let problem = Problem::at(Code::NotYet, key.span, format!("`{name}` is not supported yet"));
        self.report(problem.hint(format!("remove it, or keep it for later as `x-{name}`")));
    }

    fn unknown<T>(&mut self, key: &Text, place: &str, table: &[&[Line<T>]]) {
        let name = &*key.value;
        let problem = Problem::at(Code::UnknownKey, key.span, format!("{place} has no key `{name}`"));
        if !self.problems.worth_a_hint() {
            return self.report(problem);
        }
        let hint = meant(name, table).map_or_else(
            || {
                let there = lines(table).filter(|(_, used)| matches!(used, Use::Read(_)));
                let all: Vec<&str> = there.map(|(known, _)| *known).collect();
                format!("its keys are {}; your own may begin with `x-`", all.join(", "))
            },
            |near| format!("is `{near}` meant?"),
        );
        self.report(problem.hint(hint));
    }

    pub(super) fn wrong_now(&mut self, key: &str, node: &Node, wanted: &str) {
        if let Some(problem) = wrong(key, node, wanted) {
            self.report(problem);
        }
    }

    /// One text.
    pub(super) fn text(&mut self, entry: &Entry) -> Option<Text> {
        self.text_of(&entry.key.value, &entry.value, "text")
    }

    /// One text, where the message says what it is for ("a duration").
    pub(super) fn text_of(&mut self, key: &str, node: &Node, wanted: &str) -> Option<Text> {
        let text = node.text();
        if text.is_none() {
            self.wrong_now(key, node, wanted);
        }
        text
    }

    /// A list of texts; each stands there once.
    pub(super) fn texts(&mut self, entry: &Entry) -> Vec<Text> {
        let key = &*entry.key.value;
        let texts = match &entry.value.kind {
            Kind::List(items) => self.texts_in(key, items),
            Kind::Scalar { value, .. } => {
                let hint = format!("write `{key}: [{value}]`");
                let problem = wrong(key, &entry.value, "a list").map(|problem| problem.hint(hint));
                self.problems_from(problem);
                Vec::new()
            }
            Kind::Null => Vec::new(),
            Kind::Map(_) | Kind::Bad => {
                self.wrong_now(key, &entry.value, "a list");
                Vec::new()
            }
        };
        self.once_each(key, &texts);
        texts
    }

    pub(super) fn problems_from(&mut self, problem: impl IntoIterator<Item = Problem>) {
        problem.into_iter().for_each(|problem| self.report(problem));
    }

    pub(super) fn texts_in(&mut self, key: &str, items: &[Node]) -> Vec<Text> {
        let inner = format!("{key}[]");
        items.iter().filter_map(|item| self.text_of(&inner, item, "text")).collect()
    }

    pub(super) fn once_each(&mut self, key: &str, texts: &[Text]) {
        let mut first: HashMap<&str, Span> = HashMap::with_capacity(texts.len());
        for text in texts {
            if let Some(before) = first.get(&*text.value) {
                let message = format!("`{}` stands twice in `{key}`", text.value);
                let problem = Problem::at(Code::Duplicate, text.span, message);
                self.problems.push(problem.note("again").label(*before, "the first"));
            } else {
                first.insert(&text.value, text.span);
            }
        }
    }

    /// A map, nothing being an empty one.
    pub(super) fn map<'n>(&mut self, key: &str, node: &'n Node) -> Option<&'n [Entry]> {
        match &node.kind {
            Kind::Map(entries) => Some(entries),
            Kind::Null => Some(&[]),
            Kind::Scalar { .. } | Kind::List(_) | Kind::Bad => {
                self.wrong_now(key, node, "a map");
                None
            }
        }
    }

    /// A shell command or a list of program and arguments.
    pub(super) fn command(&mut self, entry: &Entry) -> Option<Command> {
        let key = &*entry.key.value;
        match &entry.value.kind {
            Kind::Scalar { .. } => entry.value.text().map(Command::Shell),
            Kind::List(items) => {
                let before = self.problems.len();
                let argv = self.texts_in(key, items);
                // An argument that could not be read must not silently be missing from the rest.
                (self.problems.len() == before).then_some(Command::Exec(argv, entry.value.span))
            }
            Kind::Null => {
                let problem = Problem::at(Code::NoCommand, entry.key.span, format!("`{key}` is empty"));
                self.report(problem.hint("write the command behind it"));
                None
            }
            Kind::Map(_) | Kind::Bad => {
                self.wrong_now(key, &entry.value, "text (for the shell) or a list (executed as it is)");
                None
            }
        }
    }

    /// Variables or labels: a map, or a list of `NAME=value`.
    pub(super) fn variables(&mut self, entry: &Entry) -> Vec<Variable> {
        let key = &*entry.key.value;
        let variables: Vec<Variable> = match &entry.value.kind {
            Kind::Null => Vec::new(),
            Kind::Map(entries) => entries.iter().filter_map(|entry| self.variable(entry)).collect(),
            Kind::List(items) => {
                let texts = self.texts_in(key, items);
                let variables: Vec<Variable> = texts.iter().map(split).collect();
                let names: Vec<Text> = variables.iter().map(|variable| variable.name.clone()).collect();
                self.once_each(key, &names);
                variables
            }
            Kind::Scalar { .. } | Kind::Bad => {
                self.wrong_now(key, &entry.value, "a map or a list of NAME=value");
                Vec::new()
            }
        };
        variables.into_iter().filter(|variable| self.variable_name(key, &variable.name)).collect()
    }

    fn variable(&mut self, entry: &Entry) -> Option<Variable> {
        let name = entry.key.clone();
        if matches!(entry.value.kind, Kind::Null) {
            return Some(Variable { name, value: None });
        }
        let value = self.text_of(&name.value, &entry.value, "text")?;
        Some(Variable { name, value: Some(value) })
    }

    fn variable_name(&mut self, key: &str, name: &Text) -> bool {
        let text = &*name.value;
        let bad =
            |c: char| c == '=' || c.is_whitespace() || c.is_control() || (c == '$' && key == "environment");
        if !text.is_empty() && !text.contains(bad) {
            return true;
        }
        let problem = Problem::at(Code::BadName, name.span, format!("{text:?} cannot be a name in `{key}`"));
        self.report(problem.hint("a name holds no `=`, `$` or blanks"));
        false
    }
}

/// What is wrong with a value of the wrong shape; nothing where the value itself was reported already.
pub(super) fn wrong(key: &str, node: &Node, wanted: &str) -> Option<Problem> {
    match node.kind {
        Kind::Bad => None,
        Kind::Null => {
            let problem = Problem::at(Code::WrongType, node.span, format!("`{key}` is empty"));
            Some(problem.hint(format!("it must be {wanted}")))
        }
        Kind::Scalar { .. } | Kind::List(_) | Kind::Map(_) => {
            let message = format!("`{key}` must be {wanted}, not {}", node.word());
            Some(Problem::at(Code::WrongType, node.span, message))
        }
    }
}

/// The known key that an unknown one most likely means.
fn meant<T>(name: &str, table: &[&[Line<T>]]) -> Option<&'static str> {
    let known = || lines(table).map(|(known, _)| *known);
    let ours = FOREIGN.iter().find(|(theirs, ours)| *theirs == name && known().any(|word| word == *ours));
    ours.map(|(_, ours)| *ours).or_else(|| nearest(name, known()))
}

fn lines<'t, T>(table: &'t [&'t [Line<T>]]) -> impl Iterator<Item = &'t Line<T>> {
    table.iter().flat_map(|lines| lines.iter())
}

/// `NAME=value`, or `NAME` alone.
fn split(text: &Text) -> Variable {
    let Some(at) = text.value.find('=') else { return Variable { name: text.clone(), value: None } };
    let cut = |from: usize, to: usize| Text {
        value: Arc::from(&text.value[from..to]),
        span: text.span.part(&text.value, text.verbatim, from, to),
        verbatim: text.verbatim.map(|begin| begin + u32::try_from(from).unwrap_or(u32::MAX)),
    };
    Variable { name: cut(0, at), value: Some(cut(at + 1, text.value.len())) }
}
