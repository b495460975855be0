//! The judge: gives each text its final form and its value, and gathers what is wrong.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use crate::manifest::{Code, Command, EnvFileRef, Problem, Problems, Span, Text, nearest};

use super::ports::PortTable;
use super::substitute::{self, Source, substitute};
use super::values::Fault;
use super::{CommandPlan, Context, Secrets};

/// All texts of a plan together may hold so many bytes: a manifest is small, what it multiplies need not be.
const MOST_BYTES: usize = 64 << 20;
/// So many different regular expressions are checked; compiling takes time.
const MOST_REGEXES: usize = 1_000;
/// What one compiled regular expression may take.
const REGEX_BYTES: usize = 1 << 20;

/// Variables by name.
pub(super) type Variables = BTreeMap<String, String>;

pub(super) struct Judge<'a> {
    pub(super) context: &'a Context,
    pub(super) problems: Problems,
    pub(super) variables: Variables,
    pub(super) ports: PortTable<'a>,
    /// Secret values that were put into texts.
    pub(super) secrets: RefCell<Secrets>,
    spent: usize,
    regexes: HashSet<String>,
}

impl<'a> Judge<'a> {
    /// A judge that knows the caller's environment and the `.env` beside the manifest.
    pub(super) fn new(context: &'a Context) -> Self {
        Self {
            context,
            problems: Problems::default(),
            variables: first_variables(context),
            ports: PortTable::Unknown,
            secrets: RefCell::default(),
            spent: 0,
            regexes: HashSet::new(),
        }
    }

    /// A text with everything substituted; reported if that cannot be.
    pub(super) fn text(&mut self, text: &Text) -> Option<String> {
        if !text.value.contains(['$', '\0']) {
            self.spend(text.value.len(), text.span)?;
            return Some(text.value.to_string());
        }
        let source = Known {
            variables: &self.variables,
            ports: &self.ports,
            secrets: &self.secrets,
            hints: self.problems.worth_a_hint(),
        };
        match substitute(&text.value, &source, MOST_BYTES.saturating_sub(self.spent)) {
            Ok(value) if value.contains('\0') => {
                self.problems.push(Problem::at(Code::BadValue, text.span, "a NUL can stand nowhere"));
                None
            }
            Ok(value) => {
                self.spend(value.len(), text.span)?;
                Some(value)
            }
            Err(faults) => {
                for substitute::Fault { code, from, to, message, hint } in faults {
                    let span = text.span.part(&text.value, text.verbatim, from, to);
                    self.problems.push(Problem::at(code, span, message).maybe_hint(hint));
                }
                None
            }
        }
    }

    /// A text that must not be blank.
    pub(super) fn filled(&mut self, key: &str, text: &Text) -> Option<String> {
        let value = self.text(text)?;
        if !value.trim().is_empty() {
            return Some(value);
        }
        self.problems.push(Problem::at(Code::BadValue, text.span, format!("`{key}` is empty")));
        None
    }

    /// The value of a text; reported if it is none.
    pub(super) fn value<T>(&mut self, text: &Text, read: impl FnOnce(&str) -> Result<T, Fault>) -> Option<T> {
        let substituted = self.text(text)?;
        match read(&substituted) {
            Ok(value) => Some(value),
            Err(fault) => {
                self.fault(fault, text.span);
                None
            }
        }
    }

    /// The value of a text that may be absent.
    pub(super) fn maybe<T>(
        &mut self,
        text: Option<&Text>,
        read: impl FnOnce(&str) -> Result<T, Fault>,
    ) -> Option<T> {
        text.and_then(|text| self.value(text, read))
    }

    pub(super) fn fault(&mut self, fault: Fault, at: Span) {
        self.problems.push(Problem::at(fault.code, at, fault.message).maybe_hint(fault.hint));
    }

    pub(super) fn command(&mut self, key: &str, command: &Command) -> Option<CommandPlan> {
        match command {
            Command::Shell(text) => {
                let line = self.text(text)?;
                if line.trim().is_empty() {
                    return self.empty_command(key, text.span);
                }
                Some(CommandPlan::Shell(line))
            }
            Command::Exec(texts, span) => {
                let argv: Option<Vec<String>> = texts.iter().map(|text| self.text(text)).collect();
                let argv = argv?;
                if argv.first().is_none_or(|program| program.trim().is_empty()) {
                    return self.empty_command(key, *span);
                }
                Some(CommandPlan::Exec(argv))
            }
        }
    }

    fn empty_command(&mut self, key: &str, span: Span) -> Option<CommandPlan> {
        let problem = Problem::at(Code::NoCommand, span, format!("`{key}` is empty"));
        self.problems.push(problem.hint("name the program that is to run"));
        None
    }

    /// A regular expression that can be compiled.
    pub(super) fn regex(&mut self, text: &Text) -> Option<String> {
        let pattern = self.text(text)?;
        if self.regexes.contains(&pattern) {
            return Some(pattern);
        }
        if self.regexes.len() >= MOST_REGEXES {
            let message = format!("there are more than {MOST_REGEXES} different regular expressions");
            self.problems.push(Problem::at(Code::TooMuch, text.span, message));
            return None;
        }
        if let Err(error) = regex::RegexBuilder::new(&pattern).size_limit(REGEX_BYTES).build() {
            let said = error.to_string();
            let reason = said.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
            let problem =
                Problem::at(Code::BadRegex, text.span, format!("this is no regular expression: {reason}"));
            self.problems.push(problem.hint("a special character is taken literally behind a `\\`"));
            return None;
        }
        self.regexes.insert(pattern.clone());
        Some(pattern)
    }

    /// The variables of an env file, or nothing where it is allowed to be missing.
    pub(super) fn env_file(&mut self, file: &EnvFileRef) -> &'a [(String, String)] {
        let context = self.context;
        let Some(path) = self.filled("env_file", &file.path) else { return &[] };
        let whole = absolute(&context.dir, &path);
        match context.env_files.get(&whole) {
            Some(Ok(pairs)) => {
                let bytes = pairs.iter().map(|(name, value)| name.len() + value.len()).sum();
                if self.spend(bytes, file.path.span).is_some() { pairs } else { &[] }
            }
            Some(Err(super::EnvFileError::Missing)) | None => {
                if file.required {
                    let problem =
                        Problem::at(Code::EnvFile, file.path.span, format!("there is no file `{path}`"));
                    let hint = format!("create it, or write `{{ path: {path}, required: false }}`");
                    self.problems.push(problem.note(whole.display().to_string()).hint(hint));
                }
                &[]
            }
            Some(Err(error)) => {
                let message = format!("env file `{path}`: {error}");
                self.problems.push(Problem::at(Code::EnvFile, file.path.span, message));
                &[]
            }
        }
    }

    /// Counts bytes that the plan will hold; none once there are too many, which is told once.
    pub(super) fn spend(&mut self, bytes: usize, at: Span) -> Option<()> {
        let before = self.spent;
        self.spent = before.saturating_add(bytes);
        if self.spent <= MOST_BYTES {
            return Some(());
        }
        if before <= MOST_BYTES {
            let message = format!("all services together hold more than {} MiB of text", MOST_BYTES >> 20);
            let problem = Problem::at(Code::TooMuch, at, message);
            self.problems.push(problem.hint("large env files and environments count once for each service"));
        }
        None
    }

    /// Whether no more can be said because the plan is too large already.
    pub(super) fn is_spent(&self) -> bool {
        self.spent > MOST_BYTES
    }
}

/// The caller's environment over the `.env` beside the manifest.
pub(super) fn first_variables(context: &Context) -> Variables {
    let dotenv = context.env_files.get(&context.dir.join(DOTENV));
    let mut variables: Variables = match dotenv {
        Some(Ok(pairs)) => pairs.iter().cloned().collect(),
        Some(Err(_)) | None => Variables::new(),
    };
    variables.extend(context.variables.iter().map(|(name, value)| (name.clone(), value.clone())));
    variables
}

/// The file beside the manifest that is read for substitution, as Compose does.
pub(super) const DOTENV: &str = ".env";

/// A path seen from the manifest's directory.
pub(super) fn absolute(dir: &Path, path: &str) -> PathBuf {
    // Collecting drops each `.`; a `..` stays, because behind a link it is not what it seems.
    dir.join(path).components().collect()
}

struct Known<'k> {
    secrets: &'k RefCell<Secrets>,
    variables: &'k Variables,
    ports: &'k PortTable<'k>,
    hints: bool,
}

impl Source for Known<'_> {
    fn variable(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }

    fn port(&self, reference: &str) -> Result<String, String> {
        self.ports.find(reference, self.hints)
    }

    fn similar(&self, name: &str) -> Option<String> {
        let names = self.variables.keys().map(String::as_str);
        nearest(name, names.filter(|_| self.hints)).map(str::to_owned)
    }

    fn used(&self, name: &str, value: &str) {
        self.secrets.borrow_mut().note(name, value);
    }
}
