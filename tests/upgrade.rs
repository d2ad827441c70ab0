//! A database of every version that was released still opens, with all that was in it.

use std::fs;
use std::process::{Command, Stdio};

use crate::harness::{World, sqlite};

/// Makes the database of a version from what was in it.
fn restore(world: &World, version: u32) {
    let dump = format!("{}/tests/fixtures/database-{version:04}.sql", env!("CARGO_MANIFEST_DIR"));
    fs::create_dir_all(world.database().parent().expect("a folder")).expect("the folder");
    let restored = Command::new("sqlite3")
        .arg(world.database())
        .stdin(Stdio::from(fs::File::open(dump).expect("the dump")))
        .status()
        .expect("sqlite3");
    assert!(restored.success());
}

#[test]
fn a_database_of_the_first_version_opens_with_all_that_was_in_it() {
    let world = World::turned();
    restore(&world, 1);
    let devices = world.json(&["device", "list"]);
    let of = |name: &str| {
        devices.as_array().expect("a list").iter().find(|device| device["name"] == name).cloned().expect(name)
    };
    assert_eq!((&of("box")["state"], &of("ap")["parents"][0]), (&"down".into(), &"box".into()));
    let ticket = world.json(&["ticket", "show", "1"]);
    assert_eq!((&ticket["state"], &ticket["title"]), (&"open".into(), &"box is down".into()));
    let outage = world.json(&["outage", "list"]);
    assert_eq!(ticket["began_at"], outage[0]["started_at"], "its trouble began with its outage");
    let told = sqlite(&world.database(), "SELECT count(*) FROM event WHERE kind = 'device.state'");
    let kept = sqlite(&world.database(), "SELECT count(*) FROM state_change");
    assert_eq!(told, kept, "what happened before is history");
    let server = world.serve();
    world.ok(&["ticket", "acknowledge", "1"]);
    assert_eq!(server.stop(), Some(0));
    assert_eq!(sqlite(&world.database(), "PRAGMA integrity_check"), "ok");
}

#[test]
fn a_database_of_the_fifth_version_opens_with_all_that_was_in_it() {
    let world = World::turned();
    restore(&world, 5);
    let ticket = world.json(&["ticket", "show", "1"]);
    assert_eq!((&ticket["state"], &ticket["title"]), (&"open".into(), &"box is down".into()));
    assert_eq!(ticket["comments"][0]["text"], "The fuse is out");
    let outage = world.json(&["outage", "show", "1"]);
    assert_eq!((&outage["device"], &outage["ticket"]), (&"box".into(), &1.into()));
    assert!(outage["verdict"].is_null(), "nobody judged it then: {outage}");
    let site = world.json(&["site", "show", "north"]);
    assert_eq!(
        (&site["hours"], &site["provider"]),
        (&"mon-fri 08:00-17:00".into(), &serde_json::Value::Null)
    );
    assert_eq!(world.json(&["maintenance", "list"])[0]["note"], "new antenna");
    assert_eq!(world.json(&["notify", "list"]).as_array().map(Vec::len), Some(2));
    assert_eq!(sqlite(&world.database(), "SELECT count(*) FROM away"), "1");
    assert_eq!(sqlite(&world.database(), "SELECT count(*) FROM state_proof"), "3");
    let server = world.serve();
    world.ok(&["ticket", "acknowledge", "1"]);
    assert_eq!(server.stop(), Some(0));
    assert_eq!(sqlite(&world.database(), "PRAGMA integrity_check"), "ok");
}

#[test]
fn a_database_of_the_seventh_version_opens_with_all_that_was_in_it() {
    let world = World::turned();
    restore(&world, 7);
    let outage = world.json(&["outage", "show", "2"]);
    assert_eq!((&outage["device"], &outage["source"]), (&"box".into(), &"agent".into()));
    assert_eq!(outage["verdict"]["code"], "server", "{outage}");
    let told = "SELECT count(*) FROM outage o JOIN dossier_record r ON r.device_id = o.device_id AND r.kind = 'outage'
                WHERE r.told_began = o.told_began";
    assert_eq!(sqlite(&world.database(), told), "1", "what was told then is known again");
    let name = &world.json(&["dns", "list"])[0];
    assert_eq!((&name["name"], &name["address"]), (&"box.devices.example".into(), &"192.0.2.7".into()));
    assert_eq!(sqlite(&world.database(), "SELECT ours FROM dns_record"), "192.0.2.6");
    let server = world.serve();
    world.ok(&["ticket", "acknowledge", "1"]);
    assert_eq!(server.stop(), Some(0));
    assert_eq!(sqlite(&world.database(), "PRAGMA integrity_check"), "ok");
}

#[test]
fn a_database_of_the_ninth_version_opens_with_all_that_was_in_it() {
    let world = World::turned();
    restore(&world, 9);
    let users = world.json(&["user", "list"]);
    let of = |name: &str| {
        users.as_array().expect("a list").iter().find(|user| user["name"] == name).cloned().expect(name)
    };
    assert_eq!((&of("admin")["role"], &of("ben")["role"]), (&"admin".into(), &"billing".into()));
    assert_eq!(world.json(&["token", "list"]).as_array().map(Vec::len), Some(2));
    let ticket = world.json(&["ticket", "show", "1"]);
    assert_eq!(
        (&ticket["assignee"], &ticket["comments"][0]["text"]),
        (&"ben".into(), &"The fuse is out".into())
    );
    assert_eq!(world.json(&["outage", "show", "1"])["device"], "gw");
    let kept = "SELECT (SELECT count(*) FROM session) || ' ' || (SELECT count(*) FROM api_call) || ' ' ||
        (SELECT count(*) FROM sign_in_failure) || ' ' || (SELECT count(*) FROM dossier_record WHERE kind = 'gap')";
    assert_eq!(sqlite(&world.database(), kept), "1 1 2 1");
    let password = sqlite(&world.database(), "SELECT password FROM user WHERE name = 'ben'");
    assert!(lineman::secret::is_password("correct horse battery", Some(&password)), "{password}");
    let server = world.serve();
    world.ok(&["ticket", "acknowledge", "1"]);
    assert_eq!(server.stop(), Some(0));
    assert_eq!(sqlite(&world.database(), "PRAGMA integrity_check"), "ok");
}
