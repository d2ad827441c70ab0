//! A connection to another machine, with TLS where it is asked for.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::Trouble;

/// The most addresses of a name that are tried.
const MAX_ADDRESSES: usize = 4;

/// A connection to `host`, which is a name or an address, within `limit`. Each address of a name gets its share of the
/// time, so that one which swallows everything does not use up that of the others.
pub async fn tcp(host: &str, port: u16, limit: Duration) -> Result<TcpStream, Trouble> {
    let until = Instant::now() + limit;
    let place = format!("connect to {host}:{port}");
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let addresses = match bare.parse::<IpAddr>() {
        Ok(ip) => vec![(ip, port).into()],
        Err(_) => match timeout_at(until, lookup_host((bare, port))).await {
            Ok(Ok(found)) => found.take(MAX_ADDRESSES).collect(),
            Ok(Err(error)) => return Err(Trouble::later(format!("find the address of {host}")).said(error)),
            Err(_) => return Err(Trouble::later(format!("find the address of {host}: timed out"))),
        },
    };
    let mut last = Trouble::later(format!("find the address of {host}: it has none"));
    for (at, address) in addresses.iter().enumerate() {
        let share = u32::try_from(addresses.len() - at).unwrap_or(1);
        let left = until.saturating_duration_since(Instant::now()) / share;
        match timeout(left, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // Only a matter of speed.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Ok(Err(error)) => last = Trouble::later(&*place).said(error),
            Err(_) => last = Trouble::later(format!("{place}: timed out")),
        }
    }
    Err(last)
}

/// The certificates that are trusted: those given, or else the system's, which are read anew each time.
pub async fn roots(pem: Option<&str>) -> Result<RootCertStore, Trouble> {
    let mut roots = RootCertStore::empty();
    match pem {
        Some(pem) => {
            let read: Vec<CertificateDer<'static>> =
                CertificateDer::pem_slice_iter(pem.as_bytes()).filter_map(Result::ok).collect();
            roots.add_parsable_certificates(read);
        }
        None => {
            let read = tokio::task::spawn_blocking(rustls_native_certs::load_native_certs).await;
            let read = read.map_err(|e| Trouble::later("read the system's certificates").said(e))?;
            roots.add_parsable_certificates(read.certs);
        }
    }
    if roots.is_empty() {
        return Err(Trouble::later("there is no certificate to trust: install ca-certificates, or give one"));
    }
    Ok(roots)
}

/// TLS on a connection to `host`.
pub async fn tls(stream: TcpStream, host: &str, pem: Option<&str>) -> Result<TlsStream<TcpStream>, Trouble> {
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring speaks TLS 1.2 and 1.3")
        .with_root_certificates(roots(pem).await?)
        .with_no_client_auth();
    let bare = host.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.');
    let name = ServerName::try_from(bare.to_owned())
        .map_err(|_| Trouble::never(format!("{host} is no name that a certificate can have")))?;
    let connector = TlsConnector::from(Arc::new(config));
    let done = connector.connect(name, stream).await;
    done.map_err(|error| Trouble::later(format!("encrypt the connection to {host}")).said(error))
}
