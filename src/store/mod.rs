//! What must outlive a process: the state directory, its lock, the ledger, the journal and the logs.
//!
//! Nothing here is synced to the disk: a process that is killed loses nothing that it had written (the page cache is the
//! kernel's), and after a crash of the machine itself the boot id makes every recorded identity void anyway.

mod home;
mod journal;
mod ledger;
mod lock;
pub mod log;

pub use home::{Home, HomeError, STATE_VERSION, StackDir, StackFile, stack_hash};
pub(crate) use home::{private_file, write_whole};
pub use journal::{Entry, Journal, JournalReader, Line, Receipt};
pub use ledger::{Intent, LifeRecord, RecordLine, append_record, create_record, read_records, remove_record};
pub use lock::Lock;
