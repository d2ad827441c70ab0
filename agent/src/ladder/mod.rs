//! The ladder of evidence: which step towards the server holds, and which does not.

use std::net::IpAddr;

use schedules::Millis;

use crate::report::{Climb, Plan, Why};

/// Where the ladder leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Its host: a name, or a literal address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Whether it speaks TLS.
    pub tls: bool,
    /// SHA-256 of its key, where that is known.
    pub pin: Option<[u8; 32]>,
    /// The last address known to work.
    pub address: Option<IpAddr>,
}

/// Climbs the ladder.
#[expect(clippy::unused_async, reason = "its rungs wait for answers")]
pub async fn climb(_plan: &Plan, _server: &Server, why: Why) -> Climb {
    Climb { outage: None, why, took: Millis::ZERO, rungs: Vec::new() }
}
