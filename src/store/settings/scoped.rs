//! Settings for a site or a device, over those for all: what its agents record and ask.

use serde_json::json;

use super::{Whose, config_changed, shown};
use crate::domain::event::{About, Kind};
use crate::domain::ids::{DeviceId, SiteId};
use crate::domain::setting::{self, Setting, Settings};
use crate::store::events::{self, Actor};
use crate::store::{Error, Result, Tx, WriteTx, args};

/// For what a setting is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// A site and its name: for all agents there.
    Site(SiteId, String),
    /// A device and its name: for its agent.
    Device(DeviceId, String),
}

impl Scope {
    fn ids(&self) -> (Option<i64>, Option<i64>) {
        match self {
            Scope::Site(site, _) => (Some(site.0), None),
            Scope::Device(device, _) => (None, Some(device.0)),
        }
    }

    fn about(&self) -> About {
        match self {
            Scope::Site(site, _) => (*site).into(),
            Scope::Device(device, _) => (*device).into(),
        }
    }

    fn whose(&self) -> Whose {
        match self {
            Scope::Site(site, _) => Whose::Site(*site),
            Scope::Device(device, _) => Whose::Agent(*device),
        }
    }

    /// What it is, in words.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Scope::Site(_, name) => format!("site '{name}'"),
            Scope::Device(_, name) => format!("device '{name}'"),
        }
    }
}

/// The settings of a device's agent: its own over those of its site over those for all.
///
/// # Errors
/// The database's.
pub fn of_device(tx: &Tx, device: DeviceId, all: &Settings) -> Result<Settings> {
    let some = tx.all(
        "SELECT s.key, s.value, s.device_id IS NOT NULL AS own FROM scoped_setting s JOIN device d ON d.id = $1
         WHERE s.device_id = d.id OR s.site_id = d.site_id ORDER BY own, s.id",
        args![device.0],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    Ok(all.with(some))
}

/// What is set for a site or a device itself.
///
/// # Errors
/// The database's.
pub fn set_for(tx: &Tx, scope: &Scope) -> Result<Vec<(String, String)>> {
    let (site, device) = scope.ids();
    tx.all(
        "SELECT key, value FROM scoped_setting WHERE site_id = $1 OR device_id = $2 ORDER BY key",
        args![site, device],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )
}

/// Sets one for a site or a device. Its agents get it with their next check-in.
///
/// # Errors
/// There is no such setting, it is one for all only, the value is none of its kind, or the database's.
pub fn set_scoped(tx: &WriteTx, scope: &Scope, key: &str, value: &str, by: &Actor) -> Result<()> {
    let wanted = scoped(key, scope)?;
    let value = wanted.check(value).map_err(|e| Error::usage(e.to_string()))?;
    let before = unset(tx, scope, key)?;
    let (site, device) = scope.ids();
    tx.run(
        "INSERT INTO scoped_setting (key, site_id, device_id, value) VALUES ($1, $2, $3, $4)",
        args![key, site, device, value.as_str()],
    )?;
    changed(tx, scope, wanted, (before.as_deref(), Some(&value)), by)
}

/// Takes one away that is set for a site or a device: there it is as it is for all.
///
/// # Errors
/// There is no such setting, it is one for all only, or the database's.
pub fn unset_scoped(tx: &WriteTx, scope: &Scope, key: &str, by: &Actor) -> Result<()> {
    let wanted = scoped(key, scope)?;
    let before = unset(tx, scope, key)?;
    changed(tx, scope, wanted, (before.as_deref(), None), by)
}

fn scoped(key: &str, scope: &Scope) -> Result<&'static Setting> {
    let wanted = setting::find(key).map_err(|e| Error::usage(e.to_string()))?;
    if wanted.is_scoped() {
        return Ok(wanted);
    }
    Err(Error::usage(format!(
        "{key} is one for all, and cannot be set for {}: only what begins with {} can",
        scope.name(),
        setting::SCOPED.join(" or ")
    )))
}

fn unset(tx: &WriteTx, scope: &Scope, key: &str) -> Result<Option<String>> {
    let (site, device) = scope.ids();
    tx.maybe(
        "DELETE FROM scoped_setting WHERE key = $1 AND (site_id = $2 OR device_id = $3) RETURNING value",
        args![key, site, device],
        |row| row.get(0),
    )
}

fn changed(
    tx: &WriteTx,
    scope: &Scope,
    wanted: &Setting,
    (from, to): (Option<&str>, Option<&str>),
    by: &Actor,
) -> Result<()> {
    if from == to {
        return Ok(());
    }
    config_changed(tx, scope.whose())?;
    let body = json!({"key": wanted.key, "from": from.map(|value| shown(wanted, value)),
        "to": to.map(|value| shown(wanted, value)), "for": scope.name()});
    events::record(tx, by, Kind::SettingChanged, scope.about(), &body)?;
    Ok(())
}
