//! `lineman setting`: the numbers that lineman goes by.

use clap::Subcommand;
use exports::Table;
use lineman::reports;
use lineman::store::{Tx, settings};

use crate::data::Context;
use crate::failure::Failure;
use crate::output::Output;

/// The numbers that lineman goes by
#[derive(Subcommand)]
pub enum SettingVerb {
    /// List the settings
    #[command(after_help = "Example:\n  lineman setting list -o md")]
    List,
    /// Set one; it takes effect within a second
    #[command(after_help = "Example:\n  lineman setting set check_in.every 10s")]
    Set {
        /// Its key
        key: String,
        /// Its value
        #[arg(allow_hyphen_values = true)]
        value: String,
    },
    /// Set one back to its default
    #[command(after_help = "Example:\n  lineman setting unset check_in.every")]
    Unset {
        /// Its key
        key: String,
    },
}

impl SettingVerb {
    /// Does it.
    pub fn run(self, context: &Context) -> Result<Output, Failure> {
        match self {
            SettingVerb::List => context.ask(|tx| Ok(Output::Table(reports::settings::list(tx)?))),
            SettingVerb::Set { key, value } => context.change(move |tx, by| {
                settings::set(tx, &key, &value, by).map_err(unknown(&key))?;
                one(tx, &key)
            }),
            SettingVerb::Unset { key } => context.change(move |tx, by| {
                let default = lineman::domain::setting::find(&key).map_or("", |setting| setting.default);
                settings::set(tx, &key, default, by).map_err(unknown(&key))?;
                one(tx, &key)
            }),
        }
    }
}

/// A key that is none is not found, whatever was to be done with it.
fn unknown(key: &str) -> impl Fn(lineman::store::Error) -> Failure {
    let known = lineman::domain::setting::find(key).is_ok();
    move |error| {
        let failure = Failure::from(error);
        if known { failure } else { failure.hint("see `lineman setting list`") }
    }
}

fn one(tx: &Tx, key: &str) -> Result<Output, Failure> {
    let Table { name, columns, rows } = reports::settings::list(tx)?;
    let rows = rows.into_iter().filter(|row| row.first() == Some(&key.into())).collect();
    Ok(Output::Changed(Table { name, columns, rows }, String::new()))
}
