//! An address that DNS follows: lineman's own zone, asked by dig, and a real BIND 9 that is updated with a signed key.

mod trouble;

use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{Process, World, sqlite, wait_for};

const KEY: &str = "ddns:hmac-sha256:bGluZW1hbi1saW5lbWFuLWxpbmVtYW4tbGluZW1hbg==";
const OTHER_KEY: &str = "ddns:hmac-sha256:c29tZWJvZHktZWxzZS1zb21lYm9keS1lbHNlLWtleQ==";

/// That whoever has the key may update the zone, as BIND reads it.
const ALL: &str = "allow-update { key ddns; };";

/// A port that is free over UDP and TCP.
fn free_port() -> u16 {
    for _ in 0..100 {
        let tcp = TcpListener::bind("127.0.0.1:0").expect("a port");
        let at = tcp.local_addr().expect("an address");
        if UdpSocket::bind(at).is_ok() {
            return at.port();
        }
    }
    panic!("no port is free");
}

/// What dig says at this port, a line each.
fn dig(port: u16, args: &[&str]) -> Vec<String> {
    dig_at("127.0.0.1", port, args)
}

/// The same at another address.
fn dig_at(address: &str, port: u16, args: &[&str]) -> Vec<String> {
    let (at, port) = (format!("@{address}"), port.to_string());
    let mut command = Command::new("dig");
    command.args([&at, "-p", &port, "+time=2", "+tries=1", "+noall"]).args(args);
    let output = command.output().expect("dig runs");
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

/// The addresses a name has there.
fn addresses(port: u16, name: &str) -> Vec<String> {
    let mut all = dig(port, &["+short", "+answer", name, "A"]);
    all.extend(dig(port, &["+short", "+answer", name, "AAAA"]));
    all.retain(|line| !line.starts_with(';'));
    all
}

/// The status of an answer.
fn status(port: u16, args: &[&str]) -> String {
    let mut all = vec!["+comments"];
    all.extend(args);
    let lines = dig(port, &all);
    let line = lines.iter().find(|line| line.contains("status: ")).unwrap_or_else(|| panic!("{lines:?}"));
    line.split("status: ").nth(1).and_then(|rest| rest.split(',').next()).unwrap_or_default().to_owned()
}

/// A device of which the test itself is the agent.
struct Agent {
    url: String,
    secret: String,
    seq: u64,
}

impl Agent {
    fn join(world: &World, server: &Process<'_>, device: &str) -> Agent {
        let said = world.ok(&["device", "edit", device, "--join"]);
        let token = said.split_whitespace().last().expect("the token is the last word").to_owned();
        let url = server.url();
        let joined = post(&format!("{url}/api/agent/join"), None, &json!({"token": token.split('.').next()}));
        Agent { url, secret: joined["secret"].as_str().expect("a secret").to_owned(), seq: 0 }
    }

    /// Checks in from an address.
    fn check_in(&mut self, address: &str) {
        self.seq += 1;
        let now = i64::try_from(since_1970().as_millis()).expect("a time");
        let record = json!({"seq": self.seq, "at": now, "mono": 1_000 * self.seq, "kind": "status", "address": address});
        let call = json!({"sent_at": now, "sent_mono": 1_000 * self.seq, "log": "test", "records": [record]});
        post(&format!("{}/api/agent/check-in", self.url), Some(&self.secret), &call);
    }
}

#[expect(clippy::disallowed_methods, reason = "the test is an agent, and tells what time it is there")]
fn since_1970() -> Duration {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970")
}

fn post(url: &str, secret: Option<&str>, body: &Value) -> Value {
    let agent = ureq::Agent::config_builder().http_status_as_error(false).build().new_agent();
    let mut request = agent.post(url).header("content-type", "application/json");
    if let Some(secret) = secret {
        request = request.header("authorization", format!("Bearer {secret}"));
    }
    let mut answer = request.send(&serde_json::to_vec(body).expect("JSON")[..]).expect("an answer");
    let text = answer.body_mut().read_to_string().expect("a body");
    assert_eq!(answer.status(), 200, "{url}: {text}");
    serde_json::from_str(&text).expect("JSON")
}

#[test]
fn dig_sees_devices_in_linemans_own_zone_and_a_new_address_as_it_comes() {
    let world = World::real();
    world.ok(&["device", "add", "gw", "--address", "192.0.2.1"]);
    world.ok(&["device", "add", "printer 1", "--address", "192.0.2.2", "--dns-name", "printer"]);
    world.ok(&["device", "add", "v6", "--address", "2001:db8::7"]);
    let port = free_port();
    let at = format!("127.0.0.1:{port}");
    let server = world.serve_with("127.0.0.1:0", &["--dns", &at, "--zone", "devices.example"]);
    assert_eq!(addresses(port, "gw.devices.example"), ["192.0.2.1"]);
    assert_eq!(addresses(port, "printer.devices.example"), ["192.0.2.2"]);
    assert_eq!(addresses(port, "v6.devices.example"), ["2001:db8::7"]);
    assert_eq!(dig(port, &["+short", "+answer", "+tcp", "gw.devices.example"]), ["192.0.2.1"]);
    assert_eq!(dig(port, &["+short", "+answer", "-x", "192.0.2.1"]), ["gw.devices.example."]);
    assert_eq!(dig(port, &["+short", "+answer", "-x", "2001:db8::7"]), ["v6.devices.example."]);
    assert_eq!(dig(port, &["+short", "+answer", "devices.example", "NS"]), ["ns.devices.example."]);
    assert_eq!(status(port, &["nobody.devices.example"]), "NXDOMAIN");
    assert_eq!(status(port, &["gw.devices.example", "MX"]), "NOERROR");
    assert_eq!(status(port, &["gw.example.net"]), "REFUSED");
    assert_eq!(status(port, &["devices.example", "AXFR"]), "REFUSED");
    assert_eq!(status(port, &["+edns=1", "+noednsneg", "gw.devices.example"]), "BADVERS");
    let serial = || {
        dig(port, &["+short", "+answer", "devices.example", "SOA"])[0]
            .split(' ')
            .nth(2)
            .unwrap()
            .parse::<u32>()
            .unwrap()
    };
    let before = serial();

    let mut agent = Agent::join(&world, &server, "gw");
    agent.check_in("192.0.2.9");
    let came = Instant::now();
    wait_for("the new address", || addresses(port, "gw.devices.example") == ["192.0.2.9"]);
    assert!(came.elapsed() < Duration::from_secs(10), "it is to be there within two seconds");
    assert!(serial() > before);
    let after = serial();
    assert_eq!(server.stop(), Some(0));
    let _server = world.serve_with("127.0.0.1:0", &["--dns", &at, "--zone", "devices.example"]);
    assert_eq!(serial(), after, "nothing changed: neither does the serial");
}

#[test]
fn a_name_is_checked_and_belongs_to_one_device() {
    let world = World::real();
    world.ok(&["device", "add", "one", "--dns-name", "Gw.Devices.Example."]);
    assert_eq!(world.json(&["device", "show", "one"])["dns_name"], "gw.devices.example");
    let said = world.fails(5, &["device", "add", "two", "--dns-name", "gw.devices.example"]);
    assert!(said.contains("'one'"), "{said}");
    world.ok(&["device", "add", "three"]);
    let said = world.fails(5, &["device", "add", "two", "--dns-name", "Three"]);
    assert!(said.contains("'three'"), "a device's own name counts: {said}");
    for bad in ["-x", "a..b", "a_b.example", "192.0.2.1"] {
        world.fails(2, &["device", "add", "two", &format!("--dns-name={bad}")]);
    }
}

/// A BIND 9 that answers for devices.example, and is updated by whoever has the key; killed when it goes out of sight.
struct Bind {
    dir: PathBuf,
    port: u16,
    child: Option<Child>,
}

impl Bind {
    fn start(world: &World, allows: &str) -> Bind {
        let dir = world.path("bind");
        fs::create_dir(&dir).expect("a folder");
        let port = free_port();
        let (name, rest) = KEY.split_once(':').expect("a key");
        let (algorithm, secret) = rest.split_once(':').expect("a key");
        let at = dir.display();
        let config = format!(
            "options {{ directory \"{at}\"; listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }};\n\
             pid-file \"{at}/named.pid\"; session-keyfile \"{at}/session.key\"; recursion no;\n\
             dnssec-validation no; empty-zones-enable no; }};\ncontrols {{ }};\n\
             key \"{name}\" {{ algorithm {algorithm}; secret \"{secret}\"; }};\n\
             zone \"devices.example\" {{ type primary; file \"{at}/zone.db\"; {allows} }};\n"
        );
        fs::write(dir.join("named.conf"), config).expect("a file");
        let zone = "$TTL 60\n@ SOA ns.devices.example. root.devices.example. 1 600 120 86400 60\n@ NS ns\nns A 127.0.0.1\n";
        fs::write(dir.join("zone.db"), zone).expect("a file");
        let mut bind = Bind { dir, port, child: None };
        bind.run();
        bind
    }

    fn run(&mut self) {
        let log = fs::File::options().create(true).append(true).open(self.dir.join("log")).expect("a log");
        let child = Command::new("named")
            .args(["-g", "-c"])
            .arg(self.dir.join("named.conf"))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("named runs");
        self.child = Some(child);
        wait_for("BIND answers", || !addresses(self.port, "ns.devices.example").is_empty());
    }

    /// How many updates it refused.
    fn denied(&self) -> usize {
        let log = fs::read_to_string(self.dir.join("log")).expect("a log");
        log.lines()
            .filter(|line| line.contains("update") && (line.contains("denied") || line.contains("REFUSED")))
            .count()
    }

    fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("it can be killed");
            child.wait().expect("it ends");
        }
    }

    /// Somebody else changes the zone.
    fn update(&self, lines: &str) {
        let file = self.dir.join("update");
        fs::write(&file, format!("server 127.0.0.1 {}\nzone devices.example\n{lines}\nsend\n", self.port))
            .expect("a file");
        let (name, rest) = KEY.split_once(':').expect("a key");
        let (algorithm, secret) = rest.split_once(':').expect("a key");
        let done = Command::new("nsupdate")
            .args(["-y", &format!("{algorithm}:{name}:{secret}")])
            .arg(&file)
            .status()
            .expect("nsupdate runs");
        assert!(done.success());
    }
}

impl Drop for Bind {
    fn drop(&mut self) {
        self.stop();
    }
}

fn follow(world: &World, bind: &Bind, key: &str) {
    let file = world.path("key");
    fs::write(&file, format!("{key}\n")).expect("a file");
    world.ok(&["setting", "set", "dns.server", &format!("127.0.0.1:{}", bind.port)]);
    world.ok(&["setting", "set", "dns.zone", "devices.example"]);
    world.ok(&["setting", "set", "dns.key", &format!("@{}", file.display())]);
}

/// How the name of a device stands.
fn state(world: &World, name: &str) -> String {
    let all = world.json(&["dns", "list"]);
    let found = all.as_array().expect("a list").iter().find(|record| record["name"] == name);
    found.map_or_else(String::new, |record| record["state"].as_str().expect("a state").to_owned())
}

#[test]
fn bind_has_the_new_address_of_a_check_in_also_after_it_was_away() {
    let world = World::real();
    let mut bind = Bind::start(&world, ALL);
    world.ok(&["device", "add", "gw", "--address", "192.0.2.1", "--dns-name", "gw.devices.example"]);
    world.ok(&["device", "add", "quiet", "--address", "192.0.2.200"]);
    follow(&world, &bind, KEY);
    let server = world.serve();
    let port = bind.port;
    wait_for("the first address", || addresses(port, "gw.devices.example") == ["192.0.2.1"]);
    let mut agent = Agent::join(&world, &server, "gw");
    agent.check_in("192.0.2.9");
    wait_for("the new address", || addresses(port, "gw.devices.example") == ["192.0.2.9"]);
    wait_for("it is known to be there", || state(&world, "gw.devices.example") == "good");
    assert!(addresses(port, "quiet.devices.example").is_empty(), "only who was given a name stands there");

    bind.stop();
    agent.check_in("2001:db8::9");
    wait_for("nobody answers", || state(&world, "gw.devices.example") == "failing");
    bind.run();
    wait_for("it arrives after", || addresses(port, "gw.devices.example") == ["2001:db8::9"]);
    wait_for("it is known to be there", || state(&world, "gw.devices.example") == "good");
    let told = world.json(&["event", "list", "kind:dns.failed"]);
    assert_eq!(told.as_array().expect("a list").len(), 1, "a trouble is told once: {told}");

    world.ok(&["device", "edit", "gw", "--dns-name", "door.devices.example"]);
    wait_for("the new name", || addresses(port, "door.devices.example") == ["2001:db8::9"]);
    wait_for("the old name is gone", || addresses(port, "gw.devices.example").is_empty());
    world.ok(&["device", "remove", "gw", "--yes"]);
    wait_for("nothing is left", || addresses(port, "door.devices.example").is_empty());
}

#[test]
fn a_wrong_key_is_one_event_and_a_line_of_the_doctors_and_no_storm() {
    let world = World::real();
    let bind = Bind::start(&world, ALL);
    world.ok(&["device", "add", "gw", "--address", "192.0.2.1", "--dns-name", "gw.devices.example"]);
    follow(&world, &bind, OTHER_KEY);
    let server = world.serve();
    wait_for("the key is refused", || state(&world, "gw.devices.example") == "key");
    let said = world.run(&["doctor"]);
    let table = String::from_utf8_lossy(&said.stdout).into_owned();
    assert_eq!(said.status.code(), Some(1), "{table}");
    assert!(table.contains("does not accept the key") && !table.contains("c29tZWJvZHk"), "{table}");
    let settings = world.ok(&["setting", "list", "-o", "json"]) + &world.ok(&["event", "list", "-o", "json"]);
    assert!(!settings.contains("c29tZWJvZHk"), "a secret is not shown again");
    let record = world.json(&["dns", "list"])[0].clone();
    assert_eq!(record["tries"], 1, "{record}");
    follow(&world, &bind, KEY);
    wait_for("the right key", || addresses(bind.port, "gw.devices.example") == ["192.0.2.1"]);
    wait_for("it is known to be there", || state(&world, "gw.devices.example") == "good");
    assert_eq!(world.json(&["event", "list", "kind:dns.failed"]).as_array().expect("a list").len(), 1);
    assert_eq!(world.run(&["doctor"]).status.code(), Some(0));
    assert_eq!(server.stop(), Some(0));
    let log = world.log() + &sqlite(&world.database(), "SELECT group_concat(body) FROM event");
    assert!(!log.contains("c29tZWJvZHk") && !log.contains("bGluZW1hbi"), "a secret is not logged");
}

#[test]
fn what_somebody_else_changed_is_not_fought_over() {
    let world = World::real();
    let bind = Bind::start(&world, ALL);
    bind.update("update add gw.devices.example 60 A 203.0.113.5");
    world.ok(&["device", "add", "gw", "--address", "192.0.2.1", "--dns-name", "gw.devices.example"]);
    follow(&world, &bind, KEY);
    let _server = world.serve();
    wait_for("it is left alone", || state(&world, "gw.devices.example") == "conflict");
    assert_eq!(addresses(bind.port, "gw.devices.example"), ["203.0.113.5"]);
    assert_eq!(world.json(&["event", "list", "kind:dns.conflict"]).as_array().expect("a list").len(), 1);
    world.ok(&["dns", "take", "gw.devices.example"]);
    wait_for("a person said so", || addresses(bind.port, "gw.devices.example") == ["192.0.2.1"]);
    wait_for("it is known to be there", || state(&world, "gw.devices.example") == "good");
    bind.update(
        "update delete gw.devices.example A 192.0.2.1\nupdate add gw.devices.example 60 A 203.0.113.6",
    );
    world.ok(&["device", "edit", "gw", "--address", "192.0.2.2"]);
    wait_for("changed again", || state(&world, "gw.devices.example") == "conflict");
    assert_eq!(addresses(bind.port, "gw.devices.example"), ["203.0.113.6"]);
}

#[test]
fn a_server_that_is_away_or_refuses_the_key_is_tried_with_one_name_and_told_once() {
    let world = World::real();
    let mut bind = Bind::start(&world, ALL);
    bind.stop();
    for n in 1..=20 {
        let (name, address) = (format!("d{n}"), format!("192.0.2.{n}"));
        world.ok(&["device", "add", &name, "--address", &address, "--dns-name", &name_of(n)]);
    }
    follow(&world, &bind, OTHER_KEY);
    let _server = world.serve();
    let tried = || {
        let all = world.json(&["dns", "list"]);
        let all = all.as_array().expect("a list").clone();
        all.iter().map(|record| record["tries"].as_u64().expect("a count")).sum::<u64>()
    };
    let failed = || world.json(&["event", "list", "kind:dns.failed"]).as_array().expect("a list").len();
    wait_for("it is tried again", || tried() >= 3);
    assert_eq!(failed(), 1, "twenty names wait for one server: one trouble");

    bind.run();
    wait_for("the key is refused", || failed() == 2);
    let before = tried();
    for n in 1..=20 {
        world.ok(&["device", "edit", &format!("d{n}"), "--address", &format!("192.0.2.{}", 100 + n)]);
    }
    let moved = world.json(&["device", "show", "d20"]);
    assert_eq!(moved["address"], "192.0.2.120");
    wait_for("the last one is planned", || {
        let all = world.json(&["dns", "list"]);
        all.as_array().expect("a list").iter().any(|record| record["address"] == "192.0.2.120")
    });
    assert!(tried() <= before, "whatever moves, a wrong key is not tried again at once");
    assert_eq!(failed(), 2);

    follow(&world, &bind, KEY);
    wait_for("all are there", || (1..=20).all(|n| state(&world, &name_of(n)) == "good"));
    assert_eq!(addresses(bind.port, &name_of(7)), ["192.0.2.107"]);
}

fn name_of(number: usize) -> String {
    format!("d{number}.devices.example")
}

#[test]
fn a_conflict_stays_one_wherever_the_device_goes_and_an_alias_is_one() {
    let world = World::real();
    let bind = Bind::start(&world, ALL);
    bind.update("update add gw.devices.example 60 A 203.0.113.5\nupdate add www.devices.example 60 CNAME ns.devices.example.");
    for name in ["gw", "www"] {
        let full = format!("{name}.devices.example");
        world.ok(&["device", "add", name, "--address", "192.0.2.1", "--dns-name", &full]);
    }
    follow(&world, &bind, KEY);
    let _server = world.serve();
    for name in ["gw.devices.example", "www.devices.example"] {
        wait_for("it is left alone", || state(&world, name) == "conflict");
    }
    let conflicts = || world.json(&["event", "list", "kind:dns.conflict"]).as_array().expect("a list").len();
    assert_eq!(conflicts(), 2);
    for n in 2..5 {
        let address = format!("192.0.2.{n}");
        world.ok(&["device", "edit", "gw", "--address", &address]);
        wait_for("it is wanted", || {
            world.json(&["dns", "list", "name:gw.devices.example"])[0]["address"] == *address
        });
        assert_eq!(state(&world, "gw.devices.example"), "conflict");
    }
    assert_eq!(conflicts(), 2, "it was told");
    assert_eq!(addresses(bind.port, "gw.devices.example"), ["203.0.113.5"]);
    world.ok(&["dns", "take", "gw.devices.example"]);
    wait_for("a person said so", || addresses(bind.port, "gw.devices.example") == ["192.0.2.4"]);

    world.ok(&["device", "remove", "www", "--yes"]);
    wait_for("it is forgotten", || state(&world, "www.devices.example").is_empty());
    let alias = dig(bind.port, &["+short", "+answer", "www.devices.example", "CNAME"]);
    assert_eq!(alias, ["ns.devices.example."], "what is somebody else's stays");
}
