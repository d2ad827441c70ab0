//! Devices' names in DNS: the zone that is answered for, and what a name server is to have.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use schedules::{Millis, Time};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::domain::dns::change::{Sight, Whose, ours_with};
use crate::domain::dns::{self, Zone};
use crate::domain::event::{About, Kind};
use crate::domain::ids::DeviceId;
use crate::domain::named;
use crate::store::events::{self, Actor};
use crate::store::filter::{Column, Page, Selection};
use crate::store::{Error, Result, Row, Tx, WriteTx, args, offers, word};

named! {
    /// How a name at the name server stands.
    pub enum State {
        /// It is to be brought up to date.
        Due = "due",
        /// The name server answers with what it ought to.
        Good = "good",
        /// Somebody else changed it: it is left alone until a person says otherwise.
        Conflict = "conflict",
        /// The name server does not accept the key.
        Key = "key",
        /// The name server refuses.
        Refused = "refused",
        /// It did not answer; it is tried again.
        Failing = "failing",
    }
}

/// A name at the name server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The name in full.
    pub name: String,
    /// The name server.
    pub server: String,
    /// The device, and its name while there is one.
    pub device: Option<(DeviceId, Option<String>)>,
    /// The address it is to have; absent: it is to be taken away.
    pub wanted: Option<IpAddr>,
    /// The address that was put there and seen there.
    pub put: Option<IpAddr>,
    /// All that may have been put there.
    pub ours: Vec<IpAddr>,
    /// How it stands.
    pub state: State,
    /// Since when.
    pub since: Time,
    /// When it is tried next.
    pub next_at: Option<Time>,
    /// How many tries failed in a row.
    pub tries: u32,
    /// Whose what is there may be: a person said what others put there is to go, or not.
    pub whose: Whose,
    /// What the name server said last, where that was trouble.
    pub said: String,
}

impl Record {
    /// All that is lineman's own there.
    #[must_use]
    pub fn own(&self) -> Vec<IpAddr> {
        self.ours.iter().copied().chain(self.put).collect()
    }

    /// Whether the name is an alias there, which nobody but a person can take away.
    #[must_use]
    pub fn is_alias(&self) -> bool {
        self.state == State::Conflict && self.said.starts_with(Sight::ALIAS)
    }
}

const SELECT: &str = "SELECT r.name, r.server, r.device_id, d.name, r.wanted, r.put, r.state, r.since, r.next_at, r.tries, r.taken, r.said,
    r.ours
    FROM dns_record r LEFT JOIN device d ON d.id = r.device_id";

/// What a query for names may ask for, and where that stands.
pub const QUERY: &[Column] = &[
    Column::text("name", "r.name"),
    Column::text("device", "d.name").offering(offers::DEVICES),
    Column::text("address", "r.wanted"),
    Column::words("state", "r.state", State::NAMES),
    Column::time("since", "r.since"),
];

/// Where free text is looked for.
pub const TEXT: &[&str] = &["r.name", "d.name", "r.said"];

/// The names that are asked for.
///
/// # Errors
/// The database's.
pub fn list(tx: &Tx, wanted: &Selection, page: &Page) -> Result<Vec<Record>> {
    tx.all(&format!("{SELECT} WHERE {} {}", wanted.sql(), page.sql("r.name")), &wanted.args(), record)
}

/// The record of that name, which must be there.
///
/// # Errors
/// There is none, or the database's.
pub fn get(tx: &Tx, name: &str) -> Result<Record> {
    let canonical = dns::canonical(name).unwrap_or_default();
    let by_device = "(SELECT id FROM device WHERE name = $2)";
    let sql = format!("{SELECT} WHERE r.name = $1 OR r.device_id = {by_device} ORDER BY r.name LIMIT 1");
    let found = tx.maybe(&sql, args![canonical, name], record)?;
    found.ok_or_else(|| Error::not_found("DNS record", name))
}

/// The newest event.
///
/// # Errors
/// The database's.
pub fn newest_event(tx: &Tx) -> Result<i64> {
    tx.one("SELECT coalesce(max(id), 0) FROM event", args![], |row| row.get(0))
}

/// The newest event, and whether one since `cursor` may have changed a name or an address.
///
/// # Errors
/// The database's.
pub fn events_since(tx: &Tx, cursor: i64) -> Result<(i64, bool)> {
    let newest = newest_event(tx)?;
    if newest <= cursor {
        return Ok((newest, false));
    }
    let kinds = [
        Kind::DeviceAdded,
        Kind::DeviceEdited,
        Kind::DeviceRemoved,
        Kind::DeviceAddress,
        Kind::SettingChanged,
    ];
    let kinds: Vec<String> = kinds.iter().map(|kind| format!("'{kind}'")).collect();
    let sql = format!("SELECT 1 FROM event WHERE id > $1 AND kind IN ({}) LIMIT 1", kinds.join(", "));
    let touched = tx.maybe(&sql, args![cursor], |row| row.get::<i64>(0))?.is_some();
    Ok((newest, touched))
}

/// Who claims which name: those who were given one first, then those whose own name is one. Nobody has another's.
fn claims(tx: &Tx, zone: &Zone) -> Result<BTreeMap<String, (DeviceId, IpAddr)>> {
    let mut claimed: BTreeMap<String, (DeviceId, IpAddr)> = BTreeMap::new();
    tx.each(
        "SELECT id, coalesce(dns_name, name), address FROM device WHERE address IS NOT NULL
         ORDER BY CASE WHEN dns_name IS NULL THEN 1 ELSE 0 END, id",
        args![],
        |row| {
            let (id, name, address): (i64, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
            if let (Some(full), Ok(address)) = (zone.full(&name), address.parse::<IpAddr>()) {
                claimed.entry(full).or_insert((DeviceId(id), address));
            }
            Ok::<(), Error>(())
        },
    )?;
    Ok(claimed)
}

/// The hosts of a zone that lineman answers for, and its serial: it rises where they are others than before.
///
/// # Errors
/// The database's.
pub fn zone(tx: &WriteTx, zone: &Zone, ttl: u32) -> Result<(u32, BTreeMap<String, Vec<IpAddr>>)> {
    let hosts: BTreeMap<String, Vec<IpAddr>> =
        claims(tx, zone)?.into_iter().map(|(name, (_, address))| (name, vec![address])).collect();
    let mut hash = Sha256::new();
    hash.update(ttl.to_be_bytes());
    for (name, addresses) in &hosts {
        hash.update(format!("{name} {addresses:?}\n"));
    }
    let content = hash.finalize().to_vec();
    let known =
        tx.maybe("SELECT serial, content FROM dns_zone WHERE zone = $1", args![zone.as_str()], |row| {
            Ok((row.get::<i64>(0)?, row.get::<Vec<u8>>(1)?))
        })?;
    let last = known.as_ref().map_or(0, |(serial, _)| u32::try_from(*serial).unwrap_or(0));
    if known.is_some_and(|(_, was)| was == content) {
        return Ok((last, hosts));
    }
    let serial = dns::next_serial(last, tx.now.0 / 1_000);
    tx.run(
        "INSERT INTO dns_zone (zone, serial, content) VALUES ($1, $2, $3)
         ON CONFLICT (zone) DO UPDATE SET serial = excluded.serial, content = excluded.content",
        args![zone.as_str(), i64::from(serial), content],
    )?;
    Ok((serial, hosts))
}

/// Brings what the name server is to have up to date with the devices that were given a name in its zone.
///
/// # Errors
/// The database's.
pub fn plan(tx: &WriteTx, server: &str, zone: &Zone) -> Result<()> {
    // What stood at another server or in another zone is not ours to take away from here.
    let others = tx.all("SELECT name, server FROM dns_record", args![], |row| {
        Ok((row.get::<String>(0)?, row.get::<String>(1)?))
    })?;
    for (name, _) in others.iter().filter(|(name, at)| at != server || !zone.holds(name)) {
        tx.run("DELETE FROM dns_record WHERE name = $1", args![name.as_str()])?;
    }
    let given: BTreeSet<i64> = tx
        .all("SELECT id FROM device WHERE dns_name IS NOT NULL", args![], |row| row.get(0))?
        .into_iter()
        .collect();
    let claimed = claims(tx, zone)?;
    let wanted: BTreeMap<&String, &(DeviceId, IpAddr)> =
        claimed.iter().filter(|(_, (device, _))| given.contains(&device.0)).collect();
    for (name, (device, address)) in &wanted {
        let address = address.to_string();
        tx.run(
            "INSERT INTO dns_record (name, server, device_id, wanted, state, since, next_at)
             VALUES ($1, $2, $3, $4, 'due', $5, $5)
             ON CONFLICT (name) DO UPDATE SET device_id = excluded.device_id, wanted = excluded.wanted,
             state = CASE WHEN dns_record.state = 'conflict' THEN 'conflict' ELSE 'due' END,
             since = CASE WHEN dns_record.state = 'conflict' THEN dns_record.since ELSE excluded.since END,
             next_at = CASE WHEN dns_record.state = 'conflict' THEN NULL ELSE excluded.next_at END, tries = 0
             WHERE dns_record.wanted IS DISTINCT FROM excluded.wanted",
            args![name.as_str(), server, device.0, address, tx.now],
        )?;
        tx.run("UPDATE dns_record SET device_id = $2 WHERE name = $1", args![name.as_str(), device.0])?;
    }
    let gone =
        tx.all("SELECT name FROM dns_record WHERE wanted IS NOT NULL", args![], |row| row.get::<String>(0))?;
    for name in gone.iter().filter(|name| !wanted.contains_key(name)) {
        tx.run(
            "UPDATE dns_record SET wanted = NULL, state = 'due', since = $2, next_at = $2, tries = 0 WHERE name = $1",
            args![name.as_str(), tx.now],
        )?;
    }
    Ok(())
}

/// No name server is to be updated any more: what stands there stays there.
///
/// # Errors
/// The database's.
pub fn forget_all(tx: &WriteTx) -> Result<()> {
    tx.run("DELETE FROM dns_record", args![])?;
    tx.run("DELETE FROM dns_trouble", args![])?;
    Ok(())
}

/// Everything is tried again now: a setting changed, or a person asks for it. What is somebody else's is looked at again
/// only where it is asked for by name.
///
/// # Errors
/// The database's.
pub fn try_again(tx: &WriteTx, name: Option<&str>) -> Result<()> {
    tx.run("DELETE FROM dns_trouble", args![])?;
    tx.run(
        "UPDATE dns_record SET next_at = $2, tries = 0 WHERE state <> 'good'
         AND (name = $1 OR ($1 IS NULL AND state <> 'conflict'))",
        args![name, tx.now],
    )?;
    Ok(())
}

/// What others put at a name is to go.
///
/// # Errors
/// The database's.
pub fn take(tx: &WriteTx, name: &str) -> Result<()> {
    tx.run(
        "UPDATE dns_record SET taken = 1, state = 'due', since = $2, next_at = $2, tries = 0 WHERE name = $1",
        args![name, tx.now],
    )?;
    Ok(())
}

/// When the next one is due that nobody works on.
///
/// # Errors
/// The database's.
pub fn next(tx: &Tx) -> Result<Option<Time>> {
    tx.one(
        "SELECT min(CASE WHEN claimed_until > next_at THEN claimed_until ELSE next_at END) FROM dns_record
         WHERE next_at IS NOT NULL",
        args![],
        |row| row.get(0),
    )
}

/// Claims what is due, at most `limit`, for so long. What they are to have counts as lineman's own from now on: it may be put
/// there, and the program be gone before that is known. The records tell what was so before.
///
/// # Errors
/// The database's.
pub fn claim(tx: &WriteTx, limit: u32, span: Millis) -> Result<Vec<Record>> {
    let due = tx.all(
        &format!(
            "{SELECT} WHERE r.next_at <= $1 AND (r.claimed_until IS NULL OR r.claimed_until <= $1)
             ORDER BY r.next_at, r.name LIMIT {limit}"
        ),
        args![tx.now],
        record,
    )?;
    for one in &due {
        let ours = ours_with(&one.ours, one.put, one.wanted);
        tx.run(
            "UPDATE dns_record SET claimed_until = $2, ours = $3 WHERE name = $1",
            args![one.name.as_str(), tx.now + span, joined(&ours)],
        )?;
    }
    Ok(due)
}

/// The name server was told nothing of this claimed one: what is lineman's own is what was before.
///
/// # Errors
/// The database's.
pub fn not_told(tx: &WriteTx, record: &Record) -> Result<()> {
    tx.run(
        "UPDATE dns_record SET ours = $2 WHERE name = $1",
        args![record.name.as_str(), joined(&record.ours)],
    )?;
    Ok(())
}

fn joined(addresses: &[IpAddr]) -> String {
    addresses.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(" ")
}

/// Nobody works on anything any more: the server starts.
///
/// # Errors
/// The database's.
pub fn unclaim(tx: &WriteTx) -> Result<()> {
    tx.run("UPDATE dns_record SET claimed_until = NULL", args![])?;
    Ok(())
}

/// The name server answers with what was wanted.
///
/// # Errors
/// The database's.
pub fn done(tx: &WriteTx, record: &Record, found: &[IpAddr]) -> Result<()> {
    let text = |address: Option<IpAddr>| address.map(|address| address.to_string());
    let (wanted, put) = (text(record.wanted), text(record.put));
    if wanted.is_some() {
        tx.run(
            "UPDATE dns_record SET put = $2, ours = $2, claimed_until = NULL, taken = 0, said = '',
             state = CASE WHEN wanted IS NOT DISTINCT FROM $2 THEN 'good' ELSE 'due' END, since = $3, tries = 0,
             next_at = CASE WHEN wanted IS NOT DISTINCT FROM $2 THEN NULL ELSE $3 END WHERE name = $1",
            args![record.name.as_str(), wanted.as_deref(), tx.now],
        )?;
    } else {
        tx.run(
            "UPDATE dns_record SET put = NULL, ours = '', claimed_until = NULL WHERE name = $1 AND wanted IS NOT NULL",
            args![record.name.as_str()],
        )?;
        tx.run("DELETE FROM dns_record WHERE name = $1 AND wanted IS NULL", args![record.name.as_str()])?;
    }
    if put != wanted || record.state != State::Due || !found.is_empty() {
        let found: Vec<String> = found.iter().map(IpAddr::to_string).collect();
        let body = json!({"name": record.name, "from": put, "to": wanted, "server": record.server, "replaced": found});
        events::record(tx, &Actor::System, Kind::DnsUpdated, about(record), &body)?;
    }
    Ok(())
}

/// It came to nothing: told once, tried again at `next_at`, if at all.
///
/// # Errors
/// The database's.
pub fn failed(tx: &WriteTx, record: &Record, state: State, said: &str, next_at: Option<Time>) -> Result<()> {
    tx.run(
        "UPDATE dns_record SET state = $2, since = CASE WHEN state = $2 THEN since ELSE $4 END, said = $3, next_at = $5,
         tries = tries + 1, claimed_until = NULL WHERE name = $1",
        args![record.name.as_str(), state.as_str(), said, tx.now, next_at],
    )?;
    if state == record.state {
        return Ok(());
    }
    let kind = match state {
        State::Conflict => Kind::DnsConflict,
        State::Due | State::Good | State::Key | State::Refused | State::Failing => Kind::DnsFailed,
    };
    let wanted = record.wanted.map(|address| address.to_string());
    let body = json!({"name": record.name, "wanted": wanted, "server": record.server, "why": said});
    events::record(tx, &Actor::System, kind, about(record), &body)
}

/// How many names in a row must be refused for that to be the name server's trouble, and not theirs.
pub const SEVERAL: u32 = 3;

/// How it goes with a name server that is not well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// What is wrong: it does not answer (`failing`), or it does not let lineman change anything (`key`).
    pub state: State,
    /// Since when.
    pub since: Time,
    /// How many tries failed in a row.
    pub tries: u32,
    /// Nothing is tried before.
    pub next_at: Time,
    /// What it said last.
    pub said: String,
}

/// Until when what is left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pause {
    /// The whole name server.
    pub server_until: Time,
    /// The name that was tried.
    pub name_until: Time,
}

impl Pause {
    /// The name server, and so the name as well.
    #[must_use]
    pub fn of_both(until: Time) -> Pause {
        Pause { server_until: until, name_until: until }
    }
}

/// What is wrong with a name server as a whole, where something is.
///
/// # Errors
/// The database's.
pub fn trouble(tx: &Tx, server: &str) -> Result<Option<Trouble>> {
    let sql = "SELECT state, since, tries, next_at, said FROM dns_trouble WHERE server = $1";
    tx.maybe(sql, args![server], |row| {
        Ok(Trouble {
            state: word(row, 0)?,
            since: row.get(1)?,
            tries: u32::try_from(row.get::<i64>(2)?).unwrap_or(u32::MAX),
            next_at: row.get(3)?,
            said: row.get(4)?,
        })
    })
}

/// A name server is not well: whatever is due, nothing is tried there for a while, which `pause` tells from the number of
/// tries in vain. One event for one trouble. The name that was tried is last in line then, so that it does not hold up the
/// others; those that were not are free again.
///
/// # Errors
/// The database's.
pub fn server_failed(
    tx: &WriteTx,
    (tried, left): (&Record, &[Record]),
    state: State,
    said: &str,
    pause: impl FnOnce(u32) -> Pause,
) -> Result<()> {
    // Whether it knows the key and refuses all the same, or does not know it: it is one trouble.
    let trouble_state = if state == State::Refused { State::Key } else { state };
    let known = trouble(tx, &tried.server)?.filter(|trouble| trouble.state == trouble_state);
    let tries = match &known {
        None => 1,
        // A name that is known to be refused proves nothing of the others.
        Some(trouble) if state == State::Refused && tried.state == State::Refused => trouble.tries,
        Some(trouble) => trouble.tries.saturating_add(1),
    };
    let pause = pause(tries);
    tx.run(
        "INSERT INTO dns_trouble (server, state, since, tries, next_at, said) VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (server) DO UPDATE SET state = excluded.state, tries = excluded.tries,
         since = CASE WHEN dns_trouble.state = excluded.state THEN dns_trouble.since ELSE excluded.since END,
         next_at = excluded.next_at, said = excluded.said",
        args![
            tried.server.as_str(),
            trouble_state.as_str(),
            tx.now,
            i64::from(tries),
            pause.server_until,
            said
        ],
    )?;
    // Only the first that is refused is told of: whether the next ones are refused on their own shows when another is taken.
    let stands = if known.is_some() && state == State::Refused { tried.state } else { state };
    tx.run(
        "UPDATE dns_record SET state = $2, since = CASE WHEN state = $2 THEN since ELSE $4 END, said = $3, next_at = $5,
         tries = tries + 1, claimed_until = NULL WHERE name = $1",
        args![tried.name.as_str(), stands.as_str(), said, tx.now, pause.name_until],
    )?;
    for record in left {
        not_told(tx, record)?;
        tx.run("UPDATE dns_record SET claimed_until = NULL WHERE name = $1", args![record.name.as_str()])?;
    }
    if known.is_some() {
        return Ok(());
    }
    let wanted = tried.wanted.map(|address| address.to_string());
    let body = json!({"name": tried.name, "wanted": wanted, "server": tried.server, "why": said});
    events::record(tx, &Actor::System, Kind::DnsFailed, about(tried), &body)?;
    Ok(())
}

/// What proves that a name server is well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// It answers; whether it would change anything is not known.
    Answers,
    /// It changed something as it was told.
    Obeys,
}

/// A name server is well: whatever waited for that is due. One name that is refused waits on; where several in a row were, it
/// was not for the names.
///
/// # Errors
/// The database's.
pub fn server_is_well(tx: &WriteTx, server: &str, proof: Proof) -> Result<()> {
    let mended = match proof {
        Proof::Answers => State::Failing,
        Proof::Obeys => State::Key,
    };
    let sql = "DELETE FROM dns_trouble WHERE server = $1 AND state IN ('failing', $2) RETURNING tries";
    let gone = tx.maybe(sql, args![server, mended.as_str()], |row| row.get::<i64>(0))?;
    let Some(tries) = gone else { return Ok(()) };
    let refused = if tries >= i64::from(SEVERAL) { State::Refused } else { State::Key };
    tx.run(
        "UPDATE dns_record SET next_at = $2, tries = 0 WHERE server = $1 AND next_at > $2
         AND state IN ('key', 'failing', 'due', $3)",
        args![server, tx.now, refused.as_str()],
    )?;
    Ok(())
}

fn about(record: &Record) -> About {
    About { device: record.device.as_ref().map(|(id, _)| *id), ..About::default() }
}

fn record(row: &Row) -> Result<Record> {
    let address = |at: usize| -> Result<Option<IpAddr>> {
        Ok(row.get::<Option<String>>(at)?.and_then(|text| text.parse().ok()))
    };
    let device_name: Option<String> = row.get(3)?;
    Ok(Record {
        name: row.get(0)?,
        server: row.get(1)?,
        device: row.get::<Option<i64>>(2)?.map(|id| (DeviceId(id), device_name)),
        wanted: address(4)?,
        put: address(5)?,
        state: word(row, 6)?,
        since: row.get(7)?,
        next_at: row.get(8)?,
        tries: u32::try_from(row.get::<i64>(9)?).unwrap_or(u32::MAX),
        whose: if row.get::<i64>(10)? == 0 { Whose::Ours } else { Whose::Everything },
        said: row.get(11)?,
        ours: row.get::<String>(12)?.split_whitespace().filter_map(|text| text.parse().ok()).collect(),
    })
}
