//! The probes: one run of a check, from the question to a measured answer.
//!
//! A [`Prober`] holds what all runs share. A run never errs and never panics: what went wrong with the target is
//! `fail`, what kept us from measuring is `unknown`, and both come with a sentence for a person.

pub(crate) mod echo;
mod http;
pub(crate) mod icmp;
pub(crate) mod resolve;
mod status;
pub(crate) mod target;
mod tcp;
pub(crate) mod tls;

use std::io;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use schedules::Millis;
use tokio::sync::Semaphore;

use crate::report::{Outcome, Probe};

pub use icmp::MAX_PACKETS;
pub use status::{BadStatus, StatusSet};
pub use target::{BadProbe, check};

/// The most TCP connections that probes hold at the same time; further runs wait for their turn before their time
/// begins, so that a thousand probes do not use up the process' descriptors.
const CONNECTIONS: usize = 512;
/// The longest message, in bytes.
const MAX_MESSAGE: usize = 500;
/// The longest time-out there is.
const MAX_TIMEOUT: Millis = Millis::from_secs(600);

/// What one run measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// How it ended.
    pub outcome: Outcome,
    /// Microseconds. ICMP: the average round trip; TCP: until the connection stood; HTTP: from the first look-up to
    /// the head of the last answer, redirects and all.
    pub rtt_us: Option<u32>,
    /// Echoes lost, in thousandths of those sent.
    pub loss_permille: Option<u32>,
    /// One sentence of at most 500 bytes, without control characters.
    pub message: String,
}

/// Makes probes. Cheap to clone; clones share one ICMP socket for each family, the resolver's threads and the TLS roots.
///
/// It belongs to the tokio runtime in which it first runs (its sockets are registered there): another runtime needs a
/// prober of its own. A current-thread runtime will do; it needs tokio's network and time drivers.
#[derive(Clone, Default)]
pub struct Prober(Arc<Shared>);

#[derive(Default)]
struct Shared {
    pinger: icmp::Pinger,
    resolver: resolve::Resolver,
    connections: Connections,
    tls: tls::Tls,
}

struct Connections(Semaphore);

impl Default for Connections {
    fn default() -> Connections {
        Connections(Semaphore::new(CONNECTIONS))
    }
}

impl Prober {
    /// A prober that has opened nothing yet.
    #[must_use]
    pub fn new() -> Prober {
        Prober::default()
    }

    /// A prober that trusts these root certificates (DER) in place of the system's.
    #[must_use]
    pub fn trusting(roots: Vec<Vec<u8>>) -> Prober {
        let roots = roots.into_iter().map(CertificateDer::from).collect();
        Prober(Arc::new(Shared { tls: tls::Tls::trusting(roots), ..Shared::default() }))
    }

    /// Runs one probe. An echo waits for its answer for `timeout` after the last one was sent (several leave 100 ms
    /// apart); anything else ends within `timeout`, whatever the other side does. A dropped run leaves nothing behind.
    pub async fn run(&self, probe: &Probe, timeout: Millis) -> Measured {
        if let Err(bad) = check(probe) {
            return Failed::unknown(bad.to_string()).into();
        }
        let timeout = timeout.clamp(Millis(1), MAX_TIMEOUT);
        match probe {
            Probe::Icmp { target, packets, warn_loss_permille, warn_rtt } => {
                match self.0.resolver.resolve(target, Limit::new(timeout)).await {
                    Ok(addresses) => {
                        let ask = icmp::Ask {
                            name: target,
                            target: addresses[0],
                            packets: *packets,
                            warn_loss_permille: *warn_loss_permille,
                            warn_rtt: *warn_rtt,
                        };
                        self.0.pinger.run(&ask, timeout).await
                    }
                    Err(failed) => failed.into(),
                }
            }
            Probe::Tcp { target, port } => {
                let _place = self.0.connections.0.acquire().await;
                tcp::run(&self.0.resolver, target, *port, Limit::new(timeout)).await
            }
            Probe::Http { url, status, keyword, redirects, insecure } => {
                let _place = self.0.connections.0.acquire().await;
                let ask = http::Ask { url, status, keyword, redirects: *redirects, insecure: *insecure };
                http::run(&self.0.resolver, &self.0.tls, &ask, Limit::new(timeout)).await
            }
        }
    }
}

/// Until when something may take, and how long that was in all, for the message.
#[derive(Clone, Copy)]
pub(crate) struct Limit {
    deadline: tokio::time::Instant,
    timeout: Millis,
}

impl Limit {
    /// From now on.
    pub(crate) fn new(timeout: Millis) -> Limit {
        Limit { deadline: tokio::time::Instant::now() + timeout.duration(), timeout }
    }
}

/// A run that ended without a measurement.
#[derive(Debug)]
pub(crate) struct Failed {
    pub(crate) outcome: Outcome,
    pub(crate) message: String,
}

impl Failed {
    /// The target is at fault, or the way to it.
    fn fail(message: String) -> Failed {
        Failed { outcome: Outcome::Fail, message }
    }

    /// We are: nothing is known about the target.
    fn unknown(message: String) -> Failed {
        Failed { outcome: Outcome::Unknown, message }
    }
}

impl From<Failed> for Measured {
    fn from(failed: Failed) -> Measured {
        Measured {
            outcome: failed.outcome,
            rtt_us: None,
            loss_permille: None,
            message: sentence(&failed.message),
        }
    }
}

/// `text` without control characters, cut to what a message may hold.
pub(crate) fn sentence(text: &str) -> String {
    let mut message = String::with_capacity(text.len().min(MAX_MESSAGE));
    for c in text.chars().map(|c| if c.is_control() { ' ' } else { c }) {
        if message.len() + c.len_utf8() > MAX_MESSAGE - '…'.len_utf8() {
            message.push('…');
            break;
        }
        message.push(c);
    }
    message
}

/// An error of the network in the words of the field, without the system's numbers.
pub(crate) fn plain(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "refused".to_owned(),
        io::ErrorKind::ConnectionReset => "reset by the other side".to_owned(),
        io::ErrorKind::HostUnreachable => "no route to host".to_owned(),
        io::ErrorKind::NetworkUnreachable => "network unreachable".to_owned(),
        io::ErrorKind::NetworkDown => "the network is down".to_owned(),
        io::ErrorKind::TimedOut => "timed out".to_owned(),
        io::ErrorKind::PermissionDenied => {
            "not permitted by this machine (a firewall rule, or a broadcast address?)".to_owned()
        }
        _ => {
            let text = error.to_string();
            text.split(" (os error").next().unwrap_or_default().to_lowercase()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_one_short_line() {
        assert_eq!(sentence("two\r\nlines\u{7}"), "two  lines ");
        for text in ["x".repeat(2_000), "ü".repeat(2_000), "€".repeat(2_000)] {
            let message = sentence(&text);
            assert!(
                message.len() <= MAX_MESSAGE && message.len() > MAX_MESSAGE - 8 && message.ends_with('…')
            );
        }
    }
}
