//! Tells people: takes what is due from the outbox, and sends it by its channel.

mod call;
mod chat;
mod command;
pub mod compose;
mod dial;
mod mail;
pub mod outbox;
mod page;
mod text;
mod webhook;
mod wire;

use std::time::Duration;

use schedules::{Millis, Time};

use crate::domain::notify::Message;
use crate::domain::notify::channel::{Channel, HIDDEN};

/// The longest reason that is kept, in bytes.
pub const MAX_WHY: usize = 500;
/// The longest time that the other end may ask for before it is tried again.
pub const MAX_AFTER: Millis = Millis::from_secs(3600);
/// A secret that is shorter than this cannot be told from other words, so nothing is quoted that could hold it.
const SHORTEST_SECRET: usize = 4;

/// A message was taken by the other end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// What the other end said to it, in one line of at most [`MAX_WHY`] bytes, without secrets; may be empty.
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

/// How long the other end may take.
#[derive(Clone, Copy, Debug)]
struct Limits {
    /// Until it is connected.
    connect: Duration,
    /// For all of it.
    whole: Duration,
}

const LIMITS: Limits = Limits { connect: Duration::from_secs(10), whole: Duration::from_secs(30) };

/// Why something failed, in our own words and in those of others. What others say may hold a secret.
#[derive(Debug)]
struct Trouble {
    /// Our own words: no secret is in them.
    what: String,
    /// The words of the other end, or of a library.
    said: String,
    again: Again,
}

impl Trouble {
    fn new(again: Again, what: impl Into<String>) -> Trouble {
        Trouble { what: what.into(), said: String::new(), again }
    }

    fn later(what: impl Into<String>) -> Trouble {
        Trouble::new(Again::Later, what)
    }

    fn never(what: impl Into<String>) -> Trouble {
        Trouble::new(Again::Never, what)
    }

    /// The same, with what was said to it.
    fn said(self, said: impl ToString) -> Trouble {
        Trouble { said: said.to_string(), ..self }
    }
}

/// Sends a message by a channel, at `now`, which is the time that is written into it where it is signed. Ends within
/// half a minute, whatever the other end does.
///
/// # Errors
/// It was not taken, or it is not known that it was: then the other end drops the repeat by the message's key.
pub async fn send(channel: &Channel, message: &Message, now: Time) -> Result<Sent, Failed> {
    send_within(LIMITS, channel, message, now).await
}

async fn send_within(
    limits: Limits,
    channel: &Channel,
    message: &Message,
    now: Time,
) -> Result<Sent, Failed> {
    if let Err(bad) = channel.check() {
        let why = tidy(&[], &format!("the channel cannot be used: {bad}"), "");
        return Err(Failed { why, again: Again::Never });
    }
    let done = match channel {
        Channel::Email(email) => mail::send(email, message, limits).await,
        Channel::Command(command) => command::send(command, message, limits).await,
        Channel::Webhook(webhook) => call::make(webhook::request(webhook, message, now), limits, now).await,
        Channel::Ntfy(ntfy) => call::make(chat::ntfy(ntfy, message), limits, now).await,
        Channel::Slack(hook) => call::make(chat::slack(hook, message), limits, now).await,
        Channel::Discord(hook) => call::make(chat::discord(hook, message), limits, now).await,
        Channel::Teams(hook) => call::make(chat::teams(hook, message), limits, now).await,
        Channel::Telegram(telegram) => call::make(chat::telegram(telegram, message), limits, now).await,
        Channel::Matrix(matrix) => call::make(chat::matrix(matrix, message), limits, now).await,
        Channel::PagerDuty(pagerduty) => call::make(page::request(pagerduty, message), limits, now).await,
    };
    let secrets = channel.secrets();
    match done {
        Ok(said) => Ok(Sent { said: tidy(&secrets, "", &said) }),
        Err(Trouble { what, said, again }) => Err(Failed { why: tidy(&secrets, &what, &said), again }),
    }
}

/// Our own words, and those of others without the secrets, as one line that is not too long.
fn tidy(secrets: &[String], what: &str, said: &str) -> String {
    let mut quoted = said.to_owned();
    if secrets.iter().any(|secret| secret.len() < SHORTEST_SECRET) {
        quoted.clear();
    }
    for secret in secrets {
        quoted = quoted.replace(secret, HIDDEN);
    }
    let joined = match (what.is_empty(), quoted.trim().is_empty()) {
        (_, true) => what.to_owned(),
        (true, false) => quoted,
        (false, false) => format!("{what}: {quoted}"),
    };
    text::cut_bytes(&text::one_line(&joined), MAX_WHY).to_owned()
}

/// An error with its causes, those that it does not name itself.
fn chain(error: &dyn std::error::Error) -> String {
    let mut all = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let words = inner.to_string();
        if !all.contains(&words) {
            all.push_str(": ");
            all.push_str(&words);
        }
        cause = inner.source();
    }
    all
}

#[cfg(test)]
mod tests;
