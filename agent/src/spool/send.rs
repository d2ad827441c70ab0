//! What is sent, and what becomes of it: acknowledged and forgotten, or set aside.

use rusqlite::{OptionalExtension, params};
use schedules::{Millis, Time};

use super::{MAX_CURRENT_BYTES, MAX_REJECTED, Spool, SpoolError, open};
use crate::report::{Record, What};

/// How many records are remembered that could not be set aside.
const MAX_SKIPPED: usize = 10_000;

impl Spool {
    /// The oldest records, in order: at most `limit`, and about `max_bytes` of them.
    ///
    /// # Errors
    /// Where they cannot be read. A record that is none any more is set aside.
    pub fn batch(&mut self, limit: usize, max_bytes: usize) -> Result<Vec<Record>, SpoolError> {
        let mut records = Vec::new();
        let mut broken = Vec::new();
        let mut bytes = 0;
        let mut full = false;
        if self.stored > 0 {
            // No limit here: what is broken is none of those that are sent, and nothing newer goes before what is stored.
            let mut select = self.db.prepare_cached(
                "SELECT r.seq, r.at, r.mono, r.boot, b.id, r.body FROM records r JOIN boots b ON b.no = r.boot \
                 WHERE r.seq > $1 ORDER BY r.seq",
            )?;
            let mut rows = select.query([self.acked])?;
            while let Some(row) = rows.next()? {
                if self.skipped.contains(&row.get(0)?) {
                    continue;
                }
                let size = row.get_ref(5)?.as_bytes().map_or(0, <[u8]>::len);
                let is_full = records.len() >= limit || (!records.is_empty() && bytes + size > max_bytes);
                if is_full || broken.len() >= limit {
                    full = true;
                    break;
                }
                match read_record(row, self.boot)? {
                    Ok(record) => {
                        bytes += size;
                        records.push(record);
                    }
                    Err(bad) => broken.push(bad),
                }
            }
        }
        for row in self.fresh.iter().filter(|row| !self.skipped.contains(&row.seq)) {
            if full || records.len() >= limit || (!records.is_empty() && bytes + row.body.len() > max_bytes) {
                break;
            }
            bytes += row.body.len();
            records.push(row.record()?);
        }
        for (seq, error) in broken {
            tracing::warn!(seq, error = %error, "a record cannot be read any more: it is set aside");
            match self.reject(seq, &error) {
                Err(e) if !e.is_corrupt() => {}
                other => drop(other?),
            }
        }
        self.sent_upto = self.sent_upto.max(records.last().map_or(0, |record: &Record| record.seq));
        Ok(records)
    }

    /// The newest status, then the newest result of each check, of the records after `seq`.
    ///
    /// # Errors
    /// Where they cannot be read.
    pub fn current(&mut self, seq: u64) -> Result<Vec<Record>, SpoolError> {
        let mut select = self.db.prepare_cached(
            "SELECT r.seq, r.at, r.mono, r.boot, b.id, r.body FROM records r JOIN boots b ON b.no = r.boot \
             WHERE r.seq = $1",
        )?;
        let mut records = Vec::new();
        let mut bytes = 0;
        let mut sent_upto = self.sent_upto;
        for &newest in self.newest_status.iter().chain(self.newest.values()).filter(|&&newest| newest > seq) {
            let record = if let Some(row) = self.fresh.iter().rev().find(|row| row.seq == newest) {
                bytes += row.body.len();
                row.record()?
            } else {
                let mut rows = select.query([newest])?;
                let Some(row) = rows.next()? else { continue };
                bytes += row.get_ref(5)?.as_bytes().map_or(0, <[u8]>::len);
                let Ok(record) = read_record(row, self.boot)? else { continue };
                record
            };
            if bytes > MAX_CURRENT_BYTES {
                break;
            }
            sent_upto = sent_upto.max(record.seq);
            records.push(record);
        }
        self.sent_upto = sent_upto;
        Ok(records)
    }

    /// Forgets the records up to `upto`: the server has them, durably.
    ///
    /// A server that has more than was ever recorded here knows a later state of this database than this one (it was
    /// put back from a copy): then the log gets a new identity, and nothing is forgotten.
    ///
    /// # Errors
    /// Where it cannot be written. The records are forgotten all the same, and deleted with a later flush.
    pub fn ack(&mut self, upto: u64) -> Result<(), SpoolError> {
        if upto >= self.next_seq {
            tracing::warn!(
                acked = upto,
                last = self.next_seq - 1,
                "the server has more of this log than there is"
            );
            self.log = open::random_id()?;
            return open::set_meta(&self.db, "log", &self.log);
        }
        if self.stored > 0 && upto > self.acked {
            let (count, bytes): (u64, u64) = self
                .db
                .prepare_cached(
                    "SELECT count(*), coalesce(sum(bytes), 0) FROM records WHERE seq > $1 AND seq <= $2",
                )?
                .query_row([self.acked, upto], |row| Ok((row.get(0)?, row.get(1)?)))?;
            self.stored = self.stored.saturating_sub(count);
            self.count = self.count.saturating_sub(count);
            self.bytes = self.bytes.saturating_sub(bytes);
            self.owed |= count > 0;
        }
        self.acked = self.acked.max(upto);
        while self.fresh.front().is_some_and(|row| row.seq <= upto)
            && let Some(row) = self.fresh.pop_front()
        {
            self.take_out(row.bytes);
        }
        self.newest.retain(|_, seq| *seq > upto);
        self.newest_status = self.newest_status.filter(|seq| *seq > upto);
        self.skipped.retain(|seq| *seq > upto);
        if self.owed {
            self.db.prepare_cached("DELETE FROM records WHERE seq <= $1")?.execute([self.acked])?;
            self.owed = false;
        }
        Ok(())
    }

    /// Sets one record aside that the server cannot take. False: there is no such record.
    ///
    /// # Errors
    /// Where it cannot be written. It is not sent again until the next start all the same.
    pub fn reject(&mut self, seq: u64, error: &str) -> Result<bool, SpoolError> {
        self.newest.retain(|_, newest| *newest != seq);
        self.newest_status = self.newest_status.filter(|newest| *newest != seq);
        let moved = self.move_aside(seq, error);
        let is_here = seq > self.acked && seq < self.next_seq;
        if moved.is_err() && is_here && self.skipped.len() < MAX_SKIPPED {
            self.skipped.insert(seq);
        }
        moved
    }

    /// Whether a record is not sent, because it could not be set aside.
    #[must_use]
    pub fn skips(&self, seq: u64) -> bool {
        self.skipped.contains(&seq)
    }

    fn move_aside(&mut self, seq: u64, error: &str) -> Result<bool, SpoolError> {
        let place = self.fresh.iter().position(|row| row.seq == seq);
        let tx = self.db.transaction()?;
        let (at, bytes, body) = if let Some(row) = place.and_then(|place| self.fresh.get(place)) {
            (row.stamp.at.0, row.bytes, row.body.clone())
        } else {
            let row = tx
                .query_row("SELECT at, bytes, body FROM records WHERE seq = $1", [seq], |row| {
                    let body = String::from_utf8_lossy(row.get_ref(2)?.as_bytes()?).into_owned();
                    Ok((row.get(0)?, row.get(1)?, body))
                })
                .optional()?;
            let Some(row) = row.filter(|_| seq > self.acked) else { return Ok(false) };
            row
        };
        tx.execute(
            "INSERT INTO rejected (seq, at, error, body) VALUES ($1, $2, $3, $4)",
            params![seq, at, error, body],
        )?;
        tx.execute("DELETE FROM records WHERE seq = $1", [seq])?;
        tx.execute(
            "DELETE FROM rejected WHERE seq IN (SELECT seq FROM rejected ORDER BY seq DESC LIMIT -1 OFFSET $1)",
            [MAX_REJECTED],
        )?;
        tx.commit()?;
        match place.and_then(|place| self.fresh.remove(place)) {
            Some(row) => self.take_out(row.bytes),
            None => {
                self.stored = self.stored.saturating_sub(1);
                self.count = self.count.saturating_sub(1);
                self.bytes = self.bytes.saturating_sub(bytes);
            }
        }
        Ok(true)
    }

    /// A record of `bytes` has left memory.
    fn take_out(&mut self, bytes: u64) {
        self.fresh_bytes = self.fresh_bytes.saturating_sub(bytes);
        self.bytes = self.bytes.saturating_sub(bytes);
        self.count = self.count.saturating_sub(1);
    }

    /// How many rejected records are kept.
    ///
    /// # Errors
    /// Where they cannot be read.
    pub fn rejected(&self) -> Result<u64, SpoolError> {
        Ok(self.db.query_row("SELECT count(*) FROM rejected", [], |row| row.get(0))?)
    }
}

/// A record of the current boot names no boot.
fn read_record(row: &rusqlite::Row<'_>, boot: i64) -> Result<Result<Record, (u64, String)>, SpoolError> {
    let seq = row.get(0)?;
    let body = row.get_ref(5)?.as_bytes().map_err(rusqlite::Error::from)?;
    let boot_id = |id: &[u8]| String::from_utf8_lossy(id).into_owned();
    Ok(match serde_json::from_slice::<What>(body) {
        Ok(what) => Ok(Record {
            seq,
            at: Time(row.get(1)?),
            mono: Millis(row.get(2)?),
            boot: if row.get::<_, i64>(3)? == boot {
                None
            } else {
                Some(boot_id(row.get_ref(4)?.as_bytes().map_err(rusqlite::Error::from)?))
            },
            what,
        }),
        Err(e) => Err((seq, format!("this is no record: {e}"))),
    })
}
