//! The service clock: when somebody is there, how much of that went by, and until when a promise lasts.

use std::collections::BTreeSet;

use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;
use schedules::{Millis, Time};

use crate::domain::maintenance::{Minute, merged};
use crate::domain::named;
use crate::domain::ticket::State;
use crate::domain::wall::{reached, reading};

/// The most hours of one day.
const MAX_SPANS: usize = 12;
/// The longest text of hours, in bytes.
const MAX_TEXT: usize = 1_000;
/// How many days are looked through for the end of a promise.
const HORIZON_DAYS: usize = 3_660;
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// The hours of a week in which somebody is there. Written and stored as text: `mon-fri 08:00-17:00; sat 09:00-12:00`;
/// empty: always.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hours([Vec<(Minute, Minute)>; 7]);

/// Why hours are none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' says no hours: {why}; write them as 'mon-fri 08:00-17:00; sat 09:00-12:00'")]
pub struct BadHours {
    text: String,
    why: String,
}

impl Hours {
    /// Whether somebody is always there.
    #[must_use]
    pub fn is_always(&self) -> bool {
        self.0.iter().all(Vec::is_empty)
    }

    fn of(&self, day: Weekday) -> &[(Minute, Minute)] {
        let place = usize::try_from(day.to_monday_zero_offset()).unwrap_or(0);
        self.0.get(place).map_or(&[], Vec::as_slice)
    }
}

impl std::str::FromStr for Hours {
    type Err = BadHours;

    fn from_str(text: &str) -> Result<Hours, BadHours> {
        let bad = |why: String| BadHours {
            text: text.chars().take(60).collect::<String>().escape_debug().to_string(),
            why,
        };
        if text.len() > MAX_TEXT {
            return Err(bad(format!("it is longer than {MAX_TEXT} bytes")));
        }
        let mut hours = Hours::default();
        for part in text.split(';').map(str::trim).filter(|part| !part.is_empty()) {
            let (days, spans) = part
                .split_once(char::is_whitespace)
                .ok_or_else(|| bad(format!("'{}' lacks the hours", part.escape_debug())))?;
            let spans = spans.split(',').map(span).collect::<Result<Vec<_>, _>>().map_err(&bad)?;
            for day in days_of(days).map_err(&bad)? {
                hours.0[day].extend(&spans);
            }
        }
        for (day, name) in hours.0.iter_mut().zip(DAYS) {
            *day = joined(std::mem::take(day)).map_err(|why| bad(format!("{name}: {why}")))?;
        }
        Ok(hours)
    }
}

/// The places of days in a week: `mon-fri,sun`.
fn days_of(text: &str) -> Result<BTreeSet<usize>, String> {
    let place = |name: &str| {
        let found = DAYS.iter().position(|day| day.eq_ignore_ascii_case(name));
        found.ok_or_else(|| format!("'{}' is no day", name.escape_debug()))
    };
    let mut days = BTreeSet::new();
    for word in text.split(',') {
        let (first, last) = word.split_once('-').unwrap_or((word, word));
        let (first, last) = (place(first)?, place(last)?);
        let count = (last + DAYS.len() - first) % DAYS.len();
        days.extend((0..=count).map(|on| (first + on) % DAYS.len()));
    }
    Ok(days)
}

fn span(text: &str) -> Result<(Minute, Minute), String> {
    let shown = text.trim().escape_debug();
    let (from, to) = text.split_once('-').ok_or_else(|| format!("'{shown}' lacks its end"))?;
    let minute = |text: &str| text.parse::<Minute>().map_err(|e| e.to_string());
    let (from, to) = (minute(from)?, minute(to)?);
    if to <= from {
        return Err(format!(
            "'{shown}' ends before it begins (over midnight it is two: fri 22:00-24:00; sat 00:00-06:00)"
        ));
    }
    Ok((from, to))
}

/// The hours of one day in their order; what touches becomes one.
fn joined(mut spans: Vec<(Minute, Minute)>) -> Result<Vec<(Minute, Minute)>, String> {
    spans.sort_unstable();
    let mut out: Vec<(Minute, Minute)> = Vec::new();
    for (from, to) in spans {
        match out.last_mut() {
            Some(last) if from < last.1 => {
                return Err(format!("{}-{} and {from}-{to} overlap", last.0, last.1));
            }
            Some(last) if from == last.1 => last.1 = to,
            Some(_) | None => out.push((from, to)),
        }
    }
    if out.len() > MAX_SPANS {
        return Err(format!("a day has at most {MAX_SPANS} spans, this one {}", out.len()));
    }
    Ok(out)
}

impl std::fmt::Display for Hours {
    /// The shortest form: days with the same hours stand together.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut first = true;
        for (place, spans) in self.0.iter().enumerate() {
            if spans.is_empty() || self.0[..place].contains(spans) {
                continue;
            }
            let days: Vec<usize> = (place..7).filter(|&day| self.0[day] == *spans).collect();
            let runs = days.chunk_by(|one, next| one + 1 == *next).map(|run| match run {
                [one] => DAYS[*one].to_owned(),
                [one, .., last] => format!("{}-{}", DAYS[*one], DAYS[*last]),
                [] => String::new(),
            });
            let days = runs.collect::<Vec<_>>().join(",");
            let spans = spans.iter().map(|(from, to)| format!("{from}-{to}")).collect::<Vec<_>>().join(",");
            write!(f, "{}{days} {spans}", if first { "" } else { "; " })?;
            first = false;
        }
        Ok(())
    }
}

/// When somebody is there. A holiday is a day on which nobody is.
#[derive(Clone, Debug)]
pub struct Calendar {
    /// The hours of a week.
    pub hours: Hours,
    /// The days on which nobody is there.
    pub holidays: BTreeSet<Date>,
    /// The zone on whose clocks that is.
    pub zone: TimeZone,
}

impl Calendar {
    /// Somebody is always there.
    #[must_use]
    pub fn always() -> Calendar {
        Calendar { hours: Hours::default(), holidays: BTreeSet::new(), zone: TimeZone::UTC }
    }

    /// The service hours of a day, as moments.
    fn open(&self, day: Date) -> Vec<(Time, Time)> {
        if self.holidays.contains(&day) {
            return Vec::new();
        }
        let whole = [(Minute::default(), Minute::MIDNIGHT)];
        let spans = if self.hours.is_always() { &whole[..] } else { self.hours.of(day.weekday()) };
        let moment = |minute: Minute| reached(minute.on(day)?, &self.zone);
        spans.iter().filter_map(|&(from, to)| moment(from).zip(moment(to))).collect()
    }

    /// The service hours from `from` on, each after the one before, through `days` days.
    fn from(&self, from: Time, days: usize) -> impl Iterator<Item = (Time, Time)> {
        let first = reading(from, &self.zone).map(|wall| wall.date());
        // A day may begin before it is reached, where a clock is put back over midnight.
        let first = first.map(|day| day.yesterday().unwrap_or(day));
        std::iter::successors(first, |day| day.tomorrow().ok())
            .take(days.saturating_add(1))
            .flat_map(|day| self.open(day))
            .map(move |(start, end)| (start.max(from), end))
            .filter(|(start, end)| end > start)
    }
}

/// An interval in which the clock stood; without an end: it still stands.
pub type Pause = (Time, Option<Time>);

/// How much service time went by between two moments.
#[must_use]
pub fn worked(calendar: &Calendar, from: Time, to: Time, pauses: &[Pause]) -> Millis {
    let days = usize::try_from(to.since(from).0 / 86_400_000).map_or(0, |days| days.saturating_add(3));
    let pauses = closed(pauses, to);
    let open = calendar.from(from, days).take_while(|open| open.0 < to);
    let pieces = open.flat_map(|(start, end)| without((start, end.min(to)), &pauses));
    pieces.fold(Millis::ZERO, |sum, (start, end)| sum + end.since(start))
}

/// When so much service time has gone by since `from`; `None` while the clock stands, or where that takes more than
/// ten years.
#[must_use]
pub fn due(calendar: &Calendar, from: Time, needed: Millis, pauses: &[Pause]) -> Option<Time> {
    if needed <= Millis::ZERO {
        return Some(from);
    }
    let pauses = closed(pauses, Time::MAX);
    let mut left = needed;
    for open in calendar.from(from, HORIZON_DAYS) {
        for (start, end) in without(open, &pauses) {
            if end.since(start) >= left {
                return Some(start + left);
            }
            left = left - end.since(start);
        }
    }
    None
}

/// The pauses in their order, none over another; those that last end at `end`.
fn closed(pauses: &[Pause], end: Time) -> Vec<(Time, Time)> {
    merged(pauses.iter().map(|&(from, until)| (from, until.unwrap_or(end).min(end))).collect())
}

/// What is left of an interval without what lies in others, which are in their order.
fn without((start, end): (Time, Time), others: &[(Time, Time)]) -> Vec<(Time, Time)> {
    let mut left = Vec::new();
    let mut from = start;
    let first = others.partition_point(|other| other.1 <= start);
    for &(other, until) in others[first..].iter().take_while(|other| other.0 < end) {
        if other > from {
            left.push((from, other));
        }
        from = from.max(until);
    }
    if from < end {
        left.push((from, end));
    }
    left
}

/// How long the clock stood between two moments, whether somebody was there or not.
#[must_use]
pub fn paused(from: Time, to: Time, pauses: &[Pause]) -> Millis {
    let inside = closed(pauses, to).into_iter().map(|(start, end)| (start.max(from), end));
    inside.filter(|(start, end)| end > start).fold(Millis::ZERO, |sum, (start, end)| sum + end.since(start))
}

named! {
    /// Why a clock stands.
    pub enum Why {
        /// The ticket waits for somebody else.
        Waiting = "waiting",
        /// The trouble is over, for now.
        Recovered = "recovered",
        /// The ticket is done.
        Done = "done",
        /// The ticket is part of another one.
        Merged = "merged",
    }
}

/// Why the clock of a ticket in this state stands, if it does.
#[must_use]
pub fn stands(state: State) -> Option<Why> {
    match state {
        State::Open => None,
        State::Waiting => Some(Why::Waiting),
        State::Recovered => Some(Why::Recovered),
        State::Resolved | State::Closed => Some(Why::Done),
        State::Merged => Some(Why::Merged),
    }
}

/// One of the two promises of a ticket: a first response, or that the trouble is over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Promise {
    /// How much service time it may take; absent: nothing is promised.
    pub target: Option<Millis>,
    /// Until when that is, as things are; absent while the clock stands.
    pub due_at: Option<Time>,
    /// When it was kept, be it late.
    pub done_at: Option<Time>,
    /// When it was told that the time is nearly over.
    pub nearing_at: Option<Time>,
    /// When it was told that it is broken.
    pub breached_at: Option<Time>,
}

/// What is to be told of a promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tell {
    /// Nothing new.
    Nothing,
    /// Its time is nearly over.
    Nearing,
    /// It is broken.
    Breached,
}

impl Promise {
    /// Whether it was broken; nothing where nothing was promised.
    #[must_use]
    pub fn breached(&self, now: Time) -> Option<bool> {
        self.target?;
        match (self.done_at, self.due_at) {
            (Some(done), Some(due)) => Some(done > due),
            (None, Some(due)) => Some(self.breached_at.is_some() || now > due),
            (_, None) => Some(self.breached_at.is_some()),
        }
    }
}

/// What a promise goes by: the calendar, when the clock started, and when it stood.
#[derive(Clone, Copy, Debug)]
pub struct Course<'c> {
    /// When somebody is there.
    pub calendar: &'c Calendar,
    /// When the clock started.
    pub from: Time,
    /// When it stood.
    pub pauses: &'c [Pause],
    /// The share of the time after which a promise nears its end, in percent.
    pub warn_at: i64,
}

impl Course<'_> {
    /// The promise as it is now, what is to be told, and when to look again. A promise that was kept or broken stays as
    /// it was made; one that is open becomes `target`.
    #[must_use]
    pub fn follow(
        &self,
        was: Promise,
        target: Option<Millis>,
        done_at: Option<Time>,
        now: Time,
    ) -> (Promise, Tell, Option<Time>) {
        let settled = was.breached_at.is_some() || (done_at.is_some() && was.done_at.is_some());
        let leaves = done_at.is_some() && was.target.is_some();
        let target = if settled || leaves { was.target } else { target };
        let mut promise = Promise { target, done_at, due_at: None, ..was };
        let Some(needed) = target else { return (promise, Tell::Nothing, None) };
        let until_done = |&(from, until): &Pause| match done_at {
            Some(done) => (from, Some(until.unwrap_or(done).min(done))),
            None => (from, until),
        };
        let pauses: Vec<Pause> = self.pauses.iter().map(until_done).collect();
        promise.due_at = due(self.calendar, self.from, needed, &pauses);
        let Some(due_at) = promise.due_at else { return (promise, Tell::Nothing, None) };
        let broken = done_at.unwrap_or(now) > due_at || (done_at.is_none() && now == due_at);
        if promise.breached_at.is_none() && broken {
            promise.breached_at = Some(now);
            promise.nearing_at = promise.nearing_at.or(Some(now));
            return (promise, Tell::Breached, None);
        }
        if done_at.is_some() || promise.breached_at.is_some() {
            return (promise, Tell::Nothing, None);
        }
        let share = Millis(needed.0.saturating_mul(self.warn_at) / 100);
        match due(self.calendar, self.from, share, &pauses) {
            Some(near) if promise.nearing_at.is_none() && near <= now => {
                promise.nearing_at = Some(now);
                (promise, Tell::Nearing, Some(due_at))
            }
            Some(near) if promise.nearing_at.is_none() => (promise, Tell::Nothing, Some(near)),
            Some(_) | None => (promise, Tell::Nothing, Some(due_at)),
        }
    }
}

#[cfg(test)]
mod tests;
