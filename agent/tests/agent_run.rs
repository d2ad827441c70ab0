//! A whole agent on a turned clock, over a link within the process: what reaches the server, when, and how often.

#![expect(clippy::unwrap_used, reason = "a test ends where something it needs is missing")]

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use agent::Options;
use agent::ladder;
use agent::link::{Link, LinkError};
use agent::probe::Prober;
use agent::report::{
    AgentOutage, CheckIn, Climb, Config, Gap, Held, Outcome, Plan, Probe, Record, Reply, Rung, Step, Task,
    What, Why,
};
use agent::spool::{Glance, Identity, Spool};
use schedules::{Clock, Millis, Time};
use tokio::sync::{Notify, watch};

const START: Time = Time(1_800_000_000_000);

/// A server in the process: it keeps what it is told, unless it is away.
#[derive(Clone, Default)]
struct Server(Arc<Mutex<Books>>);

#[derive(Default)]
struct Books {
    away: bool,
    /// It takes the call, but its answer is lost.
    mute: bool,
    calls: u32,
    tries: u32,
    acked: u64,
    records: Vec<Record>,
    current_first: Vec<&'static str>,
    etags: Vec<Option<String>>,
    config: Option<Config>,
    refuse: Option<LinkError>,
    climbs: Vec<Why>,
}

impl Link for Server {
    async fn check_in(&self, call: CheckIn) -> Result<Reply, LinkError> {
        let mut books = self.0.lock().unwrap();
        books.tries += 1;
        if let Some(refused) = books.refuse.take() {
            return Err(refused);
        }
        if books.away {
            return Err(LinkError::Failed("connect 192.0.2.1:443: timed out".into()));
        }
        books.calls += 1;
        assert!(call.records.len() <= 500);
        assert!(call.records.is_sorted_by(|one, two| one.seq < two.seq));
        let last = call.records.last().map_or(0, |record| record.seq);
        assert!(call.current.iter().all(|record| record.seq > last), "current is not in the backlog");
        books.current_first.extend(call.current.first().map(|record| kind(record)));
        let known = books.acked;
        books.records.extend(call.records.into_iter().filter(|record| record.seq > known));
        books.acked = known.max(last);
        books.etags.push(call.config.clone());
        if books.mute {
            return Err(LinkError::Failed("read: timed out".into()));
        }
        let config = books.config.clone().filter(|config| call.config.as_ref() != Some(&config.etag));
        let next_in_ms = if call.waiting > 0 { Millis(100) } else { Millis::ZERO };
        Ok(Reply { acked: books.acked, server_time: Time(0), config, next_in_ms })
    }

    /// On this machine, so that nobody is asked anything.
    fn leads_to(&self) -> Option<ladder::Server> {
        let host = "127.0.0.1".to_owned();
        Some(ladder::Server { host, port: 443, tls: true, pin: None, address: None })
    }

    /// The port is closed while the server is away.
    async fn climb(&self, _plan: Plan, _server: ladder::Server, _hops: Vec<IpAddr>, why: Why) -> Climb {
        let mut books = self.0.lock().unwrap();
        books.climbs.push(why);
        let step = Step::ServerConnect { address: ([127, 0, 0, 1], 443).into(), refused: books.away };
        let outcome = if books.away { Held::Fail } else { Held::Ok };
        let (reason, after) = (String::new(), Millis(3));
        let rung = Rung { step, outcome, reason, after, rtt_us: None, loss_permille: None };
        Climb { outage: None, why, took: Millis(4), rungs: vec![rung] }
    }
}

fn kind(record: &Record) -> &'static str {
    match record.what {
        What::Status(_) => "status",
        What::Result(_) => "result",
        What::Change(_) => "change",
        What::Outage(_) => "outage",
        What::Boot(_) => "boot",
        What::Dropped(_) => "dropped",
        What::Ladder(_) => "ladder",
        What::Gap(_) => "gap",
    }
}

fn config(tasks: Vec<Task>) -> Config {
    Config {
        etag: format!("with {} tasks", tasks.len()),
        check_in_every: Millis::from_secs(10),
        cut_off_after: 3,
        retry_max: Millis::from_secs(60),
        keep_for: Millis::from_secs(86_400),
        keep_bytes: 1 << 24,
        ladder: Plan::default(),
        record_every: Millis::ZERO,
        tasks,
    }
}

/// Probes a port of this machine on which nobody listens.
fn closed_port(check: i64) -> Task {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    Task {
        check,
        probe: Probe::Tcp { target: "127.0.0.1".into(), port },
        cadence: "10s".into(),
        retry: Millis::from_secs(2),
        attempts: 3,
        timeout: Millis::from_secs(2),
        nudge: 0,
    }
}

/// An agent that runs in its own thread on a clock file, as its process would.
struct Running {
    dir: tempfile::TempDir,
    now: Time,
    server: Server,
    stop: watch::Sender<bool>,
    wake: Arc<Notify>,
    told: watch::Sender<agent::Status>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Running {
    fn start(server: Server) -> Running {
        let dir = tempfile::tempdir().unwrap();
        let (stop, _) = watch::channel(false);
        let wake = Arc::new(Notify::new());
        let told = watch::Sender::new(agent::Status::default());
        let mut running = Running { dir, now: START, server, stop, wake, told, thread: None };
        running.turn_to(START);
        running.begin();
        running.settle();
        running
    }

    fn begin(&mut self) {
        let mut spool = Spool::open(&self.dir.path().join("agent.db")).unwrap();
        let identity = Identity {
            server: "https://127.0.0.1".into(),
            device: 7,
            name: "edge".into(),
            secret: "s3cret".into(),
            pin: None,
        };
        spool.set_identity(&identity).unwrap();
        self.stop.send_replace(false);
        let options = Options {
            clock: Clock::file(&self.dir.path().join("clock")),
            spool,
            link: self.server.clone(),
            prober: Prober::new(),
            stop: self.stop.subscribe(),
            wake: Arc::clone(&self.wake),
            server: None,
            name: "edge".into(),
            told: self.told.clone(),
        };
        self.thread = Some(std::thread::spawn(move || {
            agent::runtime().unwrap().block_on(agent::run(options)).unwrap();
        }));
    }

    fn turn_to(&self, at: Time) {
        let new = self.dir.path().join("clock-new");
        std::fs::write(&new, at.0.to_string()).unwrap();
        std::fs::rename(new, self.dir.path().join("clock")).unwrap();
    }

    /// Waits until the agent has done all that is due now.
    fn settle(&self) {
        let mark = self.dir.path().join(format!("clock.{}.agent", std::process::id()));
        let began = std::time::Instant::now();
        while std::fs::read_to_string(&mark).ok().as_deref() != Some(&self.now.0.to_string()) {
            assert!(began.elapsed() < Duration::from_secs(20), "the agent is not idle");
            assert!(!self.thread.as_ref().unwrap().is_finished(), "the agent has ended");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Lets so much time pass, a step at a time.
    fn pass(&mut self, secs: i64) {
        for _ in 0..secs * 2 {
            self.now += Millis(500);
            self.turn_to(self.now);
            self.settle();
        }
    }

    /// The agent is killed: another one goes on with the files as they are, the journal not folded in.
    fn kill(&mut self) {
        let killed = tempfile::tempdir().unwrap();
        for name in ["agent.db", "agent.db-wal", "clock"] {
            std::fs::copy(self.dir.path().join(name), killed.path().join(name)).unwrap();
        }
        self.end();
        self.dir = killed;
        self.begin();
        self.settle();
    }

    fn end(&mut self) {
        self.stop.send_replace(true);
        self.thread.take().unwrap().join().unwrap();
    }

    fn status(&self) -> agent::Status {
        self.told.borrow().clone()
    }

    fn books(&self) -> std::sync::MutexGuard<'_, Books> {
        self.server.0.lock().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take()
            && !std::thread::panicking()
        {
            drop(thread.join());
        }
    }
}

fn outages(records: &[Record]) -> Vec<&AgentOutage> {
    let outage = |record| {
        if let &Record { what: What::Outage(ref outage), .. } = record { Some(outage) } else { None }
    };
    records.iter().filter_map(outage).collect()
}

fn climbs(records: &[Record]) -> Vec<&Climb> {
    let climb =
        |record| if let &Record { what: What::Ladder(ref climb), .. } = record { Some(climb) } else { None };
    records.iter().filter_map(climb).collect()
}

fn gaps(records: &[Record]) -> Vec<&Gap> {
    let gap = |record| if let &Record { what: What::Gap(ref gap), .. } = record { Some(gap) } else { None };
    records.iter().filter_map(gap).collect()
}

/// All records came, in order, each once.
fn assert_whole(records: &[Record]) {
    let seqs: Vec<u64> = records.iter().map(|record| record.seq).collect();
    assert_eq!(seqs, (1..=records.len() as u64).collect::<Vec<_>>());
}

#[test]
fn five_minutes_without_the_server_lose_nothing() {
    let mut running = Running::start(Server::default());
    running.books().config = Some(config(vec![closed_port(1)]));
    running.pass(31);
    assert_eq!(running.status().state, "online");
    assert_eq!(running.status().checks, 1);
    let before = running.books().records.len();

    running.books().away = true;
    let left = running.now;
    running.books().tries = 0;
    let mut cut_off_after = None;
    for _ in 0..300 {
        running.pass(1);
        let status = running.status();
        let tries = running.books().tries;
        assert_eq!(status.failed_tries, tries);
        if status.state == "cut-off" && cut_off_after.is_none() {
            cut_off_after = Some(tries);
        }
    }
    assert_eq!(cut_off_after, Some(3));
    assert!(running.status().error.unwrap().contains("timed out"));
    let backlog = running.status().backlog;
    assert!(backlog > 25, "the check went on: {backlog}");

    running.books().away = false;
    running.books().current_first.clear();
    running.pass(70);
    assert_eq!(running.status().state, "online");
    assert_eq!(running.status().failed_tries, 0);
    let records = std::mem::take(&mut running.books().records);
    assert_whole(&records);
    assert!(records.len() as u64 >= before as u64 + backlog);
    let outages: Vec<_> = records
        .iter()
        .filter_map(|record| if let What::Outage(outage) = &record.what { Some(outage) } else { None })
        .collect();
    assert_eq!(outages.len(), 2);
    assert_eq!((outages[0].tries, outages[0].ended_at), (3, None));
    assert!(outages[0].began_at >= left && outages[0].began_at <= left + Millis::from_secs(10));
    assert_eq!(outages[1].began_at, outages[0].began_at);
    assert!(outages[1].ended_at.unwrap() >= left + Millis::from_secs(300));
    // The check failed all the while, and was counted all the while.
    let fails: Vec<_> = records
        .iter()
        .filter_map(|record| if let What::Result(result) = &record.what { Some(result) } else { None })
        .collect();
    assert!(fails.iter().enumerate().all(|(n, result)| result.in_a_row as usize == n + 1));
    assert!(fails.iter().all(|result| result.outcome == Outcome::Fail));
}

#[test]
fn an_answer_that_is_lost_brings_no_record_twice() {
    let mut running = Running::start(Server::default());
    running.books().config = Some(config(vec![closed_port(1)]));
    running.pass(20);
    running.books().mute = true;
    running.pass(60);
    running.books().mute = false;
    running.pass(60);
    assert_whole(&running.books().records);
}

#[test]
fn a_long_backlog_is_sent_in_parts_with_the_newest_status_first() {
    let mut running = Running::start(Server::default());
    let tasks: Vec<Task> =
        (1..=60).map(|check| Task { cadence: "1s".into(), ..closed_port(check) }).collect();
    running.books().config = Some(config(tasks));
    running.pass(15);
    running.books().away = true;
    running.pass(60);
    running.books().away = false;
    running.books().current_first.clear();
    let calls = running.books().calls;
    running.pass(65);
    let books = running.books();
    assert!(books.calls > calls + 5);
    assert_eq!(books.current_first.first(), Some(&"status"));
    assert_whole(&books.records);
    let mut seen: BTreeMap<i64, usize> = BTreeMap::new();
    for record in &books.records {
        if let What::Result(result) = &record.what {
            *seen.entry(result.check).or_default() += 1;
        }
    }
    assert_eq!(seen.len(), 60);
}

#[test]
fn a_restart_keeps_the_backlog_and_the_checks_and_is_told() {
    let mut running = Running::start(Server::default());
    running.books().config = Some(config(vec![closed_port(1)]));
    running.pass(20);
    running.books().away = true;
    running.pass(30);
    running.end();
    let waiting = Glance::at(&running.dir.path().join("agent.db")).unwrap().waiting;
    assert!(waiting > 0);
    running.now += Millis::from_secs(5);
    running.turn_to(running.now);
    running.begin();
    running.settle();
    assert_eq!(running.status().checks, 1, "it runs what it ran before");
    running.books().away = false;
    running.pass(70);
    let books = running.books();
    assert_whole(&books.records);
    let boots: Vec<_> = books
        .records
        .iter()
        .filter_map(|record| if let What::Boot(boot) = &record.what { Some(boot.clean) } else { None })
        .collect();
    assert_eq!(boots, [None, Some(true)]);
    assert!(books.etags.last().unwrap().is_some());
}

#[test]
fn a_record_the_server_cannot_take_is_set_aside_and_the_rest_arrives() {
    let mut running = Running::start(Server::default());
    running.books().config = Some(config(vec![closed_port(1)]));
    running.pass(12);
    let next = running.books().acked + 1;
    running.books().refuse = Some(LinkError::Bad { seq: Some(next), error: "no such check".into() });
    running.pass(30);
    let books = running.books();
    let seqs: Vec<u64> = books.records.iter().map(|record| record.seq).collect();
    let expected: Vec<u64> = (1..=books.acked).filter(|seq| *seq != next).collect();
    assert_eq!(seqs, expected);
    drop(books);
    assert_eq!(running.status().failed_tries, 0);
}

#[test]
fn a_call_is_made_when_somebody_asks_for_it() {
    let mut running = Running::start(Server::default());
    running.books().config = Some(config(vec![]));
    running.pass(12);
    let calls = running.books().calls;
    running.wake.notify_one();
    running.pass(1);
    assert!(running.books().calls > calls);
}

#[test]
fn an_outage_is_one_over_a_restart_and_a_kill_and_its_story_comes_whole() {
    let mut running = Running::start(Server::default());
    running.books().config = Some(config(vec![]));
    running.pass(400);
    running.books().away = true;
    let left = running.now;
    running.pass(120);
    assert_eq!(running.status().state, "cut-off");
    running.end();
    running.now += Millis::from_secs(15);
    running.turn_to(running.now);
    running.begin();
    running.settle();
    assert_eq!(running.status().state, "cut-off", "from its first moment on");
    running.pass(60);
    running.kill();
    assert_eq!(running.status().state, "cut-off");
    running.pass(30);
    assert_eq!(running.books().climbs[..2], [Why::Baseline, Why::Failure]);

    running.books().away = false;
    let back = running.now;
    running.pass(70);
    assert_eq!(running.status().state, "online");
    let books = running.books();
    let [began, ended] = outages(&books.records)[..] else { panic!("{:?}", outages(&books.records)) };
    assert!(began.began_at >= left && began.began_at <= left + Millis::from_secs(10));
    assert_eq!((ended.began_at, &ended.reason), (began.began_at, &began.reason));
    assert!(ended.ended_at.unwrap() >= back && ended.tries > began.tries);
    assert_eq!(ended.boots, 0);
    assert_eq!(
        (ended.address_before, ended.address_after),
        (Some([127, 0, 0, 1].into()), Some([127, 0, 0, 1].into()))
    );

    let spans: Vec<i64> = ended.before.iter().map(|line| began.began_at.since(line.at).0 / 1_000).collect();
    assert!(spans.is_sorted_by(|one, two| one > two), "{spans:?}");
    assert!(spans[0] > 280 && spans[0] <= 300, "the five minutes before it: {spans:?}");
    // How soon it knew depends on when it tried again, which is by chance.
    let is_begin = |record: &&Record| matches!(&record.what, What::Outage(told) if told.ended_at.is_none());
    let knew = books.records.iter().find(is_begin).unwrap().at;
    let last = ended.before.last().unwrap().at;
    assert!(
        (0..=10_000).contains(&knew.since(last).0),
        "and the time until the agent knew, {knew}: {spans:?}"
    );
    assert!(
        ended
            .before
            .iter()
            .any(|line| line.checked_in_at.is_some_and(|at| at > left - Millis::from_secs(20)))
    );

    let whys: Vec<(Why, bool)> =
        climbs(&books.records).iter().map(|c| (c.why, c.outage == Some(began.began_at))).collect();
    assert_eq!(whys[..3], [(Why::Baseline, false), (Why::Failure, false), (Why::Again, true)]);
    assert_eq!(*whys.last().unwrap(), (Why::Recovery, true));
    let [first] = &ended.firsts[..] else { panic!("{:?}", ended.firsts) };
    assert_eq!((&*first.rung, &*first.target), ("server-connect", "127.0.0.1:443"));
    assert!(first.at >= back);

    let told: Vec<_> =
        gaps(&books.records).iter().map(|gap| (gap.booted, gap.restarted, gap.clean)).collect();
    assert_eq!(told, [(false, true, true), (false, true, false)], "stopped in order, then killed");
    let restart = gaps(&books.records)[0];
    assert_eq!(
        restart.to.since(restart.from.unwrap()),
        Millis::from_secs(15),
        "the record ends where the agent does"
    );
    assert_eq!(restart.last.as_ref().map(|last| last.at), restart.from);
    let seqs: Vec<u64> = books.records.iter().map(|record| record.seq).collect();
    assert!(seqs.is_sorted_by(|one, two| one < two), "{seqs:?}");
}

#[test]
fn what_the_first_failure_found_outlives_an_agent_that_is_killed_before_it_is_cut_off() {
    let mut running = Running::start(Server::default());
    running.books().config = Some(config(vec![]));
    running.pass(30);
    running.books().away = true;
    while running.status().failed_tries == 0 {
        running.pass(1);
    }
    running.pass(1);
    assert_eq!(running.status().state, "online", "too few tries to say more");
    // The next agent knows of no failure.
    running.books().away = false;
    running.kill();
    running.pass(70);
    let books = running.books();
    let failed: Vec<&Climb> = climbs(&books.records).into_iter().filter(|c| c.why == Why::Failure).collect();
    let [first, ..] = &failed[..] else { panic!("{:?}", climbs(&books.records)) };
    assert_eq!(first.rungs[0].outcome, Held::Fail);
}

#[test]
fn a_machine_that_was_halted_has_a_gap() {
    let mut running = Running::start(Server::default());
    running.books().config = Some(config(vec![]));
    running.pass(60);
    let from = running.now;
    running.now += Millis::from_secs(3_600);
    running.turn_to(running.now);
    running.settle();
    running.pass(30);
    let books = running.books();
    let [gap] = gaps(&books.records)[..] else { panic!("{:?}", gaps(&books.records)) };
    assert!(from.since(gap.from.unwrap()) < Millis::from_secs(10));
    assert!(gap.to.since(gap.from.unwrap()) >= Millis::from_secs(3_600));
    assert_eq!((gap.booted, gap.restarted, gap.suspended), (false, false, Millis::ZERO));
}
