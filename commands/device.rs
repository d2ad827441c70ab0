//! `lineman device`: the things on the network that are watched.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand};
use lineman::domain::device::{AddressFrom, Importance};
use lineman::reports;
use lineman::store::devices::{self, Device, New};
use lineman::store::{Tx, parents, sites};

use crate::address;
use crate::data::Context;
use crate::failure::Failure;
use crate::history::HistoryOptions;
use crate::join::with_token;
use crate::list::Wanted;
use crate::output::Output;

/// Things on the network that are watched
#[derive(Subcommand)]
pub enum DeviceVerb {
    /// Add a device
    #[command(
        after_help = "Example:\n  lineman device add gateway --site north --address 192.0.2.1 --importance critical\n  lineman device add server-7 --parent gateway --join"
    )]
    Add(Box<AddOptions>),
    /// List devices
    #[command(
        after_help = "Example:\n  lineman device list 'state:down,unreachable site:north' --sort since"
    )]
    List(Wanted),
    /// Show a device
    #[command(
        after_help = "Example:\n  lineman device show gateway\n  lineman device show gateway --json state,since"
    )]
    Show {
        /// Its name or id
        device: String,
    },
    /// Change a device
    #[command(
        after_help = "Example:\n  lineman device edit server-7 --parent gateway --parent gateway-2 --tag rack-3"
    )]
    Edit(Box<EditOptions>),
    /// Remove a device, with its checks, readings and outages; its tickets and events stay
    #[command(after_help = "Example:\n  lineman device remove server-7 --yes")]
    Remove {
        /// Its name or id
        device: String,
    },
    /// Show what a device hangs on, or may hang on
    #[command(
        after_help = "Example:\n  lineman device parents server-7\n  lineman device parents server-7 --suggest\n  lineman device parents server-7 --apply"
    )]
    Parents {
        /// Its name or id
        device: String,
        /// Show what it may hang on, from what agents report and what hangs on what at its site
        #[arg(long)]
        suggest: bool,
        /// Make what is suggested its parents
        #[arg(long)]
        apply: bool,
    },
    /// Show what a device was, from when to when, or what its checks measured
    #[command(
        after_help = "Example:\n  lineman device history gateway --from -7d\n  lineman device history gateway --readings icmp --from '2026-11-22 08:00' --every minute"
    )]
    History(HistoryOptions),
    /// Do not watch a device for now
    #[command(after_help = "Example:\n  lineman device pause server-7")]
    Pause {
        /// Its name or id
        device: String,
    },
    /// Watch a paused device again
    #[command(after_help = "Example:\n  lineman device resume server-7")]
    Resume {
        /// Its name or id
        device: String,
    },
}

/// A device that is to be.
#[derive(Args)]
pub struct AddOptions {
    /// Its name
    name: String,
    #[command(flatten)]
    about: About,
}

/// What is to change.
#[derive(Args)]
pub struct EditOptions {
    /// Its name or id
    device: String,
    /// Its new name
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    #[command(flatten)]
    about: About,
    /// It is at no site
    #[arg(long, conflicts_with = "site")]
    no_site: bool,
    /// It has no address
    #[arg(long, conflicts_with = "address")]
    no_address: bool,
    /// It has no name in DNS
    #[arg(long, conflicts_with = "dns_name")]
    no_dns_name: bool,
    /// It hangs on nothing
    #[arg(long, conflicts_with = "parent")]
    no_parent: bool,
    /// It has no tags
    #[arg(long, conflicts_with = "tag")]
    no_tag: bool,
}

/// What can be said about a device.
#[derive(Args)]
struct About {
    /// Its site
    #[arg(long, value_name = "SITE")]
    site: Option<String>,
    /// Its address: an IP address, or a name in DNS
    #[arg(long, value_name = "ADDRESS", value_parser = address::check)]
    address: Option<String>,
    /// A device it hangs on; may be given several times, all of them together
    #[arg(long, value_name = "DEVICE")]
    parent: Vec<String>,
    /// How much depends on it
    #[arg(long, value_name = "HOW", value_parser = importance())]
    importance: Option<Importance>,
    /// A tag; may be given several times, all of them together
    #[arg(long, value_name = "TAG")]
    tag: Vec<String>,
    /// Its name in DNS
    #[arg(long, value_name = "NAME", value_parser = address::dns_name)]
    dns_name: Option<String>,
    /// What people should know about it
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    /// Its address stays as it is written here, whatever its agent reports
    #[arg(long, conflicts_with = "address_from")]
    fixed: bool,
    /// Which address is its own: the one its agent reports, the one the server sees (behind NAT), or the fixed one
    #[arg(long, value_name = "WHO", value_parser = address_from())]
    address_from: Option<AddressFrom>,
    /// Make a token with which its agent joins: the last word that is printed
    #[arg(long)]
    join: bool,
}

fn importance() -> impl TypedValueParser<Value = Importance> {
    PossibleValuesParser::new(Importance::NAMES).try_map(|word| word.parse())
}

fn address_from() -> impl TypedValueParser<Value = AddressFrom> {
    PossibleValuesParser::new(AddressFrom::NAMES).try_map(|word| word.parse())
}

impl About {
    /// Writes down what was said; what was not said stays.
    fn apply(self, tx: &Tx, new: &mut New) -> Result<(), Failure> {
        if let Some(site) = self.site {
            new.site = Some(sites::get(tx, &site)?.id);
        }
        if self.fixed {
            new.address_from = AddressFrom::Fixed;
        }
        if !self.parent.is_empty() {
            new.parents = self.parent;
        }
        if !self.tag.is_empty() {
            new.tags = self.tag;
        }
        new.address = self.address.or(new.address.take());
        new.dns_name = self.dns_name.or(new.dns_name.take());
        new.importance = self.importance.unwrap_or(new.importance);
        new.address_from = self.address_from.unwrap_or(new.address_from);
        new.note = self.note.unwrap_or(std::mem::take(&mut new.note));
        if new.address_from == AddressFrom::Fixed && new.address.is_none() {
            return Err(
                Failure::usage("a device with a fixed address needs one").hint("add --address ADDRESS")
            );
        }
        Ok(())
    }
}

impl DeviceVerb {
    /// Does it.
    pub fn run(self, context: &Context) -> Result<Output, Failure> {
        match self {
            DeviceVerb::Add(options) => context.change(move |tx, by| {
                let mut new = New::named(&options.name);
                let join = options.about.join;
                options.about.apply(tx, &mut new)?;
                let device = devices::add(tx, &new, by)?;
                if join { with_token(tx, &device, by) } else { Ok(line(&device)) }
            }),
            DeviceVerb::List(wanted) => context.ask(|tx| {
                let (selection, page) = wanted.read(devices::QUERY, devices::TEXT, tx.now)?;
                Ok(Output::Table(reports::devices::list(tx, &selection, &page)?))
            }),
            DeviceVerb::Show { device } => context.ask(|tx| {
                let device = devices::get(tx, &device)?;
                Ok(Output::Record(reports::devices::record(&device)))
            }),
            DeviceVerb::Edit(options) => context.change(move |tx, by| {
                let device = devices::get(tx, &options.device)?;
                let join = options.about.join;
                let new = options.apply(tx, &device)?;
                let device = if same(&New::like(&device), &new) {
                    device
                } else {
                    devices::edit(tx, device.id, &new, by)?
                };
                if join { with_token(tx, &device, by) } else { Ok(line(&device)) }
            }),
            DeviceVerb::Remove { device } => {
                context.confirm_of(|tx| {
                    let name = devices::get(tx, &device)?.name;
                    Ok(format!("remove device '{name}' with its checks and outages"))
                })?;
                context.change(move |tx, by| {
                    let device = devices::get(tx, &device)?;
                    devices::remove(tx, &device, by)?;
                    let said = format!("removed device '{}'\n", device.name);
                    Ok(Output::Said(reports::devices::record(&device), said))
                })
            }
            DeviceVerb::Parents { device, suggest: _, apply: true } => context.change(move |tx, by| {
                let device = devices::get(tx, &device)?;
                let mut new = New::like(&device);
                new.parents.extend(parents::suggested(tx, &device)?.into_iter().map(|s| s.parent.1));
                Ok(line(&devices::edit(tx, device.id, &new, by)?))
            }),
            DeviceVerb::Parents { device, suggest, apply: false } => context.ask(|tx| {
                let device = devices::get(tx, &device)?;
                let table = if suggest {
                    reports::parents::suggested(tx, &device)?
                } else {
                    reports::parents::list(tx, &device)?
                };
                Ok(Output::Table(table))
            }),
            DeviceVerb::History(options) => options.run(context),
            DeviceVerb::Pause { device } => context.change(move |tx, by| {
                let device = devices::get(tx, &device)?;
                devices::pause(tx, device.id, by)?;
                Ok(line(&devices::of(tx, device.id)?))
            }),
            DeviceVerb::Resume { device } => context.change(move |tx, by| {
                let device = devices::get(tx, &device)?;
                devices::resume(tx, device.id, by)?;
                Ok(line(&devices::of(tx, device.id)?))
            }),
        }
    }
}

impl EditOptions {
    fn apply(self, tx: &Tx, device: &Device) -> Result<New, Failure> {
        let mut new = New::like(device);
        if let Some(name) = self.name {
            new.name = name;
        }
        if self.no_site {
            new.site = None;
        }
        if self.no_address {
            new.address = None;
        }
        if self.no_dns_name {
            new.dns_name = None;
        }
        if self.no_parent {
            new.parents.clear();
        }
        if self.no_tag {
            new.tags.clear();
        }
        self.about.apply(tx, &mut new)?;
        Ok(new)
    }
}

/// Whether nothing would change: then nothing is written down as a change.
fn same(one: &New, other: &New) -> bool {
    let all = |new: &New| {
        (
            (new.name.clone(), new.site, new.address.clone(), new.address_from, new.dns_name.clone()),
            (new.importance, new.note.clone(), new.tags.clone(), new.parents.clone()),
        )
    };
    all(one) == all(other)
}

fn line(device: &Device) -> Output {
    Output::Changed(reports::devices::record(device), String::new())
}
