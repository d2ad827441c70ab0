//! In which order what waits for one entry is tried: in the order in which it was written, so that nothing is told to be
//! mended before it broke. Only what failed again and again is overtaken, by what is about something else: one message
//! that the other end cannot bear does not hold up all others.

use schedules::Time;

use crate::domain::ids::DeliveryId;

/// After so many tries in vain a delivery may be overtaken.
pub const STUCK: u32 = 6;
/// How many of the oldest are looked at.
pub const WINDOW: u32 = 20;

/// A delivery that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Its number.
    pub id: DeliveryId,
    /// When it is tried next.
    pub due_at: Time,
    /// Until when somebody tries it.
    pub claimed_until: Option<Time>,
    /// How often it was tried.
    pub attempts: u32,
    /// The incidents it is about.
    pub about: Vec<String>,
}

/// Which of those that wait for one entry, the oldest first, is tried next, and when.
#[must_use]
pub fn pick(waiting: &[Waiting], now: Time) -> Option<(DeliveryId, Time)> {
    let mut passed: Vec<&String> = Vec::new();
    let mut best: Option<(DeliveryId, Time)> = None;
    for one in waiting {
        if let Some(until) = one.claimed_until.filter(|until| *until > now) {
            // One at a time.
            return Some((one.id, until));
        }
        let free = !one.about.iter().any(|incident| passed.contains(&incident));
        if free && best.is_none_or(|(_, at)| at > now.max(one.due_at)) {
            best = Some((one.id, one.due_at));
        }
        if free && one.attempts < STUCK {
            break;
        }
        passed.extend(&one.about);
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(id: i64, due_at: i64, attempts: u32, about: &[&str]) -> Waiting {
        let about = about.iter().map(|text| (*text).to_owned()).collect();
        Waiting { id: DeliveryId(id), due_at: Time(due_at), claimed_until: None, attempts, about }
    }

    #[test]
    fn only_what_is_stuck_is_overtaken_and_not_by_what_is_about_the_same() {
        let now = Time(100);
        for (waiting, next) in [
            (vec![], None),
            (vec![one(1, 50, 0, &["a"]), one(2, 50, 0, &["b"])], Some((1, 50))),
            (vec![one(1, 900, 5, &["a"]), one(2, 50, 0, &["b"])], Some((1, 900))),
            (vec![one(1, 900, 6, &["a"]), one(2, 50, 0, &["b"])], Some((2, 50))),
            (vec![one(1, 90, 6, &["a"]), one(2, 50, 0, &["b"])], Some((1, 90))),
            (vec![one(1, 900, 6, &["a", "c"]), one(2, 50, 0, &["b", "a"])], Some((1, 900))),
            (vec![one(1, 900, 6, &["a"]), one(2, 50, 6, &["a"]), one(3, 60, 0, &["b"])], Some((3, 60))),
            (vec![one(1, 900, 6, &["a"]), one(2, 50, 0, &["a"]), one(3, 60, 0, &["b"])], Some((3, 60))),
            (vec![one(1, 900, 6, &["a"]), one(2, 800, 9, &["b"])], Some((2, 800))),
        ] {
            let picked = pick(&waiting, now).map(|(id, at)| (id.0, at.0));
            assert_eq!(picked, next, "{waiting:?}");
        }
    }

    #[test]
    fn one_is_tried_at_a_time() {
        let busy = Waiting { claimed_until: Some(Time(700)), ..one(2, 50, 0, &["b"]) };
        let waiting = [one(1, 900, 6, &["a"]), busy.clone(), one(3, 50, 0, &["c"])];
        assert_eq!(pick(&waiting, Time(100)), Some((DeliveryId(2), Time(700))));
        let late = Waiting { claimed_until: Some(Time(90)), ..busy };
        assert_eq!(pick(&[late], Time(100)), Some((DeliveryId(2), Time(50))), "nobody came back from it");
    }
}
