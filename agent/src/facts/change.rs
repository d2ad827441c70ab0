//! What changed of a machine's network from one look to the next.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::net::IpAddr;

use crate::report::{Change, Interface, Status};

/// The changes from `before` to `now`: links, addresses, gateways, resolvers, the host name. Counters and loads are no
/// changes.
#[must_use]
pub fn changes(before: &Status, now: &Status) -> Vec<Change> {
    let mut found = Vec::new();
    let mut note = |subject: &str, name: &str, from: String, to: String| {
        if from != to {
            found.push(Change { subject: subject.to_owned(), name: name.to_owned(), from, to });
        }
    };
    let (was, is) = (by_name(&before.interfaces), by_name(&now.interfaces));
    let mut names: Vec<&str> = was.keys().chain(is.keys()).copied().collect();
    names.sort_unstable();
    names.dedup();
    for name in names {
        let (was, is) = (was.get(name).copied(), is.get(name).copied());
        note("link", name, link(was), link(is));
        note("address", name, addresses(was), addresses(is));
    }
    note("gateway", "", listed(&before.gateways), listed(&now.gateways));
    note("resolver", "", listed(&before.resolvers), listed(&now.resolvers));
    note("host-name", "", before.host_name.clone(), now.host_name.clone());
    found
}

/// The address on the way to the server, where it is gone. An address that no interface had in the first place is one of
/// loopback, of which nothing is told: it has not gone.
pub(crate) fn gone(before: &Status, now: &Status) -> Option<IpAddr> {
    before.address.filter(|address| before.has(*address) && !now.has(*address))
}

fn by_name(interfaces: &[Interface]) -> BTreeMap<&str, &Interface> {
    interfaces.iter().map(|interface| (interface.name.as_str(), interface)).collect()
}

fn link(interface: Option<&Interface>) -> String {
    match interface {
        None => String::new(),
        Some(interface) if interface.up => "up".to_owned(),
        Some(_) => "down".to_owned(),
    }
}

fn addresses(interface: Option<&Interface>) -> String {
    interface.map(|interface| listed(&interface.addresses)).unwrap_or_default()
}

fn listed(things: &[impl Display]) -> String {
    let words: Vec<String> = things.iter().map(ToString::to_string).collect();
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine() -> Status {
        let eth0 = Interface {
            name: "eth0".into(),
            up: true,
            addresses: vec!["192.0.2.7/24".into()],
            ..Interface::default()
        };
        Status {
            host_name: "edge".into(),
            interfaces: vec![eth0],
            gateways: vec!["192.0.2.1".parse().unwrap()],
            resolvers: vec!["192.0.2.53".parse().unwrap()],
            ..Status::default()
        }
    }

    /// What is said of a machine on which `turn` happened.
    fn after(turn: impl FnOnce(&mut Status)) -> Vec<String> {
        let mut now = machine();
        turn(&mut now);
        changes(&machine(), &now)
            .into_iter()
            .map(|c| format!("{} {}: {} -> {}", c.subject, c.name, c.from, c.to))
            .collect()
    }

    #[test]
    fn each_change_is_told_once_and_nothing_else() {
        assert!(after(|_| ()).is_empty());
        assert!(after(|now| now.interfaces[0].rx_bytes = 5).is_empty());
        assert_eq!(after(|now| now.interfaces[0].up = false), ["link eth0: up -> down"]);
        assert_eq!(
            after(|now| now.interfaces[0].addresses = vec!["192.0.2.8/24".into()]),
            ["address eth0: 192.0.2.7/24 -> 192.0.2.8/24"]
        );
        assert_eq!(
            after(|now| now.interfaces.clear()),
            ["link eth0: up -> ", "address eth0: 192.0.2.7/24 -> "]
        );
        assert_eq!(after(|now| now.gateways.clear()), ["gateway : 192.0.2.1 -> "]);
        assert_eq!(
            after(|now| now.resolvers.push("2001:db8::53".parse().unwrap())),
            ["resolver : 192.0.2.53 -> 192.0.2.53, 2001:db8::53"]
        );
        assert_eq!(after(|now| now.host_name = "core".into()), ["host-name : edge -> core"]);
    }

    #[test]
    fn an_address_is_gone_that_an_interface_had_and_none_has_any_more() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let towards = |address| Status { address: Some(ip(address)), ..machine() };
        let mut bare = machine();
        bare.interfaces[0].addresses.clear();
        let mut moved = bare.clone();
        moved.interfaces.push(Interface { addresses: vec!["192.0.2.7/32".into()], ..Interface::default() });
        for (before, now, expected) in [
            (towards("192.0.2.7"), &bare, Some(ip("192.0.2.7"))),
            (towards("192.0.2.7"), &moved, None),
            (towards("192.0.2.7"), &towards("192.0.2.8"), None),
            // Of loopback, whose addresses are not told: the server is on this machine.
            (towards("127.0.0.1"), &bare, None),
            (towards("198.51.100.1"), &bare, None),
            (machine(), &bare, None),
        ] {
            assert_eq!(gone(&before, now), expected, "{:?}", before.address);
        }
    }
}
