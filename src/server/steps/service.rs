//! The service clock of tickets: a promise nears its end, or is broken.

use super::{AT_ONCE, Worked};
use crate::app::App;
use crate::server::service::follow;
use crate::store::{Result, service, tickets};

/// Looks at the clocks that are due.
///
/// # Errors
/// The database's.
pub async fn step(app: &App) -> Result<Worked> {
    let now = app.clock.now();
    let next = app.store.read(service::next_due)?;
    if next.is_none_or(|at| at > now) {
        return Ok(Worked::No(next, "a promise nears its end"));
    }
    let known = app.known();
    app.store
        .submit(move |tx| {
            for ticket in service::due(tx, tx.now, AT_ONCE)? {
                follow(tx, &known.settings, &tickets::of(tx, ticket)?)?;
            }
            Result::Ok(())
        })
        .await?;
    Ok(Worked::Yes)
}
