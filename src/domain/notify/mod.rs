//! Who is told what: the channels, and what a message says.

pub mod channel;
pub mod group;
pub mod order;
pub mod quiet;
pub mod rota;
pub mod rule;
pub mod told;
pub mod words;

use schedules::Time;
use serde_json::Value;

use crate::domain::named;

named! {
    /// What a message tells.
    pub enum News {
        /// Something broke, or is broken again.
        Broke = "broke",
        /// What was told has changed: its priority, its state; or it still lasts.
        Changed = "changed",
        /// What was told as broken is mended, or nobody has to look at it any more.
        Mended = "mended",
        /// Something to know that is neither broken nor mended.
        Note = "note",
    }
}

/// What is told through a channel. One of a group carries what is told of all of them in its text.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// The same for each try of this delivery, and never the same for another: by it the other end drops repeats.
    pub key: String,
    /// What it is about, the same from `broke` to `mended`: `lineman-ticket-7`.
    pub incident: String,
    /// What it tells.
    pub news: News,
    /// One line.
    pub title: String,
    /// The whole of it, several lines.
    pub text: String,
    /// `P1` to `P5`, where it is about a ticket.
    pub priority: Option<crate::domain::ticket::Priority>,
    /// When it happened.
    pub at: Time,
    /// All of it as JSON, for programs: `{key, incident, news, title, text, priority, at, ticket, device, site, events}`.
    pub body: Value,
}
