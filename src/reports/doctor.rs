//! What a doctor looks at: each thing well or not, in a sentence, and what to do about it.

use std::path::Path;

use exports::{Column, Table, Value};
use schedules::Millis;

use crate::domain::named;
use crate::domain::setting::Settings;
use crate::store::dns::{self, State};
use crate::store::filter::{Page, Selection};
use crate::store::{Result, Tx, doctor, settings};

named! {
    /// How a thing is.
    pub enum Health {
        /// Well.
        Ok = "ok",
        /// It wants looking at.
        Warn = "warn",
        /// It is broken.
        Fail = "fail",
    }
}

/// A server that said longer ago than this that it is alive is not.
const ALIVE_WITHIN: Millis = Millis::from_secs(30);
/// A delivery that waits for longer is stuck.
const STUCK_AFTER: Millis = Millis::from_secs(600);
/// A device's clock that is further off than this is named.
const SKEW: Millis = Millis::from_secs(5);
/// Less than this share of the disk free wants looking at, and less than that is trouble, in percent.
const FREE_WARN: u64 = 10;
const FREE_FAIL: u64 = 2;
/// The most names in one sentence.
const NAMED: usize = 5;

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What was looked at.
    pub check: &'static str,
    /// How it is.
    pub health: Health,
    /// A sentence.
    pub says: String,
    /// What to do; empty where nothing is.
    pub advice: String,
}

impl Finding {
    fn ok(check: &'static str, says: impl Into<String>) -> Finding {
        Finding { check, health: Health::Ok, says: says.into(), advice: String::new() }
    }

    fn warn(check: &'static str, says: impl Into<String>, advice: impl Into<String>) -> Finding {
        Finding { check, health: Health::Warn, says: says.into(), advice: advice.into() }
    }

    fn fail(check: &'static str, says: impl Into<String>, advice: impl Into<String>) -> Finding {
        Finding { check, health: Health::Fail, says: says.into(), advice: advice.into() }
    }
}

/// Looks at everything that the database tells.
///
/// # Errors
/// The database's.
pub fn look(tx: &Tx) -> Result<Vec<Finding>> {
    let known = settings::load(tx)?;
    let mut all = vec![database(tx)?, server(tx)?, agents(tx)?, clocks(tx)?, deliveries(tx)?];
    all.extend(names(tx, &known)?);
    Ok(all)
}

/// What was found, as a list.
#[must_use]
pub fn table(findings: &[Finding]) -> Table {
    let columns = vec![
        Column::text("check", "CHECK"),
        Column::state("health", "HEALTH"),
        Column::text("says", "SAYS"),
        Column::text("advice", "WHAT TO DO"),
    ];
    let mut table = Table::new("findings", columns);
    for finding in findings {
        table.push(vec![
            Value::Text(finding.check.to_owned()),
            Value::Text(finding.health.to_string()),
            Value::Text(finding.says.clone()),
            Value::Text(finding.advice.clone()),
        ]);
    }
    table
}

/// How much of the disk is free.
#[must_use]
pub fn disk(folder: &Path, free: u64, total: u64) -> Finding {
    let percent = free.saturating_mul(100) / total.max(1);
    let says = format!("{} MiB free ({percent} %) where {} is", free >> 20, folder.display());
    let advice = "make room: what cannot be written is not watched";
    match percent {
        0..FREE_FAIL => Finding::fail("disk", says, advice),
        FREE_FAIL..FREE_WARN => Finding::warn("disk", says, advice),
        _ => Finding::ok("disk", says),
    }
}

/// Who but the owner may read a file with secrets in it.
#[must_use]
pub fn permissions(file: &Path, mode: u32) -> Finding {
    if mode & 0o077 == 0 {
        return Finding::ok("permissions", format!("{} is its owner's alone", file.display()));
    }
    let says = format!("others may open {} (mode {:o})", file.display(), mode & 0o777);
    Finding::warn("permissions", says, format!("chmod 600 {}", file.display()))
}

fn database(tx: &Tx) -> Result<Finding> {
    Ok(match doctor::quick_check(tx)? {
        None => Finding::ok("database", "it is whole"),
        Some(damage) => Finding::fail("database", damage, "stop the server, and put a backup in its place"),
    })
}

fn server(tx: &Tx) -> Result<Finding> {
    let alive = settings::last_alive(tx)?;
    Ok(match alive {
        Some(at) if tx.now.since(at) <= ALIVE_WITHIN => Finding::ok("server", "it runs"),
        Some(at) => {
            let span = tx.now.since(at);
            Finding::warn("server", format!("nobody has served from this folder for {span}"), "lineman serve")
        }
        None => Finding::warn("server", "nobody has served from this folder yet", "lineman serve"),
    })
}

fn agents(tx: &Tx) -> Result<Finding> {
    let silent = doctor::silent_agents(tx)?;
    if silent.is_empty() {
        return Ok(Finding::ok("agents", "none is silent"));
    }
    let says = format!("{} silent: {}", silent.len(), some(&silent));
    Ok(Finding::warn("agents", says, "see `lineman device show NAME`"))
}

fn clocks(tx: &Tx) -> Result<Finding> {
    let wrong = doctor::wrong_clocks(tx, SKEW)?;
    if wrong.is_empty() {
        return Ok(Finding::ok("clocks", "no device's is off by more than 5s"));
    }
    let told: Vec<String> = wrong.iter().map(|(name, skew)| format!("{name} by {skew}")).collect();
    let says = format!("off: {}", some(&told));
    Ok(Finding::warn("clocks", says, "have these devices ask a time server (NTP)"))
}

fn deliveries(tx: &Tx) -> Result<Finding> {
    let stuck = doctor::stuck_deliveries(tx, STUCK_AFTER)?;
    if stuck == 0 {
        return Ok(Finding::ok("notifications", "none is stuck"));
    }
    let says = format!("{stuck} are tried for more than {STUCK_AFTER} in vain");
    Ok(Finding::warn("notifications", says, "see `lineman notify outbox`"))
}

fn names(tx: &Tx, known: &Settings) -> Result<Vec<Finding>> {
    let (server, zone) = (known.text("dns.server"), known.text("dns.zone"));
    match (server.is_empty(), zone.is_empty()) {
        (true, true) => return Ok(vec![Finding::ok("dns", "no name server is to be updated")]),
        (true, false) => {
            let advice = "lineman setting set dns.server HOST";
            return Ok(vec![Finding::warn("dns", "dns.zone is set, dns.server is not", advice)]);
        }
        (false, true) => {
            let advice = "lineman setting set dns.zone NAME";
            return Ok(vec![Finding::warn("dns", "dns.server is set, dns.zone is not", advice)]);
        }
        (false, false) => {}
    }
    let all = dns::list(tx, &Selection::all(), &Page::default())?;
    let of = |state: State| all.iter().filter(move |record| record.state == state);
    let mut found = Vec::new();
    for (state, what, advice) in [
        (State::Key, "does not accept the key", "compare dns.key with the name server's, and both clocks"),
        (State::Refused, "refuses", "look at what the name server allows this key to update"),
        (
            State::Failing,
            "does not answer, or not well",
            "look whether the name server runs; it is tried again",
        ),
        (
            State::Conflict,
            "has what somebody else put there",
            "see `lineman dns list`; `lineman dns take NAME`, or, of an alias, take it away there and `lineman dns retry NAME`",
        ),
    ] {
        let Some(first) = of(state).next() else { continue };
        let names: Vec<String> = of(state).map(|record| record.name.clone()).collect();
        let said = if state == State::Conflict { String::new() } else { format!(": {}", first.said) };
        let says = format!("{server} {what} for {}{said}", some(&names));
        found.push(match state {
            State::Key | State::Refused => Finding::fail("dns", says, advice),
            State::Due | State::Good | State::Conflict | State::Failing => Finding::warn("dns", says, advice),
        });
    }
    if found.is_empty() {
        let (good, due) = (of(State::Good).count(), of(State::Due).count());
        found.push(Finding::ok("dns", format!("{server} has {good} names of {zone}, {due} are under way")));
    }
    Ok(found)
}

/// The first few, and how many more.
fn some(all: &[String]) -> String {
    let mut text = all.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    if all.len() > NAMED {
        text.push_str(&format!(", and {} more", all.len() - NAMED));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_and_an_open_secret_are_named() {
        let folder = Path::new("/var/lib/lineman");
        let healths = [50, 9, 1].map(|free| disk(folder, free << 30, 100 << 30).health);
        assert_eq!(healths, [Health::Ok, Health::Warn, Health::Fail]);
        assert_eq!(disk(folder, 0, 0).health, Health::Fail);
        assert_eq!(permissions(folder, 0o100_600).health, Health::Ok);
        let open = permissions(folder, 0o100_644);
        assert_eq!((open.health, open.advice.as_str()), (Health::Warn, "chmod 600 /var/lib/lineman"));
    }
}
