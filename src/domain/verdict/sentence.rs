//! The sentence: what happened, where, from when to when, on the clocks of the site.

use jiff::tz::TimeZone;
use schedules::{Millis, Time};

use super::Code;
use super::cohort::Cohort;
use super::findings::Finding;
use crate::domain::dossier::Dossier;
use crate::domain::wall;

/// A moment on the clocks of a zone: the time of day, with the day before it where it is another day than `beside`.
#[must_use]
pub fn clock(at: Time, beside: Option<Time>, zone: &TimeZone) -> String {
    let Some(wall) = wall::reading(at, zone) else { return "an unknown time".to_owned() };
    let same_day = beside
        .and_then(|beside| wall::reading(beside, zone))
        .is_some_and(|other| other.date() == wall.date());
    let time = format!("{:02}:{:02}", wall.hour(), wall.minute());
    if same_day { time } else { format!("{} {time}", wall.date()) }
}

/// The same with seconds and the zone's offset, for whoever is elsewhere.
#[must_use]
pub fn clock_with_zone(at: Time, zone: &TimeZone) -> String {
    let Ok(stamp) = jiff::Timestamp::from_millisecond(at.0) else { return "an unknown time".to_owned() };
    stamp.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S %:z").to_string()
}

/// A span as people say it: its two largest units.
#[must_use]
pub fn long_span(span: Millis) -> String {
    let ms = span.0.max(0);
    if ms < 1_000 {
        return format!("{ms} ms");
    }
    let secs = ms / 1_000;
    let (days, hours, minutes, seconds) = (secs / 86_400, secs / 3_600 % 24, secs / 60 % 60, secs % 60);
    let units = [(days, "d"), (hours, "h"), (minutes, "min"), (seconds, "s")];
    let first = units.iter().position(|(count, _)| *count > 0).unwrap_or(3);
    let shown = units[first..].iter().take(2).filter(|(count, _)| *count > 0);
    shown.map(|(count, unit)| format!("{count} {unit}")).collect::<Vec<_>>().join(" ")
}

/// Thousandths as percent.
pub(super) fn percent(permille: u32) -> String {
    if permille.is_multiple_of(10) {
        format!("{} %", permille / 10)
    } else {
        format!("{}.{} %", permille / 10, permille % 10)
    }
}

/// From when to when, or since when.
fn span(dossier: &Dossier, from: Time, until: Option<Time>) -> String {
    let began = clock(from, Some(until.unwrap_or(from)), &dossier.zone);
    match until {
        Some(until) => format!("from {began} to {}", clock(until, Some(from), &dossier.zone)),
        None => format!("since {}", clock(from, Some(dossier.now), &dossier.zone)),
    }
}

fn place(dossier: &Dossier) -> &str {
    dossier.site.as_deref().unwrap_or(dossier.device.as_str())
}

/// The site, or the device where it has none.
fn device_at(dossier: &Dossier) -> String {
    match &dossier.site {
        Some(site) => format!("{} at {site}", dossier.device),
        None => dossier.device.clone(),
    }
}

/// The sentence of a finding.
pub(super) fn of(dossier: &Dossier, cohort: &Cohort, found: &Finding) -> String {
    // What was there from the beginning of the outage on lasted as long as it did.
    let from_the_beginning = found.since.since(dossier.from).0.saturating_abs() <= 120_000;
    let (from, until) = if from_the_beginning && !is_of_a_gap(found.code) {
        (dossier.from, dossier.until)
    } else {
        (found.since, found.until.or(dossier.until))
    };
    let when = span(dossier, from, until);
    one_line(body(dossier, cohort, found, &when))
}

fn is_of_a_gap(code: Code) -> bool {
    matches!(code, Code::SitePower | Code::DevicePower | Code::Reboot | Code::AgentRestart | Code::Sleep)
}

fn body(dossier: &Dossier, cohort: &Cohort, found: &Finding, when: &str) -> String {
    let (device, here) = (device_at(dossier), place(dossier));
    let thing = found.thing.as_str();
    let named = |before: &str| if thing.is_empty() { String::new() } else { format!("{before}{thing}") };
    match found.code {
        Code::SitePower => site_power(here, found, when),
        Code::DevicePower => {
            format!("{device} lost its power {when}: it rebooted, and had not been shut down.")
        }
        Code::Reboot => format!("{device} was rebooted in order {when}: not an outage."),
        Code::AgentRestart => {
            format!("The agent on {device} was not running {when}; the device itself ran on: not an outage.")
        }
        Code::Sleep => format!("{device} slept {when}: not an outage."),
        Code::Link => {
            format!(
                "The link of {device} was down {when}: the cable of {thing}, its port, or what it is plugged into."
            )
        }
        Code::NoAddress => format!("{device} had a link and no address {when}: no DHCP server answered it."),
        Code::Gateway => format!("The gateway{} of {device} was down {when}.", named(" ")),
        Code::LastMile => {
            format!(
                "The provider's line to {here} was cut {when}: the gateway answered, and nothing beyond it did."
            )
        }
        Code::ProviderCore => provider_core(here, thing, when),
        Code::Transit => format!(
            "Between providers something failed {when}: from {here} a part of the internet could be reached, and a part could not."
        ),
        Code::Resolver => {
            format!("The resolver{} that {here} asks failed {when}: the line held.", named(" "))
        }
        Code::DnsBlocked => {
            format!("DNS was blocked at {here} {when}: the line held, and no resolver answered over UDP.")
        }
        Code::OurDns => {
            format!("Our own name{} did not resolve at {here} {when}, and other names did.", named(" "))
        }
        Code::Server => server(here, thing, when),
        Code::Path => path(here, cohort, when),
        Code::DeviceClock => {
            format!(
                "The clock of {device} was off{} {when}: it took our certificate for invalid.",
                named(" by ")
            )
        }
        Code::Certificate => format!(
            "{device} did not accept what answered for our server {when}: the certificate, or someone in the middle."
        ),
        Code::CaptivePortal => {
            format!("A captive portal stood between {here} and the internet {when}: is a bill unpaid?")
        }
        Code::Mtu => {
            format!(
                "From {here} no packets larger than {thing} bytes passed {when}: the MTU on the way is wrong."
            )
        }
        Code::LineNoise => format!("The line of {here} was bad {when}: it lost a part of all packets."),
        Code::Congestion => {
            format!("The link of {device} was full {when}: of our own traffic, so packets were lost or late.")
        }
        Code::AddressFamily => {
            format!("{} failed at {here} {when}; the other family of addresses worked.", named("Only "))
        }
        Code::AddressChange => {
            format!(
                "The address of {device} changed{} {when}: not an outage, all else was well.",
                named(" from ")
            )
        }
        Code::InboundFilter => {
            format!(
                "{device} reported {when} without a break, and did not answer from outside: a filter, or NAT."
            )
        }
        Code::Provisional | Code::Unknown => unknown(dossier, None),
    }
}

fn site_power(here: &str, found: &Finding, when: &str) -> String {
    let devices = found.devices;
    if found.is_hearsay {
        return format!("Power was lost at {here} {when}: {devices} devices went dark together.");
    }
    let neither = if devices == 2 { "neither" } else { "none" };
    format!("Power was lost at {here} {when}: {devices} devices rebooted, {neither} shut down cleanly.")
}

fn provider_core(here: &str, hop: &str, when: &str) -> String {
    let hop = if hop.is_empty() { String::new() } else { format!(", behind hop {hop}") };
    format!(
        "The network of {here}'s provider failed {when}: the line held, and the way ended further out{hop}."
    )
}

fn server(here: &str, why: &str, when: &str) -> String {
    match why {
        "" => format!("Our server did not answer {when}: from {here} all else could be reached."),
        why => format!("The fault was at our own end {when}: {why}."),
    }
}

fn path(here: &str, cohort: &Cohort, when: &str) -> String {
    let others = if cohort.others.fine > 0 { ", and other sites reached us" } else { "" };
    format!(
        "The way between {here}'s provider and our server was broken {when}: all else could be reached{others}."
    )
}

/// What is said as long as the device tells nothing.
pub(super) fn provisional(dossier: &Dossier, likeliest: Option<(Code, &str)>) -> String {
    let out = format!("{} is out {}", device_at(dossier), span(dossier, dossier.from, dossier.until));
    one_line(match likeliest {
        Some((code, why)) => {
            format!("{out} and has told nothing yet; the likeliest is {}: {why}.", phrase(code))
        }
        None => format!("{out} and has told nothing yet; nothing around it says why."),
    })
}

/// What is said where nothing fits.
pub(super) fn unknown(dossier: &Dossier, likeliest: Option<Code>) -> String {
    let when = span(dossier, dossier.from, dossier.until);
    one_line(match likeliest {
        Some(code) => format!(
            "It is not known why {} was out {when}; the likeliest is {}.",
            device_at(dossier),
            phrase(code)
        ),
        None => format!("It is not known why {} was out {when}.", device_at(dossier)),
    })
}

/// A code in a few words.
fn phrase(code: Code) -> &'static str {
    match code {
        Code::SitePower => "the site's power",
        Code::DevicePower => "its own power, or itself",
        Code::Reboot => "a reboot",
        Code::AgentRestart => "its agent",
        Code::Sleep => "that it sleeps",
        Code::Link => "its link",
        Code::NoAddress => "its address",
        Code::Gateway => "its gateway",
        Code::LastMile => "the provider's line to the site",
        Code::ProviderCore => "the provider's network",
        Code::Transit => "the way between providers",
        Code::Resolver => "the resolver",
        Code::DnsBlocked => "that DNS is blocked",
        Code::OurDns => "our own name",
        Code::Server => "our own server",
        Code::Path => "the way between its provider and us",
        Code::DeviceClock => "its clock",
        Code::Certificate => "the certificate",
        Code::CaptivePortal => "a captive portal",
        Code::Mtu => "the MTU",
        Code::LineNoise => "a bad line",
        Code::Congestion => "a full link",
        Code::AddressFamily => "one family of addresses",
        Code::AddressChange => "a new address",
        Code::InboundFilter => "a filter for what comes in",
        Code::Provisional | Code::Unknown => "not known",
    }
}

/// Names are checked where they are made; whatever else comes in stays on one line.
fn one_line(text: String) -> String {
    if text.chars().any(char::is_control) {
        text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_and_moments_are_told_as_people_say_them() {
        for (ms, said) in [
            (-5, "0 ms"),
            (750, "750 ms"),
            (59_999, "59 s"),
            (60_000, "1 min"),
            (2_220_000, "37 min"),
            (3_661_000, "1 h 1 min"),
            (86_400_000 * 3, "3 d"),
        ] {
            assert_eq!(long_span(Millis(ms)), said);
        }
        let berlin = TimeZone::get("Europe/Berlin").unwrap();
        let at = Time(1_795_356_000_000);
        assert_eq!(clock(at, Some(at), &berlin), "15:00");
        assert_eq!(clock(at, Some(at - Millis(86_400_000)), &berlin), "2026-11-22 15:00");
        assert_eq!(clock_with_zone(at, &berlin), "2026-11-22 15:00:00 +01:00");
        assert_eq!(clock(Time::MAX, None, &berlin), "an unknown time");
        assert_eq!((percent(20), percent(125)), ("2 %".to_owned(), "12.5 %".to_owned()));
    }
}
