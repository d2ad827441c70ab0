//! What is in maintenance: which devices a window covers, which window covers a device, and when that was so.

use std::collections::HashMap;

use schedules::Time;

use super::Subject;
use crate::domain::ids::{DeviceId, OutageId};
use crate::domain::maintenance::merged;
use crate::store::{Arg, Result, Row, ToArg, Tx, WriteTx, args};

/// What covers a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Covered {
    /// The window.
    pub window: i64,
    /// When it ends, as planned.
    pub until: Time,
}

/// Whether a window `w` covers the device `$1`.
const COVERS: &str = "(w.device_id = $1 OR w.site_id = (SELECT site_id FROM device WHERE id = $1)
    OR w.tag IN (SELECT tag FROM device_tag WHERE device_id = $1))";

/// The window that covers a device at `tx.now`, of several the one that ends last. An occurrence that is due counts,
/// also where nobody has begun or ended it yet.
///
/// # Errors
/// The database's.
pub fn of_device(tx: &Tx, device: DeviceId) -> Result<Option<Covered>> {
    tx.maybe(
        &format!(
            "SELECT w.id, r.until_at FROM maintenance_run r JOIN maintenance w ON w.id = r.window_id
             WHERE r.ended_at IS NULL AND r.until_at > $2 AND {COVERS}
             UNION ALL
             SELECT w.id, w.next_until FROM maintenance w
             WHERE w.next_at <= $2 AND w.next_until > $2 AND {COVERS}
             ORDER BY 2 DESC, 1 LIMIT 1"
        ),
        args![device.0, tx.now],
        covered,
    )
}

fn covered(row: &Row) -> Result<Covered> {
    Ok(Covered { window: row.get(0)?, until: row.get(1)? })
}

/// The windows that cover devices at `tx.now`, as [`of_device`] has them one by one.
///
/// # Errors
/// The database's.
pub fn of_devices(tx: &Tx) -> Result<HashMap<DeviceId, Covered>> {
    let active = tx.all(
        "SELECT w.id, r.until_at, w.device_id, w.site_id, w.tag
         FROM maintenance_run r JOIN maintenance w ON w.id = r.window_id WHERE r.ended_at IS NULL AND r.until_at > $1
         UNION ALL
         SELECT w.id, w.next_until, w.device_id, w.site_id, w.tag FROM maintenance w
         WHERE w.next_at <= $1 AND w.next_until > $1
         ORDER BY 2, 1 DESC",
        args![tx.now],
        |row| {
            let ids = (row.get::<Option<i64>>(2)?, row.get::<Option<i64>>(3)?, row.get::<Option<String>>(4)?);
            Ok((covered(row)?, ids))
        },
    )?;
    let mut all = HashMap::new();
    for (covered, (device, site, tag)) in active {
        let devices = match (device, site) {
            (Some(device), _) => vec![DeviceId(device)],
            (None, Some(site)) => ids(tx, "SELECT id FROM device WHERE site_id = $1", site.to_arg())?,
            (None, None) => ids(tx, "SELECT device_id FROM device_tag WHERE tag = $1", tag.to_arg())?,
        };
        all.extend(devices.into_iter().map(|device| (device, covered)));
    }
    Ok(all)
}

fn ids(tx: &Tx, sql: &str, arg: Arg<'_>) -> Result<Vec<DeviceId>> {
    tx.all(sql, &[arg], |row| Ok(DeviceId(row.get(0)?)))
}

/// When a device was in maintenance between two moments: what of each occurrence lies in there, the oldest first, none
/// of them over another. Which windows cover the device is asked as it is now.
///
/// # Errors
/// The database's.
pub fn runs_between(tx: &Tx, device: DeviceId, from: Time, to: Time) -> Result<Vec<(Time, Time)>> {
    let all = tx.all(
        &format!(
            "SELECT r.began_at, coalesce(r.ended_at, r.until_at) FROM maintenance_run r
             JOIN maintenance w ON w.id = r.window_id
             WHERE r.began_at < $3 AND coalesce(r.ended_at, r.until_at) > $2 AND {COVERS}
             UNION ALL
             SELECT w.next_at, w.next_until FROM maintenance w
             WHERE w.next_at <= $4 AND w.next_at < $3 AND w.next_until > $2 AND {COVERS}"
        ),
        args![device.0, from, to, tx.now],
        |row| Ok((row.get::<Time>(0)?.max(from), row.get::<Time>(1)?.min(to))),
    )?;
    Ok(merged(all))
}

impl Subject {
    /// The condition for a device `d` to be covered, and its argument `$1`.
    fn condition(&self) -> (&'static str, Arg<'_>) {
        match self {
            Subject::Device(id, _) => ("d.id = $1", Arg::Int(id.0)),
            Subject::Site(id, _) => ("d.site_id = $1", Arg::Int(id.0)),
            Subject::Tag(tag) => {
                ("d.id IN (SELECT device_id FROM device_tag WHERE tag = $1)", Arg::Text(tag))
            }
        }
    }
}

/// Asks for everything that is covered to be judged anew.
pub(super) fn judge_soon(tx: &WriteTx, subject: &Subject) -> Result<()> {
    let (condition, arg) = subject.condition();
    tx.run(
        &format!("UPDATE device SET judge_at = $2 WHERE id IN (SELECT d.id FROM device d WHERE {condition})"),
        &[arg, tx.now.to_arg()],
    )?;
    Ok(())
}

/// A device that is down, and since when.
pub(super) struct Down {
    /// The device.
    pub(super) device: DeviceId,
    /// Its name.
    pub(super) name: String,
    /// Its outage.
    pub(super) outage: OutageId,
    /// When that began.
    pub(super) since: Time,
}

/// What is covered and has been down since before `at`.
pub(super) fn down_since_before(tx: &Tx, subject: &Subject, at: Time) -> Result<Vec<Down>> {
    let (condition, arg) = subject.condition();
    tx.all(
        &format!(
            "SELECT d.id, d.name, o.id, o.started_at FROM device d JOIN outage o ON o.device_id = d.id
             WHERE d.state = 'down' AND o.ended_at IS NULL AND o.source = 'seen' AND o.started_at < $2 AND {condition}
             ORDER BY d.id"
        ),
        &[arg, at.to_arg()],
        |row| {
            Ok(Down {
                device: DeviceId(row.get(0)?),
                name: row.get(1)?,
                outage: OutageId(row.get(2)?),
                since: row.get(3)?,
            })
        },
    )
}
