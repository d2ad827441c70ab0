//! What people do with tickets, at the command line of a running server.

use serde_json::Value;

use crate::harness::{Process, World};

/// A world with a device that is down, its open ticket, and a request.
fn broken(world: &World) -> Process<'_> {
    for (key, value) in [("check.retry", "1s"), ("check.timeout", "1s"), ("ticket.group_wait", "0s")] {
        world.ok(&["setting", "set", key, value]);
    }
    let server = world.serve();
    world.ok(&["device", "add", "box", "--address", "127.0.0.1"]);
    world.ok(&["check", "add", "box", "tcp", "--port", "1", "--every", "10s"]);
    world.turn_until("a ticket", 30_000, || world.json(&["ticket", "list"]) != Value::Array(vec![]));
    world.ok(&["ticket", "open", "new cable", "--device", "box"]);
    server
}

fn fails(world: &World, code: i32, args: &[&str], why: &str) {
    let said = world.fails(code, args);
    assert!(said.contains(why), "{args:?}: {said}");
}

fn ticket(world: &World, number: &str) -> Value {
    world.json(&["ticket", "show", number])
}

#[test]
fn a_ticket_is_acknowledged_pinned_waits_and_is_merged_by_a_person() {
    let world = World::turned();
    let server = broken(&world);
    world.ok(&["ticket", "acknowledge", "1", "--note", "on my way", "--until", "+40s"]);
    let shown = ticket(&world, "1");
    assert_eq!(shown["comments"][0]["text"], "on my way");
    assert!(shown["acknowledged_at"].is_string() && shown["acknowledged_until"].is_string(), "{shown}");
    world.turn_until("the acknowledgement to end", 60_000, || {
        ticket(&world, "1")["acknowledged_at"].is_null()
    });
    assert_eq!(
        world.json(&["event", "list", "kind:ticket.unacknowledged"]).as_array().map(Vec::len),
        Some(1)
    );

    world.ok(&["ticket", "pin", "1", "P1", "--note", "the mayor is affected"]);
    assert_eq!(ticket(&world, "1")["priority"], "P1");
    assert!(world.ok(&["ticket", "explain", "1"]).contains("set it to P1"));
    world.ok(&["ticket", "unpin", "1"]);
    assert_eq!(ticket(&world, "1")["priority"], "P3");

    world.ok(&["ticket", "wait", "2", "--until", "+40s", "--note", "ordered"]);
    assert_eq!(ticket(&world, "2")["state"], "waiting");
    fails(&world, 5, &["ticket", "resume", "1"], "does not wait");
    world.turn_until("the wait to end", 60_000, || ticket(&world, "2")["state"] == "open");

    world.ok(&["ticket", "merge", "2", "1"]);
    let merged = ticket(&world, "2");
    assert_eq!((&merged["state"], &merged["merged_into"]), (&"merged".into(), &1.into()));
    fails(&world, 6, &["ticket", "merge", "1", "2"], "merged already");
    fails(&world, 6, &["ticket", "merge", "1", "1"], "itself");
    fails(&world, 6, &["ticket", "resolve", "1"], "still down");
    world.ok(&["ticket", "resolve", "1", "--reason", "taken away"]);
    assert_eq!(ticket(&world, "1")["state"], "resolved");
    fails(&world, 5, &["ticket", "acknowledge", "1"], "resolved already");
    world.ok(&["ticket", "reopen", "1"]);
    world.ok(&["ticket", "open", "a noise"]);
    world.ok(&["ticket", "assign", "3", "annna"]);
    let unknown = ticket(&world, "3");
    assert_eq!((&unknown["assignee"], &unknown["acknowledged_at"]), (&"annna".into(), &Value::Null));
    world.ok(&["user", "add", "ana", "--role", "operator"]);
    world.ok(&["ticket", "assign", "1", "ana"]);
    assert_eq!(ticket(&world, "1")["acknowledged_by"], "ana");
    fails(&world, 2, &["ticket", "wait", "1", "--until", "-1h"], "in the future");
    fails(&world, 2, &["ticket", "acknowledge", "1", "--until", "soon"], "is no time");
    fails(&world, 2, &["ticket", "pin", "1", "P9"], "P9");
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn anchors_are_devices_and_keep_being_them_under_another_name() {
    let world = World::turned();
    world.ok(&["device", "add", "gateway"]);
    world.ok(&["device", "add", "upstream"]);
    fails(&world, 3, &["setting", "set", "blind.anchors", "gateway,nobody"], "nobody");
    world.ok(&["setting", "set", "blind.anchors", "gateway, upstream"]);
    world.ok(&["device", "edit", "gateway", "--name", "router"]);
    let value = |world: &World| {
        let all = world.json(&["setting", "list"]);
        let all = all.as_array().expect("a list").iter();
        all.filter(|setting| setting["key"] == "blind.anchors").map(|s| s["value"].clone()).next()
    };
    assert_eq!(value(&world), Some("router,upstream".into()));
    world.ok(&["device", "remove", "upstream", "--yes"]);
    assert_eq!(value(&world), Some("router".into()));
}

#[test]
fn parents_are_offered_and_applied_by_a_person() {
    let world = World::turned();
    world.ok(&["site", "add", "north"]);
    world.ok(&["device", "add", "gateway", "--site", "north"]);
    world.ok(&["device", "add", "ap-1", "--site", "north", "--parent", "gateway"]);
    world.ok(&["device", "add", "ap-2", "--site", "north"]);
    let offered = world.json(&["device", "parents", "ap-2", "--suggest"]);
    assert_eq!(offered[0]["parent"], "gateway");
    assert!(offered[0]["because"].as_str().is_some_and(|why| why.contains("hang on it")), "{offered}");
    assert_eq!(world.json(&["device", "parents", "gateway", "--suggest"]), Value::Array(vec![]), "no ring");
    world.ok(&["device", "parents", "ap-2", "--apply"]);
    assert_eq!(world.json(&["device", "show", "ap-2"])["parents"][0], "gateway");
    assert_eq!(world.json(&["device", "parents", "ap-2"])[0]["parent"], "gateway");
}
