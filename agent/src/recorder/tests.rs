//! What a line says, and which lines are frozen.

use super::*;

fn interface(rx_bytes: u64, errors: u64) -> Interface {
    Interface { name: "eth0".into(), up: true, rx_bytes, errors, ..Interface::default() }
}

fn line(secs: i64) -> Moment {
    Moment {
        at: Time(1_700_000_000_000 + secs * 1_000),
        mono: Millis::from_secs(secs),
        awake: Millis::from_secs(secs),
        ..Moment::default()
    }
}

#[test]
fn counters_are_told_as_what_was_added_and_use_as_a_share_of_the_speed() {
    let before = Counters { mono: Millis::from_secs(0), of: interface(1_000, 7) };
    // 30 s at 100 Mbit/s are 375 MB.
    for (speed, rx_bytes, used) in [
        (Some(100), 1_000 + 187_500_000, Some(500)),
        (Some(100), 1_000, Some(0)),
        (Some(10), 1_000 + 375_000_000, Some(1_000)),
        (None, 1_000 + 187_500_000, None),
        (Some(100), 0, Some(0)),
    ] {
        let mut now = Moment { speed_mbit: speed, ..line(30) };
        compare(&before, &interface(rx_bytes, 9), &mut now);
        assert_eq!((now.errors, now.used_permille), (2, used), "{speed:?} {rx_bytes}");
    }
    let mut at_once = Moment { speed_mbit: Some(100), ..line(0) };
    compare(&before, &interface(5_000, 3), &mut at_once);
    assert_eq!((at_once.errors, at_once.used_permille), (0, None), "no time, and counters that began anew");
}

#[test]
fn the_five_minutes_before_an_outage_are_frozen_and_what_came_since() {
    let mut recorder = Recorder::new(vec![line(0)]);
    for n in 1..=40 {
        assert_eq!(recorder.keep(line(n * 30), Millis::from_secs(30)), None);
    }
    let frozen = recorder.frozen(line(1_100).at);
    let seconds: Vec<i64> = frozen.iter().map(|line| line.mono.0 / 1_000).collect();
    assert_eq!(seconds, (27..=40).map(|n| n * 30).collect::<Vec<_>>());
}

#[test]
fn memory_and_what_is_frozen_are_bounded() {
    let mut recorder = Recorder::new(Vec::new());
    for n in 0..1_000 {
        recorder.keep(line(n), Millis::from_secs(1));
    }
    assert_eq!(recorder.lines.len(), MOST_LINES);
    let frozen = recorder.frozen(line(1_000).at);
    assert_eq!((frozen.len(), frozen.last()), (MOST_FROZEN, Some(&line(999))));
}

#[test]
fn a_late_line_is_a_gap_but_not_the_first_of_a_start_nor_one_that_was_not_due_sooner() {
    let every = Millis::from_secs(30);
    let mut recorder = Recorder::new(vec![line(0)]);
    assert_eq!(recorder.keep(line(900), every), None, "the start tells of the gap before it");
    assert_eq!(
        recorder.keep(line(930), Millis::from_secs(1)),
        None,
        "from here on a line is due every second"
    );
    let gap = recorder.keep(line(960), Millis::from_secs(1)).unwrap();
    assert_eq!((gap.from, gap.to), (Some(line(930).at), line(960).at));
}

#[test]
fn a_line_of_this_machine_says_what_its_way_out_is_like() {
    let mut facts = facts::Facts::new();
    let status = facts.status(Some(([127, 0, 0, 1], 9).into()));
    let stamp = Stamp { at: Time(1_700_000_000_000), mono: Millis(5) };
    let line = Recorder::new(Vec::new()).line(&status, Instant { stamp, awake: Millis(4) }, Some(Time(3)));
    assert_eq!(
        (line.at, line.mono, line.awake, line.checked_in_at),
        (stamp.at, Millis(5), Millis(4), Some(Time(3)))
    );
    assert_eq!(line.gateway, facts::ways().first().and_then(|way| way.gateway));
    assert_eq!((line.gateway_rtt_us, line.gateway_loss_permille), (None, None), "nobody was asked");
}
