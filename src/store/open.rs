//! Opening the database: is it there, is it ours, is it whole, and only then is anything changed.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::engine::{APPLICATION_ID, Db, Role};
use super::error::{Error, OpenError, Result};
use super::migrate::{self, Migration};

/// What to do where there is no database yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Make one, readable by its user alone.
    Create,
    /// Say so.
    Existing,
}

/// A file up to this size is looked through wholly before it is used; it takes some milliseconds.
const LOOKED_THROUGH: u64 = 4 * 1024 * 1024;
/// How long to wait while another process makes the database.
const PATIENCE: Duration = Duration::from_secs(10);

/// One file is opened at a time: to close a new file while another thread has it open would end that one's locks.
static OPENING: Mutex<()> = Mutex::new(());

/// Where it is, and the connection that writes to it.
pub(super) fn open(path: &Path, mode: Mode, migrations: &[Migration]) -> Result<(PathBuf, Db), OpenError> {
    let path = &std::path::absolute(path)
        .map_err(|e| OpenError::Io { path: path.to_owned(), why: format!("no absolute path: {e}") })?;
    let _opening = super::locked(&OPENING);
    let size = match fs::metadata(path) {
        Ok(found) if found.is_file() => found.len(),
        Ok(_) => return Err(OpenError::NotOurs { path: path.clone() }),
        Err(e) if e.kind() == io::ErrorKind::NotFound => match mode {
            Mode::Existing => return Err(OpenError::Missing { path: path.clone() }),
            Mode::Create => make(path).map(|()| 0).map_err(|e| told_io(path, &e))?,
        },
        Err(e) => return Err(told_io(path, &e)),
    };
    if size > 0 {
        inspect(path, size, migrate::known(migrations))?;
    }
    let db = patiently(|| write(path, migrations)).map_err(|e| told(path, e))?;
    Ok((path.clone(), db))
}

fn make(path: &Path) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(_) => Ok(()),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(e) => Err(e),
    }
}

/// Looks at a file without changing it.
fn inspect(path: &Path, size: u64, known: i64) -> Result<(), OpenError> {
    // Whoever closes a database last moves its log into the file: not before we know that it is ours.
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    let role =
        if fs::metadata(&log).is_ok_and(|log| log.len() > 0) { Role::Inspector } else { Role::Visitor };
    let db = Db::open(path, role).map_err(|e| told(path, e))?;
    if db.is_read_only() {
        return Err(OpenError::ReadOnly { path: path.to_owned() });
    }
    let ask = |sql| match db.number(sql) {
        Err(Error::Corrupt { why, .. }) if why == "file is not a database" => {
            Err(OpenError::NotOurs { path: path.to_owned() })
        }
        answer => answer.map_err(|e| told(path, e)),
    };
    // Reads the shape of all tables, too.
    let tables = ask("SELECT count(*) FROM sqlite_schema")?;
    let id = ask("PRAGMA application_id")?;
    let version = ask("PRAGMA user_version")?;
    // Where its maker was stopped before the first migration, the file is empty.
    let empty = id == 0 && version == 0 && tables == 0;
    if id != APPLICATION_ID && !empty {
        return Err(OpenError::NotOurs { path: path.to_owned() });
    }
    if version > known {
        return Err(OpenError::Newer { path: path.to_owned(), found: version, known });
    }
    if size <= LOOKED_THROUGH
        && let Some(why) = db.damage().map_err(|e| told(path, e))?
    {
        return Err(OpenError::Corrupt { path: path.to_owned(), why });
    }
    Ok(())
}

fn write(path: &Path, migrations: &[Migration]) -> Result<Db> {
    let db = Db::open(path, Role::Writer)?;
    if db.is_read_only() {
        return Err(Error::ReadOnly { file: path.display().to_string() });
    }
    db.use_log()?;
    migrate::migrate(&db, migrations)?;
    db.check_references(true)?;
    Ok(db)
}

/// The engine does not always wait by itself while another process makes the log.
fn patiently<T>(mut f: impl FnMut() -> Result<T>) -> Result<T> {
    let begun = Instant::now();
    loop {
        match f() {
            Err(Error::Busy(_)) if begun.elapsed() < PATIENCE => std::thread::sleep(Duration::from_millis(5)),
            answer => return answer,
        }
    }
}

fn told(path: &Path, error: Error) -> OpenError {
    let path = path.to_owned();
    match error {
        Error::Busy(_) => OpenError::Busy { path },
        Error::Full { .. } => OpenError::Full { path },
        Error::ReadOnly { .. } => OpenError::ReadOnly { path },
        Error::Corrupt { why, .. } => OpenError::Corrupt { path, why },
        Error::Io { why, .. } => OpenError::Io { path, why },
        other => OpenError::Io { path, why: other.to_string() },
    }
}

fn told_io(path: &Path, error: &io::Error) -> OpenError {
    let path = path.to_owned();
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => OpenError::Full { path },
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => OpenError::ReadOnly { path },
        _ => OpenError::Io { path, why: error.to_string() },
    }
}
