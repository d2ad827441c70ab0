//! What is sent, and what becomes of it: acknowledged and forgotten, or set aside.

use rusqlite::{OptionalExtension, params};
use schedules::{Millis, Time};

use super::{MAX_CURRENT_BYTES, MAX_REJECTED, Spool, SpoolError, open};
use crate::report::{Record, What};

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
            let mut select = self.db.prepare_cached(
                "SELECT r.seq, r.at, r.mono, r.boot, b.id, r.body FROM records r JOIN boots b ON b.no = r.boot \
                 ORDER BY r.seq LIMIT $1",
            )?;
            let mut rows = select.query([i64::try_from(limit).unwrap_or(i64::MAX)])?;
            while let Some(row) = rows.next()? {
                let size = row.get_ref(5)?.as_str().map_or(0, str::len);
                if !records.is_empty() && bytes + size > max_bytes {
                    full = true;
                    break;
                }
                bytes += size;
                match read_record(row, self.boot)? {
                    Ok(record) => records.push(record),
                    Err(bad) => broken.push(bad),
                }
            }
        }
        for row in &self.fresh {
            if full || records.len() >= limit || (!records.is_empty() && bytes + row.body.len() > max_bytes) {
                break;
            }
            bytes += row.body.len();
            records.push(row.record()?);
        }
        for (seq, error) in broken {
            self.reject(seq, &error)?;
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
                bytes += row.get_ref(5)?.as_str().map_or(0, str::len);
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
    /// Where it cannot be written.
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
        if self.stored > 0 {
            let tx = self.db.transaction()?;
            let (count, bytes): (u64, u64) = tx
                .prepare_cached("SELECT count(*), coalesce(sum(bytes), 0) FROM records WHERE seq <= $1")?
                .query_row([upto], |row| Ok((row.get(0)?, row.get(1)?)))?;
            tx.prepare_cached("DELETE FROM records WHERE seq <= $1")?.execute([upto])?;
            tx.commit()?;
            self.stored = self.stored.saturating_sub(count);
            self.count = self.count.saturating_sub(count);
            self.bytes = self.bytes.saturating_sub(bytes);
        }
        while self.fresh.front().is_some_and(|row| row.seq <= upto)
            && let Some(row) = self.fresh.pop_front()
        {
            self.take_out(row.bytes);
        }
        self.newest.retain(|_, seq| *seq > upto);
        self.newest_status = self.newest_status.filter(|seq| *seq > upto);
        Ok(())
    }

    /// Sets one record aside that the server cannot take. False: there is no such record.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn reject(&mut self, seq: u64, error: &str) -> Result<bool, SpoolError> {
        let tx = self.db.transaction()?;
        let place = self.fresh.iter().position(|row| row.seq == seq);
        let (at, bytes, body) = if let Some(row) = place.and_then(|place| self.fresh.get(place)) {
            (row.stamp.at.0, row.bytes, row.body.clone())
        } else {
            let row = tx
                .query_row("SELECT at, bytes, body FROM records WHERE seq = $1", [seq], |row| {
                    Ok((row.get(0)?, row.get(1)?, row.get(2)?))
                })
                .optional()?;
            let Some(row) = row else { return Ok(false) };
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
        self.newest.retain(|_, newest| *newest != seq);
        self.newest_status = self.newest_status.filter(|newest| *newest != seq);
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
    let body = row.get_ref(5)?.as_str().map_err(rusqlite::Error::from)?;
    Ok(match serde_json::from_str::<What>(body) {
        Ok(what) => Ok(Record {
            seq,
            at: Time(row.get(1)?),
            mono: Millis(row.get(2)?),
            boot: if row.get::<_, i64>(3)? == boot { None } else { Some(row.get(4)?) },
            what,
        }),
        Err(e) => Err((seq, format!("this is no record: {e}"))),
    })
}
