//! The way out of this machine: its default routes.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::report::Family;

/// The most ways of a family that are kept.
const MOST: usize = 128;
/// Flags of a route: it is in use; it leads nowhere.
const UP: u32 = 0x1;
const REJECT: u32 = 0x200;

/// A default route.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Way {
    /// The smaller, the better.
    metric: u32,
    /// The interface.
    pub(crate) interface: String,
    /// The gateway; none where the interface leads straight out.
    pub(crate) gateway: Option<IpAddr>,
    /// For which addresses it is.
    pub(crate) family: Family,
}

/// The default routes, IPv4 first, the best of each family first.
pub(crate) fn ways() -> Vec<Way> {
    let mut all = read("/proc/net/route", way_v4);
    all.extend(read("/proc/net/ipv6_route", way_v6));
    all
}

fn read(table: &str, way: fn(&str) -> Option<Way>) -> Vec<Way> {
    File::open(table).map_or(Vec::new(), |file| of_table(BufReader::new(file), way))
}

/// The default routes of a table, the best first. The table of a router may have a million lines: none is kept but these.
fn of_table(mut table: impl BufRead, way: fn(&str) -> Option<Way>) -> Vec<Way> {
    let mut found = Vec::new();
    let mut line = Vec::new();
    while table.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
        if found.len() < MOST {
            found.extend(std::str::from_utf8(&line).ok().and_then(way));
        }
        line.clear();
    }
    found.sort();
    found
}

/// The default route in a line of `/proc/net/route`, where it is one. Addresses are written as the machine's own numbers.
fn way_v4(line: &str) -> Option<Way> {
    let mut fields = line.split_whitespace();
    let mut next = || fields.next();
    let (interface, to, via, flags) = (next()?, next()?, next()?, next()?);
    let (_count, _use, metric, mask) = (next()?, next()?, next()?, next()?);
    let is_default = to == "00000000" && mask == "00000000" && is_way(flags)?;
    is_default.then_some(())?;
    let via = u32::from_str_radix(via, 16).ok()?;
    Some(Way {
        metric: metric.parse().ok()?,
        interface: interface.to_owned(),
        gateway: (via != 0).then(|| Ipv4Addr::from(via.to_ne_bytes()).into()),
        family: Family::Ipv4,
    })
}

/// The default route in a line of `/proc/net/ipv6_route`, where it is one.
fn way_v6(line: &str) -> Option<Way> {
    let mut fields = line.split_whitespace();
    let mut next = || fields.next();
    let (to, length) = (next()?, next()?);
    (length == "00" && to.bytes().all(|byte| byte == b'0')).then_some(())?;
    let (_source, _length, via, metric) = (next()?, next()?, next()?, next()?);
    let (_count, _use, flags, interface) = (next()?, next()?, next()?, next()?);
    is_way(flags)?.then_some(())?;
    let via = u128::from_str_radix(via, 16).ok()?;
    Some(Way {
        metric: u32::from_str_radix(metric, 16).ok()?,
        interface: interface.to_owned(),
        gateway: (via != 0).then(|| Ipv6Addr::from_bits(via).into()),
        family: Family::Ipv6,
    })
}

fn is_way(flags: &str) -> Option<bool> {
    let flags = u32::from_str_radix(flags, 16).ok()?;
    Some(flags & (UP | REJECT) == UP)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(found: Vec<Way>) -> Vec<(String, Option<String>, Family)> {
        let text = |way: Way| (way.interface, way.gateway.map(|ip| ip.to_string()), way.family);
        found.into_iter().map(text).collect()
    }

    fn way(interface: &str, gateway: Option<&str>, family: Family) -> (String, Option<String>, Family) {
        (interface.to_owned(), gateway.map(ToOwned::to_owned), family)
    }

    #[test]
    fn the_best_ipv6_gateway_comes_first() {
        let zeros = "0".repeat(32);
        let line = |via: &str, metric: &str, flags: &str| {
            format!("{zeros} 00 {zeros} 00 {via} {metric} 00000001 00000000 {flags}     eth0\n")
        };
        let table = [
            line("fe800000000000000000000000000002", "00000400", "00000003"),
            line("fe800000000000000000000000000001", "00000064", "00450003"),
            line(&zeros, "00000800", "00000001"),
            line(&zeros, "ffffffff", "00200200"),
            "nonsense\n".to_owned(),
        ]
        .concat();
        let eth0 = |ip| way("eth0", ip, Family::Ipv6);
        let found = named(of_table(table.as_bytes(), way_v6));
        assert_eq!(found, [eth0(Some("fe80::1")), eth0(Some("fe80::2")), eth0(None)]);
    }

    #[test]
    fn an_ipv4_way_is_one_of_ipv4_with_and_without_a_gateway() {
        let via = u32::from_ne_bytes([192, 0, 2, 1]);
        let table = format!(
            "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n\
             ppp0\t00000000\t00000000\t0001\t0\t0\t200\t00000000\t0\t0\t0\n\
             eth0\t00000000\t{via:08X}\t0003\t0\t0\t100\t00000000\t0\t0\t0\n\
             *\t00000000\t00000000\t0201\t0\t0\t50\t00000000\t0\t0\t0\n\
             tun0\t00000000\t00000000\t0001\t0\t0\t0\t00000080\t0\t0\t0\n\
             eth0\t000200C0\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0\n"
        );
        let found = named(of_table(table.as_bytes(), way_v4));
        assert_eq!(
            found,
            [way("eth0", Some("192.0.2.1"), Family::Ipv4), way("ppp0", None, Family::Ipv4)],
            "neither half of all addresses nor what is refused is a way out"
        );
    }
}
