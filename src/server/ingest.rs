//! A report comes in: one transaction takes the readings, the states, the outages, the address, the events.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;

use agent::report::{CheckIn, CheckResult, MAX_RECORDS, Outcome, Record, Reply, Status, Usage, What};
use schedules::{Millis, Time};
use serde_json::json;

use crate::app::Snapshot;
use crate::domain::check::{self, Seen};
use crate::domain::check_in::{Dating, is_live, missed_at, skew_is_news};
use crate::domain::device::{AddressFrom, own_address};
use crate::domain::dossier;
use crate::domain::event::Kind as Happened;
use crate::domain::ids::{CheckId, DeviceId};
use crate::server::dossier::Told;
use crate::server::late::Late;
use crate::server::sight::Eyes;
use crate::server::{config, contact, judge};
use crate::store::agents::{Called, Caller};
use crate::store::checks::{Known, Measured, Reading};
use crate::store::events::Actor;
use crate::store::{self, Tx, WriteTx, agents, checks, devices, events, outages, verdicts};

/// The longest identity of an agent's log, in bytes.
const MAX_LOG_ID: usize = 64;
/// The longest text taken from a report where it is kept as text, in bytes.
const MAX_TEXT: usize = 500;
/// The most bytes kept of a status.
const MAX_STATUS: usize = 64 * 1024;

/// How often a status is kept in which only numbers changed: its readings are kept each time.
const STATUS_KEPT_EVERY: Millis = Millis::from_secs(300);

/// Who calls.
#[derive(Clone, Copy, Debug)]
pub enum Credential {
    /// Whoever has the secret with this hash.
    Secret([u8; 32]),
    /// The agent inside the server, for this machine's device.
    Local(DeviceId),
}

/// Why a check-in is not taken in.
#[derive(Debug)]
pub enum Refused {
    /// Nobody here knows that secret.
    Unknown,
    /// The body is wrong: why, and which record where it is one.
    Bad(String, Option<u64>),
}

/// Takes a check-in in. What it answers holds once the transaction is committed.
///
/// # Errors
/// The database's.
pub fn check_in(
    tx: &WriteTx,
    known: &Snapshot,
    who: Credential,
    call: &CheckIn,
    seen_address: Option<IpAddr>,
) -> store::Result<Result<Reply, Refused>> {
    if let Err(refused) = check_body(call) {
        return Ok(Err(refused));
    }
    let caller = match &who {
        Credential::Secret(hash) => agents::caller(tx, hash, &call.log)?,
        Credential::Local(device) => agents::of_device(tx, *device, &call.log)?,
    };
    let Some(caller) = caller else { return Ok(Err(Refused::Unknown)) };
    // Its configuration may be newer than what this server last looked at: what it is sent must be what its etag says.
    let newer = if caller.config > known.config_version { Some(Snapshot::load(tx)?) } else { None };
    let known = newer.as_ref().unwrap_or(known);
    let local = matches!(who, Credential::Local(_));
    let checks = match checks_of(tx, call, &caller, local)? {
        Ok(checks) => checks,
        Err(refused) => return Ok(Err(refused)),
    };
    let mut taking = Taking {
        tx,
        known,
        by: Actor::Agent(caller.name.clone()),
        checks,
        dating: Dating {
            now: tx.now,
            sent_at: call.sent_at,
            sent_mono: call.sent_mono,
            boot: call.agent.boot_id.as_str(),
        },
        caller: &caller,
        status: None,
        eyes: Eyes::default(),
        late: Late::default(),
        told: Told::default(),
    };
    let mut acked = caller.acked;
    for record in &call.records {
        if record.seq > acked {
            taking.record(record)?;
            acked = record.seq;
        }
    }
    for record in &call.current {
        if record.seq > acked {
            taking.current(record)?;
        }
    }
    taking.late.keep(tx)?;
    taking.arrived(call, seen_address)?;
    agents::called(tx, &caller, acked)?;
    taking.told.judge(tx, caller.device, call.waiting)?;
    backlog(tx, known, &caller, call.waiting)?;
    let config = match &call.config {
        Some(etag) if *etag == caller.etag() => None,
        Some(_) | None => Some(config::of_agent(tx, known, &who, &caller)?),
    };
    Ok(Ok(Reply { acked, server_time: tx.now, config, next_in_ms: Millis::ZERO }))
}

/// Notes how many records an agent still has. Once there are none, what it told of an outage is its last word.
fn backlog(tx: &WriteTx, known: &Snapshot, caller: &Caller, waiting: u64) -> store::Result<()> {
    let waiting = waiting.min(u64::from(u32::MAX));
    if waiting == caller.waiting {
        return Ok(());
    }
    agents::set_waiting(tx, caller.device, waiting)?;
    if waiting == 0 { verdicts::told_all(tx, caller.device, tx.now + known.every) } else { Ok(()) }
}

fn check_body(call: &CheckIn) -> Result<(), Refused> {
    if call.log.is_empty() || call.log.len() > MAX_LOG_ID || !call.log.chars().all(|c| c.is_ascii_graphic()) {
        return Err(Refused::Bad(
            format!("'log' must be 1 to {MAX_LOG_ID} printable ASCII characters"),
            None,
        ));
    }
    if call.records.len() > MAX_RECORDS {
        let many = call.records.len();
        return Err(Refused::Bad(format!("{many} records in one call: {MAX_RECORDS} are the most"), None));
    }
    if call.current.len() > MAX_RECORDS {
        let many = call.current.len();
        return Err(Refused::Bad(
            format!("{many} current records in one call: {MAX_RECORDS} are the most"),
            None,
        ));
    }
    let mut before = 0;
    for record in call.records.iter().chain(&call.current) {
        if let What::Status(status) = &record.what {
            check_status(status).map_err(|why| Refused::Bad(why, Some(record.seq)))?;
        }
        if let Some(why) = dossier::too_large(&record.what) {
            return Err(Refused::Bad(why, Some(record.seq)));
        }
    }
    for record in &call.records {
        if record.seq <= before || i64::try_from(record.seq).is_err() {
            let why = format!("record {} after {before}: 'seq' must rise, from 1 on", record.seq);
            return Err(Refused::Bad(why, Some(record.seq)));
        }
        before = record.seq;
    }
    Ok(())
}

/// What is known of the checks whose results come in. A check that is gone meanwhile is passed over; one that another
/// agent runs makes the record wrong.
fn checks_of(
    tx: &Tx,
    call: &CheckIn,
    caller: &Caller,
    local: bool,
) -> store::Result<Result<HashMap<i64, Known>, Refused>> {
    let mut all = HashMap::new();
    for record in call.records.iter().chain(&call.current).filter(|r| r.seq > caller.acked) {
        let What::Result(result) = &record.what else { continue };
        if all.contains_key(&result.check) {
            continue;
        }
        let Some(known) = checks::known(tx, CheckId(result.check))? else { continue };
        let its_own = known.from == Some(caller.device) || (local && known.from.is_none());
        if !its_own || matches!(known.kind, check::Kind::CheckIn | check::Kind::Ping) {
            let why = format!("check {} is not run by the agent of '{}'", result.check, caller.name);
            return Ok(Err(Refused::Bad(why, Some(record.seq))));
        }
        all.insert(result.check, known);
    }
    Ok(Ok(all))
}

fn check_status(status: &Status) -> Result<(), String> {
    let texts = [&status.host_name, &status.os, &status.kernel];
    let interfaces: usize = status
        .interfaces
        .iter()
        .map(|i| i.name.len() + i.mac.len() + i.addresses.iter().map(String::len).sum::<usize>() + 128)
        .sum();
    let disks: usize = status.disks.iter().map(|d| d.mount.len() + 64).sum();
    let size = texts.iter().map(|t| t.len()).sum::<usize>()
        + interfaces
        + disks
        + 40 * (status.resolvers.len() + status.gateways.len());
    if size > MAX_STATUS {
        return Err(format!("a status of {size} bytes: {MAX_STATUS} are the most"));
    }
    Ok(())
}

/// One check-in on its way into the store.
struct Taking<'a> {
    tx: &'a WriteTx<'a>,
    known: &'a Snapshot,
    by: Actor,
    checks: HashMap<i64, Known>,
    dating: Dating<'a>,
    caller: &'a Caller,
    status: Option<(Time, &'a Status)>,
    eyes: Eyes,
    late: Late,
    told: Told,
}

impl<'a> Taking<'a> {
    fn record(&mut self, record: &'a Record) -> store::Result<()> {
        let at = self.dating.date(record.at, record.mono, record.boot.as_deref());
        let (tx, device) = (self.tx, self.caller.device);
        self.late.record(tx, self.known, &self.checks, device, record, at)?;
        match &record.what {
            What::Status(status) => {
                let measured = measured(status);
                let reading = Reading { at, seq: record.seq, outcome: Outcome::Ok, measured };
                checks::keep_reading(tx, self.caller.check, &reading)?;
                self.newest_status(at, status);
            }
            What::Result(result) => self.result(record, at, result)?,
            What::Change(change) => {
                let body = json!({"subject": cut(&change.subject), "name": cut(&change.name),
                    "from": cut(&change.from), "to": cut(&change.to), "at": at});
                events::record(tx, &self.by, Happened::DeviceChange, device.into(), &body)?;
            }
            What::Outage(outage) => {
                let told = self.told.cut_off(tx, device, self.dating, (record, at), outage)?;
                if let Some(ended_at) = told.ended_at {
                    self.late.cut_off(self.known, device, (told.began_at, ended_at));
                }
                outages::told(tx, device, outage.began_at, &told, &self.by)?;
            }
            What::Ladder(climb) => self.told.climb(tx, device, self.dating, (record, at), climb)?,
            What::Gap(gap) => {
                let gap = self.told.gap(tx, device, self.dating, (record, at), gap)?;
                self.late.gap(tx.now, device, &gap);
            }
            What::Boot(boot) => {
                let body = json!({"at": at, "boot_id": cut(&boot.boot_id), "clean": boot.clean});
                events::record(tx, &self.by, Happened::AgentStarted, device.into(), &body)?;
            }
            What::Dropped(dropped) => {
                let body =
                    json!({"count": dropped.count, "first_at": dropped.first_at, "last_at": dropped.last_at});
                events::record(tx, &self.by, Happened::AgentDropped, device.into(), &body)?;
            }
        }
        Ok(())
    }

    fn current(&mut self, record: &'a Record) -> store::Result<()> {
        let at = self.dating.date(record.at, record.mono, record.boot.as_deref());
        match &record.what {
            What::Status(status) => self.newest_status(at, status),
            What::Result(result) => {
                self.feed(record, at, result)?;
            }
            What::Change(_)
            | What::Ladder(_)
            | What::Gap(_)
            | What::Outage(_)
            | What::Boot(_)
            | What::Dropped(_) => {}
        }
        Ok(())
    }

    fn newest_status(&mut self, at: Time, status: &'a Status) {
        if self.status.is_none_or(|(newest, _)| at >= newest) {
            self.status = Some((at, status));
        }
    }

    fn result(&mut self, record: &Record, at: Time, result: &CheckResult) -> store::Result<()> {
        if self.feed(record, at, result)? {
            let measured = Measured {
                rtt_us: result.rtt_us,
                loss_permille: result.loss_permille,
                ..Measured::default()
            };
            let reading = Reading { at, seq: record.seq, outcome: result.outcome, measured };
            checks::keep_reading(self.tx, CheckId(result.check), &reading)?;
        }
        Ok(())
    }

    /// Feeds a result to its check's status if it is live; false where the check is gone, or not this agent's.
    fn feed(&mut self, record: &Record, at: Time, result: &CheckResult) -> store::Result<bool> {
        let id = CheckId(result.check);
        let Some(known) = self.checks.get_mut(&result.check) else { return Ok(false) };
        if !is_live(at, self.dating.now, self.known.every) {
            return Ok(true);
        }
        let since = result.since.map_or(at, |since| at - record.at.since(since).max(Millis::ZERO));
        let seen = Seen { outcome: result.outcome, at, in_a_row: result.in_a_row, since };
        let health = check::observe(known.health, seen, self.known.limits);
        if known.health == Some(health) {
            return Ok(true);
        }
        let message = cut(&result.message);
        if message.len() < result.message.len() {
            let shorter = CheckResult { message: message.to_owned(), ..result.clone() };
            checks::set_health(self.tx, id, &health, Some(&shorter))?;
        } else {
            checks::set_health(self.tx, id, &health, Some(result))?;
        }
        let before = known.health.replace(health).map_or(check::Status::Unknown, |h| h.status);
        if before != health.status {
            let (device, kind) = (known.device, known.kind);
            told(self.tx, device, id, kind, before, &health, message, &self.by)?;
            // What fails softly is still good: nothing follows from that.
            let well = |status| matches!(status, check::Status::Ok | check::Status::Soft);
            if !(well(before) && well(health.status)) {
                judge::judge_with(self.tx, self.known, device, &self.eyes, &self.by)?;
            }
        }
        Ok(true)
    }

    /// The call itself proves that the agent lives; its newest status says where the device is.
    fn arrived(&mut self, call: &CheckIn, seen_address: Option<IpAddr>) -> store::Result<()> {
        let (tx, caller) = (self.tx, self.caller);
        if let Some((at, status)) = self.status {
            let facts = facts(status);
            if facts != caller.facts || at.since(caller.status_at) >= STATUS_KEPT_EVERY {
                agents::set_status(tx, caller.device, at, status, facts)?;
            }
        }
        if caller.health.is_none_or(|h| h.status != check::Status::Ok) && !self.is_repeat() {
            let seen = Seen::call(Outcome::Ok, caller.health, tx.now);
            let health = check::observe(caller.health, seen, self.known.limits);
            checks::set_health(tx, caller.check, &health, None)?;
            let before = caller.health.map_or(check::Status::Unknown, |h| h.status);
            if health.status != before {
                if before == check::Status::Failed {
                    contact::stop(tx, caller.device, &self.by)?;
                    events::record(
                        tx,
                        &self.by,
                        Happened::AgentBack,
                        caller.device.into(),
                        &json!({"since": health.since}),
                    )?;
                }
                judge::judge_with(tx, self.known, caller.device, &self.eyes, &self.by)?;
            }
        }
        self.row(call, seen_address)
    }

    /// A call so soon after the last one is the same again, or an urgent one: it is no further proof that the agent is
    /// well for good.
    fn is_repeat(&self) -> bool {
        let since_last = self.caller.last_check_in_at.map(|last| self.tx.now.since(last));
        since_last.is_some_and(|span| span.times(2) < self.known.every)
    }

    fn row(&mut self, call: &CheckIn, seen_address: Option<IpAddr>) -> store::Result<()> {
        let (tx, caller) = (self.tx, self.caller);
        let skew = self.dating.skew();
        let skew_news = skew_is_news(caller.skew, skew);
        let live = self.status.filter(|(at, _)| is_live(*at, tx.now, self.known.every));
        let reported = match live {
            Some((_, status)) => status.address.map(|a| a.to_string()),
            None => caller.reported_address.clone(),
        };
        let seen = seen_address.map(|a| a.to_canonical().to_string()).or_else(|| caller.seen_address.clone());
        let moved = reported != caller.reported_address || seen != caller.seen_address;
        let restarted = call.agent.version != caller.version
            || call.agent.boot_id != caller.boot_id
            || call.agent.started_at != caller.started_at;
        let missed = missed_at(tx.now, self.known.every, self.known.grace);
        let look_sooner = caller.look_at.is_none_or(|at| at > missed);
        if !(skew_news || moved || restarted || look_sooner) {
            return Ok(());
        }
        let look_at = caller.look_at.map_or(missed, |at| at.min(missed));
        let called = Called {
            version: cut(&call.agent.version),
            boot_id: cut(&call.agent.boot_id),
            started_at: call.agent.started_at,
            skew: if skew_news { skew } else { caller.skew },
            seen_address: seen.as_deref(),
            reported_address: reported.as_deref(),
        };
        agents::called_changed(tx, caller.device, &called, Some(look_at))?;
        if skew_news {
            let body = json!({"skew_ms": skew, "device_time": self.dating.sent_at});
            events::record(tx, &self.by, Happened::DeviceClock, caller.device.into(), &body)?;
        }
        if moved {
            self.follow_address(reported.as_deref(), seen.as_deref())?;
            contact::moved_in(tx, caller, reported.as_deref(), seen.as_deref())?;
        }
        Ok(())
    }

    fn follow_address(&self, reported: Option<&str>, seen: Option<&str>) -> store::Result<()> {
        let (tx, id) = (self.tx, self.caller.device);
        let device = devices::of(tx, id)?;
        let own = device.address.as_deref();
        let ip = |text: Option<&str>| text.and_then(|text| text.parse().ok());
        match device.address_from {
            AddressFrom::Agent | AddressFrom::Seen => {
                let now = own_address(device.address_from, ip(reported), ip(seen)).map(|ip| ip.to_string());
                match now {
                    Some(now) if own != Some(now.as_str()) => {
                        devices::set_address(tx, id, own, &now, &self.by)
                    }
                    Some(_) | None => Ok(()),
                }
            }
            AddressFrom::Fixed => {
                let differs = |a: Option<&str>| a.is_some() && a != own;
                if differs(reported) || differs(seen) {
                    let body = json!({"fixed": own, "reported": reported, "seen": seen});
                    events::record(tx, &self.by, Happened::DeviceAddressDiffers, id.into(), &body)?;
                }
                Ok(())
            }
        }
    }
}

/// Writes a check's new status into the log, where it is one that counts: not each soft step.
///
/// # Errors
/// The database's.
#[expect(clippy::too_many_arguments, reason = "one line of the log, told by its parts")]
pub fn told(
    tx: &WriteTx,
    device: DeviceId,
    id: CheckId,
    kind: check::Kind,
    before: check::Status,
    health: &check::Health,
    message: &str,
    by: &Actor,
) -> store::Result<()> {
    let counts = |s: check::Status| s != check::Status::Soft;
    if kind == check::Kind::Contact
        || !counts(health.status)
        || (before == check::Status::Soft && health.status == check::Status::Ok)
    {
        return Ok(());
    }
    let body = json!({"check": id.0, "kind": kind.as_str(), "from": before.as_str(), "to": health.status.as_str(),
        "since": health.since, "message": message});
    events::record(tx, by, Happened::CheckStatus, device.into(), &body)?;
    Ok(())
}

/// A hash of what seldom changes in a status: what the machine is, and its network.
fn facts(status: &Status) -> i64 {
    let mut hasher = DefaultHasher::new();
    (&status.host_name, &status.os, &status.kernel, &status.address).hash(&mut hasher);
    (&status.gateways, &status.resolvers).hash(&mut hasher);
    for interface in &status.interfaces {
        (&interface.name, &interface.mac, interface.up, &interface.addresses).hash(&mut hasher);
    }
    hasher.finish().cast_signed()
}

fn measured(status: &Status) -> Measured {
    let permille = |usage: Usage| {
        let share = u128::from(usage.used.min(usage.total)) * 1000 / u128::from(usage.total.max(1));
        u32::try_from(share).unwrap_or(1000)
    };
    Measured {
        cpu_permille: status.cpu_permille,
        memory_permille: status.memory.map(permille),
        disk_permille: status.disks.iter().map(|disk| permille(disk.usage)).max(),
        ..Measured::default()
    }
}

fn cut(text: &str) -> &str {
    let mut end = text.len().min(MAX_TEXT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
