//! Devices that are to be judged though nothing was reported: a wait is over, or a person changed something.

use super::{AT_ONCE, Worked};
use crate::app::App;
use crate::server::judge;
use crate::store::events::Actor;
use crate::store::{Result, devices};

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
            for device in devices::to_judge(tx, tx.now, AT_ONCE)? {
                judge::judge(tx, &known, device, &Actor::System)?;
            }
            Result::Ok(())
        })
        .await?;
    Ok(Worked::Yes)
}
