//! What is to be done about one name at a name server: pure, from what is wanted, what lineman may have put there, and
//! what is there.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

/// The addresses of a name.
pub type Addresses = BTreeSet<IpAddr>;

/// The most addresses that are remembered as lineman's own for one name, beside the one that was seen there.
pub const MAX_OURS: usize = 16;

/// What a name server answers for a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sight {
    /// These addresses.
    Addresses(Addresses),
    /// It is an alias of that name.
    Alias(String),
}

impl Sight {
    /// How an alias is told of.
    pub const ALIAS: &'static str = "an alias of ";
}

impl fmt::Display for Sight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Sight::Alias(target) => write!(f, "{}{target}", Sight::ALIAS),
            Sight::Addresses(there) if there.is_empty() => f.write_str("nothing"),
            Sight::Addresses(there) => {
                f.write_str(&there.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(" "))
            }
        }
    }
}

/// Whose what is there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// Only what lineman put there is its own.
    Ours,
    /// A person said that all of it is lineman's to change.
    Everything,
}

/// What must be so for an update to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Demand {
    /// The name has exactly these addresses.
    Exactly(Addresses),
    /// Nothing at all stands at the name, whatever a wildcard answers for it.
    Unused,
}

/// How the update before ended, where the name server still answers as it did before that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Last {
    /// There was none, or it answers with something else by now.
    None,
    /// What it answers with does not stand at the name itself.
    NotExactly,
    /// Something stands at the name itself.
    InUse,
    /// It did it.
    Done,
}

/// What is to be done next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing: it is as it is wanted.
    Nothing,
    /// Add these first, then take those away, all in one, if what is demanded is so.
    Change {
        /// What must be so.
        demand: Demand,
        /// What is added.
        add: Vec<IpAddr>,
        /// What is taken away.
        remove: Vec<IpAddr>,
    },
    /// It is somebody else's.
    Conflict,
    /// What it answers with does not fit what it says to updates.
    Contradiction,
}

/// What is to be done next where `wanted` is to be there, `own` may have been put there by lineman, and `there` is what
/// the name server answers. A wildcard answers for names that are not there: so whatever seems to be somebody else's, or
/// proved not to be at the name, is tried once more as a name at which nothing stands.
#[must_use]
pub fn next(wanted: Option<IpAddr>, own: &[IpAddr], there: &Sight, whose: Whose, last: Last) -> Step {
    let step = match there {
        Sight::Alias(_) => Step::Conflict,
        Sight::Addresses(there) => decide(wanted, own, there, whose),
    };
    let alone = |address| Step::Change { demand: Demand::Unused, add: vec![address], remove: Vec::new() };
    match (step, last) {
        (Step::Nothing, _) => Step::Nothing,
        // A wildcard may have the address that was taken away: to take it away once more proves whose it is.
        (step @ Step::Change { .. }, Last::Done) if wanted.is_none() => step,
        (_, Last::Done) => Step::Contradiction,
        (Step::Conflict, Last::None | Last::NotExactly) => wanted.map_or(Step::Conflict, alone),
        (Step::Conflict, Last::InUse) => Step::Conflict,
        (Step::Change { .. }, Last::NotExactly) => wanted.map_or(Step::Nothing, alone),
        (Step::Change { .. }, Last::InUse) => Step::Contradiction,
        (step @ (Step::Change { .. } | Step::Contradiction), _) => step,
    }
}

/// What is to be done where the name itself has the addresses that are there. Where nothing is wanted any more, what is
/// somebody else's stays.
fn decide(wanted: Option<IpAddr>, own: &[IpAddr], there: &Addresses, whose: Whose) -> Step {
    let is_own = |address: &IpAddr| match whose {
        Whose::Everything => true,
        Whose::Ours => own.contains(address),
    };
    let (stays, goes): (Vec<IpAddr>, Vec<IpAddr>) =
        there.iter().copied().partition(|address| Some(*address) == wanted || !is_own(address));
    if wanted.is_some() && stays.iter().any(|address| Some(*address) != wanted) {
        return Step::Conflict;
    }
    let add: Vec<IpAddr> = wanted.into_iter().filter(|address| !there.contains(address)).collect();
    if add.is_empty() && goes.is_empty() {
        return Step::Nothing;
    }
    Step::Change { demand: Demand::Exactly(there.clone()), add, remove: goes }
}

/// What may be lineman's own, once `wanted` is tried too: the newest are kept, and always what was `put` and seen there.
#[must_use]
pub fn ours_with(ours: &[IpAddr], put: Option<IpAddr>, wanted: Option<IpAddr>) -> Vec<IpAddr> {
    let mut newest: Vec<IpAddr> =
        ours.iter().copied().filter(|a| Some(*a) != wanted && Some(*a) != put).chain(wanted).collect();
    let over = newest.len().saturating_sub(MAX_OURS);
    newest.drain(..over);
    put.into_iter().filter(|put| Some(*put) != wanted).chain(newest).collect()
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
        let change = |add: &str, remove: &str| Step::Change {
            demand: Demand::Unused, add: ips(add), remove: ips(remove),
        };
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
            let step = match step {
                Step::Change { add, remove, .. } => Step::Change { demand: Demand::Exactly(there.clone()), add, remove },
                other => other,
            };
            assert_eq!(decide(wanted, &ips(ours), &there, whose), step, "{wanted:?} {ours} {there:?}");
        }
    }

    #[test]
    #[rustfmt::skip]
    fn what_only_a_wildcard_answers_is_nobodys_and_an_alias_somebody_elses() {
        let (a, b) = (ip("192.0.2.1"), ip("192.0.2.254"));
        let (wild, alias) = (Sight::Addresses([b].into()), Sight::Alias("www.example.".to_owned()));
        let alone = || Step::Change { demand: Demand::Unused, add: vec![a], remove: Vec::new() };
        let exactly = || Step::Change { demand: Demand::Exactly([b].into()), add: vec![a], remove: vec![b] };
        let gone = || Step::Change { demand: Demand::Exactly([b].into()), add: Vec::new(), remove: vec![b] };
        for (wanted, own, there, whose, last, step) in [
            (Some(a), None, &wild, Whose::Ours, Last::None, alone()),
            (Some(a), None, &wild, Whose::Ours, Last::InUse, Step::Conflict),
            (Some(a), None, &wild, Whose::Ours, Last::Done, Step::Contradiction),
            (Some(a), Some(b), &wild, Whose::Ours, Last::None, exactly()),
            (Some(a), Some(b), &wild, Whose::Ours, Last::NotExactly, alone()),
            (Some(a), Some(b), &wild, Whose::Ours, Last::InUse, Step::Contradiction),
            (Some(a), None, &wild, Whose::Everything, Last::None, exactly()),
            (Some(a), None, &wild, Whose::Everything, Last::NotExactly, alone()),
            (Some(b), None, &wild, Whose::Ours, Last::None, Step::Nothing),
            (None, None, &wild, Whose::Everything, Last::NotExactly, Step::Nothing),
            (None, Some(a), &wild, Whose::Ours, Last::Done, Step::Nothing),
            (None, Some(b), &wild, Whose::Ours, Last::Done, gone()),
            (None, Some(b), &wild, Whose::Ours, Last::NotExactly, Step::Nothing),
            (Some(a), None, &alias, Whose::Ours, Last::None, alone()),
            (Some(a), None, &alias, Whose::Everything, Last::InUse, Step::Conflict),
            (None, None, &alias, Whose::Ours, Last::None, Step::Conflict),
        ] {
            let own: Vec<IpAddr> = own.into_iter().collect();
            assert_eq!(next(wanted, &own, there, whose, last), step, "{wanted:?} {own:?} {there} {whose:?} {last:?}");
        }
    }

    #[test]
    fn what_may_be_ours_is_bounded_the_newest_and_what_was_put() {
        let (mut ours, put) = (Vec::new(), Some(ip("192.0.2.0")));
        for n in 0..50u8 {
            ours = ours_with(&ours, put, Some(IpAddr::from([192, 0, 2, n])));
        }
        assert_eq!(ours.len(), MAX_OURS + 1);
        assert_eq!((ours.first().copied(), ours.last()), (put, Some(&ip("192.0.2.49"))));
        let two = ips("192.0.2.1 192.0.2.2");
        assert_eq!(ours_with(&two, None, Some(two[0])), [two[1], two[0]]);
        assert_eq!(ours_with(&two, Some(two[1]), Some(two[1])), two);
        assert_eq!(ours_with(&two[..1], None, None), two[..1]);
    }
}
