//! When the ladder of evidence is climbed, what becomes of a climb, and in which order its rungs held again.
//!
//! One climb at a time. Where the climb for a first failure finds a fault, that is recorded at once: the network goes
//! first, and the power soon after. Where it finds none, it is held back until it is known whether an outage came of it.

use std::collections::BTreeSet;

use schedules::{Millis, Time};

use super::Now;
use crate::report::{Climb, First, Held, Plan, Rung, Step, Why};

/// When the first line of a good day is measured: this long after the start.
const FIRST_BASELINE: Millis = Millis::from_secs(180);
/// How many rungs' returns are followed.
const MOST_RUNGS: usize = 200;
/// The shortest wait between two climbs of one outage.
const SHORTEST_AGAIN: Millis = Millis(100);

/// A rung's name: its word, and which of several it is.
pub(super) type Name = (String, String);

/// A climb that is done: what it found, when it began (steady), and for which outage it was begun.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Done {
    pub(super) climb: Climb,
    pub(super) began: Time,
    pub(super) during: Option<Time>,
}

#[derive(Debug)]
struct UnderWay {
    why: Why,
    began: Time,
    during: Option<Time>,
}

/// All about climbs.
#[derive(Debug)]
pub(super) struct Climbs {
    plan: Plan,
    under_way: Option<UnderWay>,
    next: Option<(Time, Why, Option<Time>)>,
    /// How many climbs of this outage are done.
    turn: usize,
    baseline_at: Option<Time>,
    /// What the first failure's climb found, while it is open whether an outage comes of it.
    pub(super) held: Option<Done>,
    /// The rungs that failed in this outage and have not held since.
    pub(super) fell: BTreeSet<Name>,
    /// Those that hold again.
    pub(super) firsts: Vec<First>,
}

impl Climbs {
    pub(super) fn new(now: Now) -> Climbs {
        let plan = Plan::default();
        let baseline_at = Some(now.steady + FIRST_BASELINE.min(plan.baseline));
        Climbs {
            plan,
            under_way: None,
            next: None,
            turn: 0,
            baseline_at,
            held: None,
            fell: BTreeSet::new(),
            firsts: Vec::new(),
        }
    }

    pub(super) fn configure(&mut self, plan: &Plan, now: Now) {
        if plan.baseline != self.plan.baseline {
            let wait = FIRST_BASELINE.min(plan.baseline);
            self.baseline_at = (plan.baseline > Millis::ZERO).then(|| now.steady + wait);
        }
        if *plan != self.plan {
            self.plan = plan.clone();
        }
    }

    pub(super) fn plan(&self) -> &Plan {
        &self.plan
    }

    /// A climb is wanted now, or as soon as the one under way is done.
    pub(super) fn want(&mut self, why: Why, during: Option<Time>, now: Now) {
        self.next = Some((now.steady, why, during));
    }

    /// The agent is cut off: the order in which the rungs come back is followed from here on.
    pub(super) fn cut_off(&mut self, began_at: Time, now: Now) {
        self.turn = 0;
        self.want(Why::Again, Some(began_at), now);
    }

    /// Nothing more is wanted, unless to show a recovery.
    pub(super) fn rest(&mut self) {
        self.next.take_if(|(_, why, _)| *why != Why::Recovery);
    }

    /// The outage is over and told.
    pub(super) fn forget(&mut self) {
        self.fell.clear();
        self.firsts.clear();
        self.turn = 0;
    }

    /// Whether the climb that shows the recovery is still to come, or is under way.
    pub(super) fn recovers(&self) -> bool {
        let wanted = self.next.as_ref().map(|(_, why, _)| *why);
        let climbed = self.under_way.as_ref().map(|climb| climb.why);
        wanted == Some(Why::Recovery) || climbed == Some(Why::Recovery)
    }

    /// When the next climb begins; `calm`: nothing else is going on.
    pub(super) fn due(&self, calm: Calm) -> Option<Time> {
        if self.under_way.is_some() {
            return None;
        }
        match (&self.next, calm) {
            (Some((at, _, _)), _) => Some(*at),
            (None, Calm::Yes) => self.baseline_at,
            (None, Calm::No) => None,
        }
    }

    /// Begins the climb that is due.
    pub(super) fn begin_due(&mut self, calm: Calm, now: Now) -> Option<Why> {
        self.due(calm).filter(|at| *at <= now.steady)?;
        let (why, during) = match self.next.take() {
            Some((_, why, during)) => (why, during),
            None => (Why::Baseline, None),
        };
        if self.plan.baseline > Millis::ZERO {
            // Whatever it is climbed for, that is known of the line now.
            self.baseline_at = Some(now.steady + self.plan.baseline);
        }
        self.under_way = Some(UnderWay { why, began: now.steady, during });
        Some(why)
    }

    /// The climb under way is done. `cut_off`: since when the agent is cut off, where it is.
    pub(super) fn done(&mut self, climb: Option<Climb>, cut_off: Option<Time>, now: Now) -> Option<Done> {
        let UnderWay { began, during, .. } = self.under_way.take()?;
        if let (Some(began_at), None) = (cut_off, &self.next) {
            let wait = self.plan.again.get(self.turn).or(self.plan.again.last());
            self.turn = self.turn.saturating_add(1);
            self.next =
                wait.map(|wait| (now.steady + (*wait).max(SHORTEST_AGAIN), Why::Again, Some(began_at)));
        }
        climb.map(|climb| Done { climb, began, during })
    }

    /// Notes which rungs failed, and which of those hold again.
    pub(super) fn note(&mut self, climb: &Climb, began_at: Time) {
        for rung in &climb.rungs {
            let name = name(rung);
            match rung.outcome {
                Held::Fail if self.fell.len() < MOST_RUNGS => {
                    self.firsts.retain(|first| (&first.rung, &first.target) != (&name.0, &name.1));
                    self.fell.insert(name);
                }
                Held::Ok if self.fell.remove(&name) => {
                    let (rung, target, at) = (name.0, name.1, began_at + rung.after);
                    self.firsts.push(First { rung, target, at });
                }
                Held::Ok | Held::Fail | Held::NotMeasured => {}
            }
        }
        self.firsts.sort_by_key(|first| first.at);
        self.firsts.truncate(MOST_RUNGS);
    }
}

/// Whether nothing else is going on, so that the line of a good day can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Calm {
    Yes,
    No,
}

/// Whether a climb found a rung that does not hold.
pub(super) fn found_a_fault(climb: &Climb) -> bool {
    climb.rungs.iter().any(|rung| rung.outcome == Held::Fail)
}

fn name(rung: &Rung) -> Name {
    let target = match &rung.step {
        Step::Link { interface, .. } => interface.clone(),
        Step::Address { interface, family, .. } => format!("{interface} {family:?}").to_lowercase(),
        Step::Neighbour { gateway, .. } | Step::Gateway { gateway } => gateway.to_string(),
        Step::Anchor { address, .. } => address.to_string(),
        Step::Resolver { resolver, transport, name, .. } => {
            format!("{resolver} {} {name}", format!("{transport:?}").to_lowercase())
        }
        Step::Page { url, .. } => url.clone(),
        Step::ServerName { host, .. } => host.clone(),
        Step::ServerConnect { address, .. } => address.to_string(),
        Step::ServerTls { .. } | Step::ServerAnswer { .. } => String::new(),
        Step::Route { target, transport, .. } => {
            format!("{target} {}", format!("{transport:?}").to_lowercase())
        }
        Step::PacketSize { target, .. } => target.to_string(),
    };
    (rung.step.word().to_owned(), target)
}
