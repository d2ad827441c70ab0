//! One case: the fault is caused, lineman is asked while the device is dark, the fault is mended, and lineman is asked
//! again.

use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::Res;
use crate::cases::{CAUSES, Case, Cause, Expected};
use crate::faults::Spot;
use crate::template::Template;
use crate::world::{World, rows};

/// The longest wait until the fault is noticed, and until the last word is said of it.
const PATIENCE: Duration = Duration::from_secs(75);
/// How long nothing more may come before the last word is taken for it.
const QUIET: Duration = Duration::from_secs(8);
/// How long after the server an agent notices, if it does.
const FALLING_ASLEEP: Duration = Duration::from_secs(35);
/// How often lineman is asked.
const EVERY: Duration = Duration::from_millis(500);

/// What lineman said of a case.
pub struct Trial {
    /// The case.
    pub case: Case,
    /// What it said while the device was dark.
    pub dark: Option<Said>,
    /// What it said in the end, of each outage of the device.
    pub last: Vec<Said>,
    /// Why nothing can be said of it.
    pub error: Option<String>,
}

/// A verdict.
#[derive(Clone, Debug)]
pub struct Said {
    /// Its code; for a provisional one, the likeliest other.
    pub code: String,
    /// The second fault it names; empty: none.
    pub also: String,
    /// How sure it is, from 0 to 1.
    pub confidence: f64,
    /// The sentence.
    pub sentence: String,
    /// How long after the fault was caused, or mended, it was said first.
    pub after: Duration,
    /// All of it, for who wants to know why.
    pub whole: Value,
}

impl Trial {
    /// Runs a case in a world of its own.
    pub fn run(tag: &str, home: &Path, template: &Template, case: &Case) -> Trial {
        let mut trial = Trial { case: case.clone(), dark: None, last: Vec::new(), error: None };
        if let Err(e) = trial.go(tag, home, template) {
            trial.error = Some(e.to_string());
        }
        trial
    }

    /// One that could not be run.
    pub fn failed(case: &Case, why: &str) -> Trial {
        Trial { case: case.clone(), dark: None, last: Vec::new(), error: Some(why.to_owned()) }
    }

    fn go(&mut self, tag: &str, home: &Path, template: &Template) -> Res<()> {
        let case = self.case.clone();
        let cause = self.cause();
        let world = World::start(tag, home, template, case.family, case.site)?;
        let device = format!("{}-{}", case.site, case.at);
        let spot = Spot { world: &world, site: case.site, device, form: case.form, family: case.family };
        // A few lines of the record of a good day, and its look at the line.
        sleep(Duration::from_secs(8));
        let began = Instant::now();
        (cause.acts.0)(&spot)?;
        self.notice(&spot, began)?;
        sleep(case.holds);
        if let Some(said) = worst_first(&heard(&spot, began)?, cause).cloned() {
            let after = self.dark.as_ref().filter(|before| before.code == said.code);
            self.dark = Some(Said { after: after.map_or(said.after, |before| before.after), ..said });
        }
        let mended = Instant::now();
        (cause.acts.1)(&spot)?;
        self.conclude(&spot, mended)
    }

    /// Waits until somebody noticed: the agent is cut off, or the server sees an outage.
    fn notice(&mut self, spot: &Spot, began: Instant) -> Res<()> {
        let patience = match self.cause().expected {
            Expected::AtMost(_) => QUIET,
            Expected::Verdict(_) | Expected::Both(..) => PATIENCE,
        };
        while began.elapsed() < patience {
            let said = heard(spot, began)?;
            if self.dark.is_none() {
                self.dark = said.first().cloned();
            }
            let status = spot.world.agent_status(&spot.device)?;
            let is_running = status["pid"].is_number();
            let seen = self.dark.as_ref().map(|said| began.elapsed() - said.after);
            // Who sleeps does not know that it is cut off.
            let asleep = seen.is_some_and(|seen| seen > FALLING_ASLEEP);
            if status["state"] == "cut-off" || asleep || (!is_running && seen.is_some()) {
                return Ok(());
            }
            sleep(EVERY);
        }
        Ok(())
    }

    /// Waits until the last word is said: of each outage that the device had, and a while longer, since more may be told.
    fn conclude(&mut self, spot: &Spot, mended: Instant) -> Res<()> {
        let mut over: Option<Duration> = None;
        loop {
            let said = heard(spot, mended)?;
            let is_over = |one: &Said| one.whole["ended_at"].is_string() && is_final(one);
            let is_enough = match self.cause().expected {
                Expected::AtMost(_) => true,
                Expected::Verdict(_) | Expected::Both(..) => !said.is_empty(),
            };
            over = over.filter(|_| is_enough && said.iter().all(is_over));
            if over.is_none() && is_enough && said.iter().all(is_over) {
                over = Some(mended.elapsed());
            }
            self.last = said;
            let is_quiet = over.is_some_and(|at| mended.elapsed() - at > QUIET);
            if is_quiet || mended.elapsed() > PATIENCE {
                for one in &mut self.last {
                    one.after = over.unwrap_or(one.after);
                }
                return Ok(());
            }
            sleep(EVERY);
        }
    }

    /// Its cause.
    pub fn cause(&self) -> &'static Cause {
        &CAUSES[self.case.cause]
    }

    /// Whether what was said in the end is right.
    pub fn is_right(&self) -> bool {
        let right = |said: &Said| said.code == self.cause().expected.code();
        self.error.is_none()
            && self.last.iter().all(right)
            && match self.cause().expected {
                Expected::Verdict(_) => !self.last.is_empty(),
                Expected::AtMost(_) => true,
                Expected::Both(_, second) => self.last.iter().any(|said| said.also == second),
            }
    }

    /// What counts of what was said: what is wrong, else the surest.
    pub fn counts(&self) -> Option<&Said> {
        worst_first(&self.last, self.cause())
    }
}

fn worst_first<'s>(said: &'s [Said], cause: &Cause) -> Option<&'s Said> {
    said.iter()
        .find(|one| one.code != cause.expected.code())
        .or_else(|| said.iter().max_by(|one, other| one.confidence.total_cmp(&other.confidence)))
}

fn is_final(said: &Said) -> bool {
    said.whole["verdict"]["code"].as_str().is_some_and(|code| code != "provisional")
}

/// What lineman says of the outages of the device.
fn heard(spot: &Spot, since: Instant) -> Res<Vec<Said>> {
    let list = spot.world.ask(&["outage", "list"])?;
    let mut all = Vec::new();
    for outage in rows(&list).filter(|outage| outage["device"] == *spot.device) {
        let verdict = &outage["verdict"];
        let text = |of: &str| verdict[of].as_str().unwrap_or_default().to_owned();
        let likeliest = text("likeliest");
        let code =
            if text("code") == "provisional" && !likeliest.is_empty() { likeliest } else { text("code") };
        all.push(Said {
            code,
            also: text("also"),
            confidence: verdict["confidence"].as_f64().unwrap_or_default() / 100.0,
            sentence: text("sentence"),
            after: since.elapsed(),
            whole: outage.clone(),
        });
    }
    Ok(all)
}
