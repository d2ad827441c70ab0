//! Records on their way into the database: what one transaction writes, and what it throws away where there is too
//! much.

use rusqlite::{Transaction, params};
use schedules::{Millis, Time};

use super::{Spool, SpoolError, Stamp};
use crate::report::{Dropped, Record, What};

/// What a record weighs beside its body, in bytes.
const ROW_BYTES: u64 = 64;
/// Clocks before 2020 are not set: their times say nothing about age.
const CLOCK_IS_SET: Time = Time(1_577_836_800_000);

/// A record as it is kept.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) seq: u64,
    pub(super) stamp: Stamp,
    pub(super) kind: &'static str,
    /// It tells of outages: it goes last.
    pub(super) kept: bool,
    pub(super) check: Option<i64>,
    pub(super) bytes: u64,
    pub(super) body: String,
}

impl Row {
    pub(super) fn of(what: &What, seq: u64, stamp: Stamp) -> Result<Row, SpoolError> {
        let body = serde_json::to_string(what)?;
        let bytes = body.len() as u64 + ROW_BYTES;
        let kept = matches!(
            what,
            What::Outage(_) | What::Boot(_) | What::Dropped(_) | What::Gap(_) | What::Ladder(_)
        );
        let check = if let What::Result(result) = what { Some(result.check) } else { None };
        Ok(Row { seq, stamp, kind: kind(what), kept, check, bytes, body })
    }

    /// What is told of it where it is lost.
    pub(super) fn dropped(&self) -> Dropped {
        Dropped { count: 1, first_at: self.stamp.at, last_at: self.stamp.at }
    }

    /// As it is sent: of the boot that goes on.
    pub(super) fn record(&self) -> Result<Record, SpoolError> {
        let what = serde_json::from_str(&self.body)?;
        Ok(Record { seq: self.seq, at: self.stamp.at, mono: self.stamp.mono, boot: None, what })
    }

    pub(super) fn insert(&self, tx: &Transaction<'_>, boot: i64) -> Result<(), SpoolError> {
        let Row { seq, stamp, kind, kept, check, bytes, body } = self;
        tx.prepare_cached(
            "INSERT INTO records (seq, at, mono, boot, kind, kept, check_no, bytes, body) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        )?
        .execute(params![seq, stamp.at.0, stamp.mono.0, boot, kind, kept, check, bytes, body])?;
        Ok(())
    }
}

/// How much may be kept.
pub(super) struct Limits {
    pub(super) keep_for: Millis,
    pub(super) keep_bytes: u64,
    /// What was handed out to be sent up to here is not changed any more.
    pub(super) sent_upto: u64,
}

/// The numbers that a transaction changes, kept only when it is committed.
pub(super) struct Totals {
    next_seq: u64,
    count: u64,
    bytes: u64,
    last_dropped: Option<(u64, Dropped)>,
}

impl Totals {
    pub(super) fn of(spool: &Spool) -> Totals {
        Totals {
            next_seq: spool.next_seq,
            count: spool.count,
            bytes: spool.bytes,
            last_dropped: spool.last_dropped.clone(),
        }
    }

    pub(super) fn keep(self, spool: &mut Spool) {
        spool.next_seq = self.next_seq;
        spool.count = self.count;
        spool.bytes = self.bytes;
        spool.last_dropped = self.last_dropped;
    }

    /// Throws away what is too old or too much: first what tells of no outage, then, if that is not enough, the rest. Tells
    /// of it, and of what was `lost` before.
    pub(super) fn bound(
        &mut self,
        tx: &Transaction<'_>,
        limits: &Limits,
        lost: Option<Dropped>,
        boot: i64,
        now: Stamp,
    ) -> Result<(), SpoolError> {
        let mut gone = lost;
        for kept in [false, true] {
            // When it is full, a little more goes than must, so that not every record costs a deletion.
            let excess = self.bytes.saturating_sub(limits.keep_bytes);
            let excess = if excess > 0 { excess + limits.keep_bytes / 64 } else { 0 };
            let aged = if kept { None } else { Some(limits.keep_for) };
            if let Some(more) = self.drop_oldest(tx, kept, excess, aged, boot, now)? {
                gone = Some(merged(gone, more));
            }
        }
        let Some(gone) = gone else { return Ok(()) };
        tracing::warn!(count = gone.count, "there was no room for all records: the oldest were dropped");
        match self.last_dropped.take() {
            Some((seq, last)) if seq > limits.sent_upto => {
                let all = merged(Some(last), gone);
                let body = serde_json::to_string(&What::Dropped(all.clone()))?;
                tx.execute("UPDATE records SET body = $1 WHERE seq = $2", params![body, seq])?;
                self.last_dropped = Some((seq, all));
            }
            _ => {
                let row = Row::of(&What::Dropped(gone.clone()), self.next_seq, now)?;
                row.insert(tx, boot)?;
                self.next_seq += 1;
                self.count += 1;
                self.bytes += row.bytes;
                self.last_dropped = Some((row.seq, gone));
            }
        }
        Ok(())
    }

    fn drop_oldest(
        &mut self,
        tx: &Transaction<'_>,
        kept: bool,
        excess: u64,
        aged: Option<Millis>,
        boot: i64,
        now: Stamp,
    ) -> Result<Option<Dropped>, SpoolError> {
        let mut gone: Option<Dropped> = None;
        let mut freed = 0;
        let mut last = 0;
        {
            let mut select = tx.prepare_cached(
                "SELECT seq, at, mono, boot, bytes FROM records WHERE kept = $1 AND kind <> 'dropped' ORDER BY seq",
            )?;
            let mut rows = select.query([kept])?;
            while let Some(row) = rows.next()? {
                let (at, mono) = (Time(row.get(1)?), Millis(row.get(2)?));
                let same_boot = row.get::<_, i64>(3)? == boot;
                let old = aged.is_some_and(|keep| is_older(at, mono, same_boot, keep, now));
                if freed >= excess && !old {
                    break;
                }
                last = row.get(0)?;
                freed += row.get::<_, u64>(4)?;
                gone = Some(merged(gone, Dropped { count: 1, first_at: at, last_at: at }));
            }
        }
        if let Some(gone) = &gone {
            tx.prepare_cached("DELETE FROM records WHERE kept = $1 AND kind <> 'dropped' AND seq <= $2")?
                .execute(params![kept, last])?;
            self.count = self.count.saturating_sub(gone.count);
            self.bytes = self.bytes.saturating_sub(freed);
        }
        Ok(gone)
    }
}

/// Within one boot the time since boot tells the age; across boots the wall clock does, if it was ever set.
pub(super) fn is_older(at: Time, mono: Millis, same_boot: bool, keep: Millis, now: Stamp) -> bool {
    if same_boot { now.mono - mono > keep } else { at >= CLOCK_IS_SET && now.at.since(at) > keep }
}

pub(super) fn merged(one: Option<Dropped>, two: Dropped) -> Dropped {
    match one {
        None => two,
        Some(one) => Dropped {
            count: one.count + two.count,
            first_at: one.first_at.min(two.first_at),
            last_at: one.last_at.max(two.last_at),
        },
    }
}

pub(super) fn kind(what: &What) -> &'static str {
    match what {
        What::Status(_) => "status",
        What::Result(_) => "result",
        What::Change(_) => "change",
        What::Ladder(_) => "ladder",
        What::Gap(_) => "gap",
        What::Outage(_) => "outage",
        What::Boot(_) => "boot",
        What::Dropped(_) => "dropped",
    }
}
