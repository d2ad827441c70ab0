//! Whoever is slow on purpose: many connections that say nothing, or never come to an end, take nothing from the others.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::harness::World;
use crate::harness::program::Program;

/// So many of each kind.
const MANY: usize = 200;
/// How long an ordinary request may take beside them: less than they have themselves.
const AT_ONCE: Duration = Duration::from_secs(10);

/// A connection that has said so much.
fn begun(address: &str, said: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(address).expect("a connection");
    stream.write_all(said).expect("sent");
    stream
}

/// Whether it is still taken for somebody who will say more.
fn is_open(stream: &mut TcpStream) -> bool {
    stream.set_nonblocking(true).expect("an option");
    let open = match stream.read(&mut [0; 1]) {
        Ok(0) => false,
        Ok(_) => true,
        Err(error) => error.kind() == std::io::ErrorKind::WouldBlock,
    };
    stream.set_nonblocking(false).expect("an option");
    open
}

#[test]
fn slow_connections_take_nothing_from_others_and_are_dropped() {
    let world = World::real();
    world.ok(&["setting", "set", "check_in.every", "1s"]);
    let server = world.serve();
    world.join(&server, "box");
    let agent = world.agent("box");
    let (program, address) = (Program::with(&world, &server, "viewer"), server.address());
    let token = program.token.clone().expect("a token");
    let head = format!("POST /api/v1/devices HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n");
    let body = format!("{head}Content-Length: 100000\r\n\r\n{{");
    let began = Instant::now();
    let mut slow: Vec<TcpStream> = Vec::new();
    for _ in 0..MANY {
        slow.push(begun(&address, b""));
        slow.push(begun(&address, head.as_bytes()));
        slow.push(begun(&address, body.as_bytes()));
    }
    // The heads go on byte by byte while others ask.
    let checked_in = || world.json(&["device", "show", "box"])["last_check_in_at"].clone();
    let before = checked_in();
    for _ in 0..5 {
        for stream in slow.iter_mut().skip(1).step_by(3) {
            stream.write_all(b"X").expect("sent");
        }
        for path in ["/healthz", "/api/v1/devices", "/devices"] {
            let asked = Instant::now();
            assert_eq!(program.get(path).status, 200, "{path}");
            assert!(asked.elapsed() < AT_ONCE, "{path} took {:?}", asked.elapsed());
        }
    }
    crate::harness::wait_for("the agent to check in meanwhile", || checked_in() != before);
    // All of that was beside them, not after them.
    if began.elapsed() < Duration::from_secs(15) {
        assert!(slow.iter_mut().all(is_open));
    }
    // Then they are dropped, each kind in its time.
    for mut stream in slow {
        stream.set_read_timeout(Some(Duration::from_secs(60))).expect("an option");
        let mut told = String::new();
        // Whoever still had something to say is cut off.
        drop(stream.read_to_string(&mut told));
        assert!(told.is_empty() || told.starts_with("HTTP/1.1 408"), "{told}");
    }
    let took = began.elapsed();
    assert!((18..120).contains(&took.as_secs()), "{took:?}");
    assert_eq!(program.get("/devices").status, 200);
    assert_eq!((agent.stop(), server.stop()), (Some(0), Some(0)));
}
