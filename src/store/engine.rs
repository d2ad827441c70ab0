//! One connection to SQLite: how it is set up, how its transactions begin and end, and what its errors mean.

use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::ffi;
use rusqlite::{Connection, ErrorCode, OpenFlags, Statement};

use super::error::{Constraint, Error, Result};
use super::tx::short;

/// Says in the file's header that it is lineman's: "lnmn".
pub(super) const APPLICATION_ID: i64 = 0x6c6e_6d6e;
/// Looks through the file; "ok" where it is whole.
pub(super) const QUICK_CHECK: &str = "PRAGMA quick_check(1)";
/// How long a connection waits for another process.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a checkpoint waits for readers, while changes wait for it.
const CHECKPOINT_TIMEOUT: Duration = Duration::from_secs(1);
/// How many prepared statements a connection keeps.
const STATEMENTS: usize = 200;
/// How many parts of an index `PRAGMA optimize` looks at.
const ANALYSIS_LIMIT: u32 = 400;

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Looks whether the file may be used at all, and changes nothing in it: not even what waits in its log.
    Inspector,
    /// The same where there is no log; leaves none behind.
    Visitor,
    /// Changes it.
    Writer,
    /// Reads it.
    Reader,
}

/// A connection.
pub(super) struct Db {
    connection: Connection,
}

/// The statements around a group of changes, prepared once: they run for every single change.
pub(super) struct Marks<'c> {
    db: &'c Db,
    begin: Statement<'c>,
    commit: Statement<'c>,
    savepoint: Statement<'c>,
    release: Statement<'c>,
    undo: Statement<'c>,
}

impl Db {
    /// Opens a connection; a file that is not there is made by a writer.
    pub(super) fn open(path: &Path, role: Role) -> Result<Db> {
        let mut flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        if role == Role::Writer {
            flags |= OpenFlags::SQLITE_OPEN_CREATE;
        }
        let connection = Connection::open_with_flags(path, flags).map_err(|e| told(path, "open", e))?;
        let db = Db { connection };
        db.set_up(role).map_err(|e| db.error("set up", e))?;
        Ok(db)
    }

    fn set_up(&self, role: Role) -> rusqlite::Result<()> {
        let c = &self.connection;
        c.busy_timeout(BUSY_TIMEOUT)?;
        c.set_prepared_statement_cache_capacity(STATEMENTS);
        c.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
        c.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
        c.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DML, false)?;
        c.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DDL, false)?;
        c.execute_batch("PRAGMA temp_store = MEMORY; PRAGMA mmap_size = 0; PRAGMA cell_size_check = ON;")?;
        match role {
            Role::Inspector => {
                c.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
                c.execute_batch("PRAGMA query_only = ON;")
            }
            Role::Visitor => c.execute_batch("PRAGMA query_only = ON;"),
            Role::Reader => {
                c.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
                c.execute_batch("PRAGMA query_only = ON; PRAGMA cache_size = -2048;")
            }
            // A log of 16 MiB before it is moved into the file: a quarter more changes a second than with the usual 4.
            Role::Writer => c.execute_batch(
                "PRAGMA synchronous = FULL; PRAGMA cache_size = -8192; PRAGMA journal_size_limit = 67108864;
                 PRAGMA wal_autocheckpoint = 4000;",
            ),
        }
    }

    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Whether a transaction is open.
    pub(super) fn in_transaction(&self) -> bool {
        !self.connection.is_autocommit()
    }

    /// Whether the file itself can only be read.
    pub(super) fn is_read_only(&self) -> bool {
        self.connection.is_readonly(rusqlite::MAIN_DB).unwrap_or(true)
    }

    /// Begins a transaction that reads.
    pub(super) fn begin(&self) -> Result<()> {
        self.run("BEGIN")
    }

    /// Ends the open transaction and undoes it; false where that failed and the connection is of no more use.
    pub(super) fn roll_back(&self) -> bool {
        if self.in_transaction() {
            drop(self.run("ROLLBACK"));
        }
        !self.in_transaction()
    }

    /// Keeps a log beside the file, so that readers and the writer do not wait for each other.
    pub(super) fn use_log(&self) -> Result<()> {
        if self.text("PRAGMA journal_mode")? != "wal" {
            let mode = self.text("PRAGMA journal_mode = WAL")?;
            if mode != "wal" {
                let why = format!("this file system allows no log beside the database (it stays '{mode}')");
                return Err(Error::Sqlite { sql: "PRAGMA journal_mode = WAL".to_owned(), why });
            }
        }
        Ok(())
    }

    /// Checks that what a row refers to is there; off while the tables are rebuilt.
    pub(super) fn check_references(&self, on: bool) -> Result<()> {
        self.run(if on { "PRAGMA foreign_keys = ON" } else { "PRAGMA foreign_keys = OFF" })
    }

    /// Runs several statements.
    pub(super) fn script(&self, sql: &str) -> Result<()> {
        self.connection.execute_batch(sql).map_err(|e| self.error(sql, e))
    }

    /// A number that changes with every commit of another connection.
    pub(super) fn data_version(&self) -> Result<i64> {
        self.number("PRAGMA data_version")
    }

    /// Looks at every page; what is wrong, where something is.
    pub(super) fn damage(&self) -> Result<Option<String>> {
        let found = self.text("PRAGMA quick_check(1)")?;
        Ok((found != "ok").then(|| found.trim_start_matches("*** in database main ***").trim().to_owned()))
    }

    /// Moves the log into the file and empties it, unless a reader needs it still.
    pub(super) fn checkpoint(&self) -> Result<()> {
        let wait = |span| self.connection.busy_timeout(span).map_err(|e| self.error("busy timeout", e));
        wait(CHECKPOINT_TIMEOUT)?;
        let moved = self.number("PRAGMA wal_checkpoint(TRUNCATE)");
        wait(BUSY_TIMEOUT)?;
        moved.map(drop)
    }

    /// Lets the engine bring its statistics up to date.
    pub(super) fn optimize(&self) -> Result<()> {
        self.script(&format!("PRAGMA analysis_limit = {ANALYSIS_LIMIT}; PRAGMA optimize;"))
    }

    /// The statements around a group of changes.
    pub(super) fn marks(&self) -> Result<Marks<'_>> {
        let prepare = |sql| self.connection.prepare(sql).map_err(|e| self.error(sql, e));
        Ok(Marks {
            db: self,
            begin: prepare("BEGIN IMMEDIATE")?,
            commit: prepare("COMMIT")?,
            savepoint: prepare("SAVEPOINT change")?,
            release: prepare("RELEASE change")?,
            undo: prepare("ROLLBACK TO change")?,
        })
    }

    /// The first column of the first row, a number.
    pub(super) fn number(&self, sql: &str) -> Result<i64> {
        let mut statement = self.connection.prepare_cached(sql).map_err(|e| self.error(sql, e))?;
        statement.query_row([], |row| row.get(0)).map_err(|e| self.error(sql, e))
    }

    fn text(&self, sql: &str) -> Result<String> {
        self.connection.query_row(sql, [], |row| row.get(0)).map_err(|e| self.error(sql, e))
    }

    fn run(&self, sql: &str) -> Result<()> {
        let mut statement = self.connection.prepare_cached(sql).map_err(|e| self.error(sql, e))?;
        statement.execute([]).map(drop).map_err(|e| self.error(sql, e))
    }

    /// What an error of the engine means.
    pub(super) fn error(&self, sql: &str, error: rusqlite::Error) -> Error {
        told(Path::new(self.connection.path().unwrap_or_default()), sql, error)
    }
}

impl Marks<'_> {
    /// Begins a transaction that changes; waits for a change of another process.
    pub(super) fn begin(&mut self) -> Result<()> {
        step(self.db, &mut self.begin, "BEGIN IMMEDIATE")
    }

    /// Makes the transaction durable.
    pub(super) fn commit(&mut self) -> Result<()> {
        step(self.db, &mut self.commit, "COMMIT")
    }

    /// Remembers how things are.
    pub(super) fn savepoint(&mut self) -> Result<()> {
        step(self.db, &mut self.savepoint, "SAVEPOINT change")
    }

    /// Keeps what was changed since the savepoint.
    pub(super) fn keep(&mut self) -> Result<()> {
        step(self.db, &mut self.release, "RELEASE change")
    }

    /// Undoes what was changed since the savepoint.
    pub(super) fn undo(&mut self) -> Result<()> {
        step(self.db, &mut self.undo, "ROLLBACK TO change")?;
        self.keep()
    }
}

fn step(db: &Db, statement: &mut Statement<'_>, sql: &str) -> Result<()> {
    statement.raw_execute().map(drop).map_err(|e| db.error(sql, e))
}

fn told(path: &Path, sql: &str, error: rusqlite::Error) -> Error {
    let rusqlite::Error::SqliteFailure(code, why) = error else {
        return Error::Sqlite { sql: short(sql), why: error.to_string() };
    };
    let file = path.display().to_string();
    let why = why.unwrap_or_else(|| code.to_string());
    match code.code {
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => Error::Busy("another process is changing it"),
        ErrorCode::DiskFull => Error::Full { file },
        // The log's index could not be made larger: it is a file beside the database, and writing to it failed.
        ErrorCode::SystemIoFailure if code.extended_code == ffi::SQLITE_IOERR_SHMSIZE => Error::Full { file },
        ErrorCode::SystemIoFailure => Error::Io { file, why: format!("{why} ({})", code.extended_code) },
        ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::PermissionDenied => Error::ReadOnly { file },
        ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => Error::Corrupt { file, why },
        ErrorCode::ConstraintViolation => constraint(code.extended_code, &why),
        _ => Error::Sqlite { sql: short(sql), why },
    }
}

fn constraint(code: i32, why: &str) -> Error {
    let what = match code {
        ffi::SQLITE_CONSTRAINT_UNIQUE | ffi::SQLITE_CONSTRAINT_PRIMARYKEY | ffi::SQLITE_CONSTRAINT_ROWID => {
            Constraint::Unique
        }
        ffi::SQLITE_CONSTRAINT_FOREIGNKEY => Constraint::ForeignKey,
        ffi::SQLITE_CONSTRAINT_NOTNULL => Constraint::NotNull,
        ffi::SQLITE_CONSTRAINT_DATATYPE => Constraint::Type,
        _ => Constraint::Check,
    };
    // "UNIQUE constraint failed: device.name", "cannot store TEXT value in INTEGER column device.id"
    let columns = match what {
        Constraint::Type => why.rsplit(' ').next(),
        Constraint::Unique | Constraint::Check | Constraint::ForeignKey | Constraint::NotNull => {
            why.split_once("failed: ").map(|(_, columns)| columns)
        }
    };
    Error::Constraint { what, columns: columns.unwrap_or_default().to_owned() }
}
