//! Round trips over time, with what was lost: a line through the middle ones, a band from the least to the most, and a
//! lane below in which each loss stands as high as it is. In the manner of SmokePing (Tobias Oetiker).

use jiff::tz::TimeZone;
use maud::{Markup, html};
use schedules::{Millis, Time};

use super::axis::{RoundTrip, Scale, below};
use super::frame::{Across, Figure, LEFT, RIGHT, clock, moment, numbers, px};
use crate::domain::history::Interval;
use crate::domain::named;

/// What a point's middle is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RoundTrips {
    /// The least, in µs.
    pub least: u32,
    /// The middle one, or the average.
    pub middle: u64,
    /// The most.
    pub most: u32,
}

/// What a check measured in some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point {
    /// When that time begins.
    pub at: Time,
    /// How long it is.
    pub long: Millis,
    /// How long answers took; absent: there was none, or the check measures none.
    pub round_trips: Option<RoundTrips>,
    /// How much was lost, in thousandths: of the packets where they are counted, else of the runs.
    pub lost_permille: u64,
    /// How many runs there were.
    pub runs: u64,
}

impl Point {
    fn end(&self) -> Time {
        self.at + self.long
    }

    fn centre(&self) -> Time {
        self.at + Millis(self.long.0 / 2)
    }
}

named! {
    /// What the line goes through.
    pub enum Middle {
        /// The middle one of all readings.
        Median = "median",
        /// Their average: where each by itself is no longer kept.
        Average = "average",
    }
}

/// All that is drawn of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Latency {
    /// A word that names the check on the page.
    pub id: String,
    /// What the check is, in words.
    pub title: String,
    /// For which time.
    pub interval: Interval,
    /// What was measured, in order. Nothing stands for a time in which nothing was.
    pub points: Vec<Point>,
    /// What the line goes through.
    pub middle: Middle,
    /// How often the check runs at least: two points further apart than this and a half have a gap between them.
    pub every: Millis,
}

const TOP: f64 = 18.0;
const BOTTOM: f64 = 170.0;
const LANE_TOP: f64 = 184.0;
const LANE_BOTTOM: f64 = 214.0;
const HEIGHT: f64 = 238.0;
/// How far the axis reaches above the most, at least.
const ROOM: f64 = 1.02;
/// More lost than this is drawn as bad.
const BAD_PERMILLE: u64 = 100;

/// Draws it.
#[must_use]
pub fn draw(latency: &Latency, zone: &TimeZone) -> Markup {
    let most = top(&latency.points);
    let scale = Scale::for_most(most * ROOM / RoundTrip::up_to(most).size, 4.0);
    let upwards = Upwards { unit: RoundTrip::up_to(most), scale };
    let across = Across(latency.interval);
    let figure = Figure {
        id: latency.id.clone(),
        title: latency.title.clone(),
        says: says(latency, upwards.unit, zone),
        height: HEIGHT,
    };
    let drawn = html! {
        (upwards.axis())
        (below(latency.interval, zone, (TOP, LANE_BOTTOM)))
        @for run in runs(&latency.points, latency.every) { (line(run, across, &upwards)) }
        @for point in &latency.points { (cut(point, across, &upwards)) }
        text x=(px(LEFT - 8.0)) y=(px(LANE_TOP + 20.0)) text-anchor="end" { "loss" }
        @for point in latency.points.iter().filter(|point| point.lost_permille > 0) {
            (lost(point, across, zone))
        }
    };
    figure.around(&drawn, &html! { (legend(latency.middle)) (table(latency, upwards.unit, zone)) })
}

/// The largest round trip that is drawn: where a few are far above all others, those are cut, so that the others are seen.
fn top(points: &[Point]) -> f64 {
    let mut most: Vec<u32> =
        points.iter().filter_map(|point| point.round_trips).map(|trips| trips.most).collect();
    most.sort_unstable();
    let Some(&highest) = most.last() else { return 1_000.0 };
    let usual = f64::from(most[(most.len() - 1) * 95 / 100]);
    f64::from(highest).min((usual * 3.0).max(1.0))
}

/// Where numbers stand upwards.
struct Upwards {
    unit: RoundTrip,
    scale: Scale,
}

impl Upwards {
    fn y(&self, us: f64) -> f64 {
        let share = (us / self.unit.size / self.scale.top).clamp(0.0, 1.0);
        BOTTOM - share * (BOTTOM - TOP)
    }

    fn is_above(&self, us: f64) -> bool {
        us > self.scale.top * self.unit.size * 1.000_1
    }

    fn axis(&self) -> Markup {
        html! {
            @for number in self.scale.numbers() {
                @let (us, y) = (number * self.unit.size, self.y(number * self.unit.size));
                line.axis x1=(px(LEFT)) x2=(px(RIGHT)) y1=(px(y)) y2=(px(y)) {}
                text x=(px(LEFT - 8.0)) y=(px(y + 4.0)) text-anchor="end" { (self.unit.text(us)) }
            }
        }
    }
}

/// The points between which there is no gap.
fn runs(points: &[Point], every: Millis) -> Vec<&[Point]> {
    let reach = |point: &Point| Millis(every.0.max(point.long.0) * 3 / 2);
    let joins = |a: &Point, b: &Point| {
        let near = b.at.since(a.end()) <= reach(a).max(reach(b));
        near && a.round_trips.is_some() && b.round_trips.is_some()
    };
    points.chunk_by(joins).filter(|run| run.iter().any(|point| point.round_trips.is_some())).collect()
}

/// The line and the band of points between which there is no gap.
fn line(run: &[Point], across: Across, upwards: &Upwards) -> Markup {
    let all: Vec<(&Point, RoundTrips)> =
        run.iter().filter_map(|point| point.round_trips.map(|trips| (point, trips))).collect();
    // One alone has a width as well: it is as long as its time.
    let places: Vec<(f64, RoundTrips)> = match all.as_slice() {
        [(point, trips)] => {
            let (x, wide) = across.stretch(point.at, point.end(), 2.0);
            vec![(x, *trips), (x + wide, *trips)]
        }
        all => all.iter().map(|(point, trips)| (across.x(point.centre()), *trips)).collect(),
    };
    let path = |level: &dyn Fn(&RoundTrips) -> f64, back: bool| {
        let one = |(x, trips): &(f64, RoundTrips)| format!("{} {}", px(*x), px(upwards.y(level(trips))));
        let mut all: Vec<String> = places.iter().map(one).collect();
        if back {
            all.reverse();
        }
        all.join("L")
    };
    let least = path(&|trips| f64::from(trips.least), false);
    let most = path(&|trips| f64::from(trips.most), true);
    html! {
        path.band d={"M" (least) "L" (most) "Z"} {}
        path.trace d={"M" (path(&|trips| trips.middle as f64, false))} {}
    }
}

/// A mark where the most of a time is above all that is drawn.
fn cut(point: &Point, across: Across, upwards: &Upwards) -> Markup {
    let above = point.round_trips.filter(|trips| upwards.is_above(f64::from(trips.most)));
    html! {
        @if let Some(trips) = above {
            @let x = across.x(point.centre());
            g {
                title { "up to " (upwards.unit.text(f64::from(trips.most))) }
                path.warn d={"M" (px(x - 4.0)) " " (px(TOP)) "L" (px(x + 4.0)) " " (px(TOP)) "L" (px(x)) " " (px(TOP - 8.0)) "Z"} {}
            }
        }
    }
}

/// What was lost in some time: as high as it is much, and never so low that it is not seen.
fn lost(point: &Point, across: Across, zone: &TimeZone) -> Markup {
    let (x, wide) = across.stretch(point.at, point.end(), 2.0);
    let share = point.lost_permille.min(1_000) as f64 / 1_000.0;
    let high = (share * (LANE_BOTTOM - LANE_TOP)).max(4.0);
    let class = if point.lost_permille > BAD_PERMILLE { "bad" } else { "warn" };
    html! {
        g {
            title { (clock(point.at, zone)) ": " (percent(point.lost_permille)) " lost" }
            rect class=(class) x=(px(x)) y=(px(LANE_BOTTOM - high)) width=(px(wide)) height=(px(high)) {}
        }
    }
}

fn percent(permille: u64) -> String {
    if permille.is_multiple_of(10) {
        format!("{} %", permille / 10)
    } else {
        format!("{}.{} %", permille / 10, permille % 10)
    }
}

fn legend(middle: Middle) -> Markup {
    html! {
        p.quiet {
            "Line: the " (middle.as_str()) " round trip. Band: from the least to the most. Below: what was lost, "
            "as high as it is much. Where nothing is drawn, nothing was measured."
        }
    }
}

fn says(latency: &Latency, unit: RoundTrip, zone: &TimeZone) -> String {
    let (from, to) = latency.interval;
    let span = format!("From {} to {}", clock(from, zone), clock(to, zone));
    let trips: Vec<RoundTrips> = latency.points.iter().filter_map(|point| point.round_trips).collect();
    let lossy = latency.points.iter().filter(|point| point.lost_permille > 0).count();
    let least = trips.iter().map(|trips| trips.least).min();
    let most = trips.iter().map(|trips| trips.most).max();
    let took = match least.zip(most) {
        Some((least, most)) => {
            format!("answers took {} to {}", unit.text(f64::from(least)), unit.text(f64::from(most)))
        }
        None if latency.points.is_empty() => return format!("{span} nothing was measured."),
        None => "nothing answered with a time".to_owned(),
    };
    let lost = match lossy {
        0 => "nothing was lost".to_owned(),
        some => format!("something was lost in {some} of {} points", latency.points.len()),
    };
    format!("{span} {took}; {lost}.")
}

fn table(latency: &Latency, unit: RoundTrip, zone: &TimeZone) -> Markup {
    let row = |point: &Point| {
        let trip = |pick: &dyn Fn(RoundTrips) -> f64| match point.round_trips {
            Some(trips) => html! { (unit.text(pick(trips))) },
            None => html! { span.none aria-label="none" { "–" } },
        };
        vec![
            moment(point.at, zone),
            html! { (point.runs) },
            trip(&|trips| f64::from(trips.least)),
            trip(&|trips| trips.middle as f64),
            trip(&|trips| f64::from(trips.most)),
            html! { (percent(point.lost_permille)) },
        ]
    };
    let rows = latency.points.iter().map(row).collect();
    let heads = ["From", "Runs", "Least", latency.middle.as_str(), "Most", "Lost"];
    numbers(&latency.title, &heads, rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(n: i64, middle: Option<u32>, lost_permille: u64) -> Point {
        let trips = |us| RoundTrips { least: us / 2, middle: u64::from(us), most: us * 2 };
        Point {
            at: Time(n * 60_000),
            long: Millis(60_000),
            round_trips: middle.map(trips),
            lost_permille,
            runs: 2,
        }
    }

    fn drawn(points: Vec<Point>) -> String {
        let latency = Latency {
            id: "c1".into(),
            title: "icmp <router>".into(),
            interval: (Time(0), Time(3_600_000)),
            points,
            middle: Middle::Median,
            every: Millis(60_000),
        };
        draw(&latency, &TimeZone::UTC).into_string()
    }

    #[test]
    fn a_line_ends_where_nothing_was_measured_and_begins_anew() {
        let points = [0, 1, 2, 3, 20, 21, 22, 40].map(|n| point(n, Some(20_000), 0));
        let text = drawn(points.to_vec());
        assert_eq!(text.matches("class=\"trace\"").count(), 3, "{text}");
        // One that was lost altogether breaks it as well.
        let mut points: Vec<Point> = (0..9).map(|n| point(n, Some(20_000), 0)).collect();
        points[4] = point(4, None, 1_000);
        let text = drawn(points);
        assert_eq!(text.matches("class=\"trace\"").count(), 2, "{text}");
        assert_eq!(text.matches("<rect class=\"bad\"").count(), 1, "{text}");
        assert!(text.contains("00:04: 100 % lost"), "{text}");
        assert_eq!(drawn(Vec::new()).matches("class=\"trace\"").count(), 0);
    }

    #[test]
    fn one_point_missed_by_less_than_half_an_interval_is_no_gap() {
        let late = Point { at: Time(2 * 60_000 + 29_000), ..point(0, Some(5_000), 0) };
        let points = [point(0, Some(5_000), 0), late];
        assert_eq!(runs(&points, Millis(60_000)).len(), 1);
        let later = Point { at: Time(4 * 60_000), ..late };
        assert_eq!(runs(&[points[0], later], Millis(60_000)).len(), 2);
        // A check that runs every ten minutes has no gap where its points are ten minutes apart.
        assert_eq!(runs(&[points[0], point(10, Some(5_000), 0)], Millis(600_000)).len(), 1);
    }

    #[test]
    fn it_is_told_in_words_and_numbers_and_what_was_typed_is_text() {
        let text = drawn(vec![point(0, Some(20_000), 0), point(1, Some(30_000), 55)]);
        assert!(text.contains("icmp &lt;router&gt;") && !text.contains("<router>"), "{text}");
        assert!(text.contains("role=\"img\" aria-labelledby=\"c1-title c1-says\""), "{text}");
        assert!(text.contains("answers took 10 ms to 60 ms; something was lost in 1 of 2 points."), "{text}");
        assert!(text.contains("<td>5.5 %</td>") && text.contains(">60 ms</text>"), "{text}");
        assert!(!text.contains("style=") && !text.contains("NaN"), "{text}");
    }

    #[test]
    fn a_single_peak_does_not_flatten_all_others() {
        let mut points: Vec<Point> = (0..60).map(|n| point(n, Some(20_000), 0)).collect();
        points[30] = point(30, Some(5_000_000), 0);
        let text = drawn(points);
        assert!(text.contains("up to 10000 ms"), "{text}");
        assert!(!text.contains(">5000 ms</text>"), "{text}");
    }
}
