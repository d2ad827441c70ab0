//! The table: cause against verdict.

use std::fmt::Write as _;

use crate::trial::{Said, Trial};

/// What stands above the rows while they come.
pub const HEAD: &str = "     cause                   where                     while dark               in the end               sure  after";
/// A verdict that is wrong may not be surer than this.
const SURE: f64 = 0.8;
/// How many of a hundred verdicts must be right.
const RIGHT: usize = 95;

/// One run, as a line.
pub fn row(trial: &Trial) -> String {
    let [cause, place, dark, last, sure, after] = cells(trial);
    let mark = if trial.is_right() { "ok" } else { "NO" };
    let mut line = format!("{mark}   {cause:<23} {place:<25} {dark:<24} {last:<24} {sure:<5} {after}");
    if let Some(error) = &trial.error {
        line += &format!("\n     {error}");
    } else if !trial.is_right() {
        for said in &trial.last {
            line += &format!("\n     {}\n     {}", said.sentence, said.whole);
        }
    }
    line
}

fn cells(trial: &Trial) -> [String; 6] {
    let case = &trial.case;
    let place =
        format!("{}-{} form {} {:?} {}s", case.site, case.at, case.form, case.family, case.holds.as_secs());
    let said = |said: Option<&Said>| {
        said.map_or("-".to_owned(), |said| format!("{} {:.1}s", said.code, said.after.as_secs_f64()))
    };
    let counts = trial.counts();
    [
        trial.cause().name.to_owned(),
        place,
        said(trial.dark.as_ref()),
        counts.map_or("no outage".to_owned(), |said| said.code.clone()),
        counts.map_or("-".to_owned(), |said| format!("{:.2}", said.confidence)),
        counts.map_or("-".to_owned(), |said| format!("{:.1}s", said.after.as_secs_f64())),
    ]
}

/// How many are right, and how many are wrong but sure.
fn count(trials: &[Trial]) -> (usize, usize) {
    let right = trials.iter().filter(|trial| trial.is_right()).count();
    let sure = |trial: &&Trial| {
        !trial.is_right()
            && trial
                .last
                .iter()
                .any(|said| said.confidence > SURE && said.code != trial.cause().expected.code())
    };
    (right, trials.iter().filter(sure).count())
}

/// Whether it may go out like this.
pub fn holds(trials: &[Trial]) -> bool {
    let (right, sure) = count(trials);
    right * 100 >= RIGHT * trials.len() && sure == 0
}

/// The sum.
pub fn whole(trials: &[Trial]) -> String {
    let (right, sure) = count(trials);
    format!(
        "lab: {right} of {} verdicts are right ({} %), {sure} wrong and sure of it; while dark {} were",
        trials.len(),
        right * 100 / trials.len().max(1),
        trials.iter().filter(|trial| is_right_in_the_dark(trial)).count()
    )
}

fn is_right_in_the_dark(trial: &Trial) -> bool {
    trial.dark.as_ref().is_some_and(|said| said.code == trial.cause().expected.code())
}

/// The table as a paper.
pub fn paper(trials: &[Trial]) -> String {
    let mut text = "# Causes and verdicts\n\nEach fault was caused in a network of namespaces (`tests/lab`), and lineman was asked where the fault is: while the\n\
        device was dark, and after it came back. Written by `LAB=full LAB_WRITE=1 cargo test --test lab`. Times are from the\n\
        cause, and from the mending; intervals there are 1 s where they are 30 s by default.\n\n"
        .to_owned();
    text += &format!("{}.\n\n", whole(trials).trim_start_matches("lab: "));
    text += "| cause | where | while dark | in the end | confidence | after | right |\n| --- | --- | --- | --- | --- | --- | --- |\n";
    for trial in trials {
        let right = if trial.is_right() { "yes" } else { "**no**" };
        let _ = writeln!(text, "| {} | {right} |", cells(trial).join(" | "));
    }
    text
}
