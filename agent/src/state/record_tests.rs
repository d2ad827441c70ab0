//! When the ladder is climbed, what becomes of a climb, and what outlives the agent.

use std::net::IpAddr;

use super::*;
use crate::report::{AgentOutage, Climb, First, Held, Plan as Ladder, Rung, Step};

const START: i64 = 1_700_000_000_000;

fn at(secs: i64) -> Now {
    let at = Time(START + secs * 1_000);
    Now { steady: at, wall: at }
}

fn gateway() -> IpAddr {
    "192.0.2.1".parse().unwrap()
}

/// A climb that found the link to hold, and the gateway to end as said.
pub(super) fn climb_of(why: Why, outcome: Held) -> Climb {
    let rung = |step, outcome, after| Rung {
        step,
        outcome,
        reason: String::new(),
        after: Millis(after),
        rtt_us: None,
        loss_permille: None,
    };
    let link = Step::Link { interface: "eth0".into(), speed_mbit: None };
    let rungs = vec![rung(link, Held::Ok, 1), rung(Step::Gateway { gateway: gateway() }, outcome, 250)];
    Climb { outage: None, why, took: Millis(300), rungs }
}

fn failed() -> LinkError {
    LinkError::Failed("connect 192.0.2.9:443: timed out".into())
}

/// An agent that records, and was answered at 0 s; it checks in every 30 s.
fn recording() -> State {
    let mut state = State::new(0, at(0));
    state.keep_record(at(0));
    assert_eq!(state.poll(at(0)), [Do::Moment, Do::CheckIn]);
    let config = Config {
        etag: "e".into(),
        check_in_every: Millis::from_secs(30),
        cut_off_after: 3,
        retry_max: Millis::from_secs(300),
        ..Config::default()
    };
    state.handle_reply(&Reply { config: Some(config), ..Reply::default() }, 0, at(0));
    state
}

/// What comes out at `secs`, but for lines and looks.
fn steps(state: &mut State, secs: i64) -> Vec<Do> {
    let mut all = state.poll(at(secs));
    all.retain(|step| !matches!(step, Do::Moment | Do::Look));
    all
}

/// A call at `secs` that fails: what comes out before and after.
fn fail(state: &mut State, secs: i64) -> Vec<Do> {
    state.handle_wake();
    let mut all = steps(state, secs);
    assert_eq!(all.pop(), Some(Do::CheckIn), "{all:?}");
    state.handle_failure(&failed(), at(secs), u64::MAX);
    all.extend(steps(state, secs));
    all
}

fn answer(state: &mut State, secs: i64) -> Vec<Do> {
    state.handle_wake();
    let mut all = steps(state, secs);
    assert_eq!(all.pop(), Some(Do::CheckIn), "{all:?}");
    state.handle_reply(&Reply::default(), 0, at(secs));
    all.extend(steps(state, secs));
    all
}

fn ladder(outage: Option<i64>, climb: Climb, ago: i64) -> Do {
    let outage = outage.map(|secs| at(secs).wall);
    Do::RecordPast { what: What::Ladder(Climb { outage, ..climb }), ago: Millis::from_secs(ago) }
}

fn begun(tries: u32) -> AgentOutage {
    let (began_at, reason) = (at(30).wall, "connect 192.0.2.9:443: timed out".into());
    AgentOutage { began_at, tries, reason, ..AgentOutage::default() }
}

/// An agent that is cut off since 30 s, told so at 32 s, and has climbed once.
fn cut_off() -> State {
    let mut state = recording();
    assert_eq!(fail(&mut state, 30), [Do::Climb(Why::Failure)]);
    let failure = climb_of(Why::Failure, Held::Fail);
    state.handle_climb(Some(failure.clone()), at(31));
    assert_eq!(fail(&mut state, 31), [ladder(None, failure, 1)], "at once: the power may go next");
    assert_eq!(fail(&mut state, 32), [Do::Record(What::Outage(begun(3))), Do::Climb(Why::Again)], "and once");
    state
}

#[test]
fn the_ladder_is_climbed_at_the_first_failure_at_cut_off_and_ever_more_seldom() {
    let mut state = cut_off();
    let mut now = 32;
    let mut waits = Vec::new();
    for _ in 0..6 {
        let climb = climb_of(Why::Again, Held::Fail);
        state.handle_climb(Some(climb.clone()), at(now + 1));
        assert!(steps(&mut state, now + 1).contains(&ladder(Some(30), climb, 1)));
        let next = (state.climb_due().unwrap().0 - START) / 1_000;
        waits.push(next - now - 1);
        now = next;
        // Tries are made meanwhile, and change nothing of it.
        if state.poll_call().is_some_and(|(when, _)| when <= at(now).steady) {
            assert!(steps(&mut state, now).ends_with(&[Do::Climb(Why::Again), Do::CheckIn]));
            state.handle_failure(&failed(), at(now), u64::MAX);
        } else {
            assert!(steps(&mut state, now).contains(&Do::Climb(Why::Again)));
        }
    }
    assert_eq!(waits, [10, 30, 120, 600, 600, 600]);
}

#[test]
fn the_end_is_told_with_the_order_in_which_the_rungs_came_back() {
    let mut state = cut_off();
    state.handle_climb(Some(climb_of(Why::Again, Held::Fail)), at(33));
    assert_eq!(answer(&mut state, 40).last(), Some(&Do::Climb(Why::Recovery)), "the end waits for it");
    let kept = state.kept(at(41)).unwrap();
    assert_eq!(kept.outage.ended_at, Some(at(40).wall));
    assert_eq!(kept.fell, [("gateway".to_owned(), "192.0.2.1".to_owned())]);
    let climb = climb_of(Why::Recovery, Held::Ok);
    state.handle_climb(Some(climb.clone()), at(41));
    let first = First { rung: "gateway".into(), target: "192.0.2.1".into(), at: at(40).wall + Millis(250) };
    let ended = AgentOutage { ended_at: Some(at(40).wall), firsts: vec![first], ..begun(3) };
    assert_eq!(steps(&mut state, 41)[..2], [ladder(Some(30), climb, 1), Do::Record(What::Outage(ended))]);
    assert_eq!(state.kept(at(41)), None);
}

#[test]
fn a_rung_that_fails_again_has_not_come_back() {
    let mut state = cut_off();
    let mut now = 33;
    for (outcome, back) in [(Held::Ok, 1), (Held::NotMeasured, 1), (Held::Fail, 0), (Held::Ok, 1)] {
        state.handle_climb(Some(climb_of(Why::Again, outcome)), at(now));
        assert_eq!(state.kept(at(now)).unwrap().outage.firsts.len(), back, "{outcome:?}");
        now = (state.climb_due().unwrap().0 - START) / 1_000;
        steps(&mut state, now);
    }
}

#[test]
fn what_a_failure_that_was_none_found_is_told_only_if_it_found_a_fault() {
    for (outcome, told) in [(Held::Ok, false), (Held::NotMeasured, false), (Held::Fail, true)] {
        // The climb is done before the next try, or after it.
        for early in [true, false] {
            let mut state = recording();
            let climb = climb_of(Why::Failure, outcome);
            assert_eq!(fail(&mut state, 30), [Do::Climb(Why::Failure)]);
            if early {
                state.handle_climb(Some(climb.clone()), at(32));
            }
            let mut all = steps(&mut state, 32);
            all.extend(answer(&mut state, 32));
            if !early {
                state.handle_climb(Some(climb.clone()), at(32));
                all.extend(steps(&mut state, 32));
            }
            let expected = if told { vec![ladder(None, climb, 2)] } else { vec![] };
            all.retain(|step| *step != Do::CheckIn);
            assert_eq!(all, expected, "{outcome:?}, early: {early}");
            assert_eq!(state.kept(at(32)), None);
        }
    }
}

#[test]
fn a_climb_that_found_no_fault_is_told_if_an_outage_comes_of_it() {
    let mut state = recording();
    assert_eq!(fail(&mut state, 30), [Do::Climb(Why::Failure)]);
    let climb = climb_of(Why::Failure, Held::Ok);
    state.handle_climb(Some(climb.clone()), at(31));
    assert_eq!(fail(&mut state, 31), []);
    assert_eq!(
        fail(&mut state, 32),
        [Do::Record(What::Outage(begun(3))), ladder(Some(30), climb, 2), Do::Climb(Why::Again)]
    );
}

#[test]
fn a_climb_that_lasts_until_the_agent_is_cut_off_belongs_to_the_outage() {
    let mut state = recording();
    assert_eq!(fail(&mut state, 30), [Do::Climb(Why::Failure)]);
    fail(&mut state, 31);
    assert_eq!(fail(&mut state, 32), [Do::Record(What::Outage(begun(3)))], "one climb at a time");
    let climb = climb_of(Why::Failure, Held::Fail);
    state.handle_climb(Some(climb.clone()), at(45));
    assert_eq!(steps(&mut state, 45)[..], [ladder(Some(30), climb, 15), Do::Climb(Why::Again)]);
}

#[test]
fn a_good_day_is_measured_some_minutes_after_the_start_and_then_by_the_plan() {
    let mut state = recording();
    let mut began = Vec::new();
    for secs in 1..=50_000 {
        for step in steps(&mut state, secs) {
            match step {
                Do::CheckIn => state.handle_reply(&Reply::default(), 0, at(secs)),
                Do::Climb(why) => {
                    began.push((secs, why));
                    state.handle_climb(Some(climb_of(why, Held::Ok)), at(secs));
                }
                other => assert!(matches!(other, Do::RecordPast { .. }), "{other:?}"),
            }
        }
    }
    let times: Vec<i64> = began.iter().map(|(secs, _)| *secs).collect();
    assert_eq!(times, [180, 21_780, 43_380]);
    assert!(began.iter().all(|(_, why)| *why == Why::Baseline));
    let none = Config { ladder: Ladder { baseline: Millis::ZERO, ..Ladder::default() }, ..Config::default() };
    state.handle_config(&none, at(50_000));
    assert_eq!(state.climb_due(), None);
}

#[test]
fn nobody_measures_a_good_day_while_the_server_does_not_answer() {
    let mut state = recording();
    assert_eq!(fail(&mut state, 170), [Do::Climb(Why::Failure)]);
    state.handle_climb(None, at(171));
    assert_eq!(state.climb_due(), None);
    assert_eq!(answer(&mut state, 200), []);
    assert_eq!(state.climb_due(), Some(at(30 + 21_600 + 140).steady), "what was climbed at 170 s counts");
}

#[test]
fn an_outage_goes_on_after_a_restart_with_the_same_beginning() {
    let mut state = cut_off();
    state.handle_climb(Some(climb_of(Why::Again, Held::Fail)), at(33));
    let kept = state.kept(at(33)).unwrap();
    let text = serde_json::to_string(&kept).unwrap();
    let kept: Kept = serde_json::from_str(&text).unwrap();
    // After a power cut the clock may show anything.
    for clock in [0, -1_000_000_000, 500] {
        let now = |secs: i64| Now { steady: at(secs).steady, wall: at(secs + clock).wall };
        let mut state = State::new(0, now(100));
        state.keep_record(now(100));
        state.resume(&kept, now(100));
        let mut todo = state.poll(now(100));
        todo.retain(|step| *step != Do::Moment);
        assert_eq!(todo, [Do::Climb(Why::Again), Do::CheckIn], "no second beginning is told");
        state.handle_failure(&failed(), now(101), 0);
        assert_eq!(state.failed_tries(), 4);
        state.handle_climb(Some(climb_of(Why::Again, Held::Ok)), now(101));
        let told = state.poll(now(101));
        let is_of_it = |step: &Do| matches!(step, Do::RecordPast { what: What::Ladder(climb), .. } if climb.outage == Some(at(30).wall));
        assert!(told.iter().any(is_of_it), "{told:?}");
        state.handle_wake();
        state.poll(now(102));
        state.handle_reply(&Reply::default(), 0, now(102));
        state.handle_stop();
        let told = state.poll(now(102));
        let end = told.iter().find_map(|step| match step {
            Do::Record(What::Outage(outage)) => Some(outage),
            _ => None,
        });
        let end = end.unwrap();
        assert_eq!((end.began_at, end.tries), (at(30).wall, 4));
        assert_eq!((end.ended_at, end.firsts.len()), (Some(now(102).wall), 1));
    }
}

#[test]
fn an_end_that_was_not_told_before_a_restart_is_told_after_it() {
    let mut state = cut_off();
    answer(&mut state, 40);
    let kept = state.kept(at(40)).unwrap();
    let mut state = State::new(0, at(100));
    state.keep_record(at(100));
    state.resume(&kept, at(100));
    assert_eq!(state.poll(at(100))[0], Do::Record(What::Outage(kept.outage)));
    assert_eq!((state.standing(), state.kept(at(100))), (&Standing::Starting, None));
}

#[test]
fn changes_that_come_together_are_looked_at_together_and_a_flapping_link_once_a_second() {
    let mut state = recording();
    let look_due = |state: &State| state.next_look().map(|when| when.since(at(0).steady).0);
    state.handle_noticed(at(1));
    state.handle_noticed(Now { steady: at(1).steady + Millis(150), wall: at(1).wall });
    assert_eq!(look_due(&state), Some(1_200), "not put off by what comes later");
    let looked = at(1).steady + Millis(200);
    assert_eq!(state.poll(Now { steady: looked, wall: looked }), [Do::Look]);
    assert_eq!(look_due(&state), None);
    state.handle_noticed(Now { steady: looked + Millis(50), wall: looked });
    assert_eq!(look_due(&state), Some(2_200));
}

#[test]
fn an_answer_puts_off_no_look_at_what_changed_since_the_call_began() {
    let mut state = recording();
    state.handle_wake();
    assert!(state.poll(at(1)).contains(&Do::CheckIn));
    state.handle_noticed(at(2));
    state.handle_reply(&Reply::default(), 0, at(2));
    assert!(state.poll(at(3)).contains(&Do::Look));
    // The regular looks of an agent that cannot call end with the answer.
    fail(&mut state, 4);
    assert!(state.next_look().is_some());
    answer(&mut state, 5);
    assert_eq!(state.next_look(), None);
}

#[test]
fn a_clock_that_is_set_is_told_and_one_that_is_drawn_is_not() {
    let mut state = recording();
    let mut skew = 0;
    for (secs, by, told) in [(1, 0, None), (2, 900, None), (3, 900, None), (4, -5_000, Some("clock"))] {
        skew += by;
        let now = Now { steady: at(secs).steady, wall: at(secs).wall + Millis(skew) };
        let changes = state.poll(now);
        let change = changes.iter().find_map(|step| match step {
            Do::Record(What::Change(change)) => Some(change),
            _ => None,
        });
        assert_eq!(change.map(|change| change.subject.as_str()), told, "{secs}");
        if let Some(change) = change {
            assert_eq!(
                (&*change.from, &*change.to),
                ("2023-11-14T22:13:25.800Z", "2023-11-14T22:13:20.800Z")
            );
        }
    }
}

#[test]
fn lines_are_as_often_as_check_ins_unless_it_is_said() {
    let mut state = recording();
    assert_eq!(state.record_every(), Millis::from_secs(30));
    let config = Config { record_every: Millis::from_secs(5), ..Config::default() };
    state.handle_config(&config, at(1));
    let lines: Vec<i64> = (2..=20).filter(|secs| state.poll(at(*secs)).contains(&Do::Moment)).collect();
    assert_eq!(lines.windows(2).map(|two| two[1] - two[0]).collect::<Vec<_>>(), [5, 5, 5]);
    let mut inside = State::new(0, at(0));
    assert_eq!(inside.poll(at(0)), [Do::CheckIn], "inside the server nothing is recorded");
    inside.handle_failure(&failed(), at(0), 0);
    assert_eq!(inside.climb_due(), None);
}
