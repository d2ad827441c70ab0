//! Devices that are to be judged though nothing was reported: a wait is over, or a person changed something; and whether
//! the server itself can see.

use schedules::Millis;

use super::{AT_ONCE, Worked};
use crate::app::App;
use crate::server::judge;
use crate::server::sight::{self, Eyes};
use crate::store::events::Actor;
use crate::store::{Result, blind, devices};

/// How often a server that is cut off looks whether it can see again.
const LOOK_EVERY: Millis = Millis::from_secs(1);

/// Judges the devices that are due.
///
/// # Errors
/// The database's.
pub async fn step(app: &App) -> Result<Worked> {
    let now = app.clock.now();
    let next = app.store.read(devices::next_to_judge)?;
    if next.is_none_or(|at| at > now) {
        return Ok(Worked::No(next, "a device is to be judged"));
    }
    let known = app.known();
    app.store
        .submit(move |tx| {
            let eyes = Eyes::default();
            for device in devices::to_judge(tx, tx.now, AT_ONCE)? {
                judge::judge_with(tx, &known, device, &eyes, &Actor::System)?;
            }
            Result::Ok(())
        })
        .await?;
    Ok(Worked::Yes)
}

/// Looks whether a server that is cut off can see again.
///
/// # Errors
/// The database's.
pub async fn sight(app: &App) -> Result<Worked> {
    let newest = app.store.read(blind::newest)?;
    if newest.is_none_or(|newest| newest.ended_at.is_some()) {
        return Ok(Worked::No(None, "the server can see"));
    }
    let known = app.known();
    let still = app
        .store
        .submit(move |tx| {
            sight::look_again(tx, &known)?;
            Result::Ok(blind::newest(tx)?.is_some_and(|newest| newest.ended_at.is_none()))
        })
        .await?;
    if still {
        return Ok(Worked::No(Some(app.clock.now() + LOOK_EVERY), "the server may see again"));
    }
    Ok(Worked::Yes)
}

/// Looks at the flapping devices that may be quiet.
///
/// # Errors
/// The database's.
pub async fn flapping(app: &App) -> Result<Worked> {
    let now = app.clock.now();
    let next = app.store.read(devices::next_maybe_quiet)?;
    if next.is_none_or(|at| at > now) {
        return Ok(Worked::No(next, "a flapping device may be quiet"));
    }
    let known = app.known();
    app.store
        .submit(move |tx| {
            for id in devices::maybe_quiet(tx, tx.now, AT_ONCE)? {
                judge::flap(tx, &known, &devices::of(tx, id)?, &Actor::System)?;
            }
            Result::Ok(())
        })
        .await?;
    Ok(Worked::Yes)
}
