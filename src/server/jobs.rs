//! The people's scheduled jobs, by cron line: in this house the nightly care of the database. They run on
//! tokio-cron-scheduler; which run is due, and whether it was missed, is decided here, from the last run that the
//! database knows.

use std::str::FromStr;
use std::time::Instant;

use schedules::{Cadence, Millis, Time};
use serde_json::json;
use tokio::sync::watch;
use tokio_cron_scheduler::{Job, JobScheduler};

use crate::app::App;
use crate::domain::event::{About, Kind};
use crate::domain::ids::EventId;
use crate::domain::schedule;
use crate::store::events::Actor;
use crate::store::notify::{looks, outbox};
use crate::store::{self, agents, checks, events, history, jobs, sessions};

/// How long the log has what plain calls wrote down on their way: their starts, and their texts.
const PINGS_KEPT: Millis = Millis::from_secs(30 * 86_400);
/// The most rows that are forgotten in one transaction.
const AT_ONCE: u32 = 10_000;
/// Room for firings that wait to be taken: far more than there are jobs, since what does not fit is lost. It is taken
/// when the scheduler is made, ten times over: 10,000 would be 11 MB.
const CHANNEL: usize = 500;

/// Runs the jobs until `stop` turns true: at once what was missed, then each at its time. A cron line that is changed
/// counts from the next look on.
///
/// # Errors
/// The scheduler does not start.
pub async fn run(app: App, mut stop: watch::Receiver<bool>) -> anyhow::Result<()> {
    let mut scheduler = JobScheduler::new_with_channel_size(CHANNEL).await?;
    scheduler.start().await?;
    let mut running = None;
    loop {
        let line = app.known().settings.text(schedule::MAINTENANCE.setting).to_owned();
        if running.as_ref().is_none_or(|(known, _): &(String, _)| *known != line) {
            if let Some((_, id)) = running.take() {
                scheduler.remove(&id).await?;
            }
            attempt(&app).await;
            if Cadence::from_str(&line).is_ok() {
                running = Some((line, scheduler.add(job(&app)?).await?));
            }
        }
        tokio::select! {
            () = tokio::time::sleep(std::time::Duration::from_secs(1)) => {}
            _ = stop.wait_for(|stop| *stop) => break,
        }
    }
    scheduler.shutdown().await?;
    Ok(())
}

/// The job, woken each minute: whether a run is due is decided by our own cadence. The scheduler reads a line otherwise: it
/// loses an hour where clocks are changed, and wants both the day of the month and that of the week.
fn job(app: &App) -> anyhow::Result<Job> {
    let app = app.clone();
    Ok(Job::new_async("0 * * * * *", move |_, _| {
        let app = app.clone();
        Box::pin(async move { attempt(&app).await })
    })?)
}

async fn attempt(app: &App) {
    if let Err(error) = maintain_if_due(app).await {
        tracing::error!(%error, job = schedule::MAINTENANCE.name, "a scheduled job failed");
    }
}

/// Looks after the database if that is due: once, however many runs were missed. True if it ran.
///
/// # Errors
/// The database's.
pub async fn maintain_if_due(app: &App) -> store::Result<bool> {
    let Ok(cadence) = Cadence::from_str(app.known().settings.text(schedule::MAINTENANCE.setting)) else {
        return Ok(false);
    };
    app.store.submit(|tx| jobs::await_first(tx, schedule::MAINTENANCE.name)).await?;
    let now = app.clock.now();
    let Some(job) = app.store.read(|tx| jobs::find(tx, schedule::MAINTENANCE.name))? else {
        return Ok(false);
    };
    let Some(due) = last_due(&cadence, job.last_due_at, now) else { return Ok(false) };
    if !app.store.submit(move |tx| jobs::claim(tx, schedule::MAINTENANCE.name, due)).await? {
        return Ok(false);
    }
    let watch = Instant::now();
    let outcome = maintain(app).await;
    let took = Millis::from(watch.elapsed());
    let (kind, text) = match &outcome {
        Ok(forgotten) => (Kind::JobRan, format!("{forgotten} old rows forgotten")),
        Err(error) => (Kind::JobFailed, error.to_string()),
    };
    tracing::info!(job = schedule::MAINTENANCE.name, took_ms = took.0, outcome = %text, "job ran");
    app.store
        .submit(move |tx| {
            jobs::ran(tx, schedule::MAINTENANCE.name, took, &text)?;
            let body =
                json!({"job": schedule::MAINTENANCE.name, "due_at": due, "took_ms": took, "outcome": text});
            events::record(tx, &Actor::System, kind, About::default(), &body)
        })
        .await?;
    outcome.map(|_| true)
}

/// The newest firing after `last` that is not after `now`, found without going through all that were missed.
fn last_due(cadence: &Cadence, last: Time, now: Time) -> Option<Time> {
    let first = cadence.next(last, 0);
    if first > now {
        return None;
    }
    let mut due = first;
    let mut back = cadence.period(now);
    while back < now.since(first) {
        let near = cadence.next(now - back, 0);
        if near <= now {
            due = near;
            break;
        }
        back = back.times(2);
    }
    loop {
        let next = cadence.next(due, 0);
        if next > now {
            return Some(due);
        }
        due = next;
    }
}

/// Forgets what is older than it is kept, and lets the database tidy itself.
async fn maintain(app: &App) -> store::Result<usize> {
    let known = app.known();
    let now = app.clock.now();
    let mut forgotten = 0;
    let kept = known.settings.kept(now);
    let ids = app.store.read(checks::ids)?;
    for some in ids.chunks(100) {
        let some = some.to_vec();
        forgotten += app
            .store
            .submit(move |tx| {
                let mut rows = 0;
                for id in some {
                    rows += history::prune(tx, id, &kept)?;
                }
                store::Result::Ok(rows)
            })
            .await?;
    }
    forgotten += forget_events(app, now - known.settings.span("event.keep"), now).await?;
    forgotten += app.store.submit(agents::prune_tokens).await?;
    forgotten += app.store.submit(sessions::prune_calls).await?;
    loop {
        let rows = app.store.submit(move |tx| outbox::prune(tx, now - outbox::KEEP, AT_ONCE)).await?;
        forgotten += rows;
        if rows == 0 {
            break;
        }
    }
    forgotten += app.store.submit(move |tx| looks::prune_wide(tx, now - outbox::KEEP)).await?;
    let store = app.store.clone();
    let tidied = tokio::task::spawn_blocking(move || store.maintain()).await;
    tidied.map_err(|e| store::Error::Other(format!("the database's own tidying: {e}")))??;
    Ok(forgotten)
}

/// Forgets the events before `old`, and what plain calls wrote down a month ago; a piece at a time.
async fn forget_events(app: &App, old: Time, now: Time) -> store::Result<usize> {
    let window = i64::from(AT_ONCE);
    let (oldest, end, of_pings, pings) = app.store.read(|tx| -> store::Result<_> {
        let since = |at| events::first_since(tx, at);
        let month = now - PINGS_KEPT;
        Ok((events::oldest(tx)?, since(old)?, since(month - PINGS_KEPT)?, since(month)?))
    })?;
    let mut forgotten = 0;
    let mut from = oldest;
    while from < end {
        forgotten += app.store.submit(move |tx| events::prune(tx, (from, end), window)).await?;
        from = EventId(from.0 + window);
    }
    let mut from = of_pings;
    while from < pings {
        forgotten += app.store.submit(move |tx| events::prune_pings(tx, (from, pings), window)).await?;
        from = EventId(from.0 + window);
    }
    Ok(forgotten)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn however_many_runs_were_missed_the_newest_is_made_up() {
        let day = 86_400_000;
        let nightly: Cadence = "30 3 * * *".parse().unwrap();
        let at = |n: i64| Time(n * day + (3 * 60 + 30) * 60_000);
        for (last, now, due) in [
            (at(10), at(10) + Millis(1), None),
            (at(10), at(11) - Millis(1), None),
            (at(10), at(11), Some(at(11))),
            (at(10), at(11) + Millis(5), Some(at(11))),
            (at(10), at(400) + Millis(5), Some(at(400))),
            (Time(at(10).0 + 5), at(12) - Millis(5), Some(at(11))),
        ] {
            assert_eq!(last_due(&nightly, last, now), due, "{last:?} {now:?}");
        }
        let yearly: Cadence = "0 0 29 2 *".parse().unwrap();
        assert_eq!(last_due(&yearly, Time(0), Time(20_000 * day)), Some(Time(19_782 * day)));
    }
}
