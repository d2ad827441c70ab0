//! An outage: the interval in which a device was down, and what is known about why.

use schedules::{Millis, Time};

use crate::domain::named;

named! {
    /// How well an outage's beginning and end are known.
    pub enum Source {
        /// The server saw it.
        Seen = "seen",
        /// The device's agent told of it afterwards: it was cut off.
        Agent = "agent",
    }
}

/// How long it lasted, or lasts at `now`; never negative.
#[must_use]
pub fn duration(started_at: Time, ended_at: Option<Time>, now: Time) -> Millis {
    Millis(ended_at.unwrap_or(now).since(started_at).0.max(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_outage_lasts_until_now_and_none_is_negative() {
        assert_eq!(duration(Time(10), None, Time(25)), Millis(15));
        assert_eq!(duration(Time(10), Some(Time(20)), Time(25)), Millis(10));
        assert_eq!(duration(Time(30), None, Time(25)), Millis(0));
    }
}
