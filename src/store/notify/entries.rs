//! The entries of those who are told: a channel, or a rota of other entries, with a rule.

use jiff::tz::TimeZone;
use schedules::{Millis, Time};
use serde_json::{Value, json};

use crate::domain::event::{About, Kind as Happened};
use crate::domain::ids::EntryId;
use crate::domain::name;
use crate::domain::notify::channel::Channel;
use crate::domain::notify::rota::{MAX_DAYS, MAX_MEMBERS, Rota, Swap};
use crate::domain::notify::rule::{Directly, MAX_ENTRIES, Rule};
use crate::domain::ticket::Priority;
use crate::store::events::{self, Actor};
use crate::store::filter::{Column, Page, Selection};
use crate::store::{Error, Result, Row, Tx, WriteTx, args, tickets};

/// The word for a rota, where the others are the kinds of channels.
pub const ROTA: &str = "rota";
/// The most swaps that one rota has ahead.
const MAX_SWAPS: i64 = 1_000;

/// How an entry is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// By a channel.
    Channel(Box<Channel>),
    /// Whoever of others has duty.
    Rota(Rota),
}

/// Somebody, or something, that is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its number.
    pub id: EntryId,
    /// Its name.
    pub name: String,
    /// How it is reached.
    pub destination: Destination,
    /// What it wants to hear.
    pub rule: Rule,
    /// Since when it is told of nothing new.
    pub paused_at: Option<Time>,
    /// When it was last told something.
    pub told_at: Option<Time>,
    /// When it was added.
    pub created_at: Time,
    /// How many messages wait for it.
    pub waiting: i64,
}

impl Entry {
    /// The word for how it is reached.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match &self.destination {
            Destination::Channel(channel) => channel.kind().as_str(),
            Destination::Rota(_) => ROTA,
        }
    }
}

const SELECT: &str = "SELECT n.id, n.name, n.channel, n.rota_from, n.rota_days, n.wanted, n.by_itself, n.after_ms, n.quiet,
    n.quiet_passes, n.time_zone, n.person, n.paused_at, n.told_at, n.created_at,
    (SELECT count(*) FROM notify_delivery w WHERE w.entry_id = n.id AND w.state = 'waiting') FROM notify_entry n";

/// What a query for entries may ask for, and where that stands.
pub const QUERY: &[Column] = &[
    Column::text("name", "n.name").offering("SELECT name AS v FROM notify_entry"),
    Column::text("kind", "n.kind").offering("SELECT kind AS v FROM notify_entry"),
    Column::flag("paused", "n.paused_at IS NOT NULL"),
    Column::number("id", "n.id"),
    Column::time("created", "n.created_at"),
];

/// Where free text is looked for.
pub const TEXT: &[&str] = &["n.name", "n.kind", "n.wanted"];

/// The entry of that id or name.
///
/// # Errors
/// The database's.
pub fn find(tx: &Tx, id_or_name: &str) -> Result<Option<Entry>> {
    let found = match id_or_name.parse::<i64>() {
        Ok(id) => tx.maybe(&format!("{SELECT} WHERE n.id = $1"), args![id], entry)?,
        Err(_) => tx.maybe(&format!("{SELECT} WHERE n.name = $1"), args![id_or_name.trim()], entry)?,
    };
    found.map(|found| whole(tx, found)).transpose()
}

/// The entry of that id or name, which must be there.
///
/// # Errors
/// There is none, or the database's.
pub fn get(tx: &Tx, id_or_name: &str) -> Result<Entry> {
    find(tx, id_or_name)?.ok_or_else(|| Error::not_found("notification", id_or_name))
}

/// The entry of that number, which must be there.
///
/// # Errors
/// There is none, or the database's.
pub fn of(tx: &Tx, id: EntryId) -> Result<Entry> {
    get(tx, &id.to_string())
}

/// The entries that are asked for.
///
/// # Errors
/// The database's.
pub fn list(tx: &Tx, wanted: &Selection, page: &Page) -> Result<Vec<Entry>> {
    let sql = format!("{SELECT} WHERE {} {}", wanted.sql(), page.sql("n.name"));
    let all = tx.all(&sql, &wanted.args(), entry)?;
    all.into_iter().map(|found| whole(tx, found)).collect()
}

/// The name of an entry.
///
/// # Errors
/// There is none, or the database's.
pub fn name_of(tx: &Tx, id: EntryId) -> Result<String> {
    tx.one("SELECT name FROM notify_entry WHERE id = $1", args![id.0], |row| row.get(0))
}

/// An entry that is to be.
#[derive(Clone, Debug)]
pub struct New {
    /// Its name.
    pub name: String,
    /// How it is reached.
    pub destination: Destination,
    /// What it wants to hear.
    pub rule: Rule,
}

/// Adds one.
///
/// # Errors
/// The name is none or taken, its channel or its rule is wrong, there are too many, or the database's.
pub fn add(tx: &WriteTx, new: &New, by: &Actor) -> Result<Entry> {
    let name = name::check(&new.name).map_err(|e| Error::usage(e.to_string()))?;
    if find(tx, name)?.is_some() {
        return Err(Error::Conflict(format!("there is a notification '{name}' already")));
    }
    let count: i64 = tx.one("SELECT count(*) FROM notify_entry", args![], |row| row.get(0))?;
    if count >= MAX_ENTRIES {
        return Err(Error::refused(format!("there are {count} notifications: {MAX_ENTRIES} are the most")));
    }
    check_rule(tx, &new.rule)?;
    let (kind, channel, rota) = match &new.destination {
        Destination::Channel(channel) => (channel.kind().as_str(), Some(stored(channel)?), None),
        Destination::Rota(rota) => (ROTA, None, Some((rota.from, rota.days))),
    };
    let id = tx.id(
        "INSERT INTO notify_entry (name, kind, channel, rota_from, rota_days, created_at)
         VALUES ($1, $2, $3, $4, $5, $6) RETURNING id",
        args![name, kind, channel, rota.map(|r| r.0), rota.map(|r| r.1), tx.now],
    )?;
    set_rule(tx, EntryId(id), &new.rule)?;
    if let Destination::Rota(rota) = &new.destination {
        set_rota(tx, EntryId(id), rota)?;
    }
    let entry = get(tx, &id.to_string())?;
    events::record(tx, by, Happened::NotifyAdded, About::default(), &told(&entry))?;
    Ok(entry)
}

/// Changes one to what is handed in; its number stays.
///
/// # Errors
/// As [`add`]; or a channel was to become a rota.
pub fn edit(tx: &WriteTx, was: &Entry, new: &Entry, by: &Actor) -> Result<Entry> {
    let name = name::check(&new.name).map_err(|e| Error::usage(e.to_string()))?;
    if find(tx, name)?.is_some_and(|other| other.id != was.id) {
        return Err(Error::Conflict(format!("there is a notification '{name}' already")));
    }
    check_rule(tx, &new.rule)?;
    match (&was.destination, &new.destination) {
        (Destination::Channel(_), Destination::Channel(channel)) => {
            tx.run(
                "UPDATE notify_entry SET kind = $2, channel = $3 WHERE id = $1",
                args![was.id.0, channel.kind().as_str(), stored(channel)?],
            )?;
        }
        (Destination::Rota(_), Destination::Rota(rota)) => set_rota(tx, was.id, rota)?,
        (Destination::Channel(_), Destination::Rota(_)) | (Destination::Rota(_), Destination::Channel(_)) => {
            return Err(Error::refused(format!(
                "notification '{}' cannot become a {}: remove it, and add another",
                was.name,
                new.kind()
            )));
        }
    }
    tx.run(
        "UPDATE notify_entry SET name = $2, paused_at = $3 WHERE id = $1",
        args![was.id.0, name, new.paused_at],
    )?;
    set_rule(tx, was.id, &new.rule)?;
    // What was held back is looked at by the rule as it is now.
    tx.run("UPDATE notify_look SET look_at = $2 WHERE entry_id = $1", args![was.id.0, tx.now])?;
    let entry = of(tx, was.id)?;
    let mut body = told(&entry);
    if entry.name != was.name {
        body["was"] = was.name.clone().into();
    }
    events::record(tx, by, Happened::NotifyEdited, About::default(), &body)?;
    Ok(entry)
}

/// Removes one, with what still waits for it.
///
/// # Errors
/// It is a member of a rota, or the database's.
pub fn remove(tx: &WriteTx, entry: &Entry, by: &Actor) -> Result<()> {
    let rotas: Vec<String> = tx.all(
        "SELECT n.name FROM notify_member m JOIN notify_entry n ON n.id = m.entry_id WHERE m.member_id = $1 ORDER BY n.name",
        args![entry.id.0],
        |row| row.get(0),
    )?;
    if !rotas.is_empty() {
        return Err(Error::refused(format!(
            "'{}' is a member of '{}': take it out of there first",
            entry.name,
            rotas.join("', '")
        )));
    }
    let body = json!({"name": entry.name, "kind": entry.kind(), "waiting": entry.waiting});
    events::record(tx, by, Happened::NotifyRemoved, About::default(), &body)?;
    tx.run("DELETE FROM notify_swap WHERE who_id = $1", args![entry.id.0])?;
    tx.run("DELETE FROM notify_entry WHERE id = $1", args![entry.id.0])?;
    Ok(())
}

/// Lets somebody have duty whose turn it is not.
///
/// # Errors
/// It is no rota, the time is none, there are too many, or the database's.
pub fn swap(tx: &WriteTx, entry: &Entry, swap: &Swap, by: &Actor) -> Result<Entry> {
    let Destination::Rota(_) = &entry.destination else {
        return Err(Error::usage(format!("'{}' is no rota", entry.name)));
    };
    let who = of(tx, swap.who)?;
    if who.kind() == ROTA {
        return Err(Error::usage(format!("'{}' is a rota: it can have no duty in another", who.name)));
    }
    if swap.until <= swap.from.max(tx.now) {
        return Err(Error::usage("a swap ends after it begins, and in the future"));
    }
    let ahead: i64 = tx.one(
        "SELECT count(*) FROM notify_swap WHERE entry_id = $1 AND until_at > $2",
        args![entry.id.0, tx.now],
        |row| row.get(0),
    )?;
    if ahead >= MAX_SWAPS {
        return Err(Error::refused(format!("'{}' has {ahead} swaps ahead: that is the most", entry.name)));
    }
    tx.run(
        "INSERT INTO notify_swap (entry_id, who_id, from_at, until_at) VALUES ($1, $2, $3, $4)",
        args![entry.id.0, swap.who.0, swap.from, swap.until],
    )?;
    tx.run("UPDATE notify_look SET look_at = $2 WHERE entry_id = $1", args![entry.id.0, tx.now])?;
    let body = json!({"name": entry.name, "swap": {"who": who.name, "from": swap.from, "until": swap.until}});
    events::record(tx, by, Happened::NotifyEdited, About::default(), &body)?;
    of(tx, entry.id)
}

/// An entry was told something now.
///
/// # Errors
/// The database's.
pub fn was_told(tx: &WriteTx, id: EntryId) -> Result<()> {
    tx.run("UPDATE notify_entry SET told_at = $2 WHERE id = $1", args![id.0, tx.now])?;
    Ok(())
}

/// The selection of tickets that a rule wants. Times in it are on the clocks of its zone.
///
/// # Errors
/// It is no query.
pub fn selection(rule: &Rule, now: Time) -> Result<Selection> {
    Selection::parse(&rule.when, tickets::QUERY, tickets::TEXT, now, &rule.zone())
        .map_err(|e| Error::usage(format!("--when: {e}")))
}

fn check_rule(tx: &Tx, rule: &Rule) -> Result<()> {
    let wanted = selection(rule, tx.now)?;
    // What a query is worth shows when it is asked.
    let sql = format!(
        "SELECT t.id FROM ticket t LEFT JOIN device d ON d.id = t.device_id LEFT JOIN site s ON s.id = t.site_id
         WHERE {} LIMIT 1",
        wanted.sql()
    );
    tx.maybe(&sql, &wanted.args(), |row| row.get::<i64>(0))?;
    if let Some(zone) = &rule.zone
        && TimeZone::get(zone).is_err()
    {
        return Err(Error::usage(format!(
            "there is no time zone '{zone}': write it as Europe/Berlin or UTC"
        )));
    }
    Ok(())
}

fn set_rule(tx: &WriteTx, id: EntryId, rule: &Rule) -> Result<()> {
    let passes: Vec<&str> = rule.passes.iter().map(|p| p.as_str()).collect();
    tx.run(
        "UPDATE notify_entry SET wanted = $2, by_itself = $3, after_ms = $4, quiet = $5, quiet_passes = $6,
         time_zone = $7, person = $8 WHERE id = $1",
        args![
            id.0,
            rule.when,
            rule.told == Directly::Yes,
            rule.after,
            rule.quiet.map(|quiet| quiet.to_string()),
            passes.join(","),
            rule.zone,
            rule.person
        ],
    )?;
    Ok(())
}

fn set_rota(tx: &WriteTx, id: EntryId, rota: &Rota) -> Result<()> {
    if rota.members.is_empty() || rota.members.len() > MAX_MEMBERS {
        return Err(Error::usage(format!("a rota has 1 to {MAX_MEMBERS} members: --member NAME")));
    }
    if !(1..=MAX_DAYS).contains(&rota.days) {
        return Err(Error::usage(format!("a turn has 1 to {MAX_DAYS} whole days: --every 7d")));
    }
    tx.run(
        "UPDATE notify_entry SET rota_from = $2, rota_days = $3 WHERE id = $1",
        args![id.0, rota.from, rota.days],
    )?;
    tx.run("DELETE FROM notify_member WHERE entry_id = $1", args![id.0])?;
    for (place, member) in (0_i64..).zip(&rota.members) {
        let member = of(tx, *member)?;
        if member.kind() == ROTA {
            return Err(Error::usage(format!("'{}' is a rota: it can be no member of another", member.name)));
        }
        let added = tx.run(
            "INSERT INTO notify_member (entry_id, place, member_id) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
            args![id.0, place, member.id.0],
        )?;
        if added == 0 {
            return Err(Error::usage(format!("'{}' is named twice: each member has one turn", member.name)));
        }
    }
    Ok(())
}

/// A channel as it is kept, with its secrets.
fn stored(channel: &Channel) -> Result<String> {
    channel.check().map_err(|e| Error::usage(e.to_string()))?;
    serde_json::to_string(channel).map_err(|e| Error::Other(format!("write a channel: {e}")))
}

/// What an event tells of an entry: no secret.
fn told(entry: &Entry) -> Value {
    let mut body = json!({"name": entry.name, "kind": entry.kind(), "when": entry.rule.when,
        "paused": entry.paused_at.is_some(), "told": entry.rule.in_words()});
    if let Destination::Channel(channel) = &entry.destination {
        body["channel"] = channel.shown();
    }
    body
}

/// With the members of its rota.
fn whole(tx: &Tx, mut entry: Entry) -> Result<Entry> {
    if let Destination::Rota(rota) = &mut entry.destination {
        rota.members = tx.all(
            "SELECT member_id FROM notify_member WHERE entry_id = $1 ORDER BY place",
            args![entry.id.0],
            |row| Ok(EntryId(row.get(0)?)),
        )?;
        rota.swaps = tx.all(
            "SELECT who_id, from_at, until_at FROM notify_swap WHERE entry_id = $1 AND until_at > $2 ORDER BY id",
            args![entry.id.0, tx.now],
            |row| Ok(Swap { who: EntryId(row.get(0)?), from: row.get(1)?, until: row.get(2)? }),
        )?;
    }
    Ok(entry)
}

fn entry(row: &Row) -> Result<Entry> {
    let broken = |what: String| Error::Other(format!("a notification in the database: {what}"));
    let channel: Option<String> = row.get(2)?;
    let destination = match channel {
        // What stands there is secret, so no error tells of it.
        Some(text) => Destination::Channel(
            serde_json::from_str(&text).map_err(|_| broken("its channel cannot be read".to_owned()))?,
        ),
        None => Destination::Rota(Rota {
            from: row.get(3)?,
            days: row.get(4)?,
            members: Vec::new(),
            swaps: Vec::new(),
        }),
    };
    let quiet: Option<String> = row.get(8)?;
    let passes: String = row.get(9)?;
    let passes: Result<Vec<Priority>, _> =
        passes.split(',').filter(|word| !word.is_empty()).map(str::parse).collect();
    let rule = Rule {
        when: row.get(5)?,
        told: if row.get::<bool>(6)? { Directly::Yes } else { Directly::No },
        after: row.get::<Option<Millis>>(7)?,
        quiet: quiet.map(|text| text.parse()).transpose().map_err(|e| broken(format!("{e}")))?,
        passes: passes.map_err(|e| broken(e.to_string()))?,
        zone: row.get(10)?,
        person: row.get(11)?,
    };
    Ok(Entry {
        id: EntryId(row.get(0)?),
        name: row.get(1)?,
        destination,
        rule,
        paused_at: row.get(12)?,
        told_at: row.get(13)?,
        created_at: row.get(14)?,
        waiting: row.get(15)?,
    })
}
