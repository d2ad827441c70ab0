//! The flight recorder: what this machine's way out is like, a line at a time, and where the record has a gap.

mod gap;
pub(crate) mod netlink;
mod radio;

use std::collections::VecDeque;
use std::net::IpAddr;

use schedules::{Millis, Time};

use crate::facts;
use crate::probe::{Measured, Prober};
use crate::report::{Gap, Interface, Moment, Outcome, Probe, Status};
use crate::spool::Stamp;
use netlink::Asker;

pub use gap::{at_start, between};
pub(crate) use netlink::Watch;

/// How long before an outage its frozen lines begin.
const FROZEN: Millis = Millis::from_secs(300);
/// How many lines are kept in memory, to be frozen.
pub(crate) const MOST_LINES: usize = 200;
/// How many lines are frozen: the newest.
const MOST_FROZEN: usize = 100;
/// How many addresses of the interface a line holds.
const MOST_ADDRESSES: usize = 8;
/// How many echoes the gateway is sent for a line, and how long they are waited for.
const ECHOES: u32 = 2;
const ECHO_WAIT: Millis = Millis::from_secs(1);

/// When a line is written, by all the clocks there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Instant {
    pub(crate) stamp: Stamp,
    pub(crate) awake: Millis,
}

/// Writes the lines, and keeps what the next one is compared with.
pub(crate) struct Recorder {
    asker: Option<Asker>,
    /// The interface on the way out, also while there is no way out.
    interface: String,
    before: Option<Counters>,
    lines: VecDeque<Moment>,
    /// How often a line was due when the last one was written.
    every: Millis,
}

/// An interface's counters.
#[derive(Clone, Debug)]
struct Counters {
    mono: Millis,
    of: Interface,
}

impl Recorder {
    /// A recorder that goes on after `lines`, those of an agent before this one.
    pub(crate) fn new(lines: Vec<Moment>) -> Recorder {
        let asker = Asker::open().inspect_err(|e| {
            tracing::warn!(error = %e, "the kernel cannot be asked about neighbours and leases: they are not recorded");
        });
        let interface = lines.last().map(|line| line.interface.clone()).unwrap_or_default();
        Recorder { asker: asker.ok(), interface, before: None, lines: lines.into(), every: Millis::ZERO }
    }

    /// What the machine is like now, as `status` has just seen it; the gateway is not asked yet.
    pub(crate) fn line(&mut self, status: &Status, now: Instant, checked_in_at: Option<Time>) -> Moment {
        let way = facts::ways().into_iter().next();
        self.follow(way.as_ref().map(|way| way.interface.as_str()), status);
        let mut line = Moment {
            at: now.stamp.at,
            mono: now.stamp.mono,
            awake: now.awake,
            synced: facts::clock_is_synced(),
            interface: self.interface.clone(),
            gateway: way.and_then(|way| way.gateway),
            checked_in_at,
            ..Moment::default()
        };
        let Some(interface) = status.interfaces.iter().find(|interface| interface.name == self.interface)
        else {
            self.before = None;
            line.carrier = (!line.interface.is_empty() && line.interface != "lo").then_some(false);
            return line;
        };
        line.carrier = Some(interface.up);
        line.speed_mbit = facts::speed_mbit(&interface.name);
        line.addresses = interface.addresses.iter().take(MOST_ADDRESSES).cloned().collect();
        line.signal_dbm = radio::signal_dbm(&interface.name);
        if let Some(before) = self.before.take().filter(|before| before.of.name == interface.name) {
            compare(&before, interface, &mut line);
        }
        self.before = Some(Counters { mono: now.stamp.mono, of: interface.clone() });
        self.ask_kernel(&mut line);
        line
    }

    /// The interface on the way out; where there is no default route, the one that has the address towards the server;
    /// where there is neither, the last one.
    fn follow(&mut self, way: Option<&str>, status: &Status) {
        let towards = status.address.map(|address| address.to_string());
        let has = |interface: &&Interface| {
            let of = |text: &String| text.split('/').next().map(ToOwned::to_owned);
            towards.is_some() && interface.addresses.iter().any(|text| of(text) == towards)
        };
        let own = || status.interfaces.iter().find(has).map(|interface| interface.name.as_str());
        if let Some(interface) = way.or_else(own) {
            interface.clone_into(&mut self.interface);
        }
    }

    fn ask_kernel(&mut self, line: &mut Moment) {
        let (Some(asker), Ok(index)) =
            (&mut self.asker, nix::net::if_::if_nametoindex(line.interface.as_str()))
        else {
            return;
        };
        line.lease = asker.lease(index);
        if let Some(gateway) = line.gateway {
            let entry = asker.neighbour(index, gateway).unwrap_or_default();
            (line.gateway_mac, line.neighbour) = (entry.mac, entry.state);
        }
    }

    /// The gateway of the last line.
    pub(crate) fn gateway(&self) -> Option<IpAddr> {
        self.lines.back().and_then(|line| line.gateway)
    }

    /// Takes a line that is done; `every`: how often one is due. Gives the gap before it, where there is one.
    pub(crate) fn keep(&mut self, line: Moment, every: Millis) -> Option<Gap> {
        let due = self.every.max(every);
        let first = std::mem::replace(&mut self.every, every) == Millis::ZERO;
        let gap = if first { None } else { self.lines.back().and_then(|last| between(last, &line, due)) };
        if self.lines.len() >= MOST_LINES {
            self.lines.pop_front();
        }
        self.lines.push_back(line);
        gap
    }

    /// The lines that are frozen for an outage that began at `began_at`: of the five minutes before it, and since.
    pub(crate) fn frozen(&self, began_at: Time) -> Vec<Moment> {
        let wanted = self.lines.iter().rev().take_while(|line| began_at.since(line.at) <= FROZEN);
        let mut lines: Vec<Moment> = wanted.take(MOST_FROZEN).cloned().collect();
        lines.reverse();
        lines
    }
}

/// Sends the gateway of `line` a few echoes, and writes down what came back.
pub(crate) async fn ask_gateway(prober: &Prober, line: &mut Moment) {
    let Some(gateway) = line.gateway else { return };
    if matches!(gateway, IpAddr::V6(ip) if ip.is_unicast_link_local()) {
        // It would need its interface named.
        return;
    }
    let target = gateway.to_string();
    let probe = Probe::Icmp { target, packets: ECHOES, warn_loss_permille: None, warn_rtt: None };
    let Measured { outcome, rtt_us, loss_permille, .. } = prober.run(&probe, ECHO_WAIT).await;
    if outcome != Outcome::Unknown {
        line.gateway_rtt_us = rtt_us;
        line.gateway_loss_permille = loss_permille.or(Some(if outcome == Outcome::Fail { 1_000 } else { 0 }));
    }
}

/// What an interface did since the line before.
fn compare(before: &Counters, now: &Interface, line: &mut Moment) {
    line.errors = now.errors.saturating_sub(before.of.errors);
    line.drops = now.drops.saturating_sub(before.of.drops);
    let span = (line.mono - before.mono).0.cast_unsigned();
    let received = now.rx_bytes.saturating_sub(before.of.rx_bytes);
    let sent = now.tx_bytes.saturating_sub(before.of.tx_bytes);
    // Bits in a millisecond, of a megabit in a second: thousandths of a second's thousand.
    let room = line.speed_mbit.map(|speed| u64::from(speed).saturating_mul(span));
    line.used_permille = room
        .and_then(|room| received.max(sent).saturating_mul(8).checked_div(room))
        .map(|permille| u32::try_from(permille).unwrap_or(u32::MAX).min(1_000));
}

#[cfg(test)]
mod tests;
