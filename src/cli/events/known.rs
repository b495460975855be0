//! Which names `events` may be asked for: those of the manifest, and whatever stands in the journal.

use std::io;

use crate::cli::exit::CliError;
use crate::cli::place::{Place, Stack, unit_names};
use crate::domain::UnitName;
use crate::history::Filter;
use crate::show::Door;
use crate::store::{JournalReader, read_line, read_records};

/// Why a name cannot be told of.
pub(super) enum Unfit {
    /// The journal cannot be read.
    Unreadable(io::Error),
    /// Nobody knows it.
    Unknown(CliError),
}

/// Refuses a name that neither the manifest nor the journal has: of a misspelt one nothing would be told.
pub(super) fn check<'a>(
    place: &Place,
    door: &Door,
    stack: &Stack,
    names: impl Iterator<Item = &'a UnitName>,
) -> Result<(), Unfit> {
    let planned = stack.file.plan.as_ref().map(unit_names).unwrap_or_default();
    let mut unknown: Vec<&UnitName> = names.filter(|name| !planned.contains(name)).collect();
    if unknown.is_empty() {
        return Ok(());
    }
    // It may be in the manifest since the last `up`; one that cannot be read says nothing.
    let written = place.load(door).map(|loaded| unit_names(&loaded.plan)).unwrap_or_default();
    unknown.retain(|name| !written.contains(name));
    // A job that runs may have no line yet.
    let records = read_records(&stack.dir).unwrap_or_default();
    unknown.retain(|name| !records.iter().any(|record| record.intent.plan.name == **name));
    for name in unknown {
        if !in_journal(stack, name).map_err(Unfit::Unreadable)? {
            let known = if written.is_empty() { planned } else { written };
            return Err(Unfit::Unknown(CliError::NoSuchService { name: name.to_string(), known }));
        }
    }
    Ok(())
}

/// Whether a line of the journal is about this unit: of a job that is over, of a service that was taken out since.
fn in_journal(stack: &Stack, name: &UnitName) -> io::Result<bool> {
    let filter = Filter::new(&[], std::slice::from_ref(name), None, None);
    let mut found = false;
    JournalReader::open(&stack.dir.journal())?.read_bytes(|line| {
        found = found || (filter.may_pass(line) && read_line(line).is_some_and(|line| filter.passes(&line)));
        true
    })?;
    Ok(found)
}
