//! A command as text becomes words, as a shell would split it; but no shell runs it, so nothing is expanded.

use crate::manifest::Code;

use super::values::Fault;

/// What only a shell understands. Given to a program as a word it is never what was meant.
const OF_A_SHELL: [&str; 9] = ["&&", "||", "|", ";", "&", ">", ">>", "<", "2>&1"];

/// The words of a text: blanks part them, quotes and backslashes hold them together.
pub(super) fn split(text: &str) -> Result<Vec<String>, Fault> {
    let mut words = Vec::new();
    let mut rest = text.chars().peekable();
    while rest.peek().is_some() {
        if rest.next_if(|c| c.is_whitespace()).is_some() {
            continue;
        }
        let mut word = Word::default();
        while let Some(c) = rest.next_if(|c| !c.is_whitespace()) {
            word.take(c, &mut rest)?;
        }
        if !word.quoted && OF_A_SHELL.contains(&word.text.as_str()) {
            let fault =
                Fault::new(Code::BadValue, format!("no shell runs this: `{}` would be a word", word.text));
            return Err(fault.hint("write `[sh, -c, \"…\"]` for a shell inside, or quote it"));
        }
        words.push(word.text);
    }
    Ok(words)
}

#[derive(Default)]
struct Word {
    text: String,
    /// A part of it was quoted: it is meant as it stands.
    quoted: bool,
}

impl Word {
    fn take(&mut self, c: char, rest: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<(), Fault> {
        match c {
            '\'' | '"' => {
                self.quoted = true;
                self.quote(c, rest)
            }
            '\\' => {
                self.quoted = true;
                // A backslash at the very end stands for itself.
                self.text.push(rest.next().unwrap_or('\\'));
                Ok(())
            }
            c => {
                self.text.push(c);
                Ok(())
            }
        }
    }

    /// Up to the closing quote. Within `"` a backslash frees what a shell would free: `"`, `\`, `$` and a backtick.
    fn quote(
        &mut self,
        mark: char,
        rest: &mut std::iter::Peekable<std::str::Chars<'_>>,
    ) -> Result<(), Fault> {
        while let Some(c) = rest.next() {
            match c {
                c if c == mark => return Ok(()),
                '\\' if mark == '"' => {
                    let freed = rest.next_if(|c| matches!(c, '"' | '\\' | '$' | '`'));
                    self.text.push(freed.unwrap_or('\\'));
                }
                c => self.text.push(c),
            }
        }
        let fault = Fault::new(Code::BadValue, format!("a {mark} is opened and never closed"));
        Err(fault.hint("write the command as a list: `[program, argument]`"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_of_a_shell() {
        for (text, words) in [
            ("redis-server --save  60 1", &["redis-server", "--save", "60", "1"][..]),
            ("\tpostgres -c 'log line = %m'\n", &["postgres", "-c", "log line = %m"]),
            (r#"a"b c"d 'e'"f" ''"#, &["ab cd", "ef", ""]),
            (r#"\"x \\ a\ b "\$1 \n" '\'"#, &["\"x", "\\", "a b", "$1 \\n", "\\"]),
            ("$HOME ~ *", &["$HOME", "~", "*"]),
            ("a '&&' b\\; x&&y", &["a", "&&", "b;", "x&&y"]),
            ("end\\", &["end\\"]),
            ("  ", &[]),
        ] {
            assert_eq!(split(text), Ok(words.iter().map(ToString::to_string).collect()), "{text}");
        }
    }

    #[test]
    fn what_only_a_shell_could_do_is_told() {
        for text in ["a && b", "a | b", "sleep 1 ;", "x > y", "x ; y"] {
            assert!(split(text).is_err_and(|fault| fault.message.contains("no shell")), "{text}");
        }
        for text in ["it's", "say \"hello", "\"a\\\""] {
            assert!(split(text).is_err_and(|fault| fault.message.contains("closed")), "{text}");
        }
    }
}
