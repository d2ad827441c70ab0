//! A check: one thing watched about a device, and what its results make of it.
//!
//! It fails *softly* first: only after `soft_failures` failures in a row has it failed (hard). It is good again after
//! `good_results` good results in a row. A status is a pure function of the one before and one result.

use agent::report::Outcome;
use schedules::{Millis, Time};

use crate::domain::named;

named! {
    /// What a check does.
    pub enum Kind {
        /// The agent on the device reports on its schedule.
        CheckIn = "check-in",
        /// ICMP echo.
        Icmp = "icmp",
        /// A TCP connection.
        Tcp = "tcp",
        /// An HTTP request.
        Http = "http",
        /// A call to `/ping/<key>` by whatever cannot run an agent.
        Ping = "ping",
        /// The server's own attempts to reach a device whose check-ins stopped; nobody adds it, it comes and goes.
        Contact = "contact",
    }
}

impl Kind {
    /// Whether lineman asks, so that there is a result soon; otherwise it waits for a call.
    #[must_use]
    pub fn is_probed(self) -> bool {
        match self {
            Kind::Icmp | Kind::Tcp | Kind::Http | Kind::Contact => true,
            Kind::CheckIn | Kind::Ping => false,
        }
    }

    /// Whether it goes to the device's address, and so hears whoever has that now.
    #[must_use]
    pub fn is_at_address(self) -> bool {
        match self {
            Kind::Icmp | Kind::Tcp | Kind::Contact => true,
            Kind::Http | Kind::CheckIn | Kind::Ping => false,
        }
    }
}

named! {
    /// What a check's results have made of it.
    pub enum Status {
        /// Not measured, or not often enough to tell.
        Unknown = "unknown",
        /// Good.
        Ok = "ok",
        /// It answers, but something is over its limit.
        Warn = "warn",
        /// It was good and now fails, but not yet often enough to count.
        Soft = "soft",
        /// It failed hard.
        Failed = "failed",
    }
}

impl Status {
    /// Whether it proves that the device can be reached.
    #[must_use]
    pub fn is_good(self) -> bool {
        match self {
            Status::Ok | Status::Warn | Status::Soft => true,
            Status::Unknown | Status::Failed => false,
        }
    }
}

named! {
    /// What makes results alike: a run is a row of results that are alike.
    pub enum Run {
        /// `ok` or `warn`.
        Good = "good",
        /// `fail`.
        Bad = "bad",
        /// Could not be measured.
        Blank = "blank",
    }
}

impl From<Outcome> for Run {
    fn from(outcome: Outcome) -> Run {
        match outcome {
            Outcome::Ok | Outcome::Warn => Run::Good,
            Outcome::Fail => Run::Bad,
            Outcome::Unknown => Run::Blank,
        }
    }
}

/// What is known of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Health {
    /// Its status.
    pub status: Status,
    /// The true start of that: the first result of the run that confirmed it. Failing softly is still being good.
    pub since: Time,
    /// What its newest results have in common.
    pub run: Run,
    /// How many of them there are.
    pub count: u32,
    /// When the first of them was.
    pub run_since: Time,
    /// When the newest of them was.
    pub last_at: Time,
    /// When a result was good last.
    pub good_at: Option<Time>,
}

impl Health {
    /// Whether it fails, but not yet hard.
    #[must_use]
    pub fn is_in_doubt(&self) -> bool {
        self.run == Run::Bad && self.status != Status::Failed
    }
}

/// One result, as far as the status goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// How it ended.
    pub outcome: Outcome,
    /// When, by the server's clock.
    pub at: Time,
    /// How many in a row were alike, as the prober counts; 0: it does not count.
    pub in_a_row: u32,
    /// When the first of those was, by the server's clock; [`Seen::at`] where the prober does not say.
    pub since: Time,
}

impl Seen {
    /// A call that arrives at `now`, which is news even in the very moment in which it was missed.
    #[must_use]
    pub fn call(outcome: Outcome, before: Option<Health>, now: Time) -> Seen {
        let at = before.map_or(now, |before| now.max(before.last_at + Millis(1)));
        Seen::single(outcome, at)
    }

    /// A result that nobody counted.
    #[must_use]
    pub fn single(outcome: Outcome, at: Time) -> Seen {
        Seen { outcome, at, in_a_row: 0, since: at }
    }
}

/// How many results it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// `check.soft_failures`
    pub soft_failures: u32,
    /// `check.good_results`
    pub good_results: u32,
}

/// What a result makes of a check. A result that is no newer than the newest known one changes nothing: it was
/// counted before, or the prober's own count of a newer one stands for it.
#[must_use]
pub fn observe(before: Option<Health>, seen: Seen, limits: Limits) -> Health {
    let run = Run::from(seen.outcome);
    let Some(before) = before else {
        let never = Health {
            status: Status::Unknown,
            since: seen.since.min(seen.at),
            run,
            count: seen.in_a_row.max(1),
            run_since: seen.since.min(seen.at),
            last_at: seen.at,
            good_at: None,
        };
        return settle(never, seen, limits);
    };
    if seen.at <= before.last_at {
        return before;
    }
    let (count, run_since) = if seen.in_a_row > 0 {
        (seen.in_a_row, seen.since.min(seen.at))
    } else if before.run == run {
        (before.count.saturating_add(1), before.run_since)
    } else {
        (1, seen.at)
    };
    let longer = before.run == run && count > before.count;
    let run_since = if longer { run_since.min(before.run_since) } else { run_since };
    settle(Health { run, count, run_since, last_at: seen.at, ..before }, seen, limits)
}

/// The status after a result that has been counted.
fn settle(counted: Health, seen: Seen, limits: Limits) -> Health {
    let Health { status: before, run, count, .. } = counted;
    let enough_bad = count >= limits.soft_failures.max(1);
    let enough_good = count >= limits.good_results.max(1);
    let good = if seen.outcome == Outcome::Warn { Status::Warn } else { Status::Ok };
    let status = match (run, before) {
        (Run::Good, Status::Failed) if !enough_good => Status::Failed,
        (Run::Good, _) => good,
        (Run::Bad, Status::Failed) => Status::Failed,
        (Run::Bad, _) if enough_bad => Status::Failed,
        (Run::Bad, Status::Unknown) => Status::Unknown,
        (Run::Bad, Status::Ok | Status::Warn | Status::Soft) => Status::Soft,
        (Run::Blank, _) if enough_bad => Status::Unknown,
        (Run::Blank, before) => before,
    };
    let since = match (before, status) {
        (before, after) if before == after => counted.since,
        (Status::Ok | Status::Warn | Status::Soft, Status::Ok | Status::Soft) if before != Status::Warn => {
            counted.since
        }
        (Status::Ok | Status::Warn | Status::Soft, Status::Ok | Status::Warn | Status::Soft) => seen.at,
        (_, _) => counted.run_since,
    };
    let good_at = if run == Run::Good { Some(seen.at) } else { counted.good_at };
    Health { status, since, good_at, ..counted }
}

/// What becomes of a check-in check when the check-ins stop, of which the last came at `good_at`: it failed hard,
/// since the first one that did not come.
#[must_use]
pub fn missed(good_at: Time, since: Time, now: Time) -> Health {
    let (run, run_since) = (Run::Bad, since);
    Health { status: Status::Failed, since, run, count: 1, run_since, last_at: now, good_at: Some(good_at) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMITS: Limits = Limits { soft_failures: 3, good_results: 2 };

    fn fold(outcomes: &str) -> Vec<&'static str> {
        let mut health = None;
        let mut statuses = Vec::new();
        for (i, c) in outcomes.chars().enumerate() {
            let outcome = match c {
                'o' => Outcome::Ok,
                'w' => Outcome::Warn,
                'f' => Outcome::Fail,
                _ => Outcome::Unknown,
            };
            let now = observe(health, Seen::single(outcome, Time(i as i64 * 10)), LIMITS);
            statuses.push(now.status.as_str());
            health = Some(now);
        }
        statuses
    }

    #[test]
    fn a_check_fails_softly_then_hard_and_is_good_again_after_two() {
        assert_eq!(fold("offf"), ["ok", "soft", "soft", "failed"]);
        assert_eq!(fold("ofofo"), ["ok", "soft", "ok", "soft", "ok"]);
        assert_eq!(fold("offfofoo"), ["ok", "soft", "soft", "failed", "failed", "failed", "failed", "ok"]);
        assert_eq!(fold("offfow"), ["ok", "soft", "soft", "failed", "failed", "warn"]);
    }

    #[test]
    fn a_check_that_was_never_good_is_unknown_until_it_failed_hard() {
        assert_eq!(fold("fff"), ["unknown", "unknown", "failed"]);
        assert_eq!(fold("o"), ["ok"]);
        assert_eq!(fold("w"), ["warn"]);
    }

    #[test]
    fn what_could_not_be_measured_is_unknown_only_when_it_lasts() {
        assert_eq!(fold("ouuu"), ["ok", "ok", "ok", "unknown"]);
        assert_eq!(fold("offfuoo"), ["ok", "soft", "soft", "failed", "failed", "failed", "ok"]);
    }

    #[test]
    fn a_failure_is_dated_from_the_first_of_its_run() {
        let mut health = None;
        for (at, outcome) in
            [(10, Outcome::Ok), (20, Outcome::Fail), (30, Outcome::Fail), (40, Outcome::Fail)]
        {
            health = Some(observe(health, Seen::single(outcome, Time(at)), LIMITS));
        }
        assert_eq!(health.unwrap().since, Time(20));
    }

    fn outcome() -> impl Strategy<Value = Outcome> {
        prop_oneof![3 => Just(Outcome::Ok), 1 => Just(Outcome::Warn), 3 => Just(Outcome::Fail), 1 => Just(Outcome::Unknown)]
    }

    /// The results as an agent sends them: numbered, counted in runs.
    fn counted(outcomes: &[Outcome]) -> Vec<Seen> {
        let mut all: Vec<Seen> = Vec::new();
        for (i, &outcome) in outcomes.iter().enumerate() {
            let at = Time(i as i64 * 10 + 10);
            let alike = all.last().filter(|last| Run::from(last.outcome) == Run::from(outcome));
            let (in_a_row, since) = alike.map_or((1, at), |last| (last.in_a_row + 1, last.since));
            all.push(Seen { outcome, at, in_a_row, since });
        }
        all
    }

    proptest! {
        /// Sent twice, or an old one after a newer one: nothing changes.
        #[test]
        fn repeats_and_stragglers_change_nothing(outcomes in prop::collection::vec(outcome(), 1..40), again in 0usize..40) {
            let all = counted(&outcomes);
            let once = all.iter().fold(None, |h, &s| Some(observe(h, s, LIMITS)));
            let again = again.min(all.len() - 1);
            let twice = all[again..].iter().fold(once, |h, &s| Some(observe(h, s, LIMITS)));
            prop_assert_eq!(once, twice);
        }

        /// The prober's count of the newest result stands for the ones before it in the same run: whoever sees only
        /// that one, ahead of a long backlog, comes to the same status.
        #[test]
        fn the_newest_result_alone_says_what_its_run_says(outcomes in prop::collection::vec(outcome(), 1..40)) {
            let all = counted(&outcomes);
            let newest = all[all.len() - 1];
            let run_starts = all.iter().rposition(|s| s.in_a_row == 1).unwrap();
            let before = all[..run_starts].iter().fold(None, |h, &s| Some(observe(h, s, LIMITS)));
            let each = all[run_starts..].iter().fold(before, |h, &s| Some(observe(h, s, LIMITS))).unwrap();
            let jumped = observe(before, newest, LIMITS);
            prop_assert_eq!(jumped.count, each.count);
            prop_assert_eq!(jumped.run_since, each.run_since);
            prop_assert_eq!(jumped.status, each.status);
            let late = all[run_starts..].iter().fold(jumped, |h, &s| observe(Some(h), s, LIMITS));
            prop_assert_eq!(late, jumped);
        }
    }
}
