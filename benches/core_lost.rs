//! A fleet of 10,000 devices behind one core router that is lost: how long until there is one ticket with all of them on it,
//! by a turned clock at default settings, and what the whole decision costs the processor — what is more than taking in as
//! many results of which nothing follows. Prints one line a figure. Run: `cargo bench --bench core_lost`.

use std::collections::HashMap;
use std::time::Duration;

use agent::report::{CheckIn, CheckResult, MAX_RECORDS, Outcome, Record, What};
use lineman::app::App;
use lineman::domain::check::Kind;
use lineman::domain::ids::DeviceId;
use lineman::server::ingest::{self, Credential};
use lineman::server::{config, start, tick};
use lineman::store::devices::New;
use lineman::store::events::Actor;
use lineman::store::filter::{Page, Selection};
use lineman::store::{Mode, Store, checks, devices, settings, tickets};
use schedules::{Clock, Millis, Time};

const DEVICES: usize = 10_000;
const START: Time = Time(1_795_356_000_000);
const EVERY: i64 = 30;
const RETRY: i64 = 10;
const SECOND: Millis = Millis::from_secs(1);

struct Fleet {
    app: App,
    clock: Clock,
    this_machine: DeviceId,
    seq: u64,
    /// Of each check: when it is due, and how often somebody had wanted it at once.
    due: HashMap<i64, (i64, u64)>,
    version: i64,
    /// The configuration it runs, as an agent knows it.
    etag: Option<String>,
    results: usize,
}

fn main() {
    if !std::env::args().any(|arg| arg == "--bench") {
        println!("not measured: run it with `cargo bench`");
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(measure());
}

async fn measure() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut fleet = Fleet::new(&folder.path().join("lineman.db")).await;
    fleet.spent(0..80, Outcome::Ok).await;
    let quiet_before = fleet.spent(80..180, Outcome::Ok).await;
    let mut found = None;
    let mut decision = (Duration::ZERO, 0);
    for second in 180..260 {
        let (spent, results) = fleet.spent(second..second + 1, Outcome::Fail).await;
        decision = (decision.0 + spent, decision.1 + results);
        if found.is_none() && fleet.affected() == Some(DEVICES - 1) {
            found = Some(second - 180);
        }
    }
    // What a result costs of which nothing follows: before it and after it, since machines get faster and slower.
    let quiet_after = fleet.spent(260..360, Outcome::Fail).await;
    let quiet = (quiet_before.0 + quiet_after.0).as_secs_f64() / (quiet_before.1 + quiet_after.1) as f64;
    let (all, results) = (decision.0.as_secs_f64(), decision.1);
    let decision = all - quiet * results as f64;
    println!("devices behind one lost core router: {DEVICES}; tickets: {}", fleet.tickets());
    match found {
        Some(after) => println!("one ticket with all of them on it after: {after} s (limit 90 s)"),
        None => println!("one ticket with all of them on it after: never"),
    }
    println!("results taken in meanwhile: {results}, of which nothing follows: {:.1} µs each", quiet * 1e6);
    println!(
        "processor time of the whole decision: {decision:.2} s (limit 1 s), {:.0} µs a device",
        decision * 1e6 / DEVICES as f64
    );
}

impl Fleet {
    async fn new(path: &std::path::Path) -> Fleet {
        let clock = Clock::manual(START);
        let store = Store::open(path, clock.clone(), Mode::Create).expect("a store");
        let app = App::new(store, clock.clone()).expect("an app");
        let this_machine = start::start(&app).await.expect("a start");
        app.store
            .submit(move |tx| {
                devices::pause(tx, this_machine, &Actor::System)?;
                for at in 0..DEVICES {
                    let parents = if at == 0 { Vec::new() } else { vec!["core".to_owned()] };
                    let name = if at == 0 { "core".to_owned() } else { format!("d-{at}") };
                    let device = devices::add(tx, &New { parents, ..New::named(&name) }, &Actor::System)?;
                    let new = checks::New {
                        probe: Some(config::contact_probe()),
                        ..checks::New::plain(device.id, Kind::Icmp)
                    };
                    checks::add(tx, &new, &Actor::System)?;
                }
                lineman::store::Result::<()>::Ok(())
            })
            .await
            .expect("a fleet");
        Fleet { app, clock, this_machine, seq: 0, due: HashMap::new(), version: -1, etag: None, results: 0 }
    }

    /// Lets these seconds pass: how much processor time that took, and how many results were taken in.
    async fn spent(&mut self, seconds: std::ops::Range<i64>, outcome: Outcome) -> (Duration, usize) {
        let (before, results) = (processor(), self.results);
        for second in seconds {
            self.second(second, outcome).await;
        }
        (processor() - before, self.results - results)
    }

    /// A second passes: whatever is due is probed, and the server does what follows.
    async fn second(&mut self, now: i64, outcome: Outcome) {
        self.clock.advance(SECOND);
        let version = self.app.store.read(settings::config_version).expect("a version");
        if version != self.version {
            // The agent inside the server is woken, and calls at once for what it is to do now.
            self.version = version;
            self.call(Vec::new(), now).await;
        }
        let mut due: Vec<i64> = self.due.iter().filter(|(_, due)| due.0 <= now).map(|(id, _)| *id).collect();
        // The worst order: the core router is heard of last, when everybody behind it has failed already.
        due.sort_unstable_by_key(|id| std::cmp::Reverse(*id));
        // As many results are taken in while all is well as later, when they fail and are tried again.
        let next = if now < 60 { EVERY } else { RETRY };
        for some in due.chunks(MAX_RECORDS) {
            let mut records = Vec::new();
            for id in some {
                self.seq += 1;
                records.push(self.record(*id, outcome));
                self.due.entry(*id).and_modify(|due| due.0 = now + next);
            }
            self.results += some.len();
            self.call(records, now).await;
        }
        tick::settle(&self.app).await.expect("the duties");
    }

    /// Calls the server, and takes the configuration that comes with its answer: what is new there runs in its turn, what
    /// somebody wants at once runs now.
    async fn call(&mut self, records: Vec<Record>, now: i64) {
        let call = CheckIn {
            sent_at: self.clock.now(),
            sent_mono: Millis(self.clock.now().0),
            log: "local".to_owned(),
            config: self.etag.clone(),
            records,
            ..CheckIn::default()
        };
        let (known, who) = (self.app.known(), Credential::Local(self.this_machine));
        let answer = self.app.store.submit(move |tx| ingest::check_in(tx, &known, who, &call, None)).await;
        let Some(config) = answer.expect("an answer").expect("it is taken in").config else { return };
        self.etag = Some(config.etag);
        for task in config.tasks {
            let due = self.due.entry(task.check).or_insert((now + task.check % EVERY, task.nudge));
            if due.1 != task.nudge {
                *due = (now, task.nudge);
            }
        }
    }

    fn record(&self, check: i64, outcome: Outcome) -> Record {
        let now = self.clock.now();
        let result = CheckResult {
            check,
            outcome,
            in_a_row: 0,
            since: None,
            rtt_us: None,
            loss_permille: None,
            message: String::new(),
        };
        Record { seq: self.seq, at: now, mono: Millis(now.0), boot: None, what: What::Result(result) }
    }

    fn tickets(&self) -> usize {
        let all = self.app.store.read(|tx| tickets::list(tx, &Selection::all(), &Page::default()));
        all.expect("the tickets").len()
    }

    fn affected(&self) -> Option<usize> {
        let all = self.app.store.read(|tx| tickets::list(tx, &Selection::all(), &Page::default()));
        all.expect("the tickets").first().map(|ticket| ticket.affected.len())
    }
}

/// How much processor time this process has used, of the user's and the system's.
fn processor() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    let fields: Vec<&str> = stat.rsplit(')').next().expect("a name").split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().expect("user") + fields[12].parse::<u64>().expect("system");
    Duration::from_millis(ticks * 10)
}
