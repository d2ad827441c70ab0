//! Availability by the day: of each day, how much of it a device was what.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use maud::{Markup, html};
use schedules::Millis;

use super::frame::{Figure, LEFT, Look, RIGHT, area, legend, numbers, patterns, px};
use crate::domain::availability::{Parts, days as whole_days, percent};
use crate::domain::history::{Interval, Span, clipped};
use crate::domain::verdict::long_span;

/// What a day was, or a month.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Day {
    /// What stands below it: a day, or a month.
    pub name: String,
    /// As it was seen.
    pub seen: Parts,
    /// As it was proven.
    pub proven: Parts,
}

/// What is drawn of a device, or of a site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Days {
    /// A word that names it on the page.
    pub id: String,
    /// What it is, in words.
    pub title: String,
    /// The days, in order. One in which there was no device has no parts.
    pub days: Vec<Day>,
}

/// The most days that are drawn each by itself; more are taken together by the month.
const MOST: usize = 120;

/// The days of an interval on the clocks of `zone`, each with its name; where there are very many, those of a month have
/// one name together.
#[must_use]
pub fn frame(interval: Interval, zone: &TimeZone) -> Vec<(String, Interval)> {
    let all = whole_days(interval, zone);
    let by_month = all.len() > MOST;
    let name = |day: Date| if by_month { day.strftime("%Y-%m").to_string() } else { day.to_string() };
    all.into_iter().map(|(day, interval)| (name(day), interval)).collect()
}

/// What a device was in each part of a [`frame`], those of one name taken together.
#[must_use]
pub fn by_day(
    frame: &[(String, Interval)],
    (seen, proven): (&[Span], &[Span]),
    maintenance: &[Interval],
) -> Vec<Day> {
    let mut days: Vec<Day> = Vec::new();
    for (name, (from, to)) in frame {
        let seen = Parts::of(&clipped(seen, *from, *to), maintenance);
        let proven = Parts::of(&clipped(proven, *from, *to), maintenance);
        match days.last_mut() {
            Some(last) if last.name == *name => {
                last.seen = last.seen.and(seen);
                last.proven = last.proven.and(proven);
            }
            Some(_) | None => days.push(Day { name: name.clone(), seen, proven }),
        }
    }
    days
}

const TOP: f64 = 16.0;
const BOTTOM: f64 = 120.0;
const HEIGHT: f64 = 146.0;
/// A part that is there is at least so high.
const LEAST: f64 = 6.0;

/// The parts of a day with their looks, the good ones first.
fn parts(parts: &Parts) -> [(Look, Millis); 6] {
    [
        (Look::Up, parts.up),
        (Look::Degraded, parts.degraded),
        (Look::Maintenance, parts.maintenance),
        (Look::Unknown, parts.unknown),
        (Look::Unreachable, parts.unreachable),
        (Look::Down, parts.down),
    ]
}

/// How high each part of a day is drawn: by its share, but none so low that it is not seen.
fn heights(day: &Parts) -> Vec<(Look, f64)> {
    let total = day.total().0 as f64;
    let there: Vec<(Look, Millis)> = parts(day).into_iter().filter(|(_, long)| long.0 > 0).collect();
    let raised = |long: Millis| (long.0 as f64 / total * (BOTTOM - TOP)).max(LEAST);
    let sum: f64 = there.iter().map(|(_, long)| raised(*long)).sum();
    let over = sum - (BOTTOM - TOP);
    let longest = there.iter().map(|(_, long)| long.0).max().unwrap_or(0);
    // What the short ones were raised by, the longest one gives.
    let mut given = false;
    let one = |(look, long): (Look, Millis)| {
        let gives = !given && long.0 == longest;
        given |= gives;
        (look, if gives { raised(long) - over } else { raised(long) })
    };
    there.into_iter().map(one).collect()
}

/// Draws it.
#[must_use]
pub fn draw(days: &Days) -> Markup {
    let figure =
        Figure { id: days.id.clone(), title: days.title.clone(), says: says(&days.days), height: HEIGHT };
    let wide = (RIGHT - LEFT) / days.days.len().max(1) as f64;
    let apart = if wide > 6.0 { 1.5 } else { 0.3 };
    let every = days.days.len().div_ceil(7).max(1);
    let drawn = html! {
        (patterns(&days.id))
        @for (share, text) in [(0.0, "0 %"), (0.5, "50 %"), (1.0, "100 %")] {
            @let y = BOTTOM - share * (BOTTOM - TOP);
            line.axis x1=(px(LEFT)) x2=(px(RIGHT)) y1=(px(y)) y2=(px(y)) {}
            text x=(px(LEFT - 8.0)) y=(px(y + 4.0)) text-anchor="end" { (text) }
        }
        @for (n, day) in days.days.iter().enumerate() {
            @let x = LEFT + n as f64 * wide;
            (bar(&days.id, day, (x + apart / 2.0, wide - apart)))
            @if n % every == every / 2 {
                text x=(px(x + wide / 2.0)) y=(px(BOTTOM + 18.0)) text-anchor="middle" { (short(&day.name)) }
            }
        }
    };
    let is_there = |look: &&Look| {
        days.days.iter().any(|day| parts(&day.seen).iter().any(|(l, ms)| l == *look && ms.0 > 0))
    };
    let looks: Vec<Look> = Look::ALL.iter().filter(is_there).copied().collect();
    figure.around(&drawn, &html! { (legend(&days.id, &looks)) (table(days)) })
}

fn bar(id: &str, day: &Day, (x, wide): (f64, f64)) -> Markup {
    let mut y = BOTTOM;
    let mut areas = Vec::new();
    let told = format!("{}: {}", day.name, told(&day.seen));
    for (look, high) in heights(&day.seen) {
        y -= high;
        areas.push(area(id, look, (x, y), (wide, high), &told));
    }
    html! { @for area in areas { (area) } }
}

/// A day as it stands below its bar.
fn short(name: &str) -> String {
    match name.parse::<Date>() {
        Ok(day) => day.strftime("%-d %b").to_string(),
        Err(_) => name.to_owned(),
    }
}

fn told(day: &Parts) -> String {
    if day.total() == Millis::ZERO {
        return "not there yet".to_owned();
    }
    let there = parts(day).into_iter().filter(|(_, long)| long.0 > 0);
    let there: Vec<String> = there.map(|(look, long)| format!("{look} {}", long_span(long))).collect();
    there.join(", ")
}

fn says(days: &[Day]) -> String {
    let all = days.iter().fold(Parts::default(), |sum, day| sum.and(day.seen));
    let available = match all.availability() {
        Some(share) => format!("available {} % of the time that counts", percent(share)),
        None => "nothing was measured that counts".to_owned(),
    };
    let down = days.iter().filter(|day| day.seen.down.0 > 0).count();
    let unit = if days.iter().any(|day| day.name.len() == "2026-11".len()) { "months" } else { "days" };
    format!("It was down on {down} of {} {unit}; {available}.", days.len())
}

fn table(days: &Days) -> Markup {
    let share = |parts: &Parts| match parts.availability() {
        Some(share) => html! { (percent(share)) " %" },
        None => html! { span.none aria-label="none" { "–" } },
    };
    let span = |long: Millis| match long.0 {
        0 => html! { span.none aria-label="none" { "–" } },
        _ => html! { (long_span(long)) },
    };
    let row = |day: &Day| {
        let mut row = vec![html! { (day.name) }, share(&day.seen), share(&day.proven)];
        row.extend(parts(&day.seen).map(|(_, long)| span(long)));
        row
    };
    let heads: Vec<&str> = ["Day", "As seen", "As proven"]
        .into_iter()
        .chain(parts(&Parts::default()).map(|(look, _)| look.as_str()))
        .collect();
    numbers(&days.title, &heads, days.days.iter().map(row).collect())
}

#[cfg(test)]
mod tests {
    use schedules::Time;

    use super::*;
    use crate::domain::device::State;
    use crate::domain::history::{Change, timeline};

    const DAY: i64 = 86_400_000;

    fn days(many: i64, changes: &[(i64, State)]) -> Vec<Day> {
        let change =
            |&(since, state): &(i64, State)| Change { since: Time(since), state, reason: String::new() };
        let changes: Vec<Change> = changes.iter().map(change).collect();
        let interval = (Time(0), Time(many * DAY));
        let spans = timeline(&changes, Time(DAY), interval.0, interval.1);
        by_day(&frame(interval, &TimeZone::UTC), (&spans, &spans), &[])
    }

    #[test]
    fn a_short_outage_is_seen_and_the_bar_is_as_high_as_all_others() {
        let all = days(4, &[(DAY, State::Up), (2 * DAY, State::Down), (2 * DAY + 60_000, State::Up)]);
        assert_eq!(heights(&all[0].seen), [], "it was not there yet");
        let high = heights(&all[2].seen);
        assert_eq!(high.iter().map(|(look, _)| *look).collect::<Vec<_>>(), [Look::Up, Look::Down]);
        assert!((high[1].1 - LEAST).abs() < 1e-9, "{high:?}");
        let sum: f64 = high.iter().map(|(_, high)| high).sum();
        assert!((sum - (BOTTOM - TOP)).abs() < 1e-9, "{high:?}");
    }

    #[test]
    fn a_day_is_told_by_shape_and_word_and_number() {
        let all = days(3, &[(DAY, State::Up), (2 * DAY, State::Down), (2 * DAY + DAY / 2, State::Unknown)]);
        let text = draw(&Days { id: "d".into(), title: "ap".into(), days: all }).into_string();
        for part in [
            "fill=\"url(#d-down)\"",
            "id=\"d-down\"",
            "1970-01-03: unknown 12 h, down 12 h",
            "1970-01-01",
            "<td>0.000 %</td>",
            " down</li>",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(!text.contains("style=") && !text.contains("NaN"), "{text}");
    }

    #[test]
    fn a_year_is_told_by_the_month() {
        let all = days(365, &[(DAY, State::Up)]);
        assert_eq!((all.len(), all[0].name.as_str(), all[11].name.as_str()), (12, "1970-01", "1970-12"));
        let sum = all.iter().fold(Parts::default(), |sum, day| sum.and(day.seen));
        assert_eq!(sum.up, Millis(364 * DAY));
        assert_eq!(days(90, &[]).len(), 90);
        assert_eq!(
            draw(&Days { id: "d".into(), title: String::new(), days: Vec::new() })
                .into_string()
                .matches("NaN")
                .count(),
            0
        );
    }
}
