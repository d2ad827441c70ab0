//! What an agent does that keeps a record of the network around it: the lines of its flight recorder, the climbs of the
//! ladder, and the outage that outlives it.

use schedules::{Cadence, Millis, Time};
use serde::{Deserialize, Serialize};

use super::climbs::{Calm, Climbs, Done, found_a_fault};
use super::{DEFAULT_EVERY, Do, Now, SHORTEST_EVERY, Standing, State, Trouble, Want};
use crate::report::{AgentOutage, Climb, Config, Plan, What, Why};

/// What was told as the beginning of an outage, by the device's clock: it is its name, and stays the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// Nothing yet.
    Not,
    /// This, however the clock was set since.
    As(Time),
}

impl Trouble {
    /// When it began, by the device's clock.
    #[must_use]
    pub fn began_at(&self, now: Now) -> Time {
        match self.told {
            Told::Not => now.shown(self.since),
            Told::As(told) => told,
        }
    }
}

/// An outage that goes on, or whose end is not told yet: what must outlive the agent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Kept {
    /// What is known of it.
    pub outage: AgentOutage,
    /// The rungs that failed and have not held since.
    pub fell: Vec<(String, String)>,
}

/// What an agent keeps that records.
#[derive(Debug)]
pub(super) struct Record {
    every: Millis,
    pub(super) moment_at: Time,
    pub(super) climbs: Climbs,
    /// The outage that is over, until the climb that shows its recovery is done.
    ending: Option<AgentOutage>,
}

impl State {
    /// From here on the agent keeps a record, and climbs the ladder.
    pub fn keep_record(&mut self, now: Now) {
        let climbs = Climbs::new(now);
        self.record = Some(Record { every: self.every, moment_at: now.steady, climbs, ending: None });
    }

    /// Takes up the outage in which an agent before this one ended.
    pub fn resume(&mut self, kept: &Kept, now: Now) {
        let outage = &kept.outage;
        if outage.ended_at.is_some() {
            self.out.push(Do::Record(What::Outage(outage.clone())));
            return;
        }
        let trouble = Trouble {
            since: now.steady - now.wall.since(outage.began_at).max(Millis::ZERO),
            tries: outage.tries,
            reason: outage.reason.clone(),
            told: Told::As(outage.began_at),
        };
        if let Some(record) = &mut self.record {
            record.climbs.fell = kept.fell.iter().cloned().collect();
            record.climbs.firsts.clone_from(&outage.firsts);
            record.climbs.cut_off(outage.began_at, now);
        }
        self.standing = Standing::CutOff(trouble);
    }

    /// The outage that goes on, or whose end is not told yet.
    #[must_use]
    pub fn kept(&self, now: Now) -> Option<Kept> {
        let record = self.record.as_ref()?;
        let fell = record.climbs.fell.iter().cloned().collect();
        if let Some(outage) = &record.ending {
            return Some(Kept { outage: outage.clone(), fell });
        }
        let (Standing::CutOff(trouble) | Standing::Refused { cut_off: Some(trouble), .. }) = &self.standing
        else {
            return None;
        };
        let firsts = record.climbs.firsts.clone();
        Some(Kept { outage: AgentOutage { firsts, ..outage(trouble, None, now) }, fell })
    }

    /// What the ladder asks.
    #[must_use]
    pub fn ladder(&self) -> Option<&Plan> {
        self.record.as_ref().map(|record| record.climbs.plan())
    }

    /// How often a line is recorded, where one is.
    #[must_use]
    pub fn record_every(&self) -> Millis {
        self.record.as_ref().map_or(self.every, |record| record.every)
    }

    /// The climb under way is done. None: it was broken off.
    pub fn handle_climb(&mut self, climb: Option<Climb>, now: Now) {
        let cut_off = match &self.standing {
            Standing::CutOff(trouble) => Some(trouble.began_at(now)),
            Standing::Starting | Standing::Online | Standing::Failing(_) | Standing::Refused { .. } => None,
        };
        let Some(record) = &mut self.record else { return };
        if let Some(done) = record.climbs.done(climb, cut_off, now) {
            if done.during.is_none() && done.climb.why == Why::Failure {
                self.hold(done, cut_off, now);
            } else {
                let during = done.during;
                self.record_climb(done, during, now);
            }
        }
        self.tell_end_if_shown();
    }

    fn hold(&mut self, done: Done, cut_off: Option<Time>, now: Now) {
        self.judge_held(None, now);
        if cut_off.is_some() {
            return self.record_climb(done, cut_off, now);
        }
        if found_a_fault(&done.climb) {
            // The agent may not live to see what comes of it.
            self.record_climb(done.clone(), None, now);
        }
        if let (Standing::Failing(_), Some(record)) = (&self.standing, &mut self.record) {
            record.climbs.held = Some(done);
        }
    }

    /// The agent is stopped: an outage that is over is told, whatever was still to be measured.
    pub fn handle_stop(&mut self) {
        let Some(record) = &mut self.record else { return };
        if let Some(outage) = record.ending.take() {
            record.climbs.forget();
            self.out.push(Do::Record(What::Outage(outage)));
        }
    }

    pub(super) fn configure_record(&mut self, config: &Config, now: Now) {
        let Some(record) = &mut self.record else { return };
        let every = if config.record_every > Millis::ZERO { config.record_every } else { self.every };
        let every = if every > Millis::ZERO { every.max(SHORTEST_EVERY) } else { DEFAULT_EVERY };
        if every != record.every {
            record.every = every;
            record.moment_at = record.moment_at.min(Cadence::Every(every).next(now.steady, self.key));
        }
        record.climbs.configure(&config.ladder, now);
    }

    /// Nothing is climbed for a failure that is over, nor where the server itself says no.
    pub(super) fn rest(&mut self) {
        if let Some(record) = &mut self.record {
            record.climbs.rest();
        }
    }

    pub(super) fn poll_record(&mut self, now: Now, todo: &mut Vec<Do>) {
        let calm = self.calm();
        let Some(record) = &mut self.record else { return };
        if record.moment_at <= now.steady {
            record.moment_at = Cadence::Every(record.every).next(now.steady, self.key);
            todo.push(Do::Moment);
        }
        if let Some(why) = record.climbs.begin_due(calm, now) {
            todo.push(Do::Climb(why));
        }
    }

    pub(super) fn climb_due(&self) -> Option<Time> {
        self.record.as_ref().and_then(|record| record.climbs.due(self.calm()))
    }

    fn calm(&self) -> Calm {
        let is_calm = self.standing == Standing::Online && !self.calling && self.waiting == 0;
        if is_calm { Calm::Yes } else { Calm::No }
    }

    pub(super) fn climb_for_failure(&mut self, now: Now) {
        if let Some(record) = &mut self.record {
            record.climbs.want(Why::Failure, None, now);
        }
    }

    pub(super) fn climb_again(&mut self, began_at: Time, now: Now) {
        if let Some(record) = &mut self.record {
            record.climbs.cut_off(began_at, now);
        }
    }

    pub(super) fn begin_outage(&mut self, trouble: &mut Trouble, now: Now) {
        self.handle_stop();
        let began_at = now.shown(trouble.since);
        trouble.told = Told::As(began_at);
        self.out.push(Do::Record(What::Outage(outage(trouble, None, now))));
        if let Some(record) = &mut self.record {
            record.climbs.forget();
            record.climbs.cut_off(began_at, now);
        }
        self.judge_held(Some(began_at), now);
    }

    /// The server answers again. Where the ladder is climbed once more, the end is told with what that shows.
    pub(super) fn end_outage(&mut self, trouble: &Trouble, now: Now) {
        let outage = outage(trouble, Some(now.wall), now);
        match &mut self.record {
            None => {
                self.out.push(Do::Record(What::Outage(outage)));
                self.want = self.want.max(Want::Soon);
            }
            Some(record) => {
                record.climbs.want(Why::Recovery, Some(outage.began_at), now);
                let firsts = record.climbs.firsts.clone();
                record.ending = Some(AgentOutage { firsts, ..outage });
            }
        }
    }

    /// What the first failure's climb found belongs to the outage that came of it. A fault is recorded already: which of
    /// its rungs come back is followed from here on. A climb that found none is told only where an outage came.
    pub(super) fn judge_held(&mut self, outage: Option<Time>, now: Now) {
        let Some(record) = &mut self.record else { return };
        let Some(done) = record.climbs.held.take() else { return };
        if outage.is_none() {
            return;
        }
        if found_a_fault(&done.climb) {
            record.climbs.note(&done.climb, now.shown(done.began));
        } else {
            self.record_climb(done, outage, now);
        }
    }

    fn record_climb(&mut self, done: Done, outage: Option<Time>, now: Now) {
        let Done { climb, began, .. } = done;
        if let (Some(_), Some(record)) = (outage, &mut self.record) {
            record.climbs.note(&climb, now.shown(began));
            if let Some(ending) = &mut record.ending {
                ending.firsts.clone_from(&record.climbs.firsts);
            }
        }
        let what = What::Ladder(Climb { outage, ..climb });
        self.out.push(Do::RecordPast { what, ago: now.steady.since(began) });
        self.want = self.want.max(Want::Soon);
    }

    fn tell_end_if_shown(&mut self) {
        if self.record.as_ref().is_some_and(|record| record.ending.is_some() && !record.climbs.recovers()) {
            self.handle_stop();
            self.want = self.want.max(Want::Soon);
        }
    }
}

fn outage(trouble: &Trouble, ended_at: Option<Time>, now: Now) -> AgentOutage {
    AgentOutage {
        began_at: trouble.began_at(now),
        ended_at,
        tries: trouble.tries,
        reason: trouble.reason.clone(),
        ..AgentOutage::default()
    }
}
