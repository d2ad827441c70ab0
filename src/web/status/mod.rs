//! The public status page: what is known, in plain words, for whoever has no account. It names no device and no address, and
//! those sites alone that were chosen for it. While it is off, there is nothing here.

mod badge;
mod load;
mod view;

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use axum::http::HeaderName;
use axum::http::header::CACHE_CONTROL;
use schedules::{Millis, Time};

use crate::store::settings;
use crate::store::status::Work;
use crate::web::answer::{Answer, Trouble};
use crate::web::asked::Asked;
use crate::web::graphs::days::Day;
use crate::web::layout;

/// How far back its bars go, in days.
const DAYS: i64 = 90;
/// How far ahead work is announced.
const AHEAD: Millis = Millis::from_secs(14 * 86_400);
/// What was read is told for so long: anybody may ask, as often as they like.
const FRESH: Millis = Millis::from_secs(20);

/// How something stands, in a customer's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// All is well.
    Operational,
    /// Out, and being worked on: that was planned.
    Maintenance,
    /// Some of it is out, or not well.
    Disturbed,
    /// All of it is out.
    Down,
    /// Nobody knows.
    Unknown,
}

impl Standing {
    /// The word for it.
    fn as_str(self) -> &'static str {
        match self {
            Standing::Operational => "operational",
            Standing::Maintenance => "maintenance",
            Standing::Disturbed => "disturbed",
            Standing::Down => "down",
            Standing::Unknown => "unknown",
        }
    }

    /// The same as a sentence.
    fn sentence(self) -> &'static str {
        match self {
            Standing::Operational => "Everything works.",
            Standing::Maintenance => "Planned work is under way. Something may be unavailable for a while.",
            Standing::Disturbed => "Something does not work as it should.",
            Standing::Down => "Nothing is reachable.",
            Standing::Unknown => "We do not know at the moment.",
        }
    }

    /// How much it matters beside others.
    fn weight(self) -> u8 {
        match self {
            Standing::Operational => 0,
            Standing::Unknown => 1,
            Standing::Maintenance => 2,
            Standing::Disturbed => 3,
            Standing::Down => 4,
        }
    }
}

/// A line of the page: a site, or all systems together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// What it is called.
    pub name: String,
    /// How it stands.
    pub standing: Standing,
    /// Since when something of it is out, where something is.
    pub out_since: Option<Time>,
    /// Its days.
    pub days: Vec<Day>,
    /// The work there, under way or announced.
    pub work: Vec<Work>,
}

/// All that the page tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The lines.
    pub lines: Vec<Line>,
    /// When that was so.
    pub at: Time,
    /// When what is told of its days was.
    pub days_at: Time,
}

impl Status {
    /// How all of it stands: where lines differ, it is at most disturbed.
    #[must_use]
    pub fn standing(&self) -> Standing {
        let worst = self.lines.iter().map(|line| line.standing).max_by_key(|standing| standing.weight());
        let worst = worst.unwrap_or(Standing::Unknown);
        let all = self.lines.iter().all(|line| line.standing == worst);
        if worst == Standing::Down && !all { Standing::Disturbed } else { worst }
    }
}

/// What was last read, from which database, for which sites.
type Kept = Option<(PathBuf, String, Arc<Status>)>;
static KEPT: Mutex<Kept> = Mutex::new(None);

/// The status as it stands, or as it stood a moment ago; nothing while the page is off.
fn status(asked: &Asked) -> Result<Arc<Status>, Trouble> {
    let app = &asked.web.app;
    let known = app.store.read(settings::load)?;
    if known.text("status.page") == "off" {
        return Err(Trouble::NotFound("there is nothing here".to_owned()));
    }
    let sites = known.text("status.sites").to_owned();
    // Whoever comes meanwhile waits for the one that reads, and then is told the same.
    let mut kept = KEPT.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let before = kept.as_ref().filter(|(path, of, _)| path == app.store.path() && *of == sites);
    let before = before.map(|(.., status)| status.clone());
    if let Some(status) = &before
        && (Millis::ZERO..FRESH).contains(&app.clock.now().since(status.at))
    {
        return Ok(status.clone());
    }
    let status = Arc::new(app.store.read(|tx| load::status(tx, &known, before.as_deref()))?);
    *kept = Some((app.store.path().to_owned(), sites, status.clone()));
    Ok(status)
}

/// Whether there is a status page.
#[must_use]
pub fn is_on(asked: &Asked) -> bool {
    asked.web.app.store.read(settings::load).is_ok_and(|known| known.text("status.page") != "off")
}

/// The page.
///
/// # Errors
/// It is off, or the database's.
pub fn page(asked: &Asked) -> Result<Answer, Trouble> {
    let status = status(asked)?;
    let zone = jiff::tz::TimeZone::system();
    let page = layout::bare(asked, "Status", &view::page(&status, &zone));
    let mut answer = Answer::html(page);
    answer.headers.retain(|(name, _)| *name != CACHE_CONTROL);
    Ok(answer.with(CACHE_CONTROL, "public, max-age=20"))
}

/// The badge, which other pages may show.
///
/// # Errors
/// The page is off, or the database's.
pub fn badge(asked: &Asked) -> Result<Answer, Trouble> {
    let drawn = badge::draw(status(asked)?.standing()).into_string();
    let anywhere = HeaderName::from_static("cross-origin-resource-policy");
    let answer = Answer::of("image/svg+xml", drawn).with(CACHE_CONTROL, "public, max-age=20");
    Ok(answer.with(anywhere, "cross-origin"))
}
