//! What the frozen minutes say of the line itself: noise, or too much of our own.

use super::climbs;
use super::findings::Finding;
use super::picture::Picture;
use super::sentence::percent;
use super::{Code, Evidence};
use crate::domain::dossier::{Dossier, NOISY, summed};

/// How many lines must say so.
const ENOUGH: usize = 2;

/// A noisy or a full line, where the frozen minutes or the climbs tell of one.
pub(super) fn explain(dossier: &Dossier, climbed: Option<&Finding>) -> Option<Finding> {
    // A line that lets nothing through at all is not noisy, but broken: then the ladder says where.
    let hard = climbed.is_some_and(|found| {
        let broken = matches!(found.code, Code::Link | Code::NoAddress | Code::Gateway);
        let cut = matches!(found.code, Code::LastMile | Code::ProviderCore) && climbs::all_alike(dossier);
        cut || (broken && found.covers(dossier).times(2) >= dossier.end().since(dossier.from))
    });
    if hard {
        return None;
    }
    let minutes = summed(dossier.minutes());
    let pictures: Vec<Picture<'_>> = dossier.failures().map(Picture::of).collect();
    let lossy = |loss: u32| NOISY.contains(&loss);
    let noisy_gateways: Vec<&Picture<'_>> =
        pictures.iter().filter(|picture| picture.gateway_loss().is_some_and(lossy)).collect();
    let noisy_anchors = pictures.iter().filter(|picture| {
        let mut lost = picture.anchors().filter_map(|anchor| anchor.loss_permille).filter(|&loss| loss > 0);
        lost.any(lossy) && picture.gateway_loss().is_none_or(|loss| loss < *NOISY.start())
    });
    // As a fault begins or ends, one climb sees it come or go: a line that is bad is so in most of them.
    let noisy_anchors = Some(noisy_anchors.count()).filter(|many| many * 2 > pictures.len()).unwrap_or(0);
    let slow = slow(dossier, &minutes, &pictures);
    let lost = minutes.lossy >= ENOUGH || !noisy_gateways.is_empty() || noisy_anchors >= 1;
    let since = dossier.from;
    if minutes.full >= ENOUGH && (lost || slow) {
        let what = format!(
            "in {} of {} frozen lines the link was at least 90 % full, at most {}",
            minutes.full,
            minutes.lines,
            percent(minutes.most_used)
        );
        let mut evidence = vec![Evidence::at(since, what)];
        evidence.push(Evidence::of(format!(
            "{} of the packets to the gateway were lost",
            percent(minutes.loss_permille)
        )));
        return Some(Finding::new(Code::Congestion, 75, since, evidence));
    }
    if !lost {
        return None;
    }
    let mut evidence = Vec::new();
    if minutes.lossy > 0 {
        let what = format!(
            "{} of the packets to the gateway were lost in the frozen minutes, with {} errors of the interface",
            percent(minutes.loss_permille),
            minutes.errors
        );
        evidence.push(Evidence::at(since, what));
    }
    for picture in noisy_gateways.iter().take(3) {
        let loss = picture.gateway_loss().unwrap_or_default();
        evidence.push(Evidence::at(
            picture.at,
            format!("a climb lost {} of its packets to the gateway", percent(loss)),
        ));
    }
    let rising = minutes.with_errors >= ENOUGH;
    let own_line = minutes.lossy >= ENOUGH || !noisy_gateways.is_empty();
    let sure = match (own_line, rising) {
        (true, true) => 85,
        (true, false) => 50,
        (false, _) => 45,
    };
    if !own_line {
        evidence.push(Evidence::of(format!(
            "in {noisy_anchors} climbs packets were lost beyond the gateway, and none on the way to it"
        )));
    }
    let mut found = Finding::new(Code::LineNoise, sure, since, evidence);
    // Beyond the gateway the line is the provider's.
    found.who = (!own_line).then_some(super::Who::Provider);
    let in_climbs = !noisy_gateways.is_empty() || noisy_anchors > 0;
    (in_climbs || climbed.is_none() || !climbs::all_alike(dossier)).then_some(found)
}

/// Whether the way to the gateway took five times as long as on a good day.
fn slow(dossier: &Dossier, minutes: &crate::domain::dossier::Minutes, pictures: &[Picture<'_>]) -> bool {
    use agent::report::Step;
    let rtt = |picture: &Picture<'_>| {
        let gateway = picture.rungs().iter().find(|rung| matches!(rung.step, Step::Gateway { .. }));
        gateway.and_then(|rung| rung.rtt_us).map(u64::from)
    };
    let Some(then) = dossier.good_day.as_ref().map(Picture::of).as_ref().and_then(rtt) else { return false };
    let limit = then.saturating_mul(5).max(50_000);
    minutes.rtt_us.is_some_and(|now| now >= limit) || pictures.iter().filter_map(rtt).any(|now| now >= limit)
}
