//! Names in DNS: what is one, whose it is, and the key with which a name server is updated.

pub mod change;

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::domain::named;

/// The longest name, in characters, without the dot at its end (RFC 1035).
const MAX_NAME: usize = 253;
/// The longest label (RFC 1035).
const MAX_LABEL: usize = 63;

/// Why a text is no name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{name}' is no DNS name: {why}")]
pub struct BadName {
    name: String,
    why: &'static str,
}

/// A name as it is compared: in small letters, without the dot at its end. Hosts' names are letters, digits and hyphens
/// (RFC 952, RFC 1123); an address is none.
///
/// # Errors
/// It is no name.
pub fn canonical(name: &str) -> Result<String, BadName> {
    let bad =
        |why| BadName { name: name.chars().take(80).collect::<String>().escape_debug().to_string(), why };
    let bare = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    if bare.is_empty() || bare.len() > MAX_NAME {
        return Err(bad("it must have 1 to 253 characters"));
    }
    if bare.parse::<std::net::IpAddr>().is_ok() {
        return Err(bad("it is an address"));
    }
    for label in bare.split('.') {
        if label.is_empty() || label.len() > MAX_LABEL {
            return Err(bad("each part between dots must have 1 to 63 characters"));
        }
        if !label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
            return Err(bad("letters, digits, hyphens and dots are allowed"));
        }
        if label.starts_with('-') || label.ends_with('-') {
            return Err(bad("no part begins or ends with a hyphen"));
        }
    }
    Ok(bare)
}

/// A zone: the name under which all its names stand, in small letters.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Zone(String);

impl FromStr for Zone {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Zone, BadName> {
        canonical(text).map(Zone)
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Zone {
    /// Its name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A device's name in full, where it stands in this zone: a single label is put in front of the zone; a name with dots
    /// must end with it, else it is somebody else's and not answered for here.
    #[must_use]
    pub fn full(&self, name: &str) -> Option<String> {
        let name = canonical(name).ok()?;
        let full = if name.contains('.') { name } else { format!("{name}.{}", self.0) };
        self.holds(&full).then_some(full)
    }

    /// Whether this canonical name stands in the zone, or is the zone's own.
    #[must_use]
    pub fn holds(&self, name: &str) -> bool {
        let before = name.strip_suffix(self.0.as_str());
        before.is_some_and(|before| before.is_empty() || before.ends_with('.'))
    }
}

named! {
    /// How an update is signed (RFC 8945).
    pub enum Algorithm {
        /// HMAC with SHA-256.
        Sha256 = "hmac-sha256",
        /// HMAC with SHA-384.
        Sha384 = "hmac-sha384",
        /// HMAC with SHA-512.
        Sha512 = "hmac-sha512",
    }
}

/// The key with which updates of a name server are signed: `NAME:ALGORITHM:BASE64`, or `NAME:BASE64` for hmac-sha256.
#[derive(Clone, PartialEq, Eq)]
pub struct Key {
    /// Its name, as the name server knows it.
    pub name: String,
    /// How it signs.
    pub algorithm: Algorithm,
    /// The secret itself.
    pub secret: Vec<u8>,
}

impl fmt::Debug for Key {
    /// Never the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("name", &self.name)
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

impl FromStr for Key {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Key, &'static str> {
        let parts: Vec<&str> = text.trim().split(':').collect();
        let (name, algorithm, secret) = match parts[..] {
            [name, secret] => (name, Algorithm::Sha256.as_str(), secret),
            [name, algorithm, secret] => (name, algorithm, secret),
            _ => return Err("write the key as NAME:ALGORITHM:BASE64"),
        };
        let plain = name.strip_suffix('.').unwrap_or(name);
        let known = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        if plain.is_empty() || plain.len() > MAX_NAME || !plain.bytes().all(known) {
            return Err("the key's name is none: letters, digits, hyphens, underscores and dots are allowed");
        }
        let algorithm: Algorithm = algorithm
            .to_ascii_lowercase()
            .parse()
            .map_err(|_| "the algorithm must be hmac-sha256, hmac-sha384 or hmac-sha512")?;
        let secret = STANDARD.decode(secret).map_err(|_| "the secret is not base64")?;
        if secret.len() < 8 {
            return Err("the secret is shorter than 8 bytes");
        }
        Ok(Key { name: plain.to_ascii_lowercase(), algorithm, secret })
    }
}

/// The serial after `last` (RFC 1982: it must be greater by less than half of the circle). Where `last` is behind the
/// seconds since 1970, as people write serials, it catches up with them.
#[must_use]
pub fn next_serial(last: u32, now_secs: i64) -> u32 {
    let seconds = u32::try_from(now_secs.rem_euclid(1 << 32)).unwrap_or(1);
    let ahead = seconds.wrapping_sub(last);
    let next = if (1..1 << 31).contains(&ahead) { seconds } else { last.wrapping_add(1) };
    next.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_letters_digits_and_hyphens_between_dots() {
        let long = format!("{}.example", "a".repeat(64));
        let longer = format!("{}example", "a.".repeat(124));
        for bad in [
            "",
            ".",
            "a..b",
            "-a",
            "a-",
            "a_b",
            "a b",
            "192.0.2.1",
            "2001:db8::1",
            "ü",
            &long,
            &longer,
            "a.b..",
        ] {
            assert!(canonical(bad).is_err(), "{bad}");
        }
        for (name, told) in [("Gw-1", "gw-1"), ("a.Example.", "a.example"), ("1.2", "1.2")] {
            assert_eq!(canonical(name).as_deref(), Ok(told));
        }
    }

    #[test]
    fn a_name_in_full_stands_in_the_zone_or_is_not_ours() {
        let zone: Zone = "Devices.Example.".parse().unwrap();
        for (name, full) in [
            ("gw", Some("gw.devices.example")),
            ("GW.devices.example.", Some("gw.devices.example")),
            ("a.b.devices.example", Some("a.b.devices.example")),
            ("gw.example.net", None),
            ("notdevices.example", None),
            ("my printer", None),
        ] {
            assert_eq!(zone.full(name).as_deref(), full, "{name}");
        }
    }

    #[test]
    fn a_key_is_read_checked_and_never_shown() {
        let key: Key = "ddns:hmac-sha512:c2VjcmV0c2VjcmV0".parse().unwrap();
        assert_eq!((key.name.as_str(), key.algorithm), ("ddns", Algorithm::Sha512));
        assert!(!format!("{key:?}").contains("secret:") && !format!("{key:?}").contains("115"));
        assert_eq!("ddns.:c2VjcmV0c2VjcmV0".parse::<Key>().unwrap().algorithm, Algorithm::Sha256);
        for bad in [
            "",
            "a",
            "a:b:c:d",
            "a:hmac-md5:c2VjcmV0c2VjcmV0",
            "a:hmac-sha256:?",
            "a:c2U=",
            "ä:c2VjcmV0c2VjcmV0",
        ] {
            assert!(bad.parse::<Key>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_serial_always_rises_on_the_circle() {
        let rises = |from: u32, to: u32| (1..1 << 31).contains(&to.wrapping_sub(from));
        for last in [0, 1, 1_795_000_000, 2_026_112_601, u32::MAX - 1, u32::MAX, 3_900_000_000] {
            let next = next_serial(last, 1_795_356_000);
            assert!(rises(last, next) || (last == u32::MAX && next == 1), "{last} {next}");
        }
        assert_eq!(next_serial(0, 1_795_356_000), 1_795_356_000);
        assert_eq!(next_serial(1_795_356_000, 1_795_356_000), 1_795_356_001);
    }
}
