//! A little network in namespaces of this machine: `device — gateway — core — server`. Nothing of it reaches outside, and
//! nothing is left of it when it is dropped.
//!
//! | where | IPv4 | IPv6 |
//! | --- | --- | --- |
//! | device | 10.77.1.2 | fd77:1::2 |
//! | gateway, towards the device | 10.77.1.1 | fd77:1::1 |
//! | gateway, outwards | 10.77.2.1 | fd77:2::1 |
//! | core, inwards | 10.77.2.2 | fd77:2::2 |
//! | core, an anchor | 10.77.9.1 | fd77:9::1 |
//! | core, outwards | 10.77.3.1 | fd77:3::1 |
//! | server | 10.77.3.2 | fd77:3::2 |

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;

/// Tells the namespaces of one process apart.
static COUNT: AtomicU32 = AtomicU32::new(0);
/// What answers at the server and the core: DNS over UDP and TCP, HTTP with and without TLS.
const PEERS: &str = include_str!("peers.py");

/// One such network.
pub struct Network {
    prefix: String,
    peers: Vec<Child>,
    dir: tempfile::TempDir,
}

/// A place in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Device,
    Gateway,
    Core,
    Server,
}

impl Place {
    const ALL: [Place; 4] = [Place::Device, Place::Gateway, Place::Core, Place::Server];

    fn word(self) -> &'static str {
        match self {
            Place::Device => "device",
            Place::Gateway => "gateway",
            Place::Core => "core",
            Place::Server => "server",
        }
    }
}

impl Network {
    /// Builds it, with all well; resolvers are the core's anchor and the server.
    pub fn new() -> Network {
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let prefix = format!("lm{}-{number}-", std::process::id());
        let dir = tempfile::tempdir().expect("a temporary folder");
        let network = Network { prefix, peers: Vec::new(), dir };
        for place in Place::ALL {
            let name = network.name(place);
            sh(&format!("ip netns add {name} && ip -n {name} link set lo up"));
            network
                .run(place, "sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0");
        }
        for place in [Place::Gateway, Place::Core] {
            network.run(place, "sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1");
        }
        network.wire((Place::Device, "eth0"), (Place::Gateway, "lan"), 1);
        network.wire((Place::Gateway, "wan"), (Place::Core, "in"), 2);
        network.wire((Place::Core, "out"), (Place::Server, "eth0"), 3);
        network.run(Place::Core, "ip addr add 10.77.9.1/32 dev lo; ip addr add fd77:9::1/128 dev lo nodad");
        for (place, v4, v6) in [
            (Place::Device, "10.77.1.1", "fd77:1::1"),
            (Place::Gateway, "10.77.2.2", "fd77:2::2"),
            (Place::Server, "10.77.3.1", "fd77:3::1"),
        ] {
            network.run(place, &format!("ip route add default via {v4}; ip -6 route add default via {v6}"));
        }
        network.run(
            Place::Core,
            "ip route add 10.77.1.0/24 via 10.77.2.1; ip -6 route add fd77:1::/64 via fd77:2::1",
        );
        network.resolvers("nameserver 10.77.9.1\nnameserver 10.77.3.2\n");
        network
    }

    /// A cable between two places, in the network of that number; the first of them is nearer to the device on none but
    /// the first cable.
    fn wire(&self, (one, one_end): (Place, &str), (other, other_end): (Place, &str), number: u8) {
        let (a, b) = (self.name(one), self.name(other));
        sh(&format!("ip link add {one_end} netns {a} type veth peer name {other_end} netns {b}"));
        // On the first cable the gateway is 1, and the device 2; further out the nearer one is 1.
        let (first, second) = if one == Place::Device { (2, 1) } else { (1, 2) };
        for (place, end, host) in [(one, one_end, first), (other, other_end, second)] {
            self.run(
                place,
                &format!(
                    "ip addr add 10.77.{number}.{host}/24 dev {end}; \
                 ip addr add fd77:{number}::{host}/64 dev {end} nodad; ip link set {end} up"
                ),
            );
        }
    }

    /// The name of a place's namespace.
    pub fn name(&self, place: Place) -> String {
        format!("{}{}", self.prefix, place.word())
    }

    /// Runs a line of shell at a place; it must succeed.
    #[track_caller]
    pub fn run(&self, place: Place, line: &str) -> String {
        sh(&format!("ip netns exec {} sh -ec '{line}'", self.name(place)))
    }

    /// Lets a rule of nftables loose at a place: `forward` and `input` are chains there.
    #[track_caller]
    pub fn filter(&self, place: Place, chain: &str, rule: &str) {
        self.run(place, &format!(
            "nft add table inet t; nft \"add chain inet t {chain} {{ type filter hook {chain} priority 0; }}\"; \
             nft add rule inet t {chain} {rule}"
        ));
    }

    /// What `/etc/resolv.conf` holds at the device.
    pub fn resolvers(&self, text: &str) {
        let dir = self.resolver_dir();
        fs::create_dir_all(&dir).expect("a folder for the device's resolvers");
        fs::write(dir.join("resolv.conf"), text.to_owned() + "options timeout:1 attempts:1\n")
            .expect("the device's resolvers are written");
    }

    fn resolver_dir(&self) -> PathBuf {
        PathBuf::from("/etc/netns").join(self.name(Place::Device))
    }

    /// A path of its own.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Starts what answers at a place, and waits until it listens: `peers.py` knows which things there are.
    pub fn answer(&mut self, place: Place, what: &[&str]) {
        let script = self.path("peers.py");
        fs::write(&script, PEERS).expect("the script is written");
        let mut child = Command::new("ip")
            .args(["netns", "exec", &self.name(place), "python3"])
            .arg(script)
            .args(what)
            .stdout(Stdio::piped())
            // Whoever hangs up in the middle of a handshake is complained about there.
            .stderr(Stdio::null())
            // It ends when this end is closed, by whatever.
            .stdin(Stdio::piped())
            .spawn()
            .expect("python3 starts");
        let mut line = String::new();
        let out = child.stdout.take().expect("its output is a pipe");
        BufReader::new(out).read_line(&mut line).expect("it says something");
        self.peers.push(child);
        assert_eq!(line, "ready\n", "{what:?}");
    }

    /// Has the device look where the fault is; the exit code, and what was found.
    #[track_caller]
    pub fn diagnose(&self, args: &[&str]) -> (i32, Value) {
        found(&self.diagnose_as("json", args))
    }

    /// The same, by somebody who may open no raw socket.
    #[track_caller]
    pub fn diagnose_without_rights(&self, args: &[&str]) -> (i32, Value) {
        found(&self.looking(&["setpriv", "--bounding-set", "-net_raw"], "json", args))
    }

    /// The same, in any form.
    pub fn diagnose_as(&self, form: &str, args: &[&str]) -> Output {
        self.looking(&[], form, args)
    }

    fn looking(&self, before: &[&str], form: &str, args: &[&str]) -> Output {
        Command::new("ip")
            .args(["netns", "exec", &self.name(Place::Device)])
            .args(before)
            .args([env!("CARGO_BIN_EXE_lineman"), "--data"])
            .arg(self.path("device"))
            .args(["agent", "diagnose", "-o", form])
            .args(args)
            .env("NO_COLOR", "1")
            // What the server shows is what the device trusts: its dates and its name are what is looked at.
            .env("SSL_CERT_FILE", self.path("certificate.pem"))
            .stdin(Stdio::null())
            .output()
            .expect("the program runs")
    }
}

#[track_caller]
fn found(output: &Output) -> (i32, Value) {
    let text = String::from_utf8_lossy(&output.stdout);
    let said = String::from_utf8_lossy(&output.stderr);
    let climb = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text} {said}"));
    (output.status.code().unwrap_or(-1), climb)
}

impl Drop for Network {
    fn drop(&mut self) {
        for peer in &mut self.peers {
            drop(peer.kill());
            drop(peer.wait());
        }
        for place in Place::ALL {
            // One that was not made yet cannot be removed.
            drop(Command::new("ip").args(["netns", "del", &self.name(place)]).stderr(Stdio::null()).status());
        }
        drop(fs::remove_dir_all(self.resolver_dir()));
    }
}

/// A namespace without any network but its own loopback: whoever runs in it reaches nobody.
pub struct Alone {
    name: String,
}

impl Alone {
    pub fn new() -> Alone {
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("lm{}-{number}-alone", std::process::id());
        sh(&format!("ip netns add {name} && ip -n {name} link set lo up"));
        Alone { name }
    }

    /// A program that is to run in it.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name, program]);
        command
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        drop(Command::new("ip").args(["netns", "del", &self.name]).status());
    }
}

/// Whether this machine can have such networks; says why not. Where all is to be held (`LINEMAN_ALL=1`) it must.
pub fn possible() -> bool {
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let name = format!("lm{}-{number}-try", std::process::id());
    let line = format!("ip netns add {name} && ip netns exec {name} nft list ruleset; ip netns del {name}");
    let output = Command::new("sh").args(["-ec", &line]).output().expect("a shell runs");
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            std::env::var_os("LINEMAN_ALL").is_none_or(|all| all != "1"),
            "no network namespaces: {said}"
        );
        println!("skipped: no network namespaces: {said}");
    }
    output.status.success()
}

#[track_caller]
fn sh(line: &str) -> String {
    let output = Command::new("sh").args(["-ec", line]).output().expect("a shell runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{line}: {said}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
