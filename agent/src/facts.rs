//! What this machine is and how it is: its network, its load, its disks. Linux: read from `/proc` and the kernel's
//! own calls, a few hundred microseconds for all of it, and no file system that may hang is asked.

mod change;
mod way;

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::path::Path;

use nix::ifaddrs::{InterfaceAddress, getifaddrs};
use nix::net::if_::InterfaceFlags;
use nix::sys::socket::SockaddrStorage;
use procfs::process::{MountInfo, Process};
use procfs::{Current, CurrentSI, KernelStats, LoadAverage, Meminfo};
use schedules::Millis;

use crate::report::{Disk, Interface, Status, Usage};

pub use change::changes;
pub(crate) use change::gone;
pub(crate) use way::{Way, ways};

#[cfg(not(target_os = "linux"))]
compile_error!("lineman's agent reads its facts from Linux: another system needs its own facts.rs");

/// The most interfaces that are told, addresses of each, disks, gateways and resolvers.
const MOST: usize = 128;

/// A port for asking the routing table: nothing is sent there.
const DISCARD: u16 = 9;

/// Reads what this machine is. Keeps what does not change, and what differences are taken from.
#[derive(Debug)]
pub struct Facts {
    os: String,
    kernel: String,
    /// Processor time in use and altogether at the last look.
    cpu: Option<(u64, u64)>,
}

impl Default for Facts {
    fn default() -> Facts {
        Facts::new()
    }
}

impl Facts {
    /// Reads what stays the same.
    #[must_use]
    pub fn new() -> Facts {
        let release = std::fs::read_to_string("/etc/os-release")
            .or_else(|_| std::fs::read_to_string("/usr/lib/os-release"))
            .unwrap_or_default();
        Facts { os: os_name(&release), kernel: line_of("/proc/sys/kernel/osrelease"), cpu: cpu_time() }
    }

    /// What the machine is like now. `server`: where the server is, to tell which address leads there; where that is
    /// not known, the one that leads to the gateway is told. What cannot be read is empty. The processor's use is that
    /// since the last call.
    pub fn status(&mut self, server: Option<SocketAddr>) -> Status {
        let gateways = gateways();
        let towards = server.or_else(|| gateways.first().map(|&gateway| (gateway, DISCARD).into()));
        Status {
            host_name: host_name(),
            os: self.os.clone(),
            kernel: self.kernel.clone(),
            address: towards.and_then(address_towards),
            interfaces: interfaces(),
            gateways,
            resolvers: resolvers(&std::fs::read("/etc/resolv.conf").unwrap_or_default()),
            uptime_ms: uptime(),
            cpu_permille: self.cpu_permille(),
            load_centi: LoadAverage::current().ok().map(|load| centi(load.one)),
            memory: memory(),
            disks: disks(),
        }
    }

    fn cpu_permille(&mut self) -> Option<u32> {
        let (busy, all) = cpu_time()?;
        let (busy_before, all_before) = self.cpu.replace((busy, all))?;
        let (busy, all) = (busy.saturating_sub(busy_before), all.saturating_sub(all_before));
        busy.saturating_mul(1000).checked_div(all).and_then(|permille| u32::try_from(permille).ok())
    }
}

/// The kernel's random id of this boot; empty where there is none.
#[must_use]
pub fn boot_id() -> String {
    line_of("/proc/sys/kernel/random/boot_id")
}

/// Whether the kernel says that the clock is synchronised; none where it does not say.
#[must_use]
#[expect(unsafe_code, reason = "adjtimex has no safe wrapper here")]
pub(crate) fn clock_is_synced() -> Option<bool> {
    // SAFETY: all zeros are a valid timex: a question that changes nothing.
    let mut told: libc::timex = unsafe { std::mem::zeroed() };
    // SAFETY: `told` is valid, and outlives the call.
    let answer = unsafe { libc::adjtimex(&raw mut told) };
    (answer >= 0).then_some(told.status & libc::STA_UNSYNC == 0)
}

/// The speed of an interface in Mbit/s, where it has one.
#[must_use]
pub(crate) fn speed_mbit(interface: &str) -> Option<u32> {
    line_of(&format!("/sys/class/net/{interface}/speed")).parse().ok().filter(|speed| *speed > 0)
}

/// The machine's host name.
#[must_use]
pub fn host_name() -> String {
    line_of("/proc/sys/kernel/hostname")
}

/// The first line of a small file, trimmed.
pub(crate) fn line_of(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default().lines().next().unwrap_or_default().trim().to_owned()
}

fn os_name(release: &str) -> String {
    let value = |key: &str| {
        release
            .lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
            .map(|value| value.trim().trim_matches(['"', '\'']).to_owned())
    };
    value("PRETTY_NAME").or_else(|| value("NAME")).unwrap_or_else(|| "Linux".to_owned())
}

/// The address this machine would use towards `server`: asks the routing table, sends nothing.
fn address_towards(server: SocketAddr) -> Option<IpAddr> {
    let any: SocketAddr =
        if server.is_ipv4() { (Ipv4Addr::UNSPECIFIED, 0).into() } else { (Ipv6Addr::UNSPECIFIED, 0).into() };
    let socket = UdpSocket::bind(any).ok()?;
    socket.connect(server).ok()?;
    socket.local_addr().ok().map(|address| address.ip())
}

pub(crate) fn interfaces() -> Vec<Interface> {
    let mut found: BTreeMap<String, Interface> = BTreeMap::new();
    let Ok(addresses) = getifaddrs() else { return Vec::new() };
    for entry in addresses {
        if entry.flags.contains(InterfaceFlags::IFF_LOOPBACK) {
            continue;
        }
        if found.len() >= MOST && !found.contains_key(&entry.interface_name) {
            continue;
        }
        let interface = found.entry(entry.interface_name.clone()).or_default();
        interface.up = entry.flags.contains(InterfaceFlags::IFF_UP | InterfaceFlags::IFF_RUNNING);
        if let Some(mac) = mac(&entry) {
            interface.mac = mac;
        }
        if let Some(address) = address(&entry).filter(|_| interface.addresses.len() < MOST) {
            interface.addresses.push(address);
        }
    }
    let counters = procfs::net::dev_status().unwrap_or_default();
    found
        .into_iter()
        .map(|(name, mut interface)| {
            if let Some(count) = counters.get(&name) {
                interface.rx_bytes = count.recv_bytes;
                interface.tx_bytes = count.sent_bytes;
                interface.errors = count.recv_errs.saturating_add(count.sent_errs);
                interface.drops = count.recv_drop.saturating_add(count.sent_drop);
            }
            interface.addresses.sort();
            interface.name = name;
            interface
        })
        .collect()
}

fn mac(entry: &InterfaceAddress) -> Option<String> {
    let bytes = entry.address.as_ref()?.as_link_addr()?.addr()?;
    if bytes == [0; 6] {
        return None;
    }
    Some(bytes.map(|byte| format!("{byte:02x}")).join(":"))
}

fn address(entry: &InterfaceAddress) -> Option<String> {
    let ip = ip_of(entry.address.as_ref()?)?;
    let ones = match entry.netmask.as_ref().and_then(ip_of) {
        Some(IpAddr::V4(mask)) => mask.to_bits().count_ones(),
        Some(IpAddr::V6(mask)) => mask.to_bits().count_ones(),
        None if ip.is_ipv4() => 32,
        None => 128,
    };
    Some(format!("{ip}/{ones}"))
}

fn ip_of(address: &SockaddrStorage) -> Option<IpAddr> {
    if let Some(v4) = address.as_sockaddr_in() {
        return Some(v4.ip().into());
    }
    address.as_sockaddr_in6().map(|v6| v6.ip().into())
}

fn gateways() -> Vec<IpAddr> {
    let mut all: Vec<IpAddr> = ways().into_iter().filter_map(|way| way.gateway).collect();
    all.dedup();
    all.truncate(MOST);
    all
}

pub(crate) fn resolvers(text: &[u8]) -> Vec<IpAddr> {
    let Ok(config) = resolv_conf::Config::parse(text) else { return Vec::new() };
    config.nameservers.iter().map(|server| IpAddr::from(server.clone())).take(MOST).collect()
}

fn uptime() -> Millis {
    let text = std::fs::read_to_string("/proc/uptime").unwrap_or_default();
    let seconds = text.split_whitespace().next().and_then(|word| word.parse::<f64>().ok());
    seconds
        .and_then(|seconds| std::time::Duration::try_from_secs_f64(seconds).ok())
        .map_or(Millis::ZERO, Millis::from)
}

fn cpu_time() -> Option<(u64, u64)> {
    let total = KernelStats::current().ok()?.total;
    let idle = total.idle + total.iowait.unwrap_or(0);
    let busy = total.user
        + total.nice
        + total.system
        + total.irq.unwrap_or(0)
        + total.softirq.unwrap_or(0)
        + total.steal.unwrap_or(0);
    Some((busy, busy + idle))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a load is small and not negative"
)]
fn centi(load: f32) -> u32 {
    (load * 100.0).round() as u32
}

fn memory() -> Option<Usage> {
    let memory = Meminfo::current().ok()?;
    let available = memory.mem_available.unwrap_or(memory.mem_free);
    Some(Usage { total: memory.mem_total, used: memory.mem_total.saturating_sub(available) })
}

/// File systems on a device of this machine, each once. A share of another machine may hang: it is not asked.
fn disks() -> Vec<Disk> {
    let mounts = Process::myself().and_then(|me| me.mountinfo()).map(|mounts| mounts.0).unwrap_or_default();
    let mut seen: HashMap<String, Disk> = HashMap::new();
    for mount in mounts.iter().filter(|mount| is_local(mount)) {
        // A device that is mounted twice is told once, at its shortest place.
        let known = seen.get(&mount.majmin).map(|disk| disk.mount.len());
        let place = mount.mount_point.to_string_lossy();
        if known.is_some_and(|len| len <= place.len()) {
            continue;
        }
        if let Some(usage) = usage(&mount.mount_point) {
            seen.insert(mount.majmin.clone(), Disk { mount: place.into_owned(), usage });
        }
    }
    let mut disks: Vec<Disk> = seen.into_values().collect();
    disks.sort_by(|one, two| one.mount.cmp(&two.mount));
    disks.truncate(MOST);
    disks
}

fn is_local(mount: &MountInfo) -> bool {
    let on_device = mount.mount_source.as_deref().is_some_and(|source| source.starts_with("/dev/"));
    let is_image = matches!(mount.fs_type.as_str(), "squashfs" | "iso9660" | "udf" | "erofs");
    let may_hang = mount.fs_type.starts_with("fuse");
    (on_device && !is_image && !may_hang) || mount.fs_type == "zfs"
}

fn usage(mount: &Path) -> Option<Usage> {
    let of = nix::sys::statvfs::statvfs(mount).ok()?;
    let size = of.fragment_size();
    let total = of.blocks().saturating_mul(size);
    let used = of.blocks().saturating_sub(of.blocks_free()).saturating_mul(size);
    (total > 0).then_some(Usage { total, used })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_tells_what_it_is() {
        let mut facts = Facts::new();
        let status = facts.status(Some(([127, 0, 0, 1], 9).into()));
        assert_eq!(status.address, Some(Ipv4Addr::LOCALHOST.into()));
        assert!(!status.host_name.is_empty());
        assert!(!status.kernel.is_empty());
        assert!(status.uptime_ms > Millis::ZERO);
        assert!(status.memory.is_some_and(|memory| memory.used < memory.total));
        assert!(status.interfaces.iter().all(|interface| interface.name != "lo"));
        assert_eq!(boot_id().len(), 36);
    }

    #[test]
    fn the_operating_system_is_named_as_it_names_itself() {
        assert_eq!(
            os_name("NAME=\"Debian\"\nPRETTY_NAME=\"Debian GNU/Linux 13 (trixie)\"\n"),
            "Debian GNU/Linux 13 (trixie)"
        );
        assert_eq!(os_name("NAME=Alpine\n"), "Alpine");
        assert_eq!(os_name(""), "Linux");
    }

    #[test]
    fn resolvers_keep_their_order() {
        let found = resolvers(b"# me\nnameserver 192.0.2.53\nnameserver 2001:db8::53\nsearch example\n");
        assert_eq!(found, ["192.0.2.53", "2001:db8::53"].map(|ip| ip.parse::<IpAddr>().unwrap()));
        assert!(resolvers(b"\xff\xfenonsense").is_empty());
    }
}
