//! What the driver does for the record: lines, climbs, the outage that outlives the agent, and when all of it is
//! written to the disk.

use std::net::IpAddr;
use std::time::Duration;

use schedules::{Millis, Time};

use super::{Agent, Error};
use crate::ladder;
use crate::link::Link;
use crate::recorder::{self, Instant};
use crate::report::{AgentOutage, Climb, Moment, Status, What, Why};
use crate::spool::{Before, Spool, SpoolError, Stamp};
use crate::state::{Kept, Now, Standing};

/// A climb that lasts longer has found nothing, and its end is waited for by others. The ladder's own limit comes first:
/// then what was found is kept.
const LONGEST_CLIMB: Duration = ladder::LONGEST.saturating_add(Duration::from_secs(10));
/// On a good day so many lines are written at a time.
const CALM: i64 = 20;
/// How often a disk that took nothing at the start is tried again.
const TRY_AGAIN: Millis = Millis::from_secs(300);

/// The outage that goes on, as far as the driver knows more of it than the state machine.
#[derive(Debug, Default)]
pub(super) struct Outage {
    boots: u32,
    address_before: Option<IpAddr>,
    /// What was kept last.
    kept: Option<Kept>,
}

/// When things are written.
#[derive(Debug)]
pub(super) struct Disk {
    flushed_at: Time,
    /// Something happened that is written at once.
    presses: bool,
    /// Nothing can be written, and that was said once. What was only added, or had nothing to write, does not end it.
    full: bool,
    /// When it is tried whether a disk that took nothing takes something again.
    try_at: Time,
}

impl Disk {
    pub(super) fn new(now: Now) -> Disk {
        Disk { flushed_at: now.steady, presses: false, full: false, try_at: now.steady + TRY_AGAIN }
    }

    pub(super) fn press(&mut self) {
        self.presses = true;
    }
}

/// What an agent before this one left open: its outage, with the boots since.
pub(super) fn left_open(spool: &Spool, before: &Before) -> Result<Option<Kept>, SpoolError> {
    let kept = spool.outage()?.and_then(|text| serde_json::from_str::<Kept>(&text).ok());
    Ok(kept.map(|mut kept| {
        if kept.outage.ended_at.is_none() {
            kept.outage.boots = kept.outage.boots.saturating_add(before.boots);
        }
        kept
    }))
}

/// Whether something happened that is to be on the disk at once.
fn presses(what: &What) -> bool {
    match what {
        What::Status(_) | What::Result(_) => false,
        What::Change(_)
        | What::Ladder(_)
        | What::Gap(_)
        | What::Outage(_)
        | What::Boot(_)
        | What::Dropped(_) => true,
    }
}

impl<L: Link> Agent<L> {
    /// Goes on where an agent before this one ended.
    pub(super) fn resume(&mut self, before: &Before, now: Now) -> Result<(), Error> {
        if self.recorder.is_none() {
            return Ok(());
        }
        self.state.keep_record(now);
        self.good_hops = self.spool.hops()?;
        let Instant { stamp, awake } = self.instant();
        let line = Moment { at: stamp.at, mono: stamp.mono, awake, ..Moment::default() };
        let gap = recorder::at_start(before, &line, self.info.booted_at);
        self.record(gap.map(|gap| (What::Gap(gap), Millis::ZERO)))?;
        if let Some(kept) = left_open(&self.spool, before)? {
            tracing::info!(since = %kept.outage.began_at, boots = kept.outage.boots, "an outage goes on");
            self.outage.boots = kept.outage.boots;
            self.outage.address_before = kept.outage.address_before;
            self.state.resume(&kept, now);
        }
        Ok(())
    }

    fn instant(&self) -> Instant {
        let stamp = self.steady.stamp();
        Instant { stamp, awake: self.steady.awake(stamp) }
    }

    /// Begins a line: the gateway is asked first, unless the server is on this machine.
    pub(super) fn begin_line(&mut self, status: &Status) {
        let now = self.instant();
        let asks = self.asks_gateway(status);
        let Some(recorder) = self.recorder.as_mut().filter(|_| self.line.is_none()) else { return };
        let mut line = recorder.line(status, now, self.told.last_check_in_at);
        if !asks || line.gateway.is_none() {
            return self.keep_line(line);
        }
        let prober = self.prober.clone();
        self.line = Some(tokio::spawn(async move {
            recorder::ask_gateway(&prober, &mut line).await;
            line
        }));
    }

    /// The line is done.
    pub(super) fn keep_line(&mut self, line: Moment) {
        let Some(recorder) = &mut self.recorder else { return };
        let gap = recorder.keep(line.clone(), self.state.record_every());
        self.spool.note(line);
        if let Some(gap) = gap {
            tracing::info!(from = gap.from.map(|at| at.to_string()), to = %gap.to,
                slept_ms = gap.suspended.0, "the record has a gap");
            self.state.handle_changes(vec![What::Gap(gap)]);
        }
    }

    /// A last line, so that the record ends where the agent does.
    pub(super) fn last_line(&mut self) {
        if self.recorder.is_some() {
            self.line = None;
            let (_, status) = self.look();
            let now = self.instant();
            if let Some(recorder) = &mut self.recorder {
                let line = recorder.line(&status, now, self.told.last_check_in_at);
                self.spool.note(line);
            }
        }
    }

    /// Whether the way to the server leads over the gateway, or may: a server on this machine is no reason to ask
    /// anybody anything.
    fn asks_gateway(&self, status: &Status) -> bool {
        let Some(server) = self.link.leads_to() else { return false };
        match self.route.server.map(|server| server.ip()).or_else(|| server.host.parse().ok()) {
            Some(ip) => !ip.is_loopback() && status.address != Some(ip),
            None => !server.host.eq_ignore_ascii_case("localhost"),
        }
    }

    pub(super) fn begin_climb(&mut self, why: Why, now: Now) {
        let (Some(plan), Some(mut server)) = (self.state.ladder().cloned(), self.link.leads_to()) else {
            return self.state.handle_climb(None, now);
        };
        server.address = self.route.server.map(|server| server.ip());
        tracing::debug!(?why, "the ladder of evidence is climbed");
        let (link, hops) = (std::sync::Arc::clone(&self.link), self.good_hops.clone());
        self.climb = Some(tokio::spawn(async move {
            tokio::time::timeout(LONGEST_CLIMB, link.climb(plan, server, hops, why)).await.ok()
        }));
    }

    pub(super) fn end_climb(&mut self, climb: Result<Option<Climb>, tokio::task::JoinError>, now: Now) {
        self.climb = None;
        let climb =
            climb.inspect_err(|e| tracing::error!(error = %e, "a climb of the ladder was broken off"));
        let climb = climb.ok().flatten();
        if let Some(climb) = climb.as_ref().filter(|climb| matches!(climb.why, Why::Baseline | Why::Recovery))
        {
            let hops = ladder::hops_beyond_gateway(climb);
            if !hops.is_empty() && hops != self.good_hops {
                self.spool.set_hops(&hops);
                self.good_hops = hops;
            }
        }
        self.state.handle_climb(climb, now);
    }

    /// What the state machine tells of an outage, with what it does not know.
    pub(super) fn filled(&mut self, what: What) -> Result<What, Error> {
        let What::Outage(outage) = what else { return Ok(what) };
        let Some(recorder) = &self.recorder else { return Ok(What::Outage(outage)) };
        if outage.ended_at.is_none() {
            self.spool.freeze(&recorder.frozen(outage.began_at))?;
            self.outage = Outage { boots: 0, address_before: self.good_address, kept: None };
            return Ok(What::Outage(AgentOutage { address_before: self.good_address, ..outage }));
        }
        let before = self.spool.frozen()?;
        let kept = std::mem::take(&mut self.outage);
        self.spool.set_outage(None);
        Ok(What::Outage(AgentOutage {
            before,
            address_before: kept.address_before,
            address_after: self.seen.as_ref().and_then(|status| status.address),
            boots: kept.boots,
            ..outage
        }))
    }

    /// Keeps the outage that goes on, where something of it changed.
    fn keep_outage(&mut self, now: Now) -> Result<(), Error> {
        let Some(mut kept) = self.state.kept(now) else { return Ok(()) };
        kept.outage.boots = self.outage.boots;
        kept.outage.address_before = self.outage.address_before;
        if self.outage.kept.as_ref() != Some(&kept) {
            self.spool.set_outage(Some(serde_json::to_string(&kept).map_err(SpoolError::from)?));
            self.outage.kept = Some(kept);
            self.disk.press();
        }
        Ok(())
    }

    /// Adds records to the spool, each with how long ago it happened.
    pub(super) fn record(&mut self, records: impl IntoIterator<Item = (What, Millis)>) -> Result<(), Error> {
        let now = self.steady.stamp();
        for (what, ago) in records {
            if presses(&what) {
                self.disk.press();
            }
            let stamp = Stamp { at: now.at - ago, mono: (now.mono - ago).max(Millis::ZERO) };
            let added = self.spool.append(&[what], stamp);
            self.meet(added)?;
        }
        self.state.handle_waiting(self.spool.waiting());
        Ok(())
    }

    /// Writes what waits, where it is time: at once when something happened, line by line while the server does not
    /// answer, and seldom on a good day, when the server has everything anyway.
    pub(super) fn write(&mut self, now: Now) -> Result<(), Error> {
        self.go_back_to_disk(now);
        self.keep_outage(now)?;
        let mut due = self.disk.flushed_at + self.state.record_every();
        if *self.state.standing() == Standing::Online {
            // What the server is about to acknowledge would be written only to be deleted.
            let awaits = i64::from(self.spool.waiting() > 0);
            due = self.disk.flushed_at + self.state.record_every().times(CALM + awaits);
        }
        if !self.spool.is_dirty() || (!self.disk.presses && now.steady < due) {
            return Ok(());
        }
        (self.disk.flushed_at, self.disk.presses) = (now.steady, false);
        let written = self.spool.flush(self.steady.stamp());
        if written.is_ok() {
            self.disk.full = false;
        }
        self.meet(written)?;
        self.state.handle_waiting(self.spool.waiting());
        Ok(())
    }

    /// Where a database in memory stands in for one that could not be written, and the server has all that is in it: goes
    /// on with the one on the disk, if that can be written again, and with what waits there.
    fn go_back_to_disk(&mut self, now: Now) {
        let is_wanted = self.spool.is_stand_in() && now.steady >= self.disk.try_at;
        if !is_wanted || self.spool.waiting() > 0 || self.call.is_some() {
            return;
        }
        self.disk.try_at = now.steady + TRY_AGAIN;
        let stamp = self.steady.stamp();
        if let Some(spool) = self.spool.back_on_disk(&self.info.boot_id, self.info.booted_at, stamp) {
            self.spool = spool;
            self.state.handle_waiting(self.spool.waiting());
        }
    }

    /// Sets a record aside that the server cannot take, or at least sends it no more. False: there is no such record.
    pub(super) fn set_aside(&mut self, seq: u64, error: &str) -> Result<bool, Error> {
        match self.spool.reject(seq, error) {
            Ok(known) => Ok(known),
            Err(e) => self.meet(Err(e)).map(|()| self.spool.skips(seq)),
        }
    }

    /// A full disk stops nothing; a damaged database ends the agent, so that its next start begins a new one.
    pub(super) fn meet(&mut self, written: Result<(), SpoolError>) -> Result<(), Error> {
        match written {
            Ok(()) => {}
            Err(e) if e.is_corrupt() => return Err(e.into()),
            Err(e) => {
                if !self.disk.full {
                    tracing::error!(error = %e, "nothing can be written: what is recorded waits in memory, the newest of it");
                }
                self.disk.full = true;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boots_are_counted_while_an_outage_goes_on_and_not_once_it_is_over() {
        for (ended_at, boots) in [(None, 3), (Some(Time(9)), 2)] {
            let mut spool = Spool::in_memory().unwrap();
            let outage = AgentOutage { began_at: Time(1), ended_at, boots: 2, ..AgentOutage::default() };
            let kept = Kept { outage, fell: vec![("link".into(), "eth0".into())] };
            spool.set_outage(Some(serde_json::to_string(&kept).unwrap()));
            let before = Before { clean: Some(false), boots: 1, last: None };
            let found = left_open(&spool, &before).unwrap().unwrap();
            assert_eq!(found.outage.boots, boots);
            assert_eq!((found.outage.began_at, found.fell), (Time(1), kept.fell));
            spool.set_outage(Some("no outage".into()));
            assert!(left_open(&spool, &before).unwrap().is_none(), "what is damaged is none");
        }
    }
}
