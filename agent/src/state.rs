//! When an agent does what: a state machine without I/O, clock or randomness. Time and random numbers come in as
//! arguments, what is to be done comes out of [`State::poll`], and [`State::poll_timeout`] says when to ask again.
//!
//! It reckons in *steady* time, which is the wall clock of the agent's start moved on by the time since boot: nothing
//! is late or doubled when the wall clock is set. Wall times appear only in what is recorded, and in cron lines.

mod checks;
mod climbs;
mod record;

use schedules::{Backoff, Cadence, Millis, Time};

use crate::link::LinkError;
use crate::probe::Measured;
use crate::report::{Change, Config, MAX_RECORDS, Outcome, Probe, Reply, What, Why};
use checks::Checks;
use record::Record;
pub use record::{Kept, Told};

/// How often to check in before a configuration says.
const DEFAULT_EVERY: Millis = Millis::from_secs(30);
/// After how many failed tries an agent is cut off, before a configuration says.
const DEFAULT_CUT_OFF_AFTER: u32 = 3;
/// The longest wait between two tries, before a configuration says.
const DEFAULT_RETRY_MAX: Millis = Millis::from_secs(300);
/// The shortest interval of check-ins.
const SHORTEST_EVERY: Millis = Millis(100);
/// The shortest time from one call to the next that something urgent causes.
const MIN_GAP: Millis = Millis::from_secs(1);
/// The shortest time from one call to the next there is.
const LEAST_GAP: Millis = Millis(50);
/// How long a refused agent stays away, and the longest that a server may ask for.
const AN_HOUR: Millis = Millis::from_secs(3600);
/// How long the network may go on changing before it is looked at: what belongs together comes together.
const SETTLE: Millis = Millis(200);
/// The shortest time from one look that the network causes to the next.
const LOOK_GAP: Millis = Millis::from_secs(1);
/// By how much the wall clock must part from the steady one, from one step to the next, to have been set.
const CLOCK_STEP: Millis = Millis::from_secs(1);
/// How many records may be rejected one after the other before the agent slows down.
const QUICK_REJECTIONS: u32 = 10;

/// What time it is, twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Never jumps: what is due is reckoned in it.
    pub steady: Time,
    /// What the device's clock shows: what is recorded.
    pub wall: Time,
}

impl Now {
    /// What the device's clock, as it is set now, would have shown at the steady moment `then`.
    fn shown(self, then: Time) -> Time {
        self.wall - self.steady.since(then)
    }
}

/// What is to be done now.
#[derive(Clone, Debug, PartialEq)]
pub enum Do {
    /// Record this.
    Record(What),
    /// Record this, which happened a while ago.
    RecordPast {
        /// What happened.
        what: What,
        /// How long ago.
        ago: Millis,
    },
    /// Write a line of the flight recorder.
    Moment,
    /// Climb the ladder of evidence, and hand what it found to [`State::handle_climb`].
    Climb(Why),
    /// Run this probe, and hand what it measured to [`State::handle_result`] with the same numbers.
    Probe {
        /// The check.
        check: i64,
        /// Which form of the check this is: one that was changed meanwhile has another number.
        run: u64,
        /// What to do.
        probe: Probe,
        /// The longest wait for an answer.
        timeout: Millis,
    },
    /// Look at this machine for changes of its network: nobody is told, but it may matter later.
    Look,
    /// Call the server, and hand what comes of it to one of [`State::handle_reply`], [`State::handle_failure`] and
    /// [`State::handle_rejected`].
    CheckIn,
}

/// How the agent stands with its server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The first call is not answered yet.
    Starting,
    /// The last call was answered.
    Online,
    /// Some tries failed, too few yet to say more.
    Failing(Trouble),
    /// So many tries failed in a row that the agent is cut off.
    CutOff(Trouble),
    /// The server does not know this agent, or no more.
    Refused {
        /// When the agent asks again.
        until: Time,
        /// What the server said.
        reason: String,
        /// The outage that is not over: the server answers, but takes no reports.
        cut_off: Option<Trouble>,
    },
}

/// Tries that failed in a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// When the first of them began (steady).
    pub since: Time,
    /// How many.
    pub tries: u32,
    /// What the first of them said.
    pub reason: String,
    /// What was told of it.
    pub told: Told,
}

/// When the next call is planned, and why then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Plan {
    Start(Time),
    Cadence(Time),
    Backlog(Time),
    Again(Time),
    Backoff(Time),
    Busy(Time),
    Refused(Time),
}

impl Plan {
    fn when(self) -> (Time, &'static str) {
        match self {
            Plan::Start(at) => (at, "the first check-in"),
            Plan::Cadence(at) => (at, "a check-in is due"),
            Plan::Backlog(at) => (at, "more of the backlog is due"),
            Plan::Again(at) => (at, "the call is made again without a record that was rejected"),
            Plan::Backoff(at) => (at, "the next try is due"),
            Plan::Busy(at) => (at, "the busy server may be asked again"),
            Plan::Refused(at) => (at, "the server that refused may be asked again"),
        }
    }
}

/// Whether a call is wanted sooner than planned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Want {
    No,
    /// Something urgent was recorded.
    Soon,
    /// Somebody here asked for it.
    Now,
}

/// The agent's state machine.
#[derive(Debug)]
pub struct State {
    key: u64,
    every: Millis,
    cut_off_after: u32,
    retry_max: Millis,
    etag: Option<String>,
    standing: Standing,
    plan: Plan,
    want: Want,
    calling: bool,
    last_began: Option<Time>,
    waiting: u64,
    rejections: u32,
    /// When the machine is looked at regularly, while no calls do.
    look_at: Option<Time>,
    /// When it is looked at because the kernel said that something changed.
    noticed_at: Option<Time>,
    looked_at: Option<Time>,
    skew: Millis,
    /// The skew at the last step.
    last_skew: Millis,
    checks: Checks,
    record: Option<Record>,
    out: Vec<Do>,
}

impl State {
    /// A machine that calls at once. `key` tells agents apart, so that many do not call in the same moment.
    #[must_use]
    pub fn new(key: u64, now: Now) -> State {
        State {
            key,
            every: DEFAULT_EVERY,
            cut_off_after: DEFAULT_CUT_OFF_AFTER,
            retry_max: DEFAULT_RETRY_MAX,
            etag: None,
            standing: Standing::Starting,
            plan: Plan::Start(now.steady),
            want: Want::No,
            calling: false,
            last_began: None,
            waiting: 0,
            rejections: 0,
            look_at: None,
            noticed_at: None,
            looked_at: None,
            skew: now.wall.since(now.steady),
            last_skew: now.wall.since(now.steady),
            checks: Checks::default(),
            record: None,
            out: Vec::new(),
        }
    }

    /// How the agent stands with its server.
    #[must_use]
    pub fn standing(&self) -> &Standing {
        &self.standing
    }

    /// The etag of the configuration that is in force.
    #[must_use]
    pub fn etag(&self) -> Option<&str> {
        self.etag.as_deref()
    }

    /// How many tries failed in a row.
    #[must_use]
    pub fn failed_tries(&self) -> u32 {
        match &self.standing {
            Standing::Failing(trouble) | Standing::CutOff(trouble) => trouble.tries,
            Standing::Refused { cut_off: Some(trouble), .. } => trouble.tries,
            Standing::Starting | Standing::Online | Standing::Refused { cut_off: None, .. } => 0,
        }
    }

    /// How many checks the agent runs.
    #[must_use]
    pub fn checks(&self) -> usize {
        self.checks.len()
    }

    /// Takes a configuration: the one kept from before at a start, and the one that came with a reply.
    pub fn handle_config(&mut self, config: &Config, now: Now) {
        let every = if config.check_in_every > Millis::ZERO { config.check_in_every } else { DEFAULT_EVERY };
        let changed = self.every != every.max(SHORTEST_EVERY);
        self.every = every.max(SHORTEST_EVERY);
        self.cut_off_after =
            if config.cut_off_after > 0 { config.cut_off_after } else { DEFAULT_CUT_OFF_AFTER };
        self.retry_max = if config.retry_max > Millis::ZERO { config.retry_max } else { DEFAULT_RETRY_MAX };
        self.etag = Some(config.etag.clone());
        if changed && matches!(self.plan, Plan::Cadence(_)) {
            self.plan = Plan::Cadence(self.next_on_cadence(now));
        }
        self.configure_record(config, now);
        let bad = self.checks.configure(&config.tasks, now);
        if !bad.is_empty() {
            self.want = self.want.max(Want::Soon);
        }
        self.out.extend(bad.into_iter().map(|result| Do::Record(What::Result(result))));
    }

    /// The server answered. `waiting`: how many records are left now that those it has are forgotten.
    pub fn handle_reply(&mut self, reply: &Reply, waiting: u64, now: Now) {
        self.calling = false;
        self.rejections = 0;
        self.waiting = waiting;
        // What the kernel said meanwhile is looked at all the same: the call began before it.
        self.look_at = None;
        match std::mem::replace(&mut self.standing, Standing::Online) {
            Standing::CutOff(trouble) | Standing::Refused { cut_off: Some(trouble), .. } => {
                self.end_outage(&trouble, now);
            }
            Standing::Starting | Standing::Online | Standing::Failing(_) => {
                self.rest();
                self.judge_held(None, now);
            }
            Standing::Refused { cut_off: None, .. } => {}
        }
        self.plan = if waiting > 0 && reply.next_in_ms > Millis::ZERO {
            Plan::Backlog(now.steady + reply.next_in_ms.clamp(LEAST_GAP, AN_HOUR))
        } else {
            Plan::Cadence(self.next_on_cadence(now))
        };
        if let Some(config) = &reply.config {
            self.handle_config(config, now);
        }
    }

    /// The call brought no reply. `random` spreads the next try.
    pub fn handle_failure(&mut self, error: &LinkError, now: Now, random: u64) {
        self.calling = false;
        match error {
            LinkError::Unauthorized(reason) | LinkError::Gone(reason) => {
                let cut_off = match std::mem::replace(&mut self.standing, Standing::Online) {
                    Standing::CutOff(trouble) => Some(trouble),
                    Standing::Refused { cut_off, .. } => cut_off,
                    Standing::Starting | Standing::Online | Standing::Failing(_) => None,
                };
                self.rest();
                let until = now.steady + AN_HOUR;
                self.standing = Standing::Refused { until, reason: reason.clone(), cut_off };
                self.plan = Plan::Refused(until);
            }
            LinkError::Busy { retry_after, .. } => {
                self.plan = Plan::Busy(now.steady + (*retry_after).clamp(self.min_gap(), AN_HOUR));
                return;
            }
            LinkError::Bad { error, .. } | LinkError::Failed(error) => self.failed(error, now, random),
        }
        self.look_at.get_or_insert(Cadence::Every(self.every).next(now.steady, self.key));
    }

    /// The server could not take one record, and it is set aside: the call is made again at once.
    pub fn handle_rejected(&mut self, waiting: u64, now: Now) {
        self.calling = false;
        self.waiting = waiting;
        self.rejections = self.rejections.saturating_add(1);
        let wait = if self.rejections > QUICK_REJECTIONS { MIN_GAP } else { Millis::ZERO };
        self.plan = Plan::Again(now.steady + wait);
    }

    /// A probe ended.
    pub fn handle_result(&mut self, check: i64, run: u64, measured: Measured, now: Now) {
        let Some((result, urgent)) = self.checks.finish(check, run, measured, now) else { return };
        if urgent {
            self.want = self.want.max(Want::Soon);
        }
        self.out.push(Do::Record(What::Result(result)));
    }

    /// Something of this machine's network changed: an urgent matter.
    pub fn handle_changes(&mut self, changes: Vec<What>) {
        if !changes.is_empty() {
            self.want = self.want.max(Want::Soon);
        }
        self.out.extend(changes.into_iter().map(Do::Record));
    }

    /// Records were written: so many wait now.
    pub fn handle_waiting(&mut self, waiting: u64) {
        self.waiting = waiting;
    }

    /// Somebody here wants a check-in now.
    pub fn handle_wake(&mut self) {
        self.want = Want::Now;
    }

    /// The kernel says that something of the network changed: it is looked at soon.
    pub fn handle_noticed(&mut self, now: Now) {
        let earliest = self.looked_at.map_or(Time::MIN, |at| at + LOOK_GAP);
        let at = (now.steady + SETTLE).max(earliest);
        self.noticed_at = Some(self.noticed_at.map_or(at, |planned| planned.min(at)));
    }

    /// All that is to be done at `now`; records first, a call last.
    pub fn poll(&mut self, now: Now) -> Vec<Do> {
        self.notice_turned_clock(now);
        let mut todo = std::mem::take(&mut self.out);
        self.checks.begin_due(now, &mut todo);
        if self.next_look().is_some_and(|at| at <= now.steady) {
            let regularly = !matches!(self.standing, Standing::Starting | Standing::Online);
            self.look_at = regularly.then(|| self.next_on_cadence(now));
            self.noticed_at = None;
            self.looked_at = Some(now.steady);
            todo.push(Do::Look);
        }
        self.poll_record(now, &mut todo);
        if self.call_due().is_some_and(|(at, _)| at <= now.steady) {
            self.calling = true;
            self.want = Want::No;
            self.last_began = Some(now.steady);
            todo.push(Do::CheckIn);
        }
        todo
    }

    /// The steady moment at which [`State::poll`] has something to do again, and what; it may be past.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<(Time, &'static str)> {
        if !self.out.is_empty() {
            return Some((Time::MIN, "something is to be recorded"));
        }
        let probe = self.checks.next().map(|at| (at, "a check is due"));
        let look = self.next_look().map(|at| (at, "a look at the network is due"));
        let moment = self.record.as_ref().map(|record| (record.moment_at, "a line of the record is due"));
        let climb = self.climb_due().map(|at| (at, "the ladder is to be climbed"));
        [self.call_due(), probe, look, moment, climb].into_iter().flatten().min_by_key(|(at, _)| *at)
    }

    fn next_look(&self) -> Option<Time> {
        [self.look_at, self.noticed_at].into_iter().flatten().min()
    }

    /// The steady moment of the next call, and why then; none while one is under way.
    #[must_use]
    pub fn poll_call(&self) -> Option<(Time, &'static str)> {
        self.call_due()
    }

    /// How many probes are under way.
    #[must_use]
    pub fn probes_under_way(&self) -> usize {
        self.checks.under_way()
    }

    /// Whether a call is under way.
    #[must_use]
    pub fn is_calling(&self) -> bool {
        self.calling
    }

    fn failed(&mut self, error: &str, now: Now, random: u64) {
        let began = self.last_began.unwrap_or(now.steady);
        let first = || Trouble { since: began, tries: 0, reason: error.to_owned(), told: Told::Not };
        let was_refused = matches!(self.standing, Standing::Refused { .. });
        let mut trouble = match std::mem::replace(&mut self.standing, Standing::Online) {
            Standing::Failing(trouble) | Standing::CutOff(trouble) => trouble,
            Standing::Refused { cut_off: Some(trouble), .. } => trouble,
            Standing::Starting | Standing::Online | Standing::Refused { cut_off: None, .. } => first(),
        };
        trouble.tries = trouble.tries.saturating_add(1);
        let backoff = Backoff { base: self.every, cap: self.retry_max };
        self.plan = Plan::Backoff(now.steady + backoff.delay(trouble.tries, random).max(Millis(1)));
        if trouble.tries == 1 {
            self.climb_for_failure(now);
        }
        self.standing = if trouble.told == Told::Not && trouble.tries < self.cut_off_after {
            Standing::Failing(trouble)
        } else {
            if trouble.told == Told::Not {
                self.begin_outage(&mut trouble, now);
            } else if was_refused {
                self.climb_again(trouble.began_at(now), now);
            }
            Standing::CutOff(trouble)
        };
    }

    fn min_gap(&self) -> Millis {
        MIN_GAP.min(self.every)
    }

    fn next_on_cadence(&self, now: Now) -> Time {
        Cadence::Every(self.every).next(now.steady, self.key)
    }

    fn call_due(&self) -> Option<(Time, &'static str)> {
        if self.calling {
            return None;
        }
        let planned = self.plan.when();
        let after = |gap: Millis| self.last_began.map_or(planned.0, |began| began + gap);
        let sooner = match self.plan {
            _ if self.want == Want::Now => (after(LEAST_GAP), "somebody asked for a check-in"),
            // While the server paces or does not answer, nothing is so urgent that the agent would hammer.
            Plan::Cadence(_) if self.want == Want::Soon => {
                (after(self.min_gap()), "something urgent is to be told")
            }
            Plan::Cadence(_) if self.waiting >= MAX_RECORDS as u64 => {
                (after(self.min_gap()), "many records wait")
            }
            _ => planned,
        };
        Some(if sooner.0 < planned.0 { sooner } else { planned })
    }

    /// Cron lines follow the wall clock: where that was set, they are due at another time. A clock that is drawn slowly
    /// was not set.
    fn notice_turned_clock(&mut self, now: Now) {
        let skew = now.wall.since(now.steady);
        let last = std::mem::replace(&mut self.last_skew, skew);
        if self.record.is_some() && Millis((skew - last).0.saturating_abs()) >= CLOCK_STEP {
            let (from, to) = ((now.steady + last).to_string(), now.wall.to_string());
            let change = Change { subject: "clock".to_owned(), name: String::new(), from, to };
            self.handle_changes(vec![What::Change(change)]);
        }
        if (skew - self.skew).0.unsigned_abs() >= 1_000 {
            self.skew = skew;
            self.checks.follow_wall_clock(now);
        }
    }
}

/// `ok` and `warn` are alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Good,
    Failed,
    Unknown,
}

impl Class {
    fn of(outcome: Outcome) -> Class {
        match outcome {
            Outcome::Ok | Outcome::Warn => Class::Good,
            Outcome::Fail => Class::Failed,
            Outcome::Unknown => Class::Unknown,
        }
    }
}

#[cfg(test)]
mod record_tests;
#[cfg(test)]
mod tests;
