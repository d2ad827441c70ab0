//! Whoever is slow on purpose: many connections that say nothing, or never come to an end, take nothing from the others.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::harness::World;
use crate::harness::program::Program;

/// So many of each kind.
const MANY: usize = 200;
/// So many may send a body at a time, of those at one address.
const SENDING: usize = 100;
/// How often it is begun anew where the machine is so busy that the slow ones have had their time before others were asked.
const TRIES: usize = 5;
/// When a connection that is still there will never be dropped.
const NEVER: Duration = Duration::from_secs(200);

/// A connection that has said so much.
fn begun(address: &str, said: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(address).expect("a connection");
    stream.write_all(said).expect("sent");
    stream
}

/// How it is with somebody who is slow.
#[derive(Debug, PartialEq, Eq)]
enum Slow {
    /// He is still taken for somebody who will say more.
    Open,
    /// There are too many of his kind.
    TooMany,
    /// His time is up.
    Dropped,
}

fn now(stream: &mut TcpStream) -> Slow {
    let mut told = [0; 12];
    stream.set_nonblocking(true).expect("an option");
    let read = stream.read(&mut told);
    stream.set_nonblocking(false).expect("an option");
    match read {
        Err(error) if error.kind() == ErrorKind::WouldBlock => Slow::Open,
        Ok(12) if told == *b"HTTP/1.1 503" => Slow::TooMany,
        _ => Slow::Dropped,
    }
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
    let checked_in = || world.json(&["device", "show", "box"])["last_check_in_at"].clone();
    let attempt = || {
        let began = Instant::now();
        let kinds = [head.as_bytes(), body.as_bytes(), b""];
        let mut slow: Vec<TcpStream> =
            kinds.iter().flat_map(|said| (0..MANY).map(|_| begun(&address, said))).collect();
        let before = checked_in();
        for path in ["/healthz", "/api/v1/devices", "/devices"] {
            // The heads go on byte by byte while others ask.
            for stream in &mut slow[..MANY] {
                // One that was dropped already is seen below.
                drop(stream.write_all(b"X"));
            }
            assert_eq!(program.get(path).status, 200, "{path}");
        }
        crate::harness::wait_for("the agent to check in meanwhile", || checked_in() != before);
        // All of that was beside them, not after them.
        let how: Vec<Slow> = slow.iter_mut().map(now).collect();
        let too_many = how[MANY..2 * MANY].iter().filter(|how| **how == Slow::TooMany).count();
        let is_beside = how.iter().filter(|how| **how == Slow::Open).count() + too_many == 3 * MANY;
        assert!(!is_beside || too_many >= MANY - SENDING, "{too_many} were too many");
        let mut how = how.into_iter();
        slow.retain(|_| how.next() == Some(Slow::Open));
        is_beside.then_some((began, slow))
    };
    let (began, slow) = (0..TRIES).find_map(|_| attempt()).expect("others are answered while they are open");
    // Then they are dropped, each kind in its time.
    for mut stream in slow {
        stream.set_read_timeout(Some(NEVER)).expect("an option");
        let mut told = Vec::new();
        if let Err(error) = stream.read_to_end(&mut told) {
            // Whoever still had something to say is cut off; who is not is held for ever.
            let is_cut_off = [ErrorKind::ConnectionReset, ErrorKind::BrokenPipe].contains(&error.kind());
            assert!(is_cut_off, "{error}, after {:?}", began.elapsed());
        }
        let told = String::from_utf8_lossy(&told);
        assert!(told.is_empty() || told.starts_with("HTTP/1.1 408"), "{told}");
        assert!(began.elapsed() > Duration::from_secs(18), "dropped after {:?}", began.elapsed());
    }
    assert_eq!(program.get("/devices").status, 200);
    assert_eq!((agent.stop(), server.stop()), (Some(0), Some(0)));
}
