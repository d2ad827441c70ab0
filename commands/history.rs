//! `lineman device history`: what a device was, and what its checks measured.

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use jiff::tz::TimeZone;
use lineman::domain::history::Interval;
use lineman::domain::rollup::Every;
use lineman::domain::when;
use lineman::reports;
use lineman::store::checks::{self, Check};
use lineman::store::devices::{self, Device};
use lineman::store::{Tx, settings, sites};
use schedules::{Millis, Time};

use crate::data::Context;
use crate::failure::Failure;
use crate::output::Output;

/// How far back states are told where nobody says.
const STATES: Millis = Millis::from_secs(30 * 86_400);
/// How far back readings are.
const READINGS: Millis = Millis::from_secs(86_400);

/// What of a device's history is wanted.
#[derive(Args)]
pub struct HistoryOptions {
    /// Its name or id
    device: String,
    /// From when on: `2026-11-22 14:00`, `-7d`, … [default: -30d; with --readings: -1d]
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    from: Option<String>,
    /// Until when [default: now]
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    until: Option<String>,
    /// What was measured, by all its checks or by one: its number, or its kind
    #[arg(long, value_name = "CHECK", num_args = 0..=1, default_missing_value = "")]
    readings: Option<String>,
    /// How finely the readings are told; older ones may be kept less finely
    #[arg(long, value_name = "HOW", requires = "readings", default_value = "auto", value_parser = every())]
    every: Every,
    /// At most so many lines: the newest
    #[arg(long, value_name = "N")]
    limit: Option<u32>,
}

fn every() -> impl TypedValueParser<Value = Every> {
    PossibleValuesParser::new(Every::NAMES).try_map(|word| word.parse())
}

impl HistoryOptions {
    /// Does it.
    pub fn run(self, context: &Context) -> Result<Output, Failure> {
        context.ask(|tx| {
            let device = devices::get(tx, &self.device)?;
            let settings = settings::load(tx)?;
            let usual = if self.readings.is_some() { READINGS } else { STATES };
            let interval = self.interval(tx.now, usual)?;
            let Some(which) = &self.readings else {
                return Ok(Output::Table(reports::history::states(
                    tx, &device, interval, &settings, self.limit,
                )?));
            };
            let checks = wanted(tx, &device, which)?;
            let zone = zone(tx, &device)?;
            let table = reports::history::readings(
                tx,
                &checks,
                interval,
                self.every,
                (&settings, &zone),
                self.limit,
            )?;
            Ok(Output::Table(table))
        })
    }

    /// Nothing is known of the future.
    fn interval(&self, now: Time, usual: Millis) -> Result<Interval, Failure> {
        let at = |text: &str| {
            when::time(text, now, &TimeZone::system()).map_err(|e| Failure::usage(e.to_string()))
        };
        let until = self.until.as_deref().map_or(Ok(now), at)?;
        let from = self.from.as_deref().map_or(Ok(until.min(now) - usual), at)?;
        if from >= until {
            return Err(Failure::usage("this time ends before it begins").hint("--from lies before --until"));
        }
        Ok((from, until.min(now)))
    }
}

fn wanted(tx: &Tx, device: &Device, which: &str) -> Result<Vec<Check>, Failure> {
    let all = checks::of_device(tx, device.id)?;
    let is_wanted =
        |check: &Check| which.is_empty() || check.id.to_string() == which || check.kind.as_str() == which;
    let known: Vec<String> = all.iter().map(|check| format!("{} ({})", check.id, check.kind)).collect();
    let wanted: Vec<Check> = all.into_iter().filter(is_wanted).collect();
    if wanted.is_empty() && !which.is_empty() {
        let shown: String = which.chars().take(40).collect::<String>().escape_debug().to_string();
        let hint = match known.is_empty() {
            true => "it has no checks".to_owned(),
            false => format!("it has {}", known.join(", ")),
        };
        return Err(Failure::from(lineman::store::Error::not_found("check", &shown)).hint(hint));
    }
    Ok(wanted)
}

/// The zone on whose clocks a device's days are: its site's.
fn zone(tx: &Tx, device: &Device) -> Result<TimeZone, Failure> {
    let Some((site, _)) = &device.site else { return Ok(TimeZone::UTC) };
    let site = sites::get(tx, &site.to_string())?;
    TimeZone::get(&site.time_zone)
        .map_err(|_| Failure::failed(format!("there is no time zone '{}' on this machine", site.time_zone)))
}
