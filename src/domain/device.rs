//! A device's state: what it is, as far as is known, from its checks, the attempts to contact it, and its parents.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use schedules::Time;

use crate::domain::check::{Kind, Status};
use crate::domain::ids::DeviceId;
use crate::domain::named;

named! {
    /// What a device is, as far as is known.
    pub enum State {
        /// Nobody is looking: never seen, paused, or nothing could be measured.
        Unknown = "unknown",
        /// Reachability is proven and every check is good.
        Up = "up",
        /// Reachable, but a check failed hard or is over a limit.
        Degraded = "degraded",
        /// Every proof of reachability failed hard, and a parent is there (or it has none).
        Down = "down",
        /// As down, but no parent is available.
        Unreachable = "unreachable",
    }
}

impl State {
    /// Whether nothing reaches it.
    #[must_use]
    pub fn is_out(self) -> bool {
        match self {
            State::Down | State::Unreachable => true,
            State::Unknown | State::Up | State::Degraded => false,
        }
    }

    /// Whether it is proven to be reachable.
    #[must_use]
    pub fn is_reachable(self) -> bool {
        match self {
            State::Up | State::Degraded => true,
            State::Unknown | State::Down | State::Unreachable => false,
        }
    }
}

named! {
    /// How much depends on a device, as a person judges it.
    pub enum Importance {
        /// Many depend on it.
        Critical = "critical",
        /// More than most.
        High = "high",
        /// Like most.
        Normal = "normal",
        /// Can wait.
        Low = "low",
    }
}

named! {
    /// Which of the addresses that are known is *the* address of a device with an agent.
    pub enum AddressFrom {
        /// The one the agent uses on its route to the server.
        Agent = "agent",
        /// The one the server sees: behind NAT.
        Seen = "seen",
        /// The one a person wrote; what differs is logged, not taken over.
        Fixed = "fixed",
    }
}

/// One check, as far as the device's state goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proof {
    /// What it does.
    pub kind: Kind,
    /// What its results made of it.
    pub status: Status,
    /// Since when its newest results are alike.
    pub since: Time,
}

/// How the server's own attempts stand to contact a device whose check-ins stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contact {
    /// Its check-ins come, or it has none: nothing to attempt.
    NotNeeded,
    /// There is no address at which it could be contacted apart from its agent.
    Impossible,
    /// Attempts go on.
    Trying,
    /// It answered.
    Answered {
        /// Since when.
        since: Time,
    },
    /// It does not answer.
    Failed,
}

/// All that a device's state follows from.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// What it is now.
    pub state: State,
    /// Since when it is that.
    pub since: Time,
    /// Whether a person paused it.
    pub paused: bool,
    /// Its checks, but for contact.
    pub proofs: &'a [Proof],
    /// The attempts to contact it.
    pub contact: Contact,
    /// The states of its parents.
    pub parents: &'a [State],
    /// Now.
    pub now: Time,
}

/// What a device is, why, and since when in truth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// What it is.
    pub state: State,
    /// Since when: the first proof of it, not the moment it was confirmed.
    pub since: Time,
    /// The proof that decided it: when the last proof of reachability failed, or the first was good again. Unlike
    /// `since` it does not move with the parents.
    pub proof_at: Time,
    /// Why, in a few words for a person; empty where there is nothing to explain.
    pub reason: String,
}

/// What a device is. `None`: nothing can be decided yet, what it was stands.
#[must_use]
pub fn judge(view: View<'_>) -> Option<Judgement> {
    if view.paused {
        return Some(at(&view, State::Unknown, view.now, "paused"));
    }
    let known: Vec<Proof> = view.proofs.iter().copied().filter(|p| p.status != Status::Unknown).collect();
    let newest = known.iter().map(|p| p.since).max();
    let Some(newest) = newest else {
        return Some(at(&view, State::Unknown, view.now, "not measured yet"));
    };
    let good_since = known
        .iter()
        .filter(|p| p.status.is_good())
        .map(|p| p.since)
        .chain(match view.contact {
            Contact::Answered { since } => Some(since),
            Contact::NotNeeded | Contact::Impossible | Contact::Trying | Contact::Failed => None,
        })
        .min();
    match good_since {
        Some(good_since) => Some(reachable(&view, &known, good_since, newest)),
        None if view.contact == Contact::Trying => None,
        None => Some(out(&view, &known)),
    }
}

fn reachable(view: &View<'_>, known: &[Proof], good_since: Time, newest: Time) -> Judgement {
    let failed: Vec<Kind> = known.iter().filter(|p| p.status == Status::Failed).map(|p| p.kind).collect();
    let warned: Vec<Kind> = known.iter().filter(|p| p.status == Status::Warn).map(|p| p.kind).collect();
    let since = if view.state.is_out() { good_since } else { newest };
    if failed.is_empty() && warned.is_empty() {
        return at(view, State::Up, since, "");
    }
    let agent_reports = known.iter().any(|p| p.kind == Kind::CheckIn && p.status.is_good());
    let reason = if failed.contains(&Kind::CheckIn) {
        "its agent is silent, but it answers".to_owned()
    } else if agent_reports && failed.contains(&Kind::Icmp) {
        "its agent reports, but it does not answer from outside".to_owned()
    } else if failed.is_empty() {
        format!("{} over its limit", list(&warned))
    } else {
        format!("{} failed", list(&failed))
    };
    at(view, State::Degraded, since, &reason)
}

fn out(view: &View<'_>, known: &[Proof]) -> Judgement {
    let behind = !view.parents.is_empty() && view.parents.iter().all(|p| p.is_out());
    let state = if behind { State::Unreachable } else { State::Down };
    let since = known.iter().map(|p| p.since).max().unwrap_or(view.now);
    let kinds: Vec<Kind> = known.iter().map(|p| p.kind).collect();
    let mut reason = match (kinds.as_slice(), view.contact) {
        ([Kind::CheckIn], Contact::Failed) => "no check-in, and it does not answer".to_owned(),
        ([Kind::CheckIn], _) => "no check-in".to_owned(),
        _ => format!("{} failed", list(&kinds)),
    };
    if behind {
        reason.push_str("; no parent is available");
    }
    at(view, state, since, &reason)
}

fn at(view: &View<'_>, state: State, since: Time, reason: &str) -> Judgement {
    let proof_at = since.min(view.now);
    let stays_out = state.is_out() && view.state.is_out();
    let since = if state == view.state {
        view.since
    } else if stays_out {
        view.now
    } else {
        proof_at
    };
    Judgement { state, since, proof_at, reason: reason.to_owned() }
}

fn list(kinds: &[Kind]) -> String {
    let mut names: Vec<&str> = kinds.iter().map(|k| k.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    names.join(", ")
}

/// Whether an attempt to contact `address` can tell anything about a device apart from its agent. A loopback address
/// is the server itself, and an address that names no one host is nobody.
#[must_use]
pub fn can_be_contacted(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => !(v4.is_loopback() || v4.is_unspecified() || v4.is_multicast() || v4.is_broadcast()),
        IpAddr::V6(v6) => !(v6.is_loopback() || v6.is_unspecified() || v6.is_multicast()),
    }
}

/// The way round that a new parent would close: `child … parent child`, or none.
#[must_use]
pub fn cycle(parents: &HashMap<DeviceId, Vec<DeviceId>>, child: DeviceId, parent: DeviceId) -> Option<Vec<DeviceId>> {
    let mut way: Vec<(DeviceId, Vec<DeviceId>)> = vec![(parent, vec![child, parent])];
    let mut seen = HashSet::new();
    while let Some((at, path)) = way.pop() {
        if at == child {
            return Some(path);
        }
        if !seen.insert(at) {
            continue;
        }
        for &next in parents.get(&at).into_iter().flatten() {
            let mut longer = path.clone();
            longer.push(next);
            way.push((next, longer));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proof(kind: Kind, status: Status, since: i64) -> Proof {
        Proof { kind, status, since: Time(since) }
    }

    fn view<'a>(state: State, proofs: &'a [Proof], contact: Contact, parents: &'a [State]) -> View<'a> {
        View { state, since: Time(5), paused: false, proofs, contact, parents, now: Time(1_000) }
    }

    #[test]
    fn the_state_follows_from_the_proofs() {
        use Contact::{Answered, Failed as NoAnswer, Impossible, NotNeeded, Trying};
        use Kind::{CheckIn, Http, Icmp};
        use State::{Degraded, Down, Unknown, Unreachable, Up};
        use Status::{Failed, Ok, Soft, Warn};
        let answered = Answered { since: Time(900) };
        #[rustfmt::skip]
        let table: &[(&[(Kind, Status)], Contact, &[State], Option<State>)] = &[
            (&[],                                NotNeeded,  &[],            Some(Unknown)),
            (&[(CheckIn, Status::Unknown)],      NotNeeded,  &[],            Some(Unknown)),
            (&[(CheckIn, Ok)],                   NotNeeded,  &[],            Some(Up)),
            (&[(CheckIn, Ok), (Icmp, Ok)],       NotNeeded,  &[],            Some(Up)),
            (&[(Icmp, Soft)],                    NotNeeded,  &[],            Some(Up)),
            (&[(Icmp, Warn)],                    NotNeeded,  &[],            Some(Degraded)),
            (&[(Icmp, Ok), (Http, Failed)],      NotNeeded,  &[],            Some(Degraded)),
            (&[(CheckIn, Ok), (Icmp, Failed)],   NotNeeded,  &[],            Some(Degraded)),
            (&[(CheckIn, Failed), (Icmp, Ok)],   Trying,     &[],            Some(Degraded)),
            (&[(CheckIn, Failed)],               Trying,     &[],            None),
            (&[(CheckIn, Failed)],               Impossible, &[],            Some(Down)),
            (&[(CheckIn, Failed)],               NoAnswer,   &[],            Some(Down)),
            (&[(CheckIn, Failed)],               answered,   &[],            Some(Degraded)),
            (&[(Icmp, Failed), (Http, Failed)],  NotNeeded,  &[],            Some(Down)),
            (&[(Icmp, Failed)],                  NotNeeded,  &[Up],          Some(Down)),
            (&[(Icmp, Failed)],                  NotNeeded,  &[Down],        Some(Unreachable)),
            (&[(Icmp, Failed)],                  NotNeeded,  &[Unreachable], Some(Unreachable)),
            (&[(Icmp, Failed)],                  NotNeeded,  &[Down, Up],    Some(Down)),
            (&[(Icmp, Failed)],                  NotNeeded,  &[Unknown],     Some(Down)),
            (&[(Icmp, Ok)],                      NotNeeded,  &[Down],        Some(Up)),
        ];
        for (proofs, contact, parents, expected) in table {
            let proofs: Vec<Proof> = proofs.iter().map(|&(k, s)| proof(k, s, 10)).collect();
            let judged = judge(view(Up, &proofs, *contact, parents)).map(|j| j.state);
            assert_eq!(judged, *expected, "{proofs:?} {contact:?} {parents:?}");
        }
    }

    #[test]
    fn an_outage_runs_from_the_last_proof_that_failed_to_the_first_that_is_good_again() {
        let failed = [proof(Kind::CheckIn, Status::Failed, 100), proof(Kind::Icmp, Status::Failed, 140)];
        let down = judge(view(State::Up, &failed, Contact::Impossible, &[])).unwrap();
        assert_eq!((down.state, down.since), (State::Down, Time(140)));
        let mended = [proof(Kind::CheckIn, Status::Ok, 300), proof(Kind::Icmp, Status::Ok, 280)];
        let up = judge(view(State::Down, &mended, Contact::NotNeeded, &[])).unwrap();
        assert_eq!((up.state, up.since), (State::Up, Time(280)));
    }

    #[test]
    fn a_state_that_stays_keeps_its_beginning() {
        let proofs = [proof(Kind::Icmp, Status::Ok, 700)];
        assert_eq!(judge(view(State::Up, &proofs, Contact::NotNeeded, &[])).unwrap().since, Time(5));
    }

    #[test]
    fn a_paused_device_is_unknown() {
        let proofs = [proof(Kind::Icmp, Status::Failed, 700)];
        let view = View { paused: true, ..view(State::Down, &proofs, Contact::NotNeeded, &[]) };
        assert_eq!(judge(view).unwrap().state, State::Unknown);
    }

    #[test]
    fn a_loopback_address_proves_nothing_about_another_device() {
        for (address, can) in [("127.0.0.1", false), ("127.8.9.1", false), ("::1", false), ("::ffff:127.0.0.1", false),
            ("0.0.0.0", false), ("224.0.0.1", false), ("192.0.2.7", true), ("2001:db8::7", true)]
        {
            assert_eq!(can_be_contacted(address.parse().unwrap()), can, "{address}");
        }
    }

    #[test]
    fn a_ring_of_parents_is_found_before_it_is_closed() {
        let id = DeviceId;
        let parents = HashMap::from([(id(2), vec![id(1)]), (id(3), vec![id(2), id(9)]), (id(4), vec![id(3)])]);
        assert_eq!(cycle(&parents, id(1), id(4)).unwrap(), vec![id(1), id(4), id(3), id(2), id(1)]);
        assert_eq!(cycle(&parents, id(1), id(1)).unwrap(), vec![id(1), id(1)]);
        assert_eq!(cycle(&parents, id(4), id(1)), None);
        assert_eq!(cycle(&parents, id(9), id(1)), None);
    }
}
