//! How long pages take while the network is large: a real `lineman serve` with 10,000 devices, 1,000 open tickets and 1,000,000
//! events, two people who click, and 300 check-ins a second beside them.
//!
//! Prints, a line a page, the 95th percentile at the server over loopback and the bytes of a first load. The limits are 200 ms
//! and 150 KB. Run: `cargo bench --bench pages`; it takes some minutes. The folder is `BENCH_DIR`, else the temporary one.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use agent::report::{CheckIn, Record, Status, What};
use lineman::domain::event::{About, Kind};
use lineman::domain::ticket::{Kind as TicketKind, Weights, score};
use lineman::domain::user::Role;
use lineman::store::events::{self, Actor};
use lineman::store::{Mode, Store, WriteTx, agents, devices, sessions, sites, tickets, users};
use lineman::{domain, secret};
use schedules::{Clock, Millis};

const DEVICES: usize = 10_000;
const TICKETS: usize = 1_000;
const EVENTS: usize = 1_000_000;
const CHECK_INS: u64 = 300;
const ROUNDS: usize = 40;
const PEOPLE: usize = 2;
const PAGES: &[&str] = &[
    "/",
    "/devices",
    "/devices?q=state:unknown&page=50",
    "/devices?q=device-09",
    "/devices/device-00042",
    "/sites",
    "/sites/site-007",
    "/tickets",
    "/tickets/500",
    "/board",
    "/outages",
    "/log",
    "/log?q=kind:device.*",
    "/settings",
    "/search?q=device-09",
    "/complete/devices?q=e-09",
    "/api/v1/devices?limit=100",
    "/metrics",
];

fn main() {
    if !std::env::args().any(|arg| arg == "--bench") {
        println!("not measured: run it with `cargo bench`");
        return;
    }
    let under = std::env::var_os("BENCH_DIR").map_or_else(std::env::temp_dir, Into::into);
    let folder = tempfile::tempdir_in(under).expect("a folder for the bench");
    let token = furnish(&folder.path().join("lineman.db"));
    let (server, at) = serve(folder.path());
    let (done, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let beside = {
        let (at, done, sent) = (at.clone(), done.clone(), sent.clone());
        std::thread::spawn(move || check_ins(&at, &done, &sent))
    };
    for page in PAGES {
        let people: Vec<_> = (0..PEOPLE)
            .map(|_| {
                let (at, token) = (at.clone(), token.clone());
                std::thread::spawn(move || clicks(&at, &token, page))
            })
            .collect();
        let mut took = Vec::new();
        let mut bytes = 0;
        for person in people {
            let (times, size) = person.join().expect("a person's thread");
            took.extend(times);
            bytes = size;
        }
        took.sort_unstable();
        let p95 = took[took.len() * 95 / 100];
        println!(
            "{page}: 95 % within {:.0} ms (limit 200), {:.0} KB",
            p95.as_secs_f64() * 1e3,
            bytes as f64 / 1e3
        );
    }
    let fixed: usize = ["/style.css", "/script.js", "/icon.svg"]
        .iter()
        .map(|path| get(&mut connect(&at), &token, path).1)
        .sum();
    println!("style, script and icon: {:.0} KB, once", fixed as f64 / 1e3);
    done.store(true, Ordering::Relaxed);
    beside.join().expect("the agents' thread");
    println!("check-ins meanwhile: {}", sent.load(Ordering::Relaxed));
    drop(server);
}

/// Fills a database; a token that sees all.
fn furnish(path: &std::path::Path) -> String {
    let clock = Clock::system();
    let store = Store::open(path, clock, Mode::Create).expect("a database");
    let by = Actor::System;
    write(&store, move |tx| {
        for n in 0..100 {
            sites::add(tx, &format!("site-{n:03}"), "UTC", "", &Actor::System)?;
        }
        Ok(())
    });
    for part in 0..DEVICES / 1_000 {
        write(&store, move |tx| {
            for n in part * 1_000..(part + 1) * 1_000 {
                let mut new = devices::New::named(&format!("device-{n:05}"));
                new.site = Some(domain::ids::SiteId(i64::try_from(n % 100 + 1).expect("small")));
                let device = devices::add(tx, &new, &Actor::System)?.id;
                agents::join(
                    tx,
                    device,
                    Some(&secret::hash(&format!("lms_{n:043}"))),
                    &serde_json::json!({}),
                    &Actor::System,
                )?;
                if n < TICKETS {
                    let points = score(Weights::work(domain::device::Importance::Normal, Millis::ZERO));
                    let title = format!("device-{n:05} makes a noise");
                    let new = tickets::New {
                        kind: TicketKind::Request,
                        title,
                        device: Some(device),
                        site: new.site,
                    };
                    tickets::open(
                        tx,
                        &new,
                        &points,
                        Some(tx.now + Millis::from_secs(86_400)),
                        None,
                        &Actor::System,
                    )?;
                }
            }
            Ok(())
        });
    }
    for _ in 0..EVENTS / 50_000 {
        write(&store, move |tx| {
            for n in 0..50_000_i64 {
                let about = About { device: Some(domain::ids::DeviceId(n % 10_000 + 1)), ..About::default() };
                let body = serde_json::json!({"from": "up", "to": "down", "reason": "icmp failed"});
                events::record(tx, &Actor::System, Kind::DeviceChange, about, &body)?;
            }
            Ok(())
        });
    }
    let token = secret::token().expect("randomness");
    let hash = secret::hash(&token);
    write(&store, move |tx| {
        let user = users::add(tx, "bench", Role::Admin, &by)?.user;
        sessions::add_token(tx, &user, ("bench", Role::Admin), &hash, None, &by)?;
        Ok(())
    });
    store.close();
    token
}

fn write(store: &Store, f: impl FnOnce(&WriteTx) -> lineman::store::Result<()> + Send + 'static) {
    store.write(f).expect("written");
}

/// A process that ends with this program.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn serve(data: &std::path::Path) -> (Running, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_lineman"))
        .args(["--data", &data.display().to_string(), "serve", "--listen", "127.0.0.1:0"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the server starts");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let first = lines.next().expect("a line").expect("text");
    std::thread::spawn(move || lines.for_each(drop));
    let at = first.rsplit('/').next().expect("an address").to_owned();
    (Running(child), at)
}

fn connect(at: &str) -> TcpStream {
    let stream = TcpStream::connect(at).expect("the server takes connections");
    stream.set_nodelay(true).expect("an option");
    stream
}

/// One person looks at a page again and again: how long each took, and how large it was.
fn clicks(at: &str, token: &str, page: &str) -> (Vec<Duration>, usize) {
    let mut stream = connect(at);
    get(&mut stream, token, page);
    let mut size = 0;
    let times = (0..ROUNDS)
        .map(|_| {
            let began = Instant::now();
            size = get(&mut stream, token, page).1;
            began.elapsed()
        })
        .collect();
    (times, size)
}

fn get(stream: &mut TcpStream, token: &str, path: &str) -> (u16, usize) {
    let head = format!("GET {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {token}\r\n\r\n");
    let answer = ask(stream, head.as_bytes());
    assert!(answer.0 == 200, "{path}: {}", answer.0);
    answer
}

/// Sends a request; the status and the length of the answer.
fn ask(stream: &mut TcpStream, request: &[u8]) -> (u16, usize) {
    stream.write_all(request).expect("sent");
    let mut answer = Vec::new();
    let mut part = [0; 65_536];
    loop {
        let read = stream.read(&mut part).expect("an answer");
        assert!(read > 0, "the connection was closed");
        answer.extend_from_slice(&part[..read]);
        let Some(head) = answer.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let text = String::from_utf8_lossy(&answer[..head]).to_ascii_lowercase();
        let length = text.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.and_then(|length| length.trim().parse().ok()).expect("a length");
        if answer.len() >= head + 4 + length {
            let status = text.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
            return (status, length);
        }
    }
}

/// Agents check in, so many a second.
fn check_ins(at: &str, done: &AtomicBool, sent: &AtomicU64) {
    let mut stream = connect(at);
    let began = Instant::now();
    for n in 0_u64.. {
        if done.load(Ordering::Relaxed) {
            return;
        }
        let due = Duration::from_micros(n * 1_000_000 / CHECK_INS);
        std::thread::sleep(due.saturating_sub(began.elapsed()));
        let device = usize::try_from(n).expect("small") % DEVICES;
        let round = n / DEVICES as u64;
        let status =
            Status { host_name: "edge".to_owned(), uptime_ms: Millis(8_640_123), ..Status::default() };
        let now = Clock::system().now();
        let record =
            Record { seq: round + 1, at: now, mono: Millis(0), boot: None, what: What::Status(status) };
        let call = CheckIn {
            sent_at: now,
            log: "bench".to_owned(),
            records: vec![record],
            config: Some("v0".to_owned()),
            ..CheckIn::default()
        };
        let body = serde_json::to_string(&call).expect("a body");
        let request = format!(
            "POST /api/agent/check-in HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer lms_{device:043}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let (status, _) = ask(&mut stream, request.as_bytes());
        assert_eq!(status, 200);
        sent.fetch_add(1, Ordering::Relaxed);
    }
}
