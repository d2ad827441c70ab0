//! A dossier: what a device's agent recorded before, during and after an outage, with its times on the server's clock.

mod bounds;
mod clocks;

use agent::report::{AgentOutage, Climb, Gap, Held, Moment, Why};
use jiff::tz::TimeZone;
use schedules::{Millis, Time};

pub use bounds::{MAX_RECORD, too_large, trimmed_climb, trimmed_gap, trimmed_outage};
pub use clocks::Clocks;

use crate::domain::named;

/// How long before an outage a record may be and still belong to it; and how long after.
pub const AROUND: Millis = Millis::from_secs(600);
/// How long before an outage a failed check-in may have begun that is its first sign: the server may miss one a little later
/// than the device does. What failed earlier, and was well again, is no part of it.
const FIRST_SIGN: Millis = Millis::from_secs(120);
/// The most climbs of one outage that are looked at: the first ones and the last ones.
pub const MAX_CLIMBS: usize = 100;
/// The most gaps of one outage that are looked at.
pub const MAX_GAPS: usize = 50;

named! {
    /// What kind of record of a dossier it is.
    pub enum Kind {
        /// One climb of the ladder of evidence, while something was wrong or a person asked.
        Ladder = "ladder",
        /// A climb on a good day, to compare with.
        Baseline = "baseline",
        /// A gap of the agent's record.
        Gap = "gap",
        /// The agent's own view of having been cut off.
        Outage = "outage",
    }
}

/// Which kind of record a climb makes.
#[must_use]
pub fn kind_of(climb: &Climb) -> Kind {
    match climb.why {
        Why::Baseline => Kind::Baseline,
        Why::Failure | Why::Again | Why::Recovery | Why::Asked => Kind::Ladder,
    }
}

/// A record, with what the server knows of its time.
#[derive(Clone, Debug, PartialEq)]
pub struct Kept<T> {
    /// When it happened, by the server's clock.
    pub at: Time,
    /// How far the device's clock was ahead then, where that is known.
    pub skew: Option<Millis>,
    /// What was recorded.
    pub it: T,
}

/// How much of a dossier is here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The device is still out.
    Dark,
    /// It is back, and its agent still delivers.
    Coming,
    /// There is no more to come.
    Whole,
}

/// What is known of an outage from the device itself.
#[derive(Clone, Debug)]
pub struct Dossier {
    /// The device's name.
    pub device: String,
    /// Its site's name.
    pub site: Option<String>,
    /// On which clocks times are told.
    pub zone: TimeZone,
    /// When the outage began: the first failed proof.
    pub from: Time,
    /// When it ended; absent while it lasts.
    pub until: Option<Time>,
    /// When this is looked at.
    pub now: Time,
    /// How much of it is here.
    pub progress: Progress,
    /// The climbs around the outage, the oldest first.
    pub climbs: Vec<Kept<Climb>>,
    /// The last climb of a good day before it.
    pub good_day: Option<Kept<Climb>>,
    /// The gaps of its record that lie around the outage, the oldest first.
    pub gaps: Vec<Kept<Gap>>,
    /// What the agent tells of having been cut off.
    pub told: Option<AgentOutage>,
    /// The last line of the record that came before the silence.
    pub last: Option<Moment>,
}

impl Dossier {
    /// Whether nothing came from the device.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.climbs.is_empty() && self.gaps.is_empty() && self.told.is_none()
    }

    /// When it ended, or what time it is.
    #[must_use]
    pub fn end(&self) -> Time {
        self.until.unwrap_or(self.now).max(self.from)
    }

    /// The frozen minutes before it.
    #[must_use]
    pub fn minutes(&self) -> &[Moment] {
        self.told.as_ref().map_or(&[], |told| told.before.as_slice())
    }

    /// The climbs that were made because the server could not be reached, the oldest first. Records of ten minutes around an
    /// outage are looked at; a climb is one of it where it began with it, or while it lasted, or where the device had
    /// already noticed this very outage. Otherwise a short fault before would be taken for the cause of what came later.
    pub fn failures(&self) -> impl Iterator<Item = &Kept<Climb>> {
        self.climbs.iter().filter(|climb| match climb.it.why {
            Why::Failure | Why::Again => {
                self.is_of_it(climb.at) || climb.it.outage.is_some_and(|began_at| self.is_of_it(began_at))
            }
            Why::Asked => climb.at >= self.from && climb.at <= self.end(),
            Why::Recovery | Why::Baseline => false,
        })
    }

    /// Whether what failed then was a part of this outage.
    #[must_use]
    pub fn is_of_it(&self, at: Time) -> bool {
        at >= self.from - FIRST_SIGN && at <= self.end()
    }
}

/// What several ways to the same thing come to: one that holds is enough; what was not measured says nothing.
#[must_use]
pub fn any_holds(all: impl IntoIterator<Item = Held>) -> Held {
    let mut sum = Held::NotMeasured;
    for one in all {
        match one {
            Held::Ok => return Held::Ok,
            Held::Fail => sum = Held::Fail,
            Held::NotMeasured => {}
        }
    }
    sum
}

/// What the frozen minutes come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Minutes {
    /// How many lines there are.
    pub lines: usize,
    /// How many of them say something of the loss to the gateway.
    pub measured: usize,
    /// How many of them lost some packets, but not nearly all: from 2 to 60 %.
    pub lossy: usize,
    /// The mean loss to the gateway in thousandths.
    pub loss_permille: u32,
    /// The mean round trip to the gateway in microseconds.
    pub rtt_us: Option<u64>,
    /// Errors of the interface in all.
    pub errors: u64,
    /// How many lines had errors.
    pub with_errors: usize,
    /// How many lines had the link nearly full.
    pub full: usize,
    /// The fullest it was, in thousandths.
    pub most_used: u32,
}

/// From which loss on a line is noisy, and up to which, in thousandths.
pub const NOISY: std::ops::RangeInclusive<u32> = 20..=800;
/// From which use on a link is full, in thousandths.
pub const FULL: u32 = 900;

/// Sums the frozen minutes up.
#[must_use]
pub fn summed(moments: &[Moment]) -> Minutes {
    let mut sum = Minutes { lines: moments.len(), ..Minutes::default() };
    let (mut loss, mut rtt, mut rtts) = (0_u64, 0_u64, 0_u64);
    for moment in moments {
        if let Some(lost) = moment.gateway_loss_permille {
            sum.measured += 1;
            loss += u64::from(lost.min(1_000));
            sum.lossy += usize::from(NOISY.contains(&lost));
        }
        if let Some(us) = moment.gateway_rtt_us {
            (rtt, rtts) = (rtt + u64::from(us), rtts + 1);
        }
        sum.errors = sum.errors.saturating_add(moment.errors);
        sum.with_errors += usize::from(moment.errors > 0);
        if let Some(used) = moment.used_permille {
            sum.full += usize::from(used >= FULL);
            sum.most_used = sum.most_used.max(used.min(1_000));
        }
    }
    let measured = u64::try_from(sum.measured).unwrap_or(u64::MAX);
    sum.loss_permille = loss.checked_div(measured).and_then(|mean| u32::try_from(mean).ok()).unwrap_or(0);
    sum.rtt_us = rtt.checked_div(rtts);
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_way_that_holds_is_enough_and_what_was_not_measured_did_not_fail() {
        use Held::{Fail, NotMeasured, Ok};
        for (all, sum) in [
            (&[][..], NotMeasured),
            (&[NotMeasured], NotMeasured),
            (&[NotMeasured, Fail], Fail),
            (&[Fail, Ok, Fail], Ok),
        ] {
            assert_eq!(any_holds(all.iter().copied()), sum, "{all:?}");
        }
    }

    #[test]
    fn the_frozen_minutes_are_summed_up_and_nothing_measured_is_nothing_lost() {
        let line = |loss, errors, used| Moment {
            gateway_loss_permille: loss,
            errors,
            used_permille: used,
            ..Moment::default()
        };
        assert_eq!(summed(&[]), Minutes::default());
        let sum =
            summed(&[line(None, 0, None), line(Some(200), 3, Some(950)), line(Some(1_000), 0, Some(10))]);
        assert_eq!((sum.lines, sum.measured, sum.lossy, sum.loss_permille), (3, 2, 1, 600));
        assert_eq!((sum.errors, sum.with_errors, sum.full, sum.most_used), (3, 1, 1, 950));
    }
}
