//! Readings whose hour is over: they are packed, and rolled up by the minute, the hour and the day.

use schedules::Millis;

use super::Worked;
use crate::app::App;
use crate::store::{Result, history};

/// About how many readings are moved in one transaction: it takes some ten milliseconds.
const AT_ONCE: u32 = 2_000;
/// How long whoever else has something to write goes first between two transactions.
const PAUSE: Millis = Millis(20);

/// Moves some of the readings whose hour is over. The rest follows soon: it does not matter when.
///
/// # Errors
/// The database's.
pub async fn step(app: &App) -> Result<Worked> {
    const WHY: &str = "readings are rolled up";
    let now = app.clock.now();
    let due = app.store.read(history::progress)?.due(now);
    if due > now {
        return Ok(Worked::No(Some(due), WHY));
    }
    let progress = app.store.submit(|tx| history::roll_up(tx, AT_ONCE)).await?;
    Ok(Worked::No(Some(progress.due(now).max(now + PAUSE)), WHY))
}
