//! `lineman dns`: devices' names at the name server that is kept up to date.

use std::io::IsTerminal;

use clap::Subcommand;
use lineman::reports;
use lineman::store::dns::{self, State};
use lineman::store::{Tx, settings};

use crate::data::Context;
use crate::failure::Failure;
use crate::list::Wanted;
use crate::output::Output;

/// Devices' names at a name server (see the settings dns.server, dns.zone and dns.key)
#[derive(Subcommand)]
pub enum DnsVerb {
    /// List the names, and how each stands at the name server
    #[command(after_help = "Example:\n  lineman dns list\n  lineman dns list state:conflict,failing")]
    List(Wanted),
    /// Try again now, all that are not up to date or one; of one, what somebody else put there is looked at again
    #[command(after_help = "Example:\n  lineman dns retry\n  lineman dns retry gw.devices.example.net")]
    Retry {
        /// Its name, or its device's
        name: Option<String>,
    },
    /// Put the device's address in place of what somebody else put there
    #[command(after_help = "Example:\n  lineman dns take gw.devices.example.net")]
    Take {
        /// Its name, or its device's
        name: String,
    },
}

impl DnsVerb {
    /// Does it.
    pub fn run(self, context: &Context) -> Result<Output, Failure> {
        match self {
            DnsVerb::List(wanted) => list(&wanted, context),
            DnsVerb::Retry { name } => context.change(move |tx, _| {
                configured(tx)?;
                let one = name.as_deref().map(|name| dns::get(tx, name)).transpose()?;
                dns::try_again(tx, one.as_ref().map(|record| record.name.as_str()))?;
                match one {
                    Some(one) => {
                        Ok(Output::Changed(reports::dns::record(&dns::get(tx, &one.name)?), String::new()))
                    }
                    None => {
                        Ok(Output::Text("all names that are not up to date are tried again now\n".to_owned()))
                    }
                }
            }),
            DnsVerb::Take { name } => context.change(move |tx, _| {
                let record = dns::get(tx, &name)?;
                if record.state != State::Conflict {
                    let why =
                        format!("'{}' is {}: there is nothing of somebody else's", record.name, record.state);
                    return Err(Failure::refused(why));
                }
                if record.is_alias() {
                    return Err(Failure::refused(format!("{}: {}", record.name, record.said)));
                }
                dns::take(tx, &record.name)?;
                Ok(Output::Changed(reports::dns::record(&dns::get(tx, &record.name)?), String::new()))
            }),
        }
    }
}

/// Without a name server there is none, and a person is told what to set.
fn list(wanted: &Wanted, context: &Context) -> Result<Output, Failure> {
    let (table, missing) = context.ask(|tx| {
        let (selection, page) = wanted.read(dns::QUERY, dns::TEXT, tx.now)?;
        Ok((reports::dns::list(tx, &selection, &page)?, missing(tx)?))
    })?;
    let said = !missing.is_empty() && table.rows.is_empty() && context.printer.asked().is_none();
    if said && std::io::stdout().is_terminal() {
        return Ok(Output::Text(format!(
            "no name server is updated yet: run {}, and set dns.key if it asks for one\n{OWN}\n",
            missing
                .iter()
                .map(|key| format!("`lineman setting set {key} …`"))
                .collect::<Vec<_>>()
                .join(" and ")
        )));
    }
    Ok(Output::Table(table))
}

/// Where devices' names are found without a name server.
const OWN: &str = "lineman's own zone is `lineman serve --dns ADDR:PORT --zone NAME`";

/// The settings without which no name server is updated, and that are not set.
fn missing(tx: &Tx) -> Result<Vec<&'static str>, Failure> {
    let settings = settings::load(tx)?;
    Ok(["dns.server", "dns.zone"].into_iter().filter(|key| settings.text(key).is_empty()).collect())
}

/// Without a name server there is nothing to try.
fn configured(tx: &Tx) -> Result<(), Failure> {
    match missing(tx)?.first() {
        None => Ok(()),
        Some(key) => Err(Failure::refused(format!("no name server is updated: {key} is not set"))
            .hint(format!("lineman setting set {key} …; {OWN}"))),
    }
}
