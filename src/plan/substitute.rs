//! `${…}` in a text: variables of the caller and of the env files, and ports of other services.
//!
//! It works on texts that YAML has already given, so a value can never become structure. A plain `$NAME` is left
//! alone: in a command it is the shell's.

use crate::manifest::Code;

/// Deepest nesting of defaults within defaults.
const MAX_DEPTH: usize = 16;

/// Where values come from.
pub(super) trait Source {
    /// The value of a variable.
    fn variable(&self, name: &str) -> Option<&str>;
    /// The port that `services.NAME.port` or `services.NAME.ports.PORT` means: the text behind `services.` is given.
    fn port(&self, reference: &str) -> Result<String, String>;
    /// A variable of a similar name.
    fn similar(&self, name: &str) -> Option<String>;
    /// Told of each value that is put in for a variable, a default among them.
    fn used(&self, _name: &str, _value: &str) {}
}

/// What is wrong, in which bytes of the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) code: Code,
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) message: String,
    pub(super) hint: Option<String>,
}

/// The text with all values in their places, or all that is wrong with it. No more than `budget` bytes are made.
pub(super) fn substitute(text: &str, source: &impl Source, budget: usize) -> Result<String, Vec<Fault>> {
    let mut run = Run { text, source, budget, faults: Vec::new() };
    let mut out = String::with_capacity(text.len());
    run.expand(0, text.len(), 0, &mut out);
    if run.faults.is_empty() { Ok(out) } else { Err(run.faults) }
}

struct Run<'a, S> {
    text: &'a str,
    source: &'a S,
    budget: usize,
    faults: Vec<Fault>,
}

impl<S: Source> Run<'_, S> {
    fn expand(&mut self, mut at: usize, end: usize, depth: usize, out: &mut String) {
        while let Some(dollar) = self.text[at..end].find('$').map(|found| at + found) {
            out.push_str(&self.text[at..dollar]);
            match self.text.as_bytes().get(dollar + 1).filter(|_| dollar + 1 < end) {
                Some(b'$') => {
                    out.push('$');
                    at = dollar + 2;
                }
                Some(b'{') => {
                    let Some(close) = self.closing(dollar + 2, end) else {
                        let hint = "close it with `}`, or write `$${` if the shell is meant";
                        return self.fault(
                            Code::BadSubstitution,
                            dollar,
                            end,
                            "this `${` is never closed",
                            hint,
                        );
                    };
                    self.reference(dollar, dollar + 2, close, depth, out);
                    at = close + 1;
                }
                _ => {
                    out.push('$');
                    at = dollar + 1;
                }
            }
            if out.len() > self.budget {
                let message = "the values that stand in for variables are too large together";
                return self.fault(Code::TooMuch, dollar, end, message, "use fewer or shorter variables");
            }
        }
        out.push_str(&self.text[at..end]);
    }

    /// The `}` that closes a `${` whose inside begins at `from`.
    fn closing(&self, from: usize, end: usize) -> Option<usize> {
        let bytes = self.text.as_bytes();
        let mut open = 1_usize;
        let mut at = from;
        while at < end {
            match bytes[at] {
                b'$' if bytes.get(at + 1) == Some(&b'{') => {
                    open += 1;
                    at += 1;
                }
                b'$' if bytes.get(at + 1) == Some(&b'$') => {
                    at += 1;
                    // `$${x}` is the shell's, and its `}` closes its own `{`.
                    if bytes.get(at + 1) == Some(&b'{') {
                        open += 1;
                        at += 1;
                    }
                }
                b'}' => {
                    open -= 1;
                    if open == 0 {
                        return Some(at);
                    }
                }
                _ => {}
            }
            at += 1;
        }
        None
    }

    fn reference(&mut self, dollar: usize, from: usize, close: usize, depth: usize, out: &mut String) {
        let inside = &self.text[from..close];
        if let Some(reference) = inside.strip_prefix("services.") {
            match self.source.port(reference) {
                Ok(port) => out.push_str(&port),
                Err(why) => self.fault(Code::BadReference, dollar, close + 1, &why, ""),
            }
            return;
        }
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let name_end = inside.find(|c| !word(c)).unwrap_or(inside.len());
        let (name, rest) = inside.split_at(name_end);
        if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
            return self.unreadable(dollar, close);
        }
        let value = self.source.variable(name);
        let (colon, operator) = match rest.strip_prefix(':') {
            Some(operator) => (true, operator),
            None => (false, rest),
        };
        let value = value.filter(|value| !(colon && value.is_empty()));
        let argument = close - operator.len().saturating_sub(1);
        match (operator.chars().next(), value) {
            (None, _) if colon => self.unreadable(dollar, close),
            (None | Some('-' | '?'), Some(value)) => {
                self.source.used(name, value);
                out.push_str(value);
            }
            (None, None) => self.unset(name, dollar, close),
            (Some('-'), None) | (Some('+'), Some(_)) => {
                let before = out.len();
                self.argument(argument, close, depth, out);
                self.source.used(name, &out[before..]);
            }
            (Some('+'), None) => {}
            (Some('?'), None) => {
                let mut said = String::new();
                self.argument(argument, close, depth, &mut said);
                let said = if said.is_empty() { "it must be set" } else { &said };
                let message = format!("variable `{name}` is not set: {said}");
                self.fault(Code::Unset, dollar, close + 1, &message, "");
            }
            (Some(_), _) => self.unreadable(dollar, close),
        }
    }

    fn argument(&mut self, from: usize, close: usize, depth: usize, out: &mut String) {
        if depth >= MAX_DEPTH {
            return self.fault(Code::BadSubstitution, from, close, "defaults are nested too deep", "");
        }
        self.expand(from, close, depth + 1, out);
    }

    fn unset(&mut self, name: &str, dollar: usize, close: usize) {
        let hint = match self.source.similar(name) {
            Some(near) => format!("is `{near}` meant? A default is written `${{{name}:-value}}`"),
            None => {
                format!("set it, or give a default: `${{{name}:-value}}`; the shell's own is `$${{{name}}}`")
            }
        };
        self.fault(Code::Unset, dollar, close + 1, &format!("variable `{name}` is not set"), &hint);
    }

    fn unreadable(&mut self, dollar: usize, close: usize) {
        let message = format!("`{}` cannot be read", &self.text[dollar..=close]);
        let hint =
            "it can be `${NAME}`, `${NAME:-default}`, `${NAME:?message}`; write `$${` if the shell is meant";
        self.fault(Code::BadSubstitution, dollar, close + 1, &message, hint);
    }

    fn fault(&mut self, code: Code, from: usize, to: usize, message: &str, hint: &str) {
        let hint = (!hint.is_empty()).then(|| hint.to_owned());
        // One text cannot have more faults than anybody reads.
        if self.faults.len() < 20 {
            self.faults.push(Fault { code, from, to, message: message.to_owned(), hint });
        }
    }
}

/// The text that [`substitute`] makes the given one of, whatever the variables are.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        let run = rest[at..].bytes().take_while(|byte| *byte == b'$').count();
        rest = &rest[at + run..];
        let alone = run == 1 && !rest.starts_with('{');
        out.push_str(&"$".repeat(if alone { 1 } else { run * 2 }));
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed;
    impl Source for Fixed {
        fn variable(&self, name: &str) -> Option<&str> {
            [("HOME", "/home/dev"), ("EMPTY", ""), ("TRICK", "a: [b]\n${HOME}")]
                .into_iter()
                .find(|(known, _)| *known == name)
                .map(|(_, value)| value)
        }
        fn port(&self, reference: &str) -> Result<String, String> {
            if reference == "api.port" { Ok("3000".to_owned()) } else { Err("no such port".to_owned()) }
        }
        fn similar(&self, _: &str) -> Option<String> {
            None
        }
    }

    fn run(text: &str) -> Result<String, Code> {
        substitute(text, &Fixed, 10_000).map_err(|faults| faults[0].code)
    }

    #[test]
    fn every_form() {
        for (text, value) in [
            ("plain", "plain"),
            ("${HOME}/x", "/home/dev/x"),
            ("$HOME $1 $", "$HOME $1 $"),
            ("$$ $${HOME} $$$$", "$ ${HOME} $$"),
            ("${NONE:-a b}", "a b"),
            ("${NONE-a}", "a"),
            ("[${EMPTY-a}|${EMPTY:-a}|${EMPTY}]", "[|a|]"),
            ("${HOME:+set}${NONE:+set}${EMPTY+set}", "setset"),
            ("${HOME:?must}", "/home/dev"),
            ("${NONE:-${ALSO:-${HOME}}}", "/home/dev"),
            ("${NONE:-$${x}}|${HOME:-$${x}}", "${x}|/home/dev"),
            ("http://localhost:${services.api.port}/", "http://localhost:3000/"),
        ] {
            assert_eq!(run(text).as_deref(), Ok(value), "{text}");
        }
    }

    #[test]
    fn a_value_is_never_read_again() {
        assert_eq!(run("${TRICK}").as_deref(), Ok("a: [b]\n${HOME}"));
    }

    #[test]
    fn every_fault() {
        for (text, code) in [
            ("${NONE}", Code::Unset),
            ("${NONE:?say}", Code::Unset),
            ("${EMPTY:?say}", Code::Unset),
            ("${HOME", Code::BadSubstitution),
            ("${}", Code::BadSubstitution),
            ("${1}", Code::BadSubstitution),
            ("${HOME:}", Code::BadSubstitution),
            ("${HOME%x}", Code::BadSubstitution),
            ("${a b}", Code::BadSubstitution),
            ("${services.db.port}", Code::BadReference),
        ] {
            assert_eq!(run(text), Err(code), "{text}");
        }
        let faults = substitute("${A} ${B:?because}", &Fixed, 100).expect_err("both unset");
        assert_eq!(faults.len(), 2);
        assert!(faults[1].message.contains("because"));
    }

    #[test]
    fn growth_and_depth_are_bounded() {
        assert_eq!(substitute(&"${HOME}".repeat(50), &Fixed, 100).map_err(|f| f[0].code), Err(Code::TooMuch));
        let deep = format!("{}x{}", "${N:-".repeat(10_000), "}".repeat(10_000));
        assert_eq!(run(&deep), Err(Code::BadSubstitution));
    }

    proptest::proptest! {

        #![proptest_config(crate::chance::config())]

        #[test]
        fn what_is_escaped_comes_back(text in "[a${}:$-]{0,20}") {
            proptest::prop_assert_eq!(run(&escape(&text)), Ok(text));
        }
    }
}
