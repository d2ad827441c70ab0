//! The status page as markup.

use jiff::tz::TimeZone;
use maud::{Markup, html};
use schedules::Time;

use super::{Line, Standing, Status};
use crate::domain::availability::{Parts, percent};
use crate::domain::verdict::{clock, long_span};
use crate::web::graphs::days::{self, Days};

/// The most announcements.
const MOST_WORK: usize = 20;

/// The whole page.
#[must_use]
pub fn page(status: &Status, zone: &TimeZone) -> Markup {
    let standing = status.standing();
    html! {
        div.status {
            h1 { "Status" }
            p.wrong[is_wrong(standing)].done[standing == Standing::Operational] role="status" { (mark(standing)) " " (standing.sentence()) }
            (troubles(status, zone))
            (work(status, zone))
            @for (n, line) in status.lines.iter().enumerate() { (line_of(line, n)) }
            p.quiet { "As of " (clock(status.at, None, zone)) ". Times are those of " (zone_name(zone)) "." }
        }
    }
}

fn is_wrong(standing: Standing) -> bool {
    match standing {
        Standing::Down | Standing::Disturbed => true,
        Standing::Operational | Standing::Maintenance | Standing::Unknown => false,
    }
}

/// A standing by shape and word; the colour is beside it.
fn mark(standing: Standing) -> Markup {
    let (class, shape) = match standing {
        Standing::Operational => ("good", "●"),
        Standing::Maintenance => ("calm", "❙❙"),
        Standing::Disturbed => ("warn", "▲"),
        Standing::Down => ("bad", "✕"),
        Standing::Unknown => ("dim", "?"),
    };
    html! { span.state.(class) { span aria-hidden="true" { (shape) " " } (standing.as_str()) } }
}

fn troubles(status: &Status, zone: &TimeZone) -> Markup {
    let lasting: Vec<(&Line, Time)> =
        status.lines.iter().filter_map(|line| line.out_since.map(|since| (line, since))).collect();
    html! {
        @if !lasting.is_empty() {
            h2 { "What is disturbed" }
            ul {
                @for (line, since) in lasting {
                    li {
                        strong { (line.name) } ": " (mark(line.standing)) " since " (clock(since, None, zone))
                        " (for " (long_span(status.at.since(since))) ")"
                    }
                }
            }
        }
    }
}

fn work(status: &Status, zone: &TimeZone) -> Markup {
    let mut all: Vec<(Time, Time, &str)> = status
        .lines
        .iter()
        .flat_map(|line| line.work.iter().map(|work| (work.from, work.until, line.name.as_str())))
        .collect();
    all.sort_unstable();
    html! {
        @if !all.is_empty() {
            h2 { "Planned work" }
            ul {
                @for (from, until, name) in all.iter().take(MOST_WORK) {
                    li {
                        strong { (name) } ": " (clock(*from, None, zone)) " to " (clock(*until, Some(*from), zone))
                        @if *from <= status.at { " – under way" }
                    }
                }
            }
            @if all.len() > MOST_WORK { p.quiet { "And " (all.len() - MOST_WORK) " more after that." } }
        }
    }
}

fn line_of(line: &Line, n: usize) -> Markup {
    let all = line.days.iter().fold(Parts::default(), |sum, day| sum.and(day.proven));
    let days = Days {
        id: format!("line-{n}"),
        title: format!("{}: the last {} days", line.name, line.days.len()),
        days: line.days.clone(),
    };
    html! {
        section {
            h2 { (line.name) " " (mark(line.standing)) }
            @if let Some(share) = all.availability() {
                p { "Available " (percent(share)) " % of the time that was measured in the last " (line.days.len()) " days." }
            }
            (days::draw(&days))
        }
    }
}

fn zone_name(zone: &TimeZone) -> String {
    zone.iana_name().map_or_else(|| "this server".to_owned(), str::to_owned)
}
