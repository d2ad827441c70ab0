//! Those around a device: who else was out, what they tell, and whether the server itself could see.

use agent::report::{AgentOutage, Gap};
use schedules::{Millis, Time};

use super::findings::Finding;
use super::sentence;
use super::{Code, Evidence, Verdict, Who};
use crate::domain::dossier::{Dossier, NOISY, Progress};
use crate::domain::history::Interval;
use crate::domain::named;

/// How close together whatever has one cause goes.
const TOGETHER: Millis = Millis::from_secs(60);

named! {
    /// Whether what comes in from outside reaches the device.
    pub enum Inbound {
        /// Nobody tries.
        NotMeasured = "not-measured",
        /// Probes from outside are answered.
        Holds = "holds",
        /// They are not.
        Fails = "fails",
    }
}

named! {
    /// Why the server did not see.
    pub enum Absence {
        /// lineman itself was not running.
        Away = "away",
        /// The server was cut off.
        Blind = "blind",
    }
}

/// Another device of the site.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sibling {
    /// Its name.
    pub name: String,
    /// When it was out of reach, or nobody knew of it; oldest first.
    pub dark: Vec<Interval>,
    /// When it was proven afterwards that it ran.
    pub ran: Vec<Interval>,
    /// When its agent was last heard, where it has one: that tells each boot, so silence on it is a proof from then on.
    pub heard: Option<Time>,
    /// The gaps of its record around the outage.
    pub gaps: Vec<Gap>,
    /// Where its own fault of that time was, and how sure that is.
    pub verdict: Option<(Code, u8)>,
}

impl Sibling {
    /// Whether it ran all that time: its own record proves it, or nobody missed it. One without an agent may be back
    /// before anybody misses it; one with an agent would tell of a boot once it is heard again.
    #[must_use]
    pub fn ran_through(&self, (from, to): Interval) -> bool {
        /// So long nobody is out of reach without being missed.
        const MISSED: Millis = Millis::from_secs(180);
        let overlaps = |&&(a, b): &&Interval| a < to && from < b;
        let off = self.gaps.iter().any(|gap| gap.booted && gap.from.unwrap_or(gap.to) < to && from < gap.to);
        let proven = self.ran.iter().any(|&(a, b)| a <= from && to <= b);
        let told = self.heard.is_some_and(|heard| heard >= to) || to.since(from) >= MISSED;
        !off && (proven || (told && self.dark.iter().find(overlaps).is_none()))
    }

    /// Whether it went out of reach within a minute of `about`.
    pub(super) fn dark_since(&self, about: Time) -> bool {
        let near = |from: Time| from.since(about).0.saturating_abs() <= TOGETHER.0;
        self.dark.iter().any(|&(from, to)| near(from) && to >= about)
    }

    fn dark_at(&self, at: Time) -> bool {
        self.dark.iter().any(|&(from, to)| from <= at && at <= to)
    }
}

/// The other sites.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Others {
    /// How many of them dropped within a minute of this one.
    pub dropped: u32,
    /// How many were fine all that time.
    pub fine: u32,
    /// The provider of this site, where it is known.
    pub provider: Option<String>,
    /// How many of its other sites dropped, and how many were fine.
    pub of_provider: (u32, u32),
}

impl Others {
    /// In words.
    pub(super) fn told(&self) -> String {
        match (self.dropped, self.fine) {
            (0, 0) => "there is no other site to compare with".to_owned(),
            (0, fine) => format!("{} fine meanwhile", sites(fine, "other site was", "other sites were")),
            (dropped, 0) => format!(
                "{} at the same time, none was fine",
                sites(dropped, "other site dropped", "other sites dropped")
            ),
            (dropped, fine) => format!(
                "{} at the same time, {fine} did not",
                sites(dropped, "other site dropped", "other sites dropped")
            ),
        }
    }
}

fn sites(count: u32, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// What the server knows of those around a device while it was out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cohort {
    /// Whether the device has an agent that could tell anything.
    pub has_agent: bool,
    /// Whether its agent checked in all the time, from before the outage until now: one check-in since does not show that.
    pub reported: bool,
    /// Whether probes from outside were answered.
    pub inbound: Option<Inbound>,
    /// The other devices of the site.
    pub siblings: Vec<Sibling>,
    /// When the server itself did not see, and why.
    pub absences: Vec<(Interval, Absence)>,
    /// The other sites.
    pub others: Others,
    /// The device's address before and after, where it changed meanwhile.
    pub moved: Option<(String, String)>,
}

/// The server itself was away, or cut off, for most of the outage and from its beginning on. `climbed`: what the device
/// found meanwhile. Where that is a fault on its own side, the server was not cut off, but all that it watches was.
pub(super) fn absence(dossier: &Dossier, cohort: &Cohort, climbed: Option<&Finding>) -> Option<Finding> {
    let long = dossier.end().since(dossier.from);
    let is_ours = climbed.is_none_or(|found| match found.code.who() {
        Who::Us | Who::Wait | Who::Nobody => true,
        Who::Provider => matches!(found.code, Code::Path | Code::Transit),
        Who::Site | Who::Dhcp | Who::Resolver | Who::Configuration | Who::Office => false,
    });
    cohort.absences.iter().find_map(|&((from, to), why)| {
        if why == Absence::Blind && !is_ours {
            return None;
        }
        let overlap = to.min(dossier.end()).since(from.max(dossier.from));
        if from > dossier.from + TOGETHER || overlap.0 <= 0 || overlap.times(2) < long {
            return None;
        }
        let (sure, what) = match why {
            Absence::Away => (92, "lineman itself was not running"),
            Absence::Blind => (78, "the server itself was cut off from the network"),
        };
        let mut found = Finding::new(Code::Server, sure, from, vec![Evidence::at(from, what)]);
        found.until = Some(to);
        Some(found.of(what))
    })
}

/// What is so where nothing failed as far as the device tells.
pub(super) fn quiet(dossier: &Dossier, cohort: &Cohort) -> Option<Finding> {
    let told = dossier.told.as_ref().and_then(|told| {
        let (before, after) = (told.address_before?, told.address_after?);
        (before != after).then(|| (before.to_string(), after.to_string()))
    });
    let sure = if told.is_some() { 78 } else { 70 };
    if let Some((before, after)) = told.or_else(|| cohort.moved.clone()) {
        let what = format!("its address was {before}, and is {after}");
        let evidence = vec![Evidence::at(dossier.end(), what)];
        return Some(
            Finding::new(Code::AddressChange, sure, dossier.from, evidence)
                .of(format!("{before} to {after}")),
        );
    }
    inbound_filter(dossier, cohort)
}

/// What comes in is filtered: the agent checked in all the time, and probes from outside were not answered. An agent that
/// was cut off itself does so as well after its first check-in: then it has recorded that.
pub(super) fn inbound_filter(dossier: &Dossier, cohort: &Cohort) -> Option<Finding> {
    let fails = matches!(cohort.inbound, Some(Inbound::Fails));
    let began = |told: &AgentOutage| told.began_at.max(dossier.from);
    let cut_off = dossier.failures().next().is_some()
        || dossier.told.as_ref().is_some_and(|told| told.ended_at.unwrap_or(dossier.end()) >= began(told))
        || dossier.gaps.iter().any(|gap| gap.it.booted && gap.it.to >= dossier.from);
    (cohort.reported && fails && !cut_off).then(|| {
        let evidence = vec![
            Evidence::at(dossier.from, "probes from outside were not answered"),
            Evidence::of("its agent checked in all the time"),
        ];
        Finding::new(Code::InboundFilter, 78, dossier.from, evidence)
    })
}

/// What is the likeliest as long as the device tells nothing, why, and how sure.
pub(super) fn likeliest(dossier: &Dossier, cohort: &Cohort) -> Option<(Code, String, u8)> {
    if let Some(found) = absence(dossier, cohort, None) {
        return Some((Code::Server, found.thing, 70));
    }
    let others = &cohort.others;
    let (dropped, fine) = others.of_provider;
    if let Some(provider) = others.provider.as_ref().filter(|_| dropped > 0 && dropped >= fine) {
        let why = format!("{} at the same time", sites(dropped, "other site", "other sites"));
        return Some((Code::ProviderCore, format!("{why} that {provider} serves"), 60));
    }
    if others.dropped >= 2 && others.dropped >= others.fine {
        return Some((Code::Server, others.told(), 45));
    }
    let dark = cohort.siblings.iter().filter(|sibling| sibling.dark_since(dossier.from)).count();
    let up: Vec<&str> = cohort
        .siblings
        .iter()
        .filter(|sibling| !sibling.dark_at(dossier.end()) && !sibling.dark_since(dossier.from))
        .map(|sibling| sibling.name.as_str())
        .collect();
    match (up.first(), dark) {
        // Where more went dark than not, the others may only not have been missed yet.
        (Some(first), dark) if up.len() >= dark => {
            Some((Code::DevicePower, format!("{first} at the same site is not affected"), 40))
        }
        (Some(_), 1..) => Some((
            Code::LastMile,
            format!("{dark} more at the site went dark within a minute: its line, or its power"),
            30,
        )),
        (None, 1..) => Some((
            Code::LastMile,
            "everything at the site went dark within a minute: its line, or its power".to_owned(),
            40,
        )),
        (_, 0) => {
            let noisy = |last: &agent::report::Moment| {
                last.gateway_loss_permille.is_some_and(|loss| NOISY.contains(&loss))
            };
            let last = dossier.last.as_ref().filter(|last| noisy(last));
            last.map(|_| (Code::LineNoise, "the last it told of was a line with losses".to_owned(), 35))
        }
    }
}

/// Nothing came from the device yet.
pub(super) fn provisional(dossier: &Dossier, cohort: &Cohort) -> Verdict {
    let likeliest = likeliest(dossier, cohort);
    let mut evidence = Vec::new();
    if let Some((_, why, _)) = &likeliest {
        evidence.push(Evidence::of(why.clone()));
    }
    evidence.push(Evidence::of(cohort.others.told()));
    if !cohort.has_agent {
        evidence.push(Evidence::of("it has no agent that could tell what it saw"));
    }
    Verdict {
        code: Code::Provisional,
        sentence: sentence::provisional(
            dossier,
            likeliest.as_ref().map(|(code, why, _)| (*code, why.as_str())),
        ),
        confidence: likeliest.as_ref().map_or(0, |(.., sure)| *sure),
        evidence,
        not_measured: Vec::new(),
        who: Who::Wait,
        likeliest: likeliest.map(|(code, ..)| code),
        also: None,
    }
}

/// The device is back, and told nothing of its outage.
pub(super) fn without_dossier(dossier: &Dossier, cohort: &Cohort) -> Verdict {
    let found = absence(dossier, cohort, None).or_else(|| as_siblings(dossier, cohort));
    if let Some(found) = found {
        return super::told(dossier, cohort, found, None, Vec::new());
    }
    let likeliest = likeliest(dossier, cohort);
    let mut evidence: Vec<Evidence> = likeliest.iter().map(|(_, why, _)| Evidence::of(why.clone())).collect();
    evidence.push(Evidence::of(if cohort.has_agent {
        "its agent recorded nothing of it"
    } else {
        "it has no agent that could tell what it saw"
    }));
    let code = likeliest.as_ref().map(|(code, ..)| *code);
    Verdict {
        code: Code::Unknown,
        sentence: sentence::unknown(dossier, code),
        confidence: likeliest.map_or(0, |(.., sure)| sure.min(30)),
        evidence,
        not_measured: Vec::new(),
        who: if dossier.progress == Progress::Whole { Who::Nobody } else { Who::Wait },
        likeliest: code,
        also: None,
    }
}

/// What another device of the site tells holds for all of it, where that is about the whole site.
fn as_siblings(dossier: &Dossier, cohort: &Cohort) -> Option<Finding> {
    let near = cohort.siblings.iter().filter(|sibling| sibling.dark_since(dossier.from));
    let best = near.filter_map(|sibling| sibling.verdict.map(|verdict| (sibling, verdict)));
    let (sibling, (code, sure)) =
        best.filter(|(_, (code, _))| code.is_of_site()).max_by_key(|(_, (_, sure))| *sure)?;
    let what = format!("{} at the same site went dark within a minute of it, and tells so", sibling.name);
    let sure = u8::try_from(u32::from(sure) * 8 / 10).unwrap_or(sure);
    let mut found = Finding::new(code, sure, dossier.from, vec![Evidence::of(what)]);
    found.is_hearsay = true;
    found.devices = 1 + cohort.siblings.iter().filter(|sibling| sibling.dark_since(dossier.from)).count();
    Some(found)
}
