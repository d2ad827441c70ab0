//! A TCP connection: made, timed, and dropped at once.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use tokio::net::TcpStream;

use super::resolve::Resolver;
use super::{Failed, Limit, Measured};
use crate::report::Outcome;

/// Connects to the target and measures how long that took; the resolving of a name does not count.
pub(super) async fn run(resolver: &Resolver, target: &str, port: u16, limit: Limit) -> Measured {
    let addresses = match resolver.resolve(target, limit).await {
        Ok(addresses) => addresses,
        Err(failed) => return failed.into(),
    };
    match connect(&addresses, port, limit).await {
        Ok(connected) => {
            drop_at_once(&connected.stream);
            let us = u32::try_from(connected.took.as_micros()).unwrap_or(u32::MAX);
            let to = connected.to;
            Measured {
                outcome: Outcome::Ok,
                rtt_us: Some(us),
                loss_permille: None,
                message: format!("connect {to}: open after {}.{:02} ms", us / 1000, us % 1000 / 10),
            }
        }
        Err(failed) => failed.into(),
    }
}

/// A connection, where it leads, and how long it took to make.
pub(super) struct Connected {
    pub(super) stream: TcpStream,
    pub(super) to: SocketAddr,
    took: std::time::Duration,
}

/// Tries the addresses in order, each with its share of what is left of the time; the last one's failure is told.
pub(super) async fn connect(addresses: &[IpAddr], port: u16, limit: Limit) -> Result<Connected, Failed> {
    let mut last = Failed::unknown("connect: there is no address to try".to_owned());
    for (nth, &address) in addresses.iter().enumerate() {
        let now = tokio::time::Instant::now();
        let others = u32::try_from(addresses.len() - nth).unwrap_or(u32::MAX);
        let share = limit.deadline.saturating_duration_since(now) / others;
        let to = SocketAddr::new(address, port);
        let began = Instant::now();
        match tokio::time::timeout_at(now + share, TcpStream::connect(to)).await {
            Ok(Ok(stream)) if is_to_itself(&stream) => {
                last = Failed::fail(format!("connect {to}: refused"));
            }
            Ok(Ok(stream)) => return Ok(Connected { stream, to, took: began.elapsed() }),
            Ok(Err(error)) => last = refused(to, &error),
            Err(_) => last = Failed::fail(format!("connect {to}: timed out after {}", limit.timeout)),
        }
    }
    Err(last)
}

/// Closes by a reset when the stream is dropped, so that no port is left in TIME_WAIT.
pub(super) fn drop_at_once(stream: &TcpStream) {
    drop(stream.set_zero_linger());
}

/// A connection to a port of this machine where nobody listens can meet itself, when it is given that very port as
/// its own (both ends open at the same time: RFC 9293, 3.5).
fn is_to_itself(stream: &TcpStream) -> bool {
    matches!((stream.local_addr(), stream.peer_addr()), (Ok(local), Ok(peer)) if local == peer)
}

fn refused(to: SocketAddr, error: &io::Error) -> Failed {
    let message = format!("connect {to}: {}", super::plain(error));
    match error.raw_os_error() {
        // This machine has no descriptor, port or memory left: that says nothing about the target.
        Some(
            libc::EMFILE
            | libc::ENFILE
            | libc::ENOMEM
            | libc::ENOBUFS
            | libc::EADDRNOTAVAIL
            | libc::EAGAIN
            | libc::EAFNOSUPPORT
            | libc::EINVAL,
        ) => Failed::unknown(message),
        _ => Failed::fail(message),
    }
}
