//! What a zone and a name server run into: many addresses, wildcards, aliases, a server that refuses, clients that leave.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use super::{ALL, Bind, KEY, addresses, dig_at, follow, free_port, name_of, state};
use crate::harness::program::Program;
use crate::harness::{World, wait_for};

const NAME: &str = "gw.devices.example";

fn add(world: &World, device: &str, address: &str, name: &str) {
    world.ok(&["device", "add", device, "--address", address, "--dns-name", name]);
}

fn events(world: &World, kind: &str) -> usize {
    world.json(&["event", "list", &format!("kind:{kind}")]).as_array().expect("a list").len()
}

#[test]
fn an_answer_comes_from_the_address_that_was_asked() {
    let world = World::real();
    world.ok(&["device", "add", "gw", "--address", "192.0.2.1"]);
    let (all, six) = (free_port(), free_port());
    let (at, at_six) = (format!("0.0.0.0:{all}"), format!("[::]:{six}"));
    let _server =
        world.serve_with("127.0.0.1:0", &["--dns", &at, "--dns", &at_six, "--zone", "devices.example"]);
    for (to, port) in [("127.0.0.1", all), ("127.0.0.2", all), ("127.9.9.9", six), ("::1", six)] {
        for way in ["+notcp", "+tcp"] {
            assert_eq!(dig_at(to, port, &[way, "+short", "+answer", NAME]), ["192.0.2.1"], "{to} {way}");
        }
    }
}

/// A question for the address of `gw`, as it goes over a connection; the bytes of the answer.
fn ask(connection: &mut TcpStream) -> std::io::Result<u16> {
    connection.set_read_timeout(Some(Duration::from_secs(20)))?;
    let head = [0, 7, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    let question = [&head[..], b"\x02gw\x07devices\x07example\x00", &[0, 1, 0, 1]].concat();
    let len = u16::try_from(question.len()).expect("it is short").to_be_bytes();
    connection.write_all(&[&len[..], &question].concat())?;
    let mut len = [0; 2];
    connection.read_exact(&mut len)?;
    connection.read_exact(&mut vec![0; usize::from(u16::from_be_bytes(len))])?;
    Ok(u16::from_be_bytes(len))
}

#[test]
fn who_closed_all_its_connections_has_all_places_again() {
    let world = World::real();
    world.ok(&["device", "add", "gw", "--address", "192.0.2.1"]);
    let port = free_port();
    let at = format!("127.0.0.1:{port}");
    let _server = world.serve_with("127.0.0.1:0", &["--dns", &at, "--zone", "devices.example"]);
    for _ in 0..2 {
        let mut all: Vec<TcpStream> =
            (0..16).map(|_| TcpStream::connect(&at).expect("a connection")).collect();
        for one in &mut all {
            assert!(ask(one).expect("an answer") > 12);
        }
        assert!(ask(&mut TcpStream::connect(&at).expect("a connection")).is_err(), "sixteen are the most");
        for one in &mut all {
            one.shutdown(std::net::Shutdown::Write).expect("it is ended");
            assert_eq!(one.read(&mut [0; 1]).expect("the end"), 0, "the server has closed it as well");
        }
    }
}

#[test]
fn what_stands_there_is_linemans_own_however_many_addresses_were_tried_in_vain() {
    let world = World::real();
    let mut bind = Bind::start(&world, ALL);
    add(&world, "gw", "192.0.2.1", NAME);
    follow(&world, &bind, KEY);
    let _server = world.serve();
    wait_for("it is there", || state(&world, NAME) == "good");
    bind.stop();
    for last in 2..=19 {
        let address = format!("192.0.2.{last}");
        world.ok(&["device", "edit", "gw", "--address", &address]);
        wait_for("it is tried in vain", || {
            world.ok(&["dns", "retry"]);
            let one = world.json(&["dns", "list"])[0].clone();
            one["address"] == *address && one["state"] == "failing"
        });
    }
    bind.run();
    world.ok(&["dns", "retry"]);
    wait_for("it is as it is to be", || ["good", "conflict"].contains(&&*state(&world, NAME)));
    assert_eq!(addresses(bind.port, NAME), ["192.0.2.19"]);
}

#[test]
fn a_wildcard_is_nobodys_name() {
    let world = World::real();
    let bind = Bind::start(&world, ALL);
    bind.update("update add *.devices.example 60 A 192.0.2.254");
    bind.update("update add *.deep.devices.example 60 CNAME ns.devices.example.");
    let deep = "ap.deep.devices.example";
    add(&world, "gw", "192.0.2.1", NAME);
    add(&world, "ap", "192.0.2.7", deep);
    follow(&world, &bind, KEY);
    let _server = world.serve();
    for (name, address) in [(NAME, "192.0.2.1"), (deep, "192.0.2.7")] {
        wait_for("it is known to be there", || state(&world, name) == "good");
        assert_eq!(addresses(bind.port, name), [address]);
    }
    // The name goes to where the wildcard points, on, and back.
    for address in ["192.0.2.254", "192.0.2.2", "192.0.2.254"] {
        world.ok(&["device", "edit", "gw", "--address", address]);
        wait_for("the new address", || addresses(bind.port, NAME) == [address]);
        wait_for("it is known to be there", || state(&world, NAME) == "good");
    }
    world.ok(&["device", "remove", "gw", "--yes"]);
    wait_for("the wildcard alone answers", || addresses(bind.port, NAME) == ["192.0.2.254"]);
    wait_for("it is forgotten", || state(&world, NAME).is_empty());
    assert_eq!((events(&world, "dns.conflict"), events(&world, "dns.failed")), (0, 0));
}

#[test]
fn an_alias_is_not_taken_and_is_looked_at_again_when_it_is_gone() {
    let world = World::real();
    let bind = Bind::start(&world, ALL);
    bind.update("update add gw.devices.example 60 CNAME ns.devices.example.");
    add(&world, "gw", "192.0.2.1", NAME);
    follow(&world, &bind, KEY);
    let _server = world.serve();
    wait_for("it is left alone", || state(&world, NAME) == "conflict");
    let why = world.json(&["dns", "list"])[0]["why"].to_string();
    assert!(why.contains("an alias of ns.devices.example") && !why.contains("dns take"), "{why}");
    let said = world.fails(6, &["dns", "take", NAME]);
    assert!(said.contains("alias") && said.contains("dns retry"), "{said}");
    bind.update("update delete gw.devices.example CNAME");
    world.ok(&["dns", "retry", NAME]);
    wait_for("it is known to be there", || state(&world, NAME) == "good");
    assert_eq!(addresses(bind.port, NAME), ["192.0.2.1"]);
    assert_eq!(events(&world, "dns.conflict"), 1);
}

#[test]
fn a_server_that_refuses_is_one_trouble_and_asked_about_few_names() {
    let world = World::real();
    let bind = Bind::start(&world, ALL);
    for n in 1..=40 {
        add(&world, &format!("d{n}"), &format!("192.0.2.{n}"), &name_of(n));
        // That a name stands there already proves nothing of what may be changed.
        if n % 2 == 0 {
            bind.update(&format!("update add {} 60 A 192.0.2.{n}", name_of(n)));
        }
    }
    follow(&world, &bind, KEY);
    world.ok(&["setting", "unset", "dns.key"]);
    let _server = world.serve();
    wait_for("three names were tried", || bind.denied() == 3);
    // Whatever was due meanwhile is planned when this one is.
    add(&world, "late", "192.0.2.99", "late.devices.example");
    wait_for("it goes on", || state(&world, "late.devices.example") == "due");
    assert_eq!((bind.denied(), events(&world, "dns.failed")), (3, 1));
    world.ok(&["dns", "retry"]);
    wait_for("a person has it tried again", || bind.denied() == 6);
    follow(&world, &bind, KEY);
    wait_for("all are there", || (1..=40).all(|n| state(&world, &name_of(n)) == "good"));
}

#[test]
fn names_that_are_refused_while_others_are_taken_are_their_own_trouble() {
    let world = World::real();
    let policy = "update-policy { deny ddns name d1.devices.example ANY; deny ddns name d2.devices.example ANY;\n\
                  grant ddns zonesub ANY; };";
    let bind = Bind::start(&world, policy);
    for n in 1..=9 {
        add(&world, &format!("d{n}"), &format!("192.0.2.{n}"), &name_of(n));
    }
    follow(&world, &bind, KEY);
    let _server = world.serve();
    wait_for("all others are there", || (3..=9).all(|n| state(&world, &name_of(n)) == "good"));
    wait_for("two are refused", || (1..=2).all(|n| state(&world, &name_of(n)) == "refused"));
    assert_eq!(events(&world, "dns.failed"), 2, "each is told once");
    let denied = bind.denied();
    world.ok(&["dns", "retry", &name_of(1)]);
    wait_for("it is tried again", || bind.denied() == denied + 1);
    world.ok(&["device", "edit", "d9", "--address", "192.0.2.200"]);
    wait_for("the others go on", || addresses(bind.port, &name_of(9)) == ["192.0.2.200"]);
    assert_eq!(events(&world, "dns.failed"), 2, "it was told");
}

#[test]
fn without_a_name_server_the_list_is_empty_and_a_person_is_told_what_to_set() {
    let world = World::real();
    world.ok(&["device", "add", "gw", "--address", "192.0.2.1"]);
    assert_eq!(world.json(&["dns", "list"]), serde_json::json!([]));
    assert_eq!(world.ok(&["dns", "list"]), "");
    let server = world.serve();
    let program = Program::with(&world, &server, "viewer");
    let (page, list) = (program.get("/dns"), program.get("/api/v1/dns"));
    assert_eq!((page.status, list.status, list.text.trim()), (200, 200, "[]"), "{}", page.text);
    assert!(page.text.contains("No name stands at a name server"), "{}", page.text);
    let mut script = world.other("script");
    let data = world.path("server");
    let line = format!("{} --data {} dns list", env!("CARGO_BIN_EXE_lineman"), data.display());
    let output = script.args(["-qec", &line, "/dev/null"]).output().expect("script runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}");
    assert!(
        said.contains("dns.server") && said.contains("dns.zone") && said.contains("setting set"),
        "{said}"
    );
}
