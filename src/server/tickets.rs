//! What tickets do by themselves as the network changes: they open for a root, take in what hangs on it, follow its state,
//! and rest when it is well.

use schedules::{Millis, Time};

use crate::app::Snapshot;
use crate::domain::device::{Importance, State};
use crate::domain::ids::{DeviceId, OutageId, TicketId};
use crate::domain::ticket::{self, Condition, Fault, OnDown, Score, Weights};
use crate::server::service;
use crate::store::devices::Device;
use crate::store::events::Actor;
use crate::store::outages::Outage;
use crate::store::tickets::Ticket;
use crate::store::{Result, Tx, WriteTx, devices, maintenance, outages, tickets, verdicts};

/// A device can be reached again: its ticket stands down. While it flaps that says little, and its ticket stays.
///
/// # Errors
/// The database's.
pub fn came_back(tx: &WriteTx, known: &Snapshot, id: DeviceId, by: &Actor) -> Result<()> {
    let Some(ticket) = tickets::unfinished_of(tx, id)? else { return Ok(()) };
    let device = devices::of(tx, id)?;
    if device.state == State::Up && device.flapping_since.is_none() {
        let settle = known.settings.span("ticket.settle");
        let settle_at = ticket::settles_at(tx.now, ticket.touched_at.is_some(), settle);
        if ticket.state == ticket::State::Recovered {
            tickets::set_settle(tx, ticket.id, settle_at)?;
        } else {
            tracing::info!(ticket.id = ticket.id.0, device.name = %device.name, "ticket recovered");
            tickets::recovered(tx, &ticket, device.since, settle_at, by)?;
        }
    }
    refresh(tx, known, ticket.id, by)
}

/// A device began to flap: that is a trouble of its own, however short each outage is.
///
/// # Errors
/// The database's.
pub fn flapping(tx: &WriteTx, known: &Snapshot, id: DeviceId, by: &Actor) -> Result<()> {
    if maintenance::of_device(tx, id)?.is_some() {
        return Ok(());
    }
    let device = devices::of(tx, id)?;
    let id = open_or_reopen(tx, known, &device, &format!("{} is flapping", device.name), Some(tx.now), by)?;
    if let Some(outage) = outages::open_of(tx, device.id)? {
        outages::set_ticket(tx, outage.id, id)?;
    }
    refresh(tx, known, id, by)
}

/// A ticket is due for an outage that still lasts: opens one, or reopens the one there was. What is being worked on gets
/// none until that is over.
///
/// # Errors
/// The database's.
pub fn open(tx: &WriteTx, known: &Snapshot, outage: &Outage, by: &Actor) -> Result<()> {
    let device = devices::of(tx, outage.device.0)?;
    if device.state != State::Down {
        return outages::ticket_due(tx, outage.id, None);
    }
    if let Some(covered) = maintenance::of_device(tx, device.id)? {
        let until = covered.until.max(tx.now + Millis::from_secs(1));
        return outages::put_ticket_off(tx, outage.id, until);
    }
    let title = format!("{} is down", device.name);
    let own = outage.ticket.map(|id| tickets::of(tx, id)).transpose()?;
    let id = match own {
        Some(own)
            if own.state == ticket::State::Merged && tickets::unfinished_of(tx, device.id)?.is_none() =>
        {
            tickets::unmerge(tx, &own, by)?;
            tracing::info!(ticket.id = own.id.0, device.name = %device.name, "ticket on its own again");
            own.id
        }
        Some(_) | None => open_or_reopen(tx, known, &device, &title, Some(outage.started_at), by)?,
    };
    outages::set_ticket(tx, outage.id, id)?;
    refresh(tx, known, id, by)
}

fn open_or_reopen(
    tx: &WriteTx,
    known: &Snapshot,
    device: &Device,
    title: &str,
    began_at: Option<Time>,
    by: &Actor,
) -> Result<TicketId> {
    let newest = tickets::newest_of(tx, device.id)?;
    let within = known.settings.span("ticket.reopen_within");
    match (ticket::on_down(newest.map(|(_, n)| n), tx.now, within), newest) {
        (OnDown::Open, _) | (OnDown::Stays | OnDown::Reopen, None) => {
            let new = tickets::New {
                kind: ticket::Kind::Outage,
                title: title.to_owned(),
                device: Some(device.id),
                site: device.site.as_ref().map(|s| s.0),
            };
            let score = ticket::score(weights(tx, device, Millis::ZERO)?);
            let age = ticket::next_age_step(tx.now, tx.now);
            let id = tickets::open(tx, &new, &score, age, began_at, by)?;
            tracing::info!(ticket.id = id.0, device.id = device.id.0, device.name = %device.name,
                priority = %score.priority(), "ticket opened");
            Ok(id)
        }
        (OnDown::Stays, Some((id, _))) => Ok(id),
        (OnDown::Reopen, Some((id, _))) => {
            tickets::relapse(tx, &tickets::of(tx, id)?, by)?;
            tracing::info!(ticket.id = id.0, device.id = device.id.0, device.name = %device.name, "ticket reopened");
            Ok(id)
        }
    }
}

/// What a trouble of this device weighs, as things are now.
fn weights(tx: &Tx, device: &Device, unacknowledged: Millis) -> Result<Weights> {
    let behind = if device.state.is_out() { tickets::out_behind(tx, device.id)? } else { Vec::new() };
    let condition = match (device.flapping_since, device.state) {
        (Some(_), _) => Condition::Flapping,
        (None, State::Degraded) => Condition::Degraded,
        (None, State::Up) => Condition::Recovered,
        (None, State::Down | State::Unreachable | State::Unknown) => Condition::Down,
    };
    Ok(Weights {
        condition,
        out_of_reach: u32::try_from(behind.len()).unwrap_or(u32::MAX).saturating_add(1),
        importance: most_important(device.importance, &behind),
        customers_out: 0,
        unacknowledged,
        relief: device.state == State::Down && behind.is_empty() && devices::has_relief(tx, device.id)?,
        fault: Fault::Open,
    })
}

fn most_important(own: Importance, behind: &[(DeviceId, Importance)]) -> Importance {
    behind.iter().map(|b| b.1).chain([own]).min().unwrap_or(own)
}

/// A ticket's score as things are now.
///
/// # Errors
/// The database's.
pub fn score(tx: &Tx, ticket: &Ticket) -> Result<Score> {
    let unacknowledged = match ticket.acknowledged_at {
        Some(_) => Millis::ZERO,
        None => tx.now.since(ticket.aging_since),
    };
    let device = ticket.device.as_ref().map(|(id, _)| devices::of(tx, *id)).transpose()?;
    let weights = match (ticket.kind, &device) {
        (ticket::Kind::Outage, Some(device)) => {
            // That of its newest outage alone: what was wrong last time says nothing of this time.
            let given = ticket.outage.map(|id| verdicts::of_outage(tx, OutageId(id))).transpose()?.flatten();
            let fault = given.map_or(Fault::Open, |g| Fault::of(g.verdict.code, g.verdict.confidence));
            let weights = Weights { fault, ..weights(tx, device, unacknowledged)? };
            if ticket.state == ticket::State::Recovered {
                Weights { condition: Condition::Recovered, ..weights }
            } else {
                weights
            }
        }
        (ticket::Kind::Outage, None) => {
            let condition =
                if ticket.state == ticket::State::Recovered { Condition::Recovered } else { Condition::Down };
            Weights { condition, ..Weights::work(Importance::Normal, unacknowledged) }
        }
        (ticket::Kind::Project | ticket::Kind::Request, _) => {
            Weights::work(device.map_or(Importance::Normal, |d| d.importance), unacknowledged)
        }
    };
    Ok(ticket::score(weights))
}

/// Brings a ticket up to date: who is affected, whose tickets go into it, its score and priority, its service clock.
///
/// # Errors
/// The database's.
pub fn refresh(tx: &WriteTx, known: &Snapshot, id: TicketId, by: &Actor) -> Result<()> {
    let mut ticket = tickets::of(tx, id)?;
    if ticket.state.is_done() {
        return service::follow(tx, &known.settings, &ticket);
    }
    if ticket.acknowledged_until.is_some() || ticket.waiting_until.is_some() {
        tickets::run_out(tx, &ticket, by)?;
        ticket = tickets::of(tx, id)?;
    }
    take_in(tx, &ticket, by)?;
    let score = score(tx, &ticket)?;
    let age = match (ticket.acknowledged_at, ticket.state) {
        (None, ticket::State::Open | ticket::State::Waiting) => {
            ticket::next_age_step(ticket.aging_since, tx.now)
        }
        (None | Some(_), _) => None,
    };
    let acknowledged_until = ticket.acknowledged_at.and(ticket.acknowledged_until);
    let waiting_until = ticket.waiting_until.filter(|_| ticket.state == ticket::State::Waiting);
    let look_at = [age, acknowledged_until, waiting_until].into_iter().flatten().min();
    // What was looked at is not due at once again, whatever stands on it: else nothing else would ever be done.
    let look_at = look_at.map(|at| at.max(tx.now + Millis::from_secs(1)));
    tickets::set_score(tx, &ticket, &score, look_at, by)?;
    service::follow(tx, &known.settings, &tickets::of(tx, id)?)
}

/// Lists whom the trouble of a root puts out of reach, and takes their tickets over. What was affected when it came back
/// stays listed.
fn take_in(tx: &WriteTx, ticket: &Ticket, by: &Actor) -> Result<()> {
    let (ticket::Kind::Outage, Some((device, _))) = (ticket.kind, &ticket.device) else { return Ok(()) };
    match devices::of(tx, *device)?.state {
        State::Down => {}
        State::Up | State::Degraded | State::Unknown | State::Unreachable => return Ok(()),
    }
    let behind: Vec<DeviceId> = tickets::out_behind(tx, *device)?.into_iter().map(|b| b.0).collect();
    tickets::set_affected(tx, ticket.id, &behind)?;
    for id in tickets::unfinished_of_affected(tx, ticket.id)? {
        let other = tickets::of(tx, id)?;
        if tickets::merge(tx, &other, ticket, by)? {
            tracing::info!(ticket.id = id.0, into = ticket.id.0, "ticket merged");
        }
    }
    Ok(())
}
