//! A URL of a channel: what of it may be seen, and what of it is secret.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Uri;
use serde::{Deserialize, Serialize};

use super::HIDDEN;

/// What is shorter than this behind a `?` is no secret but a number or a switch, in bytes.
const SHORTEST_IN_QUERY: usize = 6;

/// A URL. A user and a password in it, and what stands behind `?`, are not shown. It serializes plainly: for the
/// store alone.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Url(String);

impl Url {
    /// A URL that was not looked at yet.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Url {
        Url(text.into())
    }

    /// The whole of it, for whoever has to call it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// It, without what is secret.
    #[must_use]
    pub fn shown(&self) -> String {
        let Some((scheme, rest)) = self.0.split_once("://") else { return HIDDEN.to_owned() };
        let Ok(uri) = self.0.parse::<Uri>() else { return HIDDEN.to_owned() };
        let Some(authority) = uri.authority() else { return HIDDEN.to_owned() };
        let user = if authority.as_str().contains('@') { format!("{HIDDEN}@") } else { String::new() };
        let place = authority.as_str().rsplit('@').next().unwrap_or_default();
        let path = uri.path();
        // A path that is not written is not shown either.
        let path = if path == "/" && !rest.contains('/') { "" } else { path };
        let query = if self.0.contains(['?', '#']) { format!("?{HIDDEN}") } else { String::new() };
        format!("{scheme}://{user}{place}{path}{query}")
    }

    /// What is secret in it, in each form in which it could come back.
    #[must_use]
    pub fn secrets(&self) -> Vec<String> {
        let mut all = Vec::new();
        let behind_scheme = self.0.split_once("://").map_or(&*self.0, |(_, rest)| rest);
        let authority = behind_scheme.split(['/', '?', '#']).next().unwrap_or_default();
        if let Some((user, _)) = authority.rsplit_once('@') {
            let plain = decoded(user);
            all.push(user.to_owned());
            all.push(STANDARD.encode(&plain));
            if let Some((_, password)) = user.split_once(':') {
                all.push(password.to_owned());
                all.push(decoded(password));
            }
            all.push(plain);
        }
        if let Some((_, query)) = self.0.split_once(['?', '#']) {
            let values = query.split('&').filter_map(|pair| pair.split_once('=')).map(|(_, value)| value);
            let long = [query].into_iter().chain(values).filter(|text| text.len() >= SHORTEST_IN_QUERY);
            all.extend(long.flat_map(|text| [text.to_owned(), decoded(text)]));
        }
        all
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown())
    }
}

/// Only where a URL leads, for one whose path is secret.
pub fn host_of(url: &str) -> String {
    let parsed = url.parse::<Uri>().ok();
    let place = parsed.as_ref().and_then(|uri| Some((uri.scheme_str()?, uri.host()?, uri.port_u16())));
    match place {
        Some((scheme, host, Some(port))) => format!("{scheme}://{host}:{port}/{HIDDEN}"),
        Some((scheme, host, None)) => format!("{scheme}://{host}/{HIDDEN}"),
        None => HIDDEN.to_owned(),
    }
}

/// What is secret in a URL of which all but the host is: the whole, and each part that is long enough to be a secret.
pub fn secrets_of_hook(url: &str) -> Vec<String> {
    let mut all = Url::new(url).secrets();
    all.push(url.to_owned());
    let behind_scheme = url.split_once("://").map_or(url, |(_, rest)| rest);
    if let Some((_, path)) = behind_scheme.split_once(['/', '?', '#']) {
        all.push(path.to_owned());
        let parts = path.split(['/', '?', '#', '&', '=']).filter(|part| part.len() >= 8);
        all.extend(parts.flat_map(|part| [part.to_owned(), decoded(part)]));
    }
    all
}

/// A text without its percent signs: `%20` is a space.
#[must_use]
pub fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let digit = |i: usize| bytes.get(i).and_then(|b| char::from(*b).to_digit(16));
        match (bytes[at], digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                plain.push((high * 16 + low) as u8);
                at += 3;
            }
            (byte, ..) => {
                plain.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&plain).into_owned()
}

/// A text as one part of a path: all but letters, digits and `-._~` with percent signs (RFC 3986, 2.3).
#[must_use]
pub fn encoded(text: &str) -> String {
    let mut path = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => path.push(byte.into()),
            other => path.push_str(&format!("%{other:02X}")),
        }
    }
    path
}
