//! Agents that come back with a backlog: how many there are just now, and how soon each may send more.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use agent::report::MAX_RECORDS;
use schedules::Millis;

use crate::domain::check_in::pace;

/// After this long an agent that did not call again is not counted any more.
const FORGOTTEN: Millis = Millis::from_secs(15);
/// The most that are counted: beyond that all are as slow as they get.
const MOST: usize = 10_000;

/// The agents that have a backlog: by the hash of their secret, when each called last on the monotonic clock. Only what is
/// taken in from agents that are known gets here.
#[derive(Debug, Default)]
pub struct Returning(Mutex<HashMap<[u8; 32], Millis>>);

impl Returning {
    /// An agent sent a part of its backlog: how soon it may send more. `lag`: how long what was sent last waits to be
    /// written.
    #[must_use]
    pub fn pace(&self, who: &[u8; 32], now: Millis, lag: Millis) -> Millis {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
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
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(who);
        Millis::ZERO
    }
}

#[cfg(test)]
mod tests {
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
        assert_eq!(returning.0.lock().unwrap().len(), MOST);
    }
}
