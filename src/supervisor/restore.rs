//! Writing down anew what is missing of the state: somebody removed it while the stack runs.

use std::os::fd::AsFd as _;

use super::life::{Held, Key};
use super::performer::Performer;
use super::recall::call_keeper;
use crate::store::{Intent, RecordLine, append_record, create_record};
use crate::sys::{clock, pipe};

impl Performer {
    /// Writes what is missing of the ledger, and calls the keepers to do the same with what is theirs.
    pub(super) fn restore(&self) {
        if let Err(error) = self.dir.write_stack(&self.stack) {
            tracing::warn!(%error, "the stack cannot be written down anew");
        }
        for (key, held) in self.lives.borrow().iter() {
            if !self.dir.record(&key.0, key.1).exists()
                && let Err(error) = self.record_anew(key, held)
            {
                tracing::warn!(unit = %key.0, %error, "its record cannot be written anew");
            }
            let keeper = held.cage.as_ref().and_then(|cage| cage.keeper);
            // One that has ended meanwhile needs no call.
            let _ = keeper.and_then(call_keeper);
        }
    }

    fn record_anew(&self, (unit, life): &Key, held: &Held) -> std::io::Result<()> {
        let leaf = held.cage.as_ref().map_or(held.leaf.as_ref(), |cage| cage.cgroup.as_ref());
        let intent = Intent {
            boot: clock::boot_id()?,
            plan: (*held.plan).clone(),
            life: *life,
            mark: held.mark.clone(),
            cgroup: leaf.map(|leaf| (leaf.path().to_owned(), leaf.inode())),
            bounds: held.bounds.leaves(),
            socket: self.dir.keeper_socket(unit, *life),
            at: clock::moment(),
        };
        let seal = intent.seal(&self.dir);
        let record = create_record(&self.dir, intent)?;
        let Some(cage) = &held.cage else { return Ok(()) };
        if let Some(keeper) = cage.keeper {
            let (boot, leader, at) = (clock::boot_id()?, cage.leader, clock::wall());
            let output = held.spare_output.as_ref().and_then(|pipe| pipe::identify(pipe.as_fd()).ok());
            let session = cage.shared_session;
            let told = RecordLine::Leader { boot, keeper, leader, output, session, at };
            append_record(&record, &seal, &told)?;
        }
        for member in &cage.ledger {
            append_record(&record, &seal, &RecordLine::Member(*member))?;
        }
        if held.ready_noted { append_record(&record, &seal, &RecordLine::Ready) } else { Ok(()) }
    }
}
