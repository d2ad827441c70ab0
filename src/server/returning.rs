//! Agents that come back with a backlog: how many may deliver at once, how many there are just now, and how soon each may
//! send more, so that a thousand that return together do not delay live check-ins.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use agent::report::{CheckIn, MAX_RECORDS, What};
use schedules::Millis;

use crate::domain::check_in::{is_live, pace};

/// After this long an agent that did not call again is not counted any more.
const FORGOTTEN: Millis = Millis::from_secs(15);
/// The most that are counted: beyond that all are as slow as they get.
const MOST: usize = 10_000;
/// How many parts of backlogs wait for the database at once: what is live waits for no more than those.
const AT_ONCE: usize = 4;
/// So few records are written at once, however old they are.
const FEW: usize = 20;

/// The agents that have a backlog: by the hash of their secret, when each called last on the monotonic clock. Only what is
/// taken in from agents that are known gets here.
#[derive(Debug, Default)]
pub struct Returning {
    agents: Mutex<HashMap<[u8; 32], Millis>>,
    delivering: AtomicUsize,
}

/// A part of a backlog is being written until this goes out of sight.
#[derive(Debug)]
pub struct Turn<'a>(&'a AtomicUsize);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Whether a call delivers a part of a backlog, rather than what is live.
fn is_backlog(call: &CheckIn, every: Millis) -> bool {
    let old = call.records.first().is_some_and(|first| !is_live(first.at, call.sent_at, every));
    call.records.len() > FEW && (call.waiting > 0 || old)
}

/// Leaves the backlog of a call where it is: with its agent, which sends it again. Its newest status is looked at all the
/// same.
fn hold_back(call: &mut CheckIn) {
    let held = std::mem::take(&mut call.records);
    call.waiting = call.waiting.saturating_add(u64::try_from(held.len()).unwrap_or(u64::MAX));
    let newest = held.into_iter().rev().find(|record| matches!(record.what, What::Status(_)));
    call.current.extend(newest.filter(|_| call.current.is_empty()));
}

impl Returning {
    /// Its turn for a call that delivers a part of a backlog; where too many do so already, that part is held back. What is
    /// live needs none.
    pub fn turn(&self, call: &mut CheckIn, every: Millis) -> Option<Turn<'_>> {
        if !is_backlog(call, every) {
            return None;
        }
        let free = |busy: usize| (busy < AT_ONCE).then_some(busy + 1);
        if self.delivering.fetch_update(Ordering::AcqRel, Ordering::Acquire, free).is_ok() {
            return Some(Turn(&self.delivering));
        }
        hold_back(call);
        None
    }

    /// An agent sent a part of its backlog: how soon it may send more. `lag`: how long what was sent last waits to be
    /// written.
    #[must_use]
    pub fn pace(&self, who: &[u8; 32], now: Millis, lag: Millis) -> Millis {
        let mut all = self.agents.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MOST {
            all.retain(|_, called| now - *called < FORGOTTEN);
        }
        if all.len() < MOST || all.contains_key(who) {
            all.insert(*who, now);
        }
        let recent = all.values().filter(|called| now - **called < FORGOTTEN).count();
        let most = u32::try_from(MAX_RECORDS).unwrap_or(u32::MAX);
        pace(u32::try_from(recent).unwrap_or(u32::MAX), most, lag)
    }

    /// An agent has delivered all: it calls again at its own cadence.
    pub fn done(&self, who: &[u8; 32]) -> Millis {
        self.agents.lock().unwrap_or_else(PoisonError::into_inner).remove(who);
        Millis::ZERO
    }
}

#[cfg(test)]
mod tests {
    use agent::report::{Record, Status};
    use schedules::Time;

    use super::*;

    fn who(n: u32) -> [u8; 32] {
        let mut hash = [0; 32];
        hash[..4].copy_from_slice(&n.to_be_bytes());
        hash
    }

    #[test]
    fn a_thousand_that_return_are_slowed_down_and_the_last_one_is_not() {
        let returning = Returning::default();
        let paces: Vec<Millis> =
            (0..1_000).map(|n| returning.pace(&who(n), Millis(1_000), Millis::ZERO)).collect();
        assert!(paces.is_sorted(), "each one more makes it slower");
        assert_eq!((paces[0], paces[999]), (Millis(100), Millis::from_secs(5)));
        for n in 1..1_000 {
            assert_eq!(returning.done(&who(n)), Millis::ZERO);
        }
        assert_eq!(returning.pace(&who(0), Millis(2_000), Millis::ZERO), Millis(100));
    }

    fn call(records: i64, waiting: u64, age: Millis) -> CheckIn {
        let now = Time(1_795_356_000_000);
        let record = |n: i64| Record {
            seq: n.unsigned_abs() + 1,
            at: now - age,
            mono: Millis::ZERO,
            boot: None,
            what: What::Status(Status { uptime_ms: Millis(n), ..Status::default() }),
        };
        let records = (0..records).map(record).collect();
        CheckIn { sent_at: now, log: "a".to_owned(), records, waiting, ..CheckIn::default() }
    }

    #[test]
    fn few_backlogs_are_written_at_once_and_what_is_live_waits_for_none() {
        let (returning, every) = (Returning::default(), Millis::from_secs(30));
        let hour = Millis::from_secs(3_600);
        let mut backlog = call(500, 1_500, hour);
        let turns: Vec<_> =
            (0..AT_ONCE).map(|_| returning.turn(&mut backlog, every).expect("a turn")).collect();
        assert_eq!(backlog.records.len(), 500, "whose turn it is delivers all");
        // Those beyond keep what they have; where they are now is looked at all the same.
        let mut held = call(500, 1_500, hour);
        assert!(returning.turn(&mut held, every).is_none());
        assert_eq!((held.records.len(), held.current.len(), held.waiting), (0, 1, 2_000));
        assert_eq!(held.current[0].seq, 500);
        // Not live ones: neither few, nor the many results of one interval.
        for mut live in [call(1, 0, Millis::ZERO), call(20, 0, hour), call(400, 0, Millis::from_secs(30))] {
            let before = live.clone();
            assert!(returning.turn(&mut live, every).is_none());
            assert_eq!(live, before);
        }
        drop(turns);
        assert!(returning.turn(&mut call(500, 0, hour), every).is_some(), "turns end");
    }

    #[test]
    fn who_went_away_again_is_not_counted() {
        let returning = Returning::default();
        for n in 0..1_000 {
            let _ = returning.pace(&who(n), Millis(1_000), Millis::ZERO);
        }
        assert_eq!(returning.pace(&who(0), Millis(1_000) + FORGOTTEN, Millis::ZERO), Millis(100));
    }

    #[test]
    fn what_is_kept_of_them_has_a_limit() {
        let returning = Returning::default();
        for n in 0..12_000 {
            let _ = returning.pace(&who(n), Millis(1_000), Millis::ZERO);
        }
        assert_eq!(returning.agents.lock().unwrap().len(), MOST);
    }
}
