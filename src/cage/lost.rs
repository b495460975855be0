//! A stack whose state was lost: what lives of it still tells its secret.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use crate::cage::{ENV_DIR, ENV_LIFE, ENV_STACK_ID};
use crate::domain::Mark;
use crate::sys::proc;
use crate::sys::users;

/// The secret of a stack whose manifest lies in this directory, as its living processes have it.
///
/// Only this user's processes are asked, only those that were born in a life, and a secret that is `known` to be another
/// stack's is not taken, nor one that is seen together with another directory: it was copied into somebody's environment.
#[must_use]
pub fn lost_secret(dir: &Path, known: &[Mark]) -> Option<Mark> {
    let mut seen: BTreeMap<Mark, (BTreeSet<Vec<u8>>, u32)> = BTreeMap::new();
    for pid in proc::pids().into_iter().filter(|pid| proc::uid(*pid) == Some(users::own_uid())) {
        let Some(environ) = proc::environ(pid) else { continue };
        let mark = |name: &str| Mark::parse(std::str::from_utf8(proc::variable(&environ, name)?).ok()?);
        if let (Some(stack), Some(_), Some(of)) =
            (mark(ENV_STACK_ID), mark(ENV_LIFE), proc::variable(&environ, ENV_DIR))
        {
            let (dirs, count) = seen.entry(stack).or_default();
            dirs.insert(of.to_vec());
            *count += 1;
        }
    }
    let own = BTreeSet::from([dir.as_os_str().as_bytes().to_vec()]);
    let found = seen.into_iter().filter(|(stack, (dirs, _))| *dirs == own && !known.contains(stack));
    found.max_by_key(|(_, (_, count))| *count).map(|(stack, _)| stack)
}
