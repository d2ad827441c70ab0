//! `lineman schedule`: what runs by itself at set times.

use clap::Subcommand;
use lineman::reports;

use crate::data::Context;
use crate::failure::Failure;
use crate::output::Output;

/// What `serve` runs by itself at set times
#[derive(Subcommand)]
pub enum ScheduleVerb {
    /// List the schedules: when each ran, how that went, and when it runs next
    #[command(
        after_help = "Example:\n  lineman schedule list\n  lineman setting set maintenance.when '30 3 * * *'"
    )]
    List,
}

impl ScheduleVerb {
    /// Does it.
    pub fn run(self, context: &Context) -> Result<Output, Failure> {
        match self {
            ScheduleVerb::List => context.ask(|tx| Ok(Output::Table(reports::jobs::list(tx)?))),
        }
    }
}
