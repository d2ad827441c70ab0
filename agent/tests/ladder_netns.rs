//! Climbs on a real network: in a network namespace of its own with a neighbour in another, where nothing leaves this
//! machine.
//!
//! Each test runs itself once more inside `unshare --net`, as root on Linux; elsewhere it says why it is skipped.

#![expect(clippy::unwrap_used, reason = "a test may fail where it stands")]

mod netns;

use agent::ladder::{Server, climb};
use agent::report::{Climb, Held, Plan, Rung, Step, Why};
use netns::inside;
use schedules::Millis;

/// A gateway beyond `out`, which answers; `$THERE` runs a command there. It lives as long as the test.
const GATEWAY: &str = "unshare --net setpriv --pdeathsig KILL sleep 50 >/dev/null 2>&1 & there=$!; THERE=\"nsenter -t $there -n\"; \
    ip link add out type veth peer name far; \
    until [ $(readlink /proc/$there/ns/net) != $(readlink /proc/self/ns/net) ]; do sleep 0.01; done; \
    ip link set far netns $there; ip link set out up; ip addr add 10.9.0.2/24 dev out; \
    $THERE ip link set lo up; $THERE ip link set far up; $THERE ip addr add 10.9.0.1/24 dev far; \
    $THERE ip addr add 10.9.1.1/32 dev lo; ip route add default via 10.9.0.1; \
    until ping -c 1 -W 1 10.9.0.1 >/dev/null; do sleep 0.1; done;";

/// As [`inside`], with the gateway, and with the kernel's files about the interfaces of this namespace.
fn beside_gateway(name: &str, setup: &str) -> bool {
    let dir = tempfile::tempdir().unwrap();
    let files = dir.path().join("files.sh");
    std::fs::write(&files, "mount -t sysfs sysfs /sys && exec \"$@\"").unwrap();
    let run = format!("AS=\"unshare --mount sh {} $AS\"", files.display());
    inside(name, &format!("{GATEWAY} {setup}; {run}"))
}

fn climbed() -> Climb {
    let plan = Plan { timeout: Millis(300), ..Plan::default() };
    let server = Server { host: "10.9.1.1".into(), port: 443, tls: true, pin: None, address: None };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(climb(&plan, &server, Why::Asked))
}

fn of(climb: &Climb, wanted: fn(&Step) -> bool) -> &Rung {
    climb.rungs.iter().find(|rung| wanted(&rung.step)).unwrap()
}

#[test]
fn a_gateway_that_died_a_moment_ago_does_not_hold_because_its_entry_is_still_there() {
    // It is gone without a trace on the link, and the agent may not ask the kernel to find out.
    let setup = "$THERE ip addr flush dev far; AS='setpriv --bounding-set -net_admin'";
    let name = "a_gateway_that_died_a_moment_ago_does_not_hold_because_its_entry_is_still_there";
    if !beside_gateway(name, setup) {
        return;
    }
    let climb = climbed();
    let gateway = of(&climb, |step| matches!(step, Step::Gateway { .. }));
    assert_eq!(gateway.outcome, Held::Fail, "{climb:#?}");
    let neighbour = of(&climb, |step| matches!(step, Step::Neighbour { .. }));
    assert_ne!(neighbour.outcome, Held::Ok, "{climb:#?}");
}

#[test]
fn a_gateway_that_answers_no_pings_holds_where_the_kernel_has_just_heard_of_it() {
    let setup = "$THERE sh -c 'echo 1 > /proc/sys/net/ipv4/icmp_echo_ignore_all'; ip neigh flush dev out";
    if !beside_gateway("a_gateway_that_answers_no_pings_holds_where_the_kernel_has_just_heard_of_it", setup) {
        return;
    }
    let climb = climbed();
    let neighbour = of(&climb, |step| matches!(step, Step::Neighbour { .. }));
    assert_eq!(neighbour.outcome, Held::Ok, "{climb:#?}");
}

#[test]
fn a_server_behind_a_smaller_interface_than_that_of_the_way_out_is_no_fault_of_packet_sizes() {
    let setup = "ip link add tun type veth peer name end; ip link set end netns $there; \
         ip link set tun mtu 1420 up; $THERE ip link set end mtu 1420 up; \
         ip addr add 10.9.2.2/24 dev tun; $THERE ip addr add 10.9.2.1/24 dev end; \
         ip route add 10.9.1.1 via 10.9.2.1; until ping -c 1 -W 1 10.9.1.1 >/dev/null; do sleep 0.1; done";
    let name = "a_server_behind_a_smaller_interface_than_that_of_the_way_out_is_no_fault_of_packet_sizes";
    if !beside_gateway(name, setup) {
        return;
    }
    let climb = climbed();
    let size = of(&climb, |step| matches!(step, Step::PacketSize { .. }));
    assert_eq!(size.outcome, Held::Ok, "{climb:#?}");
    assert!(
        matches!(size.step, Step::PacketSize { largest: Some(1420), mtu: 1420, told: false, .. }),
        "{size:?}"
    );
}
