//! Records of a dossier come in: a climb, a gap, an agent's own outage. They are kept with their times on the server's
//! clock, and the outages of that time are judged anew.

use agent::report::{AgentOutage, Climb, Gap, Record};
use schedules::{Millis, Time};

use crate::domain::check_in::Dating;
use crate::domain::dossier::{Clocks, trimmed_climb, trimmed_gap, trimmed_outage};
use crate::domain::history::Interval;
use crate::domain::ids::DeviceId;
use crate::store::{Result, WriteTx, dossiers, verdicts};

/// How soon an outage is judged anew while its agent still delivers: not at every call.
const WHILE_IT_COMES: Millis = Millis::from_secs(10);

/// What the records of one call tell of.
#[derive(Debug, Default)]
pub struct Told {
    /// Of which time, in all.
    time: Option<Interval>,
    /// Of which time they tell something of the whole site.
    site: Option<Interval>,
}

fn wider(known: Option<Interval>, (from, to): Interval) -> Option<Interval> {
    Some(known.map_or((from, to), |(a, b)| (a.min(from), b.max(to))))
}

impl Told {
    /// Keeps a climb.
    ///
    /// # Errors
    /// The database's.
    pub fn climb(
        &mut self,
        tx: &WriteTx,
        device: DeviceId,
        dating: Dating<'_>,
        (record, at): (&Record, Time),
        climb: &Climb,
    ) -> Result<()> {
        let clocks = Clocks::new(dating, record, at);
        let climb = trimmed_climb(clocks.climb(climb));
        self.time = wider(self.time, (at, at));
        dossiers::climbed(tx, device, at, clocks.skew(record, at), &climb)
    }

    /// Keeps a gap; it, with its times on the server's clock.
    ///
    /// # Errors
    /// The database's.
    pub fn gap(
        &mut self,
        tx: &WriteTx,
        device: DeviceId,
        dating: Dating<'_>,
        (record, at): (&Record, Time),
        gap: &Gap,
    ) -> Result<Gap> {
        let heard = verdicts::last_heard(tx, device)?;
        let gap = trimmed_gap(Clocks::new(dating, record, at).heard(heard).gap(gap));
        let time = (gap.from.unwrap_or(gap.to), gap.to);
        self.time = wider(self.time, time);
        self.site = wider(self.site, time);
        dossiers::gap(tx, device, &gap)?;
        Ok(gap)
    }

    /// Keeps an agent's own outage; it, with its times on the server's clock.
    ///
    /// # Errors
    /// The database's.
    pub fn cut_off(
        &mut self,
        tx: &WriteTx,
        device: DeviceId,
        dating: Dating<'_>,
        (record, at): (&Record, Time),
        told: &AgentOutage,
    ) -> Result<AgentOutage> {
        let outage = trimmed_outage(Clocks::new(dating, record, at).outage(told));
        self.time = wider(self.time, (outage.began_at, outage.ended_at.unwrap_or(at)));
        dossiers::cut_off(tx, device, (at, told.began_at), &outage)?;
        Ok(outage)
    }

    /// Has the outages of that time judged; `waiting`: how many records are still to come.
    ///
    /// # Errors
    /// The database's.
    pub fn judge(&self, tx: &WriteTx, device: DeviceId, waiting: u64) -> Result<()> {
        let at = if waiting > 0 { tx.now + WHILE_IT_COMES } else { tx.now };
        if let Some(time) = self.time {
            dossiers::trim(tx, device)?;
            verdicts::judge_soon(tx, device, time, at)?;
        }
        match self.site {
            Some(time) => verdicts::judge_siblings_soon(tx, device, time, at),
            None => Ok(()),
        }
    }
}
