//! The API: HTTP over the stack's Unix socket, the same for the command line and for `curl --unix-socket`.

mod api;
mod client;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod server;

pub use api::{CancelCall, DownCall, Told, UpCall, Version};
pub use client::{Client, ClientError, Lines};
pub use server::{Answers, Call, Listener, Peer, Views, serve};
