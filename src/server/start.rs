//! What happens once as the server starts: on the first run this machine becomes the first device; later, those that
//! could not check in while the server was away are given time.

use schedules::{Millis, Time};
use serde_json::json;

use crate::app::App;
use crate::domain::check_in::{missed_at, patience_after};
use crate::domain::event::{About, Kind};
use crate::domain::ids::DeviceId;
use crate::store::events::Actor;
use crate::store::{Result, WriteTx, agents, devices, events, settings, states};

/// The name that this machine gets as the first device.
pub const THIS_MACHINE: &str = "this-machine";

/// The device that is this machine; it is made on the first run.
///
/// # Errors
/// The database's.
pub async fn start(app: &App) -> Result<DeviceId> {
    let known = app.known();
    app.store
        .submit(move |tx| {
            let device = this_machine(tx)?;
            let since = settings::last_alive(tx)?;
            events::record(
                tx,
                &Actor::System,
                Kind::ServerStarted,
                About::default(),
                &json!({"version": VERSION}),
            )?;
            if let Some(since) = since {
                let longest = known.settings.span("agent.retry_max");
                was_away(tx, since, known.every, known.grace, longest)?;
            }
            settings::started(tx)?;
            settings::alive(tx)?;
            Result::Ok(device)
        })
        .await
}

/// The server stops in order.
///
/// # Errors
/// The database's.
pub async fn stopped(app: &App) -> Result<()> {
    app.store
        .submit(|tx| {
            settings::alive(tx)?;
            events::record(tx, &Actor::System, Kind::ServerStopped, About::default(), &json!({}))?;
            Ok(())
        })
        .await
}

/// The version of this lineman.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

fn this_machine(tx: &WriteTx) -> Result<DeviceId> {
    if let Some(device) = settings::this_machine(tx)?
        && devices::find(tx, &device.to_string())?.is_some()
    {
        return Ok(device);
    }
    let mut name = THIS_MACHINE.to_owned();
    let mut number = 1;
    while devices::find(tx, &name)?.is_some() {
        number += 1;
        name = format!("{THIS_MACHINE}-{number}");
    }
    let device = devices::add(tx, &devices::New::named(&name), &Actor::System)?.id;
    settings::set_this_machine(tx, device)?;
    agents::join(tx, device, None, &json!({"place": "server"}), &Actor::System)?;
    Ok(device)
}

/// Nobody could check in while the server was away, and agents back off meanwhile: each is given the time to come
/// back before it is missed.
fn was_away(tx: &WriteTx, since: Time, every: Millis, grace: Millis, longest: Millis) -> Result<()> {
    let away = tx.now.since(since).max(Millis::ZERO);
    let until = missed_at(tx.now, every, grace) + patience_after(away, every, longest);
    agents::wait_until(tx, until)?;
    let body = json!({"from": since, "to": tx.now, "waits_until": until});
    events::record(tx, &Actor::System, Kind::MonitorAway, About::default(), &body)?;
    states::was_away(tx, since, tx.now)?;
    Ok(())
}
