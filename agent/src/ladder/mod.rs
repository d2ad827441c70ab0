//! The ladder of evidence: which step towards the server holds, and which does not.
//!
//! The cheapest rung first, each one `ok`, `fail` or `not measured`; those that do not depend on each other are tried at
//! the same time. Nothing is asked that a person did not name, or that does not lie on this machine's own way to its
//! server: its gateway, its resolvers, the hops, the server.

mod anchors;
mod echo;
mod gateway;
mod ground;
mod http;
mod knock;
mod notes;
mod page;
mod resolver;
mod route;
mod server;
mod size;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use futures_util::future::join_all;
use schedules::Millis;

use self::ground::Ground;
use self::notes::Notes;
use self::resolver::{Asked, Question};
use self::route::Towards;
use crate::probe::BadProbe;
use crate::probe::resolve::{Resolver, literal};
use crate::probe::target::Place;
use crate::report::{Climb, Family, Plan, Step, Why};

/// The shortest and the longest wait for one answer.
const TIMEOUTS: (Millis, Millis) = (Millis(50), Millis::from_secs(10));
/// A climb ends after this many such waits, whatever happens; one that nobody asked for also after this long. What was
/// found until then is told.
const WORST: u32 = 40;
pub(crate) const LONGEST: Duration = Duration::from_secs(110);
/// Why the way out is not looked at where it does not lead to the server.
const HOME: &str = "the server is on this machine";

/// Where the ladder leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Its host: a name, or a literal address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Whether it speaks TLS.
    pub tls: bool,
    /// SHA-256 of its key, where that is known.
    pub pin: Option<[u8; 32]>,
    /// The last address known to work.
    pub address: Option<IpAddr>,
}

impl Server {
    /// The server of this URL, and the SHA-256 of its key where that is known.
    ///
    /// # Errors
    /// Where the URL is none of http or https.
    pub fn at(url: &str, pin: Option<[u8; 32]>) -> Result<Server, BadProbe> {
        let Place { tls, host, port, .. } = Place::parse(url)?;
        Ok(Server { host, port, tls, pin, address: None })
    }
}

/// Climbs the ladder. `outage` of what is found is for the caller to fill in. Takes two to ten seconds, and twenty to
/// thirty where nothing answers; a climb that is dropped leaves nothing behind but names that are being resolved.
pub async fn climb(plan: &Plan, server: &Server, why: Why) -> Climb {
    climb_knowing(plan, server, &[], why).await
}

/// The same, where the hops beyond the gateway are known from a climb on a good day ([`hops_beyond_gateway`]): without
/// anchors they are asked even while the way to them shows none.
pub async fn climb_knowing(plan: &Plan, server: &Server, hops: &[IpAddr], why: Why) -> Climb {
    Ladder::new(plan, Some(server), hops).climb(why).await
}

/// Climbs what does not need a server.
pub async fn climb_without_server(plan: &Plan, why: Why) -> Climb {
    Ladder::new(plan, None, &[]).climb(why).await
}

/// The hops that stood for anchors in a climb: to be remembered for a bad day.
#[must_use]
pub fn hops_beyond_gateway(climb: &Climb) -> Vec<IpAddr> {
    let routes = climb.rungs.iter().filter_map(|rung| match &rung.step {
        Step::Route { server: true, hops, .. } => Some(hops),
        _ => None,
    });
    let mut all: Vec<IpAddr> = Vec::new();
    for (address, _) in routes.flat_map(|hops| anchors::beyond_gateway(hops)) {
        if !all.contains(&address) {
            all.push(address);
        }
    }
    all
}

/// What one climb has to know.
struct Ladder<'a> {
    plan: &'a Plan,
    server: Option<&'a Server>,
    /// Hops beyond the gateway, known from before.
    known: &'a [IpAddr],
    timeout: Duration,
    ground: Ground,
    notes: Notes,
    resolver: Resolver,
}

/// Where the server is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Where {
    /// On this machine: nothing of the way out leads to it.
    Here,
    /// Elsewhere, or there is none.
    Beyond,
}

impl<'a> Ladder<'a> {
    fn new(plan: &'a Plan, server: Option<&'a Server>, known: &'a [IpAddr]) -> Ladder<'a> {
        Ladder {
            plan,
            server,
            known,
            timeout: plan.timeout.clamp(TIMEOUTS.0, TIMEOUTS.1).duration(),
            ground: Ground::read(),
            notes: Notes::new(),
            resolver: Resolver::default(),
        }
    }

    async fn climb(self, why: Why) -> Climb {
        drop(tokio::time::timeout(longest(self.timeout, why), self.all_rungs()).await);
        Climb { outage: None, why, took: self.notes.took(), rungs: self.notes.rungs() }
    }

    async fn all_rungs(&self) {
        let (notes, timeout) = (&self.notes, self.timeout);
        let mut resolving = std::pin::pin!(async {
            match self.server {
                Some(server) => server::resolve(&self.resolver, server, notes, timeout).await,
                None => Vec::new(),
            }
        });
        // Whether the server is on this machine decides what else may be asked.
        let early = tokio::time::timeout(timeout, &mut resolving).await.ok();
        let place = self.place(early.as_deref().unwrap_or_default());
        self.note_ground(place);
        let near = async {
            if place == Where::Beyond {
                gateway::note(&self.ground, notes, timeout).await;
            }
        };
        let upwards = async {
            let addresses = match early {
                Some(addresses) => addresses,
                None => resolving.await,
            };
            tokio::join!(self.server_itself(&addresses), self.way_there(&addresses, place));
        };
        tokio::join!(near, self.given_anchors(), self.resolvers(place), self.page(), upwards);
    }

    fn place(&self, addresses: &[IpAddr]) -> Where {
        let Some(server) = self.server else { return Where::Beyond };
        let is_named_so = server.host == "localhost" || server.host.ends_with(".localhost");
        let own = |address: &IpAddr| self.ground.is_own(*address);
        let is_here = is_named_so || addresses.iter().chain(&server.address).any(own);
        if is_here { Where::Here } else { Where::Beyond }
    }

    fn note_ground(&self, place: Where) {
        match place {
            Where::Beyond => {
                self.ground.note_links(&self.notes);
                self.ground.note_addresses(&self.notes);
            }
            Where::Here => {
                let interface = String::new;
                self.notes.not_measured(Step::Link { interface: interface(), speed_mbit: None }, HOME);
                for family in ground::FAMILIES {
                    let step = Step::Address { interface: interface(), family, addresses: Vec::new() };
                    self.notes.not_measured(step, HOME);
                }
                gateway::note_untried(&self.notes, Ipv4Addr::UNSPECIFIED.into(), HOME);
            }
        }
    }

    async fn given_anchors(&self) {
        let anchors = self.plan.anchors.iter().take(anchors::MOST);
        let asks = anchors.map(|&anchor| anchors::note(&self.ground, anchor, &self.notes, self.timeout));
        join_all(asks).await;
    }

    async fn resolvers(&self, place: Where) {
        let mut asked: Vec<Asked> = Vec::new();
        let configured = self.ground.resolvers.iter().take(resolver::MOST);
        for &resolver in configured.filter(|_| place == Where::Beyond) {
            if asked.iter().all(|known| known.resolver != resolver) {
                asked.push(Asked { resolver, configured: true });
            }
        }
        let other = self.plan.resolver.filter(|other| asked.iter().all(|known| known.resolver != *other));
        asked.extend(other.map(|resolver| Asked { resolver, configured: false }));
        if asked.iter().all(|known| !known.configured) {
            let why = match place {
                Where::Here => HOME,
                Where::Beyond => "no resolver is configured (/etc/resolv.conf)",
            };
            self.notes.not_measured(nobody_asked(), why);
        }
        let questions = self.questions(place);
        let all = asked.iter().flat_map(|&asked| questions.iter().map(move |question| (asked, question)));
        let asks = all.map(|(asked, question)| {
            resolver::note(&self.ground, asked, question, &self.notes, self.timeout)
        });
        join_all(asks).await;
    }

    fn questions(&self, place: Where) -> Vec<Question> {
        let page = || Place::parse(&self.plan.page).ok().map(|place| place.host);
        let other = Some(self.plan.name.clone()).filter(|name| !name.is_empty()).or_else(page);
        let other = other.filter(|name| literal(name).is_none()).unwrap_or_else(|| ".".to_owned());
        let ours = self.server.map(|server| server.host.clone());
        let ours = ours.filter(|host| literal(host).is_none() && place == Where::Beyond);
        let other = Question { name: other, ours: false };
        [Some(other), ours.map(|name| Question { name, ours: true })].into_iter().flatten().collect()
    }

    async fn page(&self) {
        let blocked = [Family::Ipv4, Family::Ipv6].map(|family| self.ground.blocked(family));
        // Either family will do.
        let blocked = match (self.ground.ways.len(), blocked) {
            (2, [Some(why), Some(_)]) | (1, [Some(why), None] | [None, Some(why)]) => Some(why),
            _ => None,
        };
        page::note(&self.resolver, self.plan, blocked, &self.notes, self.timeout).await;
    }

    async fn server_itself(&self, addresses: &[IpAddr]) {
        if let Some(server) = self.server {
            server::note(server, addresses, &self.notes, self.timeout).await;
        }
    }

    /// Routes, the hops that stand for anchors, and the largest packet.
    async fn way_there(&self, addresses: &[IpAddr], place: Where) {
        if place == Where::Here {
            return self.no_way_there();
        }
        let (ground, notes, most, timeout) = (&self.ground, &self.notes, self.plan.hops, self.timeout);
        let of_family = |v4: bool| addresses.iter().copied().find(|address| address.is_ipv4() == v4);
        let port = self.server.map_or(0, |server| server.port);
        let targets: Vec<IpAddr> = [of_family(true), of_family(false)].into_iter().flatten().collect();
        let to_server = targets.iter().map(|&target| {
            route::note(ground, Towards::Server(SocketAddr::new(target, port)), most, notes, timeout)
        });
        let to_anchor = self.plan.anchors.first();
        let to_anchor =
            to_anchor.map(|&anchor| route::note(ground, Towards::Anchor(anchor), most, notes, timeout));
        let (routes, _) = tokio::join!(join_all(to_server), join_all(to_anchor));
        let hops = async {
            if self.plan.anchors.is_empty() && self.server.is_some() {
                let shown = routes.into_iter().max_by_key(|hops| anchors::beyond_gateway(hops).len());
                anchors::note_hops(&shown.unwrap_or_default(), self.known, notes, timeout).await;
            }
        };
        let anchors_of = |target: IpAddr| {
            let same = self.plan.anchors.iter().filter(move |anchor| anchor.is_ipv4() == target.is_ipv4());
            same.take(2).copied()
        };
        let towards: Vec<Vec<IpAddr>> = if targets.is_empty() {
            self.plan.anchors.first().map(|&anchor| anchors_of(anchor).collect()).into_iter().collect()
        } else {
            targets.iter().map(|&target| [target].into_iter().chain(anchors_of(target)).collect()).collect()
        };
        let sizes = towards.iter().map(|towards| size::note(ground, towards, notes, timeout));
        tokio::join!(hops, join_all(sizes));
    }

    fn no_way_there(&self) {
        let target = Ipv4Addr::UNSPECIFIED.into();
        if self.plan.anchors.is_empty() {
            self.notes.not_measured(Step::Anchor { address: target, given: false }, HOME);
        }
        let transport = crate::report::Transport::Icmp;
        self.notes.not_measured(Step::Route { target, server: true, transport, hops: Vec::new() }, HOME);
        self.notes.not_measured(Step::PacketSize { target, largest: None, mtu: 0, told: false }, HOME);
    }
}

/// How long a climb lasts at most.
fn longest(timeout: Duration, why: Why) -> Duration {
    let worst = timeout * WORST;
    match why {
        Why::Asked => worst,
        Why::Failure | Why::Again | Why::Recovery | Why::Baseline => worst.min(LONGEST),
    }
}

/// The rung of resolvers where none is asked.
fn nobody_asked() -> Step {
    Step::Resolver {
        resolver: Ipv4Addr::UNSPECIFIED.into(),
        configured: true,
        transport: crate::report::Transport::Udp,
        name: String::new(),
        ours: false,
        rcode: None,
        addresses: Vec::new(),
    }
}

#[cfg(test)]
mod tests;
