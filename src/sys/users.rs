//! Users by name or number, as the system's own databases know them.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString};
use std::io;
use std::sync::{Mutex, PoisonError};

/// Whom a process shall become.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// User.
    pub uid: libc::uid_t,
    /// First group.
    pub gid: libc::gid_t,
    /// All groups.
    pub groups: Vec<libc::gid_t>,
}

/// Finds a user by name or number. A number without an entry is fine: it gets a group of the same number and no other.
pub fn find(text: &str) -> io::Result<Identity> {
    let name = CString::new(text)?;
    if let Some((name, uid, gid)) = by_name(&name)? {
        return Ok(Identity { uid, gid, groups: groups(&name, gid) });
    }
    let unknown = || io::Error::new(io::ErrorKind::NotFound, "there is no such user");
    let uid = text.parse().map_err(|_| unknown())?;
    Ok(match by_number(uid)? {
        Some((name, uid, gid)) => Identity { uid, gid, groups: groups(&name, gid) },
        None => Identity { uid, gid: uid, groups: vec![uid] },
    })
}

/// The name of a user, or `uid N`. Each user is looked up once: a name service may be slow.
#[must_use]
pub fn name(uid: u32) -> String {
    static KNOWN: Mutex<BTreeMap<u32, String>> = Mutex::new(BTreeMap::new());
    let look_up = || match by_number(uid) {
        Ok(Some((name, ..))) => name.to_string_lossy().into_owned(),
        Ok(None) | Err(_) => format!("uid {uid}"),
    };
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    known.entry(uid).or_insert_with(look_up).clone()
}

/// The user that this process acts as.
#[must_use]
pub fn own_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Whether this process already is that user.
#[must_use]
pub fn is_own(identity: &Identity) -> bool {
    own_uid() == identity.uid && rustix::process::getegid().as_raw() == identity.gid
}

/// Makes this process that user, once and for all. Only root may become another one.
pub fn become_now(identity: &Identity) -> io::Result<()> {
    super::spawn::become_user(identity).map_err(io::Error::from_raw_os_error)
}

type Entry = Option<(CString, libc::uid_t, libc::gid_t)>;

fn by_name(name: &CStr) -> io::Result<Entry> {
    // SAFETY: `entry` gives pointers that are valid for the call.
    entry(|record, buffer, size, found| unsafe {
        libc::getpwnam_r(name.as_ptr(), record, buffer, size, found)
    })
}

fn by_number(uid: libc::uid_t) -> io::Result<Entry> {
    // SAFETY: as above.
    entry(|record, buffer, size, found| unsafe { libc::getpwuid_r(uid, record, buffer, size, found) })
}

fn entry(
    ask: impl Fn(*mut libc::passwd, *mut libc::c_char, usize, *mut *mut libc::passwd) -> libc::c_int,
) -> io::Result<Entry> {
    let mut buffer = vec![0; 4096];
    loop {
        // SAFETY: numbers and pointers, for which zero is a value.
        let mut record: libc::passwd = unsafe { std::mem::zeroed() };
        let mut found = std::ptr::null_mut();
        match ask(&raw mut record, buffer.as_mut_ptr(), buffer.len(), &raw mut found) {
            0 if found.is_null() => return Ok(None),
            0 => {
                // SAFETY: on success the name points to a text within the buffer, which lives here.
                let name = unsafe { CStr::from_ptr(record.pw_name) }.to_owned();
                return Ok(Some((name, record.pw_uid, record.pw_gid)));
            }
            libc::ERANGE if buffer.len() < 1 << 20 => buffer.resize(buffer.len() * 4, 0),
            // Several systems tell "no such user" as one of these.
            libc::ENOENT | libc::ESRCH | libc::EBADF | libc::EPERM => return Ok(None),
            error => return Err(io::Error::from_raw_os_error(error)),
        }
    }
}

// What the C library calls a group in this one function differs.
#[cfg(target_os = "macos")]
type RawGroup = libc::c_int;
#[cfg(not(target_os = "macos"))]
type RawGroup = libc::gid_t;

fn groups(name: &CStr, gid: libc::gid_t) -> Vec<libc::gid_t> {
    let mut raw: Vec<RawGroup> = vec![0; 64];
    for _ in 0..4 {
        let mut count = libc::c_int::try_from(raw.len()).unwrap_or(libc::c_int::MAX);
        // SAFETY: the list has room for `count` groups.
        let fits =
            unsafe { libc::getgrouplist(name.as_ptr(), gid as RawGroup, raw.as_mut_ptr(), &raw mut count) }
                >= 0;
        let count = usize::try_from(count).unwrap_or(0);
        if fits {
            return raw.iter().take(count).map(|group| *group as libc::gid_t).collect();
        }
        raw.resize(count.max(raw.len() * 2), 0);
    }
    vec![gid]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_without_a_name_is_told_by_number() {
        assert_eq!(name(0), "root");
        assert_eq!(name(3_999_999_999), "uid 3999999999");
    }

    #[test]
    fn users_are_found_by_name_and_by_number() {
        let root = find("root").expect("every system has one");
        assert_eq!((root.uid, root.gid), (0, 0));
        assert!(root.groups.contains(&0));
        assert_eq!(find("0").expect("by number"), root);
        assert_eq!(find("no such user").expect_err("unknown").to_string(), "there is no such user");
        assert_eq!(
            find("3999999").expect("any number"),
            Identity { uid: 3_999_999, gid: 3_999_999, groups: vec![3_999_999] }
        );
    }
}
