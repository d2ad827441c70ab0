//! Check-ins a second that are durable before they are answered: through lineman's own routes, states and store, beside
//! a bare axum handler that parses the same body and commits one row of it to SQLite before it answers.
//!
//! 64 keep-alive connections, 10,000 devices, both in one run, on loopback. Prints one line a figure. Run:
//! `cargo bench --bench check_ins`. The folder is `BENCH_DIR`, else the temporary one.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use agent::report::{CheckIn, Interface, Record, Status, Usage, What};
use axum::Router;
use axum::extract::{Json, State};
use axum::http::StatusCode;
use axum::routing::post;
use lineman::app::App;
use lineman::domain::ids::DeviceId;
use lineman::secret;
use lineman::server::http::{self, Serving};
use lineman::server::ingest::{self, Credential};
use lineman::server::routes::{self, Shared};
use lineman::store::events::Actor;
use lineman::store::{Mode, Store, agents, devices};
use schedules::{Clock, Millis, Time};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};

const CONNECTIONS: usize = 64;
const DEVICES: usize = 10_000;
const SPAN: Duration = Duration::from_secs(5);
const ROUNDS: usize = 3;

fn main() {
    if !std::env::args().any(|arg| arg == "--bench") {
        println!("not measured: run it with `cargo bench`");
        return;
    }
    let under = std::env::var_os("BENCH_DIR").map_or_else(std::env::temp_dir, Into::into);
    let folder = tempfile::tempdir_in(under).expect("a folder for the bench");
    let mut all: Vec<(f64, f64, f64)> = (0..ROUNDS)
        .map(|round| {
            let bare = bare(&folder.path().join(format!("bare-{round}.db")));
            let ours = ours(&folder.path().join(format!("ours-{round}.db")));
            (ours / bare, bare, ours)
        })
        .collect();
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (ratio, bare, ours) = all[ROUNDS / 2];
    println!("bare axum handler, one row of the body committed: {bare:.0} check-ins/s");
    println!("lineman, durable check-ins: {ours:.0} check-ins/s");
    println!("ratio: {ratio:.2}");
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}

/// lineman's routes over a store with 10,000 devices.
fn ours(path: &Path) -> f64 {
    let runtime = runtime();
    let clock = Clock::system();
    let store = Store::open(path, clock.clone(), Mode::Create).expect("a database");
    let secrets: Vec<String> = (0..DEVICES).map(|n| format!("lms_{n:043}")).collect();
    let hashes: Vec<[u8; 32]> = secrets.iter().map(|secret| secret::hash(secret)).collect();
    let ids = store
        .write(move |tx| -> lineman::store::Result<Vec<DeviceId>> {
            let mut ids = Vec::new();
            for (n, hash) in hashes.iter().enumerate() {
                let device =
                    devices::add(tx, &devices::New::named(&format!("device-{n:05}")), &Actor::System)?.id;
                agents::join(tx, device, Some(hash), &serde_json::json!({}), &Actor::System)?;
                ids.push(device);
            }
            Ok(ids)
        })
        .expect("the devices are made");
    let app = App::new(store, clock).expect("the settings are read");
    let known = app.known();
    let etags = app
        .store
        .write(move |tx| -> lineman::store::Result<Vec<String>> {
            // The first check-in of a device makes it up and gives it its address; what is measured are those after.
            let mut call = body();
            call.records[0].seq = 1;
            let mut etags = Vec::new();
            for id in ids {
                let loopback = "127.0.0.1".parse().ok();
                drop(ingest::check_in(tx, &known, Credential::Local(id), &call, loopback)?);
                etags.push(agents::of_device(tx, id, "")?.map(|caller| caller.etag()).unwrap_or_default());
            }
            Ok(etags)
        })
        .expect("each has checked in");
    let router =
        routes::routes(Shared { app: app.clone(), pulse: Arc::default(), returning: Arc::default() });
    let (stop, stopped) = watch::channel(false);
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port");
    let at = listener.local_addr().expect("its address");
    runtime.spawn(http::serve(listener, Serving { router, tls: None, behind_proxy: false }, stopped));
    let rate = load(at, "/api/agent/check-in", Arc::new(secrets.into_iter().zip(etags).collect()));
    stop.send_replace(true);
    app.store.close();
    rate
}

type Waiting = (CheckIn, oneshot::Sender<()>);

/// A handler that does the least that is durable: parse, one row, commit with whoever else waits, answer.
fn bare(path: &Path) -> f64 {
    let runtime = runtime();
    let (send, receive) = std::sync::mpsc::sync_channel::<Waiting>(65_536);
    let connection = rusqlite::Connection::open(path).expect("a database");
    connection
        .execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
             CREATE TABLE row (device INTEGER NOT NULL, at INTEGER NOT NULL, body TEXT NOT NULL);
             CREATE INDEX row_device ON row (device, at);",
        )
        .expect("a table");
    let writer = std::thread::spawn(move || write_rows(connection, &receive));
    let app = Router::new().route("/api/agent/check-in", post(bare_check_in)).with_state(send);
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port");
    let at = listener.local_addr().expect("its address");
    runtime.spawn(async move { axum::serve(listener, app).await });
    let rate = load(at, "/api/agent/check-in", Arc::new(vec![("-".to_owned(), "v0".to_owned()); DEVICES]));
    runtime.shutdown_timeout(Duration::from_secs(5));
    writer.join().expect("the writer ended");
    rate
}

async fn bare_check_in(
    State(send): State<std::sync::mpsc::SyncSender<Waiting>>,
    Json(call): Json<CheckIn>,
) -> StatusCode {
    let (done, committed) = oneshot::channel();
    if send.try_send((call, done)).is_err() {
        return StatusCode::SERVICE_UNAVAILABLE;
    }
    if committed.await.is_ok() { StatusCode::NO_CONTENT } else { StatusCode::INTERNAL_SERVER_ERROR }
}

fn write_rows(mut connection: rusqlite::Connection, receive: &std::sync::mpsc::Receiver<Waiting>) {
    while let Ok(first) = receive.recv() {
        let mut done = Vec::with_capacity(CONNECTIONS);
        let transaction = connection.transaction().expect("a transaction");
        {
            let mut insert =
                transaction.prepare_cached("INSERT INTO row VALUES ($1, $2, $3)").expect("a statement");
            let mut next = Some(first);
            while let Some((call, answer)) = next.take() {
                let record = &call.records[0];
                let What::Status(status) = &record.what else { continue };
                let device = i64::try_from(record.seq).unwrap_or(0) % 10_000;
                insert.execute(rusqlite::params![device, call.sent_at.0, status.os]).expect("a row");
                done.push(answer);
                if done.len() < 1_000 {
                    next = receive.try_recv().ok();
                }
            }
        }
        transaction.commit().expect("a commit");
        for answer in done {
            answer.send(()).ok();
        }
    }
}

/// Check-ins a second that were answered well, from 64 connections that each send as soon as they are answered.
fn load(at: SocketAddr, path: &'static str, agents: Arc<Vec<(String, String)>>) -> f64 {
    let answered = Arc::new(AtomicU64::new(0));
    let client = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let began = Instant::now();
    client.block_on(async {
        let tasks: Vec<_> = (0..CONNECTIONS)
            .map(|n| tokio::spawn(connection(at, path, n, agents.clone(), answered.clone(), began + SPAN)))
            .collect();
        for task in tasks {
            task.await.expect("a connection's task");
        }
    });
    let answered = u32::try_from(answered.load(Ordering::Relaxed)).expect("not that many");
    f64::from(answered) / began.elapsed().as_secs_f64()
}

async fn connection(
    at: SocketAddr,
    path: &'static str,
    number: usize,
    agents: Arc<Vec<(String, String)>>,
    answered: Arc<AtomicU64>,
    until: Instant,
) {
    let mut stream = TcpStream::connect(at).await.expect("the server takes connections");
    stream.set_nodelay(true).expect("an option");
    let template = serde_json::to_string(&body()).expect("a body");
    let (before, after) = template.split_once("987654321").expect("the number stands in it");
    let mut answer = vec![0; 4096];
    for turn in 0_usize.. {
        if Instant::now() >= until {
            return;
        }
        let device = (number + turn * CONNECTIONS) % DEVICES;
        let seq = turn + 2;
        let (secret, etag) = &agents[device];
        let body = format!("{before}{seq}{after}").replace("v987", etag);
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            secret,
            body.len()
        );
        stream.write_all(request.as_bytes()).await.expect("the request is sent");
        let mut have = 0;
        loop {
            let read = stream.read(&mut answer[have..]).await.expect("an answer");
            assert!(read > 0, "the connection was closed: {}", String::from_utf8_lossy(&answer[..have]));
            have += read;
            if is_whole(&answer[..have]) {
                break;
            }
        }
        assert!(answer.starts_with(b"HTTP/1.1 20"), "{}", String::from_utf8_lossy(&answer[..have]));
        answered.fetch_add(1, Ordering::Relaxed);
    }
}

fn is_whole(answer: &[u8]) -> bool {
    let Some(head) = answer.windows(4).position(|four| four == b"\r\n\r\n") else { return false };
    let text = std::str::from_utf8(&answer[..head]).expect("a head is text").to_ascii_lowercase();
    let length = text
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .and_then(|n| n.trim().parse().ok());
    answer.len() >= head + 4 + length.unwrap_or(0)
}

/// A check-in as an agent sends it each interval, with one status. Its configuration is the newest.
fn body() -> CheckIn {
    let now = Clock::system().now();
    let status = Status {
        host_name: "edge-router-17.site-12.example".to_owned(),
        os: "Debian GNU/Linux 13".to_owned(),
        kernel: "6.12.48".to_owned(),
        address: "192.0.2.17".parse().ok(),
        interfaces: vec![Interface {
            name: "eth0".to_owned(),
            mac: "02:00:00:00:00:17".to_owned(),
            up: true,
            addresses: vec!["192.0.2.17/24".to_owned()],
            rx_bytes: 123_456_789,
            tx_bytes: 98_765_432,
            errors: 0,
            drops: 3,
        }],
        gateways: vec!["192.0.2.1".parse().expect("an address")],
        resolvers: vec!["192.0.2.1".parse().expect("an address")],
        uptime_ms: Millis(8_640_123),
        cpu_permille: Some(42),
        load_centi: Some(37),
        memory: Some(Usage { total: 8_388_608, used: 4_211_201 }),
        disks: Vec::new(),
    };
    CheckIn {
        sent_at: now,
        sent_mono: Millis(8_640_123),
        log: "b5f1c9a2d4e6".to_owned(),
        records: vec![Record {
            seq: 987_654_321,
            at: Time(now.0 - 2),
            mono: Millis(8_640_121),
            boot: None,
            what: What::Status(status),
        }],
        config: Some("v987".to_owned()),
        ..CheckIn::default()
    }
}
