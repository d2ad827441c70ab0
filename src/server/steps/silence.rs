//! Agents whose check-in is due: it came, or it is missed.

use super::{AT_ONCE, Worked};
use crate::app::App;
use crate::server::contact;
use crate::store::{Result, agents};

/// Looks at the agents whose check-in is due.
///
/// # Errors
/// The database's.
pub async fn step(app: &App) -> Result<Worked> {
    let now = app.clock.now();
    let next = app.store.read(agents::next_due)?;
    if next.is_none_or(|at| at > now) {
        return Ok(Worked::No(next, "a check-in is due"));
    }
    let known = app.known();
    app.store
        .submit(move |tx| {
            for caller in agents::due(tx, tx.now, AT_ONCE)? {
                contact::look(tx, &known, &caller)?;
            }
            Ok(())
        })
        .await?;
    Ok(Worked::Yes)
}
