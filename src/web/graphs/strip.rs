//! What a device was over a time, as a strip: as seen, as proven where that differs, and when it was worked on.

use jiff::tz::TimeZone;
use maud::{Markup, html};
use schedules::{Millis, Time};

use super::axis::below;
use super::frame::{
    Across, Figure, LEFT, Look, RIGHT, area, clock, legend, moment, numbers, patterns, px, state,
};
use crate::domain::device::State;
use crate::domain::history::{Interval, Span, clipped};
use crate::domain::verdict::long_span;

/// What is drawn of a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Strip {
    /// A word that names it on the page.
    pub id: String,
    /// What it is, in words.
    pub title: String,
    /// For which time.
    pub interval: Interval,
    /// What it was as it was seen, in order. A time that is not told is one in which there was no device.
    pub seen: Vec<Span>,
    /// What it was as it was proven.
    pub proven: Vec<Span>,
    /// When it was worked on.
    pub maintenance: Vec<Interval>,
}

/// The most spans that are drawn each by itself: of more, the worst of every place is.
const MOST: usize = 400;
const LANE: f64 = 26.0;
const APART: f64 = 6.0;
const TOP: f64 = 6.0;

/// Draws it.
#[must_use]
pub fn draw(strip: &Strip, zone: &TimeZone) -> Markup {
    let states = |spans: &[Span]| spans.iter().map(|s| (s.from, s.to, s.state)).collect::<Vec<_>>();
    let differs = states(&strip.seen) != states(&strip.proven);
    let mut lanes = vec![("seen", lane(&strip.seen, strip.interval))];
    if differs {
        lanes.push(("proven", lane(&strip.proven, strip.interval)));
    }
    if !strip.maintenance.is_empty() {
        let worked = strip.maintenance.iter().map(|&(from, to)| (from, to, Look::Maintenance, String::new()));
        lanes.push(("work", worked.take(MOST).collect()));
    }
    let bottom = TOP + lanes.len() as f64 * (LANE + APART);
    let figure = Figure {
        id: strip.id.clone(),
        title: strip.title.clone(),
        says: says(strip, zone),
        height: bottom + 26.0,
    };
    let across = Across(strip.interval);
    let drawn = html! {
        (patterns(&strip.id))
        (below(strip.interval, zone, (TOP, bottom)))
        @for (n, (name, spans)) in lanes.iter().enumerate() {
            @let y = TOP + n as f64 * (LANE + APART);
            text x=(px(LEFT - 8.0)) y=(px(y + 17.0)) text-anchor="end" { (name) }
            @for (from, to, look, reason) in spans {
                @let (x, wide) = across.stretch(*from, *to, 1.5);
                (area(&strip.id, *look, (x, y), (wide, LANE), &told((*from, *to), *look, reason, zone)))
            }
        }
    };
    let is_there = |look: &&Look| lanes.iter().any(|(_, spans)| spans.iter().any(|(_, _, l, _)| l == *look));
    let looks: Vec<Look> = Look::ALL.iter().filter(is_there).copied().collect();
    figure.around(&drawn, &html! { (legend(&strip.id, &looks)) (table(strip, zone)) })
}

type Drawn = (Time, Time, Look, String);

/// A lane of spans. Where there are very many, each place of it is the worst that lies there: no trouble is left out.
fn lane(spans: &[Span], (from, to): Interval) -> Vec<Drawn> {
    if spans.len() <= MOST {
        return spans.iter().map(|s| (s.from, s.to, s.state.into(), s.reason.clone())).collect();
    }
    let places = (RIGHT - LEFT) as i64 / 2;
    let edge = |n: i64| {
        from + Millis(
            i64::try_from(i128::from(to.since(from).0) * i128::from(n) / i128::from(places)).unwrap_or(0),
        )
    };
    let mut all: Vec<Drawn> = Vec::new();
    for n in 0..places {
        let (start, end) = (edge(n), edge(n + 1));
        let first = spans.partition_point(|span| span.to <= start);
        let within = spans[first..].iter().take_while(|span| span.from < end);
        let Some(worst) = within.map(|span| span.state).max_by_key(|state| badness(*state)) else { continue };
        let look = Look::from(worst);
        match all.last_mut() {
            Some((_, last, same, _)) if *same == look && *last == start => *last = end,
            Some(_) | None => all.push((start, end, look, "the worst of this time".to_owned())),
        }
    }
    all
}

fn badness(state: State) -> u8 {
    match state {
        State::Up => 0,
        State::Unknown => 1,
        State::Degraded => 2,
        State::Unreachable => 3,
        State::Down => 4,
    }
}

fn told((from, to): Interval, look: Look, reason: &str, zone: &TimeZone) -> String {
    let why = if reason.is_empty() { String::new() } else { format!(": {reason}") };
    format!("{look} from {} for {}{why}", clock(from, zone), long_span(to.since(from)))
}

fn says(strip: &Strip, zone: &TimeZone) -> String {
    let (from, to) = strip.interval;
    let span = format!("From {} to {}", clock(from, zone), clock(to, zone));
    let Some(last) = strip.seen.last() else { return format!("{span} the device was not there yet.") };
    let out: Vec<&Span> = strip.seen.iter().filter(|span| span.state == State::Down).collect();
    let long = out.iter().fold(Millis::ZERO, |sum, span| sum + span.to.since(span.from));
    let down = match out.len() {
        0 => "it was never down".to_owned(),
        1 => format!("it was down once, for {}", long_span(long)),
        many => format!("it was down {many} times, for {} together", long_span(long)),
    };
    format!("{span} {down}; at the end it is {}.", last.state)
}

fn table(strip: &Strip, zone: &TimeZone) -> Markup {
    let mut rows = Vec::new();
    for span in &strip.seen {
        for known in clipped(&strip.proven, span.from, span.to) {
            let reason = if known.state == span.state { &span.reason } else { &known.reason };
            rows.push(vec![
                moment(known.from, zone),
                moment(known.to, zone),
                html! { (long_span(known.to.since(known.from))) },
                state(span.state.into()),
                state(known.state.into()),
                html! { (reason) },
            ]);
        }
    }
    numbers(&strip.title, &["From", "Until", "Lasted", "State", "As proven", "Why"], rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::history::{Change, timeline};

    fn strip(changes: &[(i64, State)]) -> Strip {
        let change = |&(since, state): &(i64, State)| Change {
            since: Time(since),
            state,
            reason: format!("<b>{state}</b>"),
        };
        let changes: Vec<Change> = changes.iter().map(change).collect();
        let interval = (Time(0), Time(3_600_000));
        let seen = timeline(&changes, Time(0), interval.0, interval.1);
        Strip {
            id: "s".into(),
            title: "ap".into(),
            interval,
            proven: seen.clone(),
            seen,
            maintenance: Vec::new(),
        }
    }

    #[test]
    fn it_is_told_as_seen_and_as_proven_where_these_differ() {
        let plain = strip(&[(0, State::Up), (600_000, State::Down), (1_200_000, State::Unknown)]);
        let text = draw(&plain, &TimeZone::UTC).into_string();
        assert!(text.contains(">seen</text>") && !text.contains(">proven</text>"), "{text}");
        assert!(text.contains("it was down once, for 10 min; at the end it is unknown."), "{text}");
        assert!(text.contains("&lt;b&gt;down&lt;/b&gt;") && !text.contains("<b>"), "{text}");
        let mut proven = plain;
        proven.proven.last_mut().unwrap().state = State::Up;
        proven.maintenance.push((Time(500_000), Time(700_000)));
        let text = draw(&proven, &TimeZone::UTC).into_string();
        assert!(text.contains(">proven</text>") && text.contains(">work</text>"), "{text}");
        assert!(text.contains("url(#s-maintenance)") && !text.contains("style="), "{text}");
    }

    #[test]
    fn of_thousands_of_changes_no_trouble_is_left_out_and_few_are_drawn() {
        let mut changes: Vec<(i64, State)> =
            (0..3_000).map(|n| (n * 1_000, if n % 2 == 0 { State::Up } else { State::Degraded })).collect();
        changes.push((3_000_000, State::Down));
        changes.push((3_000_200, State::Up));
        let strip = strip(&changes);
        let drawn = lane(&strip.seen, strip.interval);
        assert!(drawn.len() <= MOST, "{}", drawn.len());
        assert!(drawn.iter().any(|(_, _, look, _)| *look == Look::Down));
        assert!(drawn.windows(2).all(|two| two[0].1 == two[1].0));
    }

    #[test]
    fn a_device_that_was_not_there_yet_has_an_empty_strip() {
        let empty = Strip { seen: Vec::new(), proven: Vec::new(), ..strip(&[]) };
        assert!(draw(&empty, &TimeZone::UTC).into_string().contains("the device was not there yet."));
    }
}
