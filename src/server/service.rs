//! The service clock of tickets: until when somebody is to respond, and until when the trouble is to be over.

use schedules::{Millis, Time};
use serde_json::json;

use crate::domain::event::Kind as Happened;
use crate::domain::service::{Course, Promise, Tell, Why, stands};
use crate::domain::setting::Settings;
use crate::domain::ticket::{Kind, Priority};
use crate::store::events::{self, Actor};
use crate::store::service::{self, Clock};
use crate::store::tickets::{self, Ticket};
use crate::store::{Result, WriteTx};

/// Brings the service clock of a ticket up to date, after anything about the ticket changed. Doing so twice changes
/// nothing.
///
/// # Errors
/// The database's.
pub fn follow(tx: &WriteTx, settings: &Settings, ticket: &Ticket) -> Result<()> {
    // Whoever changed it may still hold it as it was.
    let ticket = tickets::of(tx, ticket.id)?;
    service::stand(tx, ticket.id, stands(ticket.state).map(|why| (why, since(&ticket, why, tx.now))))?;
    let was = service::find(tx, ticket.id)?.unwrap_or_default();
    let course = Course {
        calendar: &service::calendar(tx, ticket.site.as_ref().map(|site| site.0))?,
        from: ticket.opened_at,
        pauses: &service::pauses(tx, ticket.id)?,
        warn_at: settings.count("service.warn_at"),
    };
    let touched = [ticket.acknowledged_at, ticket.touched_at].into_iter().flatten().min();
    let responded_at = was.respond.done_at.or(touched);
    let target = target(settings, &ticket, RESPOND);
    let (respond, told, respond_look) = course.follow(was.respond, target, responded_at, tx.now);
    tell(tx, &ticket, &respond, told, (Happened::TicketResponseNearing, Happened::TicketResponseBreached))?;

    let resolved_at = ticket.resolved_at.filter(|_| ticket.self_resolved_at.is_none());
    let restored_at = match ticket.kind {
        Kind::Outage => ticket.recovered_at,
        Kind::Project | Kind::Request => resolved_at,
    };
    let target = self::target(settings, &ticket, RESTORE);
    let (restore, told, restore_look) = course.follow(was.restore, target, restored_at, tx.now);
    tell(tx, &ticket, &restore, told, (Happened::TicketRestoreNearing, Happened::TicketRestoreBreached))?;

    let look_at = [respond_look, restore_look].into_iter().flatten().min();
    service::save(tx, ticket.id, &Clock { respond, restore, resolved_at }, look_at)
}

/// Since when the clock stands.
fn since(ticket: &Ticket, why: Why, now: Time) -> Time {
    match why {
        Why::Waiting | Why::Merged => now,
        Why::Recovered => ticket.recovered_at.unwrap_or(now),
        Why::Done => ticket.resolved_at.unwrap_or(now),
    }
}

/// The settings of a promise, by priority.
type Targets = [&'static str; 5];

const RESPOND: Targets = [
    "service.respond_p1",
    "service.respond_p2",
    "service.respond_p3",
    "service.respond_p4",
    "service.respond_p5",
];
const RESTORE: Targets = [
    "service.restore_p1",
    "service.restore_p2",
    "service.restore_p3",
    "service.restore_p4",
    "service.restore_p5",
];

/// What is promised for a ticket of this priority. A project has its own plan.
fn target(settings: &Settings, ticket: &Ticket, [p1, p2, p3, p4, p5]: Targets) -> Option<Millis> {
    match ticket.kind {
        Kind::Outage | Kind::Request => {}
        Kind::Project => return None,
    }
    let key = match ticket.priority {
        Priority::P1 => p1,
        Priority::P2 => p2,
        Priority::P3 => p3,
        Priority::P4 => p4,
        Priority::P5 => p5,
    };
    Some(settings.span(key)).filter(|span| *span > Millis::ZERO)
}

/// Writes down what is to be told of a promise.
fn tell(
    tx: &WriteTx,
    ticket: &Ticket,
    promise: &Promise,
    told: Tell,
    (nearing, breached): (Happened, Happened),
) -> Result<()> {
    let kind = match told {
        Tell::Nothing => return Ok(()),
        Tell::Nearing => nearing,
        Tell::Breached => breached,
    };
    tracing::info!(ticket.id = ticket.id.0, what = %kind, "service clock");
    let body = json!({"due_at": promise.due_at, "promised_ms": promise.target, "done_at": promise.done_at,
        "priority": ticket.priority.as_str()});
    events::record(tx, &Actor::System, kind, tickets::about(ticket), &body)?;
    Ok(())
}
