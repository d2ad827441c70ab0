//! The rule as a table, and what holds whatever the evidence.

use agent::report::Outcome;
use proptest::prelude::*;

use super::*;
use crate::domain::check::{Limits, Run, Seen, missed, observe};

const HOLD: Millis = Millis(60);

fn check(kind: Kind, status: Status, since: i64, last_at: i64) -> Proof {
    let run = match status {
        Status::Ok | Status::Warn => Run::Good,
        Status::Failed | Status::Soft => Run::Bad,
        Status::Unknown => Run::Blank,
    };
    let good_at = (run == Run::Good).then_some(Time(last_at));
    let (since, last_at) = (Time(since), Time(last_at));
    let health = Health { status, since, run, count: 3, run_since: since, last_at, good_at };
    Proof { kind, health: Some(health), awaited_until: None }
}

fn parent(state: State, since: i64, proven_at: i64) -> Parent {
    Parent { state, since: Time(since), proven_at: Some(Time(proven_at)) }
}

fn evidence(was: State, checks: Vec<Proof>, parents: Vec<Parent>) -> Evidence {
    Evidence {
        was,
        was_since: Time(10),
        held_since: None,
        checks,
        parents,
        paused: false,
        sight: Sight::Clear,
        back: None,
    }
}

#[test]
fn a_state_follows_from_checks_and_parents() {
    use Kind::{CheckIn, Http, Icmp, Tcp};
    use Status::{Failed, Ok, Unknown, Warn};
    let (good, bad, none) = (
        |kind| check(kind, Ok, 20, 90),
        |kind| check(kind, Failed, 50, 90),
        |kind| check(kind, Unknown, 0, 0),
    );
    let table = [
        ("nothing is watched", vec![], vec![], State::Unknown),
        ("never measured", vec![none(Icmp)], vec![], State::Unknown),
        ("a fresh check-in", vec![good(CheckIn)], vec![], State::Up),
        ("a good ping", vec![good(Icmp)], vec![], State::Up),
        ("what cannot be measured says nothing", vec![good(CheckIn), none(Icmp)], vec![], State::Up),
        ("a service failed", vec![good(Icmp), bad(Http)], vec![], State::Degraded),
        ("a port failed", vec![good(Icmp), bad(Tcp)], vec![], State::Degraded),
        ("over its limit", vec![check(Icmp, Warn, 20, 90)], vec![], State::Degraded),
        ("agent trouble", vec![bad(CheckIn), good(Icmp)], vec![], State::Degraded),
        ("inbound filter", vec![good(CheckIn), bad(Icmp)], vec![], State::Degraded),
        ("the page answers, ping does not", vec![bad(Icmp), good(Http)], vec![], State::Degraded),
        ("the page is all that is watched", vec![bad(Http)], vec![], State::Down),
        ("all proofs failed", vec![bad(CheckIn), bad(Icmp)], vec![], State::Down),
        ("only proofs that were measured count", vec![bad(CheckIn), none(Icmp)], vec![], State::Down),
        ("a parent answered after it", vec![bad(Icmp)], vec![parent(State::Up, 0, 51)], State::Down),
        ("a parent degraded is a path", vec![bad(Icmp)], vec![parent(State::Degraded, 0, 51)], State::Down),
        ("its parent is down", vec![bad(Icmp)], vec![parent(State::Down, 40, 30)], State::Unreachable),
        (
            "its parent is unreachable",
            vec![bad(Icmp)],
            vec![parent(State::Unreachable, 40, 30)],
            State::Unreachable,
        ),
        ("nobody knows about its parent", vec![bad(Icmp)], vec![parent(State::Unknown, 0, 0)], State::Down),
        (
            "one of two parents is a path",
            vec![bad(Icmp)],
            vec![parent(State::Down, 40, 30), parent(State::Up, 0, 60)],
            State::Down,
        ),
        ("a parent's old proof is not believed", vec![bad(Icmp)], vec![parent(State::Up, 0, 49)], State::Up),
    ];
    for (story, checks, parents, state) in table {
        let judged = judge(&evidence(State::Up, checks, parents), HOLD, Time(100));
        assert_eq!(judged.state, state, "{story}");
    }
}

#[test]
fn down_begins_with_the_first_failed_proof_after_the_last_good_one() {
    for (story, checks, since) in [
        (
            "both fail",
            vec![check(Kind::Icmp, Status::Failed, 40, 90), check(Kind::CheckIn, Status::Failed, 50, 30)],
            40,
        ),
        (
            "ping never answered; check-ins stopped",
            {
                let mut check_in = check(Kind::CheckIn, Status::Failed, 50, 45);
                check_in.health = check_in.health.map(|health| Health { good_at: Some(Time(45)), ..health });
                vec![check(Kind::Icmp, Status::Failed, 20, 90), check_in]
            },
            50,
        ),
    ] {
        assert_eq!(
            judge(&evidence(State::Up, checks, vec![]), HOLD, Time(100)).since,
            Time(since),
            "{story}"
        );
    }
}

#[test]
fn it_is_up_from_the_first_good_proof_of_the_stable_run() {
    let back = vec![check(Kind::CheckIn, Status::Ok, 70, 90), check(Kind::Icmp, Status::Ok, 65, 90)];
    let judged = judge(&evidence(State::Down, back, vec![]), HOLD, Time(100));
    assert_eq!((judged.state, judged.since), (State::Up, Time(65)));
}

#[test]
fn a_stale_parent_is_waited_for_and_not_for_ever() {
    let mut held =
        evidence(State::Up, vec![check(Kind::Icmp, Status::Failed, 50, 90)], vec![parent(State::Up, 0, 49)]);
    let first = judge(&held, HOLD, Time(100));
    assert_eq!(first.again, Some((Time(160), "its parent is checked first")));
    assert_eq!(first.recheck, Recheck::Parents);
    held.held_since = first.held_since;
    assert_eq!(judge(&held, HOLD, Time(159)).state, State::Up);
    assert_eq!(judge(&held, HOLD, Time(160)).state, State::Down);
}

#[test]
fn a_child_is_tried_itself_after_its_parent_came_back() {
    let behind = |last_at| {
        evidence(
            State::Unreachable,
            vec![check(Kind::Icmp, Status::Failed, 50, last_at)],
            vec![parent(State::Up, 95, 99)],
        )
    };
    let waiting = judge(&behind(94), HOLD, Time(100));
    assert_eq!((waiting.state, waiting.recheck), (State::Unreachable, Recheck::Own));
    assert_eq!(judge(&behind(96), HOLD, Time(100)).state, State::Down);
    assert_eq!(judge(&behind(94), HOLD, Time(155)).state, State::Down, "the wait has an end");
}

#[test]
fn an_attempt_under_way_is_awaited() {
    let mut attempt = check(Kind::Icmp, Status::Unknown, 0, 0);
    attempt.awaited_until = Some(Time(130));
    let late = evidence(State::Up, vec![check(Kind::CheckIn, Status::Failed, 50, 40), attempt], vec![]);
    let waiting = judge(&late, HOLD, Time(100));
    assert_eq!((waiting.state, waiting.again.map(|(at, _)| at)), (State::Up, Some(Time(130))));
    assert_eq!(judge(&late, HOLD, Time(130)).state, State::Down);
}

fn any_check() -> impl Strategy<Value = Proof> {
    let kind = prop::sample::select(Kind::ALL.to_vec());
    let results = prop::collection::vec(
        prop::sample::select(vec![Outcome::Ok, Outcome::Warn, Outcome::Fail, Outcome::Unknown]),
        0..12,
    );
    (kind, results, any::<bool>()).prop_map(|(kind, results, is_missed)| {
        let limits = Limits { soft_failures: 3, good_results: 2 };
        let mut health = results.iter().zip(11..).fold(None, |health, (outcome, at)| {
            Some(observe(health, Seen::single(*outcome, Time(at)), limits))
        });
        if is_missed && kind == Kind::CheckIn {
            health = Some(missed(Time(23), Time(24), Time(30)));
        }
        Proof { kind, health, awaited_until: None }
    })
}

fn any_evidence() -> impl Strategy<Value = Evidence> {
    let state = || prop::sample::select(State::ALL.to_vec());
    let parent = (state(), 0..40_i64, prop::option::of(0..40_i64))
        .prop_map(|(state, since, proven)| Parent { state, since: Time(since), proven_at: proven.map(Time) });
    let sights = vec![Sight::Clear, Sight::Doubtful(Millis(30)), Sight::Blind(Time(15))];
    let back = Back { at: Time(10), probed_until: Time(50), called_until: Time(70) };
    let seen = (state(), prop::sample::select(sights), prop::sample::select(vec![None, Some(back)]));
    (seen, 0..12_i64, prop::collection::vec(any_check(), 0..4), prop::collection::vec(parent, 0..3)).prop_map(
        |((was, sight, back), was_since, checks, parents)| Evidence {
            was,
            was_since: Time(was_since),
            held_since: None,
            checks,
            parents,
            paused: false,
            sight,
            back,
        },
    )
}

proptest! {
    #[test]
    fn a_judgement_holds_until_its_deadline_and_ends_there(evidence in any_evidence()) {
        let now = Time(40);
        let mut known = evidence;
        let first = judge(&known, HOLD, now);
        known.was = first.state;
        known.was_since = first.since;
        known.held_since = first.held_since;
        let again = judge(&known, HOLD, now);
        prop_assert_eq!((again.state, again.since), (first.state, first.since), "judging twice changes nothing");
        if let Some((at, _)) = again.again {
            prop_assert!(at > now, "a deadline lies ahead");
            let then = judge(&known, HOLD, at);
            prop_assert!(then.again.is_none_or(|(next, _)| next > at), "a step at its deadline gets on");
            prop_assert!(then.again != again.again, "a step at its deadline changes something");
        }
    }

    #[test]
    fn a_device_is_never_down_while_it_answers_nor_up_while_it_does_not(evidence in any_evidence()) {
        let judged = judge(&evidence, HOLD, Time(40));
        let answers = evidence.answers().next().is_some();
        if answers {
            prop_assert!(judged.state.is_reachable());
        } else if judged.again.is_none() {
            prop_assert!(!judged.state.is_reachable());
        }
    }

    #[test]
    fn time_never_runs_backwards_in_a_devices_history(evidence in any_evidence()) {
        prop_assert!(judge(&evidence, HOLD, Time(40)).since >= evidence.was_since);
    }
}
