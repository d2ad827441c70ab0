//! Readings taken together: what those of a minute, an hour, a day come to.
//!
//! Two that are taken together are again one, and the order does not matter. So it is the same whether an hour is made of
//! its readings or of its minutes, at once or piece by piece, in time or days late. All bounds are UTC: only there has
//! every hour whole minutes and every day 24 hours, in every place of the world.

use std::collections::BTreeMap;

use agent::report::Outcome;
use schedules::{Millis, Time};

use crate::domain::named;

/// How many things a reading may measure.
pub const MEASURES: usize = 5;

/// One reading, without its place in a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// When it was measured.
    pub at: Time,
    /// How the run ended.
    pub outcome: Outcome,
    /// Round trip (µs), loss, processor, memory, disk (all ‰): each where it was measured.
    pub values: [Option<u32>; MEASURES],
}

named! {
    /// How long the times are whose readings are taken together.
    pub enum Level {
        /// A minute.
        Minute = "minute",
        /// An hour.
        Hour = "hour",
        /// A day of UTC.
        Day = "day",
    }
}

const MINUTE: Millis = Millis::from_secs(60);
const HOUR: Millis = Millis::from_secs(3_600);
const DAY: Millis = Millis::from_secs(86_400);

/// How long the times are whose readings are kept in one pack.
pub const SAMPLE_PACK: Millis = HOUR;

impl Level {
    /// How long one of them is.
    #[must_use]
    pub fn span(self) -> Millis {
        match self {
            Level::Minute => MINUTE,
            Level::Hour => HOUR,
            Level::Day => DAY,
        }
    }

    /// How long the times are whose roll-ups are kept in one pack.
    #[must_use]
    pub fn pack(self) -> Millis {
        match self {
            Level::Minute => HOUR,
            Level::Hour => DAY,
            Level::Day => DAY.times(32),
        }
    }
}

/// The last bound at or before `at`, where there is one every `span` since 1970.
#[must_use]
pub fn floor(at: Time, span: Millis) -> Time {
    Time(at.0.saturating_sub(at.0.rem_euclid(span.0)))
}

/// The first bound at or after `at`.
#[must_use]
pub fn ceil(at: Time, span: Millis) -> Time {
    let below = floor(at, span);
    if below == at { at } else { below + span }
}

/// How one measure was over some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// How often it was measured.
    pub count: u64,
    /// All of them added up.
    pub sum: u64,
    /// The least.
    pub min: u32,
    /// The most.
    pub max: u32,
}

impl Extent {
    fn of(value: u32) -> Extent {
        Extent { count: 1, sum: u64::from(value), min: value, max: value }
    }

    fn and(self, other: Extent) -> Extent {
        Extent {
            count: self.count.saturating_add(other.count),
            sum: self.sum.saturating_add(other.sum),
            min: self.min.min(other.min),
            max: self.max.max(other.max),
        }
    }

    /// The average, rounded down.
    #[must_use]
    pub fn average(self) -> u64 {
        self.sum / self.count.max(1)
    }
}

/// What the readings of some time come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rollup {
    /// When that time begins.
    pub at: Time,
    /// How many of them were well.
    pub ok: u64,
    /// How many were over a limit.
    pub warn: u64,
    /// How many failed.
    pub fail: u64,
    /// How many could not be made.
    pub unknown: u64,
    /// The measures, as in [`Sample`].
    pub values: [Option<Extent>; MEASURES],
}

impl Rollup {
    /// No reading, at a time that begins at `at`.
    #[must_use]
    pub fn none(at: Time) -> Rollup {
        Rollup { at, ok: 0, warn: 0, fail: 0, unknown: 0, values: [None; MEASURES] }
    }

    /// One reading, in a time that begins at `at`.
    #[must_use]
    pub fn of(at: Time, sample: &Sample) -> Rollup {
        let one = |outcome| u64::from(sample.outcome == outcome);
        Rollup {
            at,
            ok: one(Outcome::Ok),
            warn: one(Outcome::Warn),
            fail: one(Outcome::Fail),
            unknown: one(Outcome::Unknown),
            values: sample.values.map(|value| value.map(Extent::of)),
        }
    }

    /// How many readings they are.
    #[must_use]
    pub fn count(&self) -> u64 {
        [self.ok, self.warn, self.fail, self.unknown].into_iter().fold(0, u64::saturating_add)
    }

    /// Takes another one along.
    pub fn add(&mut self, other: &Rollup) {
        self.ok = self.ok.saturating_add(other.ok);
        self.warn = self.warn.saturating_add(other.warn);
        self.fail = self.fail.saturating_add(other.fail);
        self.unknown = self.unknown.saturating_add(other.unknown);
        for (own, more) in self.values.iter_mut().zip(other.values) {
            *own = match (*own, more) {
                (Some(own), Some(more)) => Some(own.and(more)),
                (own, more) => own.or(more),
            };
        }
    }
}

/// Roll-ups by the beginning of their time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rollups(BTreeMap<Time, Rollup>);

impl Rollups {
    /// Takes a reading along.
    pub fn sample(&mut self, level: Level, sample: &Sample) {
        let at = floor(sample.at, level.span());
        self.add(&Rollup::of(at, sample));
    }

    /// Takes a roll-up along, as one of the time that begins where it does.
    pub fn add(&mut self, one: &Rollup) {
        self.0.entry(one.at).or_insert_with(|| Rollup::none(one.at)).add(one);
    }

    /// The same in longer times.
    #[must_use]
    pub fn coarser(&self, level: Level) -> Rollups {
        self.by(|at| floor(at, level.span()))
    }

    /// The same in other times: `start` says where the one begins to which a moment belongs.
    #[must_use]
    pub fn by(&self, start: impl Fn(Time) -> Time) -> Rollups {
        let mut all = Rollups::default();
        for one in self.iter() {
            all.add(&Rollup { at: start(one.at), ..*one });
        }
        all
    }

    /// All of them, by time.
    pub fn iter(&self) -> impl Iterator<Item = &Rollup> {
        self.0.values()
    }

    /// How many times there are with a reading.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

named! {
    /// How finely readings are asked for.
    pub enum Every {
        /// As suits the time that is asked for.
        Auto = "auto",
        /// Each by itself.
        Reading = "reading",
        /// By the minute.
        Minute = "minute",
        /// By the hour.
        Hour = "hour",
        /// By the day.
        Day = "day",
    }
}

/// From when on the readings of the past are kept: each by itself, by the minute, by the hour, by the day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Each by itself.
    pub samples: Time,
    /// By the minute.
    pub minutes: Time,
    /// By the hour.
    pub hours: Time,
    /// By the day.
    pub days: Time,
}

impl Every {
    /// Which readings answer that: for each part of the time from `from` to `to`, in order, the level (none: each reading by
    /// itself) that is the finest one wanted and still kept. The parts begin where the levels have a bound.
    #[must_use]
    pub fn parts(self, (from, to): (Time, Time), kept: &Kept) -> Vec<(Option<Level>, (Time, Time))> {
        let wanted = match self {
            Every::Reading => None,
            Every::Minute => Some(Level::Minute),
            Every::Hour => Some(Level::Hour),
            Every::Day => Some(Level::Day),
            Every::Auto => match to.since(from) {
                long if long <= HOUR.times(2) => None,
                long if long <= DAY => Some(Level::Minute),
                long if long <= DAY.times(14) => Some(Level::Hour),
                _ => Some(Level::Day),
            },
        };
        let samples = ceil(kept.samples, Level::Minute.pack());
        let minutes = ceil(kept.minutes, Level::Minute.pack()).min(samples);
        let hours = ceil(kept.hours, Level::Hour.pack()).min(minutes);
        let mut parts: Vec<(Option<Level>, (Time, Time))> = Vec::new();
        for (finest, start, end) in [
            (Some(Level::Day), Time::MIN, hours),
            (Some(Level::Hour), hours, minutes),
            (Some(Level::Minute), minutes, samples),
            (None, samples, Time::MAX),
        ] {
            let level = finest.max(wanted);
            let (start, end) = (start.max(from), end.min(to));
            match parts.last_mut() {
                _ if start >= end => {}
                Some((last, part)) if *last == level => part.1 = end,
                Some(_) | None => parts.push((level, (start, end))),
            }
        }
        if let Some((Some(level), first)) = parts.first_mut() {
            first.0 = floor(first.0, level.span());
        }
        parts
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Readings of some days, some at one moment, in any order.
    pub(crate) fn samples(most: usize) -> impl Strategy<Value = Vec<Sample>> {
        let outcome = prop::sample::select(vec![Outcome::Ok, Outcome::Warn, Outcome::Fail, Outcome::Unknown]);
        let value = prop_oneof![
            2 => Just(None),
            3 => (0..3_000_u32).prop_map(Some),
            1 => any::<u32>().prop_map(Some),
        ];
        let at = prop_oneof![0..7_200_000_i64, 0..400_000_000_i64];
        let one = (at, outcome, prop::array::uniform5(value)).prop_map(|(at, outcome, values)| Sample {
            at: Time(1_795_000_000_000 + at),
            outcome,
            values,
        });
        prop::collection::vec(one, 0..most)
    }

    pub(crate) fn rolled(level: Level, samples: &[Sample]) -> Rollups {
        let mut all = Rollups::default();
        samples.iter().for_each(|sample| all.sample(level, sample));
        all
    }

    proptest! {
        #[test]
        fn a_coarse_one_is_the_fold_of_the_fine_ones_in_whatever_pieces(all in samples(60), cut in 0..60_usize) {
            let minutes = rolled(Level::Minute, &all);
            let hours = rolled(Level::Hour, &all);
            prop_assert_eq!(&minutes.coarser(Level::Hour), &hours);
            prop_assert_eq!(hours.coarser(Level::Day), rolled(Level::Day, &all));
            let (early, late) = all.split_at(cut.min(all.len()));
            let mut pieces = rolled(Level::Minute, late);
            rolled(Level::Minute, early).iter().for_each(|one| pieces.add(one));
            prop_assert_eq!(&pieces, &minutes);
            prop_assert_eq!(hours.iter().map(Rollup::count).sum::<u64>(), all.len() as u64);
        }
    }

    #[test]
    fn each_age_is_told_as_finely_as_it_is_kept_and_wanted() {
        let day = |n: i64| Time(n * DAY.0);
        let kept = Kept { samples: day(98), minutes: day(93), hours: day(10) + Millis(5), days: day(0) };
        let plan = |every: Every, from: Time, to: Time| {
            let one = |(level, (from, to)): &(Option<Level>, (Time, Time))| {
                format!("{} {}-{}", level.map_or("reading", Level::as_str), from.0 / HOUR.0, to.0 / HOUR.0)
            };
            every.parts((from, to), &kept).iter().map(one).collect::<Vec<_>>().join(", ")
        };
        assert_eq!(
            plan(Every::Reading, day(5), day(100)),
            "day 120-264, hour 264-2232, minute 2232-2352, reading 2352-2400"
        );
        assert_eq!(plan(Every::Hour, day(5), day(100)), "day 120-264, hour 264-2400");
        assert_eq!(plan(Every::Day, day(5) + Millis(1), day(100)), "day 120-2400");
        assert_eq!(plan(Every::Minute, day(99) + Millis(90_000), day(100)), "minute 2376-2400");
        assert_eq!(plan(Every::Auto, day(99) + HOUR.times(23), day(100)), "reading 2399-2400");
        assert_eq!(plan(Every::Auto, day(99), day(100)), "minute 2376-2400");
        assert_eq!(plan(Every::Auto, day(90), day(100)), "hour 2160-2400");
        assert_eq!(plan(Every::Auto, day(50), day(100)), "day 1200-2400");
        assert_eq!(plan(Every::Auto, day(100), day(99)), "");
    }

    #[test]
    fn bounds_are_those_of_utc_before_1970_too() {
        assert_eq!(floor(Time(-1), MINUTE), Time(-60_000));
        assert_eq!(ceil(Time(-1), MINUTE), Time(0));
        assert_eq!(ceil(Time(60_000), MINUTE), Time(60_000));
        assert!(floor(Time::MIN, DAY) <= Time(i64::MIN + DAY.0));
    }
}
