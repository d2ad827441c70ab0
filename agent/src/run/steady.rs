//! Steady time: the wall clock of the start, moved on by the time since boot. It never jumps.

use std::time::Duration;

use schedules::{Clock, Millis, Time};

use crate::spool::Stamp;
use crate::state::Now;

/// A clock that shows both times.
#[derive(Debug)]
pub(super) struct Steady {
    clock: Clock,
    began: Time,
    began_mono: Millis,
}

impl Steady {
    pub(super) fn new(clock: Clock) -> Steady {
        let (began, began_mono) = (clock.now(), clock.mono());
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
        Now { steady: self.began + (self.clock.mono() - self.began_mono), wall: self.clock.now() }
    }

    pub(super) fn stamp(&self) -> Stamp {
        if self.clock.is_turned() {
            let at = self.clock.now();
            return Stamp { at, mono: Millis(at.0) };
        }
        Stamp { at: self.clock.now(), mono: self.clock.mono() }
    }

    /// Time since boot without the time the machine slept, at `stamp`.
    pub(super) fn awake(&self, stamp: Stamp) -> Millis {
        if self.clock.is_turned() { stamp.mono } else { self.clock.awake() }
    }

    /// How long one may really sleep until the steady moment `until`.
    pub(super) fn nap(&self, until: Time) -> Duration {
        let now = self.now();
        self.clock.nap(now.wall + until.since(now.steady))
    }
}
