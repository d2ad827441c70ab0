//! Checks of which somebody wants a result now.

use std::collections::BTreeSet;

use schedules::Time;

use crate::domain::ids::{CheckId, DeviceId};
use crate::store::settings::config_changed;
use crate::store::{Result, Tx, WriteTx, args};

/// Whose checks are to run at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nudged {
    /// This device's.
    Own(DeviceId),
    /// Those of its parents.
    Parents(DeviceId),
    /// Those of its children.
    Children(DeviceId),
    /// Those of its parents and children.
    Neighbours(DeviceId),
    /// Everybody's.
    All,
}

/// Asks for results now, at whichever agents run the checks; those that were asked for one after `not_since` are passed
/// over.
///
/// # Errors
/// The database's.
pub fn nudge(tx: &WriteTx, whose: Nudged, not_since: Time) -> Result<()> {
    let found = match whose {
        Nudged::Own(device) => quiet(tx, "SELECT $1", device, not_since)?,
        Nudged::Parents(device) => quiet(tx, PARENTS, device, not_since)?,
        Nudged::Children(device) => quiet(tx, CHILDREN, device, not_since)?,
        Nudged::Neighbours(device) => {
            let mut found = quiet(tx, PARENTS, device, not_since)?;
            found.append(&mut quiet(tx, CHILDREN, device, not_since)?);
            found
        }
        Nudged::All => quiet(tx, "SELECT id FROM device WHERE id > $1", DeviceId(0), not_since)?,
    };
    for (check, _) in &found {
        tx.run("UPDATE checks SET nudge = nudge + 1, nudged_at = $2 WHERE id = $1", args![check.0, tx.now])?;
    }
    let agents: BTreeSet<Option<DeviceId>> = found.into_iter().map(|(_, agent)| agent).collect();
    for agent in agents {
        config_changed(tx, agent.into())?;
    }
    Ok(())
}

const PARENTS: &str = "SELECT parent_id FROM device_parent WHERE device_id = $1";
const CHILDREN: &str = "SELECT device_id FROM device_parent WHERE parent_id = $1";

/// The checks of those devices that somebody runs and that nobody wanted since `since`, each with its agent.
fn quiet(tx: &Tx, devices: &str, device: DeviceId, since: Time) -> Result<Vec<(CheckId, Option<DeviceId>)>> {
    tx.all(
        &format!(
            "WITH wanted (id) AS ({devices}) SELECT c.id, c.agent_id FROM wanted w JOIN checks c ON c.device_id = w.id
             WHERE c.spec <> '{{}}' AND (c.nudged_at IS NULL OR c.nudged_at <= $2)"
        ),
        args![device.0, since],
        |row| Ok((CheckId(row.get(0)?), row.get::<Option<i64>>(1)?.map(DeviceId))),
    )
}
