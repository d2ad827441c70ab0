//! What a probe may ask for: checked before it is stored, and again before it runs.

use std::net::IpAddr;

use hyper::Uri;

use super::icmp::MAX_PACKETS;
use super::resolve::literal;
use super::status::{BadStatus, StatusSet};
use crate::report::Probe;

/// The longest name DNS knows (RFC 1035, 2.3.4).
const MAX_NAME: usize = 253;
const MAX_URL: usize = 2048;
/// The longest text that a body is searched for, in bytes.
const MAX_KEYWORD: usize = 1024;
/// The most redirects a check may follow.
const MAX_REDIRECTS: u32 = 50;

/// Why a probe cannot be made: one sentence for the person who asked for it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadProbe {
    /// There is no target.
    #[error("the target is empty: give an address or a name")]
    NoTarget,
    /// The target is neither an address nor a name.
    #[error("'{0}' is neither an IP address nor a host name")]
    BadTarget(String),
    /// The target is an address that no single device has.
    #[error("{0} is not the address of one device")]
    NotOneDevice(IpAddr),
    /// The port is 0.
    #[error("port 0 cannot be connected to: give a port from 1 to 65535")]
    PortZero,
    /// Too few or too many packets.
    #[error("{0} packets cannot be sent: give a number from 1 to {MAX_PACKETS}")]
    Packets(u32),
    /// A limit that no loss can exceed.
    #[error("a loss of {0} thousandths is more than all: give a number from 0 to 1000")]
    Loss(u32),
    /// The URL cannot be read.
    #[error("'{0}' is not a URL: write it as http://host/path or https://host/path")]
    BadUrl(String),
    /// The URL is neither http nor https.
    #[error("the scheme '{0}' is not watched: write the URL with http:// or https://")]
    Scheme(String),
    /// The URL holds a user name, perhaps a password.
    #[error("the URL holds a user name or password: leave it out, checks do not log in")]
    Login,
    /// The list of good statuses cannot be read.
    #[error(transparent)]
    Status(#[from] BadStatus),
    /// The keyword is too long.
    #[error("the keyword is longer than {MAX_KEYWORD} bytes")]
    Keyword,
    /// Too many redirects.
    #[error("{0} redirects are too many: give a number from 0 to {MAX_REDIRECTS}")]
    Redirects(u32),
}

/// Whether this probe can be made at all. Pure: nothing is looked up or called.
///
/// # Errors
/// What is wrong, in one sentence.
pub fn check(probe: &Probe) -> Result<(), BadProbe> {
    match probe {
        Probe::Icmp { target, packets, warn_loss_permille, warn_rtt: _ } => {
            check_target(target)?;
            if !(1..=MAX_PACKETS).contains(packets) {
                return Err(BadProbe::Packets(*packets));
            }
            match warn_loss_permille {
                Some(loss) if *loss > 1000 => Err(BadProbe::Loss(*loss)),
                _ => Ok(()),
            }
        }
        Probe::Tcp { target, port } => {
            check_target(target)?;
            if *port == 0 { Err(BadProbe::PortZero) } else { Ok(()) }
        }
        Probe::Http { url, status, keyword, redirects, insecure: _ } => {
            Place::parse(url)?;
            status.parse::<StatusSet>()?;
            if keyword.len() > MAX_KEYWORD {
                return Err(BadProbe::Keyword);
            }
            if *redirects > MAX_REDIRECTS { Err(BadProbe::Redirects(*redirects)) } else { Ok(()) }
        }
    }
}

fn check_target(target: &str) -> Result<(), BadProbe> {
    if target.is_empty() {
        return Err(BadProbe::NoTarget);
    }
    match literal(target) {
        Some(IpAddr::V4(v4)) if v4.is_broadcast() || v4.is_multicast() || v4.is_unspecified() => {
            Err(BadProbe::NotOneDevice(v4.into()))
        }
        Some(IpAddr::V6(v6)) if v6.is_multicast() || v6.is_unspecified() => {
            Err(BadProbe::NotOneDevice(v6.into()))
        }
        Some(_) => Ok(()),
        None if is_name(target) => Ok(()),
        None => Err(BadProbe::BadTarget(target.chars().take(100).collect())),
    }
}

/// A host name as RFC 1123 has it, with the underscore that is met in practice. What ends in a number is a mistyped
/// address, which the system's resolver would read in a way of its own (`10.1` as `10.0.0.1`).
fn is_name(target: &str) -> bool {
    let name = target.strip_suffix('.').unwrap_or(target);
    let good_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let last = name.rsplit('.').next().unwrap_or_default();
    let number = last.bytes().all(|b| b.is_ascii_digit()) || last.starts_with("0x") || last.starts_with("0X");
    name.len() <= MAX_NAME && !number && name.split('.').all(good_label)
}

/// Where an HTTP request goes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Place {
    pub(crate) tls: bool,
    /// Address or name, without brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) uri: Uri,
}

impl Place {
    /// Reads a whole `http://` or `https://` URL; a fragment is left out.
    pub(crate) fn parse(url: &str) -> Result<Place, BadProbe> {
        let bad = || BadProbe::BadUrl(url.chars().take(100).collect());
        if url.len() > MAX_URL || !url.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(bad());
        }
        let (scheme, rest) = url.split_once("://").ok_or_else(bad)?;
        let tls = match scheme.to_ascii_lowercase().as_str() {
            "http" => false,
            "https" => true,
            _ => return Err(BadProbe::Scheme(scheme.chars().take(20).collect())),
        };
        if rest.split(['/', '?', '#']).next().is_some_and(|authority| authority.contains('@')) {
            return Err(BadProbe::Login);
        }
        let uri: Uri = url.parse().map_err(|_| bad())?;
        let authority = uri.authority().ok_or_else(bad)?;
        let host = authority.host();
        let port = match authority.as_str()[host.len()..].strip_prefix(':') {
            None | Some("") => {
                if tls {
                    443
                } else {
                    80
                }
            }
            Some(digits) => digits.parse().map_err(|_| bad())?,
        };
        if port == 0 {
            return Err(BadProbe::PortZero);
        }
        let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
        if bare.is_empty() {
            return Err(bad());
        }
        check_target(bare)?;
        Ok(Place { tls, host: bare.to_owned(), port, uri })
    }

    /// Where a `Location` leads that was met here: a URL, or a reference relative to this one (RFC 3986, 5.2).
    pub(crate) fn join(&self, location: &[u8]) -> Result<Place, BadProbe> {
        let mut text = String::new();
        for &byte in location.trim_ascii() {
            if byte.is_ascii_graphic() {
                text.push(char::from(byte));
            } else {
                text.push_str(&format!("%{byte:02X}"));
            }
        }
        let text = text.split('#').next().unwrap_or_default();
        let scheme_end = text.find(':').filter(|end| {
            let scheme = &text[..*end];
            scheme.starts_with(|c: char| c.is_ascii_alphabetic())
                && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
        });
        if let Some(end) = scheme_end {
            return if text[end..].starts_with("://") {
                Place::parse(text)
            } else {
                Err(BadProbe::Scheme(text[..end].chars().take(20).collect()))
            };
        }
        let scheme = if self.tls { "https" } else { "http" };
        if text.starts_with("//") {
            return Place::parse(&format!("{scheme}:{text}"));
        }
        let authority = self.uri.authority().map_or("", |authority| authority.as_str());
        let here = self.uri.path();
        let (path, query) = text.find('?').map_or((text, ""), |at| text.split_at(at));
        let path = match path {
            "" => here.to_owned(),
            whole if whole.starts_with('/') => without_dots(whole),
            relative => {
                let folder = &here[..here.rfind('/').map_or(0, |at| at + 1)];
                without_dots(&format!("{folder}{relative}"))
            }
        };
        let query = match self.uri.query() {
            Some(query) if text.is_empty() => format!("?{query}"),
            _ => query.to_owned(),
        };
        Place::parse(&format!("{scheme}://{authority}{path}{query}"))
    }
}

fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    for (nth, segment) in segments.iter().enumerate() {
        let last = nth + 1 == segments.len();
        match *segment {
            ".." => {
                kept.pop();
            }
            "." => {}
            other => kept.push(other),
        }
        if last && matches!(*segment, "." | "..") {
            kept.push("");
        }
    }
    format!("/{}", kept.join("/"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn icmp(target: &str) -> Result<(), BadProbe> {
        let target = target.to_owned();
        check(&Probe::Icmp { target, packets: 1, warn_loss_permille: None, warn_rtt: None })
    }

    fn http(url: &str) -> Result<(), BadProbe> {
        check(&Probe::Http {
            url: url.to_owned(),
            status: String::new(),
            keyword: String::new(),
            redirects: 0,
            insecure: false,
        })
    }

    #[test]
    fn addresses_and_names_are_targets_and_nothing_else_is() {
        for good in
            ["10.0.0.7", "::1", "fe80::1", "printer.lan", "a", "x_y.example.", "xn--bcher-kva.example"]
        {
            assert_eq!(icmp(good), Ok(()), "{good}");
        }
        assert_eq!(icmp(""), Err(BadProbe::NoTarget));
        let long = "a".repeat(300);
        for bad in [
            " ",
            "two words",
            "10.0.0.300",
            "10.1",
            "0x7f000001",
            "1.0xff",
            "a..b",
            "-a",
            "bücher.example",
            "fe80::1%eth0",
            "10.0.0.7:80",
            "a\0b",
            ".",
            &long,
        ] {
            assert!(matches!(icmp(bad), Err(BadProbe::BadTarget(_))), "{bad:?}");
        }
        for many in ["255.255.255.255", "224.0.0.1", "0.0.0.0", "ff02::1", "::"] {
            assert!(matches!(icmp(many), Err(BadProbe::NotOneDevice(_))), "{many}");
        }
    }

    #[test]
    fn numbers_out_of_range_are_refused() {
        let target = || "a".to_owned();
        let ping = |packets, loss| {
            check(&Probe::Icmp { target: target(), packets, warn_loss_permille: loss, warn_rtt: None })
        };
        assert_eq!(ping(0, None), Err(BadProbe::Packets(0)));
        assert_eq!(ping(21, None), Err(BadProbe::Packets(21)));
        assert_eq!(ping(20, Some(1001)), Err(BadProbe::Loss(1001)));
        assert_eq!(check(&Probe::Tcp { target: target(), port: 0 }), Err(BadProbe::PortZero));
    }

    #[test]
    fn a_url_is_http_or_https_with_a_host_and_no_login() {
        for good in ["http://a", "https://a.b:8443/c?d=e#f", "HTTP://[::1]:80/", "http://10.0.0.7:/"] {
            assert_eq!(http(good), Ok(()), "{good}");
        }
        assert_eq!(http("ftp://a/"), Err(BadProbe::Scheme("ftp".into())));
        assert_eq!(http("http://me:secret@a/"), Err(BadProbe::Login));
        assert_eq!(http("http://a:0/"), Err(BadProbe::PortZero));
        for bad in
            ["", "a", "http:/a", "http://", "http:///x", "http://a b/", "http://a:99999/", "http://[::1/"]
        {
            assert!(matches!(http(bad), Err(BadProbe::BadUrl(_))), "{bad:?}");
        }
    }

    #[test]
    fn a_redirect_leads_where_rfc_3986_says() {
        let here = Place::parse("https://a:8443/b/c/d?q").unwrap();
        for (location, there) in [
            ("http://x/y", "http://x/y"),
            ("//x/y", "https://x/y"),
            ("/y", "https://a:8443/y"),
            ("y", "https://a:8443/b/c/y"),
            ("../y?z", "https://a:8443/b/y?z"),
            ("../../../..", "https://a:8443/"),
            ("./", "https://a:8443/b/c/"),
            ("?z", "https://a:8443/b/c/d?z"),
            ("", "https://a:8443/b/c/d?q"),
            ("/y#f", "https://a:8443/y"),
            ("/a b\u{e9}", "https://a:8443/a%20b%C3%A9"),
            ("y?at=1:2", "https://a:8443/b/c/y?at=1:2"),
        ] {
            assert_eq!(here.join(location.as_bytes()), Place::parse(there), "{location}");
        }
        assert_eq!(here.join(b"ftp://x/"), Err(BadProbe::Scheme("ftp".into())));
        assert_eq!(here.join(b"mailto:a"), Err(BadProbe::Scheme("mailto".into())));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in ".{0,60}", location in prop::collection::vec(any::<u8>(), 0..60)) {
            drop(icmp(&text));
            drop(http(&text));
            drop(http(&format!("http://{text}")));
            drop(Place::parse("http://a/b").unwrap().join(&location));
        }
    }
}
