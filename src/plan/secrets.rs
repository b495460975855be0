//! What looks secret is not shown, nor written into the journal.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{BodyMatch, CommandPlan, Plan, Probe, UnitPlan};

/// Stands for what is not shown.
const MASK: &str = "********";

/// A shorter value is a word that may stand anywhere (`true`, `dev`): to hide it would hide more than it.
const SHORTEST: usize = 8;

/// Secret values that texts of a plan hold, by substitution: to be taken out wherever a command line is told.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secrets(BTreeSet<String>);

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} secrets", self.0.len())
    }
}

impl Secrets {
    /// Keeps the value of a variable whose name says that it is secret. Paths and addresses are not.
    pub(super) fn note(&mut self, name: &str, value: &str) {
        let secret = is_secret(name) && value.len() >= SHORTEST;
        if secret && !value.starts_with('/') && !value.contains("://") {
            self.0.insert(value.to_owned());
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Those that stand in a text of the plan.
    pub(super) fn in_plan(mut self, plan: &Plan) -> Self {
        if self.is_empty() {
            return self;
        }
        let mut texts = Vec::new();
        each_text(&mut plan.clone(), &mut |text| texts.push(text.clone()));
        self.0.retain(|secret| texts.iter().any(|text| text.contains(secret.as_str())));
        self
    }

    /// A text without the secrets, and without the user and password of each URL in it.
    #[must_use]
    pub fn hide(&self, shown: &str) -> String {
        // The longest first: one may be a part of another.
        let mut secrets: Vec<&String> =
            self.0.iter().filter(|secret| shown.contains(secret.as_str())).collect();
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        secrets.into_iter().fold(text(shown), |shown, secret| shown.replace(secret.as_str(), MASK))
    }

    /// The same for every text of a document.
    #[must_use]
    pub fn hide_in<T: Serialize + DeserializeOwned>(&self, document: T) -> T {
        if serde_json::to_string(&document).is_ok_and(|text| !self.may_stand_in(&text)) {
            return document;
        }
        let Ok(mut value) = serde_json::to_value(&document) else { return document };
        self.hide_value(&mut value);
        serde_json::from_value(value).unwrap_or(document)
    }

    /// Whether a document has something to hide, by its JSON: most have not, and to take one apart costs much more.
    fn may_stand_in(&self, json: &str) -> bool {
        // Written in JSON, only such a secret looks as it is.
        let is_plain =
            |secret: &String| !secret.contains(|c: char| c.is_control() || matches!(c, '"' | '\\'));
        let stands = |secret: &String| !is_plain(secret) || json.contains(secret.as_str());
        (json.contains("://") && json.contains('@')) || self.0.iter().any(stands)
    }

    fn hide_value(&self, value: &mut Value) {
        match value {
            Value::String(text) => *text = self.hide(text),
            Value::Array(items) => items.iter_mut().for_each(|item| self.hide_value(item)),
            Value::Object(map) => map.values_mut().for_each(|item| self.hide_value(item)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
}

/// The plan without its secrets, for documents that are shown; the plan as it is with `show`.
#[must_use]
pub fn masked(mut plan: Plan, show: bool) -> Plan {
    let secrets = std::mem::take(&mut plan.secrets);
    if show {
        return plan;
    }
    for (name, held) in &mut plan.environment {
        if let Some(held) = held {
            *held = value(name, held);
        }
    }
    each_unit(&mut plan, &mut |unit| {
        unit.environment.iter_mut().for_each(|(name, held)| *held = value(name, held));
        let args = build_args(unit);
        args.for_each(|(name, held)| *held = value(name, held));
        let health = unit.health.iter_mut().flat_map(|health| &mut health.probes);
        for probe in unit.gate.iter_mut().chain(health) {
            if let Probe::Http(http) = probe {
                http.headers.iter_mut().for_each(|(name, held)| *held = value(name, held));
            }
        }
    });
    each_text(&mut plan, &mut |text| *text = secrets.hide(text));
    plan
}

fn build_args(unit: &mut UnitPlan) -> impl Iterator<Item = &mut (String, String)> {
    unit.container
        .iter_mut()
        .filter_map(|container| container.build.as_mut())
        .flat_map(|build| &mut build.args)
}

/// Every text of a plan that is free: neither a name nor a path.
fn each_text(plan: &mut Plan, see: &mut impl FnMut(&mut String)) {
    plan.sweep.patterns.iter_mut().for_each(&mut *see);
    plan.environment.values_mut().flatten().for_each(&mut *see);
    each_unit(plan, &mut |unit| {
        each_word(&mut unit.command, see);
        if let Some(container) = &mut unit.container {
            container.command.iter_mut().chain(container.entrypoint.iter_mut().flatten()).for_each(&mut *see);
        }
        build_args(unit).for_each(|(_, held)| see(held));
        unit.stop.command.iter_mut().for_each(|command| each_word(command, see));
        unit.environment.values_mut().chain(unit.labels.values_mut()).for_each(&mut *see);
        let health = unit.health.iter_mut().flat_map(|health| &mut health.probes);
        for probe in unit.gate.iter_mut().chain(health) {
            each_text_of_probe(probe, see);
        }
    });
}

/// Every unit of a plan, and what would run instead of it.
fn each_unit(plan: &mut Plan, see: &mut impl FnMut(&mut UnitPlan)) {
    for unit in &mut plan.units {
        unit.fallback.iter_mut().for_each(|fallback| see(fallback));
        see(unit);
    }
}

fn each_word(command: &mut CommandPlan, see: &mut impl FnMut(&mut String)) {
    match command {
        CommandPlan::Shell(text) => see(text),
        CommandPlan::Exec(words) => words.iter_mut().for_each(see),
    }
}

fn each_text_of_probe(probe: &mut Probe, see: &mut impl FnMut(&mut String)) {
    match probe {
        Probe::Http(http) => {
            see(&mut http.path);
            http.headers.iter_mut().for_each(|(_, held)| see(held));
            match &mut http.body {
                Some(BodyMatch::Contains(text) | BodyMatch::Regex(text)) => see(text),
                None => {}
            }
        }
        Probe::Exec(command) => each_word(command, see),
        Probe::Log(pattern) => see(pattern),
        Probe::Tcp { .. } | Probe::Notify | Probe::Port(_) | Probe::Own => {}
    }
}

/// A value, masked if its name says that it is secret, or as far as it holds a password in a URL.
pub(super) fn value(name: &str, value: &str) -> String {
    if !value.is_empty() && is_secret(name) { MASK.to_owned() } else { text(value) }
}

/// Whether the name of a variable or header says that its value is secret.
fn is_secret(name: &str) -> bool {
    const WORDS: [&str; 8] =
        ["PASSWORD", "PASSWD", "PASSPHRASE", "SECRET", "TOKEN", "KEY", "CREDENTIAL", "AUTHORIZATION"];
    let upper = name.to_uppercase();
    WORDS.iter().any(|word| upper.contains(word)) || upper.ends_with("COOKIE")
}

/// A text without the user and password of each URL in it.
pub(super) fn text(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        out.push_str(before);
        let ends = |c: char| c.is_whitespace() || matches!(c, '/' | '?' | '#' | '"' | '\'' | '`');
        let authority = &after[..after.find(ends).unwrap_or(after.len())];
        rest = after;
        if let Some(user) = authority.rfind('@') {
            out.push_str(MASK);
            rest = &after[user..];
        }
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_was_put_into_a_text_is_taken_out_again() {
        let pairs = [
            ("API_TOKEN", "canary-one-two"),
            ("KEYMAP", "us"),
            ("KEY_FILE", "/home/dev/key"),
            ("USER", "developer"),
        ];
        let mut secrets = Secrets::default();
        for (name, value) in pairs {
            secrets.note(name, value);
        }
        let told = "login --token=canary-one-two --keymap us -f /home/dev/key developer http://a:b@h/";
        let shown = "login --token=******** --keymap us -f /home/dev/key developer http://********@h/";
        assert_eq!(secrets.hide(told), shown);
        assert_eq!(secrets.hide_in(vec![(told.to_owned(), 7)]), [(shown.to_owned(), 7)]);
        assert_eq!(format!("{secrets:?}"), "1 secrets");
    }

    #[test]
    fn a_secret_that_json_writes_in_another_way_is_taken_out_of_a_document_all_the_same() {
        for secret in ["can\"ary-one", "back\\slash-two", "line\nof-three", "käse-und-bröt"] {
            let mut secrets = Secrets::default();
            secrets.note("API_TOKEN", secret);
            assert_eq!(secrets.hide_in(vec![format!("--token={secret}")]), [format!("--token={MASK}")]);
            assert_eq!(secrets.hide_in(vec!["--token".to_owned()]), ["--token"]);
        }
    }

    #[test]
    fn names_and_urls_tell_what_is_secret() {
        for name in ["DB_PASSWORD", "api_token", "AWS_SECRET_ACCESS_KEY", "Credentials", "Authorization"] {
            assert_eq!(value(name, "x"), MASK, "{name}");
        }
        assert_eq!(value("NODE_ENV", "development"), "development");
        assert_eq!(value("PASSWORD", ""), "");
        assert_eq!(value("DATABASE_URL", "postgres://me:pw@db:5432/x"), "postgres://********@db:5432/x");
        assert_eq!(
            text("curl http://a:b@h/ https://c@d x@y"),
            "curl http://********@h/ https://********@d x@y"
        );
        assert_eq!(text("http://h/a@b"), "http://h/a@b");
        assert_eq!(text("redis://:p@ss@h"), "redis://********@h");
    }
}
