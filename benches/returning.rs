//! How long live check-ins take while many agents return with their backlogs, beside the same without any.
//!
//! Through lineman's own routes and store, on loopback: 100 agents check in live, one of them every 20 ms; then 300 more
//! return together, each with 2,000 records of which it sends 500 a call, and calls again when the server asks it to. Prints
//! one line a figure. Run: `cargo bench --bench returning`. The folder is `BENCH_DIR`, else the temporary one.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use agent::report::{CheckIn, Record, Reply, Status, What};
use lineman::app::App;
use lineman::secret;
use lineman::server::http::{self, Serving};
use lineman::server::routes::{self, Shared};
use lineman::store::events::Actor;
use lineman::store::{Mode, Store, agents, devices};
use schedules::{Clock, Millis};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

const LIVE: usize = 100;
const RETURNING: usize = 300;
const BACKLOG: u64 = 2_000;
const A_CALL: u64 = 500;
const PAUSE: Duration = Duration::from_millis(20);
const SPAN: Duration = Duration::from_secs(10);

fn main() {
    if !std::env::args().any(|arg| arg == "--bench") {
        println!("not measured: run it with `cargo bench`");
        return;
    }
    let under = std::env::var_os("BENCH_DIR").map_or_else(std::env::temp_dir, Into::into);
    let folder = tempfile::tempdir_in(under).expect("a folder for the bench");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let clock = Clock::system();
    let store =
        Store::open(&folder.path().join("returning.db"), clock.clone(), Mode::Create).expect("a database");
    let secrets: Arc<Vec<String>> = Arc::new((0..LIVE + RETURNING).map(|n| format!("lms_{n:043}")).collect());
    let hashes: Vec<[u8; 32]> = secrets.iter().map(|secret| secret::hash(secret)).collect();
    store
        .write(move |tx| -> lineman::store::Result<()> {
            for (n, hash) in hashes.iter().enumerate() {
                let new = devices::New::named(&format!("device-{n:05}"));
                let device = devices::add(tx, &new, &Actor::System)?.id;
                agents::join(tx, device, Some(hash), &serde_json::json!({}), &Actor::System)?;
            }
            Ok(())
        })
        .expect("the devices are made");
    let app = App::new(store, clock).expect("the settings are read");
    let router =
        routes::routes(Shared { app: app.clone(), pulse: Arc::default(), returning: Arc::default() });
    let (stop, stopped) = watch::channel(false);
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port");
    let at = listener.local_addr().expect("its address");
    runtime.spawn(http::serve(listener, Serving { router, tls: None, behind_proxy: false }, stopped));
    // The live ones and those that return have a thread each, so that they do not wait for one another.
    let done = Arc::new(AtomicBool::new(false));
    let until = Instant::now() + SPAN;
    let alone = on_a_thread(live(at, secrets.clone(), 0, move || Instant::now() >= until));
    told("live check-ins alone", alone.join().expect("the live ones' thread"));
    let began = Instant::now();
    let stop_live = done.clone();
    let beside = on_a_thread(live(at, secrets.clone(), 100_000, move || stop_live.load(Ordering::Relaxed)));
    let returning = on_a_thread(async move {
        let all: Vec<_> =
            (LIVE..LIVE + RETURNING).map(|n| tokio::spawn(back(at, secrets.clone(), n))).collect();
        for agent in all {
            agent.await.expect("an agent's task");
        }
    });
    returning.join().expect("the thread of those that return");
    let took = began.elapsed();
    done.store(true, Ordering::Relaxed);
    let beside = beside.join().expect("the live ones' thread");
    told(&format!("live check-ins while {RETURNING} agents return with {BACKLOG} records each"), beside);
    println!("all that was kept is delivered after: {:.1} s", took.as_secs_f64());
    stop.send_replace(true);
    app.store.close();
}

/// Runs clients on a thread of their own.
fn on_a_thread<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> std::thread::JoinHandle<T> {
    std::thread::spawn(|| {
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(work)
    })
}

fn told(what: &str, mut took: Vec<Duration>) {
    took.sort_unstable();
    let at = |share: usize| took[(took.len() * share / 100).min(took.len() - 1)].as_secs_f64() * 1_000.0;
    println!(
        "{what}: {} of them, half within {:.1} ms, 99 % within {:.1} ms, the longest {:.1} ms",
        took.len(),
        at(50),
        at(99),
        at(100)
    );
}

/// One live check-in after another, until it is enough: how long each took.
async fn live(
    at: SocketAddr,
    secrets: Arc<Vec<String>>,
    seq: u64,
    enough: impl Fn() -> bool,
) -> Vec<Duration> {
    let mut stream = TcpStream::connect(at).await.expect("the server takes connections");
    stream.set_nodelay(true).expect("an option");
    let mut all = Vec::new();
    for turn in 0_usize.. {
        if enough() && !all.is_empty() {
            break;
        }
        let round = u64::try_from(turn / LIVE).unwrap_or(0);
        let began = Instant::now();
        let reply = call(&mut stream, &secrets[turn % LIVE], &check_in(seq + round + 1, 1, 0)).await;
        assert!(reply.acked > 0, "{reply:?}");
        all.push(began.elapsed());
        tokio::time::sleep(PAUSE).await;
    }
    all
}

/// An agent that returns: it sends what it kept, and waits as long as it is asked to between its calls.
async fn back(at: SocketAddr, secrets: Arc<Vec<String>>, number: usize) {
    let mut stream = TcpStream::connect(at).await.expect("the server takes connections");
    let mut acked = 0;
    while acked < BACKLOG {
        let many = A_CALL.min(BACKLOG - acked);
        let reply =
            call(&mut stream, &secrets[number], &check_in(acked + 1, many, BACKLOG - acked - many)).await;
        acked = reply.acked;
        let pause = u64::try_from(reply.next_in_ms.0).unwrap_or(0);
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
}

/// A check-in with so many statuses, thirty seconds apart, the last of them now.
fn check_in(first: u64, many: u64, waiting: u64) -> CheckIn {
    let now = Clock::system().now();
    let record = |n: u64| {
        let after = i64::try_from(many - 1 - n + waiting).unwrap_or(0);
        let status =
            Status { host_name: "edge".to_owned(), uptime_ms: Millis(8_640_123), ..Status::default() };
        let at = now - Millis::from_secs(30 * after);
        Record { seq: first + n, at, mono: Millis(0), boot: None, what: What::Status(status) }
    };
    CheckIn {
        sent_at: now,
        log: "bench".to_owned(),
        records: (0..many).map(record).collect(),
        waiting,
        config: Some("v0".to_owned()),
        ..CheckIn::default()
    }
}

async fn call(stream: &mut TcpStream, secret: &str, call: &CheckIn) -> Reply {
    let body = serde_json::to_string(call).expect("a body");
    let head = format!(
        "POST /api/agent/check-in HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {secret}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.expect("the request is sent");
    stream.write_all(body.as_bytes()).await.expect("the request is sent");
    let mut answer = Vec::new();
    let mut part = [0; 4096];
    loop {
        let read = stream.read(&mut part).await.expect("an answer");
        assert!(read > 0, "the connection was closed: {}", String::from_utf8_lossy(&answer));
        answer.extend_from_slice(&part[..read]);
        let Some(head) = answer.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let text = String::from_utf8_lossy(&answer[..head]).to_ascii_lowercase();
        let length = text.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.and_then(|n| n.trim().parse().ok()).unwrap_or(0);
        if answer.len() >= head + 4 + length {
            assert!(text.starts_with("http/1.1 200"), "{}", String::from_utf8_lossy(&answer));
            return serde_json::from_slice(&answer[head + 4..]).expect("a reply");
        }
    }
}
