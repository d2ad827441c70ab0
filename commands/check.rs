//! `lineman check`: what is watched about a device.

use clap::builder::{PossibleValue, PossibleValuesParser};
use clap::{Args, Subcommand};
use lineman::app::Snapshot;
use lineman::domain::check::Kind;
use lineman::reports;
use lineman::server::ping;
use lineman::store::checks::{self, Check};
use lineman::store::{Tx, agents, devices};
use schedules::{Cadence, Millis};

use crate::data::Context;
use crate::failure::Failure;
use crate::list::Wanted;
use crate::measure;
use crate::output::Output;
use crate::probe::{ProbeOptions, asked};

/// What is watched about devices
#[derive(Subcommand)]
pub enum CheckVerb {
    /// Add a check to a device
    #[command(
        after_help = "Example:\n  lineman check add gateway icmp --every 10s\n  lineman check add web http --url https://{address}/ --status 200 --keyword Welcome\n  lineman check add nas ping --cron '30 2 * * *' --grace 1h"
    )]
    Add(Box<AddOptions>),
    /// List checks
    #[command(after_help = "Example:\n  lineman check list 'status:failed device:gateway'")]
    List(Wanted),
    /// Show a check
    #[command(after_help = "Example:\n  lineman check show 7")]
    Show(Number),
    /// Remove a check, with its readings
    #[command(after_help = "Example:\n  lineman check remove 7")]
    Remove(Number),
    /// Make a check here and now, or ask the agent that makes it; what is known of it stays as it is
    #[command(after_help = "Example:\n  lineman check run 7\n  lineman check run gateway")]
    Run {
        /// Its number, or a device for all of its checks
        #[arg(value_name = "NUMBER|DEVICE")]
        which: String,
    },
}

/// Which check.
#[derive(Args)]
pub struct Number {
    /// Its number
    number: String,
}

/// A check that is to be.
#[derive(Args)]
pub struct AddOptions {
    /// The device it is about
    device: String,
    /// What it does: icmp (echo), tcp (connect), http (request), or ping (wait for a call of a URL)
    #[arg(value_parser = kinds())]
    kind: String,
    #[command(flatten)]
    probe: ProbeOptions,
    /// How often it runs [default: the setting check.every]
    #[arg(long, value_name = "SPAN", value_parser = span_cadence, conflicts_with = "cron", help_heading = "When")]
    every: Option<Cadence>,
    /// When it runs: minute, hour, day, month, weekday, and a time zone
    #[arg(long, value_name = "LINE", value_parser = cron_cadence, help_heading = "When")]
    cron: Option<Cadence>,
    /// How long it waits for an answer [default: the setting check.timeout]
    #[arg(long, value_name = "SPAN", value_parser = timeout, help_heading = "When")]
    timeout: Option<Millis>,
    /// How long a ping may be late [default: the setting check_in.grace]
    #[arg(long, value_name = "SPAN", value_parser = grace, help_heading = "When")]
    grace: Option<Millis>,
    /// The device whose agent runs it [default: the server itself]
    #[arg(long, value_name = "DEVICE")]
    from: Option<String>,
}

fn kinds() -> PossibleValuesParser {
    let shown = ["icmp", "tcp", "http", "ping"].map(PossibleValue::new);
    PossibleValuesParser::new(shown.into_iter().chain([PossibleValue::new("check-in").hide(true)]))
}

fn span_cadence(text: &str) -> Result<Cadence, String> {
    text.parse::<Millis>().map_err(|e| e.to_string())?;
    text.parse().map_err(|e: schedules::BadCadence| e.to_string())
}

fn cron_cadence(text: &str) -> Result<Cadence, String> {
    match text.parse() {
        Ok(cadence @ Cadence::Cron(_)) => Ok(cadence),
        Ok(Cadence::Every(_)) => Err("this is a span, not a cron line: say it behind --every".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

fn timeout(text: &str) -> Result<Millis, String> {
    within(text, Millis(10), Millis::from_secs(600))
}

fn grace(text: &str) -> Result<Millis, String> {
    within(text, Millis::ZERO, Millis::from_secs(366 * 86_400))
}

/// A span that is no shorter and no longer than these.
pub fn within(text: &str, from: Millis, to: Millis) -> Result<Millis, String> {
    let span: Millis = text.parse().map_err(|e: schedules::BadSpan| e.to_string())?;
    if span < from || span > to {
        return Err(format!("this must be from {from} to {to}"));
    }
    Ok(span)
}

impl CheckVerb {
    /// Does it.
    pub fn run(self, context: &Context) -> Result<Output, Failure> {
        match self {
            CheckVerb::Add(options) => options.run(context),
            CheckVerb::List(wanted) => context.ask(|tx| {
                let (selection, page) = wanted.read(checks::QUERY, checks::TEXT, tx.now)?;
                Ok(Output::Table(reports::checks::list(tx, &selection, &page)?))
            }),
            CheckVerb::Show(Number { number }) => {
                context.ask(|tx| Ok(Output::Record(reports::checks::record(&checks::get(tx, &number)?))))
            }
            CheckVerb::Run { which } => measure::run(context, &which),
            CheckVerb::Remove(Number { number }) => context.change(move |tx, by| {
                let check = checks::get(tx, &number)?;
                refuse_what_is_not_a_persons(&check)?;
                checks::remove(tx, &check, by)?;
                let said = format!("removed check {} ({} of {})\n", check.id, check.kind, check.device.1);
                Ok(Output::Said(reports::checks::record(&check), said))
            }),
        }
    }
}

/// Some checks come and go by themselves.
fn refuse_what_is_not_a_persons(check: &Check) -> Result<(), Failure> {
    let why = match check.kind {
        Kind::Icmp | Kind::Tcp | Kind::Http | Kind::Ping => return Ok(()),
        Kind::CheckIn => "it is the agent's own, and stays as long as its device has one",
        Kind::Contact => "it is the server's own attempt to reach the device, and ends by itself",
    };
    Err(Failure::refused(format!(
        "check {} ({} of {}) is not removed: {why}",
        check.id, check.kind, check.device.1
    ))
    .hint("`lineman device pause` ends the watching for a while"))
}

impl AddOptions {
    fn run(self, context: &Context) -> Result<Output, Failure> {
        let AddOptions { device, kind, probe, every, cron, timeout, grace, from } = self;
        let cadence = every.or(cron);
        let kind = match kind.as_str() {
            "check-in" => {
                return Err(Failure::usage("a check-in check comes with the agent that checks in").hint(
                    "`lineman device add NAME --join` makes a device for an agent; `lineman check add DEVICE ping` waits for plain calls",
                ));
            }
            other => other.parse::<Kind>().map_err(|e| Failure::usage(e.to_string()))?,
        };
        let is_ping = kind == Kind::Ping;
        let strange = [
            (is_ping && timeout.is_some(), "--timeout", "icmp, tcp and http: say --grace"),
            (is_ping && from.is_some(), "--from", "icmp, tcp and http: a ping comes by itself"),
            (!is_ping && grace.is_some(), "--grace", "ping: say --timeout"),
        ];
        if let Some((_, flag, to)) = strange.into_iter().find(|(wrong, _, _)| *wrong) {
            return Err(Failure::usage(format!("{flag} belongs to {to}")));
        }
        if is_ping && cadence.is_none() {
            return Err(Failure::usage("a ping check needs to know when a ping is due")
                .hint("add --every 1d or --cron '30 2 * * *'"));
        }
        let probe = asked(probe, kind)?;
        let ping_key = if is_ping { Some(random_key()?) } else { None };
        context.change(move |tx, by| {
            let device = devices::get(tx, &device)?;
            let from = from.map(|from| with_agent(tx, &from)).transpose()?;
            let aims_at_address = probe.as_ref().is_some_and(crate::probe::aims_at_address);
            let new = checks::New {
                probe,
                cadence: cadence.map(|cadence| cadence.to_string()),
                timeout: timeout.or(grace),
                from,
                ping_key,
                ..checks::New::plain(device.id, kind)
            };
            let check = checks::add(tx, &new, by)?;
            let mut more = String::new();
            if let Some(key) = &check.ping_key {
                checks::set_due(tx, check.id, ping::next_due(&check, &Snapshot::load(tx)?, tx.now))?;
                more = format!("it is pinged with a GET, HEAD or POST of /ping/{key} at the server\n");
            }
            if aims_at_address && device.address.is_none() {
                more = format!(
                    "device '{0}' has no address yet: it is unknown until it has one (lineman device edit {0} --address A)\n",
                    device.name
                );
            }
            Ok(Output::Changed(reports::checks::record(&check), more))
        })
    }
}

/// The device of that name, which must have an agent to run checks.
fn with_agent(tx: &Tx, name: &str) -> Result<lineman::domain::ids::DeviceId, Failure> {
    let device = devices::get(tx, name)?;
    if agents::of_device(tx, device.id, "")?.is_none() {
        return Err(Failure::refused(format!(
            "device '{}' has no agent that could run a check",
            device.name
        ))
        .hint("`lineman device edit NAME --join` makes a token with which its agent joins"));
    }
    Ok(device.id)
}

/// A key that nobody guesses, in the form of a UUID.
fn random_key() -> Result<String, Failure> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes).map_err(|e| Failure::failed(format!("make a random key: {e}")))?;
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let mut key = String::with_capacity(36);
    for (at, byte) in bytes.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            key.push('-');
        }
        key.push_str(&format!("{byte:02x}"));
    }
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ping_key_has_the_form_of_a_uuid_and_is_another_one_each_time() {
        let key = random_key().unwrap();
        assert_eq!(key.len(), 36);
        assert_eq!(key.as_bytes()[14], b'4');
        assert_ne!(key, random_key().unwrap());
    }

    #[test]
    fn when_a_check_runs_is_read_strictly() {
        assert!(span_cadence("30s").is_ok());
        assert!(span_cadence("0 7 * * *").is_err());
        assert!(cron_cadence("0 7 * * 1-5 Europe/Berlin").is_ok());
        assert!(cron_cadence("30s").is_err());
        assert!(cron_cadence("61 * * * *").is_err());
        assert!(timeout("1h").is_err());
    }
}
