//! What a ticket does by itself: it follows the network.

use std::collections::BTreeSet;

use schedules::Time;
use serde_json::json;

use super::{SELECT, Ticket, about, resume, ticket, unacknowledge};
use crate::domain::device::Importance;
use crate::domain::event::Kind as Happened;
use crate::domain::ids::{DeviceId, TicketId};
use crate::domain::ticket::{Score, State};
use crate::store::events::{self, Actor};
use crate::store::{Result, Tx, WriteTx, args, word};

/// Sets a ticket's score, with an event if its priority is another one now.
///
/// # Errors
/// The database's.
pub fn set_score(
    tx: &WriteTx,
    ticket: &Ticket,
    score: &Score,
    rescore_at: Option<Time>,
    by: &Actor,
) -> Result<()> {
    let priority = ticket.pinned.unwrap_or_else(|| score.priority());
    tx.run(
        "UPDATE ticket SET priority = $2, score = $3, rescore_at = $4 WHERE id = $1",
        args![ticket.id.0, priority.as_str(), i64::from(score.points()), rescore_at],
    )?;
    if priority != ticket.priority {
        let body = json!({"from": ticket.priority.as_str(), "to": priority.as_str(), "score": score.points(),
            "reasons": score.reasons});
        events::record(tx, by, Happened::TicketPriority, about(ticket), &body)?;
    }
    Ok(())
}

/// The device of an open ticket came back by itself. `settle_at`: when it resolves itself.
///
/// # Errors
/// The database's.
pub fn recovered(tx: &WriteTx, ticket: &Ticket, at: Time, settle_at: Option<Time>, by: &Actor) -> Result<()> {
    let rows = tx.run(
        "UPDATE ticket SET state = 'recovered', recovered_at = $2, settle_at = $3, waiting_until = NULL WHERE id = $1 AND state IN ('open', 'waiting')",
        args![ticket.id.0, at, settle_at],
    )?;
    if rows == 1 {
        let body = json!({"recovered_at": at, "settle_at": settle_at});
        events::record(tx, by, Happened::TicketRecovered, about(ticket), &body)?;
    }
    Ok(())
}

/// Says when a recovered ticket resolves itself; `None`: it does not for now.
///
/// # Errors
/// The database's.
pub fn set_settle(tx: &WriteTx, id: TicketId, at: Option<Time>) -> Result<()> {
    tx.run("UPDATE ticket SET settle_at = $2 WHERE id = $1 AND state = 'recovered'", args![id.0, at])?;
    Ok(())
}

/// The trouble is back: the ticket is open again, its recurrence counted, and nobody has acknowledged that.
///
/// # Errors
/// The database's.
pub fn relapse(tx: &WriteTx, ticket: &Ticket, by: &Actor) -> Result<()> {
    tx.run(
        "UPDATE ticket SET state = 'open', recurrences = recurrences + 1, recovered_at = NULL, resolved_at = NULL,
         self_resolved_at = NULL, settle_at = NULL, acknowledged_at = NULL, acknowledged_by = NULL,
         acknowledged_until = NULL, waiting_until = NULL, aging_since = $2 WHERE id = $1",
        args![ticket.id.0, tx.now],
    )?;
    let body = json!({"recurrences": ticket.recurrences + 1, "was": ticket.state.as_str()});
    events::record(tx, by, Happened::TicketReopened, about(ticket), &body)?;
    Ok(())
}

/// A ticket goes into the ticket of a root, and follows it from now on; false where it is done already.
///
/// # Errors
/// The database's.
pub fn merge(tx: &WriteTx, ticket: &Ticket, into: &Ticket, by: &Actor) -> Result<bool> {
    let rows = tx.run(
        "UPDATE ticket SET state = 'merged', merged_into = $2, settle_at = NULL, rescore_at = NULL, waiting_until = NULL
         WHERE id = $1 AND id <> $2 AND state IN ('open', 'waiting', 'recovered')",
        args![ticket.id.0, into.id.0],
    )?;
    if rows == 0 {
        return Ok(false);
    }
    tx.run("UPDATE ticket SET merged_into = $2 WHERE merged_into = $1", args![ticket.id.0, into.id.0])?;
    let body = json!({"into": into.id.0, "into_title": into.title, "was": ticket.state.as_str()});
    events::record(tx, by, Happened::TicketMerged, about(ticket), &body)?;
    Ok(true)
}

/// A merged ticket is a trouble of its own again.
///
/// # Errors
/// The database's.
pub fn unmerge(tx: &WriteTx, ticket: &Ticket, by: &Actor) -> Result<()> {
    let rows = tx.run(
        "UPDATE ticket SET state = 'open', merged_into = NULL, aging_since = $2, acknowledged_at = NULL,
         acknowledged_by = NULL, acknowledged_until = NULL WHERE id = $1 AND state = 'merged'",
        args![ticket.id.0, tx.now],
    )?;
    if rows == 1 {
        let body = json!({"from": ticket.merged_into.map(|id| id.0), "began_at": ticket.began_at});
        events::record(tx, by, Happened::TicketUnmerged, about(ticket), &body)?;
    }
    Ok(())
}

/// What a person said of a ticket has run out: an acknowledgement, or a wait.
///
/// # Errors
/// The database's.
pub fn run_out(tx: &WriteTx, ticket: &Ticket, by: &Actor) -> Result<()> {
    if ticket.acknowledged_at.is_some() && ticket.acknowledged_until.is_some_and(|at| at <= tx.now) {
        unacknowledge(tx, ticket, by)?;
    }
    if ticket.state == State::Waiting && ticket.waiting_until.is_some_and(|at| at <= tx.now) {
        resume(tx, ticket, by)?;
    }
    Ok(())
}

/// Asks for the tickets of a device, and of all above it, to be looked at: who is affected, what it comes to.
///
/// # Errors
/// The database's.
pub fn look_soon(tx: &WriteTx, device: DeviceId) -> Result<()> {
    let any =
        "SELECT 1 FROM ticket WHERE kind = 'outage' AND state IN ('open', 'waiting', 'recovered') LIMIT 1";
    if tx.maybe(any, args![], |row| row.get::<i64>(0))?.is_none() {
        return Ok(());
    }
    tx.run(
        "UPDATE ticket SET rescore_at = $2 WHERE kind = 'outage' AND state IN ('open', 'waiting', 'recovered')
         AND device_id IN (WITH RECURSIVE above (id) AS (SELECT d.id FROM device d WHERE d.id = $1
         UNION SELECT p.parent_id FROM above a JOIN device_parent p ON p.device_id = a.id) SELECT id FROM above)",
        args![device.0, tx.now],
    )?;
    Ok(())
}

/// The tickets that are not done of the devices that a ticket lists as affected.
///
/// # Errors
/// The database's.
pub fn unfinished_of_affected(tx: &Tx, id: TicketId) -> Result<Vec<TicketId>> {
    tx.all(
        "SELECT t.id FROM ticket_affected f JOIN ticket t ON t.device_id = f.device_id WHERE f.ticket_id = $1
         AND t.id <> $1 AND t.kind = 'outage' AND t.state IN ('open', 'waiting', 'recovered') ORDER BY t.id",
        args![id.0],
        |row| Ok(TicketId(row.get(0)?)),
    )
}

/// A recovered ticket resolves itself; false where somebody touched it meanwhile.
///
/// # Errors
/// The database's.
pub fn self_resolve(tx: &WriteTx, ticket: &Ticket, by: &Actor) -> Result<bool> {
    let rows = tx.run(
        "UPDATE ticket SET state = 'resolved', resolved_at = $2, self_resolved_at = $2, settle_at = NULL, rescore_at = NULL
         WHERE id = $1 AND state = 'recovered' AND touched_at IS NULL",
        args![ticket.id.0, tx.now],
    )?;
    if rows == 1 {
        events::record(tx, by, Happened::TicketResolved, about(ticket), &json!({"by_itself": true}))?;
    }
    Ok(rows == 1)
}

/// The devices out of reach behind a device: whatever hangs on it, at any depth, and is unreachable, and how important
/// each is.
///
/// # Errors
/// The database's.
pub fn out_behind(tx: &Tx, device: DeviceId) -> Result<Vec<(DeviceId, Importance)>> {
    tx.all(
        "WITH RECURSIVE behind (id) AS (SELECT p.device_id FROM device_parent p JOIN device d ON d.id = p.device_id
         WHERE p.parent_id = $1 AND d.state = 'unreachable'
         UNION SELECT p.device_id FROM behind b JOIN device_parent p ON p.parent_id = b.id
         JOIN device d ON d.id = p.device_id WHERE d.state = 'unreachable')
         SELECT d.id, d.importance FROM behind b JOIN device d ON d.id = b.id ORDER BY d.id",
        args![device.0],
        |row| Ok((DeviceId(row.get(0)?), word(row, 1)?)),
    )
}

/// Lists `devices` on a ticket as affected, and no others.
///
/// # Errors
/// The database's.
pub fn set_affected(tx: &WriteTx, id: TicketId, devices: &[DeviceId]) -> Result<()> {
    let before: BTreeSet<i64> = tx
        .all("SELECT device_id FROM ticket_affected WHERE ticket_id = $1", args![id.0], |row| row.get(0))?
        .into_iter()
        .collect();
    let wanted: BTreeSet<i64> = devices.iter().map(|device| device.0).collect();
    for gone in before.difference(&wanted) {
        tx.run("DELETE FROM ticket_affected WHERE ticket_id = $1 AND device_id = $2", args![id.0, *gone])?;
    }
    for new in wanted.difference(&before) {
        tx.run("INSERT INTO ticket_affected (ticket_id, device_id) VALUES ($1, $2)", args![id.0, *new])?;
    }
    Ok(())
}

/// The tickets that resolve themselves, or whose age changes their score, by `now`.
///
/// # Errors
/// The database's.
pub fn due(tx: &Tx, now: Time, limit: u32) -> Result<Vec<Ticket>> {
    tx.all(
        &format!("{SELECT} WHERE t.settle_at <= $1 OR t.rescore_at <= $1 ORDER BY t.id LIMIT {limit}"),
        args![now],
        ticket,
    )
}

/// When the next ticket is to be looked at.
///
/// # Errors
/// The database's.
pub fn next_due(tx: &Tx) -> Result<Option<Time>> {
    let settle: Option<Time> =
        tx.one("SELECT min(settle_at) FROM ticket WHERE settle_at IS NOT NULL", args![], |row| row.get(0))?;
    let rescore: Option<Time> =
        tx.one("SELECT min(rescore_at) FROM ticket WHERE rescore_at IS NOT NULL", args![], |row| row.get(0))?;
    Ok([settle, rescore].into_iter().flatten().min())
}
