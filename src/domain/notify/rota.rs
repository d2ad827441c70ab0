//! A rota: who of several has duty, from when, and who comes next.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use schedules::Time;

use crate::domain::ids::EntryId;

/// The most members of one.
pub const MAX_MEMBERS: usize = 50;
/// The longest turn, in days.
pub const MAX_DAYS: i64 = 366;

/// Members take turns: the first from `from` on, each for so many days. Duty is handed over at the same time on the
/// clocks of the zone, also after these were changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rota {
    /// When the first member's first turn begins.
    pub from: Time,
    /// How many days a turn has: 1 to [`MAX_DAYS`].
    pub days: i64,
    /// Who takes turns, in their order.
    pub members: Vec<EntryId>,
    /// Who does it for another: of several that cover a moment the last counts.
    pub swaps: Vec<Swap>,
}

/// A time in which one has duty whose turn it is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Swap {
    /// Who has duty.
    pub who: EntryId,
    /// From when on.
    pub from: Time,
    /// Until when.
    pub until: Time,
}

/// Who has duty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Duty {
    /// Who.
    pub who: EntryId,
    /// When somebody else may have it: to be looked at again.
    pub until: Time,
}

impl Rota {
    /// Who has duty at `now`; nobody where there are no members. Before the first turn it goes round as if it had
    /// always done so.
    #[must_use]
    pub fn duty(&self, now: Time, zone: &TimeZone) -> Option<Duty> {
        let (turn, ends) = self.turn(now, zone)?;
        let count = i64::try_from(self.members.len()).ok().filter(|count| *count > 0)?;
        let usual = *self.members.get(usize::try_from(turn.rem_euclid(count)).ok()?)?;
        let who = self.swaps.iter().rev().find(|swap| swap.from <= now && now < swap.until);
        let edges = self.swaps.iter().flat_map(|swap| [swap.from, swap.until]);
        let until = edges.filter(|edge| *edge > now).fold(ends, Time::min);
        Some(Duty { who: who.map_or(usual, |swap| swap.who), until })
    }

    /// Who has duty after the one who has it at `now`, and from when on; nobody where it stays as it is for as long as
    /// anybody looks.
    #[must_use]
    pub fn next(&self, now: Time, zone: &TimeZone) -> Option<(EntryId, Time)> {
        let has = self.duty(now, zone)?;
        let mut duty = has;
        for _ in 0..2 * (self.swaps.len() + self.members.len()) + 2 {
            let from = duty.until;
            duty = self.duty(from, zone)?;
            if duty.who != has.who {
                return Some((duty.who, from));
            }
        }
        None
    }

    /// The number of the turn in which `now` lies, and when it ends.
    fn turn(&self, now: Time, zone: &TimeZone) -> Option<(i64, Time)> {
        let civil =
            |at: Time| Some(Timestamp::from_millisecond(at.0).ok()?.to_zoned(zone.clone()).datetime());
        let first = civil(self.from)?;
        let passed = first.date().until(civil(now)?.date()).ok()?.get_days();
        let days = self.days.clamp(1, MAX_DAYS);
        let mut turn = i64::from(passed).div_euclid(days);
        while self.begins(first, turn, days, zone)? > now {
            turn -= 1;
        }
        loop {
            let ends = self.begins(first, turn + 1, days, zone)?;
            if ends > now {
                return Some((turn, ends));
            }
            turn += 1;
        }
    }

    fn begins(&self, first: DateTime, turn: i64, days: i64, zone: &TimeZone) -> Option<Time> {
        let day = first.checked_add(turn.checked_mul(days)?.days()).ok()?;
        Some(Time(day.to_zoned(zone.clone()).ok()?.timestamp().as_millisecond()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::when;

    const ANA: EntryId = EntryId(1);
    const BEN: EntryId = EntryId(2);

    fn berlin() -> TimeZone {
        TimeZone::get("Europe/Berlin").unwrap()
    }

    fn at(text: &str) -> Time {
        when::time(text, Time(0), &berlin()).unwrap()
    }

    fn weekly() -> Rota {
        Rota { from: at("2026-03-23 09:00"), days: 7, members: vec![ANA, BEN], swaps: Vec::new() }
    }

    #[test]
    fn duty_is_handed_over_at_the_same_hour_over_both_clock_changes() {
        for (now, who, until) in [
            ("2026-03-23 09:00", ANA, "2026-03-30 09:00"),
            ("2026-03-30T06:59:59Z", ANA, "2026-03-30T07:00:00Z"),
            ("2026-03-30T07:00:00Z", BEN, "2026-04-06T07:00:00Z"),
            ("2026-03-16 09:00", BEN, "2026-03-23T08:00:00Z"),
            ("2026-10-25 12:00", ANA, "2026-10-26T08:00:00Z"),
            ("2026-10-26T07:59:59Z", ANA, "2026-10-26T08:00:00Z"),
            ("2026-10-26T08:00:00Z", BEN, "2026-11-02T08:00:00Z"),
        ] {
            let duty = weekly().duty(at(now), &berlin());
            assert_eq!(duty, Some(Duty { who, until: at(until) }), "{now}");
        }
    }

    #[test]
    fn a_swap_counts_while_it_lasts_and_the_last_of_several() {
        let swap = |who, from, until| Swap { who, from: at(from), until: at(until) };
        let carl = EntryId(3);
        let rota = Rota {
            swaps: vec![
                swap(BEN, "2026-03-24 08:00", "2026-03-24 20:00"),
                swap(carl, "2026-03-24 12:00", "2026-03-24 13:00"),
            ],
            ..weekly()
        };
        for (now, who, until) in [
            ("2026-03-24 07:59", ANA, "2026-03-24 08:00"),
            ("2026-03-24 08:00", BEN, "2026-03-24 12:00"),
            ("2026-03-24 12:30", carl, "2026-03-24 13:00"),
            ("2026-03-24 13:00", BEN, "2026-03-24 20:00"),
            ("2026-03-24 20:00", ANA, "2026-03-30 09:00"),
        ] {
            assert_eq!(rota.duty(at(now), &berlin()), Some(Duty { who, until: at(until) }), "{now}");
        }
        assert_eq!(rota.next(at("2026-03-24 13:00"), &berlin()), Some((ANA, at("2026-03-24 20:00"))));
        assert_eq!(rota.next(at("2026-03-24 20:00"), &berlin()), Some((BEN, at("2026-03-30 09:00"))));
    }

    #[test]
    fn who_is_alone_has_no_successor() {
        let alone = Rota { members: vec![ANA], ..weekly() };
        assert_eq!(alone.next(at("2026-03-24 12:00"), &berlin()), None);
        assert_eq!(Rota { members: Vec::new(), ..weekly() }.duty(at("now"), &berlin()), None);
    }

    proptest! {
        #[test]
        fn somebody_has_duty_at_every_moment_and_turns_meet(
            now in 1_700_000_000_000..1_900_000_000_000_i64, days in 1..40_i64, hour in 0..24_i64,
        ) {
            let from = Time(1_774_224_000_000 + hour * 3_600_000);
            let rota = Rota { from, days, members: vec![ANA, BEN], swaps: Vec::new() };
            let duty = rota.duty(Time(now), &berlin()).unwrap();
            prop_assert!(duty.until > Time(now));
            prop_assert_eq!(rota.duty(Time(duty.until.0 - 1), &berlin()).unwrap().who, duty.who);
            prop_assert_ne!(rota.duty(duty.until, &berlin()).unwrap().who, duty.who);
        }
    }
}
