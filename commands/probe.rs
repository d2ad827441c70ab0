//! The options of a check that say what it does, and the probe they make.

use ::agent::report::Probe;
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
    #[arg(long, value_name = "LIST")]
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
/// What stands for an address that a device does not have yet, while a probe is looked at (RFC 5737).
const SOME_ADDRESS: &str = "192.0.2.1";

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
    let probe = match kind {
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
        Kind::Http => Some(Probe::Http {
            url: at.map_or_else(|| format!("http://{ADDRESS}/"), |url| url.trim().to_owned()),
            status: status.unwrap_or_default(),
            keyword: keyword.unwrap_or_default(),
            redirects: redirects.unwrap_or(REDIRECTS),
            insecure,
        }),
        Kind::CheckIn | Kind::Ping | Kind::Contact => None,
    };
    if let Some(probe) = &probe {
        ::agent::probe::check(&aimed_somewhere(probe)).map_err(|bad| Failure::usage(bad.to_string()))?;
    }
    Ok(probe)
}

/// The probe as it will be once its device has an address.
fn aimed_somewhere(probe: &Probe) -> Probe {
    let mut aimed = probe.clone();
    match &mut aimed {
        Probe::Icmp { target, .. } | Probe::Tcp { target, .. } if target.is_empty() => {
            SOME_ADDRESS.clone_into(target);
        }
        Probe::Http { url, .. } => *url = url.replace(ADDRESS, SOME_ADDRESS),
        Probe::Icmp { .. } | Probe::Tcp { .. } => {}
    }
    aimed
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
    fn shares_are_read_as_people_write_them() {
        assert_eq!(permille("5%"), Ok(50));
        assert_eq!(permille("0.5"), Ok(5));
        assert_eq!(permille("100%"), Ok(1_000));
        for text in ["", "101%", "-1%", "5.25%", "%", "five", "99999999999%"] {
            assert!(permille(text).is_err(), "{text}");
        }
    }

    fn none() -> ProbeOptions {
        ProbeOptions {
            target: None,
            port: None,
            packets: None,
            warn_loss: None,
            warn_rtt: None,
            url: None,
            status: None,
            keyword: None,
            redirects: None,
            insecure: false,
        }
    }

    #[test]
    fn a_probe_is_one_that_can_be_made() {
        for good in ["http://{address}/", "https://gw.example.net:8443/a?b=c", "http://[2001:db8::7]/"] {
            assert!(
                asked(ProbeOptions { url: Some(good.to_owned()), ..none() }, Kind::Http).is_ok(),
                "{good}"
            );
        }
        for bad in ["", "gw.example.net", "ftp://x/", "http://", "http:///x", "http://a b/", "http://a\nb/"] {
            assert!(
                asked(ProbeOptions { url: Some(bad.to_owned()), ..none() }, Kind::Http).is_err(),
                "{bad}"
            );
        }
        assert!(asked(ProbeOptions { status: Some("299-200".to_owned()), ..none() }, Kind::Http).is_err());
        let icmp = asked(none(), Kind::Icmp).unwrap().unwrap();
        assert!(aims_at_address(&icmp));
        assert!(asked(none(), Kind::Tcp).is_err(), "a port is missing");
        assert_eq!(asked(none(), Kind::Ping).unwrap(), None);
    }

    #[test]
    fn an_option_of_another_kind_is_refused() {
        let failure = asked(ProbeOptions { port: Some(22), ..none() }, Kind::Icmp).unwrap_err();
        assert_eq!(failure.message, "--port belongs to tcp, not to icmp");
        assert!(asked(ProbeOptions { insecure: true, ..none() }, Kind::Ping).is_err());
    }
}
