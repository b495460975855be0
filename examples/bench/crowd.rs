//! How fast very many are ended: 100 services of 1,000 processes that obey, and as many that are deaf to SIGTERM.
//!
//! As the present user, and, where that is root (who has cgroups), as a plain user as well (who has none).

use std::fmt::Write as _;
use std::time::Duration;

use crate::report::{Goal, Report, Row, ms};
use crate::stack::{Place, Stack};
use crate::{Trouble, Wanted, look};

const SERVICES: usize = 100;
const EACH: usize = 10;

/// The grace of those that are deaf.
const GRACE: Duration = Duration::from_secs(1);

/// Measures both, for both users.
pub(crate) fn measure(wanted: &Wanted, place: &Place, report: &mut Report) -> Result<(), Trouble> {
    let users: &[(bool, &str)] =
        if look::is_root() { &[(false, "root"), (true, "plain")] } else { &[(false, "plain")] };
    for (plain, user) in users {
        for deaf in [false, true] {
            for row in cycle(wanted, place, *plain, deaf, user)? {
                report.add(row);
            }
        }
    }
    Ok(())
}

fn cycle(wanted: &Wanted, place: &Place, plain: bool, deaf: bool, user: &str) -> Result<Vec<Row>, Trouble> {
    let processes = SERVICES * EACH;
    let (what, spared) = if deaf { (" deaf, after the grace", GRACE) } else { ("", Duration::ZERO) };
    let mut down = Row::new(format!("down {SERVICES}×{EACH}{what}, {user}"), "ms", Goal::AtMost(1000.0));
    let mut ps = Row::new(format!("ps {SERVICES}×{EACH}, {user}"), "ms", Goal::None);
    for _ in 0..wanted.runs {
        let stack = Stack::of_user(place, &manifest(place, deaf), plain)?;
        stack.time(&["up"])?;
        let seen = stack.view()?.processes().len();
        if seen != processes {
            return Err(format!("ps shows {seen} processes of {processes}").into());
        }
        if !deaf {
            ps.devstack.push(ms(stack.time(&["ps"])?));
        }
        down.devstack.push(ms(stack.time(&["down"])?.saturating_sub(spared)));
    }
    Ok(if deaf { vec![down] } else { vec![ps, down] })
}

fn manifest(place: &Place, deaf: bool) -> String {
    let no_term = if deaf { ", --no-term" } else { "" };
    let (program, grace) = (place.stand_in.display(), GRACE.as_secs());
    let mut text = String::from("name: bench\nservices:\n");
    for at in 0..SERVICES {
        let _ = writeln!(
            text,
            "  s{at}:\n    command: [\"{program}\", crowd, --count, \"{EACH}\"{no_term}]\n    \
             ready: {{ log: crowd of }}\n    stop_grace_period: {grace}s"
        );
    }
    text
}
