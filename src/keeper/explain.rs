//! Where a program is looked for, and why it could not be run: the kernel's answer made into evidence.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use super::Spec;
use crate::domain::Failure;
use crate::sys::spawn::{NotRun, Step};

/// Where programs are where nobody says so.
const USUAL_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// Names that differ in more letters than this resemble nothing.
const FARTHEST: usize = 3;

/// How many names are shown.
const MOST_NAMES: usize = 3;

/// The files that a program's name can mean, in the order of the service's own `PATH`.
pub(super) fn candidates(spec: &Spec) -> Vec<PathBuf> {
    if let Some(file) = &spec.program {
        return vec![file.clone()];
    }
    let program = program(spec);
    if program.contains('/') {
        return vec![program.into()];
    }
    path_of(spec)
        .split(':')
        .map(|dir| Path::new(if dir.is_empty() { "." } else { dir }).join(program))
        .collect()
}

/// Why the child did not become its program.
pub(super) fn explain(spec: &Spec, not_run: &NotRun) -> Failure {
    let error = &not_run.error;
    match not_run.step {
        Step::SetUp => {
            Failure::Start { reason: format!("its process could not be set up: {}", reason(error)) }
        }
        Step::User => user(spec, error),
        Step::WorkingDir => {
            Failure::WorkingDir { dir: spec.working_dir.display().to_string(), reason: reason(error) }
        }
        Step::Exec => not_executed(spec, error),
    }
}

/// Why the user could not be found or become.
pub(super) fn user(spec: &Spec, error: &io::Error) -> Failure {
    let text = match error.kind() {
        io::ErrorKind::PermissionDenied => "only root can become another user".to_owned(),
        _ => reason(error),
    };
    Failure::User { user: spec.user.clone().unwrap_or_default(), reason: text }
}

/// Why there is no new process.
pub(super) fn no_process(error: &io::Error) -> Failure {
    Failure::Fork { reason: reason(error), crowd: crowd() }
}

/// The kernel's words, without the number.
pub(super) fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    let words = text.split(" (os error").next().unwrap_or_default();
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

fn not_executed(spec: &Spec, error: &io::Error) -> Failure {
    // Relative names of the PATH are meant from the service's directory.
    let found = candidates(spec).into_iter().find(|file| spec.working_dir.join(file).exists());
    let refused =
        |file: &Path, reason: String| Failure::NotExecutable { program: file.display().to_string(), reason };
    match (error.raw_os_error(), found) {
        (Some(libc::E2BIG), _) => Failure::Start {
            reason: "its arguments and environment are longer than the system allows".to_owned(),
        },
        (Some(libc::EAGAIN), _) => no_process(error),
        (_, None) => not_found(spec),
        (_, Some(file)) if spec.working_dir.join(&file).is_dir() => {
            refused(&file, "it is a directory".to_owned())
        }
        (Some(libc::ENOENT | libc::ENOTDIR), Some(file)) => {
            let reason = interpreter(&spec.working_dir.join(&file)).map_or_else(
                || "the loader that it names does not exist".to_owned(),
                |interpreter| format!("its interpreter {interpreter} does not exist"),
            );
            refused(&file, reason)
        }
        (_, Some(file)) => refused(&file, reason(error)),
    }
}

fn not_found(spec: &Spec) -> Failure {
    let program = program(spec);
    if let Some((dir, name)) = program.rsplit_once('/') {
        let near = near(name, &[spec.working_dir.join(format!("{dir}/"))]);
        return Failure::CommandNotFound { program: program.to_owned(), path: String::new(), near };
    }
    let path = path_of(spec).to_owned();
    let dirs: Vec<_> = path.split(':').map(|dir| spec.working_dir.join(dir)).collect();
    Failure::CommandNotFound { program: program.to_owned(), near: near(program, &dirs), path }
}

/// Programs whose name resembles the one that is wanted, the nearest first.
fn near(wanted: &str, dirs: &[PathBuf]) -> Vec<String> {
    // Every name of three letters is near to every other one.
    let farthest = (wanted.chars().count() / 2).clamp(1, FARTHEST);
    let names = dirs.iter().filter_map(|dir| std::fs::read_dir(dir).ok()).flatten().flatten();
    let mut found: Vec<(usize, String)> = names
        .filter_map(|entry| entry.file_name().into_string().ok())
        .map(|name| (strsim::osa_distance(wanted, &name), name))
        .filter(|(distance, _)| *distance <= farthest)
        .collect();
    found.sort();
    found.dedup();
    found.into_iter().take(MOST_NAMES).map(|(_, name)| name).collect()
}

/// The program that a script names in its first line.
fn interpreter(script: &Path) -> Option<String> {
    use std::io::Read as _;

    let mut start = Vec::new();
    std::fs::File::open(script).ok()?.take(256).read_to_end(&mut start).ok()?;
    let line = start.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    String::from_utf8_lossy(line).split_whitespace().next().map(str::to_owned)
}

/// Which programs run most often: where no process can be made, one of these has usually filled the table.
fn crowd() -> Vec<(String, u32)> {
    let mut counts: BTreeMap<String, u32> = BTreeMap::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let is_process = entry.file_name().as_encoded_bytes().iter().all(u8::is_ascii_digit);
        if is_process && let Ok(name) = std::fs::read_to_string(entry.path().join("comm")) {
            *counts.entry(name.trim_end().to_owned()).or_default() += 1;
        }
    }
    let mut crowd: Vec<_> = counts.into_iter().collect();
    crowd.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    crowd.truncate(MOST_NAMES);
    crowd
}

fn program(spec: &Spec) -> &str {
    spec.argv.first().map_or("", String::as_str)
}

fn path_of(spec: &Spec) -> &str {
    let set = spec.environment.iter().find(|(name, _)| name == "PATH");
    set.map_or(USUAL_PATH, |(_, value)| value.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_near() {
        let dir = tempfile::tempdir().expect("a directory");
        for name in ["npm", "npx", "node", "nodemon", "postgres", "ls"] {
            std::fs::write(dir.path().join(name), "").expect("written");
        }
        let near = |wanted| near(wanted, &[dir.path().to_owned(), dir.path().to_owned()]);
        assert_eq!(near("nmp"), ["npm"]);
        assert_eq!(near("postgers"), ["postgres"]);
        assert_eq!(near("nodee"), ["node", "nodemon"][..1]);
        assert!(near("zz").is_empty());
    }

    #[test]
    fn the_kernels_words_are_a_lowercase_fragment() {
        assert_eq!(reason(&io::Error::from_raw_os_error(libc::EACCES)), "permission denied");
        assert_eq!(reason(&io::Error::other("there is no such user")), "there is no such user");
    }

    #[test]
    fn a_script_names_its_interpreter() {
        let dir = tempfile::tempdir().expect("a directory");
        let script = dir.path().join("a");
        std::fs::write(&script, "#! /opt/none/python3 -u\nx").expect("written");
        assert_eq!(interpreter(&script).as_deref(), Some("/opt/none/python3"));
        std::fs::write(&script, "echo").expect("written");
        assert_eq!(interpreter(&script), None);
    }
}
