//! 10,000 devices with ICMP checks every 30 s on loopback addresses, run by the real `lineman serve` on one core: how late
//! the checks are, what it takes of that core and of memory, and how long `lineman device list` needs meanwhile.
//!
//! Takes about two minutes; prints one line a figure. Run: `cargo bench --bench scale`. It needs the right to send ICMP
//! (root, or `net.ipv4.ping_group_range`). The folder is `BENCH_DIR`, else the temporary one.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use agent::report::Probe;
use lineman::domain::check::Kind;
use lineman::store::events::Actor;
use lineman::store::{Mode, Store, checks, devices};
use schedules::{Clock, Millis, spread};

const DEVICES: u32 = 10_000;
const EVERY: Millis = Millis::from_secs(30);
/// A result may seem to be a little early: times are whole milliseconds, and those since boot are others.
const EARLY: i64 = 1_000;
/// Long enough for two whole rounds after the first, in which all checks are new.
const SPAN: Duration = Duration::from_secs(100);

fn main() {
    if !std::env::args().any(|arg| arg == "--bench") {
        println!("not measured: run it with `cargo bench`");
        return;
    }
    let under = std::env::var_os("BENCH_DIR").map_or_else(std::env::temp_dir, Into::into);
    let folder = tempfile::tempdir_in(under).expect("a folder for the bench");
    let database = folder.path().join("lineman.db");
    let store = Store::open(&database, Clock::system(), Mode::Create).expect("a database");
    store.write(make_devices).expect("the devices are made");
    store.close();
    let mut server = serve(folder.path());
    let began = Clock::system().now();
    std::thread::sleep(SPAN);
    let cpu = processor_seconds(server.id());
    let memory = memory_kib(server.id());
    let list = list_seconds(folder.path());
    drop(server.kill());
    drop(server.wait());
    let (many, mut late) = lateness(&database, began.0 + EVERY.0 + 10_000);
    late.sort_unstable();
    let at = |permille: usize| late.get(late.len() * permille / 1000).or(late.last()).copied().unwrap_or(0);
    println!("results after the first round: {} of {many} checks", late.len());
    println!("late, median: {} ms", at(500));
    println!("late, 99.9 %: {} ms", at(999));
    println!("late, most: {} ms", late.last().copied().unwrap_or(0));
    println!("processor: {:.1} % of one core", cpu * 100.0 / SPAN.as_secs_f64());
    println!("memory (PSS): {:.1} MiB", memory / 1024.0);
    println!("device list of {DEVICES}: {:.0} ms", list * 1000.0);
}

fn make_devices(tx: &lineman::store::WriteTx<'_>) -> lineman::store::Result<()> {
    let by = Actor::System;
    for n in 0..DEVICES {
        let address = format!("127.{}.{}.{}", 1 + n / 62_500, n / 250 % 250, n % 250 + 1);
        let new = devices::New { address: Some(address), ..devices::New::named(&format!("device-{n:05}")) };
        let device = devices::add(tx, &new, &by)?.id;
        let probe =
            Probe::Icmp { target: String::new(), packets: 1, warn_loss_permille: None, warn_rtt: None };
        let cadence = Some(EVERY.to_string());
        checks::add(
            tx,
            &checks::New { probe: Some(probe), cadence, ..checks::New::plain(device, Kind::Icmp) },
            &by,
        )?;
    }
    Ok(())
}

/// The real server, on one core.
fn serve(data: &Path) -> Child {
    let mut child = Command::new("taskset")
        .args(["-c", "0", env!("CARGO_BIN_EXE_lineman"), "serve", "--listen", "127.0.0.1:0", "--data"])
        .arg(data)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("taskset (util-linux) runs the server");
    let mut first = String::new();
    let out = child.stdout.take().expect("its output is piped");
    BufReader::new(out).read_line(&mut first).expect("it says where it listens");
    assert!(first.starts_with("listening on"), "{first}");
    child
}

fn processor_seconds(id: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).expect("the server runs");
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| fields[at].parse::<f64>().expect("a number");
    (ticks(11) + ticks(12)) / 100.0
}

fn memory_kib(id: u32) -> f64 {
    let map = std::fs::read_to_string(format!("/proc/{id}/smaps_rollup")).expect("the server runs");
    let pss = map.lines().find_map(|line| line.strip_prefix("Pss:")).expect("there is a sum");
    pss.trim().trim_end_matches(" kB").trim().parse().expect("a number")
}

fn list_seconds(data: &Path) -> f64 {
    let list = || {
        let began = Instant::now();
        let output =
            Command::new(env!("CARGO_BIN_EXE_lineman")).args(["device", "list", "--data"]).arg(data).output();
        assert!(output.expect("it runs").stdout.len() > 100_000, "all devices are listed");
        began.elapsed().as_secs_f64()
    };
    let mut all: Vec<f64> = (0..5).map(|_| list()).collect();
    all.sort_by(f64::total_cmp);
    all[2]
}

/// How late each result was after `from` that had a moment of its own on the grid of its check: the checks that had
/// results, and the lateness of each.
fn lateness(database: &Path, from: i64) -> (usize, Vec<i64>) {
    let store = Store::open(database, Clock::system(), Mode::Existing).expect("the database");
    let mut late = Vec::new();
    let mut many = 0;
    store
        .read(|tx| -> lineman::store::Result<()> {
            for id in checks::ids(tx)? {
                if checks::get(tx, &id.to_string())?.kind != Kind::Icmp {
                    continue;
                }
                let offset = spread(id.0.cast_unsigned(), EVERY).0;
                let own: Vec<i64> = checks::readings(tx, id)?
                    .iter()
                    .filter(|reading| reading.at.0 >= from)
                    .map(|reading| (reading.at.0 - offset + EARLY).rem_euclid(EVERY.0) - EARLY)
                    .collect();
                many += usize::from(!own.is_empty());
                late.extend(own);
            }
            Ok(())
        })
        .expect("the readings");
    (many, late)
}
