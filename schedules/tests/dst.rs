//! What cron lines do when the clocks of their zone are changed, beside a plain walk over every minute.

use chrono::{DateTime, NaiveDateTime, TimeDelta, Timelike, Utc};
use chrono_tz::Tz;
use proptest::prelude::*;
use schedules::{Cadence, Time};

fn moment(text: &str) -> Time {
    Time(text.parse::<DateTime<Utc>>().expect("a moment in RFC 3339").timestamp_millis())
}

/// The next `count` firings after `after`, in UTC.
fn firings(line: &str, after: &str, count: usize) -> Vec<String> {
    let cadence: Cadence = line.parse().expect("a cron line");
    let mut at = moment(after);
    let mut out = Vec::new();
    for _ in 0..count {
        at = cadence.next(at, 0);
        let shown = DateTime::from_timestamp_millis(at.0).expect("a moment of this century");
        out.push(shown.format("%dT%H:%M:%SZ").to_string());
    }
    out
}

// In Berlin the clock goes from 02:00 to 03:00 on 29 March 2026 at 01:00 UTC, and from 03:00 back to 02:00 on 25 October
// 2026 at 01:00 UTC.

#[test]
fn a_job_at_half_past_two_runs_when_the_clock_jumps_over_it() {
    assert_eq!(
        firings("30 2 * * * Europe/Berlin", "2026-03-27T12:00:00Z", 3),
        ["28T01:30:00Z", "29T01:00:00Z", "30T00:30:00Z"]
    );
}

#[test]
fn a_job_at_half_past_two_runs_once_in_the_night_that_has_it_twice() {
    assert_eq!(
        firings("30 2 * * * Europe/Berlin", "2026-10-23T12:00:00Z", 3),
        ["24T00:30:00Z", "25T00:30:00Z", "26T01:30:00Z"]
    );
    // Asked between the two, and after the second.
    assert_eq!(firings("30 2 * * * Europe/Berlin", "2026-10-25T01:10:00Z", 1), ["26T01:30:00Z"]);
    assert_eq!(firings("30 2 * * * Europe/Berlin", "2026-10-25T01:30:00Z", 1), ["26T01:30:00Z"]);
}

#[test]
fn an_hourly_job_runs_every_real_hour_over_both_changes() {
    let hours = ["T00:00:00Z", "T01:00:00Z", "T02:00:00Z", "T03:00:00Z"];
    for (after, day) in [("2026-03-28T23:00:00Z", "29"), ("2026-10-24T23:00:00Z", "25")] {
        let every_hour = hours.map(|hour| format!("{day}{hour}"));
        assert_eq!(firings("0 * * * * Europe/Berlin", after, 4), every_hour);
        assert_eq!(firings("@hourly Europe/Berlin", after, 4), every_hour);
    }
}

#[test]
fn an_every_minute_job_runs_every_real_minute_over_both_changes() {
    let cadence: Cadence = "* * * * * Europe/Berlin".parse().unwrap();
    for start in ["2026-03-28T22:00:00Z", "2026-10-24T22:00:00Z"] {
        let mut at = moment(start);
        for _ in 0..6 * 60 {
            let next = cadence.next(at, 0);
            assert_eq!(next.since(at).0, 60_000, "after {at:?}");
            at = next;
        }
    }
}

#[test]
fn a_job_every_ten_seconds_in_one_hour_runs_in_both_of_that_name() {
    let line = "*/10 59 2 * * * Europe/Berlin";
    let in_repeat = firings(line, "2026-10-25T00:59:40Z", 3);
    assert_eq!(in_repeat, ["25T00:59:50Z", "25T01:59:00Z", "25T01:59:10Z"]);
    assert_eq!(firings(line, "2026-03-28T12:00:00Z", 1), ["30T00:59:00Z"]);
}

#[test]
fn a_yearly_job_in_the_repeated_hour_does_not_leave_out_the_second() {
    let line = "*/30 2 25 10 * Europe/Berlin";
    assert_eq!(firings(line, "2026-10-25T00:30:00Z", 3), ["25T01:00:00Z", "25T01:30:00Z", "25T00:00:00Z"]);
}

#[test]
fn two_times_in_one_gap_are_one_run_at_its_end() {
    assert_eq!(
        firings("0,30 2 * * * Europe/Berlin", "2026-03-28T12:00:00Z", 3),
        ["29T01:00:00Z", "30T00:00:00Z", "30T00:30:00Z"]
    );
}

#[test]
fn a_fraction_of_a_second_after_a_firing_is_after_it() {
    let cadence: Cadence = "* * * * * *".parse().unwrap();
    for (after, next) in [(0, 1_000), (1, 1_000), (999, 1_000), (-1, 0), (-1_000, 0), (-1_001, -1_000)] {
        assert_eq!(cadence.next(Time(after), 0), Time(next), "after {after}");
    }
}

#[test]
fn a_leap_day_is_found_over_a_century_that_has_none() {
    let cadence: Cadence = "0 0 29 2 *".parse().unwrap();
    assert_eq!(cadence.next(moment("2096-03-01T00:00:00Z"), 0), moment("2104-02-29T00:00:00Z"));
}

/// Changes of many sorts: an hour, half an hour, two hours, a whole day left out, at midnight, for good.
const CHANGES: [(&str, &str); 12] = [
    ("Europe/Berlin", "2026-03-29T01:00:00Z"),
    ("Europe/Berlin", "2026-10-25T01:00:00Z"),
    ("America/New_York", "2025-03-09T07:00:00Z"),
    ("America/New_York", "2025-11-02T06:00:00Z"),
    ("Australia/Lord_Howe", "2025-10-04T15:30:00Z"),
    ("Australia/Lord_Howe", "2026-04-04T15:00:00Z"),
    ("Antarctica/Troll", "2025-03-30T01:00:00Z"),
    ("Antarctica/Troll", "2025-10-26T01:00:00Z"),
    ("Pacific/Apia", "2011-12-30T10:00:00Z"),
    ("America/Sao_Paulo", "2018-11-04T03:00:00Z"),
    ("America/Sao_Paulo", "2018-02-18T02:00:00Z"),
    ("Asia/Pyongyang", "2015-08-14T15:00:00Z"),
];

/// A minute or hour field, and the values it stands for.
fn field(limit: u32) -> impl Strategy<Value = (String, Vec<u32>, bool)> {
    prop_oneof![
        1 => Just(("*".to_owned(), (0..limit).collect(), true)),
        2 => (1..=limit / 2).prop_map(move |step| {
            (format!("*/{step}"), (0..limit).step_by(step as usize).collect(), true)
        }),
        4 => prop::collection::btree_set(0..limit.min(30), 1..4).prop_map(|values| {
            let text = values.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
            (text, values.into_iter().collect(), false)
        }),
    ]
}

/// The firings from `from` over so many minutes, found by looking at the wall clock at every one of them.
fn walk(from: DateTime<Tz>, minutes: i64, fires: impl Fn(NaiveDateTime) -> bool, open: bool) -> Vec<i64> {
    let mut out = Vec::new();
    // The latest reading the clock has shown; a fixed time fires at the first moment that shows it or a later one.
    let mut latest = (from - TimeDelta::days(1)).naive_local();
    for minute in -1440..minutes {
        let at = from + TimeDelta::minutes(minute);
        let wall = at.naive_local();
        let fired = if open {
            fires(wall)
        } else {
            let passed = (wall - latest).num_minutes().max(0);
            (0..passed).any(|back| fires(wall - TimeDelta::minutes(back)))
        };
        latest = latest.max(wall);
        if fired && minute > 0 {
            out.push(at.timestamp_millis());
        }
    }
    out
}

proptest! {
    #[test]
    fn next_agrees_with_a_walk_over_every_minute(
        change in prop::sample::select(&CHANGES[..]),
        before in -600..1800_i64,
        (minute, minutes, open_minute) in field(60),
        (hour, hours, open_hour) in field(24),
    ) {
        const WINDOW: i64 = 3 * 1440;
        let (zone, changed_at) = change;
        let tz: Tz = zone.parse().unwrap();
        let from = changed_at.parse::<DateTime<Utc>>().unwrap().with_timezone(&tz) - TimeDelta::minutes(before);
        let fires = |wall: NaiveDateTime| minutes.contains(&wall.minute()) && hours.contains(&wall.hour());
        let truth = walk(from, WINDOW, fires, open_minute || open_hour);

        let cadence: Cadence = format!("{minute} {hour} * * * {zone}").parse().unwrap();
        let mut at = Time(from.timestamp_millis());
        let end = at.0 + WINDOW * 60_000;
        let mut found = Vec::new();
        loop {
            let next = cadence.next(at, 0);
            prop_assert!(next > at, "{cadence}: {next:?} is not after {at:?}");
            if next.0 >= end {
                break;
            }
            found.push(next.0);
            at = next;
        }
        prop_assert_eq!(found, truth, "{} from {}", cadence, from);
    }
}
