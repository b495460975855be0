//! Users by name.

/// The name of a user, or `uid N`.
#[must_use]
pub fn name(_uid: u32) -> String {
    todo!()
}
/// The effective user of this process.
#[must_use]
pub fn own_uid() -> u32 {
    todo!()
}
