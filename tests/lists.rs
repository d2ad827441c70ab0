//! What others rely on: the keys of JSON, the formats, the queries; and what help says.

use serde_json::Value;

use crate::harness::World;

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().expect("an object").keys().map(String::as_str).collect()
}

/// A house with a device that was down, without waiting for it: an outage, a ticket, events.
fn furnished(world: &World) {
    let server = world.serve();
    for (key, value) in [("check.retry", "1s"), ("check.timeout", "1s"), ("ticket.group_wait", "0s")] {
        world.ok(&["setting", "set", key, value]);
    }
    world.ok(&["site", "add", "north", "--tz", "Europe/Berlin"]);
    world.ok(&[
        "device",
        "add",
        "gw",
        "--site",
        "north",
        "--address",
        "127.0.0.1",
        "--importance",
        "high",
        "--tag",
        "core",
    ]);
    world.ok(&["device", "add", "ap", "--site", "north", "--parent", "gw"]);
    world.ok(&["check", "add", "gw", "tcp", "--port", "1", "--every", "10s"]);
    world.turn_until("a ticket", 30_000, || world.json(&["ticket", "list"]) != Value::Array(vec![]));
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn the_keys_that_others_rely_on_are_there() {
    let world = World::turned();
    furnished(&world);
    for (args, wanted) in [
        (
            &["device", "show", "gw"][..],
            &[
                "id",
                "name",
                "site",
                "address",
                "dns_name",
                "state",
                "since",
                "marks",
                "importance",
                "parents",
                "last_check_in_at",
            ][..],
        ),
        (
            &["ticket", "show", "1"],
            &[
                "id",
                "kind",
                "state",
                "priority",
                "score",
                "title",
                "device",
                "site",
                "affected",
                "opened_at",
                "recovered_at",
                "recurrences",
                "outage",
                "assignee",
            ],
        ),
        (
            &["outage", "show", "1"],
            &["id", "device", "started_at", "ended_at", "duration_ms", "verdict", "ticket"],
        ),
    ] {
        let record = world.json(args);
        let has = keys(&record);
        let missing: Vec<_> = wanted.iter().filter(|key| !has.contains(key)).collect();
        assert!(missing.is_empty(), "{args:?} lacks {missing:?}: {record}");
    }
    let verdict = &world.json(&["outage", "show", "1"])["verdict"];
    for key in ["code", "sentence", "confidence", "evidence"] {
        assert!(keys(verdict).contains(&key), "{key}: {verdict}");
    }
    let events = world.json(&["event", "list", "--limit", "1"]);
    for key in ["id", "at", "kind", "actor", "device", "site", "ticket", "body"] {
        assert!(keys(&events[0]).contains(&key), "{key}: {events}");
    }
    let ticket = world.json(&["ticket", "show", "1"]);
    assert_eq!(
        (&ticket["title"], &ticket["site"], &ticket["score"]),
        (&"gw is down".into(), &"north".into(), &60.into())
    );
}

#[test]
fn a_list_is_the_same_in_every_format() {
    let world = World::turned();
    furnished(&world);
    let list = |more: &[&str]| world.ok(&[&["device", "list"], more].concat());
    assert_eq!(list(&["-o", "name", "--sort", "-name"]), "this-machine\ngw\nap\n");
    for (format, lines) in [("csv", 4), ("tsv", 4), ("jsonl", 3), ("md", 5), ("name", 3), ("table", 4)] {
        let text = list(&["-o", format]);
        assert_eq!(text.lines().count(), lines, "{format}: {text}");
        assert!(text.contains("this-machine") && !text.contains('\u{1b}'), "{format}: {text}");
    }
    let yaml: Value = serde_yaml::from_str(&list(&["-o", "yaml"])).expect("YAML");
    let json: Value = serde_json::from_str(&list(&["-o", "json"])).expect("JSON");
    assert_eq!(yaml, json);
    assert_eq!(
        list(&["--jq", ".[] | select(.importance == \"high\") | .name"]).trim(),
        "\"gw\"".trim_matches('"')
    );
    let some: Value = serde_json::from_str(&list(&["tag:core", "--json", "name,state"])).expect("JSON");
    assert_eq!(some.to_string(), r#"[{"name":"gw","state":"down"}]"#);
    assert_eq!(list(&["site:north", "-o", "name"]), "ap\ngw\n");
    assert_eq!(list(&["-site:north", "-o", "name"]), "this-machine\n");
    assert_eq!(list(&["state:down,up", "--limit", "1", "-o", "name"]), "gw\n");
    assert_eq!(list(&["nothing", "-o", "json"]).trim(), "[]");

    let file = world.path("tickets.csv");
    world.ok(&["export", "tickets", "-o", "csv", "--to", file.to_str().expect("a path")]);
    let text = std::fs::read_to_string(&file).expect("the export");
    assert!(text.starts_with("id,priority,state,title,") && text.contains("gw is down"), "{text}");
    for table in ["devices", "outages", "events"] {
        assert!(world.ok(&["export", table, "-o", "jsonl"]).lines().count() > 0, "{table}");
    }
}

#[test]
fn what_people_read_stays_as_it_is() {
    let world = World::turned();
    furnished(&world);
    insta::assert_snapshot!("device_list", world.ok(&["device", "list", "site:north"]));
    insta::assert_snapshot!("ticket_list", world.ok(&["ticket", "list"]));
    insta::assert_snapshot!("ticket_explain", world.ok(&["ticket", "explain", "1"]));
    insta::assert_snapshot!("ticket_json", world.ok(&["ticket", "show", "1", "--json"]));
    insta::assert_snapshot!("setting_list", world.ok(&["setting", "list"]));
    let mut help = String::new();
    for noun in [
        &["--help"][..],
        &["serve", "--help"],
        &["agent", "--help"],
        &["device", "--help"],
        &["device", "add", "--help"],
        &["check", "add", "--help"],
        &["ticket", "--help"],
        &["export", "--help"],
    ] {
        help.push_str(&format!("$ lineman {}\n{}\n", noun.join(" "), world.ok(noun)));
    }
    insta::assert_snapshot!("help", help);
}
