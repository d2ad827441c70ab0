//! The table of what is caused, where, for how long, and what lineman is to say of it.

use std::time::Duration;

use crate::Res;
use crate::faults::{self, Spot};
use crate::world::{Family, Trust};

/// Causes or mends a fault.
pub type Act = fn(&Spot) -> Res<()>;

/// What is to be said in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// An outage with this verdict.
    Verdict(&'static str),
    /// No outage at all, or one with this verdict, which says that it is none.
    AtMost(&'static str),
    /// An outage with this verdict, that names a second fault as well.
    Both(&'static str, &'static str),
}

impl Expected {
    /// The verdict.
    pub fn code(self) -> &'static str {
        match self {
            Expected::Verdict(code) | Expected::AtMost(code) | Expected::Both(code, _) => code,
        }
    }
}

/// A cause: how it is made, where it may be, and what it is to be called.
pub struct Cause {
    /// Its name.
    pub name: &'static str,
    /// What it is to be called.
    pub expected: Expected,
    /// How it is made and mended.
    pub acts: (Act, Act),
    /// The sites it may be at.
    pub sites: &'static [&'static str],
    /// How many forms it has.
    pub forms: usize,
    /// How agents know the server.
    pub trust: Trust,
}

/// One run of a cause.
#[derive(Clone, Debug)]
pub struct Case {
    /// The place in [`CAUSES`].
    pub cause: usize,
    /// Where.
    pub site: &'static str,
    /// On which of its devices it is looked at.
    pub at: usize,
    /// In which form.
    pub form: usize,
    /// How the server is reached.
    pub family: Family,
    /// How long it lasts after it was noticed.
    pub holds: Duration,
}

const ANY: &[&str] = &["north", "south", "west"];
/// The sites whose provider is not the server's.
const FAR: &[&str] = &["north", "south"];

const fn cause(code: &'static str, acts: (Act, Act)) -> Cause {
    Cause { name: code, expected: Expected::Verdict(code), acts, sites: ANY, forms: 1, trust: Trust::Pinned }
}

/// All causes, in the order of the verdict's table.
pub const CAUSES: &[Cause] = &[
    cause("site-power", (faults::site_power, faults::site_power_mended)),
    cause("device-power", (faults::device_power, faults::device_power_mended)),
    cause("reboot", (faults::reboot, faults::device_power_mended)),
    Cause {
        expected: Expected::AtMost("agent-restart"),
        ..cause("agent-restart", (faults::agent_restart, faults::agent_restart_mended))
    },
    cause("sleep", (faults::sleep, faults::sleep_mended)),
    cause("link", (faults::link, faults::link_mended)),
    cause("no-address", (faults::no_address, faults::no_address_mended)),
    Cause { forms: 2, ..cause("gateway", (faults::gateway, faults::gateway_mended)) },
    Cause { forms: 2, ..cause("last-mile", (faults::last_mile, faults::last_mile_mended)) },
    Cause { sites: FAR, ..cause("provider-core", (faults::provider_core, faults::provider_core_mended)) },
    Cause { sites: FAR, forms: 2, ..cause("transit", (faults::transit, faults::transit_mended)) },
    Cause { forms: 2, ..cause("resolver", (faults::resolver, faults::resolver_mended)) },
    Cause { forms: 2, ..cause("dns-blocked", (faults::dns_blocked, faults::dns_blocked_mended)) },
    Cause { forms: 3, ..cause("our-dns", (faults::our_dns, faults::our_dns_mended)) },
    Cause { forms: 2, ..cause("server", (faults::server, faults::server_mended)) },
    Cause { sites: FAR, ..cause("path", (faults::path, faults::provider_core_mended)) },
    Cause {
        forms: 2,
        trust: Trust::Vouched,
        ..cause("device-clock", (faults::device_clock, faults::device_clock_mended))
    },
    cause("certificate", (faults::certificate, faults::certificate_mended)),
    Cause { forms: 2, ..cause("captive-portal", (faults::captive_portal, faults::captive_portal_mended)) },
    Cause { forms: 2, ..cause("mtu", (faults::mtu, faults::mtu_mended)) },
    Cause { forms: 2, ..cause("line-noise", (faults::line_noise, faults::line_noise_mended)) },
    cause("congestion", (faults::congestion, faults::congestion_mended)),
    Cause { forms: 2, ..cause("address-family", (faults::address_family, faults::address_family_mended)) },
    Cause {
        expected: Expected::AtMost("address-change"),
        ..cause("address-change", (faults::address_change, faults::nothing))
    },
    Cause {
        expected: Expected::AtMost("inbound-filter"),
        ..cause("inbound-filter", (faults::inbound_filter, faults::inbound_filter_mended))
    },
    Cause {
        name: "gateway, then resolver",
        expected: Expected::Both("gateway", "resolver"),
        ..cause("", (faults::gateway_then_resolver, faults::gateway_then_resolver_mended))
    },
];

/// The runs: each cause once, or three times with place, form, family and length varied.
pub fn cases(times: usize) -> Vec<Case> {
    let mut all = Vec::new();
    for turn in 0..times {
        for (number, cause) in CAUSES.iter().enumerate() {
            let seed = number + turn;
            all.push(Case {
                cause: number,
                site: cause.sites[seed % cause.sites.len()],
                at: 1 + seed % crate::net::DEVICES,
                form: turn % cause.forms,
                family: if seed.is_multiple_of(2) { Family::V4 } else { Family::V6 },
                holds: Duration::from_secs([6, 15, 3][turn % 3]),
            });
        }
    }
    all
}
