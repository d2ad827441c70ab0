//! Drives the agent: asks the state machine what to do, does it, and sleeps until something is due. One thread is
//! enough; nothing polls.

mod device;
mod record;
mod steady;
mod thin;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use schedules::{Clock, Millis, Time};
use tokio::sync::{Notify, watch};
use tokio::task::{JoinError, JoinHandle, JoinSet};

use crate::facts::{self, Facts};
use crate::home::{HomeError, Status};
use crate::link::{Link, LinkError, UrlError};
use crate::probe::{Measured, Prober};
use crate::recorder::{self, Recorder, Watch};
use crate::report::{self, AgentInfo, CheckIn, Climb, MAX_RECORDS, Moment, Reply, What};
use crate::spool::{Spool, SpoolError};
use crate::state::{Do, Now, Standing, State};
pub use device::{Device, alone, runtime};
use record::{Disk, Outage};
use steady::Steady;

/// About how many bytes of records one call carries.
const MAX_BATCH_BYTES: usize = 1024 * 1024;
/// How long a stop waits for the call and the climb that are under way.
const STOP_WAIT: Duration = Duration::from_secs(2);
/// The longest sleep: a machine that was suspended is noticed no later.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

/// What an agent is run with.
pub struct Options<L> {
    /// Where the time comes from.
    pub clock: Clock,
    /// Its database.
    pub spool: Spool,
    /// Its way to the server.
    pub link: L,
    /// What makes its probes.
    pub prober: Prober,
    /// It stops in order once this is true, or nobody can say so any more.
    pub stop: watch::Receiver<bool>,
    /// Somebody here wants a check-in now.
    pub wake: Arc<Notify>,
    /// Where the server is, to tell which address leads there; else it is found by the server's URL.
    pub server: Option<SocketAddr>,
    /// What it is called, for logs.
    pub name: String,
    /// Where it says how it stands, whenever that changes.
    pub told: watch::Sender<Status>,
}

/// Why an agent cannot run on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Its database cannot be used.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// Its data directory cannot be used.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// Its server's URL cannot be used.
    #[error(transparent)]
    Url(#[from] UrlError),
}

/// Runs an agent until it is stopped: then it finishes the call under way, marks the stop, and returns.
///
/// # Errors
/// Where its database is damaged or cannot be read. All else is met and told.
pub async fn run<L: Link>(options: Options<L>) -> Result<(), Error> {
    drive(options, Process::Shared).await
}

/// Whether the agent is alone in its process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Process {
    Own,
    Shared,
}

async fn drive<L: Link>(options: Options<L>, process: Process) -> Result<(), Error> {
    let mut agent = Agent::start(options)?;
    let mut is_thin = false;
    loop {
        let now = agent.steady.now();
        let worked = agent.turn(now)?;
        if *agent.stop.borrow() {
            break;
        }
        if !worked && agent.is_idle() {
            agent.mark_idle(now);
        }
        is_thin &= !worked;
        if process == Process::Own && !is_thin && agent.is_idle() && agent.sleep() >= thin::WORTH_IT {
            thin::give_back_when_parked();
            is_thin = true;
        }
        let event = agent.wait().await;
        let Some(event) = event else { break };
        agent.handle(event)?;
        while let Some(event) = agent.more() {
            agent.handle(event)?;
        }
    }
    agent.finish().await
}

/// What an agent wakes for.
enum Event {
    Called(Result<Result<Reply, LinkError>, JoinError>),
    Probed(Result<(i64, u64, Measured), JoinError>),
    Found(Option<SocketAddr>),
    Line(Result<Moment, JoinError>),
    Climbed(Result<Option<Climb>, JoinError>),
    Noticed(std::io::Result<()>),
    Wanted,
    Due,
}

struct Agent<L> {
    steady: Steady,
    spool: Spool,
    link: Arc<L>,
    prober: Prober,
    stop: watch::Receiver<bool>,
    wake: Arc<Notify>,
    state: State,
    facts: Facts,
    info: AgentInfo,
    /// What the machine was like at the last look.
    seen: Option<report::Status>,
    route: Route,
    call: Option<JoinHandle<Result<Reply, LinkError>>>,
    probes: JoinSet<(i64, u64, Measured)>,
    /// The flight recorder; none inside the server.
    recorder: Option<Recorder>,
    watch: Option<Watch>,
    /// The line that waits for the gateway's answer.
    line: Option<JoinHandle<Moment>>,
    climb: Option<JoinHandle<Option<Climb>>>,
    outage: Outage,
    /// The address on the way to the server when it last answered.
    good_address: Option<IpAddr>,
    /// The hops beyond the gateway on a good day.
    good_hops: Vec<IpAddr>,
    disk: Disk,
    told: Status,
    told_to: watch::Sender<Status>,
    idle_at: Option<Time>,
}

/// Where the server is.
struct Route {
    server: Option<SocketAddr>,
    url: Option<String>,
    lookup: Option<JoinHandle<Option<SocketAddr>>>,
}

impl Route {
    /// Looks the server's name up, unless that is going on.
    fn look_up(&mut self) {
        let Some(url) = &self.url else { return };
        if let Some(server) = crate::link::literal_address(url) {
            self.server = Some(server);
        } else if self.lookup.is_none() {
            let url = url.clone();
            self.lookup = Some(tokio::task::spawn_blocking(move || crate::link::address(&url)));
        }
    }
}

impl<L: Link> Agent<L> {
    fn start(options: Options<L>) -> Result<Agent<L>, Error> {
        let Options { clock, spool, link, prober, stop, wake, server, name, told: told_to } = options;
        let steady = Steady::new(clock);
        let now = steady.now();
        let stamp = steady.stamp();
        let boot_id = facts::boot_id();
        let booted_at = now.wall - stamp.mono;
        let (spool, before) = spool.begin(&boot_id, booted_at, stamp)?;
        let identity = spool.identity();
        let key = identity.map_or(0, |identity| identity.device.cast_unsigned());
        let url = identity.map(|identity| identity.server.clone());
        let told = Status {
            server: url.clone().unwrap_or_default(),
            device: name,
            started_at: Some(now.wall),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            last_check_in_at: last_check_in(&spool),
            ..Status::default()
        };
        let recorder = match link.leads_to() {
            Some(_) => Some(Recorder::new(spool.lines(recorder::MOST_LINES)?)),
            None => None,
        };
        let watch = recorder.as_ref().and_then(|_| listen());
        let url = if server.is_some() { None } else { url };
        let mut route = Route { server, url, lookup: None };
        route.look_up();
        let info = AgentInfo { version: told.version.clone(), boot_id, booted_at, started_at: now.wall };
        let mut agent = Agent {
            steady,
            spool,
            link: Arc::new(link),
            prober,
            stop,
            wake,
            state: State::new(key, now),
            facts: Facts::new(),
            info,
            seen: None,
            route,
            call: None,
            probes: JoinSet::new(),
            recorder,
            watch,
            line: None,
            climb: None,
            outage: Outage::default(),
            good_address: None,
            good_hops: Vec::new(),
            disk: Disk::new(now),
            told,
            told_to,
            idle_at: None,
        };
        agent.resume(&before, now)?;
        if let Some(config) = agent.spool.config()? {
            agent.state.handle_config(&config, now);
        }
        Ok(agent)
    }

    /// Does all that is to be done at `now`; says whether there was anything.
    fn turn(&mut self, now: Now) -> Result<bool, Error> {
        let todo = self.state.poll(now);
        let worked = !todo.is_empty();
        let mut records = Vec::new();
        let (mut call, mut look, mut line) = (false, false, false);
        for step in todo {
            match step {
                Do::Record(what) => records.push((self.filled(what)?, Millis::ZERO)),
                Do::RecordPast { what, ago } => records.push((what, ago)),
                Do::Probe { check, run, probe, timeout } => {
                    let prober = self.prober.clone();
                    self.probes.spawn(async move { (check, run, prober.run(&probe, timeout).await) });
                }
                Do::Look => look = true,
                Do::Moment => line = true,
                Do::Climb(why) => self.begin_climb(why, now),
                Do::CheckIn => call = true,
            }
        }
        if call || look || line {
            let (changes, status) = self.look();
            if line {
                self.begin_line(&status);
            }
            if call {
                records.extend(
                    changes.into_iter().chain([What::Status(status)]).map(|what| (what, Millis::ZERO)),
                );
            } else {
                self.state.handle_changes(changes);
            }
        }
        self.record(records)?;
        if call {
            let call = self.check_in()?;
            let link = Arc::clone(&self.link);
            self.call = Some(tokio::spawn(async move { link.check_in(call).await }));
        }
        self.tell(now);
        self.write(now)?;
        Ok(worked)
    }

    /// Looks at the machine: what changed since the last look, and what it is like.
    fn look(&mut self) -> (Vec<What>, report::Status) {
        let status = self.facts.status(self.route.server);
        let changes = self.seen.as_ref().map(|before| facts::changes(before, &status)).unwrap_or_default();
        for change in &changes {
            tracing::info!(subject = %change.subject, name = %change.name, from = %change.from, to = %change.to,
                "the network of this machine changed");
        }
        let before = self.seen.replace(status.clone());
        if let Some(address) = before.and_then(|before| facts::gone(&before, &status)) {
            self.break_off(address);
        }
        (changes.into_iter().map(What::Change).collect(), status)
    }

    /// This machine's address is another one: what was sent from the old one gets no answer any more.
    fn break_off(&mut self, address: IpAddr) {
        self.link.renew();
        if let Some(call) = self.call.take() {
            call.abort();
            let why = format!("this machine's address {address} is gone: the call is made anew");
            self.told.error = Some(why.clone());
            let now = self.steady.now();
            self.state.handle_failure(&LinkError::Failed(why), now, fastrand::u64(..));
        }
    }

    fn check_in(&mut self) -> Result<CheckIn, Error> {
        let records = self.spool.batch(MAX_RECORDS, MAX_BATCH_BYTES)?;
        let last = records.last().map_or(0, |record| record.seq);
        let current = self.spool.current(last)?;
        let stamp = self.steady.stamp();
        Ok(CheckIn {
            agent: self.info.clone(),
            sent_at: stamp.at,
            sent_mono: stamp.mono,
            log: self.spool.log().to_owned(),
            current,
            waiting: self.spool.waiting().saturating_sub(records.len() as u64),
            records,
            config: self.state.etag().map(ToOwned::to_owned),
        })
    }

    /// Waits for the next event. None: the agent is to stop.
    async fn wait(&mut self) -> Option<Event> {
        let sleep = self.sleep();
        let gateway = self.recorder.as_ref().and_then(Recorder::gateway);
        let Agent { stop, call, probes, wake, route, line, climb, watch, .. } = self;
        tokio::select! {
            biased;
            stopped = stop.wait_for(|stop| *stop) => { drop(stopped); None }
            called = joined(call) => Some(Event::Called(called)),
            Some(probed) = probes.join_next() => Some(Event::Probed(probed)),
            () = wake.notified() => Some(Event::Wanted),
            done = joined(line) => Some(Event::Line(done)),
            climbed = joined(climb) => Some(Event::Climbed(climbed)),
            noticed = noticed(watch, gateway) => Some(Event::Noticed(noticed)),
            found = joined(&mut route.lookup) => Some(Event::Found(found.ok().flatten())),
            () = tokio::time::sleep(sleep) => Some(Event::Due),
        }
    }

    /// Results that are there already, so that they are written together.
    fn more(&mut self) -> Option<Event> {
        self.probes.try_join_next().map(Event::Probed)
    }

    fn sleep(&self) -> Duration {
        let until = self.state.poll_timeout().map_or(Time::MAX, |(at, _)| at);
        self.steady.nap(until).min(LONGEST_SLEEP)
    }

    fn handle(&mut self, event: Event) -> Result<(), Error> {
        let now = self.steady.now();
        match event {
            Event::Called(called) => {
                self.call = None;
                let answer = called
                    .unwrap_or_else(|e| Err(LinkError::Failed(format!("the call was broken off: {e}"))));
                self.handle_answer(answer, now)?;
            }
            Event::Probed(Ok((check, run, measured))) => self.state.handle_result(check, run, measured, now),
            Event::Probed(Err(e)) => tracing::error!(error = %e, "a probe was broken off"),
            Event::Found(found) => {
                self.route.lookup = None;
                if found.is_some() && self.route.server.is_none() && self.seen.is_some() {
                    // The first status could not yet name the address on the route there.
                    self.state.handle_wake();
                }
                self.route.server = found.or(self.route.server);
            }
            Event::Line(done) => {
                self.line = None;
                match done {
                    Ok(line) => self.keep_line(line),
                    Err(e) => tracing::error!(error = %e, "a line of the record was broken off"),
                }
            }
            Event::Climbed(climb) => self.end_climb(climb, now),
            Event::Noticed(Ok(())) => self.state.handle_noticed(now),
            Event::Noticed(Err(e)) => {
                tracing::warn!(error = %e, "changes of the network are noticed at check-ins alone from here on");
                self.watch = None;
            }
            Event::Wanted => self.state.handle_wake(),
            Event::Due => {}
        }
        Ok(())
    }

    fn handle_answer(&mut self, answer: Result<Reply, LinkError>, now: Now) -> Result<(), Error> {
        match answer {
            Ok(reply) => {
                let forgotten = self.spool.ack(reply.acked);
                self.meet(forgotten)?;
                if let Some(config) = &reply.config {
                    tracing::info!(etag = %config.etag, checks = config.tasks.len(), "a new configuration");
                    let kept = self.spool.set_config(config);
                    self.meet(kept)?;
                }
                self.told.last_check_in_at = Some(now.wall);
                self.good_address = self.seen.as_ref().and_then(|status| status.address);
                self.told.error = None;
                self.state.handle_reply(&reply, self.spool.waiting(), now);
            }
            Err(error) => {
                self.told.error = Some(error.to_string());
                self.route.look_up();
                if let LinkError::Bad { seq: Some(seq), error } = &error
                    && self.set_aside(*seq, error)?
                {
                    tracing::warn!(seq, error = %error, "the server cannot take a record: it is set aside");
                    self.state.handle_rejected(self.spool.waiting(), now);
                    return Ok(());
                }
                tracing::debug!(error = %error, "a check-in failed");
                self.state.handle_failure(&error, now, fastrand::u64(..));
            }
        }
        Ok(())
    }

    /// Says how the agent stands: in its database where that changed, in the log where its state changed.
    fn tell(&mut self, now: Now) {
        let (state, since) = match self.state.standing() {
            Standing::Starting => ("starting", None),
            Standing::Online => ("online", None),
            Standing::Failing(trouble) => (
                if self.told.last_check_in_at.is_some() { "online" } else { "starting" },
                Some(trouble.since),
            ),
            Standing::CutOff(trouble) => ("cut-off", Some(trouble.since)),
            Standing::Refused { cut_off, .. } => ("refused", cut_off.as_ref().map(|trouble| trouble.since)),
        };
        let next = self.state.poll_call().map(|(at, _)| now.wall + at.since(now.steady));
        let was = self.told.clone();
        self.told.state = state.to_owned();
        self.told.failed_tries = self.state.failed_tries();
        self.told.cut_off_since = since.map(|since| now.wall - now.steady.since(since));
        self.told.checks = self.state.checks() as u64;
        self.told.backlog = self.spool.waiting();
        if next.is_some() {
            self.told.next_check_in_at = next;
        }
        if was.state != self.told.state {
            tracing::info!(state, was = %was.state, server = %self.told.server, failed_tries = self.told.failed_tries,
                backlog = self.told.backlog, error = self.told.error.as_deref(), "the agent's state changed");
        }
        let before = self.told_to.send_replace(self.told.clone());
        if before != self.told {
            self.spool.set_status(serde_json::to_string(&self.told).unwrap_or_default());
        }
        let news = |status: &Status| {
            (status.state.clone(), status.failed_tries, status.checks, status.error.clone())
        };
        if news(&before) != news(&self.told) {
            self.disk.press();
        }
    }

    fn is_idle(&self) -> bool {
        let is_asking = self.call.is_some() || self.route.lookup.is_some() || !self.probes.is_empty();
        !is_asking && self.line.is_none() && self.climb.is_none()
    }

    fn mark_idle(&mut self, now: Now) {
        if self.idle_at != Some(now.wall) {
            self.steady.clock().idle("agent", now.wall);
            self.idle_at = Some(now.wall);
        }
    }

    /// Ends in order.
    async fn finish(mut self) -> Result<(), Error> {
        self.probes.abort_all();
        let (call, climb) = (self.call.take(), self.climb.take());
        let (called, climbed) = tokio::join!(in_time(call), in_time(climb));
        let now = self.steady.now();
        if let Some(Ok(answer)) = called {
            self.handle_answer(answer, now)?;
        }
        if let Some(climb) = climbed {
            self.end_climb(climb, now);
        }
        let now = self.steady.now();
        self.state.handle_stop();
        let mut records = Vec::new();
        for step in self.state.poll(now) {
            match step {
                Do::Record(what) => records.push((self.filled(what)?, Millis::ZERO)),
                Do::RecordPast { what, ago } => records.push((what, ago)),
                Do::Probe { .. } | Do::Look | Do::Moment | Do::Climb(_) | Do::CheckIn => {}
            }
        }
        self.record(records)?;
        self.last_line();
        self.tell(now);
        self.write(now)?;
        let stopped = self.spool.stop(self.steady.stamp());
        self.meet(stopped)?;
        tracing::info!(backlog = self.spool.waiting(), "the agent stops");
        Ok(())
    }
}

/// What a task ends with, if it does so before the stop is over.
async fn in_time<T>(task: Option<JoinHandle<T>>) -> Option<Result<T, JoinError>> {
    let mut task = task?;
    let done = tokio::time::timeout(STOP_WAIT, &mut task).await.ok();
    if done.is_none() {
        task.abort();
    }
    done
}

/// Listens to what the kernel tells of the network.
fn listen() -> Option<Watch> {
    Watch::open()
        .inspect_err(|e| {
            tracing::warn!(error = %e, "the kernel does not tell of changes of the network: they are noticed at check-ins");
        })
        .ok()
}

/// Waits until the kernel tells of a change; for ever, where it does not.
async fn noticed(watch: &mut Option<Watch>, gateway: Option<IpAddr>) -> std::io::Result<()> {
    match watch {
        Some(watch) => watch.changed(gateway).await,
        None => std::future::pending().await,
    }
}

fn last_check_in(spool: &Spool) -> Option<Time> {
    let text = spool.status().ok().flatten()?;
    serde_json::from_str::<Status>(&text).ok()?.last_check_in_at
}

/// What the task ends with; never, where there is none.
async fn joined<T>(task: &mut Option<JoinHandle<T>>) -> Result<T, JoinError> {
    match task {
        Some(task) => task.await,
        None => std::future::pending().await,
    }
}
