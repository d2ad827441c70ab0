//! Opening the agent's database: its schema, what to do with a damaged or a newer one, and the things known by name.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rusqlite::{Connection, OpenFlags, OptionalExtension};
use schedules::Millis;

use super::lines::Lines;
use super::{Identity, Spool, SpoolError, aside};
use crate::report::{Config, Plan};

/// The schema this program makes. A change adds a step to [`migrate`] and counts up.
const SCHEMA: i64 = 2;

/// How long a database is waited for that somebody else has open.
const GLANCE_WAIT: Duration = Duration::from_millis(200);
/// Small pages: what is written in between is less than one of the usual size. A database that is there keeps its own.
const PAGE_BYTES: u32 = 1024;

const SCHEMA_1: &str = "
    CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE boots (no INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE) STRICT;
    CREATE TABLE records (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        at INTEGER NOT NULL,
        mono INTEGER NOT NULL,
        boot INTEGER NOT NULL,
        kind TEXT NOT NULL,
        kept INTEGER NOT NULL CHECK (kept IN (0, 1)),
        check_no INTEGER,
        bytes INTEGER NOT NULL,
        body TEXT NOT NULL
    ) STRICT;
    CREATE TABLE rejected (
        seq INTEGER PRIMARY KEY,
        at INTEGER NOT NULL,
        error TEXT NOT NULL,
        body TEXT NOT NULL
    ) STRICT;";

/// The flight recorder's lines, packed, a batch a row.
const SCHEMA_2: &str = "
    CREATE TABLE moments (
        no INTEGER PRIMARY KEY,
        boot INTEGER NOT NULL,
        at INTEGER NOT NULL,
        mono INTEGER NOT NULL,
        body BLOB NOT NULL
    ) STRICT;";

impl Spool {
    /// Opens the database at `path`, or makes it, readable by its owner alone.
    ///
    /// A damaged one is set aside beside it, and a new one is begun with the identity of the old.
    ///
    /// # Errors
    /// Where it cannot be opened, is a newer program's, or is damaged and the identity cannot be read.
    pub fn open(path: &Path) -> Result<Spool, SpoolError> {
        make_file(path).map_err(|e| SpoolError::Open { path: path.to_owned(), source: e.into() })?;
        match connect(path) {
            Err(e) if e.is_corrupt() => begin_anew(path, &e),
            other => other,
        }
    }

    /// A database that is gone when it is closed: for an agent whose server is in the same process, and for tests.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub fn in_memory() -> Result<Spool, SpoolError> {
        load(empty()?)
    }
}

/// An empty database in memory.
pub(super) fn empty() -> Result<Connection, SpoolError> {
    let mut db = Connection::open_in_memory()?;
    migrate(&mut db, Path::new(":memory:"))?;
    Ok(db)
}

/// What another process may know of an agent's database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glance {
    /// Who the agent is, where it has joined a server.
    pub identity: Option<Identity>,
    /// How many records wait.
    pub waiting: u64,
    /// What the agent last said of itself, as it wrote it.
    pub status: Option<String>,
    /// What its ladder of evidence asks.
    pub ladder: Plan,
}

impl Glance {
    /// Looks into the database at `path`. While an agent has it open it is seen as it was some while ago, the identity as
    /// it is.
    ///
    /// # Errors
    /// Where there is no database, or it cannot be read.
    pub fn at(path: &Path) -> Result<Glance, SpoolError> {
        let open = |at: &Path, flags: OpenFlags| {
            Connection::open_with_flags(at, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)
                .map_err(|e| SpoolError::Open { path: path.to_owned(), source: e.into() })
        };
        let db = open(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        db.busy_timeout(GLANCE_WAIT)?;
        match Glance::of(&db, path) {
            Err(e) if e.is_busy() => {
                let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
                Glance::of(&open(&as_it_was(path), flags)?, path)
            }
            glance => glance,
        }
    }

    fn of(db: &Connection, path: &Path) -> Result<Glance, SpoolError> {
        if refuse_newer(db, path)? == 0 {
            return Ok(Glance { identity: None, waiting: 0, status: None, ladder: Plan::default() });
        }
        let waiting = db.query_row("SELECT count(*) FROM records", [], |row| row.get(0))?;
        let config = meta(db, "config")?.and_then(|text| serde_json::from_str::<Config>(&text).ok());
        let ladder = config.unwrap_or_default().ladder;
        Ok(Glance { identity: read_identity(db)?, waiting, status: meta(db, "status")?, ladder })
    }
}

/// The database at `path` without its journal and without locks, as SQLite's URIs name it.
pub(super) fn as_it_was(path: &Path) -> PathBuf {
    let mut uri = OsString::from("file:");
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'?' | b'#' | b'%' => uri.push(format!("%{byte:02x}")),
            other => uri.push(OsStr::from_bytes(&[*other])),
        }
    }
    uri.push("?immutable=1");
    uri.into()
}

/// What is known by this name. What is no text any more is not known.
pub(super) fn meta(db: &Connection, key: &str) -> Result<Option<String>, SpoolError> {
    let text = db
        .query_row("SELECT value FROM meta WHERE key = $1", [key], |row| {
            Ok(row.get_ref(0)?.as_str().ok().map(ToOwned::to_owned))
        })
        .optional()?;
    Ok(text.flatten())
}

pub(super) fn set_meta(db: &Connection, key: &str, value: &str) -> Result<(), SpoolError> {
    db.prepare_cached(
        "INSERT INTO meta (key, value) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
    )?
    .execute([key, value])?;
    Ok(())
}

pub(super) fn write_identity(db: &mut Connection, identity: &Identity) -> Result<(), SpoolError> {
    let tx = db.transaction()?;
    set_meta(&tx, "server", &identity.server)?;
    set_meta(&tx, "device", &identity.device.to_string())?;
    set_meta(&tx, "name", &identity.name)?;
    set_meta(&tx, "secret", &identity.secret)?;
    match identity.pin {
        Some(pin) => set_meta(&tx, "pin", &URL_SAFE_NO_PAD.encode(pin))?,
        None => drop(tx.execute("DELETE FROM meta WHERE key = 'pin'", [])?),
    }
    tx.commit()?;
    Ok(())
}

fn read_identity(db: &Connection) -> Result<Option<Identity>, SpoolError> {
    let Some(server) = meta(db, "server")? else { return Ok(None) };
    let Some(device) = meta(db, "device")?.and_then(|text| text.parse().ok()) else { return Ok(None) };
    let Some(secret) = meta(db, "secret")? else { return Ok(None) };
    let name = meta(db, "name")?.unwrap_or_default();
    let pin = meta(db, "pin")?.and_then(|text| URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok());
    Ok(Some(Identity { server, device, name, secret, pin }))
}

pub(super) fn random_id() -> Result<String, SpoolError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(SpoolError::Random)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

fn make_file(path: &Path) -> std::io::Result<()> {
    if let Some(dir) = path.parent().filter(|dir| !dir.as_os_str().is_empty()) {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    }
    // SQLite gives its -wal and -shm files the mode of the database.
    std::fs::OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
    Ok(())
}

fn connect(path: &Path) -> Result<Spool, SpoolError> {
    let mut db = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )
    .map_err(|e| SpoolError::Open { path: path.to_owned(), source: e.into() })?;
    db.busy_timeout(Duration::from_secs(2))?;
    // Nobody else writes here, and so the index of the journal can be in memory: in a file it would be most of what is
    // written. This must come before anything that reads the database, the other settings included. Whoever looks in from
    // outside sees the database as it was when the journal was last folded in.
    db.pragma_update_and_check(None, "locking_mode", "EXCLUSIVE", |_| Ok(()))?;
    // Memory: an agent's whole database is seldom larger than this, and it is read in order.
    db.pragma_update(None, "cache_size", -256)?;
    db.pragma_update(None, "page_size", PAGE_BYTES)?;
    db.pragma_update(None, "mmap_size", 0)?;
    db.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    db.pragma_update(None, "journal_size_limit", 4 * 1024 * 1024)?;
    db.pragma_update(None, "synchronous", "NORMAL")?;
    migrate(&mut db, path)?;
    if meta(&db, "stopped")?.as_deref() == Some("no") {
        check(&db)?;
    }
    load(db)
}

/// After an end that was not in order, the file is looked through before it is trusted.
fn check(db: &Connection) -> Result<(), SpoolError> {
    let found: String = db.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if found == "ok" {
        return Ok(());
    }
    let corrupt = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
    Err(rusqlite::Error::SqliteFailure(corrupt, Some(found)).into())
}

fn refuse_newer(db: &Connection, path: &Path) -> Result<i64, SpoolError> {
    let found: i64 = db.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if found > SCHEMA {
        return Err(SpoolError::Newer { path: path.to_owned(), found, known: SCHEMA });
    }
    Ok(found)
}

fn migrate(db: &mut Connection, path: &Path) -> Result<(), SpoolError> {
    let found = refuse_newer(db, path)?;
    if found == SCHEMA {
        return Ok(());
    }
    let tx = db.transaction()?;
    if found < 1 {
        tx.execute_batch(SCHEMA_1)?;
        set_meta(&tx, "log", &random_id()?)?;
    }
    tx.execute_batch(SCHEMA_2)?;
    tx.pragma_update(None, "user_version", SCHEMA)?;
    tx.commit()?;
    Ok(())
}

pub(super) fn load(db: Connection) -> Result<Spool, SpoolError> {
    db.set_prepared_statement_cache_capacity(16);
    let (count, bytes) =
        db.query_row("SELECT count(*), coalesce(sum(bytes), 0) FROM records", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?;
    let last: u64 = db
        .query_row("SELECT seq FROM sqlite_sequence WHERE name = 'records'", [], |row| row.get(0))
        .optional()?
        .unwrap_or(0);
    let stopped_at = meta(&db, "seq_next")?.and_then(|text| text.parse().ok()).unwrap_or(1);
    let reserved = meta(&db, "seq_reserved")?.and_then(|text| text.parse().ok()).unwrap_or(0);
    let mut newest = BTreeMap::new();
    {
        let mut select =
            db.prepare("SELECT check_no, max(seq) FROM records WHERE kind = 'result' GROUP BY check_no")?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            newest.insert(row.get(0)?, row.get(1)?);
        }
    }
    let newest_status =
        db.query_row("SELECT max(seq) FROM records WHERE kind = 'status'", [], |row| row.get(0))?;
    let identity = read_identity(&db)?;
    let log = match meta(&db, "log")? {
        Some(log) => log,
        None => {
            let log = random_id()?;
            set_meta(&db, "log", &log)?;
            log
        }
    };
    let lines = Lines::load(&db)?;
    let next_seq = (last + 1).max(stopped_at);
    let mut spool = Spool {
        db,
        stands_in_for: None,
        identity,
        log,
        boot: 0,
        next_seq,
        reserved,
        sent_upto: next_seq - 1,
        acked: 0,
        owed: false,
        skipped: BTreeSet::new(),
        stored: count,
        count,
        bytes,
        fresh: VecDeque::new(),
        fresh_bytes: 0,
        later: BTreeMap::new(),
        lines,
        newest,
        newest_status,
        last_dropped: None,
        lost: None,
        keep_for: Millis::from_secs(7 * 86_400),
        keep_bytes: 64 * 1024 * 1024,
    };
    if let Some(config) = spool.config()? {
        spool.set_bounds(config.keep_for, config.keep_bytes);
    }
    Ok(spool)
}

fn begin_anew(path: &Path, error: &SpoolError) -> Result<Spool, SpoolError> {
    let identity = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)
        .ok()
        .and_then(|db| read_identity(&db).ok().flatten());
    let aside =
        aside::set_aside(path).map_err(|e| SpoolError::Open { path: path.to_owned(), source: e.into() })?;
    tracing::error!(
        error = %error, path = %path.display(), aside = %aside.display(), identity = identity.is_some(),
        "the agent's database is damaged: it is set aside, and the records in it are lost"
    );
    let Some(identity) = identity else {
        return Err(SpoolError::IdentityLost { path: path.to_owned(), aside });
    };
    make_file(path).map_err(|e| SpoolError::Open { path: path.to_owned(), source: e.into() })?;
    let mut spool = connect(path)?;
    spool.set_identity(&identity)?;
    Ok(spool)
}

#[cfg(test)]
mod tests {
    use schedules::Time;

    use super::*;
    use crate::report::What;
    use crate::spool::{Before, Stamp};

    #[test]
    fn a_database_of_the_first_version_opens_with_all_that_was_in_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("agent.db");
        let db = Connection::open(&path).unwrap();
        db.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(())).unwrap();
        db.execute_batch(SCHEMA_1).unwrap();
        db.execute_batch(
            "INSERT INTO meta VALUES ('log', 'the-one'), ('server', 'https://192.0.2.1'), ('device', '7'),
                 ('name', 'edge'), ('secret', 's3cret'), ('stopped', 'no'), ('seq_reserved', '10004');
             INSERT INTO boots VALUES (1, 'boot-a');
             INSERT INTO records VALUES (4, 1700000000000, 5, 1, 'boot', 1, NULL, 100,
                 '{\"kind\":\"boot\",\"boot_id\":\"boot-a\",\"booted_at\":1}');
             PRAGMA user_version = 1;",
        )
        .unwrap();
        drop(db);
        let mut spool = Spool::open(&path).unwrap();
        assert_eq!((spool.log(), spool.waiting()), ("the-one", 1));
        assert_eq!(spool.identity().map(|identity| identity.device), Some(7));
        let before = spool.start("boot-b", Time(2), Stamp { at: Time(3), mono: Millis(1) }).unwrap();
        assert_eq!(before, Before { clean: Some(false), boots: 1, last: None });
        let records = spool.batch(10, 1_000_000).unwrap();
        assert!(matches!(&records[0].what, What::Boot(boot) if boot.boot_id == "boot-a"));
        assert_eq!((records[0].seq, records[1].seq), (4, 10_005));
    }
}
