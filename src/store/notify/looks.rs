//! What is to be looked at for whom, who was told of what, and how far the event log has been read.

use jiff::tz::TimeZone;
use schedules::Time;
use serde_json::Value;

use crate::domain::ids::{DeviceId, EntryId, EventId, TicketId};
use crate::domain::notify::rule::STIRRING;
use crate::domain::notify::told::{Facts, Standing, Told};
use crate::domain::ticket::{Kind, Priority, State};
use crate::store::filter::Selection;
use crate::store::{Error, Result, Row, Tx, WriteTx, args, events, word};

/// The name under which the reader's place in the event log is kept.
const READER: &str = "notify";

/// How far the event log has been read; nothing before the first time.
///
/// # Errors
/// The database's.
pub fn read_up_to(tx: &Tx) -> Result<Option<EventId>> {
    tx.maybe("SELECT event_id FROM reader WHERE name = $1", args![READER], |row| Ok(EventId(row.get(0)?)))
}

/// Says how far it has been read.
///
/// # Errors
/// The database's.
pub fn set_read_up_to(tx: &WriteTx, event: EventId) -> Result<()> {
    tx.run(
        "INSERT INTO reader (name, event_id) VALUES ($1, $2)
         ON CONFLICT (name) DO UPDATE SET event_id = excluded.event_id",
        args![READER, event.0],
    )?;
    Ok(())
}

/// An event that stirs something.
#[derive(Clone, Debug)]
pub struct Stirred {
    /// Its number.
    pub id: EventId,
    /// When it happened.
    pub at: Time,
    /// What happened.
    pub kind: String,
    /// The device it is about.
    pub device: Option<DeviceId>,
    /// The ticket it is about.
    pub ticket: Option<TicketId>,
    /// What else there is to tell.
    pub body: Value,
}

/// The events after `after` that stir something, oldest first, at most `limit` of them.
///
/// # Errors
/// The database's.
pub fn stirred(tx: &Tx, after: EventId, limit: u32) -> Result<Vec<Stirred>> {
    let kinds: Vec<String> = STIRRING.iter().map(|(kind, _)| format!("'{kind}'")).collect();
    let sql = format!(
        "SELECT id, at, kind, device_id, ticket_id, body FROM event WHERE id > {} AND kind IN ({})
         ORDER BY id LIMIT {limit}",
        after.0,
        kinds.join(", ")
    );
    tx.all(&sql, args![], |row| {
        let body: String = row.get(5)?;
        Ok(Stirred {
            id: EventId(row.get(0)?),
            at: row.get(1)?,
            kind: row.get(2)?,
            device: row.get::<Option<i64>>(3)?.map(DeviceId),
            ticket: row.get::<Option<i64>>(4)?.map(TicketId),
            body: serde_json::from_str(&body).unwrap_or(Value::Null),
        })
    })
}

/// Whether a ticket is about an outage.
///
/// # Errors
/// The database's.
pub fn is_outage(tx: &Tx, id: TicketId) -> Result<bool> {
    let kind = tx.maybe("SELECT kind FROM ticket WHERE id = $1", args![id.0], |row| word::<Kind>(row, 0))?;
    Ok(kind == Some(Kind::Outage))
}

/// The events about a ticket from `from` on, oldest first, at most `limit` of them.
///
/// # Errors
/// The database's.
pub fn news_of(tx: &Tx, ticket: TicketId, from: EventId, limit: u32) -> Result<Vec<events::Event>> {
    let wanted = Selection::parse(&format!("ticket:{ticket}"), events::QUERY, &[], tx.now, &TimeZone::UTC);
    let wanted = wanted.map_err(|e| Error::Other(e.to_string()))?;
    events::after(tx, EventId(from.0.saturating_sub(1)), &wanted, limit)
}

/// News of something for an entry.
#[derive(Clone, Debug)]
pub struct News<'n> {
    /// What it is about.
    pub incident: &'n str,
    /// The ticket it is about.
    pub ticket: Option<TicketId>,
    /// When it is to be looked at.
    pub look_at: Time,
    /// Whether it is told for itself.
    pub noted: bool,
    /// Whether it is told whatever the rule says.
    pub owed: bool,
    /// The event.
    pub event: EventId,
}

/// Something is to be looked at for an entry. What was to be looked at anyway stays so, or comes sooner.
///
/// # Errors
/// The database's.
pub fn stir(tx: &WriteTx, entry: EntryId, news: &News) -> Result<()> {
    tx.run(
        "INSERT INTO notify_look (entry_id, incident, ticket_id, look_at, fresh, noted, owed, event_id)
         VALUES ($1, $2, $3, $4, 1, $5, $6, $7)
         ON CONFLICT (entry_id, incident) DO UPDATE SET fresh = 1,
             look_at = CASE WHEN notify_look.look_at <= excluded.look_at THEN notify_look.look_at ELSE excluded.look_at END,
             noted = CASE WHEN notify_look.noted = 1 THEN 1 ELSE excluded.noted END,
             owed = CASE WHEN notify_look.owed = 1 THEN 1 ELSE excluded.owed END,
             event_id = coalesce(notify_look.event_id, excluded.event_id)",
        args![
            entry.0,
            news.incident,
            news.ticket.map(|t| t.0),
            news.look_at,
            news.noted,
            news.owed,
            news.event.0
        ],
    )?;
    Ok(())
}

/// When the next look is due.
///
/// # Errors
/// The database's.
pub fn next(tx: &Tx) -> Result<Option<Time>> {
    tx.one("SELECT min(look_at) FROM notify_look WHERE look_at IS NOT NULL", args![], |row| row.get(0))
}

/// The entries for which a look is due.
///
/// # Errors
/// The database's.
pub fn due(tx: &Tx) -> Result<Vec<EntryId>> {
    tx.all(
        "SELECT DISTINCT entry_id FROM notify_look WHERE look_at <= $1 ORDER BY entry_id",
        args![tx.now],
        |row| Ok(EntryId(row.get(0)?)),
    )
}

/// What is due for an entry.
///
/// # Errors
/// The database's.
pub fn due_of(tx: &Tx, entry: EntryId) -> Result<Vec<String>> {
    tx.all(
        "SELECT incident FROM notify_look WHERE entry_id = $1 AND look_at <= $2",
        args![entry.0, tx.now],
        |row| row.get(0),
    )
}

/// What is looked at, as it is now.
#[derive(Clone, Debug)]
pub struct Look {
    /// What it is about.
    pub incident: String,
    /// The ticket it is about.
    pub ticket: Option<TicketId>,
    /// Whether something happened that is told for itself.
    pub noted: bool,
    /// Whether it is told whatever the rule says.
    pub owed: bool,
    /// The first of the news.
    pub event: Option<EventId>,
    /// How it stands.
    pub standing: Standing,
    /// Its priority.
    pub priority: Option<Priority>,
    /// Who acknowledged it, where somebody did.
    pub acknowledged_by: Option<String>,
    /// How often it came back.
    pub recurrences: i64,
    /// When it last broke.
    pub broke_at: Time,
    /// Whether the rule's query holds for its ticket.
    pub fits: bool,
    /// What the one who would be told was told last.
    pub told: Option<Told>,
}

/// What is to be looked at for an entry now, the most urgent first: what is due, and with it all news. `to`: the one who
/// would be told.
///
/// # Errors
/// The database's.
pub fn of_entry(tx: &Tx, entry: EntryId, to: EntryId, wanted: &Selection, limit: u32) -> Result<Vec<Look>> {
    let sql = format!(
        "SELECT l.incident, l.ticket_id, l.noted, l.owed, l.event_id, t.state, t.priority, t.acknowledged_at,
             t.acknowledged_by, t.recurrences, t.opened_at, CASE WHEN {wanted} THEN 1 ELSE 0 END,
             o.told_at, o.priority, o.acknowledged, o.recurrences, w.standing, w.since,
             (SELECT max(e.at) FROM event e WHERE e.ticket_id = l.ticket_id
                 AND e.kind IN ('ticket.opened', 'ticket.reopened', 'ticket.unmerged'))
         FROM notify_look l
         LEFT JOIN ticket t ON t.id = l.ticket_id LEFT JOIN device d ON d.id = t.device_id
         LEFT JOIN site s ON s.id = t.site_id
         LEFT JOIN notify_wide w ON w.incident = l.incident
         LEFT JOIN notify_told o ON o.entry_id = {to} AND o.incident = l.incident
         WHERE l.entry_id = {entry} AND (l.look_at <= {now} OR l.fresh = 1)
         ORDER BY t.priority, l.ticket_id, l.incident LIMIT {limit}",
        wanted = wanted.sql(),
        now = tx.now.0,
    );
    tx.all(&sql, &wanted.args(), look)
}

fn look(row: &Row) -> Result<Look> {
    let state: Option<String> = row.get(5)?;
    let state: Option<State> = state.map(|text| text.parse()).transpose().map_err(strange)?;
    let priority = |column| -> Result<Option<Priority>> {
        row.get::<Option<String>>(column)?.map(|text| text.parse()).transpose().map_err(strange)
    };
    let wide: Option<String> = row.get(16)?;
    let standing = match (state, wide.as_deref()) {
        (Some(State::Open | State::Waiting), _) | (None, Some("broken")) => Standing::Broken,
        (None, Some("note")) => Standing::Note,
        (Some(State::Recovered | State::Resolved | State::Closed | State::Merged), _) | (None, _) => {
            Standing::Over
        }
    };
    let acknowledged_at: Option<Time> = row.get(7)?;
    let told = match row.get::<Option<Time>>(12)? {
        Some(at) => {
            Some(Told { at, priority: priority(13)?, acknowledged: row.get(14)?, recurrences: row.get(15)? })
        }
        None => None,
    };
    let opened_at: Option<Time> = row.get(10)?;
    let since: Option<Time> = row.get(17)?;
    let broke_at: Option<Time> = row.get(18)?;
    Ok(Look {
        incident: row.get(0)?,
        ticket: row.get::<Option<i64>>(1)?.map(TicketId),
        noted: row.get(2)?,
        owed: row.get(3)?,
        event: row.get::<Option<i64>>(4)?.map(EventId),
        standing,
        priority: priority(6)?,
        acknowledged_by: acknowledged_at
            .map(|_| row.get::<Option<String>>(8))
            .transpose()?
            .map(Option::unwrap_or_default),
        recurrences: row.get::<Option<i64>>(9)?.unwrap_or(0),
        broke_at: since.or(broke_at).or(opened_at).unwrap_or(Time(0)),
        fits: row.get(11)?,
        told,
    })
}

fn strange(error: crate::domain::UnknownName) -> Error {
    Error::Other(format!("the database has a word that is none: {error}"))
}

/// It was looked at: it is again at that moment, or when news come.
///
/// # Errors
/// The database's.
pub fn wait(tx: &WriteTx, entry: EntryId, incident: &str, until: Option<Time>) -> Result<()> {
    tx.run(
        "UPDATE notify_look SET look_at = $3, fresh = 0 WHERE entry_id = $1 AND incident = $2",
        args![entry.0, incident, until],
    )?;
    Ok(())
}

/// It was told: it is looked at again at that moment, and what was news is none any more.
///
/// # Errors
/// The database's.
pub fn said(tx: &WriteTx, entry: EntryId, incident: &str, until: Time) -> Result<()> {
    tx.run(
        "UPDATE notify_look SET look_at = $3, fresh = 0, noted = 0, owed = 0, event_id = NULL
         WHERE entry_id = $1 AND incident = $2",
        args![entry.0, incident, until],
    )?;
    Ok(())
}

/// It is looked at again only when news come.
///
/// # Errors
/// The database's.
pub fn forget(tx: &WriteTx, entry: EntryId, incident: &str) -> Result<()> {
    tx.run("DELETE FROM notify_look WHERE entry_id = $1 AND incident = $2", args![entry.0, incident])?;
    Ok(())
}

/// Who was told of something and not yet that it is mended.
///
/// # Errors
/// The database's.
pub fn told_of(tx: &Tx, incident: &str) -> Result<Vec<EntryId>> {
    tx.all("SELECT entry_id FROM notify_told WHERE incident = $1 ORDER BY entry_id", args![incident], |row| {
        Ok(EntryId(row.get(0)?))
    })
}

/// Somebody was told of something that lasts, as it is now.
///
/// # Errors
/// The database's.
pub fn tell(tx: &WriteTx, to: EntryId, look: &Look, facts: &Facts, acknowledged: bool) -> Result<()> {
    tx.run(
        "INSERT INTO notify_told (entry_id, incident, ticket_id, since, told_at, priority, acknowledged, recurrences)
         VALUES ($1, $2, $3, $4, $4, $5, $6, $7)
         ON CONFLICT (entry_id, incident) DO UPDATE SET told_at = excluded.told_at, priority = excluded.priority,
             acknowledged = excluded.acknowledged, recurrences = excluded.recurrences",
        args![
            to.0,
            look.incident,
            look.ticket.map(|t| t.0),
            tx.now,
            facts.priority.map(|p| p.as_str().to_owned()),
            acknowledged,
            facts.recurrences
        ],
    )?;
    Ok(())
}

/// Somebody was told that it is mended: nothing is owed to him any more.
///
/// # Errors
/// The database's.
pub fn settle(tx: &WriteTx, to: EntryId, incident: &str) -> Result<()> {
    tx.run("DELETE FROM notify_told WHERE entry_id = $1 AND incident = $2", args![to.0, incident])?;
    Ok(())
}

/// Who was told of what and not yet that it is mended, with when he was told first and last.
///
/// # Errors
/// The database's.
pub fn owed(tx: &Tx, to: EntryId) -> Result<Vec<(String, Time, Time)>> {
    tx.all(
        "SELECT incident, since, told_at FROM notify_told WHERE entry_id = $1 ORDER BY since, incident",
        args![to.0],
        |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
    )
}

/// What concerns the whole server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wide {
    /// What it is, in one line.
    pub title: String,
    /// Why.
    pub reason: String,
    /// Since when.
    pub since: Time,
    /// Until when, where it is over.
    pub until: Option<Time>,
}

/// Something that concerns the whole server is broken, or to be known.
///
/// # Errors
/// The database's.
pub fn set_wide(tx: &WriteTx, incident: &str, standing: Standing, wide: &Wide) -> Result<()> {
    let word = match standing {
        Standing::Broken => "broken",
        Standing::Over => "over",
        Standing::Note => "note",
    };
    tx.run(
        "INSERT INTO notify_wide (incident, standing, title, reason, since, until) VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (incident) DO UPDATE SET standing = excluded.standing, title = excluded.title,
             reason = excluded.reason, since = excluded.since, until = excluded.until",
        args![incident, word, wide.title, wide.reason, wide.since, wide.until],
    )?;
    Ok(())
}

/// What is known of something that concerns the whole server.
///
/// # Errors
/// The database's.
pub fn wide(tx: &Tx, incident: &str) -> Result<Option<Wide>> {
    tx.maybe(
        "SELECT title, reason, since, until FROM notify_wide WHERE incident = $1",
        args![incident],
        |row| Ok(Wide { title: row.get(0)?, reason: row.get(1)?, since: row.get(2)?, until: row.get(3)? }),
    )
}

/// Forgets notes that nobody looks at any more and that are older than `before`; how many.
///
/// # Errors
/// The database's.
pub fn prune_wide(tx: &WriteTx, before: Time) -> Result<usize> {
    tx.run(
        "DELETE FROM notify_wide WHERE standing = 'note' AND since < $1
         AND NOT EXISTS (SELECT 1 FROM notify_look l WHERE l.incident = notify_wide.incident)",
        args![before],
    )
}
