//! Readings that are moved into packs and roll-ups, and what devices were.

use agent::report::Outcome;
use proptest::prelude::*;
use schedules::{Clock, Millis, Time};

use crate::domain::check::Kind;
use crate::domain::device::State;
use crate::domain::event::{About, Kind as Happened};
use crate::domain::history::{Gather, Proven, Source};
use crate::domain::ids::{CheckId, DeviceId};
use crate::domain::rollup::{Kept, Level, Rollups, Sample};
use crate::store::checks::{Measured, Reading};
use crate::store::events::Actor;
use crate::store::history::Progress;
use crate::store::migrate::MIGRATIONS;
use crate::store::{Mode, Result, Store, WriteTx, args, checks, devices, events, history, states};

const START: i64 = 1_795_000_000_000;
const HOUR: i64 = 3_600_000;

struct Home {
    store: Store,
    clock: Clock,
    check: CheckId,
    device: DeviceId,
    folder: tempfile::TempDir,
}

fn home() -> Home {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::manual(Time(START));
    let store = Store::open(&folder.path().join("lineman.db"), clock.clone(), Mode::Create).unwrap();
    let (device, check) = store.write(|tx| device(tx, "ap")).unwrap();
    Home { store, clock, check, device, folder }
}

fn device(tx: &WriteTx, name: &str) -> Result<(DeviceId, CheckId)> {
    let device = devices::add(tx, &devices::New::named(name), &Actor::System)?.id;
    let check = checks::add(tx, &checks::New::plain(device, Kind::Icmp), &Actor::System)?.id;
    Ok((device, check))
}

impl Home {
    fn keep(&self, readings: &[Reading]) {
        let (check, readings) = (self.check, readings.to_vec());
        let kept = self.store.write(move |tx| {
            readings.iter().try_for_each(|reading| checks::keep_reading(tx, check, reading))
        });
        kept.unwrap();
    }

    fn roll_up(&self, most: u32) -> Progress {
        self.store.write(move |tx| history::roll_up(tx, most)).unwrap()
    }

    /// Rolls up all that is due, in pieces of about `most`.
    fn roll_up_all(&self, most: u32) {
        while self.roll_up(most).due(self.clock.now()) <= self.clock.now() {}
    }

    fn samples(&self) -> Vec<Sample> {
        let check = self.check;
        self.store.read(|tx| history::samples(tx, check, (Time::MIN, Time::MAX))).unwrap()
    }

    fn rollups(&self, level: Level) -> Rollups {
        let check = self.check;
        self.store.read(|tx| history::rollups(tx, level, check, (Time::MIN, Time::MAX))).unwrap()
    }

    fn not_moved(&self) -> i64 {
        let check = self.check;
        self.store.read(|tx| checks::count_readings(tx, check)).unwrap()
    }
}

fn reading(ms: i64, seq: u64, outcome: Outcome, rtt_us: Option<u32>) -> Reading {
    Reading { at: Time(START + ms), seq, outcome, measured: Measured { rtt_us, ..Measured::default() } }
}

fn readings() -> impl Strategy<Value = Vec<Reading>> {
    let outcome = prop::sample::select(vec![Outcome::Ok, Outcome::Warn, Outcome::Fail, Outcome::Unknown]);
    let at = prop_oneof![0..2 * HOUR, -60 * HOUR..12 * HOUR, Just(HOUR)];
    let one = (at, outcome, prop::option::of(0..5_000_u32));
    prop::collection::vec(one, 0..40).prop_map(|all| {
        let numbered = (1..).zip(all);
        numbered.map(|(seq, (at, outcome, rtt))| reading(at, seq, outcome, rtt)).collect()
    })
}

#[derive(Clone, Debug)]
enum Step {
    Arrive(usize),
    Turn(i64),
    RollUp(u32),
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let one = prop_oneof![
        4 => (1..12_usize).prop_map(Step::Arrive),
        2 => (0..5 * HOUR).prop_map(Step::Turn),
        3 => (1..25_u32).prop_map(Step::RollUp),
        1 => Just(Step::Restart),
    ];
    prop::collection::vec(one, 0..20)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn whenever_readings_come_and_the_work_is_cut_off_each_counts_once(all in readings(), steps in steps()) {
        let mut home = home();
        let mut next = 0;
        for step in steps.iter().chain(&[Step::Arrive(usize::MAX)]) {
            match *step {
                Step::Arrive(many) => {
                    let end = next + many.min(all.len() - next);
                    home.keep(&all[next..end]);
                    next = end;
                }
                Step::Turn(ms) => home.clock.advance(Millis(ms)),
                Step::RollUp(most) => drop(home.roll_up(most)),
                Step::Restart => {
                    home.store.close();
                    let path = home.folder.path().join("lineman.db");
                    home.store = Store::open(&path, home.clock.clone(), Mode::Existing).unwrap();
                }
            }
        }
        let mut wanted: Vec<Sample> = all.iter().map(Reading::sample).collect();
        wanted.sort_by_key(|sample| sample.at);
        let key = |s: &Sample| (s.at, format!("{s:?}"));
        let check = |home: &Home| -> std::result::Result<(), TestCaseError> {
            let (mut have, mut wanted) = (home.samples(), wanted.clone());
            have.sort_by_key(key);
            wanted.sort_by_key(key);
            prop_assert_eq!(have, wanted);
            let mut minutes = Rollups::default();
            all.iter().for_each(|reading| minutes.sample(Level::Minute, &reading.sample()));
            prop_assert_eq!(&home.rollups(Level::Minute), &minutes);
            let hours = minutes.coarser(Level::Hour);
            prop_assert_eq!(&home.rollups(Level::Hour), &hours);
            prop_assert_eq!(home.rollups(Level::Day), hours.coarser(Level::Day));
            Ok(())
        };
        check(&home)?;
        home.clock.advance(Millis(20 * HOUR));
        home.roll_up_all(7);
        check(&home)?;
        prop_assert_eq!(home.not_moved(), 0);
        home.clock.advance(Millis(2 * HOUR));
        home.roll_up_all(7);
        check(&home)?;
    }
}

#[test]
fn an_hour_is_moved_when_it_is_over_and_what_came_late_has_had_time() {
    let home = home();
    home.roll_up_all(100);
    let into = START.rem_euclid(HOUR);
    home.keep(&[reading(0, 1, Outcome::Ok, Some(7)), reading(HOUR - into, 2, Outcome::Ok, Some(9))]);
    home.clock.set(Time(START - into + HOUR + history::LATE.0 - 1));
    assert!(home.store.read(history::progress).unwrap().due(home.clock.now()) > home.clock.now());
    home.roll_up_all(100);
    assert_eq!(home.not_moved(), 2);
    home.clock.advance(Millis(1));
    home.roll_up_all(100);
    assert_eq!((home.not_moved(), home.samples().len()), (1, 2), "the next hour is not over");
}

#[test]
fn a_clock_that_was_wrong_stops_nothing() {
    let home = home();
    home.clock.advance(Millis(10_000 * HOUR));
    home.roll_up_all(100);
    home.clock.set(Time(START));
    home.keep(&[reading(-3 * HOUR, 1, Outcome::Ok, None)]);
    home.roll_up_all(100);
    assert_eq!(home.not_moved(), 0);
}

#[test]
fn each_level_is_forgotten_at_its_age_and_what_is_not_rolled_up_waits() {
    let home = home();
    let day = 24 * HOUR;
    let all: Vec<Reading> =
        (0..200).map(|n| reading(-n * day, u64::try_from(n).unwrap() + 1, Outcome::Ok, Some(5))).collect();
    home.keep(&all);
    let now = Time(START);
    let days = |n| now - Millis(n * day);
    let kept = Kept { samples: days(2), minutes: days(7), hours: days(90), days: days(150) };
    let check = home.check;
    let prune = move |home: &Home| home.store.write(move |tx| history::prune(tx, check, &kept)).unwrap();
    assert_eq!((prune(&home), home.samples().len()), (0, 200));
    home.roll_up_all(1_000);
    let before = home.rollups(Level::Hour);
    assert!(prune(&home) > 0);
    assert_eq!(home.samples().first().map(|sample| sample.at), Some(days(2)));
    assert_eq!(home.rollups(Level::Minute).len(), 8);
    let hours = home.rollups(Level::Hour);
    assert!((91..=92).contains(&hours.len()), "{}", hours.len());
    assert!(before.len() == 200 && (151..=183).contains(&home.rollups(Level::Day).len()));
}

#[test]
fn a_check_that_is_gone_leaves_nothing_behind() {
    let home = home();
    let id = home.check.0.to_string();
    home.keep(&[reading(-3 * HOUR, 1, Outcome::Ok, None), reading(0, 2, Outcome::Ok, None)]);
    home.roll_up_all(100);
    home.store.write(move |tx| checks::remove(tx, &checks::get(tx, &id)?, &Actor::System)).unwrap();
    assert_eq!(home.samples(), []);
    assert!(Level::ALL.iter().all(|level| home.rollups(*level).is_empty()));
}

#[test]
fn a_pack_that_is_damaged_is_told_and_not_read() {
    let home = home();
    let check = home.check.0;
    let put = home.store.write(move |tx| {
        tx.run("INSERT INTO reading_pack (check_id, at, pack) VALUES ($1, 0, $2)", args![check, [1_u8, 0xff]])
    });
    put.unwrap();
    let error = home.store.read(|tx| history::samples(tx, home.check, (Time(0), Time(1)))).unwrap_err();
    assert!(error.to_string().contains("damaged"), "{error}");
}

#[test]
fn absences_that_were_told_before_there_was_a_table_for_them_count() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lineman.db");
    let clock = Clock::manual(Time(START));
    let (older, newer) = (&MIGRATIONS[..4], &MIGRATIONS[..5]);
    let store = Store::open_with(&path, clock.clone(), Mode::Create, older).unwrap();
    let told = store.write(|tx| {
        let by = Actor::System;
        for (from, to) in [(10, 20), (30, 30), (40, 35), (100, 150)] {
            let body = serde_json::json!({"from": from, "to": to});
            events::record(tx, &by, Happened::MonitorAway, About::default(), &body)?;
        }
        events::record(tx, &by, Happened::ServerStarted, About::default(), &serde_json::json!({}))
    });
    told.unwrap();
    store.close();
    let store = Store::open_with(&path, clock, Mode::Existing, newer).unwrap();
    let all = store.read(|tx| states::unmeasured(tx, Time(0), Time(1000))).unwrap();
    assert_eq!(all, [(Time(10), Time(20)), (Time(100), Time(150))]);
}

#[test]
fn nobody_measured_while_lineman_was_away_or_blind() {
    let home = home();
    let all = home.store.write(|tx| -> Result<_> {
        for (from, to) in [(10, 20), (40, 40), (50, 45), (100, 120)] {
            states::was_away(tx, Time(from), Time(to))?;
        }
        for (since, ended) in [(15, Some(30)), (500, None)] {
            tx.run(
                "INSERT INTO blind (since, seen_at, ended_at, reason) VALUES ($1, $1, $2, 'test')",
                args![since, ended],
            )?;
        }
        Ok((states::unmeasured(tx, Time(0), Time(1000))?, states::unmeasured(tx, Time(20), Time(100))?))
    });
    let shown = |all: Vec<(Time, Time)>| all.iter().map(|(a, b)| (a.0, b.0)).collect::<Vec<_>>();
    let (whole, part) = all.unwrap();
    assert_eq!(shown(whole), [(10, 30), (100, 120), (500, 1000)]);
    assert_eq!(shown(part), [(15, 30)]);
}

#[test]
fn proofs_that_follow_one_another_are_one_row() {
    let home = home();
    let device = home.device;
    let proofs = home.store.write(move |tx| -> Result<_> {
        for (from, to, proven, source) in [
            (100, 200, Proven::Up, Source::Agent),
            (260, 300, Proven::Up, Source::Agent),
            (361, 400, Proven::Up, Source::Agent),
            (50, 90, Proven::Up, Source::Agent),
            (410, 420, Proven::Up, Source::Check),
            (100, 150, Proven::Down, Source::Check),
        ] {
            let interval = (Time(from), Time(to));
            states::proved(tx, &Gather { device, proven, source, interval, gap: Millis(60) })?;
        }
        let all = states::proofs(tx, device, (Time(0), Time(1000)))?;
        assert_eq!(states::all_proofs(tx, (Time(0), Time(1000)))?.get(&device), Some(&all));
        Ok(all)
    });
    let proofs = proofs.unwrap();
    let shown = |all: &[(Time, Time)]| all.iter().map(|(a, b)| (a.0, b.0)).collect::<Vec<_>>();
    assert_eq!(shown(&proofs.up), [(50, 300), (361, 400), (410, 420)]);
    assert_eq!(shown(&proofs.down), [(100, 150)]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn what_is_read_of_the_past_says_as_much_as_all_of_it(
        changes in prop::collection::vec((0..3_usize, 0..1000_i64, prop::sample::select(State::ALL.to_vec())), 0..30),
        from in 0..900_i64, long in 1..400_i64,
    ) {
        let home = home();
        let told = changes.clone();
        let all = home.store.write(move |tx| -> Result<_> {
            let ids = [device(tx, "a")?.0, device(tx, "b")?.0, device(tx, "c")?.0];
            for (which, since, state) in told {
                states::changed(tx, ids[which], Time(START + since), state, "test")?;
            }
            let (from, to) = (Time(START + from), Time(START + from + long));
            let mut streamed = Vec::new();
            states::all_between(tx, None, (from, to), |subject, changes| {
                streamed.push((subject.id, changes));
                Ok(())
            })?;
            let each = ids.map(|id| (id, states::between(tx, id, from, to)));
            Ok((streamed, each, (from, to)))
        });
        let (streamed, each, (from, to)) = all.unwrap();
        prop_assert_eq!(streamed.len(), 4, "every device is told, also one that never changed");
        for (which, (id, some)) in each.into_iter().enumerate() {
            let whole: Vec<_> = changes
                .iter()
                .filter(|(device, _, _)| *device == which)
                .map(|(_, since, state)| crate::domain::history::Change {
                    since: Time(START + since), state: *state, reason: "test".to_owned(),
                })
                .collect();
            let line = |changes: &[_]| crate::domain::history::timeline(changes, Time(0), from, to);
            let states = |spans: Vec<crate::domain::history::Span>| {
                let all = spans.into_iter().map(|span| (span.from, span.state));
                all.collect::<Vec<_>>()
            };
            prop_assert_eq!(line(&some.unwrap()), line(&whole));
            let (_, of_all) = streamed.iter().find(|(device, _)| *device == id).unwrap();
            let joined = |mut all: Vec<(Time, State)>| {
                all.dedup_by_key(|(_, state)| *state);
                all
            };
            prop_assert_eq!(joined(states(line(of_all))), joined(states(line(&whole))));
        }
    }
}
