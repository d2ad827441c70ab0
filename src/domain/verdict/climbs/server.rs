//! Faults at our own end: the server's port, its certificate, its answer; and what only shows there.

use agent::report::{Held, TlsError};
use schedules::Millis;

use super::{Look, uplink};
use crate::domain::verdict::findings::Finding;
use crate::domain::verdict::picture::Size;
use crate::domain::verdict::sentence::long_span;
use crate::domain::verdict::{Code, Cohort, Evidence, Others, route};

/// How exactly it is known how far a clock is off.
const CLOCK: Millis = Millis::from_secs(5);
/// By how much a clock must be off where nobody knows how much it takes for the certificate.
const CLOCK_ALONE: Millis = Millis::from_secs(3_600);

/// So many others dropped for each one that was fine, where the server was down for all.
const MANY: u32 = 4;

/// Whether so many others dropped at the same time that the server was down for all. Where all of them are sites of this
/// site's provider, it may as well be the provider.
pub(super) fn is_down_for_all(cohort: &Cohort) -> bool {
    let others = &cohort.others;
    others.dropped > others.of_provider.0 && same_for_most(others)
}

/// A server that is down is down for all; a few may be slow to notice.
fn same_for_most(others: &Others) -> bool {
    others.dropped > 0 && others.dropped >= others.fine.saturating_mul(MANY)
}

/// A fault there, where all before it holds.
pub(super) fn find(look: &Look<'_>) -> Option<Finding> {
    let now = look.now;
    match (now.connect(), now.tls(), now.answer()) {
        (Held::Fail, ..) => Some(port(look)),
        (_, Held::Fail, _) => tls(look),
        (_, _, Held::Fail) => Some(answer(look)),
        (Held::Ok | Held::NotMeasured, Held::Ok | Held::NotMeasured, Held::Ok | Held::NotMeasured) => {
            large(look)
        }
    }
}

/// All that is small passes, also the server's answer: a report is larger than that. On a line with losses large packets
/// may be missing by chance.
fn large(look: &Look<'_>) -> Option<Finding> {
    let lost = look.now.anchors().any(|anchor| anchor.loss_permille.is_some_and(|loss| loss > 0));
    if lost || look.now.gateway_loss().is_some_and(|loss| loss > 0) {
        return None;
    }
    stuck(look).map(|stuck| mtu(look, stuck, 72))
}

/// The port does not answer: whether others have the same says whose fault it is.
fn port(look: &Look<'_>) -> Finding {
    let now = look.now;
    let others = &look.cohort.others;
    let refused = now.connects().any(|(_, refused, _)| refused);
    let named = now.anchors().any(|anchor| anchor.given && anchor.held == Held::Ok);
    let how = if refused { "refused the connection" } else { "did not answer" };
    let address = now.connects().next().map(|(address, ..)| address);
    let who =
        address.map_or("the server's port".to_owned(), |address| format!("the server's port {address}"));
    let mut evidence = vec![Evidence::at(now.at, format!("{who} {how}"))];
    if named {
        evidence.push(Evidence::at(now.at, "the anchors answered"));
    }
    if let Some(end) = route::end_to_server(now, look.good_day).filter(|end| !end.reached && end.hop > 0) {
        let hop = end.address.map_or(String::new(), |address| format!(", {address}"));
        evidence
            .push(Evidence::at(now.at, format!("the route to the server ended behind hop {}{hop}", end.hop)));
    }
    evidence.push(Evidence::of(others.told()));
    let near = uplink::is_server_near(look);
    let (code, mut sure) = match (same_for_most(others), others.dropped, others.fine, refused) {
        (true, ..) => (Code::Server, 88),
        // No provider lies between.
        (false, 0, 0, _) if near => (Code::Server, 65),
        (false, ..) if near => (Code::Server, 35),
        (false, 0, 0, true) => (Code::Server, 62),
        (false, 0, 0, false) => (Code::Path, 42),
        (false, 0, _, true) => (Code::Path, 50),
        (false, 0, _, false) => (Code::Path, 82),
        (false, ..) => (Code::Path, 58),
    };
    if !named && !near {
        sure -= 12;
    }
    Finding::new(code, sure, now.at, evidence)
}

/// Whether large packets get stuck, as they do not on a good day.
fn stuck(look: &Look<'_>) -> Option<(Size, u32)> {
    let then = look.good_day.and_then(|then| then.sizes().filter_map(|size| size.largest).max());
    look.now.sizes().find_map(|size| {
        let largest = size.largest?;
        let wanted = then.unwrap_or(size.mtu).min(size.mtu);
        (size.held != Held::NotMeasured && largest < wanted).then_some((size, wanted))
    })
}

fn mtu(look: &Look<'_>, (size, wanted): (Size, u32), sure: u8) -> Finding {
    let at = look.now.at;
    let largest = size.largest.unwrap_or_default();
    let mut evidence = vec![Evidence::at(
        at,
        format!("packets of up to {largest} bytes passed, larger ones up to {wanted} did not"),
    )];
    evidence.push(Evidence::at(
        at,
        if size.told {
            "somebody on the way said that they were too large, as it ought to"
        } else {
            "nobody on the way said that they were too large"
        },
    ));
    Finding::new(Code::Mtu, sure, at, evidence).of(largest)
}

/// Whether a clock that is off by `skew` is why a certificate is not valid, how sure that is, and by how much it is off: by
/// the right clock, the certificate must be valid. `clock_off`: how far the device's clock lies outside of its time.
fn explains(error: TlsError, skew: Millis, clock_off: Option<Millis>) -> Option<(u8, Millis)> {
    let off = Millis(skew.0.saturating_abs());
    let is_ahead = skew > Millis::ZERO;
    if off <= CLOCK || is_ahead != (error == TlsError::Expired) {
        return None;
    }
    match clock_off {
        Some(outside) => (off + CLOCK >= Millis(outside.0.saturating_abs())).then_some((92, off)),
        None => (off > CLOCK_ALONE).then_some((70, off)),
    }
}

fn tls(look: &Look<'_>) -> Option<Finding> {
    let now = look.now;
    let at = now.at;
    let (error, clock_off) = now.tls_error().unwrap_or((TlsError::Other, None));
    let certificate = |sure, what: String| {
        let mut evidence = vec![Evidence::at(at, what)];
        if let Some(skew) = now.skew {
            evidence.push(Evidence::at(
                at,
                format!("the device's clock was off by {}", long_span(Millis(skew.0.saturating_abs()))),
            ));
        }
        if look.cohort.others.dropped > 0 {
            evidence.push(Evidence::of(look.cohort.others.told()));
        }
        Some(Finding::new(Code::Certificate, sure, at, evidence))
    };
    match error {
        TlsError::Expired | TlsError::NotYetValid => {
            let word = if error == TlsError::Expired { "not valid any more" } else { "not valid yet" };
            let clock = match now.skew {
                Some(skew) => explains(error, skew, clock_off),
                // Nobody knows how far off it was: before its time no certificate is shown by a right clock.
                None if error == TlsError::NotYetValid => Some((65, clock_off.unwrap_or(Millis::ZERO))),
                None => None,
            };
            match clock {
                Some((sure, off)) => {
                    let off = long_span(Millis(off.0.saturating_abs()));
                    let what = format!(
                        "the server's certificate was {word} by the device's clock, which was off by {off}"
                    );
                    Some(Finding::new(Code::DeviceClock, sure, at, vec![Evidence::at(at, what)]).of(off))
                }
                None => certificate(85, format!("the server's certificate was {word}")),
            }
        }
        TlsError::Untrusted => certificate(82, "what answered had another key than the server's".to_owned()),
        TlsError::OtherName => certificate(82, "the certificate was one for another name".to_owned()),
        TlsError::NotTls => certificate(70, "what answered did not speak TLS".to_owned()),
        TlsError::Other => match stuck(look) {
            Some(stuck) => Some(mtu(look, stuck, 82)),
            None => certificate(35, "the connection was accepted, and TLS failed".to_owned()),
        },
    }
}

fn answer(look: &Look<'_>) -> Finding {
    let at = look.now.at;
    match (look.now.answer_status(), stuck(look)) {
        (None, Some(stuck)) => mtu(look, stuck, 80),
        (None, None) => Finding::new(
            Code::Server,
            45,
            at,
            vec![Evidence::at(at, "the server proved who it is, and then did not answer")],
        ),
        (Some(status), _) => {
            let sure = if status >= 500 { 78 } else { 60 };
            Finding::new(
                Code::Server,
                sure,
                at,
                vec![Evidence::at(at, format!("the server answered with {status}"))],
            )
            .of(format!("the server answered with {status}"))
        }
    }
}
