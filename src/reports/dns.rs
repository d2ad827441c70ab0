//! Devices' names at the name server, as lists show them.

use exports::{Column, Table, Value};

use crate::reports::{maybe_text, maybe_time, time};
use crate::store::dns::{self, Record};
use crate::store::filter::{Page, Selection};
use crate::store::{Result, Tx};

/// The names that are asked for.
///
/// # Errors
/// The database's.
pub fn list(tx: &Tx, wanted: &Selection, page: &Page) -> Result<Table> {
    let mut table = empty();
    for record in dns::list(tx, wanted, page)? {
        table.push(row(&record));
    }
    Ok(table)
}

/// One name.
#[must_use]
pub fn record(record: &Record) -> Table {
    let mut table = empty();
    table.push(row(record));
    table
}

fn empty() -> Table {
    let columns = vec![
        Column::text("name", "NAME"),
        Column::text("device", "DEVICE"),
        Column::text("address", "ADDRESS"),
        Column::text("put", "THERE"),
        Column::state("state", "STATE"),
        Column::time("since", "SINCE"),
        Column::time("next_at", "NEXT TRY"),
        Column::int("tries", "TRIES").hidden(),
        Column::text("server", "SERVER").hidden(),
        Column::text("why", "WHY"),
    ];
    Table::new("names", columns)
}

fn row(record: &Record) -> Vec<Value> {
    let address = |address: Option<std::net::IpAddr>| address.map(|address| address.to_string());
    let device = record.device.as_ref().and_then(|(_, name)| name.as_deref());
    vec![
        Value::Text(record.name.clone()),
        maybe_text(device),
        maybe_text(address(record.wanted).as_deref()),
        maybe_text(address(record.put).as_deref()),
        Value::Text(record.state.to_string()),
        time(record.since),
        maybe_time(record.next_at),
        Value::Int(i64::from(record.tries)),
        Value::Text(record.server.clone()),
        Value::Text(record.said.clone()),
    ]
}
