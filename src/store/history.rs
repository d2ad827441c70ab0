//! Readings that are kept for long: packed by the hour, and rolled up by the minute, the hour and the day.
//!
//! A reading stands as a row in `reading` until its hour is over. Then it is moved, once and in one transaction: into the
//! pack of its hour, and into the roll-ups of its minute, hour and day. One that arrives days late is a row like all others,
//! and is moved the next time; what it is added to need not be read again. So nothing is counted twice or lost, whenever
//! the work is cut off, and whoever asks looks at both places.

use schedules::{Millis, Time};

use crate::domain::history::Interval;
use crate::domain::ids::CheckId;
use crate::domain::packed::{BadPack, pack_rollups, pack_samples, unpack_rollups, unpack_samples};
use crate::domain::rollup::{Kept, Level, Rollup, Rollups, SAMPLE_PACK, Sample, floor};
use crate::store::checks::{self, Reading};
use crate::store::{Error, Result, Tx, WriteTx, args};

/// How long after its end an hour is rolled up.
pub const LATE: Millis = Millis::from_secs(300);

/// How far the readings are rolled up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// All from before then were, or are being.
    pub up_to: Time,
    /// From which check on that is still to be done; absent: it is done.
    pub next_check: Option<CheckId>,
}

impl Progress {
    /// When there is something to be done.
    #[must_use]
    pub fn due(&self, now: Time) -> Time {
        // One from the future is of a clock that was wrong.
        if self.next_check.is_some() || self.up_to > now { now } else { self.up_to + SAMPLE_PACK + LATE }
    }
}

/// How far they are.
///
/// # Errors
/// The database's.
pub fn progress(tx: &Tx) -> Result<Progress> {
    tx.one("SELECT up_to, next_check FROM rolled_up WHERE id = 1", args![], |row| {
        Ok(Progress { up_to: row.get(0)?, next_check: row.get::<Option<i64>>(1)?.map(CheckId) })
    })
}

fn set_progress(tx: &WriteTx, progress: Progress) -> Result<()> {
    tx.run(
        "UPDATE rolled_up SET up_to = $1, next_check = $2 WHERE id = 1",
        args![progress.up_to, progress.next_check.map(|check| check.0)],
    )?;
    Ok(())
}

/// Rolls up some more readings, about `most` of them, where any are due; how far they are then.
///
/// # Errors
/// The database's.
pub fn roll_up(tx: &WriteTx, most: u32) -> Result<Progress> {
    let mut progress = progress(tx)?;
    if progress.due(tx.now) > tx.now {
        return Ok(progress);
    }
    let mut next = progress.next_check.unwrap_or_else(|| {
        progress.up_to = floor(tx.now - LATE, SAMPLE_PACK);
        CheckId(0)
    });
    // Looking whether a check has any costs as much as some readings.
    let (mut budget, look) = (i64::from(most), 8);
    progress.next_check = loop {
        if budget <= 0 {
            break Some(next);
        }
        let Some(check) = next_with_readings(tx, next)? else { break None };
        let moved = move_some(tx, check, progress.up_to, budget)?;
        next = if moved.is_last { CheckId(check.0 + 1) } else { check };
        budget -= moved.count + look;
    };
    set_progress(tx, progress)?;
    Ok(progress)
}

fn next_with_readings(tx: &Tx, from: CheckId) -> Result<Option<CheckId>> {
    tx.maybe(
        "SELECT check_id FROM reading WHERE check_id >= $1 ORDER BY check_id LIMIT 1",
        args![from.0],
        |row| Ok(CheckId(row.get(0)?)),
    )
}

/// What of a check was moved.
struct Moved {
    count: i64,
    is_last: bool,
}

/// Moves the readings of a check from before `up_to`, the oldest `most` of them.
fn move_some(tx: &WriteTx, check: CheckId, up_to: Time, most: i64) -> Result<Moved> {
    let readings = tx.all(
        "SELECT at, seq, outcome, rtt_us, loss_permille, cpu_permille, memory_permille, disk_permille
         FROM reading WHERE check_id = $1 AND at < $2 ORDER BY at, seq LIMIT $3",
        args![check.0, up_to, most],
        checks::reading,
    )?;
    let count = i64::try_from(readings.len()).unwrap_or(i64::MAX);
    let Some(last) = readings.last() else { return Ok(Moved { count, is_last: true }) };
    let samples: Vec<Sample> = readings.iter().map(Reading::sample).collect();
    for hour in samples.chunk_by(|a, b| floor(a.at, SAMPLE_PACK) == floor(b.at, SAMPLE_PACK)) {
        add_samples(tx, check, hour)?;
    }
    let mut minutes = Rollups::default();
    samples.iter().for_each(|sample| minutes.sample(Level::Minute, sample));
    let hours = minutes.coarser(Level::Hour);
    add_rollups(tx, Level::Minute, check, &minutes)?;
    add_rollups(tx, Level::Day, check, &hours.coarser(Level::Day))?;
    add_rollups(tx, Level::Hour, check, &hours)?;
    tx.run(
        "DELETE FROM reading WHERE check_id = $1 AND (at < $2 OR (at = $2 AND seq <= $3))",
        args![check.0, last.at, last.seq],
    )?;
    Ok(Moved { count, is_last: count < most })
}

/// Adds readings of one hour to its pack.
fn add_samples(tx: &WriteTx, check: CheckId, hour: &[Sample]) -> Result<()> {
    let Some(first) = hour.first() else { return Ok(()) };
    let at = floor(first.at, SAMPLE_PACK);
    let there = tx.maybe(
        "SELECT pack FROM reading_pack WHERE check_id = $1 AND at = $2",
        args![check.0, at],
        |row| row.get::<Vec<u8>>(0),
    )?;
    let pack = match there {
        Some(there) => {
            let mut all = unpack_samples(&there, at).map_err(damaged)?;
            all.extend_from_slice(hour);
            all.sort_by_key(|sample| sample.at);
            pack_samples(&all, at)
        }
        None => pack_samples(hour, at),
    };
    tx.run(
        "INSERT INTO reading_pack (check_id, at, pack) VALUES ($1, $2, $3)
         ON CONFLICT (check_id, at) DO UPDATE SET pack = excluded.pack",
        args![check.0, at, pack],
    )?;
    Ok(())
}

/// The three statements of one table of roll-ups.
struct Table {
    find: &'static str,
    put: &'static str,
    prune: &'static str,
    forget: &'static str,
    between: &'static str,
}

macro_rules! table {
    ($name:literal) => {
        Table {
            find: concat!("SELECT pack FROM ", $name, " WHERE check_id = $1 AND at = $2"),
            put: concat!(
                "INSERT INTO ",
                $name,
                " (check_id, at, pack) VALUES ($1, $2, $3) ON CONFLICT (check_id, at) DO UPDATE SET pack = excluded.pack"
            ),
            prune: concat!("DELETE FROM ", $name, " WHERE check_id = $1 AND at <= $2"),
            forget: concat!("DELETE FROM ", $name, " WHERE check_id = $1"),
            between: concat!(
                "SELECT at, pack FROM ",
                $name,
                " WHERE check_id = $1 AND at > $2 AND at < $3 ORDER BY at"
            ),
        }
    };
}

const SAMPLES: Table = table!("reading_pack");

fn table(level: Level) -> Table {
    match level {
        Level::Minute => table!("rollup_minute"),
        Level::Hour => table!("rollup_hour"),
        Level::Day => table!("rollup_day"),
    }
}

/// Adds roll-ups to those that are there.
fn add_rollups(tx: &WriteTx, level: Level, check: CheckId, more: &Rollups) -> Result<()> {
    let table = table(level);
    let more: Vec<Rollup> = more.iter().copied().collect();
    for some in more.chunk_by(|a, b| floor(a.at, level.pack()) == floor(b.at, level.pack())) {
        let at = floor(some[0].at, level.pack());
        let there = tx.maybe(table.find, args![check.0, at], |row| row.get::<Vec<u8>>(0))?;
        let mut all = match there {
            Some(there) => unpack_rollups(&there, at, level.span()).map_err(damaged)?,
            None => Rollups::default(),
        };
        some.iter().for_each(|one| all.add(one));
        tx.run(table.put, args![check.0, at, pack_rollups(all.iter(), at, level.span())])?;
    }
    Ok(())
}

/// The readings of a check from `from` to `to`, oldest first, as far as they are still kept each by itself.
///
/// # Errors
/// The database's.
pub fn samples(tx: &Tx, check: CheckId, (from, to): Interval) -> Result<Vec<Sample>> {
    let mut all = Vec::new();
    tx.each(SAMPLES.between, args![check.0, from - SAMPLE_PACK, to], |row| {
        all.extend(unpack_samples(&row.get::<Vec<u8>>(1)?, row.get(0)?).map_err(damaged)?);
        Result::Ok(())
    })?;
    all.extend(rows(tx, check, (from, to))?);
    all.retain(|sample| sample.at >= from && sample.at < to);
    all.sort_by_key(|sample| sample.at);
    Ok(all)
}

/// Those that are not moved yet.
fn rows(tx: &Tx, check: CheckId, (from, to): Interval) -> Result<Vec<Sample>> {
    tx.all(
        "SELECT at, seq, outcome, rtt_us, loss_permille, cpu_permille, memory_permille, disk_permille
         FROM reading WHERE check_id = $1 AND at >= $2 AND at < $3 ORDER BY at, seq",
        args![check.0, from, to],
        |row| Ok(checks::reading(row)?.sample()),
    )
}

/// What the readings of a check come to in the times that begin from `from` on and before `to`, as far as that is still
/// kept. The last one may not be over.
///
/// # Errors
/// The database's.
pub fn rollups(tx: &Tx, level: Level, check: CheckId, (from, to): Interval) -> Result<Rollups> {
    let within = |at: Time| at >= from && at < to;
    let mut all = Rollups::default();
    tx.each(table(level).between, args![check.0, from - level.pack(), to], |row| {
        let some = unpack_rollups(&row.get::<Vec<u8>>(1)?, row.get(0)?, level.span()).map_err(damaged)?;
        some.iter().filter(|one| within(one.at)).for_each(|one| all.add(one));
        Result::Ok(())
    })?;
    for sample in rows(tx, check, (from, to + level.span()))? {
        if within(floor(sample.at, level.span())) {
            all.sample(level, &sample);
        }
    }
    Ok(all)
}

/// Forgets what is no longer kept of a check; how many packs it were. What was not rolled up yet stays until it is.
///
/// # Errors
/// The database's.
pub fn prune(tx: &WriteTx, check: CheckId, kept: &Kept) -> Result<usize> {
    let mut packs = tx.run(SAMPLES.prune, args![check.0, kept.samples - SAMPLE_PACK])?;
    for (level, from) in [(Level::Minute, kept.minutes), (Level::Hour, kept.hours), (Level::Day, kept.days)] {
        packs += tx.run(table(level).prune, args![check.0, from - level.pack()])?;
    }
    Ok(packs)
}

/// Forgets all readings of a check that is no more.
///
/// # Errors
/// The database's.
pub fn forget(tx: &WriteTx, check: CheckId) -> Result<()> {
    tx.run("DELETE FROM reading WHERE check_id = $1", args![check.0])?;
    tx.run(SAMPLES.forget, args![check.0])?;
    for &level in Level::ALL {
        tx.run(table(level).forget, args![check.0])?;
    }
    Ok(())
}

fn damaged(why: BadPack) -> Error {
    Error::Other(why.to_string())
}
