//! Whether the server itself is cut off: its anchors fail, or unrelated sites drop together. What it then sees says nothing
//! about the devices.

use std::collections::BTreeMap;

use schedules::{Millis, Time};

/// A device that hangs on nothing but the server's own way to it, or one of the server's anchors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Top {
    /// Its site; those without one are together.
    pub site: Option<i64>,
    /// Since when nothing it was asked was answered; absent: it answers.
    pub silent_since: Option<Time>,
    /// Whether one of its proofs failed hard.
    pub failed: bool,
    /// When it last answered.
    pub good_at: Option<Time>,
}

/// How many sites it takes, and how close together they drop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// `blind.share`, in percent.
    pub share: u32,
    /// `blind.sites`
    pub sites: u32,
    /// `blind.window`
    pub window: Millis,
}

/// What the server can see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum View {
    /// Enough others answered since.
    Clear,
    /// Others fail as well, or were not tried since.
    Doubtful,
    /// It is cut off.
    Blind {
        /// Since the first that dropped.
        since: Time,
        /// Why that is so.
        reason: String,
    },
}

/// The anchors, and the sites, as they answer now.
#[derive(Clone, Debug)]
pub struct Seen {
    anchors: Vec<Top>,
    groups: Vec<Group>,
}

/// One site, as the share rule sees it.
#[derive(Clone, Copy, Debug)]
struct Group {
    /// Since when all of it is silent; absent: something of it answers.
    silent_since: Option<Time>,
    /// The first of it that fell silent.
    first: Time,
    failed: bool,
    good_at: Option<Time>,
}

impl Seen {
    /// What is known of the anchors and of what hangs on nothing. A site is silent when all of it is; what had been silent
    /// since before `stale` says nothing.
    #[must_use]
    pub fn new(anchors: Vec<Top>, tops: &[Top], stale: Time) -> Seen {
        Seen { anchors, groups: groups(tops, stale) }
    }

    /// What the server can see, when something has failed since `since`.
    #[must_use]
    pub fn look(&self, since: Time, rule: Rule) -> View {
        let Seen { anchors, groups } = self;
        let all_failed = anchors.iter().all(|anchor| anchor.failed && anchor.silent_since.is_some());
        if !anchors.is_empty() && all_failed {
            let first = anchors.iter().filter_map(|anchor| anchor.silent_since).min().unwrap_or(since);
            return View::Blind { since: first, reason: "none of its anchors answers".to_owned() };
        }
        if groups.len() >= least(rule) {
            let newest = groups.iter().filter_map(|group| group.silent_since).max();
            let together: Vec<&Group> = groups
                .iter()
                .filter(|group| group.silent_since.is_some_and(|at| Some(at + rule.window) >= newest))
                .collect();
            if is_over(together.len(), groups.len(), rule) && together.iter().any(|group| group.failed) {
                let first = together.iter().map(|group| group.first).min().unwrap_or(since);
                let reason = format!("{} of {} sites dropped together", together.len(), groups.len());
                return View::Blind { since: first, reason };
            }
            let unseen = groups.iter().filter(|group| group.good_at < Some(since)).count();
            if is_over(unseen, groups.len(), rule) {
                return View::Doubtful;
            }
        }
        if !anchors.is_empty() && !anchors.iter().any(|anchor| anchor.good_at >= Some(since)) {
            return View::Doubtful;
        }
        View::Clear
    }

    /// Whether a server that was cut off since `since` can see again: an anchor answers, where there are any, and no more
    /// sites are silent than it takes.
    #[must_use]
    pub fn is_back(&self, since: Time, rule: Rule) -> bool {
        let Seen { anchors, groups } = self;
        let answered = |top: &Top| top.silent_since.is_none() && top.good_at > Some(since);
        if !anchors.is_empty() && !anchors.iter().any(answered) {
            return false;
        }
        let silent = groups.iter().filter(|group| group.silent_since.is_some()).count();
        !(groups.len() >= least(rule) && is_over(silent, groups.len(), rule))
    }
}

fn least(rule: Rule) -> usize {
    usize::try_from(rule.sites).unwrap_or(usize::MAX).max(2)
}

fn is_over(some: usize, all: usize, rule: Rule) -> bool {
    some.saturating_mul(100) > all.saturating_mul(usize::try_from(rule.share).unwrap_or(100))
}

/// The sites, without what had been silent since before `stale`.
fn groups(tops: &[Top], stale: Time) -> Vec<Group> {
    let mut all: BTreeMap<Option<i64>, Group> = BTreeMap::new();
    for top in tops {
        if top.silent_since.is_some_and(|at| at < stale) {
            continue;
        }
        let group = all.entry(top.site).or_insert(Group {
            silent_since: Some(Time::MIN),
            first: Time::MAX,
            failed: false,
            good_at: None,
        });
        group.silent_since = match (group.silent_since, top.silent_since) {
            (Some(before), Some(at)) => Some(before.max(at)),
            (None, _) | (_, None) => None,
        };
        group.first = group.first.min(top.silent_since.unwrap_or(Time::MAX));
        group.failed |= top.failed;
        group.good_at = group.good_at.max(top.good_at);
    }
    all.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: Rule = Rule { share: 50, sites: 3, window: Millis(60) };

    fn silent(site: i64, since: i64) -> Top {
        Top {
            site: Some(site),
            silent_since: Some(Time(since)),
            failed: true,
            good_at: Some(Time(since - 30)),
        }
    }

    fn fine(site: i64, good_at: i64) -> Top {
        Top { site: Some(site), silent_since: None, failed: false, good_at: Some(Time(good_at)) }
    }

    fn kind(view: &View) -> &'static str {
        match view {
            View::Clear => "clear",
            View::Doubtful => "doubtful",
            View::Blind { .. } => "blind",
        }
    }

    #[test]
    fn the_server_is_blind_when_unrelated_sites_drop_together() {
        let eight = |dropped: i64| -> Vec<Top> {
            (1..=8).map(|s| if s <= dropped { silent(s, 1000 + s) } else { fine(s, 1010) }).collect()
        };
        for (story, anchors, tops, expected) in [
            ("all sites", vec![], eight(8), "blind"),
            ("more than half", vec![], eight(5), "blind"),
            ("half", vec![], eight(4), "clear"),
            ("one", vec![], eight(1), "clear"),
            ("the only two sites", vec![], vec![silent(1, 1000), silent(2, 1001)], "clear"),
            ("one site of many devices", vec![], (0..40).map(|i| silent(1, 1000 + i)).collect(), "clear"),
            (
                "a site answers in part",
                vec![],
                vec![silent(1, 1000), fine(1, 1001), silent(2, 1000), fine(3, 1001)],
                "clear",
            ),
            (
                "others were not tried since",
                vec![],
                vec![silent(1, 1000), fine(2, 990), fine(3, 980)],
                "doubtful",
            ),
            (
                "not within the window",
                vec![],
                vec![silent(1, 900), silent(2, 980), silent(3, 1042), fine(4, 1050)],
                "clear",
            ),
            (
                "dead for long says nothing",
                vec![],
                vec![silent(1, 100), silent(2, 100), silent(3, 1000), fine(4, 1005), fine(5, 1005)],
                "clear",
            ),
            ("the anchors fail", vec![silent(9, 1000)], eight(1), "blind"),
            ("an anchor answers", vec![silent(9, 1000), fine(9, 1005)], eight(1), "clear"),
            ("the anchor was not tried since", vec![fine(9, 990)], eight(1), "doubtful"),
        ] {
            assert_eq!(
                kind(&Seen::new(anchors, &tops, Time(880)).look(Time(1000), RULE)),
                expected,
                "{story}"
            );
        }
    }

    #[test]
    fn it_is_blind_since_the_first_that_dropped() {
        let tops: Vec<Top> = (1..=4).map(|s| silent(s, 1000 + 5 * s)).collect();
        let View::Blind { since, reason } = Seen::new(vec![], &tops, Time(880)).look(Time(1000), RULE) else {
            panic!("blind")
        };
        assert_eq!((since, reason.as_str()), (Time(1005), "4 of 4 sites dropped together"));
    }

    #[test]
    fn it_is_back_when_anchors_or_enough_sites_answer() {
        let since = Time(1000);
        let all = |up: i64| -> Vec<Top> {
            (1..=8).map(|s| if s <= up { fine(s, 1100) } else { silent(s, 1000 + s) }).collect()
        };
        let is_back = |anchors: &[Top], tops: Vec<Top>| {
            Seen::new(anchors.to_vec(), &tops, Time(880)).is_back(since, RULE)
        };
        assert!(!is_back(&[], all(0)));
        assert!(!is_back(&[], all(3)), "more than half are still silent");
        assert!(is_back(&[], all(4)));
        assert!(!is_back(&[silent(9, 1000)], all(8)), "no anchor answers");
        assert!(is_back(&[fine(9, 1100), silent(9, 1000)], all(8)));
    }
}
