//! A device: the states it can be in, how much depends on it, which address is its own, and what it hangs on.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use crate::domain::ids::DeviceId;
use crate::domain::named;

named! {
    /// What a device is, as far as is known.
    pub enum State {
        /// Nobody is looking: never seen, paused, or nothing could be measured.
        Unknown = "unknown",
        /// Reachability is proven and every check is good.
        Up = "up",
        /// Reachable, but a check failed hard or is over a limit.
        Degraded = "degraded",
        /// Every proof of reachability failed hard, and a parent is there (or it has none).
        Down = "down",
        /// As down, but no parent is available.
        Unreachable = "unreachable",
    }
}

impl State {
    /// Whether nothing reaches it.
    #[must_use]
    pub fn is_out(self) -> bool {
        match self {
            State::Down | State::Unreachable => true,
            State::Unknown | State::Up | State::Degraded => false,
        }
    }

    /// Whether it is proven to be reachable.
    #[must_use]
    pub fn is_reachable(self) -> bool {
        match self {
            State::Up | State::Degraded => true,
            State::Unknown | State::Down | State::Unreachable => false,
        }
    }
}

named! {
    /// What stands over a state: it says why nobody is alarmed.
    pub enum Mark {
        /// It is in maintenance.
        Maintenance = "maintenance",
        /// Its state changes too often.
        Flapping = "flapping",
        /// Somebody knows of its trouble.
        Acknowledged = "acknowledged",
        /// A person has it not watched.
        Paused = "paused",
    }
}

named! {
    /// How much depends on a device, as a person judges it.
    pub enum Importance {
        /// Many depend on it.
        Critical = "critical",
        /// More than most.
        High = "high",
        /// Like most.
        Normal = "normal",
        /// Can wait.
        Low = "low",
    }
}

named! {
    /// Which of the addresses that are known is *the* address of a device with an agent.
    pub enum AddressFrom {
        /// The one the agent uses on its route to the server; behind NAT the one the server sees.
        Agent = "agent",
        /// The one the server sees: behind NAT.
        Seen = "seen",
        /// The one a person wrote; what differs is logged, not taken over.
        Fixed = "fixed",
    }
}

/// Which of the addresses that an agent reports and that the server sees is the device's. Behind NAT the two differ, and
/// the agent's own means nothing here: then it is the one that is seen. One that is seen as loopback is a proxy's.
#[must_use]
pub fn own_address(from: AddressFrom, reported: Option<IpAddr>, seen: Option<IpAddr>) -> Option<IpAddr> {
    match from {
        AddressFrom::Fixed => None,
        AddressFrom::Seen => seen,
        AddressFrom::Agent => match (reported, seen) {
            (Some(reported), Some(seen)) if seen != reported && !seen.is_loopback() => Some(seen),
            (Some(reported), _) => Some(reported),
            (None, seen) => seen,
        },
    }
}

/// Whether an attempt to contact `address` can tell anything about a device apart from its agent. A loopback address
/// is the server itself, and an address that names no one host is nobody.
#[must_use]
pub fn can_be_contacted(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            !(v4.is_loopback() || v4.is_unspecified() || v4.is_multicast() || v4.is_broadcast())
        }
        IpAddr::V6(v6) => !(v6.is_loopback() || v6.is_unspecified() || v6.is_multicast()),
    }
}

/// Where an agent says that it is, and where the server sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Whereabouts {
    /// The address that it reports.
    pub reported: Option<IpAddr>,
    /// The address that it calls from.
    pub seen: Option<IpAddr>,
}

/// Whether an answer from `address`, the last known one of a device that fell silent, says nothing about it, since
/// `other` is there now: it has that address itself; or both only came from there, through the same NAT. Who has the
/// address itself is still the one that answers when others come through it.
#[must_use]
pub fn is_anothers(address: IpAddr, silent: Whereabouts, other: Whereabouts) -> bool {
    let is_it = |told: Option<IpAddr>| told.map(|told| told.to_canonical()) == Some(address.to_canonical());
    // Behind NAT an address of one's own means nothing here; one that is seen as loopback is a proxy's.
    let is_seen_there = is_it(other.seen) || other.seen.is_none_or(|seen| seen.to_canonical().is_loopback());
    let has_it = is_it(other.reported) && is_seen_there;
    has_it || (is_it(other.seen) && !is_it(silent.reported))
}

/// The way round that a new parent would close: `child … parent child`, or none.
#[must_use]
pub fn cycle(
    parents: &HashMap<DeviceId, Vec<DeviceId>>,
    child: DeviceId,
    parent: DeviceId,
) -> Option<Vec<DeviceId>> {
    let mut way: Vec<(DeviceId, Vec<DeviceId>)> = vec![(parent, vec![child, parent])];
    let mut seen = HashSet::new();
    while let Some((at, path)) = way.pop() {
        if at == child {
            return Some(path);
        }
        if !seen.insert(at) {
            continue;
        }
        for &next in parents.get(&at).into_iter().flatten() {
            let mut longer = path.clone();
            longer.push(next);
            way.push((next, longer));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loopback_address_proves_nothing_about_another_device() {
        for (address, can) in [
            ("127.0.0.1", false),
            ("127.8.9.1", false),
            ("::1", false),
            ("::ffff:127.0.0.1", false),
            ("0.0.0.0", false),
            ("224.0.0.1", false),
            ("192.0.2.7", true),
            ("2001:db8::7", true),
        ] {
            assert_eq!(can_be_contacted(address.parse().unwrap()), can, "{address}");
        }
    }

    #[test]
    fn behind_nat_the_address_is_the_one_that_is_seen() {
        let ip = |text: &str| text.parse::<IpAddr>().ok();
        for (from, reported, seen, own) in [
            (AddressFrom::Agent, "192.0.2.7", "192.0.2.7", "192.0.2.7"),
            (AddressFrom::Agent, "10.1.2.3", "192.0.2.7", "192.0.2.7"),
            (AddressFrom::Agent, "10.1.2.3", "127.0.0.1", "10.1.2.3"),
            (AddressFrom::Agent, "10.1.2.3", "", "10.1.2.3"),
            (AddressFrom::Agent, "", "192.0.2.7", "192.0.2.7"),
            (AddressFrom::Seen, "10.1.2.3", "127.0.0.1", "127.0.0.1"),
            (AddressFrom::Fixed, "10.1.2.3", "192.0.2.7", ""),
        ] {
            assert_eq!(own_address(from, ip(reported), ip(seen)), ip(own), "{from} {reported} {seen}");
        }
    }

    #[test]
    #[rustfmt::skip]
    fn who_answers_at_an_address_is_whoever_has_it_now() {
        let ip = |text: &str| text.parse::<IpAddr>().ok();
        let at = |(reported, seen)| Whereabouts { reported: ip(reported), seen: ip(seen) };
        let address = ip("192.0.2.7").unwrap();
        for (silent, other, anothers, why) in [
            (("192.0.2.7", "192.0.2.7"), ("192.0.2.7", "192.0.2.7"), true, "the address was given to another"),
            (("192.0.2.7", "192.0.2.7"), ("192.0.2.7", "127.0.0.1"), true, "the same, behind a proxy"),
            (("192.0.2.7", "192.0.2.7"), ("::ffff:192.0.2.7", "192.0.2.7"), true, "the same, written otherwise"),
            (("192.0.2.7", "192.0.2.7"), ("192.0.2.8", "192.0.2.8"), false, "another is elsewhere"),
            (("192.0.2.7", "192.0.2.7"), ("10.0.0.5", "192.0.2.7"), false, "another comes through it: it is a router"),
            (("10.0.0.4", "192.0.2.7"), ("10.0.0.5", "192.0.2.7"), true, "both are behind one router, which answers"),
            (("192.0.2.7", "192.0.2.7"), ("192.0.2.7", "198.51.100.1"), false, "the same private address at another site"),
            (("192.0.2.7", "192.0.2.7"), ("", ""), false, "nothing is known of the other"),
        ] {
            assert_eq!(is_anothers(address, at(silent), at(other)), anothers, "{why}");
        }
    }

    #[test]
    fn a_ring_of_parents_is_found_before_it_is_closed() {
        let id = DeviceId;
        let parents =
            HashMap::from([(id(2), vec![id(1)]), (id(3), vec![id(2), id(9)]), (id(4), vec![id(3)])]);
        assert_eq!(cycle(&parents, id(1), id(4)).unwrap(), vec![id(1), id(4), id(3), id(2), id(1)]);
        assert_eq!(cycle(&parents, id(1), id(1)).unwrap(), vec![id(1), id(1)]);
        assert_eq!(cycle(&parents, id(4), id(1)), None);
        assert_eq!(cycle(&parents, id(9), id(1)), None);
    }
}
