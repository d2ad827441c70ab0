//! Tells people: takes what is due from the outbox, and sends it by its channel.

pub mod compose;
pub mod outbox;

use schedules::{Millis, Time};

use crate::domain::notify::Message;
use crate::domain::notify::channel::Channel;

/// The longest reason that is kept, in bytes.
pub const MAX_WHY: usize = 500;
/// The longest time that the other end may ask for before it is tried again.
pub const MAX_AFTER: Millis = Millis::from_secs(3600);

/// A message was taken by the other end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// What the other end said to it, in one line of at most [`MAX_WHY`] bytes, without secrets.
    pub said: String,
}

/// A message was not taken, or it is not known that it was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct Failed {
    /// Why: one line of at most [`MAX_WHY`] bytes, without secrets.
    pub why: String,
    /// Whether, and when, it makes sense to try again.
    pub again: Again,
}

/// Whether it makes sense to try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// Yes, as soon as the caller likes.
    Later,
    /// Yes, but not before this time has passed; at most [`MAX_AFTER`].
    After(Millis),
    /// No: the other end will never take it.
    Never,
}

/// Sends a message by a channel, at `now`, which is the time that is written into it where it is signed. Ends within
/// half a minute, whatever the other end does.
///
/// # Errors
/// It was not taken, or it is not known that it was: then the other end drops the repeat by the message's key.
pub async fn send(channel: &Channel, message: &Message, now: Time) -> Result<Sent, Failed> {
    let _ = (channel, message, now);
    Err(Failed { why: "this channel cannot be used yet".to_owned(), again: Again::Never })
}
