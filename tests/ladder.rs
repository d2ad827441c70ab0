//! `lineman agent diagnose` in a little network of its own, in which each fault is caused: what it finds is that fault.

use std::fs;

use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use serde_json::Value;

use crate::harness::netns::{Network, Place, possible};

const NAMES: &str = "lineman.test=10.77.3.2,lineman.test=fd77:3::2,page.test=10.77.3.2";
const PAGE: &str = "it is all right";
const SERVER: &str = "https://lineman.test:8443";

/// When a certificate is valid.
#[derive(Clone, Copy)]
enum Validity {
    Now,
    Past,
}

/// A network in which all is well, with a server that this machine trusts.
fn well() -> Option<Network> {
    possible().then(|| {
        let mut network = bare();
        serve(&mut network, "lineman.test", Validity::Now, PAGE);
        network
    })
}

/// The same, without a web server at the server's.
fn bare() -> Network {
    let mut network = Network::new();
    network.answer(Place::Core, &[&format!("dns=10.77.9.1;{NAMES}")]);
    network.answer(Place::Server, &[&format!("dns=10.77.3.2;{NAMES}")]);
    network
}

fn serve(network: &mut Network, name: &str, validity: Validity, page: &str) {
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
    if let Validity::Past = validity {
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2020, 12, 31);
    }
    let certificate = params.self_signed(&key).expect("a certificate");
    let (certificate_file, key_file) = (network.path("certificate.pem"), network.path("key.pem"));
    fs::write(&certificate_file, certificate.pem()).expect("written");
    fs::write(&key_file, key.serialize_pem()).expect("written");
    let tls = format!("tls=8443:{}:{}", certificate_file.display(), key_file.display());
    network.answer(Place::Server, &[&format!("http=80:{page}"), &tls]);
}

const ASK: &[&str] = &[
    "--server",
    SERVER,
    "--anchor",
    "10.77.9.1",
    "--anchor",
    "fd77:9::1",
    "--page",
    "http://page.test/",
    "--page-body",
    "all right",
];

/// The rungs of a word, as `outcome`s.
fn held<'a>(climb: &'a Value, word: &str) -> Vec<&'a str> {
    of(climb, word).iter().map(|rung| rung["outcome"].as_str().expect("a word")).collect()
}

fn of<'a>(climb: &'a Value, word: &str) -> Vec<&'a Value> {
    climb["rungs"].as_array().expect("rungs").iter().filter(|rung| rung["rung"] == word).collect()
}

/// All words of rungs that failed, each once.
fn failed(climb: &Value) -> Vec<&str> {
    let rungs = climb["rungs"].as_array().expect("rungs").iter();
    let mut all: Vec<&str> = rungs
        .filter(|rung| rung["outcome"] == "fail")
        .map(|rung| rung["rung"].as_str().expect("a word"))
        .collect();
    all.dedup();
    all
}

/// Where the fault is, as far as one climb tells.
fn verdict(climb: &Value) -> &str {
    climb["verdict"]["code"].as_str().unwrap_or("none")
}

/// The addresses of a route's hops.
fn hops(route: &Value) -> Vec<&str> {
    route["hops"].as_array().expect("hops").iter().map(|hop| hop["address"].as_str().unwrap_or("*")).collect()
}

#[test]
fn where_all_is_well_every_step_holds_and_the_way_is_shown_hop_by_hop() {
    let Some(network) = well() else { return };
    let (code, climb) = network.diagnose(ASK);
    assert_eq!((code, failed(&climb)), (0, vec![]), "{climb:#}");
    assert_eq!(verdict(&climb), "none", "{climb:#}");
    let rungs = climb["rungs"].as_array().unwrap();
    assert!(rungs.iter().all(|rung| rung["outcome"] == "ok"), "{climb:#}");
    for word in ["address", "neighbour", "gateway", "anchor", "server-connect", "packet-size"] {
        assert_eq!(held(&climb, word).len(), 2, "IPv4 and IPv6: {word}: {climb:#}");
    }
    let routes = of(&climb, "route");
    for (target, wanted) in [
        ("10.77.3.2", ["10.77.1.1", "10.77.2.2", "10.77.3.2"]),
        ("fd77:3::2", ["fd77:1::1", "fd77:2::2", "fd77:3::2"]),
    ] {
        let found: Vec<_> = routes.iter().filter(|route| route["target"] == target).collect();
        assert_eq!(found.len(), 2, "by ICMP and by TCP: {climb:#}");
        for route in found {
            assert_eq!(hops(route), wanted, "{climb:#}");
        }
    }
    let ours: Vec<&Value> = of(&climb, "resolver").into_iter().filter(|rung| rung["ours"] == true).collect();
    assert_eq!(ours.len(), 2);
    assert_eq!(ours[0]["addresses"], serde_json::json!(["10.77.3.2", "fd77:3::2"]));
}

#[test]
fn without_privileges_the_same_is_found() {
    let Some(network) = well() else { return };
    network.run(Place::Device, "echo 0 2147483647 > /proc/sys/net/ipv4/ping_group_range");
    let (code, climb) = network.diagnose(ASK);
    assert_eq!((code, failed(&climb)), (0, vec![]), "{climb:#}");
    let route = of(&climb, "route")[0];
    assert_eq!(hops(route), ["10.77.1.1", "10.77.2.2", "10.77.3.2"]);
}

#[test]
fn whoever_may_not_ping_is_told_so_and_the_gateway_is_looked_for_all_the_same() {
    let Some(network) = well() else { return };
    network.run(Place::Device, "echo 1 0 > /proc/sys/net/ipv4/ping_group_range");
    let (_, climb) = network.diagnose_without_rights(ASK);
    assert_eq!(held(&climb, "neighbour"), ["ok", "ok"], "{climb:#}");
    assert_eq!(held(&climb, "gateway"), ["not-measured", "not-measured"], "{climb:#}");
    assert!(of(&climb, "gateway")[0]["reason"].as_str().unwrap().contains("may not open ICMP sockets"));
    assert_eq!(failed(&climb), Vec::<&str>::new(), "{climb:#}");
    let by_tcp: Vec<_> =
        of(&climb, "route").into_iter().filter(|route| route["transport"] == "tcp").collect();
    assert_eq!(hops(by_tcp[0]), ["10.77.1.1", "10.77.2.2", "10.77.3.2"], "{climb:#}");
}

#[test]
fn a_person_reads_it_line_by_line() {
    let Some(network) = well() else { return };
    let output = network.diagnose_as("table", ASK);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with("the way to lineman.test, port 8443; it took "), "{text}");
    for line in
        ["ok    link", "ok    gateway's ARP    10.77.1.1 is ", "10.77.2.2", "steps that were measured hold"]
    {
        assert!(text.contains(line), "{line}: {text}");
    }
}

#[test]
fn a_link_without_a_carrier_is_found_and_nothing_behind_it_is_blamed() {
    let Some(network) = well() else { return };
    network.run(Place::Gateway, "ip link set lan down");
    let (code, climb) = network.diagnose(&["--server", "https://10.77.3.2:8443", "--anchor", "10.77.9.1"]);
    assert_eq!(code, 1);
    assert_eq!(held(&climb, "link"), ["fail"], "{climb:#}");
    assert_eq!(verdict(&climb), "link", "{climb:#}");
    for word in ["neighbour", "gateway", "anchor", "resolver", "route", "packet-size"] {
        assert!(held(&climb, word).iter().all(|held| *held == "not-measured"), "{word}: {climb:#}");
    }
}

#[test]
fn a_device_without_an_address_is_found() {
    let Some(network) = well() else { return };
    network.run(Place::Device, "ip addr flush dev eth0; ip -6 route flush default || true");
    let (code, climb) = network.diagnose(ASK);
    assert_eq!(code, 1);
    assert_eq!(held(&climb, "link"), ["ok"], "{climb:#}");
    assert_eq!(verdict(&climb), "no-address", "{climb:#}");
    assert_eq!(held(&climb, "address"), ["fail", "not-measured"], "{climb:#}");
    assert_eq!(of(&climb, "address")[0]["reason"], "no IPv4 address");
    assert!(held(&climb, "gateway").iter().all(|held| *held == "not-measured"), "{climb:#}");
}

#[test]
fn a_gateway_that_is_gone_has_no_hardware_address() {
    let Some(network) = well() else { return };
    // The entry from before is still there: it proves nothing.
    network.run(Place::Device, "ping -c 1 -W 9 10.77.1.1 || true");
    network.run(Place::Gateway, "ip addr flush dev lan; ip link set lan arp off");
    let (code, climb) = network.diagnose(ASK);
    assert_eq!(code, 1);
    assert_eq!(held(&climb, "link"), ["ok"], "{climb:#}");
    assert_eq!(verdict(&climb), "gateway", "{climb:#}");
    assert_eq!(held(&climb, "neighbour"), ["fail", "fail"], "{climb:#}");
    assert_eq!(held(&climb, "gateway"), ["fail", "fail"], "{climb:#}");
    assert!(of(&climb, "route").iter().all(|route| hops(route).is_empty()), "{climb:#}");
}

#[test]
fn a_gateway_that_forwards_nothing_is_where_the_route_ends() {
    let Some(network) = well() else { return };
    network.filter(Place::Gateway, "forward", "drop");
    let (code, climb) = network.diagnose(ASK);
    assert_eq!(code, 1);
    assert_eq!(held(&climb, "gateway"), ["ok", "ok"], "{climb:#}");
    assert_eq!(verdict(&climb), "last-mile", "{climb:#}");
    assert_eq!(held(&climb, "anchor"), ["fail", "fail"], "{climb:#}");
    let to_anchor: Vec<_> =
        of(&climb, "route").into_iter().filter(|route| route["server"] == false).collect();
    assert_eq!(hops(to_anchor[0]), ["10.77.1.1"], "{climb:#}");
    assert_eq!(to_anchor[0]["reason"], "it ends behind hop 1, 10.77.1.1");
}

#[test]
fn a_resolver_that_is_dead_is_told_from_one_that_answers() {
    let Some(network) = well() else { return };
    network.resolvers("nameserver 10.77.1.1\n");
    let (code, climb) = network.diagnose(&[ASK, &["--resolver", "10.77.9.1"]].concat());
    assert_eq!(code, 1);
    for rung in of(&climb, "resolver") {
        let wanted = if rung["configured"] == true { "fail" } else { "ok" };
        assert_eq!(rung["outcome"], wanted, "{climb:#}");
    }
    assert_eq!(held(&climb, "anchor"), ["ok", "ok"], "{climb:#}");
    assert_eq!(held(&climb, "server-name"), ["fail"], "{climb:#}");
    assert_eq!(verdict(&climb), "resolver", "{climb:#}");
}

#[test]
fn where_udp_is_dropped_dns_answers_over_tcp() {
    let Some(network) = well() else { return };
    network.filter(Place::Gateway, "forward", "udp dport 53 drop");
    let (_, climb) = network.diagnose(ASK);
    let over = |transport: &str| -> Vec<&Value> {
        of(&climb, "resolver").into_iter().filter(|rung| rung["transport"] == transport).collect()
    };
    assert!(!over("udp").is_empty() && over("udp").iter().all(|rung| rung["outcome"] == "fail"), "{climb:#}");
    assert!(!over("tcp").is_empty() && over("tcp").iter().all(|rung| rung["outcome"] == "ok"), "{climb:#}");
    assert_eq!(over("tcp")[0]["rcode"], "NOERROR");
    assert_eq!(verdict(&climb), "dns-blocked", "{climb:#}");
}

#[test]
fn a_port_that_refuses_is_told_from_one_that_drops() {
    if !possible() {
        return;
    }
    let network = bare();
    let (_, climb) = network.diagnose(ASK);
    assert_eq!(verdict(&climb), "server", "{climb:#}");
    for rung in of(&climb, "server-connect") {
        assert_eq!((&rung["outcome"], &rung["refused"]), (&"fail".into(), &true.into()), "{climb:#}");
    }
    network.filter(Place::Server, "input", "tcp dport 8443 drop");
    let (_, climb) = network.diagnose(ASK);
    for rung in of(&climb, "server-connect") {
        assert_eq!((&rung["outcome"], &rung["refused"]), (&"fail".into(), &false.into()), "{climb:#}");
        assert_eq!(rung["reason"], "no answer");
    }
    assert_eq!(held(&climb, "server-tls"), ["not-measured"]);
    network.run(Place::Gateway, "nft flush ruleset");
    network.filter(Place::Gateway, "forward", "tcp dport 8443 reject");
    let (_, climb) = network.diagnose(ASK);
    let first = of(&climb, "server-connect")[0];
    let said = "protocol or port unreachable, says 10.77.1.1";
    assert_eq!((&first["refused"], &first["reason"]), (&false.into(), &said.into()), "{climb:#}");
}

#[test]
fn a_certificate_for_another_name_and_one_that_has_expired_are_told_apart() {
    if !possible() {
        return;
    }
    for (name, validity, error) in
        [("other.test", Validity::Now, "other-name"), ("lineman.test", Validity::Past, "expired")]
    {
        let mut network = bare();
        serve(&mut network, name, validity, PAGE);
        let (code, climb) = network.diagnose(ASK);
        assert_eq!((code, failed(&climb)), (1, vec!["server-tls"]), "{climb:#}");
        let tls = of(&climb, "server-tls")[0];
        assert_eq!(tls["error"], error, "{climb:#}");
        assert_eq!(tls["clock_off"].is_i64(), error == "expired", "{climb:#}");
        assert_eq!(held(&climb, "server-answer"), ["not-measured"]);
        assert_eq!(verdict(&climb), "certificate", "{climb:#}");
    }
}

#[test]
fn a_captive_portal_changes_the_page() {
    if !possible() {
        return;
    }
    for page in ["->http://portal.test/login", "please pay your bill first"] {
        let mut network = bare();
        serve(&mut network, "lineman.test", Validity::Now, page);
        let (code, climb) = network.diagnose(ASK);
        assert_eq!((code, failed(&climb)), (1, vec!["page"]), "{climb:#}");
        assert_eq!(of(&climb, "page")[0]["changed"], true, "{climb:#}");
        assert_eq!(verdict(&climb), "captive-portal", "{climb:#}");
    }
}

#[test]
fn large_packets_that_vanish_are_found_to_the_byte_and_a_way_that_says_so_is_well() {
    let Some(network) = well() else { return };
    network.filter(Place::Gateway, "forward", "meta length gt 1400 drop");
    let (_, climb) = network.diagnose(ASK);
    assert_eq!(verdict(&climb), "mtu", "{climb:#}");
    for size in of(&climb, "packet-size") {
        assert_eq!((&size["largest"], &size["told"]), (&1400.into(), &false.into()), "{climb:#}");
        assert_eq!(size["outcome"], "fail");
    }
    network.run(Place::Gateway, "nft flush ruleset; ip link set wan mtu 1420");
    network.run(Place::Core, "ip link set in mtu 1420");
    let (_, climb) = network.diagnose(ASK);
    for size in of(&climb, "packet-size") {
        assert_eq!((&size["largest"], &size["told"]), (&1420.into(), &true.into()), "{climb:#}");
        assert_eq!(size["outcome"], "ok");
    }
}

#[test]
fn where_only_ipv6_is_broken_all_of_ipv4_holds() {
    let Some(network) = well() else { return };
    network.filter(Place::Gateway, "forward", "meta nfproto ipv6 drop");
    let (code, climb) = network.diagnose(ASK);
    assert_eq!(code, 1);
    assert_eq!(held(&climb, "gateway"), ["ok", "ok"], "{climb:#}");
    assert_eq!(verdict(&climb), "address-family", "{climb:#}");
    for rung in of(&climb, "anchor") {
        let wanted = if rung["address"] == "10.77.9.1" { "ok" } else { "fail" };
        assert_eq!(rung["outcome"], wanted, "{climb:#}");
    }
    assert_eq!(held(&climb, "server-answer"), ["ok"], "{climb:#}");
}

#[test]
fn loss_on_the_line_is_measured() {
    let Some(network) = well() else { return };
    network.filter(Place::Gateway, "input", "icmp type echo-request numgen inc mod 5 lt 2 drop");
    let (_, climb) = network.diagnose(ASK);
    let gateway = of(&climb, "gateway")[0];
    assert_eq!((&gateway["outcome"], &gateway["loss_permille"]), (&"ok".into(), &400.into()), "{climb:#}");
}

#[test]
fn without_a_server_and_anchors_only_the_own_network_is_asked() {
    let Some(network) = well() else { return };
    network.filter(
        Place::Gateway,
        "forward",
        "iifname lan ip daddr != { 10.77.9.1, 10.77.3.2 } counter drop",
    );
    let (code, climb) = network.diagnose(&[]);
    assert_eq!((code, failed(&climb)), (0, vec![]), "{climb:#}");
    assert!(of(&climb, "server-connect").is_empty() && of(&climb, "route").is_empty(), "{climb:#}");
    let dropped = network.run(Place::Gateway, "nft list ruleset");
    assert!(dropped.contains("counter packets 0 bytes 0"), "{dropped}");
}

#[test]
fn without_anchors_the_next_hop_on_the_way_to_the_server_is_one() {
    let Some(network) = well() else { return };
    let (code, climb) = network.diagnose(&["--server", SERVER]);
    assert_eq!((code, failed(&climb)), (0, vec![]), "{climb:#}");
    let anchors = of(&climb, "anchor");
    assert_eq!((anchors.len(), &anchors[0]["given"]), (1, &false.into()), "{climb:#}");
    let next = anchors[0]["address"].as_str().unwrap();
    assert!(["10.77.2.2", "fd77:2::2"].contains(&next), "{climb:#}");
}
