//! Which units a command means: by name, by profile, and all that they need.

use std::collections::BTreeSet;

use crate::domain::UnitName;

use super::Plan;

/// Why a selection is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelectError {
    /// The stack has no unit of this name.
    #[error("no service {name:?}{}", nearest.as_ref().map_or(String::new(), |near| format!("; is {near:?} meant?")))]
    Unknown {
        /// As asked for.
        name: UnitName,
        /// The unit with the most similar name.
        nearest: Option<UnitName>,
    },
}

/// The units meant, in start order.
///
/// Without names: all units without profiles or with an active one. With names: these, whatever their profiles.
/// `with_deps` adds all that they need, directly or not.
pub fn select(
    _plan: &Plan,
    _names: &[UnitName],
    _profiles: &BTreeSet<String>,
    _with_deps: bool,
) -> Result<Vec<UnitName>, SelectError> {
    todo!()
}
