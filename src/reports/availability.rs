//! How much of a time devices were reachable: as seen, and as proven.

use std::collections::{BTreeMap, HashMap};

use exports::{Column, Table, Value};
use jiff::tz::TimeZone;

use crate::domain::availability::{Parts, Period, days, percent};
use crate::domain::history::{Interval, Proofs, Span, as_proven, clipped, merged, timeline, without};
use crate::domain::ids::SiteId;
use crate::domain::named;
use crate::domain::setting::Settings;
use crate::reports::time;
use crate::store::filter::{Page, Selection};
use crate::store::maintenance;
use crate::store::sites::{self, Site};
use crate::store::states::{self, Subject};
use crate::store::{Error, Result, Tx};

named! {
    /// What a line of the report is.
    pub enum By {
        /// A device.
        Device = "device",
        /// A site: all its devices together.
        Site = "site",
        /// A day at a site.
        Day = "day",
    }
}

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Asked {
    /// For which time, on the clocks of each site.
    pub period: Period,
    /// One site alone.
    pub site: Option<SiteId>,
    /// What a line is.
    pub by: By,
}

/// Where a device is: the name of its site, and for which time its report is.
struct Place {
    name: Option<String>,
    zone: TimeZone,
    interval: Interval,
}

/// What stands in a line: which site, then which device or day.
type Key = (Option<String>, String);

/// What was seen and what was proven, and of how many devices from when to when.
#[derive(Clone, Copy)]
struct Line {
    seen: Parts,
    proven: Parts,
    devices: i64,
    interval: Interval,
}

/// The availability of devices. A time that is not over is told up to now; a device that was added in it, from then on.
/// Devices without a site are on the clocks of UTC.
///
/// # Errors
/// A time is none, or lies in the future altogether; or the database's.
pub fn report(tx: &Tx, asked: &Asked, settings: &Settings) -> Result<Table> {
    let places = places(tx, asked)?;
    let began = places.values().filter(|place| place.interval.0 < place.interval.1);
    let all = began.map(|place| place.interval).reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)));
    let Some(all) = all else {
        return Err(Error::usage("this time has not begun, or ends before it begins"));
    };
    let mut lines: BTreeMap<Key, Line> = BTreeMap::new();
    let mut put = |key: Key, seen: Parts, proven: Parts, interval: Interval| {
        let empty = Line { seen: Parts::default(), proven: Parts::default(), devices: 0, interval };
        let line = lines.entry(key).or_insert(empty);
        line.seen = line.seen.and(seen);
        line.proven = line.proven.and(proven);
        line.devices += 1;
    };
    let unmeasured = states::unmeasured(tx, all.0, all.1)?;
    let proofs = states::all_proofs(tx, all)?;
    let (none, reach) = (Proofs::default(), states::reach(settings.span("check_in.every")));
    states::all_between(tx, asked.site, all, |subject, changes| {
        let Some(place) = places.get(&subject.site) else { return Ok(()) };
        let seen = timeline(&changes, subject.added_at, place.interval.0, place.interval.1);
        if seen.is_empty() {
            return Ok(());
        }
        let seen = without(seen, &unmeasured);
        let proven = as_proven(&seen, proofs.get(&subject.id).unwrap_or(&none), reach);
        let windows = windows(tx, &subject, [&seen, &proven], place.interval)?;
        let parts = |spans: &[Span]| Parts::of(spans, &windows);
        let site = place.name.clone();
        match asked.by {
            By::Device => put((site, subject.name), parts(&seen), parts(&proven), place.interval),
            By::Site => put((site, String::new()), parts(&seen), parts(&proven), place.interval),
            By::Day => {
                for (day, (from, to)) in days(place.interval, &place.zone) {
                    let (seen, proven) = (clipped(&seen, from, to), clipped(&proven, from, to));
                    if !seen.is_empty() {
                        put((site.clone(), day.to_string()), parts(&seen), parts(&proven), (from, to));
                    }
                }
            }
        }
        Ok(())
    })?;
    let mut table = Table::new("availability", columns(asked.by));
    lines.iter().for_each(|(key, line)| table.push(row(asked.by, key, line)));
    Ok(table)
}

/// The places that are asked for, each with its time; `None` is that of the devices without a site.
fn places(tx: &Tx, asked: &Asked) -> Result<HashMap<Option<SiteId>, Place>> {
    let place = |name: Option<String>, zone: TimeZone| {
        let (from, to) = asked.period.on(tx.now, &zone).map_err(|e| Error::usage(e.to_string()))?;
        Result::Ok(Place { name, zone, interval: (from, to.min(tx.now)) })
    };
    let mut all = HashMap::new();
    for Site { id, name, time_zone, .. } in sites::list(tx, &Selection::all(), &Page::default())? {
        if asked.site.is_none_or(|wanted| wanted == id) {
            let zone = TimeZone::get(&time_zone).map_err(|_| {
                Error::Other(format!("site '{name}': there is no time zone '{time_zone}' here"))
            })?;
            all.insert(Some(id), place(Some(name), zone)?);
        }
    }
    if asked.site.is_none() {
        all.insert(None, place(None, TimeZone::UTC)?);
    }
    Ok(all)
}

/// The maintenance of a device, where it matters.
fn windows(tx: &Tx, subject: &Subject, spans: [&[Span]; 2], interval: Interval) -> Result<Vec<Interval>> {
    let out = |span: &Span| span.state.is_out();
    if spans.iter().any(|spans| spans.iter().any(out)) {
        Ok(merged(maintenance::runs_between(tx, subject.id, interval.0, interval.1)?))
    } else {
        Ok(Vec::new())
    }
}

fn columns(by: By) -> Vec<Column> {
    let mut all = vec![Column::text("site", "SITE")];
    match by {
        By::Device => all.push(Column::text("device", "DEVICE")),
        By::Site => all.push(Column::int("devices", "DEVICES")),
        By::Day => all.extend([Column::text("day", "DAY"), Column::int("devices", "DEVICES")]),
    }
    all.extend([
        Column::text("availability", "AS SEEN %"),
        Column::text("availability_proven", "AS PROVEN %"),
        Column::span("up_ms", "UP"),
        Column::span("degraded_ms", "DEGRADED"),
        Column::span("down_ms", "DOWN"),
        Column::span("unreachable_ms", "UNREACHABLE"),
        Column::span("maintenance_ms", "MAINTENANCE"),
        Column::span("unknown_ms", "UNKNOWN"),
        Column::span("proven_unknown_ms", "STILL UNKNOWN"),
        Column::span("proven_up_ms", "PROVEN UP").hidden(),
        Column::span("proven_degraded_ms", "PROVEN DEGRADED").hidden(),
        Column::span("proven_down_ms", "PROVEN DOWN").hidden(),
        Column::span("proven_unreachable_ms", "PROVEN UNREACHABLE").hidden(),
        Column::span("proven_maintenance_ms", "PROVEN MAINTENANCE").hidden(),
        Column::time("from", "FROM").hidden(),
        Column::time("until", "UNTIL").hidden(),
    ]);
    all
}

fn row(by: By, (site, name): &Key, line: &Line) -> Vec<Value> {
    let mut row = vec![site.clone().into()];
    match by {
        By::Device => row.push(name.as_str().into()),
        By::Site => row.push(line.devices.into()),
        By::Day => row.extend([name.as_str().into(), line.devices.into()]),
    }
    let Line { seen, proven, interval, .. } = line;
    row.extend([
        seen.availability().map(percent).into(),
        proven.availability().map(percent).into(),
        Value::Span(seen.up.0),
        Value::Span(seen.degraded.0),
        Value::Span(seen.down.0),
        Value::Span(seen.unreachable.0),
        Value::Span(seen.maintenance.0),
        Value::Span(seen.unknown.0),
        Value::Span(proven.unknown.0),
        Value::Span(proven.up.0),
        Value::Span(proven.degraded.0),
        Value::Span(proven.down.0),
        Value::Span(proven.unreachable.0),
        Value::Span(proven.maintenance.0),
        time(interval.0),
        time(interval.1),
    ]);
    row
}
