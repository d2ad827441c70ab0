//! Keeps devices' names at a name server up to date: plans, claims what is due, does it outside of any transaction, and
//! writes down what came of it. What is wrong is told once. While the server is away, does not take the key, or
//! refuses several names in a row, one name is tried now and then, however many are due.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_proto::rr::RecordType;
use schedules::{Backoff, Millis};
use tokio::sync::watch;

use super::update::{self, Change, Trouble};
use super::{client, reading};
use crate::app::App;
use crate::domain::dns::change::{Addresses, Demand, Last, Sight, Step, next};
use crate::domain::dns::{Key, Zone};
use crate::store::dns::{self, Pause, Proof, Record, State};
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
const LOOKS: usize = 5;
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
            reading(app, move |tx| Ok::<_, Error>((dns::next(tx)?, dns::trouble(tx, &server)?))).await?;
        if next.is_none_or(|at| at > now) || trouble.as_ref().is_some_and(|trouble| trouble.next_at > now) {
            return Ok(());
        }
        let most = if trouble.is_some() { 1 } else { AT_ONCE };
        let claimed = app.store.submit(move |tx| dns::claim(tx, most, CLAIM)).await?;
        for (at, record) in claimed.iter().enumerate() {
            let tried = attempt(goal, record, app.clock.now().0.div_euclid(1_000).unsigned_abs()).await;
            let (record, left, random) = (record.clone(), claimed[at + 1..].to_vec(), fastrand::u64(..));
            if !app.store.submit(move |tx| note(tx, &record, &left, tried, random)).await? {
                break;
            }
        }
        Ok(())
    }

    /// Brings what is wanted up to date, where something happened that may have changed it.
    async fn follow(&mut self) -> Result<()> {
        let (cursor, app) = (self.cursor, &self.app);
        let (newest, touched) = reading(app, move |tx| dns::events_since(tx, cursor)).await?;
        if touched || cursor < 0 {
            let fresh = reading(app, |tx| goal(&settings::load(tx)?)).await?;
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

/// What came of a try.
struct Tried {
    /// How far it came, whatever came of it.
    far: Far,
    /// What stood there that was not ours and is gone, or why it is not as it is to be.
    came: std::result::Result<Vec<IpAddr>, Trouble>,
}

/// How far a try came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Far {
    /// The name server was asked at most.
    Asked,
    /// It was told to change something, and may have done it.
    Told,
    /// It did.
    Done,
}

/// Brings one name up to date, and proves it.
async fn attempt(goal: &Goal, record: &Record, now_secs: u64) -> Tried {
    let mut tried =
        Tried { far: Far::Asked, came: Err(Trouble::Away(format!("{} has no address", goal.server))) };
    let servers = match client::find(&goal.server).await {
        Ok(servers) => servers,
        Err(why) => return Tried { came: Err(Trouble::Away(why)), ..tried },
    };
    for server in servers {
        tried.came = at(server, goal, record, now_secs, &mut tried.far).await;
        if !matches!(tried.came, Err(Trouble::Away(_))) {
            break;
        }
    }
    tried
}

/// The same at one address of the name server.
async fn at(
    server: SocketAddr,
    goal: &Goal,
    record: &Record,
    now_secs: u64,
    far: &mut Far,
) -> std::result::Result<Vec<IpAddr>, Trouble> {
    let (own, mut gone) = (record.own(), Vec::new());
    let (mut there, mut last) = (look(server, &record.name).await?, Last::None);
    for _ in 0..LOOKS {
        let (demand, add, remove) = match next(record.wanted, &own, &there, record.whose, last) {
            Step::Nothing => return Ok(gone),
            Step::Conflict => return Err(Trouble::Conflict(there)),
            Step::Contradiction => break,
            Step::Change { demand, add, remove } => (demand, add, remove),
        };
        let change = Change {
            zone: &goal.zone,
            name: &record.name,
            demand: &demand,
            add: &add,
            remove: &remove,
            ttl: goal.ttl,
        };
        let (message, verifier) = update::request(&change, goal.key.as_ref(), now_secs)?;
        *far = Far::Told.max(*far);
        let told = client::exchange(server, &message).await.map_err(Trouble::Away)?;
        let ended = match (update::outcome(&told, verifier), demand) {
            (Ok(()), _) => {
                tracing::info!(name = %record.name, ?add, ?remove, %server, "DNS is changed");
                gone.extend(remove.into_iter().filter(|address| !own.contains(address)));
                *far = Far::Done;
                Last::Done
            }
            (Err(Trouble::Changed), Demand::Exactly(_)) => Last::NotExactly,
            (Err(Trouble::Changed), Demand::Unused) => Last::InUse,
            (Err(trouble), _) => return Err(trouble),
        };
        let seen = look(server, &record.name).await?;
        last = if seen == there { ended } else { Last::None };
        there = seen;
    }
    Err(match (*far, last) {
        (Far::Done, _) => Trouble::Later(format!("it took the update, but answers with {there}")),
        (Far::Asked | Far::Told, Last::None) => Trouble::Changed,
        (Far::Asked | Far::Told, _) => {
            Trouble::Later(format!("it answers with {there}, but has something else for an update"))
        }
    })
}

/// What the name server answers for a name.
async fn look(server: SocketAddr, name: &str) -> std::result::Result<Sight, Trouble> {
    let mut all = Addresses::new();
    for kind in [RecordType::A, RecordType::AAAA] {
        let asked = update::question(name, kind)?;
        let told = client::exchange(server, &asked).await.map_err(Trouble::Away)?;
        match update::sight(name, &told)? {
            Sight::Addresses(mut some) => all.append(&mut some),
            alias @ Sight::Alias(_) => return Ok(alias),
        }
    }
    Ok(Sight::Addresses(all))
}

/// Writes down what came of a try; false where the server is not well, and the others that were claimed are not tried.
fn note(tx: &WriteTx, record: &Record, left: &[Record], tried: Tried, random: u64) -> Result<bool> {
    if tried.far == Far::Asked {
        dns::not_told(tx, record)?;
    }
    let proof = if tried.far == Far::Done { Proof::Obeys } else { Proof::Answers };
    let (now, soon) = (tx.now, |tries: u32| tx.now + RETRY.delay(tries, random));
    // It was told of this name, and others were taken since: it is refused alone.
    let refuses = dns::trouble(tx, &record.server)?.is_some_and(|trouble| trouble.state == State::Key);
    let alone = record.state == State::Refused && !refuses;
    let (state, said, next_at) = match tried.came {
        Ok(replaced) => {
            dns::server_is_well(tx, &record.server, proof)?;
            dns::done(tx, record, &replaced)?;
            return Ok(true);
        }
        // Nothing is wanted there any more: what is somebody else's stays, and is nothing of ours.
        Err(Trouble::Conflict(_)) if record.wanted.is_none() => {
            dns::server_is_well(tx, &record.server, proof)?;
            dns::done(tx, record, &[])?;
            return Ok(true);
        }
        Err(Trouble::Key(said)) => {
            warn(record, State::Key, &said);
            let pause = |_| Pause::of_both(now + AFTER_REFUSAL);
            dns::server_failed(tx, (record, left), State::Key, &said, pause)?;
            return Ok(false);
        }
        Err(Trouble::Away(said)) => {
            warn(record, State::Failing, &said);
            let pause = |tries| Pause::of_both(soon(tries));
            dns::server_failed(tx, (record, left), State::Failing, &said, pause)?;
            return Ok(false);
        }
        Err(Trouble::Denied(said)) if !alone => {
            warn(record, State::Refused, &said);
            dns::server_failed(tx, (record, left), State::Refused, &said, |refused| {
                let server_until = if refused < dns::SEVERAL { now } else { now + AFTER_REFUSAL };
                Pause { server_until, name_until: now + AFTER_REFUSAL }
            })?;
            return Ok(false);
        }
        Err(Trouble::Denied(said) | Trouble::Refused(said)) => {
            (State::Refused, said, Some(now + AFTER_REFUSAL))
        }
        Err(Trouble::Conflict(there)) => (State::Conflict, conflict(&record.name, &there), None),
        Err(Trouble::Changed) => {
            let said = "somebody else changes it all the time".to_owned();
            (State::Failing, said, Some(soon(record.tries.saturating_add(1))))
        }
        Err(Trouble::Later(said)) => (State::Failing, said, Some(soon(record.tries.saturating_add(1)))),
    };
    warn(record, state, &said);
    dns::server_is_well(tx, &record.server, proof)?;
    dns::failed(tx, record, state, &said, next_at)?;
    Ok(true)
}

/// What is somebody else's, and what a person can do about it.
fn conflict(name: &str, there: &Sight) -> String {
    let advice = match there {
        Sight::Addresses(_) => format!("`lineman dns take {name}` changes it"),
        Sight::Alias(_) => format!("take it away at the name server, then `lineman dns retry {name}`"),
    };
    format!("{there} is there, from somebody else: {advice}")
}

fn warn(record: &Record, state: State, said: &str) {
    if state != record.state {
        tracing::warn!(name = %record.name, server = %record.server, %state, %said, "DNS is not up to date");
    }
}
