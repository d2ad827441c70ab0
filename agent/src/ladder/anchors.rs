//! Anchors: literal addresses that somebody named, or else the hops beyond the gateway on the way to the server.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use futures_util::future::join_all;

use super::echo::{Pinged, Unsent, ping};
use super::gateway::APART;
use super::ground::{Ground, family_of, word};
use super::knock::{Knock, knock};
use super::notes::{Measure, Notes};
use crate::report::{Hop, Step};

/// How many echoes an anchor is sent.
const ECHOES: u16 = 10;
/// The ports at which an anchor is asked that answers no pings.
const PORTS: [u16; 3] = [443, 80, 53];
/// The most anchors that are asked.
pub(super) const MOST: usize = 16;
/// How many hops beyond the gateway stand for anchors.
const HOPS: usize = 2;

/// Asks one anchor that somebody named.
pub(super) async fn note(ground: &Ground, address: IpAddr, notes: &Notes, timeout: Duration) {
    let step = Step::Anchor { address, given: true };
    if let Some(why) = ground.blocked(family_of(address)) {
        return notes.not_measured(step, &why);
    }
    let pinged = ping((address, 0), ECHOES, APART, timeout).await;
    if let Ok(pinged) = &pinged {
        if pinged.answered > 0 {
            return notes.holds(step, measure(pinged));
        }
        if pinged.unsent == Some(Unsent::NoRoute) {
            let why = format!("this machine has no {} route to it", word(family_of(address)));
            return notes.not_measured(step, &why);
        }
    }
    let pinged = pinged.and_then(sent);
    let [one, two, three] = PORTS.map(|port| knock(SocketAddr::new(address, port), None, timeout * 3));
    let (one, two, three) = tokio::join!(one, two, three);
    judge(step, address, &pinged, &[one, two, three], notes);
}

/// Pings of which none left this machine are as good as none.
fn sent(pinged: Pinged) -> Result<Pinged, String> {
    match pinged.unsent {
        Some(Unsent::NoRoute) if pinged.sent == 0 => Err("this machine has no route to it".to_owned()),
        Some(Unsent::Other(why)) if pinged.sent == 0 => Err(format!("no ping could be sent: {why}")),
        None | Some(_) => Ok(pinged),
    }
}

fn measure(pinged: &Pinged) -> Measure {
    Measure { rtt_us: pinged.rtt_us(), loss_permille: pinged.loss_permille() }
}

/// An anchor that answered no pings: what its ports said.
fn judge(step: Step, address: IpAddr, pinged: &Result<Pinged, String>, knocks: &[Knock], notes: &Notes) {
    if let Some(took) = knocks.iter().filter_map(Knock::reached).min() {
        let rtt_us = Some(u32::try_from(took.as_micros()).unwrap_or(u32::MAX));
        return notes.holds(step, Measure { rtt_us, loss_permille: None });
    }
    let said = knocks.iter().find_map(|knock| match knock {
        Knock::Said(..) => Some(knock.why(address)),
        Knock::Open(..) | Knock::Refused(_) | Knock::Silent | Knock::Unsent(_) => None,
    });
    match (pinged, said) {
        (Ok(pinged), None) => {
            let why = match &pinged.said {
                Some((from, why)) => format!("{why}, says {from}"),
                None => "no answer to pings, nor at the ports 443, 80 and 53".to_owned(),
            };
            notes.fails(step, &why, measure(pinged));
        }
        (Ok(pinged), Some(said)) => notes.fails(step, &said, measure(pinged)),
        (Err(_), Some(said)) => notes.fails(step, &said, Measure::default()),
        (Err(why), None) if knocks.iter().all(|knock| matches!(knock, Knock::Unsent(_))) => {
            notes.not_measured(step, why);
        }
        // A machine that drops what comes to those ports may be there all the same.
        (Err(why), None) => {
            notes.not_measured(step, &format!("no answer at the ports 443, 80 and 53; {why}"));
        }
    }
}

/// Asks the hops beyond the gateway: those that the route showed, and those known from before.
pub(super) async fn note_hops(route: &[Hop], known: &[IpAddr], notes: &Notes, timeout: Duration) {
    let shown = beyond_gateway(route);
    let before = known.iter().copied().filter(|known| shown.iter().all(|(shown, _)| shown != known));
    let all: Vec<(IpAddr, Option<u32>)> =
        shown.iter().copied().chain(before.map(|address| (address, None))).take(HOPS).collect();
    if all.is_empty() {
        let step = Step::Anchor { address: Ipv4Addr::UNSPECIFIED.into(), given: false };
        let why = "no anchor is set (ladder.anchors), and no hop beyond the gateway is known";
        notes.not_measured(step, why);
    }
    join_all(all.into_iter().map(|(address, rtt_us)| note_hop(address, rtt_us, notes, timeout))).await;
}

async fn note_hop(address: IpAddr, rtt_us: Option<u32>, notes: &Notes, timeout: Duration) {
    let step = Step::Anchor { address, given: false };
    judge_hop(step, ping((address, 0), ECHOES, APART, timeout).await.and_then(sent), rtt_us, notes);
}

/// A hop beyond the gateway; `rtt_us`: what the route showed of it now.
fn judge_hop(step: Step, pinged: Result<Pinged, String>, rtt_us: Option<u32>, notes: &Notes) {
    match (pinged, rtt_us) {
        (Ok(pinged), _) if pinged.answered > 0 => notes.holds(step, measure(&pinged)),
        // It answers no pings, and said of the route's packets what became of them.
        (_, Some(_)) => notes.holds(step, Measure { rtt_us, loss_permille: None }),
        (Ok(pinged), None) => notes.fails(step, "no answer to pings, as there was before", measure(&pinged)),
        (Err(why), None) => notes.not_measured(step, &why),
    }
}

/// The hops of a route that stand for anchors: the first that answered beyond the gateway, and are not the target.
pub(super) fn beyond_gateway(route: &[Hop]) -> Vec<(IpAddr, Option<u32>)> {
    let hops = route.iter().filter(|hop| hop.ttl > 1 && !hop.last && hop.said.is_empty());
    hops.filter_map(|hop| Some((hop.address?, hop.rtt_us))).take(HOPS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::echo::Why;
    use crate::report::Held;

    fn hop(ttl: u8, address: Option<&str>) -> Hop {
        let address = address.map(|address| address.parse().unwrap());
        Hop { ttl, address, rtt_us: Some(900), sent: 3, answered: 3, last: false, said: String::new() }
    }

    #[test]
    fn the_first_two_hops_beyond_the_gateway_stand_for_anchors() {
        let mut target = hop(6, Some("203.0.113.9"));
        target.last = true;
        let route = [
            hop(1, Some("192.0.2.1")),
            hop(2, None),
            hop(3, Some("198.51.100.1")),
            hop(4, Some("198.51.100.2")),
            hop(5, Some("198.51.100.3")),
            target.clone(),
        ];
        let chosen: Vec<String> = beyond_gateway(&route).iter().map(|(ip, _)| ip.to_string()).collect();
        assert_eq!(chosen, ["198.51.100.1", "198.51.100.2"]);
        assert_eq!(beyond_gateway(&[hop(1, Some("192.0.2.1")), target]), []);
    }

    #[test]
    fn a_refusal_counts_as_reached_and_what_a_router_says_does_not() {
        let address: IpAddr = "203.0.113.9".parse().unwrap();
        let silent = Ok(Pinged { sent: 10, ..Pinged::default() });
        let refused = || Knock::Refused(Duration::from_millis(3));
        let said = || Knock::Said("192.0.2.1".parse().unwrap(), Why::NoHost, Duration::ZERO);
        for (pinged, knocks, held, reason) in [
            (silent.clone(), vec![Knock::Silent, refused()], Held::Ok, ""),
            (Err("no socket".to_owned()), vec![refused()], Held::Ok, ""),
            (silent.clone(), vec![said(), Knock::Silent], Held::Fail, "host unreachable, says 192.0.2.1"),
            (silent, vec![Knock::Silent], Held::Fail, "no answer to pings, nor at the ports 443, 80 and 53"),
            (
                Err("no socket".to_owned()),
                vec![Knock::Silent],
                Held::NotMeasured,
                "no answer at the ports 443, 80 and 53; no socket",
            ),
        ] {
            let notes = Notes::new();
            judge(Step::Anchor { address, given: true }, address, &pinged, &knocks, &notes);
            let rung = notes.rungs().remove(0);
            assert_eq!((rung.outcome, rung.reason.as_str()), (held, reason));
        }
    }

    #[test]
    fn a_hop_known_from_a_good_day_fails_only_if_something_was_sent_to_it() {
        let address: IpAddr = "198.51.100.1".parse().unwrap();
        let none = |unsent| Pinged { unsent: Some(unsent), ..Pinged::default() };
        for (pinged, held) in [
            (Pinged { sent: 10, answered: 1, ..Pinged::default() }, Held::Ok),
            (Pinged { sent: 10, ..Pinged::default() }, Held::Fail),
            (Pinged { sent: 1, ..none(Unsent::NoRoute) }, Held::Fail),
            (none(Unsent::NoRoute), Held::NotMeasured),
            (none(Unsent::Other("not permitted".to_owned())), Held::NotMeasured),
        ] {
            let notes = Notes::new();
            let step = Step::Anchor { address, given: false };
            judge_hop(step, sent(pinged.clone()), None, &notes);
            assert_eq!(notes.rungs()[0].outcome, held, "{pinged:?}");
        }
    }
}
