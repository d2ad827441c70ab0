//! What is to be done about one name at a name server: pure, from what is wanted, what lineman may have put there, and
//! what is there.

use std::collections::BTreeSet;
use std::net::IpAddr;

/// The addresses of a name.
pub type Addresses = BTreeSet<IpAddr>;

/// The most addresses that are remembered as lineman's own for one name.
pub const MAX_OURS: usize = 16;

/// Whose what is there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// Only what lineman put there is its own.
    Ours,
    /// A person said that all of it is lineman's to change.
    Everything,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing: it is as it is wanted.
    Nothing,
    /// Add these first, then take those away, all in one: if what is there is still as it was found.
    Change {
        /// What is added.
        add: Vec<IpAddr>,
        /// What is taken away.
        remove: Vec<IpAddr>,
    },
    /// It is somebody else's.
    Conflict,
}

/// What is to be done where `wanted` is to be there, `ours` may have been put there by lineman, and `there` is. Where
/// nothing is wanted any more, what is somebody else's stays.
#[must_use]
pub fn decide(wanted: Option<IpAddr>, ours: &[IpAddr], there: &Addresses, whose: Whose) -> Step {
    let is_ours = |address: &IpAddr| match whose {
        Whose::Everything => true,
        Whose::Ours => ours.contains(address),
    };
    let (stays, goes): (Vec<IpAddr>, Vec<IpAddr>) =
        there.iter().copied().partition(|address| Some(*address) == wanted || !is_ours(address));
    if wanted.is_some() && stays.iter().any(|address| Some(*address) != wanted) {
        return Step::Conflict;
    }
    let add: Vec<IpAddr> = wanted.into_iter().filter(|address| !there.contains(address)).collect();
    if add.is_empty() && goes.is_empty() { Step::Nothing } else { Step::Change { add, remove: goes } }
}

/// What may be lineman's own, once `wanted` is tried too: the newest are kept.
#[must_use]
pub fn ours_with(ours: &[IpAddr], wanted: Option<IpAddr>) -> Vec<IpAddr> {
    let mut all: Vec<IpAddr> = ours.iter().copied().filter(|a| Some(*a) != wanted).chain(wanted).collect();
    let over = all.len().saturating_sub(MAX_OURS);
    all.drain(..over);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn ips(text: &str) -> Vec<IpAddr> {
        text.split_whitespace().map(ip).collect()
    }

    #[test]
    #[rustfmt::skip]
    fn the_new_address_is_there_before_the_old_one_is_gone_and_nobody_elses_is_touched() {
        let change = |add: &str, remove: &str| Step::Change { add: ips(add), remove: ips(remove) };
        let (a, b, c, six) = ("192.0.2.1", "192.0.2.2", "192.0.2.3", "2001:db8::1");
        for (wanted, ours, there, whose, step) in [
            (a, "", "", Whose::Ours, change(a, "")),
            (a, "", a, Whose::Ours, Step::Nothing),
            (b, a, a, Whose::Ours, change(b, a)),
            (six, a, a, Whose::Ours, change(six, a)),
            (b, a, "192.0.2.1 192.0.2.2", Whose::Ours, change("", a)),
            (b, a, b, Whose::Ours, Step::Nothing),
            // It took the last one and the answer was lost; now another is wanted.
            (c, "192.0.2.1 192.0.2.2", b, Whose::Ours, change(c, b)),
            // Somebody took it away: nobody is fought over that.
            (b, a, "", Whose::Ours, change(b, "")),
            (b, a, c, Whose::Ours, Step::Conflict),
            (b, a, "192.0.2.1 192.0.2.3", Whose::Ours, Step::Conflict),
            (b, "", "192.0.2.2 192.0.2.3", Whose::Ours, Step::Conflict),
            (b, a, c, Whose::Everything, change(b, c)),
            (b, "", "192.0.2.2 2001:db8::1", Whose::Everything, change("", six)),
            ("", a, a, Whose::Ours, change("", a)),
            ("", a, "", Whose::Ours, Step::Nothing),
            ("", a, c, Whose::Ours, Step::Nothing),
            ("", a, "192.0.2.1 192.0.2.3", Whose::Ours, change("", a)),
            ("", a, c, Whose::Everything, change("", c)),
        ] {
            let there: Addresses = ips(there).into_iter().collect();
            let wanted = (!wanted.is_empty()).then(|| ip(wanted));
            assert_eq!(decide(wanted, &ips(ours), &there, whose), step, "{wanted:?} {ours} {there:?}");
        }
    }

    #[test]
    fn what_may_be_ours_is_bounded_and_the_newest() {
        let mut ours = Vec::new();
        for n in 0..50u8 {
            ours = ours_with(&ours, Some(IpAddr::from([192, 0, 2, n])));
        }
        assert_eq!(ours.len(), MAX_OURS);
        assert_eq!(ours.last(), Some(&ip("192.0.2.49")));
        assert_eq!(ours_with(&ips("192.0.2.1 192.0.2.2"), Some(ip("192.0.2.1"))), ips("192.0.2.2 192.0.2.1"));
        assert_eq!(ours_with(&ips("192.0.2.1"), None), ips("192.0.2.1"));
    }
}
