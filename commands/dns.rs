//! `lineman dns`: devices' names at the name server that is kept up to date.

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
    /// Try again now, all that are not up to date or one
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
            DnsVerb::List(wanted) => context.ask(|tx| {
                configured(tx)?;
                let (selection, page) = wanted.read(dns::QUERY, dns::TEXT, tx.now)?;
                Ok(Output::Table(reports::dns::list(tx, &selection, &page)?))
            }),
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
                dns::take(tx, &record.name)?;
                Ok(Output::Changed(reports::dns::record(&dns::get(tx, &record.name)?), String::new()))
            }),
        }
    }
}

/// Without a name server there is nothing to tell, and a person is told why.
fn configured(tx: &Tx) -> Result<(), Failure> {
    let settings = settings::load(tx)?;
    for key in ["dns.server", "dns.zone"] {
        if settings.text(key).is_empty() {
            return Err(Failure::refused(format!("no name server is updated: {key} is not set")).hint(
                format!("lineman setting set {key} …; lineman's own zone is `serve --dns … --zone …`"),
            ));
        }
    }
    Ok(())
}
