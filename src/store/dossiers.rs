//! Dossiers: what agents recorded before, during and after an outage.

use agent::report::{Climb, Gap};
use schedules::Time;
use serde::Serialize;

use crate::domain::ids::DeviceId;
use crate::store::{Error, Result, WriteTx, args};

/// Keeps a climb of the ladder, which began at `at`.
///
/// # Errors
/// The database's.
pub fn climbed(tx: &WriteTx, device: DeviceId, at: Time, climb: &Climb) -> Result<()> {
    keep(tx, device, "ladder", at, climb)
}

/// Keeps a gap of the record, which ended at `at`.
///
/// # Errors
/// The database's.
pub fn gap(tx: &WriteTx, device: DeviceId, at: Time, gap: &Gap) -> Result<()> {
    keep(tx, device, "gap", at, gap)
}

fn keep(tx: &WriteTx, device: DeviceId, kind: &str, at: Time, body: &impl Serialize) -> Result<()> {
    let body =
        serde_json::to_string(body).map_err(|e| Error::usage(format!("a record of a dossier: {e}")))?;
    tx.run(
        "INSERT INTO dossier_record (device_id, kind, at, came_at, body) VALUES ($1, $2, $3, $4, $5)",
        args![device.0, kind, at, tx.now, body],
    )?;
    Ok(())
}
