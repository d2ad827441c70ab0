//! What runs in the network: a server, an agent on each device, and the services between them; and what lineman says.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::Res;
use crate::net::{self, Net, Running, SITES, v4, v6};
use crate::template::Template;

/// Where the server listens.
pub const PORT: u16 = 8443;
/// The server's name, and the one of the known page.
pub const SERVER_NAME: &str = "watch.example";
/// See above.
pub const PAGE_NAME: &str = "page.example";
/// What the known page says.
pub const PAGE_BODY: &str = "this page is known";
/// The longest wait for anything that must come.
const PATIENCE: Duration = Duration::from_secs(60);

/// Over which families of addresses the server is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Its name has an IPv4 address.
    V4,
    /// Its name has an IPv6 address.
    V6,
}

/// How agents know the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// By its key.
    Pinned,
    /// By an authority that they trust, as long as its certificate is valid.
    Vouched,
}

/// A network with all that runs in it.
pub struct World {
    /// The network.
    pub net: Net,
    dir: PathBuf,
    trust: Trust,
    certificate: Vec<String>,
    /// What runs: `machine/what`.
    running: Mutex<BTreeMap<String, Running>>,
}

impl World {
    /// Builds the network, starts everything, and waits until all agents report: those of all devices of `site`, and of
    /// the first one of each other site.
    pub fn start(tag: &str, dir: &Path, template: &Template, family: Family, site: &str) -> Res<World> {
        copy(&template.dir, dir)?;
        let net = Net::build(tag, &dir.join("net"))?;
        let world = World {
            net,
            dir: dir.to_owned(),
            trust: template.trust,
            certificate: template.serve_with(),
            running: Mutex::default(),
        };
        world.serve_names(family)?;
        let www = dir.join("www");
        fs::create_dir_all(&www)?;
        fs::write(www.join("known.txt"), format!("{PAGE_BODY}\n"))?;
        world.begin(
            "far",
            "page",
            &["busybox", "httpd", "-f", "-p", "80", "-h", &www.display().to_string()],
        )?;
        for (site, _) in SITES {
            world.hand_out_addresses(site, 10)?;
        }
        fs::write(dir.join("dhcp.sh"), DHCP_SCRIPT)?;
        Command::new("chmod").args(["755", &dir.join("dhcp.sh").display().to_string()]).status()?;
        let is_here = |device: &String| device.starts_with(site) || device.ends_with("-1");
        let (here, absent): (Vec<String>, Vec<String>) = net::devices().partition(is_here);
        for device in absent {
            tell(&dir.join("server"), &["device", "remove", &device, "--yes"])?;
        }
        world.serve()?;
        for device in &here {
            world.new_boot(device)?;
            world.ask_for_address(device)?;
        }
        for device in &here {
            let (four, six) = world.addresses(device);
            wait(&format!("addresses {four} and {six} of {device}"), || {
                let has = world.net.run(device, &["ip", "-o", "addr", "show", "dev", "eth0"])?;
                Ok(has.contains(&four) && has.contains(&six))
            })?;
            world.start_agent(device)?;
        }
        wait("all devices to be up", || {
            let list = world.ask(&["device", "list"])?;
            let up = |name: &String| rows(&list).any(|d| d["name"] == **name && d["state"] == "up");
            Ok(here.iter().all(up))
        })?;
        Ok(world)
    }

    /// Starts a process in a machine under a name.
    pub fn begin(&self, node: &str, what: &str, args: &[&str]) -> Res<()> {
        let running = self.net.start(node, args)?;
        self.keep(node, what, running);
        Ok(())
    }

    fn keep(&self, node: &str, what: &str, running: Running) {
        self.running.lock().expect("nobody panicked").insert(format!("{node}/{what}"), running);
    }

    /// Ends a process in a machine at once.
    pub fn end(&self, node: &str, what: &str) {
        self.running.lock().expect("nobody panicked").remove(&format!("{node}/{what}"));
    }

    /// Tells a process in a machine something.
    pub fn signal(&self, node: &str, what: &str, signal: &str) -> Res<()> {
        let running = self.running.lock().expect("nobody panicked");
        let Running(child) = running.get(&format!("{node}/{what}")).ok_or("it does not run")?;
        Command::new("kill").args([signal, &child.id().to_string()]).status()?;
        Ok(())
    }

    /// Tells a process in a machine to stop, and waits until it has.
    pub fn stop(&self, node: &str, what: &str) -> Res<()> {
        self.signal(node, what, "-TERM")?;
        let taken = self.running.lock().expect("nobody panicked").remove(&format!("{node}/{what}"));
        let mut running = taken.ok_or("it does not run")?;
        wait(&format!("{what} on {node} to stop"), || Ok(running.0.try_wait()?.is_some()))
    }

    /// Starts the resolvers, and the name server of the server's zone.
    fn serve_names(&self, family: Family) -> Res<()> {
        for resolver in ["resolver-a", "resolver-b", "far"] {
            self.serve_resolver(resolver)?;
        }
        let addresses = match family {
            Family::V4 => v4("server"),
            Family::V6 => v6("server"),
        };
        fs::write(self.dir.join("zone"), format!("{SERVER_NAME},{addresses}"))?;
        self.serve_zone()
    }

    /// Starts a resolver.
    pub fn serve_resolver(&self, node: &str) -> Res<()> {
        let page = format!("--host-record={PAGE_NAME},{},{}", v4("far"), v6("far"));
        let zone = format!("--server=/{SERVER_NAME}/{}", v4("zone"));
        self.begin(node, "dns", &[&DNSMASQ[..], &["--port=53", &page, &zone]].concat())
    }

    /// Starts the name server of the server's zone.
    pub fn serve_zone(&self) -> Res<()> {
        let record = format!("--host-record={}", fs::read_to_string(self.dir.join("zone"))?);
        let local = format!("--local=/{SERVER_NAME}/");
        self.begin("zone", "dns", &[&DNSMASQ[..], &["--port=53", &record, &local]].concat())
    }

    /// Starts a name server that knows the server's zone, but not the server; or that knows nothing.
    pub fn serve_wrong_zone(&self, is_ours: &str) -> Res<()> {
        self.begin("zone", "dns", &[&DNSMASQ[..], &["--port=53", is_ours]].concat())
    }

    /// Starts DHCP and router advertisements at a site; its devices get the addresses from `first` on.
    pub fn hand_out_addresses(&self, site: &str, first: usize) -> Res<()> {
        let number = net::number(site);
        let (_, resolver) = SITES.iter().find(|(name, _)| *name == site).expect("a site");
        let leases = self.dir.join(format!("leases-{site}"));
        drop(fs::remove_file(&leases));
        let mut args: Vec<String> = [
            "--port=0",
            "--interface=lan",
            "--bind-dynamic",
            "--no-ping",
            "--dhcp-authoritative",
            "--enable-ra",
            "--dhcp-range=::,constructor:lan,ra-only",
            "--ra-param=lan,4,1800",
        ]
        .map(str::to_owned)
        .to_vec();
        args.push(format!("--dhcp-range=192.168.{number}0.{first},192.168.{number}0.{},1h", first + 40));
        args.push(format!("--dhcp-option=3,192.168.{number}0.1"));
        args.push(format!("--dhcp-option=6,{}", v4(resolver)));
        args.push(format!("--dhcp-leasefile={}", leases.display()));
        for at in 1..=net::DEVICES {
            args.push(format!("--dhcp-host=02:77:00:00:0{number}:0{at},192.168.{number}0.{}", first + at));
        }
        let args: Vec<&str> = DNSMASQ.iter().copied().chain(args.iter().map(String::as_str)).collect();
        self.begin(&format!("{site}-gw"), "dhcp", &args)
    }

    /// The addresses of a device as it came up.
    pub fn addresses(&self, device: &str) -> (String, String) {
        let (site, at) = device.split_once('-').expect("site-number");
        let number = net::number(site);
        let at: usize = at.parse().expect("a number");
        (format!("192.168.{number}0.{}", 10 + at), format!("fd77:ff{number}::77:ff:fe00:{number}0{at}"))
    }

    /// Has a device ask for an address, by DHCP.
    pub fn ask_for_address(&self, device: &str) -> Res<()> {
        let script = self.dir.join("dhcp.sh").display().to_string();
        self.begin(
            device,
            "dhcp",
            &["busybox", "udhcpc", "-f", "-i", "eth0", "-t", "3", "-T", "1", "-A", "2", "-s", &script],
        )
    }

    /// Takes all addresses and routes from a device.
    pub fn flush(&self, device: &str) -> Res<()> {
        let flush = "ip -4 addr flush dev eth0; ip -6 addr flush dev eth0 scope global; ip -6 route flush dev eth0 proto ra";
        self.net.run(device, &["sh", "-c", flush]).map(drop)
    }

    /// Starts the server.
    pub fn serve(&self) -> Res<()> {
        let (data, listen) = (self.dir.join("server").display().to_string(), format!("[::]:{PORT}"));
        let program = Template::lineman().display().to_string();
        let mut args = vec![&*program, "--data", &data, "serve", "--listen", &listen];
        args.extend(self.certificate.iter().map(String::as_str));
        self.begin("server", "lineman", &args)?;
        self.listens(PORT)
    }

    /// Waits until something listens on a port of the server's machine.
    pub fn listens(&self, port: u16) -> Res<()> {
        wait("the server to listen", || {
            Ok(self.net.run("server", &["ss", "-Htln", "sport", "=", &port.to_string()])?.contains("LISTEN"))
        })
    }

    /// Gives a device a boot of its own: an id, and a time since boot that begins now.
    pub fn new_boot(&self, device: &str) -> Res<()> {
        let id = fs::read_to_string("/proc/sys/kernel/random/uuid")?;
        fs::write(self.dir.join(format!("{device}.boot")), id)?;
        fs::write(self.dir.join(format!("{device}.speed")), "100\n")?;
        let since = fs::read_to_string("/proc/uptime")?;
        let since: f64 = since.split(' ').next().unwrap_or_default().parse()?;
        let [wall, ..] = self.clock(device);
        let start = 3_000 - (since * 1000.0) as i64;
        self.set_clock(device, [wall, start, start])
    }

    /// How far a device's clocks are from this machine's, in milliseconds: wall, awake, since boot.
    pub fn clock(&self, device: &str) -> [i64; 3] {
        let bytes = fs::read(self.dir.join(format!("{device}.clock"))).unwrap_or_default();
        let mut all = [0; 3];
        for (slot, eight) in all.iter_mut().zip(bytes.chunks_exact(8)) {
            *slot = i64::from_le_bytes(eight.try_into().unwrap_or_default());
        }
        all
    }

    /// Sets them.
    pub fn set_clock(&self, device: &str, offsets: [i64; 3]) -> Res<()> {
        use std::os::unix::fs::FileExt;
        let file = fs::OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(self.dir.join(format!("{device}.clock")))?;
        file.write_all_at(&offsets.map(i64::to_le_bytes).concat(), 0)?;
        Ok(())
    }

    /// Starts the agent of a device, on the device's clock and with its boot id.
    pub fn start_agent(&self, device: &str) -> Res<()> {
        let file = |end: &str| self.dir.join(format!("{device}.{end}")).display().to_string();
        let script = format!(
            "mount --bind {} /proc/sys/kernel/random/boot_id; mount --bind {} /sys/class/net/eth0/speed; exec {} agent run",
            file("boot"),
            file("speed"),
            Template::lineman().display()
        );
        let mut vars = BTreeMap::from([
            ("LD_PRELOAD", Template::shim().display().to_string()),
            ("LAB_CLOCK", file("clock")),
            ("LINEMAN_DATA", self.dir.join(device).display().to_string()),
            ("RUST_LOG", "info".to_owned()),
            ("NO_COLOR", "1".to_owned()),
        ]);
        if self.trust == Trust::Vouched {
            vars.insert("SSL_CERT_FILE", Template::authority().display().to_string());
        }
        let running = self.net.start_with(device, &["sh", "-c", &script], &vars)?;
        self.keep(device, "agent", running);
        Ok(())
    }

    /// Cuts the power of a device.
    pub fn power_off(&self, device: &str) -> Res<()> {
        self.end(device, "agent");
        self.end(device, "dhcp");
        self.flush(device)?;
        self.net.batch(Some(device), "link set eth0 down\n")
    }

    /// Gives it power again: it boots.
    pub fn power_on(&self, device: &str) -> Res<()> {
        self.new_boot(device)?;
        self.net.batch(Some(device), "link set eth0 up\n")?;
        self.ask_for_address(device)?;
        self.start_agent(device)
    }

    /// Cuts the connections of all agents, so that they must make new ones.
    pub fn cut_all(&self) -> Res<()> {
        net::devices().try_for_each(|device| self.net.cut(&device))
    }

    /// Asks the server's lineman something: the JSON of it.
    pub fn ask(&self, args: &[&str]) -> Res<Value> {
        ask(&self.dir.join("server"), args)
    }

    /// What the agent of a device says of itself.
    pub fn agent_status(&self, device: &str) -> Res<Value> {
        ask(&self.dir.join(device), &["agent", "status"])
    }

    /// Where its files are.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }
}

/// The rows of a list.
pub fn rows(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

/// Runs a command of lineman's on a data folder; what it printed.
pub fn tell(data: &Path, args: &[&str]) -> Res<String> {
    let mut command = Command::new(Template::lineman());
    command.arg("--data").arg(data).args(args).env("USER", "lab").stdin(Stdio::null());
    let output = command.output()?;
    if !output.status.success() {
        return Err(format!("lineman {args:?}: {}", String::from_utf8_lossy(&output.stderr).trim()).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}

fn ask(data: &Path, args: &[&str]) -> Res<Value> {
    Ok(serde_json::from_str(&tell(data, &[args, &["-o", "json"]].concat())?)?)
}

/// Waits until something holds.
pub fn wait(what: &str, mut holds: impl FnMut() -> Res<bool>) -> Res<()> {
    let began = Instant::now();
    while !holds()? {
        if began.elapsed() > PATIENCE {
            return Err(format!("waited {PATIENCE:?} for {what}").into());
        }
        std::thread::sleep(Duration::from_millis(250));
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Res<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// dnsmasq in the foreground, with nothing of this machine's.
const DNSMASQ: [&str; 9] = [
    "dnsmasq",
    "--keep-in-foreground",
    "--conf-file=/dev/null",
    "--no-hosts",
    "--no-resolv",
    "--cache-size=0",
    "--user=root",
    "--pid-file=",
    "--log-facility=-",
];

/// What a device does with what DHCP tells it.
const DHCP_SCRIPT: &str = r#"#!/bin/sh
case "$1" in
deconfig) ip -4 addr flush dev "$interface" ;;
bound | renew)
    ip -4 addr show dev "$interface" | grep -q "inet $ip/" || ip -4 addr flush dev "$interface"
    ip addr replace "$ip/${mask:-24}" dev "$interface" valid_lft "$lease" preferred_lft "$lease"
    ip route replace default via "$router" dev "$interface"
    for server in $dns; do echo "nameserver $server"; done >/etc/resolv.conf
    ;;
esac
"#;
