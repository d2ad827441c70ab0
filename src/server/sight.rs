//! Whether the server itself can see: its anchors, and whether unrelated sites drop together.

use std::cell::{OnceCell, RefCell};
use std::collections::BTreeSet;

use schedules::{Millis, Time};

use crate::app::Snapshot;
use crate::domain::blind::{Rule, Seen, Top, View};
use crate::domain::check_in::{missed_at, patience_after};
use crate::domain::ids::DeviceId;
use crate::domain::judgement::{Back, Sight};
use crate::server::{contact, ping};
use crate::store::blind::{self, Blind};
use crate::store::checks::{self, Nudged};
use crate::store::events::Actor;
use crate::store::{Result, Tx, WriteTx, agents};

/// The most devices of others that are tried when one fails.
const TRIED: usize = 32;

/// What the server sees, looked at once for many judgements, and only where one needs it.
#[derive(Default)]
pub struct Eyes {
    looked: OnceCell<Looked>,
    /// Parents that were asked for already: a thousand children wait for the same one.
    asked: RefCell<BTreeSet<DeviceId>>,
}

struct Looked {
    seen: Seen,
    /// Whom to try, to know more: the anchors, and of each site the one that was heard of last.
    others: Vec<(DeviceId, Top)>,
}

/// What the rule says of blindness.
#[must_use]
pub fn rule(known: &Snapshot) -> Rule {
    let count = |key| u32::try_from(known.settings.count(key)).unwrap_or(u32::MAX);
    Rule {
        share: count("blind.share"),
        sites: count("blind.sites"),
        window: known.settings.span("blind.window"),
    }
}

impl Eyes {
    fn looked(&self, tx: &Tx, known: &Snapshot) -> Result<&Looked> {
        if let Some(looked) = self.looked.get() {
            return Ok(looked);
        }
        let looked = look(tx, known, tx.now)?;
        Ok(self.looked.get_or_init(|| looked))
    }

    /// Whether the server can see, when a device has failed since `since`. Where it cannot, it says so.
    ///
    /// # Errors
    /// The database's.
    pub fn look(&self, tx: &WriteTx, known: &Snapshot, since: Time) -> Result<Sight> {
        match self.looked(tx, known)?.seen.look(since, rule(known)) {
            View::Clear => Ok(Sight::Clear),
            View::Doubtful => Ok(Sight::Doubtful(known.settings.span("blind.window"))),
            View::Blind { since, reason } => {
                tracing::warn!(%reason, "the server itself is cut off");
                blind::begin(tx, since, &reason, &Actor::System)?;
                Ok(Sight::Blind(since))
            }
        }
    }

    /// Whether one of these parents was not asked for yet; now all of them are.
    pub fn asks(&self, parents: &[DeviceId]) -> bool {
        let mut asked = self.asked.borrow_mut();
        parents.iter().filter(|parent| asked.insert(**parent)).count() > 0
    }

    /// Has others tried, so that the server knows whether it can see.
    ///
    /// # Errors
    /// The database's.
    pub fn try_others(&self, tx: &WriteTx, known: &Snapshot, since: Time) -> Result<()> {
        let retry = known.settings.span("check.retry");
        let others = &self.looked(tx, known)?.others;
        let untried =
            others.iter().filter(|(_, top)| top.good_at < Some(since) && top.silent_since.is_none());
        for (device, _) in untried.take(TRIED) {
            checks::nudge(tx, Nudged::Own(*device), tx.now - retry)?;
        }
        Ok(())
    }
}

/// What is seen at `now`. What has been silent for so long that it was judged by itself says nothing of the others.
fn look(tx: &Tx, known: &Snapshot, now: Time) -> Result<Looked> {
    let anchors = blind::named(tx, known.settings.names("blind.anchors"))?;
    let tops = blind::tops(tx)?;
    let stale = now - known.settings.span("blind.window").times(2) - contact::hold(known);
    let seen = Seen::new(anchors.iter().map(|(_, top)| *top).collect(), &only(&tops), stale);
    let mut others = tops;
    others.sort_by_key(|(id, top)| (top.site, std::cmp::Reverse(top.good_at), *id));
    others.dedup_by_key(|(_, top)| top.site);
    others.sort_by_key(|(id, top)| (top.good_at, *id));
    others.splice(0..0, anchors);
    Ok(Looked { seen, others })
}

fn only(tops: &[(DeviceId, Top)]) -> Vec<Top> {
    tops.iter().map(|(_, top)| *top).collect()
}

/// What is known of the server's sight without looking: it is cut off, or was not long ago.
///
/// # Errors
/// The database's.
pub fn known(tx: &Tx, known: &Snapshot) -> Result<(Sight, Option<Back>)> {
    let Some(newest) = blind::newest(tx)? else { return Ok((Sight::NotLooked, None)) };
    let Some(at) = newest.ended_at else { return Ok((Sight::Blind(newest.since), None)) };
    let back =
        Back { at, probed_until: at + contact::hold(known), called_until: called_until(known, &newest, at) };
    Ok((Sight::NotLooked, (tx.now < back.called_until + known.every).then_some(back)))
}

/// Until when agents have to come back: they backed off while they could not reach the server.
fn called_until(known: &Snapshot, blind: &Blind, at: Time) -> Time {
    let longest = known.settings.span("agent.retry_max");
    let away = at.since(blind.since).max(Millis::ZERO);
    missed_at(at, known.every, known.grace) + patience_after(away, known.every, longest)
}

/// Looks whether a server that is cut off can see again; then everybody is tried before anybody is judged.
///
/// # Errors
/// The database's.
pub fn look_again(tx: &WriteTx, known: &Snapshot) -> Result<()> {
    let Some(newest) = blind::newest(tx)?.filter(|newest| newest.ended_at.is_none()) else { return Ok(()) };
    let anchors: Vec<Top> = only(&blind::named(tx, known.settings.names("blind.anchors"))?);
    let stale = newest.since - known.settings.span("blind.window");
    if !Seen::new(anchors, &only(&blind::tops(tx)?), stale).is_back(newest.since, rule(known)) {
        return Ok(());
    }
    tracing::warn!("the server can see again");
    blind::end(tx, &newest, &Actor::System)?;
    agents::wait_until(tx, called_until(known, &newest, tx.now))?;
    for check in checks::pings_missed_since(tx, newest.since)? {
        checks::forget_health(tx, check.id)?;
        checks::set_due(tx, check.id, ping::next_due(&check, known, tx.now))?;
    }
    checks::nudge(tx, Nudged::All, tx.now)
}
