//! Devices: what they are called, where they are, and what they are as far as is known.

mod judged;

use std::collections::HashMap;

pub use judged::*;
use schedules::Time;
use serde_json::{Value, json};

use crate::domain::device::{AddressFrom, Importance, Mark, State, cycle};
use crate::domain::dns;
use crate::domain::event::Kind;
use crate::domain::ids::{CheckId, DeviceId, SiteId};
use crate::domain::name;
use crate::store::events::{self, Actor};
use crate::store::filter::{Column, Page, Selection};
use crate::store::settings::{self, Whose, config_changed};
use crate::store::{Error, Result, Row, Tx, WriteTx, args, history, marks, offers, word};

/// The most devices one database holds.
pub const MAX: i64 = 200_000;
/// The most parents and the most tags of one device.
pub const MAX_TIES: usize = 32;

/// A thing on the network that is watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Its number.
    pub id: DeviceId,
    /// Its name.
    pub name: String,
    /// Its site.
    pub site: Option<(SiteId, String)>,
    /// Its address: an IP address or a name.
    pub address: Option<String>,
    /// Which address counts.
    pub address_from: AddressFrom,
    /// Its name in DNS.
    pub dns_name: Option<String>,
    /// How much depends on it.
    pub importance: Importance,
    /// What it is.
    pub state: State,
    /// Since when.
    pub since: Time,
    /// Why.
    pub reason: String,
    /// Since when its judgement waits for a parent's proof.
    pub held_since: Option<Time>,
    /// Since when its state changes too often.
    pub flapping_since: Option<Time>,
    /// Since when a person has it paused.
    pub paused_at: Option<Time>,
    /// What people should know about it.
    pub note: String,
    /// When it was added.
    pub created_at: Time,
    /// When its agent last checked in.
    pub last_check_in_at: Option<Time>,
    /// Its tags.
    pub tags: Vec<String>,
    /// What it hangs on, by name.
    pub parents: Vec<String>,
    /// What stands over its state.
    pub marks: Vec<Mark>,
}

const SELECT: &str =
    "SELECT d.id, d.name, d.site_id, s.name, d.address, d.address_from, d.dns_name, d.importance, d.state,
    d.state_since, d.reason, d.paused_at, d.note, d.created_at, a.last_check_in_at, d.held_since, d.flapping_since
    FROM device d LEFT JOIN site s ON s.id = d.site_id LEFT JOIN agent a ON a.device_id = d.id";

/// What a query for devices may ask for, and where that stands.
pub const QUERY: &[Column] = &[
    Column::text("name", "d.name").offering(offers::DEVICES),
    Column::words("state", "d.state", State::NAMES),
    Column::text("site", "s.name").offering(offers::SITES),
    Column::text("address", "d.address").offering("SELECT address AS v FROM device"),
    Column::text("dns_name", "d.dns_name").offering("SELECT dns_name AS v FROM device"),
    Column::words("importance", "d.importance", Importance::NAMES),
    Column::exists("tag", "SELECT 1 FROM device_tag t WHERE t.device_id = d.id AND t.tag").offering(offers::TAGS),
    Column::exists(
        "parent",
        "SELECT 1 FROM device_parent p JOIN device up ON up.id = p.parent_id WHERE p.device_id = d.id AND up.name",
    )
    .offering("SELECT name AS v FROM device WHERE id IN (SELECT parent_id FROM device_parent)"),
    Column::time("since", "d.state_since"),
    Column::time("seen", "a.last_check_in_at"),
    Column::time("created", "d.created_at"),
    marks::QUERY,
    Column::flag("paused", "d.paused_at IS NOT NULL"),
    Column::flag("agent", "a.device_id IS NOT NULL"),
    Column::number("id", "d.id"),
];

/// Where free text is looked for.
pub const TEXT: &[&str] = &["d.name", "d.address", "d.dns_name", "s.name", "d.note"];

/// The device of that id or name.
///
/// # Errors
/// The database's.
pub fn find(tx: &Tx, id_or_name: &str) -> Result<Option<Device>> {
    let found = match id_or_name.parse::<i64>() {
        Ok(id) => tx.maybe(&format!("{SELECT} WHERE d.id = $1"), args![id], device)?,
        Err(_) => tx.maybe(&format!("{SELECT} WHERE d.name = $1"), args![id_or_name.trim()], device)?,
    };
    let Some(mut found) = found else { return Ok(None) };
    found.tags =
        tx.all("SELECT tag FROM device_tag WHERE device_id = $1 ORDER BY tag", args![found.id.0], |row| {
            row.get(0)
        })?;
    found.parents = tx.all(
        "SELECT d.name FROM device_parent p JOIN device d ON d.id = p.parent_id WHERE p.device_id = $1 ORDER BY d.name",
        args![found.id.0],
        |row| row.get(0),
    )?;
    marks::fill(tx, &mut found)?;
    Ok(Some(found))
}

/// The device of that number as it is judged: without its site, tags, parents, and what people wrote.
///
/// # Errors
/// The database's.
pub fn bare(tx: &Tx, id: DeviceId) -> Result<Option<Device>> {
    tx.maybe(
        "SELECT d.id, d.name, NULL, NULL, d.address, d.address_from, NULL, d.importance, d.state, d.state_since, d.reason,
         d.paused_at, '', d.created_at, a.last_check_in_at, d.held_since, d.flapping_since
         FROM device d LEFT JOIN agent a ON a.device_id = d.id WHERE d.id = $1",
        args![id.0],
        device,
    )
}

/// The device of that id or name, which must be there.
///
/// # Errors
/// There is none, or the database's.
pub fn get(tx: &Tx, id_or_name: &str) -> Result<Device> {
    find(tx, id_or_name)?.ok_or_else(|| Error::not_found("device", id_or_name))
}

/// The device of that number, which must be there.
///
/// # Errors
/// There is none, or the database's.
pub fn of(tx: &Tx, id: DeviceId) -> Result<Device> {
    get(tx, &id.to_string())
}

/// The devices that are asked for.
///
/// # Errors
/// The database's.
pub fn list(tx: &Tx, wanted: &Selection, page: &Page) -> Result<Vec<Device>> {
    let sql = format!("{SELECT} WHERE {} {}", wanted.sql(), page.sql("d.name"));
    let mut all = tx.all(&sql, &wanted.args(), device)?;
    let mut tags = ties(tx, "SELECT device_id, tag FROM device_tag ORDER BY device_id, tag")?;
    let mut parents = ties(
        tx,
        "SELECT p.device_id, d.name FROM device_parent p JOIN device d ON d.id = p.parent_id ORDER BY p.device_id, d.name",
    )?;
    for device in &mut all {
        device.tags = tags.remove(&device.id.0).unwrap_or_default();
        device.parents = parents.remove(&device.id.0).unwrap_or_default();
    }
    marks::fill_all(tx, &mut all)?;
    Ok(all)
}

fn ties(tx: &Tx, sql: &str) -> Result<HashMap<i64, Vec<String>>> {
    let mut all: HashMap<i64, Vec<String>> = HashMap::new();
    tx.each(sql, args![], |row| {
        all.entry(row.get(0)?).or_default().push(row.get(1)?);
        Ok(())
    })?;
    Ok(all)
}

/// How many there are.
///
/// # Errors
/// The database's.
pub fn count(tx: &Tx) -> Result<i64> {
    tx.one("SELECT count(*) FROM device", args![], |row| row.get(0))
}

/// A device that is to be added, or what one is to become.
#[derive(Clone, Debug)]
pub struct New {
    /// Its name.
    pub name: String,
    /// Its site.
    pub site: Option<SiteId>,
    /// Its address.
    pub address: Option<String>,
    /// Which address counts.
    pub address_from: AddressFrom,
    /// Its name in DNS.
    pub dns_name: Option<String>,
    /// How much depends on it.
    pub importance: Importance,
    /// What people should know about it.
    pub note: String,
    /// Its tags.
    pub tags: Vec<String>,
    /// What it hangs on, by id or name.
    pub parents: Vec<String>,
}

impl New {
    /// One of that name, and nothing else known.
    #[must_use]
    pub fn named(name: &str) -> New {
        New {
            name: name.to_owned(),
            site: None,
            address: None,
            address_from: AddressFrom::Agent,
            dns_name: None,
            importance: Importance::Normal,
            note: String::new(),
            tags: Vec::new(),
            parents: Vec::new(),
        }
    }

    /// The device as it is, to be changed.
    #[must_use]
    pub fn like(device: &Device) -> New {
        New {
            name: device.name.clone(),
            site: device.site.as_ref().map(|s| s.0),
            address: device.address.clone(),
            address_from: device.address_from,
            dns_name: device.dns_name.clone(),
            importance: device.importance,
            note: device.note.clone(),
            tags: device.tags.clone(),
            parents: device.parents.clone(),
        }
    }

    fn body(&self) -> Value {
        json!({"name": self.name, "address": self.address, "address_from": self.address_from.as_str(),
            "dns_name": self.dns_name, "importance": self.importance.as_str(), "tags": self.tags,
            "parents": self.parents})
    }
}

/// Adds one. Its state is unknown until something is measured.
///
/// # Errors
/// Its name is none or taken, a parent is missing, a tag is none, there are too many, or the database's.
pub fn add(tx: &WriteTx, new: &New, by: &Actor) -> Result<Device> {
    let name = free_name(tx, &new.name, None)?;
    let dns_name = free_dns_name(tx, new.dns_name.as_deref(), &name, None)?;
    let id = tx.id(
        "INSERT INTO device (name, site_id, address, address_from, dns_name, importance, note, state_since, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8) RETURNING id",
        args![
            name.as_str(),
            new.site.map(|s| s.0),
            new.address.as_deref(),
            new.address_from.as_str(),
            dns_name.as_deref(),
            new.importance.as_str(),
            new.note.as_str(),
            tx.now
        ],
    )?;
    // Counting is slow where there are many; ids rise, so below this there cannot be too many.
    if id > MAX && count(tx)? > MAX {
        return Err(Error::refused(format!("there are {MAX} devices already: one database holds no more")));
    }
    let id = DeviceId(id);
    set_tags(tx, id, &new.tags)?;
    set_parents(tx, id, &new.parents)?;
    events::record(tx, by, Kind::DeviceAdded, id.into(), &new.body())?;
    of(tx, id)
}

/// Makes a device what `new` says.
///
/// # Errors
/// As [`add`]; and a parent that hangs on the device itself.
pub fn edit(tx: &WriteTx, id: DeviceId, new: &New, by: &Actor) -> Result<Device> {
    let before = New::like(&of(tx, id)?).body();
    let name = free_name(tx, &new.name, Some(id))?;
    let dns_name = free_dns_name(tx, new.dns_name.as_deref(), &name, Some(id))?;
    tx.run(
        "UPDATE device SET name = $2, site_id = $3, address = $4, address_from = $5, dns_name = $6, importance = $7,
         note = $8 WHERE id = $1",
        args![
            id.0,
            name.as_str(),
            new.site.map(|s| s.0),
            new.address.as_deref(),
            new.address_from.as_str(),
            dns_name.as_deref(),
            new.importance.as_str(),
            new.note.as_str()
        ],
    )?;
    if new.address_from != AddressFrom::Fixed
        && (new.address.is_none() || before["address_from"] != new.address_from.as_str())
    {
        // What its agent reports is to be followed again: the next check-in tells it as if it were new.
        tx.run(
            "UPDATE agent SET reported_address = NULL, seen_address = NULL WHERE device_id = $1",
            args![id.0],
        )?;
    }
    set_tags(tx, id, &new.tags)?;
    set_parents(tx, id, &new.parents)?;
    let was = before["name"].as_str().unwrap_or_default();
    if was != name {
        settings::device_renamed(tx, was, Some(&name), by)?;
    }
    checks_changed(tx, id)?;
    // At another site other settings hold for its agent.
    config_changed(tx, Whose::Agent(id))?;
    judge_soon(tx, id)?;
    events::record(tx, by, Kind::DeviceEdited, id.into(), &json!({"from": before, "to": new.body()}))?;
    of(tx, id)
}

/// Removes one, with its checks, readings, outages; its events and tickets stay.
///
/// # Errors
/// The database's.
pub fn remove(tx: &WriteTx, device: &Device, by: &Actor) -> Result<()> {
    events::record(tx, by, Kind::DeviceRemoved, device.id.into(), &New::like(device).body())?;
    let checks =
        tx.all("SELECT id FROM checks WHERE device_id = $1 OR agent_id = $1", args![device.id.0], |row| {
            Ok(CheckId(row.get(0)?))
        })?;
    checks.into_iter().try_for_each(|check| history::forget(tx, check))?;
    tx.run("DELETE FROM checks WHERE agent_id = $1", args![device.id.0])?;
    tx.run("DELETE FROM device WHERE id = $1", args![device.id.0])?;
    settings::device_renamed(tx, &device.name, None, by)?;
    config_changed(tx, Whose::All)
}

/// Pauses one, or watches it again; false where it was so already.
///
/// # Errors
/// The database's.
pub fn pause(tx: &WriteTx, id: DeviceId, by: &Actor) -> Result<bool> {
    let rows =
        tx.run("UPDATE device SET paused_at = $2 WHERE id = $1 AND paused_at IS NULL", args![id.0, tx.now])?;
    if rows == 1 {
        checks_changed(tx, id)?;
        judge_soon(tx, id)?;
        events::record(tx, by, Kind::DevicePaused, id.into(), &json!({}))?;
    }
    Ok(rows == 1)
}

/// Watches a paused one again; false where it was not paused. What was known of its checks is forgotten: nobody
/// looked meanwhile.
///
/// # Errors
/// The database's.
pub fn resume(tx: &WriteTx, id: DeviceId, by: &Actor) -> Result<bool> {
    let rows =
        tx.run("UPDATE device SET paused_at = NULL WHERE id = $1 AND paused_at IS NOT NULL", args![id.0])?;
    if rows == 1 {
        tx.run(
            "DELETE FROM check_health WHERE check_id IN (SELECT id FROM checks WHERE device_id = $1)",
            args![id.0],
        )?;
        checks_changed(tx, id)?;
        judge_soon(tx, id)?;
        events::record(tx, by, Kind::DeviceResumed, id.into(), &json!({}))?;
    }
    Ok(rows == 1)
}

/// What is watched about a device changed: whoever watches it is told.
fn checks_changed(tx: &WriteTx, id: DeviceId) -> Result<()> {
    let agents = tx.all(
        "SELECT DISTINCT agent_id FROM checks WHERE device_id = $1 AND spec <> '{}'",
        args![id.0],
        |row| Ok(row.get::<Option<i64>>(0)?.map(DeviceId)),
    )?;
    for agent in agents {
        config_changed(tx, agent.into())?;
    }
    config_changed(tx, Whose::Local)
}

/// Follows an address that changed at the device.
///
/// # Errors
/// The database's.
pub fn set_address(tx: &WriteTx, id: DeviceId, from: Option<&str>, to: &str, by: &Actor) -> Result<()> {
    tx.run("UPDATE device SET address = $2 WHERE id = $1", args![id.0, to])?;
    checks_changed(tx, id)?;
    events::record(tx, by, Kind::DeviceAddress, id.into(), &json!({"from": from, "to": to}))?;
    Ok(())
}

fn free_name(tx: &Tx, wanted: &str, own: Option<DeviceId>) -> Result<String> {
    let name = name::check(wanted).map_err(|e| Error::usage(e.to_string()))?;
    match find(tx, name)? {
        Some(other) if Some(other.id) != own => {
            Err(Error::Conflict(format!("there is a device '{name}' already (id {})", other.id)))
        }
        Some(_) | None => Ok(name.to_owned()),
    }
}

/// The DNS name as it is kept, where it is one and nobody else has it. A device without one answers to its own name, so
/// that counts as well.
fn free_dns_name(
    tx: &Tx,
    wanted: Option<&str>,
    own_name: &str,
    own: Option<DeviceId>,
) -> Result<Option<String>> {
    let wanted = match wanted {
        Some(wanted) => Some(dns::canonical(wanted).map_err(|e| Error::usage(e.to_string()))?),
        None => None,
    };
    let claimed = wanted.clone().unwrap_or_else(|| own_name.to_ascii_lowercase());
    let other = tx.maybe(
        "SELECT id, name FROM device WHERE (dns_name = $1 OR (dns_name IS NULL AND lower(name) = $1))
         AND id IS DISTINCT FROM $2 LIMIT 1",
        args![claimed.as_str(), own.map(|id| id.0)],
        |row| Ok((row.get::<i64>(0)?, row.get::<String>(1)?)),
    )?;
    match other {
        Some((id, name)) if wanted.is_some() => Err(Error::Conflict(format!(
            "the DNS name '{claimed}' is that of device '{name}' (id {id}) already"
        ))),
        Some(_) | None => Ok(wanted),
    }
}

fn set_tags(tx: &WriteTx, id: DeviceId, tags: &[String]) -> Result<()> {
    if tags.len() > MAX_TIES {
        return Err(Error::usage(format!(
            "{} tags are too many: a device has at most {MAX_TIES}",
            tags.len()
        )));
    }
    tx.run("DELETE FROM device_tag WHERE device_id = $1", args![id.0])?;
    for tag in tags {
        let tag = name::check(tag).map_err(|e| Error::usage(format!("tag: {e}")))?;
        tx.run(
            "INSERT INTO device_tag (device_id, tag) VALUES ($1, $2) ON CONFLICT DO NOTHING",
            args![id.0, tag],
        )?;
    }
    Ok(())
}

fn set_parents(tx: &WriteTx, id: DeviceId, parents: &[String]) -> Result<()> {
    if parents.len() > MAX_TIES {
        return Err(Error::usage(format!(
            "{} parents are too many: a device has at most {MAX_TIES}",
            parents.len()
        )));
    }
    tx.run("DELETE FROM device_parent WHERE device_id = $1", args![id.0])?;
    if parents.is_empty() {
        return Ok(());
    }
    for parent in parents {
        let parent = find(tx, parent)?.ok_or_else(|| Error::not_found("device", parent))?;
        let known = above(tx, parent.id)?;
        if let Some(way) = cycle(&known, id, parent.id) {
            let names: Vec<String> =
                way.iter().map(|&step| Ok(of(tx, step)?.name)).collect::<Result<Vec<_>>>()?;
            return Err(Error::refused(format!("this would close a ring of parents: {}", names.join(" → "))));
        }
        tx.run(
            "INSERT INTO device_parent (device_id, parent_id) VALUES ($1, $2) ON CONFLICT DO NOTHING",
            args![id.0, parent.id.0],
        )?;
    }
    Ok(())
}

/// The ways from a device upwards: of each device on them its parents.
fn above(tx: &Tx, id: DeviceId) -> Result<HashMap<DeviceId, Vec<DeviceId>>> {
    let mut known: HashMap<DeviceId, Vec<DeviceId>> = HashMap::new();
    tx.each(
        "WITH RECURSIVE above (id) AS (SELECT d.id FROM device d WHERE d.id = $1
         UNION SELECT p.parent_id FROM above a JOIN device_parent p ON p.device_id = a.id)
         SELECT p.device_id, p.parent_id FROM above a JOIN device_parent p ON p.device_id = a.id",
        args![id.0],
        |row| {
            known.entry(DeviceId(row.get(0)?)).or_default().push(DeviceId(row.get(1)?));
            Ok::<(), Error>(())
        },
    )?;
    Ok(known)
}

fn device(row: &Row) -> Result<Device> {
    let site: Option<i64> = row.get(2)?;
    let site_name: Option<String> = row.get(3)?;
    Ok(Device {
        id: DeviceId(row.get(0)?),
        name: row.get(1)?,
        site: site.map(|id| (SiteId(id), site_name.unwrap_or_default())),
        address: row.get(4)?,
        address_from: word(row, 5)?,
        dns_name: row.get(6)?,
        importance: word(row, 7)?,
        state: word(row, 8)?,
        since: row.get(9)?,
        reason: row.get(10)?,
        paused_at: row.get(11)?,
        note: row.get(12)?,
        created_at: row.get(13)?,
        last_check_in_at: row.get(14)?,
        held_since: row.get(15)?,
        flapping_since: row.get(16)?,
        tags: Vec::new(),
        parents: Vec::new(),
        marks: Vec::new(),
    })
}
