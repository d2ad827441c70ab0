//! The secrets of agents: random, shown once, and kept as hashes.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

/// What an agent's secret begins with, so that one that leaks is recognised.
const PREFIX: &str = "lms_";

/// A new secret: 256 random bits.
///
/// # Errors
/// The system has no randomness to give.
pub fn new() -> Result<String, getrandom::Error> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)?;
    Ok(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes)))
}

/// What is kept of a secret or a token. Both are random, so a plain hash says nothing about them.
#[must_use]
pub fn hash(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}
