//! Dossiers: what agents recorded before, during and after an outage. Which outage a record belongs to is not kept: it
//! follows from device and time, so that what comes late belongs to it as well.

use agent::report::{AgentOutage, Climb, Gap};
use schedules::{Millis, Time};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::domain::dossier::{AROUND, Kept, Kind, MAX_CLIMBS, MAX_GAPS, kind_of};
use crate::domain::history::Interval;
use crate::domain::ids::DeviceId;
use crate::store::outages::Outage;
use crate::store::{Error, Result, Row, Tx, WriteTx, args};

/// The most records of one kind that are kept of a device.
const MAX_KEPT: u32 = 2_000;
/// The most climbs of a good day: those of ten days.
const MAX_BASELINES: u32 = 40;
/// Outages that began longer before another one are not asked when they ended.
const NEIGHBOURS: Millis = Millis::from_secs(30 * 86_400);
/// The most records that one trimming drops.
const AT_ONCE: u32 = 500;

/// Keeps a climb of the ladder, which began at `at`.
///
/// # Errors
/// The database's.
pub fn climbed(tx: &WriteTx, device: DeviceId, at: Time, skew: Option<Millis>, climb: &Climb) -> Result<()> {
    keep(tx, device, kind_of(climb), (at, at), skew, climb)
}

/// Keeps a gap of the record.
///
/// # Errors
/// The database's.
pub fn gap(tx: &WriteTx, device: DeviceId, gap: &Gap) -> Result<()> {
    keep(tx, device, Kind::Gap, (gap.from.unwrap_or(gap.to).min(gap.to), gap.to), None, gap)
}

/// Keeps what an agent tells at `at` of having been cut off since `began` by its own clock; what it told of the same before
/// is replaced.
///
/// # Errors
/// The database's.
pub fn cut_off(tx: &WriteTx, device: DeviceId, (at, began): (Time, Time), told: &AgentOutage) -> Result<()> {
    tx.run(
        "DELETE FROM dossier_record WHERE device_id = $1 AND kind = 'outage' AND told_began = $2",
        args![device.0, began],
    )?;
    keep(tx, device, Kind::Outage, (told.began_at.min(at), told.ended_at.unwrap_or(at)), None, told)?;
    tx.run(
        "UPDATE dossier_record SET told_began = $2 WHERE device_id = $1 AND kind = 'outage' AND told_began IS NULL",
        args![device.0, began],
    )?;
    Ok(())
}

fn keep(
    tx: &WriteTx,
    device: DeviceId,
    kind: Kind,
    (from, at): Interval,
    skew: Option<Millis>,
    body: &impl Serialize,
) -> Result<()> {
    let body =
        serde_json::to_string(body).map_err(|e| Error::usage(format!("a record of a dossier: {e}")))?;
    tx.run(
        "INSERT INTO dossier_record (device_id, kind, from_at, at, came_at, skew_ms, body)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
        args![device.0, kind.as_str(), from, at, tx.now, skew, body],
    )?;
    Ok(())
}

/// Drops the oldest records of a device, where there are too many.
///
/// # Errors
/// The database's.
pub fn trim(tx: &WriteTx, device: DeviceId) -> Result<()> {
    for kind in Kind::ALL {
        let most = match kind {
            Kind::Baseline => MAX_BASELINES,
            Kind::Ladder | Kind::Gap | Kind::Outage => MAX_KEPT,
        };
        tx.run(
            "DELETE FROM dossier_record WHERE id IN (SELECT id FROM dossier_record WHERE device_id = $1 AND kind = $2
             ORDER BY at DESC, id DESC LIMIT $3 OFFSET $4)",
            args![device.0, kind.as_str(), AT_ONCE, most],
        )?;
    }
    Ok(())
}

/// The records that belong to an outage.
#[derive(Clone, Debug, Default)]
pub struct Records {
    /// The climbs around it, the oldest first: where there are too many, the first and the last ones.
    pub climbs: Vec<Kept<Climb>>,
    /// The last climb of a good day before it.
    pub good_day: Option<Kept<Climb>>,
    /// The gaps around it, the oldest first.
    pub gaps: Vec<Kept<Gap>>,
    /// What the agent tells of having been cut off, where that overlaps it the most.
    pub told: Option<AgentOutage>,
}

/// The records of a device that belong to its outage.
///
/// # Errors
/// The database's.
pub fn of_outage(tx: &Tx, outage: &Outage) -> Result<Records> {
    let device = outage.device.0;
    let ended = outage.ended_at.unwrap_or(tx.now);
    let window = window(tx, outage, ended)?;
    let half = u32::try_from(MAX_CLIMBS / 2).unwrap_or(50);
    let mut climbs: Vec<(i64, Kept<Climb>)> = some(tx, device, Kind::Ladder, window, "at, id", half)?;
    if climbs.len() * 2 >= MAX_CLIMBS {
        let last = some(tx, device, Kind::Ladder, window, "at DESC, id DESC", half)?;
        climbs.extend(last);
        climbs.sort_by_key(|(id, climb)| (climb.at, *id));
        climbs.dedup_by_key(|(id, _)| *id);
    }
    let good_day = some(tx, device, Kind::Baseline, (Time(0), outage.started_at), "at DESC, id DESC", 1)?;
    let gaps = some(tx, device, Kind::Gap, window, "at, id", u32::try_from(MAX_GAPS).unwrap_or(50))?;
    let told = some::<AgentOutage>(tx, device, Kind::Outage, window, "at, id", 50)?;
    let overlap = |told: &AgentOutage| {
        told.ended_at.unwrap_or(tx.now).min(ended).since(told.began_at.max(outage.started_at))
    };
    // One that only touches it is that of the outage before or after.
    let told = told.into_iter().map(|(_, kept)| kept.it).filter(|told| overlap(told) > Millis::ZERO);
    let told = told.max_by_key(|told| (overlap(told), told.ended_at.is_some()));
    let plain = |all: Vec<(i64, Kept<Gap>)>| all.into_iter().map(|(_, kept)| kept).collect();
    Ok(Records {
        climbs: climbs.into_iter().map(|(_, kept)| kept).collect(),
        good_day: good_day.into_iter().map(|(_, kept)| kept).next(),
        gaps: plain(gaps),
        told,
    })
}

/// The time whose records belong to an outage: around it, and not beyond its neighbours, to which theirs belong.
fn window(tx: &Tx, outage: &Outage, ended: Time) -> Result<Interval> {
    let device = outage.device.0.0;
    let before = tx.one(
        "SELECT max(ended_at) FROM outage WHERE device_id = $1 AND ended_at < $2 AND started_at >= $3 AND id <> $4",
        args![device, outage.started_at, outage.started_at - NEIGHBOURS, outage.id.0],
        |row| row.get::<Option<Time>>(0),
    )?;
    let after = tx.one(
        "SELECT min(started_at) FROM outage WHERE device_id = $1 AND started_at > $2 AND id <> $3",
        args![device, ended, outage.id.0],
        |row| row.get::<Option<Time>>(0),
    )?;
    let from = (outage.started_at - AROUND).max(before.unwrap_or(Time::MIN));
    Ok((from, (ended + AROUND).min(after.unwrap_or(Time::MAX))))
}

/// The gaps of a device's record around a time, the oldest first.
///
/// # Errors
/// The database's.
pub fn gaps(tx: &Tx, device: DeviceId, window: Interval) -> Result<Vec<Gap>> {
    let all = some(tx, device, Kind::Gap, window, "at, id", u32::try_from(MAX_GAPS).unwrap_or(50))?;
    Ok(all.into_iter().map(|(_, kept)| kept.it).collect())
}

/// Those that overlap `window`. A body that a newer lineman wrote in another way is passed over.
fn some<T: DeserializeOwned>(
    tx: &Tx,
    device: DeviceId,
    kind: Kind,
    (from, to): Interval,
    order: &str,
    limit: u32,
) -> Result<Vec<(i64, Kept<T>)>> {
    let read = |row: &Row<'_>| -> Result<Option<(i64, Kept<T>)>> {
        let body: String = row.get(3)?;
        let it = serde_json::from_str(&body).ok();
        let (id, at, skew) = (row.get(0)?, row.get(1)?, row.get(2)?);
        Ok(it.map(|it| (id, Kept { at, skew, it })))
    };
    let all = tx.all(
        &format!(
            "SELECT id, at, skew_ms, body FROM dossier_record WHERE device_id = $1 AND kind = $2 AND at >= $3
             AND from_at <= $4 ORDER BY {order} LIMIT {limit}"
        ),
        args![device.0, kind.as_str(), from, to],
        read,
    )?;
    Ok(all.into_iter().flatten().collect())
}

/// How many records of a device are kept.
///
/// # Errors
/// The database's.
pub fn count(tx: &Tx, device: DeviceId) -> Result<i64> {
    tx.one("SELECT count(*) FROM dossier_record WHERE device_id = $1", args![device.0], |row| row.get(0))
}
