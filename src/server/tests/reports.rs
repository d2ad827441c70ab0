//! What is counted, and how often: once, whatever is repeated, reordered or cut off.

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Sent {
    /// The next so many records, and the answer arrives.
    Next(usize),
    /// The next so many records, and the answer is lost: they come again.
    Lost(usize),
    /// An old piece of the log comes once more.
    Again(usize, usize),
}

fn sent() -> impl Strategy<Value = Vec<Sent>> {
    let one = prop_oneof![
        (1..7_usize).prop_map(Sent::Next),
        (1..7_usize).prop_map(Sent::Lost),
        (0..40_usize, 1..7_usize).prop_map(|(from, many)| Sent::Again(from, many)),
    ];
    prop::collection::vec(one, 1..20)
}

/// One log of an agent: a result each second.
fn log(check: CheckId, outcomes: &[Outcome]) -> Vec<Record> {
    let second = |at: usize| i64::try_from(at).unwrap() * 1000;
    outcomes
        .iter()
        .enumerate()
        .map(|(at, outcome)| Record {
            seq: u64::try_from(at).unwrap() + 1,
            at: START + Millis(second(at)),
            mono: Millis(START.0 + second(at)),
            boot: None,
            what: What::Result(result(check, *outcome)),
        })
        .collect()
}

type Seen = (State, Time, Vec<(Time, Option<Time>)>, Vec<(i64, u64)>);

async fn delivered(outcomes: &[Outcome], how: &[Sent]) -> Seen {
    let house = House::new().await;
    let check = house.pinged("ap", &[]).await;
    let all = log(check, outcomes);
    house.clock.set(START + Millis::from_secs(20));
    let mut next = 0;
    let rest = [Sent::Next(all.len())];
    for step in how.iter().chain(&rest) {
        let (from, to, answered) = match *step {
            Sent::Next(many) => (next, next + many, true),
            Sent::Lost(many) => (next, next + many, false),
            Sent::Again(from, many) => (from.min(next), (from + many).min(next), false),
        };
        let records = all[from.min(all.len())..to.min(all.len())].to_vec();
        let call = CheckIn { records, ..house.empty_call("local") };
        house.call(Credential::Local(house.this_machine), call, None).await.unwrap();
        if answered {
            next = to.min(all.len());
        }
    }
    let device = house.find("ap");
    let readings = house.app.store.read(|tx| checks::readings(tx, check)).unwrap();
    let readings = readings.iter().map(|r| (r.at.0, r.seq)).collect();
    let outages = house.outages().iter().map(|outage| (outage.started_at, outage.ended_at)).collect();
    (device.state, device.since, outages, readings)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn however_a_log_is_cut_up_and_repeated_it_counts_once(
        outcomes in prop::collection::vec(prop::sample::select(vec![Outcome::Ok, Outcome::Fail]), 1..20),
        how in sent(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (cut_up, whole) = runtime.block_on(async {
            (delivered(&outcomes, &how).await, delivered(&outcomes, &[]).await)
        });
        prop_assert_eq!(&cut_up, &whole);
        prop_assert_eq!(cut_up.3.len(), outcomes.len(), "every record is there once");
    }
}

#[tokio::test]
async fn history_fills_the_readings_and_moves_no_state() {
    let mut house = House::new().await;
    let check = house.pinged("ap", &[]).await;
    house.probed(&[(check, Outcome::Ok)]).await;
    house.clock.advance(Millis::from_secs(600));
    let old = house.now() - Millis::from_secs(300);
    let records: Vec<Record> = (0..5)
        .map(|n| Record {
            seq: house.local_seq + 1 + n,
            at: old + Millis(i64::try_from(n).unwrap() * 1000),
            mono: Millis(old.0 + i64::try_from(n).unwrap() * 1000),
            boot: None,
            what: What::Result(result(check, Outcome::Fail)),
        })
        .collect();
    let call = CheckIn { records, ..house.empty_call("local") };
    house.call(Credential::Local(house.this_machine), call, None).await.unwrap();
    assert_eq!(house.state("ap"), State::Up);
    assert_eq!(house.app.store.read(|tx| checks::count_readings(tx, check)).unwrap(), 6);
}

#[tokio::test]
async fn the_newest_result_counts_at_once_however_long_the_backlog() {
    let mut house = House::new().await;
    let check = house.pinged("ap", &[]).await;
    house.probed(&[(check, Outcome::Ok)]).await;
    house.turn(5).await;
    let newest =
        CheckResult { in_a_row: 3, since: Some(house.now() - Millis(2000)), ..result(check, Outcome::Fail) };
    let call =
        CheckIn { current: vec![house.record(900, What::Result(newest))], ..house.empty_call("local") };
    house.call(Credential::Local(house.this_machine), call, None).await.unwrap();
    assert_eq!(house.state("ap"), State::Down);
    assert_eq!(house.find("ap").since, house.now() - Millis(2000));
    assert_eq!(
        house.app.store.read(|tx| checks::count_readings(tx, check)).unwrap(),
        1,
        "a copy is no record"
    );
}

#[tokio::test]
async fn what_is_wrong_in_a_call_is_refused_whole_and_named() {
    let house = House::new().await;
    let caller = house.joined("gw").await;
    let foreign = house.pinged("ap", &[]).await;
    let status = |seq| house.record(seq, What::Status(Status::default()));
    let base = || house.empty_call("a");
    let result_of_another = house.record(1, What::Result(result(foreign, Outcome::Fail)));
    let table = [
        (CheckIn { log: String::new(), ..base() }, None, "'log'"),
        (CheckIn { log: "x".repeat(65), ..base() }, None, "'log'"),
        (CheckIn { records: vec![status(0)], ..base() }, Some(0), "must rise"),
        (CheckIn { records: vec![status(2), status(2)], ..base() }, Some(2), "must rise"),
        (CheckIn { records: vec![status(3), status(2)], ..base() }, Some(2), "must rise"),
        (CheckIn { records: vec![status(u64::MAX)], ..base() }, Some(u64::MAX), "must rise"),
        (CheckIn { records: (1..=501).map(status).collect(), ..base() }, None, "500 are the most"),
        (CheckIn { records: vec![result_of_another], ..base() }, Some(1), "not run by the agent of 'gw'"),
    ];
    for (call, seq, why) in table {
        match house.call(Credential::Secret(caller.secret), call, None).await {
            Err(Refused::Bad(said, at)) => {
                assert!(said.contains(why), "{said}");
                assert_eq!(at, seq, "{said}");
            }
            other => panic!("{why}: {other:?}"),
        }
    }
    let nobody = house.call(Credential::Secret([9; 32]), base(), None).await;
    assert!(matches!(nobody, Err(Refused::Unknown)));
    assert_eq!(house.state("gw"), State::Unknown, "nothing was taken in");
}

#[tokio::test]
async fn a_clock_in_1970_does_no_harm() {
    let house = House::new().await;
    let caller = house.joined("gw").await;
    let record = Record {
        seq: 1,
        at: Time(5_000),
        mono: Millis(4_000),
        boot: None,
        what: What::Status(Status::default()),
    };
    let call = CheckIn {
        sent_at: Time(6_000),
        sent_mono: Millis(5_000),
        records: vec![record],
        ..house.empty_call("a")
    };
    house.call(Credential::Secret(caller.secret), call, None).await.unwrap();
    assert_eq!(house.state("gw"), State::Up);
    assert_eq!(house.happened("device.clock"), 1);
    let check = house.app.store.read(|tx| checks::of_device(tx, caller.device)).unwrap().remove(0).id;
    let readings = house.app.store.read(|tx| checks::readings(tx, check)).unwrap();
    assert_eq!(readings[0].at, house.now() - Millis(1000), "dated by the server's clock");
}
