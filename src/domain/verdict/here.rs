//! The verdict on one climb, made here and now, with nothing else known.

use agent::report::{Climb, Held};
use jiff::tz::TimeZone;
use schedules::Time;

use super::{Cohort, Verdict, judge};
use crate::domain::dossier::{Dossier, Kept, Progress};

/// What a machine is called that nobody gave a name.
const THIS: &str = "this machine";

/// Where the fault is that one climb at `now` met; none where all that was measured holds.
#[must_use]
pub fn on_the_spot(climb: &Climb, now: Time, zone: TimeZone) -> Option<Verdict> {
    if climb.rungs.iter().all(|rung| rung.outcome != Held::Fail) {
        return None;
    }
    let dossier = Dossier {
        device: THIS.to_owned(),
        site: None,
        zone,
        from: now,
        until: None,
        now,
        progress: Progress::Whole,
        climbs: vec![Kept { at: now, skew: None, it: climb.clone() }],
        good_day: None,
        gaps: Vec::new(),
        told: None,
        last: None,
    };
    Some(judge(&dossier, &Cohort { has_agent: true, ..Cohort::default() }))
}

#[cfg(test)]
mod tests {
    use agent::report::{Rung, Step, Why};
    use schedules::Millis;

    use super::*;
    use crate::domain::verdict::Code;

    fn climb(outcome: Held) -> Climb {
        let step = Step::Link { interface: "eth0".into(), speed_mbit: None };
        let after = Millis(10);
        let rung = Rung { step, outcome, reason: String::new(), after, rtt_us: None, loss_permille: None };
        Climb { outage: None, why: Why::Asked, took: Millis(20), rungs: vec![rung] }
    }

    #[test]
    fn one_climb_is_enough_to_say_where_the_fault_is() {
        let at = Time(1_800_000_000_000);
        assert_eq!(on_the_spot(&climb(Held::Ok), at, TimeZone::UTC), None);
        assert_eq!(on_the_spot(&climb(Held::NotMeasured), at, TimeZone::UTC), None);
        let verdict = on_the_spot(&climb(Held::Fail), at, TimeZone::UTC).unwrap();
        assert_eq!((verdict.code, verdict.likeliest), (Code::Link, None), "{verdict:?}");
        assert!(verdict.sentence.starts_with("The link of this machine was down since"), "{verdict:?}");
    }
}
