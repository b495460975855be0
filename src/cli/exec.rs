//! `exec`: a command where a service runs: in its environment, directory and user, or inside its container.
//!
//! The command takes the place of this process. So terminal, signals and exit code are its own, as if it had been called
//! by itself, and nothing of devstack stands between it and whoever waits for it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, IsTerminal as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use super::args::ExecArgs;
use super::exit::{CliError, Code};
use super::place::{Place, block_on, check_names};
use crate::domain::{ContainerStep, ContainerTrouble, Failure, Mark, State, UnitName, UnitView};
use crate::engine::{Client, Engine as _, Status, Trouble, TroubleKind};
use crate::plan::{ContainerPlan, Plan, UnitPlan};
use crate::show::Door;
use crate::store::{StackDir, StackFile};
use crate::supervisor;
use crate::sys::users;

/// `devstack exec`. Comes back only where the command never ran.
pub(super) fn run(place: &Place, door: &Door, args: &ExecArgs) -> Result<Code, CliError> {
    Err(match try_run(place, door, args) {
        // By their own codes: whoever asked for the command learns what a shell would tell him.
        Ok(refused @ (CliError::CommandNotFound { .. } | CliError::NotExecutable { .. })) => refused,
        Ok(error) | Err(error) => CliError::Before(Box::new(error)),
    })
}

/// Why it did not run, once all was ready for it; or why it was not.
fn try_run(place: &Place, door: &Door, args: &ExecArgs) -> Result<CliError, CliError> {
    let Target { unit, stack, dir, view } = target(place, door, &args.service)?;
    match &unit.container {
        None => in_process(&unit, &stack, args),
        Some(container) => {
            let not_running = || CliError::NotRunning { what: unit.name.to_string() };
            let view = view.filter(runs).ok_or_else(not_running)?;
            let dir = dir.ok_or_else(not_running)?;
            let client = supervisor::client_of(&dir, container, &unit.name, view.life);
            let state = view.container.and_then(|container| container.state);
            // Its name may be another one by now.
            let id = state.and_then(|state| state.id).unwrap_or_else(|| container.name.clone());
            look(&client, container, &id, &unit.name)?;
            Ok(inside(&client, container, &id, args))
        }
    }
}

/// Whether a command can run in it, by its engine's word: what the engine says itself cannot be told from what a command
/// says that it ran, nor can their codes.
fn look(client: &Client, container: &ContainerPlan, id: &str, unit: &UnitName) -> Result<(), CliError> {
    let what = || unit.to_string();
    match block_on(client.inspect(id))? {
        Ok(found) => match found.status {
            Status::Running { .. } => Ok(()),
            Status::Paused => {
                let engine = container.engine.command().to_owned();
                Err(CliError::Paused { what: what(), engine, container: found.name })
            }
            Status::Created { .. } | Status::Between | Status::Exited(_) => {
                Err(CliError::NotRunning { what: what() })
            }
        },
        Err(Trouble { kind: TroubleKind::NoSuchContainer, .. }) => Err(CliError::NotRunning { what: what() }),
        Err(trouble) => {
            let trouble = trouble.told(container.engine, container.context.as_deref());
            let engine = container.engine.command().to_owned();
            Err(CliError::NoEngine { whom: what(), engine, trouble: Box::new(trouble) })
        }
    }
}

/// The service as it is meant by whoever names it now.
struct Target {
    unit: UnitPlan,
    stack: StackFile,
    /// Where anything of its stack was ever started.
    dir: Option<StackDir>,
    /// What is known of it there.
    view: Option<UnitView>,
}

/// What runs was started by the plan of the last `up`, whatever the manifest says now. What does not run is as the manifest
/// says.
fn target(place: &Place, door: &Door, name: &UnitName) -> Result<Target, CliError> {
    let of = |plan: &Plan| plan.units.iter().find(|unit| unit.name == *name).cloned();
    if let Ok(Some(stack)) = place.find()
        && let Some(unit) = stack.file.plan.as_ref().and_then(of)
    {
        let view = stack.view(door)?.services.into_iter().find(|unit| unit.name == *name);
        if view.as_ref().is_some_and(lives) {
            return Ok(Target { unit, stack: stack.file, dir: Some(stack.dir), view });
        }
    }
    let plan = place.load(door)?.plan;
    check_names(&plan, std::slice::from_ref(name))?;
    let unit = of(&plan).ok_or_else(|| CliError::Bug(format!("{name} is lost")))?;
    let secret = Mark::from_random(crate::sys::random_bytes()?);
    Ok(Target { unit, stack: StackFile::new(plan.stack, plan.manifest, secret), dir: None, view: None })
}

/// Whether it was started, and by what is known of it still runs. A container does also where nobody stands for it any more.
fn lives(view: &UnitView) -> bool {
    view.pid.is_some() || (view.container.is_some() && matches!(view.state, State::Ready | State::Unhealthy))
}

fn runs(view: &UnitView) -> bool {
    let step =
        view.container.as_ref().and_then(|container| container.state.as_ref()).map(|state| &state.step);
    lives(view) && step.is_none_or(|step| *step == ContainerStep::Running)
}

fn in_process(unit: &UnitPlan, stack: &StackFile, args: &ExecArgs) -> Result<CliError, CliError> {
    let before = |failure: Failure| CliError::Unit { unit: unit.name.clone(), failure: Box::new(failure) };
    let user = args.user.as_ref().or(unit.user.as_ref());
    let identity = user.map(|user| users::find(user).map(|found| (user, found))).transpose();
    let refused = |user: &str, error: io::Error| {
        before(Failure::User { user: user.to_owned(), reason: error.to_string() })
    };
    let identity = identity.map_err(|error| refused(user.map_or("", String::as_str), error))?;
    if let Some((user, identity)) = identity.filter(|(_, identity)| !users::is_own(identity)) {
        users::become_now(&identity).map_err(|error| refused(user, error))?;
    }
    let dir =
        args.workdir.as_ref().map_or_else(|| unit.working_dir.clone(), |dir| unit.working_dir.join(dir));
    // The kernel's answer could not be told from that about the program.
    std::env::set_current_dir(&dir).map_err(|error| {
        before(Failure::WorkingDir { dir: dir.display().to_string(), reason: error.to_string() })
    })?;
    // As a shell would say it: a directory that somebody names may be written in many ways.
    let named = args.workdir.as_ref().and_then(|_| std::env::current_dir().ok());
    let mut environment = environment(unit, stack, named.as_ref().unwrap_or(&dir));
    for (name, value) in args.env.iter().filter_map(|entry| variable(entry)) {
        environment.insert(name, value);
    }
    let path = environment.get(&OsString::from("PATH")).cloned().unwrap_or_default();
    let (program, words) = args.command.split_first().ok_or_else(no_command)?;
    let error = Command::new(program).args(words).env_clear().envs(environment).exec();
    Ok(not_run(program, &path.to_string_lossy(), &error))
}

/// That of the service, over the one that this command was called with.
///
/// Without marks: what somebody runs beside a service is not the service's. It ends with its own terminal, and `down` leaves
/// it alone, as it does with probes.
fn environment(unit: &UnitPlan, stack: &StackFile, dir: &Path) -> BTreeMap<OsString, OsString> {
    let base: BTreeMap<String, String> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let of_unit = supervisor::environment_beside(stack, &base, unit);
    let mut all: BTreeMap<OsString, OsString> =
        of_unit.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
    all.insert("PWD".into(), dir.into());
    all
}

/// `NAME=value`, or `NAME` for the value that it has here.
pub(super) fn variable(entry: &str) -> Option<(OsString, OsString)> {
    match entry.split_once('=') {
        Some((name, value)) => Some((name.into(), value.into())),
        None => Some((entry.into(), std::env::var_os(entry)?)),
    }
}

/// Inside: the engine's command takes the place of this process.
fn inside(client: &Client, container: &ContainerPlan, id: &str, args: &ExecArgs) -> CliError {
    let tty = !args.no_tty && io::stdin().is_terminal() && io::stdout().is_terminal();
    let error = client.exec_command(&words(id, args, tty)).exec();
    let program = container.engine.command();
    let trouble = match error.kind() {
        io::ErrorKind::NotFound => ContainerTrouble::NotInstalled { program: program.to_owned() },
        _ => ContainerTrouble::NotPermitted { text: format!("{program}: {error}") },
    };
    CliError::NoEngine {
        whom: args.service.to_string(),
        engine: program.to_owned(),
        trouble: Box::new(trouble),
    }
}

fn words(id: &str, args: &ExecArgs, tty: bool) -> Vec<String> {
    let mut words = vec!["--interactive".to_owned()];
    let mut say = |option: &str, value: &str| words.extend([option.to_owned(), value.to_owned()]);
    for entry in &args.env {
        say("--env", entry);
    }
    for (option, value) in [("--user", &args.user), ("--workdir", &args.workdir)] {
        if let Some(value) = value {
            say(option, value);
        }
    }
    if tty {
        words.push("--tty".to_owned());
    }
    words.push(id.to_owned());
    words.extend(args.command.iter().cloned());
    words
}

pub(super) fn not_run(program: &str, path: &str, error: &io::Error) -> CliError {
    let program = program.to_owned();
    // A directory of PATH that may not be entered makes the kernel say "not permitted" of what is nowhere.
    let is_unseen = error.kind() == io::ErrorKind::PermissionDenied
        && !program.contains('/')
        && !std::env::split_paths(path).any(|dir| dir.join(&program).is_file());
    if is_unseen || error.kind() == io::ErrorKind::NotFound {
        let path = if program.contains('/') { String::new() } else { path.to_owned() };
        CliError::CommandNotFound { program, path }
    } else {
        CliError::NotExecutable { program, reason: error.to_string() }
    }
}

fn no_command() -> CliError {
    CliError::Usage("there is no command".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::args::{Cli, Verb};
    use crate::plan::EngineKind;

    fn args(line: &[&str]) -> ExecArgs {
        let cli = Cli::try_parse_from(["devstack", "exec"].iter().chain(line)).expect("is read");
        let Verb::Exec(args) = cli.verb else { panic!("not exec") };
        args
    }

    #[test]
    fn options_behind_the_command_are_the_commands_own() {
        for line in [
            &["db", "psql", "-U", "postgres", "--", "-T"][..],
            &["db", "--", "psql", "-U", "postgres", "--", "-T"],
        ] {
            let args = args(line);
            assert_eq!(args.command, ["psql", "-U", "postgres", "--", "-T"]);
            assert!(!args.no_tty);
        }
        assert!(args(&["-T", "db", "true"]).no_tty);
        assert!(Cli::try_parse_from(["devstack", "exec", "db"]).is_err());
    }

    #[test]
    fn the_engine_is_told_what_to_run_and_how() {
        let args = args(&["-u", "postgres", "-w", "/tmp", "-e", "A=b c", "-e", "HOME", "db", "psql", "-l"]);
        let inside = ["--env", "A=b c", "--env", "HOME", "--user", "postgres", "--workdir", "/tmp"];
        let plain: Vec<&str> = ["--interactive"].into_iter().chain(inside).collect();
        let end = ["3f2a", "psql", "-l"];
        assert_eq!(words("3f2a", &args, false), [&plain[..], &end].concat());
        assert_eq!(words("3f2a", &args, true), [&plain[..], &["--tty"], &end].concat());
        let far = Client::new(EngineKind::Podman).context("far").exec_command(&words("3f2a", &args, false));
        let said: Vec<_> = far.get_args().map(|word| word.to_string_lossy().into_owned()).collect();
        assert_eq!(said, [&["--connection", "far", "exec"], &plain[..], &end].concat());
    }
}
