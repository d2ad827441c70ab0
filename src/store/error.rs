//! What can go wrong: while the database is opened, and while it is used.

use std::path::PathBuf;

/// The store's own result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why the database could not be opened. Nothing in it was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// There is no such file.
    #[error("open {}: there is no database here", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// A file that lineman did not make.
    #[error("open {}: this is not a database of lineman", path.display())]
    NotOurs {
        /// The file.
        path: PathBuf,
    },
    /// Made by a lineman that knows more than this one.
    #[error("open {}: it was made by a newer lineman (its tables are number {found}, this one knows {known})", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// The number of its last migration.
        found: i64,
        /// The number of the last migration that is known here.
        known: i64,
    },
    /// The file is damaged.
    #[error("open {}: the database is damaged: {why}", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What was found.
        why: String,
    },
    /// The file or its folder cannot be written.
    #[error("open {}: the file or its folder is read-only for this user", path.display())]
    ReadOnly {
        /// The file.
        path: PathBuf,
    },
    /// No room.
    #[error("open {}: the disk is full", path.display())]
    Full {
        /// The file.
        path: PathBuf,
    },
    /// Somebody else held it all the time.
    #[error("open {}: another process is holding it", path.display())]
    Busy {
        /// The file.
        path: PathBuf,
    },
    /// Whatever else the machine says.
    #[error("open {}: {why}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What it says.
        why: String,
    },
}

impl OpenError {
    /// What a person can do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            OpenError::Missing { .. } => "start `lineman serve` once, or name the folder with --data",
            OpenError::NotOurs { .. } => "name another folder with --data, or move the file away",
            OpenError::Newer { .. } => "use that newer lineman, or a backup made before it",
            OpenError::Corrupt { .. } => {
                "move the file away and put a backup in its place; the file was not touched"
            }
            OpenError::ReadOnly { .. } => {
                "run lineman as the user who owns it, or name another folder with --data"
            }
            OpenError::Full { .. } => "make room on the disk, or name another folder with --data",
            OpenError::Busy { .. } => "wait until the other lineman has finished, then try again",
            OpenError::Io { .. } => {
                "look at the folder's rights and at the disk, or name another folder with --data"
            }
        }
    }
}

/// Why something was not read or not changed. A change that failed left nothing behind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Too much at once; it may be tried again.
    #[error("the database is busy: {0}; try again")]
    Busy(&'static str),
    /// No room; the store goes on when there is room again.
    #[error("write {file}: the disk is full, nothing was written: make room, lineman goes on by itself")]
    Full {
        /// The database.
        file: String,
    },
    /// The database can no longer be written.
    #[error("write {file}: it is read-only")]
    ReadOnly {
        /// The database.
        file: String,
    },
    /// The disk failed.
    #[error("{file}: {why}: look at the disk and the system's log")]
    Io {
        /// The database.
        file: String,
        /// What the engine says.
        why: String,
    },
    /// The database is damaged.
    #[error("{file} is damaged: {why}: stop lineman and put a backup in its place")]
    Corrupt {
        /// The database.
        file: String,
        /// What the engine says.
        why: String,
    },
    /// What was asked for is not there.
    #[error("{0}")]
    NotFound(String),
    /// A rule of the tables would be broken.
    #[error("{what} {columns}")]
    Constraint {
        /// Which kind of rule.
        what: Constraint,
        /// The columns, as `table.column`, or the rule's text; empty where the engine does not say.
        columns: String,
    },
    /// A value in the database is none of the wanted type.
    #[error("column {column} of `{sql}`: {why}")]
    Value {
        /// The statement.
        sql: String,
        /// The column, from 0.
        column: usize,
        /// What is wrong.
        why: String,
    },
    /// What was to be done panicked; its changes were undone.
    #[error("a change to the database panicked: {0}")]
    Panicked(String),
    /// The store is closed.
    #[error("the database is closed: lineman is stopping")]
    Closed,
    /// Whatever else the engine says.
    #[error("`{sql}`: {why}")]
    Sqlite {
        /// The statement.
        sql: String,
        /// What the engine says.
        why: String,
    },
    /// What was asked for makes no sense.
    #[error("{0}")]
    Usage(String),
    /// It would break a rule.
    #[error("{0}")]
    Refused(String),
    /// It is taken, or was changed meanwhile.
    #[error("{0}")]
    Conflict(String),
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

/// Which kind of rule of the tables would be broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Constraint {
    /// There is one already.
    Unique,
    /// Out of what is allowed.
    Check,
    /// What it refers to is not there, or it is still referred to.
    ForeignKey,
    /// A value is missing.
    NotNull,
    /// A value of another type than the column's.
    Type,
}

impl std::fmt::Display for Constraint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Constraint::Unique => "there is one already with the same",
            Constraint::Check => "a value is not allowed:",
            Constraint::ForeignKey => "something it refers to is missing, or it is still referred to",
            Constraint::NotNull => "a value is missing:",
            Constraint::Type => "a value is of the wrong type:",
        })
    }
}

impl Error {
    /// There is no `what` of the name or number `which`.
    #[must_use]
    pub fn not_found(what: &str, which: &str) -> Error {
        Error::NotFound(format!("there is no {what} '{which}'"))
    }

    /// What was asked for makes no sense.
    pub fn usage(why: impl Into<String>) -> Error {
        Error::Usage(why.into())
    }

    /// It would break a rule.
    pub fn refused(why: impl Into<String>) -> Error {
        Error::Refused(why.into())
    }

    /// Whether there is one already.
    #[must_use]
    pub fn is_unique(&self) -> bool {
        matches!(self, Error::Constraint { what: Constraint::Unique, .. })
    }

    /// Whether the same may succeed later: busy, or a full disk.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        matches!(self, Error::Busy(_) | Error::Full { .. })
    }
}
