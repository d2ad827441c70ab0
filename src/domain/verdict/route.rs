//! Where a route ends, compared with a good day: hops that are silent then prove nothing.

use std::net::IpAddr;

use agent::report::Hop;

use super::picture::{Picture, Way};

/// How far the packets came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// The last hop that answered; 0: none did.
    pub hop: u8,
    /// Who that was.
    pub address: Option<IpAddr>,
    /// Which hop of a good day ought to have answered next; absent: none is known of.
    pub next: Option<u8>,
    /// Whether the target itself answered.
    pub reached: bool,
    /// What somebody on the way said, where it was not that time was exceeded.
    pub said: Said,
}

/// Whether somebody on the way said why it does not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// Nobody did.
    Nothing,
    /// Somebody did: unreachable, prohibited.
    Refused,
}

/// The hop at which the provider begins: the first one beyond the gateway that is no private address, the third at most;
/// without any it is the second.
#[must_use]
pub fn first_of_provider(pictures: &[&Picture<'_>]) -> u8 {
    let hops = pictures.iter().flat_map(|picture| picture.ways()).flat_map(|way| way.hops);
    let public = hops
        .filter(|hop| (2..=3).contains(&hop.ttl) && hop.address.is_some_and(|at| !is_private(at)))
        .map(|hop| hop.ttl)
        .min();
    public.unwrap_or(2)
}

/// How far the furthest of the routes came, by hops; none where none was measured.
#[must_use]
pub fn end(now: &Picture<'_>, good_day: Option<&Picture<'_>>) -> Option<End> {
    let furthest = now.ways().map(|way| end_of(&way, good_day)).max_by_key(|end| (end.reached, end.hop))?;
    // The next hops beyond the gateway, where they were asked as anchors, answer for themselves.
    Some(furthest)
}

/// How far the route to the server came.
#[must_use]
pub fn end_to_server(now: &Picture<'_>, good_day: Option<&Picture<'_>>) -> Option<End> {
    now.ways()
        .filter(|way| way.server)
        .map(|way| end_of(&way, good_day))
        .max_by_key(|end| (end.reached, end.hop))
}

fn end_of(way: &Way<'_>, good_day: Option<&Picture<'_>>) -> End {
    let last = way.hops.iter().filter(|hop| hop.address.is_some()).max_by_key(|hop| hop.ttl);
    let hop = last.map_or(0, |hop| hop.ttl);
    let reached = way.hops.iter().any(|hop| hop.last);
    let then = good_day.and_then(|good| {
        let same = good.ways().find(|other| other.target == way.target);
        same.or_else(|| good.ways().find(|other| other.server == way.server))
    });
    let answered = |other: &&Hop| other.ttl > hop && other.address.is_some();
    let next = then.and_then(|then| then.hops.iter().filter(answered).map(|hop| hop.ttl).min());
    let said = if last.is_some_and(|hop| !hop.said.is_empty()) { Said::Refused } else { Said::Nothing };
    End { hop, address: last.and_then(|hop| hop.address), next, reached, said }
}

/// Whether an address is one of a private network. Those of a carrier's own NAT are the provider's.
#[must_use]
pub fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_private() || v4.is_link_local() || v4.is_loopback(),
        IpAddr::V6(v6) => v6.is_unique_local() || v6.is_unicast_link_local() || v6.is_loopback(),
    }
}
