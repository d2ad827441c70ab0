//! Checks through a running server, against real ends on loopback.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::thread;

use crate::harness::{World, wait_for};

/// A page that says the same to everybody, for as long as the test runs.
fn page(body: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("its address").port();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
            while lines.next().is_some_and(|line| !line.is_empty()) {}
            let answer = format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            );
            drop((&stream).write_all(answer.as_bytes()));
        }
    });
    port
}

#[test]
fn ping_and_page_are_watched_and_a_missing_word_degrades_the_device() {
    let world = World::real();
    let server = world.serve();
    for (key, value) in [("check.retry", "100ms"), ("check.timeout", "2s")] {
        world.ok(&["setting", "set", key, value]);
    }
    let url = format!("http://127.0.0.1:{}/", page("all is well"));
    world.ok(&["device", "add", "web", "--address", "127.0.0.9"]);
    world.ok(&["check", "add", "web", "icmp", "--every", "200ms", "--packets", "1"]);
    world.ok(&["check", "add", "web", "http", "--url", &url, "--keyword", "well", "--every", "200ms"]);
    let device = || world.json(&["device", "show", "web"]);
    let checks = || world.json(&["check", "list", "device:web", "status:ok"]);
    wait_for("both to be good", || checks().as_array().map(Vec::len) == Some(2));
    assert_eq!(device()["state"], "up");
    let run = world.json(&["check", "run", "web"]);
    assert!(
        run.as_array().is_some_and(|all| all.len() == 2 && all.iter().all(|one| one["outcome"] == "ok")),
        "{run}"
    );

    world.ok(&["check", "add", "web", "http", "--url", &url, "--keyword", "missing", "--every", "200ms"]);
    wait_for("the device to be degraded", || device()["state"] == "degraded");
    assert_eq!(device()["reason"], "http failed");
    assert_eq!(server.stop(), Some(0));
}
