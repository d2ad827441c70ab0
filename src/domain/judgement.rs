//! What a device is: the rule that makes a state of its checks, the attempts to contact it, and its parents.

use schedules::{Millis, Time};

use crate::domain::check::{Health, Kind, Status};
use crate::domain::device::State;

/// All that a device's state follows from.
#[derive(Clone, Debug)]
pub struct Evidence {
    /// What it was judged to be before.
    pub was: State,
    /// Since when.
    pub was_since: Time,
    /// Since when the judgement waits for a parent's proof, if it does.
    pub held_since: Option<Time>,
    /// Its checks.
    pub checks: Vec<Proof>,
    /// What it hangs on; any of them is path enough.
    pub parents: Vec<Parent>,
    /// A person said not to look.
    pub paused: bool,
    /// Whether the server itself can see.
    pub sight: Sight,
    /// The server was cut off not long ago.
    pub back: Option<Back>,
}

/// Whether the server itself can see: what it stands behind is the parent of everything that has no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sight {
    /// Nobody has looked yet.
    NotLooked,
    /// It sees others: whoever does not answer is out of reach.
    Clear,
    /// Others fail as well, or have not been tried since: so long they are waited for.
    Doubtful(Millis),
    /// It is cut off, since then.
    Blind(Time),
}

/// When the server could see again. Each device is tried once before it is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Back {
    /// When that was.
    pub at: Time,
    /// Until when a probe's result is waited for.
    pub probed_until: Time,
    /// Until when a call is waited for.
    pub called_until: Time,
}

/// One check of the device.
#[derive(Clone, Copy, Debug)]
pub struct Proof {
    /// What it does.
    pub kind: Kind,
    /// What its results made of it; absent: there were none.
    pub health: Option<Health>,
    /// It was asked for a first result and has until then: no judgement without it.
    pub awaited_until: Option<Time>,
}

/// One parent.
#[derive(Clone, Copy, Debug)]
pub struct Parent {
    /// What it is.
    pub state: State,
    /// Since when.
    pub since: Time,
    /// When it was last proven to be reachable.
    pub proven_at: Option<Time>,
}

/// What a device is, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// What it is.
    pub state: State,
    /// The true start of that: the first proof of it, not the moment it was confirmed.
    pub since: Time,
    /// The proof that decided it: when the first proof of reachability failed for good, or was good again. Unlike
    /// `since` it does not move with the parents.
    pub proof_at: Time,
    /// Why, in a few words for a person; empty where there is nothing to explain; absent where nothing was decided and
    /// the last reason stands.
    pub reason: Option<String>,
    /// Since when a parent's proof is waited for.
    pub held_since: Option<Time>,
    /// When it must be judged again though nothing was reported, and why.
    pub again: Option<(Time, &'static str)>,
    /// Whose checks should run at once, so that the wait is short.
    pub recheck: Recheck,
}

impl Judgement {
    /// Whether it waits for a look at whether the server itself can see.
    #[must_use]
    pub fn needs_sight(&self) -> bool {
        self.again.is_some_and(|(_, why)| why == LOOKS)
    }
}

/// Why a judgement waits for the server's own sight.
const LOOKS: &str = "the server looks whether it can see";

/// Whose checks are to run at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recheck {
    /// Nobody's.
    Nobody,
    /// The parents'.
    Parents,
    /// The device's own.
    Own,
    /// Those of others, so that the server knows whether it can see.
    Others,
}

/// Judges a device. `hold`: how long a parent's proof is waited for, or a child's after its parent came back.
///
/// The same evidence at the same time gives the same judgement, and without new evidence only the deadline it names
/// (`again`) can change it. Three sentences decide: any good answer proves that it can be reached; a child is never
/// called down on a parent's stale state; what nobody measures is unknown.
#[must_use]
pub fn judge(evidence: &Evidence, hold: Millis, now: Time) -> Judgement {
    if evidence.paused {
        return evidence.is(State::Unknown, now, "paused", now);
    }
    if evidence.answers().next().is_some() {
        return evidence.reachable(now);
    }
    if let Some(until) = evidence.awaited(now) {
        return evidence.kept(Some((until, "an attempt to contact it is under way")), Recheck::Nobody);
    }
    if evidence.failures().next().is_none() {
        return evidence.is(State::Unknown, now, "not measured", now);
    }
    if let Sight::Blind(since) = evidence.sight {
        return evidence.is(State::Unknown, since, "the server itself is cut off", now);
    }
    if let Some(until) = evidence.untried(now) {
        return evidence.kept(Some((until, "the server was cut off, it is tried first")), Recheck::Nobody);
    }
    evidence.out_of_reach(hold, now)
}

/// What is known of the way to the device.
enum Path {
    /// A parent answered after the device failed.
    Proven { since: Time },
    /// A parent was well when it was last looked at, which was before.
    Stale,
    /// There is no parent, or nobody knows how it is.
    NotKnown,
    /// No parent is available.
    Gone,
}

impl Evidence {
    fn known(&self) -> impl Iterator<Item = (Kind, Health)> {
        self.checks
            .iter()
            .filter_map(|check| check.health.map(|health| (check.kind, health)))
            .filter(|(_, health)| health.status != Status::Unknown)
    }

    /// Whatever proves that the device can be reached.
    fn answers(&self) -> impl Iterator<Item = (Kind, Health)> {
        self.known().filter(|(_, health)| health.status.is_good())
    }

    /// The proofs of reachability that failed. An HTTP check is one where there is no other.
    fn failures(&self) -> impl Iterator<Item = (Kind, Health)> {
        let has_other = self.checks.iter().any(|check| check.kind != Kind::Http);
        self.known().filter(move |(kind, health)| {
            health.status == Status::Failed && (*kind != Kind::Http || !has_other)
        })
    }

    fn awaited(&self, now: Time) -> Option<Time> {
        self.checks.iter().filter_map(|check| check.awaited_until).filter(|until| *until > now).min()
    }

    /// Until when something that failed is waited for, as it was not tried since the server can see again.
    fn untried(&self, now: Time) -> Option<Time> {
        let back = self.back?;
        let until = |(kind, health): (Kind, Health)| {
            let until = if kind.is_probed() { back.probed_until } else { back.called_until };
            (health.last_at <= back.at && until > now).then_some(until)
        };
        self.failures().filter_map(until).max()
    }

    /// What failed while the server was cut off says nothing about that time.
    fn not_before_sight(&self, since: Time) -> Time {
        match self.back {
            Some(back) if self.was == State::Unknown => since.max(back.at),
            Some(_) | None => since,
        }
    }

    fn is(&self, state: State, proof_at: Time, reason: &str, now: Time) -> Judgement {
        let proof_at = proof_at.min(now);
        let stays_out = state.is_out() && self.was.is_out();
        let since = if state == self.was {
            self.was_since
        } else if stays_out {
            now.max(self.was_since)
        } else {
            proof_at.max(self.was_since)
        };
        Judgement {
            state,
            since,
            proof_at,
            reason: Some(reason.to_owned()),
            held_since: None,
            again: None,
            recheck: Recheck::Nobody,
        }
    }

    /// No new judgement yet: it stays what it was.
    fn kept(&self, again: Option<(Time, &'static str)>, recheck: Recheck) -> Judgement {
        Judgement {
            state: self.was,
            since: self.was_since,
            proof_at: self.was_since,
            reason: None,
            held_since: None,
            again,
            recheck,
        }
    }

    fn reachable(&self, now: Time) -> Judgement {
        let of = |wanted: Status| -> Vec<(Kind, Health)> {
            self.known().filter(|(kind, health)| health.status == wanted && *kind != Kind::Contact).collect()
        };
        let (failed, warned) = (of(Status::Failed), of(Status::Warn));
        let back_at = self.answers().map(|(_, health)| health.since).min().unwrap_or(now);
        if failed.is_empty() && warned.is_empty() {
            let mended_at = self.known().map(|(_, health)| health.since).max().unwrap_or(now);
            let since = if self.was == State::Degraded { mended_at } else { back_at };
            return self.is(State::Up, since, "", now);
        }
        let trouble_at = failed.iter().chain(&warned).map(|(_, health)| health.since).min().unwrap_or(now);
        let since = if self.was == State::Up { trouble_at } else { back_at };
        let failed: Vec<Kind> = failed.into_iter().map(|(kind, _)| kind).collect();
        let warned: Vec<Kind> = warned.into_iter().map(|(kind, _)| kind).collect();
        let reports = self.answers().any(|(kind, _)| kind == Kind::CheckIn);
        let reason = if failed.contains(&Kind::CheckIn) {
            "its agent is silent, but it answers".to_owned()
        } else if reports && failed.contains(&Kind::Icmp) {
            "its agent reports, but it does not answer from outside".to_owned()
        } else if failed.is_empty() {
            format!("{} over its limit", list(&warned))
        } else {
            format!("{} failed", list(&failed))
        };
        self.is(State::Degraded, since, &reason, now)
    }

    /// The first failed proof after the last good one.
    fn failed_since(&self, now: Time) -> Time {
        let good_at = self.checks.iter().filter_map(|check| check.health?.good_at).max();
        let after =
            self.failures().map(|(_, health)| health.since).filter(|since| Some(*since) > good_at).min();
        after.or_else(|| self.failures().map(|(_, health)| health.since).max()).unwrap_or(now)
    }

    fn out_of_reach(&self, hold: Millis, now: Time) -> Judgement {
        let since = self.failed_since(now);
        let kinds: Vec<Kind> = self.failures().map(|(kind, _)| kind).collect();
        let reason = match (kinds.contains(&Kind::CheckIn), kinds.contains(&Kind::Contact), kinds.len()) {
            (true, true, 2) => "no check-in, and it does not answer".to_owned(),
            (true, false, 1) => "no check-in".to_owned(),
            _ => format!("{} failed", list(&kinds)),
        };
        match self.path(since) {
            Path::Proven { since: parent_since } => {
                if self.was == State::Unreachable && !self.tried_since(parent_since, hold, now) {
                    let kept = self.kept(Some((parent_since + hold, "its parent came back")), Recheck::Own);
                    return Judgement { held_since: Some(self.held_since.unwrap_or(now)), ..kept };
                }
                self.is(State::Down, self.not_before_sight(since), &reason, now)
            }
            Path::Stale => {
                let held_since = self.held_since.unwrap_or(now);
                let until = held_since + hold;
                if self.was == State::Down || now >= until {
                    return self.is(State::Down, since, &reason, now);
                }
                let kept = self.kept(Some((until, "its parent is checked first")), Recheck::Parents);
                Judgement { held_since: Some(held_since), ..kept }
            }
            Path::NotKnown => self.out_of_sight(since, &reason, hold, now),
            Path::Gone => {
                self.is(State::Unreachable, since, &format!("{reason}; no parent is available"), now)
            }
        }
    }

    /// Nothing but the server itself stands between: it is not called down while the server may be cut off.
    fn out_of_sight(&self, since: Time, reason: &str, hold: Millis, now: Time) -> Judgement {
        let held_since = self.held_since.unwrap_or(now);
        let (until, recheck) = match self.sight {
            Sight::NotLooked => (now, Recheck::Nobody),
            Sight::Doubtful(patience) => (held_since + patience.min(hold), Recheck::Others),
            Sight::Clear | Sight::Blind(_) => (Time::MIN, Recheck::Nobody),
        };
        let looked = self.sight != Sight::NotLooked;
        if self.was == State::Down || (looked && now >= until) {
            return self.is(State::Down, self.not_before_sight(since), reason, now);
        }
        let kept = self.kept(Some((until, LOOKS)), recheck);
        Judgement { held_since: Some(held_since), proof_at: since, ..kept }
    }

    fn path(&self, failed_since: Time) -> Path {
        let reachable = || self.parents.iter().filter(|parent| parent.state.is_reachable());
        let proven = reachable().filter(|parent| parent.proven_at.is_some_and(|at| at >= failed_since));
        if let Some(since) = proven.map(|parent| parent.since).min() {
            return Path::Proven { since };
        }
        if reachable().next().is_some() {
            return Path::Stale;
        }
        if self.parents.is_empty() || self.parents.iter().any(|parent| parent.state == State::Unknown) {
            return Path::NotKnown;
        }
        Path::Gone
    }

    /// Whether the device was itself tried since its parent came back.
    fn tried_since(&self, parent_since: Time, hold: Millis, now: Time) -> bool {
        let probed = |check: &&Proof| check.kind.is_probed();
        let mut probes = self.checks.iter().filter(probed).peekable();
        let tried = |probe: &Proof| probe.health.is_some_and(|health| health.last_at > parent_since);
        now >= parent_since + hold || (probes.peek().is_some() && probes.all(tried))
    }
}

fn list(kinds: &[Kind]) -> String {
    let mut names: Vec<&str> = kinds.iter().map(|k| k.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    names.join(", ")
}

#[cfg(test)]
mod tests;
