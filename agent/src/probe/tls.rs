//! TLS for HTTP checks: roots that are read when the first check needs them, and a certificate's fault in plain words.

use std::io;
use std::sync::{Arc, OnceLock};

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio::sync::OnceCell;

use super::Failed;

/// The two ways to speak TLS: verified, and not.
#[derive(Default)]
pub(super) struct Tls {
    /// Trusted in place of the system's roots.
    own_roots: Option<Vec<CertificateDer<'static>>>,
    verified: OnceCell<Arc<ClientConfig>>,
    insecure: OnceLock<Arc<ClientConfig>>,
}

impl Tls {
    pub(super) fn trusting(roots: Vec<CertificateDer<'static>>) -> Tls {
        Tls { own_roots: Some(roots), ..Tls::default() }
    }

    /// A configuration that verifies; the roots are read once they are needed, and again as long as there are none.
    pub(super) async fn verified(&self) -> Result<Arc<ClientConfig>, Failed> {
        let made = self.verified.get_or_try_init(|| async {
            let roots = match &self.own_roots {
                Some(roots) => roots.clone(),
                None => system_roots().await?,
            };
            let mut store = RootCertStore::empty();
            store.add_parsable_certificates(roots);
            if store.is_empty() {
                return Err(Failed::unknown(
                    "this machine has no trusted root certificates: install the package ca-certificates"
                        .to_owned(),
                ));
            }
            let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
                .with_safe_default_protocol_versions()
                .map_err(|error| Failed::unknown(format!("set up TLS: {error}")))?;
            Ok(Arc::new(fresh(builder.with_root_certificates(store).with_no_client_auth())))
        });
        made.await.cloned()
    }

    /// A configuration that takes any certificate.
    pub(super) fn insecure(&self) -> Arc<ClientConfig> {
        let make = || {
            let provider = Arc::new(ring::default_provider());
            let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
                .with_safe_default_protocol_versions()
                .expect("ring speaks the protocol versions rustls has by default")
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(TakesAny(provider)))
                .with_no_client_auth();
            Arc::new(fresh(config))
        };
        Arc::clone(self.insecure.get_or_init(make))
    }
}

/// Every run makes a whole handshake: one that is resumed would not look at the certificate again.
fn fresh(mut config: ClientConfig) -> ClientConfig {
    config.resumption = Resumption::disabled();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config
}

async fn system_roots() -> Result<Vec<CertificateDer<'static>>, Failed> {
    let loaded = tokio::task::spawn_blocking(rustls_native_certs::load_native_certs).await;
    let loaded =
        loaded.map_err(|stopped| Failed::unknown(format!("read the root certificates: {stopped}")))?;
    match loaded.errors.first() {
        Some(error) if loaded.certs.is_empty() => {
            Err(Failed::unknown(format!("read this machine's trusted root certificates: {error}")))
        }
        _ => Ok(loaded.certs),
    }
}

/// Why a handshake failed, in a person's words.
pub(crate) fn why(error: &io::Error, host: &str) -> String {
    let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) else {
        return match error.kind() {
            io::ErrorKind::UnexpectedEof => {
                "the other side closed the connection during the TLS handshake".to_owned()
            }
            _ => format!("TLS handshake: {}", super::plain(error)),
        };
    };
    match tls {
        rustls::Error::InvalidCertificate(bad) => bad_certificate(bad, host),
        rustls::Error::InvalidMessage(_) => "the other side does not speak TLS at this port".to_owned(),
        rustls::Error::AlertReceived(alert) => format!("the other side refused TLS: {alert:?}"),
        rustls::Error::PeerIncompatible(_) => format!("no common TLS version or cipher: {tls}"),
        _ => format!("TLS handshake: {tls}"),
    }
}

fn bad_certificate(bad: &CertificateError, host: &str) -> String {
    match bad {
        CertificateError::Expired => "the certificate has expired".to_owned(),
        CertificateError::ExpiredContext { time, not_after } => {
            let days = time.as_secs().saturating_sub(not_after.as_secs()) / 86_400;
            match days {
                0 => "the certificate expired less than a day ago".to_owned(),
                1 => "the certificate expired 1 day ago".to_owned(),
                _ => format!("the certificate expired {days} days ago"),
            }
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "the certificate is not valid yet (or this machine's clock is slow)".to_owned()
        }
        CertificateError::NotValidForName => format!("the certificate is not for {host}"),
        CertificateError::NotValidForNameContext { presented, .. } if presented.is_empty() => {
            format!("the certificate is not for {host}: it names no host")
        }
        CertificateError::NotValidForNameContext { presented, .. } => {
            let names: Vec<&str> =
                presented.iter().take(3).map(|name| name.split('"').nth(1).unwrap_or(name)).collect();
            format!("the certificate is not for {host}: it is for {}", names.join(", "))
        }
        CertificateError::UnknownIssuer => {
            "the certificate is self-signed or from an issuer that this machine does not know".to_owned()
        }
        CertificateError::Revoked => "the certificate was revoked".to_owned(),
        CertificateError::BadSignature => {
            "the certificate's signature is wrong: its issuer is not the one that this machine knows by that name"
                .to_owned()
        },
        CertificateError::BadEncoding => "the certificate cannot be read".to_owned(),
        other if other.to_string().contains("CaUsedAsEndEntity") => {
            "the certificate is self-signed, and made for an authority rather than a server".to_owned()
        }
        other => format!("the certificate is not good: {other}"),
    }
}

/// Takes any certificate, also one that cannot be read: a device of twenty years is watched all the same.
#[derive(Debug)]
struct TakesAny(Arc<CryptoProvider>);

impl ServerCertVerifier for TakesAny {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
