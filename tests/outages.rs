//! Where the fault of an outage is, who is called, and settings for a site or a device, at the command line.

use serde_json::{Value, json};

use crate::harness::World;

fn fails(world: &World, code: i32, args: &[&str], why: &str) {
    let said = world.fails(code, args);
    assert!(said.contains(why), "{args:?}: {said}");
}

#[test]
fn an_outage_is_shown_with_its_verdict_its_story_and_the_text_to_send() {
    let world = World::turned();
    for (key, value) in [("check.retry", "1s"), ("check.timeout", "1s"), ("ticket.group_wait", "0s")] {
        world.ok(&["setting", "set", key, value]);
    }
    world.ok(&["site", "add", "north", "--tz", "Europe/Berlin"]);
    let server = world.serve();
    world.ok(&["device", "add", "box", "--site", "north", "--address", "127.0.0.1"]);
    world.ok(&["check", "add", "box", "tcp", "--port", "1", "--every", "10s"]);
    world.turn_until("a verdict", 60_000, || {
        world
            .json(&["outage", "list"])
            .as_array()
            .is_some_and(|all| !all.is_empty() && all[0]["verdict"].is_object())
    });
    let shown = world.json(&["outage", "show", "1"]);
    assert_eq!(shown["verdict"]["code"], "provisional");
    assert!(
        shown["verdict"]["sentence"]
            .as_str()
            .is_some_and(|said| said.starts_with("box at north is out since 15:00"))
    );
    assert_eq!((&shown["dossier"]["climbs"], &shown["contact"]["provider"]), (&json!([]), &Value::Null));
    let story = world.ok(&["outage", "show", "1"]);
    for part in ["box at north is out", "TIMELINE", "the outage begins: tcp failed", "EVIDENCE", "WHO ACTS"] {
        assert!(story.contains(part), "{part} is missing: {story}");
    }
    let letter = world.ok(&["outage", "show", "1", "--text"]);
    assert!(letter.starts_with("Subject: fault at north, 2026-11-22 15:00:"), "{letter}");
    fails(&world, 3, &["outage", "show", "9"], "no outage");
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn a_site_knows_who_brings_it_its_line() {
    let world = World::turned();
    let who = ["--provider", "ACME", "--circuit", "C-4711", "--provider-phone", "+49 30 1234"];
    world.ok(&[&["site", "add", "north"], &who[..]].concat());
    world.ok(&["site", "edit", "north", "--provider-mail", "noc@acme.example"]);
    let site = world.json(&["site", "show", "north"]);
    let told = ["provider", "circuit", "provider_phone", "provider_mail"].map(|key| site[key].clone());
    assert_eq!(told, ["ACME", "C-4711", "+49 30 1234", "noc@acme.example"]);
    assert_eq!(world.json(&["site", "list", "provider:ACME"]).as_array().map(Vec::len), Some(1));
    fails(&world, 2, &["site", "edit", "north", "--provider-mail", "noc"], "is no mail address");
    fails(&world, 2, &["site", "edit", "north", "--circuit", &"x".repeat(300)], "at most 200 bytes");
    world.ok(&["site", "edit", "north", "--provider-mail", ""]);
    assert!(world.json(&["site", "show", "north"])["provider_mail"].is_null());
    let events = world.json(&["event", "list", "kind:site.edited"]);
    assert_eq!(events[0]["body"]["provider"], "ACME", "{events}");
}

#[test]
fn a_setting_of_the_ladder_is_set_for_a_site_or_a_device_and_others_are_not() {
    let world = World::turned();
    world.ok(&["site", "add", "north"]);
    world.ok(&["device", "add", "router", "--site", "north"]);
    world.ok(&["setting", "set", "recorder.every", "20s"]);
    world.ok(&["setting", "set", "ladder.anchors", "192.0.2.1", "--site", "north"]);
    world.ok(&["setting", "set", "ladder.hops", "9", "--device", "router"]);
    let from = || {
        let list = world.json(&["setting", "list", "--device", "router"]);
        let list = list.as_array().expect("a list").clone();
        let of = |key: &str| {
            let one = list.iter().find(|one| one["key"] == key).expect(key);
            format!(
                "{} {}",
                one["value"].as_str().unwrap_or_default(),
                one["from"].as_str().unwrap_or_default()
            )
        };
        ["ladder.anchors", "ladder.hops", "ladder.timeout", "recorder.every"].map(of)
    };
    assert_eq!(from(), ["192.0.2.1 site 'north'", "9 device 'router'", "1s default", "20s all"]);
    world.ok(&["setting", "unset", "ladder.hops", "--device", "router"]);
    assert_eq!(from()[1], "20 default");
    fails(&world, 2, &["setting", "set", "check_in.every", "10s", "--site", "north"], "is one for all");
    fails(&world, 2, &["setting", "set", "ladder.hops", "900", "--site", "north"], "must be from");
    fails(&world, 3, &["setting", "set", "ladder.hops", "9", "--site", "south"], "south");
    fails(&world, 2, &["setting", "list", "--site", "north", "--device", "router"], "cannot be used with");
    let key = "updates:hmac-sha256:c2VjcmV0IG9mIG91cnM=";
    world.ok(&["setting", "set", "dns.key", key]);
    let all = world.ok(&["event", "list", "-o", "json"]) + &world.ok(&["setting", "list", "-o", "json"]);
    assert!(!all.contains(key), "a secret is never shown");
    let events = world.json(&["event", "list", "kind:setting.changed"]);
    let bodies: Vec<&Value> = events.as_array().expect("a list").iter().map(|event| &event["body"]).collect();
    let of = |key: &str| *bodies.iter().find(|body| body["key"] == key).expect(key);
    assert_eq!((&of("dns.key")["from"], &of("dns.key")["to"]), (&"not set".into(), &"set".into()));
    assert_eq!(of("ladder.hops")["for"], "device 'router'", "{events}");
}
