//! What is counted and measured of everything, for whoever watches lineman itself.

use schedules::Time;

use crate::domain::check::Kind;
use crate::domain::device::State;
use crate::domain::ids::CheckId;
use crate::store::{Result, Tx, args, events, settings, word};

/// A device, as far as it is counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Its name.
    pub name: String,
    /// Its site; empty where it has none.
    pub site: String,
    /// What it is.
    pub state: State,
}

/// The newest reading of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The check.
    pub check: CheckId,
    /// What it does.
    pub kind: Kind,
    /// The device it is about.
    pub device: String,
    /// That one's site; empty where it has none.
    pub site: String,
    /// When it was.
    pub at: Time,
    /// The round trip in microseconds, where it measured one.
    pub rtt_us: Option<u32>,
    /// What was lost, in thousandths, where it is counted.
    pub loss_permille: Option<u32>,
}

/// How much waits, and since when the server did nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Queues {
    /// Notifications that are still to be delivered.
    pub deliveries: i64,
    /// Outages whose verdict is to be looked at.
    pub verdicts: i64,
    /// Records that agents still have for us.
    pub backlog: i64,
    /// When the server last said that it is alive.
    pub alive_at: Option<Time>,
    /// When it was started.
    pub started_at: Option<Time>,
    /// The number of the newest event.
    pub newest_event: i64,
}

/// All devices, by name.
///
/// # Errors
/// The database's.
pub fn devices(tx: &Tx) -> Result<Vec<Device>> {
    tx.all(
        "SELECT d.name, coalesce(s.name, ''), d.state FROM device d LEFT JOIN site s ON s.id = d.site_id ORDER BY d.name",
        args![],
        |row| Ok(Device { name: row.get(0)?, site: row.get(1)?, state: word(row, 2)? }),
    )
}

/// The newest readings, by check.
///
/// # Errors
/// The database's.
pub fn readings(tx: &Tx) -> Result<Vec<Reading>> {
    tx.all(
        "SELECT c.id, c.kind, d.name, coalesce(s.name, ''), h.last_at, h.rtt_us, h.loss_permille
         FROM checks c JOIN device d ON d.id = c.device_id JOIN check_health h ON h.check_id = c.id
         LEFT JOIN site s ON s.id = d.site_id ORDER BY c.id",
        args![],
        |row| {
            Ok(Reading {
                check: CheckId(row.get(0)?),
                kind: word(row, 1)?,
                device: row.get(2)?,
                site: row.get(3)?,
                at: row.get(4)?,
                rtt_us: row.get(5)?,
                loss_permille: row.get(6)?,
            })
        },
    )
}

/// How many tickets are not done, by their priority.
///
/// # Errors
/// The database's.
pub fn tickets(tx: &Tx) -> Result<Vec<(String, i64)>> {
    tx.all(
        "SELECT priority, count(*) FROM ticket WHERE state IN ('open', 'waiting', 'recovered') GROUP BY priority",
        args![],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )
}

/// How much waits.
///
/// # Errors
/// The database's.
pub fn queues(tx: &Tx) -> Result<Queues> {
    let count = |sql: &str| tx.one(sql, args![], |row| row.get::<i64>(0));
    Ok(Queues {
        deliveries: count("SELECT count(*) FROM notify_delivery WHERE state = 'waiting'")?,
        verdicts: count("SELECT count(*) FROM outage WHERE verdict_at IS NOT NULL")?,
        backlog: count("SELECT coalesce(sum(waiting), 0) FROM agent")?,
        alive_at: settings::last_alive(tx)?,
        started_at: settings::started_at(tx)?,
        newest_event: events::newest(tx)?.0,
    })
}
