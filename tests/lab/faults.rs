//! The faults: how each is caused, and how it is mended. Each says what a person would measure, so that it is what it is
//! called.

use std::time::Duration;

use crate::Res;
use crate::net::{DEVICES, Rules, v4, v6};
use crate::world::{Family, PORT, SERVER_NAME, World, wait};

/// Where a fault is caused, and in which of its forms.
pub struct Spot<'w> {
    /// The world.
    pub world: &'w World,
    /// The site.
    pub site: &'static str,
    /// The device that is looked at.
    pub device: String,
    /// Which form of the fault.
    pub form: usize,
    /// Over which family the server is reached.
    pub family: Family,
}

impl Spot<'_> {
    fn gateway(&self) -> String {
        format!("{}-gw", self.site)
    }

    fn lan(&self) -> String {
        format!("{}-lan", self.site)
    }

    fn port(&self) -> String {
        format!("d{}", self.device.rsplit('-').next().unwrap_or_default())
    }

    fn provider(&self) -> &'static str {
        if self.site == "west" { "b" } else { "a" }
    }

    fn access(&self) -> String {
        format!("access-{}", self.provider())
    }

    fn core(&self) -> String {
        format!("core-{}", self.provider())
    }

    fn resolver(&self) -> String {
        format!("resolver-{}", self.provider())
    }

    fn siblings(&self) -> impl Iterator<Item = String> {
        (1..=DEVICES).map(|at| format!("{}-{at}", self.site))
    }

    fn server(&self) -> String {
        match self.family {
            Family::V4 => v4("server"),
            Family::V6 => v6("server"),
        }
    }

    fn lan_address(&self) -> String {
        format!("192.168.{}0.1", crate::net::number(self.site))
    }

    /// Whether the device reaches an address by ping.
    fn pings(&self, address: &str) -> bool {
        self.world.net.holds(&self.device, &["ping", "-n", "-c", "2", "-i", "0.2", "-W", "1", address])
    }

    /// Whether the device's resolver tells it a name's address.
    fn resolves(&self, name: &str, more: &str) -> bool {
        let kind = match self.family {
            Family::V4 => "A",
            Family::V6 => "AAAA",
        };
        let args = ["dig", "+short", "+tries=1", "+time=1", more, name, kind];
        self.world
            .net
            .run(&self.device, &args)
            .is_ok_and(|said| said.contains("10.77.") || said.contains("fd77:"))
    }

    /// Whether the device can open a connection to the server's port.
    fn connects(&self) -> bool {
        self.world.net.holds(&self.device, &["curl", "-sk", "-m", "2", "-o", "/dev/null", &self.url()])
    }

    fn url(&self) -> String {
        match self.family {
            Family::V4 => format!("https://{}:{PORT}/", self.server()),
            Family::V6 => format!("https://[{}]:{PORT}/", self.server()),
        }
    }

    /// Cuts the connections that the site's agents have.
    fn cut(&self) -> Res<()> {
        self.siblings().try_for_each(|device| self.world.net.cut(&device))
    }

    /// What is to be true of the network while the fault is there.
    fn must(&self, what: &str, holds: bool) -> Res<()> {
        if holds { Ok(()) } else { Err(format!("the fault is not what it is called: {what}").into()) }
    }

    fn block(&self, node: &str, rules: &[&str]) -> Res<()> {
        self.world.net.filter(node, &Rules::forward(rules))
    }
}

/// The device's cable is pulled at the switch.
pub fn link(s: &Spot) -> Res<()> {
    s.world.net.batch(Some(&s.lan()), &format!("link set dev {} down\n", s.port()))?;
    let carrier = s.world.net.run(&s.device, &["ip", "-o", "link", "show", "eth0"])?;
    s.must("the link has no carrier", carrier.contains("NO-CARRIER"))
}

/// It is plugged in again.
pub fn link_mended(s: &Spot) -> Res<()> {
    s.world.net.batch(Some(&s.lan()), &format!("link set dev {} up\n", s.port()))
}

/// Nobody hands out addresses, and the device loses its own.
pub fn no_address(s: &Spot) -> Res<()> {
    s.world.end(&s.gateway(), "dhcp");
    s.world.end(&s.device, "dhcp");
    s.world.flush(&s.device)?;
    s.world.ask_for_address(&s.device)?;
    let shown =
        s.world.net.run(&s.device, &["ip", "-o", "addr", "show", "dev", "eth0", "scope", "global"])?;
    s.must("it has no address", shown.trim().is_empty())
}

/// DHCP is back.
pub fn no_address_mended(s: &Spot) -> Res<()> {
    s.world.hand_out_addresses(s.site, 10)
}

/// The gateway dies, or only its port to the LAN.
pub fn gateway(s: &Spot) -> Res<()> {
    let down = if s.form == 0 { "link set lan down\n" } else { "link set lan down\nlink set wan down\n" };
    s.world.net.batch(Some(&s.gateway()), down)?;
    s.must("the gateway does not answer", !s.pings(&s.lan_address()))
}

/// It is back.
pub fn gateway_mended(s: &Spot) -> Res<()> {
    s.world.net.configure(&s.gateway())
}

/// The provider's first router passes nothing of the site; or the line itself is down.
pub fn last_mile(s: &Spot) -> Res<()> {
    if s.form == 1 {
        s.world.net.batch(Some(&s.access()), &format!("link set to-{} down\n", s.gateway()))?;
    } else {
        let line = format!("to-{}", s.gateway());
        s.block(&s.access(), &[&format!("iifname {line} drop"), &format!("oifname {line} drop")])?;
    }
    s.must("the gateway answers", s.pings(&s.lan_address()))?;
    s.must("no anchor answers", !s.pings(&v4("anchor-a")) && !s.pings(&v6("anchor-b")))
}

/// The line is back.
pub fn last_mile_mended(s: &Spot) -> Res<()> {
    s.world.net.unfilter(&s.access())?;
    s.world.net.configure(&s.access())
}

/// The provider's core passes nothing.
pub fn provider_core(s: &Spot) -> Res<()> {
    s.block(&s.core(), &["drop"])?;
    s.must("no anchor answers", !s.pings(&v4("anchor-a")) && !s.pings(&v6("anchor-b")))
}

/// It passes everything again.
pub fn provider_core_mended(s: &Spot) -> Res<()> {
    s.world.net.unfilter(&s.core())
}

/// Nothing passes between the providers; or nothing leaves the one of the site.
pub fn transit(s: &Spot) -> Res<()> {
    let between = ["iifname to-core-a oifname to-core-b drop", "iifname to-core-b oifname to-core-a drop"];
    let all = ["iifname to-core-a drop", "oifname to-core-a drop"];
    s.block("transit", if s.form == 1 { &all } else { &between })?;
    s.must("one anchor answers, one does not", s.pings(&v4("anchor-a")) && !s.pings(&v4("anchor-b")))
}

/// It does again.
pub fn transit_mended(s: &Spot) -> Res<()> {
    s.world.net.unfilter("transit")
}

/// The provider's resolver is dead, or deaf.
pub fn resolver(s: &Spot) -> Res<()> {
    if s.form == 1 {
        s.world.net.filter(&s.resolver(), &Rules::input(&["udp dport 53 drop", "tcp dport 53 drop"]))?;
    } else {
        s.world.end(&s.resolver(), "dns");
    }
    s.cut()?;
    s.must("the resolver does not answer", !s.resolves(SERVER_NAME, "+notcp"))?;
    s.must("another does", s.resolves(SERVER_NAME, &format!("@{}", v4("far"))))
}

/// It answers again.
pub fn resolver_mended(s: &Spot) -> Res<()> {
    s.world.net.unfilter(&s.resolver())?;
    s.world.serve_resolver(&s.resolver())
}

/// Somebody on the way drops what goes to port 53 by UDP: the gateway, or the provider.
pub fn dns_blocked(s: &Spot) -> Res<()> {
    let at = if s.form == 1 { s.access() } else { s.gateway() };
    s.block(&at, &["udp dport 53 drop"])?;
    s.cut()?;
    s.must("no name resolves over UDP", !s.resolves(SERVER_NAME, "+notcp"))?;
    s.must("they do over TCP", s.resolves(SERVER_NAME, "+tcp"))
}

/// It passes again.
pub fn dns_blocked_mended(s: &Spot) -> Res<()> {
    s.world.net.unfilter(&s.gateway())?;
    s.world.net.unfilter(&s.access())
}

/// The server's zone: its name server is dead, or has forgotten the name, or the zone.
pub fn our_dns(s: &Spot) -> Res<()> {
    s.world.end("zone", "dns");
    match s.form {
        0 => {}
        1 => s.world.serve_wrong_zone(&format!("--local=/{SERVER_NAME}/"))?,
        _ => s.world.serve_wrong_zone("--server=/elsewhere.example/127.0.0.1")?,
    }
    s.world.cut_all()?;
    s.must("the server's name does not resolve", !s.resolves(SERVER_NAME, "+notcp"))?;
    s.must("others do", s.resolves(crate::world::PAGE_NAME, "+notcp"))
}

/// The zone is served again.
pub fn our_dns_mended(s: &Spot) -> Res<()> {
    s.world.end("zone", "dns");
    s.world.serve_zone()
}

/// The server is dead, or its port closed to all.
pub fn server(s: &Spot) -> Res<()> {
    if s.form == 1 {
        s.world.net.filter("server", &Rules::input(&[&format!("tcp dport {PORT} drop")]))?;
    } else {
        s.world.end("server", "lineman");
    }
    s.must("the server's machine answers", s.pings(&s.server()))?;
    s.must("its port does not", !s.connects())
}

/// It is back.
pub fn server_mended(s: &Spot) -> Res<()> {
    s.world.net.unfilter("server")?;
    if s.form == 1 { Ok(()) } else { s.world.serve() }
}

/// One provider does not carry what is for the server.
pub fn path(s: &Spot) -> Res<()> {
    let (four, six) = (v4("server"), v6("server"));
    let from = format!("iifname to-{}", s.access());
    s.block(&s.core(), &[&format!("{from} ip daddr {four} drop"), &format!("{from} ip6 daddr {six} drop")])?;
    s.must("the server does not answer", !s.pings(&s.server()) && !s.connects())?;
    s.must("anchors do", s.pings(&v4("anchor-a")) && s.pings(&v6("anchor-b")))
}

/// The device's clock is years off after a start: before the server's certificate began, or after its end.
pub fn device_clock(s: &Spot) -> Res<()> {
    let years = if s.form == 1 { 12 } else { -6 };
    s.world.stop(&s.device, "agent")?;
    s.world.set_clock(&s.device, [years * 365 * 86_400_000, 0, 0])?;
    s.world.new_boot(&s.device)?;
    s.world.start_agent(&s.device)
}

/// Somebody sets it.
pub fn device_clock_mended(s: &Spot) -> Res<()> {
    let [_, awake, boot] = s.world.clock(&s.device);
    s.world.set_clock(&s.device, [0, awake, boot])
}

/// Behind the server's port stands another machine with a key of its own.
pub fn certificate(s: &Spot) -> Res<()> {
    let (data, port) = (s.world.path("other"), PORT + 1);
    let (data, listen) = (data.display().to_string(), format!("[::]:{port}"));
    let program = crate::template::Template::lineman().display().to_string();
    s.world.begin("server", "other", &[&program, "--data", &data, "serve", "--listen", &listen])?;
    s.world.listens(port)?;
    let to = format!("iifname wan tcp dport {PORT} redirect to :{port}");
    s.world.net.filter("server", &Rules { prerouting: vec![to], ..Rules::default() })?;
    s.world.net.run("server", &["ss", "-K", "sport", "=", &PORT.to_string()])?;
    s.world.cut_all()
}

/// It is gone.
pub fn certificate_mended(s: &Spot) -> Res<()> {
    s.world.net.unfilter("server")?;
    s.world.net.run("server", &["ss", "-K", "sport", "=", &(PORT + 1).to_string()])?;
    s.world.end("server", "other");
    Ok(())
}

/// The gateway answers web pages itself and passes nothing but names.
pub fn captive_portal(s: &Spot) -> Res<()> {
    let www = s.world.path("portal");
    std::fs::create_dir_all(&www)?;
    for name in ["index.html", "known.txt"] {
        std::fs::write(www.join(name), "<h1>Your bill is not paid</h1>\n")?;
    }
    let www = www.display().to_string();
    s.world.begin(&s.gateway(), "portal", &["busybox", "httpd", "-f", "-p", "8080", "-h", &www])?;
    let verdict = if s.form == 1 { "reject" } else { "drop" };
    s.world.net.filter(
        &s.gateway(),
        &Rules {
            forward: vec![
                "udp dport 53 accept".into(),
                "udp sport 53 accept".into(),
                "tcp dport 53 accept".into(),
                "tcp sport 53 accept".into(),
                verdict.into(),
            ],
            prerouting: vec!["iifname lan tcp dport 80 redirect to :8080".into()],
            ..Rules::default()
        },
    )?;
    let page = format!("http://{}/known.txt", crate::world::PAGE_NAME);
    let said = s.world.net.run(&s.device, &["curl", "-s", "-m", "3", &page])?;
    s.must("the page is another", said.contains("bill"))
}

/// The bill is paid.
pub fn captive_portal_mended(s: &Spot) -> Res<()> {
    s.world.net.unfilter(&s.gateway())?;
    s.world.end(&s.gateway(), "portal");
    Ok(())
}

/// Packets of more than 1,300 bytes vanish, and nobody says so. The device has many interfaces, so that what it tells is
/// larger than that.
pub fn mtu(s: &Spot) -> Res<()> {
    let mut batch = String::new();
    for at in 0..60 {
        batch += &format!("link add name br-{at} type bridge\n");
    }
    s.world.net.batch(Some(&s.device), &batch)?;
    let at = if s.form == 1 { s.access() } else { s.gateway() };
    s.block(&at, &["meta length > 1300 drop"])?;
    s.must("small packets pass", s.pings(&s.server()))?;
    s.must(
        "large ones do not",
        !s.world
            .net
            .holds(&s.device, &["ping", "-n", "-c", "2", "-i", "0.2", "-W", "1", "-s", "1400", &s.server()]),
    )
}

/// All sizes pass.
pub fn mtu_mended(s: &Spot) -> Res<()> {
    s.world.net.unfilter(&s.gateway())?;
    s.world.net.unfilter(&s.access())
}

/// Two of five packets are lost each way: between the site and its gateway, or on the provider's line. New
/// connections suffer most, so the device is made to need some.
pub fn line_noise(s: &Spot) -> Res<()> {
    let lose = "numgen random mod 100 < 40 drop";
    if s.form == 1 {
        let line = format!("to-{}", s.gateway());
        s.block(&s.access(), &[&format!("iifname {line} {lose}"), &format!("oifname {line} {lose}")])?;
    } else {
        let rules = || vec![lose.to_owned()];
        let rules = Rules { forward: rules(), input: rules(), ..Rules::default() };
        s.world.net.filter(&s.gateway(), &rules)?;
    }
    unsteady(s)
}

/// The line is quiet.
pub fn line_noise_mended(s: &Spot) -> Res<()> {
    s.world.end(&s.device, "cutter");
    s.world.net.unfilter(&s.access())?;
    s.world.net.unfilter(&s.gateway())
}

/// The device's connections break every few seconds.
fn unsteady(s: &Spot) -> Res<()> {
    let script = format!("while ss -K state established dport = {PORT}; do sleep 3; done");
    s.world.begin(&s.device, "cutter", &["sh", "-c", &script])
}

/// The site's line carries a part of what the device sends, over a port that is as fast as the line.
pub fn congestion(s: &Spot) -> Res<()> {
    std::fs::write(s.world.path(&format!("{}.speed", s.device)), "5\n")?;
    let line = format!("to-{}", s.gateway());
    s.block(&s.access(), &[&format!("iifname {line} limit rate over 300/second burst 2 packets drop")])?;
    let flood = ["ping", "-n", "-q", "-i", "0.004", "-s", "8000", &v4("anchor-a")];
    s.world.begin(&s.device, "flood", &flood)?;
    // It is full for a while before anybody minds.
    std::thread::sleep(Duration::from_secs(6));
    unsteady(s)
}

/// Nobody sends that much any more.
pub fn congestion_mended(s: &Spot) -> Res<()> {
    s.world.end(&s.device, "cutter");
    s.world.end(&s.device, "flood");
    s.world.net.unfilter(&s.access())
}

/// The provider carries one family of addresses only.
pub fn address_family(s: &Spot) -> Res<()> {
    let family = match s.family {
        Family::V4 => "meta nfproto ipv4 drop",
        Family::V6 => "meta nfproto ipv6 drop",
    };
    let at = if s.form == 1 { s.core() } else { s.access() };
    s.block(&at, &[family])?;
    s.must("the server does not answer", !s.pings(&s.server()))?;
    let other = match s.family {
        Family::V4 => v6("anchor-a"),
        Family::V6 => v4("anchor-a"),
    };
    s.must("the other family works", s.pings(&other))
}

/// It carries both.
pub fn address_family_mended(s: &Spot) -> Res<()> {
    s.world.net.unfilter(&s.access())?;
    s.world.net.unfilter(&s.core())
}

/// DHCP gives the device another address.
pub fn address_change(s: &Spot) -> Res<()> {
    s.world.end(&s.gateway(), "dhcp");
    s.world.hand_out_addresses(s.site, 100)?;
    s.world.end(&s.device, "dhcp");
    s.world.ask_for_address(&s.device)?;
    wait("another address", || {
        Ok(s.world.net.run(&s.device, &["ip", "-o", "-4", "addr", "show", "dev", "eth0"])?.contains("0.10"))
    })
}

/// The gateway lets nothing in that nobody inside asked for.
pub fn inbound_filter(s: &Spot) -> Res<()> {
    let (four, six) = s.world.addresses(&s.device);
    let new = "ct state new";
    // Connections that are there are known to the gateway before it refuses new ones.
    s.block(&s.gateway(), &["ct state established accept"])?;
    std::thread::sleep(Duration::from_secs(5));
    s.block(&s.gateway(), &[&format!("ip daddr {four} {new} drop"), &format!("ip6 daddr {six} {new} drop")])?;
    s.must("check-ins pass", s.connects())?;
    s.must("pings from outside do not", !s.world.net.holds("server", &["ping", "-c", "1", "-W", "1", &four]))
}

/// It lets everything in.
pub fn inbound_filter_mended(s: &Spot) -> Res<()> {
    s.world.net.unfilter(&s.gateway())
}

/// The site's power fails: the gateway and all devices.
pub fn site_power(s: &Spot) -> Res<()> {
    s.siblings().try_for_each(|device| s.world.power_off(&device))?;
    s.world.end(&s.gateway(), "dhcp");
    s.world.net.batch(Some(&s.gateway()), "link set lan down\nlink set wan down\n")
}

/// It is back.
pub fn site_power_mended(s: &Spot) -> Res<()> {
    s.world.net.configure(&s.gateway())?;
    s.world.hand_out_addresses(s.site, 10)?;
    s.siblings().try_for_each(|device| s.world.power_on(&device))
}

/// The device's power fails.
pub fn device_power(s: &Spot) -> Res<()> {
    s.world.power_off(&s.device)
}

/// It is back.
pub fn device_power_mended(s: &Spot) -> Res<()> {
    s.world.power_on(&s.device)
}

/// Somebody shuts the device down in order.
pub fn reboot(s: &Spot) -> Res<()> {
    s.world.stop(&s.device, "agent")?;
    s.world.power_off(&s.device)
}

/// The agent is killed, the machine runs on.
pub fn agent_restart(s: &Spot) -> Res<()> {
    s.world.end(&s.device, "agent");
    Ok(())
}

/// It is started again.
pub fn agent_restart_mended(s: &Spot) -> Res<()> {
    s.world.start_agent(&s.device)
}

/// The device sleeps: its processes stand still, and its link is down.
pub fn sleep(s: &Spot) -> Res<()> {
    s.world.signal(&s.device, "agent", "-STOP")?;
    std::fs::write(s.world.path("asleep"), std::fs::read("/proc/uptime")?)?;
    s.world.net.batch(Some(&s.lan()), &format!("link set dev {} down\n", s.port()))
}

/// It wakes: no time has passed for it but that since boot.
pub fn sleep_mended(s: &Spot) -> Res<()> {
    let read = |text: String| text.split(' ').next().unwrap_or_default().parse::<f64>();
    let since = read(std::fs::read_to_string(s.world.path("asleep"))?)?;
    let slept = ((read(std::fs::read_to_string("/proc/uptime")?)? - since) * 1000.0) as i64;
    s.world.net.batch(Some(&s.lan()), &format!("link set dev {} up\n", s.port()))?;
    let [wall, awake, boot] = s.world.clock(&s.device);
    s.world.set_clock(&s.device, [wall, awake - slept, boot])?;
    s.world.signal(&s.device, "agent", "-CONT")
}

/// The gateway is rebooted while the resolver is dead.
pub fn gateway_then_resolver(s: &Spot) -> Res<()> {
    gateway(s)?;
    s.world.end(&s.resolver(), "dns");
    Ok(())
}

/// First the gateway is back, then, a while later, the resolver.
pub fn gateway_then_resolver_mended(s: &Spot) -> Res<()> {
    gateway_mended(s)?;
    s.cut()?;
    std::thread::sleep(Duration::from_secs(25));
    s.world.serve_resolver(&s.resolver())
}

/// Nothing is to be mended.
pub fn nothing(_: &Spot) -> Res<()> {
    Ok(())
}
