//! Whether the record has a gap, and what is known of it.

use schedules::{Millis, Time};

use crate::report::{Gap, Moment};
use crate::spool::Before;

/// A line is late by more than so many intervals: then nobody looked.
const LATE: i64 = 3;
/// A machine that slept longer was away.
const SLEPT: Millis = Millis::from_secs(5);

/// The gap that a start ends: from the last line to `now`. None on the agent's very first start.
#[must_use]
pub fn at_start(before: &Before, now: &Moment, booted_at: Time) -> Option<Gap> {
    let clean = before.clean?;
    let booted = before.boots > 0;
    let last = before.last.clone();
    let suspended = last.as_ref().filter(|_| !booted).map_or(Millis::ZERO, |last| slept(last, now));
    Some(Gap {
        from: last.as_ref().map(|last| last.at),
        to: now.at,
        booted,
        boots: before.boots,
        booted_at: booted.then_some(booted_at),
        restarted: true,
        clean,
        suspended,
        last,
    })
}

/// The gap between two lines of one start of the agent, if there is one. `every`: how often a line was due.
#[must_use]
pub fn between(last: &Moment, now: &Moment, every: Millis) -> Option<Gap> {
    let suspended = slept(last, now);
    if now.mono - last.mono <= every.times(1 + LATE) && suspended <= SLEPT {
        return None;
    }
    Some(Gap {
        from: Some(last.at),
        to: now.at,
        booted: false,
        boots: 0,
        booted_at: None,
        restarted: false,
        clean: false,
        suspended,
        last: Some(last.clone()),
    })
}

/// How long the machine slept between two lines of one boot.
fn slept(last: &Moment, now: &Moment) -> Millis {
    let asleep = (now.mono - now.awake) - (last.mono - last.awake);
    asleep.clamp(Millis::ZERO, (now.mono - last.mono).max(Millis::ZERO))
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY: Millis = Millis::from_secs(30);
    const BOOTED: Time = Time(1_700_000_050_000);

    /// A line so many seconds after the boot, of which the machine slept some.
    fn line(secs: i64, asleep: i64) -> Moment {
        Moment {
            at: Time(1_700_000_000_000 + secs * 1_000),
            mono: Millis::from_secs(secs),
            awake: Millis::from_secs(secs - asleep),
            ..Moment::default()
        }
    }

    fn before(clean: Option<bool>, boots: u32, last: Option<Moment>) -> Before {
        Before { clean, boots, last }
    }

    /// What a start after `before`, at `now`, says: booted, how often, restarted, clean, seconds slept.
    fn told(before: &Before, now: &Moment) -> Option<(bool, u32, bool, bool, i64)> {
        let gap = at_start(before, now, BOOTED)?;
        assert_eq!(gap.to, now.at);
        assert_eq!(gap.from, before.last.as_ref().map(|last| last.at));
        assert_eq!(gap.booted_at, gap.booted.then_some(BOOTED));
        assert_eq!(gap.last, before.last);
        Some((gap.booted, gap.boots, gap.restarted, gap.clean, gap.suspended.0 / 1_000))
    }

    #[test]
    fn a_start_tells_power_a_reboot_and_the_agent_itself_apart() {
        let last = || Some(line(5_000, 100));
        let cases = [
            ("the very first", before(None, 0, None), line(60, 0), None),
            ("power", before(Some(false), 1, last()), line(20, 0), Some((true, 1, true, false, 0))),
            ("power, twice", before(Some(false), 2, last()), line(20, 0), Some((true, 2, true, false, 0))),
            ("ordered reboot", before(Some(true), 1, last()), line(20, 0), Some((true, 1, true, true, 0))),
            ("killed", before(Some(false), 0, last()), line(5_060, 100), Some((false, 0, true, false, 0))),
            ("restarted", before(Some(true), 0, last()), line(5_060, 100), Some((false, 0, true, true, 0))),
            (
                "slept between",
                before(Some(true), 0, last()),
                line(9_000, 3_100),
                Some((false, 0, true, true, 3_000)),
            ),
            ("no line yet", before(Some(false), 1, None), line(20, 0), Some((true, 1, true, false, 0))),
        ];
        for (name, before, now, expected) in cases {
            assert_eq!(told(&before, &now), expected, "{name}");
        }
    }

    #[test]
    fn between_two_lines_there_is_a_gap_when_one_is_late_or_the_machine_slept() {
        for (name, now, expected) in [
            ("in time", line(130, 0), None),
            ("late, but not by three intervals", line(220, 0), None),
            ("late", line(221, 0), Some(0)),
            ("a nap", line(135, 5), None),
            ("sleep", line(136, 6), Some(6)),
            ("a night", line(28_900, 28_700), Some(28_700)),
        ] {
            let gap = between(&line(100, 0), &now, EVERY);
            assert_eq!(gap.as_ref().map(|gap| gap.suspended.0 / 1_000), expected, "{name}");
            assert!(gap.is_none_or(|gap| !gap.booted && !gap.restarted && gap.from == Some(line(100, 0).at)));
        }
    }

    #[test]
    fn clocks_that_contradict_each_other_make_no_sleep() {
        let mut odd = line(130, 0);
        odd.awake = Millis::from_secs(500);
        assert_eq!(between(&line(100, 0), &odd, EVERY), None);
        odd.awake = Millis(i64::MIN / 2);
        assert_eq!(between(&line(100, 0), &odd, EVERY).map(|gap| gap.suspended), Some(Millis::from_secs(30)));
    }
}
