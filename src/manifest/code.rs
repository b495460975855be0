//! The one table of what can be wrong with a manifest: each code keeps its number for ever.

use std::fmt;

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $number:literal;)+) => {
        /// What is wrong. The numbers DS020 to DS059 belong to failures while a stack runs.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code { $($(#[doc = $doc])+ $name,)+ }

        impl Code {
            /// All codes, in the order of the table.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// The code as it is shown: `DS005`.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => concat!("DS", $number)),+ }
            }

            /// One line on what it means.
            #[must_use]
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$name => concat!($($doc),+).trim()),+ }
            }
        }
    };
}

codes! {
    /// The file is not text (UTF-8 without NUL).
    NotText = "001";
    /// The file is not YAML.
    Syntax = "002";
    /// A tab stands where YAML wants spaces.
    Tab = "003";
    /// Too large, too deep or too many aliases.
    TooMuch = "004";
    /// A key that devstack does not know.
    UnknownKey = "005";
    /// A key or service that stands there twice.
    Duplicate = "006";
    /// A list where text is wanted, and the like.
    WrongType = "007";
    /// A key or form whose feature is not there yet.
    NotYet = "008";
    /// A name that cannot be one.
    BadName = "009";
    /// Not a duration.
    BadDuration = "010";
    /// Not a size.
    BadSize = "011";
    /// Not a signal.
    BadSignal = "012";
    /// Not a regular expression.
    BadRegex = "013";
    /// Not a URL or address that can be asked.
    BadAddress = "014";
    /// Not a port.
    BadPort = "015";
    /// A port that two declare.
    PortTwice = "016";
    /// A dependency on a service that is not there.
    UnknownDependency = "017";
    /// Services that wait for each other.
    Cycle = "018";
    /// A variable without a value.
    Unset = "019";
    /// A substitution that cannot be read.
    BadSubstitution = "060";
    /// A reference to a port that is not there.
    BadReference = "061";
    /// A service without a command, or with an empty one.
    NoCommand = "062";
    /// Two statements that cannot both hold.
    Contradiction = "063";
    /// A value that is none of those possible.
    BadValue = "064";
    /// Something that must be there is missing.
    Missing = "065";
    /// An env file that is missing or cannot be read.
    EnvFile = "066";
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_leave_the_runtime_range_alone() {
        let mut seen = std::collections::BTreeSet::new();
        for code in Code::ALL {
            assert!(seen.insert(code.as_str()), "{code} twice");
            let number: u32 = code.as_str()[2..].parse().expect("a number");
            assert!(!(20..60).contains(&number), "{code} belongs to the runtime");
            assert!(!code.meaning().is_empty());
        }
    }
}
