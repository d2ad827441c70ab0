//! The ground a ladder stands on: this machine's links, addresses and ways out, and the first two rungs, which send nothing.

use std::net::{IpAddr, Ipv6Addr};
use std::path::Path;

use super::notes::{Measure, Notes};
use crate::facts;
use crate::recorder::netlink::Asker;
use crate::report::{Family, Interface, Step};

/// The most links that are told where there is no way out.
const MOST_LINKS: usize = 8;

/// Both families, IPv4 first.
pub(super) const FAMILIES: [Family; 2] = [Family::Ipv4, Family::Ipv6];

/// What this machine's network is like.
#[derive(Clone, Debug, Default)]
pub(super) struct Ground {
    /// All interfaces but loopback.
    pub(super) links: Vec<Link>,
    /// The best way out of each family, IPv4 first.
    pub(super) ways: Vec<Way>,
    /// The resolvers that this machine is configured to ask.
    pub(super) resolvers: Vec<IpAddr>,
}

/// One interface.
#[derive(Clone, Debug, Default)]
pub(super) struct Link {
    pub(super) name: String,
    pub(super) addresses: Vec<String>,
    /// Whether it is switched on.
    pub(super) on: bool,
    pub(super) carrier: bool,
    /// Whether it is a device, and no bridge, tunnel or the like.
    pub(super) physical: bool,
    /// Whether those at its other end have hardware addresses.
    pub(super) has_neighbours: bool,
    pub(super) mtu: u32,
}

/// A way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Way {
    pub(super) family: Family,
    pub(super) interface: String,
    pub(super) gateway: Option<IpAddr>,
}

impl Ground {
    /// Reads it: a few hundred microseconds.
    pub(super) fn read() -> Ground {
        let links = facts::interfaces().into_iter().map(link).collect();
        Ground { links, ways: best(facts::ways()), resolvers: resolvers() }
    }

    /// The way out of a family.
    pub(super) fn way(&self, family: Family) -> Option<&Way> {
        self.ways.iter().find(|way| way.family == family)
    }

    pub(super) fn link(&self, name: &str) -> Option<&Link> {
        self.links.iter().find(|link| link.name == name)
    }

    /// The largest packet that the interface takes that leads to a target; by the way out where the kernel does not say
    /// which one that is.
    pub(super) fn mtu_towards(&self, target: IpAddr) -> Option<u32> {
        let number = Asker::open().ok().and_then(|mut asker| asker.interface_towards(target));
        let name = number.and_then(|number| nix::net::if_::if_indextoname(number).ok());
        let link = name.and_then(|name| self.link(name.to_str().ok()?));
        let way = || self.way(family_of(target)).and_then(|way| self.link(&way.interface));
        link.or_else(way).map(|link| link.mtu)
    }

    /// Whether an address is one of this machine's own.
    pub(super) fn is_own(&self, address: IpAddr) -> bool {
        address.is_loopback()
            || self.links.iter().flat_map(|link| &link.addresses).any(|own| ip_of(own) == Some(address))
    }

    /// Why nothing of this family can leave, where it cannot.
    pub(super) fn blocked(&self, family: Family) -> Option<String> {
        let way = self.way(family)?;
        let link = self.link(&way.interface)?;
        (!link.carrier).then(|| format!("the link of {} is down", link.name))
    }

    /// Whether a family is in use here at all.
    fn has(&self, family: Family) -> bool {
        self.way(family).is_some() || self.links.iter().any(|link| !link.reaching(family).is_empty())
    }

    /// The interfaces that lead out, or would: those of the ways, else the devices that are switched on, else all devices.
    fn leading_out(&self) -> Vec<&Link> {
        let mut all: Vec<&Link> = Vec::new();
        for link in self.ways.iter().filter_map(|way| self.link(&way.interface)) {
            if all.iter().all(|known| known.name != link.name) {
                all.push(link);
            }
        }
        if !all.is_empty() {
            return all;
        }
        let any_device = self.links.iter().any(|link| link.physical);
        let devices = || self.links.iter().filter(move |link| link.physical || !any_device);
        let on: Vec<&Link> = devices().filter(|link| link.on).collect();
        let with_carrier: Vec<&Link> = on.iter().copied().filter(|link| link.carrier).collect();
        let mut chosen = match (with_carrier.is_empty(), on.is_empty()) {
            (false, _) => with_carrier,
            (true, false) => on,
            (true, true) => devices().collect(),
        };
        chosen.truncate(MOST_LINKS);
        chosen
    }

    /// The first rung: the links.
    pub(super) fn note_links(&self, notes: &Notes) {
        let links = self.leading_out();
        if links.is_empty() {
            let step = Step::Link { interface: String::new(), speed_mbit: None };
            notes.fails(step, "this machine has no network interface", Measure::default());
        }
        for link in links {
            let step = Step::Link {
                interface: link.name.clone(),
                speed_mbit: if link.carrier { facts::speed_mbit(&link.name) } else { None },
            };
            match (link.on, link.carrier) {
                (false, _) => {
                    notes.fails(step, "it is switched off", Measure::default());
                }
                (true, false) => {
                    let why = "no carrier: cable, port, or what it is plugged into";
                    notes.fails(step, why, Measure::default());
                }
                (true, true) => notes.holds(step, Measure::default()),
            }
        }
    }

    /// The second rung: an address of each family.
    pub(super) fn note_addresses(&self, notes: &Notes) {
        let leading = self.leading_out();
        let in_use = FAMILIES.map(|family| self.has(family));
        for family in FAMILIES {
            let way = self.way(family).and_then(|way| self.link(&way.interface));
            // Where no way says which one, it is the one that has an address.
            let own = leading.iter().copied().find(|link| !link.reaching(family).is_empty());
            let link = way.or(own).or(leading.first().copied());
            let interface = link.map_or(String::new(), |link| link.name.clone());
            let addresses = link.map_or(Vec::new(), |link| link.reaching(family));
            let elsewhere = self.links.iter().any(|link| !link.reaching(family).is_empty());
            let holds = !addresses.is_empty() || (way.is_some() && elsewhere);
            let link_local = link.and_then(|link| link.addresses.iter().find(|own| is_of(own, family)));
            let step = Step::Address { interface: interface.clone(), family, addresses };
            let word = word(family);
            let other = in_use[usize::from(family == Family::Ipv4)];
            match (holds, link) {
                (true, _) => notes.holds(step, Measure::default()),
                (false, None) => notes.not_measured(step, "there is no interface"),
                (false, Some(link)) if !link.carrier => {
                    notes.not_measured(step, &format!("the link of {interface} is down"));
                }
                _ if !self.has(family) && (family == Family::Ipv6 || other) => {
                    notes.not_measured(step, &format!("this machine does not use {word}"));
                }
                _ => {
                    let why = match link_local {
                        Some(own) => {
                            format!("only {own}, which reaches no further than the link")
                        }
                        None => format!("no {word} address"),
                    };
                    notes.fails(step, &why, Measure::default());
                }
            }
        }
    }
}

impl Link {
    /// Its addresses of a family that reach beyond the link.
    pub(super) fn reaching(&self, family: Family) -> Vec<String> {
        let all = self.addresses.iter().filter(|own| is_of(own, family));
        all.filter(|own| ip_of(own).is_some_and(|ip| !is_link_local(ip))).cloned().collect()
    }
}

fn link(interface: Interface) -> Link {
    let file = |name: &str| facts::line_of(&format!("/sys/class/net/{}/{name}", interface.name));
    let flags = u32::from_str_radix(file("flags").trim_start_matches("0x"), 16).unwrap_or(0);
    let has = |flag: libc::c_int| flags & flag.unsigned_abs() != 0;
    Link {
        on: has(libc::IFF_UP),
        // The file cannot be read while the interface is switched off.
        carrier: file("carrier") == "1",
        physical: Path::new(&format!("/sys/class/net/{}/device", interface.name)).exists(),
        has_neighbours: !has(libc::IFF_NOARP) && !has(libc::IFF_POINTOPOINT),
        mtu: file("mtu").parse().unwrap_or(1500),
        name: interface.name.clone(),
        addresses: interface.addresses,
    }
}

/// The system's resolvers; behind systemd's stub on this machine, those that it asks.
fn resolvers() -> Vec<IpAddr> {
    /// Where systemd-resolved says whom it asks.
    const BEHIND_STUB: &str = "/run/systemd/resolve/resolv.conf";
    let mut all = facts::resolvers(&std::fs::read("/etc/resolv.conf").unwrap_or_default());
    if all.contains(&IpAddr::from([127, 0, 0, 53])) {
        all.extend(facts::resolvers(&std::fs::read(BEHIND_STUB).unwrap_or_default()));
    }
    all
}

/// The best way of each family.
fn best(all: Vec<facts::Way>) -> Vec<Way> {
    let mut ways: Vec<Way> = Vec::new();
    for way in all {
        if ways.iter().all(|known| known.family != way.family) && way.interface != "lo" {
            ways.push(Way { family: way.family, interface: way.interface, gateway: way.gateway });
        }
    }
    ways
}

/// The family of an address.
pub(super) fn family_of(address: IpAddr) -> Family {
    match address {
        IpAddr::V4(_) => Family::Ipv4,
        IpAddr::V6(_) => Family::Ipv6,
    }
}

/// The word for a family.
pub(super) fn word(family: Family) -> &'static str {
    match family {
        Family::Ipv4 => "IPv4",
        Family::Ipv6 => "IPv6",
    }
}

fn ip_of(own: &str) -> Option<IpAddr> {
    own.split('/').next()?.parse().ok()
}

fn is_of(own: &str, family: Family) -> bool {
    ip_of(own).is_some_and(|ip| family_of(ip) == family)
}

fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local() || v6 == Ipv6Addr::UNSPECIFIED,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Held;

    fn eth0(addresses: &[&str]) -> Link {
        Link {
            name: "eth0".into(),
            addresses: addresses.iter().map(|&own| own.into()).collect(),
            on: true,
            carrier: true,
            physical: true,
            has_neighbours: true,
            mtu: 1500,
        }
    }

    fn way(gateway: &str) -> Way {
        let gateway: IpAddr = gateway.parse().unwrap();
        Way { family: family_of(gateway), interface: "eth0".into(), gateway: Some(gateway) }
    }

    /// How links, IPv4 and IPv6 addresses stand, and the first reason that is given.
    fn found(links: Vec<Link>, ways: Vec<Way>) -> (Vec<Held>, String) {
        let ground = Ground { links, ways, resolvers: Vec::new() };
        let notes = Notes::new();
        ground.note_links(&notes);
        ground.note_addresses(&notes);
        let rungs = notes.rungs();
        let reason = rungs.iter().find(|rung| rung.outcome == Held::Fail).map(|rung| rung.reason.clone());
        (rungs.iter().map(|rung| rung.outcome).collect(), reason.unwrap_or_default())
    }

    #[test]
    fn what_is_not_used_is_not_measured_and_what_is_missing_fails() {
        use Held::{Fail, NotMeasured, Ok};
        let off = Link { on: false, carrier: false, ..eth0(&[]) };
        let unplugged = Link { carrier: false, ..eth0(&["192.0.2.7/24"]) };
        let unplugged_bare = Link { carrier: false, ..eth0(&[]) };
        for (links, ways, held, reason) in [
            (vec![eth0(&["192.0.2.7/24", "fe80::1/64"])], vec![way("192.0.2.1")], [Ok, Ok, NotMeasured], ""),
            (
                vec![eth0(&["192.0.2.7/24", "fd00::7/64"])],
                vec![way("192.0.2.1"), way("fe80::9")],
                [Ok, Ok, Ok],
                "",
            ),
            (vec![eth0(&["fd00::7/64"])], vec![way("fe80::9")], [Ok, NotMeasured, Ok], ""),
            (vec![eth0(&["fe80::1/64"])], vec![], [Ok, Fail, NotMeasured], "no IPv4 address"),
            (
                vec![eth0(&["169.254.3.4/16"])],
                vec![],
                [Ok, Fail, NotMeasured],
                "only 169.254.3.4/16, which reaches no further than the link",
            ),
            (
                vec![eth0(&["192.0.2.7/24", "fe80::1/64"])],
                vec![way("192.0.2.1"), way("fe80::9")],
                [Ok, Ok, Fail],
                "only fe80::1/64, which reaches no further than the link",
            ),
            (
                vec![unplugged],
                vec![way("192.0.2.1")],
                [Fail, Ok, NotMeasured],
                "no carrier: cable, port, or what it is plugged into",
            ),
            (
                vec![unplugged_bare],
                vec![],
                [Fail, NotMeasured, NotMeasured],
                "no carrier: cable, port, or what it is plugged into",
            ),
            (vec![off], vec![], [Fail, NotMeasured, NotMeasured], "it is switched off"),
            (vec![], vec![], [Fail, NotMeasured, NotMeasured], "this machine has no network interface"),
        ] {
            assert_eq!(found(links.clone(), ways), (held.to_vec(), reason.to_owned()), "{links:?}");
        }
    }

    #[test]
    fn without_a_way_out_the_devices_that_have_a_carrier_are_looked_at() {
        let wlan0 = Link { name: "wlan0".into(), ..eth0(&[]) };
        let bridge = Link { name: "br0".into(), physical: false, ..eth0(&["192.0.2.9/24"]) };
        let unplugged = Link { carrier: false, ..eth0(&[]) };
        let ground = Ground { links: vec![bridge, unplugged, wlan0], ..Ground::default() };
        let names: Vec<&str> = ground.leading_out().iter().map(|link| link.name.as_str()).collect();
        assert_eq!(names, ["wlan0"]);
        assert!(ground.is_own("192.0.2.9".parse().unwrap()) && !ground.is_own("192.0.2.1".parse().unwrap()));
    }
}
