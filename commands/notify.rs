//! `lineman notify`: who is told what, by which way, and what was delivered.

use std::io::IsTerminal;

use clap::{Args, Subcommand};
use jiff::tz::TimeZone;
use lineman::domain::notify::quiet::Quiet;
use lineman::domain::notify::rota::{Rota, Swap};
use lineman::domain::notify::rule::{Directly, Rule};
use lineman::domain::ticket::Priority;
use lineman::domain::when;
use lineman::reports;
use lineman::server::notify::{compose, send};
use lineman::store::notify::entries::{self, Destination, Entry};
use lineman::store::notify::outbox;
use lineman::store::{Mode, Tx, WriteTx};
use schedules::{Millis, Time};

use crate::data::Context;
use crate::failure::Failure;
use crate::list::Wanted;
use crate::notify_channel::ChannelOptions;
use crate::output::Output;

const DAY: Millis = Millis::from_secs(86_400);
/// How many deliveries are listed where nobody says.
const USUAL: u32 = 50;

/// Who is told when something breaks and when it is mended
#[derive(Subcommand)]
pub enum NotifyVerb {
    /// Add somebody who is told, or a rota of such
    #[command(
        after_help = "Example:\n  lineman notify add ana email --to ana@example.org --from lineman@example.org --host mail.example.org\n  lineman notify add pager ntfy --topic noc-7f3a --when 'priority:P1,P2' --quiet 22:00-07:00 --tz Europe/Berlin\n  lineman notify add boss ntfy --topic boss-91c2 --when priority:P1 --after 15m\n  lineman notify add duty rota --member ana --member ben --from '2026-11-23 09:00' --every 7d --tz Europe/Berlin"
    )]
    Add(Box<AddOptions>),
    /// List who is told what
    #[command(after_help = "Example:\n  lineman notify list\n  lineman notify list kind:email -o json")]
    List(Wanted),
    /// Show one: what it is told, how, and for a rota who has duty now and next
    #[command(after_help = "Example:\n  lineman notify show duty")]
    Show(Named),
    /// Change what one is told; with a kind behind it also how
    #[command(
        after_help = "Example:\n  lineman notify edit ana --when 'site:north' --quiet never\n  lineman notify edit ana email --to ana@example.net --from lineman@example.org --host mail.example.org"
    )]
    Edit(Box<EditOptions>),
    /// Tell one nothing new until it is resumed; what it was told is still mended
    #[command(after_help = "Example:\n  lineman notify pause ana")]
    Pause(Named),
    /// Tell it again, and what broke meanwhile and still lasts
    #[command(after_help = "Example:\n  lineman notify resume ana")]
    Resume(Named),
    /// Remove one, with what waits for it
    #[command(after_help = "Example:\n  lineman notify remove ana")]
    Remove(Named),
    /// Send a test message at once, and say what came of it
    #[command(after_help = "Example:\n  lineman notify test ana")]
    Test(Named),
    /// Let somebody have duty whose turn it is not
    #[command(
        after_help = "Example:\n  lineman notify rota-swap duty --who ben --from '2026-12-24 09:00' --until '2026-12-25 09:00'"
    )]
    RotaSwap(SwapOptions),
    /// List what is delivered, the newest first
    #[command(
        after_help = "Example:\n  lineman notify outbox\n  lineman notify outbox 'state:waiting,failed to:ana' --json id,title,error"
    )]
    Outbox(Wanted),
    /// Try a delivery again that failed; one that waits, at once
    #[command(after_help = "Example:\n  lineman notify retry 12")]
    Retry {
        /// Its number
        delivery: String,
    },
}

/// Which one.
#[derive(Args)]
pub struct Named {
    /// Its name or id
    name: String,
}

/// One that is to be.
#[derive(Args)]
pub struct AddOptions {
    /// Its name
    name: String,
    #[command(flatten)]
    rule: RuleOptions,
    #[command(subcommand)]
    way: Way,
}

/// What is to change.
#[derive(Args)]
#[command(subcommand_negates_reqs = true)]
pub struct EditOptions {
    /// Its name or id
    name: String,
    /// Its new name
    #[arg(long = "name", value_name = "NAME")]
    new_name: Option<String>,
    /// It is told by itself again
    #[arg(long, conflicts_with = "never_by_itself")]
    by_itself: bool,
    #[command(flatten)]
    rule: RuleOptions,
    #[command(subcommand)]
    way: Option<Way>,
}

/// By which way, or of whom a rota is made
#[derive(Subcommand)]
pub enum Way {
    #[command(flatten)]
    Channel(ChannelOptions),
    /// Whoever of others has duty
    #[command(
        after_help = "Example:\n  lineman notify add duty rota --member ana --member ben --from '2026-11-23 09:00' --every 7d --tz Europe/Berlin"
    )]
    Rota(RotaOptions),
}

/// A rota.
#[derive(Args)]
pub struct RotaOptions {
    /// Who takes turns, in this order; again for the next
    #[arg(long = "member", value_name = "NAME", required = true)]
    members: Vec<String>,
    /// When the first one's first turn begins, on the clocks of --tz
    #[arg(long, value_name = "TIME")]
    from: String,
    /// How long a turn is, in whole days
    #[arg(long, value_name = "SPAN", default_value = "7d", value_parser = days)]
    every: i64,
}

/// What one is told, and when. These are understood before and behind the kind.
#[derive(Args)]
#[command(next_help_heading = "What it is told")]
pub struct RuleOptions {
    /// Only of outages whose tickets this query finds, as in `ticket list`; '' for all, and what concerns the server
    #[arg(long, value_name = "QUERY", global = true)]
    when: Option<String>,
    /// Only while it has duty in a rota
    #[arg(long, global = true)]
    never_by_itself: bool,
    /// Only of what has lasted so long and nobody acknowledged; 0s: at once
    #[arg(long, value_name = "SPAN", global = true)]
    after: Option<Millis>,
    /// Hours of each day, on the clocks of --tz, in which it is told only what passes; never: none
    #[arg(long, value_name = "22:00-07:00", global = true, value_parser = quiet)]
    quiet: Option<Hours>,
    /// The priorities that are told in quiet hours too [default: P1]; none: nothing is
    #[arg(long, value_name = "P1,P2", global = true, value_parser = passes)]
    quiet_passes: Option<Passes>,
    /// The time zone of its hours and its texts [default: UTC, and in texts that of the site]
    #[arg(long, value_name = "ZONE", global = true, value_parser = crate::site::zone)]
    tz: Option<String>,
    /// The login name of whom it reaches: he is not told what he did himself
    #[arg(long, value_name = "LOGIN", global = true)]
    person: Option<String>,
}

/// A swap.
#[derive(Args)]
pub struct SwapOptions {
    /// The rota
    name: String,
    /// Who has duty
    #[arg(long, value_name = "NAME")]
    who: String,
    /// From when on
    #[arg(long, value_name = "TIME")]
    from: String,
    /// Until when
    #[arg(long, value_name = "TIME")]
    until: String,
}

/// Quiet hours, or none.
#[derive(Clone, Copy)]
struct Hours(Option<Quiet>);

/// The priorities that pass.
#[derive(Clone)]
struct Passes(Vec<Priority>);

fn quiet(text: &str) -> Result<Hours, String> {
    match text.trim() {
        "never" => Ok(Hours(None)),
        text => text.parse().map(|quiet| Hours(Some(quiet))).map_err(|e: _| format!("{e}")),
    }
}

fn passes(text: &str) -> Result<Passes, String> {
    if text.trim() == "none" {
        return Ok(Passes(Vec::new()));
    }
    let all: Result<Vec<Priority>, _> =
        text.split(',').map(|word| word.trim().to_uppercase().parse::<Priority>()).collect();
    all.map(Passes).map_err(|e| e.to_string())
}

fn days(text: &str) -> Result<i64, String> {
    let span: Millis = text.parse().map_err(|e: schedules::BadSpan| e.to_string())?;
    match span.0.checked_rem(DAY.0) {
        Some(0) if span >= DAY => Ok(span.0 / DAY.0),
        _ => Err("a turn has whole days: write 1d or 7d".to_owned()),
    }
}

impl RuleOptions {
    /// The rule with what was said of it.
    fn over(self, rule: Rule) -> Rule {
        let RuleOptions { when, never_by_itself, after, quiet, quiet_passes, tz, person } = self;
        Rule {
            when: when.map_or(rule.when, |when| when.trim().to_owned()),
            told: if never_by_itself { Directly::No } else { rule.told },
            after: after.map_or(rule.after, |after| Some(after).filter(|after| *after > Millis::ZERO)),
            quiet: quiet.map_or(rule.quiet, |hours| hours.0),
            passes: quiet_passes.map_or(rule.passes, |passes| passes.0),
            zone: tz.or(rule.zone),
            person: person.map_or(rule.person, |login| Some(login).filter(|login| !login.is_empty())),
        }
    }
}

impl Way {
    /// What is known before the database is asked.
    fn read(self) -> Result<Read, Failure> {
        match self {
            Way::Channel(options) => Ok(Read::Channel(Destination::Channel(Box::new(options.channel()?)))),
            Way::Rota(options) => Ok(Read::Rota(options)),
        }
    }
}

enum Read {
    Channel(Destination),
    Rota(RotaOptions),
}

impl Read {
    fn destination(self, tx: &Tx, rule: &Rule) -> Result<Destination, Failure> {
        let RotaOptions { members, from, every } = match self {
            Read::Channel(destination) => return Ok(destination),
            Read::Rota(options) => options,
        };
        let members =
            members.iter().map(|name| Ok(entries::get(tx, name)?.id)).collect::<Result<_, Failure>>()?;
        let from = moment(&from, tx.now, &rule.zone(), "--from")?;
        Ok(Destination::Rota(Rota { from, days: every, members, swaps: Vec::new() }))
    }
}

fn moment(text: &str, now: Time, zone: &TimeZone, option: &str) -> Result<Time, Failure> {
    when::time(text, now, zone).map_err(|e| Failure::usage(format!("{option}: {e}")))
}

impl NotifyVerb {
    /// Does it.
    pub fn run(self, context: &Context) -> Result<Output, Failure> {
        match self {
            NotifyVerb::Add(options) => add(*options, context),
            NotifyVerb::List(wanted) => list(&wanted, context),
            NotifyVerb::Show(Named { name }) => {
                context.ask(|tx| Ok(Output::Record(reports::notify::record(tx, &entries::get(tx, &name)?)?)))
            }
            NotifyVerb::Edit(options) => edit(*options, context),
            NotifyVerb::Pause(named) => pause(named, Some(()), context),
            NotifyVerb::Resume(named) => pause(named, None, context),
            NotifyVerb::Remove(Named { name }) => context.change(move |tx, by| {
                let entry = entries::get(tx, &name)?;
                let table = reports::notify::line(tx, &entry)?;
                entries::remove(tx, &entry, by)?;
                let waiting = match entry.waiting {
                    0 => String::new(),
                    count => format!(", and {count} messages that waited for it"),
                };
                Ok(Output::Said(table, format!("removed notification '{}'{waiting}\n", entry.name)))
            }),
            NotifyVerb::Test(Named { name }) => test(&name, context),
            NotifyVerb::RotaSwap(options) => swap(options, context),
            NotifyVerb::Outbox(mut wanted) => context.ask(|tx| {
                if wanted.query.is_empty() && wanted.limit.is_none() {
                    wanted.limit = Some(USUAL);
                }
                let (selection, page) = wanted.read(outbox::QUERY, outbox::TEXT, tx.now)?;
                Ok(Output::Table(reports::notify::deliveries(tx, &selection, &page)?))
            }),
            NotifyVerb::Retry { delivery } => context.change(move |tx, by| {
                outbox::retry(tx, &outbox::get(tx, &delivery)?, by)?;
                let delivery = outbox::get(tx, &delivery)?;
                Ok(Output::Changed(reports::notify::delivery(&delivery), String::new()))
            }),
        }
    }
}

fn add(options: AddOptions, context: &Context) -> Result<Output, Failure> {
    let AddOptions { name, rule, way } = options;
    let (rule, read) = (rule.over(Rule::everything()), way.read()?);
    context.change(move |tx, by| {
        let destination = read.destination(tx, &rule)?;
        let entry = entries::add(tx, &entries::New { name, destination, rule }, by)?;
        changed(tx, &entry)
    })
}

fn edit(options: EditOptions, context: &Context) -> Result<Output, Failure> {
    let EditOptions { name, new_name, by_itself, rule, way } = options;
    let read = way.map(Way::read).transpose()?;
    context.change(move |tx, by| {
        let was = entries::get(tx, &name)?;
        let mut rule = rule.over(was.rule.clone());
        if by_itself {
            rule.told = Directly::Yes;
        }
        let destination = match read {
            Some(read) => read.destination(tx, &rule)?,
            None => was.destination.clone(),
        };
        let name = new_name.unwrap_or_else(|| was.name.clone());
        let new = Entry { name, destination, rule, ..was.clone() };
        changed(tx, &entries::edit(tx, &was, &new, by)?)
    })
}

fn pause(Named { name }: Named, paused: Option<()>, context: &Context) -> Result<Output, Failure> {
    context.change(move |tx, by| {
        let was = entries::get(tx, &name)?;
        let paused_at = paused.map(|()| was.paused_at.unwrap_or(tx.now));
        let entry = entries::edit(tx, &was, &Entry { paused_at, ..was.clone() }, by)?;
        Ok(Output::Changed(reports::notify::line(tx, &entry)?, String::new()))
    })
}

fn swap(options: SwapOptions, context: &Context) -> Result<Output, Failure> {
    context.change(move |tx, by| {
        let entry = entries::get(tx, &options.name)?;
        let zone = entry.rule.zone();
        let swap = Swap {
            who: entries::get(tx, &options.who)?.id,
            from: moment(&options.from, tx.now, &zone, "--from")?,
            until: moment(&options.until, tx.now, &zone, "--until")?,
        };
        let entry = entries::swap(tx, &entry, &swap, by)?;
        Ok(Output::Changed(reports::notify::line(tx, &entry)?, String::new()))
    })
}

/// The entry as it is now, and what it is told.
fn changed(tx: &WriteTx, entry: &Entry) -> Result<Output, Failure> {
    let rule = entry.rule.in_words();
    let more = format!("'{}' is {rule}; and when what it was told is mended, always\n", entry.name);
    Ok(Output::Changed(reports::notify::line(tx, entry)?, more))
}

fn list(wanted: &Wanted, context: &Context) -> Result<Output, Failure> {
    let table = context.ask(|tx| {
        let (selection, page) = wanted.read(entries::QUERY, entries::TEXT, tx.now)?;
        Ok(reports::notify::list(tx, &selection, &page)?)
    })?;
    let nobody = table.rows.is_empty() && wanted.query.is_empty();
    if nobody && context.printer.asked().is_none() && std::io::stdout().is_terminal() {
        return Ok(Output::Text(
            "nobody is told: add somebody with `lineman notify add NAME KIND`; see `lineman notify add --help`\n"
                .to_owned(),
        ));
    }
    Ok(Output::Table(table))
}

fn test(name: &str, context: &Context) -> Result<Output, Failure> {
    let app = context.app(Mode::Existing)?;
    let now = app.clock.now();
    let (to, channel) = app.store.read(|tx| {
        let mut entry = entries::get(tx, name)?;
        if let Destination::Rota(rota) = &entry.destination {
            let duty = rota.duty(tx.now, &entry.rule.zone());
            let duty = duty.ok_or_else(|| Failure::refused(format!("nobody of '{name}' has duty")))?;
            entry = entries::of(tx, duty.who)?;
        }
        match entry.destination {
            Destination::Channel(channel) => Ok((entry.name, channel)),
            Destination::Rota(_) => Err(Failure::failed(format!("'{}' is a rota in a rota", entry.name))),
        }
    })?;
    let message = compose::test(&to, now)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|e| Failure::failed(format!("start the sending: {e}")))?;
    match runtime.block_on(send(&channel, &message, now)) {
        Ok(sent) if sent.said.is_empty() => Ok(Output::Text(format!("'{to}' was told\n"))),
        Ok(sent) => Ok(Output::Text(format!("'{to}' was told: {}\n", sent.said))),
        Err(failed) => Err(Failure::failed(format!("'{to}' was not told: {}", failed.why))
            .hint(format!("see `lineman notify show {to}`, and `lineman notify edit` to change it"))),
    }
}
