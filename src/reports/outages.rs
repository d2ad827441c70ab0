//! Outages, as lists and records show them.

use exports::{Column, Table, Value};

use crate::domain::outage::duration;
use crate::reports::{maybe_time, time};
use crate::store::filter::{Page, Selection};
use crate::store::outages::{self, Outage};
use crate::store::{Result, Tx};

/// The outages that are asked for.
///
/// # Errors
/// The database's.
pub fn list(tx: &Tx, wanted: &Selection, page: &Page) -> Result<Table> {
    let mut table = Table::new("outages", columns());
    for outage in outages::list(tx, wanted, page)? {
        table.push(row(tx, &outage));
    }
    Ok(table)
}

/// One outage.
#[must_use]
pub fn record(tx: &Tx, outage: &Outage) -> Table {
    let mut table = Table::new("outages", columns());
    table.push(row(tx, outage));
    table
}

fn columns() -> Vec<Column> {
    vec![
        Column::int("id", "ID"),
        Column::text("device", "DEVICE"),
        Column::time("started_at", "STARTED"),
        Column::time("ended_at", "ENDED"),
        Column::span("duration_ms", "LASTED"),
        Column::text("reason", "WHY"),
        Column::text("source", "TOLD BY"),
        Column::int("ticket", "TICKET"),
        Column::int("tries", "TRIES").hidden(),
        Column::object("verdict", "VERDICT").hidden(),
    ]
}

fn row(tx: &Tx, outage: &Outage) -> Vec<Value> {
    vec![
        Value::Int(outage.id.0),
        Value::Text(outage.device.1.clone()),
        time(outage.started_at),
        maybe_time(outage.ended_at),
        Value::Span(duration(outage.started_at, outage.ended_at, tx.now).0),
        Value::Text(outage.reason.clone()),
        Value::Text(outage.source.to_string()),
        outage.ticket.map_or(Value::Null, |t| Value::Int(t.0)),
        outage.tries.map_or(Value::Null, Value::Int),
        Value::Null,
    ]
}
