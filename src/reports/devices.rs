//! Devices, as lists and records show them.

use exports::{Column, Table, Value};

use crate::reports::{maybe_text, maybe_time, texts, time};
use crate::store::devices::{self, Device};
use crate::store::filter::{Page, Selection};
use crate::store::{Result, Tx};

/// The devices that are asked for.
///
/// # Errors
/// The database's.
pub fn list(tx: &Tx, wanted: &Selection, page: &Page) -> Result<Table> {
    let mut table = Table::new("devices", columns());
    for device in devices::list(tx, wanted, page)? {
        table.push(row(&device));
    }
    Ok(table)
}

/// One device.
#[must_use]
pub fn record(device: &Device) -> Table {
    let mut table = Table::new("devices", columns());
    table.push(row(device));
    table
}

fn columns() -> Vec<Column> {
    vec![
        Column::int("id", "ID"),
        Column::text("name", "NAME"),
        Column::state("state", "STATE").moving(),
        Column::time("since", "SINCE").moving(),
        Column::text("site", "SITE"),
        Column::text("address", "ADDRESS"),
        Column::text("dns_name", "DNS NAME").hidden(),
        Column::list("marks", "MARKS").moving(),
        Column::text("importance", "IMPORTANCE").hidden(),
        Column::list("parents", "PARENTS"),
        Column::list("tags", "TAGS").hidden(),
        Column::time("last_check_in_at", "LAST CHECK-IN").moving(),
        Column::text("reason", "WHY").moving(),
        Column::text("address_from", "ADDRESS FROM").hidden(),
        Column::text("note", "NOTE").hidden(),
        Column::time("created_at", "ADDED").hidden(),
    ]
}

fn row(device: &Device) -> Vec<Value> {
    let marks = device.marks.iter().map(|mark| Value::Text(mark.to_string())).collect();
    vec![
        Value::Int(device.id.0),
        Value::Text(device.name.clone()),
        Value::Text(device.state.to_string()),
        time(device.since),
        maybe_text(device.site.as_ref().map(|s| s.1.as_str())),
        maybe_text(device.address.as_deref()),
        maybe_text(device.dns_name.as_deref()),
        Value::List(marks),
        Value::Text(device.importance.to_string()),
        texts(&device.parents),
        texts(&device.tags),
        maybe_time(device.last_check_in_at),
        Value::Text(device.reason.clone()),
        Value::Text(device.address_from.to_string()),
        Value::Text(device.note.clone()),
        time(device.created_at),
    ]
}
