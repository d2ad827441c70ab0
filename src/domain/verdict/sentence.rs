//! The sentence: what happened, where, from when to when, on the clocks of the site.

use agent::report::Held;
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

/// From when to when, or since when. What began and ended within one minute is told by the second.
fn span(dossier: &Dossier, from: Time, until: Option<Time>) -> String {
    let zone = &dossier.zone;
    let Some(until) = until else {
        return format!("since {}", clock(from, Some(dossier.now), zone));
    };
    let told = |clock: fn(Time, Option<Time>, &TimeZone) -> String| {
        (clock(from, Some(until), zone), clock(until, Some(from), zone))
    };
    let ((began, ended), exactly) = (told(clock), told(clock_by_second));
    match exactly {
        _ if began != ended => format!("from {began} to {ended}"),
        (began, ended) if began != ended => format!("from {began} to {ended}"),
        (began, _) => format!("at {began}"),
    }
}

/// As [`clock`], with the second.
fn clock_by_second(at: Time, beside: Option<Time>, zone: &TimeZone) -> String {
    let second = wall::reading(at, zone).map_or(String::new(), |wall| format!(":{:02}", wall.second()));
    clock(at, beside, zone) + &second
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
        Code::NoAddress => format!("{device} had no address {when}: no DHCP server gave it one."),
        Code::Gateway => format!("The gateway{} of {device} was down {when}.", named(" ")),
        Code::LastMile => last_mile(here, found, when),
        Code::ProviderCore => provider_core(here, found, when),
        Code::Transit => transit(here, found, when),
        Code::Resolver => resolver(here, found, when),
        Code::DnsBlocked => dns_blocked(here, found, when),
        Code::OurDns => our_dns(here, found, when),
        Code::Server => server(here, found, when),
        Code::Path => path(here, cohort, found, when),
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
            format!("The address of {device} changed{} {when}: not an outage.", named(" from "))
        }
        Code::InboundFilter => {
            format!(
                "{device} reported {when} without a break, and did not answer from outside: a filter, or NAT."
            )
        }
        Code::Provisional | Code::Unknown => unknown(dossier, None),
    }
}

/// What is said behind the colon of a fault that another device of the site told of: this one knows no more.
fn together(found: &Finding) -> Option<String> {
    found.is_hearsay.then(|| format!("{} devices went dark together", found.devices))
}

/// A sentence with what is known beside it.
fn with(what: String, beside: Option<String>) -> String {
    match beside {
        Some(beside) => format!("{what}: {beside}."),
        None => format!("{what}."),
    }
}

fn last_mile(here: &str, found: &Finding, when: &str) -> String {
    let answered = found.beside.gateway == Held::Ok;
    let clause = match (answered, found.thing.as_str()) {
        (true, "") => "the gateway answered, and nothing beyond it did".to_owned(),
        (true, hop) => format!("the gateway answered, and nothing behind hop {hop} did"),
        (false, "") => "nothing beyond the gateway answered".to_owned(),
        (false, hop) => format!("nothing behind hop {hop} answered"),
    };
    with(format!("The provider's line to {here} was cut {when}"), together(found).or(Some(clause)))
}

fn provider_core(here: &str, found: &Finding, when: &str) -> String {
    let clause = match found.thing.as_str() {
        "" => "the line held, and further out nothing could be reached".to_owned(),
        hop => format!("the line held, and the way ended further out, behind hop {hop}"),
    };
    with(format!("The network of {here}'s provider failed {when}"), together(found).or(Some(clause)))
}

fn transit(here: &str, found: &Finding, when: &str) -> String {
    let clause = format!("from {here} a part of the internet could be reached, and a part could not");
    with(format!("Between providers something failed {when}"), together(found).or(Some(clause)))
}

fn server(here: &str, found: &Finding, when: &str) -> String {
    if !found.thing.is_empty() {
        return format!("The fault was at our own end {when}: {}.", found.thing);
    }
    let all_else = found.beside.anchors == Held::Ok;
    let clause = all_else.then(|| format!("from {here} all else could be reached"));
    with(format!("Our server did not answer {when}"), together(found).or(clause))
}

fn path(here: &str, cohort: &Cohort, found: &Finding, when: &str) -> String {
    let (all_else, others) = (found.beside.anchors == Held::Ok, cohort.others.fine > 0);
    let clause = match (all_else, others) {
        (true, true) => Some("all else could be reached, and other sites reached us"),
        (true, false) => Some("all else could be reached"),
        (false, true) => Some("other sites reached us"),
        (false, false) => None,
    };
    let what = format!("The way between {here}'s provider and our server was broken {when}");
    with(what, together(found).or(clause.map(str::to_owned)))
}

fn resolver(here: &str, found: &Finding, when: &str) -> String {
    let thing = if found.thing.is_empty() { String::new() } else { format!(" {}", found.thing) };
    let line = (found.beside.line == Held::Ok).then(|| "the line held".to_owned());
    with(format!("The resolver{thing} that {here} asks failed {when}"), line)
}

fn dns_blocked(here: &str, found: &Finding, when: &str) -> String {
    let line = if found.beside.line == Held::Ok { "the line held, and " } else { "" };
    format!("DNS was blocked at {here} {when}: {line}no resolver answered over UDP.")
}

fn our_dns(here: &str, found: &Finding, when: &str) -> String {
    let thing = if found.thing.is_empty() { String::new() } else { format!(" {}", found.thing) };
    let others = if found.beside.names == Held::Ok { ", and other names did" } else { "" };
    format!("Our own name{thing} did not resolve at {here} {when}{others}.")
}

fn site_power(here: &str, found: &Finding, when: &str) -> String {
    let devices = found.devices;
    if found.is_hearsay {
        return format!("Power was lost at {here} {when}: {devices} devices went dark together.");
    }
    let neither = if devices == 2 { "neither" } else { "none" };
    format!("Power was lost at {here} {when}: {devices} devices rebooted, {neither} shut down cleanly.")
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
