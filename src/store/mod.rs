//! What must outlive a process: the state directory, its lock, the ledger, the journal and the logs.

pub mod log;
