//! What follows from what was measured: a device's state, and with it its outage, and what hangs on it — all in the
//! transaction of the measurement.

use schedules::Millis;

use crate::app::Snapshot;
use crate::domain::check::{Health, Kind, Status};
use crate::domain::device::State;
use crate::domain::flapping::{self, Flapping, Rule, flaps};
use crate::domain::ids::DeviceId;
use crate::domain::judgement::{self, Evidence, Judgement, Parent, Proof, Recheck, Sight};
use crate::server::sight::{self, Eyes};
use crate::server::{contact, tickets as desk};
use crate::store::checks::Nudged;
use crate::store::devices::Device;
use crate::store::events::{self, Actor};
use crate::store::{Result, Tx, WriteTx, checks, devices, maintenance, outages, states, tickets};

/// Looks at a device anew. Whether the server itself can see is not looked at: a device with nothing else between is
/// judged in the server's loop, where one look does for all.
///
/// # Errors
/// The database's.
pub fn judge(tx: &WriteTx, known: &Snapshot, id: DeviceId, by: &Actor) -> Result<()> {
    look(tx, known, id, by, None)
}

/// Looks at a device anew, and at whether the server can see where that matters.
///
/// # Errors
/// The database's.
pub fn judge_with(tx: &WriteTx, known: &Snapshot, id: DeviceId, eyes: &Eyes, by: &Actor) -> Result<()> {
    look(tx, known, id, by, Some(eyes))
}

fn look(tx: &WriteTx, known: &Snapshot, id: DeviceId, by: &Actor, eyes: Option<&Eyes>) -> Result<()> {
    let Some(device) = devices::bare(tx, id)? else { return Ok(()) };
    let parents = devices::parents(tx, id)?;
    let above: Vec<DeviceId> = parents.iter().map(|(parent, _)| *parent).collect();
    let mut evidence = evidence(tx, known, &device, parents)?;
    let hold = contact::hold(known);
    let mut judged = judgement::judge(&evidence, hold, tx.now);
    if evidence.sight == Sight::NotLooked
        && judged.needs_sight()
        && let Some(eyes) = eyes
    {
        evidence.sight = eyes.look(tx, known, judged.proof_at)?;
        judged = judgement::judge(&evidence, hold, tx.now);
    }
    let retry = known.settings.span("check.retry");
    match judged.recheck {
        Recheck::Nobody => {}
        Recheck::Parents if eyes.is_some_and(|eyes| !eyes.asks(&above)) => {}
        Recheck::Parents => checks::nudge(tx, Nudged::Parents(id), tx.now - retry)?,
        Recheck::Own => checks::nudge(tx, Nudged::Own(id), tx.now - retry)?,
        Recheck::Others => {
            if let Some(eyes) = eyes {
                eyes.try_others(tx, known, judged.proof_at)?;
            }
        }
    }
    // A parent that comes or goes has its children judged at once; this finds the proof of one that stays as it is.
    let poll = Millis(retry.0 / 2).max(Millis::from_secs(1));
    if !devices::set_state(tx, &device, &judged, poll, by)? {
        return match judged.state {
            State::Down if eyes.is_some() => maintenance_is_over(tx, id),
            State::Down | State::Unknown | State::Up | State::Degraded | State::Unreachable => Ok(()),
        };
    }
    let reason = judged.reason.as_deref().unwrap_or_default();
    tracing::info!(device.id = id.0, device.name = %device.name, from = %device.state, to = %judged.state,
        reason, "state");
    if flapping::counts(device.state, judged.state) || device.flapping_since.is_some() {
        flap(tx, known, &device, by)?;
    }
    follow(tx, known, &device, &judged, evidence.sight, by)?;
    tickets::look_soon(tx, id)?;
    devices::judge_children_soon(tx, id)?;
    match judged.state {
        State::Unknown => Ok(()),
        // Its parents were tried: that is how it is known.
        State::Unreachable => checks::nudge(tx, Nudged::Children(id), tx.now - retry),
        State::Up | State::Degraded | State::Down => {
            checks::nudge(tx, Nudged::Neighbours(id), tx.now - retry)
        }
    }
}

/// A ticket that waited for the end of maintenance is due, where that ended early.
fn maintenance_is_over(tx: &WriteTx, id: DeviceId) -> Result<()> {
    if outages::waits_for_ticket(tx, id)? && maintenance::of_device(tx, id)?.is_none() {
        outages::ticket_due_at_once(tx, id)?;
    }
    Ok(())
}

fn evidence(
    tx: &Tx,
    known: &Snapshot,
    device: &Device,
    parents: Vec<(DeviceId, Parent)>,
) -> Result<Evidence> {
    let proof = |proof: Proof| {
        let good_at = if proof.kind == Kind::CheckIn { device.last_check_in_at } else { None };
        Proof {
            health: proof.health.map(|health| Health { good_at: health.good_at.max(good_at), ..health }),
            awaited_until: proof
                .awaited_until
                .filter(|_| proof.health.is_none_or(|h| h.status == Status::Unknown)),
            ..proof
        }
    };
    let (sight, back) = sight::known(tx, known)?;
    let mut checks: Vec<Proof> = checks::proofs(tx, device.id)?.into_iter().map(proof).collect();
    // What answers at an address that another device has now proves nothing about this one.
    let is_silent =
        |p: &Proof| p.kind == Kind::CheckIn && p.health.is_some_and(|h| h.status == Status::Failed);
    if checks.iter().any(is_silent) && contact::who_is_there(tx, device)?.is_some() {
        checks.retain(|proof| !proof.kind.is_at_address());
    }
    Ok(Evidence {
        was: device.state,
        was_since: device.since,
        held_since: device.held_since,
        checks,
        parents: parents.into_iter().map(|(_, parent)| parent).collect(),
        paused: device.paused_at.is_some(),
        sight,
        back,
    })
}

fn follow(
    tx: &WriteTx,
    known: &Snapshot,
    device: &Device,
    judged: &Judgement,
    sight: Sight,
    by: &Actor,
) -> Result<()> {
    match judged.state {
        State::Down => went_down(tx, known, device, judged, by),
        // What was reachable until now has no outage that lasts.
        State::Unreachable if device.state.is_reachable() => Ok(()),
        State::Unreachable => match outages::open_of(tx, device.id)? {
            Some(outage) => outages::ticket_due(tx, outage.id, None),
            None => Ok(()),
        },
        State::Up | State::Degraded => {
            outages::end(tx, device.id, judged.since, by)?;
            desk::came_back(tx, known, device.id, by)
        }
        // What lasted when the server lost its sight is not over because nobody sees it.
        State::Unknown if matches!(sight, Sight::Blind(_)) => Ok(()),
        State::Unknown => outages::end(tx, device.id, tx.now, by).map(drop),
    }
}

fn went_down(tx: &WriteTx, known: &Snapshot, device: &Device, judged: &Judgement, by: &Actor) -> Result<()> {
    let ticket_at = tx.now + known.settings.span("ticket.group_wait");
    let open = outages::open_of(tx, device.id)?;
    let ticket = tickets::unfinished_of(tx, device.id)?;
    match &open {
        Some(outage) => match outage.ticket {
            Some(id) if tickets::of(tx, id)?.state != crate::domain::ticket::State::Merged => {}
            Some(_) | None => outages::ticket_due(tx, outage.id, Some(ticket_at))?,
        },
        None => {
            let reason = judged.reason.as_deref().unwrap_or_default();
            outages::begin(tx, device.id, judged.proof_at, reason, Some(ticket_at), by)?;
        }
    }
    match ticket {
        Some(ticket) => tickets::set_settle(tx, ticket.id, None),
        None => Ok(()),
    }
}

fn flapping_rule(known: &Snapshot) -> Rule {
    Rule {
        changes: u32::try_from(known.settings.count("flap.changes")).unwrap_or(u32::MAX),
        window: known.settings.span("flap.window"),
        quiet: known.settings.span("flap.quiet"),
    }
}

/// Looks whether a device flaps whose state has changed, or that may be quiet again.
///
/// # Errors
/// The database's.
pub fn flap(tx: &WriteTx, known: &Snapshot, device: &Device, by: &Actor) -> Result<()> {
    let rule = flapping_rule(known);
    let recent = states::recent(tx, device.id, rule.window.max(rule.quiet))?;
    let since = device.flapping_since;
    match (flaps(&recent, since.is_some(), rule, tx.now), since) {
        (Flapping::Steady, None) => Ok(()),
        (Flapping::Until(at), Some(since)) => devices::set_flapping(tx, device.id, Some(since), Some(at)),
        (Flapping::Until(at), None) => {
            devices::set_flapping(tx, device.id, Some(tx.now), Some(at))?;
            tracing::info!(device.id = device.id.0, device.name = %device.name, "flapping");
            let body = serde_json::json!({"changes": rule.changes, "within_ms": rule.window});
            events::record(tx, by, crate::domain::event::Kind::DeviceFlapping, device.id.into(), &body)?;
            desk::flapping(tx, known, device.id, by)
        }
        (Flapping::Steady, Some(since)) => {
            devices::set_flapping(tx, device.id, None, None)?;
            tracing::info!(device.id = device.id.0, device.name = %device.name, "steady");
            let body = serde_json::json!({"flapping_since": since});
            events::record(tx, by, crate::domain::event::Kind::DeviceSteady, device.id.into(), &body)?;
            tickets::look_soon(tx, device.id)?;
            match device.state {
                State::Up | State::Degraded => desk::came_back(tx, known, device.id, by),
                State::Down | State::Unreachable | State::Unknown => Ok(()),
            }
        }
    }
}
