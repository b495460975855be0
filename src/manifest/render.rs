//! Problems as text for people: code, place, the lines with a caret, a hint.

use std::borrow::Cow;

use annotate_snippets::{AnnotationKind, Element, Group, Level, Origin, Renderer, Snippet};

use super::Span;
use super::place::floor;
use super::problem::{MOST_KEPT, Problem};
use crate::domain::acts;

/// So many problems are shown; nobody mends more at a time.
const MOST_SHOWN: usize = 50;
/// A longer piece of the file than this is not handed to the renderer, which looks at each line of it.
const MOST_SOURCE: usize = 64 << 10;
/// More places than this make one report unreadable.
const MOST_LABELS: usize = 12;

/// Problems as text for people: each with its code, its lines of the file, a caret and a hint.
/// Shows the first 50 and says how many more there are.
#[must_use]
pub fn render(problems: &[Problem], source_name: &str, text: &str, colour: bool) -> String {
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
    let source_name = visible(source_name);
    let text = &*shown_source(text);
    let mut out = String::new();
    for problem in problems.iter().take(MOST_SHOWN) {
        let report = [group(problem, &source_name, text)];
        out.push_str(&renderer.render(&report));
        out.push_str("\n\n");
    }
    let count = problems.len();
    let more = count.saturating_sub(MOST_SHOWN);
    let least = if count >= MOST_KEPT { "at least " } else { "" };
    let total = match (count, more) {
        (0 | 1, _) => String::new(),
        (_, 0) => format!("{count} problems in {source_name}\n"),
        _ => format!("and {least}{more} more: {least}{count} problems in {source_name}\n"),
    };
    out + &total
}

fn group<'a>(problem: &'a Problem, source_name: &'a str, text: &'a str) -> Group<'a> {
    let title = Level::ERROR.primary_title(visible(&problem.message)).id(problem.code.as_str());
    let mut group = Group::with_title(title);
    for element in places(problem, source_name, text) {
        group = group.element(element);
    }
    if let Some(hint) = &problem.hint {
        group = group.element(Level::HELP.message(visible(hint)));
    }
    group
}

/// The piece of the file that shows all places, or as many as fit.
fn places<'a>(problem: &'a Problem, source_name: &'a str, text: &'a str) -> Vec<Element<'a>> {
    let Some(primary) = problem.span else { return vec![Origin::path(source_name).into()] };
    let near = |span: Span| span.start.abs_diff(primary.start) as usize <= MOST_SOURCE / 2;
    let (shown, far): (Vec<_>, Vec<_>) =
        problem.labels.iter().partition(|label| near(label.span) && label.span != primary);
    let shown = &shown[..shown.len().min(MOST_LABELS)];
    let spans = || std::iter::once(primary).chain(shown.iter().map(|label| label.span));
    let begin = spans().map(|span| span.start).min().unwrap_or_default() as usize;
    let end = spans().map(|span| span.end).max().unwrap_or_default() as usize;
    let Some((piece, offset, first_line)) = piece(text, begin, end, spans().map(|span| span.line).min())
    else {
        let origin =
            Origin::path(source_name).line(primary.line as usize).char_column(primary.column as usize);
        return vec![origin.into()];
    };
    let range = |span: Span| {
        let start = (span.start as usize).clamp(offset, offset + piece.len()) - offset;
        let end = (span.end as usize).clamp(offset + start, offset + piece.len()) - offset;
        floor(piece, start)..floor(piece, end)
    };
    let mut mark = AnnotationKind::Primary.span(range(primary));
    if let Some(note) = &problem.note {
        mark = mark.label(visible(note));
    }
    let mut snippet = Snippet::source(piece).path(source_name).line_start(first_line).annotation(mark);
    for label in shown {
        snippet =
            snippet.annotation(AnnotationKind::Context.span(range(label.span)).label(visible(&label.text)));
    }
    let mut elements: Vec<Element<'a>> = vec![snippet.into()];
    for label in far.iter().filter(|label| label.span != primary).take(MOST_LABELS) {
        let note = format!("line {}: {}", label.span.line, visible(&label.text));
        elements.push(Level::NOTE.message(note).into());
    }
    elements
}

/// The lines that hold `begin..end`, with one line before; none if they are too long to show.
fn piece(text: &str, begin: usize, end: usize, line: Option<u32>) -> Option<(&str, usize, usize)> {
    let begin = floor(text, begin);
    let end = floor(text, end.max(begin));
    let start = text[..begin].rfind('\n').map_or(0, |newline| newline + 1);
    let stop = text[end..].find('\n').map_or(text.len(), |newline| end + newline);
    (stop - start <= MOST_SOURCE).then(|| (&text[start..stop], start, line.unwrap_or(1) as usize))
}

/// The manifest's text with a stand-in of the same length for each character that acts: all places stay true. The
/// renderer takes care of a few of them only, and an excerpt must not act where the file is looked at.
fn shown_source(text: &str) -> Cow<'_, str> {
    if !text.contains(|c| acts(c) && !matches!(c, '\n' | '\t')) {
        return text.into();
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        let ends_line = c == '\r' && rest.peek() == Some(&'\n');
        match c.len_utf8() {
            _ if !acts(c) || ends_line || matches!(c, '\n' | '\t') => out.push(c),
            1 => out.push('?'),
            2 => out.push('\u{bf}'),
            3 => out.push('\u{fffd}'),
            _ => out.push_str("\u{fffd}?"),
        }
    }
    out.into()
}

/// A text whose control characters cannot act on a terminal.
fn visible(text: &str) -> String {
    text.chars()
        .flat_map(|c| {
            let (escaped, plain) = if acts(c) { (Some(c.escape_default()), None) } else { (None, Some(c)) };
            escaped.into_iter().flatten().chain(plain)
        })
        .take(2_000)
        .collect()
}
