//! What the store costs above bare SQLite: durable changes a second from concurrent callers, and the wait for a lone
//! one, both with the same settings of the engine. Prints one line a figure. Run: `cargo bench --bench store`. The folder is `BENCH_DIR`, else the temporary one.

use std::path::Path;
use std::time::{Duration, Instant};

use lineman::store::{Arg, Error, Mode, Store};
use rusqlite::Connection;
use schedules::Clock;

/// How long each figure is measured.
const SPAN: Duration = Duration::from_secs(3);
/// How often each pair of figures is measured; the median counts.
const ROUNDS: usize = 3;
const TABLE: &str =
    "CREATE TABLE bench (id INTEGER PRIMARY KEY, device INTEGER NOT NULL, at INTEGER NOT NULL,
    body TEXT NOT NULL) STRICT; CREATE INDEX bench_device ON bench (device, at);";
const INSERT: &str = "INSERT INTO bench (device, at, body) VALUES ($1, $2, $3)";
const BODY: &str =
    r#"{"state":"up","uptime_s":8640123,"load":[0.42,0.37,0.33],"mem_total":8388608,"rtt_us":1234}"#;

fn main() {
    if !std::env::args().any(|arg| arg == "--bench") {
        println!("not measured: run it with `cargo bench`");
        return;
    }
    let under = std::env::var_os("BENCH_DIR").map_or_else(std::env::temp_dir, Into::into);
    let folder = tempfile::tempdir_in(under).expect("a folder for the bench");
    for rows in [64, 1_000] {
        let mut all = Vec::new();
        for _ in 0..ROUNDS {
            let bare = bare(folder.path(), rows);
            let (ours, a_commit) = together(folder.path(), rows);
            all.push((ours / bare, bare, ours, a_commit));
        }
        let (ratio, bare, ours, a_commit) = median(all);
        println!("bare loop, {rows} rows a commit: {bare:.0} rows/s");
        println!(
            "store, {rows} concurrent callers: {ours:.0} changes/s, {a_commit:.0} a commit, ratio {ratio:.2}"
        );
    }
    let mut all = Vec::new();
    for _ in 0..ROUNDS {
        let bare = 1e6 / bare(folder.path(), 1);
        let ours = lone(folder.path());
        all.push((ours / bare, bare, ours, ours - bare));
    }
    let (ratio, bare, ours, above) = median(all);
    println!("bare lone commit: {bare:.0} µs");
    println!("store, lone change: {ours:.0} µs, {above:.0} µs above it, ratio {ratio:.2}");
}

fn median(mut all: Vec<(f64, f64, f64, f64)>) -> (f64, f64, f64, f64) {
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    all[all.len() / 2]
}

/// Rows a second of a loop around SQLite.
fn bare(folder: &Path, rows: usize) -> f64 {
    let path = folder.join("bare.db");
    let db = Connection::open(&path).expect("open the bare database");
    db.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -8192;
        PRAGMA wal_autocheckpoint = 4000;",
    )
    .expect("set it up");
    db.execute_batch(TABLE).expect("its table");
    let mut insert = db.prepare(INSERT).expect("its statement");
    let begun = Instant::now();
    let mut count = 0_i64;
    while begun.elapsed() < SPAN {
        db.execute_batch("BEGIN IMMEDIATE").expect("begin");
        for _ in 0..rows {
            insert.execute((count % 10_000, count, BODY)).expect("insert");
            count += 1;
        }
        db.execute_batch("COMMIT").expect("commit");
    }
    let rate = count as f64 / begun.elapsed().as_secs_f64();
    drop(insert);
    drop(db);
    std::fs::remove_file(path).expect("remove it");
    rate
}

fn open(folder: &Path) -> Store {
    let store = Store::open(&folder.join("store.db"), Clock::system(), Mode::Create).expect("open the store");
    for sql in TABLE.split_inclusive(';') {
        store.write(move |tx| tx.run(sql, &[])).expect("its table");
    }
    store
}

fn close(folder: &Path, store: &Store) {
    store.close();
    std::fs::remove_file(folder.join("store.db")).expect("remove it");
}

async fn change(store: &Store, number: i64) {
    let made = store.submit(move |tx| {
        tx.run(INSERT, &[Arg::Int(number % 10_000), Arg::Int(number), Arg::Text(BODY)])?;
        Ok::<(), Error>(())
    });
    made.await.expect("a change");
}

/// Changes a second from that many callers, each of which waits for its own; and changes a commit.
fn together(folder: &Path, callers: usize) -> (f64, f64) {
    let store = open(folder);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().expect("a runtime");
    let before = store.commits();
    let begun = Instant::now();
    let count: i64 = runtime.block_on(async {
        let mut tasks = Vec::new();
        for caller in 0..callers as i64 {
            let store = store.clone();
            tasks.push(tokio::spawn(async move {
                let mut count = 0;
                while begun.elapsed() < SPAN {
                    change(&store, caller * 1_000_000 + count).await;
                    count += 1;
                }
                count
            }));
        }
        let mut all = 0;
        for task in tasks {
            all += task.await.expect("a caller");
        }
        all
    });
    let rate = count as f64 / begun.elapsed().as_secs_f64();
    let commits = (store.commits() - before) as f64;
    close(folder, &store);
    (rate, count as f64 / commits)
}

/// Microseconds for a change that waits alone.
fn lone(folder: &Path) -> f64 {
    let store = open(folder);
    let begun = Instant::now();
    let mut count = 0;
    while begun.elapsed() < SPAN {
        let made = store
            .write(move |tx| tx.run(INSERT, &[Arg::Int(count % 10_000), Arg::Int(count), Arg::Text(BODY)]));
        made.expect("a change");
        count += 1;
    }
    let micros = begun.elapsed().as_secs_f64() * 1e6 / count as f64;
    close(folder, &store);
    micros
}
