//! From a target as a person writes it to addresses: itself, or what the system's resolver says.

use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::sync::Arc;

use tokio::sync::Semaphore;

use super::{Failed, Limit};

/// The most names that are resolved at the same time: each holds a thread until the system's resolver is done, also
/// where nobody waits for it any more.
pub(crate) const AT_ONCE: usize = 8;
/// The most addresses of one name that are kept.
const MAX_ADDRESSES: usize = 16;

/// The system's resolver, with a bound on what it may hold.
#[derive(Clone)]
pub(crate) struct Resolver(Arc<Semaphore>);

impl Default for Resolver {
    fn default() -> Resolver {
        Resolver(Arc::new(Semaphore::new(AT_ONCE)))
    }
}

impl Resolver {
    /// At least one address, in the order in which they are to be tried.
    ///
    /// # Errors
    /// The name does not resolve, or not in time: a failure. `unknown` where the wait was for other names.
    pub(crate) async fn resolve(&self, target: &str, limit: Limit) -> Result<Vec<IpAddr>, Failed> {
        if let Some(address) = literal(target) {
            return Ok(vec![address]);
        }
        let place = tokio::time::timeout_at(limit.deadline, Arc::clone(&self.0).acquire_owned()).await;
        let Ok(Ok(place)) = place else {
            let waited = format!("resolve {target}: {AT_ONCE} other names were still waiting for an answer");
            return Err(Failed::unknown(waited));
        };
        let name = target.to_owned();
        let found = tokio::task::spawn_blocking(move || {
            let found = (name.as_str(), 0).to_socket_addrs().map(|all| {
                let mut addresses: Vec<IpAddr> = Vec::new();
                for address in all.map(|socket| socket.ip().to_canonical()) {
                    if addresses.len() < MAX_ADDRESSES && !addresses.contains(&address) {
                        addresses.push(address);
                    }
                }
                addresses
            });
            drop(place);
            found
        });
        match tokio::time::timeout_at(limit.deadline, found).await {
            Err(_) => Err(Failed::fail(format!("resolve {target}: timed out after {}", limit.timeout))),
            Ok(Err(stopped)) => Err(Failed::unknown(format!("resolve {target}: {stopped}"))),
            Ok(Ok(Err(error))) => Err(Failed::fail(format!("resolve {target}: {}", reason(&error)))),
            Ok(Ok(Ok(addresses))) if addresses.is_empty() => {
                Err(Failed::fail(format!("resolve {target}: the name has no address")))
            }
            Ok(Ok(Ok(addresses))) => Ok(addresses),
        }
    }
}

/// The address that `target` is, if it is one; an IPv4 address in IPv6 clothes is an IPv4 address.
pub(crate) fn literal(target: &str) -> Option<IpAddr> {
    target.parse::<IpAddr>().ok().map(|address| address.to_canonical())
}

/// The standard library gives the resolver's code away in words only: those of glibc and of musl.
fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if says(&["Name or service not known", "Name does not resolve"]) {
        "no such name".to_owned()
    } else if says(&["No address associated", "Name has no usable address"]) {
        "the name has no address".to_owned()
    } else if says(&["Temporary failure", "Try again"]) {
        "the resolver failed or did not answer (look at /etc/resolv.conf)".to_owned()
    } else {
        super::plain(error)
    }
}

#[cfg(test)]
mod tests {
    use schedules::Millis;

    use super::*;

    #[tokio::test]
    async fn an_address_is_itself_and_localhost_is_loopback() {
        let resolver = Resolver::default();
        let limit = Limit::new(Millis::from_secs(20));
        for (target, address) in [("10.0.0.7", "10.0.0.7"), ("::1", "::1"), ("::ffff:10.0.0.7", "10.0.0.7")] {
            assert_eq!(resolver.resolve(target, limit).await.unwrap(), [address.parse::<IpAddr>().unwrap()]);
        }
        let found = resolver.resolve("localhost", limit).await.unwrap();
        assert!(found.iter().all(IpAddr::is_loopback), "{found:?}");
    }

    #[test]
    fn what_the_resolver_says_is_told_in_plain_words() {
        for (said, told) in [
            ("failed to lookup address information: Name or service not known", "no such name"),
            ("failed to lookup address information: Name does not resolve", "no such name"),
            (
                "failed to lookup address information: No address associated with hostname",
                "the name has no address",
            ),
        ] {
            assert_eq!(reason(&io::Error::other(said)), told);
        }
        assert!(reason(&io::Error::other("Temporary failure in name resolution")).contains("resolver"));
    }
}
