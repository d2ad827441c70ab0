//! How often something is due: every so often, or by a cron line.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{CronLine, Millis, Time, spread};

/// The shortest span between two firings.
const SHORTEST: Millis = Millis(100);

/// The longest span between two firings.
const LONGEST: Millis = Millis(366 * 86_400_000);

/// When something is due again and again. Written, stored and sent as text: `30s`, or a cron line like
/// `0 7 * * 1-5 Europe/Berlin`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Cadence {
    /// Once in every span of this length, each thing at its own moment in it. What is read from text is 100 ms to
    /// 366 days; another span counts as the nearest of these.
    Every(Millis),
    /// Whenever the cron line fires, for all things at the same moment.
    Cron(CronLine),
}

impl Cadence {
    /// The first firing for `key` strictly after `after`; [`Time::MAX`] where there is none.
    ///
    /// `Every`: on a grid that is fixed since 1970 and shifted by the key's [`spread`], so a restart moves nothing.
    /// `Cron`: when the line fires next, whatever the key.
    #[must_use]
    pub fn next(&self, after: Time, key: u64) -> Time {
        match self {
            Cadence::Every(span) => next_on_grid(after, key, allowed(*span)),
            Cadence::Cron(line) => line.next(after).unwrap_or(Time::MAX),
        }
    }

    /// How long it is from one firing to the next: the span itself; of a cron line, the distance between the two
    /// firings that follow `at` (the longest span there is, where there are not two).
    #[must_use]
    pub fn period(&self, at: Time) -> Millis {
        match self {
            Cadence::Every(span) => allowed(*span),
            Cadence::Cron(line) => {
                let first = line.next(at);
                let second = first.and_then(|first| line.next(first));
                first.zip(second).map_or(Millis(i64::MAX), |(first, second)| second.since(first))
            }
        }
    }
}

fn allowed(span: Millis) -> Millis {
    span.clamp(SHORTEST, LONGEST)
}

fn next_on_grid(after: Time, key: u64, period: Millis) -> Time {
    let (after, step) = (i128::from(after.0), i128::from(period.0));
    let into = (after - i128::from(spread(key, period).0)).rem_euclid(step);
    i64::try_from(after - into + step).map_or(Time::MAX, Time)
}

/// What is wrong with a cadence a person wrote.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadCadence {
    /// Neither a span nor a cron line.
    #[error(
        "'{0}' is no cadence: write a span like 30s or 5m, or a cron line like '0 7 * * 1-5 Europe/Berlin'"
    )]
    Neither(String),
    /// A span below the shortest.
    #[error("'{0}' is too short: write a span of {SHORTEST} or more")]
    TooShort(String),
    /// A span above the longest.
    #[error("'{0}' is too long: write a span of {LONGEST} or less, or a cron line like '0 7 1 1 *'")]
    TooLong(String),
    /// A cron line with a wrong field, or too many or too few.
    #[error(
        "'{text}' is not a cron line: {why}; write minute, hour, day, month and weekday like '0 7 * * 1-5 Europe/Berlin'"
    )]
    Cron {
        /// What was written.
        text: String,
        /// What is wrong with it.
        why: String,
    },
    /// A cron line in a time zone that is none.
    #[error("'{text}': there is no time zone '{zone}'; write one like Europe/Berlin, or none for UTC")]
    Zone {
        /// What was written.
        text: String,
        /// The word where a time zone should be.
        zone: String,
    },
    /// A cron line for a day that never comes.
    #[error("'{0}' never fires: no year has such a day; write another day or month")]
    Never(String),
}

impl BadCadence {
    pub(crate) fn cron(text: &str, why: String) -> BadCadence {
        BadCadence::Cron { text: shown(text), why: shown(&why) }
    }

    pub(crate) fn zone(text: &str, zone: &str) -> BadCadence {
        BadCadence::Zone { text: shown(text), zone: shown(zone) }
    }

    pub(crate) fn never(text: &str) -> BadCadence {
        BadCadence::Never(shown(text))
    }
}

/// A text as an error may show it: no control characters, and no more than a line of it.
fn shown(text: &str) -> String {
    const MOST: usize = 80;
    let mut chars = text.chars();
    let mut start: String = chars
        .by_ref()
        .take(MOST)
        .map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c })
        .collect();
    if chars.next().is_some() {
        start.push('…');
    }
    start
}

impl FromStr for Cadence {
    type Err = BadCadence;

    /// Reads a span (`30s`, `1h30m`) or a cron line (`0 7 * * 1-5`, `@daily Europe/Berlin`).
    fn from_str(text: &str) -> Result<Cadence, BadCadence> {
        let text = text.trim();
        if text.starts_with('@') || text.contains(char::is_whitespace) {
            return text.parse().map(Cadence::Cron);
        }
        let span: Millis = text.parse().map_err(|_| BadCadence::Neither(shown(text)))?;
        if span < SHORTEST {
            return Err(BadCadence::TooShort(shown(text)));
        }
        if span > LONGEST {
            return Err(BadCadence::TooLong(shown(text)));
        }
        Ok(Cadence::Every(span))
    }
}

impl fmt::Display for Cadence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cadence::Every(span) => span.fmt(f),
            Cadence::Cron(line) => line.fmt(f),
        }
    }
}

impl TryFrom<String> for Cadence {
    type Error = BadCadence;

    fn try_from(text: String) -> Result<Cadence, BadCadence> {
        text.parse()
    }
}

impl From<Cadence> for String {
    fn from(cadence: Cadence) -> String {
        cadence.to_string()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cadence(text: &str) -> Cadence {
        text.parse().unwrap_or_else(|e| panic!("{e}"))
    }

    #[test]
    fn a_cadence_reads_back_as_it_is_shown() {
        for (text, shown) in [
            ("30s", "30s"),
            (" 90m ", "1h30m"),
            ("100ms", "100ms"),
            ("366d", "366d"),
            ("0  7 * * 1-5", "0 7 * * 1-5"),
            ("0 7 * * 1-5 UTC", "0 7 * * 1-5"),
            ("*/10 * * * * * europe/berlin", "*/10 * * * * * Europe/Berlin"),
            ("0 7 * * MON-FRI America/New_York", "0 7 * * MON-FRI America/New_York"),
            ("0 7 L * fri", "0 7 L * fri"),
            ("@daily Europe/Berlin", "@daily Europe/Berlin"),
            ("@Hourly", "@Hourly"),
        ] {
            let read = cadence(text);
            assert_eq!(read.to_string(), shown);
            assert_eq!(cadence(shown), read);
        }
    }

    #[test]
    fn a_cadence_is_stored_as_text() {
        let json = r#"["30s","0 7 * * 1-5 Europe/Berlin"]"#;
        let read: Vec<Cadence> = serde_json::from_str(json).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), json);
        let error = serde_json::from_str::<Cadence>(r#""soon""#).unwrap_err().to_string();
        assert!(error.starts_with("'soon' is no cadence: write a span like 30s"), "{error}");
    }

    #[test]
    fn what_is_no_cadence_is_refused_with_what_to_write_instead() {
        let cron = "; write minute, hour, day, month and weekday like '0 7 * * 1-5 Europe/Berlin'";
        for (text, error) in [
            (
                "",
                "'' is no cadence: write a span like 30s or 5m, or a cron line like '0 7 * * 1-5 Europe/Berlin'",
            ),
            ("99ms", "'99ms' is too short: write a span of 100ms or more"),
            ("0s", "'0s' is too short: write a span of 100ms or more"),
            ("367d", "'367d' is too long: write a span of 366d or less, or a cron line like '0 7 1 1 *'"),
            ("0 25 * * *", &format!("'0 25 * * *' is not a cron line: '25' is no hour (0-23){cron}")),
            ("0 7 * *", &format!("'0 7 * *' is not a cron line: it has 4 fields and not 5 or 6{cron}")),
            ("30 s", &format!("'30 s' is not a cron line: it has 2 fields and not 5 or 6{cron}")),
            (
                "0 7 * * 1-5 Europe/Berln",
                "'0 7 * * 1-5 Europe/Berln': there is no time zone 'Europe/Berln'; \
                 write one like Europe/Berlin, or none for UTC",
            ),
            ("0 7 31 2 *", "'0 7 31 2 *' never fires: no year has such a day; write another day or month"),
            (
                "@reboot",
                &format!(
                    "'@reboot' is not a cron line: there is no such name; \
                     write @hourly, @daily, @weekly, @monthly or @yearly{cron}"
                ),
            ),
        ] {
            assert_eq!(text.parse::<Cadence>().unwrap_err().to_string(), error);
        }
        for field in
            ["1/65535 * * * *", "*/0 * * * *", "1,,2 * * * *", "9-3 * * * *", "* * * 13 *", "* * * * MAN"]
        {
            assert!(matches!(field.parse::<Cadence>(), Err(BadCadence::Cron { .. })), "{field}");
        }
        assert!("0 0 1 1 * 2030 2031".parse::<Cadence>().is_err(), "a year has no field");
    }

    #[test]
    fn an_endless_text_makes_a_short_error() {
        for text in ["x".repeat(1_000_000), "* ".repeat(500_000), format!("@{}", "\n".repeat(9_999))] {
            assert!(text.parse::<Cadence>().unwrap_err().to_string().len() < 600);
        }
    }

    #[test]
    fn every_thirty_seconds_each_device_has_its_own_moment() {
        let cadence = cadence("30s");
        let first = cadence.next(Time(1_000_000_000), 1);
        assert_eq!(first.0 % 30_000, spread(1, Millis(30_000)).0);
        assert_eq!(cadence.next(first, 1), first + Millis(30_000));
        assert_eq!(cadence.next(first - Millis(1), 1), first);
        assert_ne!(cadence.next(Time(1_000_000_000), 2), first);
        assert_eq!(cadence.period(first), Millis(30_000));
    }

    #[test]
    fn at_the_end_of_time_nothing_is_due() {
        for text in ["366d", "100ms", "* * * * * *", "0 7 29 2 * Europe/Berlin"] {
            assert_eq!(cadence(text).next(Time::MAX, 9), Time::MAX, "{text}");
            assert!(cadence(text).next(Time::MIN, 9) > Time::MIN, "{text}");
            assert!(cadence(text).period(Time::MAX) > Millis::ZERO, "{text}");
        }
    }

    #[test]
    fn a_span_that_no_text_could_give_is_bounded() {
        assert_eq!(Cadence::Every(Millis(0)).period(Time(0)), SHORTEST);
        assert!(Cadence::Every(Millis(i64::MIN)).next(Time(5), 3) > Time(5));
        assert!(Cadence::Every(Millis(i64::MAX)).next(Time(5), 3) <= Time(5) + LONGEST);
    }

    #[test]
    fn the_period_of_a_cron_line_is_the_distance_of_its_next_firings() {
        assert_eq!(cadence("*/15 * * * *").period(Time(1)), Millis::from_secs(900));
        // 1970-01-02 was a Friday: after its firing the next comes on Monday.
        let friday = Time(86_400_000);
        assert_eq!(cadence("0 7 * * 1-5").period(friday), Millis::from_secs(3 * 86_400));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,40}") {
            drop(text.parse::<Cadence>());
        }

        #[test]
        fn no_text_of_cron_characters_makes_it_panic(
            text in "@?[0-9*/,#?LW+A-Z-]{1,8}( [0-9*/,#?LWA-Z-]{1,4}){3,6}( [A-Z][a-z]{1,6}/[A-Z][a-z]{1,6})?",
        ) {
            if let Ok(cadence) = text.parse::<Cadence>() {
                prop_assert!(cadence.next(Time(0), 0) > Time(0));
                prop_assert_eq!(cadence.to_string().parse(), Ok(cadence));
            }
        }

        #[test]
        fn the_next_of_every_is_the_first_on_its_grid(after: i64, key: u64, span in 100..=31_622_400_000_i64) {
            let next = Cadence::Every(Millis(span)).next(Time(after), key);
            let distance = i128::from(next.0) - i128::from(after);
            prop_assert!(next == Time::MAX || (distance > 0 && distance <= i128::from(span)));
            prop_assert!(next == Time::MAX || next.0.rem_euclid(span) == spread(key, Millis(span)).0);
        }
    }
}
