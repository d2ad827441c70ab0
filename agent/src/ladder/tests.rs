//! Whole climbs to a server on this machine: nothing but that is asked.

use std::io::{Read, Write};
use std::net::TcpListener;

use super::*;
use crate::report::{Held, Rung, Transport};

fn here(port: u16) -> Server {
    Server { host: "127.0.0.1".into(), port, tls: false, pin: None, address: None }
}

fn of<'a>(climb: &'a Climb, word: &str) -> Vec<&'a Rung> {
    climb.rungs.iter().filter(|rung| rung.step.word() == word).collect()
}

#[tokio::test]
async fn on_the_way_to_a_server_on_this_machine_nobody_else_is_asked() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let answers = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut asked = [0; 1024];
        let length = stream.read(&mut asked).unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
        String::from_utf8_lossy(&asked[..length]).into_owned()
    });
    let climb = climb(&Plan::default(), &here(port), Why::Asked).await;
    assert!(answers.join().unwrap().starts_with("GET /healthz HTTP/1.1\r\n"));
    for word in ["link", "address", "neighbour", "gateway", "anchor", "resolver", "route", "packet-size"] {
        let rungs = of(&climb, word);
        assert!(!rungs.is_empty(), "{word}: {climb:#?}");
        assert!(
            rungs.iter().all(|rung| rung.outcome == Held::NotMeasured && rung.reason == HOME),
            "{rungs:?}"
        );
    }
    for word in ["server-connect", "server-answer"] {
        assert_eq!(of(&climb, word)[0].outcome, Held::Ok, "{climb:#?}");
    }
    assert_eq!(of(&climb, "page")[0].outcome, Held::NotMeasured);
    assert_eq!((climb.why, climb.outage), (Why::Asked, None));
}

#[tokio::test]
async fn a_server_that_refuses_is_told_and_what_is_behind_it_is_not_measured() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let climb = climb(&Plan::default(), &here(port), Why::Failure).await;
    let connect = of(&climb, "server-connect")[0];
    assert_eq!((connect.outcome, connect.reason.as_str()), (Held::Fail, "refused"));
    assert!(matches!(connect.step, Step::ServerConnect { refused: true, .. }));
    for word in ["server-tls", "server-answer"] {
        assert_eq!(of(&climb, word)[0].outcome, Held::NotMeasured);
    }
}

#[test]
fn the_hops_of_a_good_day_are_remembered_each_once() {
    let hop = |ttl: u8, last: u8| crate::report::Hop {
        ttl,
        address: Some([192, 0, 2, last].into()),
        rtt_us: None,
        sent: 3,
        answered: 3,
        last: false,
        said: String::new(),
    };
    let route = |transport| Rung {
        step: Step::Route {
            target: [203, 0, 113, 9].into(),
            server: true,
            transport,
            hops: vec![hop(1, 1), hop(2, 2), hop(3, 3), hop(4, 4)],
        },
        outcome: Held::Ok,
        reason: String::new(),
        after: Millis::ZERO,
        rtt_us: None,
        loss_permille: None,
    };
    let rungs = vec![route(Transport::Icmp), route(Transport::Tcp)];
    let climb = Climb { outage: None, why: Why::Baseline, took: Millis::ZERO, rungs };
    assert_eq!(hops_beyond_gateway(&climb), [[192, 0, 2, 2], [192, 0, 2, 3]].map(IpAddr::from));
}

#[test]
fn a_climb_that_nobody_waits_for_ends_before_it_is_thrown_away() {
    let (_, slowest) = TIMEOUTS;
    for why in [Why::Failure, Why::Again, Why::Recovery, Why::Baseline] {
        assert_eq!(longest(slowest.duration(), why), LONGEST);
        assert_eq!(longest(Duration::from_secs(1), why), Duration::from_secs(40));
    }
    assert!(longest(slowest.duration(), Why::Asked) > LONGEST, "a person may wait as long as it takes");
}
