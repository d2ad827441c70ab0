//! The first rungs: the link, the address, the gateway.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use nix::ifaddrs::getifaddrs;
use nix::net::if_::{InterfaceFlags, if_nametoindex};

use super::{Found, echo, family_name, family_of, plain};
use crate::facts::way::{Way, ways};
use crate::recorder::netlink::{Asker, Neighbour};
use crate::report::{Family, Step};

/// How many echoes the gateway is sent.
const ECHOES: u16 = 5;
/// How long the kernel takes at most to ask a neighbour three times.
const NEIGHBOUR_WAIT: Duration = Duration::from_millis(3_500);
/// How long an interface without a word of its own lets through.
const USUAL_MTU: u32 = 1500;

/// An interface that could lead out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Interface {
    /// Whether a person has it switched on, and whether it has a carrier.
    pub(super) on: bool,
    pub(super) carrier: bool,
    pub(super) addresses: Vec<(IpAddr, u8)>,
}

/// What lies around this machine.
#[derive(Clone, Debug, Default)]
pub(super) struct Near {
    interfaces: BTreeMap<String, Interface>,
    ways: Vec<Way>,
}

/// Looks around; nothing is sent.
pub(super) fn look() -> Near {
    let mut interfaces: BTreeMap<String, Interface> = BTreeMap::new();
    for entry in getifaddrs().into_iter().flatten() {
        if entry.flags.contains(InterfaceFlags::IFF_LOOPBACK) {
            continue;
        }
        let found = interfaces.entry(entry.interface_name.clone()).or_default();
        found.on = entry.flags.contains(InterfaceFlags::IFF_UP);
        found.carrier = entry.flags.contains(InterfaceFlags::IFF_RUNNING);
        let ip = entry.address.as_ref().and_then(|address| {
            let v4 = address.as_sockaddr_in().map(|v4| IpAddr::from(v4.ip()));
            v4.or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::from(v6.ip())))
        });
        if let Some(ip) = ip.filter(|ip| reaches_out(*ip)) {
            let mask = entry.netmask.as_ref();
            let v4 = mask.and_then(|mask| mask.as_sockaddr_in().map(|v4| v4.ip().to_bits().count_ones()));
            let v6 = mask.and_then(|mask| mask.as_sockaddr_in6().map(|v6| v6.ip().to_bits().count_ones()));
            let ones = v4.or(v6).and_then(|ones| u8::try_from(ones).ok());
            found.addresses.push((ip, ones.unwrap_or(if ip.is_ipv4() { 32 } else { 128 })));
        }
    }
    Near { interfaces, ways: ways() }
}

/// Whether an address reaches beyond the link it is on.
fn reaches_out(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => !v4.is_link_local() && !v4.is_loopback(),
        IpAddr::V6(v6) => !v6.is_unicast_link_local() && !v6.is_loopback(),
    }
}

impl Near {
    /// The gateways, the best of each family.
    pub(super) fn gateways(&self) -> impl Iterator<Item = IpAddr> {
        [Family::Ipv4, Family::Ipv6]
            .into_iter()
            .filter_map(|family| self.way(family))
            .filter_map(|way| way.gateway)
    }

    /// Whether an address of that family reaches out.
    pub(super) fn has(&self, family: Family) -> bool {
        self.addresses(family).next().is_some()
    }

    /// What the interface on the way out lets through, in bytes.
    pub(super) fn mtu(&self, family: Family) -> u32 {
        let interface = self.way(family).or(self.ways.first()).map(|way| way.interface.as_str());
        let text =
            interface.and_then(|name| std::fs::read_to_string(format!("/sys/class/net/{name}/mtu")).ok());
        text.and_then(|text| text.trim().parse().ok()).unwrap_or(USUAL_MTU)
    }

    fn way(&self, family: Family) -> Option<&Way> {
        let gateway = |way: &&Way| way.gateway.is_some_and(|gateway| family_of(gateway) == family);
        self.ways.iter().find(gateway)
    }

    fn addresses(&self, family: Family) -> impl Iterator<Item = (&str, (IpAddr, u8))> {
        self.interfaces.iter().filter(|(_, found)| found.on).flat_map(move |(name, found)| {
            let of = found.addresses.iter().filter(move |(ip, _)| family_of(*ip) == family);
            of.map(move |address| (name.as_str(), *address))
        })
    }

    /// The interface that leads out: that of the best route; where there is none, one that has no carrier or no address is
    /// the likeliest to have led there.
    fn out(&self) -> Option<(&str, &Interface)> {
        if let Some(way) = self.ways.first()
            && let Some((name, found)) = self.interfaces.get_key_value(&way.interface)
        {
            return Some((name, found));
        }
        let physical =
            |name: &str| std::fs::symlink_metadata(format!("/sys/class/net/{name}/device")).is_ok();
        let rank = |(name, found): &(&String, &Interface)| {
            (physical(name), found.on, !found.carrier, found.addresses.is_empty())
        };
        let best = self.interfaces.iter().max_by_key(|entry| rank(entry));
        best.map(|(name, found)| (name.as_str(), found))
    }
}

/// The rungs from the link to the gateway.
pub(super) fn rungs(near: &Near, timeout: Duration) -> Vec<Found> {
    let mut all = vec![link(near)];
    all.extend(addresses(near));
    let gateways: Vec<(Family, Option<&Way>)> =
        [Family::Ipv4, Family::Ipv6].into_iter().map(|family| (family, near.way(family))).collect();
    let found: Vec<Vec<Found>> = std::thread::scope(|scope| {
        let asked: Vec<_> = gateways
            .iter()
            .filter_map(|(_, way)| *way)
            .map(|way| scope.spawn(move || gateway(way, timeout)))
            .collect();
        asked.into_iter().map(|asked| asked.join().unwrap_or_default()).collect()
    });
    all.extend(found.into_iter().flatten());
    all
}

fn link(near: &Near) -> Found {
    let Some((name, found)) = near.out() else {
        let step = Step::Link { interface: String::new(), speed_mbit: None };
        return Found::fail(step, "this machine has no interface but loopback");
    };
    let speed = std::fs::read_to_string(format!("/sys/class/net/{name}/speed")).ok();
    let speed_mbit = speed.and_then(|text| text.trim().parse().ok());
    let step = Step::Link { interface: name.to_owned(), speed_mbit };
    match (found.on, found.carrier) {
        (true, true) => Found::ok(step),
        (true, false) => Found::fail(step, "no carrier: the cable, the port, or what it is plugged into"),
        (false, _) => Found::fail(step, "the interface is switched off"),
    }
}

fn addresses(near: &Near) -> Vec<Found> {
    let interface = near.out().map_or_else(String::new, |(name, _)| name.to_owned());
    let families = [Family::Ipv4, Family::Ipv6];
    let other = |family| families.into_iter().any(|other| other != family && near.has(other));
    let rung = |family: Family| {
        let addresses =
            near.addresses(family).map(|(_, (ip, ones))| format!("{ip}/{ones}")).take(16).collect();
        let step = Step::Address { interface: interface.clone(), family, addresses };
        let name = family_name(family);
        if near.has(family) {
            Found::ok(step)
        } else if other(family) {
            Found::not_measured(step, format!("this machine has no {name} address"))
        } else if family == Family::Ipv4 {
            Found::fail(step, "no address: nobody leased one, and none is set")
        } else {
            Found::not_measured(step, format!("this machine has no {name} address"))
        }
    };
    families.into_iter().map(rung).collect()
}

fn gateway(way: &Way, timeout: Duration) -> Vec<Found> {
    let Some(gateway) = way.gateway else { return Vec::new() };
    let step = Step::Gateway { gateway };
    let pinged = match ping(gateway, &way.interface, timeout) {
        Ok(pinged) if pinged.answered > 0 => {
            Found { rtt_us: pinged.rtt_us, loss_permille: Some(pinged.loss_permille()), ..Found::ok(step) }
        }
        Ok(pinged) => {
            let loss_permille = Some(pinged.loss_permille());
            Found { loss_permille, ..Found::fail(step, "it does not answer pings") }
        }
        Err(e) if e.kind() == std::io::ErrorKind::PermissionDenied => Found::not_measured(step, plain(&e)),
        Err(e) => Found::fail(step, plain(&e)),
    };
    let answers = pinged.outcome == crate::report::Held::Ok;
    vec![neighbour(gateway, &way.interface, answers), pinged]
}

/// A link-local address says nothing without its interface.
fn ping(gateway: IpAddr, interface: &str, timeout: Duration) -> std::io::Result<echo::Pinged> {
    match gateway {
        IpAddr::V6(v6) if v6.is_unicast_link_local() => echo::ping_on(gateway, interface, ECHOES, timeout),
        IpAddr::V4(_) | IpAddr::V6(_) => echo::ping(gateway, ECHOES, timeout),
    }
}

/// What the kernel knows of the gateway's hardware address. What it believes is put to the proof where pings stay without
/// an answer: an entry is believed for half a minute after the gateway has gone.
fn neighbour(gateway: IpAddr, interface: &str, answers: bool) -> Found {
    let step = |known: Neighbour| Step::Neighbour { gateway, mac: known.mac, state: known.state };
    let none = || step(Neighbour::default());
    let (Ok(index), Ok(mut asker)) = (if_nametoindex(interface), Asker::open()) else {
        return Found::not_measured(none(), "the kernel does not say");
    };
    let known = asker.neighbour(index, gateway);
    if answers {
        return known.map_or_else(
            || Found::not_measured(none(), "there is no entry"),
            |known| Found::ok(step(known)),
        );
    }
    let proving = asker.prove(index, gateway).is_ok();
    let until = Instant::now() + NEIGHBOUR_WAIT;
    let mut last = known;
    while Instant::now() < until {
        last = asker.neighbour(index, gateway).or(last);
        match last.as_ref().map(|known| known.state.as_str()) {
            Some("failed") => {
                return Found::fail(step(last.unwrap_or_default()), "nobody has the gateway's address");
            }
            Some("permanent" | "noarp") => break,
            Some("reachable") if proving => return Found::ok(step(last.unwrap_or_default())),
            _ => std::thread::sleep(Duration::from_millis(50)),
        }
    }
    match last {
        Some(known) if known.state == "incomplete" => {
            Found::fail(step(known), "nobody has the gateway's address")
        }
        Some(known) => Found::not_measured(step(known), "the kernel has not asked again yet"),
        None => Found::fail(none(), "nobody has the gateway's address"),
    }
}
