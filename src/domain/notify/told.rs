//! What is told of a trouble to one who was told something of it before, or nothing.
//!
//! Nothing is remembered of the way there: what is said follows from what was told last and from how things are now. So
//! events may come in any order, late, or twice, and who was told that something broke is told once that it is mended.

use schedules::{Millis, Time};

use crate::domain::notify::News;
use crate::domain::ticket::Priority;

/// How a trouble is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It lasts.
    Broken,
    /// It is over, or somebody else's.
    Over,
    /// It is no trouble, but something to know, once.
    Note,
}

/// What of a trouble is worth telling when it changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Its priority; absent: it has none, and is as urgent as can be.
    pub priority: Option<Priority>,
    /// Whether somebody acknowledged it.
    pub acknowledged: Acknowledged,
    /// How often it came back.
    pub recurrences: i64,
}

/// Whether somebody knows of a trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acknowledged {
    /// Nobody does.
    No,
    /// The one who would be told of it.
    ByHimself,
    /// Somebody else.
    ByAnother,
}

/// What somebody was told last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// When.
    pub at: Time,
    /// How it was then.
    pub priority: Option<Priority>,
    /// Whether it was acknowledged then.
    pub acknowledged: bool,
    /// How often it had come back.
    pub recurrences: i64,
}

/// A trouble as it is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// How it is.
    pub standing: Standing,
    /// Its facts.
    pub facts: Facts,
    /// Whether something happened that is told though no fact changed: a promise was broken, it flaps.
    pub noted: Noted,
}

/// Whether something happened that is told though no fact changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Noted {
    /// Nothing.
    Nothing,
    /// Something.
    Something,
}

/// What somebody wants to be told of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wish {
    /// Whether this is among it.
    pub fits: Fits,
    /// He is told of nothing new while this lasts.
    pub paused: Paused,
    /// He is told when it has lasted until then, and nobody acknowledged it.
    pub after: Option<Time>,
    /// He stands in for others, so he need not know what somebody has taken on.
    pub duty: OnDuty,
    /// Until when nobody wants to hear of it.
    pub quiet_until: Option<Time>,
    /// How often he is told again what lasts.
    pub repeat: Millis,
}

/// Whether a rule holds for a trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fits {
    /// It does.
    Yes,
    /// It does not.
    No,
    /// It need not: he was told of another trouble that is part of this now.
    Owed,
}

/// Whether an entry is paused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paused {
    /// It is not.
    No,
    /// It is.
    Yes,
}

/// Whether somebody is told because he has duty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnDuty {
    /// He is told for himself.
    No,
    /// He is.
    Yes,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Say {
    /// Tell it.
    Tell(News),
    /// Nothing for now: look again at that moment, or when something happens.
    Wait(Option<Time>),
    /// Nothing, and nothing is to come: it is not looked at until something happens.
    Nothing,
}

/// What is said of a trouble at `now` to one who was told `told` last.
#[must_use]
pub fn decide(told: Option<&Told>, seen: &Seen, wish: &Wish, now: Time) -> Say {
    match (told, seen.standing) {
        (Some(_), Standing::Over) => Say::Tell(News::Mended),
        (None, Standing::Over) => Say::Nothing,
        (None, Standing::Broken) => first(seen, wish, now),
        (Some(told), Standing::Broken) => further(told, seen, wish, now),
        (_, Standing::Note) => match (wish.fits, held(wish)) {
            (Fits::No, _) => Say::Nothing,
            (Fits::Yes | Fits::Owed, Some(wait)) => wait,
            (Fits::Yes | Fits::Owed, None) => Say::Tell(News::Note),
        },
    }
}

/// When it is looked at again after it was told.
#[must_use]
pub fn look_again(facts: &Facts, wish: &Wish, now: Time) -> Option<Time> {
    match facts.acknowledged {
        Acknowledged::No => Some(now + wish.repeat),
        Acknowledged::ByHimself | Acknowledged::ByAnother => None,
    }
}

fn first(seen: &Seen, wish: &Wish, now: Time) -> Say {
    let stands_in = wish.after.is_some() || wish.duty == OnDuty::Yes;
    match wish.fits {
        Fits::No => return Say::Nothing,
        Fits::Yes if stands_in && seen.facts.acknowledged != Acknowledged::No => return Say::Nothing,
        Fits::Yes => {
            if let Some(after) = wish.after.filter(|after| *after > now) {
                return Say::Wait(Some(after));
            }
        }
        Fits::Owed => {}
    }
    held(wish).unwrap_or(Say::Tell(News::Broke))
}

fn further(told: &Told, seen: &Seen, wish: &Wish, now: Time) -> Say {
    let facts = &seen.facts;
    let acknowledged = facts.acknowledged == Acknowledged::ByAnother && !told.acknowledged;
    let unacknowledged = facts.acknowledged == Acknowledged::No && told.acknowledged;
    let changed = seen.noted == Noted::Something
        || facts.priority != told.priority
        || facts.recurrences != told.recurrences
        || acknowledged
        || unacknowledged;
    let repeat_at = look_again(facts, wish, told.at);
    if !changed && repeat_at.is_none_or(|at| at > now) {
        return Say::Wait(repeat_at);
    }
    match wish.fits {
        Fits::No => Say::Wait(None),
        Fits::Yes | Fits::Owed => held(wish).unwrap_or(Say::Tell(News::Changed)),
    }
}

/// What holds back whatever is not owed.
fn held(wish: &Wish) -> Option<Say> {
    match (wish.paused, wish.quiet_until) {
        (Paused::Yes, _) => Some(Say::Wait(None)),
        (Paused::No, Some(until)) => Some(Say::Wait(Some(until))),
        (Paused::No, None) => None,
    }
}

#[cfg(test)]
#[path = "told_tests.rs"]
mod tests;
