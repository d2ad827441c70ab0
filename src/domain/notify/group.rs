//! Grouping: news are collected for a while, so that one message tells of all of them.

use schedules::{Millis, Time};

/// The most troubles that one message tells of, a line each.
pub const MAX_LINES: usize = 50;

/// How long news are collected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// `notify.group_wait`: the first news of a trouble.
    pub wait: Millis,
    /// `notify.group_interval`: news of what was told already.
    pub interval: Millis,
}

/// Whether somebody was told of a trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// It is new to him.
    New,
    /// He was told that it broke.
    Told,
}

impl Timing {
    /// When news that come at `now` are told to one who was last told something at `last`. The first news of a trouble
    /// wait for those that come with it; news of what he knows already also wait until the last message is an interval
    /// old, but never longer than one.
    #[must_use]
    pub fn due(&self, known: Known, now: Time, last: Option<Time>) -> Time {
        match known {
            Known::New => now + self.wait,
            Known::Told => {
                let calm = last.map_or(now, |last| last.min(now) + self.interval);
                (now + self.wait.min(self.interval)).max(calm)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMING: Timing = Timing { wait: Millis(30), interval: Millis(300) };

    #[test]
    fn the_first_news_wait_shortly_and_further_ones_for_the_interval() {
        for (known, last, due) in [
            (Known::New, None, 1_030),
            (Known::New, Some(990), 1_030),
            (Known::Told, Some(990), 1_290),
            (Known::Told, Some(100), 1_030),
            (Known::Told, None, 1_030),
            (Known::Told, Some(5_000), 1_300),
        ] {
            assert_eq!(TIMING.due(known, Time(1_000), last.map(Time)), Time(due), "{known:?} {last:?}");
        }
        let at_once = Timing { wait: Millis(0), interval: Millis(0) };
        assert_eq!(at_once.due(Known::Told, Time(1_000), Some(Time(1_000))), Time(1_000));
    }

    #[test]
    fn what_is_mended_never_waits_longer_than_the_interval() {
        let slow = Timing { wait: Millis(900), interval: Millis(300) };
        assert_eq!(slow.due(Known::Told, Time(1_000), Some(Time(1_000))), Time(1_300));
    }
}
