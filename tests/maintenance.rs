//! Maintenance windows and the hours of sites, through the real program.

use serde_json::{Value, json};

use crate::harness::World;

/// A site on Berlin's clocks, with devices.
fn furnished(world: &World) {
    world.ok(&["site", "add", "north", "--tz", "Europe/Berlin"]);
    world.ok(&["site", "add", "both"]);
    world.ok(&["device", "add", "both"]);
    world.ok(&["device", "add", "gw", "--site", "north", "--tag", "core"]);
}

#[test]
fn a_window_is_added_begins_survives_a_restart_is_extended_ended_and_removed() {
    let world = World::turned();
    furnished(&world);
    let window = world.json(&["maintenance", "add", "gw", "--until", "+1h", "--note", "new power supply"]);
    assert_eq!(
        (&window["state"], &window["device"], &window["time_zone"]),
        (&json!("planned"), &json!("gw"), &json!("Europe/Berlin"))
    );
    let marks = || world.json(&["device", "show", "gw"])["marks"].clone();
    let server = world.serve();
    assert_eq!(world.json(&["maintenance", "show", "1"])["state"], "active");
    assert_eq!(marks(), json!(["maintenance"]));
    assert_eq!(world.ok(&["device", "list", "mark:maintenance", "-o", "name"]), "gw\n");
    server.kill();
    let server = world.serve();
    assert_eq!(marks(), json!(["maintenance"]));
    let until =
        world.json(&["maintenance", "extend", "1", "--until", "2026-11-22 17:30"])["active_until"].clone();
    assert_eq!(until, "2026-11-22T16:30:00Z", "on the clocks of its site");
    assert_eq!(world.json(&["maintenance", "end", "1"])["state"], "over");
    assert_eq!(marks(), json!([]));
    let shown = world.json(&["maintenance", "show", "1"]);
    assert_eq!(shown["runs"].as_array().map(Vec::len), Some(1), "{shown}");
    assert_eq!((&shown["runs"][0]["until"], &shown["runs"][0]["overrun_ms"]), (&until, &json!(0)));

    world.ok(&[
        "maintenance",
        "add",
        "--tag",
        "core",
        "--daily",
        "--at",
        "22:00",
        "--to",
        "06:00",
        "--tz",
        "Europe/Berlin",
    ]);
    let shown = world.json(&["maintenance", "show", "2"]);
    assert_eq!(shown["when"], "daily 22:00-06:00");
    assert_eq!(shown["next"].as_array().map(Vec::len), Some(5), "{shown}");
    assert_eq!(shown["next"][0], json!({"from": "2026-11-22T21:00:00Z", "until": "2026-11-23T05:00:00Z"}));
    world.ok(&["maintenance", "remove", "2", "--yes"]);
    let states = |query: &[&str]| -> Vec<Value> {
        let list = world.json(&[&["maintenance", "list"], query].concat());
        list.as_array().expect("a list").iter().map(|window| window["state"].clone()).collect()
    };
    assert_eq!(states(&[]), ["over", "removed"]);
    assert_eq!(states(&["state:over"]), ["over"]);
    assert_eq!(states(&["active:yes"]), Vec::<Value>::new());
    assert!(world.ok(&["export", "maintenance", "-o", "csv"]).starts_with("id,state,covers,when,"));
    let kinds = world.ok(&["event", "list", "kind:maintenance.*", "--jq", ".[].kind"]);
    for kind in ["added", "began", "extended", "ended", "removed"] {
        assert!(kinds.contains(&format!("maintenance.{kind}")), "{kind}: {kinds}");
    }
    assert_eq!(kinds.matches("maintenance.began").count(), 1, "{kinds}");
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn the_hours_of_a_site_are_added_shown_and_taken_away() {
    let world = World::real();
    let hours = "mon-fri 8:00-12:00,12:00-17:00; sat 09:00-12:00";
    let site = world.json(&[
        "site",
        "add",
        "office",
        "--hours",
        hours,
        "--holiday",
        "2026-12-25",
        "--holiday",
        "2026-12-24",
    ]);
    assert_eq!(site["hours"], "mon-fri 08:00-17:00; sat 09:00-12:00");
    assert_eq!(site["holidays"], json!(["2026-12-24", "2026-12-25"]));
    world.ok(&[
        "site",
        "edit",
        "office",
        "--no-hours",
        "--holiday",
        "2027-01-01",
        "--no-holiday",
        "2026-12-24",
    ]);
    let site = world.json(&["site", "show", "office"]);
    assert_eq!((&site["hours"], &site["holidays"]), (&json!(""), &json!(["2026-12-25", "2027-01-01"])));
    assert_eq!(world.json(&["site", "list"])[0]["holidays"], site["holidays"]);
}

#[test]
fn what_is_no_window_is_told_and_changes_nothing() {
    let world = World::turned();
    furnished(&world);
    world.ok(&["maintenance", "add", "gw", "--from", "+1h", "--for", "2h"]);
    world.ok(&["maintenance", "add", "gw", "--daily", "--at", "02:00", "--for", "1h"]);
    let events = world.ok(&["event", "list", "--limit", "0", "-o", "jsonl"]);
    let note = "x".repeat(1_001);
    #[rustfmt::skip]
    let table: &[(i32, &[&str], &str)] = &[
        (2, &["add"],                                                          "DEVICE|SITE"),
        (2, &["add", "gw"],                                                    "--for 2h"),
        (2, &["add", "both", "--for", "1h"],                                   "say --device both or --site both"),
        (3, &["add", "nobody", "--for", "1h"],                                 "no device or site 'nobody'"),
        (3, &["add", "--device", "north", "--for", "1h"],                      "no device 'north'"),
        (3, &["add", "--site", "gw", "--for", "1h"],                           "no site 'gw'"),
        (2, &["add", "gw", "--tag", "core", "--for", "1h"],                    "--tag"),
        (2, &["add", "--tag", "a,b", "--for", "1h"],                           "a,b"),
        (2, &["add", "gw", "--for", "0s"],                                     "not after the start"),
        (2, &["add", "gw", "--for", "59s"],                                    "1m or more"),
        (2, &["add", "gw", "--for", "367d"],                                   "366d or less"),
        (2, &["add", "gw", "--for", "soon"],                                   "soon"),
        (2, &["add", "gw", "--from", "soon", "--for", "1h"],                   "--from: 'soon' is no time"),
        (2, &["add", "gw", "--from", "+2h", "--until", "+1h"],                 "not after the start"),
        (2, &["add", "gw", "--until", "-1h"],                                  "gone by"),
        (2, &["add", "gw", "--until", "+1h", "--for", "1h"],                   "--for"),
        (2, &["add", "gw", "--daily", "--for", "1h"],                          "--at"),
        (2, &["add", "gw", "--at", "02:00", "--for", "1h"],                    "--daily"),
        (2, &["add", "gw", "--daily", "--at", "02:00"],                        "--to 04:00"),
        (2, &["add", "gw", "--daily", "--at", "2", "--for", "1h"],             "time of day"),
        (2, &["add", "gw", "--daily", "--at", "24:00", "--for", "1h"],         "00:00"),
        (2, &["add", "gw", "--daily", "--at", "02:00", "--for", "25h"],        "next one begins after 1d"),
        (2, &["add", "gw", "--daily", "--on", "mon", "--at", "02:00", "--for", "1h"], "--on"),
        (2, &["add", "gw", "--on", "someday", "--at", "02:00", "--for", "1h"], "someday"),
        (2, &["add", "gw", "--monthly", "32", "--at", "02:00", "--for", "1h"], "'32' is no day of the month"),
        (2, &["add", "gw", "--cron", "61 2 * * *", "--for", "1h"],             "61"),
        (2, &["add", "gw", "--cron", "0 2 31 2 *", "--for", "1h"],             "never"),
        (2, &["add", "gw", "--cron", "* * * * *", "--for", "1m"],              "every 15m at most"),
        (2, &["add", "gw", "--cron", "0 2 * * *"],                             "--for"),
        (2, &["add", "gw", "--cron", "0 2 * * * Europe/Berlin", "--for", "1h"], "--tz"),
        (2, &["add", "gw", "--cron", "0 2 * * *", "--from", "now", "--for", "1h"], "--from"),
        (2, &["add", "gw", "--for", "1h", "--tz", "Mars/Olympus"],             "Mars/Olympus"),
        (2, &["add", "gw", "--for", "1h", "--note", &note],                    "1000"),
        (2, &["list", "stat:active"],                                          "did you mean 'state'"),
        (3, &["show", "99"],                                                   "no maintenance window '99'"),
        (3, &["show", "gw"],                                                   "no maintenance window 'gw'"),
        (5, &["end", "1"],                                                     "not under way"),
        (5, &["extend", "2", "--until", "+9h"],                                "not under way"),
        (2, &["extend", "1", "--until", "+2h"],                                "already"),
        (2, &["extend", "1", "--until", "+400d"],                              "366d"),
        (2, &["remove", "1"],                                                  "--yes"),
    ];
    for (code, args, said) in table {
        let args = [&["maintenance"], *args].concat();
        let error = world.fails(*code, &args);
        assert!(error.contains(said), "{args:?}: {error}");
    }
    #[rustfmt::skip]
    let sites: &[(i32, &[&str], &str)] = &[
        (2, &["add", "x", "--hours", "mon"],                    "lacks the hours"),
        (2, &["add", "x", "--hours", ""],                       "no hours stand there"),
        (2, &["add", "x", "--hours", "mon 17:00-08:00"],        "ends before it begins"),
        (2, &["edit", "north", "--hours", "mon 8:00-12:00,11:00-13:00"], "overlap"),
        (2, &["edit", "north", "--hours", "mon 08:00-17:00", "--no-hours"], "--no-hours"),
        (2, &["edit", "north", "--holiday", "25.12.2026"],      "2026-12-25"),
        (2, &["edit", "north", "--holiday", "2026-02-30"],      "2026-02-30"),
        (3, &["edit", "north", "--no-holiday", "2026-12-25"],   "no holiday of site 'north'"),
    ];
    for (code, args, said) in sites {
        let args = [&["site"], *args].concat();
        let error = world.fails(*code, &args);
        assert!(error.contains(said), "{args:?}: {error}");
    }
    assert_eq!(world.ok(&["event", "list", "--limit", "0", "-o", "jsonl"]), events, "nothing was changed");
}
