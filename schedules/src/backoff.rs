//! How long to wait before trying again: exponential back-off with full jitter.

use crate::Millis;

/// The shortest wait, so that a try that fails at once is never repeated in a tight loop.
const SHORTEST: i64 = 100;

/// Waits that double with every failure in a row, up to a cap, each drawn at random below its ceiling ("full jitter":
/// Brooker, Exponential Backoff And Jitter, AWS Architecture Blog, 2015), so that many who failed together do not
/// come back together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The ceiling after the first failure.
    pub base: Millis,
    /// No ceiling is above this.
    pub cap: Millis,
}

impl Backoff {
    /// The longest wait after so many failures in a row: `min(cap, base * 2^(failures - 1))`. Before the first
    /// failure: as after it. A negative base or cap counts as none.
    #[must_use]
    pub fn ceiling(&self, failures: u32) -> Millis {
        let (base, cap) = (self.base.0.max(0), self.cap.0.max(0));
        let doublings = failures.saturating_sub(1).min(62);
        Millis(base.saturating_mul(1 << doublings).min(cap))
    }

    /// The wait after so many failures in a row: uniform in `[floor, ceiling]` by `random`, where the floor is 100 ms
    /// or the ceiling, whichever is less.
    #[must_use]
    pub fn delay(&self, failures: u32, random: u64) -> Millis {
        let ceiling = self.ceiling(failures).0;
        let floor = SHORTEST.min(ceiling);
        let choices = (ceiling - floor).unsigned_abs() + 1;
        let chosen = (u128::from(random) * u128::from(choices)) >> 64;
        Millis(floor + i64::try_from(chosen).expect("what is chosen is at most the ceiling"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const AGENT: Backoff = Backoff { base: Millis(30_000), cap: Millis(300_000) };

    #[test]
    fn the_ceiling_doubles_up_to_the_cap() {
        let ceilings: Vec<i64> = (0..=6).map(|failures| AGENT.ceiling(failures).0 / 1000).collect();
        assert_eq!(ceilings, [30, 30, 60, 120, 240, 300, 300]);
    }

    #[test]
    fn the_wait_reaches_from_the_floor_to_the_ceiling() {
        assert_eq!(AGENT.delay(2, 0), Millis(100));
        assert_eq!(AGENT.delay(2, u64::MAX), Millis(60_000));
        assert_eq!(AGENT.delay(2, u64::MAX / 2), Millis(30_050));
    }

    #[test]
    fn a_ceiling_below_the_floor_is_the_wait() {
        let quick = Backoff { base: Millis(20), cap: Millis(50) };
        assert_eq!(quick.delay(1, 0), Millis(20));
        assert_eq!(quick.delay(9, u64::MAX), Millis(50));
    }

    proptest! {
        #[test]
        fn a_wait_is_within_its_bounds(base: i64, cap: i64, failures: u32, random: u64) {
            let backoff = Backoff { base: Millis(base), cap: Millis(cap) };
            let ceiling = backoff.ceiling(failures);
            let delay = backoff.delay(failures, random);
            prop_assert!(ceiling >= Millis::ZERO && ceiling <= Millis(cap.max(0)));
            prop_assert!(delay >= Millis(SHORTEST).min(ceiling) && delay <= ceiling);
        }

        #[test]
        fn more_failures_never_lower_the_ceiling(base: i64, cap: i64, failures: u32) {
            let backoff = Backoff { base: Millis(base), cap: Millis(cap) };
            prop_assert!(backoff.ceiling(failures) <= backoff.ceiling(failures.saturating_add(1)));
        }

        #[test]
        fn more_chance_never_shortens_the_wait(failures in 1..20_u32, one: u64, other: u64) {
            let (less, more) = (one.min(other), one.max(other));
            prop_assert!(AGENT.delay(failures, less) <= AGENT.delay(failures, more));
        }
    }
}
