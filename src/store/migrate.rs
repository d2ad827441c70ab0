//! The shape of the tables: a list of changes that only grows, each made once, in a transaction of its own.

use super::engine::{APPLICATION_ID, Db};
use super::error::{Error, Result};

/// A change of the tables.
#[derive(Clone, Copy, Debug)]
pub(super) struct Migration {
    /// The name of its file.
    pub(super) name: &'static str,
    /// What is run.
    pub(super) sql: &'static str,
}

/// All of them, in their order. What was released is not changed any more.
pub(super) const MIGRATIONS: &[Migration] = &[
    Migration { name: "0001_first", sql: include_str!("migrations/0001_first.sql") },
    Migration { name: "0002_policy", sql: include_str!("migrations/0002_policy.sql") },
    Migration { name: "0003_notify", sql: include_str!("migrations/0003_notify.sql") },
    Migration { name: "0004_maintenance", sql: include_str!("migrations/0004_maintenance.sql") },
    Migration { name: "0005_history", sql: include_str!("migrations/0005_history.sql") },
    Migration { name: "0006_diagnosis", sql: include_str!("migrations/0006_diagnosis.sql") },
    Migration { name: "0007_dns", sql: include_str!("migrations/0007_dns.sql") },
    Migration { name: "0008_evidence", sql: include_str!("migrations/0008_evidence.sql") },
    Migration { name: "0009_users", sql: include_str!("migrations/0009_users.sql") },
];

/// How many have been made.
pub(super) fn version(db: &Db) -> Result<i64> {
    db.number("PRAGMA user_version")
}

/// Makes those that are missing. Two processes may do so at once: each change is made by one of them.
///
/// References between rows are checked at the end of each change, so that a table can be rebuilt in it.
pub(super) fn migrate(db: &Db, migrations: &[Migration]) -> Result<()> {
    if version(db)? >= known(migrations) {
        return Ok(());
    }
    db.check_references(false)?;
    for (number, migration) in (1..).zip(migrations) {
        let made = make(db, number, migration);
        if made.is_err() {
            db.roll_back();
        }
        made.map_err(|e| match e {
            Error::Sqlite { sql, why } => {
                Error::Sqlite { sql, why: format!("migration {}: {why}", migration.name) }
            }
            other => other,
        })?;
    }
    Ok(())
}

fn make(db: &Db, number: i64, migration: &Migration) -> Result<()> {
    db.script("BEGIN IMMEDIATE")?;
    if version(db)? >= number {
        return db.script("COMMIT");
    }
    db.script(migration.sql)?;
    let lost = db.number("SELECT count(*) FROM pragma_foreign_key_check")?;
    if lost > 0 {
        let why = format!("{lost} rows would refer to something that is not there");
        return Err(Error::Sqlite { sql: "PRAGMA foreign_key_check".to_owned(), why });
    }
    db.script(&format!("PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {number}; COMMIT"))
}

/// The number of the last one.
pub(super) fn known(migrations: &[Migration]) -> i64 {
    i64::try_from(migrations.len()).unwrap_or(i64::MAX)
}
