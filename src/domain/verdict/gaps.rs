//! What a gap of the agent's record says: power, a reboot, sleep, or the agent itself.

use agent::report::Gap;
use schedules::{Millis, Time};

use super::cohort::{Cohort, Sibling};
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
    if gap.booted {
        let from = began(gap, Some(dossier.from));
        let back = gap.booted_at.unwrap_or(gap.to).max(from);
        return Some(if gap.clean {
            reboot(gap, from, back)
        } else {
            power(dossier, cohort, gap, from, back)
        });
    }
    let from = gap.from.unwrap_or(gap.to);
    let long = gap.to.since(from);
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
    let mut found = Finding::new(Code::Reboot, 90, from, lost(gap, from));
    found.evidence.push(Evidence::at(back, "it was booted anew, and had been shut down in order"));
    found.until = Some(gap.to);
    found
}

/// When power was lost, or the reboot began. The last line of the record may be ten minutes older, since on a good day lines
/// reach the disk only so often: until `heard`, the first failed proof after which nothing came, the device is known to
/// have run.
fn began(gap: &Gap, heard: Option<Time>) -> Time {
    let back = gap.booted_at.unwrap_or(gap.to).min(gap.to);
    let heard = heard.map_or(Time::MIN, |heard| heard.min(back));
    match gap.from {
        Some(from) => from.max(heard).min(gap.to),
        None if heard > Time::MIN => heard,
        None => gap.to,
    }
}

/// When a sibling went out of reach that has this gap.
fn heard(sibling: &Sibling, gap: &Gap) -> Option<Time> {
    let from = gap.from.unwrap_or(gap.to);
    sibling.dark.iter().find(|&&(a, b)| a <= gap.to && b >= from).map(|&(a, _)| a)
}

/// Power, or something that is like it: a boot that nobody ordered.
fn power(dossier: &Dossier, cohort: &Cohort, gap: &Gap, from: Time, back: Time) -> Finding {
    let mut evidence = lost(gap, from);
    let times = if gap.boots > 1 { format!(" {} times", gap.boots) } else { String::new() };
    evidence
        .push(Evidence::at(back, format!("it was booted anew{times}, and had not been shut down in order")));
    let with_it = with_it(dossier, cohort, gap, from);
    for (sibling, at) in &with_it {
        evidence.push(Evidence::at(*at, format!("{} lost its power within a minute of it", sibling.name)));
    }
    // Whoever ran on at the site meanwhile had power.
    let ran_on: Vec<&str> = cohort
        .siblings
        .iter()
        .filter(|sibling| sibling.ran_through((from, back)))
        .map(|sibling| sibling.name.as_str())
        .collect();
    let site = dossier.site.as_deref().unwrap_or("its site");
    let devices = with_it.len() + 1;
    if let Some(first) = ran_on.first() {
        let more = match ran_on.len() {
            1 => String::new(),
            count => format!(" and {} more", count - 1),
        };
        evidence.push(Evidence::of(format!("{first}{more} at {site} ran on meanwhile")));
    }
    let (code, sure) = match (with_it.len(), ran_on.len()) {
        (0, 0) => {
            evidence.push(Evidence::of(format!("no other agent at {site} tells whether it had power")));
            (Code::DevicePower, 60)
        }
        (0, _) => (Code::DevicePower, 88),
        (_, 0) => (Code::SitePower, 95),
        // A few on a battery of their own run on when the site's power is lost; most do only if a part of it was lost.
        (_, ran_on) if devices > ran_on * 2 => (Code::SitePower, 45),
        (_, _) => (Code::DevicePower, 75),
    };
    let mut found = Finding::new(code, sure, from, evidence);
    found.until = Some(back);
    found.devices = devices;
    found
}

/// What the record says of the time before a boot.
fn lost(gap: &Gap, from: Time) -> Vec<Evidence> {
    let last = gap.from.unwrap_or(from);
    let mut evidence = vec![Evidence::at(last, record_gap(last, gap.to))];
    if last < from {
        evidence.push(Evidence::at(from, "until then it had been heard of"));
    }
    evidence
}

/// The other devices of the site that lost their power with it, and when each did. They did so together where they went out
/// of reach, or their records ended, or they were booted, within a minute.
fn with_it<'a>(dossier: &Dossier, cohort: &'a Cohort, gap: &Gap, from: Time) -> Vec<(&'a Sibling, Time)> {
    let near = |a: Time, b: Time| a.since(b).0.saturating_abs() <= TOGETHER.0;
    let booted = |other: &Gap| other.booted_at.zip(gap.booted_at).is_some_and(|(a, b)| near(a, b));
    let one = |sibling: &'a Sibling| {
        sibling.gaps.iter().filter(|other| other.booted && !other.clean).find_map(|other| {
            let at = began(other, heard(sibling, other));
            let at_once = at <= gap.to && from <= other.to;
            let together = (other.from.is_some() && gap.from.is_some() && near(at, from))
                || booted(other)
                || (near(from, dossier.from) && sibling.dark_since(dossier.from));
            (at_once && together).then_some((sibling, at))
        })
    };
    cohort.siblings.iter().filter_map(one).collect()
}
