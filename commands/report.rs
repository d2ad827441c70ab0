//! `lineman report`: what can be said of a whole time.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand};
use lineman::domain::availability::{Month, Period};
use lineman::reports::availability::{self, Asked, By};
use lineman::store::{settings, sites};

use crate::data::Context;
use crate::failure::Failure;
use crate::output::Output;

/// What can be said of a whole time
#[derive(Subcommand)]
pub enum ReportVerb {
    /// How much of a time devices were reachable, as seen and as proven
    ///
    /// It is (up + degraded) / (up + degraded + down), in percent, rounded down. Time in which nobody knows, in which a
    /// device was unreachable behind another one, and in which it was out during maintenance is told apart and is in neither
    /// of the two; what is out beyond the end of a maintenance counts as down. Where nothing was measured, nothing is told:
    /// never 100 %.
    ///
    /// As seen is what lineman saw when it happened. As proven is the same, but for unknown time of which agents told
    /// afterwards that the device ran or answered (up), or did not answer (down).
    ///
    /// Months and days are those of each site's own clocks: a day has 23 or 25 hours when it has. Devices without a site are
    /// on the clocks of UTC.
    #[command(
        after_help = "Example:\n  lineman report availability --month 2026-10\n  lineman report availability --from 2026-11-01 --by day --site north -o csv"
    )]
    Availability(AvailabilityOptions),
}

/// For which time, and how.
#[derive(Args)]
pub struct AvailabilityOptions {
    /// The month [default: the last one that is over]
    #[arg(long, value_name = "MONTH")]
    month: Option<Month>,
    /// From when on, on the clocks of each site: `2026-11-01`, `-7d`, …
    #[arg(long, value_name = "TIME", conflicts_with = "month", allow_hyphen_values = true)]
    from: Option<String>,
    /// Until when; a day alone is its first moment [default: now]
    #[arg(long, value_name = "TIME", requires = "from", allow_hyphen_values = true)]
    until: Option<String>,
    /// The devices of this site alone
    #[arg(long, value_name = "SITE")]
    site: Option<String>,
    /// What a line is: a device, a site with all its devices together, or a day at a site
    #[arg(long, value_name = "WHAT", default_value = "device", value_parser = by())]
    by: By,
}

fn by() -> impl TypedValueParser<Value = By> {
    PossibleValuesParser::new(By::NAMES).try_map(|word| word.parse())
}

impl ReportVerb {
    /// Does it.
    pub fn run(self, context: &Context) -> Result<Output, Failure> {
        match self {
            ReportVerb::Availability(options) => options.run(context),
        }
    }
}

impl AvailabilityOptions {
    fn run(self, context: &Context) -> Result<Output, Failure> {
        let period = match (self.month, self.from) {
            (Some(month), _) => Period::Month(month),
            (None, Some(from)) => Period::Between(from, self.until),
            (None, None) => Period::LastMonth,
        };
        context.ask(|tx| {
            let site = match &self.site {
                Some(site) => Some(sites::get(tx, site)?.id),
                None => None,
            };
            let asked = Asked { period, site, by: self.by };
            Ok(Output::Table(availability::report(tx, &asked, &settings::load(tx)?)?))
        })
    }
}
