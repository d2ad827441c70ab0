//! What stands over a device's state: that it is in maintenance, flaps, is acknowledged, or is paused.

use std::collections::HashSet;

use crate::domain::device::Mark;
use crate::domain::ids::DeviceId;
use crate::store::devices::Device;
use crate::store::filter::Column;
use crate::store::{Result, Tx, args, maintenance};

/// What a query for devices may ask for: `mark:maintenance,paused`.
pub const QUERY: Column = Column::exists(
    "mark",
    "SELECT 1 FROM (
     SELECT 'maintenance' AS mark FROM maintenance_run r JOIN maintenance w ON w.id = r.window_id
     WHERE r.ended_at IS NULL AND (w.device_id = d.id OR w.site_id = d.site_id
     OR w.tag IN (SELECT t.tag FROM device_tag t WHERE t.device_id = d.id))
     UNION ALL SELECT 'flapping' WHERE d.flapping_since IS NOT NULL
     UNION ALL SELECT 'acknowledged' FROM ticket k WHERE k.device_id = d.id AND k.kind = 'outage'
     AND k.state IN ('open', 'waiting', 'recovered') AND k.acknowledged_at IS NOT NULL
     UNION ALL SELECT 'paused' WHERE d.paused_at IS NOT NULL
     ) m WHERE m.mark",
)
.known(Mark::NAMES);

/// Says of a device what stands over its state.
///
/// # Errors
/// The database's.
pub fn fill(tx: &Tx, device: &mut Device) -> Result<()> {
    let in_maintenance = maintenance::of_device(tx, device.id)?.is_some();
    let acknowledged = tx.maybe(
        "SELECT 1 FROM ticket WHERE device_id = $1 AND kind = 'outage' AND state IN ('open', 'waiting', 'recovered')
         AND acknowledged_at IS NOT NULL",
        args![device.id.0],
        |row| row.get::<i64>(0),
    )?;
    device.marks =
        marks(device, &[(Mark::Maintenance, in_maintenance), (Mark::Acknowledged, acknowledged.is_some())]);
    Ok(())
}

/// The same for many at once.
///
/// # Errors
/// The database's.
pub fn fill_all(tx: &Tx, devices: &mut [Device]) -> Result<()> {
    let in_maintenance = maintenance::of_devices(tx)?;
    let acknowledged: HashSet<DeviceId> = tx
        .all(
            "SELECT device_id FROM ticket WHERE device_id IS NOT NULL AND kind = 'outage'
             AND state IN ('open', 'waiting', 'recovered') AND acknowledged_at IS NOT NULL",
            args![],
            |row| Ok(DeviceId(row.get(0)?)),
        )?
        .into_iter()
        .collect();
    for device in devices {
        let known = [
            (Mark::Maintenance, in_maintenance.contains_key(&device.id)),
            (Mark::Acknowledged, acknowledged.contains(&device.id)),
        ];
        device.marks = marks(device, &known);
    }
    Ok(())
}

fn marks(device: &Device, known: &[(Mark, bool)]) -> Vec<Mark> {
    let own = [(Mark::Flapping, device.flapping_since.is_some()), (Mark::Paused, device.paused_at.is_some())];
    let all = known.iter().chain(&own).filter(|(_, stands)| *stands).map(|(mark, _)| *mark);
    let mut all: Vec<Mark> = all.collect();
    all.sort_unstable();
    all
}
