//! Users by name.

use std::collections::BTreeMap;
use std::ffi::CStr;
use std::sync::{Mutex, PoisonError};

/// The name of a user, or `uid N`. Each user is looked up once: a name service may be slow.
#[must_use]
pub fn name(uid: u32) -> String {
    static KNOWN: Mutex<BTreeMap<u32, String>> = Mutex::new(BTreeMap::new());
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    known.entry(uid).or_insert_with(|| look_up(uid).unwrap_or_else(|| format!("uid {uid}"))).clone()
}

fn look_up(uid: u32) -> Option<String> {
    let mut buffer = vec![0_u8; 16_384];
    // SAFETY: the structure is numbers and pointers, for which all zeroes are a value.
    let mut entry: libc::passwd = unsafe { std::mem::zeroed() };
    let mut found: *mut libc::passwd = std::ptr::null_mut();
    let text = buffer.as_mut_ptr().cast::<libc::c_char>();
    // SAFETY: all pointers are valid for the call, and the buffer's true length is given.
    let failed = unsafe { libc::getpwuid_r(uid, &raw mut entry, text, buffer.len(), &raw mut found) };
    if failed != 0 || found.is_null() || entry.pw_name.is_null() {
        return None;
    }
    // SAFETY: on success the name points to a NUL-terminated text inside `buffer`, which lives.
    let name = unsafe { CStr::from_ptr(entry.pw_name) };
    Some(name.to_string_lossy().into_owned())
}

/// The effective user of this process.
#[must_use]
pub fn own_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_without_a_name_is_told_by_number() {
        assert_eq!(name(0), "root");
        assert_eq!(name(3_999_999_999), "uid 3999999999");
    }
}
