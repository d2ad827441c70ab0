//! When the server itself could not see, and what it looks at to know.

use std::collections::BTreeMap;

use schedules::Time;
use serde_json::json;

use crate::domain::blind::Top;
use crate::domain::check::{Run, Status};
use crate::domain::event::{About, Kind as Happened};
use crate::domain::ids::DeviceId;
use crate::store::events::{self, Actor};
use crate::store::{Result, Row, Tx, WriteTx, args, word};

/// A time in which the server could not see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blind {
    /// Its number.
    pub id: i64,
    /// Since when.
    pub since: Time,
    /// When it could see again; absent while it cannot.
    pub ended_at: Option<Time>,
}

/// The newest one.
///
/// # Errors
/// The database's.
pub fn newest(tx: &Tx) -> Result<Option<Blind>> {
    tx.maybe("SELECT id, since, ended_at FROM blind ORDER BY id DESC LIMIT 1", args![], |row| {
        Ok(Blind { id: row.get(0)?, since: row.get(1)?, ended_at: row.get(2)? })
    })
}

/// The server cannot see, since `since`. Outages that began since then and have no ticket yet are retracted: nothing is
/// known of those devices. All are judged anew.
///
/// # Errors
/// The database's.
pub fn begin(tx: &WriteTx, since: Time, reason: &str, by: &Actor) -> Result<()> {
    tx.run("INSERT INTO blind (since, seen_at, reason) VALUES ($1, $2, $3)", args![since, tx.now, reason])?;
    let body = json!({"since": since, "reason": reason});
    events::record(tx, by, Happened::MonitorBlind, About::default(), &body)?;
    let retracted = tx.all(
        "UPDATE outage SET retracted_at = $1, ended_at = $1, ticket_at = NULL WHERE ended_at IS NULL AND source = 'seen'
         AND started_at >= $2 AND ticket_id IS NULL RETURNING id, device_id",
        args![tx.now, since],
        |row| Ok((row.get::<i64>(0)?, DeviceId(row.get(1)?))),
    )?;
    for (id, device) in retracted {
        events::record(tx, by, Happened::OutageRetracted, device.into(), &json!({"outage": id}))?;
    }
    judge_all(tx)
}

/// The server can see again. All are judged anew.
///
/// # Errors
/// The database's.
pub fn end(tx: &WriteTx, blind: &Blind, by: &Actor) -> Result<()> {
    tx.run("UPDATE blind SET ended_at = $2 WHERE id = $1 AND ended_at IS NULL", args![blind.id, tx.now])?;
    let body = json!({"since": blind.since, "ended_at": tx.now, "duration_ms": tx.now.since(blind.since)});
    events::record(tx, by, Happened::MonitorSighted, About::default(), &body)?;
    judge_all(tx)
}

fn judge_all(tx: &WriteTx) -> Result<()> {
    tx.run("UPDATE device SET judge_at = $1 WHERE paused_at IS NULL", args![tx.now])?;
    Ok(())
}

const PROOFS: &str =
    "SELECT d.id, d.site_id, c.kind, h.status, h.run, h.run_since, h.good_at, a.last_check_in_at
    FROM device d JOIN checks c ON c.device_id = d.id JOIN check_health h ON h.check_id = c.id
    LEFT JOIN agent a ON a.device_id = d.id
    WHERE d.paused_at IS NULL AND (c.agent_id IS NULL OR c.kind = 'check-in')
    AND d.id <> coalesce((SELECT value FROM mark WHERE key = 'this_machine'), 0)";

/// The devices that hang on nothing but the server's own way to them, as they answer now.
///
/// # Errors
/// The database's.
pub fn tops(tx: &Tx) -> Result<Vec<(DeviceId, Top)>> {
    let sql = format!("{PROOFS} AND NOT EXISTS (SELECT 1 FROM device_parent p WHERE p.device_id = d.id)");
    let mut all = BTreeMap::new();
    tx.each(&sql, args![], |row| proof(row, &mut all))?;
    Ok(all.into_iter().collect())
}

/// The devices of those names, as they answer now; what was never measured is left out.
///
/// # Errors
/// The database's.
pub fn named<'a>(tx: &Tx, names: impl Iterator<Item = &'a str>) -> Result<Vec<(DeviceId, Top)>> {
    let mut all = BTreeMap::new();
    for name in names {
        tx.each(&format!("{PROOFS} AND d.name = $1"), args![name], |row| proof(row, &mut all))?;
    }
    Ok(all.into_iter().collect())
}

/// Adds one proof to what is known of its device: any good answer is one; silent it is since the last of them fell silent.
fn proof(row: &Row, all: &mut BTreeMap<DeviceId, Top>) -> Result<()> {
    let (status, run): (Status, Run) = (word(row, 3)?, word(row, 4)?);
    if run == Run::Blank {
        return Ok(());
    }
    let called = if row.get::<String>(2)? == "check-in" { row.get::<Option<Time>>(7)? } else { None };
    let good_at = row.get::<Option<Time>>(6)?.max(called);
    let silent_since = if run == Run::Bad { Some(row.get(5)?) } else { None };
    let failed = status == Status::Failed && run == Run::Bad;
    let device = DeviceId(row.get(0)?);
    let top = all.entry(device).or_insert(Top { site: row.get(1)?, silent_since, failed, good_at });
    top.silent_since = match (top.silent_since, silent_since) {
        (Some(one), Some(other)) => Some(one.max(other)),
        (None, _) | (_, None) => None,
    };
    top.failed |= failed;
    top.good_at = top.good_at.max(good_at);
    Ok(())
}
