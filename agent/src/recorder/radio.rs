//! How strong the signal of a wireless interface is.

/// The signal of an interface in dBm; none where it is not a wireless one.
pub(super) fn signal_dbm(interface: &str) -> Option<i32> {
    level(&std::fs::read_to_string("/proc/net/wireless").ok()?, interface)
}

/// The level of an interface in the kernel's table. Some drivers say a negative number as a byte.
fn level(table: &str, interface: &str) -> Option<i32> {
    let line = table.lines().find_map(|line| line.trim_start().strip_prefix(interface)?.strip_prefix(':'))?;
    let level: i32 = line.split_whitespace().nth(2)?.trim_end_matches('.').parse().ok()?;
    match level {
        -200..0 => Some(level),
        64..256 => Some(level - 256),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::level;

    #[test]
    fn the_level_is_read_whichever_way_the_driver_says_it() {
        let table = "Inter-| sta-|   Quality        |   Discarded packets               | Missed | WE\n \
             face | tus | link level noise |  nwid  crypt   frag  retry   misc | beacon | 22\n \
             wlan0: 0000   54.  -56.  -256        0      0      0      0      0        0\n \
             wlan1: 0000   54.  200.  -256        0      0      0      0      0        0\n \
             wlan2: 0000   54.    0.  -256        0\nwlan3: 0000\n";
        for (interface, expected) in
            [("wlan0", Some(-56)), ("wlan1", Some(-56)), ("wlan2", None), ("wlan3", None), ("wlan", None)]
        {
            assert_eq!(level(table, interface), expected, "{interface}");
        }
    }
}
