//! What the spool keeps, forgets, and survives.

use schedules::{Millis, Time};

use super::write::kind;
use super::*;
use crate::report::{AgentOutage, CheckResult, Outcome, Record, Status};

pub(super) fn stamp(ms: i64) -> Stamp {
    Stamp { at: Time(1_700_000_000_000 + ms), mono: Millis(ms) }
}

pub(super) fn result(check: i64) -> What {
    What::Result(CheckResult {
        check,
        outcome: Outcome::Ok,
        in_a_row: 1,
        since: None,
        rtt_us: Some(250),
        loss_permille: None,
        message: "x".repeat(100),
    })
}

pub(super) fn outage() -> What {
    What::Outage(AgentOutage {
        began_at: Time(1),
        ended_at: None,
        tries: 3,
        reason: "timed out".into(),
        ..AgentOutage::default()
    })
}

pub(super) fn identity() -> Identity {
    Identity {
        server: "https://192.0.2.1".into(),
        device: 7,
        name: "edge".into(),
        secret: "s3cret".into(),
        pin: Some([9; 32]),
    }
}

pub(super) fn seqs(records: &[Record]) -> Vec<u64> {
    records.iter().map(|record| record.seq).collect()
}

#[test]
fn records_come_back_in_order_and_go_when_acknowledged() {
    let mut spool = Spool::in_memory().unwrap();
    spool.start("boot-a", Time(0), stamp(0)).unwrap();
    spool.append(&[result(1), result(2), result(3)], stamp(10)).unwrap();
    let batch = spool.batch(3, 1_000_000).unwrap();
    assert_eq!(seqs(&batch), [1, 2, 3]);
    assert!(matches!(batch[0].what, What::Boot(_)));
    assert_eq!(batch[1].boot, None);
    spool.ack(3).unwrap();
    assert_eq!(seqs(&spool.batch(10, 1_000_000).unwrap()), [4]);
    spool.ack(4).unwrap();
    assert_eq!((spool.waiting(), spool.bytes()), (0, 0));
    spool.append(&[result(1)], stamp(20)).unwrap();
    assert_eq!(seqs(&spool.batch(10, 1_000_000).unwrap()), [5], "a number is never given twice");
}

#[test]
fn a_batch_ends_at_its_size_but_holds_one_record_at_least() {
    let mut spool = Spool::in_memory().unwrap();
    spool.start("boot-a", Time(0), stamp(0)).unwrap();
    spool.append(&vec![result(1); 9], stamp(10)).unwrap();
    assert_eq!(spool.batch(500, 1).unwrap().len(), 1);
    assert!((2..9).contains(&spool.batch(500, 700).unwrap().len()));
}

#[test]
fn current_is_the_newest_of_each_beyond_the_batch() {
    let mut spool = Spool::in_memory().unwrap();
    spool.start("boot-a", Time(0), stamp(0)).unwrap();
    let status = || What::Status(Status::default());
    spool.append(&[status(), result(1), result(2), result(1), status()], stamp(10)).unwrap();
    assert_eq!(seqs(&spool.current(0).unwrap()), [6, 5, 4], "status first, then by check");
    assert_eq!(seqs(&spool.current(4).unwrap()), [6, 5]);
    assert_eq!(seqs(&spool.current(6).unwrap()), [] as [u64; 0]);
    spool.ack(5).unwrap();
    assert_eq!(seqs(&spool.current(0).unwrap()), [6]);
}

#[test]
fn a_killed_agent_finds_all_it_had_written_and_reuses_no_number() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("agent.db");
    let mut spool = Spool::open(&path).unwrap();
    spool.set_identity(&identity()).unwrap();
    spool.start("boot-a", Time(0), stamp(0)).unwrap();
    spool.append(&[result(1), result(2)], stamp(10)).unwrap();
    spool.flush(stamp(11)).unwrap();
    spool.append(&[result(3)], stamp(12)).unwrap();
    let log = spool.log().to_owned();
    // What a kill leaves: the files as they are, the journal not folded in.
    let killed = dir.path().join("killed");
    std::fs::create_dir(&killed).unwrap();
    for end in ["", "-wal"] {
        std::fs::copy(dir.path().join(format!("agent.db{end}")), killed.join(format!("agent.db{end}")))
            .unwrap();
    }
    let mut again = Spool::open(&killed.join("agent.db")).unwrap();
    assert_eq!(again.log(), log);
    assert_eq!(again.identity(), Some(&identity()));
    again.start("boot-a", Time(0), stamp(20)).unwrap();
    let records = again.batch(10, 1_000_000).unwrap();
    assert_eq!(seqs(&records)[..3], [1, 2, 3]);
    assert!(records[3].seq > SEQ_BLOCK, "the server may have what was not written: {}", records[3].seq);
    assert!(matches!(&records[3].what, What::Boot(boot) if boot.clean == Some(false)));
    assert_eq!(seqs(&again.current(0).unwrap()), [2, 3]);
}

#[test]
fn an_orderly_stop_is_told_and_a_power_cut_reuses_no_number() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("agent.db");
    let mut spool = Spool::open(&path).unwrap();
    spool.start("boot-a", Time(0), stamp(0)).unwrap();
    spool.stop(stamp(5)).unwrap();
    drop(spool);
    let mut spool = Spool::open(&path).unwrap();
    spool.start("boot-b", Time(0), stamp(0)).unwrap();
    drop(spool);
    let mut spool = Spool::open(&path).unwrap();
    spool.start("boot-c", Time(0), stamp(0)).unwrap();
    let records = spool.batch(10, 1_000_000).unwrap();
    let told: Vec<_> = records
        .iter()
        .map(|record| match &record.what {
            What::Boot(boot) => (boot.clean, record.boot.clone()),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(
        told,
        [(None, Some("boot-a".into())), (Some(true), Some("boot-b".into())), (Some(false), None)]
    );
    assert_eq!(seqs(&records)[..2], [1, 2]);
    assert!(records[2].seq > SEQ_BLOCK, "behind all that may have been given: {}", records[2].seq);
}

#[test]
fn a_full_backlog_drops_the_oldest_and_says_so_but_keeps_outages() {
    let mut spool = Spool::in_memory().unwrap();
    spool.start("boot-a", Time(0), stamp(0)).unwrap();
    spool.append(&[outage()], stamp(1)).unwrap();
    spool.set_bounds(Millis::ZERO, 1);
    let total = 2_000_u64;
    for n in 0..total {
        spool.append(&[result(1)], stamp(10 + i64::try_from(n).unwrap())).unwrap();
        assert!(spool.bytes() <= MIN_KEEP_BYTES + 500, "{}", spool.bytes());
    }
    let records = spool.batch(usize::MAX, usize::MAX).unwrap();
    assert!(matches!(records[0].what, What::Boot(_)));
    assert!(matches!(records[1].what, What::Outage(_)));
    let mut dropped = 0;
    let mut kept = 0;
    for record in &records {
        match &record.what {
            What::Dropped(gone) => {
                dropped += gone.count;
                assert_eq!(gone.first_at, stamp(10).at, "one record tells of all: none was sent meanwhile");
            }
            What::Result(_) => kept += 1,
            _ => {}
        }
    }
    assert_eq!(dropped + kept, total);
    assert!(seqs(&records).is_sorted());
    // That record may be on its way now: what is dropped from here on is told by another.
    for n in 0..total {
        spool.append(&[result(1)], stamp(5_000 + i64::try_from(n).unwrap())).unwrap();
    }
    let again = spool.batch(usize::MAX, usize::MAX).unwrap();
    let counts: Vec<u64> = again
        .iter()
        .filter_map(|record| if let What::Dropped(gone) = &record.what { Some(gone.count) } else { None })
        .collect();
    let kept = again.iter().filter(|record| matches!(record.what, What::Result(_))).count() as u64;
    assert_eq!((counts[0], counts.len()), (dropped, 2));
    assert_eq!(counts.iter().sum::<u64>() + kept, 2 * total);
}

#[test]
fn age_is_told_by_the_time_since_boot_not_by_a_clock_that_was_set() {
    let mut spool = Spool::in_memory().unwrap();
    spool.start("boot-a", Time(0), Stamp { at: Time(0), mono: Millis(0) }).unwrap();
    spool.append(&[result(1)], Stamp { at: Time(1_000), mono: Millis(1_000) }).unwrap();
    // The clock is set from 1970 to today: nothing is old.
    spool.append(&[result(2)], stamp(2_000)).unwrap();
    assert_eq!(spool.waiting(), 3);
    spool.flush(stamp(2_000)).unwrap();
    assert_eq!(spool.waiting(), 3);
    // Seven days later, by the time since boot, both are.
    spool.append(&[result(3)], stamp(7 * 86_400_000 + 3_000)).unwrap();
    spool.flush(stamp(7 * 86_400_000 + 3_000)).unwrap();
    let kinds: Vec<&str> = spool.batch(10, 1_000_000).unwrap().iter().map(|r| kind(&r.what)).collect();
    assert_eq!(kinds, ["boot", "result", "dropped"]);
}

#[test]
fn a_rejected_record_is_set_aside_and_the_others_go_on() {
    let mut spool = Spool::in_memory().unwrap();
    spool.start("boot-a", Time(0), stamp(0)).unwrap();
    spool.append(&[result(1), result(2)], stamp(10)).unwrap();
    assert!(spool.reject(2, "no such check").unwrap());
    assert!(!spool.reject(2, "no such check").unwrap());
    assert!(!spool.reject(99, "no such check").unwrap());
    assert_eq!(seqs(&spool.batch(10, 1_000_000).unwrap()), [1, 3]);
    assert_eq!(seqs(&spool.current(0).unwrap()), [3]);
    assert_eq!(spool.rejected().unwrap(), 1);
}

#[test]
fn the_rejected_records_are_bounded() {
    let mut spool = Spool::in_memory().unwrap();
    spool.append(&vec![result(1); 1_100], stamp(0)).unwrap();
    for seq in 1..=1_100 {
        assert!(spool.reject(seq, "bad").unwrap());
    }
    assert_eq!(spool.rejected().unwrap(), 1_000);
}

#[test]
fn a_server_that_knows_a_later_state_of_the_log_gets_a_new_log() {
    let mut spool = Spool::in_memory().unwrap();
    spool.start("boot-a", Time(0), stamp(0)).unwrap();
    let log = spool.log().to_owned();
    spool.ack(40).unwrap();
    assert_ne!(spool.log(), log);
    assert_eq!(spool.waiting(), 1, "nothing is forgotten that the server may not have");
}

#[test]
fn a_damaged_database_is_set_aside_and_the_identity_kept_where_it_can_be_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("agent.db");
    let mut spool = Spool::open(&path).unwrap();
    spool.set_identity(&identity()).unwrap();
    spool.start("boot-a", Time(0), stamp(0)).unwrap();
    spool.append(&vec![result(1); 2_000], stamp(10)).unwrap();
    spool.flush(stamp(10)).unwrap();
    drop(spool);
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..].fill(0x5a);
    std::fs::write(&path, &bytes).unwrap();
    let spool = Spool::open(&path).unwrap();
    assert_eq!(spool.identity(), Some(&identity()));
    assert_eq!(spool.waiting(), 0);
    drop(spool);

    std::fs::write(&path, "this is no database, and it is long enough to be looked at".repeat(100)).unwrap();
    let error = Spool::open(&path).unwrap_err();
    assert!(matches!(error, SpoolError::IdentityLost { .. }), "{error}");
    assert!(Spool::open(&path).unwrap().identity().is_none(), "the next start begins anew");
    let aside = std::fs::read_dir(dir.path()).unwrap().flatten();
    let aside = aside.filter(|file| file.file_name().to_string_lossy().starts_with("agent.db.broken-"));
    assert!(aside.count() >= 2);
}

#[test]
fn a_database_of_a_newer_lineman_is_refused_and_left_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("agent.db");
    drop(Spool::open(&path).unwrap());
    let db = Connection::open(&path).unwrap();
    db.pragma_update(None, "user_version", 99).unwrap();
    drop(db);
    assert!(matches!(Spool::open(&path), Err(SpoolError::Newer { found: 99, .. })));
    assert!(path.exists());
}

#[test]
fn only_the_owner_can_read_the_database() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("new? 100%/agent.db");
    let mut spool = Spool::open(&path).unwrap();
    spool.set_identity(&identity()).unwrap();
    for file in std::fs::read_dir(path.parent().unwrap()).unwrap().flatten() {
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", file.path());
    }
    assert!(!format!("{:?}", spool.identity()).contains("s3cret"));
    let glance = || Glance::at(&path).unwrap();
    assert_eq!(glance().identity, None, "a journal that is not folded in is not seen");
    drop(spool);
    let mut spool = Spool::open(&path).unwrap();
    spool.start("boot-a", Time(0), stamp(0)).unwrap();
    let anchors = vec!["192.0.2.7".parse().unwrap()];
    let ladder = crate::report::Plan { anchors, ..crate::report::Plan::default() };
    spool.set_config(&Config { ladder: ladder.clone(), ..Config::default() }).unwrap();
    assert_eq!((glance().identity, glance().ladder), (Some(identity()), ladder), "also while it is open");
    spool.stop(stamp(1)).unwrap();
    drop(spool);
    assert_eq!(glance().waiting, 1);
}

/// What a device's line is like after `n` half minutes: as rich as they come.
pub(super) fn line(n: i64) -> Moment {
    Moment {
        at: Time(1_700_000_000_000 + n * 30_000 + n % 7),
        mono: Millis(n * 30_000 + n % 7),
        awake: Millis(n * 30_000 + n % 5),
        synced: Some(true),
        interface: "enp3s0".into(),
        carrier: Some(true),
        speed_mbit: Some(1_000),
        addresses: vec!["192.0.2.17/24".into(), "2001:db8:17::a5ff:fe3c:91/64".into()],
        lease: Some(Millis::from_secs(86_400 - n * 30 % 43_200)),
        gateway: Some("192.0.2.1".parse().unwrap()),
        gateway_mac: "02:1f:33:c4:55:66".into(),
        neighbour: ["reachable", "stale", "delay"][usize::try_from(n % 3).unwrap()].into(),
        gateway_rtt_us: Some(u32::try_from(400 + n * 7_919 % 900).unwrap()),
        gateway_loss_permille: Some(0),
        signal_dbm: Some(-56 - i32::try_from(n % 4).unwrap()),
        errors: 0,
        drops: (n % 3).cast_unsigned(),
        used_permille: Some(u32::try_from(n * 31 % 97).unwrap()),
        checked_in_at: Some(Time(1_700_000_000_000 + n * 30_000 - 29_000 - n % 11)),
    }
}

#[test]
fn a_line_takes_about_a_hundred_bytes_on_the_disk() {
    let mut spool = Spool::in_memory().unwrap();
    spool.start("boot-a", Time(0), stamp(0)).unwrap();
    for n in 0..1_000 {
        spool.note(line(n));
        if n % 20 == 19 {
            spool.flush(stamp(n * 30_000)).unwrap();
        }
    }
    let (rows, bytes): (u64, u64) = spool
        .db
        .query_row("SELECT count(*), sum(length(body)) FROM moments", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .unwrap();
    assert_eq!(rows, 50);
    assert!(bytes < 1_000 * 80, "{} bytes a line", bytes / 1_000);
    let back = spool.lines(25).unwrap();
    assert_eq!(back, (975..1_000).map(line).collect::<Vec<_>>(), "and comes back whole");
}

#[test]
fn lines_written_one_by_one_fill_the_same_rows() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("agent.db");
    let mut spool = Spool::open(&path).unwrap();
    spool.start("boot-a", Time(0), stamp(0)).unwrap();
    for n in 0..45 {
        spool.note(line(n));
        assert!(spool.is_dirty());
        spool.flush(stamp(n)).unwrap();
        assert!(!spool.is_dirty());
    }
    let rows: i64 = spool.db.query_row("SELECT count(*) FROM moments", [], |row| row.get(0)).unwrap();
    assert_eq!(rows, 3);
    drop(spool);
    let mut spool = Spool::open(&path).unwrap();
    let before = spool.start("boot-b", Time(0), stamp(30)).unwrap();
    assert_eq!(before, Before { clean: Some(false), boots: 1, last: Some(line(44)) });
    spool.note(line(45));
    spool.flush(stamp(31)).unwrap();
    assert_eq!(spool.lines(100).unwrap(), (0..46).map(line).collect::<Vec<_>>());
    drop(spool);
    let mut spool = Spool::open(&path).unwrap();
    let before = spool.start("boot-d", Time(0), stamp(40)).unwrap();
    assert_eq!((before.boots, before.last), (1, Some(line(45))));
    drop(spool);
    let mut spool = Spool::open(&path).unwrap();
    let before = spool.start("boot-e", Time(0), stamp(50)).unwrap();
    assert_eq!(before.boots, 2, "a boot that wrote no line counts");
    drop(spool);
    let mut spool = Spool::open(&path).unwrap();
    assert_eq!(spool.start("boot-e", Time(0), stamp(60)).unwrap().boots, 2);
}

#[test]
fn lines_are_bounded_by_age_and_by_size() {
    let mut spool = Spool::in_memory().unwrap();
    spool.start("boot-a", Time(0), stamp(0)).unwrap();
    let mut most = 0;
    for n in 0..6_000 {
        // A line every two minutes.
        spool.note(line(n * 4));
        if n % 10 == 9 {
            spool.flush(stamp(n * 120_000)).unwrap();
            most = most.max(spool.lines.bytes);
        }
    }
    let kept = i64::try_from(spool.lines(usize::MAX).unwrap().len()).unwrap();
    let days = 7 * 720;
    assert!((days..=days + 180 + 20).contains(&kept), "seven days, and six hours at most: {kept}");
    // Lines that cannot be packed well reach the other bound.
    let mut random = fastrand::Rng::with_seed(1);
    for n in 0..10_000 {
        let noise = (0..700).map(|_| random.alphanumeric()).collect();
        spool.note(Moment { gateway_mac: noise, ..line(30_000) });
        if n % 10 == 9 {
            spool.flush(stamp(30_000 * 30_000)).unwrap();
            most = most.max(spool.lines.bytes);
        }
    }
    assert!(most > lines::KEEP_BYTES * 9 / 10, "the bound is reached: {most}");
    assert!(most <= lines::KEEP_BYTES + 8_192, "{most}");
    let counted: u64 =
        spool.db.query_row("SELECT sum(length(body)) FROM moments", [], |row| row.get(0)).unwrap();
    assert!(counted <= lines::KEEP_BYTES + 8_192, "{counted}");
}

#[test]
fn a_torn_end_of_the_journal_takes_the_last_moments_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("agent.db");
    let mut spool = Spool::open(&path).unwrap();
    spool.set_identity(&identity()).unwrap();
    spool.start("boot-a", Time(0), stamp(0)).unwrap();
    for n in 0..40 {
        spool.append(&[result(n)], stamp(n)).unwrap();
        spool.note(line(n));
        spool.flush(stamp(n)).unwrap();
    }
    let (database, journal) =
        (std::fs::read(&path).unwrap(), std::fs::read(dir.path().join("agent.db-wal")).unwrap());
    for torn in [1, 100, 900, 5_000] {
        for garbled in [false, true] {
            let killed = tempfile::tempdir().unwrap();
            let again = killed.path().join("agent.db");
            std::fs::write(&again, &database).unwrap();
            let mut bytes = journal.clone();
            let whole = bytes.len() - torn;
            if garbled {
                bytes[whole..].fill(0x5a)
            } else {
                bytes.truncate(whole)
            }
            std::fs::write(killed.path().join("agent.db-wal"), &bytes).unwrap();
            let mut spool = Spool::open(&again).unwrap();
            let before = spool.start("boot-b", Time(0), stamp(0)).unwrap();
            assert_eq!(spool.identity(), Some(&identity()));
            let last = before.last.unwrap();
            let first_lost = (0..40).position(|n| line(n) == last).unwrap() + 1;
            assert!((30..40).contains(&first_lost), "{torn} {garbled}: {first_lost}");
            let lines: Vec<Moment> = (0..i64::try_from(first_lost).unwrap()).map(line).collect();
            assert_eq!(spool.lines(100).unwrap(), lines);
            let seqs = seqs(&spool.batch(100, usize::MAX).unwrap());
            let (last, kept) = seqs.split_last().unwrap();
            assert_eq!(kept, (1..=first_lost as u64 + 1).collect::<Vec<_>>());
            assert!(*last > SEQ_BLOCK, "no number that may have been given comes again: {last}");
        }
    }
}

#[test]
fn an_outage_and_its_frozen_lines_outlive_the_agent_and_go_together() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("agent.db");
    let mut spool = Spool::open(&path).unwrap();
    spool.start("boot-a", Time(0), stamp(0)).unwrap();
    let frozen: Vec<Moment> = (0..10).map(line).collect();
    spool.freeze(&frozen).unwrap();
    spool.set_outage(Some("since then".into()));
    assert_eq!(spool.outage().unwrap().as_deref(), Some("since then"), "known before it is written");
    spool.flush(stamp(1)).unwrap();
    drop(spool);
    let mut spool = Spool::open(&path).unwrap();
    assert_eq!(spool.outage().unwrap().as_deref(), Some("since then"));
    assert_eq!(spool.frozen().unwrap(), frozen);
    spool.set_outage(None);
    assert_eq!((spool.outage().unwrap(), spool.frozen().unwrap()), (None, vec![]));
    spool.flush(stamp(2)).unwrap();
    drop(spool);
    let spool = Spool::open(&path).unwrap();
    assert_eq!((spool.outage().unwrap(), spool.frozen().unwrap()), (None, vec![]));
}

#[test]
fn on_a_good_day_nothing_is_written_between_two_flushes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("agent.db");
    let mut spool = Spool::open(&path).unwrap();
    spool.start("boot-a", Time(0), stamp(0)).unwrap();
    spool.ack(1).unwrap();
    spool.set_status("online".into());
    spool.flush(stamp(1)).unwrap();
    let journal = || std::fs::read(dir.path().join("agent.db-wal")).unwrap();
    let before = journal();
    assert!(!dir.path().join("agent.db-shm").exists(), "the journal's index costs no writes");
    for n in 0..20 {
        spool.append(&[result(1), result(2)], stamp(n)).unwrap();
        let batch = seqs(&spool.batch(500, 1_000_000).unwrap());
        spool.note(line(n));
        spool.set_status(format!("online at {n}"));
        spool.ack(batch[batch.len() - 1]).unwrap();
        assert_eq!(spool.waiting(), 0);
    }
    assert!(before == journal());
    spool.flush(stamp(10)).unwrap();
    let pages = (journal().len() - before.len()) / 1_048;
    assert!((1..=6).contains(&pages), "twenty lines cost {pages} small pages");
    spool.stop(stamp(11)).unwrap();
    drop(spool);
    let mut spool = Spool::open(&path).unwrap();
    spool.start("boot-a", Time(0), stamp(12)).unwrap();
    assert_eq!(seqs(&spool.batch(10, 1_000_000).unwrap()), [42], "numbers go on behind those never written");
}

#[test]
fn where_nothing_can_be_written_memory_keeps_the_newest_and_is_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("agent.db");
    let mut spool = Spool::open(&path).unwrap();
    spool.start("boot-a", Time(0), stamp(0)).unwrap();
    spool.db.pragma_update(None, "query_only", true).unwrap();
    let mut errors = 0;
    for n in 0..5_000 {
        errors += u32::from(spool.append(&[result(n)], stamp(n)).is_err());
        spool.note(line(n));
        errors += u32::from(spool.flush(stamp(n)).is_err());
        assert!(spool.fresh_bytes <= MAX_FRESH_BYTES);
    }
    assert!(errors >= 5_000);
    let newest = spool.fresh.back().map(|row| row.check);
    assert_eq!(newest, Some(Some(4_999)));
    spool.db.pragma_update(None, "query_only", false).unwrap();
    spool.flush(stamp(5_000)).unwrap();
    assert_eq!(spool.waiting(), spool.stored);
    let (mut lost, mut kept) = (0, 0);
    for record in spool.batch(usize::MAX, usize::MAX).unwrap() {
        match record.what {
            What::Dropped(gone) => lost += gone.count,
            _ => kept += 1,
        }
    }
    // The start's own record was the first to go.
    assert_eq!(lost + kept, 5_001, "{lost} lost, and told");
    assert!(lost > 0);
    assert_eq!(spool.lines(3).unwrap(), (4_997..5_000).map(line).collect::<Vec<_>>());
}
