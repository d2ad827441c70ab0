//! Checks, what their results have made of them, and the readings.

mod nudges;

use agent::report::{CheckResult, Outcome, Probe};
use schedules::{Millis, Time};
use serde_json::json;

use crate::domain::check::{Health, Kind};
use crate::domain::event::Kind as Happened;
use crate::domain::ids::{CheckId, DeviceId};
use crate::domain::judgement::Proof;
use crate::domain::rollup::Sample;
use crate::store::events::{self, Actor};
use crate::store::filter::{Column, Page, Selection};
use crate::store::history;
use crate::store::settings::config_changed;
use crate::store::{Error, Result, Row, Tx, WriteTx, args, offers, word};

pub use nudges::{Nudged, nudge};

/// The most checks one device has.
pub const MAX_PER_DEVICE: i64 = 100;

/// One thing watched about a device.
#[derive(Clone, Debug, PartialEq)]
pub struct Check {
    /// Its number.
    pub id: CheckId,
    /// The device it is about, and its name.
    pub device: (DeviceId, String),
    /// What it does.
    pub kind: Kind,
    /// What exactly it does; absent for those that nobody runs.
    pub probe: Option<Probe>,
    /// When it runs, where it has a schedule of its own.
    pub cadence: Option<String>,
    /// How long it waits, where it has a limit of its own.
    pub timeout: Option<Millis>,
    /// The device whose agent runs it, and its name; absent: the agent inside the server.
    pub from: Option<(DeviceId, String)>,
    /// The key of its ping address, where it is a ping check.
    pub ping_key: Option<String>,
    /// When it was added.
    pub created_at: Time,
    /// What its results have made of it.
    pub health: Option<Health>,
    /// The newest round trip, in microseconds.
    pub rtt_us: Option<u32>,
    /// The newest loss, in thousandths.
    pub loss_permille: Option<u32>,
    /// What the newest result said.
    pub message: String,
    /// The device's address.
    pub address: Option<String>,
    /// Counts up when somebody wants a result now.
    pub nudge: u64,
    /// How long a judgement waits for its first result.
    pub awaited_until: Option<Time>,
}

const SELECT: &str = "SELECT c.id, c.device_id, d.name, c.kind, c.spec, c.cadence, c.timeout_ms, c.agent_id, f.name, c.ping_key,
    c.created_at, h.status, h.run, h.count, h.since, h.last_at, h.rtt_us, h.loss_permille, h.message, c.nudge,
    c.awaited_until, h.good_at, d.address, h.run_since FROM checks c JOIN device d ON d.id = c.device_id LEFT JOIN device f ON f.id = c.agent_id
    LEFT JOIN check_health h ON h.check_id = c.id";

/// What a query for checks may ask for, and where that stands.
pub const QUERY: &[Column] = &[
    Column::text("device", "d.name").offering(offers::DEVICES),
    Column::words("kind", "c.kind", Kind::NAMES),
    Column::words("status", "coalesce(h.status, 'unknown')", crate::domain::check::Status::NAMES),
    Column::text("from", "f.name")
        .offering("SELECT name AS v FROM device WHERE id IN (SELECT agent_id FROM checks)"),
    Column::time("since", "h.since"),
    Column::time("at", "h.last_at"),
    Column::number("id", "c.id"),
];

/// Where free text is looked for.
pub const TEXT: &[&str] = &["d.name", "c.kind", "h.message", "c.spec"];

/// The checks that are asked for.
///
/// # Errors
/// The database's.
pub fn list(tx: &Tx, wanted: &Selection, page: &Page) -> Result<Vec<Check>> {
    tx.all(&format!("{SELECT} WHERE {} {}", wanted.sql(), page.sql("c.id")), &wanted.args(), check)
}

/// The checks of a device.
///
/// # Errors
/// The database's.
pub fn of_device(tx: &Tx, device: DeviceId) -> Result<Vec<Check>> {
    tx.all(&format!("{SELECT} WHERE c.device_id = $1 ORDER BY c.id"), args![device.0], check)
}

/// The check of that id, which must be there.
///
/// # Errors
/// There is none, or the database's.
pub fn get(tx: &Tx, id: &str) -> Result<Check> {
    let found = match id.parse::<i64>() {
        Ok(number) => tx.maybe(&format!("{SELECT} WHERE c.id = $1"), args![number], check)?,
        Err(_) => None,
    };
    found.ok_or_else(|| Error::not_found("check", id))
}

/// The ping check with that key.
///
/// # Errors
/// The database's.
pub fn by_ping_key(tx: &Tx, key: &str) -> Result<Option<Check>> {
    tx.maybe(&format!("{SELECT} WHERE c.ping_key = $1"), args![key], check)
}

/// A check that is to be added.
#[derive(Clone, Debug)]
pub struct New {
    /// The device it is about.
    pub device: DeviceId,
    /// What it does.
    pub kind: Kind,
    /// What exactly.
    pub probe: Option<Probe>,
    /// When it runs; absent: as the settings say.
    pub cadence: Option<String>,
    /// How long it waits; absent: as the settings say.
    pub timeout: Option<Millis>,
    /// The device whose agent runs it; absent: the agent inside the server.
    pub from: Option<DeviceId>,
    /// The key of its ping address.
    pub ping_key: Option<String>,
    /// How long a judgement waits for its first result.
    pub awaited_until: Option<Time>,
}

impl New {
    /// One of this kind with nothing of its own.
    #[must_use]
    pub fn plain(device: DeviceId, kind: Kind) -> New {
        New {
            device,
            kind,
            probe: None,
            cadence: None,
            timeout: None,
            from: None,
            ping_key: None,
            awaited_until: None,
        }
    }
}

/// Adds one.
///
/// # Errors
/// The device has too many, or the database's.
pub fn add(tx: &WriteTx, new: &New, by: &Actor) -> Result<Check> {
    let count: i64 =
        tx.one("SELECT count(*) FROM checks WHERE device_id = $1", args![new.device.0], |row| row.get(0))?;
    if count >= MAX_PER_DEVICE {
        return Err(Error::refused(format!("this device has {count} checks: {MAX_PER_DEVICE} are the most")));
    }
    let spec = match &new.probe {
        Some(probe) => {
            serde_json::to_string(probe).map_err(|e| Error::Other(format!("a check's spec: {e}")))?
        }
        None => "{}".to_owned(),
    };
    let id = tx.id(
        "INSERT INTO checks (device_id, kind, spec, cadence, timeout_ms, agent_id, ping_key, created_at,
         awaited_until) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING id",
        args![
            new.device.0,
            new.kind.as_str(),
            spec.as_str(),
            new.cadence.as_deref(),
            new.timeout,
            new.from.map(|d| d.0),
            new.ping_key.as_deref(),
            tx.now,
            new.awaited_until
        ],
    )?;
    config_changed(tx, new.from.into())?;
    if new.kind != Kind::Contact {
        let body = json!({"check": id, "kind": new.kind.as_str(), "spec": spec, "cadence": new.cadence});
        events::record(tx, by, Happened::CheckAdded, new.device.into(), &body)?;
    }
    get(tx, &id.to_string())
}

/// Removes one, with its readings.
///
/// # Errors
/// The database's.
pub fn remove(tx: &WriteTx, check: &Check, by: &Actor) -> Result<()> {
    history::forget(tx, check.id)?;
    tx.run("DELETE FROM checks WHERE id = $1", args![check.id.0])?;
    config_changed(tx, check.from.as_ref().map(|from| from.0).into())?;
    if check.kind != Kind::Contact {
        let body = json!({"check": check.id.0, "kind": check.kind.as_str()});
        events::record(tx, by, Happened::CheckRemoved, check.device.0.into(), &body)?;
    }
    Ok(())
}

/// What is needed of a check to take in a result.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    /// The device it is about.
    pub device: DeviceId,
    /// The device whose agent may report it; absent: the agent inside the server.
    pub from: Option<DeviceId>,
    /// What it does.
    pub kind: Kind,
    /// What its results have made of it.
    pub health: Option<Health>,
}

/// What is known of a check, if there is one.
///
/// # Errors
/// The database's.
pub fn known(tx: &Tx, id: CheckId) -> Result<Option<Known>> {
    tx.maybe(
        "SELECT c.device_id, c.agent_id, c.kind, h.status, h.run, h.count, h.since, h.last_at, h.good_at,
         h.run_since FROM checks c LEFT JOIN check_health h ON h.check_id = c.id WHERE c.id = $1",
        args![id.0],
        |row| {
            Ok(Known {
                device: DeviceId(row.get(0)?),
                from: row.get::<Option<i64>>(1)?.map(DeviceId),
                kind: word(row, 2)?,
                health: health(row, 3, 8, 9)?,
            })
        },
    )
}

/// What is known of a device by its checks: as much of them as a judgement needs.
///
/// # Errors
/// The database's.
pub fn proofs(tx: &Tx, device: DeviceId) -> Result<Vec<Proof>> {
    tx.all(
        "SELECT c.kind, h.status, h.run, h.count, h.since, h.last_at, h.good_at, h.run_since, c.awaited_until
         FROM checks c LEFT JOIN check_health h ON h.check_id = c.id WHERE c.device_id = $1 ORDER BY c.id",
        args![device.0],
        |row| Ok(Proof { kind: word(row, 0)?, health: health(row, 1, 6, 7)?, awaited_until: row.get(8)? }),
    )
}

/// Writes down what a check's results have made of it. `result`: the newest one, for whoever looks.
///
/// # Errors
/// The database's.
pub fn set_health(tx: &WriteTx, id: CheckId, health: &Health, result: Option<&CheckResult>) -> Result<()> {
    let (status, run, count) = (health.status.as_str(), health.run.as_str(), i64::from(health.count));
    let rtt_us = result.and_then(|r| r.rtt_us);
    let loss_permille = result.and_then(|r| r.loss_permille);
    let message = result.map_or("", |r| r.message.as_str());
    let values = args![
        id.0,
        status,
        run,
        count,
        health.since,
        health.last_at,
        rtt_us,
        loss_permille,
        message,
        health.good_at,
        health.run_since
    ];
    // Nearly always there is one: to change it costs half of what it costs to try to add one first.
    let changed = tx.run(
        "UPDATE check_health SET status = $2, run = $3, count = $4, since = $5, last_at = $6, rtt_us = $7,
         loss_permille = $8, message = $9, good_at = $10, run_since = $11 WHERE check_id = $1",
        values,
    )?;
    if changed == 0 {
        tx.run(
            "INSERT INTO check_health (check_id, status, run, count, since, last_at, rtt_us, loss_permille, message,
             good_at, run_since) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
            values,
        )?;
    }
    Ok(())
}

/// Forgets what is known of a check.
///
/// # Errors
/// The database's.
pub fn forget_health(tx: &WriteTx, id: CheckId) -> Result<()> {
    tx.run("DELETE FROM check_health WHERE check_id = $1", args![id.0])?;
    Ok(())
}

/// One value of a check at a time.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    /// When it was measured.
    pub at: Time,
    /// Its place in its agent's log; 0: it is not from a log.
    pub seq: u64,
    /// How the run ended.
    pub outcome: Outcome,
    /// What was measured.
    pub measured: Measured,
}

/// What was measured, each where it was.
#[derive(Clone, Copy, Debug, Default)]
pub struct Measured {
    /// The round trip in microseconds.
    pub rtt_us: Option<u32>,
    /// Packets lost, in thousandths.
    pub loss_permille: Option<u32>,
    /// Processor time in use, in thousandths.
    pub cpu_permille: Option<u32>,
    /// Memory in use, in thousandths.
    pub memory_permille: Option<u32>,
    /// How full the fullest disk is, in thousandths.
    pub disk_permille: Option<u32>,
}

/// Keeps a reading. The same one counts once.
///
/// # Errors
/// The database's.
pub fn keep_reading(tx: &WriteTx, id: CheckId, reading: &Reading) -> Result<()> {
    let code: i64 = match reading.outcome {
        Outcome::Ok => 0,
        Outcome::Warn => 1,
        Outcome::Fail => 2,
        Outcome::Unknown => 3,
    };
    let Measured { rtt_us, loss_permille, cpu_permille, memory_permille, disk_permille } = reading.measured;
    tx.run(
        "INSERT INTO reading (check_id, at, seq, outcome, rtt_us, loss_permille, cpu_permille, memory_permille,
         disk_permille) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING",
        args![
            id.0,
            reading.at,
            reading.seq,
            code,
            rtt_us,
            loss_permille,
            cpu_permille,
            memory_permille,
            disk_permille
        ],
    )?;
    Ok(())
}

/// The plain pings that were missed since `since` are waited for anew from now on: nobody could have heard them. The
/// checks.
///
/// # Errors
/// The database's.
pub fn pings_missed_since(tx: &Tx, since: Time) -> Result<Vec<Check>> {
    tx.all(
        &format!("{SELECT} WHERE c.kind = 'ping' AND h.status = 'failed' AND h.run_since >= $1"),
        args![since],
        check,
    )
}

/// What the checks of other devices have made of it is forgotten that the agent on `agent` runs: it went silent, and
/// nobody measures them. The devices that were measured.
///
/// # Errors
/// The database's.
pub fn forget_of_agent(tx: &WriteTx, agent: DeviceId) -> Result<Vec<DeviceId>> {
    tx.run(
        "DELETE FROM check_health WHERE check_id IN (SELECT id FROM checks WHERE agent_id = $1 AND spec <> '{}')",
        args![agent.0],
    )?;
    tx.all(
        "SELECT DISTINCT device_id FROM checks WHERE agent_id = $1 AND spec <> '{}'",
        args![agent.0],
        |row| Ok(DeviceId(row.get(0)?)),
    )
}

impl Reading {
    /// The same without its place in a log.
    #[must_use]
    pub fn sample(&self) -> Sample {
        let Measured { rtt_us, loss_permille, cpu_permille, memory_permille, disk_permille } = self.measured;
        Sample {
            at: self.at,
            outcome: self.outcome,
            values: [rtt_us, loss_permille, cpu_permille, memory_permille, disk_permille],
        }
    }
}

/// The readings of a check that are not packed yet, oldest first: those of the last hours, and what came late.
///
/// # Errors
/// The database's.
pub fn readings(tx: &Tx, id: CheckId) -> Result<Vec<Reading>> {
    tx.all(
        "SELECT at, seq, outcome, rtt_us, loss_permille, cpu_permille, memory_permille, disk_permille
         FROM reading WHERE check_id = $1 ORDER BY at, seq",
        args![id.0],
        reading,
    )
}

/// A row of these columns of a reading, in this order.
pub(super) fn reading(row: &Row) -> Result<Reading> {
    let outcome = match row.get::<i64>(2)? {
        0 => Outcome::Ok,
        1 => Outcome::Warn,
        2 => Outcome::Fail,
        _ => Outcome::Unknown,
    };
    let measured = Measured {
        rtt_us: row.get(3)?,
        loss_permille: row.get(4)?,
        cpu_permille: row.get(5)?,
        memory_permille: row.get(6)?,
        disk_permille: row.get(7)?,
    };
    Ok(Reading { at: row.get(0)?, seq: row.get(1)?, outcome, measured })
}

/// How many readings of a check are not packed yet.
///
/// # Errors
/// The database's.
pub fn count_readings(tx: &Tx, id: CheckId) -> Result<i64> {
    tx.one("SELECT count(*) FROM reading WHERE check_id = $1", args![id.0], |row| row.get(0))
}

/// The ids of all checks, for work that goes through them in pieces.
///
/// # Errors
/// The database's.
pub fn ids(tx: &Tx) -> Result<Vec<CheckId>> {
    tx.all("SELECT id FROM checks ORDER BY id", args![], |row| Ok(CheckId(row.get(0)?)))
}

/// When a check runs, where it has a schedule of its own.
///
/// # Errors
/// The database's.
pub fn cadence(tx: &Tx, id: CheckId) -> Result<Option<String>> {
    let found = tx.maybe("SELECT cadence FROM checks WHERE id = $1", args![id.0], |row| row.get(0))?;
    Ok(found.flatten())
}

/// The checks that an agent is to run (`None`: the agent inside the server), of devices that are not paused.
///
/// # Errors
/// The database's.
pub fn to_run(tx: &Tx, agent: Option<DeviceId>) -> Result<Vec<Check>> {
    tx.all(
        &format!("{SELECT} WHERE c.agent_id IS NOT DISTINCT FROM $1 AND d.paused_at IS NULL AND c.spec <> '{{}}' ORDER BY c.id"),
        args![agent.map(|d| d.0)],
        check,
    )
}

/// Says when the next ping of a check is missed; `None`: it is not waited for.
///
/// # Errors
/// The database's.
pub fn set_due(tx: &WriteTx, id: CheckId, at: Option<Time>) -> Result<()> {
    tx.run("UPDATE checks SET due_at = $2 WHERE id = $1", args![id.0, at])?;
    Ok(())
}

/// The checks whose ping is missed by `now`.
///
/// # Errors
/// The database's.
pub fn due(tx: &Tx, now: Time, limit: u32) -> Result<Vec<Check>> {
    tx.all(
        &format!("{SELECT} WHERE c.due_at <= $1 AND d.paused_at IS NULL ORDER BY c.due_at LIMIT {limit}"),
        args![now],
        check,
    )
}

/// When the next ping is missed.
///
/// # Errors
/// The database's.
pub fn next_due(tx: &Tx) -> Result<Option<Time>> {
    tx.one(
        "SELECT min(c.due_at) FROM checks c JOIN device d ON d.id = c.device_id
         WHERE c.due_at IS NOT NULL AND d.paused_at IS NULL",
        args![],
        |row| row.get(0),
    )
}

/// The five columns of a health from `first` on, and those of `good_at` and `run_since`.
fn health(row: &Row, first: usize, good_at: usize, run_since: usize) -> Result<Option<Health>> {
    if row.get::<Option<String>>(first)?.is_none() {
        return Ok(None);
    }
    Ok(Some(Health {
        status: word(row, first)?,
        run: word(row, first + 1)?,
        count: u32::try_from(row.get::<i64>(first + 2)?).unwrap_or(u32::MAX),
        since: row.get(first + 3)?,
        last_at: row.get(first + 4)?,
        good_at: row.get(good_at)?,
        run_since: row.get(run_since)?,
    }))
}

fn check(row: &Row) -> Result<Check> {
    let spec: String = row.get(4)?;
    let from: Option<i64> = row.get(7)?;
    let from_name: Option<String> = row.get(8)?;
    let small = |i: usize| -> Result<Option<u32>> {
        Ok(row.get::<Option<i64>>(i)?.and_then(|n| u32::try_from(n).ok()))
    };
    Ok(Check {
        id: CheckId(row.get(0)?),
        device: (DeviceId(row.get(1)?), row.get(2)?),
        kind: word(row, 3)?,
        probe: serde_json::from_str(&spec).ok(),
        cadence: row.get(5)?,
        timeout: row.get(6)?,
        from: from.map(|id| (DeviceId(id), from_name.unwrap_or_default())),
        ping_key: row.get(9)?,
        created_at: row.get(10)?,
        health: health(row, 11, 21, 23)?,
        rtt_us: small(16)?,
        loss_permille: small(17)?,
        message: row.get::<Option<String>>(18)?.unwrap_or_default(),
        address: row.get(22)?,
        nudge: row.get(19)?,
        awaited_until: row.get(20)?,
    })
}
