//! From a place on disk to a plan: finds the manifest, reads it and its env files, chooses automatic ports.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::net::{Ipv4Addr, Ipv6Addr, TcpListener};
use std::path::{Path, PathBuf};

use crate::domain::StackName;
use crate::manifest::{self, Problem};
use crate::plan::{self, AutoPorts, Context, EngineKind, EnvFileError, Plan, WantedPorts};

/// What a manifest may be called, the preferred name first.
const NAMES: [&str; 2] = ["devstack.yaml", "devstack.yml"];
/// The largest env file that is read, in bytes.
const MAX_ENV_FILE: usize = 1 << 20;
/// What the values of an env file may come to together where they name each other, in bytes.
const MAX_ENV_VALUES: usize = 16 << 20;
/// Automatic ports: below those that the kernel gives away by itself (from 32768 on).
const AUTO_PORTS: std::ops::Range<u16> = 20_000..30_000;

/// More automatic ports than this are not chosen: the search would take longer and longer.
const MOST_AUTO: usize = 2_000;

/// Where the manifest is sought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Where {
    /// In this directory and then in each above it.
    Above(PathBuf),
    /// This file, or in this directory and nowhere else (`-f`).
    Exactly(PathBuf),
}

/// A manifest, resolved.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The plan.
    pub plan: Plan,
    /// The manifest's text.
    pub source: String,
    /// The automatic ports now chosen: keep them and hand them in the next time.
    pub auto_ports: AutoPorts,
}

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// No manifest; exit code 66.
    #[error("no devstack.yaml or devstack.yml in {}", list(searched))]
    NotFound {
        /// Directories (or the file) looked at, in order.
        searched: Vec<PathBuf>,
    },
    /// There is one and it cannot be read; exit code 66.
    #[error("{} cannot be read: {reason}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        reason: String,
    },
    /// It is wrong; exit code 65.
    #[error("{} is wrong in {} places", path.display(), problems.len())]
    Problems {
        /// The file.
        path: PathBuf,
        /// Its text, for [`crate::manifest::render`].
        text: String,
        /// All that is wrong, in the order of the file.
        problems: Vec<Problem>,
    },
}

/// Finds the manifest: an absolute path, its directory free of links, because that is how processes tell theirs.
pub fn find(place: &Where) -> Result<PathBuf, LoadError> {
    let (start, above) = match place {
        Where::Above(dir) => (dir, true),
        Where::Exactly(path) => (path, false),
    };
    let unreadable =
        |error: std::io::Error| LoadError::Unreadable { path: start.clone(), reason: reason(&error) };
    if !above && !start.is_dir() {
        return match std::fs::metadata(start) {
            Ok(_) => real_path(start).map_err(unreadable),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                Err(LoadError::NotFound { searched: vec![start.clone()] })
            }
            Err(error) => Err(unreadable(error)),
        };
    }
    let start = start.canonicalize().map_err(unreadable)?;
    let mut searched = Vec::new();
    for dir in start.ancestors().take(if above { usize::MAX } else { 1 }) {
        // A directory of that name is no manifest.
        if let Some(found) = candidates(dir).find(|path| path.is_file()) {
            return Ok(found);
        }
        searched.push(dir.to_owned());
    }
    Err(LoadError::NotFound { searched })
}

/// What a manifest in this directory may be called.
pub fn candidates(dir: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    NAMES.map(|name| dir.join(name)).into_iter()
}

/// An absolute path whose part that exists is free of links; the rest may have been deleted.
#[must_use]
pub fn real_place(path: &Path) -> PathBuf {
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let real = |above: &Path| {
        let rest = whole.strip_prefix(above).ok()?;
        let above = above.canonicalize().ok()?;
        // A path that ends in nothing would get a slash.
        Some(if rest.as_os_str().is_empty() { above } else { above.join(rest) })
    };
    whole.ancestors().find_map(real).unwrap_or_else(|| whole.clone())
}

/// Loads a manifest; `previous` are the automatic ports chosen the last time, which win.
pub fn load(place: &Where, previous: &AutoPorts) -> Result<Loaded, LoadError> {
    load_with(place, |_, _| previous.clone())
}

/// Like [`load`]; asks for the previous ports once name and path of the stack are known, and only if there are any.
pub fn load_with(
    place: &Where,
    previous: impl FnOnce(&StackName, &Path) -> AutoPorts,
) -> Result<Loaded, LoadError> {
    let path = find(place)?;
    let unreadable =
        |error: std::io::Error| LoadError::Unreadable { path: path.clone(), reason: reason(&error) };
    let bytes = read_capped(&path, manifest::MAX_BYTES).map_err(unreadable)?;
    let (parsed, problems) = manifest::parse_lenient(&bytes);
    let text = String::from_utf8(bytes)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
    let Some(parsed) = parsed else { return Err(LoadError::Problems { path, text, problems }) };
    let dir = path.parent().unwrap_or(Path::new("/")).to_owned();
    let engine = installed_engine(std::env::var_os("PATH").unwrap_or_default().as_os_str());
    let variables = environment();
    let mut context = Context { dir, manifest: path.clone(), variables, engine, ..Context::default() };
    read_env_files(&parsed, &mut context);
    let wanted = plan::wanted_auto_ports(&parsed, &context);
    if !wanted.auto.is_empty() {
        let previous = previous(&plan::stack_name(&parsed, &context), &path);
        context.auto_ports = choose_ports(&wanted, &context.dir, &previous, can_bind);
    }
    match plan::resolve(&parsed, &context) {
        Ok(plan) if problems.is_empty() => Ok(Loaded { plan, source: text, auto_ports: context.auto_ports }),
        Ok(_) => Err(LoadError::Problems { path, text, problems }),
        Err(more) => {
            let problems = manifest::in_order(problems.into_iter().chain(more).collect());
            Err(LoadError::Problems { path, text, problems })
        }
    }
}

/// The engine whose command is installed: docker where both are, and where none is: it is what people look for.
fn installed_engine(path: &OsStr) -> EngineKind {
    let there = |name: &str| std::env::split_paths(path).any(|dir| dir.join(name).is_file());
    if !there("docker") && there("podman") { EngineKind::Podman } else { EngineKind::Docker }
}

/// The caller's environment, as far as it is text.
fn environment() -> BTreeMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

fn real_path(file: &Path) -> std::io::Result<PathBuf> {
    // The file itself may be a link: what it says is meant for the directory in which it is named.
    let whole = std::path::absolute(file)?;
    match (whole.parent(), whole.file_name()) {
        (Some(dir), Some(name)) => Ok(dir.canonicalize()?.join(name)),
        _ => Ok(whole),
    }
}

/// One byte more than `most` at most: enough to see that it is too much, and `/dev/zero` ends as well.
fn read_capped(path: &Path, most: usize) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(most as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn reason(error: &std::io::Error) -> String {
    let text = error.to_string();
    // The number behind the text tells people nothing.
    text.split(" (os error").next().unwrap_or_default().to_lowercase()
}

fn read_env_files(parsed: &manifest::Manifest, context: &mut Context) {
    let dotenv = plan::dotenv_file(&context.dir);
    // Nobody asked for it: a directory of that name (a Python environment) is nothing to complain about.
    let read = if dotenv.is_dir() { Err(EnvFileError::Missing) } else { read_env_file(&dotenv) };
    context.env_files.insert(dotenv, read);
    for path in plan::wanted_files(parsed, context) {
        context.env_files.entry(path).or_insert_with_key(|path| read_env_file(path));
    }
}

fn read_env_file(path: &Path) -> Result<Vec<(String, String)>, EnvFileError> {
    let bytes = match read_capped(path, MAX_ENV_FILE) {
        Ok(bytes) if bytes.len() > MAX_ENV_FILE => {
            return Err(EnvFileError::Unreadable(format!("it is larger than {} MiB", MAX_ENV_FILE >> 20)));
        }
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Err(EnvFileError::Missing),
        Err(error) => return Err(EnvFileError::Unreadable(reason(&error))),
    };
    parse_env(&bytes)
}

/// The variables of an env file, in order.
pub(super) fn parse_env(bytes: &[u8]) -> Result<Vec<(String, String)>, EnvFileError> {
    let text = std::str::from_utf8(bytes)
        .map_err(|_| EnvFileError::Unreadable("it is not UTF-8 text".to_owned()))?;
    let text = text.trim_start_matches('\u{feff}');
    let mut lines = dotenvy::from_read_iter(text.as_bytes());
    let mut pairs: Vec<(String, String)> = Vec::new();
    // A value may name earlier ones, and those again: a file of some lines could fill the memory. Each `$` brings no more
    // than the largest value known by then.
    let dollars = text.matches('$').count();
    let mut largest = std::env::vars_os().map(|(_, value)| value.len()).max().unwrap_or(0);
    while dollars.saturating_mul(largest) <= MAX_ENV_VALUES {
        let Some(pair) = lines.next() else { return Ok(pairs) };
        let (name, value) = pair.map_err(|error| env_error(&error, text))?;
        largest = largest.max(value.len());
        pairs.push((name, value));
    }
    Err(EnvFileError::Unreadable("its values grow too large by naming each other".to_owned()))
}

fn env_error(error: &dotenvy::Error, text: &str) -> EnvFileError {
    let dotenvy::Error::LineParse(bad, _) = error else { return EnvFileError::Unreadable(error.to_string()) };
    // It tells a place within the line; which line it was must be sought. What stands there is not told: an env file
    // holds secrets, and a faulty line may well be a part of one.
    let unknown = || EnvFileError::Unreadable("one of its lines is not NAME=value".to_owned());
    let begins = bad.lines().next().unwrap_or_default().trim();
    let line = text.lines().position(|line| line.trim() == begins);
    line.map_or_else(unknown, |line| EnvFileError::Line { line: line + 1 })
}

/// Ports that stay the same for one checkout: the previous ones, else by a hash of where the stack is and what the
/// port is called. Ports declared in the stack and those that `is_free` denies are skipped.
fn choose_ports(
    wanted: &WantedPorts,
    dir: &Path,
    previous: &AutoPorts,
    mut is_free: impl FnMut(u16) -> bool,
) -> AutoPorts {
    let mut taken: BTreeSet<u16> = wanted.declared.clone();
    let mut chosen = AutoPorts::new();
    let keys: Vec<String> =
        wanted.auto.iter().map(|(service, port)| plan::auto_port_key(service, port)).collect();
    for key in &keys {
        // Not asked whether it is free: it may well be our own running service that holds it.
        if let Some(port) = previous.get(key).copied().filter(|port| *port > 0 && taken.insert(*port)) {
            chosen.insert(key.clone(), port);
        }
    }
    let count = AUTO_PORTS.end - AUTO_PORTS.start;
    for key in &keys {
        if chosen.contains_key(key) || chosen.len() >= MOST_AUTO {
            continue;
        }
        let hash = plan::fnv1a(format!("{}\0{key}", dir.display()).as_bytes());
        let start = u16::try_from(hash % u64::from(count)).unwrap_or_default();
        let mut candidates = (0..count).map(|step| AUTO_PORTS.start + (start + step) % count);
        let found = candidates.find(|port| !taken.contains(port) && is_free(*port));
        if let Some(port) = found {
            taken.insert(port);
            chosen.insert(key.clone(), port);
        }
    }
    chosen
}

/// Whether a server could listen there now. A missing address family is no hindrance.
pub(super) fn can_bind(port: u16) -> bool {
    let free =
        |error: std::io::Error| !matches!(error.kind(), ErrorKind::AddrInUse | ErrorKind::PermissionDenied);
    let v4 = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map_or_else(free, |_| true);
    v4 && TcpListener::bind((Ipv6Addr::LOCALHOST, port)).map_or_else(free, |_| true)
}

fn list(paths: &[PathBuf]) -> String {
    let texts: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
    texts.join(", ")
}

#[cfg(test)]
mod tests;
