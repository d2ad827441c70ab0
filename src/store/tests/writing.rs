//! Writing: together where they wait together, each for itself where one fails.

use std::sync::mpsc;
use std::time::Duration;

use super::opening::SmallDisk;
use super::*;

/// Long enough for any of these stories, so that none hangs.
const SOON: Duration = Duration::from_secs(60);

/// Holds the writer at its work until the sender is dropped.
fn hold(store: &Store) -> mpsc::Sender<()> {
    let (release, held) = mpsc::channel::<()>();
    let (begun, at_work) = mpsc::channel();
    drop(store.submit(move |_| {
        begun.send(()).unwrap();
        let _ = held.recv_timeout(SOON);
        Ok::<(), Error>(())
    }));
    at_work.recv_timeout(SOON).unwrap();
    release
}

fn later(store: &Store, text: &str) -> impl Future<Output = Result<i64>> + use<> {
    let text = text.to_owned();
    store.submit(move |tx| tx.id("INSERT INTO note (text) VALUES ($1) RETURNING id", args![text]))
}

fn all<T>(answers: impl IntoIterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let wait = async {
        let mut got = Vec::new();
        for answer in answers {
            got.push(answer.await);
        }
        got
    };
    runtime.block_on(async { tokio::time::timeout(SOON, wait).await }).unwrap()
}

#[test]
fn a_thousand_that_wait_share_a_commit() {
    let home = Home::new();
    let store = home.open();
    let release = hold(&store);
    let answers: Vec<_> = (0..1_000).map(|n| later(&store, &n.to_string())).collect();
    assert_eq!(store.pending(), 1_001);
    assert!(store.lag() > Duration::ZERO);
    drop(release);
    assert!(all(answers).iter().all(Result::is_ok));
    assert_eq!(count(&store), 1_000);
    assert!(store.commits() <= 2, "{} commits", store.commits());
    assert_eq!((store.pending(), store.lag()), (0, Duration::ZERO));
}

#[test]
fn a_lone_change_is_committed_at_once_and_seen_by_others() {
    let home = Home::new();
    let (one, other) = (home.open(), home.open());
    for number in 1..=20 {
        add(&one, &format!("note {number}")).unwrap();
        assert_eq!(count(&other), number);
    }
    assert_eq!(one.commits(), 20);
}

#[test]
fn one_that_fails_or_panics_leaves_its_neighbours_alone() {
    let home = Home::new();
    let store = home.open();
    let fail = || {
        store.submit(|tx| {
            tx.run("INSERT INTO note (text) VALUES ('half done')", args![])?;
            Err::<i64, Error>(Error::Refused("thought better of it".to_owned()))
        })
    };
    let panic = || {
        store.submit(|tx| -> Result<i64> {
            tx.run("INSERT INTO note (text) VALUES ('half done')", args![])?;
            panic!("tripped over a cable")
        })
    };
    let release = hold(&store);
    let wrong = [fail(), fail()];
    let first = later(&store, "first");
    let wrong_again = [fail(), fail()];
    let panics = [panic(), panic()];
    let twice = later(&store, "first");
    let last = later(&store, "last");
    drop(release);

    assert_eq!(all([first]).iter().filter(|a| a.is_ok()).count(), 1);
    for answer in all(wrong).into_iter().chain(all(wrong_again)) {
        assert_eq!(answer, Err(Error::Refused("thought better of it".to_owned())));
    }
    for answer in all(panics) {
        assert_eq!(answer, Err(Error::Panicked("tripped over a cable".to_owned())));
    }
    assert!(all([twice])[0].as_ref().unwrap_err().is_unique());
    assert!(all([last])[0].is_ok());
    assert_eq!(texts(&store), ["first", "last"]);
}

#[test]
fn the_first_of_a_group_that_fails_is_undone_alone() {
    let home = Home::new();
    let store = home.open();
    let alone = store.write(|tx| {
        tx.run("INSERT INTO note (text) VALUES ('half done')", args![])?;
        Err::<(), Error>(Error::Closed)
    });
    assert_eq!(alone, Err(Error::Closed));
    assert_eq!(store.commits(), 0);
    add(&store, "after it").unwrap();
    assert_eq!(texts(&store), ["after it"]);
}

#[test]
fn callers_get_errors_of_their_own_kind() {
    #[derive(Debug, PartialEq)]
    enum Trouble {
        TooLong,
        Store(Error),
    }
    impl From<Error> for Trouble {
        fn from(error: Error) -> Trouble {
            Trouble::Store(error)
        }
    }
    let home = Home::new();
    let store = home.open();
    let too_long = store.write(|tx| {
        tx.run("INSERT INTO note (text) VALUES ('too long')", args![])?;
        Err::<(), Trouble>(Trouble::TooLong)
    });
    assert_eq!(too_long, Err(Trouble::TooLong));
    store.close();
    assert_eq!(store.write(|_| Ok(())), Err(Trouble::Store(Error::Closed)));
}

#[test]
fn what_does_not_fit_the_queue_is_told_at_once() {
    let home = Home::new();
    let store = home.open();
    let release = hold(&store);
    let answers: Vec<_> = (0..65_536).map(|_| store.submit(|_| Ok::<(), Error>(()))).collect();
    assert!(matches!(all([store.submit(|_| Ok::<(), Error>(()))])[0], Err(Error::Busy(_))));
    std::thread::scope(|scope| {
        let blocking = scope.spawn(|| add(&store, "waits for room"));
        drop(release);
        blocking.join().unwrap().unwrap();
    });
    assert!(all(answers).iter().all(Result::is_ok));
    assert_eq!(texts(&store), ["waits for room"]);
}

#[test]
fn a_dropped_future_does_not_stop_its_change() {
    let home = Home::new();
    let store = home.open();
    drop(later(&store, "on its way"));
    store.close();
    assert_eq!(texts(&home.open()), ["on its way"]);
}

#[test]
fn closing_finishes_what_waits_and_takes_no_more() {
    let home = Home::new();
    let store = home.open();
    count(&store);
    let answers: Vec<_> = (0..500).map(|n| later(&store, &n.to_string())).collect();
    store.close();
    store.close();
    assert!(all(answers).iter().all(Result::is_ok));
    assert_eq!(add(&store, "late"), Err(Error::Closed));
    assert_eq!(all([later(&store, "late")]), [Err(Error::Closed)]);
    assert_eq!(store.maintain(), Err(Error::Closed));
    assert_eq!(store.read(|_| Ok::<(), Error>(())), Err(Error::Closed));
    assert!(!home.path().with_extension("db-wal").exists(), "the log was moved into the file");
    assert_eq!(count(&home.open()), 500);
}

#[test]
fn the_last_clone_may_be_dropped_by_a_change() {
    let home = Home::new();
    let store = home.open();
    let (done, end) = mpsc::channel();
    let release = hold(&store);
    let own = store.clone();
    drop(store.submit(move |tx| {
        tx.run("INSERT INTO note (text) VALUES ('the last')", args![])?;
        drop(own);
        done.send(()).unwrap();
        Ok::<(), Error>(())
    }));
    std::thread::scope(|scope| {
        scope.spawn(move || drop(store));
        drop(release);
    });
    end.recv_timeout(SOON).unwrap();
    let again = home.open();
    let from_now = std::time::Instant::now();
    while count(&again) == 0 {
        assert!(from_now.elapsed() < SOON);
        std::thread::yield_now();
    }
}

#[test]
fn two_stores_write_in_turn_and_at_once() {
    let home = Home::new();
    let stores = [home.open(), home.open()];
    for number in 0..20 {
        add(&stores[number % 2], &format!("in turn {number}")).unwrap();
    }
    std::thread::scope(|scope| {
        for (name, store) in ["a", "b"].into_iter().zip(&stores) {
            scope.spawn(move || {
                for number in 0..50 {
                    add(store, &format!("{name} {number}")).unwrap();
                }
            });
        }
    });
    assert_eq!(count(&stores[0]), 120);
}

/// Gives the database no more pages than `pages`.
fn room_for(store: &Store, pages: i64) {
    store.write(move |tx| tx.one(&format!("PRAGMA max_page_count = {pages}"), args![], |_| Ok(()))).unwrap();
}

#[test]
fn when_the_disk_is_full_nothing_is_half_written_and_it_goes_on_when_there_is_room() {
    let home = Home::new();
    let store = home.open();
    add(&store, "before").unwrap();
    room_for(&store, 40);
    let release = hold(&store);
    let neighbour = later(&store, "in the same commit");
    let large = later(&store, &"x".repeat(400_000));
    let after = later(&store, "after it");
    drop(release);
    assert!(matches!(all([large])[0], Err(Error::Full { .. })));
    // The engine may undo the whole transaction; whoever was in it is told so.
    let (neighbour, after) = (all([neighbour])[0].is_ok(), all([after])[0].is_ok());
    let kept = [(true, "before"), (neighbour, "in the same commit"), (after, "after it")];
    let mut kept: Vec<_> = kept.into_iter().filter_map(|(is_kept, text)| is_kept.then_some(text)).collect();
    kept.sort_unstable();
    assert_eq!(texts(&store), kept);
    assert!(after, "what came after the full disk was small enough");
    room_for(&store, 4_000);
    add(&store, &"x".repeat(400_000)).unwrap();
}

#[test]
fn a_full_disk_that_gets_room_again_serves_on() {
    let Some(disk) = SmallDisk::new("1m") else { return };
    let path = disk.path().join("lineman.db");
    let store = Store::open_with(&path, Clock::system(), Mode::Create, NOTES).unwrap();
    let ballast = disk.path().join("ballast");
    std::fs::write(&ballast, vec![0; 400_000]).unwrap();
    let mut kept = 0;
    let error = loop {
        match add(&store, &format!("{kept} {}", "x".repeat(20_000))) {
            Ok(_) => kept += 1,
            Err(error) => break error,
        }
        assert!(kept < 100, "the disk does not get full");
    };
    assert!(matches!(&error, Error::Full { file } if *file == path.display().to_string()), "{error}");
    assert!(add(&store, &"y".repeat(20_000)).is_err(), "it is full still");
    assert_eq!(count(&store), kept);
    std::fs::remove_file(ballast).unwrap();
    add(&store, &"y".repeat(20_000)).unwrap();
    assert_eq!(count(&store), kept + 1);
    drop(store);
    let again = Store::open_with(&path, Clock::system(), Mode::Existing, NOTES).unwrap();
    assert_eq!(count(&again), kept + 1);
}

#[test]
fn maintenance_empties_the_log_between_two_commits() {
    let home = Home::new();
    let store = home.open();
    let release = hold(&store);
    let before = later(&store, "before");
    std::thread::scope(|scope| {
        let maintained = scope.spawn(|| store.maintain());
        let waits = std::time::Instant::now();
        while store.pending() < 3 {
            assert!(waits.elapsed() < SOON);
            std::thread::yield_now();
        }
        drop(release);
        maintained.join().unwrap().unwrap();
    });
    assert!(all([before])[0].is_ok());
    assert_eq!(std::fs::metadata(home.path().with_extension("db-wal")).unwrap().len(), 0);
    add(&store, "after").unwrap();
    assert_eq!(texts(&store), ["after", "before"]);
}

#[test]
fn a_change_sees_the_time_at_which_its_group_began() {
    let home = Home::new();
    let clock = Clock::manual(Time(42));
    let store = Store::open_with(&home.path(), clock.clone(), Mode::Create, NOTES).unwrap();
    let release = hold(&store);
    // The group has begun: whoever joins it now is written at its time, also while the clock goes on.
    clock.set(Time(43));
    let turned = clock.clone();
    let first = store.submit(move |tx| {
        turned.set(Time(44));
        Ok::<_, Error>(tx.now)
    });
    let second = store.submit(|tx| Ok::<_, Error>(tx.now));
    drop(release);
    assert_eq!((all([first]), all([second])), (vec![Ok(Time(42))], vec![Ok(Time(42))]));
    assert_eq!(store.commits(), 1, "they were one group");
    assert_eq!(store.write(|tx| Ok::<_, Error>(tx.now)), Ok(Time(44)));
    assert_eq!(store.read(|tx| Ok::<_, Error>(tx.now)), Ok(Time(44)));
}
