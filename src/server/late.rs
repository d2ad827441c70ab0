//! Records that come late: they move no state, but they prove what a device was at their time.

use std::collections::HashMap;

use agent::report::{Gap, Outcome, Record, What};
use schedules::{Cadence, Millis, Time};

use crate::app::Snapshot;
use crate::domain::check::Kind;
use crate::domain::check_in::is_live;
use crate::domain::history::{Gathered, Interval, Proven, Source};
use crate::domain::ids::{CheckId, DeviceId};
use crate::store::checks::Known;
use crate::store::{Result, WriteTx, checks, states};

/// No agent keeps anything for longer: what is said to be older proves nothing.
const OLDEST: Millis = Millis::from_secs(366 * 86_400);

/// What the late records of one call prove. A call that has one is a backlog: then its newest records, which are live, are
/// proofs as well, so that there is no hole between what was proven and what is seen again.
#[derive(Debug, Default)]
pub struct Late {
    is_backlog: bool,
    gathered: Gathered,
    /// How far apart the results of a check are that still belong together.
    gaps: HashMap<i64, Millis>,
}

impl Late {
    /// Takes what a record proves, where it came late.
    ///
    /// # Errors
    /// The database's.
    pub fn record(
        &mut self,
        tx: &WriteTx,
        settings: &Snapshot,
        known: &HashMap<i64, Known>,
        caller: DeviceId,
        record: &Record,
        at: Time,
    ) -> Result<()> {
        self.is_backlog |= !is_live(at, tx.now, settings.every);
        if !self.is_backlog || tx.now.since(at) > OLDEST {
            return Ok(());
        }
        match &record.what {
            What::Status(_) => {
                let gap = settings.every.times(2);
                self.gathered.add(caller, Proven::Up, Source::Agent, at, gap);
            }
            What::Result(result) => {
                let Some(check) = known.get(&result.check) else { return Ok(()) };
                let Some(proven) = proven(check.kind, result.outcome) else { return Ok(()) };
                let gap = self.period(tx, settings, result.check)?;
                self.gathered.add(check.device, proven, Source::Check, at, gap);
            }
            // Whoever climbs the ladder runs.
            What::Ladder(climb) => {
                let gap = settings.every.times(2);
                self.gathered.add(caller, Proven::Up, Source::Agent, at, gap);
                let end = (at + climb.took.max(Millis::ZERO)).min(tx.now);
                self.gathered.add(caller, Proven::Up, Source::Agent, end, gap);
            }
            What::Change(_) | What::Gap(_) | What::Outage(_) | What::Boot(_) | What::Dropped(_) => {}
        }
        Ok(())
    }

    /// An agent tells that it could not reach the server: it ran all that time, also between two tries that are far apart.
    pub fn cut_off(&mut self, settings: &Snapshot, caller: DeviceId, interval: Interval) {
        if interval.0 < interval.1 {
            self.gathered.whole(caller, Proven::Up, Source::Agent, interval, settings.every.times(2));
        }
    }

    /// A gap of the agent's record: a machine that was booted in it was off until then, and on from then on. That only
    /// its agent did not run, or that it slept, proves nothing of it.
    pub fn gap(&mut self, now: Time, caller: DeviceId, gap: &Gap) {
        let (Some(from), true) = (gap.from, gap.booted) else { return };
        let from = from.max(now - OLDEST);
        let booted_at = gap.booted_at.unwrap_or(gap.to).min(gap.to);
        if from < booted_at {
            self.gathered.whole(caller, Proven::Down, Source::Agent, (from, booted_at), Millis::ZERO);
        }
        if booted_at < gap.to {
            self.gathered.whole(caller, Proven::Up, Source::Agent, (booted_at, gap.to), Millis::ZERO);
        }
    }

    fn period(&mut self, tx: &WriteTx, settings: &Snapshot, check: i64) -> Result<Millis> {
        if let Some(gap) = self.gaps.get(&check) {
            return Ok(*gap);
        }
        let own = checks::cadence(tx, CheckId(check))?.and_then(|text| text.parse::<Cadence>().ok());
        let gap = own.unwrap_or_else(|| settings.check_cadence()).period(tx.now).times(2);
        self.gaps.insert(check, gap);
        Ok(gap)
    }

    /// Writes it down.
    ///
    /// # Errors
    /// The database's.
    pub fn keep(&self, tx: &WriteTx) -> Result<()> {
        self.gathered.all().iter().try_for_each(|proof| states::proved(tx, proof))
    }
}

/// What a result proves. Any answer proves that the device was there; that a page did not come proves nothing of it.
fn proven(kind: Kind, outcome: Outcome) -> Option<Proven> {
    match (outcome, kind) {
        (Outcome::Ok | Outcome::Warn, _) => Some(Proven::Up),
        (Outcome::Fail, Kind::Icmp | Kind::Tcp | Kind::Contact) => Some(Proven::Down),
        (Outcome::Fail, Kind::Http | Kind::CheckIn | Kind::Ping) | (Outcome::Unknown, _) => None,
    }
}
