//! The service clock of tickets: what was promised, what came of it, and when the clock stood.

use jiff::tz::TimeZone;
use schedules::Time;

use crate::domain::ids::{SiteId, TicketId};
use crate::domain::service::{Calendar, Pause, Promise, Why};
use crate::store::{Result, Row, Tx, WriteTx, args, sites, word};

/// The service clock of a ticket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Clock {
    /// That somebody responds.
    pub respond: Promise,
    /// That the trouble is over.
    pub restore: Promise,
    /// When a person resolved the ticket.
    pub resolved_at: Option<Time>,
}

/// The service clock of a ticket, once it has one.
///
/// # Errors
/// The database's.
pub fn find(tx: &Tx, ticket: TicketId) -> Result<Option<Clock>> {
    let promise = |row: &Row<'_>, at: usize| {
        Ok(Promise {
            target: row.get(at)?,
            due_at: row.get(at + 1)?,
            done_at: row.get(at + 2)?,
            nearing_at: row.get(at + 3)?,
            breached_at: row.get(at + 4)?,
        })
    };
    tx.maybe(
        "SELECT respond_ms, respond_due_at, responded_at, respond_nearing_at, respond_breached_at,
         restore_ms, restore_due_at, restored_at, restore_nearing_at, restore_breached_at, resolved_at
         FROM ticket_service WHERE ticket_id = $1",
        args![ticket.0],
        |row| Ok(Clock { respond: promise(row, 0)?, restore: promise(row, 5)?, resolved_at: row.get(10)? }),
    )
}

/// Writes down the service clock of a ticket, and when to look at it again.
///
/// # Errors
/// The database's.
pub fn save(tx: &WriteTx, ticket: TicketId, clock: &Clock, look_at: Option<Time>) -> Result<()> {
    let Clock { respond, restore, resolved_at } = clock;
    tx.run(
        "INSERT INTO ticket_service (ticket_id, respond_ms, respond_due_at, responded_at, respond_nearing_at,
         respond_breached_at, restore_ms, restore_due_at, restored_at, restore_nearing_at, restore_breached_at,
         resolved_at, look_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
         ON CONFLICT (ticket_id) DO UPDATE SET respond_ms = excluded.respond_ms,
         respond_due_at = excluded.respond_due_at, responded_at = excluded.responded_at,
         respond_nearing_at = excluded.respond_nearing_at, respond_breached_at = excluded.respond_breached_at,
         restore_ms = excluded.restore_ms, restore_due_at = excluded.restore_due_at,
         restored_at = excluded.restored_at, restore_nearing_at = excluded.restore_nearing_at,
         restore_breached_at = excluded.restore_breached_at, resolved_at = excluded.resolved_at,
         look_at = excluded.look_at",
        args![
            ticket.0,
            respond.target,
            respond.due_at,
            respond.done_at,
            respond.nearing_at,
            respond.breached_at,
            restore.target,
            restore.due_at,
            restore.done_at,
            restore.nearing_at,
            restore.breached_at,
            resolved_at,
            look_at
        ],
    )?;
    Ok(())
}

/// When the clock of a ticket stood, the oldest first.
///
/// # Errors
/// The database's.
pub fn pauses(tx: &Tx, ticket: TicketId) -> Result<Vec<Pause>> {
    tx.all(
        "SELECT from_at, until_at FROM ticket_pause WHERE ticket_id = $1 ORDER BY from_at, id",
        args![ticket.0],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )
}

/// Lets the clock of a ticket stand since a moment, or go; where it does so already, nothing changes.
///
/// # Errors
/// The database's.
pub fn stand(tx: &WriteTx, ticket: TicketId, stands: Option<(Why, Time)>) -> Result<()> {
    let open = tx.maybe(
        "SELECT id, from_at, why FROM ticket_pause WHERE ticket_id = $1 AND until_at IS NULL",
        args![ticket.0],
        |row| Ok((row.get::<i64>(0)?, row.get::<Time>(1)?, word::<Why>(row, 2)?)),
    )?;
    if let Some((id, from, why)) = open {
        if stands.is_some_and(|(now, _)| now == why) {
            return Ok(());
        }
        tx.run(
            "UPDATE ticket_pause SET until_at = $2 WHERE id = $1 AND until_at IS NULL",
            args![id, tx.now.max(from)],
        )?;
    }
    if let Some((why, since)) = stands {
        tx.run(
            "INSERT INTO ticket_pause (ticket_id, from_at, why) VALUES ($1, $2, $3)",
            args![ticket.0, since, why.as_str()],
        )?;
    }
    Ok(())
}

/// When somebody is there for a site; where there is none, always.
///
/// # Errors
/// The database's.
pub fn calendar(tx: &Tx, site: Option<SiteId>) -> Result<Calendar> {
    let site = match site {
        Some(site) => sites::find(tx, &site.to_string())?,
        None => None,
    };
    Ok(site.map_or_else(Calendar::always, |site| Calendar {
        hours: site.hours,
        holidays: site.holidays.into_iter().collect(),
        zone: TimeZone::get(&site.time_zone).unwrap_or(TimeZone::UTC),
    }))
}

/// The tickets whose clock is to be looked at by `now`.
///
/// # Errors
/// The database's.
pub fn due(tx: &Tx, now: Time, limit: u32) -> Result<Vec<TicketId>> {
    tx.all(
        "SELECT ticket_id FROM ticket_service WHERE look_at <= $1 ORDER BY look_at, ticket_id LIMIT $2",
        args![now, limit],
        |row| Ok(TicketId(row.get(0)?)),
    )
}

/// When the next clock is to be looked at.
///
/// # Errors
/// The database's.
pub fn next_due(tx: &Tx) -> Result<Option<Time>> {
    tx.one("SELECT min(look_at) FROM ticket_service WHERE look_at IS NOT NULL", args![], |row| row.get(0))
}

/// The calendar of a site is another one: the clocks of its tickets are looked at.
///
/// # Errors
/// The database's.
pub fn look_at_site(tx: &WriteTx, site: SiteId) -> Result<()> {
    tx.run(
        "UPDATE ticket_service SET look_at = $2 WHERE ticket_id IN
         (SELECT id FROM ticket WHERE site_id = $1 AND state IN ('open', 'waiting', 'recovered'))",
        args![site.0, tx.now],
    )?;
    Ok(())
}

/// Puts a ticket into a state, for tests of the clock alone.
#[cfg(test)]
pub fn put(tx: &WriteTx, ticket: TicketId, state: crate::domain::ticket::State) -> Result<()> {
    tx.run("UPDATE ticket SET state = $2 WHERE id = $1", args![ticket.0, state.as_str()])?;
    Ok(())
}
