//! What must outlive a process: the state directory, its lock, the ledger, the journal and the logs.
//!
//! Nothing here is synced to the disk: a process that is killed loses nothing that it had written (the page cache is the
//! kernel's), and after a crash of the machine itself the boot id makes every recorded identity void anyway.

mod files;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod home;
mod journal;
mod journal_reader;
mod ledger;
mod lock;
pub mod log;
mod queue;
mod seal;
mod stack_dir;
mod stack_file;
mod starts;

pub use files::is_private;
pub(crate) use files::{private_dir, private_file, read_private, read_whole, write_whole};
pub use home::{Home, HomeError, LOCK, STATE_VERSION, stack_hash};
pub use journal::{End, Entry, Journal, Line, Lost, Outcome, Receipt};
pub use journal_reader::{JournalReader, read_line};
pub use ledger::{
    Doubted, Intent, LifeRecord, RecordLine, append_record, create_record, give_up, is_given_up,
    read_doubted, read_record, read_records, read_records_but, remove_record,
};
pub use lock::Lock;
pub use queue::{Queue, Standing, Ticket};
pub use seal::Seal;
pub use stack_dir::StackDir;
pub use stack_file::{DirectoryId, StackFile, directory_at};
pub use starts::Starts;
