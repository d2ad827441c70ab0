//! `lineman event`: the log of everything that happened.

use std::time::Duration;

use clap::{Args, Subcommand};
use exports::{Table, Value};
use lineman::domain::ids::EventId;
use lineman::reports;
use lineman::store::filter::{Page, Selection};
use lineman::store::{Mode, Tx, events};
use tokio::signal::unix::{SignalKind, signal};

use crate::data::Context;
use crate::failure::{Code, Failure};
use crate::grid::Widths;
use crate::list::selection;
use crate::output::{Output, Printer};
use crate::remote::Server;

/// How often a list that goes on looks whether something happened.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How often a server elsewhere is asked.
const ASK_EVERY: Duration = Duration::from_secs(1);
/// The list, as a server elsewhere has it.
pub const LIST: (&str, &str) = ("event", "list");
/// Before the first event.
const NONE: EventId = EventId(0);
/// The most events taken at a time.
const MOST: u32 = 500;

/// The log of everything that happened
#[derive(Subcommand)]
pub enum EventVerb {
    /// List events, the oldest first; of more than the limit the newest
    #[command(
        after_help = "Example:\n  lineman event list device:gateway at:<1d\n  lineman event list 'kind:ticket.*' --follow\n  lineman event list --after 1200 -o jsonl"
    )]
    List(ListOptions),
}

/// Which events.
#[derive(Args)]
pub struct ListOptions {
    /// What to look for: `key:value` (with commas: any of them; `-key:value`: not), `at:<7d`, or free text
    query: Vec<String>,
    /// Only what happened after the event with this number; of more than the limit the oldest
    #[arg(long, value_name = "ID")]
    after: Option<i64>,
    /// At most so many, the newest; 0: all
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: u32,
    /// Leave out so many of the newest
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true, conflicts_with_all = ["follow", "after"])]
    skip: u32,
    /// Go on, and print what happens as it happens
    #[arg(long)]
    pub follow: bool,
}

impl EventVerb {
    /// Does it.
    pub fn run(self, context: &Context) -> Result<Output, Failure> {
        let EventVerb::List(options) = self;
        let app = context.app(Mode::Existing)?;
        let wanted = selection(&options.query.join(" "), events::QUERY, events::TEXT, app.clock.now())?;
        if !options.follow {
            return Ok(Output::Table(app.store.read(|tx| options.listed(tx, &wanted))?));
        }
        let (before, newest) =
            app.store.read(|tx| Ok::<_, Failure>((options.listed(tx, &wanted)?, events::newest(tx)?)))?;
        let seen = last_of(&before).filter(|_| options.after.is_some()).unwrap_or(newest);
        let mut version = None;
        go_on(&context.printer, before, seen, LOOK_EVERY, |seen| {
            let now = app.store.version();
            if version.replace(now) == Some(now) {
                return Ok(None);
            }
            app.store.read(|tx| {
                let newest = events::newest(tx)?;
                Ok(Some((reports::events::after(tx, seen, &wanted, MOST)?, newest)))
            })
        })
    }
}

impl ListOptions {
    fn listed(&self, tx: &Tx, wanted: &Selection) -> Result<Table, Failure> {
        let limit = (self.limit > 0).then_some(self.limit);
        Ok(match self.after {
            Some(after) => reports::events::after(tx, EventId(after), wanted, limit.unwrap_or(u32::MAX))?,
            None => reports::events::list(tx, wanted, &Page { limit, skip: self.skip, sort: None })?,
        })
    }

    /// The list that goes on, of a server elsewhere. One that does not answer for a while is asked again.
    pub fn follow_at(&self, server: &Server, printer: &Printer) -> Result<Output, Failure> {
        let query = self.query.join(" ");
        let list = |words: &[(&str, i64)]| server.list(LIST, &query, words);
        let newest = || Ok::<_, Failure>(last_of(&server.list(LIST, "", &[("limit", 1)])?).unwrap_or(NONE));
        let (limit, at_first) = (("limit", i64::from(self.limit)), newest()?);
        let before = match self.after {
            Some(after) => list(&[limit, ("after", after)])?,
            None => list(&[limit])?,
        };
        let seen = match self.after {
            Some(after) => last_of(&before).unwrap_or(EventId(after)),
            None => last_of(&before).unwrap_or(NONE).max(at_first),
        };
        let mut is_away = false;
        go_on(printer, before, seen, ASK_EVERY, |seen| {
            let asked = newest().and_then(|newest| {
                if newest == seen {
                    return Ok(None);
                }
                Ok(Some((list(&[("limit", i64::from(MOST)), ("after", seen.0)])?, newest)))
            });
            match asked {
                Err(failure) if matches!(failure.code, Code::Failed) => {
                    if !std::mem::replace(&mut is_away, true) {
                        tracing::warn!("{}; it is asked again", failure.message);
                    }
                    Ok(None)
                }
                told => {
                    is_away = false;
                    told
                }
            }
        })
    }
}

/// The number of the last event of a list.
fn last_of(table: &Table) -> Option<EventId> {
    match table.rows.last()?.first()? {
        Value::Int(id) => Some(EventId(*id)),
        _ => None,
    }
}

/// Prints a list, and then what happens, until a person or the machine stops it, or nobody reads. `newer` gives what
/// came after an event, [`MOST`] of it, and the newest event that there was before.
fn go_on(
    printer: &Printer,
    before: Table,
    mut seen: EventId,
    every: Duration,
    mut newer: impl FnMut(EventId) -> Result<Option<(Table, EventId)>, Failure>,
) -> Result<Output, Failure> {
    let mut widths = Widths::default();
    printer.follow(before, &mut widths, true)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|e| Failure::failed(format!("start the waiting: {e}")))?;
    runtime.block_on(async {
        let heard = |kind| signal(kind).map_err(|e| Failure::failed(format!("listen for signals: {e}")));
        let (mut interrupt, mut terminate) =
            (heard(SignalKind::interrupt())?, heard(SignalKind::terminate())?);
        loop {
            let mut is_full = false;
            if let Some((table, newest)) = newer(seen)? {
                is_full = table.rows.len() >= usize::try_from(MOST).unwrap_or(usize::MAX);
                let last = last_of(&table).unwrap_or(NONE);
                // One that is smaller than what was seen is that of another database, put in its place.
                seen = if is_full { last } else { newest.max(last) };
                if !table.rows.is_empty() {
                    printer.follow(table, &mut widths, false)?;
                }
            }
            let pause = if is_full { Duration::ZERO } else { every };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                _ = interrupt.recv() => return Err(Failure::interrupted()),
                _ = terminate.recv() => return Ok(Output::Nothing),
            }
        }
    })
}
