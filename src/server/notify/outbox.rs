//! The outbox at work: takes what is due, sends each delivery in a task of its own, and writes down what came of it.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use schedules::{Backoff, Millis, Time};
use tokio::sync::watch;
use tokio::task::{Id, JoinSet};

use crate::app::App;
use crate::domain::ids::EntryId;
use crate::domain::notify::Message;
use crate::domain::notify::channel::Channel;
use crate::domain::setting::Settings;
use crate::server::notify::{self, Again, Failed, Sent};
use crate::store::notify::outbox::{self, Delivery};
use crate::store::{Result, WriteTx};

/// The most deliveries that are tried at the same time.
pub const AT_ONCE: usize = 8;
/// How long a claim lasts: longer than any try.
const CLAIM: Millis = Millis::from_secs(300);
/// How often it looks whether something is due.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// The same on a clock that is turned.
const LOOK_EVERY_TURN: Duration = Duration::from_millis(20);
/// How long it waits after an error of the database.
const AFTER_ERROR: Duration = Duration::from_secs(1);
/// How long what is under way may take when the server stops.
const LAST_WAIT: Duration = Duration::from_secs(5);

/// Sends a message by a channel.
pub trait Sender: Send + Sync + 'static {
    /// Sends it.
    fn send(
        &self,
        channel: Channel,
        message: Message,
        now: Time,
    ) -> impl Future<Output = Result<Sent, Failed>> + Send;
}

/// Sends in truth.
#[derive(Clone, Copy, Debug, Default)]
pub struct Real;

impl Sender for Real {
    async fn send(&self, channel: Channel, message: Message, now: Time) -> Result<Sent, Failed> {
        notify::send(&channel, &message, now).await
    }
}

/// The deliveries that are under way.
pub struct Outbox<S> {
    app: App,
    sender: Arc<S>,
    flying: JoinSet<EntryId>,
    busy: HashSet<(Id, EntryId)>,
}

impl<S: Sender> Outbox<S> {
    /// Nothing is under way. What somebody claimed who is gone now is tried again.
    ///
    /// # Errors
    /// The database's.
    pub async fn new(app: App, sender: S) -> Result<Outbox<S>> {
        app.store.submit(outbox::unclaim).await?;
        Ok(Outbox { app, sender: Arc::new(sender), flying: JoinSet::new(), busy: HashSet::new() })
    }

    /// Starts what is due; how many it were.
    ///
    /// # Errors
    /// The database's.
    pub async fn start_due(&mut self) -> Result<usize> {
        while let Some(ended) = self.flying.try_join_next_with_id() {
            self.ended(ended.map(|(id, _)| id));
        }
        let (free, now) = (AT_ONCE.saturating_sub(self.flying.len()), self.app.clock.now());
        if free == 0 || self.app.store.read(outbox::next)?.is_none_or(|at| at > now) {
            return Ok(0);
        }
        // On a clock that is turned far a claim may end while the try is under way: it is not tried beside itself.
        let busy: Vec<EntryId> = self.busy.iter().map(|(_, entry)| *entry).collect();
        let claimed = self.app.store.submit(move |tx| outbox::claim(tx, free, tx.now + CLAIM, &busy)).await?;
        let started = claimed.len();
        for (delivery, channel) in claimed {
            let (app, sender, entry) = (self.app.clone(), Arc::clone(&self.sender), delivery.entry.0);
            let task = self.flying.spawn(async move {
                attempt(&app, &*sender, delivery, channel).await;
                entry
            });
            self.busy.insert((task.id(), entry));
        }
        Ok(started)
    }

    /// Waits until one that is under way has ended; false where none is.
    pub async fn one_ended(&mut self) -> bool {
        match self.flying.join_next_with_id().await {
            Some(ended) => {
                self.ended(ended.map(|(id, _)| id));
                true
            }
            None => false,
        }
    }

    fn ended(&mut self, ended: std::result::Result<Id, tokio::task::JoinError>) {
        let id = match ended {
            Ok(id) => id,
            Err(error) => {
                tracing::error!(%error, "a delivery broke off; it is tried again when its claim ends");
                error.id()
            }
        };
        self.busy.retain(|(busy, _)| *busy != id);
    }
}

/// Sends what is due until `stop` turns true.
///
/// # Errors
/// The database's, at the start.
pub async fn run(app: App, sender: impl Sender, mut stop: watch::Receiver<bool>) -> Result<()> {
    let mut outbox = Outbox::new(app.clone(), sender).await?;
    while !*stop.borrow() {
        let nap = match outbox.start_due().await {
            Ok(_) if app.clock.is_turned() => LOOK_EVERY_TURN,
            Ok(_) => LOOK_EVERY,
            Err(error) => {
                tracing::error!(%error, "the outbox failed; it goes on");
                AFTER_ERROR
            }
        };
        let busy = !outbox.flying.is_empty();
        tokio::select! {
            () = tokio::time::sleep(nap) => {}
            _ = outbox.one_ended(), if busy => {}
            _ = stop.changed() => {}
        }
    }
    // What does not end in time is tried again after the next start, with the same key.
    drop(tokio::time::timeout(LAST_WAIT, async { while outbox.one_ended().await {} }).await);
    Ok(())
}

async fn attempt(app: &App, sender: &impl Sender, delivery: Delivery, channel: Channel) {
    let outcome = sender.send(channel, delivery.message.clone(), app.clock.now()).await;
    let settings = app.known().settings.clone();
    let (id, name) = (delivery.id, delivery.entry.1.clone());
    match &outcome {
        Ok(_) => tracing::info!(delivery.id = id.0, notify.name = %name, "told"),
        Err(failed) => {
            tracing::warn!(delivery.id = id.0, notify.name = %name, attempts = delivery.attempts, why = %failed.why, "not told");
        }
    }
    let random = fastrand::u64(..);
    let noted = app.store.submit(move |tx| note(tx, &settings, &delivery, outcome, random)).await;
    if let Err(error) = noted {
        tracing::error!(%error, delivery.id = id.0, "what came of a delivery was not written down; it is tried again");
    }
}

/// Writes down what came of a try.
fn note(
    tx: &WriteTx,
    settings: &Settings,
    delivery: &Delivery,
    outcome: Result<Sent, Failed>,
    random: u64,
) -> Result<()> {
    let failed = match outcome {
        Ok(_) => return outbox::sent(tx, delivery),
        Err(failed) => failed,
    };
    let wait = match failed.again {
        Again::Never => return outbox::give_up(tx, delivery, &failed.why),
        Again::Later => Millis::ZERO,
        Again::After(wait) => wait,
    };
    if tx.now.since(delivery.created_at) >= settings.span("notify.give_up") {
        return outbox::give_up(tx, delivery, &failed.why);
    }
    let backoff = Backoff { base: settings.span("notify.retry"), cap: settings.span("notify.retry_max") };
    let due_at = tx.now + backoff.delay(delivery.attempts, random).max(wait);
    outbox::again(tx, delivery.id, due_at, &failed.why)
}
