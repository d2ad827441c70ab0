//! `lineman token`: what programs show to the API.

use clap::Subcommand;
use jiff::tz::TimeZone;
use lineman::domain::ids::TokenId;
use lineman::domain::user::Role;
use lineman::domain::when;
use lineman::reports;
use lineman::secret;
use lineman::store::{sessions, settings, users};

use crate::data::Context;
use crate::failure::Failure;
use crate::output::Output;
use crate::user::role;

/// What programs show to the API
#[derive(Subcommand)]
pub enum TokenVerb {
    /// Make a token for a user's program: the last word that is printed, and never again
    #[command(
        after_help = "Example:\n  lineman token add backup --user ana --role viewer --until 2027-01-01"
    )]
    Add {
        /// What it is called
        name: String,
        /// Whose it is: it may do no more than that user
        #[arg(long, value_name = "USER")]
        user: String,
        /// And no more than this role
        #[arg(long, value_name = "ROLE", value_parser = role())]
        role: Role,
        /// Until when it is good [default: until it is revoked]
        #[arg(long, value_name = "TIME")]
        until: Option<String>,
    },
    /// List tokens
    #[command(after_help = "Example:\n  lineman token list")]
    List,
    /// Take a token back
    #[command(after_help = "Example:\n  lineman token revoke 3")]
    Revoke {
        /// Its number
        number: i64,
    },
}

impl TokenVerb {
    /// Does it.
    pub fn run(self, context: &Context) -> Result<Output, Failure> {
        match self {
            TokenVerb::Add { name, user, role, until } => {
                let now = context.clock.now();
                let until = until.map(|text| when::time(&text, now, &TimeZone::system())).transpose();
                let until = until.map_err(|e| Failure::usage(format!("--until: {e}")))?;
                context.change(move |tx, by| {
                    let user = users::get(tx, &user)?.user;
                    let secret =
                        secret::token().map_err(|e| Failure::failed(format!("make a token: {e}")))?;
                    let hash = secret::hash(&secret);
                    let token = sessions::add_token(tx, &user, (&name, role), &hash, until, by)?;
                    let key = settings::key_hash(tx)?.map(|key| {
                        let hex: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
                        format!("the server's key, for --server-key: {hex}\n")
                    });
                    let more = format!(
                        "\n{}it is shown once: Authorization: Bearer\n{secret}\n",
                        key.unwrap_or_default()
                    );
                    Ok(Output::Changed(reports::users::tokens([&token]), more))
                })
            }
            TokenVerb::List => {
                context.ask(|tx| Ok(Output::Table(reports::users::tokens(&sessions::tokens(tx, None)?))))
            }
            TokenVerb::Revoke { number } => context.change(move |tx, by| {
                let token = sessions::revoke(tx, TokenId(number), by)?;
                let said = format!("revoked token '{}' of '{}'\n", token.name, token.user);
                Ok(Output::Said(reports::users::tokens([&token]), said))
            }),
        }
    }
}
