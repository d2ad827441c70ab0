//! What a verdict is made of: the dossier of the device, and what is known of those around it.

use agent::report::AgentOutage;
use jiff::tz::TimeZone;
use schedules::{Millis, Time};
use serde_json::Value;

use super::TOGETHER;
use super::elsewhere::Elsewhere;
use crate::domain::dossier::{AROUND, Dossier, Progress};
use crate::domain::history::{Interval, timeline};
use crate::domain::ids::DeviceId;
use crate::domain::outage::Source;
use crate::domain::verdict::{Absence, Code, Cohort, Inbound, Sibling};
use crate::store::outages::Outage;
use crate::store::{Result, Row, Tx, args, dossiers, events, states};

/// The most other devices of a site that are looked at; those with agents first.
const MAX_SIBLINGS: u32 = 32;

/// The dossier of an outage, as far as it is here. `settle`: how long after its end its agent had a chance to tell more.
///
/// # Errors
/// The database's.
pub fn dossier(tx: &Tx, outage: &Outage, settle: Millis) -> Result<Dossier> {
    let records = dossiers::of_outage(tx, outage)?;
    let (site, zone, agent) = tx.one(
        "SELECT s.name, s.time_zone, a.waiting, a.last_check_in_at, a.device_id FROM device d
         LEFT JOIN site s ON s.id = d.site_id LEFT JOIN agent a ON a.device_id = d.id WHERE d.id = $1",
        args![outage.device.0.0],
        |row| {
            let agent = match row.get::<Option<i64>>(4)? {
                Some(_) => Some((row.get::<i64>(2)?, row.get::<Option<Time>>(3)?)),
                None => None,
            };
            Ok((row.get::<Option<String>>(0)?, row.get::<Option<String>>(1)?, agent))
        },
    )?;
    let progress = match (outage.ended_at, outage.source, agent) {
        (None, Source::Seen, _) => Progress::Dark,
        (None, Source::Agent, _) => Progress::Coming,
        (Some(_), _, None) => Progress::Whole,
        (Some(ended_at), _, Some((waiting, last))) => {
            let called = last.is_some_and(|last| last >= ended_at);
            let settled = tx.now.since(ended_at) >= settle;
            if waiting == 0 && called && settled { Progress::Whole } else { Progress::Coming }
        }
    };
    let end = outage.ended_at.unwrap_or(tx.now).max(outage.started_at);
    let is_of_it = |told: &AgentOutage| {
        told.began_at <= end && told.ended_at.is_none_or(|ended_at| ended_at >= outage.started_at - TOGETHER)
    };
    let told = records.told.filter(is_of_it);
    let last = told.as_ref().and_then(|told| told.before.last());
    let last = last.or_else(|| records.gaps.iter().find_map(|gap| gap.it.last.as_ref())).cloned();
    Ok(Dossier {
        device: outage.device.1.clone(),
        site,
        zone: zone.and_then(|zone| TimeZone::get(&zone).ok()).unwrap_or(TimeZone::UTC),
        from: outage.started_at,
        until: outage.ended_at,
        now: tx.now,
        progress,
        climbs: records.climbs,
        good_day: records.good_day,
        gaps: records.gaps,
        told,
        last,
    })
}

/// What is known of those around a device while it was out. `elsewhere`: what is known of other sites already.
///
/// # Errors
/// The database's.
pub fn around(tx: &Tx, outage: &Outage, elsewhere: &mut Elsewhere) -> Result<Cohort> {
    let device = outage.device.0;
    let time = (outage.started_at, outage.ended_at.unwrap_or(tx.now).max(outage.started_at));
    let is_agent = |_: &Row<'_>| Ok(());
    let agent = tx.maybe("SELECT 1 FROM agent WHERE device_id = $1", args![device.0], is_agent)?;
    let is_seen = outage.ended_at.is_none() && outage.source == Source::Seen;
    Ok(Cohort {
        has_agent: agent.is_some(),
        reported: is_seen && reported(tx, device, outage.started_at)?,
        inbound: inbound(tx, device)?,
        siblings: siblings(tx, device, time)?,
        absences: absences(tx, time)?,
        others: elsewhere.others(tx, device, time)?,
        moved: moved(tx, device, time)?,
    })
}

/// Whether an agent's check-ins were good since before `from`, and came since.
fn reported(tx: &Tx, device: DeviceId, from: Time) -> Result<bool> {
    let good = tx.maybe(
        "SELECT 1 FROM agent a JOIN checks c ON c.device_id = a.device_id JOIN check_health h ON h.check_id = c.id
         WHERE a.device_id = $1 AND a.last_check_in_at > $2 AND c.kind = 'check-in' AND h.status IN ('ok', 'warn')
         AND h.since <= $2",
        args![device.0, from],
        |_| Ok(()),
    )?;
    Ok(good.is_some())
}

fn inbound(tx: &Tx, device: DeviceId) -> Result<Option<Inbound>> {
    let (good, bad) = tx.one(
        "SELECT count(CASE WHEN h.status IN ('ok', 'warn') THEN 1 END), count(CASE WHEN h.status = 'failed' THEN 1 END) FROM checks c
         JOIN check_health h ON h.check_id = c.id WHERE c.device_id = $1 AND c.kind IN ('icmp', 'tcp', 'contact')
         AND (c.agent_id IS NULL OR c.agent_id <> $1)",
        args![device.0],
        |row| Ok((row.get::<i64>(0)?, row.get::<i64>(1)?)),
    )?;
    Ok(match (good, bad) {
        (0, 0) => None,
        (0, _) => Some(Inbound::Fails),
        (_, _) => Some(Inbound::Holds),
    })
}

fn siblings(tx: &Tx, device: DeviceId, (from, to): Interval) -> Result<Vec<Sibling>> {
    let all = tx.all(
        "SELECT d.id, d.name, a.device_id IS NOT NULL AS agent, a.last_check_in_at FROM device own JOIN device d ON d.site_id = own.site_id
         LEFT JOIN agent a ON a.device_id = d.id WHERE own.id = $1 AND d.id <> $1 ORDER BY agent DESC, d.id LIMIT $2",
        args![device.0, MAX_SIBLINGS],
        |row| Ok((DeviceId(row.get(0)?), row.get::<String>(1)?, row.get::<Option<Time>>(3)?)),
    )?;
    let window = (from - AROUND, to + AROUND);
    let mut siblings = Vec::new();
    for (id, name, heard) in all {
        let changes = states::between(tx, id, window.0, window.1)?;
        let spans = timeline(&changes, window.0, window.0, window.1.min(tx.now));
        let dark = spans.iter().filter(|span| !span.state.is_reachable()).map(|span| (span.from, span.to));
        let verdict = tx.maybe(
            "SELECT v.code, v.confidence FROM outage o JOIN verdict v ON v.outage_id = o.id WHERE o.device_id = $1
             AND o.started_at BETWEEN $2 AND $3 ORDER BY v.id DESC LIMIT 1",
            args![id.0, from - TOGETHER, from + TOGETHER],
            |row| Ok((row.get::<String>(0)?, row.get::<i64>(1)?)),
        )?;
        let verdict = verdict.and_then(|(code, sure)| {
            Some((code.parse::<Code>().ok()?, u8::try_from(sure.clamp(0, 100)).ok()?))
        });
        siblings.push(Sibling {
            name,
            dark: dark.collect(),
            ran: states::proofs(tx, id, window)?.up,
            heard,
            gaps: dossiers::gaps(tx, id, window)?,
            verdict,
        });
    }
    Ok(siblings)
}

fn absences(tx: &Tx, (from, to): Interval) -> Result<Vec<(Interval, Absence)>> {
    let mut all = Vec::new();
    for (sql, why) in [
        ("SELECT since, ended_at FROM away WHERE since <= $2 AND ended_at > $1 ORDER BY since LIMIT 100", Absence::Away),
        (
            "SELECT since, coalesce(ended_at, $2) FROM blind WHERE since <= $2 AND coalesce(ended_at, $2) > $1
             ORDER BY since LIMIT 100",
            Absence::Blind,
        ),
    ] {
        let some = tx.all(sql, args![from, to], |row| Ok((row.get(0)?, row.get(1)?)))?;
        all.extend(some.into_iter().map(|interval| (interval, why)));
    }
    Ok(all)
}

/// The device's last change of address in this time. Events have no order but that of their numbers, so those of the time
/// are found by number first: a device may have years of them.
fn moved(tx: &Tx, device: DeviceId, (from, to): Interval) -> Result<Option<(String, String)>> {
    let until = to + AROUND;
    let body = tx.maybe(
        "SELECT body FROM event WHERE device_id = $1 AND kind = 'device.address' AND id >= $2 AND id < $3
         AND at BETWEEN $4 AND $5 ORDER BY id DESC LIMIT 1",
        args![
            device.0,
            events::first_since(tx, from)?.0,
            events::first_since(tx, until + Millis(1))?.0,
            from,
            until
        ],
        |row| row.get::<String>(0),
    )?;
    let body = body.and_then(|body| serde_json::from_str::<Value>(&body).ok());
    Ok(body.and_then(|body| Some((body["from"].as_str()?.to_owned(), body["to"].as_str()?.to_owned()))))
}
