//! What follows from what was measured: a device's state, and with it its outage, its ticket, and its children —
//! all in the transaction of the measurement.

use std::collections::{HashSet, VecDeque};

use schedules::Time;

use crate::app::Snapshot;
use crate::domain::check::{Health, Kind, Status};
use crate::domain::device::{Importance, State};
use crate::domain::ids::DeviceId;
use crate::domain::judgement::{self, Evidence, Judgement, Proof, Recheck};
use crate::domain::setting::Settings;
use crate::domain::ticket::{self, Condition, OnDown, Score, Weights};
use crate::server::contact;
use crate::store::devices::Device;
use crate::store::events::Actor;
use crate::store::outages::Outage;
use crate::store::tickets::Ticket;
use crate::store::{Result, Tx, WriteTx, checks, devices, outages, tickets};

/// Looks at a device anew, and at whatever hangs on it: its children wait for its proof, and follow its state.
///
/// # Errors
/// The database's.
pub fn judge(tx: &WriteTx, known: &Snapshot, id: DeviceId, by: &Actor) -> Result<()> {
    let mut waiting = VecDeque::from([id]);
    let mut seen = HashSet::new();
    while let Some(id) = waiting.pop_front() {
        if !seen.insert(id) {
            continue;
        }
        let Some(device) = devices::find(tx, &id.to_string())? else { continue };
        let (evidence, parents) = evidence(tx, &device)?;
        let judged = judgement::judge(&evidence, contact::hold(known), tx.now);
        match judged.recheck {
            Recheck::Nobody => {}
            Recheck::Parents if device.held_since.is_none() => {
                for parent in parents {
                    checks::nudge(tx, parent)?;
                }
            }
            Recheck::Own if device.held_since.is_none() => checks::nudge(tx, id)?,
            Recheck::Parents | Recheck::Own => {}
        }
        if devices::set_state(tx, &device, &judged, by)? {
            let reason = judged.reason.as_deref().unwrap_or_default();
            tracing::info!(device.id = id.0, device.name = %device.name, from = %device.state, to = %judged.state,
                reason, "state");
            follow(tx, &known.settings, &device, &judged, by)?;
            waiting.extend(devices::children(tx, id)?);
        }
    }
    Ok(())
}

fn evidence(tx: &Tx, device: &Device) -> Result<(Evidence, Vec<DeviceId>)> {
    let checks = checks::of_device(tx, device.id)?;
    let proof = |check: &checks::Check| {
        let good_at = if check.kind == Kind::CheckIn { device.last_check_in_at } else { None };
        Proof {
            kind: check.kind,
            health: check.health.map(|health| Health { good_at: health.good_at.max(good_at), ..health }),
            awaited_until: check
                .awaited_until
                .filter(|_| check.health.is_none_or(|h| h.status == Status::Unknown)),
        }
    };
    let (parents, states) = devices::parents(tx, device.id)?.into_iter().unzip();
    let evidence = Evidence {
        was: device.state,
        was_since: device.since,
        held_since: device.held_since,
        checks: checks.iter().map(proof).collect(),
        parents: states,
        paused: device.paused_at.is_some(),
    };
    Ok((evidence, parents))
}

fn follow(tx: &WriteTx, settings: &Settings, device: &Device, judged: &Judgement, by: &Actor) -> Result<()> {
    match judged.state {
        State::Down => went_down(tx, settings, device, judged, by)?,
        State::Unreachable => {
            if let Some(outage) = outages::open_of(tx, device.id)? {
                outages::ticket_due(tx, outage.id, None)?;
            }
        }
        State::Up | State::Degraded => {
            outages::end(tx, device.id, judged.since, by)?;
            came_back(tx, settings, device, judged, by)?;
        }
        State::Unknown => {
            outages::end(tx, device.id, tx.now, by)?;
        }
    }
    for parent in &device.parents {
        let parent = devices::get(tx, parent)?;
        if let Some(ticket) = tickets::unfinished_of(tx, parent.id)? {
            rescore(tx, &ticket, by)?;
        }
    }
    Ok(())
}

fn went_down(
    tx: &WriteTx,
    settings: &Settings,
    device: &Device,
    judged: &Judgement,
    by: &Actor,
) -> Result<()> {
    let ticket_at = tx.now + settings.span("ticket.group_wait");
    match outages::open_of(tx, device.id)? {
        Some(outage) if outage.ticket.is_none() => outages::ticket_due(tx, outage.id, Some(ticket_at))?,
        Some(_) => {}
        None => {
            let reason = judged.reason.as_deref().unwrap_or_default();
            outages::begin(tx, device.id, judged.proof_at, reason, Some(ticket_at), by)?;
        }
    }
    if let Some(ticket) = tickets::unfinished_of(tx, device.id)? {
        tickets::set_settle(tx, ticket.id, None)?;
    }
    Ok(())
}

fn came_back(
    tx: &WriteTx,
    settings: &Settings,
    device: &Device,
    judged: &Judgement,
    by: &Actor,
) -> Result<()> {
    let Some(ticket) = tickets::unfinished_of(tx, device.id)? else { return Ok(()) };
    if judged.state == State::Up {
        let settle_at =
            ticket::settles_at(tx.now, ticket.touched_at.is_some(), settings.span("ticket.settle"));
        if ticket.state == ticket::State::Recovered {
            tickets::set_settle(tx, ticket.id, settle_at)?;
        } else {
            tracing::info!(ticket.id = ticket.id.0, device.name = %device.name, "ticket recovered");
            tickets::recovered(tx, &ticket, judged.since, settle_at, by)?;
        }
    }
    rescore(tx, &tickets::of(tx, ticket.id)?, by)
}

/// A ticket is due for an outage that still lasts: opens one, or reopens the one there was.
///
/// # Errors
/// The database's.
pub fn open_ticket(tx: &WriteTx, settings: &Settings, outage: &Outage, by: &Actor) -> Result<()> {
    let device = devices::of(tx, outage.device.0)?;
    if device.state != State::Down {
        return outages::ticket_due(tx, outage.id, None);
    }
    let newest = tickets::newest_of(tx, device.id)?;
    let what = ticket::on_down(newest.map(|(_, n)| n), tx.now, settings.span("ticket.reopen_within"));
    let id = match (what, newest) {
        (OnDown::Open, _) | (OnDown::Stays | OnDown::Reopen, None) => {
            let new = tickets::New {
                kind: ticket::Kind::Outage,
                title: format!("{} is down", device.name),
                device: Some(device.id),
                site: device.site.as_ref().map(|s| s.0),
            };
            let behind = tickets::out_behind(tx, device.id)?;
            let score = score_down(&device, &behind);
            let id = tickets::open(tx, &new, &score, ticket::next_age_step(tx.now, tx.now), by)?;
            tickets::set_affected(tx, id, &behind.iter().map(|b| b.0).collect::<Vec<_>>())?;
            tracing::info!(ticket.id = id.0, device.id = device.id.0, device.name = %device.name,
                priority = %score.priority(), "ticket opened");
            id
        }
        (OnDown::Stays, Some((id, _))) => id,
        (OnDown::Reopen, Some((id, _))) => {
            tickets::relapse(tx, &tickets::of(tx, id)?, by)?;
            tracing::info!(ticket.id = id.0, device.id = device.id.0, device.name = %device.name, "ticket reopened");
            id
        }
    };
    outages::set_ticket(tx, outage.id, id)?;
    rescore(tx, &tickets::of(tx, id)?, by)
}

fn score_down(device: &Device, behind: &[(DeviceId, Importance)]) -> Score {
    ticket::score(Weights {
        condition: Condition::Down,
        out_of_reach: count(behind),
        importance: most_important(device.importance, behind),
        customers_out: 0,
        unacknowledged: schedules::Millis::ZERO,
    })
}

fn count(behind: &[(DeviceId, Importance)]) -> u32 {
    u32::try_from(behind.len()).unwrap_or(u32::MAX).saturating_add(1)
}

fn most_important(own: Importance, behind: &[(DeviceId, Importance)]) -> Importance {
    behind.iter().map(|b| b.1).chain([own]).min().unwrap_or(own)
}

/// A ticket's score as things are now.
///
/// # Errors
/// The database's.
pub fn score(tx: &Tx, ticket: &Ticket) -> Result<Score> {
    let device = match &ticket.device {
        Some((id, _)) => Some(devices::of(tx, *id)?),
        None => None,
    };
    let behind = match &device {
        Some(device) if ticket.kind == ticket::Kind::Outage => tickets::out_behind(tx, device.id)?,
        Some(_) | None => Vec::new(),
    };
    let condition = match (ticket.kind, ticket.state, device.as_ref().map(|d| d.state)) {
        (ticket::Kind::Project | ticket::Kind::Request, _, _) => Condition::Work,
        (ticket::Kind::Outage, ticket::State::Recovered, _) => Condition::Recovered,
        (ticket::Kind::Outage, _, Some(State::Degraded)) => Condition::Degraded,
        (ticket::Kind::Outage, _, Some(State::Up)) => Condition::Recovered,
        (ticket::Kind::Outage, _, Some(State::Down | State::Unreachable | State::Unknown) | None) => {
            Condition::Down
        }
    };
    let unacknowledged = match ticket.acknowledged_at {
        Some(_) => schedules::Millis::ZERO,
        None => tx.now.since(ticket.opened_at),
    };
    Ok(ticket::score(Weights {
        condition,
        out_of_reach: count(&behind),
        importance: most_important(device.as_ref().map_or(Importance::Normal, |d| d.importance), &behind),
        customers_out: 0,
        unacknowledged,
    }))
}

/// Brings a ticket's score, priority and affected devices up to date.
///
/// # Errors
/// The database's.
pub fn rescore(tx: &WriteTx, ticket: &Ticket, by: &Actor) -> Result<()> {
    if ticket.state.is_done() {
        return Ok(());
    }
    let score = score(tx, ticket)?;
    let rescore_at: Option<Time> = match (ticket.acknowledged_at, ticket.state) {
        (None, ticket::State::Open | ticket::State::Waiting) => {
            ticket::next_age_step(ticket.opened_at, tx.now)
        }
        (None | Some(_), _) => None,
    };
    tickets::set_score(tx, ticket, &score, rescore_at, by)?;
    if ticket.kind == ticket::Kind::Outage
        && let Some((device, _)) = &ticket.device
    {
        let behind = tickets::out_behind(tx, *device)?;
        tickets::set_affected(tx, ticket.id, &behind.iter().map(|b| b.0).collect::<Vec<_>>())?;
    }
    Ok(())
}
