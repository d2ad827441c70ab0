//! Flapping: a device whose state changes so often that each change says little.

use schedules::{Millis, Time};

use crate::domain::device::State;

/// How often is too often, and how long it is quiet before it counts as quiet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// `flap.changes`
    pub changes: u32,
    /// `flap.window`
    pub window: Millis,
    /// `flap.quiet`
    pub quiet: Millis,
}

/// Whether a device flaps at `now`, and when that is to be looked at again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flapping {
    /// It does not.
    Steady,
    /// It does, and is quiet at this moment unless it changes again.
    Until(Time),
}

/// Whether a change is the device's own doing, and counts: one between up, degraded and down.
#[must_use]
pub fn counts(from: State, to: State) -> bool {
    let own = |state: State| match state {
        State::Up | State::Degraded | State::Down => true,
        State::Unknown | State::Unreachable => false,
    };
    own(from) && own(to) && from != to
}

/// Whether a device flaps. `states`: what it was and since when it was seen so, oldest first.
#[must_use]
pub fn flaps(states: &[(Time, State)], flapped: bool, rule: Rule, now: Time) -> Flapping {
    let changes = states.windows(2).filter(|pair| counts(pair[0].1, pair[1].1));
    let changes: Vec<Time> = changes.map(|pair| pair[1].0).collect();
    let recent = changes.iter().filter(|at| **at > now - rule.window).count();
    let Some(last) = changes.last() else { return Flapping::Steady };
    let quiet_at = *last + rule.quiet;
    let often = recent >= usize::try_from(rule.changes).unwrap_or(usize::MAX);
    if quiet_at > now && (often || flapped) { Flapping::Until(quiet_at) } else { Flapping::Steady }
}

#[cfg(test)]
mod tests {
    use super::*;
    use State::{Degraded, Down, Unknown, Unreachable, Up};

    const RULE: Rule = Rule { changes: 6, window: Millis(1800), quiet: Millis(900) };

    fn every(step: i64, states: &[State]) -> Vec<(Time, State)> {
        states.iter().zip(0..).map(|(state, i)| (Time(i * step), *state)).collect()
    }

    #[test]
    fn six_changes_of_its_own_within_half_an_hour_are_flapping() {
        let up_down = [Up, Down, Up, Down, Up, Down, Up];
        assert_eq!(flaps(&every(60, &up_down), false, RULE, Time(360)), Flapping::Until(Time(1260)));
        assert_eq!(flaps(&every(60, &up_down[..6]), false, RULE, Time(300)), Flapping::Steady, "five");
        assert_eq!(flaps(&every(400, &up_down), false, RULE, Time(2400)), Flapping::Steady, "too slow");
        let behind = [Up, Unreachable, Up, Unreachable, Up, Unreachable, Up, Unreachable];
        assert_eq!(
            flaps(&every(60, &behind), false, RULE, Time(420)),
            Flapping::Steady,
            "its parent's doing"
        );
        let blind = [Up, Unknown, Up, Unknown, Up, Unknown, Up, Unknown];
        assert_eq!(flaps(&every(60, &blind), false, RULE, Time(420)), Flapping::Steady, "nobody looked");
        let service = [Up, Degraded, Up, Degraded, Up, Degraded, Up];
        assert_eq!(flaps(&every(60, &service), false, RULE, Time(360)), Flapping::Until(Time(1260)));
    }

    #[test]
    fn it_is_quiet_after_a_quarter_of_an_hour_without_a_change() {
        let up_down = every(60, &[Up, Down, Up, Down, Up, Down, Up]);
        assert_eq!(flaps(&up_down, true, RULE, Time(1259)), Flapping::Until(Time(1260)));
        assert_eq!(flaps(&up_down, true, RULE, Time(1260)), Flapping::Steady);
        let slower = every(800, &[Up, Down, Up]);
        assert_eq!(flaps(&slower, true, RULE, Time(1700)), Flapping::Until(Time(2500)), "it goes on");
        assert_eq!(flaps(&[], true, RULE, Time(0)), Flapping::Steady);
    }
}
