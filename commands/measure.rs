//! `lineman check run`: a check is made here and now, or asked of the agent that makes it.

use ::agent::probe::{Measured, Prober};
use ::agent::report::{Outcome, Task};
use exports::{Column, Table, Value};
use lineman::app::Snapshot;
use lineman::reports;
use lineman::server::config;
use lineman::store::checks::{self, Check};
use lineman::store::{Tx, devices, settings};

use crate::data::Context;
use crate::failure::Failure;
use crate::output::Output;

/// What can be done about a check.
enum Way {
    /// It is run here.
    Here(Task),
    /// The agent on another device is asked.
    Asked(String),
    /// It waits for somebody to call.
    Waits,
}

/// Runs a check, by number, or all of a device, by name. What is known of them stays as it is: that is the business
/// of whoever runs them on schedule.
pub fn run(context: &Context, which: &str) -> Result<Output, Failure> {
    let all = context.ask(|tx| {
        let known = Snapshot::load(tx)?;
        let here = settings::this_machine(tx)?;
        let way = |check: Check| {
            let from = check.from.clone().filter(|(device, _)| Some(*device) != here);
            let way = match (from, config::task(check.clone(), &known)) {
                (_, None) => Way::Waits,
                (Some((_, agent)), Some(_)) => Way::Asked(agent),
                (None, Some(task)) => Way::Here(task),
            };
            (check, way)
        };
        Ok(wanted(tx, which)?.into_iter().map(way).collect::<Vec<_>>())
    })?;
    let tasks = all.iter().map(|(_, way)| match way {
        Way::Here(task) => Some(task.clone()),
        Way::Asked(_) | Way::Waits => None,
    });
    let measured = measure(tasks.collect())?;
    let asked = all.iter().filter(|(_, way)| matches!(way, Way::Asked(_)));
    let mut nudged: Vec<_> = asked.map(|(check, _)| check.device.0).collect();
    nudged.dedup();
    if !nudged.is_empty() {
        context.change(move |tx, _| {
            nudged
                .into_iter()
                .try_for_each(|device| checks::nudge(tx, checks::Nudged::Own(device), tx.now))?;
            Ok(Output::Nothing)
        })?;
    }
    let mut table = Table::new("results", columns());
    for ((check, way), measured) in all.iter().zip(measured) {
        table.push(row(check, way, measured));
    }
    Ok(Output::Table(table))
}

fn wanted(tx: &Tx, which: &str) -> Result<Vec<Check>, Failure> {
    if which.bytes().all(|b| b.is_ascii_digit()) {
        return Ok(vec![checks::get(tx, which)?]);
    }
    let device = devices::get(tx, which)?;
    let checks = checks::of_device(tx, device.id)?;
    if checks.is_empty() {
        return Err(Failure::refused(format!("device '{}' has no checks", device.name))
            .hint(format!("`lineman check add {} icmp` adds one", device.name)));
    }
    Ok(checks)
}

/// Runs the tasks together; the results stand in their order.
fn measure(tasks: Vec<Option<Task>>) -> Result<Vec<Option<Measured>>, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|e| Failure::failed(format!("start the probes: {e}")))?;
    let results = runtime.block_on(async {
        let prober = Prober::new();
        let running: Vec<_> = tasks
            .into_iter()
            .map(|task| {
                let prober = prober.clone();
                task.map(|task| tokio::spawn(async move { prober.run(&task.probe, task.timeout).await }))
            })
            .collect();
        let mut results = Vec::with_capacity(running.len());
        for run in running {
            results.push(match run {
                Some(run) => run.await.ok(),
                None => None,
            });
        }
        results
    });
    // A look-up that hangs in the system's resolver is not waited for.
    runtime.shutdown_background();
    Ok(results)
}

fn columns() -> Vec<Column> {
    vec![
        Column::int("id", "ID"),
        Column::text("device", "DEVICE"),
        Column::text("kind", "KIND"),
        Column::text("target", "TARGET"),
        Column::state("outcome", "OUTCOME"),
        Column::int("rtt_us", "RTT µs"),
        Column::int("loss_permille", "LOSS ‰"),
        Column::text("message", "SAYS"),
    ]
}

fn row(check: &Check, way: &Way, measured: Option<Measured>) -> Vec<Value> {
    let message = match (way, &measured) {
        (_, Some(measured)) => measured.message.clone(),
        (Way::Here(_), None) => "the probe ended without a result".to_owned(),
        (Way::Asked(agent), None) => {
            format!("the agent on {agent} was asked for it: see `lineman check show {}`", check.id)
        }
        (Way::Waits, None) => "it waits to be called: there is nothing to run".to_owned(),
    };
    let target = match way {
        Way::Here(task) => {
            reports::checks::target(&Check { probe: Some(task.probe.clone()), ..check.clone() })
        }
        Way::Asked(_) | Way::Waits => reports::checks::target(check),
    };
    vec![
        check.id.0.into(),
        check.device.1.as_str().into(),
        check.kind.as_str().into(),
        target.into(),
        measured.as_ref().map(|measured| word(measured.outcome)).into(),
        measured.as_ref().and_then(|measured| measured.rtt_us).into(),
        measured.as_ref().and_then(|measured| measured.loss_permille).into(),
        message.into(),
    ]
}

fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Ok => "ok",
        Outcome::Warn => "warn",
        Outcome::Fail => "fail",
        Outcome::Unknown => "unknown",
    }
}
