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
    /// Show an outage: where its fault was, what was recorded, what was not measured, who acts
    #[command(
        after_help = "Example:\n  lineman outage show 7\n  lineman outage show 7 --json verdict\n  lineman outage show 7 --text"
    )]
    Show {
        /// Its number
        number: String,
        /// Only the text that is sent to whoever is to act
        #[arg(long)]
        text: bool,
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
            OutageVerb::Show { number, text } => context.ask(|tx| {
                let outage = outages::get(tx, &number)?;
                let shown = reports::outages::show(tx, &outage)?;
                if !text {
                    return Ok(Output::Said(shown.table, shown.story));
                }
                let why = format!("nobody has judged outage {} yet", outage.id);
                let letter = shown.letter.ok_or_else(|| {
                    Failure::failed(why).hint("a running server judges it: start `lineman serve`")
                })?;
                Ok(Output::Text(letter))
            }),
        }
    }
}
