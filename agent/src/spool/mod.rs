//! The agent's own database: who it is, what it is to do, and the records that the server does not have yet.
//!
//! Written rarely, to spare flash: what is recorded waits in memory for [`Spool::flush`], and on a good day the server
//! has it long before. So a kill, or a power cut, takes what was recorded since the last flush. Only sequence numbers must
//! never come twice: they are reserved in blocks with a synced commit, and a start after an end that was not in order
//! begins behind its block.
//!
//! Bounded: the oldest records go first, those that tell of outages last, and what went is itself a record.
//! `synchronous=NORMAL`: a commit survives the agent's death but not always the machine's.

mod aside;
mod lines;
mod open;
mod send;
mod stand_in;
mod write;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::ErrorKind;
use std::net::IpAddr;
use std::path::PathBuf;

use rusqlite::{Connection, OptionalExtension};
use schedules::{Millis, Time};

use crate::report::{Boot, Config, Dropped, Moment, What};
use lines::Lines;
use write::{Limits, Row, Totals};

pub(crate) use aside::set_aside_at;
pub use open::Glance;

/// How many sequence numbers one synced commit reserves.
const SEQ_BLOCK: u64 = 10_000;
/// How many bytes of records wait in memory at most.
const MAX_FRESH_BYTES: u64 = 512 * 1024;
/// How many hops of a good day are kept.
const MAX_HOPS: usize = 16;
/// How many boots are remembered.
const MAX_BOOTS: i64 = 1_000;
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

/// What a start found of the time before it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Before {
    /// Whether the agent was stopped in order; none on its very first start.
    pub clean: Option<bool>,
    /// How often the machine was booted since the last line of the record, as far as the agent was started in between.
    pub boots: u32,
    /// That line.
    pub last: Option<Moment>,
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

    /// Whether the disk takes nothing: it is full, or cannot be written any more.
    #[must_use]
    pub fn is_of_the_disk(&self) -> bool {
        use rusqlite::ErrorCode::{CannotOpen, DiskFull, ReadOnly, SystemIoFailure};
        match self {
            SpoolError::Sql(rusqlite::Error::SqliteFailure(e, _)) => {
                matches!(e.code, DiskFull | ReadOnly | SystemIoFailure | CannotOpen)
            }
            SpoolError::Open { source, .. } => {
                let io = source.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
                matches!(io, Some(ErrorKind::StorageFull | ErrorKind::ReadOnlyFilesystem))
            }
            SpoolError::Newer { .. }
            | SpoolError::IdentityLost { .. }
            | SpoolError::Sql(_)
            | SpoolError::Json(_)
            | SpoolError::Random(_) => false,
        }
    }

    /// Whether somebody else has the database open.
    fn is_busy(&self) -> bool {
        let SpoolError::Sql(rusqlite::Error::SqliteFailure(e, _)) = self else { return false };
        matches!(e.code, rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked)
    }
}

/// The agent's database.
#[derive(Debug)]
pub struct Spool {
    db: Connection,
    /// The database in whose place this one is in memory.
    stands_in_for: Option<PathBuf>,
    identity: Option<Identity>,
    log: String,
    boot: i64,
    next_seq: u64,
    reserved: u64,
    /// The highest number that was ever handed out to be sent.
    sent_upto: u64,
    /// The highest number that was acknowledged, and whether records up to it are still to be deleted.
    acked: u64,
    owed: bool,
    /// Records that are no records, or that the server cannot take, and that could not be set aside.
    skipped: BTreeSet<u64>,
    /// How many records are in the database, but for those that are to be deleted.
    stored: u64,
    /// How many there are with those that wait in memory, and how many bytes those take.
    count: u64,
    bytes: u64,
    /// What waits in memory to be written: the newest records, in order.
    fresh: VecDeque<Row>,
    fresh_bytes: u64,
    /// What is known by name and is written later; none: it is to go.
    later: BTreeMap<&'static str, Option<String>>,
    lines: Lines,
    newest: BTreeMap<i64, u64>,
    newest_status: Option<u64>,
    last_dropped: Option<(u64, Dropped)>,
    /// What memory had no room for, while it could not be written: not told yet.
    lost: Option<Dropped>,
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
        self.count.saturating_sub(self.skipped.len() as u64)
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
        Ok(self.known("config")?.and_then(|text| serde_json::from_str(&text).ok()))
    }

    /// Keeps the configuration, and the bounds that it sets.
    ///
    /// # Errors
    /// Where it cannot be written: then it is written with a later flush.
    pub fn set_config(&mut self, config: &Config) -> Result<(), SpoolError> {
        self.set_bounds(config.keep_for, config.keep_bytes);
        let text = serde_json::to_string(config)?;
        self.later.remove("config");
        if let Err(e) = self.set_meta("config", &text) {
            self.later.insert("config", Some(text));
            return Err(e);
        }
        // Folded in at once: so it is seen from outside as well.
        self.fold_in()
    }

    /// Sets how long, and how many bytes of, records are kept; zero keeps what was.
    pub fn set_bounds(&mut self, keep_for: Millis, keep_bytes: u64) {
        if keep_for > Millis::ZERO {
            self.keep_for = keep_for;
        }
        if keep_bytes > 0 {
            let most = if self.stands_in_for.is_some() { stand_in::MOST_BYTES } else { u64::MAX };
            self.keep_bytes = keep_bytes.clamp(MIN_KEEP_BYTES, most);
        }
    }

    /// What the agent last said of itself.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn status(&self) -> Result<Option<String>, SpoolError> {
        self.known("status")
    }

    /// Keeps what the agent says of itself, for [`Glance::at`]: with the next flush.
    pub fn set_status(&mut self, status: String) {
        self.later.insert("status", Some(status));
    }

    /// The outage that goes on, as [`Spool::set_outage`] kept it.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn outage(&self) -> Result<Option<String>, SpoolError> {
        self.known("outage")
    }

    /// Keeps the outage that goes on, or forgets it with its frozen lines: with the next flush.
    pub fn set_outage(&mut self, outage: Option<String>) {
        if outage.is_none() {
            self.later.insert("frozen", None);
        }
        self.later.insert("outage", outage);
    }

    /// Keeps lines of the record beyond the reach of its bounds: with the next flush.
    ///
    /// # Errors
    /// Where they cannot be written as JSON.
    pub fn freeze(&mut self, lines: &[Moment]) -> Result<(), SpoolError> {
        self.later.insert("frozen", Some(serde_json::to_string(lines)?));
        Ok(())
    }

    /// The frozen lines.
    ///
    /// # Errors
    /// Where they cannot be read. What is no line is none.
    pub fn frozen(&self) -> Result<Vec<Moment>, SpoolError> {
        Ok(self.known("frozen")?.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default())
    }

    /// Keeps the hops beyond the gateway on a good day: with the next flush.
    pub fn set_hops(&mut self, hops: &[IpAddr]) {
        let words: Vec<String> = hops.iter().take(MAX_HOPS).map(ToString::to_string).collect();
        self.later.insert("hops", Some(words.join(" ")));
    }

    /// Those hops.
    ///
    /// # Errors
    /// Where they cannot be read. What is no address is none.
    pub fn hops(&self) -> Result<Vec<IpAddr>, SpoolError> {
        let words = self.known("hops")?.unwrap_or_default();
        Ok(words.split_whitespace().filter_map(|word| word.parse().ok()).collect())
    }

    fn known(&self, key: &str) -> Result<Option<String>, SpoolError> {
        match self.later.get(key) {
            Some(value) => Ok(value.clone()),
            None => open::meta(&self.db, key),
        }
    }

    fn set_meta(&mut self, key: &str, value: &str) -> Result<(), SpoolError> {
        open::set_meta(&self.db, key, value)?;
        Ok(())
    }

    /// Marks a start in the boot `boot_id`, and records it. From here on the agent has not been stopped in order.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn start(&mut self, boot_id: &str, booted_at: Time, now: Stamp) -> Result<Before, SpoolError> {
        let stopped = open::meta(&self.db, "stopped")?;
        let last_boot: Option<i64> =
            self.db.query_row("SELECT max(no) FROM boots", [], |row| row.get(0)).optional()?.flatten();
        self.db.execute("INSERT INTO boots (id) VALUES ($1) ON CONFLICT (id) DO NOTHING", [boot_id])?;
        self.boot = self.db.query_row("SELECT no FROM boots WHERE id = $1", [boot_id], |row| row.get(0))?;
        self.db.execute(
            "DELETE FROM boots WHERE no <= $1 AND no NOT IN (SELECT boot FROM records)",
            [self.boot - MAX_BOOTS],
        )?;
        let clean = last_boot.map(|_| stopped.as_deref() == Some("clean"));
        if clean == Some(false) {
            // The end of the log is lost, and the server may have it: go on behind all numbers ever given.
            self.next_seq = self.next_seq.max(self.reserved + 1);
        }
        let line = self.lines.last();
        let since = line.as_ref().map(|(boot, _)| *boot).or(last_boot).unwrap_or(self.boot);
        let before = Before {
            clean,
            boots: u32::try_from(self.boot.saturating_sub(since)).unwrap_or(0),
            last: line.map(|(_, moment)| moment),
        };
        self.lines.begin_batch();
        // Synced: a power cut a moment later must not look like the stop before it.
        self.db.pragma_update(None, "synchronous", "FULL")?;
        self.set_meta("stopped", "no")?;
        self.db.pragma_update(None, "synchronous", "NORMAL")?;
        self.append(&[What::Boot(Boot { boot_id: boot_id.to_owned(), booted_at, clean })], now)?;
        self.flush(now)?;
        Ok(before)
    }

    /// Writes all, and marks that the agent is stopped in order.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn stop(&mut self, now: Stamp) -> Result<(), SpoolError> {
        self.later.insert("seq_next", Some(self.next_seq.to_string()));
        self.later.insert("stopped", Some("clean".to_owned()));
        self.flush(now)?;
        self.fold_in()
    }

    /// Folds the journal into the database.
    fn fold_in(&mut self) -> Result<(), SpoolError> {
        self.db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).optional()?;
        Ok(())
    }

    /// Adds records of the moment `now`, to be written with the next flush.
    ///
    /// # Errors
    /// Where a number cannot be reserved for them, or there are more than can be kept and they cannot be written; in the
    /// first case none was added, and that is told as what was dropped is.
    pub fn append(&mut self, whats: &[What], now: Stamp) -> Result<(), SpoolError> {
        // One more than `whats`: what is dropped is a record too.
        let last = self.next_seq + self.fresh.len() as u64 + whats.len() as u64;
        if let Err(e) = self.reserve(last) {
            let lost = Dropped { count: whats.len() as u64, first_at: now.at, last_at: now.at };
            self.lost = Some(write::merged(self.lost.take(), lost));
            return Err(e);
        }
        for what in whats {
            let row = Row::of(what, self.next_seq, now)?;
            match what {
                What::Result(result) => drop(self.newest.insert(result.check, row.seq)),
                What::Status(_) => self.newest_status = Some(row.seq),
                What::Change(_)
                | What::Ladder(_)
                | What::Gap(_)
                | What::Outage(_)
                | What::Boot(_)
                | What::Dropped(_) => {}
            }
            self.next_seq += 1;
            self.count += 1;
            self.bytes += row.bytes;
            self.fresh_bytes += row.bytes;
            self.fresh.push_back(row);
        }
        if self.bytes > self.keep_bytes || self.fresh_bytes > MAX_FRESH_BYTES {
            self.flush(now)?;
        }
        Ok(())
    }

    /// Reserves the numbers up to `last`, unless they are.
    fn reserve(&mut self, last: u64) -> Result<(), SpoolError> {
        if last <= self.reserved {
            return Ok(());
        }
        let reserved = last + SEQ_BLOCK;
        self.db.pragma_update(None, "synchronous", "FULL")?;
        let written = open::set_meta(&self.db, "seq_reserved", &reserved.to_string());
        self.db.pragma_update(None, "synchronous", "NORMAL")?;
        written?;
        self.reserved = reserved;
        Ok(())
    }

    /// Adds a line to the flight recorder, to be written with the next flush.
    pub fn note(&mut self, line: Moment) {
        self.lines.note(line);
    }

    /// The last lines of the flight recorder, at most `most`, the oldest first.
    ///
    /// # Errors
    /// Where they cannot be read.
    pub fn lines(&self, most: usize) -> Result<Vec<Moment>, SpoolError> {
        self.lines.newest(&self.db, most)
    }

    /// Whether something waits to be written.
    #[must_use]
    pub fn is_dirty(&self) -> bool {
        let waits = !self.fresh.is_empty() || !self.later.is_empty() || self.lines.is_dirty();
        waits || self.owed || self.lost.is_some()
    }

    /// Writes what waits in memory in one transaction, and throws the oldest away where there is too much.
    ///
    /// # Errors
    /// Where it cannot be written; then it waits on, but for what is more than memory is for.
    pub fn flush(&mut self, now: Stamp) -> Result<(), SpoolError> {
        let written = self.write(now);
        if written.is_err() {
            self.shed();
        }
        written
    }

    fn write(&mut self, now: Stamp) -> Result<(), SpoolError> {
        if self.lost.is_some() {
            // What is told of it is a record too.
            self.reserve(self.next_seq)?;
        }
        let mut next = Totals::of(self);
        let tx = self.db.transaction()?;
        if self.owed {
            tx.prepare_cached("DELETE FROM records WHERE seq <= $1")?.execute([self.acked])?;
        }
        for row in &self.fresh {
            row.insert(&tx, self.boot)?;
        }
        for (key, value) in &self.later {
            match value {
                Some(value) => open::set_meta(&tx, key, value)?,
                None => drop(tx.prepare_cached("DELETE FROM meta WHERE key = $1")?.execute([key])?),
            }
        }
        let lines = self.lines.write(&tx, self.boot, now)?;
        let limits =
            Limits { keep_for: self.keep_for, keep_bytes: self.keep_bytes, sent_upto: self.sent_upto };
        next.bound(&tx, &limits, self.lost.clone(), self.boot, now)?;
        tx.commit()?;
        next.keep(self);
        (self.owed, self.lost) = (false, None);
        self.lines.written(lines);
        self.stored = self.count;
        self.fresh.clear();
        self.fresh_bytes = 0;
        self.later.clear();
        Ok(())
    }

    /// Where nothing can be written, memory keeps the newest; what goes is told when something can.
    fn shed(&mut self) {
        let mut shed: Option<Dropped> = None;
        while self.fresh_bytes > MAX_FRESH_BYTES
            && let Some(row) = self.fresh.pop_front()
        {
            self.fresh_bytes -= row.bytes;
            self.bytes = self.bytes.saturating_sub(row.bytes);
            self.count = self.count.saturating_sub(1);
            shed = Some(write::merged(shed, row.dropped()));
        }
        self.lines.shed();
        if let Some(shed) = shed {
            tracing::debug!(count = shed.count, "records are lost: they cannot be written");
            self.lost = Some(write::merged(self.lost.take(), shed));
        }
    }
}

#[cfg(test)]
mod disk_tests;
#[cfg(test)]
mod tests;
