//! A climb of the ladder, as the rules ask it: which layer holds, by whatever way.

use std::net::{IpAddr, SocketAddr};

use agent::report::{Climb, Family, Held, Hop, Rung, Step, TlsError, Transport};
use schedules::{Millis, Time};

use crate::domain::dossier::{Kept, any_holds};

/// What a climb found, by layers.
#[derive(Clone, Debug)]
pub struct Picture<'a> {
    /// When the climb began.
    pub at: Time,
    /// How far the device's clock was ahead.
    pub skew: Option<Millis>,
    rungs: &'a [Rung],
}

/// What was found of one anchor.
#[derive(Clone, Copy, Debug)]
pub struct Anchor {
    /// The anchor.
    pub address: IpAddr,
    /// Whether a person named it.
    pub given: bool,
    /// Whether it was reached.
    pub held: Held,
    /// How much was lost on the way, in thousandths.
    pub loss_permille: Option<u32>,
}

/// What was found of one question to a resolver.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The resolver.
    pub resolver: IpAddr,
    /// Whether the device is configured to ask it.
    pub configured: bool,
    /// Over what.
    pub transport: Transport,
    /// Whether our own name was asked for.
    pub ours: bool,
    /// The answer's code.
    pub rcode: Option<&'a str>,
    /// Whether it answered well.
    pub held: Held,
}

/// One route.
#[derive(Clone, Copy, Debug)]
pub struct Way<'a> {
    /// Where to.
    pub target: IpAddr,
    /// Whether that is the server.
    pub server: bool,
    /// Its hops.
    pub hops: &'a [Hop],
}

/// What was found of the largest packet.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// The largest that passed.
    pub largest: Option<u32>,
    /// What the interface would let through.
    pub mtu: u32,
    /// Whether somebody said that it was too large.
    pub told: bool,
    /// How it ended.
    pub held: Held,
}

impl<'a> Picture<'a> {
    /// That of a climb.
    #[must_use]
    pub fn of(climb: &'a Kept<Climb>) -> Picture<'a> {
        Picture { at: climb.at, skew: climb.skew, rungs: &climb.it.rungs }
    }

    /// All rungs, in the order in which they were tried.
    #[must_use]
    pub fn rungs(&self) -> &'a [Rung] {
        self.rungs
    }

    fn layer(&self, wanted: impl Fn(&Step) -> bool) -> Held {
        any_holds(self.rungs.iter().filter(|rung| wanted(&rung.step)).map(|rung| rung.outcome))
    }

    /// Whether a link has a carrier.
    #[must_use]
    pub fn link(&self) -> Held {
        self.layer(|step| matches!(step, Step::Link { .. }))
    }

    /// The interface on the way out.
    #[must_use]
    pub fn interface(&self) -> Option<&'a str> {
        self.rungs.iter().find_map(|rung| {
            if let Step::Link { interface, .. } | Step::Address { interface, .. } = &rung.step
                && !interface.is_empty()
            {
                Some(interface.as_str())
            } else {
                None
            }
        })
    }

    /// Whether there is an address of either family.
    #[must_use]
    pub fn address(&self) -> Held {
        self.layer(|step| matches!(step, Step::Address { .. }))
    }

    /// Whether there is an address of this family.
    #[must_use]
    pub fn address_of(&self, wanted: Family) -> Held {
        self.layer(|step| matches!(step, Step::Address { family, .. } if *family == wanted))
    }

    /// Whether a gateway's hardware address is known.
    #[must_use]
    pub fn neighbour(&self) -> Held {
        self.layer(|step| matches!(step, Step::Neighbour { .. }))
    }

    /// Whether a gateway answers.
    #[must_use]
    pub fn gateway(&self) -> Held {
        self.layer(|step| matches!(step, Step::Gateway { .. }))
    }

    /// The first gateway, IPv4 before IPv6 as the agent tells them.
    #[must_use]
    pub fn gateway_address(&self) -> Option<IpAddr> {
        self.rungs.iter().find_map(|rung| {
            if let Step::Neighbour { gateway, .. } | Step::Gateway { gateway } = rung.step {
                Some(gateway)
            } else {
                None
            }
        })
    }

    /// How much of what was sent to the gateway was lost, in thousandths.
    #[must_use]
    pub fn gateway_loss(&self) -> Option<u32> {
        self.rungs
            .iter()
            .filter(|rung| matches!(rung.step, Step::Gateway { .. }) && rung.outcome == Held::Ok)
            .filter_map(|rung| rung.loss_permille)
            .min()
    }

    /// What was found of each anchor.
    pub fn anchors(&self) -> impl Iterator<Item = Anchor> + use<'a> {
        self.rungs.iter().filter_map(|rung| {
            if let Step::Anchor { address, given } = rung.step {
                Some(Anchor { address, given, held: rung.outcome, loss_permille: rung.loss_permille })
            } else {
                None
            }
        })
    }

    /// What was found of each question to a resolver.
    pub fn asked(&self) -> impl Iterator<Item = Asked<'a>> + use<'a> {
        self.rungs.iter().filter_map(|rung| {
            let Step::Resolver { resolver, configured, transport, ours, rcode, .. } = &rung.step else {
                return None;
            };
            Some(Asked {
                resolver: *resolver,
                configured: *configured,
                transport: *transport,
                ours: *ours,
                rcode: rcode.as_deref(),
                held: rung.outcome,
            })
        })
    }

    /// Whether a known page came back changed.
    #[must_use]
    pub fn page_changed(&self) -> bool {
        self.rungs.iter().any(|rung| matches!(rung.step, Step::Page { changed: true, .. }))
    }

    /// Whether the known page came back as it is.
    #[must_use]
    pub fn page(&self) -> Held {
        self.layer(|step| matches!(step, Step::Page { .. }))
    }

    /// Whether the server's name resolves.
    #[must_use]
    pub fn server_name(&self) -> Held {
        self.layer(|step| matches!(step, Step::ServerName { .. }))
    }

    /// The server's name.
    #[must_use]
    pub fn host(&self) -> Option<&'a str> {
        self.rungs.iter().find_map(|rung| {
            if let Step::ServerName { host, .. } = &rung.step { Some(host.as_str()) } else { None }
        })
    }

    /// Whether the server's port accepts a connection.
    #[must_use]
    pub fn connect(&self) -> Held {
        self.layer(|step| matches!(step, Step::ServerConnect { .. }))
    }

    /// What was found of each of the server's addresses.
    pub fn connects(&self) -> impl Iterator<Item = (SocketAddr, bool, Held)> + use<'a> {
        self.rungs.iter().filter_map(|rung| {
            if let Step::ServerConnect { address, refused } = rung.step {
                Some((address, refused, rung.outcome))
            } else {
                None
            }
        })
    }

    /// Whether the server proves who it is.
    #[must_use]
    pub fn tls(&self) -> Held {
        self.layer(|step| matches!(step, Step::ServerTls { .. }))
    }

    /// What was wrong with that, and by how much the clock lies outside of the certificate's time.
    #[must_use]
    pub fn tls_error(&self) -> Option<(TlsError, Option<Millis>)> {
        let failed = self.rungs.iter().filter(|rung| rung.outcome == Held::Fail);
        failed.filter_map(|rung| tls_of(&rung.step)).next()
    }

    /// Whether the server answers.
    #[must_use]
    pub fn answer(&self) -> Held {
        self.layer(|step| matches!(step, Step::ServerAnswer { .. }))
    }

    /// The status it answered with.
    #[must_use]
    pub fn answer_status(&self) -> Option<u16> {
        self.rungs
            .iter()
            .find_map(|rung| if let Step::ServerAnswer { status } = rung.step { status } else { None })
    }

    /// The routes.
    pub fn ways(&self) -> impl Iterator<Item = Way<'a>> + use<'a> {
        self.rungs.iter().filter(|rung| rung.outcome != Held::NotMeasured).filter_map(|rung| {
            if let Step::Route { target, server, hops, .. } = &rung.step {
                Some(Way { target: *target, server: *server, hops })
            } else {
                None
            }
        })
    }

    /// What was found of the largest packets.
    pub fn sizes(&self) -> impl Iterator<Item = Size> + use<'a> {
        self.rungs.iter().filter_map(|rung| {
            if let Step::PacketSize { largest, mtu, told, .. } = rung.step {
                Some(Size { largest, mtu, told, held: rung.outcome })
            } else {
                None
            }
        })
    }

    /// Whether an address is on the device itself or on its own link: loopback, link-local, a gateway, or within the
    /// prefixes of its addresses. Whoever reaches it has not shown that the gateway forwards anything.
    #[must_use]
    pub fn is_local(&self, wanted: IpAddr) -> bool {
        is_on_the_link(wanted)
            || self.rungs.iter().any(|rung| match &rung.step {
                Step::Neighbour { gateway, .. } | Step::Gateway { gateway } => *gateway == wanted,
                Step::Address { addresses, .. } => addresses.iter().any(|own| covers(own, wanted)),
                Step::Link { .. }
                | Step::Anchor { .. }
                | Step::Resolver { .. }
                | Step::Page { .. }
                | Step::ServerName { .. }
                | Step::ServerConnect { .. }
                | Step::ServerTls { .. }
                | Step::ServerAnswer { .. }
                | Step::Route { .. }
                | Step::PacketSize { .. } => false,
            })
    }

    /// Whether anything beyond the gateway was reached: then the layers below hold, whatever they say of themselves.
    #[must_use]
    pub fn reached_beyond(&self) -> bool {
        self.anchors().any(|anchor| anchor.held == Held::Ok)
            || self.connects().any(|(_, refused, held)| held == Held::Ok || refused)
            || self.asked().any(|asked| asked.held == Held::Ok && !self.is_local(asked.resolver))
            || self.page() == Held::Ok
    }
}

/// Whether an address is never beyond a gateway, whatever the network is.
fn is_on_the_link(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unicast_link_local(),
    }
}

fn tls_of(step: &Step) -> Option<(TlsError, Option<Millis>)> {
    if let Step::ServerTls { error: Some(error), clock_off } = step {
        Some((*error, *clock_off))
    } else {
        None
    }
}

/// Whether an address with its prefix length, `192.0.2.7/24`, has `wanted` on its link.
fn covers(own: &str, wanted: IpAddr) -> bool {
    let Some((address, length)) = own.split_once('/') else { return false };
    let Ok(length) = length.parse::<u32>() else { return false };
    match (address.parse::<IpAddr>(), wanted) {
        (Ok(IpAddr::V4(own)), IpAddr::V4(wanted)) if length <= 32 => {
            let mask = u32::MAX.checked_shl(32 - length).unwrap_or(0);
            length > 0 && u32::from(own) & mask == u32::from(wanted) & mask
        }
        (Ok(IpAddr::V6(own)), IpAddr::V6(wanted)) if length <= 128 => {
            let mask = u128::MAX.checked_shl(128 - length).unwrap_or(0);
            length > 0 && u128::from(own) & mask == u128::from(wanted) & mask
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_on_the_own_link_is_told_by_the_prefix() {
        for (own, wanted, is) in [
            ("192.0.2.7/24", "192.0.2.53", true),
            ("192.0.2.7/24", "198.51.100.53", false),
            ("192.0.2.7/32", "192.0.2.53", false),
            ("192.0.2.7/0", "198.51.100.53", false),
            ("192.0.2.7", "192.0.2.7", false),
            ("192.0.2.7/99", "192.0.2.7", false),
            ("2001:db8::7/64", "2001:db8::53", true),
            ("2001:db8::7/128", "2001:db8::53", false),
            ("2001:db8::7/64", "192.0.2.53", false),
        ] {
            assert_eq!(covers(own, wanted.parse().unwrap()), is, "{own} {wanted}");
        }
    }
}
