//! Joining a server: the token that a person carries from the server to the device, and the one call that turns it
//! into an identity.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use crate::facts;
use crate::home::{HomeError, Lock, SPOOL_FILE};
use crate::link::{Http, LinkError, UrlError};
use crate::report::{Join, Joined};
use crate::spool::{Identity, Spool, SpoolError};

/// What a join token's secret part begins with.
const PREFIX: &str = "lmj_";

/// A join token: `lmj_<secret>` and, where the server speaks TLS with its own certificate, `.<pin>`.
#[derive(Clone, PartialEq, Eq)]
pub struct JoinToken {
    /// The secret part, with its prefix: what is sent to the server, and whose hash the server keeps.
    pub secret: String,
    /// SHA-256 of the SubjectPublicKeyInfo (DER) of the server's certificate.
    pub pin: Option<[u8; 32]>,
}

impl JoinToken {
    /// A token from 32 random bytes and the pin of the server's certificate, where it has one.
    #[must_use]
    pub fn from_bytes(random: &[u8; 32], pin: Option<[u8; 32]>) -> JoinToken {
        JoinToken { secret: format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(random)), pin }
    }

    /// A new token from the system's randomness.
    ///
    /// # Errors
    /// Where the system has no randomness to give.
    pub fn random(pin: Option<[u8; 32]>) -> Result<JoinToken, getrandom::Error> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes)?;
        Ok(JoinToken::from_bytes(&bytes, pin))
    }

    /// What the server stores of the token: SHA-256 of its secret part.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.secret.as_bytes()).into()
    }
}

impl fmt::Display for JoinToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.secret)?;
        match self.pin {
            Some(pin) => write!(f, ".{}", URL_SAFE_NO_PAD.encode(pin)),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for JoinToken {
    /// Never the secret: tokens end in logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinToken").field("pin", &self.pin.is_some()).finish_non_exhaustive()
    }
}

/// A text that is no join token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("that is no join token: it begins with {PREFIX} and is printed by `lineman device add NAME --join`")]
pub struct BadToken;

impl FromStr for JoinToken {
    type Err = BadToken;

    fn from_str(text: &str) -> Result<JoinToken, BadToken> {
        let text = text.trim();
        let (secret, pin) = match text.split_once('.') {
            Some((secret, pin)) => (secret, Some(bytes32(pin)?)),
            None => (text, None),
        };
        bytes32(secret.strip_prefix(PREFIX).ok_or(BadToken)?)?;
        Ok(JoinToken { secret: secret.to_owned(), pin })
    }
}

fn bytes32(text: &str) -> Result<[u8; 32], BadToken> {
    URL_SAFE_NO_PAD.decode(text).ok().and_then(|bytes| bytes.try_into().ok()).ok_or(BadToken)
}

/// Why joining did not work.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// The token is none.
    #[error(transparent)]
    Token(#[from] BadToken),
    /// The URL cannot be used.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// This data directory already belongs to a server.
    #[error("this agent already reports to {server} as {device}: run `lineman agent leave` first")]
    AlreadyJoined {
        /// The server it has.
        server: String,
        /// Its name there.
        device: String,
    },
    /// The data directory cannot be used.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// The agent's database cannot be used.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// The server does not know the token, or it was used, or its time is over.
    #[error("{server} refuses the join token: {error}")]
    Refused {
        /// The server.
        server: String,
        /// What it said.
        error: String,
    },
    /// The server cannot be reached, or its answer is none.
    #[error("{0}")]
    Failed(String),
}

/// Joins the server at `url` with the token a person was given, and keeps the identity in the data directory `dir`.
///
/// # Errors
/// Where the token or the URL is none, the directory is in use or already joined, or the server refuses.
pub fn join(dir: &Path, url: &str, token: &str) -> Result<Joined, JoinError> {
    let token: JoinToken = token.parse()?;
    let http = Http::new(url, "", token.pin)?;
    let _lock = Lock::take(dir)?;
    let mut spool = Spool::open(&dir.join(SPOOL_FILE))?;
    if let Some(identity) = spool.identity() {
        return Err(JoinError::AlreadyJoined {
            server: identity.server.clone(),
            device: identity.name.clone(),
        });
    }
    let status = facts::Facts::new().status(None);
    let joined = call(&http, &token, status.host_name, status.interfaces)?;
    spool.set_identity(&Identity {
        server: http.server().to_owned(),
        device: joined.device,
        name: joined.name.clone(),
        secret: joined.secret.clone(),
        pin: token.pin,
    })?;
    Ok(joined)
}

fn call(
    http: &Http,
    token: &JoinToken,
    host_name: String,
    interfaces: Vec<crate::report::Interface>,
) -> Result<Joined, JoinError> {
    let ask = Join {
        token: token.secret.clone(),
        host_name,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        interfaces,
    };
    let refused = |error| JoinError::Refused { server: http.server().to_owned(), error };
    http.join(&ask).map_err(|e| match e {
        LinkError::Unauthorized(error) | LinkError::Gone(error) | LinkError::Bad { error, .. } => {
            refused(error)
        }
        LinkError::Busy { error, .. } | LinkError::Failed(error) => JoinError::Failed(error),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_reads_back_with_and_without_a_pin() {
        for pin in [None, Some([7; 32])] {
            let token = JoinToken::from_bytes(&[42; 32], pin);
            let text = token.to_string();
            assert_eq!(text.parse::<JoinToken>(), Ok(token.clone()));
            assert_eq!(format!(" {text}\n").parse::<JoinToken>(), Ok(token));
        }
    }

    #[test]
    fn what_is_no_token_is_refused() {
        let good = JoinToken::from_bytes(&[42; 32], None).to_string();
        for text in ["", "lmj_", "lmj_abc", &good[4..], &format!("{good}."), &format!("{good}.abc"), "hello"]
        {
            assert_eq!(text.parse::<JoinToken>(), Err(BadToken), "{text}");
        }
    }

    #[test]
    fn a_token_shows_no_secret_in_a_log() {
        let token = JoinToken::random(None).unwrap();
        assert!(!format!("{token:?}").contains(&token.secret));
    }
}
