//! What the climbs of the ladder say, each and all together.

mod local;
mod names;
mod server;
mod uplink;

use agent::report::Held;
use schedules::Time;

use super::cohort::Cohort;
use super::findings::{Beside, Finding};
use super::picture::Picture;
use super::{Code, Missing, route};
use crate::domain::dossier::Dossier;

/// One climb, and what it is compared with.
pub(super) struct Look<'a> {
    /// What it found.
    pub(super) now: &'a Picture<'a>,
    /// What was found on a good day.
    pub(super) good_day: Option<&'a Picture<'a>>,
    /// Those around the device.
    pub(super) cohort: &'a Cohort,
    /// The hop at which the provider begins.
    pub(super) provider_hop: u8,
}

/// All faults that one climb shows: the cause first.
fn look(look: &Look<'_>) -> Vec<Finding> {
    // Behind what is broken at the device itself nothing can be seen.
    if let Some(found) = local::find(look) {
        return vec![found];
    }
    let mut all = Vec::new();
    let portal = uplink::portal(look);
    let uplink = if portal.is_some() { None } else { uplink::find(look) };
    let cut = uplink.as_ref().is_some_and(|found| matches!(found.code, Code::LastMile | Code::ProviderCore));
    all.extend(portal.or(uplink));
    if cut {
        return all;
    }
    // A name that nobody had to look up is not the cause.
    let names = names::find(look);
    let literal = look.now.server_name() == Held::NotMeasured && look.now.connect() != Held::NotMeasured;
    let server = if all.is_empty() && (names.is_none() || literal) { server::find(look) } else { None };
    if literal {
        all.extend(server);
        all.extend(names);
    } else {
        all.extend(names);
        all.extend(server);
    }
    all
}

fn looks(dossier: &Dossier, cohort: &Cohort) -> Vec<(Time, Vec<Finding>)> {
    let good_day = dossier.good_day.as_ref().map(Picture::of);
    let pictures: Vec<Picture<'_>> = dossier.failures().map(Picture::of).collect();
    let all: Vec<&Picture<'_>> = pictures.iter().chain(&good_day).collect();
    let provider_hop = route::first_of_provider(&all);
    let of = |now: &Picture<'_>| {
        let mut found = look(&Look { now, good_day: good_day.as_ref(), cohort, provider_hop });
        found.iter_mut().for_each(|one| one.beside = Beside::of(now));
        (now.at, found)
    };
    pictures.iter().map(of).collect()
}

/// Whether all climbs show the same cause.
pub(super) fn all_alike(dossier: &Dossier) -> bool {
    let looks = looks(dossier, &Cohort::default());
    let first = looks.first().and_then(|(_, found)| found.first()).map(|found| found.code);
    first.is_some() && looks.iter().all(|(_, found)| found.first().map(|found| found.code) == first)
}

/// What all climbs come to: the cause is what the first of them shows that shows anything; what others show beside it, or
/// after it, is the second fault.
pub(super) fn explain(dossier: &Dossier, cohort: &Cohort) -> Option<Finding> {
    let looks = looks(dossier, cohort);
    let first = looks.iter().position(|(_, found)| !found.is_empty())?;
    let mut cause = looks[first].1.first()?.clone();
    let shows = |found: &[Finding], code: Code| found.iter().any(|one| one.code == code);
    let agree =
        looks.iter().filter(|(_, found)| found.first().is_some_and(|one| one.code == cause.code)).count();
    let same = looks.iter().filter_map(|(_, found)| found.first()).filter(|one| one.code == cause.code);
    let beside = same.map(|one| one.beside).reduce(Beside::and).unwrap_or(Beside::NOTHING);
    let best = looks.iter().flat_map(|(_, found)| found).filter(|one| one.code == cause.code);
    if let Some(best) = best.max_by_key(|one| one.sure) {
        let (since, evidence) = (cause.since, cause.evidence);
        cause = Finding { since, evidence, ..best.clone() };
    }
    cause.beside = beside;
    let gone = looks[first..].iter().find(|(_, found)| !shows(found, cause.code)).map(|(at, _)| *at);
    cause.until = gone.or(dossier.until);
    let others: Vec<&Finding> =
        looks.iter().flat_map(|(_, found)| found).filter(|one| one.code != cause.code).collect();
    let count = |code: Code| others.iter().filter(|one| one.code == code).count();
    let second = others.iter().max_by_key(|one| (count(one.code), std::cmp::Reverse(one.since)));
    if let Some(second) = second {
        let many = count(second.code);
        let earliest = others.iter().filter(|one| one.code == second.code).map(|one| one.since).min();
        let mut second = (*second).clone();
        second.since = earliest.unwrap_or(second.since);
        cause.also = Some(Box::new(second));
        cause.evidence.push(super::Evidence::of(format!(
            "{agree} of {} climbs show {}, {many} show {}",
            looks.len(),
            cause.code,
            others.iter().find(|one| count(one.code) == many).map_or(cause.code, |o| o.code)
        )));
    } else if looks.len() > 1 {
        cause.evidence.push(super::Evidence::of(format!(
            "{agree} of {} climbs show {}",
            looks.len(),
            cause.code
        )));
    }
    cause.sure = weighed(cause.sure, agree, looks.len());
    Some(cause)
}

/// How sure a cause is that so many of all climbs show.
fn weighed(sure: u8, agree: usize, all: usize) -> u8 {
    let (agree, all) = (agree.min(all), all.max(1));
    let share = 60 + 40 * agree / all;
    let sure = usize::from(sure) * share / 100;
    let sure = if all == 1 { sure.saturating_sub(5) } else { sure };
    u8::try_from(sure).unwrap_or(99)
}

/// What no climb measured.
pub(super) fn missing(dossier: &Dossier) -> Vec<Missing> {
    let mut all: Vec<Missing> = Vec::new();
    let rungs = || dossier.failures().flat_map(|climb| &climb.it.rungs);
    for rung in rungs().filter(|rung| rung.outcome == Held::NotMeasured) {
        let word = rung.step.word();
        let measured = rungs().any(|other| other.step.word() == word && other.outcome != Held::NotMeasured);
        if !measured && all.iter().all(|known| known.rung != word) {
            all.push(Missing { rung: word.to_owned(), why: rung.reason.clone() });
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::weighed;

    #[test]
    fn climbs_that_disagree_and_few_climbs_take_from_the_confidence() {
        for (sure, agree, all, wanted) in
            [(90, 5, 5, 90), (90, 1, 1, 85), (90, 1, 4, 63), (90, 0, 4, 54), (0, 1, 1, 0), (99, 9, 3, 99)]
        {
            assert_eq!(weighed(sure, agree, all), wanted, "{sure} {agree} {all}");
        }
    }
}
