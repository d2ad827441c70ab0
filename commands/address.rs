//! What a person may give as a device's address: an IP address, or a name in DNS.

use std::net::IpAddr;

/// The address as it is kept, if it is one.
pub fn check(text: &str) -> Result<String, String> {
    let text = text.trim();
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(address.to_string());
    }
    dns_name(text).map_err(|_| {
        "this is neither an IP address nor a name in DNS: write 192.0.2.7, 2001:db8::7 or gw.example.net"
            .to_owned()
    })
}

/// A name in DNS as it is kept, if it is one.
pub fn dns_name(text: &str) -> Result<String, String> {
    let name = text.trim();
    let name = name.strip_suffix('.').unwrap_or(name);
    let mut labels = name.split('.');
    let last_is_number = name.rsplit('.').next().is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()));
    if name.len() > 253 || last_is_number || !labels.all(is_label) {
        return Err("this is no name in DNS: write it as gw.example.net".to_owned());
    }
    Ok(name.to_ascii_lowercase())
}

fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        && !label.starts_with('-')
        && !label.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_kept_in_one_form() {
        for (text, kept) in [
            ("192.0.2.7", "192.0.2.7"),
            ("2001:DB8:0::7", "2001:db8::7"),
            ("GW.example.net.", "gw.example.net"),
            ("printer", "printer"),
            ("_dmarc.example.net", "_dmarc.example.net"),
        ] {
            assert_eq!(check(text).as_deref(), Ok(kept));
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        let long = "a".repeat(64);
        for text in [
            "",
            ".",
            "10.0.0.300",
            "10.0.0",
            "1.2.3.4:80",
            "a b",
            "-gw",
            "gw-",
            "a..b",
            "http://gw",
            "ü.de",
            "7",
            &long,
        ] {
            assert!(check(text).is_err(), "{text}");
        }
    }
}
