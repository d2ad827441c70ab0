//! The story: what happens at which second, again and again. Plain data; nothing happens here.

use schedules::Millis;

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// A device is gone, and with it the way to all that hangs on it.
    Dies(&'static str),
    /// It is back.
    Returns(&'static str),
    /// A device answers late, or not at all.
    Noisy(&'static str),
    /// It answers as it should.
    Quiet(&'static str),
    /// A site has no power: everything stops at once, agents too.
    PowerFails(&'static str),
    /// It has power again.
    PowerReturns(&'static str),
    /// A device has another address: its other one, or its first one again.
    Moves(&'static str),
    /// A person plans the next minute for work on a device.
    Maintenance(&'static str),
}

/// One line of the story.
#[derive(Clone, Copy, Debug)]
pub struct Line {
    /// The second of the round.
    pub at_secs: u32,
    /// What happens.
    pub act: Act,
    /// What a person is told.
    pub text: &'static str,
}

const fn line(at_secs: u32, act: Act, text: &'static str) -> Line {
    Line { at_secs, act, text }
}

/// How long one round is.
pub const ROUND: Millis = Millis::from_secs(360);

/// One round, in its order.
pub const STORY: &[Line] = &[
    line(
        12,
        Act::Dies("router-mill-lane"),
        "the router at Mill Lane dies: six devices behind it are out of reach",
    ),
    line(60, Act::Returns("router-mill-lane"), "the router at Mill Lane is back"),
    line(80, Act::Noisy("weather-harbour"), "the line to the weather station at the harbour gets noisy"),
    line(105, Act::Quiet("weather-harbour"), "the line to the weather station is clean again"),
    line(
        120,
        Act::PowerFails("summit"),
        "the power fails on the summit: five devices go dark, two agents with them",
    ),
    line(160, Act::PowerReturns("summit"), "the summit has power again"),
    line(185, Act::Moves("van-7"), "van 7 drives off: it has another address"),
    line(200, Act::Maintenance("mail-1"), "maintenance of mail-1 begins, as planned: a minute"),
    line(210, Act::Dies("mail-1"), "mail-1 is switched off for its new disk: nobody is alarmed"),
    line(235, Act::Returns("mail-1"), "mail-1 is back, in time"),
    line(245, Act::Dies("ap-harbour"), "the radio link at the harbour comes and goes"),
    line(257, Act::Returns("ap-harbour"), "the radio link at the harbour is back"),
    line(269, Act::Dies("ap-harbour"), "the radio link at the harbour is gone again"),
    line(281, Act::Returns("ap-harbour"), "the radio link at the harbour is back again"),
    line(293, Act::Dies("ap-harbour"), "the radio link at the harbour is gone for the third time"),
    line(305, Act::Returns("ap-harbour"), "the radio link at the harbour is back, and stays"),
    line(325, Act::Moves("van-7"), "van 7 is home: it has its first address again"),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::demo::cast;

    #[test]
    fn the_story_is_in_order_begins_in_the_first_seconds_and_leaves_time_to_settle() {
        assert!(STORY.is_sorted_by(|a, b| a.at_secs < b.at_secs));
        assert!(STORY[0].at_secs <= 15);
        let last = STORY.last().map_or(0, |line| i64::from(line.at_secs));
        assert!(Millis::from_secs(last + 30) < ROUND);
    }

    #[test]
    fn what_a_round_breaks_it_mends_and_one_thing_at_a_time() {
        let mut broken: BTreeSet<(&str, &str)> = BTreeSet::new();
        let mut away = BTreeSet::new();
        for line in STORY {
            let mends = match line.act {
                Act::Dies(name) => broken.insert(("dead", name)),
                Act::Returns(name) => broken.remove(&("dead", name)),
                Act::Noisy(name) => broken.insert(("noisy", name)),
                Act::Quiet(name) => broken.remove(&("noisy", name)),
                Act::PowerFails(site) => broken.insert(("dark", site)),
                Act::PowerReturns(site) => broken.remove(&("dark", site)),
                Act::Moves(name) => away.remove(name) || away.insert(name),
                Act::Maintenance(_) => true,
            };
            assert!(mends, "{line:?}");
            assert!(broken.len() <= 1, "{line:?}: {broken:?}");
        }
        assert!(broken.is_empty() && away.is_empty(), "{broken:?} {away:?}");
    }

    #[test]
    fn the_story_names_whom_there_is() {
        for line in STORY {
            match line.act {
                Act::Dies(name) | Act::Returns(name) | Act::Maintenance(name) => {
                    assert!(cast::find(name).is_some(), "{line:?}");
                }
                Act::Noisy(name) | Act::Quiet(name) => {
                    assert_eq!(cast::find(name).unwrap().service, cast::Service::Web, "{line:?}");
                }
                Act::PowerFails(site) | Act::PowerReturns(site) => {
                    assert!(cast::at_site(site).iter().any(|device| device.has_agent), "{line:?}");
                }
                Act::Moves(name) => {
                    let device = cast::find(name).unwrap();
                    assert!(device.elsewhere.is_some() && device.has_agent, "{line:?}");
                }
            }
        }
    }
}
