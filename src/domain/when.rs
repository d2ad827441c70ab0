//! Times that people write: `2026-11-22 14:00`, `now`, `+2h`, `2026-11-22T14:00:00Z`.

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use schedules::{Millis, Time};

/// A text that is no time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no time: write 2026-11-22 14:00, 2026-11-22, now, +2h, -7d, or 2026-11-22T14:00:00Z")]
pub struct BadTime(String);

/// Reads a time. Without a zone in it (`…[Europe/Berlin]`, `…+01:00`, `…Z`), it is one on the clocks of `zone`; a day
/// alone is its first moment.
///
/// # Errors
/// It is none.
pub fn time(text: &str, now: Time, zone: &TimeZone) -> Result<Time, BadTime> {
    let bad = || BadTime(text.chars().take(60).collect::<String>().escape_debug().to_string());
    let text = text.trim();
    if text == "now" {
        return Ok(now);
    }
    if let Some(span) = text.strip_prefix('+') {
        return Ok(now + span.parse::<Millis>().map_err(|_| bad())?);
    }
    if let Some(span) = text.strip_prefix('-') {
        return Ok(now - span.parse::<Millis>().map_err(|_| bad())?);
    }
    // A civil time is also read out of a text with a zone in it, and the zone passed over: so that comes first.
    if text.contains('[') {
        let zoned = text.parse::<Zoned>().map_err(|_| bad())?;
        return Ok(Time(zoned.timestamp().as_millisecond()));
    }
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(Time(at.as_millisecond()));
    }
    let civil = text.parse::<DateTime>().or_else(|_| text.parse::<Date>().map(|day| day.at(0, 0, 0, 0)));
    let zoned = civil.and_then(|civil| civil.to_zoned(zone.clone())).map_err(|_| bad())?;
    Ok(Time(zoned.timestamp().as_millisecond()))
}

/// The end of the day that `text` names, where it names a whole day: the first moment of the next one, also where the
/// clocks of `zone` are changed on it.
#[must_use]
pub fn day_end(text: &str, zone: &TimeZone) -> Option<Time> {
    let next = text.trim().parse::<Date>().ok().filter(|_| text.trim().len() == 10)?.tomorrow().ok()?;
    let end = next.at(0, 0, 0, 0).to_zoned(zone.clone()).ok()?;
    Some(Time(end.timestamp().as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: Time = Time(1_795_356_000_000);

    #[test]
    fn times_are_read_as_people_write_them() {
        let berlin = TimeZone::get("Europe/Berlin").unwrap();
        for (text, at) in [
            ("now", NOW.0),
            ("+2h", NOW.0 + 7_200_000),
            ("-7d", NOW.0 - 7 * 86_400_000),
            ("2026-11-22T14:00:00Z", NOW.0),
            ("2026-11-22 15:00", NOW.0),
            ("2026-11-22T15:00", NOW.0),
            ("2026-11-22 15:00:30", NOW.0 + 30_000),
            ("2026-11-22", NOW.0 - 15 * 3_600_000),
            ("2026-11-22T09:00[America/New_York]", NOW.0),
            ("2026-11-22T15:00+01:00", NOW.0),
            ("2026-11-22 15:00+01:00[Europe/Berlin]", NOW.0),
        ] {
            assert_eq!(time(text, NOW, &berlin), Ok(Time(at)), "{text}");
        }
        for text in [
            "",
            "soon",
            "+",
            "+2",
            "2026-13-01",
            "22.11.2026",
            "2026-11-22 25:00",
            "14:00",
            "2026-11-22T09:00[No/Where]",
            "2026-11-22T15:00+05:00[Europe/Berlin]",
        ] {
            assert!(time(text, NOW, &berlin).is_err(), "{text}");
        }
    }

    #[test]
    fn a_day_has_the_hours_it_has() {
        let berlin = TimeZone::get("Europe/Berlin").unwrap();
        for (day, hours) in [("2026-11-22", 24), ("2026-10-25", 25), ("2026-03-29", 23)] {
            let from = time(day, NOW, &berlin).unwrap();
            assert_eq!(day_end(day, &berlin).unwrap().since(from), Millis::from_secs(hours * 3_600), "{day}");
        }
        assert_eq!(day_end("2026-11-22 10:00", &berlin), None);
        assert_eq!(day_end("now", &berlin), None);
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".{0,40}") {
            drop(time(&text, NOW, &TimeZone::UTC));
        }
    }
}
