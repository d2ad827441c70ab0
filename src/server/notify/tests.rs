//! Ends that do not behave: whatever they do, it ends in time, says why, and says whether to try again.

use std::io;

use proptest::prelude::*;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::domain::notify::News;

/// As short as a machine under load allows.
const SHORT: Limits = Limits { connect: Duration::from_millis(400), whole: Duration::from_millis(800) };
/// For ends that answer.
const LONG: Limits = Limits { connect: Duration::from_secs(20), whole: Duration::from_secs(40) };
/// How long anything may really take before a test gives up.
const PATIENCE: Duration = Duration::from_secs(60);

fn message() -> Message {
    Message {
        key: "k-1".to_owned(),
        incident: "lineman-ticket-7".to_owned(),
        news: News::Broke,
        title: "core-1 is\ndown".to_owned(),
        text: "since 14:00".to_owned(),
        priority: None,
        at: Time(1_795_356_000_000),
        body: json!({"key": "k-1", "title": "core-1 is down"}),
    }
}

async fn try_with(limits: Limits, channel: Value) -> Result<Sent, Failed> {
    let channel: Channel = serde_json::from_value(channel).unwrap();
    let sending = message();
    let sent = send_within(limits, &channel, &sending, Time(1_795_356_000_000));
    let done = tokio::time::timeout(PATIENCE, sent).await.expect("it ends by itself");
    if let Err(failed) = &done {
        assert!(failed.why.len() <= MAX_WHY && !failed.why.contains(['\n', '\r']), "{failed:?}");
        assert!(!failed.why.contains("geheim"), "{failed:?}");
    }
    done
}

/// Somebody who behaves as `act` says to everyone who connects; his port.
async fn peer<F, Done>(act: F) -> u16
where
    F: Fn(TcpStream) -> Done + Send + Sync + 'static,
    Done: Future<Output = io::Result<()>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(act(stream));
        }
    });
    port
}

/// Answers a request with `answer`, and closes.
async fn answering(answer: &'static str) -> u16 {
    peer(move |mut stream| async move {
        let mut request = [0; 64 * 1024];
        let _ = stream.read(&mut request).await?;
        stream.write_all(answer.as_bytes()).await?;
        stream.shutdown().await
    })
    .await
}

async fn unused_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port()
}

fn webhook(port: u16) -> Value {
    json!({"kind": "webhook", "url": format!("http://ana:geheim@127.0.0.1:{port}/geheim-x?t=geheim-wort")})
}

fn mail(port: u16, security: &str) -> Value {
    json!({"kind": "email", "to": ["noc@example.org"], "from": "l@example.org", "host": "127.0.0.1", "port": port,
        "security": security, "user": "ana", "password": "geheim"})
}

#[tokio::test]
#[rustfmt::skip]
async fn an_answer_over_http_is_understood_or_told_as_it_is() {
    use Again::{After, Later, Never};
    for (answer, again) in [
        ("HTTP/1.1 204 No Content\r\n\r\n", None),
        ("HTTP/1.1 202 Accepted\r\nContent-Length: 99\r\n\r\ncut off", None),
        ("HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n", Some(Later)),
        ("HTTP/1.1 429 Slow\r\nRetry-After: 7\r\n\r\n", Some(After(Millis(7_000)))),
        ("HTTP/1.1 429 Slow\r\nRetry-After: 999999\r\n\r\n", Some(After(MAX_AFTER))),
        ("HTTP/1.1 404 No\r\nContent-Length: 23\r\n\r\nnothing at /?geheim-wort", Some(Never)),
        ("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", Some(Later)),
        ("", Some(Later)),
        ("SSH-2.0-OpenSSH_9.2\r\n", Some(Later)),
        ("HTTP/1.1 99999 what\r\n\r\n", Some(Later)),
    ] {
        let port = answering(answer).await;
        let done = try_with(LONG, webhook(port)).await;
        assert_eq!(done.as_ref().err().map(|failed| failed.again), again, "{answer:?}: {done:?}");
    }
    let failed = try_with(LONG, webhook(unused_port().await)).await.unwrap_err();
    assert_eq!(failed.again, Later);
    assert!(failed.why.contains("refused"), "{failed:?}");
    let nowhere = json!({"kind": "webhook", "url": "http://no-such-host.invalid/"});
    let failed = try_with(LONG, nowhere).await.unwrap_err();
    assert_eq!(failed.again, Later);
    assert!(failed.why.starts_with("find the address of no-such-host.invalid"), "{failed:?}");
}

#[tokio::test]
async fn who_never_answers_is_not_waited_for() {
    let silent = peer(|mut stream| async move {
        let mut request = [0; 1024];
        while stream.read(&mut request).await? > 0 {}
        Ok(())
    })
    .await;
    let dripping = |byte: &'static [u8]| {
        peer(move |mut stream| async move {
            loop {
                stream.write_all(byte).await?;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
    };
    let (letters, tls) = (dripping(b"H").await, dripping(b"\x16").await);
    let https = |port: u16| json!({"kind": "slack", "url": format!("https://127.0.0.1:{port}/geheim-wort")});
    let mut tries = tokio::task::JoinSet::new();
    for channel in [
        webhook(silent),
        https(silent),
        mail(silent, "none"),
        mail(silent, "starttls"),
        mail(silent, "tls"),
        webhook(letters),
        mail(letters, "none"),
        mail(letters, "starttls"),
        https(tls),
        mail(tls, "tls"),
    ] {
        tries.spawn(async move { (channel.clone(), try_with(SHORT, channel).await) });
    }
    while let Some(tried) = tries.join_next().await {
        let (channel, done) = tried.unwrap();
        let failed = done.unwrap_err();
        assert_eq!(failed.again, Again::Later, "{channel}: {failed:?}");
    }
}

#[tokio::test]
async fn what_never_ends_is_read_only_so_far() {
    let endless = |head: &'static str, line: &'static str| {
        peer(move |mut stream| async move {
            let mut request = [0; 1024];
            if head.starts_with("HTTP") {
                let _ = stream.read(&mut request).await?;
            }
            stream.write_all(head.as_bytes()).await?;
            loop {
                stream.write_all(line.repeat(1000).as_bytes()).await?;
            }
        })
    };
    let body = endless("HTTP/1.1 200 OK\r\n\r\n", "xxxxxxxx").await;
    let sent = try_with(LONG, webhook(body)).await.unwrap();
    assert!(sent.said.starts_with("200 OK xxxxxxxx") && sent.said.len() <= MAX_WHY, "{sent:?}");
    let refusal = endless("HTTP/1.1 400 Bad\r\n\r\n", "xxxxxxxx").await;
    assert_eq!(try_with(LONG, webhook(refusal)).await.unwrap_err().again, Again::Never);
    let head = endless("HTTP/1.1 200 OK\r\n", "X-More: and more\r\n").await;
    assert_eq!(try_with(LONG, webhook(head)).await.unwrap_err().again, Again::Later);
    for line in ["220-and more\r\n", "220 without an end"] {
        let mailer = endless("", line).await;
        for security in ["none", "starttls"] {
            let failed = try_with(LONG, mail(mailer, security)).await.unwrap_err();
            assert_eq!(failed.again, Again::Later, "{failed:?}");
        }
    }
}

#[tokio::test]
async fn what_is_said_before_a_mail_connection_is_encrypted_is_not_believed() {
    let injecting = peer(|mut stream| async move {
        let mut request = [0; 1024];
        stream.write_all(b"220 hello\r\n").await?;
        let _ = stream.read(&mut request).await?;
        stream.write_all(b"250-hello\r\n250 STARTTLS\r\n").await?;
        let _ = stream.read(&mut request).await?;
        stream.write_all(b"220 go\r\n235 you are logged in\r\n").await?;
        while stream.read(&mut request).await? > 0 {}
        Ok(())
    })
    .await;
    let failed = try_with(LONG, mail(injecting, "starttls")).await.unwrap_err();
    assert!(failed.why.contains("somebody stands between"), "{failed:?}");
}

fn shell(script: &str) -> Value {
    json!({"kind": "command", "program": "/bin/sh", "args": ["-c", script]})
}

#[tokio::test]
async fn a_program_gets_the_message_and_its_end_is_the_answer() {
    let script = "read body; echo \"$body|$LINEMAN_KEY|$LINEMAN_NEWS|$LINEMAN_TITLE|$LINEMAN_PRIORITY|$PWD\"";
    let sent = try_with(LONG, shell(script)).await.unwrap();
    let (body, rest) = sent.said.split_once('|').unwrap();
    assert_eq!(serde_json::from_str::<Value>(body).unwrap(), message().body);
    assert_eq!(rest, "k-1|broke|core-1 is down||/");
    for (script, says) in [
        ("echo busy >&2; exit 75", "/bin/sh asks to be tried again: busy"),
        ("echo out; exit 3", "/bin/sh ended with 3"),
        ("kill -9 $$", "/bin/sh was ended by signal 9"),
    ] {
        let failed = try_with(LONG, shell(script)).await.unwrap_err();
        assert_eq!((&*failed.why, failed.again), (says, Again::Later));
    }
    let missing = json!({"kind": "command", "program": "/no/such/program"});
    let failed = try_with(LONG, missing).await.unwrap_err();
    assert!(failed.why.starts_with("start /no/such/program: No such file"), "{failed:?}");
    assert_eq!(failed.again, Again::Later);
    // It need not read what it is given, and may say more than anybody keeps.
    let mut long = message();
    long.body = json!({"text": "x".repeat(500_000)});
    for script in ["exit 0", "cat; cat /dev/zero | head -c 3000000 >&2; echo end"] {
        let channel: Channel = serde_json::from_value(shell(script)).unwrap();
        let sent = send_within(LONG, &channel, &long, Time(0)).await.unwrap();
        assert!(sent.said.len() <= MAX_WHY, "{sent:?}");
    }
}

/// Whether anybody still has this file open: a pipe of names that only the children of a program hold.
fn reads_to_its_end(path: &std::path::Path) -> bool {
    // Opening it to read waits for nobody; reading ends when the last writer has gone.
    std::fs::read(path).is_ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_hangs_is_killed_with_all_that_it_started() {
    let dir = tempfile::tempdir().unwrap();
    let pipe = dir.path().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    let path = pipe.to_str().unwrap();
    for (script, fails) in [
        // The child holds the pipe, and its parent's outputs, for ever.
        (format!("exec 3>'{path}'; (sleep 3600)& echo waiting >&2; wait"), true),
        (format!("exec 3>'{path}'; trap '' TERM HUP INT; while :; do sleep 3600; done"), true),
        (format!("exec 3>'{path}'; sleep 3600 & exit 0"), false),
    ] {
        let reader = {
            let pipe = pipe.clone();
            tokio::task::spawn_blocking(move || reads_to_its_end(&pipe))
        };
        let limits = if fails { Limits { whole: Duration::from_secs(2), ..LONG } } else { LONG };
        let done = try_with(limits, shell(&script)).await;
        assert_eq!(done.is_err(), fails, "{script}: {done:?}");
        if let Err(failed) = done {
            assert!(failed.why.starts_with("/bin/sh did not end within 2 s and was killed"), "{failed:?}");
            assert_eq!(failed.again, Again::Later);
        }
        let ended = tokio::time::timeout(PATIENCE, reader).await;
        assert!(ended.expect("somebody of it still lives").unwrap());
    }
}

#[tokio::test]
async fn a_channel_that_cannot_be_used_is_not_tried() {
    let failed = try_with(LONG, json!({"kind": "command", "program": "true"})).await.unwrap_err();
    assert!(failed.why.starts_with("the channel cannot be used: program: 'true'"), "{failed:?}");
    assert_eq!(failed.again, Again::Never);
    let port = unused_port().await;
    let endless = json!({"kind": "webhook", "url": format!("http://127.0.0.1:{port}/"),
        "template": "{% for a in range(99999) %}{% for b in range(99999) %}x{% endfor %}{% endfor %}"});
    let failed = try_with(LONG, endless).await.unwrap_err();
    assert!(failed.why.starts_with("make the body of the template"), "{failed:?}");
    assert_eq!(failed.again, Again::Never);
}

proptest! {
    #[test]
    fn no_secret_comes_through_whatever_is_said(
        before in "[ -~ä\r\n]{0,600}",
        secret in "[a-zA-Z0-9/+]{4,40}",
        after in "[ -~ä\r\n]{0,600}",
    ) {
        let secrets = vec![secret.clone()];
        let why = tidy(&secrets, "it answers", &format!("{before}{secret}{after}"));
        prop_assert!(why.len() <= MAX_WHY);
        prop_assert!(!why.contains(['\n', '\r']));
        prop_assert!(!why.contains(&secret) || "it answers".contains(&secret), "{why}");
    }
}

#[test]
fn a_secret_too_short_to_be_found_keeps_all_of_it_back() {
    let secrets = vec!["ab".to_owned()];
    assert_eq!(tidy(&secrets, "mx answers 500", "ab c d"), "mx answers 500");
    assert_eq!(tidy(&[], "mx answers 500", "ab\r\nc"), "mx answers 500: ab c");
    assert_eq!(tidy(&[], "", " "), "");
}
