//! Lost and undeliverable echoes made real: in a network namespace of its own, where nothing leaves this machine.
//!
//! Each test runs itself once more inside `unshare --net`, as root on Linux; elsewhere it says why it is skipped.

#![expect(clippy::unwrap_used, reason = "a test may fail where it stands")]

mod netns;

use std::net::{TcpListener, ToSocketAddrs};
use std::time::{Duration, Instant};

use agent::probe::{Measured, Prober};
use agent::report::{Outcome, Probe};
use netns::inside;
use schedules::Millis;

const DATAGRAM: &str = "echo '0 2147483647' > /proc/sys/net/ipv4/ping_group_range;";
const RAW: &str = "echo '1 0' > /proc/sys/net/ipv4/ping_group_range;";
const NO_PING_AT_ALL: &str =
    "echo '1 0' > /proc/sys/net/ipv4/ping_group_range; AS='setpriv --bounding-set -net_raw'";

fn ignore_echoes(ignore: bool) {
    let value = if ignore { "1" } else { "0" };
    std::fs::write("/proc/sys/net/ipv4/icmp_echo_ignore_all", value).unwrap();
}

fn run(probe: &Probe, timeout: i64) -> Measured {
    run_beside(probe, timeout, || ())
}

/// Runs the probe, and `meanwhile` 700 ms later.
fn run_beside(probe: &Probe, timeout: i64, meanwhile: impl FnOnce()) -> Measured {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let prober = Prober::new();
        let run = tokio::time::timeout(Duration::from_secs(30), prober.run(probe, Millis(timeout)));
        let later = async {
            tokio::time::sleep(Duration::from_millis(700)).await;
            meanwhile();
        };
        let measured = run;
        tokio::pin!(measured, later);
        tokio::select! {
            measured = &mut measured => return measured.expect("a probe ends"),
            () = &mut later => {}
        }
        measured.await.expect("a probe ends")
    })
}

fn icmp(target: &str, packets: u32) -> Probe {
    Probe::Icmp { target: target.to_owned(), packets, warn_loss_permille: Some(0), warn_rtt: None }
}

fn echoes_are_answered_lost_and_lost_in_part() {
    for target in ["127.0.0.1", "::1"] {
        let measured = run(&icmp(target, 3), 5_000);
        assert_eq!((measured.outcome, measured.loss_permille), (Outcome::Ok, Some(0)), "{measured:?}");
    }
    ignore_echoes(true);
    let began = Instant::now();
    let measured = run(&icmp("127.0.0.1", 3), 400);
    assert_eq!((measured.outcome, measured.loss_permille), (Outcome::Fail, Some(1000)), "{measured:?}");
    assert_eq!(measured.message, "ping 127.0.0.1: no answer to any echo within 400ms");
    assert!(began.elapsed() >= Duration::from_millis(600), "two pauses and one wait: {:?}", began.elapsed());
    let measured = run_beside(&icmp("127.0.0.1", 20), 1_000, || ignore_echoes(false));
    assert_eq!(measured.outcome, Outcome::Warn, "{measured:?}");
    assert!(measured.loss_permille.is_some_and(|loss| loss > 0 && loss < 1000), "{measured:?}");
    assert!(measured.message.contains("% is over 0.0 %"), "{}", measured.message);
}

#[test]
fn an_unprivileged_socket_measures_loss() {
    if inside(
        "an_unprivileged_socket_measures_loss",
        &format!("{DATAGRAM} ip -6 addr add ::1/128 dev lo || true"),
    ) {
        echoes_are_answered_lost_and_lost_in_part();
    }
}

#[test]
fn a_raw_socket_measures_loss() {
    if inside("a_raw_socket_measures_loss", &format!("{RAW} ip -6 addr add ::1/128 dev lo || true")) {
        echoes_are_answered_lost_and_lost_in_part();
    }
}

#[test]
fn what_has_no_route_fails_at_once_and_says_so() {
    let setup = "ip route add unreachable 198.51.100.0/24; ip route add prohibit 203.0.113.0/24";
    if !inside("what_has_no_route_fails_at_once_and_says_so", setup) {
        return;
    }
    let began = Instant::now();
    for (target, why) in [
        ("192.0.2.1", "network unreachable"),
        ("198.51.100.1", "no route to host"),
        ("203.0.113.1", "not permitted by this machine"),
        ("2001:db8::1", "network unreachable"),
    ] {
        let measured = run(&icmp(target, 1), 10_000);
        assert_eq!(measured.outcome, Outcome::Fail, "{measured:?}");
        assert!(measured.message.starts_with(&format!("ping {target}: {why}")), "{}", measured.message);
        assert_eq!(measured.loss_permille, Some(1000));
        let connect = run(&Probe::Tcp { target: target.to_owned(), port: 80 }, 10_000);
        assert_eq!(connect.outcome, Outcome::Fail, "{connect:?}");
        assert!(connect.message.contains(why), "{}", connect.message);
    }
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[test]
fn the_other_address_of_a_name_is_tried_when_the_first_refuses() {
    // A name with two addresses, whichever of them the system's resolver puts first.
    let setup = "ip -6 addr add ::1/128 dev lo || true; hosts=$(mktemp); \
        printf '::1 two.test\\n127.0.0.1 two.test\\n' > $hosts; mount --bind $hosts /etc/hosts; rm $hosts";
    if !inside("the_other_address_of_a_name_is_tried_when_the_first_refuses", setup) {
        return;
    }
    assert_eq!(("two.test", 0).to_socket_addrs().unwrap().count(), 2);
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let listener = TcpListener::bind(address).unwrap();
        let port = listener.local_addr().unwrap().port();
        let measured = run(&Probe::Tcp { target: "two.test".to_owned(), port }, 5_000);
        assert_eq!(measured.outcome, Outcome::Ok, "{address}: {measured:?}");
    }
}

#[test]
fn who_may_open_no_icmp_socket_is_told_the_command_that_mends_it() {
    if !inside("who_may_open_no_icmp_socket_is_told_the_command_that_mends_it", NO_PING_AT_ALL) {
        return;
    }
    for target in ["127.0.0.1", "::1"] {
        let measured = run(&icmp(target, 1), 1_000);
        assert_eq!(measured.outcome, Outcome::Unknown, "{measured:?}");
        let mends = "sysctl -w net.ipv4.ping_group_range=\"0 2147483647\"";
        assert!(measured.message.contains(mends), "{}", measured.message);
        assert!(measured.message.contains("setcap cap_net_raw+ep /"), "{}", measured.message);
    }
}

/// Answers every echo request this machine hears with "host unreachable", as a router does, quoting its first 28 bytes.
fn a_router_that_finds_nobody() {
    let raw = socket2::Type::RAW;
    let socket = socket2::Socket::new(socket2::Domain::IPV4, raw, Some(socket2::Protocol::ICMPV4)).unwrap();
    let socket = std::net::UdpSocket::from(socket);
    std::thread::spawn(move || {
        let mut packet = [0; 2048];
        loop {
            let len = socket.recv(&mut packet).unwrap();
            if len < 28 || packet[20] != 8 {
                continue;
            }
            let mut told = vec![3, 1, 0, 0, 0, 0, 0, 0];
            told.extend_from_slice(&packet[..28]);
            let sum: u32 = told.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
            let sum = !u16::try_from((sum & 0xffff) + (sum >> 16)).unwrap();
            told[2..4].copy_from_slice(&sum.to_be_bytes());
            socket.send_to(&told, "127.0.0.1:0").unwrap();
        }
    });
}

#[test]
fn a_router_that_says_unreachable_ends_the_wait_on_a_raw_socket() {
    if !inside("a_router_that_says_unreachable_ends_the_wait_on_a_raw_socket", RAW) {
        return;
    }
    ignore_echoes(true);
    a_router_that_finds_nobody();
    let began = Instant::now();
    let measured = run(&icmp("127.0.0.7", 2), 20_000);
    assert_eq!((measured.outcome, measured.loss_permille), (Outcome::Fail, Some(1000)), "{measured:?}");
    assert_eq!(measured.message, "ping 127.0.0.7: host unreachable, says 127.0.0.1");
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}
