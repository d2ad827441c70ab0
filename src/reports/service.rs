//! The service clock of a ticket, as its record shows it.

use exports::{Column, Value};

use crate::domain::ids::TicketId;
use crate::domain::service::{paused, worked};
use crate::reports::maybe_time;
use crate::store::{Result, Tx, service, tickets};

/// What the service clock of a ticket says: columns, and a value for each. All of it is null where nothing is known.
///
/// # Errors
/// There is no such ticket, or the database's.
pub fn values(tx: &Tx, ticket: TicketId) -> Result<(Vec<Column>, Vec<Value>)> {
    let columns = vec![
        Column::time("respond_due_at", "RESPOND UNTIL").hidden(),
        Column::time("responded_at", "RESPONDED").hidden(),
        Column::bool("response_breached", "RESPONSE BROKEN").hidden().moving(),
        Column::time("restore_due_at", "RESTORE UNTIL").hidden(),
        Column::time("restored_at", "RESTORED").hidden(),
        Column::bool("restore_breached", "RESTORE BROKEN").hidden().moving(),
        Column::time("resolved_by_person_at", "RESOLVED BY A PERSON").hidden(),
        Column::span("paused_ms", "PAUSED").hidden().moving(),
        Column::span("service_ms", "SERVICE TIME").hidden().moving(),
    ];
    let Some(clock) = service::find(tx, ticket)? else {
        let values = vec![Value::Null; columns.len()];
        return Ok((columns, values));
    };
    let found = tickets::of(tx, ticket)?;
    let calendar = service::calendar(tx, found.site.as_ref().map(|site| site.0))?;
    let pauses = service::pauses(tx, ticket)?;
    let end = clock.restore.done_at.unwrap_or(tx.now).max(found.opened_at);
    let values = vec![
        maybe_time(clock.respond.due_at),
        maybe_time(clock.respond.done_at),
        clock.respond.breached(tx.now).into(),
        maybe_time(clock.restore.due_at),
        maybe_time(clock.restore.done_at),
        clock.restore.breached(tx.now).into(),
        maybe_time(clock.resolved_at),
        Value::Span(paused(found.opened_at, end, &pauses).0),
        Value::Span(worked(&calendar, found.opened_at, end, &pauses).0),
    ];
    Ok((columns, values))
}
