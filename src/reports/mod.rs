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

/// Any JSON as a table's value, its moments as people write them.
fn json(value: &serde_json::Value) -> Value {
    if value.is_null() { Value::Null } else { Value::Json(told(value.clone())) }
}

/// JSON as it is told: a moment, which is kept in milliseconds since 1970, is written as RFC 3339. Moments stand under keys
/// that end in `_at`, and under those that say from when or until when.
fn told(value: serde_json::Value) -> serde_json::Value {
    use serde_json::Value as Json;
    const MOMENTS: &[&str] = &["at", "since", "until", "from", "to", "device_time"];
    /// 1990: what is smaller is a count of something.
    const FIRST: i64 = 631_152_000_000;
    let is_moment = |key: &str| key.ends_with("_at") || MOMENTS.contains(&key);
    match value {
        Json::Object(fields) => Json::Object(
            fields
                .into_iter()
                .map(|(key, value)| {
                    let moment = value.as_i64().filter(|at| is_moment(&key) && *at >= FIRST);
                    let value = match moment.and_then(exports::rfc3339) {
                        Some(text) => Json::String(text),
                        None => told(value),
                    };
                    (key, value)
                })
                .collect(),
        ),
        Json::Array(all) => Json::Array(all.into_iter().map(told).collect()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn moments_in_json_are_written_as_people_write_them_and_counts_stay_counts() {
        let kept = json!({"since": 1_795_356_000_000_i64, "from": "up", "to": 3, "outage": {"ended_at": 1_795_356_000_500_i64},
            "bytes": 1_795_356_000_000_i64, "all": [{"at": 1_795_356_000_000_i64}], "until": null, "skew_ms": -5});
        let shown = json!({"since": "2026-11-22T14:00:00Z", "from": "up", "to": 3, "outage": {"ended_at": "2026-11-22T14:00:00.500Z"},
            "bytes": 1_795_356_000_000_i64, "all": [{"at": "2026-11-22T14:00:00Z"}], "until": null, "skew_ms": -5});
        assert_eq!(told(kept), shown);
    }
}
