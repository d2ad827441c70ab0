//! Plain check-ins: `/ping/<key>`, in the form that Healthchecks clients use.

use agent::report::{CheckResult, Outcome};
use schedules::{Cadence, Time};
use serde_json::json;

use crate::app::Snapshot;
use crate::domain::check::{self, Limits, Seen};
use crate::domain::event::Kind as Happened;
use crate::domain::ids::DeviceId;
use crate::server::{ingest, judge};
use crate::store::checks::{Check, Measured, Reading};
use crate::store::events::Actor;
use crate::store::{self, WriteTx, checks, events};

/// The most bytes kept of what a ping says.
pub const MAX_BODY: usize = 10_000;

/// What a ping says, by the end of its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Nothing, or `/0`: it is done, and all is well.
    Success,
    /// `/start`: it begins.
    Start,
    /// `/fail`, or an exit code that is not 0.
    Fail(u8),
    /// `/log`: only a word for the log.
    Log,
}

impl Signal {
    /// The signal that the end of an address names.
    #[must_use]
    pub fn named(tail: &str) -> Option<Signal> {
        match tail {
            "" => Some(Signal::Success),
            "start" => Some(Signal::Start),
            "fail" => Some(Signal::Fail(1)),
            "log" => Some(Signal::Log),
            code if code.len() <= 3 && code.bytes().all(|b| b.is_ascii_digit()) => {
                code.parse().ok().map(|code: u8| if code == 0 { Signal::Success } else { Signal::Fail(code) })
            }
            _ => None,
        }
    }
}

/// A check with that key is pinged; false where there is none.
///
/// # Errors
/// The database's.
pub fn ping(tx: &WriteTx, known: &Snapshot, key: &str, signal: Signal, body: &str) -> store::Result<bool> {
    let Some(check) = checks::by_ping_key(tx, key)? else { return Ok(false) };
    let by = Actor::System;
    let outcome = match signal {
        Signal::Success => Outcome::Ok,
        Signal::Fail(_) => Outcome::Fail,
        Signal::Start | Signal::Log => {
            let what = if signal == Signal::Start { "start" } else { "log" };
            let body = json!({"check": check.id.0, "signal": what, "text": body});
            events::record(tx, &by, Happened::PingLogged, check.device.0.into(), &body)?;
            return Ok(true);
        }
    };
    let reading = Reading { at: tx.now, seq: 0, outcome, measured: Measured::default() };
    checks::keep_reading(tx, check.id, &reading)?;
    checks::set_due(tx, check.id, next_due(&check, known, tx.now))?;
    let message = match signal {
        Signal::Fail(code) => format!("it said that it failed ({code}) {body}"),
        Signal::Success | Signal::Start | Signal::Log => body.to_owned(),
    };
    take(tx, known, &check, Seen::call(outcome, check.health, tx.now), message.trim(), &by)?;
    Ok(true)
}

/// A ping did not come in time.
///
/// # Errors
/// The database's.
pub fn missed(tx: &WriteTx, known: &Snapshot, check: &Check) -> store::Result<()> {
    checks::set_due(tx, check.id, None)?;
    let seen = Seen::call(Outcome::Fail, check.health, tx.now);
    take(tx, known, check, seen, "no ping came in time", &Actor::System)
}

/// When the next ping of a check is missed.
#[must_use]
pub fn next_due(check: &Check, known: &Snapshot, now: Time) -> Option<Time> {
    let cadence: Cadence = check.cadence.as_deref()?.parse().ok()?;
    let grace = check.timeout.unwrap_or(known.grace);
    let next = match &cadence {
        Cadence::Every(span) => now + *span,
        Cadence::Cron(line) => line.next(now)?,
    };
    Some(next + grace)
}

fn take(
    tx: &WriteTx,
    known: &Snapshot,
    check: &Check,
    seen: Seen,
    message: &str,
    by: &Actor,
) -> store::Result<()> {
    let at_once = Limits { soft_failures: 1, good_results: 1 };
    let health = check::observe(check.health, seen, at_once);
    let result = CheckResult {
        check: check.id.0,
        outcome: seen.outcome,
        in_a_row: 0,
        since: None,
        rtt_us: None,
        loss_permille: None,
        message: message.chars().take(500).collect(),
    };
    checks::set_health(tx, check.id, &health, Some(&result))?;
    let before = check.health.map_or(check::Status::Unknown, |h| h.status);
    if before != health.status {
        let device: DeviceId = check.device.0;
        ingest::told(tx, device, check.id, check.kind, before, &health, &result.message, by)?;
        judge::judge(tx, known, device, by)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_the_address_says_what_happened() {
        assert_eq!(Signal::named(""), Some(Signal::Success));
        assert_eq!(Signal::named("0"), Some(Signal::Success));
        assert_eq!(Signal::named("start"), Some(Signal::Start));
        assert_eq!(Signal::named("fail"), Some(Signal::Fail(1)));
        assert_eq!(Signal::named("137"), Some(Signal::Fail(137)));
        for wrong in ["256", "-1", "1000", "stop", "0x1"] {
            assert_eq!(Signal::named(wrong), None, "{wrong}");
        }
    }
}
