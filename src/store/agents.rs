//! Agents: who reports for a device, how far their logs have been taken in, and the tokens by which they join.

use agent::report::Status;
use schedules::{Millis, Time};
use serde_json::json;

use crate::domain::check::{Health, Kind};
use crate::domain::device::Whereabouts;
use crate::domain::event::Kind as Happened;
use crate::domain::ids::{CheckId, DeviceId};
use crate::store::checks;
use crate::store::events::{self, Actor};
use crate::store::settings::{Whose, config_changed};
use crate::store::{Error, Result, Row, Tx, WriteTx, args, word};

/// How long a join token is good.
pub const TOKEN_LIFE: Millis = Millis::from_secs(7 * 86_400);
/// The most agents at one address that are looked at: behind a large NAT there may be thousands.
const AT_ONE_ADDRESS: u32 = 100;
/// The most logs of one agent that are remembered besides the one it writes.
const MAX_LOGS: i64 = 32;

/// What a check-in needs to know of its agent, in one look.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Its device.
    pub device: DeviceId,
    /// The device's name.
    pub name: String,
    /// The check that its check-ins feed.
    pub check: CheckId,
    /// What they have made of it.
    pub health: Option<Health>,
    /// When it last checked in.
    pub last_check_in_at: Option<Time>,
    /// The log it sends.
    pub log: String,
    /// How far that has been taken in.
    pub acked: u64,
    /// The log it sent before, where that is another one, and how far it had been taken in.
    pub left: Option<(String, u64)>,
    /// When its status was last kept.
    pub status_at: Time,
    /// A hash of what seldom changes in that.
    pub facts: i64,
    /// Its version, as it last said.
    pub version: String,
    /// Its boot, as it last said.
    pub boot_id: String,
    /// When it was started, by the device's clock, as it last said.
    pub started_at: Time,
    /// How far its clock was off when that was last told.
    pub skew: Millis,
    /// Where it called from.
    pub seen_address: Option<String>,
    /// The address it last reported.
    pub reported_address: Option<String>,
    /// When to look whether its next check-in came; absent: nobody waits for it.
    pub look_at: Option<Time>,
    /// The version of its configuration.
    pub config: i64,
    /// How many records it still had for us, as it last said.
    pub waiting: u64,
}

impl Caller {
    /// The same, as far as `log` has been taken in.
    fn with_log(self, tx: &Tx, log: &str) -> Result<Caller> {
        if self.log == log {
            return Ok(self);
        }
        let acked = tx.maybe(
            "SELECT acked FROM agent_log WHERE device_id = $1 AND log = $2",
            args![self.device.0, log],
            |row| row.get::<u64>(0),
        )?;
        let left = (!self.log.is_empty()).then(|| (self.log.clone(), self.acked));
        Ok(Caller { log: log.to_owned(), acked: acked.unwrap_or(0), left, ..self })
    }

    /// Identity of its configuration.
    #[must_use]
    pub fn etag(&self) -> String {
        format!("v{}", self.config)
    }
}

/// The question for agents, whole with its end at compile time: it is asked at every check-in.
macro_rules! callers {
    ($end:literal) => {
        concat!(
            "SELECT a.device_id, d.name, a.check_id, h.status, h.run, h.count, h.since, h.last_at,
             a.last_check_in_at, a.acked, a.version, a.boot_id, a.started_at, a.skew_ms, a.seen_address,
             a.reported_address, a.look_at, a.config, h.good_at, h.run_since, a.log, a.status_at, a.facts, a.waiting
             FROM agent a JOIN device d ON d.id = a.device_id LEFT JOIN check_health h ON h.check_id = a.check_id ",
            $end
        )
    };
}

/// Who calls with that secret, if anybody knows it; as far as the log it sends has been taken in.
///
/// # Errors
/// The database's.
pub fn caller(tx: &Tx, secret_hash: &[u8; 32], log: &str) -> Result<Option<Caller>> {
    let found = tx.maybe(callers!("WHERE a.secret_hash = $1"), args![secret_hash.as_slice()], row_caller)?;
    found.map(|caller| caller.with_log(tx, log)).transpose()
}

/// The agent of that device, if it has one.
///
/// # Errors
/// The database's.
pub fn of_device(tx: &Tx, device: DeviceId, log: &str) -> Result<Option<Caller>> {
    let found = tx.maybe(callers!("WHERE a.device_id = $1"), args![device.0], row_caller)?;
    found.map(|caller| caller.with_log(tx, log)).transpose()
}

/// The agents whose check-ins are to be looked at by `now`.
///
/// # Errors
/// The database's.
pub fn due(tx: &Tx, now: Time, limit: u32) -> Result<Vec<Caller>> {
    tx.all(callers!("WHERE a.look_at <= $1 ORDER BY a.look_at LIMIT $2"), args![now, limit], row_caller)
}

/// When the next agent is to be looked at.
///
/// # Errors
/// The database's.
pub fn next_due(tx: &Tx) -> Result<Option<Time>> {
    tx.one("SELECT min(look_at) FROM agent WHERE look_at IS NOT NULL", args![], |row| row.get(0))
}

/// Says when to look again whether an agent's check-in came; `None`: nobody waits for it.
///
/// # Errors
/// The database's.
pub fn look_at(tx: &WriteTx, device: DeviceId, at: Option<Time>) -> Result<()> {
    tx.run("UPDATE agent SET look_at = $2 WHERE device_id = $1", args![device.0, at])?;
    Ok(())
}

/// Where agents were last, that called since `since` and may have this address; but for that of `device`, of which it is
/// told apart where that was.
///
/// # Errors
/// The database's.
pub fn others_at(
    tx: &Tx,
    address: &str,
    device: DeviceId,
    since: Option<Time>,
) -> Result<(Whereabouts, Vec<(String, Whereabouts)>)> {
    let own = tx.maybe(
        "SELECT reported_address, seen_address FROM agent WHERE device_id = $1",
        args![device.0],
        |row| whereabouts(row, 0),
    )?;
    let others = tx.all(
        &format!(
            "SELECT d.name, a.reported_address, a.seen_address FROM agent a JOIN device d ON d.id = a.device_id
             WHERE a.device_id IN (
                 SELECT device_id FROM (SELECT device_id FROM agent WHERE reported_address = $1 LIMIT {AT_ONE_ADDRESS}) r
                 UNION SELECT device_id FROM (SELECT device_id FROM agent WHERE seen_address = $1 LIMIT {AT_ONE_ADDRESS}) s)
             AND a.device_id <> $2 AND a.last_check_in_at > $3 ORDER BY a.device_id"
        ),
        args![address, device.0, since.unwrap_or(Time::MIN)],
        |row| Ok((row.get(0)?, whereabouts(row, 1)?)),
    )?;
    Ok((own.unwrap_or_default(), others))
}

/// The devices that fell silent whose last known address is one of these, and where their agents were; but for `device`,
/// and those whose address a person fixed.
///
/// # Errors
/// The database's.
pub fn silent_at(
    tx: &Tx,
    addresses: (Option<&str>, Option<&str>),
    device: DeviceId,
) -> Result<Vec<(DeviceId, String, Whereabouts)>> {
    tx.all(
        &format!(
            "SELECT d.id, d.address, a.reported_address, a.seen_address
             FROM device d JOIN agent a ON a.device_id = d.id JOIN check_health h ON h.check_id = a.check_id
             WHERE d.id IN (
                 SELECT id FROM (SELECT id FROM device WHERE address = $1 LIMIT {AT_ONE_ADDRESS}) r
                 UNION SELECT id FROM (SELECT id FROM device WHERE address = $2 LIMIT {AT_ONE_ADDRESS}) s)
             AND d.id <> $3 AND d.address_from <> 'fixed' AND h.status = 'failed' ORDER BY d.id"
        ),
        args![addresses.0, addresses.1, device.0],
        |row| Ok((DeviceId(row.get(0)?), row.get(1)?, whereabouts(row, 2)?)),
    )
}

fn whereabouts(row: &Row, first: usize) -> Result<Whereabouts> {
    let at = |column| Ok::<_, Error>(row.get::<Option<String>>(column)?.and_then(|text| text.parse().ok()));
    Ok(Whereabouts { reported: at(first)?, seen: at(first + 1)? })
}

/// Gives every agent that is waited for at least until `at`.
///
/// # Errors
/// The database's.
pub fn wait_until(tx: &WriteTx, at: Time) -> Result<()> {
    tx.run("UPDATE agent SET look_at = $1 WHERE look_at < $1", args![at])?;
    Ok(())
}

/// What a check-in changed of its agent's row.
#[derive(Clone, Debug)]
pub struct Called<'a> {
    /// Its version.
    pub version: &'a str,
    /// Its boot.
    pub boot_id: &'a str,
    /// When it was started, by the device's clock.
    pub started_at: Time,
    /// How far its clock is off.
    pub skew: Millis,
    /// Where it called from.
    pub seen_address: Option<&'a str>,
    /// The address it reports.
    pub reported_address: Option<&'a str>,
}

/// Whether any agent has this secret.
///
/// # Errors
/// The database's.
pub fn is_known(tx: &Tx, secret_hash: &[u8; 32]) -> Result<bool> {
    let sql = "SELECT 1 FROM agent WHERE secret_hash = $1";
    Ok(tx.maybe(sql, args![secret_hash.as_slice()], |row| row.get::<i64>(0))?.is_some())
}

/// How many logs of an agent are remembered, besides the one that it writes.
///
/// # Errors
/// The database's.
pub fn logs(tx: &Tx, device: DeviceId) -> Result<i64> {
    tx.one("SELECT count(*) FROM agent_log WHERE device_id = $1", args![device.0], |row| row.get(0))
}

/// Writes down that an agent checked in now, and moves the high-water mark of its log.
///
/// # Errors
/// The database's.
pub fn called(tx: &WriteTx, caller: &Caller, acked: u64) -> Result<()> {
    let device = caller.device.0;
    if let Some((log, before)) = &caller.left {
        tx.run(
            "INSERT INTO agent_log (device_id, log, acked) VALUES ($1, $2, $3)
             ON CONFLICT (device_id, log) DO UPDATE SET acked = excluded.acked",
            args![device, log, before],
        )?;
        tx.run("DELETE FROM agent_log WHERE device_id = $1 AND log = $2", args![device, caller.log])?;
        // An agent makes a new log when its database is lost. One that makes them all the time fills no table.
        tx.run(
            "DELETE FROM agent_log WHERE device_id = $1 AND log <> $2
             AND (SELECT count(*) FROM agent_log WHERE device_id = $1) > $3",
            args![device, log, MAX_LOGS],
        )?;
        tx.run("UPDATE agent SET log = $2 WHERE device_id = $1", args![device, caller.log])?;
    } else if caller.last_check_in_at.is_none() {
        tx.run("UPDATE agent SET log = $2 WHERE device_id = $1", args![device, caller.log])?;
    }
    tx.run(
        "UPDATE agent SET last_check_in_at = $2, acked = $3 WHERE device_id = $1",
        args![device, tx.now, acked],
    )?;
    Ok(())
}

/// Writes down that an agent is another one than before in some way.
///
/// # Errors
/// The database's.
pub fn called_changed(
    tx: &WriteTx,
    device: DeviceId,
    called: &Called<'_>,
    look_at: Option<Time>,
) -> Result<()> {
    tx.run(
        "UPDATE agent SET version = $2, boot_id = $3, started_at = $4, skew_ms = $5, seen_address = $6,
         reported_address = $7, look_at = $8 WHERE device_id = $1",
        args![
            device.0,
            called.version,
            called.boot_id,
            called.started_at,
            called.skew,
            called.seen_address,
            called.reported_address,
            look_at
        ],
    )?;
    Ok(())
}

/// Writes down how many records an agent still has for us.
///
/// # Errors
/// The database's.
pub fn set_waiting(tx: &WriteTx, device: DeviceId, waiting: u64) -> Result<()> {
    let waiting = i64::try_from(waiting).unwrap_or(i64::MAX);
    tx.run("UPDATE agent SET waiting = $2 WHERE device_id = $1", args![device.0, waiting])?;
    Ok(())
}

/// Keeps the newest status; `facts`: a hash of what seldom changes in it.
///
/// # Errors
/// The database's.
pub fn set_status(tx: &WriteTx, device: DeviceId, at: Time, status: &Status, facts: i64) -> Result<()> {
    let text = serde_json::to_string(status).map_err(|e| Error::Other(format!("a status: {e}")))?;
    tx.run(
        "INSERT INTO agent_status (device_id, at, status) VALUES ($1, $2, $3)
         ON CONFLICT (device_id) DO UPDATE SET at = excluded.at, status = excluded.status
         WHERE excluded.at >= agent_status.at",
        args![device.0, at, text],
    )?;
    tx.run("UPDATE agent SET status_at = $2, facts = $3 WHERE device_id = $1", args![device.0, at, facts])?;
    Ok(())
}

/// The newest status, and when it was.
///
/// # Errors
/// The database's.
pub fn status(tx: &Tx, device: DeviceId) -> Result<Option<(Time, Status)>> {
    tx.maybe("SELECT at, status FROM agent_status WHERE device_id = $1", args![device.0], |row| {
        let text: String = row.get(1)?;
        let status = serde_json::from_str(&text).map_err(|e| Error::Other(format!("a status: {e}")))?;
        Ok((row.get(0)?, status))
    })
}

/// Makes a token of which `hash` is kept: whoever shows it joins as this device, once. Earlier tokens of the device
/// that nobody used are void.
///
/// # Errors
/// The database's.
pub fn make_token(tx: &WriteTx, device: DeviceId, hash: &[u8; 32], by: &Actor) -> Result<()> {
    tx.run("DELETE FROM join_token WHERE device_id = $1 AND used_at IS NULL", args![device.0])?;
    tx.run(
        "INSERT INTO join_token (hash, device_id, created_at, expires_at) VALUES ($1, $2, $3, $4)",
        args![hash.as_slice(), device.0, tx.now, tx.now + TOKEN_LIFE],
    )?;
    events::record(tx, by, Happened::TokenMade, device.into(), &json!({"expires_at": tx.now + TOKEN_LIFE}))?;
    Ok(())
}

/// Why a token opens nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoEntry {
    /// Nobody made it, or it was replaced by another.
    Unknown,
    /// Somebody joined with it.
    Used,
    /// It is too old.
    Expired,
}

/// Uses a token up: the device it is for.
///
/// # Errors
/// The database's.
pub fn use_token(tx: &WriteTx, hash: &[u8; 32]) -> Result<std::result::Result<DeviceId, NoEntry>> {
    let found = tx.maybe(
        "SELECT device_id, expires_at, used_at FROM join_token WHERE hash = $1",
        args![hash.as_slice()],
        |row| Ok((DeviceId(row.get(0)?), row.get::<Time>(1)?, row.get::<Option<Time>>(2)?)),
    )?;
    let Some((device, expires_at, used_at)) = found else { return Ok(Err(NoEntry::Unknown)) };
    if used_at.is_some() {
        return Ok(Err(NoEntry::Used));
    }
    if tx.now >= expires_at {
        return Ok(Err(NoEntry::Expired));
    }
    tx.run("UPDATE join_token SET used_at = $2 WHERE hash = $1", args![hash.as_slice(), tx.now])?;
    Ok(Ok(device))
}

/// Forgets the tokens that open nothing any more; how many it were.
///
/// # Errors
/// The database's.
pub fn prune_tokens(tx: &WriteTx) -> Result<usize> {
    tx.run("DELETE FROM join_token WHERE expires_at < $1", args![tx.now - TOKEN_LIFE])
}

/// Makes an agent report for a device: with a secret of which `secret_hash` is kept, or with none where it is the
/// one inside the server. An agent that reported for it before is out.
///
/// # Errors
/// The database's.
pub fn join(
    tx: &WriteTx,
    device: DeviceId,
    secret_hash: Option<&[u8; 32]>,
    body: &serde_json::Value,
    by: &Actor,
) -> Result<()> {
    let check = tx.maybe("SELECT check_id FROM agent WHERE device_id = $1", args![device.0], |row| {
        Ok(CheckId(row.get(0)?))
    })?;
    let check = match check {
        Some(check) => check,
        None => {
            let new = checks::New { from: Some(device), ..checks::New::plain(device, Kind::CheckIn) };
            checks::add(tx, &new, by)?.id
        }
    };
    tx.run(
        "INSERT INTO agent (device_id, secret_hash, check_id, joined_at) VALUES ($1, $2, $3, $4)
         ON CONFLICT (device_id) DO UPDATE SET secret_hash = excluded.secret_hash, joined_at = excluded.joined_at,
         version = '', boot_id = '', started_at = 0",
        args![device.0, secret_hash.map(<[u8; 32]>::as_slice), check.0, tx.now],
    )?;
    config_changed(tx, Whose::Agent(device))?;
    events::record(tx, by, Happened::AgentJoined, device.into(), body)?;
    Ok(())
}

fn row_caller(row: &Row) -> Result<Caller> {
    let health = match row.get::<Option<String>>(3)? {
        None => None,
        Some(_) => Some(Health {
            status: word(row, 3)?,
            run: word(row, 4)?,
            count: u32::try_from(row.get::<i64>(5)?).unwrap_or(u32::MAX),
            since: row.get(6)?,
            last_at: row.get(7)?,
            good_at: row.get(18)?,
            run_since: row.get(19)?,
        }),
    };
    Ok(Caller {
        device: DeviceId(row.get(0)?),
        name: row.get(1)?,
        check: CheckId(row.get(2)?),
        health,
        last_check_in_at: row.get(8)?,
        acked: row.get(9)?,
        log: row.get(20)?,
        left: None,
        status_at: row.get(21)?,
        facts: row.get(22)?,
        version: row.get(10)?,
        boot_id: row.get(11)?,
        started_at: row.get(12)?,
        skew: row.get(13)?,
        seen_address: row.get(14)?,
        reported_address: row.get(15)?,
        look_at: row.get(16)?,
        config: row.get(17)?,
        waiting: row.get(23)?,
    })
}
