//! The flight recorder on a real network: in a network namespace of its own, where nothing leaves this machine.
//!
//! Each test runs itself once more inside `unshare --net`, as root on Linux; elsewhere it says why it is skipped.

#![expect(clippy::unwrap_used, reason = "a test may fail where it stands")]

mod netns;

use std::net::IpAddr;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use agent::Options;
use agent::ladder;
use agent::link::{Link, LinkError};
use agent::probe::Prober;
use agent::report::{CheckIn, Climb, Config, Moment, Plan, Record, Reply, What, Why};
use agent::spool::{Identity, Spool};
use netns::inside;
use schedules::{Clock, Millis, Time};
use tokio::sync::{Notify, watch};

/// A way out whose gateway nobody plays, but whose hardware address is known, and an address that is leased.
const WAY_OUT: &str = "ip link add out type veth peer name far; ip link set far up; ip link set out up; \
    ip addr add 10.9.0.2/24 dev out valid_lft 600 preferred_lft 300; ip route add default via 10.9.0.1; \
    ip neigh add 10.9.0.1 lladdr 02:00:00:00:00:01 dev out nud permanent; \
    until ip link show out | grep -q 'state UP'; do sleep 0.01; done;";

/// A server beyond the gateway, as far as the agent knows: it takes whatever comes.
#[derive(Clone, Default)]
struct Server(Arc<Mutex<Vec<Record>>>);

impl Link for Server {
    async fn check_in(&self, call: CheckIn) -> Result<Reply, LinkError> {
        let mut records = self.0.lock().unwrap();
        let acked = call.records.last().map_or(0, |record| record.seq);
        records.extend(call.records);
        let config = Config {
            etag: "e".into(),
            // So seldom that a change that is told was noticed by itself.
            check_in_every: Millis::from_secs(600),
            record_every: Millis(200),
            ..Config::default()
        };
        let config = Some(config).filter(|_| call.config.is_none());
        Ok(Reply { acked, server_time: Time(0), config, next_in_ms: Millis::ZERO })
    }

    fn leads_to(&self) -> Option<ladder::Server> {
        let host = "10.9.1.1".to_owned();
        Some(ladder::Server { host, port: 443, tls: true, pin: None, address: None })
    }

    async fn climb(&self, _plan: Plan, _server: ladder::Server, _hops: Vec<IpAddr>, why: Why) -> Climb {
        Climb { outage: None, why, took: Millis::ZERO, rungs: Vec::new() }
    }
}

impl Server {
    /// The changes told so far: subject, name, from, to.
    fn changes(&self) -> Vec<String> {
        let told = |record: &Record| match &record.what {
            What::Change(c) => Some(format!("{} {}: {} -> {}", c.subject, c.name, c.from, c.to)),
            _ => None,
        };
        self.0.lock().unwrap().iter().filter_map(told).collect()
    }
}

/// Runs an agent beside `story`; gives the lines it has recorded.
fn record(server: &Server, dir: &Path, story: impl FnOnce()) -> Vec<Moment> {
    let mut spool = Spool::open(&dir.join("agent.db")).unwrap();
    let identity = Identity {
        server: "https://10.9.1.1".into(),
        device: 7,
        name: "edge".into(),
        secret: "s3cret".into(),
        pin: None,
    };
    spool.set_identity(&identity).unwrap();
    let (stop, stopped) = watch::channel(false);
    let options = Options {
        clock: Clock::system(),
        spool,
        link: server.clone(),
        prober: Prober::new(),
        stop: stopped,
        wake: Arc::new(Notify::new()),
        server: None,
        name: "edge".into(),
        told: watch::Sender::new(agent::Status::default()),
    };
    let agent = std::thread::spawn(move || agent::runtime().unwrap().block_on(agent::run(options)));
    story();
    stop.send_replace(true);
    agent.join().unwrap().unwrap();
    Spool::open(&dir.join("agent.db")).unwrap().lines(10_000).unwrap()
}

/// Whether there is a line in the database, which the agent has for itself: a copy is looked into.
fn has_a_line(dir: &Path) -> bool {
    let copy = tempfile::tempdir().unwrap();
    for name in ["agent.db", "agent.db-wal"] {
        if std::fs::copy(dir.join(name), copy.path().join(name)).is_err() {
            return false;
        }
    }
    let Ok(db) = rusqlite::Connection::open(copy.path().join("agent.db")) else { return false };
    db.query_row("SELECT count(*) FROM moments", [], |row| row.get::<_, i64>(0)).is_ok_and(|rows| rows > 0)
}

fn wait_for(what: &str, holds: impl Fn() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < Duration::from_secs(30), "{what} did not come");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn sh(script: &str) {
    assert!(Command::new("sh").args(["-ec", script]).status().unwrap().success(), "{script}");
}

#[test]
fn a_change_of_the_network_is_told_at_once() {
    if !inside("a_change_of_the_network_is_told_at_once", WAY_OUT) {
        return;
    }
    let (server, dir) = (Server::default(), tempfile::tempdir().unwrap());
    let told = |what: &str| server.changes().iter().any(|change| change == what);
    let lines = record(&server, dir.path(), || {
        wait_for("the first check-in", || !server.0.lock().unwrap().is_empty());
        sh("ip link set far down");
        wait_for("the lost carrier", || told("link out: up -> down"));
        sh("ip link set far up; ip route replace default via 10.9.0.1");
        wait_for("the carrier", || told("link out: down -> up"));
        sh("ip addr add 10.9.0.3/24 dev out");
        wait_for("the address", || {
            server.changes().iter().any(|change| {
                change.ends_with("-> 10.9.0.2/24, 10.9.0.3/24")
                    || change.contains("10.9.0.2/24, 10.9.0.3/24, ")
            })
        });
        sh("ip route del default");
        wait_for("the route", || told("gateway : 10.9.0.1 -> "));
    });
    let last = lines.last().unwrap();
    assert_eq!(
        (last.gateway, last.interface.as_str()),
        (None, "out"),
        "the interface is followed without a route"
    );
}

#[test]
fn a_line_says_what_the_way_out_is_like() {
    if !inside("a_line_says_what_the_way_out_is_like", WAY_OUT) {
        return;
    }
    let (server, dir) = (Server::default(), tempfile::tempdir().unwrap());
    let lines = record(&server, dir.path(), || {
        wait_for("a line on the disk", || has_a_line(dir.path()));
        sh("ip link set far down");
        wait_for("the lost carrier", || {
            server.changes().iter().any(|change| change == "link out: up -> down")
        });
    });
    let first = lines.iter().find(|line| line.carrier == Some(true)).unwrap();
    assert_eq!(first.interface, "out");
    assert!(first.addresses.contains(&"10.9.0.2/24".to_owned()), "{:?}", first.addresses);
    assert!(first.lease.is_some_and(|lease| (590_000..=600_000).contains(&lease.0)), "{:?}", first.lease);
    assert_eq!(first.gateway, Some(IpAddr::from([10, 9, 0, 1])));
    assert_eq!((&*first.gateway_mac, &*first.neighbour), ("02:00:00:00:00:01", "permanent"));
    assert_eq!((first.gateway_loss_permille, first.gateway_rtt_us), (Some(1_000), None), "asked, and silent");
    assert!(first.synced.is_some() && first.mono > Millis::ZERO && first.awake > Millis::ZERO);
    assert!(lines.iter().any(|line| line.checked_in_at.is_some()));
    assert_eq!(lines.last().unwrap().carrier, Some(false));
    assert!(lines.is_sorted_by_key(|line| line.mono));
}
