//! One try to connect by TCP, and what is said about it on the way: who is there, who refuses, who is in between.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpStream;

use super::echo::{Unsent, said_about, set_hops, tell_errors};
use crate::probe::echo::Why;

/// How a try ended.
#[derive(Debug)]
pub(super) enum Knock {
    /// The connection stands.
    Open(TcpStream, Duration),
    /// The host itself refused it.
    Refused(Duration),
    /// Somebody said that it does not get there.
    Said(IpAddr, Why, Duration),
    /// Nobody answered.
    Silent,
    /// It could not be tried from here.
    Unsent(Unsent),
}

impl Knock {
    /// How long it took until the host answered, where it did.
    pub(super) fn reached(&self) -> Option<Duration> {
        match self {
            Knock::Open(_, took) | Knock::Refused(took) => Some(*took),
            Knock::Said(..) | Knock::Silent | Knock::Unsent(_) => None,
        }
    }

    /// Why it failed, in words.
    pub(super) fn why(&self, target: IpAddr) -> String {
        match self {
            Knock::Open(..) => String::new(),
            Knock::Refused(_) => "refused".to_owned(),
            Knock::Said(from, why, _) if *from == target => why.to_string(),
            Knock::Said(from, why, _) => format!("{why}, says {from}"),
            Knock::Silent => "no answer".to_owned(),
            Knock::Unsent(Unsent::NoRoute) => "this machine knows no way there".to_owned(),
            Knock::Unsent(Unsent::Other(why)) => why.clone(),
        }
    }
}

/// Tries to connect; `hops`: how far the packets may go, else as far as ever.
pub(super) async fn knock(to: SocketAddr, hops: Option<u8>, timeout: Duration) -> Knock {
    let began = Instant::now();
    let (stream, connecting) = match begin(to, hops) {
        Ok(begun) => begun,
        Err(error) => return Knock::Unsent(Unsent::of(&error)),
    };
    if let Some(error) = connecting {
        return ended(&stream, to, &error, began.elapsed());
    }
    match tokio::time::timeout(timeout, stream.writable()).await {
        Err(_) => return Knock::Silent,
        Ok(Err(error)) => return Knock::Unsent(Unsent::of(&error)),
        Ok(Ok(())) => {}
    }
    let took = began.elapsed();
    match stream.take_error() {
        Ok(Some(error)) | Err(error) => ended(&stream, to, &error, took),
        Ok(None) => match (stream.local_addr(), stream.peer_addr()) {
            // A port of this machine at which nobody listens met itself.
            (Ok(own), Ok(peer)) if own == peer => Knock::Refused(took),
            (_, Ok(_)) => {
                drop(stream.set_zero_linger());
                Knock::Open(stream, took)
            }
            (_, Err(error)) => ended(&stream, to, &error, took),
        },
    }
}

/// A socket that connects, and the error where it failed at once.
fn begin(to: SocketAddr, hops: Option<u8>) -> io::Result<(TcpStream, Option<io::Error>)> {
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    tell_errors(&socket, to.is_ipv4())?;
    if let Some(hops) = hops {
        set_hops(&socket, to.is_ipv4(), hops)?;
    }
    let failed = match socket.connect(&to.into()) {
        Ok(()) => None,
        Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => None,
        Err(error) => Some(error),
    };
    Ok((TcpStream::from_std(socket.into())?, failed))
}

fn ended(stream: &TcpStream, to: SocketAddr, error: &io::Error, took: Duration) -> Knock {
    // A router may forbid a connection in words that look like a refusal of the host's own.
    if let Some((from, why)) = said_about(stream.as_raw_fd()) {
        return Knock::Said(from, why, took);
    }
    match error.kind() {
        io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset => Knock::Refused(took),
        io::ErrorKind::TimedOut => Knock::Silent,
        io::ErrorKind::HostUnreachable => Knock::Said(to.ip(), Why::NoHost, took),
        _ => Knock::Unsent(Unsent::of(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn an_open_port_is_told_from_one_that_refuses() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let to = listener.local_addr().unwrap();
        assert!(matches!(knock(to, None, PATIENCE).await, Knock::Open(..)));
        drop(listener);
        let knock = knock(to, Some(1), PATIENCE).await;
        assert!(knock.reached().is_some() && matches!(knock, Knock::Refused(_)), "{knock:?}");
        assert_eq!(knock.why(to.ip()), "refused");
    }
}
