//! The link against real servers on loopback: the right key, the wrong one, refusals, and answers that are none.

#![expect(clippy::unwrap_used, reason = "a test ends where something it needs is missing")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use agent::JoinToken;
use agent::link::{Http, Link, LinkError};
use agent::report::{CheckIn, Joined, Reply};
use agent::spool::{Identity, Spool};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use schedules::{Clock, Millis, Time};
use sha2::{Digest, Sha256};

/// One request as the server saw it.
struct Seen {
    head: String,
    body: Vec<u8>,
    /// Which connection it came on.
    connection: usize,
}

impl Seen {
    fn has(&self, line: &str) -> bool {
        self.head.lines().any(|have| have.eq_ignore_ascii_case(line))
    }
}

/// Serves `answers` one after the other, over as many connections as come; tells what was asked.
fn serve(tls: Option<Arc<ServerConfig>>, answers: Vec<Vec<u8>>) -> (u16, Receiver<Seen>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (tell, seen) = channel();
    std::thread::spawn(move || {
        let mut answers = answers.into_iter();
        for (connection, socket) in listener.incoming().enumerate() {
            let socket = socket.unwrap();
            socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            let tell = |head, body| tell.send(Seen { head, body, connection }).is_ok();
            match &tls {
                Some(config) => {
                    let conn = ServerConnection::new(Arc::clone(config)).unwrap();
                    talk(StreamOwned::new(conn, socket), &mut answers, tell);
                }
                None => talk(socket, &mut answers, tell),
            }
        }
    });
    (port, seen)
}

fn talk(
    stream: impl Read + Write,
    answers: &mut impl Iterator<Item = Vec<u8>>,
    tell: impl Fn(String, Vec<u8>) -> bool,
) {
    let mut stream = BufReader::new(stream);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if stream.read_line(&mut head).unwrap_or(0) == 0 {
                return;
            }
        }
        let length = head
            .lines()
            .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok())
            .unwrap_or(0);
        let mut body = vec![0; length];
        stream.read_exact(&mut body).unwrap();
        let Some(answer) = answers.next() else { return };
        if !tell(head, body) || stream.get_mut().write_all(&answer).is_err() {
            return;
        }
        drop(stream.get_mut().flush());
    }
}

fn answer(status: &str, headers: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\n{headers}content-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

fn reply() -> Vec<u8> {
    answer("200 OK", "", &serde_json::to_string(&Reply { acked: 42, ..Reply::default() }).unwrap())
}

fn call() -> CheckIn {
    CheckIn { log: "a-log".into(), sent_at: Time(1), ..CheckIn::default() }
}

fn certificate() -> (Arc<ServerConfig>, [u8; 32]) {
    let made = rcgen::generate_simple_self_signed(vec!["lineman.invalid".into()]).unwrap();
    let pin = Sha256::digest(rcgen::PublicKeyData::subject_public_key_info(&made.signing_key)).into();
    let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    (Arc::new(config), pin)
}

/// Checks in, in no more than the time a test may take.
fn check_in(http: &Http, call: CheckIn) -> Result<Reply, LinkError> {
    let runtime = agent::runtime().unwrap();
    let answer = runtime.block_on(async {
        tokio::time::timeout(Duration::from_secs(20), http.check_in(call)).await.expect("an answer in time")
    });
    runtime.shutdown_background();
    answer
}

fn plain(port: u16) -> Http {
    Http::new(&format!("http://127.0.0.1:{port}"), "s3cret", None).unwrap()
}

/// What a check-in comes to when the server answers this.
fn answered(with: Vec<u8>) -> Result<Reply, LinkError> {
    let (port, _seen) = serve(None, vec![with]);
    check_in(&plain(port), call())
}

#[test]
fn a_check_in_carries_the_secret_and_one_connection_serves_many() {
    let (port, seen) = serve(None, vec![reply(), reply()]);
    let http = plain(port);
    for _ in 0..2 {
        assert_eq!(check_in(&http, call()).unwrap().acked, 42);
        let seen = seen.recv_timeout(Duration::from_secs(5)).unwrap();
        assert!(seen.head.starts_with("POST /api/agent/check-in HTTP/1.1\r\n"), "{}", seen.head);
        assert!(seen.has("authorization: Bearer s3cret"), "{}", seen.head);
        assert_eq!(seen.connection, 0, "kept alive");
        assert_eq!(serde_json::from_slice::<CheckIn>(&seen.body).unwrap(), call());
    }
}

#[test]
fn a_large_report_is_sent_gzipped() {
    let (port, seen) = serve(None, vec![reply()]);
    let large = CheckIn { log: "x".repeat(5_000), ..call() };
    check_in(&plain(port), large.clone()).unwrap();
    let seen = seen.recv_timeout(Duration::from_secs(5)).unwrap();
    assert!(seen.has("content-encoding: gzip"), "{}", seen.head);
    let mut text = Vec::new();
    flate2::read::GzDecoder::new(&seen.body[..]).read_to_end(&mut text).unwrap();
    assert_eq!(serde_json::from_slice::<CheckIn>(&text).unwrap(), large);
}

#[test]
fn a_self_signed_server_is_trusted_by_its_key_and_another_is_not() {
    let (config, pin) = certificate();
    let (port, seen) = serve(Some(config), vec![reply(), reply()]);
    let url = format!("https://127.0.0.1:{port}");
    let http = Http::new(&url, "s3cret", Some(pin)).unwrap();
    assert_eq!(check_in(&http, call()).unwrap().acked, 42);
    assert!(seen.recv_timeout(Duration::from_secs(5)).is_ok());

    let other = JoinToken::from_bytes(&[0; 32], Some([1; 32])).to_string();
    let expected = other.split_once('.').unwrap().1;
    let found = JoinToken::from_bytes(&[0; 32], Some(pin)).to_string();
    let http = Http::new(&url, "s3cret", Some([1; 32])).unwrap();
    let LinkError::Failed(error) = check_in(&http, call()).unwrap_err() else { panic!("another error") };
    assert!(error.contains(expected) && error.contains(found.split_once('.').unwrap().1), "{error}");

    let http = Http::new(&url, "s3cret", None).unwrap();
    let LinkError::Failed(error) = check_in(&http, call()).unwrap_err() else { panic!("another error") };
    assert!(error.contains("names no key"), "{error}");
    assert!(seen.try_recv().is_err(), "no secret was sent to either");
}

#[test]
fn a_server_that_holds_another_key_than_it_shows_is_not_trusted() {
    let (config, pin) = certificate();
    let other = rcgen::KeyPair::generate().unwrap();
    let key = PrivateKeyDer::Pkcs8(other.serialize_der().into());
    let shown = shown_certificate(&config);
    let provider = rustls::crypto::ring::default_provider();
    let key = provider.key_provider.load_private_key(key).unwrap();
    // The right certificate, signed for with a key that is not its own.
    let imposter = rustls::sign::CertifiedKey::new(shown, key);
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(imposter)));
    let (port, seen) = serve(Some(Arc::new(config)), vec![reply()]);
    let http = Http::new(&format!("https://127.0.0.1:{port}"), "s3cret", Some(pin)).unwrap();
    assert!(matches!(check_in(&http, call()), Err(LinkError::Failed(_))));
    assert!(seen.try_recv().is_err());
}

/// The certificate that a configuration shows: asked from it by a client that takes any.
fn shown_certificate(config: &Arc<ServerConfig>) -> Vec<rustls::pki_types::CertificateDer<'static>> {
    let mut server = ServerConnection::new(Arc::clone(config)).unwrap();
    let client =
        rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(TakesAny))
            .with_no_client_auth();
    let name = "lineman.invalid".try_into().unwrap();
    let mut client = rustls::ClientConnection::new(Arc::new(client), name).unwrap();
    while client.is_handshaking() {
        let mut wire = Vec::new();
        client.write_tls(&mut wire).unwrap();
        server.read_tls(&mut &wire[..]).unwrap();
        server.process_new_packets().unwrap();
        let mut wire = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut wire).unwrap();
        }
        let mut wire = &wire[..];
        while !wire.is_empty() {
            client.read_tls(&mut wire).unwrap();
            client.process_new_packets().unwrap();
        }
    }
    client.peer_certificates().unwrap().iter().map(|cert| cert.clone().into_owned()).collect()
}

#[derive(Debug)]
struct TakesAny;

impl rustls::client::danger::ServerCertVerifier for TakesAny {
    fn verify_server_cert(
        &self,
        _: &rustls::pki_types::CertificateDer<'_>,
        _: &[rustls::pki_types::CertificateDer<'_>],
        _: &rustls::pki_types::ServerName<'_>,
        _: &[u8],
        _: rustls::pki_types::UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
        Ok(rustls::client::danger::ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &rustls::pki_types::CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &rustls::pki_types::CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        rustls::crypto::ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

#[test]
fn each_refusal_has_its_meaning() {
    let told = r#"{"error":"what was wrong","seq":7}"#;
    let error = "what was wrong".to_owned();
    assert_eq!(answered(answer("401 Unauthorized", "", told)), Err(LinkError::Unauthorized(error.clone())));
    assert_eq!(answered(answer("410 Gone", "", told)), Err(LinkError::Gone(error.clone())));
    assert_eq!(
        answered(answer("400 Bad Request", "", told)),
        Err(LinkError::Bad { seq: Some(7), error: error.clone() })
    );
    for (header, ms) in [
        ("retry-after: 20\r\n", 20_000),
        ("", 10_000),
        ("retry-after: 99999999\r\n", 3_600_000),
        ("retry-after: soon\r\n", 10_000),
    ] {
        for status in ["429 Too Many Requests", "503 Service Unavailable"] {
            let busy = LinkError::Busy { retry_after: Millis(ms), error: error.clone() };
            assert_eq!(answered(answer(status, header, told)), Err(busy), "{status} {header}");
        }
    }
    assert_eq!(answered(answer("500 Internal Server Error", "", told)), Err(LinkError::Failed(error)));
    assert!(matches!(answered(answer("502 Bad Gateway", "", "<html>")), Err(LinkError::Failed(_))));
}

#[test]
fn the_secret_follows_no_redirect() {
    let (other, seen) = serve(None, vec![reply()]);
    for status in ["302 Found", "307 Temporary Redirect", "308 Permanent Redirect"] {
        let to = format!("location: http://127.0.0.1:{other}/\r\n");
        assert!(matches!(answered(answer(status, &to, "")), Err(LinkError::Failed(_))), "{status}");
    }
    assert!(seen.try_recv().is_err());
}

#[test]
fn an_answer_that_is_none_is_a_failed_try() {
    for bytes in [
        answer("200 OK", "", "hello"),
        answer("200 OK", "", "[]"),
        b"SSH-2.0-OpenSSH_9.9\r\n".to_vec(),
        b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{".to_vec(),
        Vec::new(),
    ] {
        let shown = String::from_utf8_lossy(&bytes).into_owned();
        let port = serve_and_hang_up(bytes);
        assert!(matches!(check_in(&plain(port), call()), Err(LinkError::Failed(_))), "{shown}");
    }
}

/// Serves one answer and closes the connection.
fn serve_and_hang_up(bytes: Vec<u8>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        drop(socket.read(&mut [0; 65_536]));
        drop(socket.write_all(&bytes));
        drop(socket.shutdown(std::net::Shutdown::Write));
    });
    port
}

#[test]
fn an_answer_without_end_is_cut_off() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        drop(socket.read(&mut [0; 65_536]));
        drop(socket.write_all(b"HTTP/1.1 200 OK\r\n\r\n"));
        while socket.write_all(&[b' '; 65_536]).is_ok() {}
    });
    let Err(LinkError::Failed(error)) = check_in(&plain(port), call()) else { panic!("another answer") };
    assert!(error.contains("16 MiB"), "{error}");
}

#[test]
fn a_server_that_is_silent_in_the_handshake_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let hold = std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        drop(socket.read(&mut [0; 65_536]));
        // A byte now and then, of a handshake that never ends.
        drop(socket.write_all(&[22, 3, 3, 64, 0]));
        while socket.write_all(&[2]).is_ok() {
            std::thread::sleep(Duration::from_millis(200));
        }
    });
    let http = Http::new(&format!("https://127.0.0.1:{port}"), "s3cret", Some([0; 32])).unwrap();
    let began = Instant::now();
    assert!(matches!(check_in(&http, call()), Err(LinkError::Failed(_))));
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    drop(http);
    hold.join().unwrap();
}

#[test]
fn where_nobody_listens_the_error_names_the_server() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let Err(LinkError::Failed(error)) = check_in(&plain(port), call()) else { panic!("another answer") };
    assert!(error.contains(&format!("http://127.0.0.1:{port}")) && error.contains("refused"), "{error}");
    drop(TcpStream::connect(("127.0.0.1", port)));
}

#[test]
fn joining_keeps_the_identity_and_leaving_forgets_it() {
    let joined = Joined { device: 7, name: "edge".into(), secret: "s3cret".into() };
    let (port, seen) = serve(None, vec![answer("200 OK", "", &serde_json::to_string(&joined).unwrap())]);
    let url = format!("http://127.0.0.1:{port}");
    let dir = tempfile::tempdir().unwrap();
    let token = JoinToken::from_bytes(&[3; 32], None).to_string();
    assert!(agent::leave(dir.path()).unwrap_err().to_string().contains("join one"));
    assert_eq!(agent::join(dir.path(), &url, &token).unwrap(), joined);
    let seen = seen.recv_timeout(Duration::from_secs(5)).unwrap();
    assert!(seen.head.starts_with("POST /api/agent/join "));
    assert!(String::from_utf8_lossy(&seen.body).contains(&token));

    let again = agent::join(dir.path(), &url, &token).unwrap_err();
    assert!(again.to_string().contains("agent leave"), "{again}");
    let status = agent::Status::read(dir.path()).unwrap();
    assert_eq!(
        (status.state.as_str(), status.server.as_str(), status.device.as_str()),
        ("stopped", &*url, "edge")
    );

    let lock = agent::home::Lock::take(dir.path()).unwrap();
    let in_use = agent::leave(dir.path()).unwrap_err().to_string();
    assert!(in_use.contains(&std::process::id().to_string()), "{in_use}");
    drop(lock);
    assert_eq!(agent::leave(dir.path()).unwrap(), Some((url, "edge".to_owned())));
    assert!(agent::Status::read(dir.path()).is_err());
}

#[test]
fn a_refused_token_changes_nothing() {
    let (port, _seen) =
        serve(None, vec![answer("401 Unauthorized", "", r#"{"error":"the token was used"}"#)]);
    let dir = tempfile::tempdir().unwrap();
    let token = JoinToken::from_bytes(&[3; 32], None).to_string();
    let error = agent::join(dir.path(), &format!("http://127.0.0.1:{port}"), &token).unwrap_err();
    assert!(error.to_string().contains("the token was used"), "{error}");
    assert!(agent::Status::read(dir.path()).is_err());
}

/// A data directory that belongs to the server at `url`.
fn joined(url: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = Spool::open(&dir.path().join("agent.db")).unwrap();
    let identity = Identity {
        server: url.to_owned(),
        device: 7,
        name: "edge".into(),
        secret: "s3cret".into(),
        pin: None,
    };
    spool.set_identity(&identity).unwrap();
    dir
}

#[test]
fn a_damaged_database_is_said_to_be_damaged_and_a_run_sets_it_aside_and_goes_on() {
    let dir = joined("http://127.0.0.1:9");
    let path = dir.path().join("agent.db");
    let (whole, bytes) = (std::fs::metadata(&path).unwrap().len(), std::fs::read(&path).unwrap());
    // The pages of all tables but the first few, which name them and the identity, are gone.
    let db = rusqlite::Connection::open(&path).unwrap();
    let page: u64 = db.query_row("PRAGMA page_size", [], |row| row.get(0)).unwrap();
    let root: u64 = db
        .query_row("SELECT rootpage FROM sqlite_master WHERE name = 'records'", [], |row| row.get(0))
        .unwrap();
    db.close().unwrap();
    let mut bad = bytes;
    let (from, to) = (((root - 1) * page) as usize, (root * page) as usize);
    assert!(to as u64 <= whole);
    bad[from..to].fill(0x5a);
    std::fs::write(&path, &bad).unwrap();

    let said = agent::Status::read(dir.path()).unwrap_err().to_string();
    assert!(said.contains("is damaged") && said.contains("`lineman agent run`"), "{said}");
    let device = agent::Device::open(dir.path()).unwrap();
    assert_eq!((&*device.identity().server, &*device.identity().name), ("http://127.0.0.1:9", "edge"));
    drop(device);
    assert_eq!(agent::Status::read(dir.path()).unwrap().device, "edge");
    assert!(agent::home::has_set_aside(dir.path()), "to be looked at");

    // Whoever leaves leaves no secret behind, and may leave what cannot be read.
    std::fs::write(&path, &bad).unwrap();
    assert_eq!(agent::leave(dir.path()).unwrap(), None);
    let left: Vec<_> =
        std::fs::read_dir(dir.path()).unwrap().flatten().map(|file| file.file_name()).collect();
    assert_eq!(left, ["agent.lock"]);
}

#[test]
fn a_stop_does_not_wait_for_a_server_that_takes_a_call_and_never_answers() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let dir = joined(&format!("http://127.0.0.1:{}", listener.local_addr().unwrap().port()));
    let device = agent::Device::open(dir.path()).unwrap();
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let run = std::thread::spawn(move || agent::alone(device.run(Clock::system(), stopped)));
    let (mut called, _) = listener.accept().unwrap();
    called.read_exact(&mut [0; 4]).unwrap();
    let began = Instant::now();
    stop.send_replace(true);
    run.join().unwrap().unwrap().unwrap();
    // The call itself would go on for half a minute.
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    drop(called);
}
