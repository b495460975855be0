//! A service with an image becomes a container: its keys over what stands for all.

use std::collections::HashMap;
use std::path::PathBuf;

use crate::domain::{Limits, UnitName};
use crate::manifest::{Build, Code, Command, ContainerKeys, Manifest, Problem, Service, Text};

use super::definition::fnv1a;
use super::judge::{Judge, absolute};
use super::mount;
use super::unit::{Common, Stage};
use super::values::{self, Fault};
use super::{BuildPlan, CommandPlan, ContainerPlan, EngineKind, PullPolicy, UnitPlan};
use super::{image, volumes, words};

/// By this variable of the caller one engine is chosen where both are there.
const ENGINE: &str = "DEVSTACK_ENGINE";

/// Whose command is used: the caller's word, else what is installed.
pub(super) fn engine(judge: &mut Judge<'_>, manifest: &Manifest) -> EngineKind {
    let any = manifest.services.iter().any(|service| service.settings.container.is_some());
    let context = judge.context;
    match context.variables.get(ENGINE).map(String::as_str).filter(|_| any) {
        Some("docker") => EngineKind::Docker,
        Some("podman") => EngineKind::Podman,
        None | Some("") => context.engine,
        Some(other) => {
            let message = format!("`{ENGINE}` is `{other}`, which is no engine");
            judge.problems.push(Problem::nowhere(Code::BadValue, message).hint("it can be docker or podman"));
            context.engine
        }
    }
}

/// A name for the engine that no other checkout has: `shop-db-1a2b3c`.
///
/// What engines refuse in names is replaced. Two names that became one by that differ in the hash.
pub(super) fn engine_name(judge: &Judge<'_>, stack: &str, own: &str) -> String {
    let plain = |text: &str| -> String {
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
        text.chars().map(|c| if fits(c) { c } else { '-' }).collect()
    };
    let (stack_name, own_name) = (plain(stack), plain(own));
    let mut hashed = judge.context.manifest.to_string_lossy().into_owned();
    if stack_name != stack || own_name != own {
        hashed = format!("{hashed}\0{stack}\0{own}");
    }
    let hash = format!("{:016x}", fnv1a(hashed.as_bytes()));
    let name = format!("{stack_name}-{own_name}-{}", &hash[..6]);
    // A first letter of another script has become one that no name begins with.
    if name.starts_with(|c: char| c.is_ascii_alphanumeric()) { name } else { format!("x{name}") }
}

/// The container of a service. None if something that it cannot be without could not be read.
pub(super) fn read(
    judge: &mut Judge<'_>,
    service: &Service,
    keys: &ContainerKeys,
    stage: &Stage,
    common: &Common<'_>,
    limits: &Limits,
) -> Option<ContainerPlan> {
    let settings = &service.settings;
    let own_name = engine_name(judge, common.stack, service.name.as_str());
    let (written, build) = (image_of(judge, keys), keys.build.as_ref().map(|keys| build(judge, keys)));
    let name = judge.maybe(keys.name.as_ref(), container_name);
    let pull = keys.pull_policy.as_ref().and_then(|text| pull_policy(judge, text, keys));
    let entrypoint = keys.entrypoint.as_ref().map(|command| inside_words(judge, "entrypoint", command));
    let command = settings.command.as_ref().map(|command| inside_words(judge, "command", command));
    let network = judge.maybe(keys.network.as_ref(), |text| one_word(text, "network"));
    publishes_nothing(judge, service, keys, network.as_deref());
    let stop_signal = judge.maybe(settings.stop_signal.as_ref(), values::signal);
    let volumes = volumes::read(judge, keys, common);
    let context = judge.maybe(keys.context.as_ref(), |text| one_word(text, "context"));
    let user = judge.maybe(settings.user.as_ref(), |text| one_word(text, "user"));
    let working_dir = judge.maybe(settings.working_dir.as_ref(), inside_dir);
    Some(ContainerPlan {
        engine: stage.engine,
        context,
        image: match (written, &build) {
            (Some(image), _) => image,
            (None, Some(_)) if keys.image.is_none() => image::of_name(&own_name),
            (None, _) => return None,
        },
        name: name.unwrap_or(own_name),
        build: match build {
            Some(build) => Some(build?),
            None => None,
        },
        pull: pull.unwrap_or_default(),
        publish: stage.ports.iter().filter_map(|port| port.publish).collect(),
        volumes,
        entrypoint: match entrypoint {
            Some(words) => Some(words?),
            None => None,
        },
        command: match command {
            Some(words) => words?,
            None => Vec::new(),
        },
        user,
        working_dir,
        network,
        stop_signal: stop_signal.map(|signal| signal.to_string()),
        memory: limits.memory,
        cpus_milli: limits.cpus_milli.map(u64::from),
        pids: limits.pids,
    })
}

/// What is shown as its command: the image, and what it is told to do.
pub(super) fn shown(container: &ContainerPlan) -> CommandPlan {
    let image = std::iter::once(&container.image);
    CommandPlan::Exec(image.chain(&container.command).cloned().collect())
}

fn image_of(judge: &mut Judge<'_>, keys: &ContainerKeys) -> Option<String> {
    judge.maybe(keys.image.as_ref(), image::check)
}

fn build(judge: &mut Judge<'_>, keys: &Build) -> Option<BuildPlan> {
    let dir = match &keys.context {
        Some(text) => judge.value(text, build_dir)?,
        None => ".".to_owned(),
    };
    let dockerfile = match &keys.dockerfile {
        Some(text) => Some(PathBuf::from(judge.filled("dockerfile", text)?)),
        None => None,
    };
    let target = judge.maybe(keys.target.as_ref(), |text| one_word(text, "target"));
    let mut args: Vec<(String, String)> = Vec::with_capacity(keys.args.len());
    for arg in &keys.args {
        let value = match &arg.value {
            Some(text) => judge.text(text),
            None => judge.variables.get(&*arg.name.value).cloned(),
        };
        args.extend(value.map(|value| (arg.name.value.to_string(), value)));
    }
    for (name, value) in &args {
        judge.secrets.borrow_mut().note(name, value);
    }
    Some(BuildPlan { dir: absolute(&judge.context.dir, &dir), dockerfile, args, target })
}

fn build_dir(text: &str) -> Result<String, Fault> {
    if text.contains("://") || text.starts_with("git@") {
        let fault = Fault::new(Code::NotYet, "a build from a remote place is not supported yet");
        return Err(fault.hint("clone it, and name its directory"));
    }
    if text.trim().is_empty() {
        return Err(Fault::new(Code::BadValue, "`build` is empty").hint("`.` is the manifest's directory"));
    }
    Ok(text.to_owned())
}

/// Words for a program inside: a list as it is, a text split like a shell would.
fn inside_words(judge: &mut Judge<'_>, key: &str, command: &Command) -> Option<Vec<String>> {
    match judge.command(key, command)? {
        CommandPlan::Exec(words) => Some(words),
        CommandPlan::Shell(line) => match words::split(&line) {
            Ok(words) => Some(words),
            Err(fault) => {
                let Command::Shell(text) = command else { return None };
                judge.fault(fault, text.span);
                None
            }
        },
    }
}

fn pull_policy(judge: &mut Judge<'_>, text: &Text, keys: &ContainerKeys) -> Option<PullPolicy> {
    let policy = judge.value(text, |word| values::pull_policy(word, keys.build.is_some()));
    if policy == Some(PullPolicy::Never) && keys.image.is_none() && !keys.broken {
        let message = "an image without a name can only be built";
        let problem = Problem::at(Code::Contradiction, text.span, message);
        judge.problems.push(problem.hint("write `missing` or `build`, or name it: `image: …`"));
    }
    policy
}

fn container_name(text: &str) -> Result<String, Fault> {
    if mount::fits(text) {
        return Ok(text.to_owned());
    }
    let fault = Fault::new(Code::BadName, format!("`{text}` cannot name a container"));
    Err(fault.hint("letters, digits, `_`, `.` and `-` are fine, and two of them at least"))
}

/// A word that can stand in the engine's command.
fn one_word(text: &str, key: &str) -> Result<String, Fault> {
    if text.trim().is_empty() {
        return Err(empty(key));
    }
    if !text.starts_with('-') && !text.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Ok(text.to_owned());
    }
    Err(Fault::new(Code::BadValue, format!("`{text}` cannot be the `{key}` of a container")))
}

fn empty(key: &str) -> Fault {
    Fault::new(Code::BadValue, format!("`{key}` is empty"))
}

fn inside_dir(text: &str) -> Result<String, Fault> {
    if text.trim().is_empty() {
        return Err(empty("working_dir"));
    }
    if text.starts_with('/') && !text.contains(['\n', '\r']) {
        return Ok(text.to_owned());
    }
    let fault = Fault::new(Code::BadValue, format!("`{text}` is no directory inside a container"));
    Err(fault.hint("a path inside begins with `/`, as `/app`"))
}

fn publishes_nothing(judge: &mut Judge<'_>, service: &Service, keys: &ContainerKeys, network: Option<&str>) {
    let Some(network) = network else { return };
    let shared = matches!(network, "host" | "none") || network.starts_with("container:");
    if let (true, Some(text), Some(port)) = (shared, &keys.network, service.settings.ports.first()) {
        let message = format!("a container in the network `{network}` publishes no ports");
        let problem =
            Problem::at(Code::Contradiction, port.value.span, message).label(text.span, "this network");
        judge.problems.push(problem.hint("remove `network` or `ports`"));
    }
}

/// Reports each container name that two services have, unless no profile can bring both.
pub(super) fn named_once(
    judge: &mut Judge<'_>,
    manifest: &Manifest,
    stages: &[Stage],
    units: &[Option<UnitPlan>],
) {
    let mut seen: HashMap<&str, Vec<usize>> = HashMap::new();
    for (index, unit) in units.iter().enumerate() {
        let Some(container) = unit.as_ref().and_then(|unit| unit.container.as_ref()) else { continue };
        let earlier = seen.entry(&container.name).or_default();
        if let Some(other) = earlier.iter().find(|other| stages[**other].can_meet(&stages[index])) {
            let name_of = |index: usize| -> &UnitName { &manifest.services[index].name };
            let keys = manifest.services[index].settings.container.as_ref();
            let written = keys.and_then(|keys| keys.name.as_ref());
            let span = written.map_or(manifest.services[index].at, |text| text.span);
            let message = format!("two containers are called `{}`", container.name);
            let problem = Problem::at(Code::Contradiction, span, message);
            let problem = problem.note(format!("`{}`", name_of(index)));
            let problem = problem.label(manifest.services[*other].at, format!("`{}`", name_of(*other)));
            judge.problems.push(problem.hint("leave `container_name` out: each gets one of its own"));
        // As with ports: a few are enough to find a conflict.
        } else if earlier.len() < 8 {
            earlier.push(index);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Context;

    #[test]
    fn names_differ_between_checkouts_and_are_such_that_engines_take_them() {
        let name = |manifest: &str, stack: &str, own: &str| {
            let context = Context { manifest: manifest.into(), ..Context::default() };
            engine_name(&Judge::new(&context), stack, own)
        };
        let one = name("/home/dev/shop/devstack.yaml", "shop", "db");
        assert_eq!(one, "shop-db-a57929");
        assert_ne!(one, name("/home/dev/other/devstack.yaml", "shop", "db"));
        let (blank, dash) = (name("/x", "my shop", "db"), name("/x", "my-shop", "db"));
        assert!(mount::fits(&blank) && blank.starts_with("my-shop-db-") && blank != dash, "{blank}");
        let (a, b) = (name("/x", "é", "ä"), name("/x", "é", "ö"));
        assert!(mount::fits(&a) && a != b, "{a} {b}");
    }
}
