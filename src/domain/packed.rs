//! Readings and roll-ups in few bytes: a series of them as the differences of each from the one before.
//!
//! Numbers are written seven bits a byte, the lowest first, the eighth bit says that more follow (LEB128); differences as
//! 0, -1, 1, -2, 2 … (zigzag). The first byte is the form. What is read may be damaged: then it is refused.
//!
//! A reading is: how its distance from the one before differs from that one's distance; its outcome (two bits) and which
//! measures it has (five bits); each measure as its difference from the last one of its kind. So a reading that comes in
//! time with values like those before takes a byte for each of these.
//!
//! A roll-up is: which measures it has, and whether all readings were well, had all of these measures, and follow the time
//! before; how many readings; each measure's least value as a difference, then how far the most is above it, and how far
//! the sum is above the least it can be, each only where it says more than the rest.

use agent::report::Outcome;
use schedules::{Millis, Time};

use crate::domain::rollup::{Extent, MEASURES, Rollup, Rollups, Sample};

const FORM: u8 = 1;
const ALL_WELL: u8 = 1 << 5;
const ALL_MEASURED: u8 = 1 << 6;
const AFTER_A_GAP: u8 = 1 << 7;

/// A pack that is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("readings in the database are damaged, or a newer lineman wrote them")]
pub struct BadPack;

/// Packs readings; they stand in the order of their times. `base`: a time near them, known to whoever reads them.
#[must_use]
pub fn pack_samples(samples: &[Sample], base: Time) -> Vec<u8> {
    let mut out = vec![FORM];
    let (mut at, mut distance) = (base.0, 0_i64);
    let mut last = [0_i64; MEASURES];
    for sample in samples {
        let now = sample.at.0.wrapping_sub(at);
        write_signed(&mut out, now.wrapping_sub(distance));
        (at, distance) = (sample.at.0, now);
        out.push(code(sample.outcome) << 5 | which(&sample.values));
        for (value, last) in sample.values.iter().zip(&mut last) {
            if let Some(value) = value.map(i64::from) {
                write_signed(&mut out, value - *last);
                *last = value;
            }
        }
    }
    out
}

/// The readings in a pack.
///
/// # Errors
/// It is damaged.
pub fn unpack_samples(pack: &[u8], base: Time) -> Result<Vec<Sample>, BadPack> {
    let mut rest = Reader::new(pack)?;
    let (mut at, mut distance) = (base.0, 0_i64);
    let mut last = [0_i64; MEASURES];
    let mut all = Vec::new();
    while !rest.is_empty() {
        distance = distance.wrapping_add(rest.signed()?);
        at = at.wrapping_add(distance);
        let flags = rest.byte()?;
        let mut values = [None; MEASURES];
        for (bit, (value, last)) in values.iter_mut().zip(&mut last).enumerate() {
            if flags & 1 << bit != 0 {
                *last = last.wrapping_add(rest.signed()?);
                *value = Some(u32::try_from(*last).map_err(|_| BadPack)?);
            }
        }
        all.push(Sample { at: Time(at), outcome: outcome(flags >> 5)?, values });
    }
    Ok(all)
}

/// Packs roll-ups of times that are `span` long, the first of which begins at `base` or later.
#[must_use]
pub fn pack_rollups<'r>(all: impl IntoIterator<Item = &'r Rollup>, base: Time, span: Millis) -> Vec<u8> {
    let mut out = vec![FORM];
    let mut expected = base;
    let mut last = [0_i64; MEASURES];
    for one in all {
        let gap = u64::try_from(one.at.since(expected).0 / span.0.max(1)).unwrap_or(0);
        expected = one.at + span;
        let total = one.count();
        let all_well = total == one.ok;
        let all_measured = one.values.iter().flatten().all(|extent| extent.count == total);
        let flag = |set: bool, flag: u8| if set { flag } else { 0 };
        out.push(
            which(&one.values)
                | flag(all_well, ALL_WELL)
                | flag(all_measured, ALL_MEASURED)
                | flag(gap > 0, AFTER_A_GAP),
        );
        if gap > 0 {
            write(&mut out, gap);
        }
        write(&mut out, one.ok);
        if !all_well {
            [one.warn, one.fail, one.unknown].into_iter().for_each(|count| write(&mut out, count));
        }
        for (extent, last) in one.values.iter().zip(&mut last) {
            let Some(extent) = extent else { continue };
            if !all_measured {
                write(&mut out, extent.count);
            }
            write_signed(&mut out, i64::from(extent.min) - *last);
            *last = i64::from(extent.min);
            if extent.count > 1 {
                write(&mut out, u64::from(extent.max - extent.min));
            }
            if extent.count > 2 && extent.max > extent.min {
                write(&mut out, extent.sum.wrapping_sub(least_sum(extent.min, extent.count)));
            }
        }
    }
    out
}

/// The roll-ups in a pack.
///
/// # Errors
/// It is damaged.
pub fn unpack_rollups(pack: &[u8], base: Time, span: Millis) -> Result<Rollups, BadPack> {
    let mut rest = Reader::new(pack)?;
    let mut at = base;
    let mut last = [0_i64; MEASURES];
    let mut all = Rollups::default();
    while !rest.is_empty() {
        let flags = rest.byte()?;
        if flags & AFTER_A_GAP != 0 {
            at += span.times(i64::try_from(rest.number()?).map_err(|_| BadPack)?);
        }
        let mut one = Rollup { ok: rest.number()?, ..Rollup::none(at) };
        if flags & ALL_WELL == 0 {
            (one.warn, one.fail, one.unknown) = (rest.number()?, rest.number()?, rest.number()?);
        }
        let total = one.count();
        for (bit, last) in last.iter_mut().enumerate() {
            if flags & 1 << bit == 0 {
                continue;
            }
            let count = if flags & ALL_MEASURED != 0 { total } else { rest.number()? };
            *last = last.wrapping_add(rest.signed()?);
            let min = u32::try_from(*last).map_err(|_| BadPack)?;
            let above = if count > 1 { rest.number()? } else { 0 };
            let max = u32::try_from(above).ok().and_then(|above| min.checked_add(above)).ok_or(BadPack)?;
            let sum = match count {
                0 => return Err(BadPack),
                1 => u64::from(min),
                2 => u64::from(min) + u64::from(max),
                _ if max == min => least_sum(min, count),
                _ => least_sum(min, count).wrapping_add(rest.number()?),
            };
            one.values[bit] = Some(Extent { count, sum, min, max });
        }
        all.add(&one);
        at += span;
    }
    Ok(all)
}

fn least_sum(min: u32, count: u64) -> u64 {
    u64::from(min).wrapping_mul(count)
}

fn which<T>(values: &[Option<T>; MEASURES]) -> u8 {
    values.iter().enumerate().fold(0, |bits, (bit, value)| bits | u8::from(value.is_some()) << bit)
}

fn code(outcome: Outcome) -> u8 {
    match outcome {
        Outcome::Ok => 0,
        Outcome::Warn => 1,
        Outcome::Fail => 2,
        Outcome::Unknown => 3,
    }
}

fn outcome(code: u8) -> Result<Outcome, BadPack> {
    match code {
        0 => Ok(Outcome::Ok),
        1 => Ok(Outcome::Warn),
        2 => Ok(Outcome::Fail),
        3 => Ok(Outcome::Unknown),
        4.. => Err(BadPack),
    }
}

fn write(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn write_signed(out: &mut Vec<u8>, number: i64) {
    write(out, (number << 1 ^ number >> 63).cast_unsigned());
}

struct Reader<'p>(&'p [u8]);

impl<'p> Reader<'p> {
    fn new(pack: &'p [u8]) -> Result<Reader<'p>, BadPack> {
        match pack.split_first() {
            Some((&FORM, rest)) => Ok(Reader(rest)),
            Some(_) | None => Err(BadPack),
        }
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn byte(&mut self) -> Result<u8, BadPack> {
        let (&first, rest) = self.0.split_first().ok_or(BadPack)?;
        self.0 = rest;
        Ok(first)
    }

    fn number(&mut self) -> Result<u64, BadPack> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(BadPack)
    }

    fn signed(&mut self) -> Result<i64, BadPack> {
        let number = self.number()?;
        Ok((number >> 1).cast_signed() ^ -(number & 1).cast_signed())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::rollup::tests::{rolled, samples};
    use crate::domain::rollup::{Level, floor};

    proptest! {
        #[test]
        fn what_is_packed_is_unpacked_as_it_was(mut all in samples(60)) {
            all.sort_by_key(|sample| sample.at);
            let base = Time(1_795_000_000_000);
            prop_assert_eq!(unpack_samples(&pack_samples(&all, base), base).unwrap(), all.clone());
            for &level in Level::ALL {
                let rollups = rolled(level, &all);
                let base = floor(base, level.pack());
                let pack = pack_rollups(rollups.iter(), base, level.span());
                prop_assert_eq!(unpack_rollups(&pack, base, level.span()).unwrap(), rollups);
            }
        }

        #[test]
        fn nothing_that_stands_there_instead_panics(mut pack in prop::collection::vec(any::<u8>(), 0..60)) {
            if let Some(first) = pack.first_mut() {
                *first %= 3;
            }
            drop(unpack_samples(&pack, Time(i64::MAX)));
            drop(unpack_rollups(&pack, Time(i64::MAX), Level::Day.span()));
        }

        #[test]
        fn times_from_one_end_to_the_other_are_kept(all in prop::collection::vec(any::<i64>(), 0..9)) {
            let all: Vec<Sample> = all
                .into_iter()
                .map(|at| Sample { at: Time(at), outcome: Outcome::Warn, values: [None; MEASURES] })
                .collect();
            prop_assert_eq!(unpack_samples(&pack_samples(&all, Time(7)), Time(7)).unwrap(), all);
        }
    }

    #[test]
    fn a_steady_reading_takes_a_byte_for_each_thing_it_says() {
        let all: Vec<Sample> = (0..120)
            .map(|n| Sample {
                at: Time(n * 30_000 + n % 3),
                outcome: Outcome::Ok,
                values: [Some(800 + u32::try_from(n % 7).unwrap()), Some(0), None, None, None],
            })
            .collect();
        assert!(pack_samples(&all, Time(0)).len() < 4 * all.len() + 10);
        let minutes = rolled(Level::Minute, &all);
        assert!(pack_rollups(minutes.iter(), Time(0), Level::Minute.span()).len() < 7 * minutes.len() + 10);
    }
}
