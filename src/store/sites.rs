//! Sites.

use schedules::Time;
use serde_json::json;

use crate::domain::event::Kind;
use crate::domain::ids::SiteId;
use crate::domain::name;
use crate::store::events::{self, Actor};
use crate::store::filter::{Column, Page, Selection};
use crate::store::{Error, Result, Row, Tx, WriteTx, args};

/// A place where devices are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// Its number.
    pub id: SiteId,
    /// Its name.
    pub name: String,
    /// Its time zone, an IANA name.
    pub time_zone: String,
    /// What people should know about it.
    pub note: String,
    /// When it was added.
    pub created_at: Time,
    /// How many devices it has, and how many of them are out.
    pub devices: (i64, i64),
}

const SELECT: &str = "SELECT s.id, s.name, s.time_zone, s.note, s.created_at,
    (SELECT count(*) FROM device d WHERE d.site_id = s.id),
    (SELECT count(*) FROM device d WHERE d.site_id = s.id AND d.state IN ('down', 'unreachable')) FROM site s";

/// What a query for sites may ask for, and where that stands.
pub const QUERY: &[Column] = &[
    Column::text("name", "s.name"),
    Column::number("id", "s.id"),
    Column::text("tz", "s.time_zone"),
    Column::time("created", "s.created_at"),
];

/// Where free text is looked for.
pub const TEXT: &[&str] = &["s.name", "s.note"];

/// The site of that id or name.
///
/// # Errors
/// The database's.
pub fn find(tx: &Tx, id_or_name: &str) -> Result<Option<Site>> {
    match id_or_name.parse::<i64>() {
        Ok(id) => tx.maybe(&format!("{SELECT} WHERE s.id = $1"), args![id], site),
        Err(_) => tx.maybe(&format!("{SELECT} WHERE s.name = $1"), args![id_or_name.trim()], site),
    }
}

/// The site of that id or name, which must be there.
///
/// # Errors
/// There is none, or the database's.
pub fn get(tx: &Tx, id_or_name: &str) -> Result<Site> {
    find(tx, id_or_name)?.ok_or_else(|| Error::not_found("site", id_or_name))
}

/// The sites that are asked for.
///
/// # Errors
/// The database's.
pub fn list(tx: &Tx, wanted: &Selection, page: &Page) -> Result<Vec<Site>> {
    let sql = format!("{SELECT} WHERE {} {}", wanted.sql(), page.sql("s.name"));
    tx.all(&sql, &wanted.args(), site)
}

/// Adds one.
///
/// # Errors
/// The name is none or taken, or the database's.
pub fn add(tx: &WriteTx, name: &str, time_zone: &str, note: &str, by: &Actor) -> Result<Site> {
    let name = name::check(name).map_err(|e| Error::usage(e.to_string()))?;
    if find(tx, name)?.is_some() {
        return Err(Error::Conflict(format!("there is a site '{name}' already")));
    }
    let id = tx.id(
        "INSERT INTO site (name, time_zone, note, created_at) VALUES ($1, $2, $3, $4) RETURNING id",
        args![name, time_zone, note, tx.now],
    )?;
    events::record(
        tx,
        by,
        Kind::SiteAdded,
        SiteId(id).into(),
        &json!({"name": name, "time_zone": time_zone}),
    )?;
    get(tx, &id.to_string())
}

/// What is to change of a site; what is `None` stays.
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// Its name.
    pub name: Option<String>,
    /// Its time zone.
    pub time_zone: Option<String>,
    /// Its note.
    pub note: Option<String>,
}

/// Changes one.
///
/// # Errors
/// The name is none or taken, or the database's.
pub fn edit(tx: &WriteTx, site: &Site, change: &Change, by: &Actor) -> Result<Site> {
    let new_name = match &change.name {
        Some(new) => name::check(new).map_err(|e| Error::usage(e.to_string()))?,
        None => &site.name,
    };
    if find(tx, new_name)?.is_some_and(|other| other.id != site.id) {
        return Err(Error::Conflict(format!("there is a site '{new_name}' already")));
    }
    let time_zone = change.time_zone.as_ref().unwrap_or(&site.time_zone);
    let note = change.note.as_ref().unwrap_or(&site.note);
    tx.run(
        "UPDATE site SET name = $2, time_zone = $3, note = $4 WHERE id = $1",
        args![site.id.0, new_name, time_zone.as_str(), note.as_str()],
    )?;
    let body = json!({"name": new_name, "was": site.name, "time_zone": time_zone, "note": note});
    events::record(tx, by, Kind::SiteEdited, site.id.into(), &body)?;
    get(tx, &site.id.to_string())
}

/// Removes one that has no devices any more.
///
/// # Errors
/// It has devices, or the database's.
pub fn remove(tx: &WriteTx, site: &Site, by: &Actor) -> Result<()> {
    if site.devices.0 > 0 {
        return Err(Error::refused(format!(
            "site '{}' has {} devices: move or remove them first",
            site.name, site.devices.0
        )));
    }
    events::record(tx, by, Kind::SiteRemoved, site.id.into(), &json!({"name": site.name}))?;
    tx.run("DELETE FROM site WHERE id = $1", args![site.id.0])?;
    Ok(())
}

fn site(row: &Row) -> Result<Site> {
    Ok(Site {
        id: SiteId(row.get(0)?),
        name: row.get(1)?,
        time_zone: row.get(2)?,
        note: row.get(3)?,
        created_at: row.get(4)?,
        devices: (row.get(5)?, row.get(6)?),
    })
}
