//! `lineman setting`: the numbers that lineman goes by.

use std::fs::File;
use std::io::Read;

use clap::Subcommand;
use exports::Table;
use lineman::reports;
use lineman::store::{Tx, settings};

use crate::data::Context;
use crate::failure::Failure;
use crate::output::Output;

/// The most bytes of a value that is read.
const MAX_VALUE: u64 = 4_096;

/// The numbers that lineman goes by
#[derive(Subcommand)]
pub enum SettingVerb {
    /// List the settings
    #[command(after_help = "Example:\n  lineman setting list -o md")]
    List,
    /// Set one; it takes effect within a second
    ///
    /// A secret should not stand on the command line, where others see it: read it from a file or standard input.
    #[command(
        after_help = "Example:\n  lineman setting set check_in.every 10s\n  lineman setting set dns.key @/etc/bind/ddns.key.txt"
    )]
    Set {
        /// Its key
        key: String,
        /// Its value; - reads it from standard input, @FILE from a file
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
            SettingVerb::Set { key, value } => {
                let value = read(value)?;
                context.change(move |tx, by| {
                    settings::set(tx, &key, &value, by).map_err(unknown(&key))?;
                    one(tx, &key)
                })
            }
            SettingVerb::Unset { key } => context.change(move |tx, by| {
                let default = lineman::domain::setting::find(&key).map_or("", |setting| setting.default);
                settings::set(tx, &key, default, by).map_err(unknown(&key))?;
                one(tx, &key)
            }),
        }
    }
}

/// The value, from where it is said to be.
fn read(value: String) -> Result<String, Failure> {
    let (from, bytes): (&str, Box<dyn Read>) = match value.strip_prefix('@') {
        Some(path) => {
            let file = File::open(path).map_err(|e| Failure::failed(format!("read {path}: {e}")))?;
            (path, Box::new(file))
        }
        None if value == "-" => ("standard input", Box::new(std::io::stdin().lock())),
        None => return Ok(value),
    };
    let mut text = String::new();
    let read = bytes.take(MAX_VALUE + 1).read_to_string(&mut text);
    read.map_err(|e| Failure::failed(format!("read {from}: {e}")))?;
    if text.len() as u64 > MAX_VALUE {
        return Err(Failure::usage(format!("{from}: more than {MAX_VALUE} bytes are no value")));
    }
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
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
