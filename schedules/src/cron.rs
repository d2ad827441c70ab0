//! A cron line in a time zone, and the moments at which it fires, also when the clocks there are changed.
//!
//! croner reads the fields and finds the next matching *reading of a wall clock*; from a reading to a moment is our own
//! work. (Asked for moments, croner 3.0 forgets in which of two equal readings it started: where an hour is repeated it
//! leaves out the second one, or answers with a moment that has gone by.)

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use chrono::{DateTime, NaiveDateTime, Offset, TimeDelta, TimeZone};
use chrono_tz::{GapInfo, Tz};
use croner::Cron;

use crate::{BadCadence, Time};

/// The longest text that is read as a cron line.
const LONGEST: usize = 200;

/// 0001-01-02T00:00:00Z in seconds since 1970: croner counts years from 1, and in no zone is this the year before.
const EARLIEST: i64 = -62_135_510_400;

/// 4999-01-01T00:00:00Z in seconds since 1970: croner's calendar ends with the year 5000, and a line is taken to fire
/// no more a year before.
const LATEST: i64 = 95_586_048_000;

/// 4590-01-01T00:00:00Z in seconds since 1970: from here to the end of croner's calendar is one whole cycle of the
/// Gregorian calendar (400 years), so a line that does not fire in it never does.
const LAST_CYCLE: i64 = 82_679_270_400;

/// What may stand in each of the six fields.
const FIELDS: [&str; 6] = [
    "second (0-59)",
    "minute (0-59)",
    "hour (0-23)",
    "day of the month (1-31 or L)",
    "month (1-12 or JAN-DEC)",
    "weekday (0-7 or SUN-SAT)",
];

/// A cron line: 5 fields, or 6 with seconds first, or a name like `@daily`; then, if it is not UTC, an IANA time zone.
///
/// When the clocks of its zone are changed: a line with fixed seconds, minutes and hours (numbers, lists, ranges) fires
/// at the first moment at which the wall clock shows that time or a later one. So it fires once where an hour is
/// repeated, and at the end of the gap where its time is left out. A line with `*` or a step in one of these fields
/// fires whenever the wall clock matches: in both of two equal hours, and not in one that is left out. (As Vixie cron
/// does it.)
#[derive(Clone)]
pub struct CronLine {
    fields: String,
    zone: Tz,
    pace: Pace,
    /// Shared, because the parsed form is several kilobytes.
    cron: Arc<Cron>,
}

/// What a line does when the clocks are changed.
#[derive(Clone, Copy)]
enum Pace {
    /// It fires once at each of its times.
    Fixed,
    /// It goes with the wall clock.
    Open,
}

impl CronLine {
    /// The first firing after `after`, and never `after` itself. `None`: there is none before the year 4999.
    #[must_use]
    pub fn next(&self, after: Time) -> Option<Time> {
        let secs = after.0.div_euclid(1000).max(EARLIEST);
        if secs >= LATEST {
            return None;
        }
        let after = DateTime::from_timestamp(secs, 0)?.with_timezone(&self.zone);
        let at = match self.pace {
            Pace::Fixed => self.next_fixed(after),
            Pace::Open => self.next_open(after).into_iter().chain(self.next_in_repeat(after)).min(),
        }?;
        Some(Time(at.timestamp_millis()))
    }

    /// Whether its fields are read in UTC.
    #[must_use]
    pub fn is_utc(&self) -> bool {
        self.zone == Tz::UTC
    }

    /// The first matching reading after `after` that the wall clock has reached or passed only then.
    fn next_fixed(&self, after: DateTime<Tz>) -> Option<DateTime<Tz>> {
        let mut wall = after.naive_local();
        loop {
            wall = self.next_reading(wall, false)?;
            let reached = match self.moments(wall) {
                Moments::One(at) | Moments::Two(at, _) => Some(at),
                Moments::Gap(end) => end,
            };
            if let Some(at) = reached.filter(|at| *at > after) {
                return Some(at);
            }
        }
    }

    /// The first moment after `after` at which the wall clock matches, going by readings after the one at `after`.
    fn next_open(&self, after: DateTime<Tz>) -> Option<DateTime<Tz>> {
        let mut wall = after.naive_local();
        loop {
            wall = self.next_reading(wall, false)?;
            let at = match self.moments(wall) {
                Moments::One(at) => Some(at),
                Moments::Two(first, second) => Some(if first > after { first } else { second }),
                Moments::Gap(end) => {
                    let before_end = end.map(|end| end.naive_local() - TimeDelta::seconds(1));
                    wall = before_end.map_or(wall, |reading| reading.max(wall));
                    None
                }
            };
            if let Some(at) = at.filter(|at| *at > after) {
                return Some(at);
            }
        }
    }

    /// If readings up to the one at `after` will come once more, because the clock is soon put back: the first of
    /// those that matches.
    fn next_in_repeat(&self, after: DateTime<Tz>) -> Option<DateTime<Tz>> {
        let Moments::Two(first, second) = self.moments(after.naive_local()) else { return None };
        if after >= second {
            return None;
        }
        let put_back = change_between(first, second);
        let wall = self.next_reading(put_back.naive_local(), true)?;
        match self.moments(wall) {
            Moments::Two(_, again) if again <= second => Some(again),
            Moments::Two(..) | Moments::One(_) | Moments::Gap(_) => None,
        }
    }

    /// The next reading of a wall clock that matches the fields. Fed as if it were UTC, where no clock is changed.
    fn next_reading(&self, wall: NaiveDateTime, inclusive: bool) -> Option<NaiveDateTime> {
        next_reading(&self.cron, wall, inclusive)
    }

    /// The moments at which the wall clock of the zone reads `wall`.
    fn moments(&self, wall: NaiveDateTime) -> Moments {
        match self.zone.from_local_datetime(&wall) {
            chrono::LocalResult::Single(at) => Moments::One(at),
            chrono::LocalResult::Ambiguous(one, other) => Moments::Two(one.min(other), one.max(other)),
            chrono::LocalResult::None => {
                Moments::Gap(GapInfo::new(&wall, &self.zone).and_then(|gap| gap.end))
            }
        }
    }
}

/// When a wall clock shows a reading.
enum Moments {
    One(DateTime<Tz>),
    /// The clock is put back over it: the earlier and the later moment.
    Two(DateTime<Tz>, DateTime<Tz>),
    /// The clock is put forward over it: the first moment after.
    Gap(Option<DateTime<Tz>>),
}

/// The first whole second after `before` that has the offset of `behind`, where there is one change between the two.
fn change_between(before: DateTime<Tz>, behind: DateTime<Tz>) -> DateTime<Tz> {
    let (mut before, mut behind) = (before, behind);
    loop {
        let half = (behind - before).num_seconds() / 2;
        if half == 0 {
            return behind;
        }
        let middle = before + TimeDelta::seconds(half);
        if middle.offset().fix() == behind.offset().fix() {
            behind = middle;
        } else {
            before = middle;
        }
    }
}

fn next_reading(cron: &Cron, wall: NaiveDateTime, inclusive: bool) -> Option<NaiveDateTime> {
    cron.find_next_occurrence(&wall.and_utc(), inclusive).ok().map(|at| at.naive_utc())
}

impl FromStr for CronLine {
    type Err = BadCadence;

    /// Reads `0 7 * * 1-5`, `*/10 * * * * *`, `@daily`, each with or without a time zone behind it.
    fn from_str(text: &str) -> Result<CronLine, BadCadence> {
        if text.len() > LONGEST {
            return Err(BadCadence::cron(text, format!("it is longer than {LONGEST} characters")));
        }
        let mut words: Vec<&str> = text.split_whitespace().collect();
        let mut zone = Tz::UTC;
        let behind_fields = words.len() > 5 || text.starts_with('@');
        if let Some(name) =
            words.pop_if(|word| zone_called(word).is_some() || (behind_fields && is_name(word)))
        {
            zone = zone_called(name).ok_or_else(|| BadCadence::zone(text, name))?;
        }
        let cron = parse(&words).map_err(|why| BadCadence::cron(text, why))?;
        let start = DateTime::from_timestamp(LAST_CYCLE, 0).expect("a year within chrono's calendar");
        if next_reading(&cron, start.naive_utc(), true).is_none() {
            return Err(BadCadence::never(text));
        }
        let pace = pace(&cron);
        Ok(CronLine { fields: words.join(" "), zone, pace, cron: Arc::new(cron) })
    }
}

/// Whether a word behind the fields is a name of something that is not a weekday.
fn is_name(word: &str) -> bool {
    let is_weekday = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"]
        .iter()
        .any(|day| word.get(..3).is_some_and(|start| start.eq_ignore_ascii_case(day)));
    word.starts_with(|c: char| c.is_ascii_alphabetic()) && !word.eq_ignore_ascii_case("L") && !is_weekday
}

fn zone_called(name: &str) -> Option<Tz> {
    chrono_tz::TZ_VARIANTS.iter().find(|zone| zone.name().eq_ignore_ascii_case(name)).copied()
}

/// Parses the fields, or says which of them is wrong.
fn parse(words: &[&str]) -> Result<Cron, String> {
    if let [name] = words
        && name.starts_with('@')
    {
        let known = "write @hourly, @daily, @weekly, @monthly or @yearly";
        return Cron::from_str(name).map_err(|_| format!("there is no such name; {known}"));
    }
    if !(5..=6).contains(&words.len()) {
        let fields = if words.len() == 1 { "field" } else { "fields" };
        return Err(format!("it has {} {fields} and not 5 or 6", words.len()));
    }
    for (place, word) in (6 - words.len()..).zip(words) {
        let mut alone = ["*"; 6];
        alone[place] = word;
        if word.split(',').any(str::is_empty)
            || has_long_number(word)
            || alone.join(" ").parse::<Cron>().is_err()
        {
            return Err(format!("'{word}' is no {}", FIELDS[place]));
        }
    }
    words.join(" ").parse().map_err(|e: croner::errors::CronError| e.to_string())
}

/// Whether a field has a number of more than two digits: there are none such, and croner steps in 16 bits.
fn has_long_number(field: &str) -> bool {
    field.split(|c: char| !c.is_ascii_digit()).any(|number| number.len() > 2)
}

fn pace(cron: &Cron) -> Pace {
    let parts = [&cron.pattern.seconds, &cron.pattern.minutes, &cron.pattern.hours];
    let open = parts.iter().any(|part| part.from_wildcard || part.step != 1 || part.is_all_set());
    if open { Pace::Open } else { Pace::Fixed }
}

impl PartialEq for CronLine {
    fn eq(&self, other: &CronLine) -> bool {
        self.fields == other.fields && self.zone == other.zone
    }
}

impl Eq for CronLine {}

impl fmt::Display for CronLine {
    /// As it was written, with single spaces, and with no zone where that is UTC.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.fields)?;
        if self.zone == Tz::UTC { Ok(()) } else { write!(f, " {}", self.zone.name()) }
    }
}

impl fmt::Debug for CronLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CronLine({self})")
    }
}
