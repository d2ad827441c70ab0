//! Axes: round numbers upwards, round times from left to right.

use jiff::Unit;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use maud::{Markup, html};
use schedules::{Millis, Time};

use super::frame::{Across, LEFT, RIGHT, px};
use crate::domain::availability::date;
use crate::domain::history::Interval;
use crate::domain::wall::reached;

/// An axis upwards, from nothing to a round number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale {
    /// The number at its top.
    pub top: f64,
    /// From one number to the next.
    pub step: f64,
}

impl Scale {
    /// One that holds `most`, with about `about` numbers on it.
    #[must_use]
    pub fn for_most(most: f64, about: f64) -> Scale {
        let most = if most > 0.0 { most } else { 1.0 };
        let rough = most / about;
        let ten = 10_f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].map(|n| n * ten).into_iter().find(|step| *step >= rough * 0.999);
        let step = step.unwrap_or(10.0 * ten);
        Scale { top: (most / step * 0.999_999).ceil() * step, step }
    }

    /// The numbers on it.
    #[must_use]
    pub fn numbers(&self) -> Vec<f64> {
        let many = (self.top / self.step).round() as u32;
        (0..=many).map(|n| f64::from(n) * self.step).collect()
    }
}

/// A round trip as people write it, all in the unit that suits the largest of them (all in µs).
#[derive(Clone, Copy, Debug)]
pub struct RoundTrip {
    /// How many µs its unit is.
    pub size: f64,
    /// Its unit.
    pub unit: &'static str,
}

impl RoundTrip {
    /// The unit for times of up to so many µs.
    #[must_use]
    pub fn up_to(most_us: f64) -> RoundTrip {
        match most_us {
            most if most < 1_000.0 => RoundTrip { size: 1.0, unit: "µs" },
            most if most < 10_000_000.0 => RoundTrip { size: 1_000.0, unit: "ms" },
            _ => RoundTrip { size: 1_000_000.0, unit: "s" },
        }
    }

    /// A time in it.
    #[must_use]
    pub fn text(&self, us: f64) -> String {
        let value = us / self.size;
        let text =
            if value >= 100.0 || self.size <= 1.0 { format!("{value:.0}") } else { format!("{value:.2}") };
        let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
        format!("{text} {}", self.unit)
    }
}

/// How far apart times stand on an axis.
enum Apart {
    Minutes(i32),
    Days(usize),
    Months(i16),
}

const STEPS: &[(i64, Apart)] = &[
    (60, Apart::Minutes(1)),
    (300, Apart::Minutes(5)),
    (600, Apart::Minutes(10)),
    (900, Apart::Minutes(15)),
    (1_800, Apart::Minutes(30)),
    (3_600, Apart::Minutes(60)),
    (7_200, Apart::Minutes(120)),
    (10_800, Apart::Minutes(180)),
    (21_600, Apart::Minutes(360)),
    (43_200, Apart::Minutes(720)),
    (86_400, Apart::Days(1)),
    (172_800, Apart::Days(2)),
    (604_800, Apart::Days(7)),
    (1_209_600, Apart::Days(14)),
    (2_592_000, Apart::Months(1)),
    (7_776_000, Apart::Months(3)),
    (15_552_000, Apart::Months(6)),
    (31_104_000, Apart::Months(12)),
];

/// The most days that are counted through: a longer time has no axis.
const MOST_DAYS: usize = 40_000;

/// Round times within an interval on the clocks of `zone`, at most about `most`, each with what is written there.
#[must_use]
pub fn times((from, to): Interval, zone: &TimeZone, most: i64) -> Vec<(Time, String)> {
    let long = to.since(from);
    if long <= Millis::ZERO {
        return Vec::new();
    }
    let apart = STEPS.iter().find(|(secs, _)| secs * 1_000 * most >= long.0).map(|(_, apart)| apart);
    let days = days(from, to, zone);
    let mut all: Vec<(Time, String)> = match apart.unwrap_or(&Apart::Months(12)) {
        Apart::Minutes(step) => {
            let minutes =
                |day: Date| (0..1_440).step_by(usize::try_from(*step).unwrap_or(60)).map(move |m| (day, m));
            days.iter()
                .copied()
                .flat_map(minutes)
                .filter_map(|(day, minute)| at_minute(day, minute, zone))
                .collect()
        }
        Apart::Days(step) => {
            let monday = days.iter().position(|day| day.weekday() == jiff::civil::Weekday::Monday);
            let first = if *step >= 7 { monday.unwrap_or(0) } else { 0 };
            let some = days.iter().skip(first).step_by(*step);
            some.filter_map(|day| Some((midnight(*day, zone)?, day.strftime("%-d %b").to_string()))).collect()
        }
        Apart::Months(step) => {
            let first = |day: &&Date| day.day() == 1 && (i16::from(day.month()) - 1) % step == 0;
            let form = if *step >= 12 { "%Y" } else { "%b %Y" };
            let some = days.iter().filter(first);
            some.filter_map(|day| Some((midnight(*day, zone)?, day.strftime(form).to_string()))).collect()
        }
    };
    all.retain(|(at, _)| *at >= from && *at <= to);
    all.dedup_by_key(|(at, _)| *at);
    all
}

fn days(from: Time, to: Time, zone: &TimeZone) -> Vec<Date> {
    let (first, last) = (date(from, zone), date(to, zone));
    let many = first.until((Unit::Day, last)).map_or(0, |span| usize::try_from(span.get_days()).unwrap_or(0));
    if many > MOST_DAYS {
        return Vec::new();
    }
    std::iter::successors(Some(first), |day| day.tomorrow().ok()).take(many + 1).collect()
}

fn midnight(day: Date, zone: &TimeZone) -> Option<Time> {
    reached(day.at(0, 0, 0, 0), zone)
}

fn at_minute(day: Date, minute: i32, zone: &TimeZone) -> Option<(Time, String)> {
    let (hour, minute) = (i8::try_from(minute / 60).ok()?, i8::try_from(minute % 60).ok()?);
    let at = reached(day.at(hour, minute, 0, 0), zone)?;
    let text = if (hour, minute) == (0, 0) {
        day.strftime("%-d %b").to_string()
    } else {
        format!("{hour:02}:{minute:02}")
    };
    Some((at, text))
}

/// The axis of times below what is drawn, with lines upwards through it.
#[must_use]
pub fn below(interval: Interval, zone: &TimeZone, (top, bottom): (f64, f64)) -> Markup {
    let across = Across(interval);
    html! {
        @for (at, text) in times(interval, zone, 7) {
            @let x = across.x(at);
            @let anchor = if x < LEFT + 24.0 { "start" } else if x > RIGHT - 24.0 { "end" } else { "middle" };
            line.axis x1=(px(x)) x2=(px(x)) y1=(px(top)) y2=(px(bottom + 4.0)) {}
            text x=(px(x)) y=(px(bottom + 18.0)) text-anchor=(anchor) { (text) }
        }
        line.axis x1=(px(LEFT)) x2=(px(RIGHT)) y1=(px(bottom)) y2=(px(bottom)) {}
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOON: i64 = 1_795_608_000_000; // 2026-11-25T12:00:00Z
    const HOUR: i64 = 3_600_000;

    fn shown(from: i64, to: i64, zone: &str) -> Vec<String> {
        let zone = TimeZone::get(zone).unwrap();
        times((Time(from), Time(to)), &zone, 7).into_iter().map(|(_, text)| text).collect()
    }

    #[test]
    fn numbers_on_an_axis_are_round_and_hold_the_most() {
        for (most, top, step) in
            [(0.0, 1.0, 0.5), (3.2, 4.0, 1.0), (24.0, 30.0, 10.0), (100.0, 100.0, 50.0), (0.7, 0.8, 0.2)]
        {
            let scale = Scale::for_most(most, 4.0);
            assert!((scale.top - top).abs() < 1e-9 && scale.step <= step, "{most}: {scale:?}");
        }
        assert_eq!(RoundTrip::up_to(800.0).text(250.0), "250 µs");
        assert_eq!(RoundTrip::up_to(8_000.0).text(2_500.0), "2.5 ms");
        assert_eq!(RoundTrip::up_to(80_000.0).text(20_000.0), "20 ms");
    }

    #[test]
    fn times_on_an_axis_are_round_on_the_clocks_of_the_place() {
        assert_eq!(shown(NOON - 2 * HOUR, NOON, "UTC"), ["10:00", "10:30", "11:00", "11:30", "12:00"]);
        assert_eq!(shown(NOON - 24 * HOUR, NOON, "Europe/Berlin"), ["18:00", "25 Nov", "06:00", "12:00"]);
        assert_eq!(shown(NOON - 7 * 24 * HOUR, NOON, "UTC").first().unwrap(), "19 Nov");
        assert_eq!(
            shown(NOON - 365 * 24 * HOUR, NOON, "UTC"),
            ["Jan 2026", "Apr 2026", "Jul 2026", "Oct 2026"]
        );
        assert_eq!(shown(NOON, NOON, "UTC"), Vec::<String>::new());
        // The night in which the clocks are put back: each hour is named once.
        let night = 1_792_879_200_000; // 2026-10-24T22:00Z, midnight in Berlin
        assert_eq!(
            shown(night, night + 7 * HOUR, "Europe/Berlin"),
            ["25 Oct", "01:00", "02:00", "03:00", "04:00", "05:00", "06:00"].map(str::to_owned)[..]
        );
    }

    proptest! {
        #[test]
        fn an_axis_is_never_crowded(from in 0..4_000_000_000_000_i64, long in 1..200_000_000_000_i64) {
            let all = times((Time(from), Time(from + long)), &TimeZone::UTC, 7);
            prop_assert!(all.len() <= 16, "{}", all.len());
            prop_assert!(all.windows(2).all(|two| two[0].0 < two[1].0));
        }

        #[test]
        fn an_axis_holds_what_is_drawn(most in 0.001..1e12_f64) {
            let scale = Scale::for_most(most, 4.0);
            prop_assert!(scale.top >= most * 0.999, "{scale:?}");
            prop_assert!(scale.numbers().len() <= 8, "{scale:?}");
        }
    }
}
