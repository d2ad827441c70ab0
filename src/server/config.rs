//! What an agent is to do, from the checks and the settings.

use agent::report::{Config, Probe, Task};
use schedules::Millis;

use crate::app::Snapshot;
use crate::domain::check::Kind;
use crate::domain::ids::DeviceId;
use crate::server::ingest::Credential;
use crate::store::{Result, Tx, checks};

/// The configuration of the agent on `device`. The one inside the server also runs what no agent is named for.
///
/// # Errors
/// The database's.
pub fn of_agent(tx: &Tx, known: &Snapshot, who: &Credential, device: DeviceId) -> Result<Config> {
    let mut all = checks::to_run(tx, Some(device))?;
    if matches!(who, Credential::Local(_)) {
        all.extend(checks::to_run(tx, None)?);
    }
    let settings = &known.settings;
    let default_cadence = settings.text("check.every");
    let tasks = all
        .into_iter()
        .filter_map(|check| {
            let probe: Probe = check.probe?;
            let cadence = match (check.kind, check.cadence) {
                (Kind::Contact, _) => settings.text("contact.backoff").to_owned(),
                (_, Some(cadence)) => cadence,
                (_, None) => default_cadence.to_owned(),
            };
            Some(Task {
                check: check.id.0,
                probe,
                cadence,
                retry: settings.span("check.retry"),
                attempts: known.limits.soft_failures,
                timeout: check.timeout.unwrap_or_else(|| settings.span("check.timeout")),
            })
        })
        .collect();
    Ok(Config {
        etag: known.etag(),
        check_in_every: known.every,
        cut_off_after: u32::try_from(settings.count("agent.cut_off_after")).unwrap_or(3),
        keep_for: settings.span("agent.keep_for"),
        keep_bytes: u64::try_from(settings.count("agent.keep_mib")).unwrap_or(64) * 1024 * 1024,
        tasks,
    })
}

/// The probe of the attempts to contact a device.
#[must_use]
pub fn contact_probe(address: String) -> Probe {
    Probe::Icmp { target: address, packets: 3, warn_loss_permille: None, warn_rtt: None::<Millis> }
}
