//! Why a container could not be had, as people see it: the engine's words, and what to try.

use super::error::{Problem, holder, logs_of, port_hints, shell_name};
use super::text;
use crate::domain::{ContainerTrouble, MissingImage, PortHolder, UnitName};

/// The problem of a unit whose engine, known by its command, did not do what it was asked. `dir` as for
/// [`super::error::of_failure`].
#[must_use]
pub fn of_trouble(unit: &UnitName, engine: &str, trouble: &ContainerTrouble, dir: &str) -> Problem {
    match trouble {
        ContainerTrouble::NotInstalled { .. }
        | ContainerTrouble::NotAnswering { .. }
        | ContainerTrouble::NotPermitted { .. }
        | ContainerTrouble::NoSuchContext { .. } => {
            with_fallback(no_engine(unit.as_str(), engine, trouble), unit)
        }
        ContainerTrouble::NameTaken { name, by } => {
            Problem::new("DS036", format!("the name {name} ({unit}) belongs to a container of somebody else"))
                .saw("held by", format!("container {by}"))
                .saw("state", "it was not touched")
                .hint(format!("{engine} rm --force {}    (if nobody needs it)", shell(name)))
                .hint(format!("or give {unit} another name in the manifest"))
        }
        ContainerTrouble::PortTaken { port, container, holder } => match container {
            Some(name) => published_port(unit, engine, *port, name),
            None => port_taken(unit, *port, holder.as_ref(), dir),
        },
        ContainerTrouble::NoImage { image, why, text } => no_image(unit, engine, image, *why, text),
        ContainerTrouble::NotBuilt { tail } => {
            let tail =
                if tail.is_empty() { vec!["(the build wrote nothing)".to_owned()] } else { tail.clone() };
            Problem::new("DS038", format!("the image of {unit} could not be built"))
                .saw_lines("last lines", tail)
                .hint(format!("correct its Dockerfile, then devstack up {}", shell_name(unit)))
                .hint(logs_of(unit))
        }
        ContainerTrouble::NoSuchNetwork { network } => {
            Problem::new("DS035", format!("the container of {unit} could not be had"))
                .saw("reason", format!("the engine knows no network {network}"))
                .hint(format!("{engine} network create {}", shell(network)))
                .hint(format!("or correct network of {unit} in the manifest"))
        }
        ContainerTrouble::NotExecutable { text } => {
            Problem::new("DS023", format!("the command of {unit} cannot be executed in its container"))
                .saw("engine", words(text))
                .hint(format!("correct command or entrypoint of {unit} in the manifest"))
        }
        ContainerTrouble::Removed => {
            Problem::new("DS039", format!("the container of {unit} was removed while it ran"))
                .saw("removed by", "somebody else: devstack did not")
                .hint(format!(
                    "devstack up {}    (makes it anew; its named volumes are still there)",
                    shell_name(unit)
                ))
                .hint(format!("devstack events --service={}", shell_name(unit)))
        }
        ContainerTrouble::Refused { text } => {
            Problem::new("DS035", format!("the container of {unit} could not be had"))
                .saw("engine", words(text))
                .hint(format!("devstack events --service={}", shell_name(unit)))
                .hint("devstack doctor")
        }
    }
}

/// No engine of this command can be asked: for whom, why, and how to get one.
#[must_use]
pub fn no_engine(whom: &str, engine: &str, trouble: &ContainerTrouble) -> Problem {
    match trouble {
        ContainerTrouble::NotInstalled { program } => {
            Problem::new("DS046", format!("{whom} needs a container engine: {program} is not installed"))
                .saw("looked for", format!("{program} in PATH"))
                .hint("install docker (apt install docker.io) or podman (apt install podman)")
        }
        ContainerTrouble::NotPermitted { text } => {
            let problem = Problem::new(
                "DS047",
                format!("{whom} needs a container engine, and this user may not use it"),
            )
            .saw("engine", words(text));
            if is_podman(engine) {
                return problem
                    .hint("podman info    (as this user; shows what rootless containers lack here)");
            }
            problem
                .hint("sudo usermod -aG docker \"$USER\"    (as good as root; then log in again)")
                .hint("or a rootless engine: apt install podman, then DEVSTACK_ENGINE=podman devstack up")
        }
        ContainerTrouble::NoSuchContext { context } => {
            Problem::new("DS046", format!("{whom} needs the container context {context}, which is not there"))
                .saw("context", context.clone())
                .hint(format!("{engine} {} ls    (shows those that are)", place(engine)))
                .hint("or correct context in the manifest")
        }
        other => {
            let text = match other {
                ContainerTrouble::NotAnswering { text } => words(text),
                _ => other.to_string(),
            };
            let problem = Problem::new("DS046", format!("{whom} needs a container engine, and none answers"))
                .saw("engine", text);
            // Podman has nothing that would have to be started.
            let problem = if is_podman(engine) {
                problem
            } else {
                problem.hint("sudo systemctl start docker    (or start Docker Desktop)")
            };
            problem.hint(format!("{engine} info    (shows what it can be asked)"))
        }
    }
}

/// Whether it is the engine itself that cannot be had, and not only this container.
#[must_use]
pub fn is_of_engine(trouble: &ContainerTrouble) -> bool {
    matches!(
        trouble,
        ContainerTrouble::NotInstalled { .. }
            | ContainerTrouble::NotAnswering { .. }
            | ContainerTrouble::NoSuchContext { .. }
    )
}

fn with_fallback(problem: Problem, unit: &UnitName) -> Problem {
    problem
        .hint("devstack doctor    (shows which engines answer)")
        .hint(format!("or give {unit} a fallback in the manifest, for machines without an engine"))
}

fn published_port(unit: &UnitName, engine: &str, port: u16, name: &str) -> Problem {
    Problem::new("DS020", format!("port {port} ({unit}) is in use"))
        .saw("held by", format!("container {name}, which publishes it"))
        .hint(format!("{engine} stop {}", shell(name.split_whitespace().next().unwrap_or(name))))
        .hint(another_port(unit))
}

fn port_taken(unit: &UnitName, port: u16, by: Option<&PortHolder>, dir: &str) -> Problem {
    let problem = Problem::new("DS020", format!("port {port} ({unit}) is in use"));
    match by {
        Some(by) => port_hints(problem.saw("held by", holder(by)), unit, port, by, dir),
        None => problem
            .saw("held by", "somebody whom neither the engine nor the kernel names")
            .hint(format!("sudo ss -ltnp 'sport = :{port}'"))
            .hint(another_port(unit)),
    }
}

fn another_port(unit: &UnitName) -> String {
    format!("or give {unit} another port in the manifest")
}

fn no_image(unit: &UnitName, engine: &str, image: &str, why: MissingImage, text: &str) -> Problem {
    let problem = Problem::new("DS037", format!("the image {image} ({unit}) {why}"));
    let problem =
        if text.is_empty() { problem.saw("image", image) } else { problem.saw("engine", words(text)) };
    let pull = format!("{engine} pull {}", shell(image));
    match why {
        MissingImage::NotPulled => problem
            .saw("policy", "pull_policy of this service is never")
            .hint(pull)
            .hint(format!("or pull_policy: missing for {unit} in the manifest")),
        MissingImage::NotInRegistry => problem
            .hint(format!("correct image of {unit} in the manifest"))
            .hint(format!("{engine} login    (where the registry shows it to its users only)")),
        MissingImage::Offline => problem
            .hint(format!("{pull}    (when the registry can be reached)"))
            .hint(format!("{engine} load < FILE    (an image that was saved elsewhere)")),
    }
}

/// What an engine said; one that fails in silence is said to.
fn words(text: &str) -> String {
    let text = text.trim();
    if text.is_empty() { "it said nothing".to_owned() } else { text.to_owned() }
}

fn is_podman(engine: &str) -> bool {
    engine == "podman"
}

/// What the engine calls the place that a command of it leads to; as words of the command.
fn place(engine: &str) -> &'static str {
    if is_podman(engine) { "system connection" } else { "context" }
}

fn shell(word: &str) -> String {
    text::shell_path(word, None)
}
