//! Checks whose ping is due and did not come.

use super::{AT_ONCE, Worked};
use crate::app::App;
use crate::server::ping;
use crate::store::{Result, checks};

/// Looks at the checks whose ping is missed.
///
/// # Errors
/// The database's.
pub async fn step(app: &App) -> Result<Worked> {
    let now = app.clock.now();
    let next = app.store.read(checks::next_due)?;
    if next.is_none_or(|at| at > now) {
        return Ok(Worked::No(next, "a ping is due"));
    }
    let known = app.known();
    app.store
        .submit(move |tx| {
            for check in checks::due(tx, tx.now, AT_ONCE)? {
                ping::missed(tx, &known, &check)?;
            }
            Ok(())
        })
        .await?;
    Ok(Worked::Yes)
}
