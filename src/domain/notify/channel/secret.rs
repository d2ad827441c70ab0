//! What nobody is shown: a type that does not show it, and a channel without it.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Channel, HIDDEN, url};

/// A header that is shorter than this is no secret but a number or a switch, in bytes.
const SHORTEST: usize = 6;

/// A text that is not shown. It serializes plainly: for the store alone.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// A text that is secret from now on.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Secret {
        Secret(text.into())
    }

    /// The text, for whoever has to send it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

/// A channel's settings, with every secret hidden.
pub fn shown(channel: &Channel) -> Value {
    let mut all = serde_json::to_value(channel).unwrap_or_default();
    let mut put = |name: &str, text: String| {
        if let Some(value) = all.get_mut(name).filter(|value| !value.is_null()) {
            *value = Value::String(text);
        }
    };
    match channel {
        Channel::Email(_) => put("password", HIDDEN.to_owned()),
        Channel::Webhook(webhook) => {
            put("url", webhook.url.shown());
            put("secret", HIDDEN.to_owned());
            if let Some(headers) = all.get_mut("headers").and_then(Value::as_object_mut) {
                headers.values_mut().for_each(|value| *value = HIDDEN.into());
            }
        }
        Channel::Ntfy(ntfy) => {
            put("server", ntfy.server.shown());
            put("token", HIDDEN.to_owned());
        }
        Channel::Slack(hook) | Channel::Discord(hook) | Channel::Teams(hook) => {
            put("url", url::host_of(hook.url.reveal()));
        }
        Channel::Telegram(telegram) => {
            put("server", telegram.server.shown());
            put("token", HIDDEN.to_owned());
        }
        Channel::PagerDuty(pagerduty) => {
            put("server", pagerduty.server.shown());
            put("key", HIDDEN.to_owned());
        }
        Channel::Matrix(matrix) => {
            put("server", matrix.server.shown());
            put("token", HIDDEN.to_owned());
        }
        Channel::Command(_) => {}
    }
    all
}

/// All that is secret in a channel, in each form in which it could come back.
pub fn secrets(channel: &Channel) -> Vec<String> {
    let plain = |secret: &Secret| vec![secret.reveal().to_owned()];
    let mut all = match channel {
        Channel::Email(email) => {
            let password = email.password.as_ref().map(Secret::reveal).unwrap_or_default();
            let user = email.user.as_deref().unwrap_or_default();
            let login = STANDARD.encode(format!("\0{user}\0{password}"));
            vec![password.to_owned(), STANDARD.encode(password), login]
        }
        Channel::Webhook(webhook) => {
            let headers = || webhook.headers.values().filter(|value| value.reveal().len() >= SHORTEST);
            let given = webhook.secret.iter().chain(headers()).flat_map(plain);
            let words = headers().flat_map(|value| words(value.reveal()));
            given.chain(words).chain(webhook.url.secrets()).collect()
        }
        Channel::Ntfy(ntfy) => ntfy.token.iter().flat_map(plain).chain(ntfy.server.secrets()).collect(),
        Channel::Slack(hook) | Channel::Discord(hook) | Channel::Teams(hook) => {
            url::secrets_of_hook(hook.url.reveal())
        }
        Channel::Telegram(telegram) => {
            let secret = telegram.token.reveal().split_once(':').map(|(_, secret)| secret.to_owned());
            let server = telegram.server.secrets().into_iter();
            plain(&telegram.token).into_iter().chain(secret).chain(server).collect()
        }
        Channel::PagerDuty(pagerduty) => {
            plain(&pagerduty.key).into_iter().chain(pagerduty.server.secrets()).collect()
        }
        Channel::Matrix(matrix) => plain(&matrix.token).into_iter().chain(matrix.server.secrets()).collect(),
        Channel::Command(_) => Vec::new(),
    };
    all.retain(|secret| !secret.is_empty());
    // The longest first, so that none is hidden in part by another that it holds.
    all.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    all.dedup();
    all
}

/// The words of a header that can be secrets of their own: the token behind `Bearer`.
fn words(value: &str) -> Vec<String> {
    value.split_ascii_whitespace().filter(|word| word.len() >= 8).map(str::to_owned).collect()
}
