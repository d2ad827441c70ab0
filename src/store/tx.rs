//! A transaction and its few verbs: the only way to SQL.
//!
//! Statements are written with `$1`, `$2` and so on for the arguments, are prepared once and kept.

use std::cell::RefCell;
use std::ops::Deref;

use rusqlite::CachedStatement;
use rusqlite::types::{ToSqlOutput, ValueRef};
use schedules::Time;

use super::engine::Db;
use super::error::{Error, Result};
use super::value::{Arg, FromColumn};

/// A transaction that reads.
pub struct Tx<'c> {
    /// When it began. What is written in it happened now.
    pub now: Time,
    db: &'c Db,
    /// What made the engine undo the whole transaction, where it did.
    lost: RefCell<Option<Error>>,
}

/// A transaction that changes, and reads as [`Tx`] does.
pub struct WriteTx<'c>(Tx<'c>);

/// A row of an answer.
pub struct Row<'r> {
    row: &'r rusqlite::Row<'r>,
    sql: &'r str,
}

impl<'c> Tx<'c> {
    pub(super) fn new(db: &'c Db, now: Time) -> Tx<'c> {
        Tx { now, db, lost: RefCell::new(None) }
    }

    /// The first row, which must be there.
    ///
    /// # Errors
    /// There is none, or the database's.
    pub fn one<T>(&self, sql: &str, args: &[Arg<'_>], f: impl FnOnce(&Row<'_>) -> Result<T>) -> Result<T> {
        self.maybe(sql, args, f)?.ok_or_else(|| Error::NotFound(format!("`{}` finds no row", short(sql))))
    }

    /// The first row, where there is one.
    ///
    /// # Errors
    /// The database's.
    pub fn maybe<T>(
        &self,
        sql: &str,
        args: &[Arg<'_>],
        f: impl FnOnce(&Row<'_>) -> Result<T>,
    ) -> Result<Option<T>> {
        let mut statement = self.prepare(sql, args)?;
        let mut rows = statement.raw_query();
        match rows.next().map_err(|e| self.failed(sql, e))? {
            Some(row) => f(&Row { row, sql }).map(Some),
            None => Ok(None),
        }
    }

    /// All rows.
    ///
    /// # Errors
    /// The database's.
    pub fn all<T>(
        &self,
        sql: &str,
        args: &[Arg<'_>],
        mut f: impl FnMut(&Row<'_>) -> Result<T>,
    ) -> Result<Vec<T>> {
        let mut all = Vec::new();
        self.each(sql, args, |row| {
            all.push(f(row)?);
            Ok::<(), Error>(())
        })?;
        Ok(all)
    }

    /// Hands each row to `f` without holding them all, until it fails.
    ///
    /// # Errors
    /// The database's, or `f`'s.
    pub fn each<E: From<Error>>(
        &self,
        sql: &str,
        args: &[Arg<'_>],
        mut f: impl FnMut(&Row<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut statement = self.prepare(sql, args)?;
        let mut rows = statement.raw_query();
        while let Some(row) = rows.next().map_err(|e| self.failed(sql, e))? {
            f(&Row { row, sql })?;
        }
        Ok(())
    }

    fn prepare(&self, sql: &str, args: &[Arg<'_>]) -> Result<CachedStatement<'c>> {
        let mut statement = self.db.connection().prepare_cached(sql).map_err(|e| self.failed(sql, e))?;
        let wanted = statement.parameter_count();
        if wanted != args.len() {
            let why = format!("{} arguments for {wanted} parameters", args.len());
            return Err(Error::Sqlite { sql: short(sql), why });
        }
        for index in 1..=wanted {
            let Some(arg) = number(statement.parameter_name(index), index).and_then(|n| args.get(n)) else {
                let why = format!("parameter {index} is none of $1 to ${wanted}");
                return Err(Error::Sqlite { sql: short(sql), why });
            };
            statement.raw_bind_parameter(index, arg).map_err(|e| self.failed(sql, e))?;
        }
        Ok(statement)
    }

    fn failed(&self, sql: &str, error: rusqlite::Error) -> Error {
        let error = self.db.error(sql, error);
        if !self.db.in_transaction() {
            self.lost.borrow_mut().get_or_insert_with(|| error.clone());
        }
        error
    }
}

/// Which argument belongs to a parameter: the engine numbers `$2` by where it stands, not by its name.
fn number(name: Option<&str>, index: usize) -> Option<usize> {
    match name {
        None => Some(index - 1),
        Some(name) => name.get(1..)?.parse::<usize>().ok()?.checked_sub(1),
    }
}

impl<'c> WriteTx<'c> {
    pub(super) fn new(db: &'c Db, now: Time) -> WriteTx<'c> {
        WriteTx(Tx::new(db, now))
    }

    /// Changes rows; how many.
    ///
    /// # Errors
    /// The database's.
    pub fn run(&self, sql: &str, args: &[Arg<'_>]) -> Result<usize> {
        self.prepare(sql, args)?.raw_execute().map_err(|e| self.failed(sql, e))
    }

    /// Adds a row with `INSERT … RETURNING id`; its id.
    ///
    /// # Errors
    /// The database's; [`Error::NotFound`] where `ON CONFLICT DO NOTHING` added none.
    pub fn id(&self, sql: &str, args: &[Arg<'_>]) -> Result<i64> {
        self.one(sql, args, |row| row.get(0))
    }

    /// Why the engine undid the whole transaction, where it did.
    pub(super) fn into_lost(self) -> Option<Error> {
        self.0.lost.into_inner()
    }
}

impl<'c> Deref for WriteTx<'c> {
    type Target = Tx<'c>;
    fn deref(&self) -> &Tx<'c> {
        &self.0
    }
}

impl Row<'_> {
    /// The value in a column, counted from 0.
    ///
    /// # Errors
    /// It is none of that type, or there is no such column.
    pub fn get<T: FromColumn>(&self, column: usize) -> Result<T> {
        let misfit = |why: String| Error::Value { sql: short(self.sql), column, why };
        let value = match self.row.get_ref(column).map_err(|e| misfit(e.to_string()))? {
            ValueRef::Null => Arg::Null,
            ValueRef::Integer(number) => Arg::Int(number),
            ValueRef::Text(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => Arg::Text(text),
                Err(_) => return Err(misfit("the text is not UTF-8".to_owned())),
            },
            ValueRef::Blob(bytes) => Arg::Blob(bytes),
            ValueRef::Real(number) => return Err(misfit(format!("the fraction {number} stands there"))),
        };
        T::from_column(value).map_err(|e| misfit(e.to_string()))
    }
}

impl rusqlite::ToSql for Arg<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match *self {
            Arg::Null => ValueRef::Null,
            Arg::Int(number) => ValueRef::Integer(number),
            Arg::Text(text) => ValueRef::Text(text.as_bytes()),
            Arg::Blob(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

/// A statement in an error: on one line, and not all of it.
pub(super) fn short(sql: &str) -> String {
    let mut line = String::new();
    for word in sql.split_whitespace() {
        if line.len() + word.len() > 100 {
            line.push_str(" …");
            break;
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    line
}
