//! The way out of this machine: its default routes.

use std::net::{IpAddr, Ipv6Addr};

/// A default route.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Way {
    /// The smaller, the better.
    metric: u32,
    /// The interface.
    pub(crate) interface: String,
    /// The gateway; none where the interface leads straight out.
    pub(crate) gateway: Option<IpAddr>,
}

/// The default routes, IPv4 first, the best of each family first.
pub(crate) fn ways() -> Vec<Way> {
    let mut v4: Vec<Way> = procfs::net::route()
        .unwrap_or_default()
        .into_iter()
        .filter(|route| route.destination.is_unspecified() && route.mask.is_unspecified())
        .map(|route| Way {
            metric: route.metrics,
            interface: route.iface,
            gateway: (!route.gateway.is_unspecified()).then(|| route.gateway.into()),
        })
        .collect();
    v4.sort();
    v4.extend(ways_v6(&std::fs::read_to_string("/proc/net/ipv6_route").unwrap_or_default()));
    v4
}

/// The default routes of `/proc/net/ipv6_route`, the best first.
fn ways_v6(table: &str) -> Vec<Way> {
    const UP: u32 = 0x1;
    const REJECT: u32 = 0x200;
    let mut found: Vec<Way> = table
        .lines()
        .filter_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let [to, "00", _, _, via, metric, _, _, flags, interface, ..] = fields[..] else { return None };
            let flags = u32::from_str_radix(flags, 16).ok()?;
            let via = u128::from_str_radix(via, 16).ok()?;
            let is_default = to.bytes().all(|byte| byte == b'0') && flags & (UP | REJECT) == UP;
            is_default.then_some(())?;
            Some(Way {
                metric: u32::from_str_radix(metric, 16).ok()?,
                interface: interface.to_owned(),
                gateway: (via != 0).then(|| Ipv6Addr::from_bits(via).into()),
            })
        })
        .collect();
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let found: Vec<_> = ways_v6(&table).into_iter().map(|way| (way.interface, way.gateway)).collect();
        let eth0 = |ip: Option<&str>| ("eth0".to_owned(), ip.map(|ip| ip.parse::<IpAddr>().unwrap()));
        assert_eq!(found, [eth0(Some("fe80::1")), eth0(Some("fe80::2")), eth0(None)]);
    }
}
