//! Bad input is normal input: each gets a clear error and its exit code, and nothing is changed.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use agent::JoinToken;
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::harness::World;

#[test]
fn what_a_person_mistypes_is_told_and_changes_nothing() {
    let world = World::real();
    let missing = world.fails(1, &["device", "list"]);
    assert!(missing.contains("hint: ") && missing.contains("lineman.db"), "{missing}");
    world.ok(&["site", "add", "north"]);
    world.ok(&["device", "add", "gw", "--site", "north", "--address", "192.0.2.1"]);
    world.ok(&["device", "add", "ap", "--parent", "gw"]);
    world.ok(&["ticket", "open", "new cable"]);
    let events = world.ok(&["event", "list", "--limit", "0", "-o", "jsonl"]);
    let long = "x".repeat(10_000);
    #[rustfmt::skip]
    let table: &[(i32, &[&str], &str)] = &[
        (2, &["frobnicate"],                                                "frobnicate"),
        (2, &["device", "frobnicate"],                                      "frobnicate"),
        (2, &["device", "list", "sate:up"],                                 "did you mean 'state'"),
        (2, &["device", "list", "state:"],                                  "nothing stands behind"),
        (2, &["device", "list", "state:sleepy"],                            "unreachable"),
        (2, &["device", "list", "\"open"],                                  "never closed"),
        (2, &["device", "list", "--sort", "colour"],                        "colour"),
        (2, &["device", "list", "-o", "pdf"],                               "pdf"),
        (2, &["device", "list", "--json", "colour"],                        "colour"),
        (2, &["device", "list", "--jq", ".[] |"],                           "jq"),
        (5, &["device", "add", "gw"],                                       "already"),
        (2, &["device", "add", ""],                                         "empty"),
        (2, &["device", "add", "12"],                                       "number"),
        (2, &["device", "add", "a\nb"],                                     "a\\nb"),
        (2, &["device", "add", &long],                                      "longer"),
        (2, &["device", "add", "x1", "--address", "192.0.2.300"],           "192.0.2.300"),
        (2, &["device", "add", "x1", "--address", "not an address"],        "not an address"),
        (3, &["device", "add", "x1", "--site", "south"],                    "south"),
        (3, &["device", "add", "x1", "--parent", "nobody"],                 "nobody"),
        (2, &["device", "add", "x1", "--importance", "huge"],               "huge"),
        (6, &["device", "edit", "gw", "--parent", "ap"],                    "gw → ap → gw"),
        (6, &["device", "edit", "gw", "--parent", "gw"],                    "ring"),
        (3, &["device", "show", "nobody"],                                  "nobody"),
        (2, &["device", "remove", "gw"],                                    "--yes"),
        (2, &["check", "add", "gw", "smoke"],                               "smoke"),
        (2, &["check", "add", "gw", "tcp", "--port", "0"],                  "0"),
        (2, &["check", "add", "gw", "tcp", "--port", "70000"],              "70000"),
        (2, &["check", "add", "gw", "http", "--url", "ftp://x"],            "ftp"),
        (2, &["check", "add", "gw", "icmp", "--every", "soon"],             "soon"),
        (2, &["check", "add", "gw", "icmp", "--cron", "61 * * * *"],        "61"),
        (2, &["check", "add", "gw", "icmp", "--cron", "0 0 31 2 *"],        "never"),
        (3, &["check", "add", "nobody", "icmp"],                            "nobody"),
        (3, &["check", "show", "999"],                                      "999"),
        (2, &["site", "add", "south", "--tz", "Mars/Olympus"],              "Mars/Olympus"),
        (6, &["site", "remove", "north", "--yes"],                          "device"),
        (3, &["ticket", "show", "99"],                                      "99"),
        (2, &["ticket", "open", ""],                                        "title"),
        (2, &["ticket", "comment", "1", ""],                                "empty"),
        (3, &["outage", "show", "99"],                                      "99"),
        (2, &["setting", "set", "check_in.evry", "1s"],                     "check_in.evry"),
        (2, &["setting", "set", "check_in.every", "1"],                     "check_in.every"),
        (2, &["setting", "set", "check.soft_failures", "0"],                "from 1 to 100"),
        (2, &["export", "secrets", "-o", "csv"],                            "secrets"),
        (2, &["agent", "join", "http://127.0.0.1:1", "hello"],              "token"),
        (3, &["agent", "status"],                                           "join"),
    ];
    for (code, args, said) in table {
        let error = world.fails(*code, args);
        assert!(error.contains(said), "{args:?}: {error}");
        assert_eq!(error.lines().filter(|line| line.starts_with("error: ")).count(), 1, "{args:?}: {error}");
    }
    let after = world.ok(&["event", "list", "--limit", "0", "-o", "jsonl"]);
    assert_eq!(after, events, "nothing was changed");
}

#[test]
fn a_database_that_is_none_is_left_alone() {
    let world = World::real();
    world.ok(&["site", "add", "north"]);
    let path = world.database();
    let whole = Command::new("sqlite3")
        .arg(&path)
        .arg("PRAGMA wal_checkpoint(TRUNCATE)")
        .output()
        .expect("sqlite3 runs");
    assert!(whole.status.success());
    let good = fs::read(&path).expect("the database");
    let mut newer = good.clone();
    newer[60..64].copy_from_slice(&999_u32.to_be_bytes());
    for (bytes, said) in
        [(newer, "newer lineman"), (vec![7; 40_000], "not a database"), (good[..5000].to_vec(), "damaged")]
    {
        for end in ["-wal", "-shm"] {
            drop(fs::remove_file(format!("{}{end}", path.display())));
        }
        fs::write(&path, &bytes).expect("the file");
        for args in [&["site", "list"][..], &["site", "add", "south"], &["serve", "--listen", "127.0.0.1:0"]]
        {
            let error = world.fails(1, args);
            assert!(error.contains("lineman.db") && error.contains("hint: "), "{error}");
            assert!(error.contains(said), "{said}: {error}");
        }
        assert_eq!(fs::read(&path).expect("the file"), bytes, "it was touched");
    }
}

/// Sends bytes as they are, and reads the answer.
fn raw(address: &str, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).expect("the server takes connections");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("an option");
    // A server that refuses early may close before all was sent.
    drop(stream.write_all(bytes));
    let mut answer = Vec::new();
    drop(stream.read_to_end(&mut answer));
    String::from_utf8_lossy(&answer).into_owned()
}

fn post(address: &str, path: &str, headers: &str, body: &[u8]) -> String {
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n",
        body.len()
    );
    raw(address, &[head.as_bytes(), body].concat())
}

fn zipped(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).expect("memory takes all");
    encoder.finish().expect("memory takes all")
}

/// Joins over plain HTTP; the secret.
fn secret_of(world: &World, address: &str, name: &str) -> String {
    let said = world.ok(&["device", "add", name, "--join"]);
    let token: JoinToken = said.split_whitespace().last().expect("a token").parse().expect("a token");
    let body = serde_json::json!({"token": token.secret}).to_string();
    let first = post(address, "/api/agent/join", "", body.as_bytes());
    assert!(first.starts_with("HTTP/1.1 200"), "{first}");
    let again = post(address, "/api/agent/join", "", body.as_bytes());
    assert!(again.starts_with("HTTP/1.1 409") && again.contains("used already"), "{again}");
    let json = first.split("\r\n\r\n").nth(1).expect("a body");
    let json = &json[json.find('{').expect("an object")..=json.rfind('}').expect("an object")];
    serde_json::from_str::<serde_json::Value>(json).expect("JSON")["secret"]
        .as_str()
        .expect("a secret")
        .to_owned()
}

#[test]
fn what_a_device_sends_wrongly_is_refused_and_the_server_lives_on() {
    let world = World::real();
    let server = world.serve();
    let address = server.address();
    let secret = secret_of(&world, &address, "box");
    world.ok(&["device", "add", "ap", "--address", "127.0.0.9"]);
    world.ok(&["check", "add", "ap", "icmp", "--every", "1h"]);
    let checks = world.json(&["check", "list", "device:ap"]);
    let foreign = checks[0]["id"].as_i64().expect("an id");
    let auth = format!("Authorization: Bearer {secret}\r\n");
    let gzip = format!("{auth}Content-Encoding: gzip\r\n");
    let result = format!(
        r#"{{"sent_at":1,"log":"a","records":[{{"seq":1,"at":1,"kind":"result","check":{foreign},"outcome":"fail"}}]}}"#
    );
    let unordered = r#"{"sent_at":1,"log":"a","records":[{"seq":2,"at":1,"kind":"boot","boot_id":"","booted_at":0},{"seq":1,"at":1,"kind":"boot","boot_id":"","booted_at":0}]}"#;
    let in_1970 = r#"{"sent_at":5000,"sent_mono":5000,"log":"a","records":[{"seq":1,"at":4000,"mono":4000,"kind":"status"}]}"#;
    let path = "/api/agent/check-in";
    let table: Vec<(&str, String, Vec<u8>, &str, &str)> = vec![
        (path, auth.clone(), vec![b' '; 10 << 20], "413", "larger than"),
        (path, gzip.clone(), zipped(&vec![b' '; 64 << 20]), "413", "larger than"),
        (path, gzip.clone(), b"no gzip".to_vec(), "400", "no gzip"),
        (path, gzip, zipped(b"{}")[..10].to_vec(), "400", "no gzip"),
        (path, format!("{auth}Content-Encoding: br\r\n"), b"{}".to_vec(), "415", "br"),
        (path, auth.clone(), b"{\"sent_at\":".to_vec(), "400", "no check-in"),
        (path, auth.clone(), b"[]".to_vec(), "400", "no check-in"),
        (path, auth.clone(), vec![0xff; 100], "400", "no check-in"),
        (path, auth.clone(), unordered.into(), "400", "must rise"),
        (path, auth.clone(), result.into_bytes(), "400", "not run by the agent of 'box'"),
        (path, String::new(), b"{}".to_vec(), "401", "Bearer"),
        (
            path,
            "Authorization: Bearer lms_wrong\r\n".into(),
            br#"{"sent_at":1,"log":"a"}"#.to_vec(),
            "401",
            "join again",
        ),
        ("/api/agent/join", String::new(), b"{\"token\":\"lmj_x\"}".to_vec(), "401", "opens nothing"),
        ("/api/agent/join", String::new(), b"{}".to_vec(), "400", "token"),
        ("/ping/nobody", String::new(), Vec::new(), "404", "ping key"),
        ("/ping/nobody/what", String::new(), Vec::new(), "400", "exit code"),
        ("/nowhere", String::new(), Vec::new(), "404", "nothing"),
        (path, auth, in_1970.into(), "200", "\"acked\":1"),
    ];
    let _slow = TcpStream::connect(&address).expect("a connection that never says anything");
    for (path, headers, body, status, said) in table {
        let answer = post(&address, path, &headers, &body);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{said}: {answer}");
        assert!(answer.contains(said), "{said}: {answer}");
    }
    assert!(raw(&address, b"\x16\x03\x01 garbage\r\n\r\n").contains("400"));
    assert!(
        raw(&address, b"GET /api/agent/check-in HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            .contains("405")
    );
    assert!(
        raw(&address, b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            .contains("\"status\":\"ok\"")
    );
    assert_eq!(world.json(&["device", "show", "box"])["state"], "up");
    let log = fs::read_to_string(world.path("log")).expect("the log");
    assert!(!log.contains(&secret) && !log.contains("lmj_"), "no secret is logged");
    assert_eq!(server.stop(), Some(0));
}
