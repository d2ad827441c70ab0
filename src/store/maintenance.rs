//! Maintenance windows: when something is worked on, so that nobody is alarmed. What they cover is in `covered.rs`, how
//! their occurrences begin and end in `runs.rs`.

mod covered;
mod runs;

use jiff::tz::TimeZone;
use schedules::{CronLine, Millis, Time};
use serde_json::{Value, json};

use crate::domain::event::{About, Kind};
use crate::domain::ids::{DeviceId, SiteId};
use crate::domain::maintenance::{self, Ends, Minute, Recurring, Standing};
use crate::store::events::{self, Actor};
use crate::store::filter::{Column, Page, Selection};
use crate::store::{Error, Result, Row, Tx, WriteTx, args, offers, word};

pub use covered::{Covered, of_device, of_devices, runs_between};
pub use runs::{Run, due, end, extend, next_due, runs, step};

/// The most windows of which something is still to come.
pub const MAX: i64 = 1_000;
/// The longest note, in characters.
pub const MAX_NOTE: usize = 1_000;

/// What a window covers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A device, and its name.
    Device(DeviceId, String),
    /// All devices of a site, and its name.
    Site(SiteId, String),
    /// All devices with a tag.
    Tag(String),
}

impl std::fmt::Display for Subject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Subject::Device(_, name) => write!(f, "device '{name}'"),
            Subject::Site(_, name) => write!(f, "site '{name}'"),
            Subject::Tag(tag) => write!(f, "tag '{tag}'"),
        }
    }
}

impl Subject {
    fn about(&self) -> About {
        match self {
            Subject::Device(id, _) => (*id).into(),
            Subject::Site(id, _) => (*id).into(),
            Subject::Tag(_) => About::default(),
        }
    }

    fn tag(&self) -> Option<&str> {
        match self {
            Subject::Device(..) | Subject::Site(..) => None,
            Subject::Tag(tag) => Some(tag),
        }
    }
}

/// A maintenance window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// Its number.
    pub id: i64,
    /// What it covers.
    pub subject: Subject,
    /// When it comes again and again; absent: once.
    pub recurring: Option<Recurring>,
    /// The zone on whose clocks it was written.
    pub time_zone: String,
    /// What people should know about it.
    pub note: String,
    /// When it was added.
    pub created_at: Time,
    /// Who added it.
    pub created_by: String,
    /// When it was removed.
    pub removed_at: Option<Time>,
    /// Its next occurrence: start and end.
    pub next: Option<(Time, Time)>,
    /// The occurrence that is under way: start, and end as planned.
    pub running: Option<(Time, Time)>,
    /// Where it stands.
    pub standing: Standing,
}

const STANDING: &str =
    "(CASE WHEN w.removed_at IS NOT NULL THEN 'removed' WHEN r.id IS NOT NULL THEN 'active'
    WHEN w.next_at IS NOT NULL THEN 'planned' ELSE 'over' END)";

fn select() -> String {
    format!(
        "SELECT w.id, w.device_id, d.name, w.site_id, s.name, w.tag, w.cron, w.span_ms, w.at_minute, w.to_minute,
         w.time_zone, w.note, w.created_at, w.created_by, w.removed_at, w.next_at, w.next_until, r.began_at, r.until_at,
         {STANDING}
         FROM maintenance w LEFT JOIN device d ON d.id = w.device_id LEFT JOIN site s ON s.id = w.site_id
         LEFT JOIN maintenance_run r ON r.window_id = w.id AND r.ended_at IS NULL"
    )
}

/// What a query for windows may ask for, and where that stands.
pub const QUERY: &[Column] = &[
    Column::words("state", STANDING, Standing::NAMES),
    Column::text("device", "d.name").offering(offers::DEVICES),
    Column::text("site", "s.name").offering(offers::SITES),
    Column::text("tag", "w.tag").offering(offers::TAGS),
    Column::flag("active", "r.id IS NOT NULL"),
    Column::flag("recurring", "w.cron IS NOT NULL"),
    Column::time("next", "w.next_at"),
    Column::time("until", "r.until_at"),
    Column::time("created", "w.created_at"),
    Column::number("id", "w.id"),
];

/// Where free text is looked for.
pub const TEXT: &[&str] = &["d.name", "s.name", "w.tag", "w.note"];

/// The windows that are asked for.
///
/// # Errors
/// The database's.
pub fn list(tx: &Tx, wanted: &Selection, page: &Page) -> Result<Vec<Window>> {
    let sql = format!("{} WHERE {} {}", select(), wanted.sql(), page.sql("w.id"));
    tx.all(&sql, &wanted.args(), window)
}

/// The window of that number, which must be there.
///
/// # Errors
/// There is none, or the database's.
pub fn get(tx: &Tx, id: &str) -> Result<Window> {
    let found = match id.trim().parse::<i64>() {
        Ok(number) => tx.maybe(&format!("{} WHERE w.id = $1", select()), args![number], window)?,
        Err(_) => None,
    };
    found.ok_or_else(|| Error::not_found("maintenance window", id))
}

fn of(tx: &Tx, id: i64) -> Result<Window> {
    get(tx, &id.to_string())
}

/// A window that is to be.
#[derive(Clone, Debug)]
pub struct New {
    /// What it covers.
    pub subject: Subject,
    /// When it comes.
    pub when: When,
    /// The zone on whose clocks it was written.
    pub time_zone: String,
    /// What people should know about it.
    pub note: String,
}

/// When a window comes.
#[derive(Clone, Debug)]
pub enum When {
    /// Once, from and until.
    Once(Time, Time),
    /// Again and again.
    Again(Recurring),
}

/// Adds one.
///
/// # Errors
/// It is none, there are too many, or the database's.
pub fn add(tx: &WriteTx, new: &New, by: &Actor) -> Result<Window> {
    if new.note.chars().count() > MAX_NOTE {
        return Err(Error::usage(format!("a note has at most {MAX_NOTE} characters")));
    }
    let bad = |e: maintenance::BadWindow| Error::usage(e.to_string());
    let (recurring, next) = match &new.when {
        When::Once(from, until) => {
            maintenance::once(*from, *until, tx.now).map_err(bad)?;
            (None, Some((*from, *until)))
        }
        When::Again(recurring) => {
            recurring.check(tx.now).map_err(bad)?;
            (Some(recurring), recurring.next(tx.now))
        }
    };
    let live = tx.one(
        "SELECT count(*) FROM maintenance w WHERE w.removed_at IS NULL AND (w.next_at IS NOT NULL
         OR EXISTS (SELECT 1 FROM maintenance_run r WHERE r.window_id = w.id AND r.ended_at IS NULL))",
        args![],
        |row| row.get::<i64>(0),
    )?;
    if live >= MAX {
        return Err(Error::refused(format!(
            "there are {MAX} maintenance windows already: remove those that are not needed (lineman maintenance list)"
        )));
    }
    let (device, site) = match &new.subject {
        Subject::Device(id, _) => (Some(id.0), None),
        Subject::Site(id, _) => (None, Some(id.0)),
        Subject::Tag(_) => (None, None),
    };
    let (span, at, to) = match recurring.map(|recurring| recurring.ends) {
        None => (None, None, None),
        Some(Ends::After(span)) => (Some(span), None, None),
        Some(Ends::At(at, to)) => (None, Some(at.number() % 1_440), Some(to.number() % 1_440)),
    };
    let cron = recurring.map(|recurring| recurring.cron.to_string());
    let id = tx.id(
        "INSERT INTO maintenance (device_id, site_id, tag, cron, span_ms, at_minute, to_minute, time_zone, note,
         created_at, created_by, next_at, next_until)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) RETURNING id",
        args![
            device,
            site,
            new.subject.tag(),
            cron,
            span,
            at,
            to,
            new.time_zone,
            new.note,
            tx.now,
            by.name(),
            next.map(|next| next.0),
            next.map(|next| next.1)
        ],
    )?;
    let window = of(tx, id)?;
    let mut body = body(&window);
    body["cron"] = json!(cron);
    body["next_at"] = json!(next.map(|next| next.0));
    body["next_until"] = json!(next.map(|next| next.1));
    body["note"] = json!(new.note);
    events::record(tx, by, Kind::MaintenanceAdded, new.subject.about(), &body)?;
    Ok(window)
}

/// Removes one; what it covers is no longer in maintenance because of it. It stays as history.
///
/// # Errors
/// It is removed already, or the database's.
pub fn remove(tx: &WriteTx, id: i64, by: &Actor) -> Result<Window> {
    let window = of(tx, id)?;
    if window.removed_at.is_some() {
        return Err(Error::Conflict(format!("maintenance window {id} is removed already")));
    }
    let window = runs::up_to_now(tx, window)?;
    if window.running.is_some() {
        runs::finish(tx, &window, tx.now, by)?;
    }
    tx.run(
        "UPDATE maintenance SET removed_at = $2, next_at = NULL, next_until = NULL WHERE id = $1",
        args![id, tx.now],
    )?;
    events::record(tx, by, Kind::MaintenanceRemoved, window.subject.about(), &body(&window))?;
    of(tx, id)
}

/// What every event of a window says of it.
fn body(window: &Window) -> Value {
    json!({"window": window.id, "covers": window.subject.to_string(), "tag": window.subject.tag()})
}

fn window(row: &Row) -> Result<Window> {
    let device: Option<i64> = row.get(1)?;
    let site: Option<i64> = row.get(3)?;
    let subject = match (device, site) {
        (Some(id), _) => Subject::Device(DeviceId(id), row.get(2)?),
        (None, Some(id)) => Subject::Site(SiteId(id), row.get(4)?),
        (None, None) => Subject::Tag(row.get(5)?),
    };
    let time_zone: String = row.get(10)?;
    let recurring = match row.get::<Option<String>>(6)? {
        Some(cron) => Some(recurring(row, &cron, &time_zone)?),
        None => None,
    };
    let pair = |from: usize| -> Result<Option<(Time, Time)>> {
        Ok(row.get::<Option<Time>>(from)?.zip(row.get::<Option<Time>>(from + 1)?))
    };
    Ok(Window {
        id: row.get(0)?,
        subject,
        recurring,
        time_zone,
        note: row.get(11)?,
        created_at: row.get(12)?,
        created_by: row.get(13)?,
        removed_at: row.get(14)?,
        next: pair(15)?,
        running: pair(17)?,
        standing: word(row, 19)?,
    })
}

fn recurring(row: &Row, cron: &str, time_zone: &str) -> Result<Recurring> {
    let bad =
        |why: String| Error::Other(format!("the database has a maintenance window that is none: {why}"));
    let cron: CronLine = cron.parse().map_err(|e: schedules::BadCadence| bad(e.to_string()))?;
    let zone = TimeZone::get(time_zone).map_err(|e| bad(e.to_string()))?;
    let minute = |column| Ok::<_, Error>(row.get::<Option<u16>>(column)?.and_then(Minute::new));
    let ends = match (minute(8)?, minute(9)?) {
        (Some(at), Some(to)) => Ends::At(at, to),
        _ => Ends::After(row.get::<Option<Millis>>(7)?.ok_or_else(|| bad("it has no end".to_owned()))?),
    };
    Ok(Recurring { cron, ends, zone })
}
