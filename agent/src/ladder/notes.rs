//! What a climb has found so far: kept as it comes, so that a rung that never ends takes nothing from the others.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use schedules::Millis;

use crate::probe::sentence;
use crate::report::{Family, Held, Rung, Step, Transport};

/// The most rungs that one climb keeps.
const MOST: usize = 256;

/// The rungs of one climb. Clones are the same notes.
#[derive(Clone)]
pub(super) struct Notes {
    began: Instant,
    rungs: Arc<Mutex<Vec<Rung>>>,
}

/// What was measured of a rung beside whether it holds.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Measure {
    pub(super) rtt_us: Option<u32>,
    pub(super) loss_permille: Option<u32>,
}

impl Measure {
    /// A time alone.
    pub(super) fn since(began: Instant) -> Measure {
        let rtt_us = Some(u32::try_from(began.elapsed().as_micros()).unwrap_or(u32::MAX));
        Measure { rtt_us, loss_permille: None }
    }
}

impl Notes {
    pub(super) fn new() -> Notes {
        Notes { began: Instant::now(), rungs: Arc::default() }
    }

    /// A step that holds.
    pub(super) fn holds(&self, step: Step, measure: Measure) {
        self.put(step, Held::Ok, "", measure);
    }

    /// A step that does not, and why.
    pub(super) fn fails(&self, step: Step, why: &str, measure: Measure) {
        self.put(step, Held::Fail, why, measure);
    }

    /// A step of which nobody knows, and why.
    pub(super) fn not_measured(&self, step: Step, why: &str) {
        self.put(step, Held::NotMeasured, why, Measure::default());
    }

    fn put(&self, step: Step, outcome: Held, reason: &str, measure: Measure) {
        let Measure { rtt_us, loss_permille } = measure;
        let rung =
            Rung { step, outcome, reason: sentence(reason), after: self.took(), rtt_us, loss_permille };
        let mut rungs = self.rungs.lock().unwrap_or_else(PoisonError::into_inner);
        if rungs.len() < MOST {
            rungs.push(rung);
        }
    }

    /// How long the climb has taken.
    pub(super) fn took(&self) -> Millis {
        Millis::from(self.began.elapsed())
    }

    /// All that was found, from the ground upwards.
    pub(super) fn rungs(&self) -> Vec<Rung> {
        let mut rungs = self.rungs.lock().unwrap_or_else(PoisonError::into_inner).clone();
        rungs.sort_by_key(|rung| (place(&rung.step), beside(&rung.step)));
        rungs
    }
}

/// Which step a rung belongs to.
fn place(step: &Step) -> u8 {
    match step {
        Step::Link { .. } => 1,
        Step::Address { .. } => 2,
        Step::Neighbour { .. } => 3,
        Step::Gateway { .. } => 4,
        Step::Anchor { .. } => 5,
        Step::Resolver { .. } => 6,
        Step::Page { .. } => 7,
        Step::ServerName { .. } => 8,
        Step::ServerConnect { .. } => 9,
        Step::ServerTls { .. } => 10,
        Step::ServerAnswer { .. } => 11,
        Step::Route { .. } => 12,
        Step::PacketSize { .. } => 13,
    }
}

/// Which comes first of several rungs of one step: IPv4, what leads to the server, what this machine asks anyway.
fn beside(step: &Step) -> (u8, u8) {
    let of = |second: bool| u8::from(second);
    match step {
        Step::Address { family, .. } => (of(*family == Family::Ipv6), 0),
        Step::Neighbour { gateway, .. } | Step::Gateway { gateway } => (of(gateway.is_ipv6()), 0),
        Step::Anchor { address, given } => (of(!given), of(address.is_ipv6())),
        Step::Resolver { configured, transport, .. } => (of(!configured), of(*transport == Transport::Tcp)),
        Step::ServerConnect { address, .. } => (of(address.is_ipv6()), 0),
        Step::Route { target, server, transport, .. } => {
            (of(!server), 2 * of(target.is_ipv6()) + of(*transport == Transport::Tcp))
        }
        Step::PacketSize { target, .. } => (of(target.is_ipv6()), 0),
        Step::Link { .. }
        | Step::Page { .. }
        | Step::ServerName { .. }
        | Step::ServerTls { .. }
        | Step::ServerAnswer { .. } => (0, 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rungs_are_told_from_the_ground_upwards_and_their_number_is_bounded() {
        let notes = Notes::new();
        notes.fails(Step::ServerAnswer { status: None }, "no\nanswer", Measure::default());
        for _ in 0..MOST {
            notes.holds(Step::Link { interface: "eth0".into(), speed_mbit: None }, Measure::default());
        }
        let rungs = notes.rungs();
        assert_eq!(rungs.len(), MOST);
        let last = rungs.last().unwrap();
        assert_eq!((last.step.word(), last.reason.as_str()), ("server-answer", "no answer"));
    }
}
