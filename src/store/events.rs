//! The event log: every change is one line, written in the transaction of the change it tells of.

use schedules::Time;
use serde_json::Value;

use crate::domain::event::{About, Kind};
use crate::domain::ids::{DeviceId, EventId, SiteId, TicketId};
use crate::store::filter::{Column, Page, Selection};
use crate::store::{Result, Row, Tx, WriteTx, args, offers};

/// Who did it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actor {
    /// lineman itself.
    System,
    /// The agent of the device of that name.
    Agent(String),
    /// A person, by login name, at the command line.
    Person(String),
}

impl std::fmt::Display for Actor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Actor::System => f.write_str("system"),
            Actor::Agent(name) => write!(f, "agent:{name}"),
            Actor::Person(name) => write!(f, "user:{name}"),
        }
    }
}

impl Actor {
    /// The name a person signs with; for the others what they are.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Actor::System => "system".to_owned(),
            Actor::Agent(name) | Actor::Person(name) => name.clone(),
        }
    }
}

/// One line of the log.
#[derive(Clone, Debug)]
pub struct Event {
    /// Its number: rises with time, never used again.
    pub id: EventId,
    /// When.
    pub at: Time,
    /// What: one of [`Kind`]'s names, or one a newer lineman wrote.
    pub kind: String,
    /// Who.
    pub actor: String,
    /// The device it is about, and its name while it exists.
    pub device: Option<(DeviceId, Option<String>)>,
    /// The site it is about, and its name while it exists.
    pub site: Option<(SiteId, Option<String>)>,
    /// The ticket it is about.
    pub ticket: Option<TicketId>,
    /// What else there is to tell, as JSON.
    pub body: Value,
}

const COLUMNS: &str =
    "e.id, e.at, e.kind, e.actor, e.device_id, d.name, e.site_id, s.name, e.ticket_id, e.body";
const FROM: &str =
    "FROM event e LEFT JOIN device d ON d.id = e.device_id LEFT JOIN site s ON s.id = e.site_id";

/// What a query for events may ask for, and where that stands.
pub const QUERY: &[Column] = &[
    Column::text("kind", "e.kind").known(Kind::NAMES),
    Column::text("actor", "e.actor")
        .offering("SELECT n.actor AS v FROM (SELECT actor FROM event ORDER BY id DESC LIMIT 5000) n"),
    Column::named("device", "e.device_id IN (SELECT x.id FROM device x WHERE x.name")
        .offering(offers::DEVICES),
    Column::text("site", "s.name").offering(offers::SITES),
    Column::number("ticket", "e.ticket_id"),
    Column::number("id", "e.id"),
    Column::time("at", "e.at"),
];

/// Where free text is looked for.
pub const TEXT: &[&str] = &["e.kind", "e.actor", "d.name", "e.body"];

/// Writes a line.
///
/// # Errors
/// The database's.
pub fn record(tx: &WriteTx, by: &Actor, kind: Kind, about: About, body: &Value) -> Result<()> {
    tx.run(
        "INSERT INTO event (at, kind, actor, device_id, site_id, ticket_id, body)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
        args![
            tx.now,
            kind.as_str(),
            by.to_string(),
            about.device.map(|d| d.0),
            about.site.map(|s| s.0),
            about.ticket.map(|t| t.0),
            body.to_string()
        ],
    )?;
    Ok(())
}

/// The lines that are asked for, oldest first; of a page the newest.
///
/// # Errors
/// The database's.
pub fn list(tx: &Tx, wanted: &Selection, page: &Page) -> Result<Vec<Event>> {
    let mut all = Vec::new();
    each(tx, wanted, page, |event| {
        all.push(event);
        Ok(())
    })?;
    Ok(all)
}

/// Hands each line that is asked for to `f`, oldest first, without holding them all.
///
/// # Errors
/// The database's, or `f`'s.
pub fn each(tx: &Tx, wanted: &Selection, page: &Page, mut f: impl FnMut(Event) -> Result<()>) -> Result<()> {
    let sql = match page.limit {
        Some(limit) => format!(
            "SELECT * FROM (SELECT {COLUMNS} {FROM} WHERE {} ORDER BY e.id DESC LIMIT {limit} OFFSET {}) newest
             ORDER BY 1",
            wanted.sql(),
            page.skip
        ),
        None => format!("SELECT {COLUMNS} {FROM} WHERE {} ORDER BY e.id", wanted.sql()),
    };
    tx.each(&sql, &wanted.args(), |row| f(event(row)?))
}

/// The lines after `after`, oldest first, at most `limit` of them.
///
/// # Errors
/// The database's.
pub fn after(tx: &Tx, after: EventId, wanted: &Selection, limit: u32) -> Result<Vec<Event>> {
    let sql = format!(
        "SELECT {COLUMNS} {FROM} WHERE e.id > {} AND {} ORDER BY e.id LIMIT {limit}",
        after.0,
        wanted.sql()
    );
    tx.all(&sql, &wanted.args(), event)
}

/// The number of the newest line; 0 where there is none.
///
/// # Errors
/// The database's.
pub fn newest(tx: &Tx) -> Result<EventId> {
    tx.one("SELECT coalesce(max(id), 0) FROM event", args![], |row| Ok(EventId(row.get(0)?)))
}

/// The first line that is not older than `at`: ids rise with time. None where all are older.
///
/// # Errors
/// The database's.
pub fn first_since(tx: &Tx, at: Time) -> Result<EventId> {
    let end = |sql: &str| tx.one(sql, args![], |row| row.get::<i64>(0));
    let (mut low, mut high) =
        (end("SELECT coalesce(min(id), 1) FROM event")?, end("SELECT coalesce(max(id), 0) + 1 FROM event")?);
    while low < high {
        let middle = low + (high - low) / 2;
        let found =
            tx.maybe("SELECT at FROM event WHERE id >= $1 ORDER BY id LIMIT 1", args![middle], |row| {
                row.get::<Time>(0)
            })?;
        if found.is_some_and(|found| found < at) { low = middle + 1 } else { high = middle }
    }
    Ok(EventId(low))
}

/// Forgets the lines from `from` on, and before `end`, of those that are not kept for ever: what happened to devices and
/// outages is. It goes through at most `window` of them; how many were forgotten.
///
/// # Errors
/// The database's.
pub fn prune(tx: &WriteTx, (from, end): (EventId, EventId), window: i64) -> Result<usize> {
    tx.run(
        "DELETE FROM event WHERE id >= $1 AND id < $2 AND kind NOT IN ('device.state', 'outage.began', 'outage.ended')",
        args![from.0, end.0.min(from.0.saturating_add(window))],
    )
}

/// The same, of what plain calls wrote down on their way alone.
///
/// # Errors
/// The database's.
pub fn prune_pings(tx: &WriteTx, (from, end): (EventId, EventId), window: i64) -> Result<usize> {
    tx.run(
        "DELETE FROM event WHERE id >= $1 AND id < $2 AND kind = 'ping.logged'",
        args![from.0, end.0.min(from.0.saturating_add(window))],
    )
}

/// The oldest line there is.
///
/// # Errors
/// The database's.
pub fn oldest(tx: &Tx) -> Result<EventId> {
    tx.one("SELECT coalesce(min(id), 0) FROM event", args![], |row| Ok(EventId(row.get(0)?)))
}

fn event(row: &Row) -> Result<Event> {
    let body: String = row.get(9)?;
    let device: Option<i64> = row.get(4)?;
    let device_name: Option<String> = row.get(5)?;
    let site: Option<i64> = row.get(6)?;
    let site_name: Option<String> = row.get(7)?;
    Ok(Event {
        id: EventId(row.get(0)?),
        at: row.get(1)?,
        kind: row.get(2)?,
        actor: row.get(3)?,
        device: device.map(|id| (DeviceId(id), device_name)),
        site: site.map(|id| (SiteId(id), site_name)),
        ticket: row.get::<Option<i64>>(8)?.map(TicketId),
        body: serde_json::from_str(&body).unwrap_or(Value::String(body)),
    })
}
