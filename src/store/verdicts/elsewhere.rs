//! What other sites did while one was out. Outages of one cause begin and end together, and are judged together: so what is
//! asked of the database is asked once for each minute, for all sites, and each outage leaves its own site out.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

use schedules::{Millis, Time};

use crate::domain::history::Interval;
use crate::domain::ids::DeviceId;
use crate::domain::verdict::Others;
use crate::store::{Result, Row, Tx, args};

/// The most other sites that are counted.
const MAX_SITES: usize = 1_000;
/// The most outages of a few minutes that are looked at.
const MAX_OUTAGES: u32 = 20_000;
/// How close together sites drop that have one cause.
const TOGETHER: Millis = Millis::from_secs(60);
/// What is asked for is asked for whole minutes.
const MINUTE: i64 = 60_000;
/// On which devices it depends whether a site is out: those that hang on nothing else of it.
const TOP: &str = "NOT EXISTS (SELECT 1 FROM device_parent p JOIN device up ON up.id = p.parent_id
    WHERE p.device_id = d.id AND up.site_id = d.site_id)";

/// A site, and its provider.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Place {
    site: i64,
    provider: String,
}

/// A site that dropped, and from when to when it was out.
#[derive(Clone, Debug)]
struct Dropped {
    place: Place,
    from: Time,
    until: Option<Time>,
}

/// What is known of the other sites. It is kept for the outages that are judged in one transaction, and not longer.
#[derive(Debug, Default)]
pub struct Elsewhere {
    dropped: HashMap<i64, Vec<Dropped>>,
    fine: HashMap<(i64, i64), Vec<Place>>,
}

fn minute(at: Time) -> i64 {
    at.0.div_euclid(MINUTE)
}

fn start(minute: i64) -> Time {
    Time(minute.saturating_mul(MINUTE))
}

impl Elsewhere {
    /// The other sites of a device that was out in this time. One dropped where a device went down that hangs on nothing
    /// else of that site.
    ///
    /// # Errors
    /// The database's.
    pub fn others(&mut self, tx: &Tx, device: DeviceId, (from, to): Interval) -> Result<Others> {
        let (site, provider) = tx.one(
            "SELECT d.site_id, s.provider FROM device d LEFT JOIN site s ON s.id = d.site_id WHERE d.id = $1",
            args![device.0],
            |row| {
                let provider = row.get::<Option<String>>(1)?.unwrap_or_default();
                Ok((row.get::<Option<i64>>(0)?.unwrap_or(0), provider))
            },
        )?;
        let near = |one: &&Dropped| {
            one.from.since(from).0.saturating_abs() <= TOGETHER.0
                && one.until.is_none_or(|until| until >= from)
        };
        let dropped = self.dropped(tx, from)?.iter().filter(near).map(|one| &one.place);
        let dropped: HashSet<&Place> = dropped.filter(|place| place.site != site).take(MAX_SITES).collect();
        let of_provider = dropped.iter().filter(|place| place.provider == provider).count();
        let (dropped, provider_dropped) = (count(dropped.len()), count(of_provider));
        let fine = self.fine(tx, (from, to))?.iter().filter(|place| place.site != site).take(MAX_SITES);
        let (fine, provider_fine) =
            fine.fold((0, 0), |(all, same), place| (all + 1, same + u32::from(place.provider == provider)));
        let known = !provider.is_empty();
        Ok(Others {
            dropped,
            fine,
            of_provider: if known { (provider_dropped, provider_fine) } else { (0, 0) },
            provider: known.then_some(provider),
        })
    }

    fn dropped(&mut self, tx: &Tx, from: Time) -> Result<&[Dropped]> {
        let key = minute(from);
        Ok(match self.dropped.entry(key) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(unknown) => unknown.insert(dropped_about(tx, key)?),
        })
    }

    fn fine(&mut self, tx: &Tx, (from, to): Interval) -> Result<&[Place]> {
        let key = (minute(from), minute(to));
        Ok(match self.fine.entry(key) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(unknown) => unknown.insert(fine_in(tx, key, from)?),
        })
    }
}

/// The sites that dropped in this minute, the one before it or the one after it.
fn dropped_about(tx: &Tx, minute: i64) -> Result<Vec<Dropped>> {
    tx.all(
        &format!(
            "SELECT s.id, s.provider, o.started_at, o.ended_at FROM outage o JOIN device d ON d.id = o.device_id
             JOIN site s ON s.id = d.site_id WHERE o.started_at BETWEEN $1 AND $2 AND o.retracted_at IS NULL AND {TOP}
             ORDER BY o.started_at LIMIT {MAX_OUTAGES}"
        ),
        args![start(minute) - TOGETHER, start(minute.saturating_add(1)) + TOGETHER],
        |row| Ok(Dropped { place: place(row)?, from: row.get(2)?, until: row.get(3)? }),
    )
}

/// The sites that were fine in all of these minutes, as far as they were known by `from`.
fn fine_in(tx: &Tx, (first, last): (i64, i64), from: Time) -> Result<Vec<Place>> {
    tx.all(
        &format!(
            "SELECT s.id, s.provider FROM site s
             WHERE EXISTS (SELECT 1 FROM device d WHERE d.site_id = s.id AND d.state IN ('up', 'degraded')
             AND d.created_at < $3)
             AND NOT EXISTS (SELECT 1 FROM device d JOIN outage o ON o.device_id = d.id WHERE d.site_id = s.id
             AND o.started_at <= $2 AND (o.ended_at IS NULL OR o.ended_at >= $1) AND o.retracted_at IS NULL AND {TOP})
             ORDER BY s.id LIMIT {}",
            MAX_SITES + 1
        ),
        args![start(first), start(last.saturating_add(1)), from],
        place,
    )
}

fn place(row: &Row<'_>) -> Result<Place> {
    Ok(Place { site: row.get(0)?, provider: row.get::<Option<String>>(1)?.unwrap_or_default() })
}

fn count(many: usize) -> u32 {
    u32::try_from(many).unwrap_or(u32::MAX)
}
