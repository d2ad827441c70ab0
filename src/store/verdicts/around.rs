//! What a verdict is made of: the dossier of the device, and what is known of those around it.

use jiff::tz::TimeZone;
use schedules::{Millis, Time};
use serde_json::Value;

use crate::domain::dossier::{AROUND, Dossier, Progress};
use crate::domain::history::{Interval, timeline};
use crate::domain::ids::DeviceId;
use crate::domain::outage::Source;
use crate::domain::verdict::{Absence, Code, Cohort, Inbound, Others, Sibling};
use crate::store::outages::Outage;
use crate::store::{Result, Row, Tx, args, dossiers, states};

/// The most other devices of a site that are looked at; those with agents first.
const MAX_SIBLINGS: u32 = 32;
/// The most other sites that are counted.
const MAX_SITES: u32 = 1_000;
/// How close together sites drop that have one cause.
const TOGETHER: Millis = Millis::from_secs(60);

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
    let last = records.told.as_ref().and_then(|told| told.before.last());
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
        told: records.told,
        last,
    })
}

/// What is known of those around a device while it was out.
///
/// # Errors
/// The database's.
pub fn around(tx: &Tx, outage: &Outage) -> Result<Cohort> {
    let device = outage.device.0;
    let time = (outage.started_at, outage.ended_at.unwrap_or(tx.now).max(outage.started_at));
    let agent =
        tx.maybe("SELECT last_check_in_at FROM agent WHERE device_id = $1", args![device.0], |row| {
            row.get::<Option<Time>>(0)
        })?;
    let checked_in = agent.flatten().is_some_and(|last| last > outage.started_at);
    Ok(Cohort {
        has_agent: agent.is_some(),
        reported: checked_in && outage.ended_at.is_none() && outage.source == Source::Seen,
        inbound: inbound(tx, device)?,
        siblings: siblings(tx, device, time)?,
        absences: absences(tx, time)?,
        others: others(tx, device, time)?,
        moved: moved(tx, device, time)?,
    })
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
        "SELECT d.id, d.name, a.device_id IS NOT NULL AS agent FROM device own JOIN device d ON d.site_id = own.site_id
         LEFT JOIN agent a ON a.device_id = d.id WHERE own.id = $1 AND d.id <> $1 ORDER BY agent DESC, d.id LIMIT $2",
        args![device.0, MAX_SIBLINGS],
        |row| Ok((DeviceId(row.get(0)?), row.get::<String>(1)?)),
    )?;
    let window = (from - AROUND, to + AROUND);
    let mut siblings = Vec::new();
    for (id, name) in all {
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

/// The other sites. One dropped where a device went down that hangs on nothing else of that site.
fn others(tx: &Tx, device: DeviceId, (from, to): Interval) -> Result<Others> {
    let (site, provider) = tx.one(
        "SELECT d.site_id, s.provider FROM device d LEFT JOIN site s ON s.id = d.site_id WHERE d.id = $1",
        args![device.0],
        |row| {
            Ok((row.get::<Option<i64>>(0)?.unwrap_or(0), row.get::<Option<String>>(1)?.unwrap_or_default()))
        },
    )?;
    let top = "NOT EXISTS (SELECT 1 FROM device_parent p JOIN device up ON up.id = p.parent_id
        WHERE p.device_id = d.id AND up.site_id = d.site_id)";
    let count = |row: &Row<'_>| {
        let count = |at: usize| Ok(u32::try_from(row.get::<i64>(at)?).unwrap_or(u32::MAX));
        Result::Ok((count(0)?, count(1)?))
    };
    let (dropped, provider_dropped) = tx.one(
        &format!(
            "SELECT count(*), count(CASE WHEN sites.provider = $4 THEN 1 END) FROM (SELECT DISTINCT s.id, s.provider FROM outage o
             JOIN device d ON d.id = o.device_id JOIN site s ON s.id = d.site_id WHERE o.started_at BETWEEN $1 AND $2
             AND (o.ended_at IS NULL OR o.ended_at >= $5) AND o.retracted_at IS NULL AND s.id <> $3 AND {top} LIMIT {MAX_SITES}) AS sites"
        ),
        args![from - TOGETHER, from + TOGETHER, site, provider.as_str(), from],
        count,
    )?;
    let (fine, provider_fine) = tx.one(
        &format!(
            "SELECT count(*), count(CASE WHEN sites.provider = $4 THEN 1 END) FROM (SELECT s.id, s.provider FROM site s WHERE s.id <> $3
             AND EXISTS (SELECT 1 FROM device d WHERE d.site_id = s.id AND d.state IN ('up', 'degraded')
             AND d.created_at < $1)
             AND NOT EXISTS (SELECT 1 FROM device d JOIN outage o ON o.device_id = d.id WHERE d.site_id = s.id
             AND o.started_at <= $2 AND (o.ended_at IS NULL OR o.ended_at >= $1) AND o.retracted_at IS NULL AND {top})
             LIMIT {MAX_SITES}) AS sites"
        ),
        args![from, to, site, provider.as_str()],
        count,
    )?;
    let known = !provider.is_empty();
    Ok(Others {
        dropped,
        fine,
        provider: known.then_some(provider),
        of_provider: if known { (provider_dropped, provider_fine) } else { (0, 0) },
    })
}

fn moved(tx: &Tx, device: DeviceId, (from, to): Interval) -> Result<Option<(String, String)>> {
    let body = tx.maybe(
        "SELECT body FROM event WHERE device_id = $1 AND kind = 'device.address' AND at BETWEEN $2 AND $3
         ORDER BY id DESC LIMIT 1",
        args![device.0, from, to + AROUND],
        |row| row.get::<String>(0),
    )?;
    let body = body.and_then(|body| serde_json::from_str::<Value>(&body).ok());
    Ok(body.and_then(|body| Some((body["from"].as_str()?.to_owned(), body["to"].as_str()?.to_owned()))))
}
