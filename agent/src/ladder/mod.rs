//! The ladder of evidence: which step towards the server holds, and which does not, cheapest first.
//!
//! Nothing is asked but this machine's own network (its gateway, its resolvers, what answers on the way to the server), the
//! server, and what a person gave. What cannot be tried is `not measured`, never `fail`.

mod echo;
mod names;
mod near;
mod route;
mod server;

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use schedules::Millis;

use crate::link::UrlError;
use crate::report::{Climb, Family, Held, Plan, Rung, Step, Transport, Why};

/// The stack of the threads that climb, in bytes: most only wait.
const STACK: usize = 256 * 1024;
/// The most addresses of the server, and hops beyond the gateway, that are tried.
const MOST: usize = 2;
/// The longest reason, in bytes.
const MAX_REASON: usize = 400;
/// How many echoes an anchor is sent.
const ANCHOR_ECHOES: u16 = 3;
/// What anchors are asked for where they do not answer pings.
const ANCHOR_PORTS: [u16; 3] = [443, 80, 53];

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
    /// The server at this URL.
    ///
    /// # Errors
    /// It is none.
    pub fn at(url: &str) -> Result<Server, UrlError> {
        let bad = || UrlError::Bad(url.to_owned());
        let tls = url.starts_with("https://");
        if !tls && !url.starts_with("http://") {
            return Err(bad());
        }
        let (host, port) =
            crate::link::host_and_port(url).filter(|(host, _)| !host.is_empty()).ok_or_else(bad)?;
        Ok(Server { host, port, tls, pin: None, address: None })
    }
}

/// Climbs the ladder: some seconds, half a minute at the worst. A climb that is dropped ends by itself, unheard.
pub async fn climb(plan: &Plan, server: &Server, why: Why) -> Climb {
    let (plan, server) = (plan.clone(), server.clone());
    let (tell, told) = tokio::sync::oneshot::channel();
    let climbing = std::thread::Builder::new()
        .name("ladder".to_owned())
        .stack_size(STACK)
        .spawn(move || drop(tell.send(up(&plan, Some(&server), why))));
    let nothing = || Climb { outage: None, why, took: Millis::ZERO, rungs: Vec::new() };
    match climbing {
        Ok(_) => told.await.unwrap_or_else(|_| nothing()),
        Err(error) => {
            tracing::warn!(%error, "the ladder cannot be climbed: no thread");
            nothing()
        }
    }
}

/// Climbs it here and now, also without a server. Blocks.
#[must_use]
pub fn up(plan: &Plan, server: Option<&Server>, why: Why) -> Climb {
    let began = Instant::now();
    let mut climber = Climber {
        plan,
        server,
        began,
        timeout: plan.timeout.clamp(Millis(50), Millis::from_secs(30)).duration(),
        rungs: Vec::new(),
    };
    climber.climb();
    Climb { outage: None, why, took: Millis::from(began.elapsed()), rungs: climber.rungs }
}

struct Climber<'a> {
    plan: &'a Plan,
    server: Option<&'a Server>,
    began: Instant,
    timeout: Duration,
    rungs: Vec<Rung>,
}

/// A rung before it is dated.
struct Found {
    step: Step,
    outcome: Held,
    reason: String,
    rtt_us: Option<u32>,
    loss_permille: Option<u32>,
    at: Instant,
}

impl Found {
    fn ok(step: Step) -> Found {
        Found {
            step,
            outcome: Held::Ok,
            reason: String::new(),
            rtt_us: None,
            loss_permille: None,
            at: Instant::now(),
        }
    }

    fn fail(step: Step, reason: impl Into<String>) -> Found {
        Found { outcome: Held::Fail, reason: reason.into(), ..Found::ok(step) }
    }

    fn not_measured(step: Step, reason: impl Into<String>) -> Found {
        Found { outcome: Held::NotMeasured, reason: reason.into(), ..Found::ok(step) }
    }

    fn took(self, since: Instant) -> Found {
        let rtt = self.at.saturating_duration_since(since).as_micros();
        Found { rtt_us: Some(u32::try_from(rtt).unwrap_or(u32::MAX)), ..self }
    }
}

impl Climber<'_> {
    fn push(&mut self, found: Found) {
        let Found { step, outcome, mut reason, rtt_us, loss_permille, at } = found;
        if reason.len() > MAX_REASON {
            reason = reason.chars().take(MAX_REASON / 4).collect();
        }
        let after = Millis::from(at.saturating_duration_since(self.began));
        self.rungs.push(Rung { step, outcome, reason, after, rtt_us, loss_permille });
    }

    fn climb(&mut self) {
        let here = self.server_is_here();
        let near = if here { near::Near::default() } else { near::look() };
        if here {
            let step = Step::Link { interface: "lo".to_owned(), speed_mbit: None };
            let why = "the server is on this machine: nothing lies between";
            self.push(Found::not_measured(step, why));
        } else {
            for found in near::rungs(&near, self.timeout) {
                self.push(found);
            }
        }
        // What does not wait for each other is asked at the same time.
        let (plan, server, timeout) = (self.plan, self.server, self.timeout);
        let (anchors, resolvers, page, served) = std::thread::scope(|scope| {
            let anchors =
                scope.spawn(|| plan.anchors.iter().map(|a| anchor(*a, true, &near, timeout)).collect());
            let resolvers =
                scope.spawn(|| if here { Vec::new() } else { names::rungs(plan, server, timeout) });
            let page = scope.spawn(|| server::page(plan, timeout));
            let served =
                scope.spawn(|| server.map_or_else(Vec::new, |server| server::rungs(server, timeout)));
            let all: Vec<Found> = anchors.join().unwrap_or_default();
            let page = page.join().unwrap_or_default();
            (all, resolvers.join().unwrap_or_default(), page, served.join().unwrap_or_default())
        });
        let targets = targets(server, &served);
        let routes = if here { Vec::new() } else { self.routes(&targets) };
        for found in anchors {
            self.push(found);
        }
        if plan.anchors.is_empty() && !here {
            for found in self.next_hops(&near, &routes) {
                self.push(found);
            }
        }
        for found in resolvers.into_iter().chain(page).chain(served).chain(routes) {
            self.push(found);
        }
        if !here {
            for found in self.packet_sizes(&near, &targets) {
                self.push(found);
            }
        }
    }

    fn server_is_here(&self) -> bool {
        let Some(server) = self.server else { return false };
        let literal = server.host.parse::<IpAddr>().ok();
        literal.or(server.address).is_some_and(|address| address.is_loopback()) || server.host == "localhost"
    }

    /// The routes to the server and to one anchor of each family.
    fn routes(&self, targets: &[SocketAddr]) -> Vec<Found> {
        let anchors =
            [true, false].into_iter().filter_map(|v4| self.plan.anchors.iter().find(|a| a.is_ipv4() == v4));
        let all: Vec<(SocketAddr, bool)> = targets
            .iter()
            .map(|target| (*target, true))
            .chain(anchors.map(|anchor| ((*anchor, ANCHOR_PORTS[0]).into(), false)))
            .collect();
        let (hops, timeout) = (self.plan.hops.clamp(1, 64), self.timeout);
        std::thread::scope(|scope| {
            let walks: Vec<_> = all
                .iter()
                .map(|(to, server)| scope.spawn(move || walk(*to, *server, hops, timeout)))
                .collect();
            walks.into_iter().flat_map(|walk| walk.join().unwrap_or_default()).collect()
        })
    }

    /// Without anchors: whoever answers beyond the gateway on the way to the server.
    fn next_hops(&self, near: &near::Near, routes: &[Found]) -> Vec<Found> {
        let gateways: Vec<IpAddr> = near.gateways().collect();
        let mut hops: Vec<IpAddr> = Vec::new();
        for found in routes {
            if let Step::Route { hops: walked, server: true, .. } = &found.step {
                let beyond =
                    walked.iter().filter(|hop| hop.ttl > 1 && !hop.last).filter_map(|hop| hop.address);
                hops.extend(beyond.filter(|address| !gateways.contains(address)).take(MOST));
            }
        }
        hops.sort_unstable();
        hops.dedup();
        if hops.is_empty() {
            let target = self.server.and_then(|server| server.host.parse().ok().or(server.address));
            let address = target.unwrap_or(IpAddr::from([0, 0, 0, 0]));
            let step = Step::Anchor { address, given: false };
            return vec![Found::not_measured(step, "none was given, and nobody beyond the gateway answers")];
        }
        hops.into_iter().take(2 * MOST).map(|address| anchor(address, false, near, self.timeout)).collect()
    }

    fn packet_sizes(&self, near: &near::Near, targets: &[SocketAddr]) -> Vec<Found> {
        let timeout = self.timeout;
        let mut all = Vec::new();
        for family in [Family::Ipv4, Family::Ipv6] {
            let of = |address: &IpAddr| family_of(*address) == family;
            let server = targets.iter().map(SocketAddr::ip).find(of);
            let anchor = self.plan.anchors.iter().copied().find(of);
            let Some(target) = server.or(anchor) else { continue };
            let mtu = near.mtu(family);
            all.push(packet_size(target, mtu, timeout).unwrap_or_else(|| {
                // The server does not answer pings; somebody else on the way may.
                anchor.and_then(|anchor| packet_size(anchor, mtu, timeout)).unwrap_or_else(|| {
                    let step = Step::PacketSize { target, largest: None, mtu, told: false };
                    Found::not_measured(step, "nobody there answers pings")
                })
            }));
        }
        all
    }
}

/// None where the target does not even answer a small one.
fn packet_size(target: IpAddr, mtu: u32, timeout: Duration) -> Option<Found> {
    let small = echo::ping(target, 2, timeout).ok()?;
    if small.answered == 0 {
        return None;
    }
    let size = route::packet_size(target, mtu, timeout).ok()?;
    let step = Step::PacketSize { target, largest: size.largest, mtu, told: size.told };
    Some(match size.largest {
        Some(largest) if largest >= mtu || size.told => Found::ok(step),
        Some(largest) => Found::fail(
            step,
            format!("nothing larger than {largest} bytes comes through, and nobody says so"),
        ),
        None => Found::fail(step, "only the smallest packets come through"),
    })
}

/// The addresses of the server that are walked to and measured: the ones that its rungs tried.
fn targets(server: Option<&Server>, served: &[Found]) -> Vec<SocketAddr> {
    let mut all: Vec<SocketAddr> = served
        .iter()
        .filter_map(
            |found| if let Step::ServerConnect { address, .. } = &found.step { Some(*address) } else { None },
        )
        .collect();
    if all.is_empty()
        && let Some(server) = server
    {
        let known = server.host.parse::<IpAddr>().ok().or(server.address);
        all.extend(known.map(|address| SocketAddr::new(address, server.port)));
    }
    all
}

fn walk(target: SocketAddr, server: bool, hops: u8, timeout: Duration) -> Vec<Found> {
    let mut all = Vec::new();
    for transport in [Transport::Icmp, Transport::Tcp] {
        let step = |hops| Step::Route { target: target.ip(), server, transport, hops };
        let walked = match transport {
            Transport::Tcp => route::tcp(target, hops, timeout),
            Transport::Icmp | Transport::Udp => route::icmp(target.ip(), hops, timeout),
        };
        match walked {
            Ok(route::Walked { hops, reached: true }) => {
                all.push(Found::ok(step(hops)));
                break;
            }
            Ok(route::Walked { hops, .. }) => {
                let last = hops.iter().rev().find_map(|hop| hop.address);
                let end = last.map_or("nobody answers".to_owned(), |last| format!("it ends behind {last}"));
                all.push(Found::fail(step(hops), end));
            }
            Err(e) => all.push(Found::not_measured(step(Vec::new()), plain(&e))),
        }
    }
    all
}

fn anchor(address: IpAddr, given: bool, near: &near::Near, timeout: Duration) -> Found {
    let step = Step::Anchor { address, given };
    if !near.has(family_of(address)) {
        return Found::not_measured(
            step,
            format!("this machine has no {} address", family_name(family_of(address))),
        );
    }
    let pinged = echo::ping(address, ANCHOR_ECHOES, timeout);
    if let Ok(pinged) = &pinged
        && pinged.answered > 0
    {
        return Found {
            rtt_us: pinged.rtt_us,
            loss_permille: Some(pinged.loss_permille()),
            ..Found::ok(step)
        };
    }
    let began = Instant::now();
    for port in ANCHOR_PORTS {
        match std::net::TcpStream::connect_timeout(&(address, port).into(), timeout) {
            Ok(_) => return Found::ok(step).took(began),
            // Whoever refuses is there.
            Err(e) if e.kind() == std::io::ErrorKind::ConnectionRefused => {
                return Found::ok(step).took(began);
            }
            Err(_) => {}
        }
    }
    match pinged {
        Ok(pinged) => {
            let loss = Some(pinged.loss_permille());
            Found { loss_permille: loss, ..Found::fail(step, "it answers neither pings nor connections") }
        }
        Err(e) => Found::fail(step, plain(&e)),
    }
}

fn family_of(address: IpAddr) -> Family {
    if address.is_ipv4() { Family::Ipv4 } else { Family::Ipv6 }
}

fn family_name(family: Family) -> &'static str {
    match family {
        Family::Ipv4 => "IPv4",
        Family::Ipv6 => "IPv6",
    }
}

/// An error of the network in a person's words.
fn plain(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::ConnectionRefused => "refused".to_owned(),
        std::io::ErrorKind::HostUnreachable => "no route to host".to_owned(),
        std::io::ErrorKind::NetworkUnreachable => "network unreachable".to_owned(),
        std::io::ErrorKind::TimedOut | std::io::ErrorKind::WouldBlock => "no answer".to_owned(),
        std::io::ErrorKind::PermissionDenied => "this system does not permit it".to_owned(),
        _ => {
            let text = error.to_string();
            text.split(" (os error").next().unwrap_or_default().to_lowercase()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_on_this_machine_touches_nothing_of_the_network() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = Server { host: "127.0.0.1".into(), port, tls: false, pin: None, address: None };
        let plan = Plan { timeout: Millis(300), ..Plan::default() };
        let climb = up(&plan, Some(&server), Why::Asked);
        let words: Vec<&str> = climb.rungs.iter().map(|rung| rung.step.word()).collect();
        assert_eq!(words, ["link", "page", "server-name", "server-connect", "server-tls", "server-answer"]);
        let held: Vec<Held> = climb.rungs.iter().map(|rung| rung.outcome).collect();
        use Held::{Fail, NotMeasured, Ok};
        assert_eq!(
            held,
            [NotMeasured, NotMeasured, NotMeasured, Ok, NotMeasured, Fail],
            "it takes, and says nothing"
        );
    }
}
