//! `ready` and `health`: kinds of questions, and how they are asked.

use crate::manifest::node::{Entry, Kind, Node};
use crate::manifest::{Body, Check, Code, Problem, Span, Text, Variable};

use super::reader::{Line, Reader, Use};

/// What can be asked; the same for both.
const KINDS: &[Line<Check>] = &[
    ("http", Use::Read(http)),
    ("tcp", Use::Read(|r, c, e| c.tcp = r.text(e))),
    ("exec", Use::Read(|r, c, e| c.exec = r.command(e))),
    ("log", Use::Read(|r, c, e| c.log = r.text(e))),
    ("notify", Use::Read(|r, c, e| c.notify = r.switch(e))),
    ("image", Use::Read(|r, c, e| c.image = r.switch(e))),
    ("port", Use::Read(|r, c, e| c.port = r.text(e))),
    ("timeout", Use::Read(|r, c, e| c.timeout = r.text(e))),
];

/// What belongs to `http`; stands beside it or below it.
const HTTP: &[Line<Check>] = &[
    ("status", Use::Read(|r, c, e| c.status = r.status(e))),
    ("body", Use::Read(|r, c, e| c.body = r.body(e))),
    ("method", Use::Read(|r, c, e| c.method = r.text(e))),
    ("headers", Use::Read(|r, c, e| c.headers = r.headers(e))),
];

const URL: &[Line<Check>] = &[("url", Use::Read(|r, c, e| c.http = r.text(e)))];

/// How often a health check is asked, and what follows.
const HEALTH: &[Line<Check>] = &[
    ("interval", Use::Read(|r, c, e| c.interval = r.text(e))),
    ("retries", Use::Read(|r, c, e| c.retries = r.text(e))),
    ("start_period", Use::Read(|r, c, e| c.start_period = r.text(e))),
    ("on_failure", Use::Read(|r, c, e| c.on_failure = r.text(e))),
];

pub(super) fn ready(reader: &mut Reader<'_>, entry: &Entry) -> Option<Box<Check>> {
    check(reader, entry, &[KINDS, HTTP])
}

pub(super) fn health(reader: &mut Reader<'_>, entry: &Entry) -> Option<Box<Check>> {
    check(reader, entry, &[KINDS, HTTP, HEALTH])
}

fn check(reader: &mut Reader<'_>, entry: &Entry, table: &[&[Line<Check>]]) -> Option<Box<Check>> {
    let key = &*entry.key.value;
    let mut check = Box::new(Check { at: entry.key.span, ..Check::default() });
    match &entry.value.kind {
        Kind::Scalar { .. } => check.http = entry.value.text(),
        Kind::Map(entries) => {
            let before = reader.problems.len();
            reader.entries(entries, &format!("`{key}`"), table, &mut check);
            check.broken = reader.problems.len() != before;
        }
        Kind::Null | Kind::List(_) | Kind::Bad => {
            reader.wrong_now(key, &entry.value, "a URL or a map");
            return None;
        }
    }
    Some(check)
}

fn http(reader: &mut Reader<'_>, check: &mut Check, entry: &Entry) {
    let Kind::Map(entries) = &entry.value.kind else {
        check.http = reader.text_of("http", &entry.value, "a URL");
        return;
    };
    reader.entries(entries, "`http`", &[URL, HTTP], check);
    if !entries.iter().any(|entry| &*entry.key.value == "url") {
        reader.report(Problem::at(Code::Missing, entry.key.span, "`http` needs a `url`"));
    }
}

impl Reader<'_> {
    /// A question that is only asked or not: its place, where it is.
    fn switch(&mut self, entry: &Entry) -> Option<Span> {
        if self.boolean(entry)? {
            return Some(entry.key.span);
        }
        let message = format!("`{}: false` asks for nothing", entry.key.value);
        self.report(Problem::at(Code::BadValue, entry.value.span, message).hint("remove it"));
        None
    }

    /// One code or range, or a list of them.
    fn status(&mut self, entry: &Entry) -> Vec<Text> {
        match &entry.value.kind {
            Kind::List(items) => self.texts_in("status", items),
            Kind::Null | Kind::Scalar { .. } | Kind::Map(_) | Kind::Bad => {
                self.text_of("status", &entry.value, "a status code or a list of them").into_iter().collect()
            }
        }
    }

    /// A text that the body holds, or `{ regex: … }`.
    fn body(&mut self, entry: &Entry) -> Option<Body> {
        const BODY: &[Line<Option<Body>>] = &[
            ("regex", Use::Read(|r, body, e| *body = r.text(e).map(Body::Regex))),
            ("text", Use::Read(|r, body, e| *body = r.text(e).map(Body::Contains))),
        ];
        let Kind::Map(entries) = &entry.value.kind else {
            return self.text_of("body", &entry.value, "text or `{ regex: … }`").map(Body::Contains);
        };
        let mut body = None;
        self.entries(entries, "`body`", &[BODY], &mut body);
        if entries.len() != 1 {
            let problem =
                Problem::at(Code::BadValue, entry.key.span, "`body` is a text or one of `text`, `regex`");
            self.report(problem);
        }
        body
    }

    fn headers(&mut self, entry: &Entry) -> Vec<Variable> {
        let Some(entries) = self.map("headers", &entry.value) else { return Vec::new() };
        entries.iter().filter_map(|entry| self.header(&entry.key, &entry.value)).collect()
    }

    fn header(&mut self, name: &Text, value: &Node) -> Option<Variable> {
        let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        if name.value.is_empty() || !name.value.chars().all(token) {
            let message = format!("{:?} cannot be the name of a header", &*name.value);
            self.report(Problem::at(Code::BadName, name.span, message));
            return None;
        }
        let value = self.text_of(&name.value, value, "text")?;
        Some(Variable { name: name.clone(), value: Some(value) })
    }
}
