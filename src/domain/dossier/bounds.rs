//! What of a record is kept: texts and lists have their limits, and nothing that a terminal would obey.

use agent::report::{AgentOutage, Climb, First, Gap, Moment, Step, What};

/// The most bytes a record of a dossier may have, as JSON.
pub const MAX_RECORD: usize = 64 * 1024;
/// The longest text in one, in bytes.
const MAX_TEXT: usize = 300;
/// The most rungs of a climb.
const MAX_RUNGS: usize = 96;
/// The most hops of a route.
const MAX_HOPS: usize = 64;
/// The most addresses of one thing.
const MAX_ADDRESSES: usize = 16;
/// The most frozen lines, the newest ones: five minutes of one a second would be as many.
const MAX_MOMENTS: usize = 300;
/// The most first successes.
const MAX_FIRSTS: usize = 100;

/// Why a record is too large to be taken in, where it is.
#[must_use]
pub fn too_large(what: &What) -> Option<String> {
    let (name, size) = match what {
        What::Ladder(climb) => ("climb", size(climb)),
        What::Gap(gap) => ("gap", size(gap)),
        What::Outage(outage) => ("outage", size(outage)),
        What::Status(_) | What::Result(_) | What::Change(_) | What::Boot(_) | What::Dropped(_) => {
            return None;
        }
    };
    (size > MAX_RECORD).then(|| format!("a record of a {name} of {size} bytes: {MAX_RECORD} are the most"))
}

/// Counts what is written into it.
struct Count(usize);

impl std::io::Write for Count {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 = self.0.saturating_add(bytes.len());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn size(record: &impl serde::Serialize) -> usize {
    let mut count = Count(0);
    match serde_json::to_writer(&mut count, record) {
        Ok(()) => count.0,
        Err(_) => usize::MAX,
    }
}

fn clean(text: &mut String) {
    if text.chars().any(char::is_control) {
        *text = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    }
    if text.len() > MAX_TEXT {
        let end = (0..=MAX_TEXT).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
        text.truncate(end);
    }
}

fn clean_all(texts: &mut Vec<String>) {
    texts.truncate(MAX_ADDRESSES);
    texts.iter_mut().for_each(clean);
}

/// A climb within its limits.
#[must_use]
pub fn trimmed_climb(mut climb: Climb) -> Climb {
    climb.rungs.truncate(MAX_RUNGS);
    for rung in &mut climb.rungs {
        clean(&mut rung.reason);
        match &mut rung.step {
            Step::Link { interface, speed_mbit: _ } => clean(interface),
            Step::Address { interface, addresses, family: _ } => {
                clean(interface);
                clean_all(addresses);
            }
            Step::Neighbour { mac, state, gateway: _ } => {
                clean(mac);
                clean(state);
            }
            Step::Resolver { name, rcode, addresses, .. } => {
                clean(name);
                rcode.iter_mut().for_each(clean);
                addresses.truncate(MAX_ADDRESSES);
            }
            Step::Page { url, status: _, changed: _ } => clean(url),
            Step::ServerName { host, addresses } => {
                clean(host);
                addresses.truncate(MAX_ADDRESSES);
            }
            Step::Route { hops, .. } => {
                hops.truncate(MAX_HOPS);
                hops.iter_mut().for_each(|hop| clean(&mut hop.said));
            }
            Step::Gateway { .. }
            | Step::Anchor { .. }
            | Step::ServerConnect { .. }
            | Step::ServerTls { .. }
            | Step::ServerAnswer { .. }
            | Step::PacketSize { .. } => {}
        }
    }
    climb
}

fn clean_moment(moment: &mut Moment) {
    for text in [&mut moment.interface, &mut moment.gateway_mac, &mut moment.neighbour] {
        clean(text);
    }
    clean_all(&mut moment.addresses);
}

/// A gap within its limits.
#[must_use]
pub fn trimmed_gap(mut gap: Gap) -> Gap {
    gap.last.iter_mut().for_each(clean_moment);
    gap
}

/// An agent's own outage within its limits.
#[must_use]
pub fn trimmed_outage(mut outage: AgentOutage) -> AgentOutage {
    clean(&mut outage.reason);
    let too_many = outage.before.len().saturating_sub(MAX_MOMENTS);
    outage.before.drain(..too_many);
    outage.before.iter_mut().for_each(clean_moment);
    outage.firsts.truncate(MAX_FIRSTS);
    for First { rung, target, at: _ } in &mut outage.firsts {
        clean(rung);
        clean(target);
    }
    outage
}

#[cfg(test)]
mod tests {
    use super::*;
    use agent::report::{Held, Rung, Why};
    use schedules::{Millis, Time};

    fn rung(reason: &str) -> Rung {
        Rung {
            step: Step::Link { interface: "eth0".to_owned(), speed_mbit: None },
            outcome: Held::Fail,
            reason: reason.to_owned(),
            after: Millis::ZERO,
            rtt_us: None,
            loss_permille: None,
        }
    }

    fn climb(rungs: Vec<Rung>) -> Climb {
        Climb { outage: None, why: Why::Failure, took: Millis::ZERO, rungs }
    }

    #[test]
    fn a_climb_is_cut_to_its_limits_and_says_nothing_to_a_terminal() {
        let told = trimmed_climb(climb(vec![rung(&format!("\x1b[31m{}", "ä".repeat(400))); 200]));
        assert_eq!(told.rungs.len(), MAX_RUNGS);
        let reason = &told.rungs[0].reason;
        assert!(reason.len() <= MAX_TEXT && reason.starts_with(" [31mä"), "{reason}");
    }

    #[test]
    fn the_newest_of_the_frozen_minutes_are_kept() {
        let before = (0..400).map(|n| Moment { at: Time(n), ..Moment::default() }).collect();
        let told = trimmed_outage(AgentOutage { before, ..AgentOutage::default() });
        assert_eq!((told.before.len(), told.before[0].at), (MAX_MOMENTS, Time(100)));
    }

    #[test]
    fn a_record_that_is_too_large_says_how_large() {
        assert_eq!(too_large(&What::Ladder(climb(vec![rung("x")]))), None);
        let why = too_large(&What::Ladder(climb(vec![rung(&"x".repeat(70_000))])));
        assert!(why.is_some_and(|why| why.contains("65536 are the most")));
    }
}
