//! What devices were: every state they have had, the times in which nobody measured, and what was proven afterwards.

use std::collections::HashMap;

use schedules::{Millis, Time};

use crate::domain::device::State;
use crate::domain::history::{Change, Gather, Interval, Proofs, Proven, merged};
use crate::domain::ids::{DeviceId, SiteId};
use crate::store::{Result, Row, Tx, WriteTx, args, word};

/// Writes down that a device is another one since `since`.
///
/// # Errors
/// The database's.
pub fn changed(tx: &WriteTx, device: DeviceId, since: Time, state: State, reason: &str) -> Result<()> {
    tx.run(
        "INSERT INTO state_change (device_id, since, seen_at, state, reason) VALUES ($1, $2, $3, $4, $5)",
        args![device.0, since, tx.now, state.as_str(), reason],
    )?;
    Ok(())
}

/// The changes that say what a device was from `from` to `to`, in the order in which they were seen. The first one may
/// lie before that time.
///
/// # Errors
/// The database's.
pub fn between(tx: &Tx, device: DeviceId, from: Time, to: Time) -> Result<Vec<Change>> {
    tx.all(
        "SELECT s.since, s.state, s.reason FROM state_change s WHERE s.device_id = $1 AND s.since < $3
         AND s.id >= coalesce((SELECT p.id FROM state_change p WHERE p.device_id = $1 AND p.since <= $2
         ORDER BY p.id DESC LIMIT 1), 0) ORDER BY s.id",
        args![device.0, from, to],
        |row| Ok(Change { since: row.get(0)?, state: word(row, 1)?, reason: row.get(2)? }),
    )
}

/// A device, as far as a report on what it was needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// Its number.
    pub id: DeviceId,
    /// Its name.
    pub name: String,
    /// Its site.
    pub site: Option<SiteId>,
    /// When it was added.
    pub added_at: Time,
}

/// Hands each device, of that site alone where one is given, to `f` with the changes that say what it was from `from` to
/// `to`, as [`between`] does, but without their reasons. One device is held at a time.
///
/// # Errors
/// The database's, or `f`'s.
pub fn all_between(
    tx: &Tx,
    site: Option<SiteId>,
    (from, to): Interval,
    mut f: impl FnMut(Subject, Vec<Change>) -> Result<()>,
) -> Result<()> {
    let mut held: Option<(Subject, Vec<Change>)> = None;
    tx.each(
        "SELECT d.id, d.name, d.site_id, d.created_at, s.since, s.state FROM device d
         LEFT JOIN state_change s ON s.device_id = d.id AND s.since < $2
         AND s.id >= coalesce((SELECT p.id FROM state_change p WHERE p.device_id = d.id AND p.since <= $1
         ORDER BY p.id DESC LIMIT 1), 0)
         WHERE ($3 IS NULL OR d.site_id = $3) AND d.created_at < $2 ORDER BY d.id, s.id",
        args![from, to, site.map(|site| site.0)],
        |row| {
            let id = DeviceId(row.get(0)?);
            if held.as_ref().is_none_or(|(subject, _)| subject.id != id)
                && let Some((subject, changes)) = held.replace((subject(row)?, Vec::new()))
            {
                f(subject, changes)?;
            }
            if let (Some(since), Some((_, changes))) = (row.get::<Option<Time>>(4)?, &mut held) {
                changes.push(Change { since, state: word(row, 5)?, reason: String::new() });
            }
            Ok(())
        },
    )?;
    match held {
        Some((subject, changes)) => f(subject, changes),
        None => Ok(()),
    }
}

fn subject(row: &Row) -> Result<Subject> {
    Ok(Subject {
        id: DeviceId(row.get(0)?),
        name: row.get(1)?,
        site: row.get::<Option<i64>>(2)?.map(SiteId),
        added_at: row.get(3)?,
    })
}

/// Writes down that lineman itself was away.
///
/// # Errors
/// The database's.
pub fn was_away(tx: &WriteTx, since: Time, ended_at: Time) -> Result<()> {
    if since < ended_at {
        tx.run("INSERT INTO away (since, ended_at) VALUES ($1, $2)", args![since, ended_at])?;
    }
    Ok(())
}

/// The times from `from` to `to` in which nobody measured anything: lineman was away, or could not see.
///
/// # Errors
/// The database's.
pub fn unmeasured(tx: &Tx, from: Time, to: Time) -> Result<Vec<Interval>> {
    let all = tx.all(
        "SELECT since, ended_at FROM away WHERE since < $2 AND ended_at > $1
         UNION ALL SELECT since, coalesce(ended_at, $2) FROM blind WHERE since < $2 AND coalesce(ended_at, $2) > $1",
        args![from, to],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    Ok(merged(all))
}

/// Writes down what records that came late prove: a row beside the others, or a longer one where it follows what was
/// proven in the same way.
///
/// # Errors
/// The database's.
pub fn proved(tx: &WriteTx, proof: &Gather) -> Result<()> {
    let (from, to) = proof.interval;
    let near = tx.maybe(
        "SELECT id, from_at, to_at FROM state_proof WHERE device_id = $1 AND state = $2 AND source = $3
         AND from_at <= $5 AND to_at >= $4 ORDER BY from_at DESC LIMIT 1",
        args![proof.device.0, proof.proven.as_str(), proof.source.as_str(), from - proof.gap, to + proof.gap],
        |row| Ok((row.get::<i64>(0)?, row.get::<Time>(1)?, row.get::<Time>(2)?)),
    )?;
    match near {
        Some((id, was_from, was_to)) => tx.run(
            "UPDATE state_proof SET from_at = $2, to_at = $3 WHERE id = $1",
            args![id, was_from.min(from), was_to.max(to)],
        )?,
        None => tx.run(
            "INSERT INTO state_proof (device_id, from_at, to_at, state, source) VALUES ($1, $2, $3, $4, $5)",
            args![proof.device.0, from, to, proof.proven.as_str(), proof.source.as_str()],
        )?,
    };
    Ok(())
}

/// What was proven afterwards of a device from `from` to `to`.
///
/// # Errors
/// The database's.
pub fn proofs(tx: &Tx, device: DeviceId, (from, to): Interval) -> Result<Proofs> {
    let mut all = Proofs::default();
    tx.each(
        "SELECT state, from_at, to_at FROM state_proof WHERE device_id = $1 AND from_at < $3 AND to_at > $2",
        args![device.0, from, to],
        |row| {
            let interval = (row.get(1)?, row.get(2)?);
            add(&mut all, word(row, 0)?, interval);
            Result::Ok(())
        },
    )?;
    Ok(all)
}

/// The same of every device of which anything was.
///
/// # Errors
/// The database's.
pub fn all_proofs(tx: &Tx, (from, to): Interval) -> Result<HashMap<DeviceId, Proofs>> {
    let mut all: HashMap<DeviceId, Proofs> = HashMap::new();
    tx.each(
        "SELECT state, from_at, to_at, device_id FROM state_proof WHERE from_at < $2 AND to_at > $1",
        args![from, to],
        |row| {
            let interval = (row.get(1)?, row.get(2)?);
            add(all.entry(DeviceId(row.get(3)?)).or_default(), word(row, 0)?, interval);
            Result::Ok(())
        },
    )?;
    Ok(all)
}

fn add(proofs: &mut Proofs, proven: Proven, interval: Interval) {
    match proven {
        Proven::Up => proofs.up.push(interval),
        Proven::Down => proofs.down.push(interval),
    }
}

/// How far a proof reaches towards what was seen: two of the intervals in which agents check in.
#[must_use]
pub fn reach(every: Millis) -> Millis {
    every.times(2)
}
