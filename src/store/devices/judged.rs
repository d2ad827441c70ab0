//! What devices are judged to be, and which are to be judged.

use schedules::{Millis, Time};
use serde_json::json;

use super::Device;
use crate::domain::event::Kind;
use crate::domain::ids::DeviceId;
use crate::domain::judgement::{Judgement, Parent};
use crate::store::events::{self, Actor};
use crate::store::{Result, Tx, WriteTx, args, states, word};

/// Writes down what a device is, with an event if its state is another one now; false where it is the same. `poll`: how
/// soon it is judged again while it waits for somebody's proof.
///
/// # Errors
/// The database's.
pub fn set_state(
    tx: &WriteTx,
    device: &Device,
    judged: &Judgement,
    poll: Millis,
    by: &Actor,
) -> Result<bool> {
    let reason = judged.reason.as_deref().unwrap_or(&device.reason);
    tx.run(
        "UPDATE device SET state = $2, state_since = $3, reason = $4, held_since = $5, judge_at = $6 WHERE id = $1",
        args![
            device.id.0,
            judged.state.as_str(),
            judged.since,
            reason,
            judged.held_since,
            judged.again.map(|(at, _)| if judged.held_since.is_some() { at.min(tx.now + poll) } else { at })
        ],
    )?;
    if judged.state == device.state {
        return Ok(false);
    }
    let body = json!({"from": device.state.as_str(), "to": judged.state.as_str(), "since": judged.since,
        "reason": reason});
    events::record(tx, by, Kind::DeviceState, device.id.into(), &body)?;
    states::changed(tx, device.id, judged.since, judged.state, reason)?;
    Ok(true)
}

/// Asks for a device to be judged anew, by whoever runs the server.
///
/// # Errors
/// The database's.
pub fn judge_soon(tx: &WriteTx, id: DeviceId) -> Result<()> {
    tx.run("UPDATE device SET judge_at = $2 WHERE id = $1", args![id.0, tx.now])?;
    Ok(())
}

/// Asks for the children of a device to be judged anew: those whose state may follow from their parents'. One that
/// answers is reachable, however its parents are.
///
/// # Errors
/// The database's.
pub fn judge_children_soon(tx: &WriteTx, id: DeviceId) -> Result<()> {
    let children = tx.all(
        "SELECT d.id FROM device_parent p JOIN device d ON d.id = p.device_id WHERE p.parent_id = $1
         AND (d.state NOT IN ('up', 'degraded') OR d.held_since IS NOT NULL)",
        args![id.0],
        |row| Ok(DeviceId(row.get(0)?)),
    )?;
    children.into_iter().try_for_each(|child| judge_soon(tx, child))
}

/// Says since when a device flaps, and when to look whether it is quiet again.
///
/// # Errors
/// The database's.
pub fn set_flapping(tx: &WriteTx, id: DeviceId, since: Option<Time>, look_at: Option<Time>) -> Result<()> {
    tx.run(
        "UPDATE device SET flapping_since = $2, flap_look_at = $3 WHERE id = $1",
        args![id.0, since, look_at],
    )?;
    Ok(())
}

/// The flapping devices that may be quiet by `now`.
///
/// # Errors
/// The database's.
pub fn maybe_quiet(tx: &Tx, now: Time, limit: u32) -> Result<Vec<DeviceId>> {
    let sql = format!("SELECT id FROM device WHERE flap_look_at <= $1 ORDER BY flap_look_at LIMIT {limit}");
    tx.all(&sql, args![now], |row| Ok(DeviceId(row.get(0)?)))
}

/// When the next flapping device may be quiet.
///
/// # Errors
/// The database's.
pub fn next_maybe_quiet(tx: &Tx) -> Result<Option<Time>> {
    tx.one("SELECT min(flap_look_at) FROM device WHERE flap_look_at IS NOT NULL", args![], |row| row.get(0))
}

/// Whether a device has children, and all of them were reached since it failed: there is another way to them.
///
/// # Errors
/// The database's.
pub fn has_relief(tx: &Tx, id: DeviceId) -> Result<bool> {
    tx.one(
        "SELECT count(*), coalesce(sum(CASE WHEN d.state IN ('up', 'degraded') AND (
         EXISTS (SELECT 1 FROM checks c JOIN check_health h ON h.check_id = c.id WHERE c.device_id = d.id AND h.good_at > f.state_since)
         OR EXISTS (SELECT 1 FROM agent a WHERE a.device_id = d.id AND a.last_check_in_at > f.state_since)) THEN 1 ELSE 0 END), 0)
         FROM device f JOIN device_parent p ON p.parent_id = f.id JOIN device d ON d.id = p.device_id WHERE f.id = $1",
        args![id.0],
        |row| {
            let (all, up): (i64, i64) = (row.get(0)?, row.get(1)?);
            Ok(all > 0 && all == up)
        },
    )
}

/// The devices that are to be judged by `now`.
///
/// # Errors
/// The database's.
pub fn to_judge(tx: &Tx, now: Time, limit: u32) -> Result<Vec<DeviceId>> {
    let sql = format!("SELECT id FROM device WHERE judge_at <= $1 ORDER BY judge_at LIMIT {limit}");
    tx.all(&sql, args![now], |row| Ok(DeviceId(row.get(0)?)))
}

/// When the next device is to be judged.
///
/// # Errors
/// The database's.
pub fn next_to_judge(tx: &Tx) -> Result<Option<Time>> {
    tx.one("SELECT min(judge_at) FROM device WHERE judge_at IS NOT NULL", args![], |row| row.get(0))
}

/// Its parents, as far as its own state follows from them.
///
/// # Errors
/// The database's.
pub fn parents(tx: &Tx, id: DeviceId) -> Result<Vec<(DeviceId, Parent)>> {
    tx.all(
        "SELECT d.id, d.state, d.state_since,
         (SELECT max(h.good_at) FROM checks c JOIN check_health h ON h.check_id = c.id WHERE c.device_id = d.id),
         (SELECT a.last_check_in_at FROM agent a WHERE a.device_id = d.id)
         FROM device_parent p JOIN device d ON d.id = p.parent_id WHERE p.device_id = $1",
        args![id.0],
        |row| {
            let proven_at = row.get::<Option<Time>>(3)?.max(row.get::<Option<Time>>(4)?);
            Ok((DeviceId(row.get(0)?), Parent { state: word(row, 1)?, since: row.get(2)?, proven_at }))
        },
    )
}
