//! From the device's clock to the server's, for the times inside of a record.
//!
//! A record's own time is known by the time since boot. The times inside of it are readings of the device's clock, which
//! may have been set meanwhile: each is mapped by the nearest line of which both clocks are known.

use agent::report::{AgentOutage, Climb, Gap, Moment, Record};
use schedules::{Millis, Time};

use crate::domain::check_in::Dating;

/// The clocks of one record.
#[derive(Clone, Debug)]
pub struct Clocks<'a> {
    dating: Dating<'a>,
    boot: Option<&'a str>,
    /// Readings of the device's clock, and when they were by the server's.
    known: Vec<(Time, Time)>,
    /// When the server heard the device last before this call.
    heard: Option<Time>,
}

/// By how much what a clock says may be later than what the server knows before the clock is not believed.
const SLACK: Millis = Millis::from_secs(5);

impl<'a> Clocks<'a> {
    /// Those of a record that happened at `at` by the server's clock.
    #[must_use]
    pub fn new(dating: Dating<'a>, record: &'a Record, at: Time) -> Clocks<'a> {
        Clocks { dating, boot: record.boot.as_deref(), known: vec![(record.at, at)], heard: None }
    }

    /// The same, of a device that the server last heard at `heard` before this call.
    #[must_use]
    pub fn heard(self, heard: Option<Time>) -> Clocks<'a> {
        Clocks { heard, ..self }
    }

    /// How far the device's clock was ahead at the record, where that is known: it is by the time since boot alone.
    #[must_use]
    pub fn skew(&self, record: &Record, at: Time) -> Option<Millis> {
        let same_boot = self.boot.is_none_or(|boot| boot == self.dating.boot);
        let by_mono = same_boot && record.mono > Millis::ZERO && record.mono <= self.dating.sent_mono;
        by_mono.then(|| record.at.since(at))
    }

    /// When the device's clock showed `at`; nothing happened in the future.
    #[must_use]
    pub fn map(&self, at: Time) -> Time {
        let near = self.known.iter().min_by_key(|(reading, _)| at.since(*reading).0.unsigned_abs());
        let mapped = near.map_or(at, |(reading, truly)| *truly + at.since(*reading));
        mapped.min(self.dating.now)
    }

    /// By the device's clock alone, as it is off now: for what was in an earlier boot.
    fn by_clock(&self, at: Time) -> Time {
        self.dating.date(at, Millis::ZERO, None)
    }

    /// For what was in the boot before a gap that ended at `to`. A device without a clock that runs on its battery begins
    /// with an old time: by its clock it would have checked in when the server heard nothing. Then what the server heard
    /// last is when it checked in last.
    fn before_gap(&self, at: Time, last: Option<&Moment>, to: Time) -> Time {
        let checked_in_at = last.and_then(|last| last.checked_in_at);
        match self.heard.zip(checked_in_at) {
            Some((heard, checked_in_at))
                if heard < to
                    && self.dating.now + checked_in_at.since(self.dating.sent_at) > heard + SLACK =>
            {
                (heard + at.since(checked_in_at)).min(to)
            }
            Some(_) | None => self.by_clock(at),
        }
    }

    fn moment(&self, moment: &Moment, boot: Boot) -> Moment {
        let at = match boot {
            Boot::Same => self.dating.date(moment.at, moment.mono, self.boot),
            Boot::Earlier => self.by_clock(moment.at),
        };
        Clocks::dated(moment, at)
    }

    fn dated(moment: &Moment, at: Time) -> Moment {
        let checked_in_at = moment.checked_in_at.map(|last| at + last.since(moment.at));
        Moment { at, checked_in_at, ..moment.clone() }
    }

    /// A climb with its times on the server's clock.
    #[must_use]
    pub fn climb(&self, climb: &Climb) -> Climb {
        Climb { outage: climb.outage.map(|at| self.map(at)), ..climb.clone() }
    }

    /// A gap with its times on the server's clock.
    #[must_use]
    pub fn gap(&self, gap: &Gap) -> Gap {
        let boot = if gap.booted { Boot::Earlier } else { Boot::Same };
        let to = self.map(gap.to);
        let last = gap.last.as_ref().map(|last| match boot {
            Boot::Same => self.moment(last, boot),
            Boot::Earlier => Clocks::dated(last, self.before_gap(last.at, Some(last), to)),
        });
        let from = match (boot, gap.from, &last) {
            (_, None, _) => None,
            (Boot::Same, Some(from), Some(last)) => {
                Some(last.at + from.since(gap.last.as_ref().map_or(from, |last| last.at)))
            }
            (Boot::Same, Some(from), None) => Some(self.map(from)),
            (Boot::Earlier, Some(from), _) => Some(self.before_gap(from, gap.last.as_ref(), to)),
        };
        let booted_at = gap.booted_at.map(|at| self.map(at).min(to));
        Gap { from: from.map(|from| from.min(to)), to, booted_at, last, ..gap.clone() }
    }

    /// An agent's own outage with its times on the server's clock.
    #[must_use]
    pub fn outage(&self, outage: &AgentOutage) -> AgentOutage {
        let whole = if outage.boots > 0 { Boot::Earlier } else { Boot::Same };
        let boots = boots(&outage.before, whole);
        let before: Vec<Moment> =
            outage.before.iter().zip(boots).map(|(moment, boot)| self.moment(moment, boot)).collect();
        let mut clocks = self.clone();
        clocks.known.extend(outage.before.iter().zip(&before).map(|(reading, truly)| (reading.at, truly.at)));
        let began_at = clocks.map(outage.began_at);
        AgentOutage {
            began_at,
            ended_at: outage.ended_at.map(|at| clocks.map(at).max(began_at)),
            firsts: outage
                .firsts
                .iter()
                .map(|first| agent::report::First { at: clocks.map(first.at), ..first.clone() })
                .collect(),
            before,
            ..outage.clone()
        }
    }
}

/// In which boot each line was, the last of them in `last`: with each boot the time since boot begins anew.
fn boots(lines: &[Moment], last: Boot) -> Vec<Boot> {
    let mut all = vec![last; lines.len()];
    let anew = lines.windows(2).rposition(|pair| pair[0].mono > pair[1].mono);
    if let Some(at) = anew {
        all[..=at].fill(Boot::Earlier);
    }
    all
}

/// In which boot something was.
#[derive(Clone, Copy, Debug)]
enum Boot {
    /// That of the record.
    Same,
    /// One before it.
    Earlier,
}

#[cfg(test)]
mod tests {
    use super::*;
    use agent::report::What;

    const NOW: Time = Time(10_000_000);

    /// The device's clock was two hours behind until it was set, just before it called.
    fn dating() -> Dating<'static> {
        Dating { now: NOW, sent_at: NOW, sent_mono: Millis(5_000_000), boot: "b" }
    }

    fn record(what: What) -> Record {
        Record { seq: 1, at: NOW - Millis(1_000), mono: Millis(4_999_000), boot: None, what }
    }

    #[test]
    fn a_clock_that_was_set_meanwhile_does_no_harm() {
        let behind = Millis::from_secs(7_200);
        let line = |mono: i64| Moment {
            at: NOW - Millis(5_000_000 - mono) - behind,
            mono: Millis(mono),
            ..Moment::default()
        };
        let outage = AgentOutage {
            began_at: NOW - Millis(600_000) - behind,
            ended_at: Some(NOW - Millis(1_000)),
            before: vec![line(4_340_000), line(4_370_000)],
            ..AgentOutage::default()
        };
        let record = record(What::Outage(outage.clone()));
        let clocks = Clocks::new(dating(), &record, NOW - Millis(1_000));
        let told = clocks.outage(&outage);
        assert_eq!(told.began_at, NOW - Millis(600_000));
        assert_eq!(told.ended_at, Some(NOW - Millis(1_000)));
        assert_eq!(told.before[1].at, NOW - Millis(630_000));
        assert_eq!(clocks.skew(&record, NOW - Millis(1_000)), Some(Millis::ZERO));
    }

    #[test]
    fn lines_of_an_earlier_boot_are_dated_by_the_clock() {
        let line =
            |ago: i64, mono: i64| Moment { at: NOW - Millis(ago), mono: Millis(mono), ..Moment::default() };
        let outage = AgentOutage {
            began_at: NOW - Millis(20_000),
            before: vec![
                line(80_000, 9_000),
                line(50_000, 39_000),
                line(38_000, 2_000),
                line(10_000, 30_000),
            ],
            ..AgentOutage::default()
        };
        let record = record(What::Outage(outage.clone()));
        let booted_anew = Dating { sent_mono: Millis(40_000), ..dating() };
        let told = Clocks::new(booted_anew, &record, NOW - Millis(1_000)).outage(&outage);
        let ago: Vec<i64> = told.before.iter().map(|line| NOW.since(line.at).0).collect();
        assert_eq!(ago, [80_000, 50_000, 38_000, 10_000]);
    }

    #[test]
    fn a_clock_that_stood_still_while_there_was_no_power_is_not_believed() {
        let minutes = |n: i64| Millis::from_secs(60 * n);
        // The server heard it until half an hour ago; by its clock that was a minute before it called.
        let (heard, stood) = (NOW - minutes(30), minutes(29));
        let last = Moment {
            at: heard + Millis(4_000) + stood,
            checked_in_at: Some(heard + stood),
            ..Moment::default()
        };
        let (from, to) = (Some(last.at), NOW - Millis(2_000));
        let gap = Gap { from, to, booted: true, boots: 1, last: Some(last), ..cut() };
        let record = record(What::Gap(gap.clone()));
        let told = Clocks::new(dating(), &record, NOW - Millis(1_000)).heard(Some(heard)).gap(&gap);
        assert_eq!(told.from, Some(heard + Millis(4_000)));
        assert_eq!(told.last.and_then(|last| last.checked_in_at), Some(heard));
        // An hour old: it is behind what it was before.
        let an_hour_old = Dating { sent_at: NOW - minutes(60), ..dating() };
        let last = Moment { at: heard, checked_in_at: Some(heard), ..Moment::default() };
        let gap = Gap { from: Some(heard), last: Some(last), ..gap };
        let clocks = Clocks::new(an_hour_old, &record, NOW - Millis(1_000));
        assert_eq!(clocks.clone().heard(Some(heard)).gap(&gap).from, Some(heard));
        // One that was heard since tells nothing of what was before.
        assert_eq!(clocks.clone().heard(Some(NOW)).gap(&gap).from, clocks.gap(&gap).from);
        // A clock that is right is believed: the last check-in may not have reached the server's memory.
        let right = Moment { at: heard, checked_in_at: Some(heard - minutes(9)), ..Moment::default() };
        let gap = Gap { from: Some(heard - minutes(9)), to: NOW, last: Some(right), ..gap };
        let clocks = Clocks::new(dating(), &record, NOW - Millis(1_000)).heard(Some(heard));
        assert_eq!(clocks.gap(&gap).from, Some(heard - minutes(9)));
    }

    fn cut() -> Gap {
        Gap {
            from: None,
            to: NOW,
            booted: true,
            boots: 1,
            booted_at: None,
            restarted: true,
            clean: false,
            suspended: Millis::ZERO,
            last: None,
        }
    }

    #[test]
    fn a_gap_ends_where_its_record_says_and_never_begins_after_that() {
        let gap = Gap {
            from: Some(NOW - Millis(400_000)),
            to: NOW - Millis(2_000),
            booted: true,
            boots: 1,
            booted_at: Some(NOW - Millis(12_000)),
            restarted: true,
            clean: false,
            suspended: Millis::ZERO,
            last: None,
        };
        let record = record(What::Gap(gap.clone()));
        let told = Clocks::new(dating(), &record, NOW - Millis(1_000)).gap(&gap);
        assert_eq!((told.from, told.to), (Some(NOW - Millis(400_000)), NOW - Millis(2_000)));
        let odd = Gap { from: Some(Time::MAX), to: Time::MIN, ..gap };
        let told = Clocks::new(dating(), &record, NOW - Millis(1_000)).gap(&odd);
        assert!(told.from <= Some(told.to));
    }
}
