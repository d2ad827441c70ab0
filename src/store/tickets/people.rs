//! What people do with a ticket.

use schedules::Time;
use serde_json::json;

use super::{Kind, MAX_COMMENT, Ticket, about, unfinished_of};
use crate::domain::event::Kind as Happened;
use crate::domain::ids::TicketId;
use crate::domain::ticket::{Priority, State};
use crate::store::events::{self, Actor};
use crate::store::{Error, Result, Tx, WriteTx, args};

/// How a person ends a ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The work is done.
    Resolved,
    /// Nobody has to look at it any more.
    Closed,
}

/// A person ends it.
///
/// # Errors
/// It is done already, or the database's.
pub fn end(tx: &WriteTx, ticket: &Ticket, how: End, reason: Option<&str>, by: &Actor) -> Result<()> {
    let (state, from, kind) = match how {
        End::Resolved => (State::Resolved, "'open', 'waiting', 'recovered'", Happened::TicketResolved),
        End::Closed => (State::Closed, "'open', 'waiting', 'recovered', 'resolved'", Happened::TicketClosed),
    };
    let rows = tx.run(
        &format!(
            "UPDATE ticket SET state = $4, resolved_at = coalesce(resolved_at, $2), touched_at = coalesce(touched_at, $2),
             acknowledged_at = coalesce(acknowledged_at, $2), close_reason = $3, settle_at = NULL, rescore_at = NULL,
             waiting_until = NULL WHERE id = $1 AND state IN ({from})"
        ),
        args![ticket.id.0, tx.now, reason, state.as_str()],
    )?;
    if rows == 0 {
        return Err(Error::Conflict(format!("ticket {} is {} already", ticket.id, ticket.state)));
    }
    let body = json!({"reason": reason, "by_itself": false});
    events::record(tx, by, kind, about(ticket), &body)?;
    Ok(())
}

/// A person opens it again.
///
/// # Errors
/// It is not done, its device has another ticket by now, or the database's.
pub fn reopen(tx: &WriteTx, ticket: &Ticket, by: &Actor) -> Result<()> {
    if !ticket.state.is_done() {
        return Err(Error::Conflict(format!("ticket {} is {} already", ticket.id, ticket.state)));
    }
    if ticket.kind == Kind::Outage
        && let Some((device, name)) = &ticket.device
        && let Some(other) = unfinished_of(tx, *device)?
    {
        return Err(Error::refused(format!(
            "device '{name}' has ticket {} by now: one trouble has one ticket",
            other.id
        )));
    }
    tx.run(
        "UPDATE ticket SET state = 'open', resolved_at = NULL, self_resolved_at = NULL, close_reason = NULL,
         recovered_at = NULL, merged_into = NULL, aging_since = $2, touched_at = coalesce(touched_at, $2) WHERE id = $1",
        args![ticket.id.0, tx.now],
    )?;
    events::record(tx, by, Happened::TicketReopened, about(ticket), &json!({"was": ticket.state.as_str()}))?;
    Ok(())
}

/// Gives it to somebody, or to nobody. Whoever is known here and has it has acknowledged it; with somebody whom nobody
/// knows it is in nobody's hands yet, so that others are still told.
///
/// # Errors
/// The database's.
pub fn assign(tx: &WriteTx, ticket: &Ticket, to: Option<&str>, by: &Actor) -> Result<()> {
    let knows = match to {
        Some(name) => name == by.name() || is_known(tx, name)?,
        None => false,
    };
    let acknowledged_by = to.filter(|_| knows);
    tx.run(
        "UPDATE ticket SET assignee = $2, touched_at = coalesce(touched_at, $3), settle_at = NULL,
         acknowledged_at = CASE WHEN $4 IS NULL THEN acknowledged_at ELSE coalesce(acknowledged_at, $3) END,
         acknowledged_by = CASE WHEN $4 IS NULL THEN acknowledged_by ELSE coalesce(acknowledged_by, $4) END WHERE id = $1",
        args![ticket.id.0, to, tx.now, acknowledged_by],
    )?;
    let body = json!({"from": ticket.assignee, "to": to});
    events::record(tx, by, Happened::TicketAssigned, about(ticket), &body)?;
    Ok(())
}

/// Whether somebody of that name is known: a user, whoever is told, or the person whom a notification reaches.
///
/// # Errors
/// The database's.
pub fn is_known(tx: &Tx, name: &str) -> Result<bool> {
    let sql = "SELECT 1 FROM user WHERE lower(name) = lower($1) AND disabled_at IS NULL
         UNION SELECT 1 FROM notify_entry WHERE lower(name) = lower($1) OR lower(person) = lower($1) LIMIT 1";
    Ok(tx.maybe(sql, args![name], |row| row.get::<i64>(0))?.is_some())
}

/// One thing somebody wrote on a ticket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comment {
    /// When.
    pub at: Time,
    /// Who.
    pub author: String,
    /// What.
    pub text: String,
}

/// A person writes on it, and so has touched and acknowledged it.
///
/// # Errors
/// There is nothing to write, or too much, or the database's.
pub fn comment(tx: &WriteTx, ticket: &Ticket, text: &str, by: &Actor) -> Result<()> {
    let text = text.trim();
    if text.is_empty() {
        return Err(Error::usage("a comment must not be empty".to_owned()));
    }
    if text.len() > MAX_COMMENT {
        return Err(Error::usage(format!(
            "a comment has at most {} KiB, this has {}",
            MAX_COMMENT / 1024,
            text.len() / 1024
        )));
    }
    tx.run(
        "INSERT INTO ticket_comment (ticket_id, at, author, text) VALUES ($1, $2, $3, $4)",
        args![ticket.id.0, tx.now, by.name(), text],
    )?;
    tx.run(
        "UPDATE ticket SET touched_at = coalesce(touched_at, $2), acknowledged_at = coalesce(acknowledged_at, $2),
         acknowledged_by = coalesce(acknowledged_by, $3), settle_at = NULL WHERE id = $1",
        args![ticket.id.0, tx.now, by.name()],
    )?;
    events::record(tx, by, Happened::TicketCommented, about(ticket), &json!({"text": text}))?;
    Ok(())
}

/// What is written on a ticket, oldest first.
///
/// # Errors
/// The database's.
pub fn comments(tx: &Tx, id: TicketId) -> Result<Vec<Comment>> {
    tx.all(
        "SELECT at, author, text FROM ticket_comment WHERE ticket_id = $1 ORDER BY id",
        args![id.0],
        |row| Ok(Comment { at: row.get(0)?, author: row.get(1)?, text: row.get(2)? }),
    )
}

/// Text that explains something on a ticket, where there is any, as a comment.
fn note(tx: &WriteTx, ticket: &Ticket, text: Option<&str>, by: &Actor) -> Result<()> {
    match text.map(str::trim).filter(|text| !text.is_empty()) {
        Some(text) => comment(tx, ticket, text, by),
        None => Ok(()),
    }
}

/// A person knows of it: nobody has to be told any more. `until`: when that ends by itself.
///
/// # Errors
/// It is done, `until` is past, the note is too long, or the database's.
pub fn acknowledge(
    tx: &WriteTx,
    ticket: &Ticket,
    text: Option<&str>,
    until: Option<Time>,
    by: &Actor,
) -> Result<()> {
    refuse_done(ticket)?;
    if until.is_some_and(|until| until <= tx.now) {
        return Err(Error::usage("an acknowledgement ends in the future".to_owned()));
    }
    note(tx, ticket, text, by)?;
    tx.run(
        "UPDATE ticket SET acknowledged_at = coalesce(acknowledged_at, $2), acknowledged_by = $3, acknowledged_until = $4,
         touched_at = coalesce(touched_at, $2), settle_at = NULL WHERE id = $1",
        args![ticket.id.0, tx.now, by.name(), until],
    )?;
    let body = json!({"note": text, "until": until});
    events::record(tx, by, Happened::TicketAcknowledged, about(ticket), &body)?;
    Ok(())
}

/// Nobody acknowledges it any more.
///
/// # Errors
/// Nobody did, or the database's.
pub fn unacknowledge(tx: &WriteTx, ticket: &Ticket, by: &Actor) -> Result<()> {
    let rows = tx.run(
        "UPDATE ticket SET acknowledged_at = NULL, acknowledged_by = NULL, acknowledged_until = NULL, aging_since = $2
         WHERE id = $1 AND acknowledged_at IS NOT NULL",
        args![ticket.id.0, tx.now],
    )?;
    if rows == 0 {
        return Err(Error::Conflict(format!("nobody has acknowledged ticket {}", ticket.id)));
    }
    let body = json!({"was_by": ticket.acknowledged_by, "until": ticket.acknowledged_until});
    events::record(tx, by, Happened::TicketUnacknowledged, about(ticket), &body)?;
    Ok(())
}

/// A person says what its priority is, whatever its score; `None`: it follows its score again.
///
/// # Errors
/// It is done, or the database's.
pub fn pin(
    tx: &WriteTx,
    ticket: &Ticket,
    priority: Option<Priority>,
    text: Option<&str>,
    by: &Actor,
) -> Result<()> {
    refuse_done(ticket)?;
    note(tx, ticket, text, by)?;
    let who = priority.map(|_| by.name());
    tx.run(
        "UPDATE ticket SET pinned = $2, pinned_by = $3, touched_at = coalesce(touched_at, $4), settle_at = NULL WHERE id = $1",
        args![ticket.id.0, priority.map(Priority::as_str), who.as_deref(), tx.now],
    )?;
    let kind = if priority.is_some() { Happened::TicketPinned } else { Happened::TicketUnpinned };
    let body =
        json!({"priority": priority.map(Priority::as_str), "was": ticket.priority.as_str(), "note": text});
    events::record(tx, by, kind, about(ticket), &body)?;
    Ok(())
}

/// It waits for somebody else, `until` then or until a person says so: its service clock stands.
///
/// # Errors
/// It is not open, `until` is past, the note is too long, or the database's.
pub fn wait(
    tx: &WriteTx,
    ticket: &Ticket,
    text: Option<&str>,
    until: Option<Time>,
    by: &Actor,
) -> Result<()> {
    if until.is_some_and(|until| until <= tx.now) {
        return Err(Error::usage("a ticket waits until a moment in the future".to_owned()));
    }
    note(tx, ticket, text, by)?;
    let rows = tx.run(
        "UPDATE ticket SET state = 'waiting', waiting_until = $2, touched_at = coalesce(touched_at, $3), settle_at = NULL
         WHERE id = $1 AND state IN ('open', 'waiting')",
        args![ticket.id.0, until, tx.now],
    )?;
    if rows == 0 {
        return Err(Error::Conflict(format!(
            "ticket {} is {}: only an open one waits",
            ticket.id, ticket.state
        )));
    }
    let body = json!({"note": text, "until": until});
    events::record(tx, by, Happened::TicketWaiting, about(ticket), &body)?;
    Ok(())
}

/// A waiting ticket is worked on again.
///
/// # Errors
/// It does not wait, or the database's.
pub fn resume(tx: &WriteTx, ticket: &Ticket, by: &Actor) -> Result<()> {
    let rows = tx.run(
        "UPDATE ticket SET state = 'open', waiting_until = NULL WHERE id = $1 AND state = 'waiting'",
        args![ticket.id.0],
    )?;
    if rows == 0 {
        return Err(Error::Conflict(format!("ticket {} is {}: it does not wait", ticket.id, ticket.state)));
    }
    events::record(tx, by, Happened::TicketResumed, about(ticket), &json!({}))?;
    Ok(())
}

fn refuse_done(ticket: &Ticket) -> Result<()> {
    if ticket.state.is_done() {
        return Err(Error::Conflict(format!("ticket {} is {} already", ticket.id, ticket.state)));
    }
    Ok(())
}
