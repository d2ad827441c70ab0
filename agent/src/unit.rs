//! The systemd unit of an agent, as text.

use std::path::Path;

/// The unit that runs `binary` as an agent on the data directory `data`: as root, since what it reads of the machine
/// and what its plugins run needs that, but with all else taken away.
#[must_use]
pub fn unit(binary: &Path, data: &Path) -> String {
    let binary = quoted(binary);
    let place = quoted(data);
    format!(
        "[Unit]
Description=lineman agent: reports this machine and what it probes
After=network.target
StartLimitIntervalSec=0

[Service]
ExecStart={binary} --data {place} agent run
Restart=always
RestartSec=5
TimeoutStopSec=10
UMask=0077
AmbientCapabilities=CAP_NET_RAW
CapabilityBoundingSet=CAP_NET_RAW CAP_DAC_READ_SEARCH
NoNewPrivileges=yes
ProtectSystem=strict
ReadWritePaths={place}
ProtectHome=read-only
PrivateTmp=yes
PrivateDevices=yes
ProtectControlGroups=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_NETLINK AF_PACKET AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service adjtimex clock_adjtime clock_adjtime64
SystemCallErrorNumber=EPERM
MemoryMax=128M
TasksMax=64

[Install]
WantedBy=multi-user.target
"
    )
}

/// A path as systemd reads it: in quotes where it holds more than plain characters.
fn quoted(path: &Path) -> String {
    let text = path.to_string_lossy().replace('%', "%%");
    if text.chars().all(|c| c.is_alphanumeric() || "/._-%".contains(c)) {
        return text;
    }
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unit_runs_the_binary_on_the_data() {
        let text = unit(Path::new("/usr/bin/lineman"), Path::new("/var/lib/lineman"));
        assert!(text.contains("ExecStart=/usr/bin/lineman --data /var/lib/lineman agent run\n"), "{text}");
        assert!(text.contains("ReadWritePaths=/var/lib/lineman\n"));
        let odd = unit(Path::new("/opt/my tools/lineman"), Path::new("/srv/100%"));
        assert!(odd.contains("ExecStart=\"/opt/my tools/lineman\" --data /srv/100%% agent run\n"), "{odd}");
    }

    fn value<'a>(text: &'a str, key: &str) -> Option<&'a str> {
        text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
    }

    #[test]
    fn the_unit_allows_what_the_agent_calls_and_waits_for_no_network() {
        let text = unit(Path::new("/usr/bin/lineman"), Path::new("/var/lib/lineman"));
        let allowed: Vec<&str> = value(&text, "SystemCallFilter").unwrap().split(' ').collect();
        // `facts::clock_is_synced`: by which of them it goes depends on the C library and the machine's word size. None
        // of them is in systemd's @system-service.
        for call in ["@system-service", "adjtimex", "clock_adjtime", "clock_adjtime64"] {
            assert!(allowed.contains(&call), "{call}: {allowed:?}");
        }
        assert_eq!(value(&text, "SystemCallErrorNumber"), Some("EPERM"), "what is missing does not kill");
        assert_eq!(value(&text, "ProtectClock"), None, "it forbids those calls again");
        assert!(!value(&text, "CapabilityBoundingSet").unwrap().contains("CAP_SYS_TIME"));
        assert!(!text.contains("network-online.target"), "an agent starts in the outage it is to record");
    }
}
