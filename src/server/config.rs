//! What an agent is to do, from the checks and the settings.

use std::net::Ipv6Addr;

use agent::report::{Config, Plan, Probe, Task};
use schedules::Millis;

use crate::app::Snapshot;
use crate::domain::check::Kind;
use crate::domain::setting::Settings;
use crate::server::ingest::Credential;
use crate::store::agents::Caller;
use crate::store::checks::Check;
use crate::store::{Result, Tx, checks, settings};

/// What stands for the device's address in the URL of an HTTP check.
pub const ADDRESS: &str = "{address}";

/// The configuration of the agent that calls. The one inside the server also runs what no agent is named for.
///
/// # Errors
/// The database's.
pub fn of_agent(tx: &Tx, known: &Snapshot, who: &Credential, caller: &Caller) -> Result<Config> {
    let mut all = checks::to_run(tx, Some(caller.device))?;
    if matches!(who, Credential::Local(_)) {
        all.extend(checks::to_run(tx, None)?);
    }
    let settings = &known.settings;
    let own = &settings::of_device(tx, caller.device, settings)?;
    Ok(Config {
        etag: caller.etag(),
        check_in_every: known.every,
        cut_off_after: u32::try_from(settings.count("agent.cut_off_after")).unwrap_or(3),
        retry_max: settings.span("agent.retry_max"),
        keep_for: settings.span("agent.keep_for"),
        keep_bytes: u64::try_from(settings.count("agent.keep_mib")).unwrap_or(64) * 1024 * 1024,
        ladder: ladder(own),
        record_every: own.span("recorder.every"),
        tasks: all.into_iter().filter_map(|check| task(check, known)).collect(),
    })
}

/// What agents ask on their way up the ladder of evidence.
fn ladder(settings: &Settings) -> Plan {
    Plan {
        anchors: settings.addresses("ladder.anchors").collect(),
        page: settings.text("ladder.page").to_owned(),
        page_body: settings.text("ladder.page_body").to_owned(),
        resolver: settings.addresses("ladder.resolver").next(),
        name: settings.text("ladder.name").to_owned(),
        hops: u8::try_from(settings.count("ladder.hops")).unwrap_or(20),
        timeout: settings.span("ladder.timeout"),
        again: settings.spans("ladder.again").collect(),
        baseline: settings.span("ladder.baseline"),
    }
}

/// A check as its agent is told of it; none for a check that nobody runs.
#[must_use]
pub fn task(check: Check, known: &Snapshot) -> Option<Task> {
    let settings = &known.settings;
    let cadence = match (check.kind, check.cadence) {
        (Kind::Contact, _) => settings.text("contact.backoff").to_owned(),
        (_, Some(cadence)) => cadence,
        (_, None) => settings.text("check.every").to_owned(),
    };
    Some(Task {
        check: check.id.0,
        probe: aimed(check.probe?, check.address.as_deref().unwrap_or_default()),
        cadence,
        retry: settings.span("check.retry"),
        attempts: known.limits.soft_failures,
        timeout: check.timeout.unwrap_or_else(|| settings.span("check.timeout")),
        nudge: check.nudge,
    })
}

/// A probe without a target of its own goes to the device's address; one without an address either fails at its agent
/// with a sentence that says so.
fn aimed(probe: Probe, address: &str) -> Probe {
    match probe {
        Probe::Icmp { target, packets, warn_loss_permille, warn_rtt } if target.is_empty() => {
            Probe::Icmp { target: address.to_owned(), packets, warn_loss_permille, warn_rtt }
        }
        Probe::Tcp { target, port } if target.is_empty() => Probe::Tcp { target: address.to_owned(), port },
        Probe::Http { url, status, keyword, redirects, insecure } if url.contains(ADDRESS) => {
            let host =
                if address.parse::<Ipv6Addr>().is_ok() { format!("[{address}]") } else { address.to_owned() };
            Probe::Http { url: url.replace(ADDRESS, &host), status, keyword, redirects, insecure }
        }
        other => other,
    }
}

/// The probe of the attempts to contact a device.
#[must_use]
pub fn contact_probe() -> Probe {
    Probe::Icmp { target: String::new(), packets: 3, warn_loss_permille: None, warn_rtt: None::<Millis> }
}
