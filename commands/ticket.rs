//! `lineman ticket`: work for people.

use std::io::Read;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand};
use jiff::tz::TimeZone;
use lineman::app::Snapshot;
use lineman::domain::device::Importance;
use lineman::domain::ticket::{Kind, Priority, Weights, score};
use lineman::domain::when;
use lineman::reports;
use lineman::server::tickets as desk;
use lineman::store::events::Actor;
use lineman::store::tickets::{self, End, Ticket};
use lineman::store::{Tx, WriteTx, devices};
use schedules::{Millis, Time};

use crate::data::Context;
use crate::failure::Failure;
use crate::list::Wanted;
use crate::output::Output;

/// The list where nothing else is asked for: what is not done.
const USUAL: &str = "state:open,waiting,recovered";

/// Work for people
#[derive(Subcommand)]
pub enum TicketVerb {
    /// List tickets, the most urgent first; those that are not done, unless something else is asked for
    #[command(
        after_help = "Example:\n  lineman ticket list\n  lineman ticket list 'priority:P1,P2 site:north opened:<7d'"
    )]
    List {
        #[command(flatten)]
        wanted: Wanted,
        /// Also those that are done
        #[arg(long, conflicts_with = "query")]
        all: bool,
    },
    /// Show a ticket, with what is written on it
    #[command(after_help = "Example:\n  lineman ticket show 7")]
    Show(Number),
    /// Open a ticket
    #[command(after_help = "Example:\n  lineman ticket open 'Swap the fan' --device gateway")]
    Open(OpenOptions),
    /// Write on a ticket; who does has acknowledged it
    #[command(
        after_help = "Example:\n  lineman ticket comment 7 'The cable is broken'\n  dmesg | tail -50 | lineman ticket comment 7 -"
    )]
    Comment {
        /// Its number
        number: String,
        /// What to write; - reads it from standard input
        text: String,
    },
    /// Give a ticket to somebody; who has it has acknowledged it
    #[command(after_help = "Example:\n  lineman ticket assign 7 ana\n  lineman ticket assign 7 --nobody")]
    Assign {
        /// Its number
        number: String,
        /// To whom
        #[arg(required_unless_present = "nobody")]
        who: Option<String>,
        /// To nobody
        #[arg(long, conflicts_with = "who")]
        nobody: bool,
    },
    /// Say that you know of a ticket: it stops ageing, and nobody else is called
    #[command(
        after_help = "Example:\n  lineman ticket acknowledge 7 --note 'on my way'\n  lineman ticket acknowledge 7 --until +2h"
    )]
    Acknowledge {
        /// Its number
        number: String,
        /// What you know; - reads it from standard input
        #[arg(long, value_name = "TEXT")]
        note: Option<String>,
        /// When that ends by itself
        #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
        until: Option<String>,
    },
    /// Take an acknowledgement back
    #[command(after_help = "Example:\n  lineman ticket unacknowledge 7")]
    Unacknowledge(Number),
    /// Set a ticket's priority, whatever its score
    #[command(after_help = "Example:\n  lineman ticket pin 7 P1 --note 'the mayor is affected'")]
    Pin {
        /// Its number
        number: String,
        /// The priority
        #[arg(value_parser = priority())]
        priority: Priority,
        /// Why
        #[arg(long, value_name = "TEXT")]
        note: Option<String>,
    },
    /// Let a ticket's priority follow its score again
    #[command(after_help = "Example:\n  lineman ticket unpin 7")]
    Unpin(Number),
    /// Say that a ticket waits for somebody else: its service clock stands
    #[command(
        after_help = "Example:\n  lineman ticket wait 7 --until '2026-11-27 09:00' --note 'the provider comes'"
    )]
    Wait {
        /// Its number
        number: String,
        /// When it is worked on again by itself
        #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
        until: Option<String>,
        /// For what it waits
        #[arg(long, value_name = "TEXT")]
        note: Option<String>,
    },
    /// Work on a waiting ticket again
    #[command(after_help = "Example:\n  lineman ticket resume 7")]
    Resume(Number),
    /// Make a ticket part of another one, which it follows from then on
    #[command(after_help = "Example:\n  lineman ticket merge 8 7")]
    Merge {
        /// Its number
        number: String,
        /// The number of the other
        into: String,
    },
    /// Say that the work on a ticket is done
    #[command(after_help = "Example:\n  lineman ticket resolve 7 --reason 'new power supply'")]
    Resolve {
        /// Its number
        number: String,
        /// What was done; needed while its device is still down
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
    /// Close a ticket
    #[command(after_help = "Example:\n  lineman ticket close 7 --reason 'The device was taken away'")]
    Close {
        /// Its number
        number: String,
        /// Why; needed while its device is still down
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
    /// Open a ticket again that is done
    #[command(after_help = "Example:\n  lineman ticket reopen 7")]
    Reopen(Number),
    /// Say line by line why a ticket's priority is what it is
    #[command(after_help = "Example:\n  lineman ticket explain 7")]
    Explain(Number),
}

/// Which ticket.
#[derive(Args)]
pub struct Number {
    /// Its number
    number: String,
}

/// A ticket that is to be.
#[derive(Args)]
pub struct OpenOptions {
    /// What there is to do
    title: String,
    /// The device it is about
    #[arg(long, value_name = "DEVICE")]
    device: Option<String>,
    /// What kind of work it is
    #[arg(long, value_name = "KIND", default_value = "request", value_parser = kind())]
    kind: Kind,
}

fn priority() -> impl TypedValueParser<Value = Priority> {
    PossibleValuesParser::new(Priority::NAMES).try_map(|word| word.parse())
}

fn kind() -> impl TypedValueParser<Value = Kind> {
    PossibleValuesParser::new(["request", "project"]).try_map(|word| word.parse())
}

impl TicketVerb {
    /// Does it.
    pub fn run(self, context: &Context) -> Result<Output, Failure> {
        match self {
            TicketVerb::List { mut wanted, all } => context.ask(|tx| {
                if wanted.query.is_empty() && !all {
                    wanted.query.push(USUAL.to_owned());
                }
                let (selection, page) = wanted.read(tickets::QUERY, tickets::TEXT, tx.now)?;
                Ok(Output::Table(reports::tickets::list(tx, &selection, &page)?))
            }),
            TicketVerb::Show(Number { number }) => context.ask(|tx| {
                let ticket = tickets::get(tx, &number)?;
                Ok(Output::Record(reports::tickets::record(tx, &ticket)?))
            }),
            TicketVerb::Explain(Number { number }) => context.ask(|tx| {
                let ticket = tickets::get(tx, &number)?;
                Ok(Output::Table(reports::tickets::reasons(tx, &ticket, &desk::score(tx, &ticket)?)?))
            }),
            TicketVerb::Open(options) => open(options, context),
            TicketVerb::Comment { number, text } => {
                let text = text_of(text)?;
                change(context, number, move |tx, ticket, by| Ok(tickets::comment(tx, ticket, &text, by)?))
            }
            TicketVerb::Assign { number, who, nobody: _ } => assign(context, number, who),
            TicketVerb::Acknowledge { number, note, until } => {
                let note = note.map(text_of).transpose()?;
                change(context, number, move |tx, ticket, by| {
                    let until = moment(until.as_deref(), tx.now)?;
                    Ok(tickets::acknowledge(tx, ticket, note.as_deref(), until, by)?)
                })
            }
            TicketVerb::Unacknowledge(Number { number }) => {
                change(context, number, |tx, ticket, by| Ok(tickets::unacknowledge(tx, ticket, by)?))
            }
            TicketVerb::Pin { number, priority, note } => change(context, number, move |tx, ticket, by| {
                Ok(tickets::pin(tx, ticket, Some(priority), note.as_deref(), by)?)
            }),
            TicketVerb::Unpin(Number { number }) => {
                change(context, number, |tx, ticket, by| Ok(tickets::pin(tx, ticket, None, None, by)?))
            }
            TicketVerb::Wait { number, until, note } => change(context, number, move |tx, ticket, by| {
                let until = moment(until.as_deref(), tx.now)?;
                Ok(tickets::wait(tx, ticket, note.as_deref(), until, by)?)
            }),
            TicketVerb::Resume(Number { number }) => {
                change(context, number, |tx, ticket, by| Ok(tickets::resume(tx, ticket, by)?))
            }
            TicketVerb::Merge { number, into } => change(context, number, move |tx, ticket, by| {
                let into = tickets::get(tx, &into)?;
                if into.id == ticket.id || into.state.is_done() {
                    return Err(Failure::refused(format!(
                        "ticket {} cannot go into ticket {}, which is {}",
                        ticket.id,
                        into.id,
                        if into.id == ticket.id {
                            "itself".to_owned()
                        } else {
                            format!("{} already", into.state)
                        }
                    )));
                }
                if !tickets::merge(tx, ticket, &into, by)? {
                    let why = format!("ticket {} is {} already", ticket.id, ticket.state);
                    return Err(lineman::store::Error::Conflict(why).into());
                }
                Ok(())
            }),
            TicketVerb::Resolve { number, reason } => end(context, number, End::Resolved, reason),
            TicketVerb::Close { number, reason } => end(context, number, End::Closed, reason),
            TicketVerb::Reopen(Number { number }) => {
                change(context, number, |tx, ticket, by| Ok(tickets::reopen(tx, ticket, by)?))
            }
        }
    }
}

/// Changes a ticket, brings it up to date, and shows it as it is then.
fn change<F>(context: &Context, number: String, f: F) -> Result<Output, Failure>
where
    F: FnOnce(&WriteTx, &Ticket, &Actor) -> Result<(), Failure> + Send + 'static,
{
    context.change(move |tx, by| {
        let ticket = tickets::get(tx, &number)?;
        f(tx, &ticket, by)?;
        desk::refresh(tx, &Snapshot::load(tx)?, ticket.id, by)?;
        line(tx, &ticket)
    })
}

fn assign(context: &Context, number: String, who: Option<String>) -> Result<Output, Failure> {
    context.change(move |tx, by| {
        let ticket = tickets::get(tx, &number)?;
        let who = who.as_deref().map(|who| lineman::domain::name::check(who)).transpose();
        let who = who.map_err(|e| Failure::usage(format!("assign ticket {}: {e}", ticket.id)))?;
        tickets::assign(tx, &ticket, who, by)?;
        desk::refresh(tx, &Snapshot::load(tx)?, ticket.id, by)?;
        let ticket = tickets::of(tx, ticket.id)?;
        let said = match (who, ticket.acknowledged_at) {
            (Some(who), None) => format!(
                "nobody here is called '{who}' (no user, no notification): it is not acknowledged by that, and others are still told\n"
            ),
            (Some(_) | None, _) => String::new(),
        };
        Ok(Output::Changed(reports::tickets::record(tx, &ticket)?, said))
    })
}

fn end(context: &Context, number: String, how: End, reason: Option<String>) -> Result<Output, Failure> {
    change(context, number, move |tx, ticket, by| {
        let reason = reason.as_deref().map(str::trim).filter(|reason| !reason.is_empty());
        if reason.is_none() {
            refuse_while_down(tx, ticket)?;
        }
        Ok(tickets::end(tx, ticket, how, reason, by)?)
    })
}

/// A time that a person wrote, on the clocks of this machine.
fn moment(text: Option<&str>, now: Time) -> Result<Option<Time>, Failure> {
    let read = text.map(|text| when::time(text, now, &TimeZone::system())).transpose();
    read.map_err(|e| Failure::usage(e.to_string()))
}

/// A text as it was given, or from standard input where that is `-`.
fn text_of(text: String) -> Result<String, Failure> {
    if text == "-" { standard_input() } else { Ok(text) }
}

fn open(options: OpenOptions, context: &Context) -> Result<Output, Failure> {
    context.change(move |tx, by| {
        let OpenOptions { title, device, kind } = options;
        let device = device.map(|device| devices::get(tx, &device)).transpose()?;
        let importance = device.as_ref().map_or(Importance::Normal, |device| device.importance);
        let score = score(Weights::work(importance, Millis::ZERO));
        let new = tickets::New {
            kind,
            title,
            device: device.as_ref().map(|device| device.id),
            site: device.as_ref().and_then(|device| device.site.as_ref()).map(|site| site.0),
        };
        let rescore_at = lineman::domain::ticket::next_age_step(tx.now, tx.now);
        let id = tickets::open(tx, &new, &score, rescore_at, None, by)?;
        desk::refresh(tx, &Snapshot::load(tx)?, id, by)?;
        line(tx, &tickets::of(tx, id)?)
    })
}

/// A ticket whose device is still down is not done without a reason.
fn refuse_while_down(tx: &Tx, ticket: &Ticket) -> Result<(), Failure> {
    let Some((device, _)) = &ticket.device else { return Ok(()) };
    let device = devices::of(tx, *device)?;
    if ticket.kind == Kind::Outage && device.state.is_out() {
        return Err(Failure::refused(format!(
            "ticket {} is about device '{}', which is still {}",
            ticket.id, device.name, device.state
        ))
        .hint("say why it is closed all the same: --reason TEXT"));
    }
    Ok(())
}

/// The ticket as it is now.
fn line(tx: &Tx, ticket: &Ticket) -> Result<Output, Failure> {
    let ticket = tickets::of(tx, ticket.id)?;
    Ok(Output::Changed(reports::tickets::record(tx, &ticket)?, String::new()))
}

/// What is written on standard input, up to a little more than a comment may have.
fn standard_input() -> Result<String, Failure> {
    let most = u64::try_from(tickets::MAX_COMMENT).unwrap_or(u64::MAX).saturating_add(1);
    let mut bytes = Vec::new();
    let read = std::io::stdin().lock().take(most).read_to_end(&mut bytes);
    read.map_err(|e| Failure::failed(format!("read standard input: {e}")))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
