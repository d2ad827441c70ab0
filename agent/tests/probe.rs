//! ICMP and TCP probes against real ends on loopback.

use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use agent::probe::{Measured, Prober};
use agent::report::{Outcome, Probe};
use schedules::Millis;

fn icmp(target: &str, packets: u32) -> Probe {
    Probe::Icmp { target: target.to_owned(), packets, warn_loss_permille: None, warn_rtt: None }
}

fn tcp(target: &str, port: u16) -> Probe {
    Probe::Tcp { target: target.to_owned(), port }
}

/// Runs within 30 s, or the test fails.
async fn run(probe: &Probe, timeout: i64) -> Measured {
    let run = tokio::time::timeout(Duration::from_secs(30), Prober::new().run(probe, Millis(timeout))).await;
    run.expect("a probe ends within its time-out")
}

fn icmp_is_closed(measured: &Measured) -> bool {
    let closed = measured.outcome == Outcome::Unknown;
    if closed {
        // Where all is to be held, nothing is left out.
        assert!(std::env::var_os("LINEMAN_ALL").is_none_or(|all| all != "1"), "{}", measured.message);
        println!("skipped: {}", measured.message);
        assert!(measured.message.contains("sysctl") || measured.message.contains("IPv6"));
    }
    closed
}

fn has_ipv6() -> bool {
    let has = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok();
    if !has {
        println!("skipped: no IPv6 loopback here");
    }
    has
}

#[tokio::test(flavor = "current_thread")]
async fn this_machine_answers_a_ping_over_ipv4_and_ipv6() {
    for target in ["127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1", "localhost"] {
        if target == "::1" && !has_ipv6() {
            continue;
        }
        let measured = run(&icmp(target, 3), 5_000).await;
        if icmp_is_closed(&measured) {
            return;
        }
        assert_eq!(measured.outcome, Outcome::Ok, "{measured:?}");
        assert_eq!(measured.loss_permille, Some(0));
        assert!(measured.rtt_us.is_some_and(|us| us > 0 && us < 5_000_000), "{measured:?}");
    }
}

#[tokio::test(flavor = "current_thread")]
async fn two_thousand_targets_are_pinged_at_once_and_each_gets_its_own_answer() {
    let prober = Prober::new();
    let runs: Vec<_> = (0..2_000_u16)
        .map(|n| {
            let prober = prober.clone();
            let [high, low] = n.to_be_bytes();
            let probe = icmp(&format!("127.9.{high}.{low}"), 2);
            tokio::spawn(async move { prober.run(&probe, Millis(10_000)).await })
        })
        .collect();
    for run in runs {
        let measured = tokio::time::timeout(Duration::from_secs(30), run).await.unwrap().unwrap();
        if icmp_is_closed(&measured) {
            return;
        }
        assert_eq!((measured.outcome, measured.loss_permille), (Outcome::Ok, Some(0)), "{measured:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn probes_on_several_threads_share_the_socket_and_start_it_again_after_a_pause() {
    let prober = Prober::new();
    for _ in 0..50 {
        let runs: Vec<_> = (1..=20_u8)
            .map(|n| {
                let prober = prober.clone();
                let probe = icmp(&format!("127.8.0.{n}"), 1);
                tokio::spawn(async move { prober.run(&probe, Millis(10_000)).await })
            })
            .collect();
        for run in runs {
            let measured = tokio::time::timeout(Duration::from_secs(30), run).await.unwrap().unwrap();
            if icmp_is_closed(&measured) {
                return;
            }
            assert_eq!(measured.outcome, Outcome::Ok, "{measured:?}");
        }
    }
}

#[tokio::test(flavor = "current_thread")]
async fn a_round_trip_over_its_limit_is_a_warning_with_the_figure() {
    let probe = Probe::Icmp {
        target: "127.0.0.1".to_owned(),
        packets: 1,
        warn_loss_permille: Some(100),
        warn_rtt: Some(Millis(0)),
    };
    let measured = run(&probe, 5_000).await;
    if icmp_is_closed(&measured) {
        return;
    }
    assert_eq!(measured.outcome, Outcome::Warn);
    assert!(measured.message.contains("ms is over 0s"), "{}", measured.message);
}

#[tokio::test(flavor = "current_thread")]
async fn what_cannot_be_probed_is_unknown_and_says_why() {
    let http = |url: &str| Probe::Http {
        url: url.to_owned(),
        status: String::new(),
        keyword: String::new(),
        redirects: 0,
        insecure: false,
    };
    for (probe, why) in [
        (icmp("", 1), "the target is empty"),
        (icmp("two words", 1), "'two words' is neither"),
        (icmp("127.0.0.1", 0), "0 packets"),
        (tcp("127.0.0.1", 0), "port 0"),
        (tcp("bad\nname", 1), "'bad name' is neither"),
        (http("nonsense"), "'nonsense' is not a URL"),
        (http("ftp://127.0.0.1/"), "the scheme 'ftp'"),
    ] {
        let measured = run(&probe, 5_000).await;
        assert_eq!(measured.outcome, Outcome::Unknown, "{measured:?}");
        assert!(measured.message.contains(why), "{} / {why}", measured.message);
    }
}

#[tokio::test(flavor = "current_thread")]
async fn a_name_that_does_not_resolve_fails_by_name() {
    for probe in [icmp("no-such-host.invalid", 1), tcp("no-such-host.invalid", 80)] {
        let measured = run(&probe, 3_000).await;
        assert_eq!(measured.outcome, Outcome::Fail, "{measured:?}");
        assert!(measured.message.starts_with("resolve no-such-host.invalid: "), "{}", measured.message);
    }
}

#[tokio::test(flavor = "current_thread")]
async fn an_open_port_is_ok_and_a_closed_one_is_refused() {
    for address in ["127.0.0.1", "::1"] {
        if address == "::1" && !has_ipv6() {
            continue;
        }
        let listener = TcpListener::bind((address.parse::<IpAddr>().unwrap(), 0)).unwrap();
        let at = listener.local_addr().unwrap();
        let open = run(&tcp(address, at.port()), 5_000).await;
        assert_eq!(open.outcome, Outcome::Ok, "{open:?}");
        assert!(open.rtt_us.is_some() && open.message.starts_with(&format!("connect {at}: open")));
        drop(listener);
        let closed = run(&tcp(address, at.port()), 5_000).await;
        assert_eq!(closed.outcome, Outcome::Fail);
        assert_eq!(closed.message, format!("connect {at}: refused"));
    }
}

#[tokio::test(flavor = "current_thread")]
async fn a_listener_that_takes_nobody_in_is_given_up_in_time() {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    socket.listen(0).unwrap();
    let at = socket.local_addr().unwrap().as_socket().unwrap();
    let mut waiting = Vec::new();
    while let Ok(stream) = std::net::TcpStream::connect_timeout(&at, Duration::from_millis(200)) {
        waiting.push(stream);
        assert!(waiting.len() < 100, "a backlog of 0 fills up");
    }
    let began = Instant::now();
    let measured = run(&tcp("127.0.0.1", at.port()), 300).await;
    assert_eq!(measured.outcome, Outcome::Fail, "{measured:?}");
    assert_eq!(measured.message, format!("connect {at}: timed out after 300ms"));
    assert!(began.elapsed() >= Duration::from_millis(300));
}

#[tokio::test(flavor = "current_thread")]
async fn a_probed_port_leaves_nothing_in_time_wait() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let prober = Prober::new();
    for _ in 0..20 {
        let measured = prober.run(&tcp("127.0.0.1", port), Millis(5_000)).await;
        assert_eq!(measured.outcome, Outcome::Ok, "{measured:?}");
        drop(listener.accept().unwrap());
    }
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let time_wait = |line: &&str| line.contains(&format!(":{port:04X} ")) && line.contains(" 06 ");
    assert_eq!(table.lines().filter(time_wait).count(), 0, "{table}");
}
