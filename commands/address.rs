//! What a person may give as a device's address: an IP address, or a name in DNS.

use std::net::IpAddr;

use ::agent::report::Probe;

/// The address as it is kept, if it is one that a probe could go to.
pub fn check(text: &str) -> Result<String, String> {
    let text = text.trim();
    let probe = Probe::Tcp { target: text.to_owned(), port: 1 };
    ::agent::probe::check(&probe)
        .map_err(|bad| format!("{bad}: write 192.0.2.7, 2001:db8::7 or gw.example.net"))?;
    Ok(match text.parse::<IpAddr>() {
        Ok(address) => address.to_string(),
        Err(_) => text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase(),
    })
}

/// A name in DNS as it is kept, if it is one.
pub fn dns_name(text: &str) -> Result<String, String> {
    let name = check(text)?;
    if name.parse::<IpAddr>().is_ok() {
        return Err("this is an address, not a name: write gw.example.net".to_owned());
    }
    Ok(name)
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
            (" printer ", "printer"),
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
        assert!(dns_name("192.0.2.7").is_err());
        assert!(dns_name("gw.example.net").is_ok());
    }
}
