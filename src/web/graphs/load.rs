//! What graphs need, read from the store as plain data: never more points than can be seen.

use jiff::tz::TimeZone;
use schedules::{Cadence, Millis, Time};

use super::days::{Days, by_day, frame};
use super::latency::{Latency, Middle, Point, RoundTrips};
use super::strip::Strip;
use super::tree::Node;
use crate::domain::history::{Interval, as_proven, merged, timeline, without};
use crate::domain::rollup::{Every, Level, Rollup, Rollups, Sample, floor};
use crate::domain::setting::Settings;
use crate::store::checks::Check;
use crate::store::devices::Device;
use crate::store::sites::Site;
use crate::store::{Result, Tx, history, maintenance, parents, states};

/// The most points of a line.
pub const MOST_POINTS: i64 = 400;
/// How long the times of points may be, in seconds.
const STEPS: &[i64] = &[
    1, 5, 10, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200, 86_400, 172_800,
    604_800, 1_209_600, 2_592_000, 7_776_000,
];
/// Up to how long readings are looked at each by itself, by the minute, and by the hour.
const BY_READING: Millis = Millis::from_secs(2 * 3_600);
const BY_MINUTE: Millis = Millis::from_secs(26 * 3_600);
const BY_HOUR: Millis = Millis::from_secs(62 * 86_400);

/// How long the time of one point is.
fn step(long: Millis) -> Millis {
    let fits = |step: &&i64| **step * 1_000 * MOST_POINTS >= long.0;
    STEPS.iter().find(fits).map_or(Millis(long.0 / MOST_POINTS + 1), |step| Millis::from_secs(*step))
}

/// What a check measured in an interval.
///
/// # Errors
/// The database's.
pub fn latency(tx: &Tx, check: &Check, interval: Interval, settings: &Settings) -> Result<Latency> {
    let long = interval.1.since(interval.0);
    let wanted = match long {
        long if long <= BY_READING => Every::Reading,
        long if long <= BY_MINUTE => Every::Minute,
        long if long <= BY_HOUR => Every::Hour,
        _ => Every::Day,
    };
    let step = step(long);
    let (mut points, mut middle) = (Vec::new(), Middle::Median);
    for (level, part) in wanted.parts(interval, &settings.kept(tx.now)) {
        match level {
            None => {
                let samples = history::samples(tx, check.id, part)?;
                points.extend(
                    samples
                        .chunk_by(|a, b| floor(a.at, step) == floor(b.at, step))
                        .filter_map(|some| of_samples(some, step)),
                );
            }
            Some(level) => {
                middle = Middle::Average;
                let all = history::rollups(tx, level, check.id, part)?;
                points.extend(of_rollups(&all, level, step));
            }
        }
    }
    let from = check.from.as_ref().map_or("the server", |(_, name)| name.as_str());
    let title = format!("{} of {} from {from}", check.kind, check.device.1);
    let every = every(check, settings, &points);
    Ok(Latency { id: format!("check-{}", check.id), title, interval, points, middle, every })
}

/// How often a check runs; of one with a cron line, how far its points are apart as a rule.
fn every(check: &Check, settings: &Settings, points: &[Point]) -> Millis {
    let written = check.cadence.as_deref().unwrap_or_else(|| settings.text("check.every"));
    if let Ok(Cadence::Every(span)) = written.parse() {
        return span;
    }
    let mut apart: Vec<i64> = points.windows(2).map(|two| two[1].at.since(two[0].at).0).collect();
    apart.sort_unstable();
    apart.get(apart.len() / 2).map_or(Millis::ZERO, |apart| Millis(*apart))
}

/// The point of readings of one time.
fn of_samples(samples: &[Sample], step: Millis) -> Option<Point> {
    let first = samples.first()?;
    let at = floor(first.at, step);
    let mut one = Rollup::none(at);
    samples.iter().for_each(|sample| one.add(&Rollup::of(at, sample)));
    let mut took: Vec<u32> = samples.iter().filter_map(|sample| sample.values[0]).collect();
    took.sort_unstable();
    let mut point = of_rollup(&one, step);
    if let (Some(trips), Some(&median)) = (&mut point.round_trips, took.get(took.len().saturating_sub(1) / 2))
    {
        trips.middle = u64::from(median);
    }
    Some(point)
}

fn of_rollups(all: &Rollups, level: Level, step: Millis) -> Vec<Point> {
    let long = Millis(step.0.max(level.span().0));
    let together = all.by(|at| floor(at, long));
    together.iter().map(|one| of_rollup(one, long)).collect()
}

fn of_rollup(one: &Rollup, long: Millis) -> Point {
    let [rtt, loss, ..] = one.values;
    let runs = one.ok.saturating_add(one.warn).saturating_add(one.fail);
    // Runs that failed for another reason than loss (no route, a wrong answer) count as lost as well.
    let failed = (one.fail.saturating_mul(1_000)).checked_div(runs).unwrap_or(0);
    Point {
        at: one.at,
        long,
        round_trips: rtt.map(|rtt| RoundTrips { least: rtt.min, middle: rtt.average(), most: rtt.max }),
        lost_permille: loss.map_or(failed, |loss| loss.average().max(failed)),
        runs: one.count(),
    }
}

/// What a device was in an interval, as seen and as proven, and when it was worked on.
///
/// # Errors
/// The database's.
pub fn states(tx: &Tx, device: &Device, (from, to): Interval, settings: &Settings) -> Result<Strip> {
    let changes = states::between(tx, device.id, from, to)?;
    let seen = timeline(&changes, device.created_at, from, to);
    let seen = without(seen, &states::unmeasured(tx, from, to)?);
    let reach = states::reach(settings.span("check_in.every"));
    let proven = as_proven(&seen, &states::proofs(tx, device.id, (from, to))?, reach);
    let maintenance = merged(maintenance::runs_between(tx, device.id, from, to)?);
    let title = format!("What {} was", device.name);
    Ok(Strip { id: "states".to_owned(), title, interval: (from, to), seen, proven, maintenance })
}

/// The same by the day, on the clocks of `zone`.
#[must_use]
pub fn availability(strip: &Strip, device: &Device, zone: &TimeZone) -> Days {
    let days = by_day(&frame(strip.interval, zone), (&strip.seen, &strip.proven), &strip.maintenance);
    Days { id: "days".to_owned(), title: format!("Availability of {} by the day", device.name), days }
}

/// What hangs on what at a site.
///
/// # Errors
/// The database's.
pub fn tree(tx: &Tx, site: &Site) -> Result<Vec<Node>> {
    let hanging = parents::at_site(tx, site.id)?;
    let node = |one: parents::Hanging| {
        let elsewhere = match one.site {
            Some((id, _)) if id == site.id => None,
            Some((_, name)) => Some(name),
            None => Some("no site".to_owned()),
        };
        Node {
            id: one.id,
            name: one.name,
            state: one.state,
            is_paused: one.is_paused,
            elsewhere,
            parents: one.parents,
        }
    };
    Ok(hanging.into_iter().map(node).collect())
}

/// The interval of so long that ends now.
#[must_use]
pub fn until_now(now: Time, long: Millis) -> Interval {
    (now - long, now)
}
