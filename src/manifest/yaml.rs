//! YAML in and out: the only file that knows which YAML crate is used.
//!
//! Reading goes by serde-saphyr's own event parser and not by its deserializer, because that one ends at the first
//! problem, and because what is built here costs no memory for an alias and no stack for depth.

use std::collections::HashMap;
use std::sync::Arc;

use serde::Serialize;
use serde_saphyr::granit_parser::{self as yaml, ErrorKind, Event, Marker, ScalarStyle};

use super::node::{Entry, Kind, Node};
use super::place::on_one_line;
use super::{Code, Problem, Span, Text, problem::Problems};

/// Deepest nesting; far above what a manifest needs, far below what recursion can bear.
const MAX_DEPTH: usize = 64;
/// Most values once all aliases are written out.
const MAX_NODES: usize = 1_000_000;
/// So many keys are compared pair by pair, which is quicker than a table.
const FEW: usize = 12;
/// So many bytes of text count as one value more.
const BYTES_PER_NODE: usize = 32;

/// Serialises a value as YAML.
pub(crate) fn emit<T: Serialize>(value: &T) -> String {
    // Plain data with text keys cannot fail to serialise; if it did, a visible text is better than none.
    serde_saphyr::to_string(value).unwrap_or_else(|error| format!("# {error}\n"))
}

/// The tree of a text. None means that it is not YAML at all (and the problems say why).
pub(super) fn read(text: &str, problems: &mut Problems) -> Option<Node> {
    let mut options = yaml::Options::default();
    options.flow_nesting_limit = MAX_DEPTH;
    options.block_nesting_limit = MAX_DEPTH;
    options.emit_unresolved_aliases = true;
    options.set_emit_comments(false);
    let mut builder =
        Builder { text, problems, frames: Vec::new(), anchors: HashMap::new(), total: 0, root: None };
    for event in yaml::Parser::new_from_str_with_options(text, options) {
        let step = match event {
            Ok((event, span)) => builder.event(event, span),
            Err(error) => Err(scan_problem(text, error.kind(), *error.marker())),
        };
        if let Err(problem) = step {
            builder.problems.push(problem);
            return None;
        }
    }
    let root = builder.root.take();
    Some(root.map_or(Node::new(Span::default(), Kind::Null), |built| built.node))
}

/// A value with what it costs once its aliases are written out.
#[derive(Clone)]
struct Built {
    node: Node,
    weight: usize,
    height: usize,
}

/// A list or map that is not closed yet.
struct Frame {
    start: Marker,
    anchor: usize,
    weight: usize,
    height: usize,
    shape: Shape,
}

enum Shape {
    List(Vec<Node>),
    /// `key` is set while its value is awaited.
    Map {
        entries: Vec<Entry>,
        merges: Vec<Node>,
        key: Option<Key>,
    },
}

enum Key {
    Text(Text),
    /// `<<`.
    Merge,
    /// No text; reported.
    Bad,
}

struct Builder<'a> {
    text: &'a str,
    problems: &'a mut Problems,
    frames: Vec<Frame>,
    anchors: HashMap<usize, Built>,
    total: usize,
    root: Option<Built>,
}

type Step = Result<(), Problem>;

impl Builder<'_> {
    fn event(&mut self, event: Event<'_>, span: yaml::Span) -> Step {
        match event {
            Event::DocumentStart(..) if self.root.is_some() => {
                let problem =
                    Problem::at(Code::Syntax, point(self.text, span.start), "a second document begins");
                Err(problem.hint("a manifest is one document: remove the `---`"))
            }
            Event::Alias(id) => self.alias(id, self.span(span)),
            Event::UnresolvedAlias(name) => {
                let place = self.span(span);
                let message = format!("no anchor `&{name}` stands before this alias");
                self.problems.push(Problem::at(Code::Syntax, place, message));
                self.add(Built { node: Node::new(place, Kind::Bad), weight: 1, height: 0 });
                Ok(())
            }
            Event::Scalar(value, style, anchor, tag) => {
                self.scalar(&value, style, anchor, tag.as_deref(), self.span(span))
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.open(span, anchor, tag.as_deref(), Shape::List(Vec::new()))
            }
            Event::MappingStart(_, anchor, tag) => {
                let shape = Shape::Map { entries: Vec::new(), merges: Vec::new(), key: None };
                self.open(span, anchor, tag.as_deref(), shape)
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(span.end),
            _ => Ok(()),
        }
    }

    fn span(&self, span: yaml::Span) -> Span {
        between(self.text, span.start, span.end)
    }

    fn count(&mut self, weight: usize, at: Span) -> Step {
        self.total = self.total.saturating_add(weight);
        if self.total <= MAX_NODES {
            return Ok(());
        }
        let message =
            format!("the manifest has more than {MAX_NODES} values once its aliases are written out");
        Err(Problem::at(Code::TooMuch, at, message)
            .hint("no stack needs so many: check the anchors and aliases"))
    }

    fn alias(&mut self, id: usize, at: Span) -> Step {
        let Some(built) = self.anchors.get(&id).cloned() else {
            let message = "this alias stands inside the value that it names";
            return Err(Problem::at(Code::Syntax, at, message));
        };
        // Depth through aliases is not seen by the parser, yet readers and destructors recurse through it.
        if built.height + self.frames.len() > MAX_DEPTH {
            return Err(too_deep(at));
        }
        self.count(built.weight, at)?;
        self.add(Built { node: Node::new(at, built.node.kind), ..built });
        Ok(())
    }

    fn scalar(
        &mut self,
        value: &str,
        style: ScalarStyle,
        anchor: usize,
        tag: Option<&yaml::Tag>,
        at: Span,
    ) -> Step {
        let weight = 1 + value.len() / BYTES_PER_NODE;
        self.count(weight, at)?;
        let tagged_text = tag.is_some_and(|tag| tag.is_yaml_core_schema_tag("str"));
        let kind = if !self.tag_is_known(tag, at) {
            Kind::Bad
        } else if style == ScalarStyle::Plain && !tagged_text && is_null(value) {
            Kind::Null
        } else {
            Kind::Scalar { value: Arc::from(value), verbatim: verbatim(self.text, at, value) }
        };
        let merge = style == ScalarStyle::Plain && !tagged_text && value == "<<";
        if merge && self.awaits_key() {
            self.merge_key(at);
            return Ok(());
        }
        let built = Built { node: Node::new(at, kind), weight, height: 0 };
        if anchor != 0 {
            self.anchors.insert(anchor, built.clone());
        }
        self.add(built);
        Ok(())
    }

    fn tag_is_known(&mut self, tag: Option<&yaml::Tag>, at: Span) -> bool {
        let Some(tag) = tag else { return true };
        let known = ["str", "int", "float", "bool", "null", "map", "seq"];
        if known.iter().any(|suffix| tag.is_yaml_core_schema_tag(suffix)) {
            return true;
        }
        let problem =
            Problem::at(Code::Syntax, at, format!("the tag `{}` means nothing here", tag.original()));
        self.problems.push(problem.hint("remove the tag"));
        false
    }

    fn open(&mut self, span: yaml::Span, anchor: usize, tag: Option<&yaml::Tag>, shape: Shape) -> Step {
        let at = point(self.text, span.start);
        self.count(1, at)?;
        self.tag_is_known(tag, at);
        if self.frames.len() >= MAX_DEPTH {
            return Err(too_deep(at));
        }
        self.frames.push(Frame { start: span.start, anchor, weight: 1, height: 1, shape });
        Ok(())
    }

    fn close(&mut self, end: Marker) -> Step {
        let Some(frame) = self.frames.pop() else { return Ok(()) };
        let span = between(self.text, frame.start, end);
        let mut weight = frame.weight;
        let kind = match frame.shape {
            Shape::List(items) => Kind::List(items.into()),
            Shape::Map { entries, merges, .. } => {
                let mut entries = self.unique(entries);
                for merge in &merges {
                    weight += self.merge(&mut entries, merge)?;
                }
                Kind::Map(entries.into())
            }
        };
        let built = Built { node: Node::new(span, kind), weight, height: frame.height };
        if frame.anchor != 0 {
            self.anchors.insert(frame.anchor, built.clone());
        }
        self.add(built);
        Ok(())
    }

    /// Puts a finished value where it belongs.
    fn add(&mut self, built: Built) {
        let Some(frame) = self.frames.last_mut() else {
            self.root = Some(built);
            return;
        };
        frame.weight += built.weight;
        frame.height = frame.height.max(built.height + 1);
        let mut node = built.node;
        match &mut frame.shape {
            Shape::List(items) => items.push(node),
            Shape::Map { entries, merges, key } => match key.take() {
                None => {
                    let text = node.text();
                    if text.is_none() && !matches!(node.kind, Kind::Bad) {
                        let message = format!("a key must be text, not {}", node.word());
                        self.problems.push(Problem::at(Code::WrongType, node.span, message));
                    }
                    *key = Some(text.map_or(Key::Bad, Key::Text));
                }
                Some(Key::Bad) => {}
                Some(Key::Merge) => merges.push(node),
                Some(Key::Text(text)) => {
                    // The parser places a value that is not written at the next token, which may be lines away.
                    if matches!(node.kind, Kind::Null) && node.span.start == node.span.end {
                        node.span = text.span;
                    }
                    entries.push(Entry { key: text, value: node });
                }
            },
        }
    }

    fn awaits_key(&self) -> bool {
        matches!(self.frames.last(), Some(Frame { shape: Shape::Map { key: None, .. }, .. }))
    }

    fn merge_key(&mut self, at: Span) {
        if let Some(Frame { shape: Shape::Map { key, merges, .. }, .. }) = self.frames.last_mut() {
            if let Some(first) = merges.first() {
                let problem = Problem::at(Code::Duplicate, at, "`<<` stands here twice");
                let hint = "merge several maps with one `<<: [*a, *b]`";
                self.problems.push(problem.label(first.span, "the first").hint(hint));
            }
            *key = Some(Key::Merge);
        }
    }

    /// Adds what `<<` names; a key that is there already wins. Gives what the added values weigh.
    fn merge(&mut self, entries: &mut Vec<Entry>, from: &Node) -> Result<usize, Problem> {
        let sources: &[Node] = match &from.kind {
            Kind::List(items) => items,
            Kind::Map(_) => std::slice::from_ref(from),
            Kind::Bad => &[],
            Kind::Null | Kind::Scalar { .. } => {
                self.problems.push(not_a_map(from));
                &[]
            }
        };
        let mut added = 0;
        for source in sources {
            let more = match &source.kind {
                Kind::Map(more) => more,
                Kind::Bad => continue,
                Kind::Null | Kind::Scalar { .. } | Kind::List(_) => {
                    self.problems.push(not_a_map(source));
                    continue;
                }
            };
            self.count(more.len(), from.span)?;
            added += more.len();
            let known: std::collections::HashSet<Arc<str>> =
                entries.iter().map(|entry| Arc::clone(&entry.key.value)).collect();
            self.count(known.len() / 4, from.span)?;
            entries.extend(more.iter().filter(|entry| !known.contains(&entry.key.value)).cloned());
        }
        Ok(added)
    }

    /// The entries without those whose key stood before; each of those is a problem.
    fn unique(&mut self, entries: Vec<Entry>) -> Vec<Entry> {
        let same = |(at, entry): (usize, &Entry)| {
            entries[..at].iter().any(|before| before.key.value == entry.key.value)
        };
        if entries.len() <= FEW && !entries.iter().enumerate().any(same) {
            return entries;
        }
        let first_of: HashMap<Arc<str>, Span> =
            entries.iter().rev().map(|entry| (Arc::clone(&entry.key.value), entry.key.span)).collect();
        if first_of.len() == entries.len() {
            return entries;
        }
        let noun = if self.is_in_services() { "service" } else { "key" };
        let mut kept = Vec::with_capacity(first_of.len());
        for entry in entries {
            match first_of.get(&entry.key.value) {
                Some(first) if *first != entry.key.span => {
                    let message = format!("{noun} `{}` stands here twice", entry.key.value);
                    let problem = Problem::at(Code::Duplicate, entry.key.span, message);
                    self.problems.push(problem.note("again").label(*first, "the first"));
                }
                _ => kept.push(entry),
            }
        }
        kept
    }

    /// Whether the map that is just being closed is `services`.
    fn is_in_services(&self) -> bool {
        match self.frames.as_slice() {
            [Frame { shape: Shape::Map { key: Some(Key::Text(key)), .. }, .. }] => &*key.value == "services",
            _ => false,
        }
    }
}

fn point(text: &str, at: Marker) -> Span {
    let start = at.byte_offset().unwrap_or(0);
    on_one_line(text, start, start + 1, at.line(), at.col() + 1)
}

fn between(text: &str, start: Marker, end: Marker) -> Span {
    let (from, to) = (start.byte_offset().unwrap_or(0), end.byte_offset().unwrap_or(0));
    on_one_line(text, from, to, start.line(), start.col() + 1)
}

fn is_null(value: &str) -> bool {
    matches!(value, "" | "~" | "null" | "Null" | "NULL")
}

/// Where the text begins in the file, if it stands there byte by byte.
fn verbatim(text: &str, at: Span, value: &str) -> Option<u32> {
    let raw = text.get(at.start as usize..at.end as usize)?;
    let quoted = raw.starts_with(['"', '\'']);
    let (bare, skip) = if quoted { (raw.get(1..raw.len().checked_sub(1)?)?, 1) } else { (raw, 0) };
    (bare == value).then_some(at.start + skip)
}

fn not_a_map(node: &Node) -> Problem {
    Problem::at(Code::WrongType, node.span, format!("`<<` merges maps, not {}", node.word()))
}

fn too_deep(at: Span) -> Problem {
    Problem::at(Code::TooMuch, at, format!("the manifest is nested more than {MAX_DEPTH} levels deep"))
}

/// What the parser could not read, in words for people.
fn scan_problem(text: &str, kind: &ErrorKind, marker: Marker) -> Problem {
    let at = point(text, marker);
    if *kind == ErrorKind::RecursionLimitExceeded {
        return too_deep(at);
    }
    let start = at.start as usize;
    let line_start = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
    let line = text[line_start..].lines().next().unwrap_or_default();
    let blank = line.len() - line.trim_start_matches([' ', '\t']).len();
    if let Some(tab) = line[..blank].find('\t') {
        let column = u32::try_from(tab).unwrap_or(u32::MAX);
        let begin = u32::try_from(line_start).unwrap_or(u32::MAX).saturating_add(column);
        let place = Span { start: begin, end: begin + 1, line: at.line, column: column + 1 };
        return Problem::at(Code::Tab, place, "a tab stands in the indentation")
            .note("this is a tab")
            .hint(format!("YAML is indented with spaces only{}", other_tabs(text, at.line)));
    }
    let problem = Problem::at(Code::Syntax, at, format!("this is not YAML: {kind}"));
    let quote = line.contains("${") && line.contains(['[', '{']);
    match kind {
        ErrorKind::ExpectedFlowSequenceSeparator | ErrorKind::ExpectedFlowMappingSeparator if quote => {
            problem.hint("a value with `${…}` inside `[…]` or `{…}` must be quoted")
        }
        ErrorKind::MappingValueNotAllowed | ErrorKind::InvalidColonPlacement => {
            problem.hint("a text that holds `: ` must be quoted")
        }
        ErrorKind::UnexpectedCharacter { .. } => {
            problem.hint("a text that begins with a special character must be quoted")
        }
        ErrorKind::UnclosedFlowCollection { .. } | ErrorKind::UnclosedQuotedScalar => {
            problem.hint("it is opened here and never closed")
        }
        _ => problem,
    }
}

fn other_tabs(text: &str, but: u32) -> String {
    let tabbed = |line: &str| line[..line.len() - line.trim_start_matches([' ', '\t']).len()].contains('\t');
    let lines: Vec<String> = text
        .lines()
        .zip(1_u32..)
        .filter(|(line, number)| *number != but && tabbed(line))
        .map(|(_, number)| number.to_string())
        .take(6)
        .collect();
    match lines.as_slice() {
        [] => String::new(),
        [most @ .., _] if lines.len() > 5 => format!("; so stand lines {} and more", most.join(", ")),
        _ => format!("; so stand lines {}", lines.join(", ")),
    }
}
