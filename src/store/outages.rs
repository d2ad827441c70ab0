//! Outages: when a device was down, as the server saw it and as its agent told it.

use agent::report::AgentOutage;
use schedules::Time;
use serde_json::json;

use crate::domain::event::Kind as Happened;
use crate::domain::ids::{DeviceId, OutageId, TicketId};
use crate::domain::outage::Source;
use crate::store::events::{self, Actor};
use crate::store::filter::{Column, Page, Selection};
use crate::store::{Error, Result, Row, Tx, WriteTx, args, offers, verdicts, word};

/// An interval in which a device was down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outage {
    /// Its number.
    pub id: OutageId,
    /// The device, and its name.
    pub device: (DeviceId, String),
    /// Who knows of it.
    pub source: Source,
    /// The first failed proof.
    pub started_at: Time,
    /// The first good proof; absent while it lasts.
    pub ended_at: Option<Time>,
    /// Why, as far as is known.
    pub reason: String,
    /// How many tries the agent counted, where it told of it.
    pub tries: Option<i64>,
    /// Its ticket.
    pub ticket: Option<TicketId>,
}

const SELECT: &str =
    "SELECT o.id, o.device_id, d.name, o.source, o.started_at, o.ended_at, o.reason, o.tries, o.ticket_id
    FROM outage o JOIN device d ON d.id = o.device_id";

/// What a query for outages may ask for, and where that stands.
pub const QUERY: &[Column] = &[
    Column::text("device", "d.name").offering(offers::DEVICES),
    Column::words("source", "o.source", Source::NAMES),
    Column::flag("open", "o.ended_at IS NULL"),
    Column::flag("retracted", "o.retracted_at IS NOT NULL"),
    Column::time("started", "o.started_at"),
    Column::time("ended", "o.ended_at"),
    Column::number("ticket", "o.ticket_id"),
    Column::number("id", "o.id"),
];

/// Where free text is looked for.
pub const TEXT: &[&str] = &["d.name", "o.reason"];

/// The outages that are asked for.
///
/// # Errors
/// The database's.
pub fn list(tx: &Tx, wanted: &Selection, page: &Page) -> Result<Vec<Outage>> {
    tx.all(
        &format!("{SELECT} WHERE {} {}", wanted.sql(), page.sql("o.started_at, o.id")),
        &wanted.args(),
        outage,
    )
}

/// The outage of that id, which must be there.
///
/// # Errors
/// There is none, or the database's.
pub fn get(tx: &Tx, id: &str) -> Result<Outage> {
    let found = match id.parse::<i64>() {
        Ok(number) => tx.maybe(&format!("{SELECT} WHERE o.id = $1"), args![number], outage)?,
        Err(_) => None,
    };
    found.ok_or_else(|| Error::not_found("outage", id))
}

/// The one of a device that lasts, as the server sees it.
///
/// # Errors
/// The database's.
pub fn open_of(tx: &Tx, device: DeviceId) -> Result<Option<Outage>> {
    tx.maybe(
        &format!("{SELECT} WHERE o.device_id = $1 AND o.ended_at IS NULL AND o.source = 'seen'"),
        args![device.0],
        outage,
    )
}

/// Begins one. `ticket_at`: when a ticket is due for it.
///
/// # Errors
/// The database's.
pub fn begin(
    tx: &WriteTx,
    device: DeviceId,
    started_at: Time,
    reason: &str,
    ticket_at: Option<Time>,
    by: &Actor,
) -> Result<OutageId> {
    let id = tx.id(
        "INSERT INTO outage (device_id, source, started_at, reason, ticket_at, verdict_at)
         VALUES ($1, 'seen', $2, $3, $4, $5) RETURNING id",
        args![device.0, started_at, reason, ticket_at, tx.now],
    )?;
    let body = json!({"outage": id, "started_at": started_at, "reason": reason});
    events::record(tx, by, Happened::OutageBegan, device.into(), &body)?;
    verdicts::judge_neighbours_soon(tx, device)?;
    Ok(OutageId(id))
}

/// Ends the one of a device that lasts, if one does.
///
/// # Errors
/// The database's.
pub fn end(tx: &WriteTx, device: DeviceId, ended_at: Time, by: &Actor) -> Result<Option<Outage>> {
    let Some(open) = open_of(tx, device)? else { return Ok(None) };
    let ended_at = ended_at.max(open.started_at);
    tx.run(
        "UPDATE outage SET ended_at = $2, ticket_at = NULL, verdict_at = $3 WHERE id = $1",
        args![open.id.0, ended_at, tx.now],
    )?;
    let body = json!({"outage": open.id.0, "started_at": open.started_at, "ended_at": ended_at,
        "duration_ms": ended_at.since(open.started_at)});
    events::record(tx, by, Happened::OutageEnded, device.into(), &body)?;
    Ok(Some(Outage { ended_at: Some(ended_at), ..open }))
}

/// Says when a ticket is due for the outage of a device that lasts; `None`: none is.
///
/// # Errors
/// The database's.
pub fn ticket_due(tx: &WriteTx, id: OutageId, at: Option<Time>) -> Result<()> {
    tx.run("UPDATE outage SET ticket_at = $2 WHERE id = $1", args![id.0, at])?;
    Ok(())
}

/// Whether a ticket was put off for an outage of a device because the device was being worked on.
///
/// # Errors
/// The database's.
pub fn waits_for_ticket(tx: &Tx, device: DeviceId) -> Result<bool> {
    let put_off = tx.maybe(
        "SELECT put_off FROM outage WHERE device_id = $1 AND ended_at IS NULL AND source = 'seen' AND ticket_at > $2",
        args![device.0, tx.now],
        |row| row.get::<i64>(0),
    )?;
    Ok(put_off == Some(1))
}

/// Puts the ticket of an outage off until then: the device is being worked on.
///
/// # Errors
/// The database's.
pub fn put_ticket_off(tx: &WriteTx, id: OutageId, until: Time) -> Result<()> {
    tx.run("UPDATE outage SET ticket_at = $2, put_off = 1 WHERE id = $1", args![id.0, until])?;
    Ok(())
}

/// A ticket that was put off is due at once.
///
/// # Errors
/// The database's.
pub fn ticket_due_at_once(tx: &WriteTx, device: DeviceId) -> Result<()> {
    tx.run(
        "UPDATE outage SET ticket_at = $2, put_off = 0 WHERE device_id = $1 AND ended_at IS NULL AND source = 'seen'",
        args![device.0, tx.now],
    )?;
    Ok(())
}

/// Ties an outage to its ticket.
///
/// # Errors
/// The database's.
pub fn set_ticket(tx: &WriteTx, id: OutageId, ticket: TicketId) -> Result<()> {
    tx.run("UPDATE outage SET ticket_id = $2, ticket_at = NULL WHERE id = $1", args![id.0, ticket.0])?;
    Ok(())
}

/// The outages for which a ticket is due by `now`.
///
/// # Errors
/// The database's.
pub fn tickets_due(tx: &Tx, now: Time, limit: u32) -> Result<Vec<Outage>> {
    tx.all(
        &format!(
            "{SELECT} WHERE o.ticket_at <= $1 AND o.ended_at IS NULL ORDER BY o.ticket_at, o.id LIMIT {limit}"
        ),
        args![now],
        outage,
    )
}

/// When the next ticket is due.
///
/// # Errors
/// The database's.
pub fn next_ticket_due(tx: &Tx) -> Result<Option<Time>> {
    tx.one("SELECT min(ticket_at) FROM outage WHERE ticket_at IS NOT NULL", args![], |row| row.get(0))
}

/// Keeps what an agent tells of having been cut off: beside what the server saw, never over it. `began`: when it began by
/// the device's clock. One that it told of before is brought up to date: its records may have been on their way for
/// longer the last time, so the earlier beginning is right.
///
/// # Errors
/// The database's.
pub fn told(tx: &WriteTx, device: DeviceId, began: Time, told: &AgentOutage, by: &Actor) -> Result<()> {
    let known = tx.maybe(
        "SELECT id, started_at FROM outage WHERE device_id = $1 AND source = 'agent'
         AND (told_began = $2 OR (told_began IS NULL AND abs(started_at - $3) < 1000)) ORDER BY id DESC LIMIT 1",
        args![device.0, began, told.began_at],
        |row| Ok((row.get::<i64>(0)?, row.get::<Time>(1)?)),
    )?;
    let (tries, reason) = (i64::from(told.tries), told.reason.as_str());
    let began_at = known.map_or(told.began_at, |(_, at)| at.min(told.began_at));
    let ended_at = told.ended_at.map(|at| at.max(began_at));
    let id = match known {
        Some((id, _)) => {
            tx.run(
                "UPDATE outage SET started_at = $2, ended_at = $3, tries = $4, reason = $5, told_began = $6,
                 verdict_at = $7 WHERE id = $1",
                args![id, began_at, ended_at, tries, reason, began, tx.now],
            )?;
            id
        }
        None => tx.id(
            "INSERT INTO outage (device_id, source, started_at, ended_at, reason, tries, told_began, verdict_at)
             VALUES ($1, 'agent', $2, $3, $4, $5, $6, $7) RETURNING id",
            args![device.0, began_at, ended_at, reason, tries, began, tx.now],
        )?,
    };
    let body =
        json!({"outage": id, "began_at": began_at, "ended_at": ended_at, "tries": tries, "reason": reason});
    events::record(tx, by, Happened::AgentCutOff, device.into(), &body)?;
    Ok(())
}

fn outage(row: &Row) -> Result<Outage> {
    Ok(Outage {
        id: OutageId(row.get(0)?),
        device: (DeviceId(row.get(1)?), row.get(2)?),
        source: word(row, 3)?,
        started_at: row.get(4)?,
        ended_at: row.get(5)?,
        reason: row.get(6)?,
        tries: row.get(7)?,
        ticket: row.get::<Option<i64>>(8)?.map(TicketId),
    })
}
