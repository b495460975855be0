//! Names of stacks and units: what may stand in them is decided here, once.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Longest name in characters; long enough for real ones, short enough for tables and file names.
const MAX_CHARS: usize = 100;

/// The name of a stack: what the manifest calls it, or its directory's name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct StackName(Arc<str>);

/// The name of a unit (a service or a task) within its stack.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct UnitName(Arc<str>);

/// Why a text is not a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing stands there.
    #[error("a name cannot be empty")]
    Empty,
    /// More than 100 characters.
    #[error("a name has at most {MAX_CHARS} characters, this one has {0}")]
    TooLong(usize),
    /// A character that would be unsafe in a path, a table or a command line.
    #[error("a name cannot hold {0:?}: letters, digits, spaces and . _ - are fine")]
    Character(char),
    /// A first character that reads as an option or a hidden file.
    #[error("a name cannot start with {0:?}")]
    Start(char),
}

fn check(text: &str) -> Result<Arc<str>, NameError> {
    let count = text.chars().count();
    if count > MAX_CHARS {
        return Err(NameError::TooLong(count));
    }
    let first = text.chars().next().ok_or(NameError::Empty)?;
    if matches!(first, '-' | '.' | ' ') {
        return Err(NameError::Start(first));
    }
    // Control characters would reach the terminal raw, `/` would leave the log directory.
    match text.chars().find(|c| !(c.is_alphanumeric() || matches!(c, ' ' | '.' | '_' | '-'))) {
        Some(bad) => Err(NameError::Character(bad)),
        None => Ok(Arc::from(text)),
    }
}

macro_rules! name {
    ($type:ident) => {
        impl $type {
            /// Checks a text and makes it a name.
            pub fn parse(text: &str) -> Result<Self, NameError> {
                check(text).map(Self)
            }

            /// The name as it was written.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl std::borrow::Borrow<str> for $type {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl std::str::FromStr for $type {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::parse(text)
            }
        }

        impl TryFrom<String> for $type {
            type Error = NameError;
            fn try_from(text: String) -> Result<Self, NameError> {
                Self::parse(&text)
            }
        }

        impl From<$type> for String {
            fn from(name: $type) -> Self {
                name.0.as_ref().to_owned()
            }
        }
    };
}

name!(StackName);
name!(UnitName);

impl StackName {
    /// A name made from any text, such as a directory's name: what a name cannot hold becomes `-`.
    #[must_use]
    pub fn lenient(text: &str) -> Self {
        let clean: String = text
            .chars()
            .map(|c| if c.is_alphanumeric() || matches!(c, ' ' | '.' | '_' | '-') { c } else { '-' })
            .take(MAX_CHARS)
            .collect();
        let trimmed = clean.trim_start_matches(['-', '.', ' ']);
        Self(Arc::from(if trimmed.is_empty() { "stack" } else { trimmed }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_hold_letters_of_any_script_but_nothing_that_acts() {
        assert!(UnitName::parse("validation-agent").is_ok());
        assert!(UnitName::parse("mein dienst_2.ü").is_ok());
        assert_eq!(UnitName::parse(""), Err(NameError::Empty));
        assert_eq!(UnitName::parse("-x"), Err(NameError::Start('-')));
        assert_eq!(UnitName::parse("../x"), Err(NameError::Start('.')));
        assert_eq!(UnitName::parse("a/b"), Err(NameError::Character('/')));
        assert_eq!(UnitName::parse("a\u{1b}[0m"), Err(NameError::Character('\u{1b}')));
        assert_eq!(UnitName::parse(&"x".repeat(101)), Err(NameError::TooLong(101)));
    }

    #[test]
    fn any_directory_name_becomes_a_stack_name() {
        assert_eq!(StackName::lenient("my shop (2)").as_str(), "my shop -2-");
        assert_eq!(StackName::lenient("...").as_str(), "stack");
        assert_eq!(StackName::lenient("Проект").as_str(), "Проект");
    }
}
