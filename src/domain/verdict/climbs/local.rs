//! Faults at the device itself, and up to its gateway.

use agent::report::{Held, Rung, Step};

use super::Look;
use crate::domain::verdict::findings::Finding;
use crate::domain::verdict::picture::Picture;
use crate::domain::verdict::{Code, Evidence, route};

/// Why a rung that failed did, as the agent says.
pub(super) fn reason(picture: &Picture<'_>, wanted: impl Fn(&Step) -> bool) -> String {
    let failed = |rung: &&Rung| rung.outcome == Held::Fail && wanted(&rung.step) && !rung.reason.is_empty();
    picture.rungs().iter().find(failed).map_or(String::new(), |rung| format!(": {}", rung.reason))
}

/// A link without a carrier, no address, or a gateway that is not there.
pub(super) fn find(look: &Look<'_>) -> Option<Finding> {
    let now = look.now;
    // Whoever reached anything beyond the gateway has all of that.
    if now.reached_beyond() {
        return None;
    }
    let nearby = now.gateway() == Held::Ok || now.neighbour() == Held::Ok;
    let interface = now.interface().unwrap_or("its interface");
    if now.link() == Held::Fail && !nearby {
        let why = reason(now, |step| matches!(step, Step::Link { .. }));
        let evidence = vec![Evidence::at(now.at, format!("the link of {interface} was down{why}"))];
        return Some(Finding::new(Code::Link, 92, now.at, evidence).of(interface));
    }
    if now.address() == Held::Fail && !nearby {
        let why = reason(now, |step| matches!(step, Step::Address { .. }));
        let link = if now.link() == Held::Ok { "the link was up" } else { "the link was not measured" };
        let evidence = vec![Evidence::at(now.at, format!("{link}, and {interface} had no address{why}"))];
        let sure = if now.link() == Held::Ok { 90 } else { 70 };
        return Some(Finding::new(Code::NoAddress, sure, now.at, evidence).of(interface));
    }
    gateway(look)
}

fn gateway(look: &Look<'_>) -> Option<Finding> {
    let now = look.now;
    let address = now.gateway_address()?;
    let found = |sure, what: String| {
        let mut found =
            Finding::new(Code::Gateway, sure, now.at, vec![Evidence::at(now.at, what)]).of(address);
        found.address = Some(address);
        Some(found)
    };
    if now.gateway() == Held::Ok {
        return None;
    }
    let asked = |step: &Step| matches!(step, Step::Neighbour { .. });
    if now.neighbour() == Held::Fail {
        let sure = if now.address() == Held::Ok { 90 } else { 75 };
        return found(
            sure,
            format!("nobody had the hardware address of the gateway {address}{}", reason(now, asked)),
        );
    }
    // Its hardware address may be known from before: it is there, but it neither answers nor forwards anything.
    let answered_then = look.good_day.is_some_and(|then| then.gateway() == Held::Ok);
    let end = route::end(now, look.good_day);
    let nothing_forwarded = end.is_some_and(|end| end.hop == 0);
    if now.gateway() == Held::Fail && answered_then && nothing_forwarded {
        return found(
            60,
            format!("the gateway {address} did not answer, as it did on a good day, and forwarded nothing"),
        );
    }
    None
}
