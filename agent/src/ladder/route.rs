//! The way to a target, hop by hop: several hops at the same time, until the target answers or five in a row are silent.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use futures_util::future::join_all;

use super::echo::{Echoes, Unsent};
use super::ground::{Ground, family_of, word};
use super::knock::{Knock, knock};
use super::notes::{Measure, Notes};
use crate::probe::echo::Why;
use crate::report::{Hop, Step, Transport};

/// How many hops are asked at the same time.
const AT_ONCE: u8 = 6;
/// After how many silent hops in a row it is enough.
const SILENT: u8 = 5;
/// How many packets a hop is sent: by ICMP, where the last one is for those that were silent so far, and by TCP, where each
/// one that arrives is a connection. Routers answer no more than six at once (Linux: `icmp_ratelimit`).
const ECHOES: u16 = 3;
const KNOCKS: u16 = 2;
/// How far apart the packets to one hop leave, and how long others are waited for when each hop has answered once.
const APART: Duration = Duration::from_millis(50);
const GRACE: Duration = Duration::from_millis(150);
/// The port of an anchor that answers no pings.
const ANCHOR_PORT: u16 = 443;
/// The most hops there are.
const MAX_HOPS: u8 = 32;

/// Where a route leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Towards {
    /// The server, at its port.
    Server(SocketAddr),
    /// An anchor.
    Anchor(IpAddr),
}

impl Towards {
    fn target(self) -> IpAddr {
        match self {
            Towards::Server(to) => to.ip(),
            Towards::Anchor(address) => address,
        }
    }

    fn socket(self) -> SocketAddr {
        match self {
            Towards::Server(to) => to,
            Towards::Anchor(address) => SocketAddr::new(address, ANCHOR_PORT),
        }
    }

    fn step(self, transport: Transport, hops: Vec<Hop>) -> Step {
        let server = matches!(self, Towards::Server(_));
        Step::Route { target: self.target(), server, transport, hops }
    }
}

/// What has been found of a route so far.
#[derive(Clone, Debug)]
struct Trace {
    target: IpAddr,
    hops: Vec<Hop>,
    most: u8,
    /// The nearest hop at which the way ends: the target, or somebody who says that it goes no further.
    end: Option<u8>,
}

/// What came back from a hop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    /// The target itself answers.
    Arrived,
    /// Somebody on the way says why it did not arrive.
    Said(IpAddr, Why),
}

impl Trace {
    fn new(target: IpAddr, most: u8) -> Trace {
        Trace { target, hops: Vec::new(), most: most.clamp(1, MAX_HOPS), end: None }
    }

    /// The hops to ask next; none when it is enough.
    fn next(&mut self) -> Vec<u8> {
        let asked = u8::try_from(self.hops.len()).unwrap_or(u8::MAX);
        let silent = self.hops.iter().rev().take_while(|hop| hop.address.is_none()).count();
        if self.end.is_some() || asked >= self.most || silent >= usize::from(SILENT) {
            return Vec::new();
        }
        let ttls: Vec<u8> = (asked + 1..=self.most.min(asked + AT_ONCE)).collect();
        let hop = |&ttl: &u8| Hop {
            ttl,
            address: None,
            rtt_us: None,
            sent: 0,
            answered: 0,
            last: false,
            said: String::new(),
        };
        self.hops.extend(ttls.iter().map(hop));
        ttls
    }

    fn sent(&mut self, ttl: u8) {
        if let Some(hop) = self.hops.get_mut(usize::from(ttl) - 1) {
            hop.sent += 1;
        }
    }

    fn heard(&mut self, ttl: u8, answer: Answer, rtt: Duration) {
        let target = self.target;
        let Some(hop) = usize::from(ttl).checked_sub(1).and_then(|at| self.hops.get_mut(at)) else { return };
        let us = u32::try_from(rtt.as_micros()).unwrap_or(u32::MAX);
        let (from, ends) = match answer {
            Answer::Arrived => (target, true),
            Answer::Said(from, Why::Hops) => (from, false),
            // Not about the way, but about the packet.
            Answer::Said(_, Why::TooBig { .. }) => return,
            Answer::Said(from, why) => {
                hop.said = why.to_string();
                (from, true)
            }
        };
        hop.address.get_or_insert(from);
        hop.answered = (hop.answered + 1).min(hop.sent);
        hop.rtt_us = Some(hop.rtt_us.map_or(us, |known| known.min(us)));
        if answer == Answer::Arrived {
            hop.last = true;
            hop.address = Some(target);
            hop.said.clear();
        }
        if ends {
            self.end = Some(self.end.map_or(ttl, |end| end.min(ttl)));
        }
    }

    /// Whether each of these hops, up to the end, has answered.
    fn have_answered(&self, ttls: &[u8]) -> bool {
        let up_to = self.end.unwrap_or(u8::MAX);
        ttls.iter().filter(|ttl| **ttl <= up_to).all(|ttl| self.has_heard(*ttl))
    }

    fn has_heard(&self, ttl: u8) -> bool {
        self.hops.get(usize::from(ttl) - 1).is_some_and(|hop| hop.address.is_some())
    }

    fn have_all_answered(&self, ttls: &[u8]) -> bool {
        let up_to = self.end.unwrap_or(u8::MAX);
        ttls.iter().filter(|ttl| **ttl <= up_to).all(|ttl| {
            let hop = &self.hops[usize::from(*ttl) - 1];
            hop.answered >= hop.sent
        })
    }

    fn has_arrived(&self) -> bool {
        self.hops.iter().any(|hop| hop.last)
    }

    /// The hops up to the end, without silent ones there.
    fn into_hops(mut self) -> Vec<Hop> {
        if let Some(end) = self.end {
            self.hops.truncate(end.into());
        }
        while self.hops.last().is_some_and(|hop| hop.address.is_none()) {
            self.hops.pop();
        }
        self.hops
    }
}

/// How a trace ended that could not be made.
enum Untraced {
    NoRoute,
    Other(String),
}

/// Traces the way by ICMP and by TCP; the hops of the one that came further.
pub(super) async fn note(
    ground: &Ground,
    towards: Towards,
    most: u8,
    notes: &Notes,
    timeout: Duration,
) -> Vec<Hop> {
    let target = towards.target();
    if let Some(why) = ground.blocked(family_of(target)) {
        notes.not_measured(towards.step(Transport::Icmp, Vec::new()), &why);
        return Vec::new();
    }
    let by_icmp = by_icmp(ground, target, most, timeout).await;
    let depth = by_icmp.as_ref().ok().filter(|trace| trace.has_arrived()).and_then(|trace| trace.end);
    // A server is asked over TCP in any case: that is what must get through.
    let by_tcp = match (towards, depth, &by_icmp) {
        (_, _, Err(Untraced::NoRoute)) | (Towards::Anchor(_), Some(_), _) => None,
        (Towards::Server(_) | Towards::Anchor(_), ..) => {
            Some(by_tcp(ground, towards.socket(), depth.unwrap_or(most), timeout).await)
        }
    };
    let end = |arrived| if arrived { End::Target } else { End::Before };
    let arrived = depth.is_some() || by_tcp.as_ref().is_some_and(Trace::has_arrived);
    let icmp = match by_icmp {
        Ok(trace) => {
            let hops = trace.into_hops();
            // A target that is reached over TCP may keep silent to pings.
            note_end(towards, Transport::Icmp, &hops, end(arrived), notes);
            hops
        }
        Err(Untraced::NoRoute) => {
            let why = format!("this machine has no {} route to it", word(family_of(target)));
            notes.not_measured(towards.step(Transport::Icmp, Vec::new()), &why);
            return Vec::new();
        }
        Err(Untraced::Other(why)) => {
            notes.not_measured(towards.step(Transport::Icmp, Vec::new()), &why);
            Vec::new()
        }
    };
    let Some(trace) = by_tcp else { return icmp };
    let arrived = trace.has_arrived();
    let tcp = trace.into_hops();
    note_end(towards, Transport::Tcp, &tcp, end(arrived), notes);
    if tcp.len() > icmp.len() { tcp } else { icmp }
}

fn note_end(towards: Towards, transport: Transport, hops: &[Hop], end: End, notes: &Notes) {
    let step = towards.step(transport, hops.to_vec());
    match end {
        End::Target => {
            let rtt_us = hops.iter().find(|hop| hop.last).and_then(|hop| hop.rtt_us);
            notes.holds(step, Measure { rtt_us, loss_permille: None });
        }
        End::Before => notes.fails(step, &ended(hops), Measure::default()),
    }
}

/// Where a route ended.
#[derive(Clone, Copy)]
enum End {
    Target,
    Before,
}

/// Where a route ended that did not arrive.
fn ended(hops: &[Hop]) -> String {
    match hops.last() {
        None => "no hop answers".to_owned(),
        Some(hop) => {
            let who = hop.address.map_or(String::new(), |address| format!(", {address}"));
            if hop.said.is_empty() {
                format!("it ends behind hop {}{who}", hop.ttl)
            } else {
                format!("it ends at hop {}{who}, which says: {}", hop.ttl, hop.said)
            }
        }
    }
}

async fn by_icmp(ground: &Ground, target: IpAddr, most: u8, timeout: Duration) -> Result<Trace, Untraced> {
    let echoes = Echoes::open(target, 0).map_err(Untraced::Other)?;
    let mut trace = Trace::new(target, most);
    let mut sent: Vec<(u8, Instant)> = Vec::new();
    loop {
        let ttls = trace.next();
        if ttls.is_empty() {
            return Ok(trace);
        }
        for round in 0..ECHOES {
            let last = round + 1 == ECHOES;
            let asked: Vec<u8> = ttls.iter().copied().filter(|ttl| !last || !trace.has_heard(*ttl)).collect();
            for ttl in asked {
                let seq = u16::try_from(sent.len()).unwrap_or(u16::MAX);
                sent.push((ttl, Instant::now()));
                let left = echoes.go_as_far_as(ttl).and_then(|()| echoes.send(seq));
                match left.map_err(|error| Unsent::of(&error)) {
                    Err(Unsent::NoRoute) => return Err(Untraced::NoRoute),
                    Ok(()) | Err(Unsent::Other(_)) => trace.sent(ttl),
                }
            }
            let mut until = tokio::time::Instant::now() + if last { timeout } else { APART };
            let mut hurried = false;
            while !(last && trace.have_all_answered(&ttls)) {
                let Some(fate) = echoes.hear(until).await else { break };
                let Some(&(ttl, began)) = sent.get(usize::from(fate.seq)) else { continue };
                let answer = match fate.why {
                    None => Answer::Arrived,
                    // This machine's own word that nobody is there.
                    Some(_) if ground.is_own(fate.from) && fate.from != target => continue,
                    Some(why) => Answer::Said(fate.from, why),
                };
                trace.heard(ttl, answer, fate.at.saturating_duration_since(began));
                if last && !hurried && trace.have_answered(&ttls) {
                    hurried = true;
                    until = until.min(tokio::time::Instant::now() + GRACE);
                }
            }
        }
    }
}

async fn by_tcp(ground: &Ground, to: SocketAddr, most: u8, timeout: Duration) -> Trace {
    let mut trace = Trace::new(to.ip(), most);
    loop {
        let ttls = trace.next();
        if ttls.is_empty() {
            return trace;
        }
        let rounds = (0..KNOCKS).flat_map(|round| ttls.iter().map(move |&ttl| (ttl, round)));
        let knocks = rounds.map(|(ttl, round)| async move {
            tokio::time::sleep(APART * round.into()).await;
            (ttl, knock(to, Some(ttl), timeout).await)
        });
        for (ttl, knock) in join_all(knocks).await {
            trace.sent(ttl);
            match knock {
                Knock::Open(_, took) | Knock::Refused(took) => trace.heard(ttl, Answer::Arrived, took),
                Knock::Said(from, ..) if ground.is_own(from) && from != to.ip() => {}
                Knock::Said(from, why, took) => trace.heard(ttl, Answer::Said(from, why), took),
                Knock::Silent | Knock::Unsent(_) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn ip(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    /// Asks all hops that are asked, and has those answer that `answers` names.
    fn traced(most: u8, answers: impl Fn(u8) -> Option<Answer>) -> (Vec<Hop>, usize) {
        let mut trace = Trace::new(ip(9), most);
        let mut asked = 0;
        loop {
            let ttls = trace.next();
            if ttls.is_empty() {
                return (trace.into_hops(), asked);
            }
            for ttl in ttls {
                asked += 1;
                trace.sent(ttl);
                if let Some(answer) = answers(ttl) {
                    trace.heard(ttl, answer, MS);
                }
            }
        }
    }

    fn passing(ttl: u8) -> Option<Answer> {
        Some(Answer::Said(ip(ttl), Why::Hops))
    }

    #[test]
    fn a_route_ends_at_its_target_however_many_hops_were_asked() {
        let (hops, asked) = traced(20, |ttl| if ttl < 4 { passing(ttl) } else { Some(Answer::Arrived) });
        assert_eq!(hops.iter().map(|hop| hop.ttl).collect::<Vec<_>>(), [1, 2, 3, 4]);
        assert!(hops[3].last && hops[3].address == Some(ip(9)) && !hops[2].last);
        assert_eq!(asked, 6);
    }

    #[test]
    fn five_silent_hops_in_a_row_are_enough_and_four_are_not() {
        let (hops, asked) = traced(30, |ttl| if ttl == 1 { passing(ttl) } else { None });
        assert_eq!((hops.len(), asked, ended(&hops).as_str()), (1, 6, "it ends behind hop 1, 10.0.0.1"));
        let (hops, _) = traced(30, |ttl| match ttl {
            1 => passing(ttl),
            2..6 => None,
            6..10 => passing(ttl),
            _ => Some(Answer::Arrived),
        });
        assert_eq!((hops.len(), hops[2].address), (10, None));
        let (hops, asked) = traced(30, |_| None);
        assert_eq!((hops.len(), asked, ended(&hops).as_str()), (0, 6, "no hop answers"));
    }

    #[test]
    fn whoever_says_that_it_goes_no_further_is_the_end() {
        let (hops, _) = traced(30, |ttl| match ttl {
            1 => passing(1),
            _ => Some(Answer::Said(ip(2), Why::NoHost)),
        });
        assert_eq!(hops.len(), 2);
        assert_eq!(ended(&hops), "it ends at hop 2, 10.0.0.2, which says: host unreachable");
    }

    #[test]
    fn a_route_is_no_longer_than_it_may_be() {
        let (hops, asked) = traced(255, passing);
        assert_eq!((hops.len(), asked), (MAX_HOPS.into(), MAX_HOPS.into()));
        let mut trace = Trace::new(ip(9), 3);
        trace.heard(0, Answer::Arrived, MS);
        trace.heard(200, Answer::Arrived, MS);
        assert!(!trace.has_arrived(), "an answer to what was not asked");
    }
}
