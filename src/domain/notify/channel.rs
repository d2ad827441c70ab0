//! A channel: by which way somebody is told, with all that the way needs. What is secret in it is shown to nobody.

pub mod check;
pub mod secret;
pub mod template;
pub mod url;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::domain::named;
pub use check::BadChannel;
pub use secret::Secret;
pub use url::Url;

/// What stands where a secret is.
pub const HIDDEN: &str = "***";

named! {
    /// The ways there are.
    pub enum Kind {
        /// A mail.
        Email = "email",
        /// An HTTP POST with JSON.
        Webhook = "webhook",
        /// A topic of an ntfy server.
        Ntfy = "ntfy",
        /// A channel in Slack.
        Slack = "slack",
        /// A channel in Discord.
        Discord = "discord",
        /// A channel in Microsoft Teams.
        Teams = "teams",
        /// A chat in Telegram.
        Telegram = "telegram",
        /// A service in PagerDuty.
        PagerDuty = "pagerduty",
        /// A room in Matrix.
        Matrix = "matrix",
        /// A program on this machine.
        Command = "command",
    }
}

named! {
    /// How the connection to a mail server is encrypted.
    pub enum Security {
        /// It begins in the clear and must be encrypted before anything is sent.
        Starttls = "starttls",
        /// It is encrypted from its first byte.
        Tls = "tls",
        /// Not at all.
        None = "none",
    }
}

/// A way, with its settings. It serializes plainly, secrets too: for the store alone. Others see [`Channel::shown`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum Channel {
    /// A mail.
    Email(Email),
    /// An HTTP POST with JSON.
    Webhook(Webhook),
    /// A topic of an ntfy server.
    Ntfy(Ntfy),
    /// A channel in Slack.
    Slack(Hook),
    /// A channel in Discord.
    Discord(Hook),
    /// A channel in Microsoft Teams.
    Teams(Hook),
    /// A chat in Telegram.
    Telegram(Telegram),
    /// A service in PagerDuty.
    PagerDuty(PagerDuty),
    /// A room in Matrix.
    Matrix(Matrix),
    /// A program on this machine.
    Command(Command),
}

/// Mail through an SMTP server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Email {
    /// Who gets it.
    pub to: Vec<String>,
    /// Who it is from.
    pub from: String,
    /// The SMTP server: a name or an address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is encrypted.
    #[serde(with = "names")]
    pub security: Security,
    /// Who logs in there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<Secret>,
    /// The certificates that are trusted instead of the system's, in PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<String>,
}

/// An HTTP POST to a program of the user's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    /// Where it goes.
    pub url: Url,
    /// What the body is signed with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<Secret>,
    /// More headers, by their names in small letters. Their values are secret.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, Secret>,
    /// What the body is made of, as a template; absent: the message as JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    /// The certificates that are trusted instead of the system's, in PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<String>,
}

/// A topic of an ntfy server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ntfy {
    /// The server.
    pub server: Url,
    /// The topic.
    pub topic: String,
    /// An access token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<Secret>,
    /// Tags that each message gets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// The certificates that are trusted instead of the system's, in PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<String>,
}

/// A webhook as Slack, Discord and Teams give them out: whoever knows the URL can write there, so all of it is secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hook {
    /// The URL.
    pub url: Secret,
}

/// A chat in Telegram.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Telegram {
    /// The server of the Bot API.
    pub server: Url,
    /// The bot's token.
    pub token: Secret,
    /// The chat: its number, or `@` and its name.
    pub chat: String,
    /// The topic of a forum.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread: Option<i64>,
}

/// A service in PagerDuty, by its Events API v2.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PagerDuty {
    /// The server of the Events API.
    pub server: Url,
    /// The integration key.
    pub key: Secret,
}

/// A room in Matrix.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Matrix {
    /// The home server.
    pub server: Url,
    /// The access token.
    pub token: Secret,
    /// The room's id: `!…`.
    pub room: String,
    /// The certificates that are trusted instead of the system's, in PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<String>,
}

/// A program on this machine; it is started without a shell, and given the message as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Command {
    /// The program's whole path.
    pub program: String,
    /// What it is called with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
}

impl Channel {
    /// Which way it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Channel::Email(_) => Kind::Email,
            Channel::Webhook(_) => Kind::Webhook,
            Channel::Ntfy(_) => Kind::Ntfy,
            Channel::Slack(_) => Kind::Slack,
            Channel::Discord(_) => Kind::Discord,
            Channel::Teams(_) => Kind::Teams,
            Channel::Telegram(_) => Kind::Telegram,
            Channel::PagerDuty(_) => Kind::PagerDuty,
            Channel::Matrix(_) => Kind::Matrix,
            Channel::Command(_) => Kind::Command,
        }
    }

    /// Whether a message can be sent with it, as far as that can be known without trying.
    ///
    /// # Errors
    /// The first setting that is wrong, and what it must be; no secret is in it.
    pub fn check(&self) -> Result<(), BadChannel> {
        check::check(self)
    }

    /// Its settings for whoever asks: every secret is [`HIDDEN`].
    #[must_use]
    pub fn shown(&self) -> Value {
        secret::shown(self)
    }

    /// All that is secret in it, in each form in which it could come back from the other end.
    #[must_use]
    pub fn secrets(&self) -> Vec<String> {
        secret::secrets(self)
    }
}

/// Writes a [`Security`] by its name.
mod names {
    use serde::{Deserialize, Deserializer, Serializer, de};

    use super::Security;

    pub fn serialize<S: Serializer>(security: &Security, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(security.as_str())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Security, D::Error> {
        String::deserialize(from)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests;
