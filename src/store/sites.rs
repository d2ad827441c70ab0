//! Sites.

use std::collections::{BTreeSet, HashMap};

use jiff::civil::Date;
use schedules::Time;
use serde_json::json;

use crate::domain::event::Kind;
use crate::domain::ids::SiteId;
use crate::domain::name;
use crate::domain::provider;
use crate::domain::service::Hours;
use crate::domain::verdict::Contact;
use crate::store::events::{self, Actor};
use crate::store::filter::{Column, Page, Selection};
use crate::store::{Error, Result, Row, Tx, WriteTx, args, offers, service, settings, word};

/// The most holidays of one site.
pub const MAX_HOLIDAYS: usize = 400;

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
    /// Its devices.
    pub devices: Devices,
    /// The hours in which somebody is there.
    pub hours: Hours,
    /// The days on which nobody is, in their order.
    pub holidays: Vec<Date>,
    /// Who brings it its line, and how to reach them.
    pub contact: Contact,
}

/// How many devices a site has, and how they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Devices {
    /// All of them.
    pub all: i64,
    /// Those that are down or unreachable.
    pub out: i64,
    /// Those that are reachable, though something of them failed.
    pub degraded: i64,
    /// Those of which nothing is known.
    pub unknown: i64,
}

const SELECT: &str = "SELECT s.id, s.name, s.time_zone, s.note, s.created_at,
    (SELECT count(*) FROM device d WHERE d.site_id = s.id),
    (SELECT count(*) FROM device d WHERE d.site_id = s.id AND d.state IN ('down', 'unreachable')),
    (SELECT count(*) FROM device d WHERE d.site_id = s.id AND d.state = 'degraded'),
    (SELECT count(*) FROM device d WHERE d.site_id = s.id AND d.state = 'unknown'),
    s.hours, s.provider, s.circuit, s.provider_phone, s.provider_mail FROM site s";

/// What a query for sites may ask for, and where that stands.
pub const QUERY: &[Column] = &[
    Column::text("name", "s.name").offering(offers::SITES),
    Column::number("id", "s.id"),
    Column::text("tz", "s.time_zone").offering("SELECT time_zone AS v FROM site"),
    Column::time("created", "s.created_at"),
    Column::text("provider", "s.provider").offering("SELECT provider AS v FROM site"),
    Column::text("circuit", "s.circuit").offering("SELECT circuit AS v FROM site"),
];

/// Where free text is looked for.
pub const TEXT: &[&str] = &["s.name", "s.note", "s.provider", "s.circuit"];

/// The site of that id or name.
///
/// # Errors
/// The database's.
pub fn find(tx: &Tx, id_or_name: &str) -> Result<Option<Site>> {
    let found = match id_or_name.parse::<i64>() {
        Ok(id) => tx.maybe(&format!("{SELECT} WHERE s.id = $1"), args![id], site)?,
        Err(_) => tx.maybe(&format!("{SELECT} WHERE s.name = $1"), args![id_or_name.trim()], site)?,
    };
    let Some(mut found) = found else { return Ok(None) };
    let holidays = tx.all(
        "SELECT site_id, day FROM site_holiday WHERE site_id = $1 ORDER BY day",
        args![found.id.0],
        holiday,
    )?;
    found.holidays = holidays.into_iter().map(|(_, day)| day).collect();
    Ok(Some(found))
}

fn holiday(row: &Row) -> Result<(i64, Date)> {
    Ok((row.get(0)?, word(row, 1)?))
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
    let mut all = tx.all(&sql, &wanted.args(), site)?;
    let mut holidays: HashMap<i64, Vec<Date>> = HashMap::new();
    for (site, day) in
        tx.all("SELECT site_id, day FROM site_holiday ORDER BY site_id, day", args![], holiday)?
    {
        holidays.entry(site).or_default().push(day);
    }
    for site in &mut all {
        site.holidays = holidays.remove(&site.id.0).unwrap_or_default();
    }
    Ok(all)
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
    if new_name != site.name {
        settings::site_renamed(tx, &site.name, Some(new_name), by)?;
    }
    if *time_zone != site.time_zone {
        service::look_at_site(tx, site.id)?;
    }
    get(tx, &site.id.to_string())
}

/// What is to change of the calendar of a site.
#[derive(Clone, Debug, Default)]
pub struct CalendarChange {
    /// Its hours; absent: they stay.
    pub hours: Option<Hours>,
    /// Days on which nobody is there.
    pub holidays: Vec<Date>,
    /// Days that are no holidays any more.
    pub no_holidays: Vec<Date>,
}

impl CalendarChange {
    /// Whether anything is to change.
    #[must_use]
    pub fn says_something(&self) -> bool {
        self.hours.is_some() || !self.holidays.is_empty() || !self.no_holidays.is_empty()
    }
}

/// Changes when somebody is there; the service clocks of its tickets follow. Where nothing is another, nothing happens.
///
/// # Errors
/// A day is no holiday that is to be none any more, there are too many, or the database's.
pub fn set_calendar(tx: &WriteTx, site: &Site, change: &CalendarChange, by: &Actor) -> Result<Site> {
    let hours = change.hours.as_ref().unwrap_or(&site.hours);
    let mut holidays: BTreeSet<Date> = site.holidays.iter().copied().collect();
    for day in &change.no_holidays {
        if !holidays.remove(day) {
            return Err(Error::NotFound(format!("{day} is no holiday of site '{}'", site.name)));
        }
    }
    holidays.extend(&change.holidays);
    if holidays.len() > MAX_HOLIDAYS {
        return Err(Error::usage(format!(
            "{} holidays are too many: a site has at most {MAX_HOLIDAYS}",
            holidays.len()
        )));
    }
    if *hours == site.hours && holidays.iter().eq(&site.holidays) {
        return Ok(site.clone());
    }
    let hours = hours.to_string();
    tx.run("UPDATE site SET hours = $2 WHERE id = $1", args![site.id.0, hours])?;
    tx.run("DELETE FROM site_holiday WHERE site_id = $1", args![site.id.0])?;
    let holidays: Vec<String> = holidays.iter().map(Date::to_string).collect();
    for day in &holidays {
        tx.run("INSERT INTO site_holiday (site_id, day) VALUES ($1, $2)", args![site.id.0, day])?;
    }
    let body = json!({"name": site.name, "was": site.name, "hours": hours, "holidays": holidays});
    events::record(tx, by, Kind::SiteEdited, site.id.into(), &body)?;
    service::look_at_site(tx, site.id)?;
    get(tx, &site.id.to_string())
}

/// Says who brings a site its line; what is `None` stays. Where nothing is another, nothing happens.
///
/// # Errors
/// A part is too long, or no mail address, or the database's.
pub fn set_contact(tx: &WriteTx, site: &Site, change: &provider::Change, by: &Actor) -> Result<Site> {
    let contact = change.of(&site.contact).map_err(|e| Error::usage(e.to_string()))?;
    if contact == site.contact {
        return Ok(site.clone());
    }
    let Contact { provider, circuit, phone, mail } = &contact;
    tx.run(
        "UPDATE site SET provider = $2, circuit = $3, provider_phone = $4, provider_mail = $5 WHERE id = $1",
        args![site.id.0, provider.as_str(), circuit.as_str(), phone.as_str(), mail.as_str()],
    )?;
    let body = json!({"name": site.name, "was": site.name, "provider": provider, "circuit": circuit,
        "provider_phone": phone, "provider_mail": mail});
    events::record(tx, by, Kind::SiteEdited, site.id.into(), &body)?;
    get(tx, &site.id.to_string())
}

/// Removes one that has no devices any more.
///
/// # Errors
/// It has devices, or the database's.
pub fn remove(tx: &WriteTx, site: &Site, by: &Actor) -> Result<()> {
    if site.devices.all > 0 {
        return Err(Error::refused(format!(
            "site '{}' has {} devices: move or remove them first",
            site.name, site.devices.all
        )));
    }
    events::record(tx, by, Kind::SiteRemoved, site.id.into(), &json!({"name": site.name}))?;
    tx.run("DELETE FROM site WHERE id = $1", args![site.id.0])?;
    settings::site_renamed(tx, &site.name, None, by)
}

fn site(row: &Row) -> Result<Site> {
    Ok(Site {
        id: SiteId(row.get(0)?),
        name: row.get(1)?,
        time_zone: row.get(2)?,
        note: row.get(3)?,
        created_at: row.get(4)?,
        devices: Devices { all: row.get(5)?, out: row.get(6)?, degraded: row.get(7)?, unknown: row.get(8)? },
        hours: word(row, 9)?,
        holidays: Vec::new(),
        contact: Contact {
            provider: row.get(10)?,
            circuit: row.get(11)?,
            phone: row.get(12)?,
            mail: row.get(13)?,
        },
    })
}
