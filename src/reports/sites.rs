//! Sites, as lists and records show them.

use exports::{Column, Table, Value};

use crate::reports::{maybe_text, time};
use crate::store::filter::{Page, Selection};
use crate::store::sites::{self, Site};
use crate::store::{Result, Tx};

/// The sites that are asked for.
///
/// # Errors
/// The database's.
pub fn list(tx: &Tx, wanted: &Selection, page: &Page) -> Result<Table> {
    let mut table = Table::new("sites", columns());
    for site in sites::list(tx, wanted, page)? {
        table.push(row(&site));
    }
    Ok(table)
}

/// One site.
#[must_use]
pub fn record(site: &Site) -> Table {
    let mut table = Table::new("sites", columns());
    table.push(row(site));
    table
}

fn columns() -> Vec<Column> {
    vec![
        Column::int("id", "ID"),
        Column::text("name", "NAME"),
        Column::int("devices", "DEVICES").moving(),
        Column::int("out", "OUT").moving(),
        Column::text("time_zone", "TIME ZONE"),
        Column::text("note", "NOTE"),
        Column::time("created_at", "ADDED").hidden(),
        Column::text("hours", "HOURS").hidden(),
        Column::list("holidays", "HOLIDAYS").hidden(),
        Column::text("provider", "PROVIDER").hidden(),
        Column::text("circuit", "CIRCUIT").hidden(),
        Column::text("provider_phone", "PROVIDER'S PHONE").hidden(),
        Column::text("provider_mail", "PROVIDER'S MAIL").hidden(),
        Column::int("degraded", "DEGRADED").hidden().moving(),
        Column::int("unknown", "UNKNOWN").hidden().moving(),
    ]
}

fn row(site: &Site) -> Vec<Value> {
    let part = |text: &str| maybe_text(Some(text).filter(|text| !text.is_empty()));
    vec![
        Value::Int(site.id.0),
        Value::Text(site.name.clone()),
        Value::Int(site.devices.all),
        Value::Int(site.devices.out),
        Value::Text(site.time_zone.clone()),
        Value::Text(site.note.clone()),
        time(site.created_at),
        Value::Text(site.hours.to_string()),
        Value::List(site.holidays.iter().map(|day| Value::Text(day.to_string())).collect()),
        part(&site.contact.provider),
        part(&site.contact.circuit),
        part(&site.contact.phone),
        part(&site.contact.mail),
        Value::Int(site.devices.degraded),
        Value::Int(site.devices.unknown),
    ]
}
