//! A check-in's rules: when its records happened in truth, which of them are live, and when the next one is missed.

use schedules::{Millis, Time};

/// A device's clock that is off by more than this is worth an event.
pub const SKEW_LIMIT: Millis = Millis::from_secs(5);

/// The three clocks of one call: what dates its records.
#[derive(Clone, Copy, Debug)]
pub struct Dating<'a> {
    /// The server's clock when the call arrived.
    pub now: Time,
    /// The device's clock when it sent the call.
    pub sent_at: Time,
    /// The device's time since boot when it sent the call.
    pub sent_mono: Millis,
    /// The boot in which it sent the call.
    pub boot: &'a str,
}

impl Dating<'_> {
    /// When a record happened by the server's clock. Within the boot of the call the time since boot says it,
    /// whatever the device's clock shows; across boots the device's clock must do, corrected by what it is off now.
    /// Nothing happened in the future.
    #[must_use]
    pub fn date(&self, at: Time, mono: Millis, boot: Option<&str>) -> Time {
        let same_boot = boot.is_none_or(|boot| boot == self.boot);
        let ago = if same_boot && mono > Millis::ZERO && mono <= self.sent_mono {
            self.sent_mono - mono
        } else {
            self.sent_at.since(at)
        };
        self.now - ago.max(Millis::ZERO)
    }

    /// How far the device's clock is ahead of the server's; negative where it is behind.
    #[must_use]
    pub fn skew(&self) -> Millis {
        self.sent_at.since(self.now)
    }
}

/// Whether a record still feeds the states: it is no older than two intervals as it arrives. Older ones are history.
#[must_use]
pub fn is_live(at: Time, now: Time, every: Millis) -> bool {
    now.since(at) <= every.times(2)
}

/// Whether a clock's being off is worth an event: it went over the limit, came back within it, or moved by more than
/// the limit while it was off.
#[must_use]
pub fn skew_is_news(before: Millis, now: Millis) -> bool {
    let off = |skew: Millis| Millis(skew.0.saturating_abs()) > SKEW_LIMIT;
    let moved = Millis(now.0.saturating_sub(before.0).saturating_abs());
    off(before) != off(now) || (off(now) && moved > SKEW_LIMIT)
}

/// When a check-in counts as missed: two intervals and the grace after the last one.
#[must_use]
pub fn missed_at(last: Time, every: Millis, grace: Millis) -> Time {
    last + every.times(2) + grace
}

/// Since when a check-in is missing: the moment the first one did not come.
#[must_use]
pub fn missing_since(last: Time, every: Millis) -> Time {
    last + every
}

/// How much longer agents have after lineman itself was away for `away`: they backed off meanwhile, each up to the
/// longest wait its failed tries have led to (`longest` at most), and none of them is to blame for that.
#[must_use]
pub fn patience_after(away: Millis, every: Millis, longest: Millis) -> Millis {
    (away.times(2) + every).min(longest.max(every))
}

/// How many records a second may come in while many agents return, so that live check-ins are not delayed.
const RETURNING_A_SECOND: i64 = 20_000;
/// The soonest and the latest that an agent with a backlog is asked to call again.
const PACE: (Millis, Millis) = (Millis(100), Millis::from_secs(5));

/// How soon an agent that has a backlog may send more: `returning` agents have one just now, each of which sends `most`
/// records a call, and what was sent last waited for `lag` to be written.
#[must_use]
pub fn pace(returning: u32, most: u32, lag: Millis) -> Millis {
    let share = Millis(i64::from(returning).saturating_mul(i64::from(most)) * 1_000 / RETURNING_A_SECOND);
    let busy = match lag.0 {
        ..=20 => Millis::ZERO,
        21..=200 => Millis::from_secs(1),
        _ => Millis::from_secs(5),
    };
    share.max(busy).max(PACE.0).min(PACE.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATING: Dating<'_> =
        Dating { now: Time(1_000_000), sent_at: Time(5_000), sent_mono: Millis(90_000), boot: "b" };

    #[test]
    fn a_wrong_clock_does_no_harm_within_one_boot() {
        assert_eq!(DATING.date(Time(77), Millis(60_000), None), Time(970_000));
        assert_eq!(DATING.date(Time(77), Millis(60_000), Some("b")), Time(970_000));
    }

    #[test]
    fn across_boots_the_clock_counts_as_it_is_off_now() {
        assert_eq!(DATING.date(Time(2_000), Millis(60_000), Some("a")), Time(997_000));
        assert_eq!(DATING.date(Time(2_000), Millis(0), None), Time(997_000));
    }

    #[test]
    fn nothing_happened_in_the_future() {
        assert_eq!(DATING.date(Time(9_000), Millis(0), Some("a")), DATING.now);
        assert_eq!(DATING.date(Time(i64::MAX), Millis(i64::MAX), None), DATING.now);
        assert!(DATING.date(Time(i64::MIN), Millis(i64::MIN), None) < DATING.now);
    }

    #[test]
    fn the_more_return_the_slower_each_of_them_sends() {
        for (returning, lag, wanted) in [
            (0, 0, 100),
            (1, 0, 100),
            (4, 20, 100),
            (40, 0, 1_000),
            (100, 0, 2_500),
            (1, 21, 1_000),
            (1_000, 0, 5_000),
            (1, 5_000, 5_000),
            (u32::MAX, i64::MAX, 5_000),
        ] {
            assert_eq!(pace(returning, 500, Millis(lag)), Millis(wanted), "{returning} {lag}");
        }
    }

    #[test]
    fn a_record_is_live_for_two_intervals() {
        let every = Millis(30_000);
        assert!(is_live(Time(40_000), Time(100_000), every));
        assert!(!is_live(Time(39_999), Time(100_000), every));
    }

    #[test]
    fn a_skew_is_told_once() {
        let s = Millis::from_secs;
        for (before, now, news) in
            [(0, 4, false), (0, 6, true), (6, 7, false), (6, 20, true), (6, 1, true), (-9, -9, false)]
        {
            assert_eq!(skew_is_news(s(before), s(now)), news, "{before} {now}");
        }
    }

    #[test]
    fn after_an_absence_of_our_own_agents_have_time_to_come_back() {
        let s = Millis::from_secs;
        assert_eq!(patience_after(s(0), s(30), s(300)), s(30));
        assert_eq!(patience_after(s(60), s(30), s(300)), s(150));
        assert_eq!(patience_after(s(3_600), s(30), s(300)), s(300));
        assert_eq!(patience_after(s(3_600), s(900), s(300)), s(900));
    }
}
