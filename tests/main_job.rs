//! The main job with real processes on one turned clock: watch, notice, open the ticket, stand down.

use serde_json::Value;

use crate::harness::{START, World, sqlite};

/// Intervals of a second, and the other times as short.
fn in_seconds(world: &World) {
    for (key, value) in [
        ("check_in.every", "1s"),
        ("check_in.grace", "1s"),
        ("ticket.group_wait", "2s"),
        ("ticket.settle", "20s"),
        ("agent.retry_max", "1s"),
    ] {
        world.ok(&["setting", "set", key, value]);
    }
}

fn device(world: &World, name: &str) -> Value {
    world.json(&["device", "show", name])
}

fn one_ticket(world: &World) -> Value {
    let tickets = world.json(&["ticket", "list", "--all"]);
    let tickets = tickets.as_array().expect("a list");
    assert_eq!(tickets.len(), 1, "one trouble has one ticket: {tickets:?}");
    tickets[0].clone()
}

#[test]
fn an_agent_that_dies_gets_one_ticket_which_stands_down_and_is_reopened() {
    let world = World::turned();
    let server = world.serve();
    assert_eq!(device(&world, "this-machine")["state"], "up");
    in_seconds(&world);
    world.turn(2_000);
    world.join(&server, "box");
    let agent = world.agent("box");
    world.turn(3_000);
    assert_eq!(device(&world, "box")["state"], "up");
    let status = world.agent_status("box");
    for key in ["state", "server", "device", "failed_tries", "backlog", "last_check_in_at"] {
        assert!(status.get(key).is_some(), "{key}: {status}");
    }

    agent.kill();
    world.turn_until("a ticket", 10_000, || world.json(&["ticket", "list"]) != Value::Array(vec![]));
    let ticket = one_ticket(&world);
    assert_eq!(
        (&ticket["state"], &ticket["priority"], &ticket["device"]),
        (&"open".into(), &"P3".into(), &"box".into())
    );
    assert!(world.ok(&["ticket", "explain", "1"]).contains("the device is down"));

    let agent = world.agent("box");
    world.turn_until("recovery", 10_000, || one_ticket(&world)["state"] == "recovered");
    assert_eq!(one_ticket(&world)["priority"], "P5");

    agent.kill();
    world.turn_until("the relapse", 10_000, || one_ticket(&world)["state"] == "open");
    assert_eq!(
        (&one_ticket(&world)["recurrences"], &one_ticket(&world)["priority"]),
        (&1.into(), &"P3".into())
    );

    let agent = world.agent("box");
    world.turn_until("the ticket to resolve itself", 40_000, || one_ticket(&world)["state"] == "resolved");
    let kinds: Vec<String> = world
        .json(&["event", "list", "kind:ticket*", "--limit", "0"])
        .as_array()
        .expect("a list")
        .iter()
        .map(|event| event["kind"].as_str().unwrap_or_default().to_owned())
        .filter(|kind| kind != "ticket.priority")
        .collect();
    assert_eq!(
        kinds,
        ["ticket.opened", "ticket.recovered", "ticket.reopened", "ticket.recovered", "ticket.resolved"]
    );
    let outages = world.json(&["outage", "list", "device:box"]);
    assert_eq!(outages.as_array().map(Vec::len), Some(2));
    assert!(outages[0]["ended_at"].is_string());
    assert_eq!(agent.stop(), Some(0));
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn agents_keep_what_they_saw_while_the_server_was_away() {
    let world = World::turned().steps_of(5_000);
    let server = world.serve();
    let address = server.address();
    world.ok(&["setting", "set", "check_in.every", "10s"]);
    let names = ["a", "b", "c"];
    for name in names {
        world.join(&server, name);
    }
    let agents: Vec<_> = names.iter().map(|name| world.agent(name)).collect();
    world.turn(30_000);
    let before = readings(&world);
    server.kill();

    world.turn(300_000);
    for name in names {
        let status = world.agent_status(name);
        assert_eq!(status["state"], "cut-off", "{name}: {status}");
        assert!(status["failed_tries"].as_i64() >= Some(3), "{status}");
        assert!(status["backlog"].as_i64() >= Some(3), "{status}");
    }

    let server = world.serve_with(&address, &[]);
    world.turn_until("every backlog to be delivered", 400_000, || {
        names.iter().all(|name| {
            let status = world.agent_status(name);
            status["state"] == "online" && status["backlog"] == 0
        })
    });
    for name in names {
        assert_eq!(device(&world, name)["state"], "up");
        let told = world.json(&["outage", "list", &format!("device:{name}")]);
        assert_eq!(told[0]["source"], "agent", "{told}");
        assert_eq!(told.as_array().map(Vec::len), Some(1), "nobody was down: {told}");
        let began = told[0]["started_at"].as_str().expect("a time");
        assert!(began.starts_with("2026-11-22T14:00"), "{began}");
    }
    assert_eq!(world.json(&["ticket", "list", "--all"]), Value::Array(vec![]));
    assert!(readings(&world) > before);
    let missing = sqlite(
        &world.database(),
        "SELECT count(*) FROM (SELECT check_id, count(*) n, count(DISTINCT seq) d FROM reading GROUP BY check_id) WHERE n <> d",
    );
    assert_eq!(missing, "0", "no record is there twice");
    let future = sqlite(
        &world.database(),
        &format!("SELECT count(*) FROM reading WHERE at < {START} OR at > {}", world.now()),
    );
    assert_eq!(future, "0", "each reading has its true time");
    for agent in agents {
        assert_eq!(agent.stop(), Some(0));
    }
    assert_eq!(server.stop(), Some(0));
}

fn readings(world: &World) -> i64 {
    sqlite(&world.database(), "SELECT count(*) FROM reading").parse().expect("a number")
}
