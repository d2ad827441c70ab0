//! Checks, as lists and records show them.

use agent::report::Probe;
use exports::{Column, Table, Value};
use schedules::Millis;

use crate::domain::check::Status;
use crate::reports::{maybe_text, maybe_time, time};
use crate::store::checks::{self, Check};
use crate::store::filter::{Page, Selection};
use crate::store::{Result, Tx};

/// The checks that are asked for.
///
/// # Errors
/// The database's.
pub fn list(tx: &Tx, wanted: &Selection, page: &Page) -> Result<Table> {
    let mut table = Table::new("checks", columns());
    for check in checks::list(tx, wanted, page)? {
        table.push(row(&check));
    }
    Ok(table)
}

/// One check.
#[must_use]
pub fn record(check: &Check) -> Table {
    let mut table = Table::new("checks", columns());
    table.push(row(check));
    table
}

/// What a check does, in a few words; without a target of its own it goes to the device's address.
#[must_use]
pub fn target(check: &Check) -> String {
    let own = check.address.as_deref().unwrap_or_default();
    let or_own = |target: &str| if target.is_empty() { own.to_owned() } else { target.to_owned() };
    match &check.probe {
        Some(Probe::Icmp { target, .. }) => or_own(target),
        Some(Probe::Tcp { target, port }) => match or_own(target) {
            v6 if v6.contains(':') => format!("[{v6}]:{port}"),
            other => format!("{other}:{port}"),
        },
        Some(Probe::Http { url, .. }) => url.clone(),
        None => String::new(),
    }
}

fn columns() -> Vec<Column> {
    vec![
        Column::int("id", "ID"),
        Column::text("device", "DEVICE"),
        Column::text("kind", "KIND"),
        Column::text("target", "TARGET"),
        Column::state("status", "STATUS"),
        Column::time("since", "SINCE"),
        Column::time("last_at", "LAST"),
        Column::int("rtt_us", "RTT µs"),
        Column::int("loss_permille", "LOSS ‰"),
        Column::text("cadence", "EVERY"),
        Column::span("timeout_ms", "TIMEOUT").hidden(),
        Column::text("from", "FROM").hidden(),
        Column::text("message", "SAYS"),
        Column::text("ping_key", "PING KEY").hidden(),
        Column::time("created_at", "ADDED").hidden(),
    ]
}

fn row(check: &Check) -> Vec<Value> {
    let small = |n: Option<u32>| n.map_or(Value::Null, |n| Value::Int(i64::from(n)));
    vec![
        Value::Int(check.id.0),
        Value::Text(check.device.1.clone()),
        Value::Text(check.kind.to_string()),
        Value::Text(target(check)),
        Value::Text(check.health.map_or(Status::Unknown, |h| h.status).to_string()),
        maybe_time(check.health.map(|h| h.since)),
        maybe_time(check.health.map(|h| h.last_at)),
        small(check.rtt_us),
        small(check.loss_permille),
        maybe_text(check.cadence.as_deref()),
        check.timeout.map_or(Value::Null, |Millis(ms)| Value::Span(ms)),
        maybe_text(check.from.as_ref().map(|f| f.1.as_str())),
        Value::Text(check.message.clone()),
        maybe_text(check.ping_key.as_deref()),
        time(check.created_at),
    ]
}
