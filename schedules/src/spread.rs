//! A stable spread: many things with one interval each get their own moment in it, the same one for ever.

use crate::Millis;

/// Where in `period` the thing with this key has its moment: in `[0, period)`, well mixed, and the same in every
/// version of lineman, so that a restart or an upgrade moves nothing. No period, no moment but 0.
#[must_use]
pub fn spread(key: u64, period: Millis) -> Millis {
    let Ok(period) = u64::try_from(period.0) else { return Millis::ZERO };
    let share = (u128::from(mix(key)) * u128::from(period)) >> 64;
    Millis(i64::try_from(share).expect("a share of a period is less than the period"))
}

/// One step of SplitMix64 from the state `key` (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators,
/// OOPSLA 2014; the constants are those of Vigna's public-domain `splitmix64.c`).
fn mix(key: u64) -> u64 {
    const GOLDEN_GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;
    const FIRST: u64 = 0xbf58_476d_1ce4_e5b9;
    const SECOND: u64 = 0x94d0_49bb_1331_11eb;
    let mut z = key.wrapping_add(GOLDEN_GAMMA);
    z = (z ^ (z >> 30)).wrapping_mul(FIRST);
    z = (z ^ (z >> 27)).wrapping_mul(SECOND);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_mix_is_splitmix64_of_the_reference() {
        // The first outputs of splitmix64.c from the state 1234567: output n is the mix of 1234567 + n * gamma.
        let gamma = 0x9e37_79b9_7f4a_7c15_u64;
        for (n, want) in [(0, 6_457_827_717_110_365_317), (1, 3_203_168_211_198_807_973)] {
            assert_eq!(mix(1_234_567_u64.wrapping_add(gamma.wrapping_mul(n))), want);
        }
    }

    #[test]
    fn ten_thousand_devices_crowd_no_second_of_thirty() {
        let mut in_second = [0_u32; 30];
        for key in 0..10_000 {
            let at = spread(key, Millis::from_secs(30)).0;
            in_second[usize::try_from(at / 1000).unwrap()] += 1;
        }
        let mean = 10_000.0 / 30.0;
        for (second, count) in in_second.into_iter().enumerate() {
            assert!(f64::from(count) < 1.3 * mean, "second {second}: {count}");
            assert!(f64::from(count) > 0.7 * mean, "second {second}: {count}");
        }
    }

    #[test]
    fn a_device_keeps_its_moment_from_version_to_version() {
        for (key, ms) in [(0, 26_499), (1, 16_996), (2, 17_735), (u64::MAX, 26_818)] {
            assert_eq!(spread(key, Millis::from_secs(30)), Millis(ms), "key {key}");
        }
    }

    #[test]
    fn no_period_has_no_moment_but_its_start() {
        assert_eq!(spread(7, Millis(0)), Millis::ZERO);
        assert_eq!(spread(7, Millis(-5)), Millis::ZERO);
    }

    proptest! {
        #[test]
        fn the_moment_lies_within_the_period(key: u64, period in 1..=i64::MAX) {
            let at = spread(key, Millis(period)).0;
            prop_assert!((0..period).contains(&at));
        }
    }
}
