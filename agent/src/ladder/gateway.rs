//! The gateway: whether its hardware address is found, and whether it answers pings.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket};
use std::time::{Duration, Instant};

use super::echo::{Pinged, ping};
use super::ground::{FAMILIES, Ground, Way};
use super::notes::{Measure, Notes};
use crate::recorder::netlink::{Asker, Neighbour};
use crate::report::{Family, Step};

/// How many echoes the gateway is sent, and how far apart.
const ECHOES: u16 = 10;
pub(super) const APART: Duration = Duration::from_millis(50);
/// How often its neighbour entry is looked at, and how long at most after the echoes: where the kernel may be asked to
/// find out at once, and where it takes its time (5 seconds, and 3 questions, one a second).
const LOOK: Duration = Duration::from_millis(50);
const AT_ONCE: Duration = Duration::from_secs(4);
const BY_ITSELF: Duration = Duration::from_secs(8);

/// The third and fourth rung, of both families at the same time.
pub(super) async fn note(ground: &Ground, notes: &Notes, timeout: Duration) {
    if ground.ways.iter().all(|way| way.gateway.is_none()) {
        note_none(ground, notes);
    }
    let [v4, v6] = FAMILIES.map(|family| ground.way(family));
    tokio::join!(note_way(ground, v4, notes, timeout), note_way(ground, v6, notes, timeout));
}

/// There is no gateway: why.
fn note_none(ground: &Ground, notes: &Notes) {
    let why = match ground.ways.first() {
        Some(way) => format!("{} leads straight out: it has no gateway", way.interface),
        None => "there is no way out (no default route)".to_owned(),
    };
    note_untried(notes, Ipv4Addr::UNSPECIFIED.into(), &why);
}

/// Both rungs were not tried.
pub(super) fn note_untried(notes: &Notes, gateway: IpAddr, why: &str) {
    let step = Step::Neighbour { gateway, mac: String::new(), state: String::new() };
    notes.not_measured(step, why);
    notes.not_measured(Step::Gateway { gateway }, why);
}

async fn note_way(ground: &Ground, way: Option<&Way>, notes: &Notes, timeout: Duration) {
    let Some((way, gateway)) = way.and_then(|way| Some((way, way.gateway?))) else { return };
    if let Some(why) = ground.blocked(way.family) {
        return note_untried(notes, gateway, &why);
    }
    let number = nix::net::if_::if_nametoindex(way.interface.as_str()).unwrap_or(0);
    let began = Instant::now();
    let pinged = ping((gateway, number), ECHOES, APART, timeout).await;
    let answered = pinged.as_ref().is_ok_and(|pinged| pinged.answered > 0);
    note_pinged(notes, gateway, &pinged);
    let has_neighbours = ground.link(&way.interface).is_none_or(|link| link.has_neighbours);
    if !has_neighbours {
        let step = Step::Neighbour { gateway, mac: String::new(), state: "noarp".to_owned() };
        let why = format!("{} needs no hardware addresses", way.interface);
        return notes.not_measured(step, &why);
    }
    if pinged.is_err() {
        poke(number, gateway);
    }
    let (heard, entry) = if answered {
        (Heard::Itself, look(number, gateway))
    } else {
        found_out(number, gateway, began).await
    };
    note_entry(notes, (way.family, gateway), entry, heard);
}

fn note_pinged(notes: &Notes, gateway: IpAddr, pinged: &Result<Pinged, String>) {
    let step = Step::Gateway { gateway };
    match pinged {
        Err(why) => notes.not_measured(step, why),
        Ok(pinged) => {
            let measure = Measure { rtt_us: pinged.rtt_us(), loss_permille: pinged.loss_permille() };
            match (pinged.answered, &pinged.said) {
                (1.., _) => notes.holds(step, measure),
                (0, Some((from, why))) if *from != gateway => {
                    notes.fails(step, &format!("{why}, says {from}"), measure);
                }
                (0, Some((_, why))) => notes.fails(step, &why.to_string(), measure),
                (0, None) if pinged.sent == 0 => notes.not_measured(step, "no echo could be sent"),
                (0, None) => notes.fails(step, &format!("no answer to {} pings", pinged.sent), measure),
            }
        }
    }
}

fn look(number: u32, gateway: IpAddr) -> Option<Neighbour> {
    Asker::open().ok()?.neighbour(number, gateway)
}

/// Sends the gateway a packet that anybody may send, so that the kernel looks for it.
fn poke(number: u32, gateway: IpAddr) {
    /// Where what is sent is thrown away (RFC 863).
    const DISCARD: u16 = 9;
    let (any, to): (SocketAddr, SocketAddr) = match gateway {
        IpAddr::V4(v4) => ((Ipv4Addr::UNSPECIFIED, 0).into(), (v4, DISCARD).into()),
        IpAddr::V6(v6) => {
            ((Ipv6Addr::UNSPECIFIED, 0).into(), SocketAddrV6::new(v6, DISCARD, 0, number).into())
        }
    };
    // Where it cannot be sent, the entry says so.
    drop(UdpSocket::bind(any).and_then(|socket| socket.send_to(&[0], to)));
}

/// The gateway's entry when the kernel has found out whether it is there, and whether that was since the pings began.
async fn found_out(number: u32, gateway: IpAddr, began: Instant) -> (Heard, Option<Neighbour>) {
    let before = look(number, gateway).filter(|entry| !entry.mac.is_empty());
    // To ask about an entry that somebody set by hand would make another one of it.
    let is_set = before.as_ref().is_some_and(|entry| matches!(entry.state.as_str(), "permanent" | "noarp"));
    let asked =
        before.is_some() && !is_set && Asker::open().is_ok_and(|asker| asker.verify(number, gateway).is_ok());
    let until = tokio::time::Instant::now() + if asked || before.is_none() { AT_ONCE } else { BY_ITSELF };
    loop {
        let entry = look(number, gateway);
        let heard = match entry.as_ref() {
            Some(entry) if heard_since(entry, began.elapsed()) => Heard::OfIt,
            Some(_) | None => Heard::Nothing,
        };
        let is_settled = match entry.as_ref().map(|entry| entry.state.as_str()) {
            Some("reachable") => heard == Heard::OfIt,
            Some("permanent" | "noarp" | "failed") => true,
            Some(_) | None => false,
        };
        if is_settled || tokio::time::Instant::now() >= until {
            return (heard, entry);
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Whether the gateway was heard of within this time. An entry stays reachable for up to 45 seconds after that, also when
/// the gateway is gone.
fn heard_since(entry: &Neighbour, span: Duration) -> bool {
    entry.state == "reachable" && entry.confirmed.is_some_and(|ago| ago <= span.into())
}

/// What was heard of the gateway since the pings began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Heard {
    /// It answered pings: then it is there, whatever its entry says.
    Itself,
    /// The kernel heard of it.
    OfIt,
    Nothing,
}

fn note_entry(notes: &Notes, (family, gateway): (Family, IpAddr), entry: Option<Neighbour>, heard: Heard) {
    let entry = entry.unwrap_or_default();
    let question = match family {
        Family::Ipv4 => "ARP",
        Family::Ipv6 => "neighbour discovery",
    };
    let (mac, state) = (entry.mac, entry.state);
    let known = !mac.is_empty();
    let step = Step::Neighbour { gateway, mac, state: state.clone() };
    match (heard, state.as_str()) {
        (Heard::Itself | Heard::OfIt, _) => notes.holds(step, Measure::default()),
        (Heard::Nothing, "permanent" | "noarp") => {
            let why = "its hardware address was set by hand; whether it is there was not asked";
            notes.not_measured(step, why);
        }
        (Heard::Nothing, "reachable" | "stale" | "delay" | "probe") if known => {
            let why =
                "its hardware address is known from before; whether it is still there was not found out";
            notes.not_measured(step, why);
        }
        (Heard::Nothing, _) => {
            notes.fails(step, &format!("nobody answers {question} for it"), Measure::default());
        }
    }
}

#[cfg(test)]
mod tests {
    use schedules::Millis;

    use super::*;
    use crate::report::Held;

    fn entry(state: &str, mac: &str, confirmed: i64) -> Neighbour {
        Neighbour { mac: mac.into(), state: state.into(), confirmed: Some(Millis(confirmed)) }
    }

    #[test]
    fn an_entry_from_before_proves_nothing_and_one_that_failed_does() {
        let gateway: IpAddr = "192.0.2.1".parse().unwrap();
        let mac = "02:00:00:00:00:01";
        for (state, mac, heard, held) in [
            ("reachable", mac, Heard::OfIt, Held::Ok),
            ("reachable", mac, Heard::Nothing, Held::NotMeasured),
            ("stale", mac, Heard::Itself, Held::Ok),
            ("stale", mac, Heard::Nothing, Held::NotMeasured),
            ("delay", mac, Heard::Nothing, Held::NotMeasured),
            ("permanent", mac, Heard::Itself, Held::Ok),
            ("permanent", mac, Heard::Nothing, Held::NotMeasured),
            ("failed", "", Heard::Nothing, Held::Fail),
            ("incomplete", "", Heard::Nothing, Held::Fail),
            ("", "", Heard::Nothing, Held::Fail),
        ] {
            let notes = Notes::new();
            note_entry(&notes, (Family::Ipv4, gateway), Some(entry(state, mac, 0)), heard);
            assert_eq!(notes.rungs()[0].outcome, held, "{state} {heard:?}");
        }
    }

    #[test]
    fn an_entry_is_reachable_long_after_the_gateway_was_heard_of() {
        let second = Duration::from_secs(1);
        for (state, ago, since) in [
            ("reachable", 990, true),
            ("reachable", 1_010, false),
            ("stale", 0, false),
            ("permanent", 0, false),
        ] {
            assert_eq!(heard_since(&entry(state, "02:00:00:00:00:01", ago), second), since, "{state} {ago}");
        }
    }

    #[test]
    fn a_gateway_that_loses_some_answers_holds_and_says_how_much() {
        let gateway: IpAddr = "192.0.2.1".parse().unwrap();
        let notes = Notes::new();
        note_pinged(&notes, gateway, &Ok(Pinged { sent: 10, answered: 6, ..Pinged::default() }));
        note_pinged(&notes, gateway, &Ok(Pinged { sent: 10, ..Pinged::default() }));
        note_pinged(&notes, gateway, &Err("ping: this user may not open ICMP sockets".into()));
        let rungs = notes.rungs();
        let held: Vec<_> = rungs.iter().map(|rung| (rung.outcome, rung.loss_permille)).collect();
        assert_eq!(held, [(Held::Ok, Some(400)), (Held::Fail, Some(1000)), (Held::NotMeasured, None)]);
    }
}
