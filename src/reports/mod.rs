//! A question to the store, answered as a table: what lists, records and exports show. One file a noun; the keys of
//! the columns are what others rely on, and are never renamed.

pub mod availability;
pub mod checks;
pub mod devices;
pub mod dns;
pub mod doctor;
pub mod events;
pub mod history;
pub mod jobs;
pub mod maintenance;
pub mod notify;
pub mod outages;
pub mod parents;
pub mod service;
pub mod settings;
pub mod sites;
pub mod tickets;
pub mod users;

use exports::Value;
use schedules::Time;

fn time(at: Time) -> Value {
    Value::Time(at.0)
}

fn maybe_time(at: Option<Time>) -> Value {
    at.map_or(Value::Null, time)
}

fn texts(all: &[String]) -> Value {
    Value::List(all.iter().map(|text| Value::Text(text.clone())).collect())
}

fn maybe_text(text: Option<&str>) -> Value {
    text.map_or(Value::Null, |text| Value::Text(text.to_owned()))
}

/// Any JSON as a table's value.
fn json(value: &serde_json::Value) -> Value {
    if value.is_null() { Value::Null } else { Value::Json(value.clone()) }
}
