//! Keeps devices' names at a name server up to date: plans, claims what is due, does it outside of any transaction, and
//! writes down what came of it. What is wrong is told once. While the server is away, or does not take the key, one name
//! is tried now and then, however many are due.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_proto::rr::RecordType;
use schedules::{Backoff, Millis};
use tokio::sync::watch;

use super::client;
use super::update::{self, Change, Trouble};
use crate::app::App;
use crate::domain::dns::change::{Addresses, Step, decide};
use crate::domain::dns::{Key, Zone};
use crate::store::dns::{self, Record, State};
use crate::store::{Error, Result, WriteTx, settings};

/// How many names are worked on in one go.
const AT_ONCE: u32 = 16;
/// How long a claim lasts: longer than any try.
const CLAIM: Millis = Millis::from_secs(120);
/// How soon a failed try is repeated, and the longest pause.
const RETRY: Backoff = Backoff { base: Millis::from_secs(1), cap: Millis::from_secs(300) };
/// How soon what was refused, or a key that is not accepted, is tried again.
const AFTER_REFUSAL: Millis = Millis::from_secs(300);
/// How often what is there is looked at again where somebody changes it meanwhile.
const LOOKS: usize = 3;
/// How often it is looked whether something is due.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// What the settings say of the name server.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Goal {
    server: String,
    zone: Zone,
    key: Option<Key>,
    ttl: u32,
}

/// Keeps the name server up to date until `stop` turns true.
///
/// # Errors
/// The database's, at the start.
pub async fn run(app: App, mut stop: watch::Receiver<bool>) -> Result<()> {
    app.store.submit(dns::unclaim).await?;
    let mut keeper = Keeper { app, cursor: -1, goal: None };
    while !*stop.borrow() {
        // What is broken off is begun again after the next start.
        tokio::select! {
            done = keeper.turn() => if let Err(error) = done {
                tracing::error!(%error, "the name server is not kept up to date; it is tried again");
            },
            _ = stop.changed() => continue,
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            _ = stop.changed() => {}
        }
    }
    Ok(())
}

/// Whoever keeps the name server up to date.
struct Keeper {
    app: App,
    /// How far the log was looked at; below 0: not yet.
    cursor: i64,
    goal: Option<Goal>,
}

impl Keeper {
    async fn turn(&mut self) -> Result<()> {
        self.follow().await?;
        let Some(goal) = &self.goal else { return Ok(()) };
        let (app, now, server) = (&self.app, self.app.clock.now(), goal.server.clone());
        let (next, trouble) =
            app.store.read(|tx| Ok::<_, Error>((dns::next(tx)?, dns::trouble(tx, &server)?)))?;
        if next.is_none_or(|at| at > now) || trouble.as_ref().is_some_and(|trouble| trouble.next_at > now) {
            return Ok(());
        }
        let most = if trouble.is_some() { 1 } else { AT_ONCE };
        let claimed = app.store.submit(move |tx| dns::claim(tx, most, CLAIM)).await?;
        for (at, record) in claimed.iter().enumerate() {
            let outcome = attempt(goal, record, app.clock.now().0.div_euclid(1_000).unsigned_abs()).await;
            let (record, left, random) = (record.clone(), claimed[at + 1..].to_vec(), fastrand::u64(..));
            if !app.store.submit(move |tx| note(tx, &record, &left, outcome, random)).await? {
                break;
            }
        }
        Ok(())
    }

    /// Brings what is wanted up to date, where something happened that may have changed it.
    async fn follow(&mut self) -> Result<()> {
        let (cursor, app) = (self.cursor, &self.app);
        let (newest, touched) = app.store.read(|tx| dns::events_since(tx, cursor))?;
        if touched || cursor < 0 {
            let fresh = app.store.read(|tx| goal(&settings::load(tx)?))?;
            match &fresh {
                Some(goal) => {
                    let (server, zone) = (goal.server.clone(), goal.zone.clone());
                    // With other settings all may be well: nobody waits for that.
                    let anew = fresh != self.goal;
                    app.store
                        .submit(move |tx| {
                            dns::plan(tx, &server, &zone)?;
                            if anew { dns::try_again(tx, None) } else { Ok(()) }
                        })
                        .await?;
                }
                None => app.store.submit(dns::forget_all).await?,
            }
            self.goal = fresh;
        }
        self.cursor = newest;
        Ok(())
    }
}

/// What is to be kept up to date; none: nothing.
fn goal(settings: &crate::domain::setting::Settings) -> Result<Option<Goal>> {
    let (server, zone) = (settings.text("dns.server"), settings.text("dns.zone"));
    let Ok(zone) = zone.parse::<Zone>() else { return Ok(None) };
    if server.is_empty() {
        return Ok(None);
    }
    let key = settings.text("dns.key").parse::<Key>().ok();
    let ttl = u32::try_from(settings.span("dns.ttl").0 / 1_000).unwrap_or(60);
    Ok(Some(Goal { server: server.to_owned(), zone, key, ttl }))
}

/// Brings one name up to date, and proves it. What stood there that was not ours and is gone.
async fn attempt(goal: &Goal, record: &Record, now_secs: u64) -> std::result::Result<Vec<IpAddr>, Trouble> {
    let mut last = Trouble::Away(format!("{} has no address", goal.server));
    for server in client::find(&goal.server).await.map_err(Trouble::Away)? {
        match at(server, goal, record, now_secs).await {
            Err(trouble @ Trouble::Away(_)) => last = trouble,
            other => return other,
        }
    }
    Err(last)
}

async fn at(
    server: SocketAddr,
    goal: &Goal,
    record: &Record,
    now_secs: u64,
) -> std::result::Result<Vec<IpAddr>, Trouble> {
    let mut gone = Vec::new();
    let mut there = look(server, &record.name).await?;
    for _ in 0..LOOKS {
        let (add, remove) = match decide(record.wanted, &record.ours, &there, record.whose) {
            Step::Nothing => return Ok(gone),
            Step::Conflict => return Err(Trouble::Conflict(shown(&there))),
            Step::Change { add, remove } => (add, remove),
        };
        let change = Change {
            zone: &goal.zone,
            name: &record.name,
            there: &there,
            add: &add,
            remove: &remove,
            ttl: goal.ttl,
        };
        let (message, verifier) = update::request(&change, goal.key.as_ref(), now_secs)?;
        let told = client::exchange(server, &message).await.map_err(Trouble::Away)?;
        match update::outcome(&told, verifier) {
            Ok(()) => {
                tracing::info!(name = %record.name, ?add, ?remove, %server, "DNS is changed");
                gone.extend(remove.into_iter().filter(|address| !record.ours.contains(address)));
            }
            Err(Trouble::Changed) => {}
            Err(trouble) => return Err(trouble),
        }
        there = look(server, &record.name).await?;
    }
    match decide(record.wanted, &record.ours, &there, record.whose) {
        Step::Nothing => Ok(gone),
        Step::Conflict => Err(Trouble::Conflict(shown(&there))),
        Step::Change { .. } => {
            Err(Trouble::Later(format!("it took the update, but answers with {}", shown(&there))))
        }
    }
}

fn shown(there: &Addresses) -> String {
    if there.is_empty() {
        return "nothing".to_owned();
    }
    there.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(" ")
}

/// The addresses that a name has there.
async fn look(server: SocketAddr, name: &str) -> std::result::Result<Addresses, Trouble> {
    let mut all = Addresses::new();
    for kind in [RecordType::A, RecordType::AAAA] {
        let asked = update::question(name, kind)?;
        let told = client::exchange(server, &asked).await.map_err(Trouble::Away)?;
        all.append(&mut update::addresses(name, &told)?);
    }
    Ok(all)
}

/// Writes down what came of a try; false where the server is not well, and the others that were claimed are not tried.
fn note(
    tx: &WriteTx,
    record: &Record,
    left: &[Record],
    outcome: std::result::Result<Vec<IpAddr>, Trouble>,
    random: u64,
) -> Result<bool> {
    let soon = |tries: u32| tx.now + RETRY.delay(tries.saturating_add(1), random);
    let (state, said, next_at) = match outcome {
        Ok(replaced) => {
            dns::server_is_well(tx, &record.server)?;
            dns::done(tx, record, &replaced)?;
            return Ok(true);
        }
        // Nothing is wanted there any more: what is somebody else's stays, and is nothing of ours.
        Err(Trouble::Conflict(_)) if record.wanted.is_none() => {
            dns::server_is_well(tx, &record.server)?;
            dns::done(tx, record, &[])?;
            return Ok(true);
        }
        Err(Trouble::Key(said)) => {
            warn(record, State::Key, &said);
            dns::server_failed(tx, (record, left), State::Key, &said, tx.now + AFTER_REFUSAL)?;
            return Ok(false);
        }
        Err(Trouble::Away(said)) => {
            warn(record, State::Failing, &said);
            let tries = dns::trouble(tx, &record.server)?.map_or(0, |trouble| trouble.tries);
            dns::server_failed(tx, (record, left), State::Failing, &said, soon(tries))?;
            return Ok(false);
        }
        Err(Trouble::Conflict(there)) => {
            let said = format!(
                "{there} is there, from somebody else: `lineman dns take {}` changes it",
                record.name
            );
            (State::Conflict, said, None)
        }
        Err(Trouble::Refused(said)) => (State::Refused, said, Some(tx.now + AFTER_REFUSAL)),
        Err(Trouble::Changed) => {
            (State::Failing, "somebody else changes it all the time".to_owned(), Some(soon(record.tries)))
        }
        Err(Trouble::Later(said)) => (State::Failing, said, Some(soon(record.tries))),
    };
    warn(record, state, &said);
    dns::server_is_well(tx, &record.server)?;
    dns::failed(tx, record, state, &said, next_at)?;
    Ok(true)
}

fn warn(record: &Record, state: State, said: &str) {
    if state != record.state {
        tracing::warn!(name = %record.name, server = %record.server, %state, %said, "DNS is not up to date");
    }
}
