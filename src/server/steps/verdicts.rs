//! Verdicts: an outage is to be judged, because it began or ended, because its dossier came, or to see whether those
//! around it have changed.

use schedules::{Millis, Time};

use super::Worked;
use crate::app::{App, Snapshot};
use crate::domain::dossier::Progress;
use crate::domain::verdict::{Code, judge};
use crate::store::events::Actor;
use crate::store::outages::{self, Outage};
use crate::store::verdicts::{self, Elsewhere, IsFinal};
use crate::store::{Result, WriteTx, tickets};

/// The most that are judged in one transaction: each looks at its whole site.
const AT_ONCE: u32 = 20;
/// How soon an outage is looked at again while it lasts: those around it may drop as well, or come back.
const AGAIN: Millis = Millis::from_secs(30);
/// After this long it is looked at less often.
const YOUNG: Millis = Millis::from_secs(600);
/// How often then.
const LATER: Millis = Millis::from_secs(600);
/// How long after its end an outage is looked at by itself; what comes later has it judged anew.
const PATIENCE: Millis = Millis::from_secs(3_600);

/// Judges the outages that are due.
///
/// # Errors
/// The database's.
pub async fn step(app: &App) -> Result<Worked> {
    let now = app.clock.now();
    let next = app.store.read(verdicts::next_due)?;
    if next.is_none_or(|at| at > now) {
        return Ok(Worked::No(next, "an outage is judged"));
    }
    let known = app.known();
    app.store
        .submit(move |tx| {
            let mut elsewhere = Elsewhere::default();
            for outage in verdicts::due(tx, tx.now, AT_ONCE)? {
                look(tx, &known, &outages::get(tx, &outage.to_string())?, &mut elsewhere)?;
            }
            Result::Ok(())
        })
        .await?;
    Ok(Worked::Yes)
}

/// Judges one outage.
fn look(tx: &WriteTx, known: &Snapshot, outage: &Outage, elsewhere: &mut Elsewhere) -> Result<()> {
    let dossier = verdicts::dossier(tx, outage, known.every)?;
    let cohort = verdicts::around(tx, outage, elsewhere)?;
    let verdict = judge(&dossier, &cohort);
    let is_final = match dossier.progress {
        Progress::Whole => IsFinal::Yes,
        Progress::Dark | Progress::Coming => IsFinal::NotYet,
    };
    // What was told of an outage is not taken back because its records have grown too old to be kept.
    let before = verdicts::of_outage(tx, outage.id)?;
    let knew = before.as_ref().is_some_and(|before| !is_open(before.verdict.code));
    if !(knew && dossier.is_empty() && is_open(verdict.code)) {
        let news = verdicts::give(tx, outage, &verdict, is_final, &Actor::System)?;
        if news && before.is_none_or(|before| before.verdict.code != verdict.code) {
            tracing::info!(outage.id = outage.id.0, device.name = %outage.device.1, code = %verdict.code,
                confidence = verdict.confidence, "verdict");
            tickets::look_soon(tx, outage.device.0)?;
            if verdict.code.is_of_site() {
                verdicts::judge_unknown_siblings(tx, outage.device.0, outage.started_at)?;
            }
        }
    }
    verdicts::judge_at(tx, outage.id, next(outage, dossier.progress, tx.now))
}

/// Whether a code is none yet.
fn is_open(code: Code) -> bool {
    matches!(code, Code::Provisional | Code::Unknown)
}

/// When it is looked at again by itself.
fn next(outage: &Outage, progress: Progress, now: Time) -> Option<Time> {
    match (progress, outage.ended_at) {
        (Progress::Whole, _) => None,
        (Progress::Dark | Progress::Coming, None) => {
            let young = now.since(outage.started_at) < YOUNG;
            Some(now + if young { AGAIN } else { LATER })
        }
        (Progress::Dark | Progress::Coming, Some(ended_at)) => {
            (now.since(ended_at) < PATIENCE).then(|| now + AGAIN)
        }
    }
}
