//! What a gap of the agent's record says: power, a reboot, sleep, or the agent itself.

use agent::report::Gap;
use schedules::{Millis, Time};

use super::cohort::Cohort;
use super::findings::Finding;
use super::sentence::long_span;
use super::{Code, Evidence};
use crate::domain::dossier::{Dossier, Kept};

/// How far apart two devices of a site lose their power at most.
const TOGETHER: Millis = Millis::from_secs(60);
/// How long after the beginning of an outage a gap may begin and still be its cause: a line of the record, and a check-in.
const BEGINS: Millis = Millis::from_secs(120);

/// The gap that explains the outage best, where one does.
pub(super) fn explain(dossier: &Dossier, cohort: &Cohort) -> Option<Finding> {
    let of = |gap: &Kept<Gap>| finding(dossier, cohort, &gap.it);
    let all = dossier.gaps.iter().filter(|gap| touches(dossier, &gap.it)).filter_map(of);
    let best = all.max_by_key(|found| {
        let at_the_beginning = found.since.since(dossier.from) <= BEGINS;
        (at_the_beginning && !found.code.is_no_outage(), found.covers(dossier), found.sure)
    })?;
    Some(Finding { sure: weighed(&best, dossier), ..best })
}

/// How sure a gap is as the cause of an outage that it covers a part of.
fn weighed(found: &Finding, dossier: &Dossier) -> u8 {
    let long = dossier.end().since(dossier.from).0.max(1);
    let percent = (found.covers(dossier).0.saturating_mul(100) / long).clamp(0, 100);
    let sure = i64::from(found.sure) * (60 + 40 * percent / 100) / 100;
    u8::try_from(sure).unwrap_or(found.sure)
}

/// Whether a gap lies in the outage at all: one that was over before it is none of its.
fn touches(dossier: &Dossier, gap: &Gap) -> bool {
    let from = gap.from.unwrap_or(gap.to);
    // The first check-in after it may have been a moment before the first line.
    from <= dossier.end() && gap.to + BEGINS >= dossier.from
}

/// What a gap alone is.
fn finding(dossier: &Dossier, cohort: &Cohort, gap: &Gap) -> Option<Finding> {
    let from = gap.from.unwrap_or(gap.to);
    let back = gap.booted_at.unwrap_or(gap.to).max(from);
    let long = gap.to.since(from);
    if gap.booted {
        return Some(if gap.clean {
            reboot(gap, from, back)
        } else {
            power(dossier, cohort, gap, from, back)
        });
    }
    let slept = gap.suspended.times(2) >= long && gap.suspended > Millis::from_secs(5);
    let (code, sure, what) = if slept {
        let what = format!("the boot is the same, and it was suspended for {}", long_span(gap.suspended));
        (Code::Sleep, 95, what)
    } else if gap.restarted {
        let how = if gap.clean { "it had been stopped in order" } else { "it had not been stopped in order" };
        (Code::AgentRestart, 85, format!("the boot is the same, the agent was started anew: {how}"))
    } else {
        return None;
    };
    let mut found = Finding::new(code, sure, from, vec![Evidence::at(from, record_gap(from, gap.to))]);
    found.evidence.push(Evidence::at(gap.to, what));
    found.until = Some(gap.to);
    Some(found)
}

fn record_gap(from: Time, to: Time) -> String {
    format!("the record has a gap of {}", long_span(to.since(from)))
}

fn reboot(gap: &Gap, from: Time, back: Time) -> Finding {
    let mut found = Finding::new(Code::Reboot, 90, from, vec![Evidence::at(from, record_gap(from, gap.to))]);
    found.evidence.push(Evidence::at(back, "it was booted anew, and had been shut down in order"));
    found.until = Some(gap.to);
    found
}

/// Power, or something that is like it: a boot that nobody ordered.
fn power(dossier: &Dossier, cohort: &Cohort, gap: &Gap, from: Time, back: Time) -> Finding {
    let mut evidence = vec![Evidence::at(from, record_gap(from, gap.to))];
    let times = if gap.boots > 1 { format!(" {} times", gap.boots) } else { String::new() };
    evidence
        .push(Evidence::at(back, format!("it was booted anew{times}, and had not been shut down in order")));
    let same = |other: &&Gap| {
        let near = |a: Option<Time>, b: Option<Time>| match (a, b) {
            (Some(a), Some(b)) => a.since(b).0.saturating_abs() <= TOGETHER.0,
            _ => false,
        };
        let at_once = other.from.unwrap_or(other.to) <= gap.to && from <= other.to;
        other.booted
            && !other.clean
            && at_once
            && (near(other.from, gap.from) || near(other.booted_at, gap.booted_at))
    };
    let mut together = 0_usize;
    for sibling in &cohort.siblings {
        if let Some(other) = sibling.gaps.iter().find(same) {
            together += 1;
            let at = other.from.unwrap_or(other.to);
            evidence.push(Evidence::at(at, format!("{} lost its power within a minute of it", sibling.name)));
        }
    }
    if together > 0 {
        let mut found = Finding::new(Code::SitePower, 95, from, evidence);
        (found.until, found.devices) = (Some(back), together + 1);
        return found;
    }
    // Whoever ran on at the site meanwhile had power.
    let ran_on: Vec<&str> = cohort
        .siblings
        .iter()
        .filter(|sibling| sibling.ran_through((from, back)))
        .map(|sibling| sibling.name.as_str())
        .collect();
    let site = dossier.site.as_deref().unwrap_or("its site");
    let sure = match ran_on.first() {
        Some(first) => {
            evidence.push(Evidence::of(format!("{first} at {site} ran on meanwhile")));
            88
        }
        None => {
            evidence.push(Evidence::of(format!("no other agent at {site} tells whether it had power")));
            60
        }
    };
    let mut found = Finding::new(Code::DevicePower, sure, from, evidence);
    found.until = Some(back);
    found
}
