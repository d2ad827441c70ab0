//! Our server: its name, its port, its proof of who it is, and its answer.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use rustls::CertificateError;
use rustls::pki_types::{ServerName, UnixTime};
use schedules::Millis;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::Server;
use super::http::get;
use super::knock::{Knock, knock};
use super::notes::{Measure, Notes};
use crate::link::tls::{Refusal, config};
use crate::probe::resolve::{Resolver, literal};
use crate::probe::{Limit, tls};
use crate::report::{Step, TlsError};

/// The most addresses of the server that are tried.
pub(super) const MOST: usize = 4;
/// What is asked for: it needs no secret, and costs the server next to nothing.
const PATH: &str = "/healthz";

/// The server's addresses, as this machine resolves names; where it does not, the last one known to work.
pub(super) async fn resolve(
    resolver: &Resolver,
    server: &Server,
    notes: &Notes,
    timeout: Duration,
) -> Vec<IpAddr> {
    let step =
        |addresses: &[IpAddr]| Step::ServerName { host: server.host.clone(), addresses: addresses.to_vec() };
    if let Some(address) = literal(&server.host) {
        notes.not_measured(step(&[]), "the server is known by its address");
        return vec![address];
    }
    let began = Instant::now();
    match resolver.resolve(&server.host, Limit::new((timeout * 6).into())).await {
        Ok(addresses) => {
            notes.holds(step(&addresses), Measure::since(began));
            let [v4, v6]: [Vec<IpAddr>; 2] = [IpAddr::is_ipv4, IpAddr::is_ipv6]
                .map(|of| addresses.iter().copied().filter(of).take(MOST / 2).collect());
            v4.into_iter().chain(v6).collect()
        }
        Err(failed) => {
            let said = format!("resolve {}: ", server.host);
            let why = failed.message.strip_prefix(&said).unwrap_or(&failed.message);
            notes.fails(step(&[]), why, Measure::default());
            server.address.into_iter().collect()
        }
    }
}

/// The rungs behind the server's name.
pub(super) async fn note(server: &Server, addresses: &[IpAddr], notes: &Notes, timeout: Duration) {
    let tries = addresses.iter().take(MOST).map(|&address| connect(server, address, notes, timeout));
    let stream = join_all(tries).await.into_iter().flatten().next();
    let Some(stream) = stream else {
        let why = if addresses.is_empty() {
            "its name does not resolve, and no address of it is known"
        } else {
            "its port could not be reached"
        };
        notes.not_measured(Step::ServerTls { error: None, clock_off: None }, why);
        return notes.not_measured(Step::ServerAnswer { status: None }, why);
    };
    let tls = Step::ServerTls { error: None, clock_off: None };
    if !server.tls {
        notes.not_measured(tls, "it is spoken to without TLS");
        return answer(server, stream, notes, timeout).await;
    }
    let began = Instant::now();
    match prove(server, stream, timeout).await {
        Ok(stream) => {
            notes.holds(tls, Measure::since(began));
            answer(server, stream, notes, timeout).await;
        }
        Err(Unproved { error, clock_off, why }) => {
            notes.fails(Step::ServerTls { error: Some(error), clock_off }, &why, Measure::default());
            let step = Step::ServerAnswer { status: None };
            notes.not_measured(step, "it did not prove who it is");
        }
    }
}

async fn connect(server: &Server, address: IpAddr, notes: &Notes, timeout: Duration) -> Option<TcpStream> {
    let to = SocketAddr::new(address, server.port);
    let step = |refused| Step::ServerConnect { address: to, refused };
    match knock(to, None, timeout * 3).await {
        Knock::Open(stream, took) => {
            notes.holds(step(false), measure(took));
            return Some(stream);
        }
        refused @ Knock::Refused(took) => notes.fails(step(true), &refused.why(address), measure(took)),
        unsent @ Knock::Unsent(_) => notes.not_measured(step(false), &unsent.why(address)),
        other @ (Knock::Said(..) | Knock::Silent) => {
            notes.fails(step(false), &other.why(address), Measure::default());
        }
    }
    None
}

fn measure(took: Duration) -> Measure {
    Measure { rtt_us: Some(u32::try_from(took.as_micros()).unwrap_or(u32::MAX)), loss_permille: None }
}

async fn answer<S>(server: &Server, stream: S, notes: &Notes, timeout: Duration)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let began = Instant::now();
    let host = match server.host.parse::<IpAddr>() {
        Ok(IpAddr::V6(v6)) => format!("[{v6}]:{}", server.port),
        Ok(IpAddr::V4(_)) | Err(_) => format!("{}:{}", server.host, server.port),
    };
    match get(stream, &host, PATH, timeout * 5).await {
        Ok(answer) if answer.status < 500 => {
            notes.holds(Step::ServerAnswer { status: Some(answer.status) }, Measure::since(began));
        }
        Ok(answer) => {
            let why = format!("it answers {}", answer.status);
            notes.fails(Step::ServerAnswer { status: Some(answer.status) }, &why, Measure::since(began));
        }
        Err(why) => notes.fails(Step::ServerAnswer { status: None }, &why, Measure::default()),
    }
}

/// Why a server did not prove who it is.
#[derive(Debug)]
struct Unproved {
    error: TlsError,
    clock_off: Option<Millis>,
    why: String,
}

async fn prove(
    server: &Server,
    stream: TcpStream,
    timeout: Duration,
) -> Result<tokio_rustls::client::TlsStream<TcpStream>, Unproved> {
    let other = |why: &str| Unproved { error: TlsError::Other, clock_off: None, why: why.to_owned() };
    let name = ServerName::try_from(server.host.clone()).map_err(|_| other("its host is no TLS name"))?;
    let refusal = Refusal::default();
    let connector = TlsConnector::from(Arc::new(config(server.pin, Arc::clone(&refusal))));
    match tokio::time::timeout(timeout * 3, connector.connect(name, stream)).await {
        Err(_) => Err(other("no answer while TLS was negotiated")),
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) => {
            let refused = refusal.lock().unwrap_or_else(PoisonError::into_inner).take();
            Err(unproved(&error, refused, &server.host))
        }
    }
}

/// What kind of failure a failed handshake is. `refused`: what the certificate was refused for.
fn unproved(error: &io::Error, refused: Option<rustls::Error>, host: &str) -> Unproved {
    let seen = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let (kind, clock_off) = match refused.as_ref().or(seen) {
        Some(rustls::Error::InvalidCertificate(bad)) => of_certificate(bad),
        Some(rustls::Error::InvalidMessage(_)) => (TlsError::NotTls, None),
        Some(_) | None => (TlsError::Other, None),
    };
    let why = match refused {
        Some(refused) => tls::why(&io::Error::other(refused), host),
        None => tls::why(error, host),
    };
    Unproved { error: kind, clock_off, why }
}

fn of_certificate(bad: &CertificateError) -> (TlsError, Option<Millis>) {
    let between = |late: UnixTime, early: UnixTime| {
        let seconds = late.as_secs().saturating_sub(early.as_secs());
        Millis::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX / 1000))
    };
    match bad {
        CertificateError::Expired => (TlsError::Expired, None),
        CertificateError::ExpiredContext { time, not_after } => {
            (TlsError::Expired, Some(between(*time, *not_after)))
        }
        CertificateError::NotValidYet => (TlsError::NotYetValid, None),
        CertificateError::NotValidYetContext { time, not_before } => {
            (TlsError::NotYetValid, Some(Millis(-between(*not_before, *time).0)))
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            (TlsError::OtherName, None)
        }
        // Whatever else is wrong with it: nobody trusted vouches for it.
        _ => (TlsError::Untrusted, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(number: u64) -> UnixTime {
        UnixTime::since_unix_epoch(Duration::from_secs(number * 86_400))
    }

    #[test]
    fn a_certificate_says_by_how_much_the_clock_is_outside_of_its_time() {
        let days = |number: i64| Some(Millis::from_secs(number * 86_400));
        for (bad, wanted) in [
            (
                CertificateError::ExpiredContext { time: day(9), not_after: day(6) },
                (TlsError::Expired, days(3)),
            ),
            (
                CertificateError::NotValidYetContext { time: day(2), not_before: day(6) },
                (TlsError::NotYetValid, days(-4)),
            ),
            (CertificateError::NotValidForName, (TlsError::OtherName, None)),
            (CertificateError::UnknownIssuer, (TlsError::Untrusted, None)),
        ] {
            assert_eq!(of_certificate(&bad), wanted);
        }
    }

    #[test]
    fn what_does_not_speak_tls_is_told_from_what_cannot_be_trusted() {
        let not_tls = rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType);
        let found = unproved(&io::Error::other(not_tls), None, "lineman.example");
        assert_eq!(
            (found.error, found.why.as_str()),
            (TlsError::NotTls, "the other side does not speak TLS at this port")
        );
        let refused = rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer);
        let told = io::Error::other(rustls::Error::General("the key is another one".into()));
        assert_eq!(unproved(&told, Some(refused), "lineman.example").error, TlsError::Untrusted);
        let closed = io::Error::from(io::ErrorKind::UnexpectedEof);
        assert_eq!(unproved(&closed, None, "lineman.example").error, TlsError::Other);
    }
}
