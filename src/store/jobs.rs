//! The last run of each scheduled job, so that one that was due while lineman was off is caught up.

use schedules::{Millis, Time};

use crate::store::{Result, Tx, WriteTx, args};

/// How a job's last run went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// Its name.
    pub name: String,
    /// The moment for which it last ran, or from which it waits for its first run.
    pub last_due_at: Time,
    /// When it last ran in truth.
    pub last_ran_at: Option<Time>,
    /// How long that took.
    pub took: Option<Millis>,
    /// What came of it.
    pub outcome: String,
}

/// The job of that name, if it ever ran or was waited for.
///
/// # Errors
/// The database's.
pub fn find(tx: &Tx, name: &str) -> Result<Option<Job>> {
    tx.maybe(
        "SELECT name, last_due_at, last_ran_at, took_ms, outcome FROM job WHERE name = $1",
        args![name],
        |row| {
            Ok(Job {
                name: row.get(0)?,
                last_due_at: row.get(1)?,
                last_ran_at: row.get(2)?,
                took: row.get(3)?,
                outcome: row.get(4)?,
            })
        },
    )
}

/// Begins to wait for a job's first run; nothing happens where it is known.
///
/// # Errors
/// The database's.
pub fn await_first(tx: &WriteTx, name: &str) -> Result<()> {
    tx.run(
        "INSERT INTO job (name, last_due_at) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING",
        args![name, tx.now],
    )?;
    Ok(())
}

/// Claims the run that is due at `due_at`; false where somebody has it already.
///
/// # Errors
/// The database's.
pub fn claim(tx: &WriteTx, name: &str, due_at: Time) -> Result<bool> {
    let rows =
        tx.run("UPDATE job SET last_due_at = $2 WHERE name = $1 AND last_due_at < $2", args![name, due_at])?;
    Ok(rows == 1)
}

/// Writes down how a run went.
///
/// # Errors
/// The database's.
pub fn ran(tx: &WriteTx, name: &str, took: Millis, outcome: &str) -> Result<()> {
    tx.run(
        "UPDATE job SET last_ran_at = $2, took_ms = $3, outcome = $4 WHERE name = $1",
        args![name, tx.now, took, outcome],
    )?;
    Ok(())
}
