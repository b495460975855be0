//! The independent look after a stop: is anything left, and are the ports free?

use crate::cage::census::{Net, gather};
use crate::cage::guard::survivor;
use crate::cage::holder::holders;
use crate::cage::life::{Depth, Member};
use crate::cage::safety::Verdict;
use crate::cage::stop::reason;
use crate::cage::stray::{StackFacts, strays};
use crate::cage::world::World;
use crate::domain::{PortStatus, Survivor, UnitName};

/// Most looks until two in a row agree that nothing is left.
const LOOKS: u32 = 4;

/// Looks at the whole process table for what is left of these units (none: of the whole stack; beside what runs on: of
/// these and of the strays), and at ports.
///
/// It believes nothing of what the stop reported: identities of the ledger, sessions, cgroups and both marks are looked
/// up anew, twice in a row. What is bound to end (a zombie, a process that ends between two looks) is no survivor.
#[must_use]
pub fn verify(
    facts: &StackFacts,
    units: Option<&[UnitName]>,
    ports: &[u16],
) -> (Vec<Survivor>, Vec<PortStatus>) {
    let mut survivors = Vec::new();
    let mut empty = 0;
    for _ in 0..LOOKS {
        survivors = look(facts, units);
        empty = if survivors.is_empty() { empty + 1 } else { 0 };
        if empty == 2 {
            break;
        }
    }
    (survivors, holders(ports))
}

fn look(facts: &StackFacts, units: Option<&[UnitName]>) -> Vec<Survivor> {
    let (guard, mut world) = (facts.guard(), World::new());
    let members = match units {
        None => facts.proven(&mut world),
        Some(units) => {
            let lives = facts.lives.iter().filter(|cage| units.contains(&cage.unit)).collect();
            let mut members = gather(&Net { lives, stack: None, hearth: None }, &mut world, Depth::Full);
            if facts.beside.is_some() {
                members.extend(strays(facts, &mut world));
            }
            members
        }
    };
    let ours = |member: &&Member| match guard.verdict(&mut world, member) {
        Verdict::Yes => true,
        Verdict::No(refusal) => !refusal.is_foreign(),
    };
    let members: Vec<Member> = members.iter().filter(ours).cloned().collect();
    let tell = |member: &Member| survivor(member, member.command(), reason(&guard, &mut world, member));
    members.iter().map(tell).collect()
}
