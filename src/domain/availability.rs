//! Availability: how much of a time a device was reachable, of the time in which that is known and counts.
//!
//! It is (up + degraded) / (up + degraded + down). Time that is unknown, in which the device was unreachable behind another
//! one, or in which it was out during maintenance, is told apart and is in neither of the two. What is out beyond the end
//! of a maintenance counts. Months and days are those of the site's clocks: they have the hours they have.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use schedules::{Millis, Time};

use crate::domain::device::State;
use crate::domain::history::{Interval, Span};
use crate::domain::rollup::{Level, ceil};
use crate::domain::when;

/// How long a device was what, or several devices together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Parts {
    /// Reachable, and all well.
    pub up: Millis,
    /// Reachable.
    pub degraded: Millis,
    /// Down, outside of maintenance.
    pub down: Millis,
    /// Out because its parents were, outside of maintenance.
    pub unreachable: Millis,
    /// Down or unreachable during maintenance.
    pub maintenance: Millis,
    /// Nobody knows.
    pub unknown: Millis,
}

impl Parts {
    /// The parts of these spans. `maintenance`: in order, none touches another.
    #[must_use]
    pub fn of(spans: &[Span], maintenance: &[Interval]) -> Parts {
        let mut parts = Parts::default();
        for span in spans {
            let long = span.to.since(span.from);
            let excused = if span.state.is_out() { overlap(span, maintenance) } else { Millis::ZERO };
            parts.maintenance = parts.maintenance + excused;
            let part = match span.state {
                State::Up => &mut parts.up,
                State::Degraded => &mut parts.degraded,
                State::Down => &mut parts.down,
                State::Unreachable => &mut parts.unreachable,
                State::Unknown => &mut parts.unknown,
            };
            *part = *part + (long - excused);
        }
        parts
    }

    /// These and those together.
    #[must_use]
    pub fn and(self, other: Parts) -> Parts {
        Parts {
            up: self.up + other.up,
            degraded: self.degraded + other.degraded,
            down: self.down + other.down,
            unreachable: self.unreachable + other.unreachable,
            maintenance: self.maintenance + other.maintenance,
            unknown: self.unknown + other.unknown,
        }
    }

    /// All of it.
    #[must_use]
    pub fn total(&self) -> Millis {
        self.up + self.degraded + self.down + self.unreachable + self.maintenance + self.unknown
    }

    /// The availability in thousandths of a percent, rounded down, so that 100 % is without any failure; nothing where
    /// nothing was measured that counts.
    #[must_use]
    pub fn availability(&self) -> Option<i64> {
        let good = i128::from(self.up.0) + i128::from(self.degraded.0);
        let counts = good + i128::from(self.down.0);
        if counts <= 0 { None } else { i64::try_from(good * 100_000 / counts).ok() }
    }
}

/// Thousandths of a percent as people write them: `99.950`.
#[must_use]
pub fn percent(thousandths: i64) -> String {
    format!("{}.{:03}", thousandths / 1000, thousandths % 1000)
}

fn overlap(span: &Span, intervals: &[Interval]) -> Millis {
    let first = intervals.partition_point(|&(_, to)| to <= span.from);
    intervals[first..]
        .iter()
        .take_while(|&&(from, _)| from < span.to)
        .fold(Millis::ZERO, |sum, &(from, to)| sum + to.min(span.to).since(from.max(span.from)))
}

/// A month.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Month(Date);

/// A text that is no month.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no month: write 2026-11")]
pub struct BadMonth(String);

impl std::str::FromStr for Month {
    type Err = BadMonth;

    fn from_str(text: &str) -> Result<Month, BadMonth> {
        let whole = text.len() == 7 && text.bytes().all(|b| b.is_ascii_digit() || b == b'-');
        let first = if whole { format!("{text}-01").parse().ok() } else { None };
        first
            .map(Month)
            .ok_or_else(|| BadMonth(text.chars().take(40).collect::<String>().escape_debug().to_string()))
    }
}

/// For which time a report is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Period {
    /// The last month that is over.
    LastMonth,
    /// This month.
    Month(Month),
    /// From one time to another, as people write them; without an end, until now.
    Between(String, Option<String>),
}

impl Period {
    /// The first moment of it, and the first after it, on the clocks of `zone`. It may not be over, or not have begun.
    ///
    /// # Errors
    /// A time is none.
    pub fn on(&self, now: Time, zone: &TimeZone) -> Result<Interval, when::BadTime> {
        let month = |first: Date| {
            let next = first.checked_add(1.month()).unwrap_or(Date::MAX);
            (start_of(first, zone), start_of(next, zone))
        };
        Ok(match self {
            Period::LastMonth => {
                let first = date(now, zone).first_of_month();
                month(first.checked_sub(1.month()).unwrap_or(first))
            }
            Period::Month(first) => month(first.0),
            Period::Between(from, until) => {
                let until = until.as_deref().map_or(Ok(now), |until| when::time(until, now, zone))?;
                (when::time(from, now, zone)?, until)
            }
        })
    }
}

/// The days of an interval on the clocks of `zone`: each with its first moment and the first after it, cut to the interval.
#[must_use]
pub fn days((from, to): Interval, zone: &TimeZone) -> Vec<(Date, Interval)> {
    let mut all = Vec::new();
    let (mut day, mut start) = (date(from, zone), from);
    while start < to {
        let Ok(next) = day.tomorrow() else { break };
        let end = start_of(next, zone).min(to);
        if end > start {
            all.push((day, (start, end)));
            start = end;
        }
        day = next;
    }
    all
}

/// The first moment of a day.
fn start_of(day: Date, zone: &TimeZone) -> Time {
    let zoned = day.at(0, 0, 0, 0).to_zoned(zone.clone());
    zoned.map_or(Time::MAX, |zoned| Time(zoned.timestamp().as_millisecond()))
}

/// The day of a moment.
#[must_use]
pub fn date(at: Time, zone: &TimeZone) -> Date {
    let bounded = at.0.clamp(Timestamp::MIN.as_millisecond(), Timestamp::MAX.as_millisecond());
    Timestamp::from_millisecond(bounded).unwrap_or_default().to_zoned(zone.clone()).date()
}

/// The day to which an hour of UTC belongs on the clocks of `zone`, in full hours: where those clocks are off by part of an
/// hour, the hour in which midnight lies is the day before's.
#[must_use]
pub fn day_in_hours(hour: Time, zone: &TimeZone) -> Interval {
    let bound = |day: Date| ceil(start_of(day, zone), Level::Hour.span());
    let mut day = date(hour, zone);
    if bound(day) > hour {
        day = day.yesterday().unwrap_or(Date::MIN);
    }
    (bound(day), day.tomorrow().map_or(Time::MAX, bound))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::history::{Change, merged, timeline};

    const NOW: Time = Time(1_795_356_000_000);
    const HOUR: i64 = 3_600_000;

    fn zone(name: &str) -> TimeZone {
        TimeZone::get(name).unwrap()
    }

    #[test]
    fn a_month_has_the_hours_it_has() {
        for (month, place, hours) in [
            ("2026-10", "Europe/Berlin", 745),
            ("2026-03", "Europe/Berlin", 743),
            ("2026-11", "Europe/Berlin", 720),
            ("2026-11", "America/New_York", 721),
            ("2026-03", "America/New_York", 743),
            ("2026-10", "America/New_York", 744),
            ("2026-02", "Asia/Kathmandu", 672),
            ("2028-02", "UTC", 696),
        ] {
            let (from, to) = Period::Month(month.parse().unwrap()).on(NOW, &zone(place)).unwrap();
            assert_eq!(to.since(from).0, hours * HOUR, "{month} {place}");
            let days = days((from, to), &zone(place));
            assert_eq!(days.iter().map(|(_, (from, to))| to.since(*from).0).sum::<i64>(), hours * HOUR);
            let odd: Vec<i64> =
                days.iter().map(|(_, (from, to))| to.since(*from).0 / HOUR).filter(|&h| h != 24).collect();
            let wanted = match hours % 24 {
                0 => vec![],
                1 => vec![25],
                _ => vec![23],
            };
            assert_eq!(odd, wanted, "{month} {place}");
        }
    }

    #[test]
    fn the_last_month_is_over_in_its_own_place() {
        // 2026-10-31T23:30Z is November in Berlin already, and still October in New York.
        let now = Time(NOW.0 - 22 * 24 * HOUR + 9 * HOUR + HOUR / 2);
        let last = |place: &str| {
            let (from, _) = Period::LastMonth.on(now, &zone(place)).unwrap();
            date(from, &zone(place)).to_string()
        };
        assert_eq!(last("Europe/Berlin"), "2026-10-01");
        assert_eq!(last("America/New_York"), "2026-09-01");
        for bad in ["2026-13", "2026", "2026-1", "26-11", "", "2026-11-01", "+026-11"] {
            assert!(bad.parse::<Month>().is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_not_known_is_not_in_it() {
        let parts = |up, down, unknown, unreachable| Parts {
            up: Millis(up),
            down: Millis(down),
            unknown: Millis(unknown),
            unreachable: Millis(unreachable),
            ..Parts::default()
        };
        for (parts, wanted) in [
            (parts(0, 0, 100, 0), None),
            (parts(0, 0, 0, 100), None),
            (parts(50, 0, 950, 7), Some("100.000")),
            (parts(999, 1, 100, 0), Some("99.900")),
            (parts(999_999_999, 1, 0, 0), Some("99.999")),
            (parts(2, 1, 0, 0), Some("66.666")),
            (parts(0, 5, 0, 0), Some("0.000")),
        ] {
            assert_eq!(parts.availability().map(percent).as_deref(), wanted, "{parts:?}");
        }
    }

    #[test]
    fn maintenance_excuses_what_is_out_within_it_and_nothing_beyond() {
        use State::{Down, Unreachable, Up};
        let change = |since, state| Change { since: Time(since), state, reason: String::new() };
        let spans = timeline(
            &[change(0, Up), change(100, Down), change(300, Up), change(400, Unreachable), change(500, Up)],
            Time(0),
            Time(0),
            Time(1000),
        );
        let windows = [(Time(50), Time(150)), (Time(250), Time(260)), (Time(450), Time(900))];
        let parts = Parts::of(&spans, &windows);
        assert_eq!(
            (parts.maintenance, parts.down, parts.unreachable),
            (Millis(110), Millis(140), Millis(50))
        );
        assert_eq!((parts.up, parts.total()), (Millis(700), Millis(1000)));
    }

    #[test]
    fn a_day_made_of_hours_begins_at_a_full_one_of_utc() {
        for (place, offset) in [("Europe/Berlin", 23), ("UTC", 0), ("America/New_York", 5)] {
            let (start, end) = day_in_hours(NOW, &zone(place));
            assert_eq!(end.since(start).0, 24 * HOUR, "{place}");
            assert_eq!(start.0.rem_euclid(24 * HOUR), offset * HOUR, "{place}");
        }
        // Midnight in Kathmandu is 18:15 of UTC: that hour is still the day before's.
        let midnight = Time(1_795_305_600_000 - 24 * HOUR + 18 * HOUR + HOUR / 4);
        let place = zone("Asia/Kathmandu");
        assert_eq!(date(midnight, &place), date(midnight - Millis(1), &place).tomorrow().unwrap());
        let hour = Time(midnight.0 - HOUR / 4);
        assert_eq!(day_in_hours(hour, &place).1, Time(hour.0 + HOUR));
        assert_eq!(day_in_hours(Time(hour.0 + HOUR), &place).0, Time(hour.0 + HOUR));
        // The night in which the clocks are put back.
        let noon = Time(1_792_929_600_000);
        let (start, end) = day_in_hours(noon, &zone("Europe/Berlin"));
        assert_eq!(
            (date(noon, &TimeZone::UTC).to_string(), end.since(start).0),
            ("2026-10-25".into(), 25 * HOUR)
        );
    }

    proptest! {
        #[test]
        fn the_parts_are_the_whole(
            changes in prop::collection::vec((-100..1100_i64, prop::sample::select(State::ALL.to_vec())), 0..12),
            windows in prop::collection::vec((-50..1000_i64, -5..200_i64), 0..6),
            from in 0..500_i64, long in 0..600_i64, cut in 0..1100_i64,
        ) {
            let changes: Vec<Change> = changes
                .into_iter()
                .map(|(since, state)| Change { since: Time(since), state, reason: String::new() })
                .collect();
            let windows = merged(windows.into_iter().map(|(from, long)| (Time(from), Time(from + long))).collect());
            let spans = timeline(&changes, Time(0), Time(from), Time(from + long));
            let parts = Parts::of(&spans, &windows);
            prop_assert_eq!(parts.total(), Millis(long));
            let clip = |from, to| Parts::of(&crate::domain::history::clipped(&spans, from, to), &windows);
            prop_assert_eq!(clip(Time::MIN, Time(cut)).and(clip(Time(cut), Time::MAX)), parts);
        }

        #[test]
        fn days_cover_an_interval_without_a_gap(from in 0..4_000_000_000_000_i64, long in 0..4_000_000_000_i64) {
            for place in ["Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Pacific/Apia"] {
                let days = days((Time(from), Time(from + long)), &zone(place));
                let sum: i64 = days.iter().map(|(_, (from, to))| to.since(*from).0).sum();
                prop_assert_eq!(sum, long);
                prop_assert!(days.windows(2).all(|two| two[0].1.1 == two[1].1.0));
            }
        }

        #[test]
        fn no_text_is_taken_for_a_month_that_panics(text in ".{0,12}") {
            drop(text.parse::<Month>());
        }
    }
}
