//! `lineman event`: the log of everything that happened.

use std::time::Duration;

use clap::{Args, Subcommand};
use exports::Table;
use lineman::app::App;
use lineman::domain::ids::EventId;
use lineman::reports;
use lineman::store::filter::{Page, Selection};
use lineman::store::{Mode, events};
use tokio::signal::unix::{SignalKind, signal};

use crate::data::Context;
use crate::failure::Failure;
use crate::grid::Widths;
use crate::list::selection;
use crate::output::Output;

/// How often a list that goes on looks whether something happened.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// The most events taken at a time.
const MOST: u32 = 500;

/// The log of everything that happened
#[derive(Subcommand)]
pub enum EventVerb {
    /// List events, the oldest first; of more than the limit the newest
    #[command(
        after_help = "Example:\n  lineman event list device:gateway at:<1d\n  lineman event list 'kind:ticket.*' --follow"
    )]
    List(ListOptions),
}

/// Which events.
#[derive(Args)]
pub struct ListOptions {
    /// What to look for: `key:value` (with commas: any of them; `-key:value`: not), `at:<7d`, or free text
    query: Vec<String>,
    /// At most so many, the newest; 0: all
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: u32,
    /// Leave out so many of the newest
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true, conflicts_with = "follow")]
    skip: u32,
    /// Go on, and print what happens as it happens
    #[arg(long)]
    follow: bool,
}

impl EventVerb {
    /// Does it.
    pub fn run(self, context: &Context) -> Result<Output, Failure> {
        let EventVerb::List(ListOptions { query, limit, skip, follow }) = self;
        let app = context.app(Mode::Existing)?;
        let wanted = selection(&query.join(" "), events::QUERY, events::TEXT, app.clock.now())?;
        let page = Page { limit: (limit > 0).then_some(limit), skip, sort: None };
        if !follow {
            return app.store.read(|tx| Ok(Output::Table(reports::events::list(tx, &wanted, &page)?)));
        }
        let (before, newest) = app
            .store
            .read(|tx| Ok::<_, Failure>((reports::events::list(tx, &wanted, &page)?, events::newest(tx)?)))?;
        let mut widths = Widths::default();
        context.printer.follow(before, &mut widths, true)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|e| Failure::failed(format!("start the waiting: {e}")))?;
        runtime.block_on(go_on(context, &app, &wanted, newest, widths))
    }
}

/// Prints what happens, until a person or the machine stops it, or nobody reads.
async fn go_on(
    context: &Context<'_>,
    app: &App,
    wanted: &Selection,
    mut seen: EventId,
    mut widths: Widths,
) -> Result<Output, Failure> {
    let heard = |kind| signal(kind).map_err(|e| Failure::failed(format!("listen for signals: {e}")));
    let (mut interrupt, mut terminate) = (heard(SignalKind::interrupt())?, heard(SignalKind::terminate())?);
    let mut version = None;
    loop {
        let now = app.store.version();
        if version != Some(now) {
            seen = newer(context, app, wanted, seen, &mut widths)?;
            version = Some(now);
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            _ = interrupt.recv() => return Err(Failure::interrupted()),
            _ = terminate.recv() => return Ok(Output::Nothing),
        }
    }
}

/// Prints what happened since; the newest event there is.
fn newer(
    context: &Context<'_>,
    app: &App,
    wanted: &Selection,
    mut seen: EventId,
    widths: &mut Widths,
) -> Result<EventId, Failure> {
    loop {
        let (events, newest) = app
            .store
            .read(|tx| Ok::<_, Failure>((events::after(tx, seen, wanted, MOST)?, events::newest(tx)?)))?;
        let full = events.len() >= usize::try_from(MOST).unwrap_or(usize::MAX);
        seen = match events.last() {
            Some(last) if full => last.id,
            Some(_) | None => newest.max(seen),
        };
        if !events.is_empty() {
            let mut table = Table::new("events", reports::events::columns());
            events.iter().for_each(|event| table.push(reports::events::row(event)));
            context.printer.follow(table, widths, false)?;
        }
        if !full {
            return Ok(seen);
        }
    }
}
