//! Quiet hours: a part of each day in which nobody is told what can wait.

use std::fmt;
use std::str::FromStr;

use jiff::civil::{Date, Time as Hour};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use schedules::Time;

/// A part of each day, on the clocks of some zone: `22:00-07:00`. It begins and ends once a day, also on the days on
/// which the clocks are changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quiet {
    from: Hour,
    until: Hour,
}

/// A text that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' are no quiet hours: write them as 22:00-07:00, with two different times")]
pub struct BadQuiet(String);

impl Quiet {
    /// When the quiet hours end in which `now` lies; nothing where it lies in none.
    #[must_use]
    pub fn ends(&self, now: Time, zone: &TimeZone) -> Option<Time> {
        let moment = Timestamp::from_millisecond(now.0).ok()?;
        let today = moment.to_zoned(zone.clone()).date();
        [today.yesterday().ok(), Some(today)]
            .into_iter()
            .flatten()
            .filter_map(|day| self.on(day, zone))
            .find(|(from, until)| *from <= now && now < *until)
            .map(|(_, until)| until)
    }

    /// The quiet hours that begin on a day.
    fn on(&self, day: Date, zone: &TimeZone) -> Option<(Time, Time)> {
        let last = if self.until > self.from { day } else { day.checked_add(1.day()).ok()? };
        let at = |day: Date, hour: Hour| {
            let zoned = day.to_datetime(hour).to_zoned(zone.clone()).ok()?;
            Some(Time(zoned.timestamp().as_millisecond()))
        };
        Some((at(day, self.from)?, at(last, self.until)?))
    }
}

impl FromStr for Quiet {
    type Err = BadQuiet;

    fn from_str(text: &str) -> Result<Quiet, BadQuiet> {
        let bad = || BadQuiet(text.chars().take(40).collect::<String>().escape_debug().to_string());
        let (from, until) = text.trim().split_once('-').ok_or_else(bad)?;
        let (from, until) = (hour(from).ok_or_else(bad)?, hour(until).ok_or_else(bad)?);
        if from == until { Err(bad()) } else { Ok(Quiet { from, until }) }
    }
}

/// `7:00` or `07:00`.
fn hour(text: &str) -> Option<Hour> {
    let (hours, minutes) = text.trim().split_once(':')?;
    let digits = |text: &str, most| text.len() <= most && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(hours, 2) || !digits(minutes, 2) || minutes.len() != 2 {
        return None;
    }
    Hour::new(hours.parse().ok()?, minutes.parse().ok()?, 0, 0).ok()
}

impl fmt::Display for Quiet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (from, until) = (self.from, self.until);
        write!(f, "{:02}:{:02}-{:02}:{:02}", from.hour(), from.minute(), until.hour(), until.minute())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::when;

    fn berlin() -> TimeZone {
        TimeZone::get("Europe/Berlin").unwrap()
    }

    fn at(text: &str) -> Time {
        when::time(text, Time(0), &berlin()).unwrap()
    }

    #[test]
    fn quiet_hours_end_when_the_clock_on_the_wall_says_so() {
        for (hours, now, ends) in [
            ("22:00-07:00", "2026-11-22 21:59", None),
            ("22:00-07:00", "2026-11-22 22:00", Some("2026-11-23 07:00")),
            ("22:00-07:00", "2026-11-23 06:59", Some("2026-11-23 07:00")),
            ("22:00-07:00", "2026-11-23 07:00", None),
            ("12:00-13:00", "2026-11-23 12:30", Some("2026-11-23 13:00")),
            ("12:00-13:00", "2026-11-23 11:59", None),
            // The night in which the clocks go back has an hour more, the one in which they go forward one less.
            ("22:00-07:00", "2026-10-25T01:30:00Z", Some("2026-10-25T06:00:00Z")),
            ("22:00-07:00", "2026-10-24T20:00:00Z", Some("2026-10-25T06:00:00Z")),
            ("22:00-07:00", "2026-03-28T21:00:00Z", Some("2026-03-29T05:00:00Z")),
            ("22:00-07:00", "2026-03-29T04:59:59Z", Some("2026-03-29T05:00:00Z")),
            // An end in the hour that is there twice comes once, and one in the hour that is missing comes after it.
            ("22:00-02:30", "2026-10-25T00:29:00Z", Some("2026-10-25T00:30:00Z")),
            ("22:00-02:30", "2026-10-25T01:10:00Z", None),
            ("22:00-02:30", "2026-03-29T01:10:00Z", Some("2026-03-29T01:30:00Z")),
        ] {
            let quiet: Quiet = hours.parse().unwrap();
            assert_eq!(quiet.ends(at(now), &berlin()), ends.map(at), "{hours} at {now}");
        }
    }

    #[test]
    fn what_are_no_hours_is_refused() {
        assert_eq!("7:00-22:30".parse::<Quiet>().unwrap().to_string(), "07:00-22:30");
        for text in
            ["", "22-7", "22:00", "22:00-22:00", "24:00-07:00", "22:60-07:00", "-1:00-07:00", "22:0-7:00"]
        {
            assert!(text.parse::<Quiet>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn quiet_hours_are_over_when_they_end(
            from in 0..1_440_i64, length in 1..1_440_i64, now in 1_774_000_000_000..1_800_000_000_000_i64,
        ) {
            let hour = |m: i64| format!("{}:{:02}", m / 60 % 24, m % 60);
            let quiet: Quiet = format!("{}-{}", hour(from), hour(from + length)).parse().unwrap();
            if let Some(ends) = quiet.ends(Time(now), &berlin()) {
                prop_assert!(ends > Time(now) && ends.since(Time(now)).0 <= 25 * 3_600_000);
                let again = quiet.ends(ends, &berlin());
                prop_assert!(again.is_none() || length > 1_380, "only on a day of 23 hours they may meet: {again:?}");
            }
        }

        #[test]
        fn no_text_panics(text in "[0-9:-]{0,12}|.{0,20}") {
            if let Ok(quiet) = text.parse::<Quiet>() {
                prop_assert_eq!(quiet.ends(Time(i64::MAX), &TimeZone::UTC), None);
                prop_assert!(quiet.ends(Time(0), &TimeZone::UTC).is_none_or(|ends| ends > Time(0)));
            }
        }
    }
}
