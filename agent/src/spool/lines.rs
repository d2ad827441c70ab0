//! The flight recorder's lines, as they are kept: twenty to a row, each row JSON, deflated. What those have in common
//! is written once so, and a field that is new needs no new table.

use std::io::{Read as _, Write as _};

use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use rusqlite::{Connection, Transaction, params};
use schedules::{Millis, Time};

use super::write::is_older;
use super::{SpoolError, Stamp};
use crate::report::Moment;

/// How many lines a row holds.
pub(super) const BATCH: usize = 20;
/// How many lines wait in memory where nothing can be written.
const MAX_WAITING: usize = 100;
/// How long lines are kept.
const KEEP_FOR: Millis = Millis::from_secs(7 * 86_400);
/// They are thrown away so much at a time.
const PRUNE_EVERY: Millis = Millis::from_secs(6 * 3_600);
/// How many bytes of them are kept.
pub(super) const KEEP_BYTES: u64 = 4 * 1024 * 1024;
/// The largest row that is unpacked.
const MAX_BATCH_BYTES: u64 = 1024 * 1024;

/// The lines.
#[derive(Debug)]
pub(super) struct Lines {
    /// The row that is being filled: what is written of it, and what is not.
    open: Vec<Moment>,
    written: usize,
    no: i64,
    boot: i64,
    /// How many bytes all rows but the open one take, and how many that.
    pub(super) bytes: u64,
    open_bytes: u64,
    oldest: Option<Oldest>,
}

/// The oldest row: its boot, and its last line by both clocks.
#[derive(Clone, Copy, Debug)]
struct Oldest {
    boot: i64,
    at: Time,
    mono: Millis,
}

/// What one transaction made of the lines, true once it is committed.
#[derive(Debug)]
pub(super) struct Written {
    boot: i64,
    lines: usize,
    open_bytes: u64,
    gone: u64,
    oldest: Option<Oldest>,
}

impl Lines {
    /// Reads how many there are, and the last row.
    pub(super) fn load(db: &Connection) -> Result<Lines, SpoolError> {
        let bytes =
            db.query_row("SELECT coalesce(sum(length(body)), 0) FROM moments", [], |row| row.get(0))?;
        let mut lines =
            Lines { open: Vec::new(), written: 0, no: 1, boot: 0, bytes, open_bytes: 0, oldest: oldest(db)? };
        let mut select = db.prepare("SELECT no, boot, body FROM moments ORDER BY no DESC LIMIT 1")?;
        let mut rows = select.query([])?;
        if let Some(row) = rows.next()? {
            let body = row.get_ref(2)?.as_blob().map_err(rusqlite::Error::from)?;
            (lines.no, lines.boot) = (row.get(0)?, row.get(1)?);
            lines.open_bytes = body.len() as u64;
            lines.bytes = lines.bytes.saturating_sub(lines.open_bytes);
            lines.open = unpack(body);
            lines.written = lines.open.len();
        }
        Ok(lines)
    }

    /// The newest line with the number of its boot.
    pub(super) fn last(&self) -> Option<(i64, Moment)> {
        self.open.last().map(|line| (self.boot, line.clone()))
    }

    /// What comes from here on is in a row of its own: a row holds lines of one boot.
    pub(super) fn begin_batch(&mut self) {
        if self.open_bytes > 0 {
            self.no += 1;
            self.bytes += std::mem::take(&mut self.open_bytes);
        }
        self.open.clear();
        self.written = 0;
    }

    pub(super) fn note(&mut self, line: Moment) {
        if self.written >= BATCH {
            self.begin_batch();
        }
        self.open.push(line);
    }

    pub(super) fn is_dirty(&self) -> bool {
        self.open.len() > self.written
    }

    /// Where nothing can be written, memory keeps the newest.
    pub(super) fn shed(&mut self) {
        let excess = self.open.len().saturating_sub(MAX_WAITING);
        self.open.drain(..excess);
        self.written = self.written.saturating_sub(excess);
    }

    /// The last `most` lines, the oldest first.
    pub(super) fn newest(&self, db: &Connection, most: usize) -> Result<Vec<Moment>, SpoolError> {
        let mut found: Vec<Moment> = self.open.iter().rev().take(most).cloned().collect();
        let mut select = db.prepare_cached("SELECT body FROM moments WHERE no < $1 ORDER BY no DESC")?;
        let mut rows = select.query([self.no])?;
        while found.len() < most
            && let Some(row) = rows.next()?
        {
            let batch = unpack(row.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?);
            let room = most - found.len();
            found.extend(batch.into_iter().rev().take(room));
        }
        found.reverse();
        Ok(found)
    }

    /// Writes what is not written yet, and throws away what is too old or too much.
    pub(super) fn write(&self, tx: &Transaction<'_>, boot: i64, now: Stamp) -> Result<Written, SpoolError> {
        let mut after = Written {
            boot,
            lines: self.open.len(),
            open_bytes: self.open_bytes,
            gone: 0,
            oldest: self.oldest,
        };
        let (Some(last), true) = (self.open.last(), self.is_dirty()) else { return Ok(after) };
        let body = pack(&self.open)?;
        after.open_bytes = body.len() as u64;
        tx.prepare_cached(
            "INSERT INTO moments (no, boot, at, mono, body) VALUES ($1, $2, $3, $4, $5) ON CONFLICT (no) \
             DO UPDATE SET at = excluded.at, mono = excluded.mono, body = excluded.body",
        )?
        .execute(params![self.no, boot, last.at.0, last.mono.0, body])?;
        let aged = |oldest: &Oldest, keep| is_older(oldest.at, oldest.mono, oldest.boot == boot, keep, now);
        let excess = (self.bytes + after.open_bytes).saturating_sub(KEEP_BYTES);
        if excess > 0 || self.oldest.as_ref().is_some_and(|oldest| aged(oldest, KEEP_FOR + PRUNE_EVERY)) {
            let excess = if excess > 0 { excess + KEEP_BYTES / 64 } else { 0 };
            let mut gone = None;
            let mut select = tx.prepare_cached(
                "SELECT no, boot, at, mono, length(body) FROM moments WHERE no < $1 ORDER BY no",
            )?;
            let mut rows = select.query([self.no])?;
            while let Some(row) = rows.next()? {
                let oldest = Oldest { boot: row.get(1)?, at: Time(row.get(2)?), mono: Millis(row.get(3)?) };
                if after.gone >= excess && !aged(&oldest, KEEP_FOR) {
                    break;
                }
                gone = Some(row.get::<_, i64>(0)?);
                after.gone += row.get::<_, u64>(4)?;
            }
            if let Some(gone) = gone {
                tx.prepare_cached("DELETE FROM moments WHERE no <= $1")?.execute([gone])?;
            }
            after.oldest = None;
        }
        if after.oldest.is_none() {
            after.oldest = oldest(tx)?;
        }
        Ok(after)
    }

    pub(super) fn written(&mut self, after: Written) {
        self.written = after.lines;
        self.boot = after.boot;
        self.open_bytes = after.open_bytes;
        self.bytes = self.bytes.saturating_sub(after.gone);
        self.oldest = after.oldest;
    }
}

fn oldest(db: &Connection) -> Result<Option<Oldest>, SpoolError> {
    let mut select = db.prepare_cached("SELECT boot, at, mono FROM moments ORDER BY no LIMIT 1")?;
    let mut rows = select.query([])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    Ok(Some(Oldest { boot: row.get(0)?, at: Time(row.get(1)?), mono: Millis(row.get(2)?) }))
}

fn pack(lines: &[Moment]) -> Result<Vec<u8>, SpoolError> {
    let mut packed = DeflateEncoder::new(Vec::new(), Compression::best());
    packed.write_all(&serde_json::to_vec(lines)?).map_err(serde_json::Error::io)?;
    Ok(packed.finish().map_err(serde_json::Error::io)?)
}

/// What was packed; a row that is damaged holds nothing.
fn unpack(body: &[u8]) -> Vec<Moment> {
    let mut text = Vec::new();
    match DeflateDecoder::new(body).take(MAX_BATCH_BYTES).read_to_end(&mut text) {
        Ok(_) => serde_json::from_slice(&text).unwrap_or_default(),
        Err(_) => Vec::new(),
    }
}
