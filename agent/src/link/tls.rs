//! TLS to a server that is known by its key: the pin of the join token, or else the system's trusted roots.

use std::io::{ErrorKind, Read, Write};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore, SignatureScheme, StreamOwned,
};
use sha2::{Digest, Sha256};
use ureq::Error;
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, Either, LazyBuffers, NextTimeout, Transport, TransportAdapter,
};

/// Puts TLS on a connection where the URL asks for it.
#[derive(Debug)]
pub struct PinnedConnector {
    config: Arc<ClientConfig>,
}

impl PinnedConnector {
    /// A connector that accepts the server whose key has the SHA-256 `pin`, or one that the system trusts.
    pub fn new(pin: Option<[u8; 32]>) -> PinnedConnector {
        PinnedConnector { config: Arc::new(config(pin, Arc::default())) }
    }
}

/// What a server's certificate was refused for.
pub(crate) type Refusal = Arc<Mutex<Option<rustls::Error>>>;

/// TLS that trusts a key by its hash, else as the system does. Why it does not is put down in `refusal`.
pub(crate) fn config(pin: Option<[u8; 32]>, refusal: Refusal) -> ClientConfig {
    let provider = Arc::new(ring::default_provider());
    let verifier = PinVerifier { pin, provider: Arc::clone(&provider), roots: OnceLock::new(), refusal };
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring speaks TLS 1.2 and 1.3")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth()
}

impl<In: Transport> Connector<In> for PinnedConnector {
    type Out = Either<In, TlsTransport>;

    fn connect(&self, details: &ConnectionDetails, chained: Option<In>) -> Result<Option<Self::Out>, Error> {
        let Some(transport) = chained else { return Ok(None) };
        if !details.needs_tls() {
            return Ok(Some(Either::A(transport)));
        }
        let host = details.uri.host().ok_or(Error::Tls("the URL has no host"))?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let name =
            ServerName::try_from(host.to_owned()).map_err(|_| Error::Tls("the host is no TLS name"))?;
        let conn = ClientConnection::new(Arc::clone(&self.config), name).map_err(tls_error)?;
        let sock = TransportAdapter::new(transport.boxed(), Arc::clone(&details.current_time));
        let mut stream = StreamOwned { conn, sock };
        shake_hands(&mut stream, details.timeout)?;
        let buffers =
            LazyBuffers::new(details.config.input_buffer_size(), details.config.output_buffer_size());
        Ok(Some(Either::B(TlsTransport { buffers, stream })))
    }
}

/// The whole handshake within one time-out, however slowly the other side drips.
fn shake_hands(
    stream: &mut StreamOwned<ClientConnection, TransportAdapter>,
    timeout: NextTimeout,
) -> Result<(), Error> {
    let began = Instant::now();
    let StreamOwned { conn, sock } = stream;
    while conn.is_handshaking() {
        let left = timeout.after.saturating_sub(began.elapsed());
        if left.is_zero() {
            return Err(Error::Timeout(timeout.reason));
        }
        sock.set_timeout(NextTimeout { after: left.into(), ..timeout });
        while conn.wants_write() {
            conn.write_tls(sock)?;
        }
        if conn.is_handshaking() && conn.wants_read() {
            if conn.read_tls(sock)? == 0 {
                return Err(Error::Io(ErrorKind::UnexpectedEof.into()));
            }
            if let Err(error) = conn.process_new_packets() {
                // The other side is told why, as far as it still listens.
                drop(conn.write_tls(sock));
                return Err(tls_error(error));
            }
        }
    }
    while conn.wants_write() {
        conn.write_tls(sock)?;
    }
    Ok(())
}

fn tls_error(error: rustls::Error) -> Error {
    Error::Io(std::io::Error::other(error))
}

/// A connection with TLS on it.
pub struct TlsTransport {
    buffers: LazyBuffers,
    stream: StreamOwned<ClientConnection, TransportAdapter>,
}

impl std::fmt::Debug for TlsTransport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsTransport").finish_non_exhaustive()
    }
}

impl Transport for TlsTransport {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        self.stream.get_mut().set_timeout(timeout);
        let output = &self.buffers.output()[..amount];
        self.stream.write_all(output)?;
        Ok(())
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.stream.get_mut().set_timeout(timeout);
        let input = self.buffers.input_append_buf();
        let amount = self.stream.read(input)?;
        self.buffers.input_appended(amount);
        Ok(amount > 0)
    }

    fn is_open(&mut self) -> bool {
        self.stream.get_mut().get_mut().is_open()
    }

    fn is_tls(&self) -> bool {
        true
    }
}

/// Trusts one key by its hash; anything else as the system does.
#[derive(Debug)]
struct PinVerifier {
    pin: Option<[u8; 32]>,
    provider: Arc<CryptoProvider>,
    roots: OnceLock<Result<Arc<WebPkiServerVerifier>, String>>,
    refusal: Refusal,
}

impl PinVerifier {
    /// The verifier over the system's roots: read when first needed, for most agents never.
    fn by_roots(&self) -> Result<&WebPkiServerVerifier, rustls::Error> {
        let made = self.roots.get_or_init(|| {
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&self.provider))
                .build()
                .map_err(|e| e.to_string())
        });
        made.as_deref().map_err(|e| rustls::Error::General(format!("the system's trusted roots: {e}")))
    }
}

impl ServerCertVerifier for PinVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let key = ParsedCertificate::try_from(end_entity)?.subject_public_key_info();
        let hash: [u8; 32] = Sha256::digest(&key).into();
        if self.pin == Some(hash) {
            return Ok(ServerCertVerified::assertion());
        }
        let by_roots = self
            .by_roots()
            .and_then(|roots| roots.verify_server_cert(end_entity, intermediates, server_name, ocsp, now));
        by_roots.map_err(|e| {
            let seen = URL_SAFE_NO_PAD.encode(hash);
            *self.refusal.lock().unwrap_or_else(PoisonError::into_inner) = Some(e.clone());
            rustls::Error::General(match self.pin {
                Some(pin) => format!(
                    "the server's key is {seen}, expected {}, and this system does not trust its certificate ({e}): \
                     it is another server, or it has a new key and this agent must join again",
                    URL_SAFE_NO_PAD.encode(pin)
                ),
                None => format!(
                    "this system does not trust the server's certificate ({e}), and the join token names no key; \
                     the server's key is {seen}"
                ),
            })
        })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
