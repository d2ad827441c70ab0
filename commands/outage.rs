//! `lineman outage`: when a device was down.

use clap::Subcommand;
use lineman::reports;
use lineman::store::outages;

use crate::data::Context;
use crate::failure::Failure;
use crate::list::Wanted;
use crate::output::Output;

/// When devices were down
#[derive(Subcommand)]
pub enum OutageVerb {
    /// List outages, the oldest first
    #[command(
        after_help = "Example:\n  lineman outage list open:yes\n  lineman outage list 'device:gateway started:<30d' --sort -started"
    )]
    List(Wanted),
    /// Show an outage
    #[command(after_help = "Example:\n  lineman outage show 7")]
    Show {
        /// Its number
        number: String,
    },
}

impl OutageVerb {
    /// Does it.
    pub fn run(self, context: &Context) -> Result<Output, Failure> {
        match self {
            OutageVerb::List(wanted) => context.ask(|tx| {
                let (selection, page) = wanted.read(outages::QUERY, outages::TEXT, tx.now)?;
                Ok(Output::Table(reports::outages::list(tx, &selection, &page)?))
            }),
            OutageVerb::Show { number } => context.ask(|tx| {
                let outage = outages::get(tx, &number)?;
                Ok(Output::Record(reports::outages::record(tx, &outage)))
            }),
        }
    }
}
