//! The server's own attempts to contact a device whose check-ins stopped: they begin when one is missed, and end when
//! they come again. The agent inside the server runs them like any other check.

use serde_json::json;

use crate::app::Snapshot;
use crate::domain::check::{self, Kind};
use crate::domain::check_in::{missed_at, missing_since};
use crate::domain::event::Kind as Happened;
use crate::domain::ids::DeviceId;
use crate::server::{config, judge};
use crate::store::agents::Caller;
use crate::store::events::Actor;
use crate::store::{self, WriteTx, agents, checks, devices, events};

/// Looks whether an agent's check-in came. If it is missed for good, the device is contacted, and looked at anew.
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
    if device.paused_at.is_some() {
        return agents::look_at(tx, caller.device, None);
    }
    agents::look_at(tx, caller.device, None)?;
    let since = missing_since(last, known.every);
    tracing::info!(device.id = caller.device.0, device.name = %caller.name, "check-in missed");
    checks::set_health(tx, caller.check, &check::missed(since, tx.now), None)?;
    let by = Actor::System;
    events::record(tx, &by, Happened::AgentSilent, caller.device.into(), &json!({"since": since, "last_check_in_at": last}))?;
    if let Some(address) = judge::contact_address(&device) {
        stop(tx, caller.device, &by)?;
        let new = checks::New {
            device: caller.device,
            kind: Kind::Contact,
            probe: Some(config::contact_probe(address)),
            cadence: None,
            timeout: None,
            from: None,
            ping_key: None,
        };
        checks::add(tx, &new, &by)?;
    }
    judge::judge(tx, &known.settings, caller.device, &by)
}

/// Ends the attempts to contact a device, if there are any.
///
/// # Errors
/// The database's.
pub fn stop(tx: &WriteTx, device: DeviceId, by: &Actor) -> store::Result<()> {
    for check in checks::of_device(tx, device)? {
        if check.kind == Kind::Contact {
            checks::remove(tx, &check, by)?;
        }
    }
    Ok(())
}
