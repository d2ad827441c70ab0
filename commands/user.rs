//! `lineman user`: who may do what at the page and over the API.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand};
use lineman::domain::user::{Role, User};
use lineman::reports;
use lineman::secret;
use lineman::store::events::Actor;
use lineman::store::users::{self, Account};
use lineman::store::{Tx, WriteTx, sessions, settings};

use crate::data::Context;
use crate::failure::Failure;
use crate::output::Output;

/// Who may do what at the page and over the API
#[derive(Subcommand)]
pub enum UserVerb {
    /// Add a user, and print the link with which it chooses a password
    #[command(after_help = "Example:\n  lineman user add ana --role operator")]
    Add {
        /// Its name
        name: String,
        #[command(flatten)]
        role: RoleOption,
    },
    /// List users
    #[command(after_help = "Example:\n  lineman user list")]
    List,
    /// Give a user another role
    #[command(after_help = "Example:\n  lineman user role ana --role admin")]
    Role {
        /// Its name
        name: String,
        #[command(flatten)]
        role: RoleOption,
    },
    /// Print a link with which a user signs in once and chooses a password; for one that was lost
    #[command(after_help = "Example:\n  lineman user link ana")]
    Link(Named),
    /// Let a user do nothing any more; its sessions end
    #[command(after_help = "Example:\n  lineman user disable ana")]
    Disable(Named),
    /// Let a user do again what it is here for
    #[command(after_help = "Example:\n  lineman user enable ana")]
    Enable(Named),
    /// End all sessions of a user
    #[command(after_help = "Example:\n  lineman user sign-out ana")]
    SignOut(Named),
}

/// Which one.
#[derive(Args)]
pub struct Named {
    /// Its name
    name: String,
}

/// What it is here for.
#[derive(Args)]
pub struct RoleOption {
    /// What it is here for: viewer sees; operator keeps the network and tickets; billing keeps the office; admin may do all
    #[arg(long, value_name = "ROLE", value_parser = role())]
    role: Role,
}

/// A role, by its word.
pub fn role() -> impl TypedValueParser<Value = Role> {
    PossibleValuesParser::new(Role::NAMES).try_map(|word| word.parse())
}

impl UserVerb {
    /// Does it.
    pub fn run(self, context: &Context) -> Result<Output, Failure> {
        match self {
            UserVerb::Add { name, role } => context.change(move |tx, by| {
                let account = users::add(tx, &name, role.role, by)?;
                with_link(tx, &account.user, by)
            }),
            UserVerb::List => context.ask(|tx| Ok(Output::Table(reports::users::list(&users::list(tx)?)))),
            UserVerb::Role { name, role } => context.change(move |tx, by| {
                users::set_role(tx, &users::get(tx, &name)?.user, role.role, by)?;
                line(tx, &name)
            }),
            UserVerb::Link(Named { name }) => context.change(move |tx, by| {
                let account = users::get(tx, &name)?;
                if account.user.disabled_at.is_some() {
                    return Err(Failure::refused(format!("'{}' is disabled", account.user.name))
                        .hint(format!("first: lineman user enable {}", account.user.name)));
                }
                with_link(tx, &account.user, by)
            }),
            UserVerb::Disable(Named { name }) => context.change(move |tx, by| {
                users::disable(tx, &users::get(tx, &name)?.user, by)?;
                line(tx, &name)
            }),
            UserVerb::Enable(Named { name }) => context.change(move |tx, by| {
                users::enable(tx, &users::get(tx, &name)?.user, by)?;
                line(tx, &name)
            }),
            UserVerb::SignOut(Named { name }) => context.change(move |tx, by| {
                sessions::end_all(tx, &users::get(tx, &name)?.user, by)?;
                line(tx, &name)
            }),
        }
    }
}

fn line(tx: &Tx, name: &str) -> Result<Output, Failure> {
    Ok(Output::Changed(reports::users::list([&users::get(tx, name)?]), String::new()))
}

fn with_link(tx: &WriteTx, user: &User, by: &Actor) -> Result<Output, Failure> {
    let link = link(tx, user, by)?;
    let account: Account = users::get(tx, &user.name)?;
    let more = format!("\n'{}' signs in once, within a week, with\n{link}\n", user.name);
    Ok(Output::Changed(reports::users::list([&account]), more))
}

/// A link with which a user signs in once.
pub fn link(tx: &WriteTx, user: &User, by: &Actor) -> Result<String, Failure> {
    let secret = secret::random().map_err(|e| Failure::failed(format!("make a link: {e}")))?;
    users::make_link(tx, user, &secret::hash(&secret), by)?;
    let server = settings::url(tx)?.unwrap_or_else(|| "http://127.0.0.1:8080".to_owned());
    Ok(format!("{server}/sign-in/link/{secret}"))
}
