//! `lineman setting`: the numbers that lineman goes by.

use std::fs::File;
use std::io::Read;

use clap::{Args, Subcommand};
use exports::Table;
use lineman::reports;
use lineman::store::settings::Scope;
use lineman::store::{Tx, devices, settings, sites};

use crate::data::Context;
use crate::failure::Failure;
use crate::output::Output;

/// The most bytes of a value that is read.
const MAX_VALUE: u64 = 4_096;

/// The numbers that lineman goes by
#[derive(Subcommand)]
pub enum SettingVerb {
    /// List the settings
    #[command(after_help = "Example:\n  lineman setting list -o md\n  lineman setting list --site north")]
    List(For),
    /// Set one; it takes effect within a second, at agents with their next check-in
    ///
    /// A secret should not stand on the command line, where others see it: read it from a file or standard input.
    #[command(
        after_help = "Example:\n  lineman setting set check_in.every 10s\n  lineman setting set ladder.anchors 192.0.2.1,198.51.100.1 --site north\n  lineman setting set dns.key @/etc/bind/ddns.key.txt"
    )]
    Set {
        /// Its key
        key: String,
        /// Its value; - reads it from standard input, @FILE from a file
        #[arg(allow_hyphen_values = true)]
        value: String,
        #[command(flatten)]
        of: For,
    },
    /// Set one back to its default; for a site or a device, to what it is for all
    #[command(
        after_help = "Example:\n  lineman setting unset check_in.every\n  lineman setting unset ladder.anchors --site north"
    )]
    Unset {
        /// Its key
        key: String,
        #[command(flatten)]
        of: For,
    },
}

/// For what a setting is; without any, for all.
#[derive(Args)]
pub struct For {
    /// For the agents of a site, where the key begins with `ladder` or `recorder`
    #[arg(long, value_name = "SITE", conflicts_with = "device")]
    site: Option<String>,
    /// For the agent of a device, where the key begins with `ladder` or `recorder`
    #[arg(long, value_name = "DEVICE")]
    device: Option<String>,
}

impl For {
    fn scope(&self, tx: &Tx) -> Result<Option<Scope>, Failure> {
        Ok(match (&self.site, &self.device) {
            (Some(site), _) => {
                let site = sites::get(tx, site)?;
                Some(Scope::Site(site.id, site.name))
            }
            (None, Some(device)) => {
                let device = devices::get(tx, device)?;
                Some(Scope::Device(device.id, device.name))
            }
            (None, None) => None,
        })
    }
}

impl SettingVerb {
    /// Does it.
    pub fn run(self, context: &Context) -> Result<Output, Failure> {
        match self {
            SettingVerb::List(of) => context.ask(|tx| Ok(Output::Table(list(tx, of.scope(tx)?.as_ref())?))),
            SettingVerb::Set { key, value, of } => {
                let value = read(value)?;
                context.change(move |tx, by| {
                    let scope = of.scope(tx)?;
                    let set = match &scope {
                        Some(scope) => settings::set_scoped(tx, scope, &key, &value, by),
                        None => settings::set(tx, &key, &value, by),
                    };
                    set.map_err(unknown(&key))?;
                    one(tx, scope.as_ref(), &key)
                })
            }
            SettingVerb::Unset { key, of } => context.change(move |tx, by| {
                let scope = of.scope(tx)?;
                let unset = match &scope {
                    Some(scope) => settings::unset_scoped(tx, scope, &key, by),
                    None => {
                        let default =
                            lineman::domain::setting::find(&key).map_or("", |setting| setting.default);
                        settings::set(tx, &key, default, by)
                    }
                };
                unset.map_err(unknown(&key))?;
                one(tx, scope.as_ref(), &key)
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

fn list(tx: &Tx, scope: Option<&Scope>) -> Result<Table, Failure> {
    Ok(match scope {
        Some(scope) => reports::settings::list_for(tx, scope)?,
        None => reports::settings::list(tx)?,
    })
}

fn one(tx: &Tx, scope: Option<&Scope>, key: &str) -> Result<Output, Failure> {
    let Table { name, columns, rows } = list(tx, scope)?;
    let rows = rows.into_iter().filter(|row| row.first() == Some(&key.into())).collect();
    Ok(Output::Changed(Table { name, columns, rows }, String::new()))
}
