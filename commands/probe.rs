//! The options of a check that say what it does, and the probe they make.

use agent::report::Probe;
use clap::Args;
use lineman::domain::check::Kind;
use lineman::server::config::ADDRESS;
use schedules::Millis;

use crate::address;
use crate::check::within;
use crate::failure::Failure;

/// What a check does.
#[derive(Args)]
#[command(next_help_heading = "What it does")]
pub struct ProbeOptions {
    /// icmp, tcp: what to reach [default: the device's address]
    #[arg(long, value_name = "ADDRESS", value_parser = address::check)]
    target: Option<String>,
    /// tcp: the port
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,
    /// icmp: how many packets [default: 3]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=20))]
    packets: Option<u32>,
    /// icmp: more loss than this is a warning: 5%, or 0.5%
    #[arg(long, value_name = "PERCENT", value_parser = permille)]
    warn_loss: Option<u32>,
    /// icmp: a longer round trip than this is a warning
    #[arg(long, value_name = "SPAN", value_parser = round_trip)]
    warn_rtt: Option<Millis>,
    /// http: what to ask; {address} stands for the device's address [default: http://{address}/]
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// http: the statuses that are good [default: 200-399]
    #[arg(long, value_name = "LIST", value_parser = statuses)]
    status: Option<String>,
    /// http: a text that the answer must hold
    #[arg(long, value_name = "TEXT")]
    keyword: Option<String>,
    /// http: how many redirects are followed [default: 5]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=20))]
    redirects: Option<u32>,
    /// http: do not verify the certificate
    #[arg(long)]
    insecure: bool,
}

/// How many redirects are followed where nobody says.
const REDIRECTS: u32 = 5;
/// How many packets are sent where nobody says.
const PACKETS: u32 = 3;
/// The longest URL, and the longest keyword, in bytes.
const MAX_TEXT: usize = 2_000;

fn permille(text: &str) -> Result<u32, String> {
    let bad = || "write a share of 0% to 100%, like 5% or 0.5%".to_owned();
    let number = text.trim().trim_end_matches('%');
    let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(part) || part.len() > 1 {
        return Err(bad());
    }
    let permille = whole.parse::<u32>().ok().and_then(|n| n.checked_mul(10)).zip(part.parse::<u32>().ok());
    permille.map(|(whole, part)| whole + part).filter(|&n| n <= 1_000).ok_or_else(bad)
}

fn round_trip(text: &str) -> Result<Millis, String> {
    within(text, Millis(1), Millis::from_secs(600))
}

fn statuses(text: &str) -> Result<String, String> {
    let bad = || "write statuses from 100 to 599, like 200 or 200-299,401".to_owned();
    let code = |text: &str| text.parse::<u16>().ok().filter(|code| (100..600).contains(code)).ok_or_else(bad);
    let parts: Vec<&str> = text.split(',').map(str::trim).collect();
    for part in &parts {
        match part.split_once('-') {
            Some((from, to)) if code(from.trim())? <= code(to.trim())? => {}
            Some(_) => return Err(bad()),
            None => drop(code(part)?),
        }
    }
    Ok(parts.join(",").replace(' ', ""))
}

fn url(text: &str) -> Result<String, Failure> {
    let bad = |why: &str| {
        let shown: String = text.chars().take(80).collect();
        Failure::usage(format!("--url '{shown}': {why}"))
            .hint("write it as https://gw.example.net/health or http://{address}/")
    };
    let plain = text.trim();
    if plain.len() > MAX_TEXT || plain.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err(bad("it is too long, or has spaces"));
    }
    let filled = plain.replace(ADDRESS, "192.0.2.1");
    let parsed: Result<axum::http::Uri, _> = filled.parse();
    match parsed {
        Ok(uri)
            if matches!(uri.scheme_str(), Some("http" | "https"))
                && uri.host().is_some_and(|h| !h.is_empty()) =>
        {
            Ok(plain.to_owned())
        }
        Ok(_) | Err(_) => Err(bad("this is no URL of http or https")),
    }
}

/// Whether a probe goes to whatever address its device has.
pub fn aims_at_address(probe: &Probe) -> bool {
    match probe {
        Probe::Icmp { target, .. } | Probe::Tcp { target, .. } => target.is_empty(),
        Probe::Http { url, .. } => url.contains(ADDRESS),
    }
}

/// The probe that the options ask for; none for a kind that probes nothing.
pub fn asked(options: ProbeOptions, kind: Kind) -> Result<Option<Probe>, Failure> {
    refuse_strangers(&options, kind)?;
    let ProbeOptions {
        target,
        port,
        packets,
        warn_loss,
        warn_rtt,
        url: at,
        status,
        keyword,
        redirects,
        insecure,
    } = options;
    let target = target.unwrap_or_default();
    Ok(match kind {
        Kind::Icmp => Some(Probe::Icmp {
            target,
            packets: packets.unwrap_or(PACKETS),
            warn_loss_permille: warn_loss,
            warn_rtt,
        }),
        Kind::Tcp => {
            let port = port.ok_or_else(|| Failure::usage("a tcp check needs a port").hint("add --port N"))?;
            Some(Probe::Tcp { target, port })
        }
        Kind::Http => {
            let keyword = keyword.unwrap_or_default();
            if keyword.len() > MAX_TEXT {
                return Err(Failure::usage(format!("a keyword has at most {MAX_TEXT} bytes")));
            }
            Some(Probe::Http {
                url: url(at.as_deref().unwrap_or("http://{address}/"))?,
                status: status.unwrap_or_default(),
                keyword,
                redirects: redirects.unwrap_or(REDIRECTS),
                insecure,
            })
        }
        Kind::CheckIn | Kind::Ping | Kind::Contact => None,
    })
}

/// An option of another kind of check is a mistake that would pass unseen.
fn refuse_strangers(options: &ProbeOptions, kind: Kind) -> Result<(), Failure> {
    let (icmp, tcp, http) = (&[Kind::Icmp][..], &[Kind::Tcp][..], &[Kind::Http][..]);
    let both = &[Kind::Icmp, Kind::Tcp][..];
    let given = [
        ("--target", options.target.is_some(), both),
        ("--port", options.port.is_some(), tcp),
        ("--packets", options.packets.is_some(), icmp),
        ("--warn-loss", options.warn_loss.is_some(), icmp),
        ("--warn-rtt", options.warn_rtt.is_some(), icmp),
        ("--url", options.url.is_some(), http),
        ("--status", options.status.is_some(), http),
        ("--keyword", options.keyword.is_some(), http),
        ("--redirects", options.redirects.is_some(), http),
        ("--insecure", options.insecure, http),
    ];
    match given.into_iter().find(|(_, given, of)| *given && !of.contains(&kind)) {
        None => Ok(()),
        Some((flag, _, of)) => {
            let of = of.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ");
            Err(Failure::usage(format!("{flag} belongs to {of}, not to {kind}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_and_statuses_are_read_as_people_write_them() {
        assert_eq!(permille("5%"), Ok(50));
        assert_eq!(permille("0.5"), Ok(5));
        assert_eq!(permille("100%"), Ok(1_000));
        for text in ["", "101%", "-1%", "5.25%", "%", "five", "99999999999%"] {
            assert!(permille(text).is_err(), "{text}");
        }
        assert_eq!(statuses("200-299, 401"), Ok("200-299,401".to_owned()));
        for text in ["", "99", "600", "299-200", "200-", "ok", "200,,201"] {
            assert!(statuses(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_url_is_one_of_http() {
        for good in ["http://{address}/", "https://gw.example.net:8443/a?b=c", "http://[2001:db8::7]/"] {
            assert!(url(good).is_ok(), "{good}");
        }
        for bad in ["", "gw.example.net", "ftp://x/", "http://", "http:///x", "http://a b/", "http://a\nb/"] {
            assert!(url(bad).is_err(), "{bad}");
        }
    }
}
