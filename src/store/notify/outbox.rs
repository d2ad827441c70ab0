//! The outbox: messages that are to be delivered, and what became of those that were.
//!
//! A delivery has one key for all its tries. It is claimed before it is tried, so that two do not try at once; a claim
//! that nobody came back from ends, and the delivery is tried again with the same key.

use schedules::{Millis, Time};
use serde_json::json;

use crate::domain::event::{About, Kind as Happened};
use crate::domain::ids::{DeliveryId, EntryId};
use crate::domain::named;
use crate::domain::notify::channel::Channel;
use crate::domain::notify::order::{STUCK, WINDOW, Waiting, pick};
use crate::domain::notify::{Message, News};
use crate::store::events::{self, Actor};
use crate::store::filter::{Column, Page, Selection};
use crate::store::notify::entries::{self, Destination};
use crate::store::{Error, Result, Row, Tx, WriteTx, args, word};

/// The most messages that wait for one entry.
pub const MAX_WAITING: i64 = 10_000;
/// How long it is remembered what became of a delivery.
pub const KEEP: Millis = Millis::from_secs(30 * 86_400);
/// The longest error that is kept, in characters.
const MAX_ERROR: usize = 500;

named! {
    /// What became of a delivery.
    pub enum State {
        /// It is to be tried, or tried again.
        Waiting = "waiting",
        /// The other end has it.
        Sent = "sent",
        /// It is not tried any more.
        Failed = "failed",
    }
}

/// A message to an entry.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    /// Its number.
    pub id: DeliveryId,
    /// Whom it goes to, and his name.
    pub entry: (EntryId, String),
    /// What it says.
    pub message: Message,
    /// When it was written, or a person last wanted it tried again.
    pub created_at: Time,
    /// When it is tried next.
    pub due_at: Time,
    /// How often it was tried.
    pub attempts: u32,
    /// Why it was not delivered, as the last try has it.
    pub error: String,
    /// What became of it.
    pub state: State,
    /// When that was.
    pub done_at: Option<Time>,
}

const SELECT: &str =
    "SELECT w.id, w.entry_id, n.name, w.key, w.incident, w.news, w.title, w.text, w.priority, w.at, w.body,
    w.created_at, w.due_at, w.attempts, w.error, w.state, w.done_at
    FROM notify_delivery w JOIN notify_entry n ON n.id = w.entry_id";

/// What a query for deliveries may ask for, and where that stands.
pub const QUERY: &[Column] = &[
    Column::words("state", "w.state", State::NAMES),
    Column::text("to", "n.name").offering("SELECT name AS v FROM notify_entry"),
    Column::words("news", "w.news", News::NAMES),
    Column::text("incident", "w.incident"),
    Column::text("key", "w.key"),
    Column::text("priority", "w.priority"),
    Column::number("attempts", "w.attempts"),
    Column::time("created", "w.created_at"),
    Column::time("due", "w.due_at"),
    Column::time("done", "w.done_at"),
    Column::number("id", "w.id"),
];

/// Where free text is looked for.
pub const TEXT: &[&str] = &["n.name", "w.title", "w.text", "w.error"];

/// The deliveries that are asked for, the newest first.
///
/// # Errors
/// The database's.
pub fn list(tx: &Tx, wanted: &Selection, page: &Page) -> Result<Vec<Delivery>> {
    let sql = format!("{SELECT} WHERE {} {}", wanted.sql(), page.sql("w.id DESC"));
    tx.all(&sql, &wanted.args(), delivery)
}

/// The delivery of that number, which must be there.
///
/// # Errors
/// There is none, or the database's.
pub fn get(tx: &Tx, id: &str) -> Result<Delivery> {
    let found = match id.parse::<i64>() {
        Ok(number) => tx.maybe(&format!("{SELECT} WHERE w.id = $1"), args![number], delivery)?,
        Err(_) => None,
    };
    found.ok_or_else(|| Error::not_found("delivery", id))
}

/// A message that is to be delivered.
#[derive(Clone, Debug)]
pub struct New {
    /// What it says.
    pub message: Message,
    /// The incidents it tells of.
    pub about: Vec<String>,
}

/// Writes messages into the outbox. Where too many wait already, the oldest that nobody needs to know make room.
///
/// # Errors
/// The database's.
pub fn add(tx: &WriteTx, to: EntryId, messages: &[New]) -> Result<()> {
    make_room(tx, to, i64::try_from(messages.len()).unwrap_or(i64::MAX))?;
    for New { message, about } in messages {
        tx.run(
            "INSERT INTO notify_delivery
                 (key, entry_id, incident, news, priority, title, text, at, body, about, created_at, due_at, state)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11, 'waiting')",
            args![
                message.key,
                to.0,
                message.incident,
                message.news.as_str(),
                message.priority.map(|p| p.as_str().to_owned()),
                message.title,
                message.text,
                message.at,
                message.body.to_string(),
                about.join(" "),
                tx.now
            ],
        )?;
    }
    Ok(())
}

/// Makes room for `coming` more, where there is none: what changed and notes go first, a hundred at least, so that there
/// is one event for many; then the oldest of the others.
fn make_room(tx: &WriteTx, to: EntryId, coming: i64) -> Result<()> {
    let waiting: i64 = tx.one(
        "SELECT count(*) FROM notify_delivery WHERE entry_id = $1 AND state = 'waiting'",
        args![to.0],
        |row| row.get(0),
    )?;
    let mut over = waiting.saturating_add(coming) - MAX_WAITING;
    if over <= 0 {
        return Ok(());
    }
    let why = format!("dropped: {MAX_WAITING} messages wait already");
    let mut dropped = 0;
    for (least, what) in [(100, "('changed', 'note')"), (0, "('broke', 'mended')")] {
        let sql = format!(
            "UPDATE notify_delivery SET state = 'failed', done_at = $2, error = $3 WHERE id IN
                 (SELECT id FROM notify_delivery WHERE entry_id = $1 AND state = 'waiting' AND news IN {what}
                  AND (claimed_until IS NULL OR claimed_until <= $2) ORDER BY id LIMIT {})",
            over.max(least)
        );
        let rows = tx.run(&sql, args![to.0, tx.now, why])?;
        dropped += rows;
        over -= i64::try_from(rows).unwrap_or(i64::MAX);
        if over <= 0 {
            break;
        }
    }
    let body = json!({"entry": entries::name_of(tx, to)?, "entry_id": to.0, "dropped": dropped, "why": why});
    events::record(tx, &Actor::System, Happened::NotifyGaveUp, About::default(), &body)?;
    Ok(())
}

/// When the next delivery is due.
///
/// # Errors
/// The database's.
pub fn next(tx: &Tx) -> Result<Option<Time>> {
    Ok(ready(tx)?.into_iter().map(|(_, _, at)| at).min())
}

/// What is tried next for each entry for which something waits, and when.
fn ready(tx: &Tx) -> Result<Vec<(EntryId, DeliveryId, Time)>> {
    let heads = tx.all(
        "SELECT w.entry_id, w.id, w.due_at, w.claimed_until, w.attempts FROM
             (SELECT (SELECT min(w.id) FROM notify_delivery w WHERE w.entry_id = n.id AND w.state = 'waiting') AS head
              FROM notify_entry n) h
         JOIN notify_delivery w ON w.id = h.head",
        args![],
        |row| Ok((EntryId(row.get(0)?), waiting(row)?)),
    )?;
    let mut ready = Vec::with_capacity(heads.len());
    for (entry, head) in heads {
        let stuck = head.attempts >= STUCK && head.due_at > tx.now;
        let all = if stuck { oldest(tx, entry)? } else { vec![head] };
        ready.extend(pick(&all, tx.now).map(|(id, at)| (entry, id, at)));
    }
    Ok(ready)
}

/// The oldest that wait for an entry, with what they are about.
fn oldest(tx: &Tx, entry: EntryId) -> Result<Vec<Waiting>> {
    tx.all(
        &format!(
            "SELECT entry_id, id, due_at, claimed_until, attempts, about FROM notify_delivery
             WHERE entry_id = $1 AND state = 'waiting' ORDER BY id LIMIT {WINDOW}"
        ),
        args![entry.0],
        |row| {
            let about: String = row.get(5)?;
            Ok(Waiting { about: about.split(' ').map(str::to_owned).collect(), ..waiting(row)? })
        },
    )
}

fn waiting(row: &Row) -> Result<Waiting> {
    Ok(Waiting {
        id: DeliveryId(row.get(1)?),
        due_at: row.get(2)?,
        claimed_until: row.get(3)?,
        attempts: attempts(row.get(4)?),
        about: Vec::new(),
    })
}

fn attempts(count: i64) -> u32 {
    count.try_into().unwrap_or(u32::MAX)
}

/// Claims deliveries that are due, one an entry and at most `limit`, until `until`; nobody else tries them meanwhile. None
/// for those entries that are `busy`.
///
/// # Errors
/// The database's.
pub fn claim(tx: &WriteTx, limit: usize, until: Time, busy: &[EntryId]) -> Result<Vec<(Delivery, Channel)>> {
    let mut due = ready(tx)?;
    due.retain(|(entry, _, at)| *at <= tx.now && !busy.contains(entry));
    due.sort_by_key(|(_, id, at)| (*at, *id));
    let mut claimed = Vec::with_capacity(limit);
    for (entry, id, _) in due.into_iter().take(limit) {
        let rows = tx.run(
            "UPDATE notify_delivery SET claimed_until = $2, attempts = attempts + 1
             WHERE id = $1 AND state = 'waiting' AND (claimed_until IS NULL OR claimed_until <= $3)",
            args![id.0, until, tx.now],
        )?;
        if rows == 0 {
            continue;
        }
        let delivery = get(tx, &id.to_string())?;
        match entries::of(tx, entry)?.destination {
            Destination::Channel(channel) => claimed.push((delivery, *channel)),
            Destination::Rota(_) => give_up(tx, &delivery, "a rota has no channel of its own")?,
        }
    }
    Ok(claimed)
}

/// Ends all claims: whoever had them is gone.
///
/// # Errors
/// The database's.
pub fn unclaim(tx: &WriteTx) -> Result<()> {
    tx.run("UPDATE notify_delivery SET claimed_until = NULL WHERE state = 'waiting' AND claimed_until IS NOT NULL", args![])?;
    Ok(())
}

/// The other end has it.
///
/// # Errors
/// The database's.
pub fn sent(tx: &WriteTx, delivery: &Delivery) -> Result<()> {
    let rows = tx.run(
        "UPDATE notify_delivery SET state = 'sent', done_at = $2, claimed_until = NULL, error = ''
         WHERE id = $1 AND state = 'waiting'",
        args![delivery.id.0, tx.now],
    )?;
    if rows == 1 {
        events::record(tx, &Actor::System, Happened::NotifySent, About::default(), &told(delivery))?;
    }
    Ok(())
}

/// It could not be delivered, and is tried again at `due_at`.
///
/// # Errors
/// The database's.
pub fn again(tx: &WriteTx, id: DeliveryId, due_at: Time, why: &str) -> Result<()> {
    tx.run(
        "UPDATE notify_delivery SET due_at = $2, claimed_until = NULL, error = $3 WHERE id = $1 AND state = 'waiting'",
        args![id.0, due_at, cut(why)],
    )?;
    Ok(())
}

/// It could not be delivered, and is not tried any more.
///
/// # Errors
/// The database's.
pub fn give_up(tx: &WriteTx, delivery: &Delivery, why: &str) -> Result<()> {
    let why = cut(why);
    let rows = tx.run(
        "UPDATE notify_delivery SET state = 'failed', done_at = $2, claimed_until = NULL, error = $3
         WHERE id = $1 AND state = 'waiting'",
        args![delivery.id.0, tx.now, why],
    )?;
    if rows == 1 {
        let mut body = told(delivery);
        body["why"] = why.into();
        events::record(tx, &Actor::System, Happened::NotifyGaveUp, About::default(), &body)?;
    }
    Ok(())
}

/// A person wants one tried again that failed: at once, with the same key. One that waits is tried at once.
///
/// # Errors
/// It was sent already, or the database's.
pub fn retry(tx: &WriteTx, delivery: &Delivery, by: &Actor) -> Result<()> {
    let changed = tx.run(
        "UPDATE notify_delivery SET due_at = $2, created_at = CASE WHEN state = 'failed' THEN $2 ELSE created_at END,
         attempts = CASE WHEN state = 'failed' THEN 0 ELSE attempts END, state = 'waiting', done_at = NULL
         WHERE id = $1 AND state IN ('waiting', 'failed')",
        args![delivery.id.0, tx.now],
    )?;
    if changed == 0 {
        return Err(Error::Conflict(format!("delivery {} is sent already", delivery.id)));
    }
    let body = json!({"name": delivery.entry.1, "retried": delivery.id.0, "key": delivery.message.key});
    events::record(tx, by, Happened::NotifyEdited, About::default(), &body)?;
    Ok(())
}

/// Forgets deliveries that were done before `before`, at most `limit`; how many.
///
/// # Errors
/// The database's.
pub fn prune(tx: &WriteTx, before: Time, limit: u32) -> Result<usize> {
    tx.run(
        "DELETE FROM notify_delivery WHERE id IN (SELECT id FROM notify_delivery WHERE done_at < $1 ORDER BY done_at LIMIT $2)",
        args![before, limit],
    )
}

/// What an event tells of a delivery.
fn told(delivery: &Delivery) -> serde_json::Value {
    json!({"delivery": delivery.id.0, "entry": delivery.entry.1, "entry_id": delivery.entry.0.0,
        "key": delivery.message.key, "incident": delivery.message.incident, "news": delivery.message.news.as_str(),
        "title": delivery.message.title, "attempts": delivery.attempts})
}

fn cut(why: &str) -> String {
    why.chars().take(MAX_ERROR).collect()
}

fn delivery(row: &Row) -> Result<Delivery> {
    let priority: Option<String> = row.get(8)?;
    let body: String = row.get(10)?;
    Ok(Delivery {
        id: DeliveryId(row.get(0)?),
        entry: (EntryId(row.get(1)?), row.get(2)?),
        message: Message {
            key: row.get(3)?,
            incident: row.get(4)?,
            news: word(row, 5)?,
            title: row.get(6)?,
            text: row.get(7)?,
            priority: priority.and_then(|word| word.parse().ok()),
            at: row.get(9)?,
            body: serde_json::from_str(&body).unwrap_or_default(),
        },
        created_at: row.get(11)?,
        due_at: row.get(12)?,
        attempts: attempts(row.get(13)?),
        error: row.get(14)?,
        state: word(row, 15)?,
        done_at: row.get(16)?,
    })
}
