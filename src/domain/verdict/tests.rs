//! A recorded dossier for each code and for its near misses, and dossiers of all kinds that must not make it panic.

mod any;
mod blame;
mod table;
mod two;
mod way;

use std::net::{IpAddr, SocketAddr};

use agent::report::{
    AgentOutage, Climb, Family, First, Gap, Held, Hop, Moment, Rung, Step, TlsError, Transport, Why,
};
use jiff::tz::TimeZone;
use schedules::{Millis, Time};

use super::*;
use crate::domain::dossier::Kept;

/// 2026-11-25T01:11Z: eleven past two in the morning at the site.
const FROM: Time = Time(1_795_569_060_000);
/// 37 minutes later.
const UNTIL: Time = Time(1_795_571_280_000);

fn minutes(n: i64) -> Millis {
    Millis::from_secs(60 * n)
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn rung(step: Step, outcome: Held) -> Rung {
    Rung { step, outcome, reason: String::new(), after: Millis::ZERO, rtt_us: None, loss_permille: None }
}

/// A climb that a test puts together; all of it holds, unless it says otherwise.
#[derive(Clone, Debug)]
struct Ladder(Vec<Rung>);

const OURS: &str = "203.0.113.10";
const ANCHORS: [&str; 2] = ["198.51.100.1", "198.51.100.2"];
const RESOLVER: &str = "192.0.2.53";
const OTHER_RESOLVER: &str = "198.51.100.53";

/// A line on a good day: a gateway, two hops of the provider, two beyond.
fn good() -> Ladder {
    let gateway = ip("192.0.2.1");
    let mut all = vec![
        rung(Step::Link { interface: "eth0".into(), speed_mbit: Some(1_000) }, Held::Ok),
        rung(
            Step::Address {
                interface: "eth0".into(),
                family: Family::Ipv4,
                addresses: vec!["192.0.2.7/24".into()],
            },
            Held::Ok,
        ),
        rung(
            Step::Neighbour { gateway, mac: "aa:bb:cc:00:00:01".into(), state: "reachable".into() },
            Held::Ok,
        ),
        rung(Step::Gateway { gateway }, Held::Ok),
    ];
    all.extend(ANCHORS.map(|anchor| rung(Step::Anchor { address: ip(anchor), given: true }, Held::Ok)));
    for (resolver, configured) in [(RESOLVER, true), (OTHER_RESOLVER, false)] {
        for transport in [Transport::Udp, Transport::Tcp] {
            all.push(asked(resolver, configured, transport, false, Held::Ok));
        }
    }
    all.push(asked(RESOLVER, true, Transport::Udp, true, Held::Ok));
    all.push(rung(
        Step::Page { url: "http://page.example/".into(), status: Some(200), changed: false },
        Held::Ok,
    ));
    all.push(rung(Step::ServerName { host: "lineman.example".into(), addresses: vec![ip(OURS)] }, Held::Ok));
    all.push(rung(Step::ServerConnect { address: port(), refused: false }, Held::Ok));
    all.push(rung(Step::ServerTls { error: None, clock_off: None }, Held::Ok));
    all.push(rung(Step::ServerAnswer { status: Some(200) }, Held::Ok));
    all.push(route(&["192.0.2.1", "100.64.0.1", "100.64.0.2", "198.51.100.9", OURS]));
    let target = ip(OURS);
    all.push(rung(Step::PacketSize { target, largest: Some(1_500), mtu: 1_500, told: false }, Held::Ok));
    Ladder(all)
}

fn port() -> SocketAddr {
    format!("{OURS}:443").parse().unwrap()
}

fn asked(resolver: &str, configured: bool, transport: Transport, ours: bool, held: Held) -> Rung {
    let rcode = (held == Held::Ok).then(|| "NOERROR".to_owned());
    let name = if ours { "lineman.example" } else { "page.example" }.to_owned();
    let addresses = Vec::new();
    rung(Step::Resolver { resolver: ip(resolver), configured, transport, name, ours, rcode, addresses }, held)
}

/// A route to the server; `*` is silent, and one that ends with the server got there.
fn route(hops: &[&str]) -> Rung {
    let hops = hops.iter().zip(1..).map(|(hop, ttl)| Hop {
        ttl,
        address: hop.parse().ok(),
        rtt_us: Some(900),
        sent: 3,
        answered: if *hop == "*" { 0 } else { 3 },
        last: *hop == OURS,
        said: String::new(),
    });
    let hops: Vec<Hop> = hops.collect();
    let outcome = if hops.last().is_some_and(|hop| hop.last) { Held::Ok } else { Held::Fail };
    rung(Step::Route { target: ip(OURS), server: true, transport: Transport::Tcp, hops }, outcome)
}

impl Ladder {
    /// The same with every rung of `word` ended so.
    fn with(mut self, words: &[&str], outcome: Held) -> Ladder {
        self.0
            .iter_mut()
            .filter(|rung| words.contains(&rung.step.word()))
            .for_each(|rung| rung.outcome = outcome);
        self
    }

    fn fail(self, words: &[&str]) -> Ladder {
        self.with(words, Held::Fail)
    }

    fn skip(self, words: &[&str]) -> Ladder {
        self.with(words, Held::NotMeasured)
    }

    /// The same with each rung changed as `f` does.
    fn each(mut self, f: impl FnMut(&mut Rung)) -> Ladder {
        self.0.iter_mut().for_each(f);
        self
    }

    /// The same with another route.
    fn route(mut self, hops: &[&str]) -> Ladder {
        self.0.retain(|rung| rung.step.word() != "route");
        self.0.push(route(hops));
        self
    }

    /// The server's port does not answer, so nothing behind it was tried.
    fn no_server(self) -> Ladder {
        self.fail(&["server-connect"]).skip(&["server-tls", "server-answer", "packet-size"])
    }

    /// Nothing beyond the gateway is reached.
    fn cut_beyond_gateway(self, hops: &[&str]) -> Ladder {
        self.fail(&["anchor", "resolver", "page", "server-name"]).no_server().route(hops)
    }

    fn climb(self, why: Why) -> Climb {
        Climb { outage: Some(FROM), why, took: Millis(3_000), rungs: self.0 }
    }
}

fn kept(ladder: Ladder, why: Why, at: Time) -> Kept<Climb> {
    Kept { at, skew: Some(Millis::ZERO), it: ladder.climb(why) }
}

/// The dossier of an outage of 37 minutes, without anything in it.
fn empty() -> Dossier {
    Dossier {
        device: "router".into(),
        site: Some("north".into()),
        zone: TimeZone::get("Europe/Berlin").unwrap(),
        from: FROM,
        until: Some(UNTIL),
        now: UNTIL + minutes(1),
        progress: Progress::Whole,
        climbs: Vec::new(),
        good_day: None,
        gaps: Vec::new(),
        told: None,
        last: None,
    }
}

/// One in which each climb found the same.
fn climbed(ladder: Ladder) -> Dossier {
    let times = [0, 10, 40, 160, 760, 1_360].map(|secs| FROM + Millis::from_secs(secs));
    let why = |at: Time| if at == FROM { Why::Failure } else { Why::Again };
    let mut climbs: Vec<Kept<Climb>> = times.iter().map(|at| kept(ladder.clone(), why(*at), *at)).collect();
    climbs.push(kept(good(), Why::Recovery, UNTIL));
    Dossier { climbs, good_day: Some(kept(good(), Why::Baseline, FROM - minutes(180))), ..told(empty()) }
}

/// One in which the agent also tells that it was cut off.
fn told(dossier: Dossier) -> Dossier {
    let told = AgentOutage { began_at: FROM, ended_at: Some(UNTIL), tries: 12, ..AgentOutage::default() };
    Dossier { told: Some(told), ..dossier }
}

/// A gap from just before the outage to just before its end, as a lost power makes it.
fn power_gap() -> Gap {
    Gap {
        from: Some(FROM),
        to: UNTIL - Millis::from_secs(5),
        booted: true,
        boots: 1,
        booted_at: Some(UNTIL - Millis::from_secs(40)),
        restarted: true,
        clean: false,
        suspended: Millis::ZERO,
        last: None,
    }
}

fn gapped(gap: Gap) -> Dossier {
    Dossier { gaps: vec![Kept { at: gap.to, skew: None, it: gap }], ..empty() }
}

fn sibling(name: &str) -> Sibling {
    Sibling { name: name.into(), ..Sibling::default() }
}

/// Three other sites that were fine.
fn others_fine() -> Cohort {
    Cohort { has_agent: true, others: Others { fine: 3, ..Others::default() }, ..Cohort::default() }
}
