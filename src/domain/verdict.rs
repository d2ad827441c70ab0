//! The verdict on an outage: where the fault was, how sure that is, from which evidence, what was not measured, who acts.
//!
//! [`judge`] weighs what the device's agent recorded ([`Dossier`]) and what the server knows of those around it
//! ([`Cohort`]). What came first in time is the cause; a second fault is named beside it. A verdict that is wrong with
//! high confidence is worse than `unknown`: so what was not measured, few climbs, and climbs that disagree take from it.

mod climbs;
mod cohort;
mod findings;
mod gaps;
mod here;
mod letter;
mod line;
mod picture;
mod route;
mod sentence;
#[cfg(test)]
mod tests;

use agent::report::Held;
use schedules::{Millis, Time};

pub use cohort::{Absence, Cohort, Inbound, Others, Sibling};
pub use findings::Finding;
pub use here::on_the_spot;
pub use letter::{Contact, hops, text_to_send};
pub use picture::{Picture, Way};
pub use sentence::{clock, clock_with_zone, long_span};

use crate::domain::dossier::{Dossier, Progress};
use crate::domain::named;

named! {
    /// Where the fault was.
    pub enum Code {
        /// The site's power was lost.
        SitePower = "site-power",
        /// This device's power was lost, and nothing else's.
        DevicePower = "device-power",
        /// Somebody rebooted the device.
        Reboot = "reboot",
        /// Only the agent was restarted.
        AgentRestart = "agent-restart",
        /// The device slept.
        Sleep = "sleep",
        /// The device's link was down.
        Link = "link",
        /// It had no address.
        NoAddress = "no-address",
        /// Its gateway was down.
        Gateway = "gateway",
        /// The provider's line to the site.
        LastMile = "last-mile",
        /// Further out in the provider's network.
        ProviderCore = "provider-core",
        /// Between providers.
        Transit = "transit",
        /// The resolver that the site asks.
        Resolver = "resolver",
        /// DNS does not get through.
        DnsBlocked = "dns-blocked",
        /// Our own name does not resolve.
        OurDns = "our-dns",
        /// Our server, or its hosting.
        Server = "server",
        /// The way between this provider and us.
        Path = "path",
        /// The device's clock is off.
        DeviceClock = "device-clock",
        /// The certificate, or someone in the middle.
        Certificate = "certificate",
        /// A captive portal.
        CaptivePortal = "captive-portal",
        /// Large packets do not pass.
        Mtu = "mtu",
        /// A bad line or cable.
        LineNoise = "line-noise",
        /// Our own link was full.
        Congestion = "congestion",
        /// Only IPv4, or only IPv6, fails.
        AddressFamily = "address-family",
        /// The device's address changed.
        AddressChange = "address-change",
        /// What comes in is filtered.
        InboundFilter = "inbound-filter",
        /// Nothing came from the agent yet.
        Provisional = "provisional",
        /// Nothing fits.
        Unknown = "unknown",
    }
}

named! {
    /// Who acts on it.
    pub enum Who {
        /// Whoever is at the site.
        Site = "site",
        /// The site's provider.
        Provider = "provider",
        /// Whoever runs DHCP there.
        Dhcp = "who runs DHCP",
        /// Whoever runs the resolver.
        Resolver = "who runs the resolver",
        /// We.
        Us = "us",
        /// Whoever configures the network.
        Configuration = "configuration",
        /// The office: is a bill unpaid?
        Office = "office",
        /// Nobody.
        Nobody = "nobody",
        /// Nobody yet: wait for what the device tells.
        Wait = "wait",
    }
}

impl Code {
    /// Who acts on it.
    #[must_use]
    pub fn who(self) -> Who {
        match self {
            Code::SitePower | Code::DevicePower | Code::Link | Code::Gateway | Code::LineNoise => Who::Site,
            Code::Reboot | Code::Sleep | Code::AddressChange => Who::Nobody,
            Code::AgentRestart | Code::OurDns | Code::Server | Code::DeviceClock | Code::Certificate => {
                Who::Us
            }
            Code::NoAddress => Who::Dhcp,
            Code::LastMile
            | Code::ProviderCore
            | Code::Transit
            | Code::DnsBlocked
            | Code::Path
            | Code::AddressFamily => Who::Provider,
            Code::Resolver => Who::Resolver,
            Code::CaptivePortal => Who::Office,
            Code::Mtu | Code::Congestion | Code::InboundFilter => Who::Configuration,
            Code::Provisional | Code::Unknown => Who::Wait,
        }
    }

    /// Whether it is no outage at all: nothing was wrong with the network.
    #[must_use]
    pub fn is_no_outage(self) -> bool {
        matches!(self, Code::AgentRestart | Code::Sleep | Code::Reboot | Code::AddressChange)
    }

    /// Whether what one device tells of it holds for all of the site that went out with it.
    #[must_use]
    pub fn is_of_site(self) -> bool {
        matches!(
            self,
            Code::SitePower | Code::LastMile | Code::ProviderCore | Code::Transit | Code::Server | Code::Path
        )
    }

    /// Whether it is the customer's own power.
    #[must_use]
    pub fn is_own_power(self) -> bool {
        matches!(self, Code::SitePower | Code::DevicePower)
    }
}

/// One thing that speaks for a verdict, or that is to be known beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// When it was, where that is known.
    pub at: Option<Time>,
    /// What it is, in words.
    pub what: String,
}

impl Evidence {
    fn at(at: Time, what: impl Into<String>) -> Evidence {
        Evidence { at: Some(at), what: what.into() }
    }

    fn of(what: impl Into<String>) -> Evidence {
        Evidence { at: None, what: what.into() }
    }
}

/// A rung that nobody knows of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// Which one.
    pub rung: String,
    /// Why it was not measured.
    pub why: String,
}

/// Where the fault was, as far as is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Where.
    pub code: Code,
    /// What that comes to, in one sentence.
    pub sentence: String,
    /// How sure it is, in percent.
    pub confidence: u8,
    /// What speaks for it, the first first.
    pub evidence: Vec<Evidence>,
    /// What was not measured.
    pub not_measured: Vec<Missing>,
    /// Who acts.
    pub who: Who,
    /// While it is provisional, or unknown: what is the likeliest.
    pub likeliest: Option<Code>,
    /// A second fault beside it.
    pub also: Option<Code>,
}

/// The most pieces of evidence that are told.
pub const MAX_EVIDENCE: usize = 24;
/// Below this a verdict is `unknown`, with it as the likeliest.
const LEAST: u8 = 25;

/// Says where the fault was.
#[must_use]
pub fn judge(dossier: &Dossier, cohort: &Cohort) -> Verdict {
    if dossier.is_empty() {
        if let Some(found) = cohort::inbound_filter(dossier, cohort) {
            return told(dossier, cohort, found, None, Vec::new());
        }
        return match dossier.progress {
            Progress::Dark | Progress::Coming if cohort.has_agent => cohort::provisional(dossier, cohort),
            Progress::Dark => cohort::provisional(dossier, cohort),
            Progress::Coming | Progress::Whole => cohort::without_dossier(dossier, cohort),
        };
    }
    let gap = gaps::explain(dossier, cohort);
    let climbed = climbs::explain(dossier, cohort);
    let away = cohort::absence(dossier, cohort, climbed.as_ref());
    let line = line::explain(dossier, climbed.as_ref());
    let quiet = cohort::quiet(dossier, cohort);
    let chosen = choose(dossier, [gap, away, line, climbed].into_iter().flatten().collect(), quiet);
    let missing = climbs::missing(dossier);
    match chosen {
        Some((finding, also)) => told(dossier, cohort, finding, also, missing),
        None if dossier.progress == Progress::Dark => cohort::provisional(dossier, cohort),
        None => nothing_fits(dossier, cohort, missing),
    }
}

/// Which of several findings is the cause, and which one is beside it. They come in the order in which they win where
/// they began together; one that began clearly earlier wins over all that does not explain more.
fn choose(
    dossier: &Dossier,
    mut all: Vec<Finding>,
    quiet: Option<Finding>,
) -> Option<(Finding, Option<Finding>)> {
    /// What is not further apart than this began together.
    const TOGETHER: Millis = Millis::from_secs(60);
    let Some(first) = (0..all.len()).min_by_key(|&at| (all[at].code.is_no_outage(), all[at].since)) else {
        return quiet.map(|finding| (finding, None));
    };
    let began = all[first].since;
    // The first in the order of the table among those that began with the first one, and explain enough.
    let long = dossier.end().since(dossier.from);
    let explains =
        |finding: &Finding| !finding.code.is_no_outage() || finding.covers(dossier).times(2) >= long;
    let at = (0..all.len())
        .find(|&at| all[at].since.since(began) <= TOGETHER && explains(&all[at]))
        .unwrap_or(first);
    let enough = explains(&all[at]);
    let mut cause = all.remove(at);
    if !enough {
        // It was there, and it was short: that is no reason to call the rest of the time no outage.
        cause.sure = cause.sure.min(LEAST - 5);
    }
    let implied = cause.also.clone().map(|also| *also);
    let other = all.into_iter().filter(|other| other.code != cause.code && !cause.implies(other));
    let beside = other.max_by_key(|other| (!other.code.is_no_outage(), other.covers(dossier)));
    Some((cause, beside.or(implied)))
}

fn told(
    dossier: &Dossier,
    cohort: &Cohort,
    finding: Finding,
    also: Option<Finding>,
    missing: Vec<Missing>,
) -> Verdict {
    let sentence = sentence::of(dossier, cohort, &finding);
    let also = also.filter(|also| also.code != finding.code);
    let mut confidence = finding.sure.clamp(1, 99);
    let mut evidence = finding.evidence;
    if let Some(other) = &also {
        let more = other.evidence.first().map_or(String::new(), |first| format!(": {}", first.what));
        evidence.push(Evidence::at(other.since, format!("a second fault: {}{more}", other.code)));
        confidence = confidence.saturating_sub(5).max(1);
    }
    if let Some(last) = came_back_last(dossier) {
        evidence.push(last);
    }
    evidence.truncate(MAX_EVIDENCE);
    let also = also.map(|also| also.code);
    if confidence < LEAST {
        let likeliest = Some(finding.code);
        let sentence = sentence::unknown(dossier, likeliest);
        let (code, who) = (Code::Unknown, Who::Wait);
        return Verdict { code, sentence, confidence, evidence, not_measured: missing, who, likeliest, also };
    }
    let who = finding.who.unwrap_or_else(|| finding.code.who());
    let code = finding.code;
    Verdict { code, sentence, confidence, evidence, not_measured: missing, who, likeliest: None, also }
}

/// What came back last is often the fault.
fn came_back_last(dossier: &Dossier) -> Option<Evidence> {
    let told = dossier.told.as_ref()?;
    let ours = |rung: &str| rung.starts_with("server");
    let last = told.firsts.iter().filter(|first| !ours(&first.rung)).max_by_key(|first| first.at)?;
    let target = if last.target.is_empty() { String::new() } else { format!(" {}", last.target) };
    Some(Evidence::at(last.at, format!("of all before the server, {}{target} came back last", last.rung)))
}

fn nothing_fits(dossier: &Dossier, cohort: &Cohort, missing: Vec<Missing>) -> Verdict {
    let likeliest = cohort::likeliest(dossier, cohort).map(|(code, ..)| code);
    let mut evidence = Vec::new();
    for climb in dossier.failures().take(3) {
        let failed = climb.it.rungs.iter().filter(|rung| rung.outcome == Held::Fail);
        let words: Vec<&str> = failed.map(|rung| rung.step.word()).take(5).collect();
        let what = if words.is_empty() {
            "a climb of the ladder found nothing that failed".to_owned()
        } else {
            format!("a climb of the ladder found failed: {}", words.join(", "))
        };
        evidence.push(Evidence::at(climb.at, what));
    }
    if evidence.is_empty() {
        evidence.push(Evidence::of("nobody climbed the ladder while it lasted"));
    }
    evidence.extend(came_back_last(dossier));
    Verdict {
        code: Code::Unknown,
        sentence: sentence::unknown(dossier, likeliest),
        confidence: 0,
        evidence,
        not_measured: missing,
        who: Who::Wait,
        likeliest,
        also: None,
    }
}
