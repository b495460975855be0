//! What a job is called: by its user, else by the first words of its command.

use std::ffi::OsString;
use std::path::Path;

use crate::domain::UnitName;

/// So many words of a command name a job: `npm run build`.
const WORDS: usize = 3;

/// A name is for tables and one line.
const CHARS: usize = 40;

/// The first words of a command, as far as they are plain: `npm test` of `/usr/bin/npm test -- --watch`.
#[must_use]
pub fn name_of(command: &[OsString]) -> String {
    let mut words = command.iter().map(|word| word.to_string_lossy());
    let program = words.next().unwrap_or_default();
    let file = Path::new(&*program).file_name().map(|name| name.to_string_lossy().into_owned());
    let program = lenient(&file.unwrap_or_else(|| program.into_owned()));
    let plain = |word: &str| {
        word.starts_with(|c: char| c.is_alphanumeric())
            && word.chars().all(|c| c.is_alphanumeric() || matches!(c, '.' | '_' | '-'))
    };
    let mut name = if program.is_empty() { "command".to_owned() } else { program };
    for word in words.take(WORDS - 1).take_while(|word| plain(word)) {
        if name.chars().count() + word.chars().count() >= CHARS {
            break;
        }
        name = format!("{name} {word}");
    }
    name
}

fn lenient(text: &str) -> String {
    let clean = text.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '.' | '_' | '-'));
    clean.take(CHARS).collect::<String>().trim().to_owned()
}

/// The name of a job as a unit, different from those that are taken: `job npm test`, `job npm test 2`.
#[must_use]
pub fn unit_name(name: &str, taken: impl Fn(&str) -> bool) -> Option<UnitName> {
    let first = format!("job {name}");
    let others = (2_u32..).map(|number| format!("job {name} {number}"));
    let free = std::iter::once(first).chain(others).find(|name| !taken(name))?;
    UnitName::parse(&free).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(line: &str) -> String {
        name_of(&line.split(' ').map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn a_job_is_called_by_the_plain_words_it_begins_with() {
        assert_eq!(name("npm test"), "npm test");
        assert_eq!(name("npm run build --silent"), "npm run build");
        assert_eq!(name("npm run build extra"), "npm run build");
        assert_eq!(name("/usr/bin/env A=1 npm"), "env");
        assert_eq!(name("cargo test --lib foo"), "cargo test");
        assert_eq!(name("./scripts/check.sh"), "check.sh");
        assert_eq!(name("sh -c x"), "sh");
        assert_eq!(name("([)"), "command");
        assert!(name(&"x".repeat(300)).chars().count() <= CHARS);
    }

    #[test]
    fn two_of_the_same_name_are_told_apart() {
        assert_eq!(unit_name("test", |_| false).expect("a name").as_str(), "job test");
        let taken = |name: &str| ["job test", "job test 2"].contains(&name);
        assert_eq!(unit_name("test", taken).expect("a name").as_str(), "job test 3");
        assert!(unit_name("a/b", |_| false).is_none());
    }
}
