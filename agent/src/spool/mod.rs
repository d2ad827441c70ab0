//! The agent's own database: who it is, what it is to do, and the records that the server does not have yet.
//!
//! Bounded: the oldest records go first, those that tell of outages last, and what went is itself a record.
//! `synchronous=NORMAL`: a commit survives the agent's death but not always the machine's. What a power cut takes from
//! the end was measured moments before, and is measured anew; what the server acknowledged is durable there. Only
//! sequence numbers must never come twice, so they are reserved in blocks with a synced commit, and a start after a
//! power cut begins behind its block.

mod open;
mod write;

use std::collections::BTreeMap;
use std::path::PathBuf;

use rusqlite::{Connection, OptionalExtension, params};
use schedules::{Millis, Time};

use crate::report::{Boot, Config, Dropped, Record, What};
use write::{Limits, Totals};

pub use open::Glance;

/// How many sequence numbers one synced commit reserves.
const SEQ_BLOCK: u64 = 10_000;
/// How many rejected records are kept to be looked at.
const MAX_REJECTED: i64 = 1_000;
/// The fewest bytes that records may take.
const MIN_KEEP_BYTES: u64 = 64 * 1024;
/// The most bytes of `current` in one call.
const MAX_CURRENT_BYTES: usize = 3 * 512 * 1024;

/// Who the agent is to its server.
#[derive(Clone, PartialEq, Eq)]
pub struct Identity {
    /// The server's URL.
    pub server: String,
    /// The device's number there.
    pub device: i64,
    /// The device's name there.
    pub name: String,
    /// The bearer secret.
    pub secret: String,
    /// SHA-256 of the server's key, where the join token named it.
    pub pin: Option<[u8; 32]>,
}

impl std::fmt::Debug for Identity {
    /// Never the secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity")
            .field("server", &self.server)
            .field("device", &self.device)
            .finish_non_exhaustive()
    }
}

/// When something was recorded, by both clocks of the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The wall clock.
    pub at: Time,
    /// Time since boot.
    pub mono: Millis,
}

/// What is wrong with the agent's database.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// It cannot be opened.
    #[error("open {path}: {source}")]
    Open {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A newer lineman made it.
    #[error(
        "{path} was made by a newer lineman (schema {found}, this one knows {known}): install the newer one"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its schema.
        found: i64,
        /// The newest schema this program knows.
        known: i64,
    },
    /// It was damaged, and the identity in it is gone.
    #[error(
        "{path} was damaged and is set aside as {aside}; the identity in it is lost: join the server again"
    )]
    IdentityLost {
        /// The file.
        path: PathBuf,
        /// Where the damaged file is now.
        aside: PathBuf,
    },
    /// A statement failed.
    #[error("agent database: {0}")]
    Sql(#[from] rusqlite::Error),
    /// A record cannot be written as JSON.
    #[error("agent database: write a record: {0}")]
    Json(#[from] serde_json::Error),
    /// The system gives no random bytes.
    #[error("agent database: a random id: {0}")]
    Random(getrandom::Error),
}

impl SpoolError {
    /// Whether the database itself is damaged.
    #[must_use]
    pub fn is_corrupt(&self) -> bool {
        let SpoolError::Sql(rusqlite::Error::SqliteFailure(e, _)) = self else { return false };
        matches!(e.code, rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase)
    }
}

/// The agent's database.
#[derive(Debug)]
pub struct Spool {
    db: Connection,
    identity: Option<Identity>,
    log: String,
    boot: i64,
    next_seq: u64,
    reserved: u64,
    /// The highest number that was ever handed out to be sent.
    sent_upto: u64,
    count: u64,
    bytes: u64,
    newest: BTreeMap<i64, u64>,
    newest_status: Option<u64>,
    last_dropped: Option<(u64, Dropped)>,
    keep_for: Millis,
    keep_bytes: u64,
}

impl Spool {
    /// Who the agent is, where it has joined a server.
    #[must_use]
    pub fn identity(&self) -> Option<&Identity> {
        self.identity.as_ref()
    }

    /// Identity of this database: sequence numbers belong to it.
    #[must_use]
    pub fn log(&self) -> &str {
        &self.log
    }

    /// How many records wait to be acknowledged.
    #[must_use]
    pub fn waiting(&self) -> u64 {
        self.count
    }

    /// How many bytes those take.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Keeps who the agent is.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn set_identity(&mut self, identity: &Identity) -> Result<(), SpoolError> {
        open::write_identity(&mut self.db, identity)?;
        self.identity = Some(identity.clone());
        Ok(())
    }

    /// The configuration the agent had last.
    ///
    /// # Errors
    /// Where it cannot be read. One that is no configuration is none.
    pub fn config(&self) -> Result<Option<Config>, SpoolError> {
        Ok(open::meta(&self.db, "config")?.and_then(|text| serde_json::from_str(&text).ok()))
    }

    /// Keeps the configuration, and the bounds that it sets.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn set_config(&mut self, config: &Config) -> Result<(), SpoolError> {
        self.set_bounds(config.keep_for, config.keep_bytes);
        self.set_meta("config", &serde_json::to_string(config)?)
    }

    /// Sets how long, and how many bytes of, records are kept; zero keeps what was.
    pub fn set_bounds(&mut self, keep_for: Millis, keep_bytes: u64) {
        if keep_for > Millis::ZERO {
            self.keep_for = keep_for;
        }
        if keep_bytes > 0 {
            self.keep_bytes = keep_bytes.max(MIN_KEEP_BYTES);
        }
    }

    /// What the agent last said of itself.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn status(&self) -> Result<Option<String>, SpoolError> {
        open::meta(&self.db, "status")
    }

    /// Keeps what the agent says of itself, for [`Glance::at`].
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn set_status(&mut self, status: &str) -> Result<(), SpoolError> {
        self.set_meta("status", status)
    }

    fn set_meta(&mut self, key: &str, value: &str) -> Result<(), SpoolError> {
        open::set_meta(&self.db, key, value)?;
        Ok(())
    }

    /// Marks a start in the boot `boot_id`, and records it. From here on the agent has not been stopped in order.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn start(&mut self, boot_id: &str, booted_at: Time, now: Stamp) -> Result<(), SpoolError> {
        let stopped = open::meta(&self.db, "stopped")?;
        let last_boot: Option<i64> =
            self.db.query_row("SELECT max(no) FROM boots", [], |row| row.get(0)).optional()?.flatten();
        self.db.execute("INSERT INTO boots (id) VALUES ($1) ON CONFLICT (id) DO NOTHING", [boot_id])?;
        self.boot = self.db.query_row("SELECT no FROM boots WHERE id = $1", [boot_id], |row| row.get(0))?;
        let clean = last_boot.map(|_| stopped.as_deref() == Some("clean"));
        if clean == Some(false) && last_boot != Some(self.boot) {
            // The end of the log may be lost, and the server may have it: go on behind all numbers ever given.
            self.next_seq = self.next_seq.max(self.reserved + 1);
        }
        // Synced: a power cut a moment later must not look like the stop before it.
        self.db.pragma_update(None, "synchronous", "FULL")?;
        self.set_meta("stopped", "no")?;
        self.db.pragma_update(None, "synchronous", "NORMAL")?;
        self.append(&[What::Boot(Boot { boot_id: boot_id.to_owned(), booted_at, clean })], now)
    }

    /// Marks that the agent is stopped in order.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn stop(&mut self) -> Result<(), SpoolError> {
        self.set_meta("stopped", "clean")?;
        self.db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).optional()?;
        Ok(())
    }

    /// Adds records in one transaction, and throws the oldest away where there are too many.
    ///
    /// # Errors
    /// Where they cannot be written; then none was.
    pub fn append(&mut self, whats: &[What], now: Stamp) -> Result<(), SpoolError> {
        if whats.is_empty() {
            return Ok(());
        }
        // One more than `whats`: what is dropped is a record too.
        let last = self.next_seq + whats.len() as u64;
        let reserving = last > self.reserved;
        if reserving {
            self.db.pragma_update(None, "synchronous", "FULL")?;
        }
        let mut next = Totals::of(self);
        let tx = self.db.transaction()?;
        if reserving {
            next.reserved = last + SEQ_BLOCK;
            open::set_meta(&tx, "seq_reserved", &next.reserved.to_string())?;
        }
        let mut newest: Vec<(Option<i64>, u64)> = Vec::new();
        for what in whats {
            let seq = next.insert(&tx, what, self.boot, now)?;
            match what {
                What::Result(result) => newest.push((Some(result.check), seq)),
                What::Status(_) => newest.push((None, seq)),
                What::Change(_)
                | What::Ladder(_)
                | What::Gap(_)
                | What::Outage(_)
                | What::Boot(_)
                | What::Dropped(_) => {}
            }
        }
        let limits =
            Limits { keep_for: self.keep_for, keep_bytes: self.keep_bytes, sent_upto: self.sent_upto };
        next.bound(&tx, &limits, self.boot, now)?;
        tx.commit()?;
        if reserving {
            self.db.pragma_update(None, "synchronous", "NORMAL")?;
        }
        next.keep(self);
        for (check, seq) in newest {
            match check {
                Some(check) => drop(self.newest.insert(check, seq)),
                None => self.newest_status = Some(seq),
            }
        }
        Ok(())
    }

    /// The oldest records, in order: at most `limit`, and about `max_bytes` of them.
    ///
    /// # Errors
    /// Where they cannot be read. A record that is none any more is set aside.
    pub fn batch(&mut self, limit: usize, max_bytes: usize) -> Result<Vec<Record>, SpoolError> {
        let mut records = Vec::new();
        let mut broken = Vec::new();
        let mut bytes = 0;
        {
            let mut select = self.db.prepare_cached(
                "SELECT r.seq, r.at, r.mono, r.boot, b.id, r.body FROM records r JOIN boots b ON b.no = r.boot \
                 ORDER BY r.seq LIMIT $1",
            )?;
            let mut rows = select.query([i64::try_from(limit).unwrap_or(i64::MAX)])?;
            while let Some(row) = rows.next()? {
                let size = row.get_ref(5)?.as_str().map_or(0, str::len);
                if !records.is_empty() && bytes + size > max_bytes {
                    break;
                }
                bytes += size;
                match read_record(row, self.boot)? {
                    Ok(record) => records.push(record),
                    Err(bad) => broken.push(bad),
                }
            }
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
            let mut rows = select.query([newest])?;
            let Some(row) = rows.next()? else { continue };
            bytes += row.get_ref(5)?.as_str().map_or(0, str::len);
            if bytes > MAX_CURRENT_BYTES {
                break;
            }
            if let Ok(record) = read_record(row, self.boot)? {
                sent_upto = sent_upto.max(record.seq);
                records.push(record);
            }
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
        let tx = self.db.transaction()?;
        let (count, bytes): (u64, u64) = tx
            .prepare_cached("SELECT count(*), coalesce(sum(bytes), 0) FROM records WHERE seq <= $1")?
            .query_row([upto], |row| Ok((row.get(0)?, row.get(1)?)))?;
        tx.prepare_cached("DELETE FROM records WHERE seq <= $1")?.execute([upto])?;
        tx.commit()?;
        self.count = self.count.saturating_sub(count);
        self.bytes = self.bytes.saturating_sub(bytes);
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
        let row: Option<(i64, u64, String)> = tx
            .query_row("SELECT at, bytes, body FROM records WHERE seq = $1", [seq], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })
            .optional()?;
        let Some((at, bytes, body)) = row else { return Ok(false) };
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
        self.count = self.count.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
        self.newest.retain(|_, newest| *newest != seq);
        self.newest_status = self.newest_status.filter(|newest| *newest != seq);
        Ok(true)
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

#[cfg(test)]
mod tests;
