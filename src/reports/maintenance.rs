//! Maintenance windows, as lists and records show them.

use exports::{Column, Table, Value};
use schedules::Time;

use crate::domain::maintenance::{Ends, Recurring};
use crate::reports::{maybe_text, maybe_time, time};
use crate::store::filter::{Page, Selection};
use crate::store::maintenance::{self, Run, Subject, Window};
use crate::store::{Result, Tx};

/// How many occurrences to come a record shows.
const TO_COME: usize = 5;
/// How many occurrences that began a record shows.
const PAST: u32 = 50;

/// The windows that are asked for.
///
/// # Errors
/// The database's.
pub fn list(tx: &Tx, wanted: &Selection, page: &Page) -> Result<Table> {
    let mut table = Table::new("maintenance windows", columns());
    for window in maintenance::list(tx, wanted, page)? {
        table.push(row(&window));
    }
    Ok(table)
}

/// One window, as a line of the list.
#[must_use]
pub fn line(window: &Window) -> Table {
    let mut table = Table::new("maintenance windows", columns());
    table.push(row(window));
    table
}

/// One window, with its next occurrences and those that began.
///
/// # Errors
/// The database's.
pub fn record(tx: &Tx, window: &Window) -> Result<Table> {
    let mut all = columns();
    all.extend([Column::list("next", "NEXT").hidden(), Column::list("runs", "RUNS").hidden()]);
    let mut values = row(window);
    let next = to_come(window).into_iter();
    values.push(next.map(|(from, until)| interval(from, until)).collect::<Vec<Value>>().into());
    let runs = maintenance::runs(tx, window.id, PAST)?;
    values.push(runs.iter().map(run).collect::<Vec<Value>>().into());
    let mut table = Table::new("maintenance windows", all);
    table.push(values);
    Ok(table)
}

fn to_come(window: &Window) -> Vec<(Time, Time)> {
    let mut all: Vec<(Time, Time)> = window.next.into_iter().collect();
    while let (Some(recurring), Some(last)) = (&window.recurring, all.last())
        && all.len() < TO_COME
        && let Some(next) = recurring.next(last.0)
    {
        all.push(next);
    }
    all
}

fn interval(from: Time, until: Time) -> Value {
    Value::Object(vec![("from", time(from)), ("until", time(until))])
}

fn run(run: &Run) -> Value {
    Value::Object(vec![
        ("began_at", time(run.began_at)),
        ("until", time(run.until_at)),
        ("ended_at", maybe_time(run.ended_at)),
        ("devices_down", Value::Int(run.devices)),
        ("overrun_ms", Value::Span(run.overrun.0)),
    ])
}

fn columns() -> Vec<Column> {
    vec![
        Column::int("id", "ID"),
        Column::state("state", "STATE"),
        Column::text("covers", "COVERS"),
        Column::text("when", "WHEN"),
        Column::time("active_until", "ACTIVE UNTIL"),
        Column::time("next_at", "NEXT START"),
        Column::time("next_until", "NEXT END"),
        Column::text("time_zone", "TIME ZONE"),
        Column::text("note", "NOTE"),
        Column::text("device", "DEVICE").hidden(),
        Column::text("site", "SITE").hidden(),
        Column::text("tag", "TAG").hidden(),
        Column::text("cron", "CRON").hidden(),
        Column::time("active_since", "ACTIVE SINCE").hidden(),
        Column::text("created_by", "ADDED BY").hidden(),
        Column::time("created_at", "ADDED").hidden(),
        Column::time("removed_at", "REMOVED").hidden(),
    ]
}

fn row(window: &Window) -> Vec<Value> {
    let (device, site, tag) = match &window.subject {
        Subject::Device(_, name) => (Some(name), None, None),
        Subject::Site(_, name) => (None, Some(name), None),
        Subject::Tag(tag) => (None, None, Some(tag)),
    };
    let named = |name: Option<&String>| maybe_text(name.map(String::as_str));
    vec![
        Value::Int(window.id),
        Value::Text(window.standing.to_string()),
        Value::Text(window.subject.to_string()),
        Value::Text(window.recurring.as_ref().map_or_else(|| "once".to_owned(), when)),
        maybe_time(window.running.map(|running| running.1)),
        maybe_time(window.next.map(|next| next.0)),
        maybe_time(window.next.map(|next| next.1)),
        Value::Text(window.time_zone.clone()),
        Value::Text(window.note.clone()),
        named(device),
        named(site),
        named(tag),
        window.recurring.as_ref().map_or(Value::Null, |recurring| Value::Text(recurring.cron.to_string())),
        maybe_time(window.running.map(|running| running.0)),
        Value::Text(window.created_by.clone()),
        time(window.created_at),
        maybe_time(window.removed_at),
    ]
}

/// When a window comes, as people write it: `mon,thu 02:00-04:00`, `0 2 * * 1 for 2h`.
fn when(recurring: &Recurring) -> String {
    let cron = recurring.cron.to_string();
    let fields: Vec<&str> = cron.split_whitespace().collect();
    let days = match fields[..] {
        [minute, hour, day, "*", weekday, ..]
            if [minute, hour].iter().all(|part| part.bytes().all(|b| b.is_ascii_digit())) =>
        {
            match (day, weekday) {
                ("*", "*") => Some("daily".to_owned()),
                ("*", days) if days.starts_with(|c: char| c.is_ascii_alphabetic()) => {
                    Some(days.to_lowercase())
                }
                (days, "*") => Some(format!("monthly {}", days.replace('L', "last"))),
                (_, _) => None,
            }
            .map(|days| format!("{days} {hour:0>2}:{minute:0>2}"))
        }
        _ => None,
    };
    let start = days.unwrap_or_else(|| {
        cron.trim_end_matches(recurring.zone.iana_name().unwrap_or("-")).trim().to_owned()
    });
    match recurring.ends {
        Ends::After(span) => format!("{start} for {span}"),
        Ends::At(_, to) => format!("{start}-{to}"),
    }
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;
    use schedules::Millis;

    use super::*;

    #[test]
    fn a_window_reads_as_it_was_written() {
        let two_hours = Ends::After(Millis::from_secs(7_200));
        let to_four = Ends::At("02:00".parse().unwrap(), "04:00".parse().unwrap());
        for (cron, ends, shown) in [
            ("0 2 * * MON,THU Europe/Berlin", two_hours, "mon,thu 02:00 for 2h"),
            ("0 2 * * * Europe/Berlin", to_four, "daily 02:00-04:00"),
            ("30 2 1,15 * * Europe/Berlin", two_hours, "monthly 1,15 02:30 for 2h"),
            ("30 2 L * * Europe/Berlin", two_hours, "monthly last 02:30 for 2h"),
            ("0 2 * * 1 Europe/Berlin", two_hours, "0 2 * * 1 for 2h"),
            ("@weekly Europe/Berlin", two_hours, "@weekly for 2h"),
            ("*/30 2 * * * Europe/Berlin", two_hours, "*/30 2 * * * for 2h"),
        ] {
            let zone = TimeZone::get("Europe/Berlin").unwrap();
            let recurring = Recurring { cron: cron.parse().unwrap(), ends, zone };
            assert_eq!(when(&recurring), shown);
        }
    }
}
