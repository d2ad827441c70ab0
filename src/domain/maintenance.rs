//! Maintenance windows: when their occurrences begin and end, also in the nights in which clocks are changed.

use jiff::civil;
use jiff::tz::TimeZone;
use schedules::{CronLine, Millis, Time};

use crate::domain::named;
use crate::domain::wall::{reached, reached_again, reading};

/// The shortest occurrence.
pub const SHORTEST: Millis = Millis::from_secs(60);
/// The longest occurrence.
pub const LONGEST: Millis = Millis::from_secs(366 * 86_400);
/// How often a window comes at most: each occurrence is kept.
pub const SHORTEST_PERIOD: Millis = Millis::from_secs(15 * 60);
/// How many occurrences are looked at before a window is taken.
const LOOKED_AT: usize = 400;

named! {
    /// Where a window stands.
    pub enum Standing {
        /// An occurrence is under way.
        Active = "active",
        /// The next one is to come.
        Planned = "planned",
        /// None comes any more.
        Over = "over",
        /// A person removed it.
        Removed = "removed",
    }
}

/// A minute of the day, as a wall clock shows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Minute(u16);

/// A text that is no time of day.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no time of day: write it as 02:00, from 00:00 to 24:00")]
pub struct BadMinute(String);

impl Minute {
    /// The end of a day.
    pub const MIDNIGHT: Minute = Minute(1_440);

    /// The minute of that number in a day, 0 to 1440.
    #[must_use]
    pub fn new(number: u16) -> Option<Minute> {
        (number <= 1_440).then_some(Minute(number))
    }

    /// Its number in the day.
    #[must_use]
    pub fn number(self) -> u16 {
        self.0
    }

    /// The reading of a wall clock at this minute of a day; 24:00 is the next day's first.
    #[must_use]
    pub fn on(self, day: civil::Date) -> Option<civil::DateTime> {
        if self == Minute::MIDNIGHT {
            return Some(day.tomorrow().ok()?.at(0, 0, 0, 0));
        }
        Some(day.at(i8::try_from(self.0 / 60).ok()?, i8::try_from(self.0 % 60).ok()?, 0, 0))
    }
}

impl std::str::FromStr for Minute {
    type Err = BadMinute;

    fn from_str(text: &str) -> Result<Minute, BadMinute> {
        let bad = || BadMinute(text.chars().take(40).collect::<String>().escape_debug().to_string());
        let (hour, minute) = text.trim().split_once(':').ok_or_else(bad)?;
        let digits = |part: &str, least: usize| {
            let good = (least..=2).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
            good.then(|| part.parse::<u16>().ok()).flatten().ok_or_else(bad)
        };
        let (hour, minute) = (digits(hour, 1)?, digits(minute, 2)?);
        Minute::new(hour * 60 + minute).filter(|_| minute < 60).ok_or_else(bad)
    }
}

impl std::fmt::Display for Minute {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:02}:{:02}", self.0 / 60, self.0 % 60)
    }
}

/// A window that comes again and again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recurring {
    /// When an occurrence begins.
    pub cron: CronLine,
    /// When it ends.
    pub ends: Ends,
    /// The zone on whose clocks that is.
    pub zone: TimeZone,
}

/// When an occurrence ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ends {
    /// When so much time has passed, whatever the clocks show.
    After(Millis),
    /// When the wall clock shows a time of day; the second of these two, the first being that of the start.
    At(Minute, Minute),
}

/// Why a window is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadWindow {
    /// It ends before it begins.
    #[error("the end is not after the start")]
    Backwards,
    /// It has gone by.
    #[error("this window has gone by already")]
    Past,
    /// It is too short.
    #[error("a window lasts {SHORTEST} or more, this one {0}")]
    TooShort(Millis),
    /// It is too long.
    #[error("a window lasts {LONGEST} or less, this one {0}")]
    TooLong(Millis),
    /// The next one begins before it ends.
    #[error("each occurrence lasts {lasts}, but the next one begins after {period}")]
    Overlaps {
        /// How long one lasts.
        lasts: Millis,
        /// How long it is from the start of that one to the next.
        period: Millis,
    },
    /// It comes too often.
    #[error("a window comes every {SHORTEST_PERIOD} at most, this one every {0}")]
    TooOften(Millis),
    /// It never comes.
    #[error("this window never comes")]
    Never,
}

/// Checks a window that comes once.
///
/// # Errors
/// It ends before it begins or before `now`, or is too short or too long.
pub fn once(from: Time, until: Time, now: Time) -> Result<(), BadWindow> {
    if until <= now && until != from {
        return Err(BadWindow::Past);
    }
    if until <= from {
        return Err(BadWindow::Backwards);
    }
    lasts(until.since(from))
}

fn lasts(span: Millis) -> Result<(), BadWindow> {
    match span {
        span if span < SHORTEST => Err(BadWindow::TooShort(span)),
        span if span > LONGEST => Err(BadWindow::TooLong(span)),
        _ => Ok(()),
    }
}

impl Recurring {
    /// The first occurrence that begins after `after`: its start, and its end.
    #[must_use]
    pub fn next(&self, after: Time) -> Option<(Time, Time)> {
        let from = self.cron.next(after)?;
        Some((from, self.end(from)?))
    }

    /// When the occurrence ends that begins at `from`.
    fn end(&self, from: Time) -> Option<Time> {
        let (at, to) = match self.ends {
            Ends::After(span) => return Some(from + span),
            Ends::At(at, to) => (at, to),
        };
        let today = reading(from, &self.zone)?.date();
        let day = if to > at { today } else { today.tomorrow().ok()? };
        let wall = to.on(day)?;
        let end = reached(wall, &self.zone).filter(|end| *end > from);
        let end = end.or_else(|| reached_again(wall, &self.zone).filter(|end| *end > from));
        // Start and end both lie where the clock is put forward over them: then it lasts as long as on other days.
        Some(end.unwrap_or(from + self.usual_length()))
    }

    /// How long an occurrence lasts where no clock is changed.
    #[must_use]
    pub fn usual_length(&self) -> Millis {
        match self.ends {
            Ends::After(span) => span,
            Ends::At(at, to) => {
                let minutes = (i64::from(to.0) - i64::from(at.0)).rem_euclid(1_440);
                Millis::from_secs(60 * if minutes == 0 { 1_440 } else { minutes })
            }
        }
    }

    /// Checks it from `now` on. That a day has an hour less, when clocks are put forward, is no fault of a window.
    ///
    /// # Errors
    /// It is too short, too long, longer than the time to its next occurrence, comes too often, or never.
    pub fn check(&self, now: Time) -> Result<(), BadWindow> {
        let length = self.usual_length();
        lasts(length)?;
        let shown = |at: Time| reading(at, &self.zone).ok_or(BadWindow::Never);
        let mut from = self.cron.next(now).ok_or(BadWindow::Never)?;
        for _ in 0..LOOKED_AT {
            let Some(next) = self.cron.next(from) else { break };
            let apart = shown(next)?.duration_since(shown(from)?);
            let apart = Millis(i64::try_from(apart.as_millis()).unwrap_or(i64::MAX));
            let period = apart.max(next.since(from));
            if period < SHORTEST_PERIOD {
                return Err(BadWindow::TooOften(period));
            }
            if length > period {
                return Err(BadWindow::Overlaps { lasts: length, period });
            }
            from = next;
        }
        Ok(())
    }
}

/// Intervals in their order, none over another: what overlaps or touches becomes one.
#[must_use]
pub fn merged(mut all: Vec<(Time, Time)>) -> Vec<(Time, Time)> {
    all.retain(|(from, until)| until > from);
    all.sort_unstable();
    let mut out: Vec<(Time, Time)> = Vec::with_capacity(all.len());
    for (from, until) in all {
        match out.last_mut() {
            Some(last) if from <= last.1 => last.1 = last.1.max(until),
            Some(_) | None => out.push((from, until)),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use proptest::prelude::*;

    use super::*;

    fn moment(text: &str) -> Time {
        Time(text.parse::<Timestamp>().unwrap().as_millisecond())
    }

    fn window(cron: &str, zone: &str, ends: Ends) -> Recurring {
        Recurring {
            cron: format!("{cron} {zone}").parse().unwrap(),
            ends,
            zone: TimeZone::get(zone).unwrap(),
        }
    }

    /// A daily window from one time of day to another.
    fn daily(at: &str, to: &str, zone: &str) -> Recurring {
        let (at, to): (Minute, Minute) = (at.parse().unwrap(), to.parse().unwrap());
        window(&format!("{} {} * * *", at.0 % 60, at.0 / 60), zone, Ends::At(at, to))
    }

    const HOUR: i64 = 3_600;

    #[test]
    fn a_window_by_the_wall_clock_is_right_in_every_night() {
        #[rustfmt::skip]
        let table = [
            // An ordinary night.
            ("Europe/Berlin", "02:00", "04:00", "2026-11-24T12:00Z", "2026-11-25T01:00Z", "2026-11-25T03:00Z"),
            ("Europe/Berlin", "22:00", "06:00", "2026-11-24T12:00Z", "2026-11-24T21:00Z", "2026-11-25T05:00Z"),
            ("Europe/Berlin", "22:00", "24:00", "2026-11-24T12:00Z", "2026-11-24T21:00Z", "2026-11-24T23:00Z"),
            // A night of one hour less, and of one more.
            ("Europe/Berlin", "22:00", "06:00", "2026-03-28T12:00Z", "2026-03-28T21:00Z", "2026-03-29T04:00Z"),
            ("Europe/Berlin", "22:00", "06:00", "2026-10-24T12:00Z", "2026-10-24T20:00Z", "2026-10-25T05:00Z"),
            // A day of 23 hours, and one of 25.
            ("Europe/Berlin", "00:00", "24:00", "2026-03-28T12:00Z", "2026-03-28T23:00Z", "2026-03-29T22:00Z"),
            ("Europe/Berlin", "00:00", "24:00", "2026-10-24T12:00Z", "2026-10-24T22:00Z", "2026-10-25T23:00Z"),
            // The start in the gap; the end in the gap; both.
            ("Europe/Berlin", "02:30", "04:00", "2026-03-28T12:00Z", "2026-03-29T01:00Z", "2026-03-29T02:00Z"),
            ("Europe/Berlin", "01:00", "02:30", "2026-03-28T12:00Z", "2026-03-29T00:00Z", "2026-03-29T01:00Z"),
            ("Europe/Berlin", "02:10", "02:50", "2026-03-28T12:00Z", "2026-03-29T01:00Z", "2026-03-29T01:40Z"),
            ("Europe/Berlin", "02:30", "03:00", "2026-03-28T12:00Z", "2026-03-29T01:00Z", "2026-03-29T01:30Z"),
            // The end, and the start, in the hour that comes twice: the first of the two counts.
            ("Europe/Berlin", "01:00", "02:30", "2026-10-24T12:00Z", "2026-10-24T23:00Z", "2026-10-25T00:30Z"),
            ("Europe/Berlin", "02:30", "03:30", "2026-10-24T12:00Z", "2026-10-25T00:30Z", "2026-10-25T02:30Z"),
            ("America/New_York", "01:30", "03:30", "2026-03-07T12:00Z", "2026-03-08T06:30Z", "2026-03-08T07:30Z"),
            ("America/New_York", "02:00", "04:00", "2026-03-07T12:00Z", "2026-03-08T07:00Z", "2026-03-08T08:00Z"),
            ("America/New_York", "00:30", "01:30", "2026-10-31T12:00Z", "2026-11-01T04:30Z", "2026-11-01T05:30Z"),
            ("America/New_York", "23:00", "03:00", "2026-10-31T12:00Z", "2026-11-01T03:00Z", "2026-11-01T08:00Z"),
            // Half an hour.
            ("Australia/Lord_Howe", "01:00", "03:00", "2026-10-03T02:00Z", "2026-10-03T14:30Z", "2026-10-03T16:00Z"),
            ("Australia/Lord_Howe", "02:15", "03:00", "2026-10-03T02:00Z", "2026-10-03T15:30Z", "2026-10-03T16:00Z"),
            ("Australia/Lord_Howe", "01:00", "03:00", "2026-04-04T02:00Z", "2026-04-04T14:00Z", "2026-04-04T16:30Z"),
            ("Australia/Lord_Howe", "01:00", "01:45", "2026-04-04T02:00Z", "2026-04-04T14:00Z", "2026-04-04T14:45Z"),
        ];
        for (zone, at, to, after, from, until) in table {
            let found = daily(at, to, zone).next(moment(after));
            assert_eq!(found, Some((moment(from), moment(until))), "{zone} {at}-{to} after {after}");
        }
    }

    #[test]
    fn a_window_by_its_length_lasts_that_long_in_every_night() {
        let two_hours = Ends::After(Millis::from_secs(2 * HOUR));
        for (after, from) in [
            ("2026-11-24T12:00Z", "2026-11-25T00:30Z"),
            ("2026-03-28T12:00Z", "2026-03-29T00:30Z"),
            ("2026-10-24T12:00Z", "2026-10-24T23:30Z"),
        ] {
            let (begins, ends) =
                window("30 1 * * *", "Europe/Berlin", two_hours).next(moment(after)).unwrap();
            assert_eq!((begins, ends.since(begins)), (moment(from), Millis::from_secs(2 * HOUR)), "{after}");
        }
    }

    #[test]
    fn an_end_in_the_repeated_hour_is_after_a_start_in_it() {
        let (at, to) = ("02:00".parse().unwrap(), "02:40".parse().unwrap());
        let open = window("*/20 2 * * *", "Europe/Berlin", Ends::At(at, to));
        let second = moment("2026-10-25T01:00Z");
        assert_eq!(open.end(second), Some(moment("2026-10-25T01:40Z")));
    }

    #[test]
    fn what_is_no_window_is_told_why() {
        let now = moment("2026-11-25T12:00Z");
        let after = |secs| Ends::After(Millis::from_secs(secs));
        for (cron, ends, said) in [
            ("0 2 * * *", after(25 * HOUR), "each occurrence lasts 1d1h, but the next one begins after 1d"),
            ("0 2 * * 1,2", after(30 * HOUR), "each occurrence lasts 1d6h, but the next one begins after 1d"),
            ("0 2 * * *", after(59), "a window lasts 1m or more, this one 59s"),
            ("0 2 1 1 *", after(367 * 24 * HOUR), "a window lasts 366d or less, this one 367d"),
            ("*/5 * * * *", after(60), "a window comes every 15m at most, this one every 5m"),
        ] {
            let error = window(cron, "Europe/Berlin", ends).check(now).unwrap_err();
            assert_eq!(error.to_string(), said, "{cron}");
        }
        for zone in ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "UTC"] {
            for whole_day in
                [after(24 * HOUR), Ends::At(Minute(0), Minute(1_440)), Ends::At(Minute(0), Minute(0))]
            {
                assert_eq!(window("0 0 * * *", zone, whole_day).check(now), Ok(()), "{zone} {whole_day:?}");
            }
        }
        let minute = Millis::from_secs(60);
        assert_eq!(once(now, now, now), Err(BadWindow::Backwards));
        assert_eq!(once(now, now - minute, now), Err(BadWindow::Past));
        assert_eq!(once(now + minute, now + minute, now), Err(BadWindow::Backwards));
        assert_eq!(once(now - minute.times(2), now, now), Err(BadWindow::Past));
        assert_eq!(once(now, now + Millis(59_999), now), Err(BadWindow::TooShort(Millis(59_999))));
        assert_eq!(once(now, now + LONGEST + Millis(1), now), Err(BadWindow::TooLong(LONGEST + Millis(1))));
        assert_eq!(once(now - minute, now + minute, now), Ok(()));
    }

    #[test]
    fn a_time_of_day_is_read_strictly() {
        for (text, shown) in [("02:00", "02:00"), ("2:05", "02:05"), ("00:00", "00:00"), ("24:00", "24:00")] {
            assert_eq!(text.parse::<Minute>().unwrap().to_string(), shown);
        }
        for text in [
            "", "2", "24:01", "25:00", "12:60", "12:5", "-1:00", "+1:00", "1 2:00", "2:00pm", "002:00",
            "\u{1b}",
        ] {
            assert!(text.parse::<Minute>().is_err(), "{text}");
        }
    }

    #[test]
    fn intervals_that_touch_become_one() {
        let t = |pairs: &[(i64, i64)]| pairs.iter().map(|&(a, b)| (Time(a), Time(b))).collect::<Vec<_>>();
        assert_eq!(merged(t(&[(5, 7), (1, 3), (3, 4), (6, 9), (8, 8), (12, 11)])), t(&[(1, 4), (5, 9)]));
    }

    proptest! {
        #[test]
        fn every_occurrence_ends_after_it_begins_and_before_the_next_ends(
            zone in prop::sample::select(&["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Sao_Paulo", "UTC"][..]),
            at in 0..1_440_u16,
            to in 0..=1_440_u16,
            day in 17_000..22_000_i64,
        ) {
            let ends = Ends::At(Minute(at), Minute(to));
            let window = window(&format!("{} {} * * *", at % 60, at / 60), zone, ends);
            let (from, until) = window.next(Time(day * 86_400_000)).unwrap();
            let (next_from, next_until) = window.next(from).unwrap();
            prop_assert!(until > from && next_from > from && next_until > until);
            let off = until.since(from).0 - window.usual_length().0;
            prop_assert!(off.abs() <= 3_600_000, "{}", off);
        }
    }
}
