//! What is measured and counted, for Prometheus and its like: OpenMetrics 1.0 text, or its older sister where that alone is
//! understood.

mod text;

#[cfg(test)]
mod tests;

use std::fs;

use axum::http::header::{ACCEPT, CACHE_CONTROL};

use crate::domain::device::State;
use crate::domain::ticket::Priority;
use crate::store::metrics::{self, Device, Queues, Reading};
use crate::web::answer::{Answer, Trouble};
use crate::web::asked::Asked;
use text::{Form, Kind, Text};

/// All that is told, at one moment.
#[derive(Clone, Debug)]
struct Measured {
    devices: Vec<Device>,
    readings: Vec<Reading>,
    tickets: Vec<(String, i64)>,
    queues: Queues,
    now: schedules::Time,
    /// Changes that wait for their commit.
    pending: usize,
    /// How long the oldest of them has been waiting, in milliseconds.
    lag_ms: i64,
    /// How large the database is, with its log.
    database_bytes: u64,
}

/// The metrics.
///
/// # Errors
/// The database's.
pub fn metrics(asked: &Asked) -> Result<Answer, Trouble> {
    let store = &asked.web.app.store;
    let mut measured = store.read(|tx| {
        Ok::<_, crate::store::Error>(Measured {
            devices: metrics::devices(tx)?,
            readings: metrics::readings(tx)?,
            tickets: metrics::tickets(tx)?,
            queues: metrics::queues(tx)?,
            now: tx.now,
            pending: 0,
            lag_ms: 0,
            database_bytes: 0,
        })
    })?;
    measured.pending = store.pending();
    measured.lag_ms = schedules::Millis::from(store.lag()).0;
    let size = |path: std::path::PathBuf| fs::metadata(path).map_or(0, |file| file.len());
    let path = store.path();
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    measured.database_bytes = size(path.to_owned()) + size(log.into());
    let accept = asked.headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let form = Form::accepted(accept);
    Ok(Answer::of(form.content_type(), told(&measured, form)).with(CACHE_CONTROL, "no-store"))
}

fn told(measured: &Measured, form: Form) -> String {
    let mut text = Text::new(form);
    text.family("lineman_build_info", Kind::Gauge, "Which lineman this is; always 1.");
    text.whole(&[("version", env!("CARGO_PKG_VERSION"))], 1);
    devices(&mut text, &measured.devices);
    readings(&mut text, &measured.readings);
    text.family("lineman_tickets_open", Kind::Gauge, "Tickets that are not done, by priority.");
    for &priority in Priority::NAMES {
        let count =
            measured.tickets.iter().find(|(known, _)| known == priority).map_or(0, |(_, count)| *count);
        text.whole(&[("priority", priority)], count);
    }
    server(&mut text, measured);
    text.end()
}

fn devices(text: &mut Text, devices: &[Device]) {
    text.family("lineman_devices", Kind::Gauge, "Devices, by state.");
    for &state in State::ALL {
        let count = devices.iter().filter(|device| device.state == state).count();
        text.whole(&[("state", state.as_str())], i64::try_from(count).unwrap_or(i64::MAX));
    }
    text.family(
        "lineman_device_up",
        Kind::Gauge,
        "Whether a device is reachable: 1 up or degraded, 0 down or unreachable. Of one that nobody knows of, nothing is told.",
    );
    for device in devices.iter().filter(|device| device.state != State::Unknown) {
        let labels = [("device", device.name.as_str()), ("site", device.site.as_str())];
        text.whole(&labels, i64::from(device.state.is_reachable()));
    }
}

fn readings(text: &mut Text, readings: &[Reading]) {
    text.family("lineman_check_rtt_seconds", Kind::Gauge, "The round trip of a check's newest result.");
    for (reading, us) in readings.iter().filter_map(|reading| Some((reading, reading.rtt_us?))) {
        text.micros(&labels(reading, &reading.check.to_string()), u64::from(us));
    }
    text.family("lineman_check_loss_ratio", Kind::Gauge, "What a check's newest result lost, from 0 to 1.");
    for (reading, loss) in readings.iter().filter_map(|reading| Some((reading, reading.loss_permille?))) {
        text.millis(&labels(reading, &reading.check.to_string()), i64::from(loss));
    }
    text.family(
        "lineman_check_last_result_timestamp_seconds",
        Kind::Gauge,
        "When a check's newest result was.",
    );
    for reading in readings {
        text.millis(&labels(reading, &reading.check.to_string()), reading.at.0);
    }
}

fn labels<'r>(reading: &'r Reading, check: &'r str) -> [(&'static str, &'r str); 4] {
    [("device", &reading.device), ("site", &reading.site), ("check", check), ("kind", reading.kind.as_str())]
}

fn server(text: &mut Text, measured: &Measured) {
    let queues = &measured.queues;
    text.family(
        "lineman_queue_length",
        Kind::Gauge,
        "How much waits: deliveries of notifications, verdicts to be looked at, \
        records that agents have for us, changes to be committed.",
    );
    let pending = i64::try_from(measured.pending).unwrap_or(i64::MAX);
    for (queue, length) in [
        ("deliveries", queues.deliveries),
        ("verdicts", queues.verdicts),
        ("agents_backlog", queues.backlog),
        ("commits", pending),
    ] {
        text.whole(&[("queue", queue)], length);
    }
    if let Some(at) = queues.alive_at {
        text.family(
            "lineman_alive_age_seconds",
            Kind::Gauge,
            "How long ago the server said that it is alive.",
        );
        text.millis(&[], measured.now.since(at).0.max(0));
    }
    if let Some(at) = queues.started_at {
        text.family("lineman_start_timestamp_seconds", Kind::Gauge, "When the server was started.");
        text.millis(&[], at.0);
    }
    text.family(
        "lineman_commit_lag_seconds",
        Kind::Gauge,
        "How long the oldest change has been waiting for its commit.",
    );
    text.millis(&[], measured.lag_ms);
    text.family("lineman_events", Kind::Counter, "Events that were written to the log since it began.");
    text.whole(&[], queues.newest_event);
    text.family(
        "lineman_database_bytes",
        Kind::Gauge,
        "How large the database is, with its write-ahead log.",
    );
    text.whole(&[], i64::try_from(measured.database_bytes).unwrap_or(i64::MAX));
}
