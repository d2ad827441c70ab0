//! The settings: each has a name, a default, a meaning, and bounds; all of them can be turned, so that a test or a
//! small site can run every rule in seconds.

use std::net::IpAddr;

use schedules::{Cadence, Millis, Time};

use crate::domain::dns::{Key, Zone};
use crate::domain::rollup::Kept;

/// What kind of value a setting takes, and within which bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A span, `30s`: from, to.
    Span(Millis, Millis),
    /// A whole number: from, to.
    Count(i64, i64),
    /// When: a span or a cron line.
    When,
    /// Names of devices with commas between them: at most so many.
    Names(usize),
    /// Names of sites with commas between them: at most so many.
    Sites(usize),
    /// One of these words.
    Word(&'static [&'static str]),
    /// IP addresses with commas between them: at most so many.
    Addresses(usize),
    /// Spans with commas between them: from, to, at most so many.
    Spans(Millis, Millis, usize),
    /// A line of text: at most so many bytes.
    Text(usize),
    /// The name of a zone in DNS.
    Zone,
    /// The key with which a name server is updated: nobody is shown it again.
    Key,
}

/// One setting.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Its name, `check.retry`.
    pub key: &'static str,
    /// What it is where nobody set it.
    pub default: &'static str,
    /// What it takes.
    pub shape: Shape,
    /// What it means, in one sentence.
    pub meaning: &'static str,
}

const MS: Millis = Millis(1);
const SECOND: Millis = Millis::from_secs(1);
const HOUR: Millis = Millis::from_secs(3_600);
const DAY: Millis = Millis::from_secs(86_400);
const YEAR: Millis = Millis::from_secs(366 * 86_400);

/// All settings there are, in the order they are shown.
#[rustfmt::skip]
pub const ALL: &[Setting] = &[
    Setting { key: "agent.cut_off_after", default: "3", shape: Shape::Count(1, 1_000),
        meaning: "failed tries in a row after which an agent calls itself cut off" },
    Setting { key: "agent.keep_for", default: "7d", shape: Shape::Span(HOUR, YEAR),
        meaning: "how long an agent keeps what it could not deliver" },
    Setting { key: "agent.keep_mib", default: "64", shape: Shape::Count(1, 4_096),
        meaning: "how much of it an agent keeps at most, in MiB" },
    Setting { key: "agent.retry_max", default: "5m", shape: Shape::Span(SECOND, DAY),
        meaning: "the longest pause between an agent's tries to reach the server" },
    Setting { key: "blind.anchors", default: "", shape: Shape::Names(16),
        meaning: "devices the server reaches first: when all of them fail, the server itself is cut off" },
    Setting { key: "blind.share", default: "50", shape: Shape::Count(1, 100),
        meaning: "the server is cut off when more than this share of unrelated sites drop together, in percent" },
    Setting { key: "blind.sites", default: "3", shape: Shape::Count(2, 10_000),
        meaning: "how many unrelated sites there must be for that" },
    Setting { key: "blind.window", default: "1m", shape: Shape::Span(SECOND, HOUR),
        meaning: "how close together they drop" },
    Setting { key: "check.every", default: "30s", shape: Shape::When,
        meaning: "when a check runs that has no schedule of its own" },
    Setting { key: "check.good_results", default: "2", shape: Shape::Count(1, 100),
        meaning: "good results in a row after which a failed check is good again" },
    Setting { key: "check.retry", default: "10s", shape: Shape::Span(Millis(100), DAY),
        meaning: "how soon a check that fails softly is tried again" },
    Setting { key: "check.soft_failures", default: "3", shape: Shape::Count(1, 100),
        meaning: "failures in a row after which a check has failed (hard)" },
    Setting { key: "check.timeout", default: "5s", shape: Shape::Span(Millis(10), Millis::from_secs(600)),
        meaning: "the longest wait for an answer of a check that has no limit of its own" },
    Setting { key: "check_in.every", default: "30s", shape: Shape::Span(SECOND, DAY),
        meaning: "how often agents check in" },
    Setting { key: "check_in.grace", default: "10s", shape: Shape::Span(Millis::ZERO, DAY),
        meaning: "a check-in counts as missed after two intervals and this" },
    Setting { key: "contact.backoff", default: "5m", shape: Shape::Span(SECOND, DAY),
        meaning: "the longest pause between attempts to contact a device whose check-ins stopped" },
    Setting { key: "dns.key", default: "", shape: Shape::Key,
        meaning: "the TSIG key with which the name server is updated: NAME:ALGORITHM:BASE64" },
    Setting { key: "dns.server", default: "", shape: Shape::Text(255),
        meaning: "the name server that is updated with devices' addresses (RFC 2136): HOST or HOST:PORT; empty: none" },
    Setting { key: "dns.ttl", default: "1m", shape: Shape::Span(SECOND, DAY),
        meaning: "how long others may keep a device's address before they ask again" },
    Setting { key: "dns.zone", default: "", shape: Shape::Zone,
        meaning: "the zone in which devices' names stand at that name server" },
    Setting { key: "event.keep", default: "1830d", shape: Shape::Span(DAY, Millis(YEAR.0 * 100)),
        meaning: "how long events are kept" },
    Setting { key: "flap.changes", default: "6", shape: Shape::Count(2, 1_000),
        meaning: "a device flaps when its state changes this often" },
    Setting { key: "flap.quiet", default: "15m", shape: Shape::Span(SECOND, DAY),
        meaning: "without a change for this long it is quiet again" },
    Setting { key: "flap.window", default: "30m", shape: Shape::Span(SECOND, DAY),
        meaning: "within which time it changes that often" },
    Setting { key: "ladder.again", default: "10s,30s,2m,10m", shape: Shape::Spans(SECOND, DAY, 16),
        meaning: "how soon an agent that is cut off looks again where the fault is; the last one repeats" },
    Setting { key: "ladder.anchors", default: "", shape: Shape::Addresses(8),
        meaning: "addresses that agents try to reach when they are cut off; empty: the next hops beyond their gateway" },
    Setting { key: "ladder.baseline", default: "6h", shape: Shape::Span(Millis::ZERO, YEAR),
        meaning: "how often agents look at their line on a good day, to compare with; 0s: never" },
    Setting { key: "ladder.hops", default: "20", shape: Shape::Count(1, 64),
        meaning: "the most hops of a route" },
    Setting { key: "ladder.name", default: "", shape: Shape::Text(255),
        meaning: "a name of somebody else's that resolvers are asked for; empty: the host of ladder.page" },
    Setting { key: "ladder.page", default: "", shape: Shape::Text(1_000),
        meaning: "an http:// page with a known body, to notice who answers in between; empty: none" },
    Setting { key: "ladder.page_body", default: "", shape: Shape::Text(500),
        meaning: "a text that this page's body holds" },
    Setting { key: "ladder.resolver", default: "", shape: Shape::Addresses(1),
        meaning: "another resolver, to compare the configured ones with; empty: none" },
    Setting { key: "ladder.timeout", default: "1s", shape: Shape::Span(Millis(50), Millis::from_secs(30)),
        meaning: "the longest wait for one answer" },
    Setting { key: "maintenance.when", default: "30 3 * * *", shape: Shape::When,
        meaning: "when the database is looked after: checkpoint, optimise, prune" },
    Setting { key: "notify.give_up", default: "1d", shape: Shape::Span(SECOND, YEAR),
        meaning: "how long a notification is tried before it is given up" },
    Setting { key: "notify.group_interval", default: "5m", shape: Shape::Span(Millis::ZERO, DAY),
        meaning: "news of tickets that were told are collected this long" },
    Setting { key: "notify.group_wait", default: "30s", shape: Shape::Span(Millis::ZERO, DAY),
        meaning: "the first news of tickets are collected this long" },
    Setting { key: "notify.repeat", default: "4h", shape: Shape::Span(SECOND, YEAR),
        meaning: "what lasts is told again after this long" },
    Setting { key: "notify.retry", default: "10s", shape: Shape::Span(Millis(100), DAY),
        meaning: "how soon a delivery that failed is tried again; then ever later" },
    Setting { key: "notify.retry_max", default: "15m", shape: Shape::Span(SECOND, DAY),
        meaning: "the longest pause between two tries of a delivery" },
    Setting { key: "reading.keep", default: "2d", shape: Shape::Span(HOUR, YEAR),
        meaning: "how long readings are kept as they were measured" },
    Setting { key: "recorder.every", default: "30s", shape: Shape::Span(SECOND, HOUR),
        meaning: "how often an agent's flight recorder notes how the device stands" },
    Setting { key: "rollup.day", default: "1830d", shape: Shape::Span(DAY, Millis(YEAR.0 * 100)),
        meaning: "how long readings are kept as one value a day" },
    Setting { key: "rollup.hour", default: "90d", shape: Shape::Span(DAY, Millis(YEAR.0 * 100)),
        meaning: "how long readings are kept as one value an hour" },
    Setting { key: "rollup.minute", default: "7d", shape: Shape::Span(HOUR, Millis(YEAR.0 * 100)),
        meaning: "how long readings are kept as one value a minute" },
    Setting { key: "service.respond_p1", default: "15m", shape: Shape::Span(Millis::ZERO, YEAR),
        meaning: "how soon somebody responds to a P1 ticket, in service hours; 0s: no promise" },
    Setting { key: "service.respond_p2", default: "30m", shape: Shape::Span(Millis::ZERO, YEAR),
        meaning: "how soon somebody responds to a P2 ticket, in service hours; 0s: no promise" },
    Setting { key: "service.respond_p3", default: "4h", shape: Shape::Span(Millis::ZERO, YEAR),
        meaning: "how soon somebody responds to a P3 ticket, in service hours; 0s: no promise" },
    Setting { key: "service.respond_p4", default: "8h", shape: Shape::Span(Millis::ZERO, YEAR),
        meaning: "how soon somebody responds to a P4 ticket, in service hours; 0s: no promise" },
    Setting { key: "service.respond_p5", default: "0s", shape: Shape::Span(Millis::ZERO, YEAR),
        meaning: "how soon somebody responds to a P5 ticket, in service hours; 0s: no promise" },
    Setting { key: "service.restore_p1", default: "4h", shape: Shape::Span(Millis::ZERO, YEAR),
        meaning: "how soon a P1 trouble is over, in service hours; 0s: no promise" },
    Setting { key: "service.restore_p2", default: "8h", shape: Shape::Span(Millis::ZERO, YEAR),
        meaning: "how soon a P2 trouble is over, in service hours; 0s: no promise" },
    Setting { key: "service.restore_p3", default: "1d", shape: Shape::Span(Millis::ZERO, YEAR),
        meaning: "how soon a P3 trouble is over, in service hours; 0s: no promise" },
    Setting { key: "service.restore_p4", default: "5d", shape: Shape::Span(Millis::ZERO, YEAR),
        meaning: "how soon a P4 trouble is over, in service hours; 0s: no promise" },
    Setting { key: "service.restore_p5", default: "0s", shape: Shape::Span(Millis::ZERO, YEAR),
        meaning: "how soon a P5 trouble is over, in service hours; 0s: no promise" },
    Setting { key: "service.warn_at", default: "80", shape: Shape::Count(1, 99),
        meaning: "a promise is nearly broken when this share of its time is over, in percent" },
    Setting { key: "status.page", default: "off", shape: Shape::Word(&["off", "all"]),
        meaning: "whether everybody may see the status page for customers at /status: off, or all" },
    Setting { key: "status.sites", default: "", shape: Shape::Sites(64),
        meaning: "the sites that the status page names; empty: it tells of all together, and names none" },
    Setting { key: "ticket.group_wait", default: "30s", shape: Shape::Span(Millis::ZERO, DAY),
        meaning: "how long a device is down before a ticket is opened" },
    Setting { key: "ticket.reopen_within", default: "1d", shape: Shape::Span(Millis::ZERO, YEAR),
        meaning: "a relapse this soon after a ticket resolved itself reopens it" },
    Setting { key: "ticket.settle", default: "30m", shape: Shape::Span(MS, YEAR),
        meaning: "how long a device is well before its ticket resolves itself" },
];

/// Why a value does not go into a setting.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSetting {
    /// There is no such setting.
    #[error("there is no setting '{0}'")]
    Unknown(String),
    /// The value is none of its kind, or out of bounds.
    #[error("{key} = '{value}': {why}")]
    Value {
        /// The setting.
        key: &'static str,
        /// What it was to become.
        value: String,
        /// What is wrong with that.
        why: String,
    },
}

/// The setting of that name.
///
/// # Errors
/// There is none.
pub fn find(key: &str) -> Result<&'static Setting, BadSetting> {
    ALL.iter().find(|s| s.key == key).ok_or_else(|| BadSetting::Unknown(key.escape_debug().to_string()))
}

/// How the keys of settings begin that can be set for a site or a device.
pub const SCOPED: &[&str] = &["ladder.", "recorder."];

impl Setting {
    /// Whether it can be set for a site or a device.
    #[must_use]
    pub fn is_scoped(&self) -> bool {
        SCOPED.iter().any(|start| self.key.starts_with(start))
    }

    /// The value as it is kept, if it is one.
    ///
    /// # Errors
    /// It is none of the setting's kind, or out of its bounds.
    pub fn check(&self, value: &str) -> Result<String, BadSetting> {
        let value = value.trim();
        let bad = |why: String| BadSetting::Value {
            key: self.key,
            value: value.chars().take(80).collect::<String>().escape_debug().to_string(),
            why,
        };
        match self.shape {
            Shape::Span(from, to) => {
                let span: Millis =
                    value.parse().map_err(|_| bad("not a span: write 500ms, 30s, 5m, 2h or 7d".into()))?;
                if span < from || span > to {
                    return Err(bad(format!("must be from {from} to {to}")));
                }
                Ok(span.to_string())
            }
            Shape::Count(from, to) => {
                let count: i64 = value.parse().map_err(|_| bad("not a whole number".into()))?;
                if count < from || count > to {
                    return Err(bad(format!("must be from {from} to {to}")));
                }
                Ok(count.to_string())
            }
            Shape::Names(most) | Shape::Sites(most) => {
                let names: Vec<&str> =
                    value.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
                if names.len() > most {
                    return Err(bad(format!("{} names: {most} are the most", names.len())));
                }
                for name in &names {
                    crate::domain::name::check(name).map_err(|e| bad(e.to_string()))?;
                }
                Ok(names.join(","))
            }
            Shape::Addresses(most) => {
                let found = listed(value).map(str::parse::<IpAddr>).collect::<Result<Vec<_>, _>>();
                let found = found.map_err(|_| bad("not IP addresses with commas between them".into()))?;
                if found.len() > most {
                    return Err(bad(format!("{} addresses: {most} are the most", found.len())));
                }
                Ok(found.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(","))
            }
            Shape::Spans(from, to, most) => {
                let found = listed(value).map(str::parse::<Millis>).collect::<Result<Vec<_>, _>>();
                let found = found.map_err(|_| bad("not spans with commas between them: 10s,30s".into()))?;
                if found.is_empty() || found.len() > most {
                    return Err(bad(format!("{} spans: from 1 to {most}", found.len())));
                }
                if found.iter().any(|span| *span < from || *span > to) {
                    return Err(bad(format!("each must be from {from} to {to}")));
                }
                Ok(found.iter().map(Millis::to_string).collect::<Vec<_>>().join(","))
            }
            Shape::Zone if value.is_empty() => Ok(String::new()),
            Shape::Zone => value.parse().map(|zone: Zone| zone.to_string()).map_err(|e| bad(e.to_string())),
            Shape::Key if value.is_empty() => Ok(String::new()),
            Shape::Key => match value.parse::<Key>() {
                Ok(_) => Ok(value.to_owned()),
                // What was meant to be one is not shown either.
                Err(why) => {
                    Err(BadSetting::Value { key: self.key, value: "…".to_owned(), why: why.to_owned() })
                }
            },
            Shape::Text(most) => {
                if value.len() > most || value.chars().any(char::is_control) {
                    return Err(bad(format!("must be one line of at most {most} bytes")));
                }
                Ok(value.to_owned())
            }
            Shape::Word(known) if known.contains(&value) => Ok(value.to_owned()),
            Shape::Word(known) => Err(bad(format!("must be one of: {}", known.join(", ")))),
            Shape::When => {
                let cadence: Cadence =
                    value.parse().map_err(|e: schedules::BadCadence| bad(e.to_string()))?;
                Ok(cadence.to_string())
            }
        }
    }
}

/// What stands between commas.
fn listed(value: &str) -> impl Iterator<Item = &str> {
    value.split(',').map(str::trim).filter(|part| !part.is_empty())
}

/// All settings as they stand, read once and handed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings(Vec<(&'static str, String)>);

impl Settings {
    /// The defaults, with `set` over them; what is unknown or out of bounds among those is passed over (a newer
    /// lineman may have written it).
    #[must_use]
    pub fn new(set: impl IntoIterator<Item = (String, String)>) -> Settings {
        let all: Vec<(&'static str, String)> = ALL.iter().map(|s| (s.key, s.default.to_owned())).collect();
        Settings(all).with(set)
    }

    /// The same with `set` over them; what is unknown or out of bounds among those is passed over.
    #[must_use]
    pub fn with(&self, set: impl IntoIterator<Item = (String, String)>) -> Settings {
        let mut all = self.0.clone();
        for (key, value) in set {
            if let Ok(value) = find(&key).and_then(|s| s.check(&value))
                && let Some(slot) = all.iter_mut().find(|(k, _)| *k == key)
            {
                slot.1 = value;
            }
        }
        Settings(all)
    }

    /// A setting's value as text.
    #[must_use]
    pub fn text(&self, key: &str) -> &str {
        self.0.iter().find(|(k, _)| *k == key).map_or("", |(_, v)| v.as_str())
    }

    /// A setting that is a span.
    ///
    /// # Panics
    /// The key names no span: a fault of the caller, found by the first test that runs it.
    #[must_use]
    pub fn span(&self, key: &str) -> Millis {
        self.text(key).parse().unwrap_or_else(|_| panic!("setting {key} is no span"))
    }

    /// From when on readings are kept, and how. What is coarser is kept as long as what is finer, at least.
    #[must_use]
    pub fn kept(&self, now: Time) -> Kept {
        let samples = now - self.span("reading.keep");
        let minutes = samples.min(now - self.span("rollup.minute"));
        let hours = minutes.min(now - self.span("rollup.hour"));
        Kept { samples, minutes, hours, days: hours.min(now - self.span("rollup.day")) }
    }

    /// A setting that is a list of names.
    pub fn names(&self, key: &str) -> impl Iterator<Item = &str> {
        self.text(key).split(',').filter(|name| !name.is_empty())
    }

    /// A setting that is a list of addresses.
    pub fn addresses(&self, key: &str) -> impl Iterator<Item = IpAddr> {
        listed(self.text(key)).filter_map(|address| address.parse().ok())
    }

    /// A setting that is a list of spans.
    pub fn spans(&self, key: &str) -> impl Iterator<Item = Millis> {
        listed(self.text(key)).filter_map(|span| span.parse().ok())
    }

    /// A setting that is a count.
    ///
    /// # Panics
    /// The key names no count: a fault of the caller, found by the first test that runs it.
    #[must_use]
    pub fn count(&self, key: &str) -> i64 {
        self.text(key).parse().unwrap_or_else(|_| panic!("setting {key} is no count"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_is_a_value_of_its_setting_and_the_keys_are_sorted() {
        for setting in ALL {
            assert_eq!(setting.check(setting.default).unwrap(), setting.default, "{}", setting.key);
        }
        assert!(ALL.is_sorted_by_key(|s| s.key));
    }

    #[test]
    fn a_wrong_value_is_refused_with_its_bounds() {
        let every = find("check_in.every").unwrap();
        for value in ["0s", "-1s", "30", "soon", "400d", ""] {
            assert!(every.check(value).is_err(), "{value}");
        }
        let failures = find("check.soft_failures").unwrap();
        assert_eq!(
            failures.check("0").unwrap_err().to_string(),
            "check.soft_failures = '0': must be from 1 to 100"
        );
        assert!(find("check.retires").is_err());
        assert!(find("maintenance.when").unwrap().check("61 3 * * *").is_err());
        assert_eq!(
            find("status.page").unwrap().check("on").unwrap_err().to_string(),
            "status.page = 'on': must be one of: off, all"
        );
    }

    #[test]
    fn what_is_stored_but_unknown_does_no_harm() {
        let settings = Settings::new([("no.such".into(), "1".into()), ("check.retry".into(), "1s".into())]);
        assert_eq!(settings.span("check.retry"), Millis(1_000));
        assert_eq!(settings.count("check.soft_failures"), 3);
    }
}
