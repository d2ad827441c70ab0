//! What the status page tells, read from the store.

use std::collections::HashMap;

use jiff::tz::TimeZone;
use schedules::{Millis, Time};

use super::{AHEAD, DAYS, Line, Standing, Status};
use crate::domain::availability::date;
use crate::domain::history::{Interval, Proofs, Span, as_proven, merged, timeline, without};
use crate::domain::ids::SiteId;
use crate::domain::setting::Settings;
use crate::domain::wall::reached;
use crate::store::states::{self, Subject};
use crate::store::status::{self, Watched, Work};
use crate::store::{Result, Tx, maintenance, sites};
use crate::web::graphs::days::{Day, by_day, frame};

/// The one line, where no site was chosen.
const ALL: &str = "All systems";
/// What was of days is asked anew after so long: it costs most, and changes slowly.
const DAYS_FRESH: Millis = Millis::from_secs(300);

/// How everything stands that the page tells of. `before`: what was told last of the same sites.
///
/// # Errors
/// The database's.
pub fn status(tx: &Tx, settings: &Settings, before: Option<&Status>) -> Result<Status> {
    let is_fresh = |before: &&Status| (Millis::ZERO..DAYS_FRESH).contains(&tx.now.since(before.days_at));
    let before = before.filter(is_fresh);
    let known =
        |name: &str| before?.lines.iter().find(|line| line.name == name).map(|line| line.days.clone());
    let (watched, work) = (status::watched(tx)?, status::work(tx, AHEAD)?);
    let mut chosen = Vec::new();
    for name in settings.names("status.sites") {
        chosen.extend(sites::find(tx, name)?);
    }
    let mut lines = Vec::new();
    if chosen.is_empty() {
        let days = match known(ALL) {
            Some(days) => days,
            None => days(tx, None, &TimeZone::system(), settings)?,
        };
        lines.push(line(ALL.to_owned(), &watched, days, work));
    } else {
        for site in chosen {
            let here = |of: Option<SiteId>| of == Some(site.id);
            let watched: Vec<Watched> = watched.iter().copied().filter(|one| here(one.site)).collect();
            let work = work.iter().copied().filter(|one| here(one.site)).collect();
            let zone = TimeZone::get(&site.time_zone).unwrap_or(TimeZone::UTC);
            let days = match known(&site.name) {
                Some(days) => days,
                None => days(tx, Some(site.id), &zone, settings)?,
            };
            lines.push(line(site.name, &watched, days, work));
        }
    }
    Ok(Status { lines, at: tx.now, days_at: before.map_or(tx.now, |before| before.days_at) })
}

fn line(name: String, watched: &[Watched], days: Vec<Day>, mut work: Vec<Work>) -> Line {
    // One occurrence is told once, at how many sites ever it is.
    work.dedup_by_key(|work| (work.from, work.until));
    let (standing, out_since) = standing(watched);
    Line { name, standing, out_since, days, work }
}

/// How devices stand together, and since when the first of them that is out is out.
pub fn standing(watched: &[Watched]) -> (Standing, Option<Time>) {
    use crate::domain::device::State;
    let count = |holds: &dyn Fn(&Watched) -> bool| watched.iter().filter(|one| holds(one)).count();
    let is_out = |one: &Watched| one.state.is_out() && !one.is_in_maintenance;
    let known = count(&|one| one.state != State::Unknown);
    let (out, worked_on) = (count(&is_out), count(&|one| one.state.is_out() && one.is_in_maintenance));
    let degraded = count(&|one| one.state == State::Degraded && !one.is_in_maintenance);
    let since = watched.iter().filter(|one| is_out(one)).map(|one| one.since).min();
    let standing = match (known, out) {
        (0, _) => Standing::Unknown,
        (known, out) if out > 0 && out + worked_on == known => Standing::Down,
        (_, out) if out > 0 || degraded > 0 => Standing::Disturbed,
        _ if worked_on > 0 => Standing::Maintenance,
        _ => Standing::Operational,
    };
    (standing, since)
}

/// What all devices of a site, or all there are, were on each of the last days: as proven.
fn days(tx: &Tx, site: Option<SiteId>, zone: &TimeZone, settings: &Settings) -> Result<Vec<Day>> {
    let interval = (first_moment(tx.now, zone), tx.now);
    let unmeasured = states::unmeasured(tx, interval.0, interval.1)?;
    let proofs: HashMap<_, Proofs> = states::all_proofs(tx, interval)?;
    let (none, reach) = (Proofs::default(), states::reach(settings.span("check_in.every")));
    let frame = frame(interval, zone);
    let mut all = by_day(&frame, (&[], &[]), &[]);
    states::all_between(tx, site, interval, |subject, changes| {
        let seen = without(timeline(&changes, subject.added_at, interval.0, interval.1), &unmeasured);
        let proven = as_proven(&seen, proofs.get(&subject.id).unwrap_or(&none), reach);
        let windows = windows(tx, &subject, &proven, interval)?;
        for (day, one) in all.iter_mut().zip(by_day(&frame, (&proven, &proven), &windows)) {
            day.seen = day.seen.and(one.seen);
            day.proven = day.proven.and(one.proven);
        }
        Ok(())
    })?;
    Ok(all)
}

/// The maintenance of a device, where it matters.
fn windows(tx: &Tx, subject: &Subject, spans: &[Span], (from, to): Interval) -> Result<Vec<Interval>> {
    if !spans.iter().any(|span| span.state.is_out()) {
        return Ok(Vec::new());
    }
    Ok(merged(maintenance::runs_between(tx, subject.id, from, to)?))
}

/// The midnight with which the first of the days begins.
fn first_moment(now: Time, zone: &TimeZone) -> Time {
    let first = date(now - Millis::from_secs((DAYS - 1) * 86_400), zone);
    reached(first.at(0, 0, 0, 0), zone).unwrap_or(now)
}
