//! Keeps devices' names at a name server up to date: plans, claims what is due, does it outside of any transaction, and
//! writes down what came of it. What is wrong is told once; a wrong key makes no storm.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_proto::rr::RecordType;
use schedules::{Backoff, Millis};
use tokio::sync::watch;

use super::client;
use super::update::{self, Addresses, Change, Trouble, What};
use crate::app::App;
use crate::domain::dns::{Key, Zone};
use crate::store::dns::{self, Record, State};
use crate::store::{Result, WriteTx, settings};

/// How many names are worked on in one go.
const AT_ONCE: u32 = 16;
/// How long a claim lasts: longer than any try.
const CLAIM: Millis = Millis::from_secs(120);
/// How soon a failed try is repeated, and the longest pause.
const RETRY: Backoff = Backoff { base: Millis::from_secs(1), cap: Millis::from_secs(300) };
/// How soon what was refused, or a key that is not accepted, is tried again.
const AFTER_REFUSAL: Millis = Millis::from_secs(300);
/// How often it is looked whether something is due.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// What the settings say of the name server.
#[derive(Debug)]
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
    let mut cursor = -1;
    while !*stop.borrow() {
        if let Err(error) = turn(&app, &mut cursor).await {
            tracing::error!(%error, "the name server is not kept up to date; it is tried again");
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            _ = stop.changed() => {}
        }
    }
    Ok(())
}

async fn turn(app: &App, cursor: &mut i64) -> Result<()> {
    let (newest, touched) = app.store.read(|tx| dns::events_since(tx, *cursor))?;
    let goal = app.store.read(|tx| goal(&settings::load(tx)?))?;
    if touched || *cursor < 0 {
        match &goal {
            Some(goal) => {
                let (server, zone) = (goal.server.clone(), goal.zone.clone());
                app.store
                    .submit(move |tx| {
                        dns::plan(tx, &server, &zone)?;
                        dns::try_again(tx, None)
                    })
                    .await?;
            }
            None => app.store.submit(dns::forget_all).await?,
        }
    }
    *cursor = newest;
    let Some(goal) = goal else { return Ok(()) };
    let now = app.clock.now();
    if app.store.read(dns::next)?.is_none_or(|at| at > now) {
        return Ok(());
    }
    for record in app.store.submit(|tx| dns::claim(tx, AT_ONCE, CLAIM)).await? {
        let outcome = attempt(&goal, &record, app.clock.now().0.div_euclid(1_000).unsigned_abs()).await;
        let random = fastrand::u64(..);
        app.store.submit(move |tx| note(tx, &record, outcome, random)).await?;
    }
    Ok(())
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
    let mut last = Trouble::Later(format!("{} has no address", goal.server));
    for server in client::find(&goal.server).await.map_err(Trouble::Later)? {
        match at(server, goal, record, now_secs).await {
            Err(trouble @ Trouble::Later(_)) => last = trouble,
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
    let wanted: Addresses = record.wanted.into_iter().collect();
    let mut there = look(server, &record.name).await?;
    if there == wanted {
        return Ok(Vec::new());
    }
    let ours: Addresses = record.put.into_iter().chain(record.wanted).collect();
    let foreign: Vec<IpAddr> = there.difference(&ours).copied().collect();
    if !foreign.is_empty() && !record.taken {
        return Err(Trouble::Changed);
    }
    let send = async |what: What, there: &Addresses| {
        let change = Change { zone: &goal.zone, name: &record.name, there, what };
        let (message, verifier) = update::request(&change, goal.key.as_ref(), now_secs)?;
        let told = client::exchange(server, &message).await.map_err(Trouble::Later)?;
        update::outcome(&told, verifier)
    };
    // The new one first: at no moment is there none.
    for address in wanted.difference(&there.clone()).copied() {
        send(What::Add(address, goal.ttl), &there).await?;
        tracing::info!(name = %record.name, %address, %server, "added to DNS");
        there.insert(address);
    }
    for address in there.clone().difference(&wanted).copied() {
        send(What::Remove(address), &there).await?;
        tracing::info!(name = %record.name, %address, %server, "taken away from DNS");
        there.remove(&address);
    }
    let seen = look(server, &record.name).await?;
    if seen != wanted {
        return Err(Trouble::Later(format!("it took the update, but answers with {seen:?}")));
    }
    Ok(foreign)
}

/// The addresses that a name has there.
async fn look(server: SocketAddr, name: &str) -> std::result::Result<Addresses, Trouble> {
    let mut all = Addresses::new();
    for kind in [RecordType::A, RecordType::AAAA] {
        let asked = update::question(name, kind)?;
        let told = client::exchange(server, &asked).await.map_err(Trouble::Later)?;
        all.append(&mut update::addresses(name, &told)?);
    }
    Ok(all)
}

/// Writes down what came of a try.
fn note(
    tx: &WriteTx,
    record: &Record,
    outcome: std::result::Result<Vec<IpAddr>, Trouble>,
    random: u64,
) -> Result<()> {
    let (state, said, next_at) = match outcome {
        Ok(replaced) => return dns::done(tx, record, &replaced),
        Err(Trouble::Changed) => {
            let said = "somebody else changed it: it is left alone; `lineman dns take` makes it ours again";
            (State::Conflict, said.to_owned(), None)
        }
        Err(Trouble::Key(said)) => (State::Key, said, Some(tx.now + AFTER_REFUSAL)),
        Err(Trouble::Refused(said)) => (State::Refused, said, Some(tx.now + AFTER_REFUSAL)),
        Err(Trouble::Later(said)) => {
            (State::Failing, said, Some(tx.now + RETRY.delay(record.tries + 1, random)))
        }
    };
    if state != record.state {
        tracing::warn!(name = %record.name, server = %record.server, %state, %said, "DNS is not up to date");
    }
    dns::failed(tx, record, state, &said, next_at)
}
