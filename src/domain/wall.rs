//! From the reading of a wall clock to a moment, and back, also where clocks are changed.

use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{Timestamp, Zoned};
use schedules::Time;

/// What the wall clock of `zone` shows at a moment; none for one that no calendar has.
#[must_use]
pub fn reading(at: Time, zone: &TimeZone) -> Option<DateTime> {
    let at = Timestamp::from_millisecond(at.0).ok()?;
    Some(Zoned::new(at, zone.clone()).datetime())
}

/// The first moment at which the wall clock of `zone` shows `wall` or a later time. Where an hour comes twice that is
/// in the first of the two; where the clock is put forward over it, the end of that gap.
#[must_use]
pub fn reached(wall: DateTime, zone: &TimeZone) -> Option<Time> {
    let at = match zone.to_ambiguous_timestamp(wall).offset() {
        AmbiguousOffset::Unambiguous { offset } => offset.to_timestamp(wall).ok()?,
        AmbiguousOffset::Fold { before, .. } => before.to_timestamp(wall).ok()?,
        AmbiguousOffset::Gap { after, .. } => {
            zone.following(after.to_timestamp(wall).ok()?).next()?.timestamp()
        }
    };
    Some(Time(at.as_millisecond()))
}

/// The last moment at which the wall clock of `zone` shows `wall`: where an hour comes twice, in the second.
#[must_use]
pub fn reached_again(wall: DateTime, zone: &TimeZone) -> Option<Time> {
    match zone.to_ambiguous_timestamp(wall).offset() {
        AmbiguousOffset::Fold { after, .. } => Some(Time(after.to_timestamp(wall).ok()?.as_millisecond())),
        AmbiguousOffset::Unambiguous { .. } | AmbiguousOffset::Gap { .. } => reached(wall, zone),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(text: &str) -> Time {
        Time(text.parse::<Timestamp>().unwrap().as_millisecond())
    }

    #[test]
    fn a_reading_is_reached_once_in_every_night() {
        for (zone, wall, first, last) in [
            ("Europe/Berlin", "2026-11-25T02:30", "2026-11-25T01:30Z", "2026-11-25T01:30Z"),
            ("Europe/Berlin", "2026-03-29T02:00", "2026-03-29T01:00Z", "2026-03-29T01:00Z"),
            ("Europe/Berlin", "2026-03-29T02:30", "2026-03-29T01:00Z", "2026-03-29T01:00Z"),
            ("Europe/Berlin", "2026-03-29T03:00", "2026-03-29T01:00Z", "2026-03-29T01:00Z"),
            ("Europe/Berlin", "2026-10-25T02:30", "2026-10-25T00:30Z", "2026-10-25T01:30Z"),
            ("Europe/Berlin", "2026-10-25T03:00", "2026-10-25T02:00Z", "2026-10-25T02:00Z"),
            ("America/New_York", "2026-03-08T02:59", "2026-03-08T07:00Z", "2026-03-08T07:00Z"),
            ("America/New_York", "2026-11-01T01:15", "2026-11-01T05:15Z", "2026-11-01T06:15Z"),
            ("Australia/Lord_Howe", "2026-10-04T02:15", "2026-10-03T15:30Z", "2026-10-03T15:30Z"),
            ("Australia/Lord_Howe", "2026-04-05T01:45", "2026-04-04T14:45Z", "2026-04-04T15:15Z"),
        ] {
            let tz = TimeZone::get(zone).unwrap();
            let wall: DateTime = wall.parse().unwrap();
            assert_eq!(reached(wall, &tz), Some(moment(first)), "{zone} {wall}");
            assert_eq!(reached_again(wall, &tz), Some(moment(last)), "{zone} {wall}");
        }
    }

    #[test]
    fn a_moment_beyond_the_calendar_has_no_reading() {
        assert_eq!(reading(Time::MAX, &TimeZone::UTC), None);
        assert_eq!(
            reading(Time(0), &TimeZone::UTC).map(|wall| wall.to_string()),
            Some("1970-01-01T00:00:00".into())
        );
    }
}
