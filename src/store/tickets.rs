//! Tickets, what is written on them, and which devices they are about.

mod follow;
mod people;

use schedules::Time;
use serde_json::json;

pub use follow::*;
pub use people::*;

use crate::domain::event::{About, Kind as Happened};
use crate::domain::ids::{DeviceId, SiteId, TicketId};
use crate::domain::ticket::{Kind, Newest, Priority, Score, State};
use crate::store::events::{self, Actor};
use crate::store::filter::{Column, Page, Selection};
use crate::store::{Error, Result, Row, Tx, WriteTx, args, offers, word};

/// The longest title, in characters.
pub const MAX_TITLE: usize = 200;
/// The longest comment, in bytes.
pub const MAX_COMMENT: usize = 64 * 1024;

/// Work for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// Its number.
    pub id: TicketId,
    /// What it is about.
    pub kind: Kind,
    /// Where it stands.
    pub state: State,
    /// Its title.
    pub title: String,
    /// The device it is about, and its name.
    pub device: Option<(DeviceId, String)>,
    /// The site it is about, and its name.
    pub site: Option<(SiteId, String)>,
    /// Its priority.
    pub priority: Priority,
    /// The score the priority follows from.
    pub score: i64,
    /// Who has it.
    pub assignee: Option<String>,
    /// When it was opened.
    pub opened_at: Time,
    /// Who opened it.
    pub opened_by: String,
    /// When somebody acknowledged it.
    pub acknowledged_at: Option<Time>,
    /// When a person first touched it.
    pub touched_at: Option<Time>,
    /// When its device came back.
    pub recovered_at: Option<Time>,
    /// When it was done.
    pub resolved_at: Option<Time>,
    /// When it resolved by itself.
    pub self_resolved_at: Option<Time>,
    /// Why a person closed it.
    pub close_reason: Option<String>,
    /// How often the trouble came back.
    pub recurrences: i64,
    /// When it resolves itself.
    pub settle_at: Option<Time>,
    /// The true start of its trouble.
    pub began_at: Option<Time>,
    /// The ticket of a root that it went into.
    pub merged_into: Option<TicketId>,
    /// The priority that a person set, whatever its score.
    pub pinned: Option<Priority>,
    /// Who set that.
    pub pinned_by: Option<String>,
    /// Who acknowledged it.
    pub acknowledged_by: Option<String>,
    /// When that ends by itself.
    pub acknowledged_until: Option<Time>,
    /// Since when nobody acknowledged it, while nobody does.
    pub aging_since: Time,
    /// When it is worked on again by itself.
    pub waiting_until: Option<Time>,
    /// The devices out of reach behind its device, by name.
    pub affected: Vec<String>,
    /// Its newest outage.
    pub outage: Option<i64>,
}

const SELECT: &str =
    "SELECT t.id, t.kind, t.state, t.title, t.device_id, d.name, t.site_id, s.name, t.priority, t.score,
    t.assignee, t.opened_at, t.opened_by, t.acknowledged_at, t.touched_at, t.recovered_at, t.resolved_at,
    t.self_resolved_at, t.close_reason, t.recurrences, t.settle_at,
    (SELECT max(o.id) FROM outage o WHERE o.ticket_id = t.id), t.began_at, t.merged_into, t.pinned, t.pinned_by,
    t.acknowledged_by, t.acknowledged_until, coalesce(t.aging_since, t.opened_at), t.waiting_until
    FROM ticket t LEFT JOIN device d ON d.id = t.device_id LEFT JOIN site s ON s.id = t.site_id";

/// What a query for tickets may ask for, and where that stands.
pub const QUERY: &[Column] = &[
    Column::words("state", "t.state", State::NAMES),
    Column::words("priority", "t.priority", Priority::NAMES),
    Column::words("kind", "t.kind", Kind::NAMES),
    Column::text("device", "d.name").offering(offers::DEVICES),
    Column::text("site", "s.name").offering(offers::SITES),
    Column::text("assignee", "t.assignee")
        .offering("SELECT n.assignee AS v FROM (SELECT assignee FROM ticket ORDER BY id DESC LIMIT 10000) n"),
    Column::number("score", "t.score"),
    Column::number("recurrences", "t.recurrences"),
    Column::time("opened", "t.opened_at"),
    Column::time("recovered", "t.recovered_at"),
    Column::number("id", "t.id"),
    Column::number("merged_into", "t.merged_into"),
    Column::flag("acknowledged", "t.acknowledged_at IS NOT NULL"),
    Column::flag("pinned", "t.pinned IS NOT NULL"),
];

/// Where free text is looked for.
pub const TEXT: &[&str] = &["t.title", "d.name", "s.name"];

/// The tickets that are asked for; without another order those of the highest score first.
///
/// # Errors
/// The database's.
pub fn list(tx: &Tx, wanted: &Selection, page: &Page) -> Result<Vec<Ticket>> {
    let sql = format!("{SELECT} WHERE {} {}", wanted.sql(), page.sql("t.score DESC, t.id"));
    let mut all = tx.all(&sql, &wanted.args(), ticket)?;
    for ticket in &mut all {
        ticket.affected = affected(tx, ticket.id)?;
    }
    Ok(all)
}

/// The ticket of that id, which must be there.
///
/// # Errors
/// There is none, or the database's.
pub fn get(tx: &Tx, id: &str) -> Result<Ticket> {
    let found = match id.trim_start_matches('#').parse::<i64>() {
        Ok(number) => tx.maybe(&format!("{SELECT} WHERE t.id = $1"), args![number], ticket)?,
        Err(_) => None,
    };
    let mut found = found.ok_or_else(|| Error::not_found("ticket", id))?;
    found.affected = affected(tx, found.id)?;
    Ok(found)
}

/// The ticket of that number, which must be there.
///
/// # Errors
/// There is none, or the database's.
pub fn of(tx: &Tx, id: TicketId) -> Result<Ticket> {
    get(tx, &id.to_string())
}

fn affected(tx: &Tx, id: TicketId) -> Result<Vec<String>> {
    tx.all(
        "SELECT d.name FROM ticket_affected f JOIN device d ON d.id = f.device_id WHERE f.ticket_id = $1 ORDER BY d.name",
        args![id.0],
        |row| row.get(0),
    )
}

/// The outage ticket of a device that is not done, else its newest one.
///
/// # Errors
/// The database's.
pub fn newest_of(tx: &Tx, device: DeviceId) -> Result<Option<(TicketId, Newest)>> {
    tx.maybe(
        "SELECT id, state, self_resolved_at FROM ticket WHERE device_id = $1 AND kind = 'outage'
         ORDER BY CASE WHEN state IN ('open', 'waiting', 'recovered') THEN 0 ELSE 1 END, id DESC LIMIT 1",
        args![device.0],
        |row| Ok((TicketId(row.get(0)?), Newest { state: word(row, 1)?, self_resolved_at: row.get(2)? })),
    )
}

/// The outage ticket of a device that is not done.
///
/// # Errors
/// The database's.
pub fn unfinished_of(tx: &Tx, device: DeviceId) -> Result<Option<Ticket>> {
    let id = tx.maybe(
        "SELECT id FROM ticket WHERE device_id = $1 AND kind = 'outage' AND state IN ('open', 'waiting', 'recovered')",
        args![device.0],
        |row| Ok(TicketId(row.get(0)?)),
    )?;
    id.map(|id| of(tx, id)).transpose()
}

/// A ticket that is to be opened.
#[derive(Clone, Debug)]
pub struct New {
    /// What it is about.
    pub kind: Kind,
    /// Its title.
    pub title: String,
    /// The device it is about.
    pub device: Option<DeviceId>,
    /// The site it is about.
    pub site: Option<SiteId>,
}

/// Opens one.
///
/// # Errors
/// The title is none, or the database's.
pub fn open(
    tx: &WriteTx,
    new: &New,
    score: &Score,
    rescore_at: Option<Time>,
    began_at: Option<Time>,
    by: &Actor,
) -> Result<TicketId> {
    let title = new.title.trim();
    if title.is_empty() || title.chars().count() > MAX_TITLE || title.chars().any(char::is_control) {
        return Err(Error::usage(format!("a title has 1 to {MAX_TITLE} characters, all of them printable")));
    }
    let id = tx.id(
        "INSERT INTO ticket (kind, state, title, device_id, site_id, priority, score, opened_at, opened_by, rescore_at,
         aging_since, began_at) VALUES ($1, 'open', $2, $3, $4, $5, $6, $7, $8, $9, $7, $10) RETURNING id",
        args![
            new.kind.as_str(),
            title,
            new.device.map(|d| d.0),
            new.site.map(|s| s.0),
            score.priority().as_str(),
            i64::from(score.points()),
            tx.now,
            by.to_string(),
            rescore_at,
            began_at
        ],
    )?;
    let about = About { device: new.device, site: new.site, ticket: Some(TicketId(id)) };
    let body = json!({"title": title, "priority": score.priority().as_str(), "score": score.points(),
        "reasons": score.reasons});
    events::record(tx, by, Happened::TicketOpened, about, &body)?;
    Ok(TicketId(id))
}

/// What an event about a ticket is about.
#[must_use]
pub fn about(ticket: &Ticket) -> About {
    About {
        device: ticket.device.as_ref().map(|d| d.0),
        site: ticket.site.as_ref().map(|s| s.0),
        ticket: Some(ticket.id),
    }
}

fn ticket(row: &Row) -> Result<Ticket> {
    let device: Option<i64> = row.get(4)?;
    let device_name: Option<String> = row.get(5)?;
    let site: Option<i64> = row.get(6)?;
    let site_name: Option<String> = row.get(7)?;
    Ok(Ticket {
        id: TicketId(row.get(0)?),
        kind: word(row, 1)?,
        state: word(row, 2)?,
        title: row.get(3)?,
        device: device.map(|id| (DeviceId(id), device_name.unwrap_or_default())),
        site: site.map(|id| (SiteId(id), site_name.unwrap_or_default())),
        priority: word(row, 8)?,
        score: row.get(9)?,
        assignee: row.get(10)?,
        opened_at: row.get(11)?,
        opened_by: row.get(12)?,
        acknowledged_at: row.get(13)?,
        touched_at: row.get(14)?,
        recovered_at: row.get(15)?,
        resolved_at: row.get(16)?,
        self_resolved_at: row.get(17)?,
        close_reason: row.get(18)?,
        recurrences: row.get(19)?,
        settle_at: row.get(20)?,
        affected: Vec::new(),
        outage: row.get(21)?,
        began_at: row.get(22)?,
        merged_into: row.get::<Option<i64>>(23)?.map(TicketId),
        pinned: row.get::<Option<String>>(24)?.and_then(|word| word.parse().ok()),
        pinned_by: row.get(25)?,
        acknowledged_by: row.get(26)?,
        acknowledged_until: row.get(27)?,
        aging_since: row.get(28)?,
        waiting_until: row.get(29)?,
    })
}
