//! How the occurrences of maintenance windows begin and end, and what lasts beyond.

use jiff::tz::TimeZone;
use schedules::{Millis, Time};
use serde_json::json;

use super::{Window, body, covered, of};
use crate::domain::event::Kind;
use crate::domain::maintenance::LONGEST;
use crate::domain::wall::reading;
use crate::store::events::{self, Actor};
use crate::store::{Error, Result, Tx, WriteTx, args};

/// The most occurrences of one window that begin or end in one transaction.
const AT_ONCE: usize = 100;
/// The most devices that one event names.
const NAMED: usize = 100;

/// An occurrence that began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// When it began.
    pub began_at: Time,
    /// When it is, or was, to end.
    pub until_at: Time,
    /// When it ended; absent while it lasts.
    pub ended_at: Option<Time>,
    /// How many devices were still down when it ended.
    pub devices: i64,
    /// How long after its end the last of them came back, or how long they have been down since then.
    pub overrun: Millis,
}

/// The occurrences of a window, the newest first, at most `limit`.
///
/// # Errors
/// The database's.
pub fn runs(tx: &Tx, window: i64, limit: u32) -> Result<Vec<Run>> {
    tx.all(
        "SELECT r.began_at, r.until_at, r.ended_at, count(o.id), max(coalesce(o.ended_at, $2))
         FROM maintenance_run r LEFT JOIN maintenance_overrun v ON v.run_id = r.id
         LEFT JOIN outage o ON o.id = v.outage_id
         WHERE r.window_id = $1 GROUP BY r.id, r.began_at, r.until_at, r.ended_at ORDER BY r.began_at DESC, r.id DESC LIMIT $3",
        args![window, tx.now, limit],
        |row| {
            let (ended_at, devices): (Option<Time>, i64) = (row.get(2)?, row.get(3)?);
            let last: Option<Time> = if devices > 0 { row.get(4)? } else { None };
            let overrun = last.zip(ended_at).map_or(Millis::ZERO, |(last, ended)| last.since(ended));
            Ok(Run {
                began_at: row.get(0)?,
                until_at: row.get(1)?,
                ended_at,
                devices,
                overrun: overrun.max(Millis::ZERO),
            })
        },
    )
}

/// The windows of which an occurrence is to begin or to end by `now`.
///
/// # Errors
/// The database's.
pub fn due(tx: &Tx, now: Time, limit: u32) -> Result<Vec<i64>> {
    tx.all(
        "SELECT window_id FROM maintenance_run WHERE ended_at IS NULL AND until_at <= $1
         UNION SELECT id FROM maintenance WHERE next_at <= $1 ORDER BY 1 LIMIT $2",
        args![now, limit],
        |row| row.get(0),
    )
}

/// When the next occurrence begins or ends.
///
/// # Errors
/// The database's.
pub fn next_due(tx: &Tx) -> Result<Option<Time>> {
    let begins: Option<Time> =
        tx.one("SELECT min(next_at) FROM maintenance WHERE next_at IS NOT NULL", args![], |row| row.get(0))?;
    let ends: Option<Time> =
        tx.one("SELECT min(until_at) FROM maintenance_run WHERE ended_at IS NULL", args![], |row| {
            row.get(0)
        })?;
    Ok([begins, ends].into_iter().flatten().min())
}

/// Begins and ends the occurrences of a window that are due, in their order, at most a hundred: one that was missed is
/// written down as it was planned.
///
/// # Errors
/// The database's.
pub fn step(tx: &WriteTx, window: i64) -> Result<()> {
    for _ in 0..AT_ONCE {
        if !advance(tx, &of(tx, window)?)? {
            break;
        }
    }
    Ok(())
}

/// The window as it is when all that is due of it is done.
pub(super) fn up_to_now(tx: &WriteTx, mut window: Window) -> Result<Window> {
    while advance(tx, &window)? {
        window = of(tx, window.id)?;
    }
    Ok(window)
}

/// Does the next thing that is due; false where nothing is.
fn advance(tx: &WriteTx, window: &Window) -> Result<bool> {
    let begins = window.next.map_or(Time::MAX, |next| next.0);
    match (window.running, window.next) {
        (Some((_, until)), _) if until <= tx.now && until <= begins => {
            finish(tx, window, until, &Actor::System)?;
        }
        (running, Some(next)) if next.0 <= tx.now => begin(tx, window, running, next)?,
        (_, _) => return Ok(false),
    }
    Ok(true)
}

/// Begins the next occurrence. Where the one before it still lasts, that one goes on.
fn begin(
    tx: &WriteTx,
    window: &Window,
    running: Option<(Time, Time)>,
    (from, until): (Time, Time),
) -> Result<()> {
    let next = window.recurring.as_ref().and_then(|recurring| recurring.next(from));
    tx.run(
        "UPDATE maintenance SET next_at = $2, next_until = $3 WHERE id = $1",
        args![window.id, next.map(|next| next.0), next.map(|next| next.1)],
    )?;
    match running {
        Some(_) => {
            tx.run(
                "UPDATE maintenance_run SET until_at = $2 WHERE window_id = $1 AND ended_at IS NULL AND until_at < $2",
                args![window.id, until],
            )?;
        }
        None => {
            tx.run(
                "INSERT INTO maintenance_run (window_id, began_at, until_at) VALUES ($1, $2, $3)",
                args![window.id, from, until],
            )?;
            let mut body = body(window);
            body["began_at"] = json!(from);
            body["until"] = json!(until);
            events::record(tx, &Actor::System, Kind::MaintenanceBegan, window.subject.about(), &body)?;
        }
    }
    covered::judge_soon(tx, &window.subject)
}

/// Ends the occurrence that is under way. What is still down, and in no other maintenance, counts from then on.
pub(super) fn finish(tx: &WriteTx, window: &Window, at: Time, by: &Actor) -> Result<()> {
    let open = tx.maybe(
        "UPDATE maintenance_run SET ended_at = $2 WHERE window_id = $1 AND ended_at IS NULL
         RETURNING id, began_at, until_at",
        args![window.id, at],
        |row| Ok((row.get::<i64>(0)?, row.get::<Time>(1)?, row.get::<Time>(2)?)),
    )?;
    let Some((run, began_at, until)) = open else { return Ok(()) };
    let mut ended = body(window);
    ended["began_at"] = json!(began_at);
    ended["until"] = json!(until);
    ended["ended_at"] = json!(at);
    events::record(tx, by, Kind::MaintenanceEnded, window.subject.about(), &ended)?;
    let covered = covered::of_devices(tx)?;
    let mut down = covered::down_since_before(tx, &window.subject, at)?;
    down.retain(|down| !covered.contains_key(&down.device));
    for down in &down {
        tx.run(
            "INSERT INTO maintenance_overrun (run_id, outage_id) VALUES ($1, $2) ON CONFLICT DO NOTHING",
            args![run, down.outage.0],
        )?;
    }
    if !down.is_empty() {
        let named = down.iter().take(NAMED);
        let named =
            named.map(|down| json!({"id": down.device.0, "name": down.name, "down_since": down.since}));
        ended["devices"] = named.collect();
        ended["count"] = json!(down.len());
        events::record(tx, by, Kind::MaintenanceOverrun, window.subject.about(), &ended)?;
    }
    covered::judge_soon(tx, &window.subject)
}

/// Ends the occurrence that is under way; one that recurs comes again.
///
/// # Errors
/// None is under way, or the database's.
pub fn end(tx: &WriteTx, id: i64, by: &Actor) -> Result<Window> {
    let window = up_to_now(tx, of(tx, id)?)?;
    if window.running.is_none() {
        return Err(not_under_way(&window));
    }
    finish(tx, &window, tx.now, by)?;
    of(tx, id)
}

fn not_under_way(window: &Window) -> Error {
    let to_do = if window.removed_at.is_some() {
        ": it is removed"
    } else if window.next.is_some() {
        ": its next start is still to come (lineman maintenance remove takes it away)"
    } else {
        ": it is over"
    };
    Error::Conflict(format!("maintenance window {} is not under way{to_do}", window.id))
}

/// A moment on the clocks of a window's zone.
fn shown(at: Time, window: &Window) -> String {
    let zone = TimeZone::get(&window.time_zone).unwrap_or(TimeZone::UTC);
    let wall = reading(at, &zone).map(|wall| wall.strftime("%Y-%m-%d %H:%M").to_string());
    format!("{} ({})", wall.unwrap_or_default(), window.time_zone)
}

/// Lets the occurrence that is under way last until a later moment; so also one that comes once and is still to come.
///
/// # Errors
/// There is no such occurrence, the moment is no later, that would be too long, or the database's.
pub fn extend(tx: &WriteTx, id: i64, until: Time, by: &Actor) -> Result<Window> {
    let window = up_to_now(tx, of(tx, id)?)?;
    let (from, was) = match (window.running, window.next, &window.recurring) {
        (Some(running), _, _) => running,
        (None, Some(next), None) => next,
        (None, Some(_) | None, Some(_)) | (None, None, None) => return Err(not_under_way(&window)),
    };
    if until <= was {
        return Err(Error::usage(format!(
            "maintenance window {id} lasts until {} already: name a later end, or end it (lineman maintenance end {id})",
            shown(was, &window)
        )));
    }
    if until.since(from) > LONGEST {
        return Err(Error::usage(format!("a window lasts {LONGEST} or less, this one would be longer")));
    }
    let sql = match window.running {
        Some(_) => "UPDATE maintenance_run SET until_at = $2 WHERE window_id = $1 AND ended_at IS NULL",
        None => "UPDATE maintenance SET next_until = $2 WHERE id = $1",
    };
    tx.run(sql, args![id, until])?;
    let mut body = body(&window);
    body["was"] = json!(was);
    body["until"] = json!(until);
    events::record(tx, by, Kind::MaintenanceExtended, window.subject.about(), &body)?;
    of(tx, id)
}
