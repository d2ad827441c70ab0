//! What the agent does when: tables of cases, and properties over any order of what may happen.

use proptest::prelude::*;

use super::checks::MAX_UNDER_WAY;
use super::record_tests::climb_of;
use super::*;
use crate::report::{AgentOutage, CheckResult, Held, Task};

const KEY: u64 = 7;

fn at(ms: i64) -> Now {
    Now { steady: Time(1_000_000 + ms), wall: Time(1_000_000 + ms) }
}

fn failed() -> LinkError {
    LinkError::Failed("connect 192.0.2.1:443: timed out".into())
}

fn task(check: i64) -> Task {
    Task {
        check,
        probe: Probe::Tcp { target: "192.0.2.9".into(), port: 22 },
        cadence: "30s".into(),
        retry: Millis::from_secs(10),
        attempts: 3,
        timeout: Millis::from_secs(5),
        nudge: 0,
    }
}

fn config(tasks: Vec<Task>) -> Config {
    Config {
        etag: "e".into(),
        check_in_every: Millis::from_secs(30),
        cut_off_after: 3,
        retry_max: Millis::from_secs(300),
        tasks,
        ..Config::default()
    }
}

fn measured(outcome: Outcome) -> Measured {
    Measured { outcome, rtt_us: None, loss_permille: None, message: String::new() }
}

/// A machine that has made its first call and had its answer at 0 ms.
fn online(tasks: Vec<Task>) -> State {
    let mut state = State::new(KEY, at(0));
    assert_eq!(state.poll(at(0)), [Do::CheckIn]);
    let reply = Reply { config: Some(config(tasks)), ..Reply::default() };
    state.handle_reply(&reply, 0, at(0));
    state
}

fn due(state: &State) -> i64 {
    state.poll_timeout().unwrap().0.0 - 1_000_000
}

/// The runs of probes that begin at `ms`.
fn begun(state: &mut State, ms: i64) -> Vec<(i64, u64)> {
    let probe = |step| if let Do::Probe { check, run, .. } = step { Some((check, run)) } else { None };
    state.poll(at(ms)).into_iter().filter_map(probe).collect()
}

/// What is recorded at `ms`.
fn recorded(state: &mut State, ms: i64) -> Vec<What> {
    let record = |step| if let Do::Record(what) = step { Some(what) } else { None };
    state.poll(at(ms)).into_iter().filter_map(record).collect()
}

fn results(state: &mut State, ms: i64) -> Vec<CheckResult> {
    let result = |what| if let What::Result(result) = what { Some(result) } else { None };
    recorded(state, ms).into_iter().filter_map(result).collect()
}

#[test]
fn the_first_call_is_at_once_and_the_next_on_the_cadence() {
    let mut state = online(vec![]);
    let next = due(&state);
    assert!((1..=30_000).contains(&next), "{next}");
    assert!(state.poll(at(next - 1)).is_empty());
    assert_eq!(state.poll(at(next)), [Do::CheckIn]);
    state.handle_reply(&Reply::default(), 0, at(next));
    assert_eq!(due(&state), next + 30_000);
}

#[test]
fn after_three_failed_tries_the_agent_is_cut_off_and_tells_its_beginning_and_end() {
    let mut state = State::new(KEY, at(0));
    let mut now = 0;
    for tries in 1..=4 {
        assert!(state.poll(at(now)).contains(&Do::CheckIn));
        state.handle_failure(&failed(), at(now + 100), u64::MAX);
        let told = recorded(&mut state, now + 100);
        assert_eq!(told.len(), usize::from(tries == 3), "told once, at the third try");
        assert_eq!(matches!(state.standing(), Standing::CutOff(_)), tries >= 3);
        assert_eq!(state.failed_tries(), tries);
        now = state.poll_call().unwrap().0.0 - 1_000_000;
    }
    assert!(state.poll(at(now)).contains(&Do::CheckIn));
    state.handle_reply(&Reply::default(), 9, at(now + 5));
    let ended = What::Outage(AgentOutage {
        began_at: at(0).wall,
        ended_at: Some(at(now + 5).wall),
        tries: 4,
        reason: "connect 192.0.2.1:443: timed out".into(),
        ..AgentOutage::default()
    });
    assert_eq!(recorded(&mut state, now + 5), [ended]);
    assert_eq!(state.standing(), &Standing::Online);
}

#[test]
fn tries_back_off_up_to_the_longest_wait() {
    let mut state = State::new(KEY, at(0));
    let mut now = 0;
    let mut waits = Vec::new();
    for _ in 0..8 {
        assert!(state.poll(at(now)).contains(&Do::CheckIn));
        state.handle_failure(&failed(), at(now), u64::MAX);
        let next = state.poll_call().unwrap().0.0 - 1_000_000;
        waits.push(next - now);
        now = next;
    }
    assert!(waits.iter().all(|wait| (1..=300_000).contains(wait)), "{waits:?}");
    assert!(waits[7] > 200_000, "the random number was the largest: {waits:?}");
}

#[test]
fn a_refused_agent_asks_again_hourly_and_says_so() {
    for refusal in [LinkError::Unauthorized("unknown".into()), LinkError::Gone("removed".into())] {
        let mut state = online(vec![]);
        let now = due(&state);
        state.poll(at(now));
        state.handle_failure(&refusal, at(now), 0);
        assert!(matches!(state.standing(), Standing::Refused { .. }));
        assert_eq!(state.poll_call().unwrap().0, at(now + 3_600_000).steady);
        state.handle_changes(vec![]);
        assert!(!state.poll(at(now + 3_599_999)).contains(&Do::CheckIn));
        assert!(state.poll(at(now + 3_600_000)).contains(&Do::CheckIn));
        state.handle_reply(&Reply::default(), 0, at(now + 3_600_000));
        assert_eq!(state.standing(), &Standing::Online);
    }
}

#[test]
fn a_busy_server_is_left_alone_as_long_as_it_asks_but_an_hour_at_most() {
    for (asked, kept) in [(20_000, 20_000), (0, 1_000), (86_400_000, 3_600_000)] {
        let mut state = online(vec![]);
        let now = due(&state);
        state.poll(at(now));
        let busy = LinkError::Busy { retry_after: Millis(asked), error: "later".into() };
        state.handle_failure(&busy, at(now), 0);
        assert_eq!(state.poll_call().unwrap().0, at(now + kept).steady);
        assert_eq!(state.failed_tries(), 0);
    }
}

#[test]
fn a_rejected_record_costs_no_time_until_there_are_many() {
    let mut state = online(vec![]);
    let mut now = due(&state);
    for n in 1..=20 {
        assert!(state.poll(at(now)).contains(&Do::CheckIn));
        state.handle_rejected(100 - n, at(now));
        let next = due(&state);
        assert_eq!(next - now, if n > 10 { 1_000 } else { 0 });
        now = next;
    }
}

#[test]
fn a_bad_call_without_a_record_is_a_failed_try() {
    let mut state = online(vec![]);
    let now = due(&state);
    state.poll(at(now));
    state.handle_failure(&LinkError::Bad { seq: None, error: "no JSON".into() }, at(now), 0);
    assert_eq!(state.failed_tries(), 1);
}

#[test]
fn a_backlog_is_sent_as_fast_as_the_server_allows() {
    let mut state = online(vec![]);
    let now = due(&state);
    state.poll(at(now));
    let reply = Reply { next_in_ms: Millis(10), ..Reply::default() };
    state.handle_reply(&reply, 700, at(now));
    assert_eq!(due(&state), now + 50);
    state.poll(at(now + 50));
    state.handle_reply(&Reply::default(), 700, at(now + 60));
    assert_eq!(due(&state), now + 1_050, "500 records are reason enough, a second after the last call began");
    state.poll(at(now + 1_050));
    state.handle_reply(&reply, 0, at(now + 1_050));
    assert!(due(&state) > now + 1_100, "nothing waits: the cadence");
}

#[test]
fn somebody_here_can_ask_for_a_call_now() {
    let mut state = online(vec![]);
    state.handle_wake();
    assert_eq!(due(&state), 50);
    state.poll(at(50));
    state.handle_failure(&failed(), at(50), u64::MAX);
    state.handle_wake();
    assert_eq!(state.poll(at(100)), [Do::CheckIn], "also while the server does not answer");
}

#[test]
fn a_new_a_changed_and_a_nudged_check_run_at_once_and_no_other() {
    let mut state = online(vec![task(1), task(2)]);
    let first = begun(&mut state, 0);
    assert_eq!(first.iter().map(|(check, _)| *check).collect::<Vec<_>>(), [1, 2]);
    for (check, run) in first {
        state.handle_result(check, run, measured(Outcome::Ok), at(1));
    }
    state.poll(at(1));
    state.handle_config(&config(vec![task(1), task(2)]), at(2));
    assert!(begun(&mut state, 2).is_empty());
    let changed = Task { probe: Probe::Tcp { target: "192.0.2.10".into(), port: 22 }, ..task(1) };
    state.handle_config(&config(vec![changed.clone(), Task { nudge: 1, ..task(2) }, task(3)]), at(3));
    let again = begun(&mut state, 3);
    assert_eq!(again.iter().map(|(check, _)| *check).collect::<Vec<_>>(), [1, 2, 3]);
    // Nudged while it is under way: it runs once more when it ends.
    state.handle_config(&config(vec![changed, Task { nudge: 2, ..task(2) }]), at(4));
    assert!(begun(&mut state, 4).is_empty());
    state.handle_result(again[1].0, again[1].1, measured(Outcome::Ok), at(5));
    assert_eq!(results(&mut state, 5).len(), 1);
    assert_eq!(state.probes_under_way(), 3, "1, 2 again, and the removed 3, which has not ended");
    state.handle_result(again[2].0, again[2].1, measured(Outcome::Ok), at(6));
    assert!(results(&mut state, 6).is_empty(), "a check that is gone has no result");
}

#[test]
fn a_result_of_what_a_check_was_before_is_not_told() {
    let mut state = online(vec![task(1)]);
    let (check, run) = begun(&mut state, 0)[0];
    let changed = Task { probe: Probe::Tcp { target: "192.0.2.10".into(), port: 22 }, ..task(1) };
    state.handle_config(&config(vec![changed]), at(1));
    assert!(begun(&mut state, 1).is_empty(), "one probe of a check at a time");
    state.handle_result(check, run, measured(Outcome::Fail), at(2));
    let next = state.poll(at(2));
    assert!(matches!(&next[..], [Do::Probe { check: 1, .. }]), "{next:?}");
}

#[test]
fn a_failing_check_is_retried_then_ever_less_and_counts_its_results() {
    let mut state = online(vec![Task { cadence: "5m".into(), ..task(1) }]);
    let mut now = 0;
    let mut waits = Vec::new();
    let mut told = Vec::new();
    for _ in 0..8 {
        let (check, run) = begun(&mut state, now)[0];
        state.handle_result(check, run, measured(Outcome::Fail), at(now));
        told.extend(results(&mut state, now).into_iter().map(|result| (result.in_a_row, result.since)));
        // A call may be due before: it is answered at once.
        let next = loop {
            let next = due(&state);
            if state.poll_call().is_some_and(|(at, _)| at.0 - 1_000_000 == next)
                && state.checks.next().unwrap().0 - 1_000_000 != next
            {
                state.poll(at(next));
                state.handle_reply(&Reply::default(), 0, at(next));
                continue;
            }
            break next;
        };
        waits.push((next - now) / 1000);
        now = next;
    }
    assert_eq!(waits[..2], [10, 10]);
    assert!(waits[2] <= 20 && waits[3] <= 40, "{waits:?}");
    assert!(waits.iter().all(|wait| *wait <= 300), "{waits:?}");
    assert_eq!(told[0], (1, None));
    assert_eq!(told[7], (8, Some(at(0).wall)));
}

#[test]
fn good_and_warning_results_are_alike_and_news_makes_a_call() {
    let mut state = online(vec![task(1)]);
    let (check, run) = begun(&mut state, 0)[0];
    state.handle_result(check, run, measured(Outcome::Ok), at(100));
    assert_eq!(results(&mut state, 100)[0].in_a_row, 1);
    assert_eq!(state.poll_call().unwrap().0, at(1_000).steady, "the first result is news");
    state.poll(at(1_000));
    state.handle_reply(&Reply::default(), 0, at(1_000));
    let second = state.checks.next().unwrap().0 - 1_000_000;
    let (check, run) = begun(&mut state, second)[0];
    if state.is_calling() {
        state.handle_reply(&Reply::default(), 0, at(second));
    }
    let planned = state.poll_call();
    state.handle_result(check, run, measured(Outcome::Warn), at(second));
    assert_eq!(results(&mut state, second)[0].in_a_row, 2);
    assert_eq!(state.poll_call(), planned, "no news");
}

#[test]
fn a_task_without_a_cadence_says_so_once() {
    let bad = Task { cadence: "every now and then".into(), ..task(1) };
    let mut state = online(vec![bad.clone(), task(2)]);
    let todo = state.poll(at(0));
    let Do::Record(What::Result(result)) = &todo[0] else { panic!("{todo:?}") };
    assert_eq!((result.check, result.outcome), (1, Outcome::Unknown));
    assert!(result.message.contains("every now and then"), "{}", result.message);
    assert_eq!(todo.len(), 2, "the other runs");
    state.handle_config(&config(vec![bad, task(2)]), at(1));
    assert!(state.poll(at(1)).is_empty());
}

#[test]
fn many_new_checks_are_spread_and_a_thousand_run_at_once_at_most() {
    let mut state = online((0..300).map(task).collect());
    let first = begun(&mut state, 0).len();
    assert!(first < 100, "{first}");
    begun(&mut state, 10_000);
    assert_eq!(state.probes_under_way(), 300);
    state.handle_config(&config((0..3_000).map(task).collect()), at(10_001));
    begun(&mut state, 30_000);
    assert_eq!(state.probes_under_way(), MAX_UNDER_WAY);
}

#[test]
fn a_clock_that_is_set_moves_cron_checks_alone() {
    let midnight = Time(1_767_225_600_000);
    let start = Now { steady: midnight, wall: midnight };
    let mut state = State::new(KEY, start);
    state.poll(start);
    let cron = Task { cadence: "0 7 * * *".into(), ..task(1) };
    state.handle_reply(&Reply { config: Some(config(vec![cron])), ..Reply::default() }, 0, start);
    let todo = state.poll(start);
    let [Do::Probe { check, run, .. }] = todo[..] else { panic!("{todo:?}") };
    state.handle_result(check, run, measured(Outcome::Ok), start);
    state.poll(start);
    let hour = Millis::from_secs(3600);
    assert_eq!(state.checks.next(), Some(midnight + hour.times(7)));
    let call = state.poll_call().unwrap().0;
    let turned = Now { steady: midnight + Millis(1), wall: midnight + hour };
    state.poll(turned);
    assert_eq!(state.checks.next(), Some(turned.steady + hour.times(6)));
    assert_eq!(state.poll_call().unwrap().0, call);
}

fn is_cut_off(state: &State) -> bool {
    matches!(state.standing(), Standing::CutOff(_) | Standing::Refused { cut_off: Some(_), .. })
}

/// What may happen to a machine.
#[derive(Clone, Debug)]
enum Happening {
    Pass(i64),
    Step,
    Reply { waiting: u64, next_in: i64 },
    Fail(u8, u64),
    Rejected,
    Result(Outcome),
    Config(u8),
    Climbed(bool),
    Noticed,
    Wake,
    Turn(i64),
}

fn happening() -> impl Strategy<Value = Happening> {
    let outcome =
        prop_oneof![Just(Outcome::Ok), Just(Outcome::Warn), Just(Outcome::Fail), Just(Outcome::Unknown)];
    prop_oneof![
        (0..20_000_i64).prop_map(Happening::Pass),
        Just(Happening::Step),
        Just(Happening::Step),
        (0..1_500_u64, 0..6_000_i64).prop_map(|(waiting, next_in)| Happening::Reply { waiting, next_in }),
        (0..5_u8, any::<u64>()).prop_map(|(kind, random)| Happening::Fail(kind, random)),
        Just(Happening::Rejected),
        outcome.clone().prop_map(Happening::Result),
        outcome.prop_map(Happening::Result),
        any::<u8>().prop_map(Happening::Config),
        any::<bool>().prop_map(Happening::Climbed),
        any::<bool>().prop_map(Happening::Climbed),
        Just(Happening::Noticed),
        Just(Happening::Wake),
        (-90_000_000..90_000_000_i64).prop_map(Happening::Turn),
    ]
}

/// Plays what happens, as a driver would, and checks at each step what must always hold.
#[derive(Debug)]
struct Play {
    state: State,
    now: Now,
    calling: bool,
    climbing: bool,
    probes: Vec<(i64, u64)>,
    failed: u32,
    /// An outage was told, and its end was not.
    told: bool,
}

impl Play {
    fn poll(&mut self) {
        let before = self.state.poll_timeout();
        let todo = self.state.poll(self.now);
        if before.is_some_and(|(at, _)| at <= self.now.steady) {
            assert!(!todo.is_empty(), "a step at its deadline changes something: {before:?}");
        }
        for step in todo {
            match step {
                Do::CheckIn => {
                    assert!(!self.calling, "never two calls at once");
                    self.calling = true;
                }
                Do::Probe { check, run, .. } => {
                    assert!(self.probes.iter().all(|(other, _)| *other != check), "one probe of a check");
                    self.probes.push((check, run));
                }
                Do::Record(What::Outage(outage)) => {
                    assert_eq!(self.told, outage.ended_at.is_some(), "beginning and end take turns");
                    self.told = outage.ended_at.is_none();
                    if self.told {
                        assert_eq!(outage.tries, 3);
                    }
                }
                Do::Climb(_) => {
                    assert!(!self.climbing, "one climb at a time");
                    self.climbing = true;
                }
                Do::RecordPast { what, ago } => {
                    assert!(matches!(what, What::Ladder(_)) && ago >= Millis::ZERO);
                }
                Do::Record(_) | Do::Look | Do::Moment => {}
            }
        }
        assert!(self.state.poll_timeout().is_none_or(|(at, _)| at > self.now.steady), "nothing is left due");
        assert!(self.calling || self.state.poll_call().is_some(), "there is always a next call");
        assert!(self.probes.len() <= MAX_UNDER_WAY);
        let goes_on = is_cut_off(&self.state);
        assert!(!goes_on || self.told, "whoever is cut off said so");
        assert_eq!(self.state.kept(self.now).is_some(), self.told, "what is not told to its end is kept");
        assert!(goes_on || !self.told || self.climbing, "an end waits for one climb at most");
    }

    fn pass(&mut self, ms: i64) {
        self.now = Now { steady: self.now.steady + Millis(ms), wall: self.now.wall + Millis(ms) };
    }

    fn happen(&mut self, what: Happening) {
        match what {
            Happening::Pass(ms) => self.pass(ms),
            Happening::Step => {
                if let Some((at, _)) = self.state.poll_timeout() {
                    self.pass(at.since(self.now.steady).0.max(0));
                }
            }
            Happening::Reply { waiting, next_in } if self.calling => {
                self.calling = false;
                self.failed = 0;
                let reply = Reply { next_in_ms: Millis(next_in), ..Reply::default() };
                self.state.handle_reply(&reply, waiting, self.now);
                assert_eq!(self.state.standing(), &Standing::Online);
            }
            Happening::Fail(kind, random) if self.calling => self.fail(kind, random),
            Happening::Rejected if self.calling => {
                self.calling = false;
                self.state.handle_rejected(3, self.now);
            }
            Happening::Result(outcome) if !self.probes.is_empty() => {
                let (check, run) = self.probes.remove(0);
                self.state.handle_result(check, run, measured(outcome), self.now);
            }
            Happening::Config(seed) => {
                let tasks = (0..i64::from(seed % 7))
                    .map(|check| Task {
                        nudge: u64::from(seed / 64),
                        attempts: u32::from(seed % 4),
                        ..task(check)
                    })
                    .collect();
                self.state.handle_config(&config(tasks), self.now);
            }
            Happening::Climbed(fault) if self.climbing => {
                self.climbing = false;
                let outcome = if fault { Held::Fail } else { Held::Ok };
                self.state.handle_climb(Some(climb_of(Why::Asked, outcome)), self.now);
            }
            Happening::Climbed(_) => {}
            Happening::Noticed => self.state.handle_noticed(self.now),
            Happening::Wake => self.state.handle_wake(),
            Happening::Turn(ms) => self.now.wall += Millis(ms),
            Happening::Reply { .. } | Happening::Fail(..) | Happening::Rejected | Happening::Result(_) => {}
        }
    }

    fn fail(&mut self, kind: u8, random: u64) {
        self.calling = false;
        let error = match kind {
            0 => LinkError::Unauthorized("no".into()),
            1 => {
                LinkError::Busy { retry_after: Millis(random.cast_signed() % 10_000), error: "later".into() }
            }
            2 => LinkError::Bad { seq: None, error: "what?".into() },
            _ => failed(),
        };
        match kind {
            0 => self.failed = 0,
            1 => {}
            _ => self.failed += 1,
        }
        let was_cut_off = is_cut_off(&self.state);
        self.state.handle_failure(&error, self.now, random);
        if kind >= 2 {
            let cut_off = matches!(self.state.standing(), Standing::CutOff(_));
            assert_eq!(cut_off, was_cut_off || self.failed >= 3, "cut off after exactly three");
        }
    }
}

proptest! {
    #[test]
    fn whatever_happens_the_agent_keeps_its_rules(happenings in proptest::collection::vec(happening(), 1..200)) {
        let now = at(0);
        let mut state = State::new(KEY, now);
        state.keep_record(now);
        let mut play =
            Play { state, now, calling: false, climbing: false, probes: Vec::new(), failed: 0, told: false };
        play.poll();
        for what in happenings {
            play.happen(what);
            play.poll();
        }
    }
}
