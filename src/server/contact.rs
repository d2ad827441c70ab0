//! The server's own attempts to contact a device whose check-ins stopped: they begin when one is missed, and end when
//! they come again. The agent inside the server runs them like any other check.

use std::net::IpAddr;

use schedules::{Millis, Time};
use serde_json::json;

use crate::app::Snapshot;
use crate::domain::check::{self, Kind};
use crate::domain::check_in::{missed_at, missing_since};
use crate::domain::device::{AddressFrom, Whereabouts, can_be_contacted, is_anothers};
use crate::domain::event::Kind as Happened;
use crate::domain::ids::DeviceId;
use crate::server::{config, judge};
use crate::store::agents::Caller;
use crate::store::devices::Device;
use crate::store::events::Actor;
use crate::store::{self, Tx, WriteTx, agents, checks, devices, events, settings};

/// Looks whether an agent's check-in came. If it is missed for good, the device is contacted, and judged anew; what
/// its agent watched for others is not known any more.
///
/// # Errors
/// The database's.
pub fn look(tx: &WriteTx, known: &Snapshot, caller: &Caller) -> store::Result<()> {
    let Some(last) = caller.last_check_in_at else { return agents::look_at(tx, caller.device, None) };
    let missed = missed_at(last, known.every, known.grace);
    let device = devices::of(tx, caller.device)?;
    if tx.now < missed {
        return agents::look_at(tx, caller.device, Some(missed));
    }
    agents::look_at(tx, caller.device, None)?;
    if device.paused_at.is_some() {
        return Ok(());
    }
    let listening_since = settings::started_at(tx)?.unwrap_or(last);
    let since = missing_since(last, known.every).max(listening_since);
    tracing::info!(device.id = caller.device.0, device.name = %caller.name, "check-in missed");
    checks::set_health(tx, caller.check, &check::missed(last, since, tx.now), None)?;
    let by = Actor::System;
    let body = json!({"since": since, "last_check_in_at": last});
    events::record(tx, &by, Happened::AgentSilent, caller.device.into(), &body)?;
    if let Some(other) = who_is_there(tx, &device)? {
        impostor(tx, &device, &other, &by)?;
    } else if is_worth_trying(tx, &device)? {
        begin(tx, known, caller.device, &by)?;
    }
    for watched in checks::forget_of_agent(tx, caller.device)? {
        judge::judge(tx, known, watched, &by)?;
    }
    judge::judge(tx, known, caller.device, &by)
}

fn begin(tx: &WriteTx, known: &Snapshot, device: DeviceId, by: &Actor) -> store::Result<()> {
    stop(tx, device, by)?;
    let new = checks::New {
        probe: Some(config::contact_probe()),
        awaited_until: Some(tx.now + patience(known)),
        ..checks::New::plain(device, Kind::Contact)
    };
    checks::add(tx, &new, by)?;
    Ok(())
}

/// How long the first answer of the attempts is waited for: as long as it takes to fail for good, and a little more.
fn patience(known: &Snapshot) -> Millis {
    let (retry, timeout) = (known.settings.span("check.retry"), known.settings.span("check.timeout"));
    (retry + timeout + Millis::from_secs(1)).times(i64::from(known.limits.soft_failures))
        + Millis::from_secs(1)
}

/// Whether an attempt can tell anything about a device apart from its agent: an address that was learnt and is the
/// server's own tells nothing; one that a person fixed is believed.
fn is_worth_trying(tx: &Tx, device: &Device) -> store::Result<bool> {
    let Some(address) = device.address.as_deref() else { return Ok(false) };
    let Ok(ip) = address.parse::<IpAddr>() else { return Ok(true) };
    if device.address_from == AddressFrom::Fixed {
        return Ok(true);
    }
    Ok(can_be_contacted(ip) && !own_addresses(tx)?.contains(&ip))
}

/// Another device that is at the address of one that fell silent: then whatever answers there says nothing about this
/// one, until its own check-in comes. What a person fixed is believed.
///
/// # Errors
/// The database's.
pub fn who_is_there(tx: &Tx, device: &Device) -> store::Result<Option<String>> {
    let Some(text) = device.address.as_deref() else { return Ok(None) };
    let Ok(address) = text.parse::<IpAddr>() else { return Ok(None) };
    match device.address_from {
        AddressFrom::Fixed => return Ok(None),
        AddressFrom::Agent | AddressFrom::Seen => {}
    }
    let (own, others) = agents::others_at(tx, text, device.id, device.last_check_in_at)?;
    Ok(others.into_iter().find(|(_, other)| is_anothers(address, own, *other)).map(|(name, _)| name))
}

fn impostor(tx: &WriteTx, device: &Device, other: &str, by: &Actor) -> store::Result<()> {
    tracing::info!(device.id = device.id.0, device.name = %device.name, address = ?device.address, other, "another device is at its address");
    let body = json!({"address": device.address, "there": other});
    events::record(tx, by, Happened::DeviceImpostor, device.id.into(), &body)?;
    Ok(())
}

/// An agent is at other addresses than before: devices that fell silent and were last known there are not tried there
/// any more.
///
/// # Errors
/// The database's.
pub fn moved_in(
    tx: &WriteTx,
    caller: &Caller,
    reported: Option<&str>,
    seen: Option<&str>,
) -> store::Result<()> {
    let ip = |text: Option<&str>| text.and_then(|text| text.parse().ok());
    let here = Whereabouts { reported: ip(reported), seen: ip(seen) };
    for (silent, address, own) in agents::silent_at(tx, (reported, seen), caller.device)? {
        let Ok(address) = address.parse() else { continue };
        if is_anothers(address, own, here) && stop(tx, silent, &Actor::System)? {
            impostor(tx, &devices::of(tx, silent)?, &caller.name, &Actor::System)?;
            devices::judge_soon(tx, silent)?;
        }
    }
    Ok(())
}

/// The addresses of the machine on which the server runs, as its own agent reports them.
fn own_addresses(tx: &Tx) -> store::Result<Vec<IpAddr>> {
    let Some(this_machine) = settings::this_machine(tx)? else { return Ok(Vec::new()) };
    let Some((_, status)) = agents::status(tx, this_machine)? else { return Ok(Vec::new()) };
    let addresses = status.interfaces.iter().flat_map(|interface| &interface.addresses);
    Ok(addresses.filter_map(|address| address.split('/').next()?.parse().ok()).collect())
}

/// Ends the attempts to contact a device; false where there were none.
///
/// # Errors
/// The database's.
pub fn stop(tx: &WriteTx, device: DeviceId, by: &Actor) -> store::Result<bool> {
    let mut any = false;
    for check in checks::of_device(tx, device)? {
        if check.kind == Kind::Contact {
            checks::remove(tx, &check, by)?;
            any = true;
        }
    }
    Ok(any)
}

/// How long a parent's proof is waited for, or a child's after its parent came back: until whatever watches it has
/// surely said so.
#[must_use]
pub fn hold(known: &Snapshot) -> Millis {
    let missed = missed_at(Time(0), known.every, known.grace).since(Time(0));
    missed.max(patience(known))
}
