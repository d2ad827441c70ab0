//! Verdicts: where the fault of an outage was, as it was known when. Rows are only added; the last one counts.

mod around;
mod elsewhere;

use schedules::{Millis, Time};
use serde_json::{Value, json};

pub use around::{around, dossier};
pub use elsewhere::Elsewhere;

use crate::domain::dossier::AROUND;
use crate::domain::event::{About, Kind as Happened};
use crate::domain::history::Interval;
use crate::domain::ids::{DeviceId, OutageId, TicketId};
use crate::domain::verdict::{Code, Evidence, Missing, Verdict, Who};
use crate::store::events::{self, Actor};
use crate::store::outages::Outage;
use crate::store::{Error, Result, Row, Tx, WriteTx, args, word};

/// Devices of a site go down one after another: each is looked at again once this has passed.
const SOON: Millis = Millis::from_secs(2);
/// How close together devices of a site go down that have one cause.
const TOGETHER: Millis = Millis::from_secs(60);
/// The most verdicts on one outage that are kept; after that the last one is kept up to date.
const MOST: i64 = 100;

/// A verdict that was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// When.
    pub at: Time,
    /// What it says.
    pub verdict: Verdict,
    /// Whether no more is to come from the device.
    pub is_final: bool,
}

/// The one on an outage that counts, where one was given.
///
/// # Errors
/// The database's.
pub fn of_outage(tx: &Tx, outage: OutageId) -> Result<Option<Given>> {
    tx.maybe(&format!("{SELECT} WHERE outage_id = $1 ORDER BY id DESC LIMIT 1"), args![outage.0], given)
}

/// All that were given on an outage, the first first.
///
/// # Errors
/// The database's.
pub fn all_of(tx: &Tx, outage: OutageId) -> Result<Vec<Given>> {
    tx.all(&format!("{SELECT} WHERE outage_id = $1 ORDER BY id LIMIT {MOST}"), args![outage.0], given)
}

const SELECT: &str = "SELECT at, code, likeliest, also, sentence, confidence, who, is_final, evidence, not_measured FROM verdict";

/// The one that counts of a ticket's newest outage that has one.
///
/// # Errors
/// The database's.
pub fn of_ticket(tx: &Tx, ticket: TicketId) -> Result<Option<Given>> {
    let outage = tx.maybe(
        "SELECT o.id FROM outage o WHERE o.ticket_id = $1 AND EXISTS (SELECT 1 FROM verdict v WHERE v.outage_id = o.id)
         ORDER BY o.id DESC LIMIT 1",
        args![ticket.0],
        |row| Ok(OutageId(row.get(0)?)),
    )?;
    match outage {
        Some(outage) => of_outage(tx, outage),
        None => Ok(None),
    }
}

/// Gives a verdict, where it says anything else than the one before it; true if so. Its event is written where the code
/// is another one.
///
/// # Errors
/// The database's.
pub fn give(tx: &WriteTx, outage: &Outage, verdict: &Verdict, is_final: IsFinal, by: &Actor) -> Result<bool> {
    let before = of_outage(tx, outage.id)?;
    let is_final = matches!(is_final, IsFinal::Yes);
    if before.as_ref().is_some_and(|before| before.verdict == *verdict && before.is_final == is_final) {
        return Ok(false);
    }
    let evidence: Vec<Value> =
        verdict.evidence.iter().map(|one| json!({"at": one.at, "what": one.what})).collect();
    let missing: Vec<Value> =
        verdict.not_measured.iter().map(|one| json!({"rung": one.rung, "why": one.why})).collect();
    tx.run(
        "DELETE FROM verdict WHERE id = (SELECT id FROM verdict WHERE outage_id = $1 ORDER BY id DESC LIMIT 1 OFFSET $2)",
        args![outage.id.0, MOST - 1],
    )?;
    tx.run(
        "INSERT INTO verdict (outage_id, at, code, likeliest, also, sentence, confidence, who, is_final, evidence,
         not_measured) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        args![
            outage.id.0,
            tx.now,
            verdict.code.as_str(),
            verdict.likeliest.map(Code::as_str),
            verdict.also.map(Code::as_str),
            verdict.sentence.as_str(),
            i64::from(verdict.confidence),
            verdict.who.as_str(),
            i64::from(is_final),
            Value::Array(evidence).to_string(),
            Value::Array(missing).to_string()
        ],
    )?;
    let was = before.as_ref().map(|before| before.verdict.code);
    if was != Some(verdict.code) {
        let about = About { device: Some(outage.device.0), ticket: outage.ticket, ..About::default() };
        let body = json!({"outage": outage.id.0, "from": was.map(Code::as_str), "to": verdict.code.as_str(),
            "sentence": verdict.sentence, "confidence": verdict.confidence, "who": verdict.who.as_str()});
        events::record(tx, by, Happened::OutageVerdict, about, &body)?;
    }
    Ok(true)
}

/// Whether a verdict is the last word of the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IsFinal {
    /// No more is to come.
    Yes,
    /// It may say more.
    NotYet,
}

/// The outages that are to be judged by `now`.
///
/// # Errors
/// The database's.
pub fn due(tx: &Tx, now: Time, limit: u32) -> Result<Vec<OutageId>> {
    tx.all(
        &format!("SELECT id FROM outage WHERE verdict_at <= $1 ORDER BY verdict_at, id LIMIT {limit}"),
        args![now],
        |row| Ok(OutageId(row.get(0)?)),
    )
}

/// When the next one is.
///
/// # Errors
/// The database's.
pub fn next_due(tx: &Tx) -> Result<Option<Time>> {
    tx.one("SELECT min(verdict_at) FROM outage WHERE verdict_at IS NOT NULL", args![], |row| row.get(0))
}

/// Says when an outage is judged next; `None`: not by itself.
///
/// # Errors
/// The database's.
pub fn judge_at(tx: &WriteTx, outage: OutageId, at: Option<Time>) -> Result<()> {
    tx.run("UPDATE outage SET verdict_at = $2 WHERE id = $1", args![outage.0, at])?;
    Ok(())
}

/// The outages of a device around a time are to be judged by `at`: something came that tells of that time.
///
/// # Errors
/// The database's.
pub fn judge_soon(tx: &WriteTx, device: DeviceId, (from, to): Interval, at: Time) -> Result<()> {
    tx.run(
        "UPDATE outage SET verdict_at = $4 WHERE device_id = $1 AND retracted_at IS NULL AND started_at <= $3
         AND (ended_at IS NULL OR ended_at >= $2) AND (verdict_at IS NULL OR verdict_at > $4)",
        args![device.0, from - AROUND, to + AROUND, at],
    )?;
    Ok(())
}

/// The same for the other devices of its site.
///
/// # Errors
/// The database's.
pub fn judge_siblings_soon(tx: &WriteTx, device: DeviceId, (from, to): Interval, at: Time) -> Result<()> {
    tx.run(
        "UPDATE outage SET verdict_at = $4 WHERE device_id IN (SELECT d.id FROM device d JOIN device own
         ON own.site_id = d.site_id WHERE own.id = $1 AND d.id <> $1) AND retracted_at IS NULL AND started_at <= $3
         AND (ended_at IS NULL OR ended_at >= $2) AND (verdict_at IS NULL OR verdict_at > $4)",
        args![device.0, from - AROUND, to + AROUND, at],
    )?;
    Ok(())
}

/// Its verdict on an outage of `from` tells of the whole site: the outages of the other devices that began with it, of which
/// it is not known where the fault was, are to be judged by it. What came to be known of one is not lost on the others
/// because they were back first.
///
/// # Errors
/// The database's.
pub fn judge_unknown_siblings(tx: &WriteTx, device: DeviceId, from: Time) -> Result<()> {
    tx.run(
        "UPDATE outage SET verdict_at = $4 WHERE device_id IN (SELECT d.id FROM device d JOIN device own
         ON own.site_id = d.site_id WHERE own.id = $1 AND d.id <> $1) AND retracted_at IS NULL
         AND started_at BETWEEN $2 AND $3 AND (verdict_at IS NULL OR verdict_at > $4)
         AND (SELECT v.code FROM verdict v WHERE v.outage_id = outage.id ORDER BY v.id DESC LIMIT 1)
             IN ('provisional', 'unknown')",
        args![device.0, from - TOGETHER, from + TOGETHER, tx.now],
    )?;
    Ok(())
}

/// When an agent was last heard before the call that is being taken in.
///
/// # Errors
/// The database's.
pub fn last_heard(tx: &Tx, device: DeviceId) -> Result<Option<Time>> {
    let last =
        tx.maybe("SELECT last_check_in_at FROM agent WHERE device_id = $1", args![device.0], |row| {
            row.get::<Option<Time>>(0)
        })?;
    Ok(last.flatten())
}

/// The outages that last at its site are to be looked at soon: another device there went down.
///
/// # Errors
/// The database's.
pub fn judge_neighbours_soon(tx: &WriteTx, device: DeviceId) -> Result<()> {
    tx.run(
        "UPDATE outage SET verdict_at = $2 WHERE ended_at IS NULL AND source = 'seen' AND verdict_at > $2
         AND device_id IN (SELECT d.id FROM device d JOIN device own ON own.site_id = d.site_id
         WHERE own.id = $1 AND d.id <> $1)",
        args![device.0, tx.now + SOON],
    )?;
    Ok(())
}

/// The verdicts on a device's outages of the last hour become final soon: its agent has no more to tell.
///
/// # Errors
/// The database's.
pub fn told_all(tx: &WriteTx, device: DeviceId, at: Time) -> Result<()> {
    tx.run(
        "UPDATE outage SET verdict_at = $2 WHERE device_id = $1 AND ended_at >= $3 AND retracted_at IS NULL
         AND (verdict_at IS NULL OR verdict_at > $2)
         AND NOT EXISTS (SELECT 1 FROM verdict v WHERE v.outage_id = outage.id AND v.is_final = 1)",
        args![device.0, at, at - Millis::from_secs(30 * 86_400)],
    )?;
    Ok(())
}

fn given(row: &Row) -> Result<Given> {
    let maybe = |at: usize| -> Result<Option<Code>> {
        Ok(row.get::<Option<String>>(at)?.and_then(|word| word.parse().ok()))
    };
    let list = |at: usize| -> Result<Vec<Value>> {
        serde_json::from_str(&row.get::<String>(at)?).map_err(|e| Error::Other(format!("a verdict: {e}")))
    };
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let evidence = list(8)?;
    let evidence =
        evidence.iter().map(|one| Evidence { at: one["at"].as_i64().map(Time), what: text(&one["what"]) });
    let missing = list(9)?;
    let missing = missing.iter().map(|one| Missing { rung: text(&one["rung"]), why: text(&one["why"]) });
    Ok(Given {
        at: row.get(0)?,
        verdict: Verdict {
            code: word(row, 1)?,
            likeliest: maybe(2)?,
            also: maybe(3)?,
            sentence: row.get(4)?,
            confidence: u8::try_from(row.get::<i64>(5)?).unwrap_or(0),
            who: word::<Who>(row, 6)?,
            evidence: evidence.collect(),
            not_measured: missing.collect(),
        },
        is_final: row.get::<i64>(7)? == 1,
    })
}
