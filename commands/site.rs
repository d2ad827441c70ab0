//! `lineman site`: the places where devices are.

use clap::{Args, Subcommand};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use lineman::domain::provider;
use lineman::domain::service::Hours;
use lineman::reports;
use lineman::store::sites::{self, CalendarChange};

use crate::data::Context;
use crate::failure::Failure;
use crate::list::Wanted;
use crate::output::Output;

/// Places where devices are
#[derive(Subcommand)]
pub enum SiteVerb {
    /// Add a site
    #[command(
        after_help = "Example:\n  lineman site add north --tz Europe/Berlin --note 'key at the porter'\n  lineman site add office --tz Europe/Berlin --hours 'mon-fri 08:00-17:00; sat 09:00-12:00' --holiday 2026-12-25\n  lineman site add south --provider ACME --circuit C-4711 --provider-phone '+49 30 1234' --provider-mail noc@acme.example"
    )]
    Add(Box<AddOptions>),
    /// List sites
    #[command(after_help = "Example:\n  lineman site list --json name,devices,out")]
    List(Wanted),
    /// Show a site
    #[command(after_help = "Example:\n  lineman site show north")]
    Show {
        /// Its name or id
        site: String,
    },
    /// Change a site
    #[command(
        after_help = "Example:\n  lineman site edit north --name north-tower\n  lineman site edit office --holiday 2027-01-01 --no-holiday 2026-12-25"
    )]
    Edit(Box<EditOptions>),
    /// Remove a site that has no devices
    #[command(after_help = "Example:\n  lineman site remove north")]
    Remove {
        /// Its name or id
        site: String,
    },
}

/// A site that is to be.
#[derive(Args)]
pub struct AddOptions {
    /// Its name
    name: String,
    /// Its time zone, as the IANA names it
    #[arg(long, value_name = "ZONE", default_value = "UTC", value_parser = zone)]
    tz: String,
    /// What people should know about it
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    note: String,
    /// The hours in which somebody is there, for the service clock [default: always]
    #[arg(long, value_name = "HOURS", value_parser = hours)]
    hours: Option<Hours>,
    /// A day on which nobody is there; may be given several times
    #[arg(long, value_name = "DATE", value_parser = day)]
    holiday: Vec<Date>,
    #[command(flatten)]
    provider: ProviderOptions,
}

/// Who brings a site its line.
#[derive(Args)]
pub struct ProviderOptions {
    /// Who brings it its line; '' takes that away
    #[arg(long, value_name = "NAME")]
    provider: Option<String>,
    /// The number of its circuit there
    #[arg(long, value_name = "NUMBER")]
    circuit: Option<String>,
    /// The provider's telephone number
    #[arg(long, value_name = "PHONE")]
    provider_phone: Option<String>,
    /// The provider's mail address
    #[arg(long, value_name = "MAIL")]
    provider_mail: Option<String>,
}

impl From<ProviderOptions> for provider::Change {
    fn from(options: ProviderOptions) -> provider::Change {
        let ProviderOptions { provider, circuit, provider_phone: phone, provider_mail: mail } = options;
        provider::Change { provider, circuit, phone, mail }
    }
}

/// What is to change.
#[derive(Args)]
pub struct EditOptions {
    /// Its name or id
    site: String,
    /// Its new name
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Its time zone, as the IANA names it
    #[arg(long, value_name = "ZONE", value_parser = zone)]
    tz: Option<String>,
    /// What people should know about it
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    /// The hours in which somebody is there, for the service clock
    #[arg(long, value_name = "HOURS", value_parser = hours)]
    hours: Option<Hours>,
    /// Somebody is always there
    #[arg(long, conflicts_with = "hours")]
    no_hours: bool,
    /// One more day on which nobody is there; may be given several times
    #[arg(long, value_name = "DATE", value_parser = day)]
    holiday: Vec<Date>,
    /// A day that is no holiday any more; may be given several times
    #[arg(long, value_name = "DATE", value_parser = day)]
    no_holiday: Vec<Date>,
    #[command(flatten)]
    provider: ProviderOptions,
}

/// The name of a time zone, as the IANA writes it.
pub fn zone(text: &str) -> Result<String, String> {
    match TimeZone::get(text) {
        Ok(zone) => Ok(zone.iana_name().unwrap_or(text).to_owned()),
        Err(_) => Err("there is no such time zone: write it as Europe/Berlin or UTC".to_owned()),
    }
}

fn hours(text: &str) -> Result<Hours, String> {
    let hours: Hours = text.parse().map_err(|e: lineman::domain::service::BadHours| e.to_string())?;
    if hours.is_always() {
        return Err("no hours stand there: write them as 'mon-fri 08:00-17:00'".to_owned());
    }
    Ok(hours)
}

fn day(text: &str) -> Result<Date, String> {
    let read = text.trim().parse::<Date>().ok().filter(|_| text.trim().len() == 10);
    read.ok_or_else(|| "this is no day: write it as 2026-12-25".to_owned())
}

impl SiteVerb {
    /// Does it.
    pub fn run(self, context: &Context) -> Result<Output, Failure> {
        match self {
            SiteVerb::Add(options) => context.change(move |tx, by| {
                let AddOptions { name, tz, note, hours, holiday, provider } = *options;
                let site = sites::add(tx, &name, &tz, &note, by)?;
                let calendar = CalendarChange { hours, holidays: holiday, no_holidays: Vec::new() };
                let site = sites::set_calendar(tx, &site, &calendar, by)?;
                let site = sites::set_contact(tx, &site, &provider.into(), by)?;
                Ok(Output::Changed(reports::sites::record(&site), String::new()))
            }),
            SiteVerb::List(wanted) => context.ask(|tx| {
                let (selection, page) = wanted.read(sites::QUERY, sites::TEXT, tx.now)?;
                Ok(Output::Table(reports::sites::list(tx, &selection, &page)?))
            }),
            SiteVerb::Show { site } => {
                context.ask(|tx| Ok(Output::Record(reports::sites::record(&sites::get(tx, &site)?))))
            }
            SiteVerb::Edit(options) => context.change(move |tx, by| {
                let EditOptions { site, name, tz, note, hours, no_hours, holiday, no_holiday, provider } =
                    *options;
                let contact: provider::Change = provider.into();
                let mut site = sites::get(tx, &site)?;
                let hours = if no_hours { Some(Hours::default()) } else { hours };
                let calendar = CalendarChange { hours, holidays: holiday, no_holidays: no_holiday };
                let only_calendar = name.is_none() && tz.is_none() && note.is_none();
                if !(only_calendar && (calendar.says_something() || contact.says_something())) {
                    let change = sites::Change { name, time_zone: tz, note };
                    site = sites::edit(tx, &site, &change, by)?;
                }
                let site = sites::set_calendar(tx, &site, &calendar, by)?;
                let site = sites::set_contact(tx, &site, &contact, by)?;
                Ok(Output::Changed(reports::sites::record(&site), String::new()))
            }),
            SiteVerb::Remove { site } => context.change(move |tx, by| {
                let site = sites::get(tx, &site)?;
                sites::remove(tx, &site, by)?;
                Ok(Output::Said(reports::sites::record(&site), format!("removed site '{}'\n", site.name)))
            }),
        }
    }
}
