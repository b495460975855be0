//! The labels by which a container or a volume is known as one of a stack.

/// The hash of the stack's manifest: one for each checkout. Recovery and the proof of a stop ask for it.
pub const STACK: &str = "devstack.stack";
/// The stack's name, for people.
pub const NAME: &str = "devstack.name";
/// The service.
pub const SERVICE: &str = "devstack.service";
/// The life in which it was made.
pub const LIFE: &str = "devstack.life";
/// The definition that it was made by.
pub const DEFINITION: &str = "devstack.definition";
/// The volume's name in the manifest.
pub const VOLUME: &str = "devstack.volume";

/// What all that belongs to this stack carries, as engines are asked for it.
#[must_use]
pub fn of_stack(hash: &str) -> String {
    format!("{STACK}={hash}")
}
