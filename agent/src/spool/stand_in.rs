//! A database in memory, in place of one on a disk that takes nothing: full, or not to be written any more. The agent
//! reports all the same, and goes back to its own when that can be written.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags, params};
use schedules::Time;

use super::{Before, Spool, SpoolError, Stamp, open};

/// How many bytes of records are kept in memory.
pub(super) const MOST_BYTES: u64 = 1024 * 1024;
/// What is taken along of what is known by name.
const CARRIED: [&str; 11] =
    ["server", "device", "name", "secret", "pin", "stopped", "config", "status", "hops", "outage", "frozen"];
/// How many rows of the flight recorder's lines are: all that its memory holds.
const LINES: i64 = 10;

impl Spool {
    /// Opens the database at `path`; where the disk takes nothing, one in memory with what is known of the agent.
    ///
    /// # Errors
    /// As [`Spool::open`], and where nothing can be read either.
    pub fn open_or_stand_in(path: &Path) -> Result<Spool, SpoolError> {
        match Spool::open(path) {
            Err(e) if e.is_of_the_disk() => {
                let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
                let read = Connection::open_with_flags(open::as_it_was(path), flags);
                match read.map_err(SpoolError::from).and_then(|db| stand_in(&db, path)) {
                    Ok(spool) => {
                        say(&e);
                        Ok(spool)
                    }
                    Err(_) => Err(e),
                }
            }
            other => other,
        }
    }

    /// As [`Spool::start`], but where the disk takes nothing one in memory goes on.
    ///
    /// # Errors
    /// Where the database is damaged, or cannot be read.
    pub fn begin(
        mut self,
        boot_id: &str,
        booted_at: Time,
        now: Stamp,
    ) -> Result<(Spool, Before), SpoolError> {
        match self.start(boot_id, booted_at, now) {
            Ok(before) => Ok((self, before)),
            Err(e) if e.is_of_the_disk() => {
                let Some(path) = self.db.path().map(PathBuf::from) else { return Err(e) };
                say(&e);
                let mut spool = stand_in(&self.db, &path)?;
                let before = spool.start(boot_id, booted_at, now)?;
                Ok((spool, before))
            }
            Err(e) => Err(e),
        }
    }

    /// Whether it is in memory because the disk takes nothing.
    #[must_use]
    pub fn is_stand_in(&self) -> bool {
        self.stands_in_for.is_some()
    }

    /// The database in whose place this one is, started; none where it still cannot be written. For when nothing waits
    /// here any more.
    pub fn back_on_disk(&self, boot_id: &str, booted_at: Time, now: Stamp) -> Option<Spool> {
        let own = || {
            let mut spool = Spool::open(self.stands_in_for.as_deref()?).ok()?;
            spool.start(boot_id, booted_at, now).ok()?;
            if let Some(config) = self.config().ok()? {
                spool.set_config(&config).ok()?;
            }
            for key in ["status", "hops", "outage", "frozen"] {
                spool.later.insert(key, self.known(key).ok()?);
            }
            Some(spool)
        };
        own().inspect(|_| tracing::info!("the agent's database can be written again"))
    }
}

fn say(error: &SpoolError) {
    tracing::error!(error = %error,
        "the agent's database cannot be written: what is recorded stays in memory; what waits in it is sent later");
}

/// One in memory with what is known in `db`.
pub(super) fn stand_in(db: &Connection, path: &Path) -> Result<Spool, SpoolError> {
    let memory = open::empty()?;
    for key in CARRIED {
        if let Some(value) = open::meta(db, key)? {
            open::set_meta(&memory, key, &value)?;
        }
    }
    let mut boots = db.prepare("SELECT no, id FROM boots")?;
    let mut rows = boots.query([])?;
    while let Some(row) = rows.next()? {
        memory.execute(
            "INSERT INTO boots (no, id) VALUES ($1, $2)",
            params![row.get::<_, i64>(0)?, row.get::<_, String>(1)?],
        )?;
    }
    let mut lines = db.prepare("SELECT no, boot, at, mono, body FROM moments ORDER BY no DESC LIMIT $1")?;
    let mut rows = lines.query([LINES])?;
    while let Some(row) = rows.next()? {
        memory.execute(
            "INSERT INTO moments (no, boot, at, mono, body) VALUES ($1, $2, $3, $4, $5)",
            params![
                row.get::<_, i64>(0)?,
                row.get::<_, i64>(1)?,
                row.get::<_, i64>(2)?,
                row.get::<_, i64>(3)?,
                row.get::<_, Vec<u8>>(4)?
            ],
        )?;
    }
    let mut spool = open::load(memory)?;
    spool.stands_in_for = Some(path.to_owned());
    let (keep_for, keep_bytes) = (spool.keep_for, spool.keep_bytes);
    spool.set_bounds(keep_for, keep_bytes);
    Ok(spool)
}
