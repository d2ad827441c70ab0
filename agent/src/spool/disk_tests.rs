//! A disk that takes nothing, and rows that cannot be read any more.

use std::path::Path;

use super::tests::{identity, line, outage, result, seqs, stamp};
use super::*;

/// A database in a directory, with `results` written.
fn filled(path: &Path, results: usize) -> Spool {
    let mut spool = Spool::open(path).unwrap();
    spool.set_identity(&identity()).unwrap();
    spool.start("boot-a", Time(0), stamp(0)).unwrap();
    spool.append(&vec![result(1); results], stamp(1)).unwrap();
    spool.flush(stamp(1)).unwrap();
    spool
}

/// From here on nothing can be written, or again.
fn refuse(spool: &Spool, refuse: bool) {
    spool.db.pragma_update(None, "query_only", refuse).unwrap();
}

#[test]
fn what_was_acknowledged_while_nothing_could_be_written_is_not_sent_again_and_goes_later() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = filled(&dir.path().join("agent.db"), 9);
    refuse(&spool, true);
    spool.append(&[result(2)], stamp(2)).unwrap();
    assert_eq!(seqs(&spool.batch(4, usize::MAX).unwrap()), [1, 2, 3, 4]);
    assert!(spool.ack(4).unwrap_err().is_of_the_disk());
    assert_eq!(spool.waiting(), 7);
    assert!(spool.ack(4).is_err(), "tried again");
    assert_eq!(spool.waiting(), 7, "but counted once");
    assert_eq!(seqs(&spool.batch(4, usize::MAX).unwrap()), [5, 6, 7, 8]);
    assert!(spool.ack(11).is_err());
    assert_eq!((spool.waiting(), seqs(&spool.batch(9, usize::MAX).unwrap())), (0, vec![]));
    assert!(spool.is_dirty());
    refuse(&spool, false);
    spool.flush(stamp(3)).unwrap();
    let rows: u64 = spool.db.query_row("SELECT count(*) FROM records", [], |row| row.get(0)).unwrap();
    assert_eq!((rows, spool.waiting(), spool.bytes(), spool.is_dirty()), (0, 0, 0, false));
}

#[test]
fn a_configuration_and_a_record_that_was_refused_are_known_though_nothing_can_be_written() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("agent.db");
    let mut spool = filled(&path, 2);
    refuse(&spool, true);
    let config = Config { etag: "new".into(), ..Config::default() };
    assert!(spool.set_config(&config).is_err());
    assert_eq!(spool.config().unwrap(), Some(config.clone()));
    assert!(spool.reject(2, "no such check").is_err());
    assert!(spool.skips(2));
    assert!(!spool.reject(99, "no such check").unwrap(), "there is no such record");
    assert_eq!((seqs(&spool.batch(9, usize::MAX).unwrap()), spool.waiting()), (vec![1, 3], 2));
    refuse(&spool, false);
    spool.flush(stamp(3)).unwrap();
    spool.ack(3).unwrap();
    assert_eq!((spool.waiting(), spool.bytes()), (0, 0));
    drop(spool);
    assert_eq!(Spool::open(&path).unwrap().config().unwrap(), Some(config));
}

#[test]
fn an_agent_starts_on_a_disk_that_takes_nothing_and_goes_back_to_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("agent.db");
    let mut spool = filled(&path, 5);
    let config = Config { etag: "kept".into(), keep_bytes: 1 << 30, ..Config::default() };
    spool.set_config(&config).unwrap();
    spool.append(&[outage()], stamp(2)).unwrap();
    spool.set_outage(Some("since then".into()));
    spool.freeze(&[line(1)]).unwrap();
    spool.note(line(2));
    spool.flush(stamp(2)).unwrap();
    let log = spool.log().to_owned();
    drop(spool);

    let spool = Spool::open(&path).unwrap();
    refuse(&spool, true);
    let (mut spool, before) = spool.begin("boot-b", Time(1), stamp(9)).unwrap();
    assert_eq!(before, Before { clean: Some(false), boots: 1, last: Some(line(2)) });
    assert!(spool.is_stand_in());
    assert_eq!(spool.identity(), Some(&identity()));
    assert_eq!(spool.config().unwrap().as_ref(), Some(&config));
    assert_eq!(
        (spool.outage().unwrap().as_deref(), spool.frozen().unwrap()),
        (Some("since then"), vec![line(1)])
    );
    assert_ne!(spool.log(), log, "numbers that begin anew are of another log");
    spool.append(&vec![result(1); 20_000], stamp(10)).unwrap();
    assert!(spool.bytes() <= stand_in::MOST_BYTES, "memory is small: {}", spool.bytes());

    spool.set_outage(None);
    let config = Config { etag: "newer".into(), ..config };
    spool.set_config(&config).unwrap();
    let mut spool = spool.back_on_disk("boot-b", Time(1), stamp(20)).unwrap();
    assert!(!spool.is_stand_in());
    assert_eq!((spool.log(), spool.config().unwrap(), spool.outage().unwrap()), (&*log, Some(config), None));
    let records = spool.batch(500, usize::MAX).unwrap();
    assert_eq!(records.len(), 8, "what waited there: the first start, five results, an outage, this start");
}

#[test]
fn a_database_that_cannot_be_opened_for_writing_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("agent.db");
    let mut spool = filled(&path, 1);
    spool.stop(stamp(2)).unwrap();
    drop(spool);
    let db = Connection::open_with_flags(open::as_it_was(&path), rusqlite::OpenFlags::default()).unwrap();
    let spool = stand_in::stand_in(&db, &path).unwrap();
    assert_eq!((spool.identity(), spool.waiting()), (Some(&identity()), 0));
}

#[test]
fn a_record_that_cannot_be_read_takes_no_other_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = filled(&dir.path().join("agent.db"), 1_200);
    for bad in ["'no record'", "CAST(x'ff' AS TEXT)"] {
        spool.db.execute(&format!("UPDATE records SET body = {bad} WHERE seq % 2 = 0"), []).unwrap();
        spool.append(&[result(7)], stamp(5)).unwrap();
        let mut last = 0;
        let mut sent = 0;
        while spool.waiting() > 0 {
            let batch = seqs(&spool.batch(500, usize::MAX).unwrap());
            assert!(batch.first().is_none_or(|first| *first > last) && batch.is_sorted(), "{batch:?}");
            sent += batch.len();
            last = batch.last().copied().unwrap_or(last);
            spool.ack(last).unwrap();
        }
        assert_eq!(sent, 602, "all that can be read, and the newest, which waited in memory");
        assert_eq!(spool.rejected().unwrap(), 600);
        // Once more, with the other kind.
        spool.db.execute("DELETE FROM rejected", []).unwrap();
        spool.append(&vec![result(1); 1_201], stamp(6)).unwrap();
        spool.flush(stamp(6)).unwrap();
    }
}

#[test]
fn what_is_known_by_name_and_is_no_text_any_more_is_not_known() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("agent.db");
    let mut spool = filled(&path, 3);
    spool.set_config(&Config { etag: "kept".into(), ..Config::default() }).unwrap();
    spool
        .db
        .execute("UPDATE meta SET value = CAST(x'ff' AS TEXT) WHERE key IN ('config', 'status')", [])
        .unwrap();
    spool.db.execute("UPDATE boots SET id = CAST(x'ff' AS TEXT)", []).unwrap();
    drop(spool);
    let mut spool = Spool::open(&path).unwrap();
    assert_eq!((spool.config().unwrap(), spool.status().unwrap()), (None, None));
    spool.start("boot-b", Time(1), stamp(9)).unwrap();
    assert_eq!(spool.batch(9, usize::MAX).unwrap().len(), 5);
}
