//! Stacks that no state knows any more: their processes still say whose they were.
//!
//! A mark alone does not tell that its owner is gone: another state directory may know it. So a process counts only where
//! its own environment names this state directory, and nobody of devstack holds it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::super::place::Stack;
use crate::cage::{self, ENV_DIR, ENV_LIFE, ENV_STACK, ENV_STACK_ID};
use crate::domain::{Mark, StackName};
use crate::engine::label;
use crate::store::{Home, StackFile};
use crate::sys::{proc, users};

/// How a manifest is called where nobody knows any more how it was.
const MANIFEST: &str = "devstack.yaml";

/// The stacks of this user that live in no state, by the marks of their processes.
pub(super) fn stacks(home: &Home, known: &[Stack]) -> Vec<Stack> {
    let mut found: BTreeMap<Mark, (StackName, PathBuf)> = BTreeMap::new();
    for pid in cage::unheld().into_iter().filter(|pid| proc::uid(*pid) == Some(users::own_uid())) {
        let Some(told) = proc::environ(pid).and_then(|environ| owner(&environ, home)) else { continue };
        if !known.iter().any(|stack| stack.file.secret == told.0) {
            found.entry(told.0).or_insert((told.1, told.2));
        }
    }
    let mut stacks = Vec::new();
    for (secret, (name, dir)) in found {
        let mut manifest = dir.join(MANIFEST);
        // Another stack has taken its place: what becomes of this one is recorded beside it, as of a manifest that is gone.
        if known.iter().any(|stack| stack.file.manifest == manifest) {
            manifest.set_file_name(format!("{MANIFEST}.{}", label::owner(&secret)));
        }
        let dir = home.unmade(&manifest, name.as_str());
        stacks.push(Stack::new(dir, StackFile::new(name, manifest, secret)));
    }
    stacks
}

/// The stack that a process was born in: secret, name and directory; none where another state directory knows it.
fn owner(environ: &[u8], home: &Home) -> Option<(Mark, StackName, PathBuf)> {
    let text = |name: &str| std::str::from_utf8(proc::variable(environ, name)?).ok();
    let theirs = Home::from_env(users::own_uid(), |name| text(name).map(str::to_owned)).ok()?;
    let secret = Mark::parse(text(ENV_STACK_ID)?)?;
    Mark::parse(text(ENV_LIFE)?)?;
    let dir = PathBuf::from(text(ENV_DIR)?);
    (theirs.state() == home.state() && dir.is_absolute())
        .then(|| Some((secret, StackName::parse(text(ENV_STACK)?).ok()?, dir)))?
}
