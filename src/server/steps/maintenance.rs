//! Maintenance: occurrences of windows begin and end.

use super::Worked;
use crate::app::App;
use crate::store::{Result, maintenance};

/// The most windows that are looked at in one transaction.
const AT_ONCE: u32 = 50;

/// Begins and ends what is due.
///
/// # Errors
/// The database's.
pub async fn step(app: &App) -> Result<Worked> {
    let now = app.clock.now();
    let next = app.store.read(maintenance::next_due)?;
    if next.is_none_or(|at| at > now) {
        return Ok(Worked::No(next, "maintenance begins or ends"));
    }
    app.store
        .submit(move |tx| {
            for window in maintenance::due(tx, tx.now, AT_ONCE)? {
                maintenance::step(tx, window)?;
            }
            Result::Ok(())
        })
        .await?;
    Ok(Worked::Yes)
}
