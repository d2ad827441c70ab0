//! History and availability, asked of a server that was away.

use serde_json::Value;

use crate::harness::World;

/// A server that watched two devices, was away for a while, and is back: one of them was down meanwhile and came back.
fn told(world: &World) {
    let server = world.serve();
    for (key, value) in [("check.retry", "1s"), ("check.timeout", "1s"), ("check_in.every", "10s")] {
        world.ok(&["setting", "set", key, value]);
    }
    world.ok(&["site", "add", "north", "--tz", "Europe/Berlin"]);
    world.ok(&["device", "add", "gw", "--site", "north", "--address", "127.0.0.1"]);
    world.ok(&["check", "add", "gw", "tcp", "--port", "1", "--every", "10s"]);
    world.join(&server, "ap");
    world.ok(&["device", "edit", "ap", "--site", "north"]);
    let address = server.address();
    let agent = world.agent("ap");
    world.turn(60_000);
    assert_eq!(server.stop(), Some(0));
    world.turn(300_000);
    let server = world.serve_with(&address, &[]);
    world.turn_until("the backlog to be delivered", 400_000, || {
        let status = world.agent_status("ap");
        status["state"] == "online" && status["backlog"] == 0
    });
    assert_eq!(agent.stop(), Some(0));
    assert_eq!(server.stop(), Some(0));
}

fn sum(row: &Value, keys: &[&str]) -> i64 {
    keys.iter().map(|key| row[key].as_i64().unwrap_or_else(|| panic!("{key}: {row}"))).sum()
}

#[test]
fn time_in_which_the_server_was_away_is_unknown_and_what_agents_kept_proves_it() {
    let world = World::turned().steps_of(5_000);
    told(&world);
    let ap = world.json(&["device", "history", "ap"]);
    let states: Vec<String> = ap
        .as_array()
        .expect("a list")
        .iter()
        .map(|row| format!("{} {}", row["state"], row["proven"]).replace('"', ""))
        .collect();
    assert!(states.contains(&"unknown up".to_owned()), "{ap}");
    let gw = world.json(&["device", "history", "gw"]);
    let states: Vec<&str> =
        gw.as_array().expect("a list").iter().filter_map(|row| row["state"].as_str()).collect();
    assert_eq!(states, ["unknown", "down", "unknown", "down"], "{gw}");
    assert!(gw[2]["reason"].as_str().is_some_and(|why| why.contains("lineman was away")), "{gw}");

    let report = world.json(&["report", "availability", "--from", "-1d"]);
    let row = |device: &str| {
        let all = report.as_array().expect("a list");
        all.iter().find(|row| row["device"] == device).unwrap_or_else(|| panic!("{device}: {report}"))
    };
    let parts = ["up_ms", "degraded_ms", "down_ms", "unreachable_ms", "maintenance_ms", "unknown_ms"];
    for row in report.as_array().expect("a list") {
        let proven = parts.map(|key| format!("proven_{key}"));
        assert_eq!(sum(row, &parts), sum(row, &proven.each_ref().map(String::as_str)), "{row}");
    }
    let (ap, gw) = (row("ap"), row("gw"));
    assert!(sum(ap, &["unknown_ms"]) >= 300_000, "{ap}");
    assert!(sum(ap, &["proven_unknown_ms"]) < 60_000, "{ap}");
    assert_eq!((&ap["availability"], &ap["availability_proven"]), (&"100.000".into(), &"100.000".into()));
    assert_eq!((&gw["availability"], &gw["proven_unknown_ms"]), (&"0.000".into(), &gw["unknown_ms"]));
    let site = world.json(&["report", "availability", "--from", "-1d", "--by", "site", "--site", "north"]);
    assert_eq!(sum(&site[0], &parts), sum(ap, &parts) + sum(gw, &parts), "{site}");
}

#[test]
fn what_people_read_of_the_past_stays_as_it_is() {
    let world = World::turned();
    let server = world.serve();
    for (key, value) in [("check.retry", "1s"), ("check.timeout", "1s"), ("ticket.group_wait", "0s")] {
        world.ok(&["setting", "set", key, value]);
    }
    world.ok(&["site", "add", "north", "--tz", "Europe/Berlin"]);
    world.ok(&["device", "add", "gw", "--site", "north", "--address", "127.0.0.1"]);
    world.ok(&["check", "add", "gw", "tcp", "--port", "1", "--every", "10s"]);
    world.turn(60_000);
    assert_eq!(server.stop(), Some(0));
    let mut all = String::new();
    for args in [
        &["device", "history", "gw"][..],
        &["device", "history", "gw", "--limit", "1", "--json"],
        &["device", "history", "gw", "--readings", "tcp", "--every", "minute"],
        &["report", "availability", "--from", "-1h"],
        &["report", "availability", "--from", "2026-11-22", "--by", "day", "-o", "csv"],
        &["device", "history", "--help"],
        &["report", "availability", "--help"],
    ] {
        all.push_str(&format!("$ lineman {}\n{}\n", args.join(" "), world.ok(args)));
    }
    insta::assert_snapshot!("history", all);
}

#[test]
fn a_wrong_question_about_the_past_is_named() {
    let world = World::turned();
    world.ok(&["device", "add", "gw"]);
    for (code, args, said) in [
        (3, &["device", "history", "nobody"][..], "nobody"),
        (3, &["device", "history", "gw", "--readings", "icmp"], "it has no checks"),
        (2, &["device", "history", "gw", "--from", "soon"], "'soon' is no time"),
        (2, &["device", "history", "gw", "--from", "+1h"], "ends before it begins"),
        (2, &["device", "history", "gw", "--readings", "--every", "week"], "week"),
        (2, &["report", "availability", "--month", "2026-13"], "2026-13"),
        (2, &["report", "availability", "--month", "2027-01"], "has not begun"),
        (2, &["report", "availability", "--from", "now", "--until", "-1h"], "has not begun, or ends before"),
        (2, &["report", "availability", "--month", "2026-10", "--from", "-1d"], "--month"),
        (3, &["report", "availability", "--site", "nowhere"], "nowhere"),
    ] {
        let output = world.run(args);
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {text}");
        assert!(text.contains(said) && !text.contains("panicked"), "{args:?}: {text}");
    }
    assert_eq!(
        world.ok(&["report", "availability", "-o", "json"]).trim(),
        "[]",
        "it was added after October"
    );
}
