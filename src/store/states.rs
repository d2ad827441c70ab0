//! Every state a device has had.

use schedules::{Millis, Time};

use crate::domain::device::State;
use crate::domain::ids::DeviceId;
use crate::store::{Result, Tx, WriteTx, args, word};

/// Writes down that a device is seen to be in another state.
///
/// # Errors
/// The database's.
pub fn changed(tx: &WriteTx, device: DeviceId, since: Time, state: State, reason: &str) -> Result<()> {
    tx.run(
        "INSERT INTO state_change (device_id, since, seen_at, state, reason) VALUES ($1, $2, $3, $4, $5)",
        args![device.0, since, tx.now, state.as_str(), reason],
    )?;
    Ok(())
}

/// The most changes that are looked at.
const MOST: u32 = 1_000;

/// When a device was seen to change within `window` before now, and the state before that, oldest first.
///
/// # Errors
/// The database's.
pub fn recent(tx: &Tx, device: DeviceId, window: Millis) -> Result<Vec<(Time, State)>> {
    let from = tx.now - window;
    let mut all = Vec::new();
    let mut before = false;
    tx.each(
        &format!(
            "SELECT seen_at, state FROM state_change WHERE device_id = $1 ORDER BY id DESC LIMIT {MOST}"
        ),
        args![device.0],
        |row| {
            let at: Time = row.get(0)?;
            if !before {
                all.push((at, word(row, 1)?));
            }
            before |= at <= from;
            Ok::<(), crate::store::Error>(())
        },
    )?;
    all.reverse();
    Ok(all)
}
