//! The duties of the server, one a file: each looks for what is due, does it, and says when it wants to be asked again.

pub mod judgements;
pub mod maintenance;
pub mod notify;
pub mod pings;
pub mod rollups;
pub mod service;
pub mod silence;
pub mod tickets;
pub mod verdicts;

use schedules::Time;

/// The most that one step does at a time, so that no transaction is long.
const AT_ONCE: u32 = 500;

/// What a step did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Worked {
    /// Something: ask again at once.
    Yes,
    /// Nothing was due; the next is, at that moment, where one is known.
    No(Option<Time>, &'static str),
}
