//! What a device was, from when to when: as it was seen, and as it was proven afterwards.
//!
//! Changes of its state are only added. One that is known late has a true start before that of the one before: from there
//! on it is right. Time nobody measured is unknown time, never up, never down. What comes to be known of unknown time
//! afterwards is told beside what was seen, and changes nothing else.

use schedules::{Millis, Time};

use crate::domain::device::State;
use crate::domain::ids::DeviceId;
use crate::domain::named;

/// A state that a device got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Its true start.
    pub since: Time,
    /// The state.
    pub state: State,
    /// Why.
    pub reason: String,
}

/// A time in which a device was the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// When it begins.
    pub from: Time,
    /// When it ends: the first moment after it.
    pub to: Time,
    /// What the device was.
    pub state: State,
    /// Why.
    pub reason: String,
}

/// From when to when: the first moment, and the first after it.
pub type Interval = (Time, Time);

/// What a device was from `from` to `to`, after it was added at `added_at`: every moment of that time once, in order.
/// `changes`: in the order in which they were seen; the first of them that matters may lie before `from`.
#[must_use]
pub fn timeline(changes: &[Change], added_at: Time, from: Time, to: Time) -> Vec<Span> {
    let start = from.max(added_at);
    if start >= to {
        return Vec::new();
    }
    let mut spans = vec![Span { from: start, to, state: State::Unknown, reason: String::new() }];
    for change in changes.iter().filter(|change| change.since < to) {
        let at = change.since.max(start);
        while spans.last().is_some_and(|last| last.from >= at) {
            spans.pop();
        }
        if let Some(last) = spans.last_mut() {
            last.to = at;
        }
        spans.push(Span { from: at, to, state: change.state, reason: change.reason.clone() });
    }
    joined(spans)
}

/// Why nothing is known of a time.
pub const UNMEASURED: &str = "nobody measured: lineman was away, or could not see";

/// The same with the time cut out in which nobody measured. `unmeasured`: as [`merged`] makes them.
#[must_use]
pub fn without(spans: Vec<Span>, unmeasured: &[Interval]) -> Vec<Span> {
    overlaid(spans, unmeasured, |span| {
        span.state = State::Unknown;
        UNMEASURED.clone_into(&mut span.reason);
    })
}

named! {
    /// What a record that came late proves.
    pub enum Proven {
        /// The device ran, or it answered.
        Up = "up",
        /// It did not answer.
        Down = "down",
    }
}

named! {
    /// Whose record it is that proves something.
    pub enum Source {
        /// The device's own agent's.
        Agent = "agent",
        /// A result of a check of it.
        Check = "check",
    }
}

/// What is proven of a device, and for which times.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proofs {
    /// When it was up.
    pub up: Vec<Interval>,
    /// When it was down.
    pub down: Vec<Interval>,
}

/// Why a state is told that nobody saw.
pub const PROVEN: &str = "proven afterwards by what came late";

/// What the device was as proven: only what is unknown of `seen` is replaced. One that answered anybody was up, whoever else
/// it did not answer. Between a proof and a time in which it was seen to be up, at most `reach` apart, it was up too.
#[must_use]
pub fn as_proven(seen: &[Span], proofs: &Proofs, reach: Millis) -> Vec<Span> {
    if proofs.up.is_empty() && proofs.down.is_empty() {
        return seen.to_vec();
    }
    let up = merged(proofs.up.iter().map(|&proof| reaching(proof, seen, reach)).collect());
    let down = merged(proofs.down.clone());
    let becomes = |state: State| {
        move |span: &mut Span| {
            if span.state == State::Unknown {
                span.state = state;
                PROVEN.clone_into(&mut span.reason);
            }
        }
    };
    overlaid(overlaid(seen.to_vec(), &up, becomes(State::Up)), &down, becomes(State::Down))
}

/// A proof that the device was up, with the unknown time between it and what was seen, where that is short.
fn reaching((from, to): Interval, seen: &[Span], reach: Millis) -> Interval {
    let known = |span: &&Span| span.state != State::Unknown;
    let was_up = |span: &&Span| span.state.is_reachable();
    let before = seen[..seen.partition_point(|span| span.from < from)].iter().rfind(known).filter(was_up);
    let after = seen[seen.partition_point(|span| span.to <= to)..].iter().find(known).filter(was_up);
    let start = before.map(|span| span.to).filter(|&end| end < from && from.since(end) <= reach);
    let end = after.map(|span| span.from).filter(|&start| start > to && start.since(to) <= reach);
    (start.unwrap_or(from), end.unwrap_or(to))
}

/// Intervals in their order, those that touch or overlap made one; empty ones are none.
#[must_use]
pub fn merged(mut all: Vec<Interval>) -> Vec<Interval> {
    all.retain(|(from, to)| from < to);
    all.sort_unstable();
    let mut merged: Vec<Interval> = Vec::with_capacity(all.len());
    for (from, to) in all {
        match merged.last_mut() {
            Some(last) if from <= last.1 => last.1 = last.1.max(to),
            Some(_) | None => merged.push((from, to)),
        }
    }
    merged
}

/// The part of the spans from `from` to `to`.
#[must_use]
pub fn clipped(spans: &[Span], from: Time, to: Time) -> Vec<Span> {
    let first = spans.partition_point(|span| span.to <= from);
    let within = spans[first..].iter().take_while(|span| span.from < to);
    within.map(|span| Span { from: span.from.max(from), to: span.to.min(to), ..span.clone() }).collect()
}

/// Spans in which `change` changed what lies within the intervals (as [`merged`] makes them), and nothing else.
fn overlaid(spans: Vec<Span>, intervals: &[Interval], change: impl Fn(&mut Span)) -> Vec<Span> {
    if intervals.is_empty() {
        return spans;
    }
    let mut all = Vec::with_capacity(spans.len());
    for mut span in spans {
        let first = intervals.partition_point(|&(_, to)| to <= span.from);
        for &(from, to) in intervals[first..].iter().take_while(|&&(from, _)| from < span.to) {
            if span.from < from {
                all.push(Span { to: from, ..span.clone() });
            }
            let mut inside = Span { from: span.from.max(from), to: span.to.min(to), ..span.clone() };
            span.from = inside.to;
            change(&mut inside);
            all.push(inside);
        }
        if span.from < span.to {
            all.push(span);
        }
    }
    joined(all)
}

/// Neighbours that are the same made one.
fn joined(spans: Vec<Span>) -> Vec<Span> {
    let mut all: Vec<Span> = Vec::with_capacity(spans.len());
    for span in spans {
        match all.last_mut() {
            Some(last) if last.state == span.state && last.reason == span.reason => last.to = span.to,
            Some(_) | None => all.push(span),
        }
    }
    all
}

/// What one call's records prove, gathered, so that a backlog of thousands is a few rows.
#[derive(Debug, Default)]
pub struct Gathered(Vec<Gather>);

/// Proofs of one kind that belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gather {
    /// The device.
    pub device: DeviceId,
    /// What is proven.
    pub proven: Proven,
    /// By whom.
    pub source: Source,
    /// When.
    pub interval: Interval,
    /// The longest time between two records that still belong together.
    pub gap: Millis,
}

impl Gathered {
    /// Takes what one record proves.
    pub fn add(&mut self, device: DeviceId, proven: Proven, source: Source, at: Time, gap: Millis) {
        let near = |one: &&mut Gather| {
            (one.device, one.proven, one.source) == (device, proven, source)
                && at >= one.interval.0 - gap
                && at <= one.interval.1 + gap
        };
        match self.0.iter_mut().rev().find(near) {
            Some(one) => one.interval = (one.interval.0.min(at), one.interval.1.max(at)),
            None => self.0.push(Gather { device, proven, source, interval: (at, at), gap }),
        }
    }

    /// Takes what is proven of a whole time.
    pub fn whole(
        &mut self,
        device: DeviceId,
        proven: Proven,
        source: Source,
        interval: Interval,
        gap: Millis,
    ) {
        self.0.push(Gather { device, proven, source, interval, gap });
    }

    /// All of it.
    #[must_use]
    pub fn all(&self) -> &[Gather] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn change(since: i64, state: State) -> Change {
        Change { since: Time(since), state, reason: state.to_string() }
    }

    fn shown(spans: &[Span]) -> String {
        let one = |span: &Span| format!("{}-{} {}", span.from.0, span.to.0, span.state);
        spans.iter().map(one).collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn a_later_change_is_right_from_its_true_start_on() {
        use State::{Degraded, Down, Unknown, Up};
        for (changes, added, wanted) in [
            (vec![], 0, "10-100 unknown"),
            (vec![change(5, Up)], 0, "10-100 up"),
            (vec![change(20, Up), change(50, Down)], 0, "10-20 unknown, 20-50 up, 50-100 down"),
            (vec![change(20, Up), change(50, Down), change(40, Up)], 0, "10-20 unknown, 20-100 up"),
            (vec![change(20, Up), change(50, Down), change(15, Unknown)], 0, "10-15 unknown, 15-100 unknown"),
            (
                vec![change(0, Up), change(60, Down), change(40, Down), change(80, Up)],
                0,
                "10-40 up, 40-80 down, 80-100 up",
            ),
            (vec![change(5, Up), change(100, Down)], 30, "30-100 up"),
            (vec![change(40, Degraded)], 30, "30-40 unknown, 40-100 degraded"),
            (vec![change(5, Up)], 100, ""),
        ] {
            assert_eq!(shown(&timeline(&changes, Time(added), Time(10), Time(100))), wanted, "{changes:?}");
        }
        assert_eq!(timeline(&[change(5, Up)], Time(0), Time(100), Time(10)), []);
    }

    #[test]
    fn proofs_fill_what_is_unknown_and_nothing_else() {
        use State::{Down, Unknown, Up};
        let seen = timeline(
            &[change(0, Up), change(100, Unknown), change(200, Up), change(300, Down), change(400, Unknown)],
            Time(0),
            Time(0),
            Time(500),
        );
        let t = |all: &[(i64, i64)]| all.iter().map(|&(from, to)| (Time(from), Time(to))).collect::<Vec<_>>();
        let proven = |up: &[(i64, i64)], down: &[(i64, i64)]| {
            shown(&as_proven(&seen, &Proofs { up: t(up), down: t(down) }, Millis(10)))
        };
        let rest = "200-300 up, 300-400 down, 400-500 unknown";
        for (up, down, wanted) in [
            (&[][..], &[][..], format!("0-100 up, 100-200 unknown, {rest}")),
            (&[(120, 150)], &[], format!("0-100 up, 100-120 unknown, 120-150 up, 150-200 unknown, {rest}")),
            // Near what was seen, what lies between is bridged.
            (&[(110, 190)], &[], format!("0-100 up, 100-200 up, {rest}")),
            (&[(109, 150)], &[], format!("0-100 up, 100-150 up, 150-200 unknown, {rest}")),
            // Not to a time in which it was down.
            (
                &[(405, 420)],
                &[],
                "0-100 up, 100-200 unknown, 200-300 up, 300-400 down, 400-405 unknown, 405-420 up, 420-500 unknown"
                    .to_owned(),
            ),
            // What was seen stays, and an answer outweighs a failure.
            (
                &[(140, 160)],
                &[(120, 350)],
                format!("0-100 up, 100-120 unknown, 120-140 down, 140-160 up, 160-200 down, {rest}"),
            ),
            // One record alone proves a moment, which is no time.
            (&[(150, 150)], &[], format!("0-100 up, 100-200 unknown, {rest}")),
        ] {
            assert_eq!(proven(up, down), wanted, "{up:?} {down:?}");
        }
    }

    #[test]
    fn a_backlog_is_gathered_into_one_proof() {
        let mut all = Gathered::default();
        let gap = Millis(60);
        for at in (0..20_000).map(|n| Time(n * 30)) {
            all.add(DeviceId(1), Proven::Up, Source::Agent, at, gap);
        }
        all.add(DeviceId(1), Proven::Up, Source::Agent, Time(700_000), gap);
        all.add(DeviceId(2), Proven::Down, Source::Check, Time(5), gap);
        let intervals: Vec<Interval> = all.all().iter().map(|one| one.interval).collect();
        assert_eq!(intervals, [(Time(0), Time(599_970)), (Time(700_000), Time(700_000)), (Time(5), Time(5))]);
    }

    fn changes() -> impl Strategy<Value = Vec<Change>> {
        let one = (-100..1100_i64, prop::sample::select(State::ALL.to_vec()))
            .prop_map(|(since, state)| change(since, state));
        prop::collection::vec(one, 0..12)
    }

    fn intervals() -> impl Strategy<Value = Vec<Interval>> {
        let one = (-50..1000_i64, -5..200_i64).prop_map(|(from, long)| (Time(from), Time(from + long)));
        prop::collection::vec(one, 0..6)
    }

    /// What it was at a moment, told the plain way.
    fn at(spans: &[Span], at: i64) -> Option<State> {
        spans.iter().find(|span| span.from.0 <= at && at < span.to.0).map(|span| span.state)
    }

    proptest! {
        #[test]
        fn every_moment_is_told_once_and_as_the_last_change_says(
            changes in changes(), added in -50..1050_i64, from in 0..500_i64, long in 0..600_i64,
            away in intervals(), up in intervals(), down in intervals(),
        ) {
            let (start, to) = (from.max(added), from + long);
            let plain = timeline(&changes, Time(added), Time(from), Time(to));
            let seen = without(plain.clone(), &merged(away.clone()));
            let proven = as_proven(&seen, &Proofs { up: up.clone(), down: down.clone() }, Millis::ZERO);
            for spans in [&plain, &seen, &proven] {
                prop_assert_eq!(spans.first().map(|s| s.from.0), (start < to).then_some(start));
                prop_assert_eq!(spans.last().map(|s| s.to.0), (start < to).then_some(to));
                prop_assert!(spans.iter().all(|s| s.from < s.to));
                prop_assert!(spans.windows(2).all(|two| two[0].to == two[1].from));
            }
            let within = |all: &[Interval], at: i64| all.iter().any(|&(from, to)| from.0 <= at && at < to.0);
            for moment in start..to {
                let last = changes.iter().rev().find(|change| change.since.0 <= moment);
                let was = last.map_or(State::Unknown, |change| change.state);
                prop_assert_eq!(at(&plain, moment), Some(was));
                let was = if within(&away, moment) { State::Unknown } else { was };
                prop_assert_eq!(at(&seen, moment), Some(was));
                let was = match was {
                    State::Unknown if within(&up, moment) => State::Up,
                    State::Unknown if within(&down, moment) => State::Down,
                    other => other,
                };
                prop_assert_eq!(at(&proven, moment), Some(was));
            }
        }
    }
}
