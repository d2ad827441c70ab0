//! A server that is elsewhere: whole lists and the log that goes on, over its API.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::json;

use crate::harness::program::Program;
use crate::harness::{World, succeeded};

/// More than any page of a list holds.
const MANY: usize = 1_001;

/// What a program prints, line by line.
struct Heard {
    child: Child,
    lines: Receiver<String>,
}

impl Heard {
    fn of(mut command: Command) -> Heard {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
        let out = BufReader::new(child.stdout.take().expect("its output is piped"));
        let (sender, lines) = channel();
        std::thread::spawn(move || out.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Heard { child, lines }
    }

    /// The next event's kind and device.
    fn next(&self) -> (String, String) {
        let line = self.lines.recv_timeout(Duration::from_secs(30)).expect("a line in time");
        let event: serde_json::Value = serde_json::from_str(&line).expect("a line of JSON");
        (
            event["kind"].as_str().unwrap_or_default().into(),
            event["device"].as_str().unwrap_or_default().into(),
        )
    }

    fn stop(mut self) -> (Option<i32>, String) {
        let id = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(id, rustix::process::Signal::TERM).expect("it can be ended");
        let code = self.child.wait().expect("it ends").code();
        let mut said = String::new();
        let mut stderr = self.child.stderr.take().expect("its errors are piped");
        std::io::Read::read_to_string(&mut stderr, &mut said).expect("text");
        (code, said)
    }
}

#[test]
fn whole_lists_are_written_as_at_home() {
    let world = World::turned();
    let server = world.serve();
    let token = world.ok(&["token", "add", "reader", "--user", "admin", "--role", "viewer"]);
    let token = token.split_whitespace().last().expect("a token");
    for args in [
        &["site", "add", "north"][..],
        &["device", "add", "gw", "--site", "north", "--tag", "gw", "--address", "127.0.0.1"],
        &["device", "add", "ap", "--site", "north", "--tag", "ap"],
        &["notify", "add", "hook", "--after", "0s", "webhook", "--url", "http://127.0.0.1:9/"],
        &["maintenance", "add", "--device", "ap", "--from", "2030-01-01 10:00", "--for", "1h"],
        &["setting", "set", "check.retry", "1s"],
        &["setting", "set", "ticket.group_wait", "0s"],
        &["check", "add", "gw", "tcp", "--port", "9", "--every", "10s"],
    ] {
        world.ok(args);
    }
    world.turn_until("an outage, its ticket, and whoever is told and does not answer", 120_000, || {
        world.json(&["notify", "outbox"])[0]["error"].is_string()
    });
    // From here on the clock stands still. One list is longer than a page, and so is the log of it.
    let admin = Program::with(&world, &server, "admin");
    for number in 0..MANY {
        let told = admin.send("POST", "/api/v1/sites", &json!({"name": format!("site-{number}")}));
        assert_eq!(told.status, 201, "{}", told.text);
    }
    let far = |args: &[&str]| {
        let url = server.url();
        world
            .command("elsewhere", &[&["--server", &url, "--token", token], args].concat())
            .output()
            .expect("it runs")
    };
    let mut wrong = Vec::new();
    for args in [
        &["export", "devices", "site:north", "-o", "jsonl", "--json", "name,site,tags"][..],
        &["export", "devices", "-site:north", "-o", "name"],
        &["export", "sites", "north", "-o", "yaml"],
        &["export", "checks", "-o", "jsonl", "--json", "id,device,kind"],
        &["export", "events", "kind:device.added,check.added", "-o", "jsonl"],
        &["export", "events", "kind:device.added", "-o", "jsonl", "--json", "id,device"],
        &["export", "notifications", "-o", "csv"],
        &["export", "deliveries", "-o", "csv"],
        &["export", "maintenance", "-o", "csv"],
        &["export", "outages", "-o", "csv"],
        &["export", "tickets", "-o", "csv"],
        &["event", "list", "--after", "1", "--limit", "2", "-o", "jsonl"],
    ] {
        let (there, here) = (succeeded(args, &far(args)), world.ok(args));
        if there != here {
            wrong.push(format!("{args:?}:\n{there}\nis here\n{here}"));
        }
        let rows = here.lines().count() - usize::from(args.contains(&"csv"));
        assert!(rows > 0, "{args:?}: nothing is in it");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    for args in [
        &["export", "sites", "-o", "name"][..],
        &["export", "sites", "-o", "jsonl"],
        &["export", "events", "kind:site.added", "-o", "jsonl", "--json", "id,site"],
        &["site", "list", "-o", "name"],
        &["event", "list", "kind:site.added", "--limit", "1001", "-o", "jsonl"],
    ] {
        let (there, here) = (succeeded(args, &far(args)), world.ok(args));
        assert!(here.lines().count() > 1_000, "{args:?}: {} lines", here.lines().count());
        let (first, second) = (there.lines().count(), here.lines().count());
        assert!(there == here, "{args:?}: {first} lines there, {second} here");
    }
    let file = world.path("out.csv");
    let to = file.to_str().expect("a path");
    assert!(far(&["export", "devices", "--to", to]).status.success());
    assert!(std::fs::read_to_string(&file).expect("the export").contains("gw"));
    for args in [&["export", "devices", "colour:red", "--to", to][..], &["export", "devices", "-o", "table"]]
    {
        assert_eq!(far(args).status.code(), Some(2), "{args:?}");
    }
    assert!(
        std::fs::read_to_string(&file).expect("the export").contains("gw"),
        "it is there whole, as it was"
    );
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn the_log_goes_on_here_and_there_while_a_server_comes_and_goes() {
    let world = World::real();
    let server = world.serve();
    let address = server.address();
    let token = world.ok(&["token", "add", "reader", "--user", "admin", "--role", "viewer"]);
    let token = token.split_whitespace().last().expect("a token").to_owned();
    world.ok(&["device", "add", "first"]);
    let follow = ["event", "list", "kind:device.added device:first,second,third", "--follow", "-o", "jsonl"];
    let url = server.url();
    let here = Heard::of(world.command("server", &follow));
    let there = [&["--server", &url, "--token", &token, "--log", "warn"], &follow[..]].concat();
    let there = Heard::of(world.command("elsewhere", &there));
    let added = |name: &str| ("device.added".to_owned(), name.to_owned());
    for heard in [&here, &there] {
        assert_eq!(heard.next(), added("first"));
    }
    world.ok(&["device", "add", "second"]);
    for heard in [&here, &there] {
        assert_eq!(heard.next(), added("second"));
    }
    assert_eq!(server.stop(), Some(0));
    world.ok(&["device", "add", "third"]);
    assert_eq!(here.next(), added("third"), "no server is needed at home");
    let server = world.serve_with(&address, &[]);
    assert_eq!(there.next(), added("third"), "it is asked again until it answers");
    assert_eq!(here.stop().0, Some(0));
    let (code, said) = there.stop();
    assert_eq!(code, Some(0), "{said}");
    world.ok(&["token", "revoke", "1"]);
    let refused =
        world.command("elsewhere", &["--server", &server.url(), "--token", &token, "event", "list"]);
    let mut refused = refused;
    assert_eq!(refused.arg("--follow").output().expect("it runs").status.code(), Some(4));
    assert_eq!(server.stop(), Some(0));
}
