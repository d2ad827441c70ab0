//! `serve` as it is met from outside: encrypted or behind a proxy, changed while it runs, stopped in order.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;

use crate::harness::{Port, World, succeeded, wait_for};

fn get(address: &str, path: &str, headers: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("the server takes connections");
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).expect("the request is sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

fn token(world: &World, device: &str) -> String {
    let said = world.ok(&["device", "add", device, "--join"]);
    said.split_whitespace().last().expect("the token is the last word printed").to_owned()
}

#[test]
fn beyond_loopback_it_speaks_tls_and_agents_know_its_key() {
    let world = World::real();
    let server = world.serve_with("0.0.0.0:0", &[]);
    let port = server.address().rsplit(':').next().expect("a port").to_owned();
    assert!(server.url().starts_with("https://0.0.0.0:"), "{}", server.url());
    let here = format!("https://127.0.0.1:{port}");
    let good = token(&world, "box");

    let (secret, pin) = good.split_once('.').expect("the token carries the key's hash");
    let mut other: Vec<char> = pin.chars().collect();
    other[0] = if other[0] == 'A' { 'B' } else { 'A' };
    let wrong = format!("{secret}.{}", other.into_iter().collect::<String>());
    let join = |url: &str, token: &str| {
        world.command("box", &["agent", "join", url, token]).output().expect("the program runs")
    };
    let refused = join(&here, &wrong);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("key"), "{said}");
    let plain = join(&here.replace("https", "http"), &good);
    assert!(!plain.status.success());

    succeeded(&["agent", "join"], &join(&here, &good));
    let agent = world.agent("box");
    wait_for("the device to be up", || world.json(&["device", "show", "box"])["state"] == "up");
    assert_eq!(world.agent_status("box")["state"], "online");
    let used = world.command("other", &["agent", "join", &here, &good]).output().expect("the program runs");
    let said = String::from_utf8_lossy(&used.stderr).into_owned();
    assert_eq!(used.status.code(), Some(4), "{said}");
    assert!(said.contains("used already"), "{said}");
    assert_eq!(agent.stop(), Some(0));
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn behind_a_proxy_it_speaks_plainly_and_believes_who_called() {
    let world = World::real();
    let server = world.serve_with("0.0.0.0:0", &["--behind-proxy"]);
    let here = server.address().replace("0.0.0.0", "127.0.0.1");
    assert!(get(&here, "/healthz", "").contains("\"status\":\"ok\""));
    world.join_at(&format!("http://{here}"), "van");
    world.ok(&["device", "edit", "van", "--address-from", "seen"]);
    let running = world.agent("van");
    wait_for("the device to be up", || world.json(&["device", "show", "van"])["state"] == "up");
    assert_eq!(world.json(&["device", "show", "van"])["address"], "127.0.0.1");
    drop(running);
}

#[test]
fn what_is_changed_takes_effect_while_it_runs() {
    let world = World::real();
    let server = world.serve();
    for (key, value) in [("check.retry", "100ms"), ("check.timeout", "1s"), ("ticket.group_wait", "0s")] {
        world.ok(&["setting", "set", key, value]);
    }
    let port = Port::closed();
    let listener = port.open();
    let number = port.number().to_string();
    world.ok(&["device", "add", "printer", "--address", "127.0.0.1"]);
    world.ok(&["check", "add", "printer", "tcp", "--port", &number, "--every", "200ms"]);
    let state =
        || world.json(&["device", "show", "printer"])["state"].as_str().unwrap_or_default().to_owned();
    wait_for("the printer to be up", || state() == "up");
    drop(listener);
    wait_for("the printer to be down", || state() == "down");
    wait_for("its ticket", || world.json(&["ticket", "list"])[0]["priority"] == "P3");
    let refused = world.run(&["ticket", "close", "1"]);
    assert_eq!(refused.status.code(), Some(6), "its device is down, so a reason is wanted");
    world.ok(&["ticket", "close", "1", "--reason", "replaced"]);
    world.ok(&["device", "pause", "printer"]);
    wait_for("the printer to be unknown", || state() == "unknown");
    world.ok(&["device", "resume", "printer"]);
    let _again = port.open();
    wait_for("the printer to be up again", || state() == "up");
    world.ok(&["device", "remove", "printer", "--yes"]);
    world.fails(3, &["device", "show", "printer"]);
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn a_plain_check_in_counts_and_its_absence_too() {
    let world = World::turned().steps_of(5_000);
    let server = world.serve();
    world.ok(&["device", "add", "nas"]);
    let said = world.ok(&["check", "add", "nas", "ping", "--every", "1m", "--grace", "10s"]);
    let at = said.find("/ping/").expect("its address");
    let path: String = said[at..].chars().take_while(|c| !c.is_whitespace()).collect();
    let state = || world.json(&["device", "show", "nas"])["state"].as_str().unwrap_or_default().to_owned();
    assert_eq!(state(), "unknown");
    let ping = |end: &str| {
        let answer = get(&server.address(), &format!("{path}{end}"), "");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        world.settle();
    };
    ping("/start");
    ping("");
    assert_eq!(state(), "up");
    world.turn(60_000);
    ping("/0");
    ping("/log");
    assert_eq!(state(), "up");
    world.turn_until("the ping to be missed", 140_000, || state() == "down");
    ping("");
    assert_eq!(state(), "up");
    ping("/fail");
    assert_eq!(state(), "down", "it said so itself");
    assert_eq!(server.stop(), Some(0));
}

/// What systemd has against a unit, where it is installed: it complains on its standard error, and ends well all the same.
fn complaints(path: &Path) -> String {
    match Command::new("systemd-analyze").arg("verify").arg(path).output() {
        Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
        Err(error) => {
            // Where all is to be held, nothing is left out.
            let is_wanted = std::env::var_os("LINEMAN_ALL").is_some_and(|all| all == "1");
            assert!(!is_wanted, "systemd-analyze: {error}");
            println!("skipped: systemd-analyze: {error}");
            String::new()
        }
    }
}

#[test]
fn units_are_ones_that_systemd_takes() {
    let world = World::real();
    let path = world.path("lineman-test.service");
    let whole = world.path("server");
    for args in [&["serve", "--unit"][..], &["agent", "unit"]] {
        // Data in a folder that is named from where one stands are found from where systemd stands as well.
        for data in [whole.as_path(), Path::new("rel")] {
            let mut command = world.other(env!("CARGO_BIN_EXE_lineman"));
            let command = command.current_dir(world.path(".")).arg("--data").arg(data).args(args);
            let unit = succeeded(args, &command.output().expect("the program runs"));
            assert!(unit.contains("[Service]\n") && unit.contains("ExecStart=/"), "{unit}");
            let folder = world.path(".").canonicalize().expect("a folder").join(data);
            assert!(unit.contains(&*folder.to_string_lossy()), "{unit}");
            std::fs::write(&path, &unit).expect("a file");
            assert_eq!(complaints(&path), "", "{unit}");
        }
    }
    std::fs::write(&path, "[Service]\nExecStart=lineman\nNonsense=1\n").expect("a file");
    let is_there = Command::new("systemd-analyze").arg("--version").output().is_ok();
    assert!(!is_there || complaints(&path).contains("Nonsense"), "systemd complains of what is wrong");
}

#[test]
fn one_folder_has_one_server() {
    let world = World::real();
    let server = world.serve();
    let said = world.fails(1, &["serve", "--listen", "127.0.0.1:0"]);
    assert!(said.contains("another lineman serves from"), "{said}");
    let address = server.address();
    server.kill();
    let again = world.serve_with(&address, &[]);
    assert_eq!(again.stop(), Some(0));
}

#[test]
fn schedules_tell_when_they_ran_and_run_next() {
    let world = World::turned().steps_of(6 * 3_600_000);
    let listed = || world.json(&["schedule", "list"])[0].clone();
    let server = world.serve();
    let first = listed();
    assert!(first["last_ran_at"].is_null() && first["outcome"].is_null(), "{first}");
    world.turn(86_400_000);
    // A schedule that is changed is looked at at once; the night's run was missed meanwhile.
    world.ok(&["setting", "set", "maintenance.when", "*/2 * * * *"]);
    wait_for("what was missed to be made up", || !listed()["last_ran_at"].is_null());
    let nightly = listed();
    assert_eq!((&nightly["name"], &nightly["when"]), (&"maintenance".into(), &"*/2 * * * *".into()));
    assert!(nightly["outcome"].as_str().is_some_and(|text| text.contains("forgotten")), "{nightly}");
    let time = |key: &str| nightly[key].as_str().expect("a time").parse::<jiff::Timestamp>().expect("a time");
    let (last, next) = (time("last_ran_at").as_second(), time("next_at").as_second());
    assert!(next % 120 == 0 && next > last && next - last <= 120, "{nightly}");
    assert_eq!(server.stop(), Some(0));
}
