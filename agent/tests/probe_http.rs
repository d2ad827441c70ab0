//! HTTP probes against real servers on loopback: good, slow, endless, broken, and with all sorts of certificates.

#![expect(clippy::unwrap_used, reason = "a test may fail where it stands")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use agent::probe::{Measured, Prober};
use agent::report::{Outcome, Probe};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use schedules::Millis;

/// A server that reads one request's head and lets `answer` write to the connection, one after the other.
fn serve(answer: impl Fn(&str, &mut TcpStream) + Send + 'static) -> SocketAddr {
    serve_at("127.0.0.1:0", answer)
}

fn serve_at(at: &str, answer: impl Fn(&str, &mut TcpStream) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind(at).unwrap();
    let at = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let head = read_head(&mut stream);
            answer(&head, &mut stream);
        }
    });
    at
}

fn read_head(stream: &mut impl Read) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|len| len == 1) {
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

fn say(text: &'static str) -> SocketAddr {
    serve(move |_, stream| drop(stream.write_all(text.as_bytes())))
}

#[derive(Clone)]
struct Get {
    url: String,
    status: &'static str,
    keyword: &'static str,
    redirects: u32,
    insecure: bool,
    timeout: i64,
}

fn get(url: impl std::fmt::Display) -> Get {
    let url = url.to_string();
    Get { url, status: "", keyword: "", redirects: 0, insecure: false, timeout: 10_000 }
}

impl Get {
    async fn by(self, prober: Prober) -> Measured {
        let probe = Probe::Http {
            url: self.url,
            status: self.status.to_owned(),
            keyword: self.keyword.to_owned(),
            redirects: self.redirects,
            insecure: self.insecure,
        };
        let run = prober.run(&probe, Millis(self.timeout));
        tokio::time::timeout(Duration::from_secs(30), run).await.expect("a probe ends within its time-out")
    }

    async fn run(self) -> Measured {
        self.by(Prober::new()).await
    }
}

#[track_caller]
fn assert_ok(measured: &Measured) {
    assert_eq!(measured.outcome, Outcome::Ok, "{measured:?}");
    assert!(measured.rtt_us.is_some());
}

#[track_caller]
fn assert_fails(measured: &Measured, why: &str) {
    assert_eq!(measured.outcome, Outcome::Fail, "{measured:?}");
    assert!(measured.message.contains(why), "{} / {why}", measured.message);
    assert!(measured.message.len() <= 500 && !measured.message.contains(char::is_control));
}

#[tokio::test(flavor = "current_thread")]
async fn a_good_status_is_ok_and_another_is_not() {
    let ok = say("HTTP/1.1 204 No Content\r\n\r\n");
    assert_ok(&get(format!("http://{ok}/")).run().await);
    let broken = say("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n");
    let measured = get(format!("http://{broken}/health?deep")).run().await;
    let why =
        format!("GET http://{broken}/health?deep: answered 503 Service Unavailable, which is not in 200-399");
    assert_fails(&measured, &why);
    assert!(measured.rtt_us.is_some(), "it did answer");
    let login = say("HTTP/1.1 401 Unauthorized\r\n\r\n");
    assert_ok(&Get { status: "200-299,401", ..get(format!("http://{login}/")) }.run().await);
}

#[tokio::test(flavor = "current_thread")]
async fn the_request_says_who_asks_and_for_which_host_also_over_ipv6() {
    let answer = |head: &str, stream: &mut TcpStream| {
        let asks_well = head.starts_with("GET /a?b HTTP/1.1\r\n")
            && head.contains("user-agent: lineman/")
            && head.contains("host: ");
        let status = if asks_well { 200 } else { 400 };
        drop(write!(stream, "HTTP/1.1 {status} X\r\n\r\n{head}"));
    };
    let v4 = serve(answer);
    assert_ok(&get(format!("http://{v4}/a?b#c")).run().await);
    assert_ok(&get(format!("http://localhost:{}/a?b", v4.port())).run().await);
    if TcpListener::bind("[::1]:0").is_err() {
        return println!("skipped: no IPv6 loopback here");
    }
    let v6 = serve_at("[::1]:0", answer);
    let measured = Get { keyword: "host: [::1]:", ..get(format!("http://{v6}/a?b")) }.run().await;
    assert_ok(&measured);
}

#[tokio::test(flavor = "current_thread")]
async fn a_keyword_is_found_wherever_the_body_is_cut_and_missed_where_it_is_not() {
    let chunked = serve(|_, stream| {
        drop(stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"));
        for chunk in ["4\r\nall \r\n", "3\r\nis \r\n", "2\r\nwe\r\n", "2\r\nll\r\n", "0\r\n\r\n"] {
            drop(stream.write_all(chunk.as_bytes()));
            drop(stream.flush());
        }
    });
    let ask = |keyword| Get { keyword, ..get(format!("http://{chunked}/")) };
    assert_ok(&ask("all is well").run().await);
    assert_ok(&ask("ell").run().await);
    assert_fails(&ask("all is lost").run().await, "the body does not hold 'all is lost'");
    let cut = say("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort");
    let measured = Get { keyword: "long", ..get(format!("http://{cut}/")) }.run().await;
    assert_fails(&measured, "the body broke off: the other side closed");
}

#[tokio::test(flavor = "current_thread")]
async fn an_endless_body_is_searched_for_one_mebibyte() {
    let endless = |before: usize| {
        serve(move |_, stream| {
            drop(stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n"));
            drop(stream.write_all(&vec![b'x'; before]));
            drop(stream.write_all(b"needle"));
            while stream.write_all(&[b'x'; 4096]).is_ok() {}
        })
    };
    let at_the_end = endless((1 << 20) - 6);
    assert_ok(&Get { keyword: "needle", ..get(format!("http://{at_the_end}/")) }.run().await);
    let behind = endless((1 << 20) - 5);
    let measured = Get { keyword: "needle", ..get(format!("http://{behind}/")) }.run().await;
    assert_fails(&measured, "the first MiB of the body does not hold 'needle'");
}

/// `/n` redirects to `/n-1`, and `/0` is there; `/loop` redirects to itself.
fn stairs() -> SocketAddr {
    serve(|head, stream| {
        let path = head.split(' ').nth(1).unwrap_or_default().trim_start_matches('/');
        let answer = match path.parse::<u32>() {
            Ok(0) => "HTTP/1.1 200 OK\r\n\r\narrived".to_owned(),
            Ok(n) => format!("HTTP/1.1 302 Found\r\nLocation: {}\r\n\r\n", n - 1),
            Err(_) => format!("HTTP/1.1 301 Moved Permanently\r\nLocation: /{path}\r\n\r\n"),
        };
        drop(stream.write_all(answer.as_bytes()));
    })
}

#[tokio::test(flavor = "current_thread")]
async fn redirects_are_followed_as_far_as_allowed() {
    let at = stairs();
    let ask =
        |path: &str, redirects| Get { redirects, keyword: "arrived", ..get(format!("http://{at}/{path}")) };
    assert_ok(&ask("3", 3).run().await);
    assert_fails(&ask("4", 3).run().await, "redirected again after 3 redirects");
    assert_fails(&ask("loop", 5).run().await, "redirected again after 5 redirects, to '/loop' (a loop?)");
    assert_fails(&ask("1", 0).run().await, "302 redirects to '0', and this check follows none");
    let wanted = Get { status: "301", ..get(format!("http://{at}/loop")) };
    assert_ok(&wanted.run().await);
    let away = say("HTTP/1.1 302 Found\r\nLocation: ftp://127.0.0.1/\r\n\r\n");
    let measured = Get { redirects: 5, ..get(format!("http://{away}/")) }.run().await;
    assert_fails(&measured, "302 redirects to 'ftp://127.0.0.1/': the scheme 'ftp' is not watched");
}

#[tokio::test(flavor = "current_thread")]
async fn the_time_out_cuts_whatever_the_other_side_does() {
    let drip = |first: &'static str| {
        serve(move |_, stream| {
            drop(stream.write_all(first.as_bytes()));
            while stream.write_all(b"x").is_ok() {
                std::thread::sleep(Duration::from_millis(50));
            }
        })
    };
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent_at = silent.local_addr().unwrap();
    let cases = [
        (format!("http://{}/", drip("HTTP/1.1 200 OK\r\nX: ")), "while waiting for the answer"),
        (format!("http://{}/", drip("HTTP/1.1 200 OK\r\n\r\n")), "while reading the body"),
        (format!("http://{silent_at}/"), "while waiting for the answer"),
        (format!("https://{silent_at}/"), "while TLS was negotiated"),
    ];
    for (url, step) in cases {
        let began = Instant::now();
        let measured = Get { keyword: "y", insecure: true, timeout: 300, ..get(url) }.run().await;
        assert_fails(&measured, &format!("timed out after 300ms {step}"));
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    }
}

#[tokio::test(flavor = "current_thread")]
async fn garbage_and_endless_heads_are_told_apart_from_http() {
    let greeting = say("SSH-2.0-OpenSSH_9.9\r\n");
    assert_fails(&get(format!("http://{greeting}/")).run().await, "the answer is not HTTP");
    let closed = serve(|_, _| ());
    assert_fails(&get(format!("http://{closed}/")).run().await, "closed the connection before the answer");
    let endless = serve(|_, stream| {
        drop(stream.write_all(b"HTTP/1.1 200 OK\r\n"));
        while stream.write_all(b"X: 0123456789\r\n").is_ok() {}
    });
    assert_fails(&get(format!("http://{endless}/")).run().await, "the head of the answer is too large");
    let at = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert_fails(&get(format!("http://{at}/")).run().await, &format!("connect {at}: refused"));
}

/// An authority of our own, which a test may trust.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    der: Vec<u8>,
}

impl Authority {
    fn new(name: &str) -> Authority {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let der = params.self_signed(&key).unwrap().der().to_vec();
        Authority { issuer: Issuer::new(params, key), der }
    }

    fn prober(&self) -> Prober {
        Prober::trusting(vec![self.der.clone()])
    }

    fn serve(&self, params: CertificateParams) -> SocketAddr {
        let key = KeyPair::generate().unwrap();
        let cert = params.signed_by(&key, &self.issuer).unwrap();
        serve_tls(cert.der().clone(), &key)
    }
}

fn names(names: &[&str]) -> CertificateParams {
    CertificateParams::new(names.iter().map(ToString::to_string).collect::<Vec<_>>()).unwrap()
}

fn serve_tls(cert: CertificateDer<'static>, key: &KeyPair) -> SocketAddr {
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert], key)
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let connection = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = rustls::StreamOwned::new(connection, stream.unwrap());
            read_head(&mut stream);
            drop(stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecret"));
        }
    });
    at
}

#[tokio::test(flavor = "current_thread")]
async fn a_trusted_certificate_for_the_host_is_good_also_for_an_address() {
    let authority = Authority::new("ours");
    let at = authority.serve(names(&["localhost", "127.0.0.1"]));
    for host in [at.to_string(), format!("localhost:{}", at.port())] {
        let ask = Get { keyword: "secret", ..get(format!("https://{host}/")) };
        assert_ok(&ask.by(authority.prober()).await);
    }
    let plain = serve(move |_, stream| {
        drop(write!(stream, "HTTP/1.1 307 X\r\nLocation: https://localhost:{}/\r\n\r\n", at.port()));
    });
    let across = Get { redirects: 1, keyword: "secret", ..get(format!("http://{plain}/")) };
    assert_ok(&across.by(authority.prober()).await);
}

#[tokio::test(flavor = "current_thread")]
async fn every_fault_of_a_certificate_is_told_in_plain_words() {
    let authority = Authority::new("ours");
    let mut expired = names(&["localhost"]);
    expired.not_before = rcgen::date_time_ymd(2001, 1, 1);
    expired.not_after = rcgen::date_time_ymd(2002, 1, 1);
    let mut early = names(&["localhost"]);
    early.not_before = rcgen::date_time_ymd(2200, 1, 1);
    early.not_after = rcgen::date_time_ymd(2201, 1, 1);
    let key = KeyPair::generate().unwrap();
    let own = names(&["localhost"]).self_signed(&key).unwrap();
    let mut ca = names(&["localhost"]);
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_key = KeyPair::generate().unwrap();
    let ca = ca.self_signed(&ca_key).unwrap();
    for (at, why) in [
        (authority.serve(expired), "the certificate expired "),
        (authority.serve(early), "the certificate is not valid yet"),
        (
            authority.serve(names(&["other.example"])),
            "the certificate is not for localhost: it is for other.example",
        ),
        (serve_tls(own.der().clone(), &key), "self-signed or from an issuer"),
        (serve_tls(ca.der().clone(), &ca_key), "self-signed"),
        (Authority::new("ours").serve(names(&["localhost"])), "the certificate's signature is wrong"),
        (Authority::new("theirs").serve(names(&["localhost"])), "an issuer that this machine does not know"),
    ] {
        let ask = get(format!("https://localhost:{}/", at.port()));
        let measured = ask.clone().by(authority.prober()).await;
        assert_fails(&measured, why);
        println!("{}", measured.message);
        assert_ok(&Get { insecure: true, keyword: "secret", ..ask }.run().await);
    }
}

#[tokio::test(flavor = "current_thread")]
async fn no_roots_is_our_trouble_and_plain_http_at_a_tls_port_is_theirs() {
    let authority = Authority::new("ours");
    let at = authority.serve(names(&["localhost"]));
    let ask = get(format!("https://localhost:{}/", at.port()));
    let measured = ask.by(Prober::trusting(Vec::new())).await;
    assert_eq!(measured.outcome, Outcome::Unknown, "{measured:?}");
    assert!(measured.message.contains("ca-certificates"), "{}", measured.message);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let plain = listener.local_addr().unwrap();
    let server = std::thread::spawn(move || {
        let mut stream = listener.accept().unwrap().0;
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
        stream
    });
    let measured = get(format!("https://{plain}/")).by(authority.prober()).await;
    assert_fails(&measured, "the other side does not speak TLS at this port");
    drop(server.join());
}
