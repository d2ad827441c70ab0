//! What a doctor asks the database.

use schedules::Millis;

use crate::store::{Result, Tx, args};

/// What is wrong with the file itself, where something is.
///
/// # Errors
/// The database's.
pub fn quick_check(tx: &Tx) -> Result<Option<String>> {
    let found: String = tx.one(super::engine::QUICK_CHECK, args![], |row| row.get(0))?;
    Ok((found != "ok").then_some(found))
}

/// The devices whose agents missed their check-in.
///
/// # Errors
/// The database's.
pub fn silent_agents(tx: &Tx) -> Result<Vec<String>> {
    tx.all(
        "SELECT d.name FROM agent a JOIN device d ON d.id = a.device_id JOIN check_health h ON h.check_id = a.check_id
         WHERE h.status = 'failed' AND d.paused_at IS NULL ORDER BY d.name",
        args![],
        |row| row.get(0),
    )
}

/// The devices whose clocks are off by more than `most`, and by how much.
///
/// # Errors
/// The database's.
pub fn wrong_clocks(tx: &Tx, most: Millis) -> Result<Vec<(String, Millis)>> {
    tx.all(
        "SELECT d.name, a.skew_ms FROM agent a JOIN device d ON d.id = a.device_id WHERE abs(a.skew_ms) > $1
         ORDER BY abs(a.skew_ms) DESC, d.name",
        args![most],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )
}

/// How many notifications have been tried in vain for longer than that.
///
/// # Errors
/// The database's.
pub fn stuck_deliveries(tx: &Tx, span: Millis) -> Result<i64> {
    tx.one(
        "SELECT count(*) FROM notify_delivery WHERE state = 'waiting' AND attempts > 0 AND created_at < $1",
        args![tx.now - span],
        |row| row.get(0),
    )
}
