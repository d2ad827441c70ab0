//! The one loop of the server: it runs the steps until none finds work, then sleeps to the earliest deadline, a
//! quarter of a second at most, since other processes write to the same database.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use schedules::{Millis, Time};
use tokio::sync::{Notify, watch};

use crate::app::App;
use crate::server::steps::{
    Worked, judgements, maintenance, notify, pings, rollups, service, silence, tickets, verdicts,
};
use crate::store::{Result, settings};

/// The longest sleep: what another process changes takes effect within a second.
const LONGEST: Millis = Millis(250);
/// How often the server says that it is alive.
const ALIVE_EVERY: Millis = Millis::from_secs(10);
/// How often the steps are gone through before the server says again that it is alive.
const TURNS: usize = 50;
/// How long to wait after an error, so that a full disk does not make a busy loop.
const AFTER_ERROR: Duration = Duration::from_secs(1);

/// What the loop shows to whoever asks how it is.
#[derive(Debug, Default)]
pub struct Pulse {
    /// The earliest deadline, in milliseconds since 1970; 0: none is known.
    deadline: AtomicI64,
    /// When it last went round, in milliseconds since 1970; 0: not yet.
    looked_at: AtomicI64,
}

impl Pulse {
    /// The earliest deadline, where one is known.
    #[must_use]
    pub fn deadline(&self) -> Option<Time> {
        match self.deadline.load(Ordering::Relaxed) {
            0 => None,
            at => Some(Time(at)),
        }
    }

    /// When the loop last went round; nothing before it did the first time.
    #[must_use]
    pub fn looked_at(&self) -> Option<Time> {
        match self.looked_at.load(Ordering::Relaxed) {
            0 => None,
            at => Some(Time(at)),
        }
    }
}

/// Runs the steps until `stop` turns true. `changed` is told when the agents' configuration is another one.
pub async fn run(app: App, pulse: Arc<Pulse>, changed: Arc<Notify>, mut stop: watch::Receiver<bool>) {
    let mut alive_at = Time::MIN;
    while !*stop.borrow() {
        let now = app.clock.now();
        let next = match round(&app, &changed, &mut alive_at).await {
            Ok(Round::Rests(next)) => next,
            Ok(Round::GoesOn) => {
                pulse.looked_at.store(now.0, Ordering::Relaxed);
                continue;
            }
            Err(error) => {
                tracing::error!(%error, "a duty of the server failed; it is tried again");
                tokio::select! {
                    () = tokio::time::sleep(AFTER_ERROR) => {}
                    _ = stop.changed() => {}
                }
                continue;
            }
        };
        pulse.deadline.store(next.map_or(0, |at| at.0), Ordering::Relaxed);
        pulse.looked_at.store(now.0, Ordering::Relaxed);
        app.clock.idle("tick", now);
        let until = next.unwrap_or(Time::MAX).min(now + LONGEST);
        while app.clock.now() < until && !*stop.borrow() {
            let nap = app.clock.nap(until).min(LONGEST.duration());
            tokio::select! {
                () = tokio::time::sleep(nap) => {}
                _ = stop.changed() => {}
            }
            if app.clock.is_turned() && app.clock.now() == now {
                break;
            }
        }
    }
}

/// How a round ended.
enum Round {
    /// Nothing is due; the earliest deadline that is left.
    Rests(Option<Time>),
    /// There is more to do.
    GoesOn,
}

/// Runs the steps until none finds work, or for so long that the server must say again that it is alive, and look whether
/// it is to stop.
async fn round(app: &App, changed: &Notify, alive_at: &mut Time) -> Result<Round> {
    if app.refresh()? {
        changed.notify_one();
    }
    let now = app.clock.now();
    if now.since(*alive_at) >= ALIVE_EVERY || now < *alive_at {
        app.store.submit(settings::alive).await?;
        *alive_at = now;
    }
    for _ in 0..TURNS {
        if let Worked::No(next, _) = once(app).await? {
            return Ok(Round::Rests(next));
        }
        if app.refresh()? {
            changed.notify_one();
        }
    }
    Ok(Round::GoesOn)
}

/// Does all that is due, until nothing is: the earliest deadline that is left, and whether an agent's configuration
/// changed on the way.
///
/// # Errors
/// The database's.
pub async fn settle(app: &App) -> Result<(Option<Time>, bool)> {
    let mut changed = false;
    loop {
        if let Worked::No(next, _) = once(app).await? {
            return Ok((next, changed));
        }
        changed |= app.refresh()?;
    }
}

/// Goes once through the steps: whether any found work, else the earliest deadline.
async fn once(app: &App) -> Result<Worked> {
    let mut asked = vec![
        maintenance::step(app).await?,
        silence::step(app).await?,
        pings::step(app).await?,
        judgements::sight(app).await?,
        judgements::step(app).await?,
        judgements::flapping(app).await?,
    ];
    // Tickets follow once all are judged: then each is brought up to date once.
    if !asked.contains(&Worked::Yes) {
        asked.extend([tickets::open(app).await?, tickets::settle(app).await?, service::step(app).await?]);
    }
    if !asked.contains(&Worked::Yes) {
        // Where many outages are judged, whoever is to be told does not wait for the last verdict.
        asked.extend([verdicts::step(app).await?, notify::step(app).await?]);
    }
    // What can wait goes last, a piece at a time.
    if !asked.contains(&Worked::Yes) {
        asked.push(rollups::step(app).await?);
    }
    let next = |answer: &Worked| match answer {
        Worked::Yes => None,
        Worked::No(at, _) => *at,
    };
    Ok(if asked.contains(&Worked::Yes) {
        Worked::Yes
    } else {
        Worked::No(asked.iter().filter_map(next).min(), "the earliest of all")
    })
}
