//! `lineman site`: the places where devices are.

use clap::{Args, Subcommand};
use jiff::tz::TimeZone;
use lineman::reports;
use lineman::store::sites;

use crate::data::Context;
use crate::failure::Failure;
use crate::list::Wanted;
use crate::output::Output;

/// Places where devices are
#[derive(Subcommand)]
pub enum SiteVerb {
    /// Add a site
    #[command(
        after_help = "Example:\n  lineman site add north --tz Europe/Berlin --note 'key at the porter'"
    )]
    Add(AddOptions),
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
    #[command(after_help = "Example:\n  lineman site edit north --name north-tower")]
    Edit(EditOptions),
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
}

/// A time zone by its name.
pub fn zone(text: &str) -> Result<String, String> {
    match TimeZone::get(text) {
        Ok(zone) => Ok(zone.iana_name().unwrap_or(text).to_owned()),
        Err(_) => Err("there is no such time zone: write it as Europe/Berlin or UTC".to_owned()),
    }
}

impl SiteVerb {
    /// Does it.
    pub fn run(self, context: &Context) -> Result<Output, Failure> {
        match self {
            SiteVerb::Add(options) => context.change(move |tx, by| {
                let site = sites::add(tx, &options.name, &options.tz, &options.note, by)?;
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
                let EditOptions { site, name, tz, note } = options;
                let site = sites::get(tx, &site)?;
                let change = sites::Change { name, time_zone: tz, note };
                let site = sites::edit(tx, &site, &change, by)?;
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
