//! The network: two providers with a transit between them, a server, names, anchors, and three sites, each machine in a
//! network namespace of its own. All that is sent stays in these namespaces; all of them go when [`Net`] does.
//!
//! ```text
//!                         transit ── far (a page, another resolver)
//!                ┌───────────┴────────────┐
//!             core-a                    core-b ── server, zone (our DNS)
//!    resolver-a, anchor-a │          │ resolver-b, anchor-b
//!             access-a                 access-b
//!           ┌─────┴─────┐                 │
//!        north-gw    south-gw          west-gw
//!           │           │                 │          (a switch and two devices at each site)
//! ```

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use crate::Res;

/// Machines and what they hang on; the first has nothing above it.
const TREE: &[(&str, &str)] = &[
    ("transit", ""),
    ("core-a", "transit"),
    ("core-b", "transit"),
    ("access-a", "core-a"),
    ("access-b", "core-b"),
    ("resolver-a", "core-a"),
    ("resolver-b", "core-b"),
    ("anchor-a", "core-a"),
    ("anchor-b", "core-b"),
    ("far", "transit"),
    ("zone", "core-b"),
    ("server", "core-b"),
    ("north-gw", "access-a"),
    ("south-gw", "access-a"),
    ("west-gw", "access-b"),
];

/// The sites: their names, and which resolver their gateways hand out.
pub const SITES: &[(&str, &str)] =
    &[("north", "resolver-a"), ("south", "resolver-a"), ("west", "resolver-b")];

/// How many devices a site has.
pub const DEVICES: usize = 2;

/// One network, of one case.
pub struct Net {
    /// What all its namespaces' names begin with.
    tag: String,
    /// Where its files are.
    pub dir: PathBuf,
}

/// A process that ends with what holds it.
pub struct Running(pub Child);

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// The number of a machine's way up: its subnet's.
fn subnet(node: &str) -> usize {
    TREE.iter().position(|(name, _)| *name == node).expect("a machine of the tree")
}

fn parent(node: &str) -> &'static str {
    TREE[subnet(node)].1
}

/// A machine's IPv4 address.
pub fn v4(node: &str) -> String {
    format!("10.77.{}.2", subnet(node))
}

/// A machine's IPv6 address.
pub fn v6(node: &str) -> String {
    format!("fd77:{:x}::2", subnet(node))
}

/// A site's number.
pub fn number(site: &str) -> usize {
    1 + SITES.iter().position(|(name, _)| *name == site).expect("a site")
}

/// All devices: `north-1`, ….
pub fn devices() -> impl Iterator<Item = String> {
    SITES.iter().flat_map(|(site, _)| (1..=DEVICES).map(move |at| format!("{site}-{at}")))
}

/// The subnets that lie below a machine, its own among them.
fn below(node: &str) -> Vec<(String, String)> {
    let at = subnet(node);
    let mut all = vec![(format!("10.77.{at}.0/24"), format!("fd77:{at:x}::/64"))];
    if let Some(site) = node.strip_suffix("-gw") {
        let site = number(site);
        all.push((format!("192.168.{site}0.0/24"), format!("fd77:ff{site}::/64")));
    }
    for (child, _) in TREE.iter().filter(|(_, above)| *above == node) {
        all.extend(below(child));
    }
    all
}

impl Net {
    /// Builds one whose namespaces' names begin with `tag`.
    pub fn build(tag: &str, dir: &Path) -> Res<Net> {
        fs::create_dir_all(dir)?;
        let net = Net { tag: tag.to_owned(), dir: dir.to_owned() };
        let lans = SITES.iter().map(|(site, _)| format!("{site}-lan"));
        let nodes: Vec<String> =
            TREE.iter().map(|(node, _)| (*node).to_owned()).chain(lans).chain(devices()).collect();
        let mut batch = String::new();
        for node in &nodes {
            batch += &format!("netns add {}\n", net.ns(node));
        }
        for (node, above) in TREE.iter().skip(1) {
            batch += &format!(
                "link add wan netns {} type veth peer name to-{node} netns {}\n",
                net.ns(node),
                net.ns(above)
            );
        }
        for (site, _) in SITES {
            let lan = net.ns(&format!("{site}-lan"));
            batch += &format!(
                "link add lan netns {} type veth peer name gw netns {lan}\n",
                net.ns(&format!("{site}-gw"))
            );
            for at in 1..=DEVICES {
                let device = net.ns(&format!("{site}-{at}"));
                batch += &format!(
                    "link add eth0 netns {device} address 02:77:00:00:0{}:0{at} type veth peer name d{at} netns {lan}\n",
                    number(site)
                );
            }
        }
        net.batch(None, &batch)?;
        for node in &nodes {
            net.quiet(node)?;
        }
        TREE.iter().try_for_each(|(node, _)| net.configure(node))?;
        for (site, resolver) in SITES {
            net.switch_on(site)?;
            for at in 1..=DEVICES {
                net.resolv(&format!("{site}-{at}"), &v4(resolver))?;
            }
        }
        net.resolv("server", &v4("resolver-b"))?;
        Ok(net)
    }

    /// The namespace of a machine.
    pub fn ns(&self, node: &str) -> String {
        format!("{}-{node}", self.tag)
    }

    /// What a machine asks for names until DHCP says otherwise.
    fn resolv(&self, node: &str, resolver: &str) -> Res<()> {
        let etc = Path::new("/etc/netns").join(self.ns(node));
        fs::create_dir_all(&etc)?;
        fs::write(etc.join("resolv.conf"), format!("nameserver {resolver}\n"))?;
        Ok(())
    }

    /// Turns off in a machine what makes a lab wait, and what keeps routers from answering each packet of a trace.
    fn quiet(&self, node: &str) -> Res<()> {
        let router = if TREE.iter().any(|(name, _)| *name == node) { 1 } else { 0 };
        let mut text = format!(
            "net.ipv4.ip_forward={router}\nnet.ipv6.conf.all.forwarding={router}\nnet.ipv4.icmp_ratelimit=0\n\
             net.ipv6.icmp.ratelimit=0\nnet.ipv4.ping_group_range=0 2147483647\n"
        );
        for of in ["all", "default"] {
            text += &format!(
                "net.ipv6.conf.{of}.accept_dad=0\nnet.ipv6.conf.{of}.keep_addr_on_down=1\nnet.ipv4.conf.{of}.rp_filter=0\n\
                 net.ipv6.conf.{of}.router_solicitation_delay=0\n"
            );
        }
        // The interface was made before the defaults were.
        for of in ["wan", "eth0", "lan"] {
            text += &format!("-net.ipv6.conf.{of}.accept_dad=0\n-net.ipv6.conf.{of}.keep_addr_on_down=1\n");
        }
        let file = self.dir.join("sysctl");
        fs::write(&file, text)?;
        self.run(node, &["sysctl", "-q", "-e", "-p", &file.display().to_string()]).map(drop)
    }

    /// Gives a machine of the tree its addresses and routes; once more after its links were down.
    pub fn configure(&self, node: &str) -> Res<()> {
        let at = subnet(node);
        let mut batch = "link set lo up\n".to_owned();
        if !parent(node).is_empty() {
            batch += "link set wan up\n";
            batch += &format!(
                "addr replace 10.77.{at}.2/24 dev wan\naddr replace fd77:{at:x}::2/64 dev wan nodad\n"
            );
            batch +=
                &format!("route replace default via 10.77.{at}.1\nroute replace ::/0 via fd77:{at:x}::1\n");
        }
        for (child, _) in TREE.iter().filter(|(_, above)| *above == node) {
            let at = subnet(child);
            batch += &format!("link set to-{child} up\n");
            batch += &format!(
                "addr replace 10.77.{at}.1/24 dev to-{child}\naddr replace fd77:{at:x}::1/64 dev to-{child} nodad\n"
            );
            for (four, six) in below(child).iter().skip(1) {
                batch += &format!(
                    "route replace {four} via 10.77.{at}.2\nroute replace {six} via fd77:{at:x}::2\n"
                );
            }
        }
        if let Some(site) = node.strip_suffix("-gw") {
            let site = number(site);
            batch += "link set lan up\n";
            batch += &format!(
                "addr replace 192.168.{site}0.1/24 dev lan\naddr replace fd77:ff{site}::1/64 dev lan nodad\n"
            );
        }
        self.batch(Some(node), &batch)
    }

    /// Plugs a site's switch together. Its devices have carrier then; addresses come by DHCP.
    fn switch_on(&self, site: &str) -> Res<()> {
        let mut batch = "link set lo up\nlink add name br type bridge\nlink set dev br up\n".to_owned();
        for port in ["gw".to_owned()].into_iter().chain((1..=DEVICES).map(|at| format!("d{at}"))) {
            batch += &format!("link set dev {port} master br\nlink set dev {port} up\n");
        }
        self.batch(Some(&format!("{site}-lan")), &batch)?;
        for at in 1..=DEVICES {
            self.batch(Some(&format!("{site}-{at}")), "link set lo up\nlink set eth0 up\n")?;
        }
        Ok(())
    }

    /// Runs several commands of `ip`, in a machine or outside of all.
    pub fn batch(&self, node: Option<&str>, lines: &str) -> Res<()> {
        let mut command = Command::new("ip");
        if let Some(node) = node {
            command.args(["-n", &self.ns(node)]);
        }
        fed(command.args(["-batch", "-"]), lines).map_err(|e| format!("ip in {node:?}: {e}\n{lines}").into())
    }

    /// A command in a machine.
    pub fn command(&self, node: &str, args: &[&str]) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.ns(node)]).args(args).stdin(Stdio::null());
        command
    }

    /// Starts what is to run on in a machine, until it is dropped; it also ends with this process.
    pub fn start(&self, node: &str, args: &[&str]) -> Res<Running> {
        self.start_with(node, args, &BTreeMap::new())
    }

    /// The same, with variables in its environment.
    pub fn start_with(&self, node: &str, args: &[&str], vars: &BTreeMap<&str, String>) -> Res<Running> {
        let mut all = vec!["setpriv", "--pdeathsig", "KILL"];
        all.extend(args);
        let log =
            fs::OpenOptions::new().create(true).append(true).open(self.dir.join(format!("{node}.log")))?;
        let mut command = self.command(node, &all);
        command.envs(vars).stdout(log.try_clone()?).stderr(log);
        Ok(Running(command.spawn().map_err(|e| format!("{args:?} in {node}: {e}"))?))
    }

    /// Runs a command in a machine to its end; it must succeed.
    pub fn run(&self, node: &str, args: &[&str]) -> Res<String> {
        let output = self.command(node, args).output()?;
        if !output.status.success() {
            return Err(format!("{args:?} in {node}: {}", said(&output)).into());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Whether a command in a machine succeeds.
    pub fn holds(&self, node: &str, args: &[&str]) -> bool {
        self.command(node, args).output().is_ok_and(|output| output.status.success())
    }

    /// Sets what a machine lets through: the rules of its forward, its prerouting (NAT) and its input hook.
    pub fn filter(&self, node: &str, rules: &Rules) -> Res<()> {
        let mut command = self.command(node, &["nft", "-f", "-"]);
        fed(&mut command, &rules.text()).map_err(|e| format!("nft in {node}: {e}\n{}", rules.text()).into())
    }

    /// Lets a machine pass everything again.
    pub fn unfilter(&self, node: &str) -> Res<()> {
        self.run(node, &["nft", "flush", "ruleset"]).map(drop)
    }

    /// Cuts the connections that a machine has to the server, so that it must make new ones.
    pub fn cut(&self, node: &str) -> Res<()> {
        self.run(node, &["ss", "-K", "dport", "=", &crate::world::PORT.to_string()]).map(drop)
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        sweep(&|name| name.strip_prefix(&self.tag).is_some_and(|rest| rest.starts_with('-')));
    }
}

/// What a machine does not let through.
#[derive(Default)]
pub struct Rules {
    /// What it would pass on.
    pub forward: Vec<String>,
    /// Where it sends what comes in.
    pub prerouting: Vec<String>,
    /// What is for itself.
    pub input: Vec<String>,
}

impl Rules {
    /// Rules for what a machine would pass on.
    pub fn forward(rules: &[&str]) -> Rules {
        Rules { forward: rules.iter().map(|&rule| rule.to_owned()).collect(), ..Rules::default() }
    }

    /// Rules for what a machine is sent itself.
    pub fn input(rules: &[&str]) -> Rules {
        Rules { input: rules.iter().map(|&rule| rule.to_owned()).collect(), ..Rules::default() }
    }

    fn text(&self) -> String {
        let chain = |name: &str, hook: &str, rules: &[String]| {
            format!(" chain {name} {{\n  type {hook};\n  {}\n }}\n", rules.join("\n  "))
        };
        let mut text = "flush ruleset\ntable inet lab {\n".to_owned();
        text += &chain("forward", "filter hook forward priority 0", &self.forward);
        text += &chain("input", "filter hook input priority 0", &self.input);
        if !self.prerouting.is_empty() {
            text += &chain("prerouting", "nat hook prerouting priority -100", &self.prerouting);
        }
        text + "}\n"
    }
}

/// Feeds a command, which must succeed.
fn fed(command: &mut Command, text: &str) -> Res<()> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    child.stdin.take().ok_or("its input")?.write_all(text.as_bytes())?;
    let output = child.wait_with_output()?;
    if output.status.success() { Ok(()) } else { Err(said(&output).into()) }
}

fn said(output: &Output) -> String {
    let both = [&output.stdout[..], &output.stderr[..]].concat();
    format!("{}: {}", output.status, String::from_utf8_lossy(&both).trim())
}

/// Ends all that runs in the namespaces that are meant, and removes them.
pub fn sweep(is_meant: &dyn Fn(&str) -> bool) {
    let Ok(list) = Command::new("ip").args(["netns", "list"]).output() else { return };
    let list = String::from_utf8_lossy(&list.stdout).into_owned();
    let names: Vec<&str> =
        list.lines().filter_map(|line| line.split(' ').next()).filter(|name| is_meant(name)).collect();
    for name in &names {
        let Ok(pids) = Command::new("ip").args(["netns", "pids", name]).output() else { continue };
        for pid in String::from_utf8_lossy(&pids.stdout).split_whitespace() {
            drop(Command::new("kill").args(["-KILL", pid]).stderr(Stdio::null()).status());
        }
        drop(fs::remove_dir_all(Path::new("/etc/netns").join(name)));
    }
    let batch: String = names.iter().map(|name| format!("netns del {name}\n")).collect();
    drop(fed(Command::new("ip").args(["-force", "-batch", "-"]), &batch));
}
