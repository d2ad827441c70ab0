//! Steady time: the wall clock of the start, moved on by the time since boot. It never jumps.

use std::time::Duration;

use schedules::{Clock, Millis, Time};

use crate::spool::Stamp;
use crate::state::Now;

/// Two readings that are further apart were not made together: this process had to wait between them.
const TOGETHER: Millis = Millis(2);
/// How often both clocks are read anew then.
const TRIES: u32 = 5;

/// Another clock and the time since boot at one moment, also on a machine that is so busy that seconds pass between two
/// lines of a program.
fn together<Other>(clock: &Clock, other: impl Fn(&Clock) -> Other) -> (Millis, Other) {
    let look = || {
        let mono = clock.mono();
        let other = other(clock);
        (clock.mono() - mono, (mono, other))
    };
    let mut best = look();
    for _ in 1..TRIES {
        if best.0 <= TOGETHER {
            break;
        }
        let again = look();
        if again.0 < best.0 {
            best = again;
        }
    }
    best.1
}

/// A clock that shows both times.
#[derive(Debug)]
pub(super) struct Steady {
    clock: Clock,
    began: Time,
    began_mono: Millis,
}

impl Steady {
    pub(super) fn new(clock: Clock) -> Steady {
        let (began_mono, began) = together(&clock, Clock::now);
        Steady { clock, began, began_mono }
    }

    pub(super) fn clock(&self) -> &Clock {
        &self.clock
    }

    pub(super) fn now(&self) -> Now {
        // One reading on a turned clock: it may be turned between two.
        if self.clock.is_turned() {
            let wall = self.clock.now();
            return Now { steady: wall, wall };
        }
        let (mono, wall) = together(&self.clock, Clock::now);
        Now { steady: self.began + (mono - self.began_mono), wall }
    }

    pub(super) fn stamp(&self) -> Stamp {
        if self.clock.is_turned() {
            let at = self.clock.now();
            return Stamp { at, mono: Millis(at.0) };
        }
        let (mono, at) = together(&self.clock, Clock::now);
        Stamp { at, mono }
    }

    /// Time since boot without the time the machine slept, at `stamp`.
    pub(super) fn awake(&self, stamp: Stamp) -> Millis {
        if self.clock.is_turned() {
            return stamp.mono;
        }
        let (mono, awake) = together(&self.clock, Clock::awake);
        awake - (mono - stamp.mono)
    }

    /// How long one may really sleep until the steady moment `until`.
    pub(super) fn nap(&self, until: Time) -> Duration {
        let now = self.now();
        self.clock.nap(now.wall + until.since(now.steady))
    }
}
