//! Faults of the line, of the provider's network, between providers, of one family of addresses; and captive portals.

use std::net::IpAddr;

use agent::report::{Family, Held, TlsError};

use super::{Look, server};
use crate::domain::verdict::findings::Finding;
use crate::domain::verdict::picture::{Anchor, Picture};
use crate::domain::verdict::{Code, Evidence, route};

/// A page that somebody in between gave.
pub(super) fn portal(look: &Look<'_>) -> Option<Finding> {
    let now = look.now;
    let as_always = look.good_day.is_some_and(|then| then.page_changed());
    if !now.page_changed() || as_always || (now.tls() == Held::Ok && now.answer() == Held::Fail) {
        return None;
    }
    let mut evidence = vec![Evidence::at(now.at, "a page that is known came back as another one")];
    let foreign = now.tls_error().is_some_and(|(error, _)| match error {
        TlsError::Untrusted | TlsError::OtherName | TlsError::NotTls => true,
        TlsError::Expired | TlsError::NotYetValid | TlsError::Other => false,
    });
    if foreign {
        evidence.push(Evidence::at(now.at, "what answered in place of the server could not prove to be it"));
    }
    let sure = match (foreign, now.tls()) {
        // It lets the server's own connections through.
        (_, Held::Ok) => 55,
        (true, _) => 92,
        (false, _) => 85,
    };
    Some(Finding::new(Code::CaptivePortal, sure, now.at, evidence))
}

/// The anchors that prove anything: one that fails on a good day as well does not.
fn anchors(look: &Look<'_>) -> Vec<Anchor> {
    let silent_then = |address: IpAddr| {
        look.good_day.is_some_and(|then| {
            then.anchors().any(|anchor| anchor.address == address && anchor.held == Held::Fail)
        })
    };
    // One of a family that the device has no address of cannot be reached anyway.
    let has = |address: IpAddr| {
        look.now.address() != Held::Ok || look.now.address_of(family_of(address)) == Held::Ok
    };
    let measured = look.now.anchors().filter(|anchor| anchor.held != Held::NotMeasured);
    let proves = |anchor: &Anchor| !silent_then(anchor.address) && has(anchor.address);
    measured.filter(|anchor| anchor.held == Held::Ok || proves(anchor)).collect()
}

/// Where the way out ends, if it does.
pub(super) fn find(look: &Look<'_>) -> Option<Finding> {
    let anchors = anchors(look);
    if let Some(found) = family(look, &anchors) {
        return Some(found);
    }
    let (given, next): (Vec<Anchor>, Vec<Anchor>) = anchors.iter().partition(|anchor| anchor.given);
    let ok = |all: &[Anchor]| all.iter().filter(|anchor| anchor.held == Held::Ok).count();
    let far = look.now.connects().any(|(_, refused, held)| held == Held::Ok || refused);
    if far {
        return None;
    }
    let (good, all) = (ok(&given), given.len());
    // Where the server was lost by all, what only the way to it shows is nothing of this site's.
    let by_all = look.now.connect() == Held::Fail && server::is_down_for_all(look.cohort);
    if good > 0 && good < all {
        return (look.now.connect() == Held::Fail && !by_all).then(|| transit(look, &given));
    }
    if look.now.page() == Held::Ok {
        return None;
    }
    if all > 0 {
        return if good == 0 { cut(look, Some(all), ok(&next)) } else { None };
    }
    if !next.is_empty() {
        let good = ok(&next);
        let lost_on_the_way = good < next.len() && !(by_all && good > 0);
        return if lost_on_the_way { cut(look, None, good) } else { None };
    }
    // Nothing but the way to the server itself was tried: that says something of the line only where there is one between.
    if look.now.connect() == Held::Fail && !by_all && !is_server_near(look) {
        cut(look, None, 0)
    } else {
        None
    }
}

/// Whether nothing of a provider lies between the device and the server: it is on the device's own link, or it was the
/// next hop, the one behind the gateway at most, on a good day.
pub(super) fn is_server_near(look: &Look<'_>) -> bool {
    /// The hop that follows the gateway.
    const BEHIND_GATEWAY: u8 = 2;
    let on_the_link = |picture: &Picture<'_>| {
        look.now.connects().any(|(address, ..)| picture.is_local(address.ip()))
            && look.now.connects().all(|(address, ..)| picture.is_local(address.ip()))
    };
    let next_hop = |then: &Picture<'_>| {
        let mut there = then.ways().filter(|way| way.server).flat_map(|way| way.hops);
        there.any(|hop| hop.last && hop.ttl <= BEHIND_GATEWAY)
    };
    on_the_link(look.now) || look.good_day.is_some_and(|then| on_the_link(then) || next_hop(then))
}

fn transit(look: &Look<'_>, given: &[Anchor]) -> Finding {
    let list = |held: Held| {
        let some = given.iter().filter(|anchor| anchor.held == held).map(|anchor| anchor.address.to_string());
        some.collect::<Vec<_>>().join(", ")
    };
    let at = look.now.at;
    let what = format!("{} could be reached, {} could not", list(Held::Ok), list(Held::Fail));
    Finding::new(Code::Transit, 70, at, vec![Evidence::at(at, what)])
}

/// No anchor is reached, or the next hops are not: `named`: how many anchors somebody had named, `next`: how many of the
/// next hops were reached.
fn cut(look: &Look<'_>, named: Option<usize>, next: usize) -> Option<Finding> {
    let now = look.now;
    let end = route::end(now, look.good_day);
    if end.is_some_and(|end| end.reached) {
        return None;
    }
    // The provider's own resolver answers, so the line to the provider holds. One with a private address may be the site's.
    let of_provider = |at: IpAddr| !now.is_local(at) && !route::is_private(at);
    let resolver = now.asked().find(|asked| asked.held == Held::Ok && of_provider(asked.resolver));
    let mut hop = end.map_or(0, |end| end.hop);
    if next > 0 || resolver.is_some() {
        hop = hop.max(look.provider_hop + 1);
    }
    let mut evidence = Vec::new();
    if now.gateway() == Held::Ok {
        evidence.push(Evidence::at(now.at, "the gateway answered"));
    }
    evidence.push(Evidence::at(
        now.at,
        match named {
            Some(1) => "the anchor could not be reached".to_owned(),
            Some(count) => format!("none of {count} anchors could be reached"),
            None => "the hops beyond the gateway, or the server, could not be reached".to_owned(),
        },
    ));
    if let Some(asked) = resolver {
        evidence.push(Evidence::at(
            now.at,
            format!("the resolver {} beyond the gateway answered", asked.resolver),
        ));
    }
    let (code, mut sure) = match end {
        None if hop > look.provider_hop => (Code::ProviderCore, 60),
        None => (Code::LastMile, 45),
        Some(_) if hop > look.provider_hop => (Code::ProviderCore, 78),
        Some(end) => match end.next {
            // Hops that were silent on a good day as well lie between: the fault may be behind them.
            Some(next) if next > look.provider_hop + 1 => (Code::LastMile, 50),
            Some(_) => (Code::LastMile, 88),
            None => (Code::LastMile, 76),
        },
    };
    if let Some(end) = end {
        let who = end.address.map_or(String::new(), |address| format!(", {address}"));
        let what = if end.hop == 0 {
            "no hop of any route answered".to_owned()
        } else {
            format!("the furthest route ended behind hop {}{who}", end.hop)
        };
        let next = end.next.map_or(String::new(), |next| format!("; on a good day hop {next} answers next"));
        evidence.push(Evidence::at(now.at, what + &next));
    }
    if named.is_none() {
        sure -= 15;
    }
    if now.gateway() != Held::Ok {
        sure -= 12;
    }
    if end.is_some_and(|end| end.said == route::Said::Refused) {
        evidence.push(Evidence::at(now.at, "somebody on the way said that it does not go on"));
    }
    let mut found = Finding::new(code, sure, now.at, evidence);
    found.address = end.and_then(|end| end.address);
    // A hop is named only where a route showed it, never where it was inferred from what else answered.
    let least = if code == Code::ProviderCore { look.provider_hop + 1 } else { 2 };
    let shown = end.filter(|end| end.hop >= least);
    Some(shown.map_or(found.clone(), |end| found.of(end.hop)))
}

fn family_of(address: IpAddr) -> Family {
    match address {
        IpAddr::V4(_) => Family::Ipv4,
        IpAddr::V6(_) => Family::Ipv6,
    }
}

/// All of one family fails, and the other one works.
fn family(look: &Look<'_>, anchors: &[Anchor]) -> Option<Finding> {
    let now = look.now;
    let tries = || {
        let servers = now.connects().map(|(address, refused, held)| {
            let held = if refused { Held::Ok } else { held };
            (family_of(address.ip()), held)
        });
        let named = anchors.iter().filter(|anchor| anchor.given);
        named.map(|anchor| (family_of(anchor.address), anchor.held)).chain(servers)
    };
    let of = |wanted: Family| {
        let tries = tries().filter(|(family, held)| *family == wanted && *held != Held::NotMeasured);
        tries.fold(
            (0, 0),
            |(good, bad), (_, held)| if held == Held::Ok { (good + 1, bad) } else { (good, bad + 1) },
        )
    };
    for (broken, works) in [(Family::Ipv6, Family::Ipv4), (Family::Ipv4, Family::Ipv6)] {
        let ((good, bad), (other_good, other_bad)) = (of(broken), of(works));
        // A family that the device has no address of does not fail: it is not there.
        let had = now.address_of(broken) == Held::Ok
            || look.good_day.is_some_and(|then| then.address_of(broken) == Held::Ok);
        let named = anchors.iter().any(|anchor| anchor.given && family_of(anchor.address) == broken);
        // Our server alone says nothing of a family, unless it is reached over the other one: it may be down.
        let same_server = now
            .connects()
            .any(|(at, refused, held)| family_of(at.ip()) == works && (held == Held::Ok || refused));
        if good > 0 || bad == 0 || other_good == 0 || other_bad > 0 || !had || !(named || same_server) {
            continue;
        }
        let word = |family| match family {
            Family::Ipv4 => "IPv4",
            Family::Ipv6 => "IPv6",
        };
        let what = format!(
            "over {} nothing was reached ({bad} tries), over {} all was ({other_good})",
            word(broken),
            word(works)
        );
        let sure = if named { 85 } else { 65 };
        let found = Finding::new(Code::AddressFamily, sure, now.at, vec![Evidence::at(now.at, what)]);
        return Some(found.of(word(broken)));
    }
    None
}
