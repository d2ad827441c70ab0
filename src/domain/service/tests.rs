//! The service clock, as tables and properties.

use jiff::Timestamp;
use proptest::prelude::*;

use super::*;

fn moment(text: &str) -> Time {
    Time(text.parse::<Timestamp>().unwrap().as_millisecond())
}

fn hours(n: i64) -> Millis {
    Millis::from_secs(3_600 * n)
}

fn calendar(zone: &str, text: &str, holidays: &[&str]) -> Calendar {
    Calendar {
        hours: text.parse().unwrap(),
        holidays: holidays.iter().map(|day| day.parse().unwrap()).collect(),
        zone: TimeZone::get(zone).unwrap(),
    }
}

#[test]
fn hours_read_back_in_their_shortest_form() {
    for (text, shown) in [
        ("", ""),
        ("mon-fri 08:00-17:00; sat 09:00-12:00", "mon-fri 08:00-17:00; sat 09:00-12:00"),
        (" Mon,TUE,wed 8:00-12:00 , 13:00-17:00 ;", "mon-wed 08:00-12:00,13:00-17:00"),
        ("mon 08:00-12:00; mon 12:00-17:00", "mon 08:00-17:00"),
        ("sat-mon 00:00-24:00", "mon,sat-sun 00:00-24:00"),
        ("fri 22:00-24:00; sat 00:00-06:00", "fri 22:00-24:00; sat 00:00-06:00"),
        ("tue 1:00-2:00; mon 3:00-4:00; thu 1:00-2:00", "mon 03:00-04:00; tue,thu 01:00-02:00"),
    ] {
        let read: Hours = text.parse().unwrap();
        assert_eq!(read.to_string(), shown);
        assert_eq!(shown.parse(), Ok(read));
    }
}

#[test]
fn what_says_no_hours_is_told_why() {
    for (text, why) in [
        ("mon", "'mon' lacks the hours"),
        ("mo 08:00-17:00", "'mo' is no day"),
        ("mon-fr 08:00-17:00", "'fr' is no day"),
        ("mon 08:00", "'08:00' lacks its end"),
        ("mon 8-17", "'8' is no time of day"),
        ("mon 17:00-08:00", "ends before it begins"),
        ("mon 08:00-08:00", "ends before it begins"),
        ("mon 08:00-24:01", "'24:01' is no time of day"),
        ("mon 08:00-12:00,11:00-13:00", "mon: 08:00-12:00 and 11:00-13:00 overlap"),
        ("mon-wed 08:00-12:00; tue 08:00-12:00", "tue: 08:00-12:00 and 08:00-12:00 overlap"),
        ("mon 08:00-12:00,", "'' lacks its end"),
    ] {
        let error = text.parse::<Hours>().unwrap_err().to_string();
        assert!(error.contains(why), "{text}: {error}");
    }
    assert!("mon 08:00-09:00;".repeat(100).parse::<Hours>().is_err());
}

#[test]
fn service_time_is_the_table_of_a_week() {
    let office = || calendar("Europe/Berlin", "mon-fri 08:00-17:00", &["2026-12-25"]);
    #[rustfmt::skip]
    let table = [
        // Wednesday morning: the same day.
        ("2026-11-25T09:00Z", 4, "2026-11-25T13:00Z"),
        // Over the night.
        ("2026-11-25T14:00Z", 4, "2026-11-26T09:00Z"),
        // At night: it starts in the morning.
        ("2026-11-25T23:00Z", 1, "2026-11-26T08:00Z"),
        // To the last moment of a day.
        ("2026-11-25T12:00Z", 4, "2026-11-25T16:00Z"),
        // Friday evening: over the weekend.
        ("2026-11-27T15:00Z", 2, "2026-11-30T08:00Z"),
        // Over Christmas, a Friday, and the weekend behind it.
        ("2026-12-24T15:00Z", 2, "2026-12-28T08:00Z"),
    ];
    for (from, needed, until) in table {
        let found = due(&office(), moment(from), hours(needed), &[]);
        assert_eq!(found, Some(moment(until)), "{from} + {needed}h");
        assert_eq!(worked(&office(), moment(from), moment(until), &[]), hours(needed), "{from}");
    }
}

#[test]
fn a_day_has_the_service_hours_that_it_has() {
    for (zone, from, until, length) in [
        ("Europe/Berlin", "2026-03-28T23:00Z", "2026-03-29T22:00Z", 23),
        ("Europe/Berlin", "2026-10-24T22:00Z", "2026-10-25T23:00Z", 25),
        ("America/New_York", "2026-03-08T05:00Z", "2026-03-09T04:00Z", 23),
    ] {
        let sunday = calendar(zone, "sun 00:00-24:00", &[]);
        assert_eq!(worked(&sunday, moment(from), moment(until), &[]), hours(length), "{zone}");
        let week = hours(24 * 6);
        let (before, after) = (moment(from) - week, moment(until) + week);
        assert_eq!(worked(&sunday, before, after, &[]), hours(length), "{zone}");
    }
    let night = calendar("Europe/Berlin", "sun 01:00-03:00", &[]);
    let span = |from, until| worked(&night, moment(from), moment(until), &[]);
    assert_eq!(span("2026-03-28T12:00Z", "2026-03-29T12:00Z"), hours(1));
    assert_eq!(span("2026-10-24T12:00Z", "2026-10-25T12:00Z"), hours(3));
}

#[test]
fn while_the_clock_stands_nothing_is_due() {
    let always = Calendar::always();
    let from = moment("2026-11-25T10:00Z");
    let (noon, one) = (from + hours(2), from + hours(3));
    assert_eq!(due(&always, from, hours(4), &[(noon, Some(one))]), Some(from + hours(5)));
    assert_eq!(due(&always, from, hours(4), &[(noon, None)]), None);
    assert_eq!(due(&always, from, hours(2), &[(noon, None)]), Some(noon), "it was due as the pause began");
    let over = [(noon, Some(one)), (noon, Some(noon + hours(2))), (one, Some(one))];
    assert_eq!(due(&always, from, hours(4), &over), Some(from + hours(6)), "pauses over another count once");
    assert_eq!(paused(from, from + hours(9), &over), hours(2));
    assert_eq!(worked(&always, from, from + hours(9), &over), hours(7));
    let never = calendar("UTC", "mon 08:00-09:00", &[]);
    assert_eq!(due(&never, from, hours(24 * 366), &[]), None, "not within ten years");
}

#[test]
fn a_promise_is_told_of_once_and_stays_as_it_was_broken_or_kept() {
    let calendar = Calendar::always();
    let from = moment("2026-11-25T10:00Z");
    let course = Course { calendar: &calendar, from, pauses: &[], warn_at: 80 };
    let target = Some(hours(10));
    let (open, tell, look) = course.follow(Promise::default(), target, None, from);
    assert_eq!((tell, look, open.due_at), (Tell::Nothing, Some(from + hours(8)), Some(from + hours(10))));
    let (near, tell, look) = course.follow(open, target, None, from + hours(8));
    assert_eq!((tell, look), (Tell::Nearing, Some(from + hours(10))));
    assert_eq!(course.follow(near, target, None, from + hours(9)).1, Tell::Nothing);
    let (broken, tell, look) = course.follow(near, target, None, from + hours(10));
    assert_eq!((tell, look), (Tell::Breached, None));
    let (still, tell, _) = course.follow(broken, Some(hours(99)), None, from + hours(11));
    assert_eq!((tell, still.target, still.breached(from + hours(11))), (Tell::Nothing, target, Some(true)));
    // Nobody looked meanwhile: that it nears its end is no news any more.
    let (late, tell, _) = course.follow(open, target, None, from + hours(30));
    assert_eq!(
        (tell, late.breached_at, late.nearing_at.is_some()),
        (Tell::Breached, Some(from + hours(30)), true)
    );
    // Kept in time, and looked at late; the priority it has by now promises nothing.
    let (kept, tell, look) = course.follow(near, None, Some(from + hours(9)), from + hours(30));
    assert_eq!(
        (tell, look, kept.target, kept.breached(from + hours(30))),
        (Tell::Nothing, None, target, Some(false))
    );
    // Kept too late, and looked at only then.
    let (late, tell, _) = course.follow(open, target, Some(from + hours(11)), from + hours(12));
    assert_eq!((tell, late.breached(from + hours(12))), (Tell::Breached, Some(true)));
    // Nothing is promised.
    let (none, tell, look) = course.follow(open, None, None, from + hours(30));
    assert_eq!((tell, look, none.due_at, none.breached(from + hours(30))), (Tell::Nothing, None, None, None));
}

fn zones() -> impl Strategy<Value = &'static str> {
    prop::sample::select(
        &["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Sao_Paulo", "UTC"][..],
    )
}

fn week() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        Just("mon-fri 08:00-17:00; sat 09:00-12:00".to_owned()),
        Just("sun 01:30-02:30,23:00-24:00; mon 00:00-02:15".to_owned()),
        (0..20_u16, 1..4_u16).prop_map(|(from, span)| format!("sat-wed {from}:15-{}:45", from + span)),
    ]
}

const DAY: i64 = 86_400_000;

proptest! {
    #[test]
    fn what_is_due_has_worked_so_long(
        zone in zones(),
        text in week(),
        from in 1_500_000_000_000..1_900_000_000_000_i64,
        needed in 0..10 * DAY,
        pauses in prop::collection::vec((0..9 * DAY, 0..3 * DAY), 0..4),
    ) {
        let calendar = calendar(zone, &text, &["2026-12-25"]);
        let from = Time(from);
        let pauses: Vec<Pause> =
            pauses.iter().map(|&(start, span)| (from + Millis(start), Some(from + Millis(start + span)))).collect();
        let until = due(&calendar, from, Millis(needed), &pauses).unwrap();
        prop_assert_eq!(worked(&calendar, from, until, &pauses), Millis(needed));
        prop_assert!(needed == 0 || worked(&calendar, from, until - Millis(1), &pauses) < Millis(needed));
    }

    #[test]
    fn more_time_is_no_less_work_and_pauses_take_away_what_they_cover(
        zone in zones(),
        text in week(),
        from in 1_500_000_000_000..1_900_000_000_000_i64,
        (first, pause, rest) in (0..9 * DAY, 0..9 * DAY, 0..9 * DAY),
    ) {
        let calendar = calendar(zone, &text, &[]);
        let from = Time(from);
        let (begins, ends) = (from + Millis(first), from + Millis(first + pause));
        let until = ends + Millis(rest);
        let all = worked(&calendar, from, until, &[]);
        prop_assert!(all >= worked(&calendar, from, ends, &[]));
        prop_assert!(all <= until.since(from));
        let covered = worked(&calendar, begins, ends, &[]);
        prop_assert_eq!(worked(&calendar, from, until, &[(begins, Some(ends))]), all - covered);
        prop_assert_eq!(worked(&calendar, from, begins, &[]) + worked(&calendar, begins, until, &[]), all);
    }

    #[test]
    fn no_text_of_hours_panics_and_hours_read_back(text in "([a-z,-]{2,7} [0-9:,-]{4,24};? ?){0,3}|.{0,40}") {
        if let Ok(hours) = text.parse::<Hours>() {
            prop_assert_eq!(hours.to_string().parse(), Ok(hours));
        }
    }
}
