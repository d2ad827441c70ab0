//! What people set, and the numbers the server keeps about itself.

mod scoped;

use schedules::Time;
use serde_json::json;

pub use scoped::*;

use crate::domain::event::{About, Kind};
use crate::domain::ids::{DeviceId, SiteId};
use crate::domain::setting::{self, Settings};
use crate::store::events::{self, Actor};
use crate::store::{Error, Result, Tx, WriteTx, args};

/// The settings as they stand.
///
/// # Errors
/// The database's.
pub fn load(tx: &Tx) -> Result<Settings> {
    let set = tx.all("SELECT key, value FROM setting", args![], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(Settings::new(set))
}

/// The keys that somebody set.
///
/// # Errors
/// The database's.
pub fn set_keys(tx: &Tx) -> Result<Vec<String>> {
    tx.all("SELECT key FROM setting ORDER BY key", args![], |row| row.get(0))
}

/// Sets one. Agents get it with their next check-in; until then each is waited for as before.
///
/// # Errors
/// There is no such setting, the value is none of its kind or out of bounds, or the database's.
pub fn set(tx: &WriteTx, key: &str, value: &str, by: &Actor) -> Result<()> {
    let wanted = setting::find(key).map_err(|e| Error::usage(e.to_string()))?;
    let value = wanted.check(value).map_err(|e| Error::usage(e.to_string()))?;
    if matches!(wanted.shape, setting::Shape::Names(_)) {
        for name in value.split(',').filter(|name| !name.is_empty()) {
            let device = crate::store::devices::get(tx, name)?;
            if device.name != name {
                return Err(Error::usage(format!("{key}: name the device: '{}', not {name}", device.name)));
            }
        }
    }
    if matches!(wanted.shape, setting::Shape::Sites(_)) {
        for name in value.split(',').filter(|name| !name.is_empty()) {
            let site = crate::store::sites::get(tx, name)?;
            if site.name != name {
                return Err(Error::usage(format!("{key}: name the site: '{}', not {name}", site.name)));
            }
        }
    }
    let before = load(tx)?.text(key).to_owned();
    tx.run(
        "INSERT INTO setting (key, value) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        args![key, value.as_str()],
    )?;
    if before != value {
        config_changed(tx, Whose::All)?;
        let body = json!({"key": key, "from": shown(wanted, &before), "to": shown(wanted, &value)});
        events::record(tx, by, Kind::SettingChanged, About::default(), &body)?;
    }
    Ok(())
}

/// A value as it may be shown: of a secret only whether it is set.
#[must_use]
pub fn shown<'v>(wanted: &setting::Setting, value: &'v str) -> &'v str {
    match (wanted.shape, value) {
        (setting::Shape::Key, "") => "not set",
        (setting::Shape::Key, _) => "set",
        (_, value) => value,
    }
}

/// A device is called otherwise now, or is gone: so it is in the settings that name it.
///
/// # Errors
/// The database's.
pub fn device_renamed(tx: &WriteTx, from: &str, to: Option<&str>, by: &Actor) -> Result<()> {
    renamed(tx, |shape| matches!(shape, setting::Shape::Names(_)), from, to, by)
}

/// A site is called otherwise now, or is gone: so it is in the settings that name it.
///
/// # Errors
/// The database's.
pub fn site_renamed(tx: &WriteTx, from: &str, to: Option<&str>, by: &Actor) -> Result<()> {
    renamed(tx, |shape| matches!(shape, setting::Shape::Sites(_)), from, to, by)
}

fn renamed(
    tx: &WriteTx,
    names_it: impl Fn(setting::Shape) -> bool,
    from: &str,
    to: Option<&str>,
    by: &Actor,
) -> Result<()> {
    let settings = load(tx)?;
    for wanted in setting::ALL.iter().filter(|s| names_it(s.shape)) {
        if settings.names(wanted.key).any(|name| name == from) {
            let names: Vec<&str> = settings
                .names(wanted.key)
                .filter_map(|name| if name == from { to } else { Some(name) })
                .collect();
            set(tx, wanted.key, &names.join(","), by)?;
        }
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

/// Whose configuration changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// Every agent's.
    All,
    /// That of the agent inside the server.
    Local,
    /// That of the agent on this device.
    Agent(DeviceId),
    /// Those of the agents at this site.
    Site(SiteId),
}

impl From<Option<DeviceId>> for Whose {
    /// The agent that runs a check: absent, it is the one inside the server.
    fn from(agent: Option<DeviceId>) -> Whose {
        agent.map_or(Whose::Local, Whose::Agent)
    }
}

/// Says that the configuration of an agent changed, and that a running server is to look around.
///
/// # Errors
/// The database's.
pub fn config_changed(tx: &WriteTx, whose: Whose) -> Result<()> {
    tx.run(
        "INSERT INTO mark (key, value) VALUES ('config_version', 1)
         ON CONFLICT (key) DO UPDATE SET value = mark.value + 1",
        args![],
    )?;
    let version = "(SELECT value FROM mark WHERE key = 'config_version')";
    match whose {
        Whose::All => tx.run(&format!("UPDATE agent SET config = {version}"), args![])?,
        Whose::Local => tx.run(
            &format!(
                "UPDATE agent SET config = {version} WHERE device_id = (SELECT value FROM mark WHERE key = 'this_machine')"
            ),
            args![],
        )?,
        Whose::Site(site) => tx.run(
            &format!(
                "UPDATE agent SET config = {version} WHERE device_id IN (SELECT id FROM device WHERE site_id = $1)"
            ),
            args![site.0],
        )?,
        Whose::Agent(device) => {
            tx.run(&format!("UPDATE agent SET config = {version} WHERE device_id = $1"), args![device.0])?
        }
    };
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

/// When the server was last started.
///
/// # Errors
/// The database's.
pub fn started_at(tx: &Tx) -> Result<Option<Time>> {
    Ok(mark(tx, "started_at")?.map(Time))
}

/// Says that the server starts now.
///
/// # Errors
/// The database's.
pub fn started(tx: &WriteTx) -> Result<()> {
    set_mark(tx, "started_at", tx.now.0)
}

/// The device that is this machine, once `serve` has run.
///
/// # Errors
/// The database's.
pub fn this_machine(tx: &Tx) -> Result<Option<DeviceId>> {
    Ok(mark(tx, "this_machine")?.map(DeviceId))
}

/// Says which device is this machine.
///
/// # Errors
/// The database's.
pub fn set_this_machine(tx: &WriteTx, device: DeviceId) -> Result<()> {
    set_mark(tx, "this_machine", device.0)
}

/// What agents know the server's key by, once `serve` has run.
///
/// # Errors
/// The database's.
pub fn key_hash(tx: &Tx) -> Result<Option<[u8; 32]>> {
    let hash = tx.maybe("SELECT key_hash FROM server WHERE id = 1", args![], |row| row.get::<Vec<u8>>(0))?;
    Ok(hash.and_then(|hash| hash.try_into().ok()))
}

/// Where the server listened last.
///
/// # Errors
/// The database's.
pub fn url(tx: &Tx) -> Result<Option<String>> {
    tx.maybe("SELECT url FROM server WHERE id = 1", args![], |row| row.get(0))
}

/// Says what agents know the server's key by, and where it listens.
///
/// # Errors
/// The database's.
pub fn set_server(tx: &WriteTx, key_hash: &[u8; 32], url: &str) -> Result<()> {
    tx.run(
        "INSERT INTO server (id, key_hash, url) VALUES (1, $1, $2)
         ON CONFLICT (id) DO UPDATE SET key_hash = excluded.key_hash, url = excluded.url",
        args![key_hash.as_slice(), url],
    )?;
    Ok(())
}

fn mark(tx: &Tx, key: &str) -> Result<Option<i64>> {
    tx.maybe("SELECT value FROM mark WHERE key = $1", args![key], |row| row.get(0))
}

fn set_mark(tx: &WriteTx, key: &str, value: i64) -> Result<()> {
    tx.run(
        "INSERT INTO mark (key, value) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        args![key, value],
    )?;
    Ok(())
}
