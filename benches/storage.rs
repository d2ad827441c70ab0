//! What a check-in costs in the store, all included: bytes of the database a check-in, after some days through the real
//! way in, on a clock that is turned.
//!
//! Each agent checks in every 30 s with its status and the results of one ICMP check. Prints one line a figure, beside the
//! bare minimum: a plain table of four columns for each reading, and the same numbers packed. Run:
//! `cargo bench --bench storage`. The folder is `BENCH_DIR`, else the temporary one; agents and hours are `BENCH_AGENTS` and
//! `BENCH_HOURS`, else 60 and 24.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use agent::report::{CheckIn, CheckResult, Interface, Outcome, Probe, Record, Status, Usage, What};
use lineman::app::App;
use lineman::domain::check::Kind;
use lineman::domain::ids::{CheckId, DeviceId};
use lineman::domain::packed::pack_samples;
use lineman::domain::rollup::Sample;
use lineman::server::ingest::{self, Credential};
use lineman::server::{jobs, start, tick};
use lineman::store::events::Actor;
use lineman::store::{Mode, Store, agents, checks, devices, history};
use schedules::{Clock, Millis, Time};

const START: Time = Time(1_795_305_600_000);
const EVERY: Millis = Millis::from_secs(30);
const HOUR: Millis = Millis::from_secs(3_600);

/// An agent: its secret, the check that it runs, and the configuration that it knows.
struct Device {
    id: DeviceId,
    secret: [u8; 32],
    check: CheckId,
    config: String,
}

struct House {
    app: App,
    clock: Clock,
    file: PathBuf,
    check_ins: u64,
}

fn main() {
    if !std::env::args().any(|arg| arg == "--bench") {
        println!("not measured: run it with `cargo bench`");
        return;
    }
    let number = |name: &str, usual| {
        std::env::var(name).ok().and_then(|text| text.parse::<u32>().ok()).unwrap_or(usual)
    };
    let (many, hours) = (number("BENCH_AGENTS", 60), number("BENCH_HOURS", 24));
    let under = std::env::var_os("BENCH_DIR").map_or_else(std::env::temp_dir, Into::into);
    let folder = tempfile::tempdir_in(under).expect("a folder for the bench");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let mut house = House::new(folder.path());
        start::start(&house.app).await.expect("the server starts");
        let devices = house.devices(many).await;
        let empty = house.bytes();
        // Half an hour that is not rolled up: each reading a row.
        house.check_in_for(&devices, HOUR.0 / 2).await;
        let raw = house.print("raw, each reading a row", empty);
        house.check_in_for(&devices, i64::from(hours) * HOUR.0 - HOUR.0 / 2).await;
        house.print("as it runs: the last hour raw, the rest packed and rolled up", empty);
        let most = house.roll_up().await;
        let packed = house.print("all packed, and rolled up to minutes, hours and days", empty);
        for (days, name) in [
            (3, "after two days: rolled up to minutes, hours and days"),
            (8, "after a week: hours and days"),
            (91, "after 90 days: days"),
        ] {
            house.clock.set(START + HOUR.times(24 * days + i64::from(hours)));
            house.nightly().await;
            house.print(name, empty);
        }
        bare(folder.path(), u64::from(many) * 2 * 120 * u64::from(hours));
        println!("the longest transaction that rolls up: {:.1} ms", most.as_secs_f64() * 1000.0);
        println!("raw beside all packed: {:.1} times the bytes; {} check-ins", raw / packed, house.check_ins);
    });
}

impl House {
    fn new(folder: &Path) -> House {
        let clock = Clock::manual(START);
        let file = folder.join("lineman.db");
        let store = Store::open(&file, clock.clone(), Mode::Create).expect("a database");
        let app = App::new(store, clock.clone()).expect("the settings are read");
        House { app, clock, file, check_ins: 0 }
    }

    async fn devices(&self, many: u32) -> Vec<Device> {
        let made = self.app.store.submit(move |tx| -> lineman::store::Result<Vec<Device>> {
            let mut all = Vec::new();
            for n in 0..many {
                let id =
                    devices::add(tx, &devices::New::named(&format!("device-{n:05}")), &Actor::System)?.id;
                let mut secret = [7; 32];
                secret[..4].copy_from_slice(&n.to_be_bytes());
                agents::join(tx, id, Some(&secret), &serde_json::json!({}), &Actor::System)?;
                let probe = Probe::Icmp {
                    target: "192.0.2.1".into(),
                    packets: 3,
                    warn_loss_permille: None,
                    warn_rtt: None,
                };
                let new =
                    checks::New { probe: Some(probe), from: Some(id), ..checks::New::plain(id, Kind::Icmp) };
                let check = checks::add(tx, &new, &Actor::System)?.id;
                let config = agents::of_device(tx, id, "")?.map(|caller| caller.etag()).unwrap_or_default();
                all.push(Device { id, secret, check, config });
            }
            Ok(all)
        });
        made.await.expect("the devices are made")
    }

    /// Everybody checks in, on time, for so long.
    async fn check_in_for(&mut self, devices: &[Device], ms: i64) {
        let end = self.clock.now() + Millis(ms);
        while self.clock.now() < end {
            self.clock.advance(EVERY);
            let (known, now) = (self.app.known(), self.clock.now());
            let calls: Vec<([u8; 32], CheckIn)> =
                devices.iter().map(|device| (device.secret, call(device, now))).collect();
            self.check_ins += calls.len() as u64;
            let taken = self.app.store.submit(move |tx| -> lineman::store::Result<()> {
                for (secret, call) in &calls {
                    let who = Credential::Secret(*secret);
                    let answer = ingest::check_in(tx, &known, who, call, "192.0.2.7".parse().ok())?;
                    assert!(answer.is_ok(), "{answer:?}");
                }
                Ok(())
            });
            taken.await.expect("the check-ins are taken in");
            tick::settle(&self.app).await.expect("what is due is done");
        }
    }

    /// Rolls up all there is; how long the writer was busy with it at most.
    async fn roll_up(&self) -> Duration {
        self.clock.advance(HOUR + history::LATE);
        let mut most = Duration::ZERO;
        loop {
            let began = Instant::now();
            let progress =
                self.app.store.submit(|tx| history::roll_up(tx, 2_000)).await.expect("it is rolled up");
            most = most.max(began.elapsed());
            if progress.due(self.clock.now()) > self.clock.now() {
                return most;
            }
        }
    }

    /// The nightly care, twice: the first time nobody knows when it last was.
    async fn nightly(&self) {
        jobs::maintain_if_due(&self.app).await.expect("the nightly care");
        self.clock.advance(HOUR.times(24));
        jobs::maintain_if_due(&self.app).await.expect("the nightly care");
    }

    /// How large the database is without what is free in it, its log taken in.
    fn bytes(&self) -> u64 {
        self.app.store.maintain().expect("the log is taken in");
        let connection = rusqlite::Connection::open(&self.file).expect("the database");
        let number = |what: &str| {
            let asked = connection.query_row(&format!("PRAGMA {what}"), [], |row| row.get::<_, i64>(0));
            u64::try_from(asked.expect("a number")).expect("a number")
        };
        (number("page_count") - number("freelist_count")) * number("page_size")
    }

    fn print(&self, what: &str, empty: u64) -> f64 {
        let bytes = self.bytes().saturating_sub(empty) as f64 / self.check_ins as f64;
        println!("store: {bytes:.1} bytes per check-in (two readings) {what}");
        bytes
    }
}

/// A number that looks like noise, the same each time.
fn noise(a: i64, b: i64) -> i64 {
    let mixed =
        (a.wrapping_mul(0x9e37_79b9_7f4a_7c15_u64.cast_signed()) ^ b).wrapping_mul(0x2545_f491_4f6c_dd1d);
    (mixed >> 33) & 0xffff
}

/// How long after the full interval a device measured.
fn jitter(device: &Device, now: Time) -> Millis {
    Millis(noise(device.id.0, now.0) % 20)
}

/// A check-in as an agent sends it each interval: one status, one result.
fn call(device: &Device, now: Time) -> CheckIn {
    let turn = now.since(START).0 / EVERY.0;
    let at = now - Millis(40) + jitter(device, now);
    let seq = u64::try_from(turn).expect("it is not before the start") * 2 + 1;
    let record = |seq, what| Record { seq, at, mono: Millis(at.0), boot: None, what };
    let some = |n: i64| u32::try_from(n).ok();
    let status = Status {
        host_name: format!("edge-router-{}.site-12.example", device.id),
        os: "Debian GNU/Linux 13".to_owned(),
        kernel: "6.12.48".to_owned(),
        address: "192.0.2.7".parse().ok(),
        interfaces: vec![Interface {
            name: "eth0".to_owned(),
            mac: "02:00:00:00:00:17".to_owned(),
            up: true,
            addresses: vec!["192.0.2.7/24".to_owned()],
            rx_bytes: 123_456_789 + turn.unsigned_abs() * 977,
            tx_bytes: 98_765_432 + turn.unsigned_abs() * 733,
            errors: 0,
            drops: 3,
        }],
        gateways: vec!["192.0.2.1".parse().expect("an address")],
        resolvers: vec!["192.0.2.1".parse().expect("an address")],
        uptime_ms: Millis(8_640_123) + Millis(turn * EVERY.0),
        cpu_permille: some(40 + noise(device.id.0, turn) % 60),
        load_centi: some(37),
        memory: Some(Usage { total: 8_388_608, used: 4_211_201 + noise(turn, device.id.0).unsigned_abs() }),
        disks: Vec::new(),
    };
    let result = CheckResult {
        check: device.check.0,
        outcome: Outcome::Ok,
        in_a_row: u32::try_from(turn).unwrap_or(u32::MAX),
        since: Some(START),
        rtt_us: some(900 + noise(device.check.0, turn) % 400),
        loss_permille: Some(0),
        message: String::new(),
    };
    CheckIn {
        sent_at: now,
        sent_mono: Millis(now.0),
        log: "b5f1c9a2d4e6".to_owned(),
        records: vec![record(seq, What::Status(status)), record(seq + 1, What::Result(result))],
        config: Some(device.config.clone()),
        ..CheckIn::default()
    }
}

/// The same readings as rows of four columns, one after the other, and the numbers alone.
fn bare(folder: &Path, readings: u64) {
    let file = folder.join("bare.db");
    let mut connection = rusqlite::Connection::open(&file).expect("a database");
    connection
        .execute_batch("CREATE TABLE row (check_id INTEGER, at INTEGER, outcome INTEGER, rtt_us INTEGER);")
        .expect("a table");
    let transaction = connection.transaction().expect("a transaction");
    let (checks, mut samples) = (100, Vec::new());
    {
        let mut insert = transaction.prepare("INSERT INTO row VALUES ($1, $2, 0, $3)").expect("a statement");
        for n in 0..i64::try_from(readings).expect("not that many") {
            let (check, turn) = (n % checks, n / checks);
            let at = START + EVERY.times(turn) + Millis(noise(check, turn) % 20);
            let rtt = 900 + noise(check, turn) % 400;
            insert.execute(rusqlite::params![check, at.0, rtt]).expect("a row");
            if check == 0 {
                let values = [u32::try_from(rtt).ok(), Some(0), None, None, None];
                samples.push(Sample { at, outcome: Outcome::Ok, values });
            }
        }
    }
    transaction.commit().expect("a commit");
    drop(connection);
    let plain = std::fs::metadata(&file).expect("the file").len() as f64 / readings as f64;
    let packed = pack_samples(&samples, START).len() as f64 / samples.len() as f64;
    println!(
        "bare: {:.1} bytes per check-in (two readings) as rows of a plain table of four columns",
        plain * 2.0
    );
    println!("bare: {:.1} bytes per check-in (two readings) as the numbers alone, packed", packed * 2.0);
}
