//! A ticket: work for a person. Its priority is a score with reasons; its state follows the network, and a person.

use schedules::{Millis, Time};

use crate::domain::device::Importance;
use crate::domain::named;
use crate::domain::verdict::Code;

named! {
    /// What a ticket is about.
    pub enum Kind {
        /// A device is, or was, down.
        Outage = "outage",
        /// Planned work.
        Project = "project",
        /// Somebody asked for something.
        Request = "request",
    }
}

named! {
    /// Where a ticket stands.
    pub enum State {
        /// There is work to do.
        Open = "open",
        /// It waits for somebody else; the service clock stands.
        Waiting = "waiting",
        /// The device came back by itself; settles, or waits for whoever touched it.
        Recovered = "recovered",
        /// Settled by itself, or resolved by a person.
        Resolved = "resolved",
        /// A person closed it.
        Closed = "closed",
        /// It went into the ticket of a root.
        Merged = "merged",
    }
}

impl State {
    /// Whether nobody has to look at it any more.
    #[must_use]
    pub fn is_done(self) -> bool {
        match self {
            State::Resolved | State::Closed | State::Merged => true,
            State::Open | State::Waiting | State::Recovered => false,
        }
    }
}

named! {
    /// How soon it wants a person: from a score, or pinned by a person.
    pub enum Priority {
        /// 80 points and more.
        P1 = "P1",
        /// 60 points and more.
        P2 = "P2",
        /// 40 points and more.
        P3 = "P3",
        /// 20 points and more.
        P4 = "P4",
        /// Fewer than 20 points.
        P5 = "P5",
    }
}

named! {
    /// What the trouble is like now: the largest part of the score.
    pub enum Condition {
        /// The device is down.
        Down = "down",
        /// The device is reachable, but not well.
        Degraded = "degraded",
        /// The device goes up and down.
        Flapping = "flapping",
        /// The device came back by itself.
        Recovered = "recovered",
        /// Work that is not an outage.
        Work = "work",
    }
}

named! {
    /// What the verdict on its outage says of a trouble.
    pub enum Fault {
        /// Nothing that changes how soon it wants a person.
        Open = "open",
        /// It is the customer's own power.
        OwnPower = "own power",
    }
}

impl Fault {
    /// What a verdict says, where it is sure enough.
    #[must_use]
    pub fn of(code: Code, confidence: u8) -> Fault {
        if confidence < SURE {
            Fault::Open
        } else if code.is_own_power() {
            Fault::OwnPower
        } else {
            Fault::Open
        }
    }
}

/// From which confidence on a verdict counts, in percent.
const SURE: u8 = 50;

/// All that a score follows from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weights {
    /// What the trouble is like now.
    pub condition: Condition,
    /// How many devices are out of reach because of it, itself among them.
    pub out_of_reach: u32,
    /// How important the most important of them is.
    pub importance: Importance,
    /// How many customers are out because of it.
    pub customers_out: u32,
    /// How long nobody acknowledged it; zero once somebody did.
    pub unacknowledged: Millis,
    /// Whether there is another way to all that hangs on it.
    pub relief: bool,
    /// What its verdict says.
    pub fault: Fault,
}

impl Weights {
    /// Those of work that is no outage.
    #[must_use]
    pub fn work(importance: Importance, unacknowledged: Millis) -> Weights {
        Weights {
            condition: Condition::Work,
            out_of_reach: 1,
            importance,
            customers_out: 0,
            unacknowledged,
            relief: false,
            fault: Fault::Open,
        }
    }
}

/// A score, with the reasons that make it up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Score {
    /// The reasons: points, and what they are for. Their sum is the score.
    pub reasons: Vec<(i32, String)>,
}

impl Score {
    /// The sum of all points.
    #[must_use]
    pub fn points(&self) -> i32 {
        self.reasons.iter().map(|(points, _)| points).sum()
    }

    /// The priority these points make.
    #[must_use]
    pub fn priority(&self) -> Priority {
        match self.points() {
            80.. => Priority::P1,
            60..=79 => Priority::P2,
            40..=59 => Priority::P3,
            20..=39 => Priority::P4,
            _ => Priority::P5,
        }
    }
}

/// How soon it wants a person, and why. What has recovered has the points of that alone: it stays P5, whatever hung
/// on it while it was down.
#[must_use]
pub fn score(w: Weights) -> Score {
    let (points, what) = match w.condition {
        Condition::Down => (50, "the device is down"),
        Condition::Degraded => (25, "the device is degraded"),
        Condition::Flapping => (30, "the device is flapping"),
        Condition::Recovered => (5, "it recovered by itself"),
        Condition::Work => (20, "work, not an outage"),
    };
    let mut reasons = vec![(points, what.to_owned())];
    if w.condition == Condition::Recovered {
        return Score { reasons };
    }
    let reach = (10 * doublings(w.out_of_reach)).min(30);
    if reach > 0 {
        let behind = match w.out_of_reach - 1 {
            1 => "1 device behind it is".to_owned(),
            many => format!("{many} devices behind it are"),
        };
        reasons.push((reach, format!("{behind} out of reach because of it")));
    }
    match w.importance {
        Importance::Critical => reasons.push((20, "its importance is critical".to_owned())),
        Importance::High => reasons.push((10, "its importance is high".to_owned())),
        Importance::Normal => {}
        Importance::Low => reasons.push((-15, "its importance is low".to_owned())),
    }
    let customers = (5 * doublings(w.customers_out)).min(20);
    if customers > 0 {
        reasons.push((customers, format!("{} customers are out", w.customers_out)));
    }
    let hours = i32::try_from(w.unacknowledged.0 / HOUR.0).unwrap_or(i32::MAX).clamp(0, 3);
    if hours > 0 {
        let plural = if hours == 1 { "" } else { "s" };
        let more = if hours == 3 { " or more" } else { "" };
        reasons.push((5 * hours, format!("nobody acknowledged it for {hours} hour{plural}{more}")));
    }
    if w.relief {
        reasons.push((-20, "there is another way to all that hangs on it".to_owned()));
    }
    if w.fault == Fault::OwnPower {
        reasons.push((-10, "its verdict says that it is the customer's own power".to_owned()));
    }
    Score { reasons }
}

const HOUR: Millis = Millis::from_secs(3_600);

fn doublings(n: u32) -> i32 {
    n.checked_ilog2().map_or(0, |log| i32::try_from(log).unwrap_or(30))
}

/// When the age of a ticket next changes its score; `None` once it no longer does.
#[must_use]
pub fn next_age_step(opened_at: Time, now: Time) -> Option<Time> {
    (1..=3).map(|hours| opened_at + HOUR.times(hours)).find(|&at| at > now)
}

/// What happens to a ticket when its device goes down (hard, and still after the grouping time).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnDown {
    /// There is none: open one.
    Open,
    /// It is open already: nothing.
    Stays,
    /// It had recovered: it is open again, and its recurrence counted.
    Reopen,
}

/// The newest outage ticket of a device, as far as a relapse goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Newest {
    /// Where it stands.
    pub state: State,
    /// When it resolved by itself; absent where a person ended it, or nobody did.
    pub self_resolved_at: Option<Time>,
}

/// Never two tickets for one trouble: it fails again before the ticket is done, or within `reopen_within` of having
/// resolved itself, and the same ticket is reopened.
#[must_use]
pub fn on_down(newest: Option<Newest>, now: Time, reopen_within: Millis) -> OnDown {
    match newest {
        None => OnDown::Open,
        Some(newest) => match newest.state {
            State::Open | State::Waiting => OnDown::Stays,
            State::Recovered => OnDown::Reopen,
            State::Resolved => match newest.self_resolved_at {
                Some(at) if now.since(at) <= reopen_within => OnDown::Reopen,
                Some(_) | None => OnDown::Open,
            },
            State::Closed | State::Merged => OnDown::Open,
        },
    }
}

/// When a recovered ticket resolves itself: after `settle` without a relapse, unless a person touched it; then it is
/// theirs until they close it.
#[must_use]
pub fn settles_at(recovered_at: Time, touched: bool, settle: Millis) -> Option<Time> {
    (!touched).then(|| recovered_at + settle)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weights(
        condition: Condition,
        out: u32,
        importance: Importance,
        customers: u32,
        hours: i64,
    ) -> Weights {
        Weights {
            condition,
            out_of_reach: out,
            importance,
            customers_out: customers,
            unacknowledged: Millis::from_secs(3_600 * hours),
            relief: false,
            fault: Fault::Open,
        }
    }

    #[test]
    fn the_score_is_the_table_of_the_rules() {
        use Condition::{Degraded, Down, Recovered, Work};
        use Importance::{Critical, High, Low, Normal};
        #[rustfmt::skip]
        let table = [
            (weights(Down, 1, Normal, 0, 0),        50, Priority::P3),
            (weights(Down, 2, Normal, 0, 0),        60, Priority::P2),
            (weights(Down, 3, Normal, 1, 0),        60, Priority::P2),
            (weights(Down, 8, Normal, 0, 0),        80, Priority::P1),
            (weights(Down, 4_000, Normal, 0, 0),    80, Priority::P1),
            (weights(Down, 1, Critical, 0, 0),      70, Priority::P2),
            (weights(Down, 1, High, 16, 0),         80, Priority::P1),
            (weights(Down, 1, Low, 0, 0),           35, Priority::P4),
            (weights(Down, 1, Normal, 0, 1),        55, Priority::P3),
            (weights(Down, 1, Normal, 0, 900),      65, Priority::P2),
            (weights(Degraded, 1, Normal, 0, 0),    25, Priority::P4),
            (weights(Condition::Flapping, 1, Normal, 0, 0), 30, Priority::P4),
            (Weights { relief: true, ..weights(Down, 1, Normal, 0, 0) }, 30, Priority::P4),
            (Weights { fault: Fault::OwnPower, ..weights(Down, 1, Normal, 0, 0) }, 40, Priority::P3),
            (weights(Recovered, 900, Critical, 99, 9), 5, Priority::P5),
            (weights(Work, 0, Normal, 0, 0),        20, Priority::P4),
            (weights(Work, 0, Low, 0, 0),            5, Priority::P5),
        ];
        for (weights, points, priority) in table {
            let score = score(weights);
            assert_eq!((score.points(), score.priority()), (points, priority), "{weights:?}");
        }
    }

    #[test]
    fn a_verdict_counts_where_it_is_sure() {
        for (code, sure, fault) in [
            (Code::SitePower, 95, Fault::OwnPower),
            (Code::DevicePower, 49, Fault::Open),
            // What a restart explains is over with it: what is not well then is something else.
            (Code::Sleep, 90, Fault::Open),
            (Code::LastMile, 99, Fault::Open),
            (Code::Provisional, 99, Fault::Open),
        ] {
            assert_eq!(Fault::of(code, sure), fault, "{code} {sure}");
        }
    }

    #[test]
    fn one_trouble_has_one_ticket() {
        let hour = |h: i64| Time(3_600_000 * h);
        let day = Millis::from_secs(86_400);
        let newest = |state, at: Option<Time>| Some(Newest { state, self_resolved_at: at });
        assert_eq!(on_down(None, hour(30), day), OnDown::Open);
        assert_eq!(on_down(newest(State::Open, None), hour(30), day), OnDown::Stays);
        assert_eq!(on_down(newest(State::Waiting, None), hour(30), day), OnDown::Stays);
        assert_eq!(on_down(newest(State::Recovered, None), hour(30), day), OnDown::Reopen);
        assert_eq!(on_down(newest(State::Resolved, Some(hour(6))), hour(30), day), OnDown::Reopen);
        assert_eq!(on_down(newest(State::Resolved, Some(hour(5))), hour(30), day), OnDown::Open);
        assert_eq!(on_down(newest(State::Resolved, None), hour(30), day), OnDown::Open);
        assert_eq!(on_down(newest(State::Closed, None), hour(30), day), OnDown::Open);
        assert_eq!(on_down(newest(State::Merged, None), hour(30), day), OnDown::Open);
    }

    #[test]
    fn what_a_person_touched_stays_theirs() {
        let settle = Millis::from_secs(1_800);
        assert_eq!(settles_at(Time(1_000), false, settle), Some(Time(1_801_000)));
        assert_eq!(settles_at(Time(1_000), true, settle), None);
    }

    #[test]
    fn age_counts_three_times_and_then_no_more() {
        let opened = Time(0);
        assert_eq!(next_age_step(opened, Time(0)), Some(Time(3_600_000)));
        assert_eq!(next_age_step(opened, Time(3_600_000)), Some(Time(7_200_000)));
        assert_eq!(next_age_step(opened, Time(10_800_000)), None);
    }
}
