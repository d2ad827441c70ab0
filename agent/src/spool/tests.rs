//! What the spool keeps, forgets, and survives.

use schedules::{Millis, Time};

use super::write::kind;
use super::*;
use crate::report::{AgentOutage, CheckResult, Outcome, Status};

fn stamp(ms: i64) -> Stamp {
    Stamp { at: Time(1_700_000_000_000 + ms), mono: Millis(ms) }
}

fn result(check: i64) -> What {
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

fn outage() -> What {
    What::Outage(AgentOutage {
        began_at: Time(1),
        ended_at: None,
        tries: 3,
        reason: "timed out".into(),
        ..AgentOutage::default()
    })
}

fn identity() -> Identity {
    Identity {
        server: "https://192.0.2.1".into(),
        device: 7,
        name: "edge".into(),
        secret: "s3cret".into(),
        pin: Some([9; 32]),
    }
}

fn seqs(records: &[Record]) -> Vec<u64> {
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
    let path = dir.path().join("new/agent.db");
    let mut spool = Spool::open(&path).unwrap();
    spool.set_identity(&identity()).unwrap();
    for file in std::fs::read_dir(path.parent().unwrap()).unwrap().flatten() {
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", file.path());
    }
    assert!(!format!("{:?}", spool.identity()).contains("s3cret"));
    assert_eq!(Glance::at(&path).unwrap().identity, Some(identity()), "also while it is open");
}
