//! Which units a command means: by name, by profile, and all that they need.

use std::collections::{BTreeSet, HashMap};

use crate::domain::UnitName;
use crate::manifest::nearest;

use super::{Plan, UnitPlan};

/// Why a selection is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelectError {
    /// The stack has no unit of this name.
    #[error("no service {:?}{}", name.as_str(), meant(nearest.as_ref()))]
    Unknown {
        /// As asked for.
        name: UnitName,
        /// The unit with the most similar name.
        nearest: Option<UnitName>,
    },
}

fn meant(nearest: Option<&UnitName>) -> String {
    nearest.map_or(String::new(), |near| format!("; is {:?} meant?", near.as_str()))
}

/// The units meant, in start order.
///
/// Without names: all units without profiles or with an active one. With names: these, whatever their profiles.
/// `with_deps` adds all that they need, directly or not.
pub fn select(
    plan: &Plan,
    names: &[UnitName],
    profiles: &BTreeSet<String>,
    with_deps: bool,
) -> Result<Vec<UnitName>, SelectError> {
    let number: HashMap<&str, usize> =
        plan.units.iter().enumerate().map(|(index, unit)| (unit.name.as_str(), index)).collect();
    let mut wanted = vec![false; plan.units.len()];
    for name in names {
        let index = number.get(name.as_str()).ok_or_else(|| unknown(plan, name))?;
        wanted[*index] = true;
    }
    if names.is_empty() {
        let active = |unit: &UnitPlan| unit.profiles.is_empty() || !unit.profiles.is_disjoint(profiles);
        wanted = plan.units.iter().map(active).collect();
    }
    if with_deps {
        // Each unit comes after all that it needs: one walk from the end reaches everything.
        for index in (0..plan.units.len()).rev() {
            if wanted[index] {
                for need in &plan.units[index].depends_on {
                    if let Some(needed) = number.get(need.unit.as_str()) {
                        wanted[*needed] = true;
                    }
                }
            }
        }
    }
    let chosen = plan.units.iter().zip(wanted).filter(|(_, wanted)| *wanted);
    Ok(chosen.map(|(unit, _)| unit.name.clone()).collect())
}

fn unknown(plan: &Plan, name: &UnitName) -> SelectError {
    let near = nearest(name.as_str(), plan.units.iter().map(|unit| unit.name.as_str()));
    let near = near.and_then(|near| plan.units.iter().find(|unit| unit.name.as_str() == near));
    SelectError::Unknown { name: name.clone(), nearest: near.map(|unit| unit.name.clone()) }
}
