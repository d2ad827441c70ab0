//! How sites stand and when they are worked on, for a page that names no device.

use schedules::{Millis, Time};

use crate::domain::device::State;
use crate::domain::ids::SiteId;
use crate::store::{Result, Tx, args, maintenance, word};

/// A device that is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watched {
    /// Its site.
    pub site: Option<SiteId>,
    /// What it is.
    pub state: State,
    /// Since when.
    pub since: Time,
    /// Whether it is being worked on.
    pub is_in_maintenance: bool,
}

/// All devices that are watched.
///
/// # Errors
/// The database's.
pub fn watched(tx: &Tx) -> Result<Vec<Watched>> {
    let covered = maintenance::of_devices(tx)?;
    tx.all(
        "SELECT id, site_id, state, state_since FROM device WHERE paused_at IS NULL ORDER BY id",
        args![],
        |row| {
            Ok(Watched {
                site: row.get::<Option<i64>>(1)?.map(SiteId),
                state: word(row, 2)?,
                since: row.get(3)?,
                is_in_maintenance: covered.contains_key(&crate::domain::ids::DeviceId(row.get(0)?)),
            })
        },
    )
}

/// Work at a site, or at some of its devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Work {
    /// When it begins, or began.
    pub from: Time,
    /// When it ends, as planned.
    pub until: Time,
    /// The site.
    pub site: Option<SiteId>,
}

/// The work that is under way, or begins within `ahead`: each site once for each occurrence, by time.
///
/// # Errors
/// The database's.
pub fn work(tx: &Tx, ahead: Millis) -> Result<Vec<Work>> {
    let mut all = tx.all(
        "WITH run AS (
         SELECT w.id, w.device_id, w.site_id, w.tag, r.began_at AS from_at, r.until_at AS until_at
         FROM maintenance_run r JOIN maintenance w ON w.id = r.window_id WHERE r.ended_at IS NULL AND r.until_at > $1
         UNION ALL
         SELECT w.id, w.device_id, w.site_id, w.tag, w.next_at, w.next_until FROM maintenance w
         WHERE w.removed_at IS NULL AND w.next_at < $2 AND w.next_until > $1)
         SELECT run.from_at, run.until_at, run.site_id FROM run WHERE run.site_id IS NOT NULL
         UNION SELECT run.from_at, run.until_at, d.site_id FROM run JOIN device d ON d.id = run.device_id
         UNION SELECT run.from_at, run.until_at, d.site_id FROM run JOIN device_tag t ON t.tag = run.tag
         JOIN device d ON d.id = t.device_id",
        args![tx.now, tx.now + ahead],
        |row| {
            Ok(Work {
                from: row.get(0)?,
                until: row.get(1)?,
                site: row.get::<Option<i64>>(2)?.map(SiteId),
            })
        },
    )?;
    all.sort_unstable();
    Ok(all)
}
