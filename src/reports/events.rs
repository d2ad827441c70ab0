//! The event log, as lists and exports show it.

use exports::{Column, Table, Value};

use crate::domain::ids::EventId;
use crate::reports::{json, maybe_text, time};
use crate::store::events::{self, Event};
use crate::store::filter::{Page, Selection};
use crate::store::{Result, Tx};

/// The events that are asked for, oldest first.
///
/// # Errors
/// The database's.
pub fn list(tx: &Tx, wanted: &Selection, page: &Page) -> Result<Table> {
    let mut table = Table::new("events", columns());
    events::each(tx, wanted, page, |event| {
        table.push(row(&event));
        Ok(())
    })?;
    Ok(table)
}

/// The events after one, oldest first, at most `limit` of them.
///
/// # Errors
/// The database's.
pub fn after(tx: &Tx, after: EventId, wanted: &Selection, limit: u32) -> Result<Table> {
    let mut table = Table::new("events", columns());
    for event in events::after(tx, after, wanted, limit)? {
        table.push(row(&event));
    }
    Ok(table)
}

/// The columns of an event.
#[must_use]
pub fn columns() -> Vec<Column> {
    vec![
        Column::int("id", "ID"),
        Column::time("at", "AT"),
        Column::text("kind", "WHAT"),
        Column::text("device", "DEVICE"),
        Column::text("site", "SITE").hidden(),
        Column::int("ticket", "TICKET"),
        Column::text("actor", "BY"),
        Column::object("body", "MORE"),
    ]
}

/// One event as a row. A device or a site that is gone shows as its number, `#7`.
#[must_use]
pub fn row(event: &Event) -> Vec<Value> {
    let named = |id: i64, name: Option<&str>| name.map_or_else(|| format!("#{id}"), str::to_owned);
    let device = event.device.as_ref().map(|(id, name)| named(id.0, name.as_deref()));
    let site = event.site.as_ref().map(|(id, name)| named(id.0, name.as_deref()));
    vec![
        Value::Int(event.id.0),
        time(event.at),
        Value::Text(event.kind.clone()),
        maybe_text(device.as_deref()),
        maybe_text(site.as_deref()),
        event.ticket.map_or(Value::Null, |t| Value::Int(t.0)),
        Value::Text(event.actor.clone()),
        json(&event.body),
    ]
}
