//! What people set, and the numbers the server keeps about itself.

use schedules::Time;
use serde_json::json;

use crate::domain::event::{About, Kind};
use crate::domain::setting::{self, Settings};
use crate::store::events::{self, Actor};
use crate::store::{Error, Result, Tx, WriteTx, params};

/// The settings as they stand.
///
/// # Errors
/// The database's.
pub fn load(tx: &Tx) -> Result<Settings> {
    let set = tx.all("SELECT key, value FROM setting", params![], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(Settings::new(set))
}

/// The keys that somebody set.
///
/// # Errors
/// The database's.
pub fn set_keys(tx: &Tx) -> Result<Vec<String>> {
    tx.all("SELECT key FROM setting ORDER BY key", params![], |row| row.get(0))
}

/// Sets one. What follows the settings is looked at anew: agents get their configuration, deadlines are counted again.
///
/// # Errors
/// There is no such setting, the value is none of its kind or out of bounds, or the database's.
pub fn set(tx: &WriteTx, key: &str, value: &str, by: &Actor) -> Result<()> {
    let wanted = setting::find(key).map_err(|e| Error::usage(e.to_string()))?;
    let value = wanted.check(value).map_err(|e| Error::usage(e.to_string()))?;
    let before = load(tx)?.text(key).to_owned();
    tx.run(
        "INSERT INTO setting (key, value) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        params![key, value.as_str()],
    )?;
    if before != value {
        tx.run("UPDATE agent SET look_at = $1 WHERE look_at IS NOT NULL", params![tx.now])?;
        config_changed(tx)?;
        let body = json!({"key": key, "from": before, "to": value});
        events::record(tx, by, Kind::SettingChanged, About::default(), &body)?;
    }
    Ok(())
}

/// The version of the agents' configuration: agents with another one are given theirs anew.
///
/// # Errors
/// The database's.
pub fn config_version(tx: &Tx) -> Result<i64> {
    Ok(mark(tx, "config_version")?.unwrap_or(0))
}

/// Says that the configuration of some agent changed.
///
/// # Errors
/// The database's.
pub fn config_changed(tx: &WriteTx) -> Result<()> {
    tx.run(
        "INSERT INTO mark (key, value) VALUES ('config_version', 1)
         ON CONFLICT (key) DO UPDATE SET value = mark.value + 1",
        params![],
    )?;
    Ok(())
}

/// When the server last said that it is alive.
///
/// # Errors
/// The database's.
pub fn last_alive(tx: &Tx) -> Result<Option<Time>> {
    Ok(mark(tx, "last_alive_at")?.map(Time))
}

/// Says that the server is alive now.
///
/// # Errors
/// The database's.
pub fn alive(tx: &WriteTx) -> Result<()> {
    set_mark(tx, "last_alive_at", tx.now.0)
}

/// The device that is this machine, once `serve` has run.
///
/// # Errors
/// The database's.
pub fn this_machine(tx: &Tx) -> Result<Option<i64>> {
    mark(tx, "this_machine")
}

/// Says which device is this machine.
///
/// # Errors
/// The database's.
pub fn set_this_machine(tx: &WriteTx, device: i64) -> Result<()> {
    set_mark(tx, "this_machine", device)
}

fn mark(tx: &Tx, key: &str) -> Result<Option<i64>> {
    tx.maybe("SELECT value FROM mark WHERE key = $1", params![key], |row| row.get(0))
}

fn set_mark(tx: &WriteTx, key: &str, value: i64) -> Result<()> {
    tx.run(
        "INSERT INTO mark (key, value) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        params![key, value],
    )?;
    Ok(())
}
