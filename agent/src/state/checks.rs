//! The checks an agent runs: when each is due, which are under way, and how many results in a row were alike.

use std::collections::{BTreeMap, HashMap};

use schedules::{Cadence, Millis, Queue, Time, spread};

use super::{Class, Do, Now};
use crate::probe::Measured;
use crate::report::{CheckResult, Outcome, Task};

/// The most probes under way at once.
pub(super) const MAX_UNDER_WAY: usize = 1_000;
/// Up to so many checks that are new at once run at once; more are spread.
const NEW_AT_ONCE: usize = 200;
/// Over how long they are spread at most.
const SPREAD_NEW_OVER: Millis = Millis::from_secs(10);
/// The shortest wait before a check that failed is tried again.
const SHORTEST_RETRY: Millis = Millis(100);

/// All checks.
#[derive(Debug, Default)]
pub(super) struct Checks {
    checks: BTreeMap<i64, Check>,
    due: Queue<i64>,
    /// Which form of a check is under way. A check that was removed meanwhile stays here until its probe ends.
    under_way: HashMap<i64, u64>,
    forms: u64,
}

#[derive(Debug)]
struct Check {
    task: Task,
    /// None: the configuration's text is no cadence, so it never runs.
    cadence: Option<Cadence>,
    form: u64,
    /// Somebody waits for the next result.
    wanted: bool,
    /// It was to run at once while its probe was under way: it runs again when that ends.
    again: bool,
    streak: Option<Streak>,
}

/// Results in a row that were alike.
#[derive(Clone, Copy, Debug)]
struct Streak {
    class: Class,
    count: u32,
    since: Time,
}

impl Checks {
    pub(super) fn len(&self) -> usize {
        self.checks.len()
    }

    pub(super) fn under_way(&self) -> usize {
        self.under_way.len()
    }

    /// When the next probe may begin.
    pub(super) fn next(&self) -> Option<Time> {
        if self.under_way.len() < MAX_UNDER_WAY { self.due.next() } else { None }
    }

    /// Takes the tasks of a configuration; gives the results of those that cannot run at all.
    pub(super) fn configure(&mut self, tasks: &[Task], now: Now) -> Vec<CheckResult> {
        let mut before = std::mem::take(&mut self.checks);
        let mut soon = Vec::new();
        let mut bad = Vec::new();
        for task in tasks {
            let (check, run) = match before.remove(&task.check) {
                Some(check) if check.task == *task => (check, false),
                Some(check) => (self.changed(check, task), true),
                None => (self.new_check(task), true),
            };
            if run && check.cadence.is_some() {
                soon.push(task.check);
            }
            if run && let Some(error) = cadence_error(task) {
                self.due.remove(&task.check);
                bad.push(unmeasured(task.check, error));
            }
            self.checks.insert(task.check, check);
        }
        for gone in before.keys() {
            if !self.checks.contains_key(gone) {
                self.due.remove(gone);
            }
        }
        self.run_soon(&soon, now);
        bad
    }

    fn new_check(&mut self, task: &Task) -> Check {
        self.forms += 1;
        let cadence = task.cadence.parse().ok();
        Check { task: task.clone(), cadence, form: self.forms, wanted: true, again: false, streak: None }
    }

    fn changed(&mut self, old: Check, task: &Task) -> Check {
        let same_probe = old.task.probe == task.probe && old.task.timeout == task.timeout;
        let streak = if same_probe { old.streak } else { None };
        if same_probe && old.task.cadence == task.cadence {
            return Check { task: task.clone(), wanted: true, ..old };
        }
        Check { streak, ..self.new_check(task) }
    }

    fn run_soon(&mut self, soon: &[i64], now: Now) {
        for &check in soon {
            let Some(of) = self.checks.get_mut(&check) else { continue };
            if self.under_way.contains_key(&check) {
                of.again = true;
                continue;
            }
            let Some(cadence) = &of.cadence else { continue };
            let wait = if soon.len() > NEW_AT_ONCE {
                spread(check.cast_unsigned(), cadence.period(now.wall).min(SPREAD_NEW_OVER))
            } else {
                Millis::ZERO
            };
            self.due.set(check, now.steady + wait);
        }
    }

    /// Begins the probes that are due, as many as may be under way.
    pub(super) fn begin_due(&mut self, now: Now, todo: &mut Vec<Do>) {
        while self.under_way.len() < MAX_UNDER_WAY
            && let Some((number, _)) = self.due.pop_due(now.steady)
        {
            let Some(check) = self.checks.get_mut(&number) else { continue };
            self.under_way.insert(number, check.form);
            todo.push(Do::Probe {
                check: number,
                run: check.form,
                probe: check.task.probe.clone(),
                timeout: check.task.timeout.max(Millis(1)),
            });
        }
    }

    /// Takes what a probe measured; gives the result, and whether it is urgent to tell it. None: the check is gone,
    /// or another by now.
    pub(super) fn finish(
        &mut self,
        number: i64,
        form: u64,
        measured: Measured,
        now: Now,
    ) -> Option<(CheckResult, bool)> {
        if self.under_way.get(&number) != Some(&form) {
            return None;
        }
        self.under_way.remove(&number);
        let check = self.checks.get_mut(&number)?;
        if check.form != form {
            if check.cadence.is_some() {
                self.due.set(number, now.steady);
            }
            return None;
        }
        let (streak, urgent) = check.count(measured.outcome, now);
        let next = check.next(streak, now)?;
        self.due.set(number, next);
        let result = CheckResult {
            check: number,
            outcome: measured.outcome,
            in_a_row: streak.count,
            since: (streak.count > 1).then(|| now.shown(streak.since)),
            rtt_us: measured.rtt_us,
            loss_permille: measured.loss_permille,
            message: crate::link::cut(&measured.message),
        };
        Some((result, urgent))
    }

    /// The wall clock was set: what a cron line says is due at another time now.
    pub(super) fn follow_wall_clock(&mut self, now: Now) {
        for (number, check) in &self.checks {
            let Some(cadence @ Cadence::Cron(_)) = &check.cadence else { continue };
            if self.due.get(number).is_some() && check.streak.is_some() {
                self.due.set(*number, next(cadence, *number, now));
            }
        }
    }
}

impl Check {
    /// Counts one more result; says whether it is news.
    fn count(&mut self, outcome: Outcome, now: Now) -> (Streak, bool) {
        let class = Class::of(outcome);
        let streak = match self.streak {
            Some(streak) if streak.class == class => {
                Streak { count: streak.count.saturating_add(1), ..streak }
            }
            _ => Streak { class, count: 1, since: now.steady },
        };
        self.streak = Some(streak);
        let wanted = self.wanted;
        self.wanted = self.again;
        let getting_hard = class == Class::Failed && streak.count <= self.task.attempts.max(1);
        (streak, wanted || streak.count == 1 || getting_hard)
    }

    /// When it is due next: on its cadence, or sooner where it fails.
    fn next(&mut self, streak: Streak, now: Now) -> Option<Time> {
        let cadence = self.cadence.as_ref()?;
        if std::mem::take(&mut self.again) {
            return Some(now.steady);
        }
        let planned = next(cadence, self.task.check, now);
        if streak.class != Class::Failed {
            return Some(planned);
        }
        let doublings = streak.count.saturating_sub(self.task.attempts.max(1).saturating_sub(1)).min(40);
        let wait = self.task.retry.max(SHORTEST_RETRY).times(1_i64 << doublings);
        if doublings > 0 && wait >= cadence.period(now.wall) {
            return Some(planned);
        }
        Some((now.steady + wait).min(planned))
    }
}

/// The next firing in steady time.
fn next(cadence: &Cadence, number: i64, now: Now) -> Time {
    let key = number.cast_unsigned();
    match cadence {
        Cadence::Every(_) => cadence.next(now.steady, key),
        Cadence::Cron(_) => now.steady + cadence.next(now.wall, key).since(now.wall),
    }
}

fn cadence_error(task: &Task) -> Option<String> {
    task.cadence.parse::<Cadence>().err().map(|e| e.to_string())
}

fn unmeasured(check: i64, message: String) -> CheckResult {
    CheckResult {
        check,
        outcome: Outcome::Unknown,
        in_a_row: 1,
        since: None,
        rtt_us: None,
        loss_permille: None,
        message: crate::link::cut(&message),
    }
}
