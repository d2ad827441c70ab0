//! The channels at real ends: a mail server, and receivers of HTTP that look at every byte.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use lineman::domain::notify::channel::Channel;
use lineman::domain::notify::{Message, News};
use lineman::domain::ticket::Priority;
use lineman::server::notify::{self, Again, Failed, Sent};
use ring::hmac;
use schedules::Time;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// 2026-11-22T14:00:00Z: when it happened.
const AT: Time = Time(1_795_356_000_000);
/// Seven seconds later: when it is sent.
const NOW: Time = Time(1_795_356_007_123);

fn message(news: News) -> Message {
    let title = "core-1 (Hauptstraße 5) <b>is</b> down & *out*\r\nBcc: eve@example.org";
    let text = "since 14:00\n\n.a line with a dot\nDünn, <!channel> @everyone _it_\n";
    let body = json!({
        "key": "7-broke/1", "incident": "lineman-ticket-7", "news": news.as_str(), "title": title, "text": text,
        "priority": "P2", "at": "2026-11-22T14:00:00Z", "ticket": 7, "device": "core-1", "site": "north", "events": [],
    });
    Message {
        key: "7-broke/1".to_owned(),
        incident: "lineman-ticket-7".to_owned(),
        news,
        title: title.to_owned(),
        text: text.to_owned(),
        priority: Some(Priority::P2),
        at: AT,
        body,
    }
}

async fn send(channel: Value, message: &Message) -> Result<Sent, Failed> {
    let channel: Channel = serde_json::from_value(channel).expect("it is a channel");
    channel.check().expect("it is a good channel");
    notify::send(&channel, message, NOW).await
}

// Mail.

/// Debian's aiosmtpd; it is killed when it goes out of sight.
struct MailServer {
    process: Child,
    port: u16,
    dir: tempfile::TempDir,
}

impl MailServer {
    fn start(mode: &str) -> MailServer {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let made = rcgen::generate_simple_self_signed(vec!["localhost".into(), "127.0.0.1".into()])
            .expect("a certificate");
        let path = |name: &str| dir.path().join(name).to_str().expect("a path that is text").to_owned();
        fs::write(path("cert"), made.cert.pem()).expect("it is written");
        fs::write(path("key"), made.signing_key.serialize_pem()).expect("it is written");
        let mut process = Command::new("/usr/bin/python3")
            .args(["-c", include_str!("harness/smtp.py"), mode, &path(""), &path("cert"), &path("key")])
            .stdout(Stdio::piped())
            .stderr(fs::File::create(path("log")).expect("a log"))
            .spawn()
            .expect("tests/run installs python3-aiosmtpd");
        let mut line = String::new();
        let out = process.stdout.take().expect("its output is piped");
        BufReader::new(out).read_line(&mut line).expect("its output is text");
        let port = line.trim().parse().unwrap_or_else(|_| {
            let log = fs::read_to_string(path("log")).unwrap_or_default();
            panic!("no mail server, which tests/run installs (python3-aiosmtpd): {log}")
        });
        MailServer { process, port, dir }
    }

    fn ca(&self) -> String {
        fs::read_to_string(self.dir.path().join("cert")).expect("it was written")
    }

    /// The mails that it has, as it reads them.
    fn mails(&self) -> Vec<Value> {
        let read = |n: usize| fs::read_to_string(self.dir.path().join(format!("{n}.json"))).ok();
        (0..).map_while(read).map(|text| serde_json::from_str(&text).expect("JSON")).collect()
    }

    fn channel(&self, security: &str, to: &[&str]) -> Value {
        json!({"kind": "email", "to": to, "from": "lineman@example.org", "host": "localhost", "port": self.port,
            "security": security})
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

fn header<'v>(mail: &'v Value, name: &str) -> &'v str {
    let all: Vec<&Value> =
        mail["headers"].as_array().into_iter().flatten().filter(|pair| pair[0] == name).collect();
    assert_eq!(all.len(), 1, "{name}: {mail}");
    all[0][1].as_str().expect("a text")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_arrives_as_it_was_written_over_each_kind_of_connection() {
    for (mode, security) in
        [("plain", "none"), ("plain-login", "none"), ("starttls", "starttls"), ("tls", "tls")]
    {
        let server = MailServer::start(mode);
        let mut channel = server.channel(security, &["noc@example.org", "o'brien+ops@example.org"]);
        if mode != "plain" {
            channel["user"] = "lineman".into();
            channel["password"] = "geheim wort".into();
        }
        if security != "none" {
            channel["ca"] = server.ca().into();
        }
        let sent = send(channel.clone(), &message(News::Broke)).await;
        assert_eq!(sent.unwrap().said, "250 2.0.0 taken as 1", "{mode}");
        send(channel, &message(News::Broke)).await.unwrap();
        let mails = server.mails();
        assert_eq!(mails.len(), 2);
        let mail = &mails[0];
        assert_eq!(mail["from"], "lineman@example.org");
        assert_eq!(mail["to"], json!(["noc@example.org", "o'brien+ops@example.org"]));
        assert_eq!(mail["encrypted"], security != "none", "{mode}");
        assert_eq!(mail["logged_in"], mode != "plain");
        assert_eq!(mail["defects"], json!([]));
        assert_eq!((mail["ascii"].as_bool(), mail["bare_ends"].as_u64()), (Some(true), Some(0)), "{mail}");
        assert!(mail["longest_line"].as_u64() < Some(100), "{mail}");
        let subject = "core-1 (Hauptstraße 5) <b>is</b> down & *out* Bcc: eve@example.org";
        for (name, value) in [
            ("Subject", subject),
            ("From", "lineman@example.org"),
            ("To", "noc@example.org, o'brien+ops@example.org"),
            ("Date", "Sun, 22 Nov 2026 14:00:00 +0000"),
            ("Message-ID", "<7-broke%2F1@lineman>"),
            ("In-Reply-To", "<lineman-ticket-7@lineman>"),
            ("References", "<lineman-ticket-7@lineman>"),
            ("Auto-Submitted", "auto-generated"),
            ("Importance", "high"),
            ("X-Lineman-News", "broke"),
            ("Content-Type", "text/plain; charset=\"utf-8\""),
        ] {
            assert_eq!(header(mail, name), value, "{name}");
        }
        assert!(!mail["headers"].to_string().contains("[\"Bcc"));
        let text = "since 14:00\n\n.a line with a dot\nDünn, <!channel> @everyone _it_\n";
        assert_eq!(mail["body"].as_str().unwrap().replace("\r\n", "\n"), text);
        let raw = |n: usize| fs::read(server.dir.path().join(format!("{n}.eml"))).unwrap();
        assert_eq!(raw(0), raw(1), "each try is the same mail");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_that_is_refused_says_why_and_whether_to_try_again() {
    let server = MailServer::start("plain");
    for (to, again) in [
        (vec!["gone@example.org"], Err(Again::Never)),
        (vec!["full@example.org"], Err(Again::Later)),
        (vec!["gone@example.org", "full@example.org"], Err(Again::Later)),
        (vec!["full@example.org", "gone@example.org"], Err(Again::Later)),
        (vec!["gone@example.org", "noc@example.org", "full@example.org"], Ok("but 2 of 3")),
    ] {
        let done = send(server.channel("none", &to), &message(News::Broke)).await;
        match (done, again) {
            (Ok(sent), Ok(says)) => assert!(sent.said.contains(says), "{sent:?}"),
            (Err(failed), Err(again)) => assert_eq!(failed.again, again, "{to:?}: {failed:?}"),
            (done, again) => panic!("{to:?}: {done:?}, not {again:?}"),
        }
    }
    assert_eq!(server.mails().len(), 1, "who can be reached is reached");

    let failed =
        send(server.channel("starttls", &["noc@example.org"]), &message(News::Broke)).await.unwrap_err();
    assert!(failed.why.contains("does not offer to encrypt"), "{failed:?}");
    assert_eq!(failed.again, Again::Later);

    let server = MailServer::start("starttls");
    let mut channel = server.channel("starttls", &["noc@example.org"]);
    channel["user"] = "lineman".into();
    channel["password"] = "falsch-geheim".into();
    let failed = send(channel.clone(), &message(News::Broke)).await.unwrap_err();
    assert!(
        failed.why.contains("encrypt the connection to localhost"),
        "not a certificate to trust: {failed:?}"
    );
    assert_eq!(failed.again, Again::Later);
    channel["ca"] = server.ca().into();
    let failed = send(channel.clone(), &message(News::Broke)).await.unwrap_err();
    assert!(failed.why.starts_with("log in at localhost as lineman: permanent error (535)"), "{failed:?}");
    assert_eq!(failed.again, Again::Never);
    channel["to"] = json!(["gone@example.org"]);
    channel["password"] = "geheim wort".into();
    let failed = send(channel, &message(News::Broke)).await.unwrap_err();
    assert!(
        failed.why.ends_with("5.1.1 no such user, ***"),
        "a secret that comes back is hidden: {failed:?}"
    );
    assert!(server.mails().is_empty());
}

// HTTP.

/// What was asked.
#[derive(Clone, Debug)]
struct Asked {
    method: Method,
    path: String,
    headers: HeaderMap,
    body: Bytes,
}

impl Asked {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    fn header(&self, name: &str) -> Option<&str> {
        assert!(self.headers.get_all(name).iter().count() < 2, "{name}: {self:?}");
        self.headers.get(name).map(|value| value.to_str().expect("ASCII"))
    }
}

/// Something that is called: it answers what it is told to, and keeps what it was asked.
struct Receiver {
    url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Receiver {
    async fn new(status: StatusCode, answer: &'static str) -> Receiver {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&asked);
        let app = Router::new().fallback(move |method: Method, uri: Uri, headers: HeaderMap, body: Bytes| {
            kept.lock().expect("nobody panicked").push(Asked {
                method,
                path: uri.to_string(),
                headers,
                body,
            });
            async move { (status, answer) }
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("a port"));
        tokio::spawn(async move { axum::serve(listener, app).await });
        Receiver { url, asked }
    }

    /// What it was asked by the one message that is sent to it.
    async fn one(channel: impl Fn(&str) -> Value, message: &Message) -> Asked {
        let receiver = Receiver::new(StatusCode::OK, "{\"ok\": true}").await;
        let sent = send(channel(&receiver.url), message).await.expect("it is taken");
        assert_eq!(sent.said, "200 OK {\"ok\": true}");
        let mut asked = receiver.asked.lock().expect("nobody panicked");
        assert_eq!(asked.len(), 1, "{asked:?}");
        let asked = asked.remove(0);
        assert!(asked.header("user-agent").is_some_and(|name| name.starts_with("lineman/")));
        assert_eq!(asked.header("host"), receiver.url.strip_prefix("http://"));
        assert_eq!(asked.header("content-length"), Some(&*asked.body.len().to_string()));
        asked
    }
}

fn hex_hmac(secret: &str, body: &[u8]) -> String {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), body);
    tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn a_webhook_carries_the_message_and_proves_who_sent_it() {
    let message = message(News::Broke);
    let asked = Receiver::one(
        |url| {
            let with_login = url.replace("http://", "http://ana:p%40ss@");
            json!({"kind": "webhook", "url": format!("{with_login}/alarms?x=1"), "secret": "geheim-wort",
                "headers": {"x-team": "noc"}})
        },
        &message,
    )
    .await;
    assert_eq!((asked.method.as_str(), &*asked.path), ("POST", "/alarms?x=1"));
    assert_eq!(asked.json(), message.body);
    assert_eq!(asked.header("content-type"), Some("application/json"));
    assert_eq!(asked.header("idempotency-key"), Some("7-broke/1"));
    assert_eq!(asked.header("x-team"), Some("noc"));
    assert_eq!(asked.header("authorization"), Some("Basic YW5hOnBAc3M="));
    assert_eq!(asked.header("x-lineman-timestamp"), Some("1795356007"));
    let signed = |name: &str| asked.header(name).unwrap().strip_prefix("sha256=").unwrap();
    assert_eq!(signed("x-lineman-signature"), hex_hmac("geheim-wort", &asked.body));
    let timed = [b"1795356007.", &asked.body[..]].concat();
    assert_eq!(signed("x-lineman-timed-signature"), hex_hmac("geheim-wort", &timed));
}

#[tokio::test]
async fn a_webhook_has_the_body_that_its_template_makes() {
    let message = message(News::Mended);
    let asked = Receiver::one(
        |url| {
            json!({"kind": "webhook", "url": url, "headers": {"content-type": "text/plain"},
                "template": "{{ news }} {{ device|upper }} {{ title|length }} {{ ticket + 1 }}{{ nothing }}"})
        },
        &message,
    )
    .await;
    assert_eq!(asked.path, "/");
    let length = message.title.chars().count();
    assert_eq!(std::str::from_utf8(&asked.body).unwrap(), format!("mended CORE-1 {length} 8"));
    assert_eq!(asked.header("content-type"), Some("text/plain"));
    assert_eq!(asked.header("x-lineman-signature"), None);
}

#[tokio::test]
async fn ntfy_is_told_how_loud_it_is_and_which_message_it_replaces() {
    let asked = Receiver::one(
        |url| json!({"kind": "ntfy", "server": url, "topic": "noc", "token": "tk_geheim", "tags": ["tower"]}),
        &message(News::Broke),
    )
    .await;
    assert_eq!((asked.method.as_str(), &*asked.path), ("POST", "/"));
    assert_eq!(asked.header("authorization"), Some("Bearer tk_geheim"));
    assert_eq!(asked.header("x-sequence-id"), Some("lineman-ticket-7"));
    let told = message(News::Broke);
    assert_eq!(
        asked.json(),
        json!({"topic": "noc", "title": told.title, "message": told.text, "priority": 4, "tags": ["red_circle", "tower"]})
    );
    for (priority, loud) in Priority::ALL.iter().zip([5, 4, 3, 2, 1]) {
        let told = Message { priority: Some(*priority), ..message(News::Changed) };
        let asked = Receiver::one(|url| json!({"kind": "ntfy", "server": url, "topic": "noc"}), &told).await;
        assert_eq!((&asked.json()["priority"], asked.header("authorization")), (&json!(loud), None));
    }
}

#[tokio::test]
async fn a_chat_shows_the_text_and_takes_no_orders_from_it() {
    let told = message(News::Broke);
    let slack =
        Receiver::one(|url| json!({"kind": "slack", "url": format!("{url}/services/T0/B0/x")}), &told).await;
    assert_eq!((slack.method.as_str(), &*slack.path), ("POST", "/services/T0/B0/x"));
    let text = format!("🔴 {}\n{}", told.title, told.text.trim_end());
    let escaped = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    assert_eq!(slack.json(), json!({"text": escaped, "mrkdwn": false}));

    let url = |url: &str| json!({"kind": "discord", "url": format!("{url}/api/webhooks/1/x?thread_id=5")});
    let discord = Receiver::one(url, &told).await;
    assert_eq!(discord.path, "/api/webhooks/1/x?thread_id=5&wait=true");
    let body = discord.json();
    assert_eq!(body["allowed_mentions"], json!({"parse": []}));
    let embed = &body["embeds"][0];
    assert_eq!(embed["timestamp"], "2026-11-22T14:00:00Z");
    assert_eq!(embed["color"], 0xd9_3025);
    assert!(embed["title"].as_str().unwrap().contains("\\<b\\>is\\</b\\> down & \\*out\\*"), "{embed}");
    assert!(
        embed["description"].as_str().unwrap().contains("\\<!channel\\> \\@everyone \\_it\\_"),
        "{embed}"
    );

    let teams =
        Receiver::one(|url| json!({"kind": "teams", "url": format!("{url}/workflows/x?sig=y")}), &told).await;
    assert_eq!((teams.method.as_str(), &*teams.path), ("POST", "/workflows/x?sig=y"));
    let body = teams.json();
    assert_eq!(body["type"], "message");
    let attachment = &body["attachments"][0];
    assert_eq!(attachment["contentType"], "application/vnd.microsoft.card.adaptive");
    let card = &attachment["content"];
    assert_eq!((&card["type"], &card["version"]), (&json!("AdaptiveCard"), &json!("1.4")));
    let run = |at: usize| &card["body"][at]["inlines"][0];
    assert_eq!(card["body"][0]["type"], "RichTextBlock");
    assert_eq!((run(0)["text"].as_str(), &run(0)["color"]), (Some(&*told.title), &json!("Attention")));
    assert_eq!(run(1), &json!({"type": "TextRun", "text": "since 14:00"}));
    assert_eq!(card["body"].as_array().unwrap().len(), 4);

    let telegram = Receiver::one(
        |url| json!({"kind": "telegram", "server": format!("{url}/"), "token": "12:geheim-wort", "chat": "-1001", "thread": 5}),
        &told,
    )
    .await;
    assert_eq!((telegram.method.as_str(), &*telegram.path), ("POST", "/bot12:geheim-wort/sendMessage"));
    assert_eq!(
        telegram.json(),
        json!({"chat_id": -1001, "text": text, "message_thread_id": 5, "link_preview_options": {"is_disabled": true}})
    );

    let matrix = Receiver::one(
        |url| json!({"kind": "matrix", "server": url, "token": "syt_geheim", "room": "!ab/c:example.org"}),
        &message(News::Broke),
    )
    .await;
    let path = "/_matrix/client/v3/rooms/%21ab%2Fc%3Aexample.org/send/m.room.message/7-broke%2F1";
    assert_eq!((matrix.method.as_str(), &*matrix.path), ("PUT", path));
    assert_eq!(matrix.header("authorization"), Some("Bearer syt_geheim"));
    assert_eq!(matrix.json(), json!({"msgtype": "m.text", "body": text}));
}

#[tokio::test]
async fn pagerduty_resolves_what_it_was_told_under_the_same_key() {
    let key = "0123456789abcdef0123456789abcdef";
    let channel = |url: &str| json!({"kind": "pagerduty", "server": url, "key": key});
    for (news, action) in [(News::Broke, "trigger"), (News::Changed, "trigger"), (News::Mended, "resolve")] {
        let told = message(news);
        let asked = Receiver::one(channel, &told).await;
        assert_eq!((asked.method.as_str(), &*asked.path), ("POST", "/v2/enqueue"));
        let body = asked.json();
        assert_eq!(body["routing_key"], key);
        assert_eq!((&body["event_action"], &body["dedup_key"]), (&json!(action), &json!("lineman-ticket-7")));
        assert_eq!(
            body["payload"],
            json!({
                "summary": "core-1 (Hauptstraße 5) <b>is</b> down & *out* Bcc: eve@example.org", "source": "core-1",
                "severity": "error", "timestamp": "2026-11-22T14:00:00Z", "custom_details": told.body,
            })
        );
    }
    for (priority, severity) in Priority::ALL.iter().zip(["critical", "error", "warning", "info", "info"]) {
        let told = Message { priority: Some(*priority), ..message(News::Broke) };
        let asked = Receiver::one(channel, &told).await;
        assert_eq!(asked.json()["payload"]["severity"], severity);
    }
    let asked = Receiver::one(channel, &message(News::Note)).await;
    assert_eq!(asked.path, "/v2/change/enqueue", "a note wakes nobody");
    let body = asked.json();
    assert_eq!((body.get("event_action"), body["payload"].get("severity")), (None, None));
}

/// Takes what is sent to it over TLS; its port, and its certificate.
async fn encrypted_receiver() -> (u16, String) {
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".into()]).expect("a certificate");
    let key = rustls_pki_types::PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let config = rustls::ServerConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .expect("ring speaks TLS")
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .expect("they belong together");
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("a port").port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut request = [0; 16 * 1024];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await;
            let _ = stream.shutdown().await;
        }
    });
    (port, made.cert.pem())
}

#[tokio::test]
async fn a_receiver_is_trusted_by_the_certificate_that_is_given_and_by_no_other() {
    let ((port, its_own), (_, of_another)) = (encrypted_receiver().await, encrypted_receiver().await);
    let channel = |ca: Option<&str>| {
        let mut channel = json!({"kind": "webhook", "url": format!("https://127.0.0.1:{port}/alarms")});
        if let Some(ca) = ca {
            channel["ca"] = ca.into();
        }
        channel
    };
    let sent = send(channel(Some(&its_own)), &message(News::Broke)).await.unwrap();
    assert_eq!(sent.said, "204 No Content");
    for ca in [None, Some(&*of_another)] {
        let failed = send(channel(ca), &message(News::Broke)).await.unwrap_err();
        assert!(
            failed.why.starts_with("encrypt the connection to 127.0.0.1: invalid peer certificate"),
            "{failed:?}"
        );
        assert_eq!(failed.again, Again::Later);
    }
}

#[tokio::test]
async fn what_the_other_end_answers_is_told_without_secrets() {
    let receiver = Receiver::new(StatusCode::UNAUTHORIZED, "no: Bearer syt_geheim\n\u{1b}[31m").await;
    let channel =
        json!({"kind": "matrix", "server": receiver.url, "token": "syt_geheim", "room": "!a:example.org"});
    let failed = send(channel, &message(News::Broke)).await.unwrap_err();
    assert_eq!(failed.why, "127.0.0.1 answers 401 Unauthorized: no: Bearer *** [31m");
    assert_eq!(failed.again, Again::Never);
    let receiver = Receiver::new(StatusCode::BAD_REQUEST, "bad path /services/T0/B0/geheim-wort").await;
    let channel = json!({"kind": "slack", "url": format!("{}/services/T0/B0/geheim-wort", receiver.url)});
    let failed = send(channel, &message(News::Broke)).await.unwrap_err();
    assert_eq!(failed.why, "127.0.0.1 answers 400 Bad Request: bad path /***");
}
