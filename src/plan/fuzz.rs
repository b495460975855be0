//! What a fuzzer throws at manifests and at the values in them, and what must hold whatever it throws.

use std::path::PathBuf;
use std::time::Duration;

use super::{AutoPorts, Context, Plan, auto_port_key};
use super::{render_yaml, resolve, secrets, stack_name, substitute, values, wanted_auto_ports, wanted_files};
use crate::domain::{Signal, StackName, UnitName};
use crate::manifest::{self, Problem};

/// bytes → manifest → plan → YAML → the same plan; or problems that can be shown.
pub(crate) fn manifest(data: &[u8]) {
    let Some((plan, context)) = plan_of(data) else { return };
    let shown = render_yaml(&plan, true);
    let (again, _) = resolved(shown.as_bytes(), context.auto_ports);
    // What can be resolved once and shown can be resolved again.
    assert_eq!(again.as_ref(), Some(&plan), "{shown}");
    let masked = render_yaml(&plan, false);
    assert!(manifest::parse(masked.as_bytes()).is_ok(), "{masked}");
    let json = serde_json::to_vec(&plan).expect("a plan is data");
    assert_eq!(serde_json::from_slice::<Plan>(&json).expect("it reads back"), plan);
}

fn plan_of(data: &[u8]) -> Option<(Plan, Context)> {
    let (plan, context) = resolved(data, AutoPorts::new());
    plan.map(|plan| (plan, context))
}

fn resolved(data: &[u8], auto_ports: AutoPorts) -> (Option<Plan>, Context) {
    let mut context = Context {
        dir: PathBuf::from("/home/dev/shop"),
        manifest: PathBuf::from("/home/dev/shop/devstack.yaml"),
        variables: [("HOME", "/home/dev"), ("EMPTY", ""), ("TRICK", "x]\nevil: {a: b} # ${HOME}")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        auto_ports,
        ..Context::default()
    };
    let (parsed, mut problems) = manifest::parse_lenient(data);
    let plan = parsed.and_then(|parsed| {
        let file = vec![("FROM_FILE".to_owned(), "value".to_owned())];
        for path in wanted_files(&parsed, &context) {
            context.env_files.insert(path, Ok(file.clone()));
        }
        let _name: StackName = stack_name(&parsed, &context);
        for (at, (unit, port)) in wanted_auto_ports(&parsed, &context).auto.iter().enumerate() {
            let number = u16::try_from(20_000 + at).unwrap_or(1);
            context.auto_ports.entry(auto_port_key(unit, port)).or_insert(number);
        }
        resolve(&parsed, &context).map_err(|more| problems.extend(more)).ok()
    });
    let plan = plan.filter(|_| problems.is_empty());
    assert!(plan.is_some() || !problems.is_empty(), "no plan and no reason");
    can_be_shown(problems, data);
    (plan, context)
}

fn can_be_shown(problems: Vec<Problem>, data: &[u8]) {
    if problems.is_empty() {
        return;
    }
    let text = String::from_utf8_lossy(data);
    let shown = manifest::render(&manifest::in_order(problems), "devstack.yaml", &text, false);
    crate::domain::assert_nothing_acts(&shown);
}

/// Durations, sizes, signals, ports, names, `${…}`, passwords in URLs: each text of the manifest becomes one of these.
pub(crate) fn values(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(span) = values::duration(text) {
        assert!(span <= Duration::from_secs(366 * 86_400), "{span:?}");
    }
    let _ = values::positive_duration(text);
    if let Ok(size) = values::size(text) {
        assert!(size < 1 << 60);
    }
    let _ = values::log_size(text);
    if let Ok(signal) = values::signal(text) {
        assert_eq!(signal.to_string().parse::<Signal>(), Ok(signal));
    }
    if let Ok(port) = values::port(text) {
        assert!(port > 0);
    }
    let _ = values::count(text);
    let lenient = StackName::lenient(text);
    assert_eq!(StackName::parse(lenient.as_str()), Ok(lenient.clone()));
    if let Ok(name) = UnitName::parse(text) {
        crate::domain::assert_nothing_acts(name.as_str());
        assert!(!name.as_str().contains('/') && name.as_str().len() <= 400);
    }
    substitution(text);
    let masked = secrets::text(text);
    assert_eq!(secrets::text(&masked), masked, "what is masked stays as it is");
}

fn substitution(text: &str) {
    const BUDGET: usize = 10_000;
    struct Known;
    impl substitute::Source for Known {
        fn variable(&self, name: &str) -> Option<&str> {
            match name {
                "HOME" => Some("/home/dev"),
                "EMPTY" => Some(""),
                "TRICK" => Some("${HOME} $$ }"),
                _ => None,
            }
        }
        fn port(&self, reference: &str) -> Result<String, String> {
            (reference == "db.port").then(|| "3000".to_owned()).ok_or_else(|| "no such port".to_owned())
        }
        fn similar(&self, _: &str) -> Option<String> {
            None
        }
    }
    if let Ok(value) = substitute::substitute(text, &Known, BUDGET) {
        assert!(value.len() <= BUDGET + text.len() + 20, "{} bytes", value.len());
    }
    let escaped = substitute::escape(text);
    if escaped.len() < BUDGET {
        assert_eq!(substitute::substitute(&escaped, &Known, BUDGET).as_deref(), Ok(text));
    }
}
