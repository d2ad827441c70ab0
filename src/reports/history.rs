//! What a device was, and what its checks measured, from when to when.

use exports::{Column, Table, Value};
use jiff::tz::TimeZone;
use schedules::{Millis, Time};

use crate::domain::availability::day_in_hours;
use crate::domain::history::{Interval, Span, as_proven, clipped, timeline, without};
use crate::domain::rollup::{Every, Extent, Level, Rollup};
use crate::domain::setting::Settings;
use crate::reports::time;
use crate::store::checks::Check;
use crate::store::devices::Device;
use crate::store::{Error, Result, Tx, history, states};

/// The most lines of readings that are told at once.
const MOST: usize = 100_000;

/// What a device was: the oldest first, of more than `limit` the newest. Each line is a time in which it was the same, as
/// seen and as proven.
///
/// # Errors
/// The database's.
pub fn states(
    tx: &Tx,
    device: &Device,
    (from, to): Interval,
    settings: &Settings,
    limit: Option<u32>,
) -> Result<Table> {
    let changes = states::between(tx, device.id, from, to)?;
    let seen = timeline(&changes, device.created_at, from, to);
    let seen = without(seen, &states::unmeasured(tx, from, to)?);
    let reach = states::reach(settings.span("check_in.every"));
    let proven = as_proven(&seen, &states::proofs(tx, device.id, (from, to))?, reach);
    let mut table = Table::new(
        "history",
        vec![
            Column::time("from", "FROM"),
            Column::time("until", "UNTIL"),
            Column::span("lasted_ms", "LASTED"),
            Column::state("state", "STATE"),
            Column::state("proven", "AS PROVEN"),
            Column::text("reason", "WHY"),
        ],
    );
    for span in &seen {
        for known in clipped(&proven, span.from, span.to) {
            table.push(state(span, &known));
        }
    }
    newest(&mut table, limit);
    Ok(table)
}

fn state(seen: &Span, proven: &Span) -> Vec<Value> {
    vec![
        time(proven.from),
        time(proven.to),
        Value::Span(proven.to.since(proven.from).0),
        seen.state.as_str().into(),
        proven.state.as_str().into(),
        if proven.state == seen.state { seen.reason.as_str() } else { proven.reason.as_str() }.into(),
    ]
}

/// What checks measured, the oldest first, of more than `limit` lines the newest. Where readings are no longer kept as
/// finely as they are wanted, as finely as they are. Days are those of `zone`, made of full hours of UTC; where hours are no
/// longer kept, they are those of UTC.
///
/// # Errors
/// There are too many, or the database's.
pub fn readings(
    tx: &Tx,
    checks: &[Check],
    interval: Interval,
    every: Every,
    (settings, zone): (&Settings, &TimeZone),
    limit: Option<u32>,
) -> Result<Table> {
    let kept = settings.kept(tx.now);
    let mut rows: Vec<(Time, Vec<Value>)> = Vec::new();
    for check in checks {
        for (level, part) in every.parts(interval, &kept) {
            match level {
                None => rows.extend(
                    history::samples(tx, check.id, part)?
                        .iter()
                        .map(|sample| (sample.at, row(check, &Rollup::of(sample.at, sample), None))),
                ),
                Some(Level::Day) => days(tx, check, part, (kept.hours, zone), &mut rows)?,
                Some(level) => {
                    let all = history::rollups(tx, level, check.id, part)?;
                    rows.extend(all.iter().map(|one| (one.at, row(check, one, Some(level.span())))));
                }
            }
        }
        if rows.len() > MOST {
            return Err(Error::refused(format!(
                "there are more than {MOST} readings: ask for a shorter time, one check, or --every hour"
            )));
        }
    }
    rows.sort_by_key(|(at, _)| *at);
    let mut table = Table::new("readings", columns());
    rows.into_iter().for_each(|(_, row)| table.push(row));
    newest(&mut table, limit);
    Ok(table)
}

/// The days of a part: made of hours where those are kept.
fn days(
    tx: &Tx,
    check: &Check,
    (from, to): Interval,
    (hours_kept, zone): (Time, &TimeZone),
    rows: &mut Vec<(Time, Vec<Value>)>,
) -> Result<()> {
    let day = Level::Day.span();
    let bound = crate::domain::rollup::ceil(hours_kept, day);
    if from < bound {
        let whole = history::rollups(tx, Level::Day, check.id, (from, to.min(bound)))?;
        rows.extend(whole.iter().map(|one| (one.at, row(check, one, Some(day)))));
    }
    let from = if from < bound { bound } else { day_in_hours(from, zone).0.max(bound) };
    if from < to {
        let hours = history::rollups(tx, Level::Hour, check.id, (from, to))?;
        let days = hours.by(|hour| day_in_hours(hour, zone).0.max(from));
        rows.extend(days.iter().map(|one| {
            let long = day_in_hours(one.at, zone).1.since(one.at);
            (one.at, row(check, one, Some(long)))
        }));
    }
    Ok(())
}

fn columns() -> Vec<Column> {
    vec![
        Column::time("at", "AT"),
        Column::span("lasts_ms", "FOR"),
        Column::int("check", "CHECK"),
        Column::text("kind", "KIND"),
        Column::int("ok", "OK"),
        Column::int("warn", "WARN").hidden(),
        Column::int("fail", "FAIL"),
        Column::int("unknown", "UNKNOWN").hidden(),
        Column::int("loss_permille", "LOSS ‰"),
        Column::int("rtt_min_us", "RTT MIN µs"),
        Column::int("rtt_avg_us", "AVG"),
        Column::int("rtt_max_us", "MAX"),
        Column::int("cpu_avg_permille", "CPU ‰"),
        Column::int("cpu_max_permille", "CPU MAX ‰").hidden(),
        Column::int("memory_avg_permille", "MEMORY ‰"),
        Column::int("memory_max_permille", "MEMORY MAX ‰").hidden(),
        Column::int("disk_avg_permille", "DISK ‰"),
        Column::int("disk_max_permille", "DISK MAX ‰").hidden(),
    ]
}

fn row(check: &Check, one: &Rollup, long: Option<Millis>) -> Vec<Value> {
    let [rtt, loss, cpu, memory, disk] = one.values;
    let average = |extent: Option<Extent>| Value::from(extent.map(Extent::average));
    let most = |extent: Option<Extent>| Value::from(extent.map(|extent| extent.max));
    vec![
        time(one.at),
        long.map_or(Value::Null, |long| Value::Span(long.0)),
        check.id.0.into(),
        check.kind.as_str().into(),
        one.ok.into(),
        one.warn.into(),
        one.fail.into(),
        one.unknown.into(),
        average(loss),
        rtt.map(|rtt| rtt.min).into(),
        average(rtt),
        most(rtt),
        average(cpu),
        most(cpu),
        average(memory),
        most(memory),
        average(disk),
        most(disk),
    ]
}

/// Leaves the newest lines.
fn newest(table: &mut Table, limit: Option<u32>) {
    let most = limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX);
    let over = table.rows.len().saturating_sub(most);
    table.rows.drain(..over);
}
