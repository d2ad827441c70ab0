//! The largest packet that passes unfragmented: pings of several sizes at the same time, then of sizes in between.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use super::echo::{Echoes, Unsent};
use super::ground::{Ground, family_of};
use super::notes::{Measure, Notes};
use crate::probe::echo::Why;
use crate::report::Step;

/// Sizes that lines are known to have, in bytes of an IP packet.
const USUAL: [u16; 14] = [9000, 4352, 2048, 1500, 1492, 1480, 1472, 1454, 1440, 1420, 1400, 1280, 576, 296];
/// How many sizes in between are tried at the same time.
const BETWEEN: u16 = 8;
/// How often each size is sent in one round, how far apart, and how many rounds there are.
const TRIES: usize = 3;
const APART: Duration = Duration::from_millis(40);
const ROUNDS: u32 = 5;
/// A smaller packet than any line must carry whole proves that somebody answers.
const SMALL: u16 = 84;

/// What is known of the sizes so far.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Search {
    mtu: u16,
    passed: Option<u16>,
    tried: BTreeSet<u16>,
    /// What somebody said would pass.
    told: Option<u32>,
}

impl Search {
    fn new(mtu: u16) -> Search {
        Search { mtu, passed: None, tried: BTreeSet::new(), told: None }
    }

    /// The smallest size that was tried, and is larger than all that passed; or the first beyond what this machine sends.
    fn stuck(&self) -> Option<u16> {
        let passed = self.passed.unwrap_or(0);
        let beyond = (passed < self.mtu).then_some(self.mtu + 1);
        self.tried.range(passed + 1..).next().copied().or(beyond)
    }

    /// This machine itself does not send as much: that says nothing of the way.
    fn is_not_sent(&mut self, size: u16) {
        self.mtu = self.mtu.min(size - 1);
        self.tried.retain(|tried| *tried < size);
    }

    /// The sizes to try next; none when it is known.
    fn next(&mut self) -> Vec<u16> {
        let sizes: BTreeSet<u16> = if self.tried.is_empty() {
            let usual = USUAL.into_iter().filter(|size| *size < self.mtu);
            usual.chain([self.mtu, SMALL.min(self.mtu)]).collect()
        } else {
            let (Some(passed), Some(stuck)) = (self.passed, self.stuck()) else { return Vec::new() };
            if stuck - passed <= 1 && self.tried.len() > USUAL.len() {
                return Vec::new();
            }
            let step = (stuck - passed).div_ceil(BETWEEN + 1).max(1);
            let between = (1..=BETWEEN).map(|nth| passed + nth * step).filter(|size| *size < stuck);
            let told = self.told.and_then(|told| u16::try_from(told).ok());
            // Those that got stuck may only have been lost: they are tried again.
            let all =
                between.chain(told.filter(|told| (passed..self.mtu).contains(told))).chain([stuck, self.mtu]);
            all.filter(|size| *size <= self.mtu).collect()
        };
        self.tried.extend(&sizes);
        sizes.into_iter().collect()
    }

    fn has_passed(&mut self, size: u16) {
        self.passed = Some(self.passed.map_or(size, |passed| passed.max(size)));
    }
}

/// Measures towards the first of `targets` that answers pings.
pub(super) async fn note(ground: &Ground, targets: &[IpAddr], notes: &Notes, timeout: Duration) {
    let mut last = "there is nothing to send to".to_owned();
    for &target in targets {
        let family = family_of(target);
        if let Some(why) = ground.blocked(family) {
            last = why;
            continue;
        }
        let mtu = ground.mtu_towards(target).unwrap_or(1500);
        let mtu = u16::try_from(mtu).unwrap_or(u16::MAX).clamp(SMALL, USUAL[0]);
        match search(target, mtu, timeout).await {
            Ok(search) if search.passed.is_some() => return note_found(target, &search, notes),
            Ok(_) => last = format!("{target} answers no pings"),
            Err(why) => last = why,
        }
    }
    let target = targets.first().copied().unwrap_or(Ipv4Addr::UNSPECIFIED.into());
    notes.not_measured(Step::PacketSize { target, largest: None, mtu: 0, told: false }, &last);
}

fn note_found(target: IpAddr, search: &Search, notes: &Notes) {
    let step = Step::PacketSize {
        target,
        largest: search.passed.map(u32::from),
        mtu: search.mtu.into(),
        told: search.told.is_some(),
    };
    let largest = search.passed.unwrap_or_default();
    if largest >= search.mtu || search.told.is_some() {
        // Where somebody says what passes, everybody adapts to it.
        return notes.holds(step, Measure::default());
    }
    let why = format!(
        "packets of more than {largest} bytes do not arrive, and nobody says so (the interface sends up to {})",
        search.mtu
    );
    notes.fails(step, &why, Measure::default());
}

/// What became of a packet that was to be sent.
enum Sent {
    Left,
    /// This machine sends none of this size there.
    TooLarge,
    NoRoute,
}

/// Sends one of this size. What somebody said of an earlier one is told by the same error as what this machine says of
/// this one, but not again and again.
fn send(echoes: &Echoes, seq: u16, size: u16) -> Sent {
    for _ in 0..TRIES {
        match echoes.send_packet(seq, size.into()) {
            Err(error) if Unsent::of(&error) == Unsent::NoRoute => return Sent::NoRoute,
            Err(error) if error.raw_os_error() == Some(libc::EMSGSIZE) => {}
            Ok(()) | Err(_) => return Sent::Left,
        }
    }
    Sent::TooLarge
}

async fn search(target: IpAddr, mtu: u16, timeout: Duration) -> Result<Search, String> {
    let echoes = Echoes::open(target, 0)?;
    let mut search = Search::new(mtu);
    let mut sent: Vec<u16> = Vec::new();
    for _ in 0..ROUNDS {
        let sizes = search.next();
        if sizes.is_empty() {
            break;
        }
        let mut open = sizes.clone();
        for nth in 0..TRIES {
            let mut too_large = None;
            for &size in &open {
                let seq = u16::try_from(sent.len()).unwrap_or(u16::MAX);
                sent.push(size);
                match send(&echoes, seq, size) {
                    Sent::Left => {}
                    Sent::TooLarge => {
                        too_large = Some(size);
                        break;
                    }
                    Sent::NoRoute => return Err("this machine has no route to it".to_owned()),
                }
            }
            if let Some(size) = too_large {
                open.retain(|other| *other < size);
                search.is_not_sent(size);
            }
            let wait = if nth + 1 == TRIES { timeout } else { APART };
            let until = tokio::time::Instant::now() + wait;
            while !open.is_empty() {
                let Some(fate) = echoes.hear(until).await else { break };
                let Some(&size) = sent.get(usize::from(fate.seq)) else { continue };
                match fate.why {
                    None => {
                        open.retain(|other| *other != size);
                        search.has_passed(size);
                    }
                    Some(Why::TooBig { mtu }) => {
                        open.retain(|other| *other != size);
                        search.told = Some(mtu);
                    }
                    Some(_) => {}
                }
            }
        }
        if search.passed.is_none() {
            break;
        }
    }
    Ok(search)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn found(mtu: u16, passes: u16) -> (Option<u16>, u32) {
        let mut search = Search::new(mtu);
        for round in 0..ROUNDS {
            let sizes = search.next();
            if sizes.is_empty() {
                return (search.passed, round);
            }
            for size in sizes {
                if size <= passes {
                    search.has_passed(size);
                }
            }
        }
        (search.passed, ROUNDS)
    }

    /// The same where the machine itself sends no more than `sends`, and nobody knew.
    fn found_where_no_more_is_sent(sends: u16) -> (Option<u16>, u16) {
        let mut search = Search::new(1500);
        for _ in 0..ROUNDS {
            for size in search.next() {
                if size > sends {
                    search.is_not_sent(size);
                    break;
                }
                search.has_passed(size);
            }
        }
        (search.passed, search.mtu)
    }

    #[test]
    fn what_this_machine_does_not_send_is_no_fault_of_the_way() {
        for sends in [84, 576, 1280, 1419, 1420, 1421, 1439, 1440, 1499, 1500] {
            assert_eq!(found_where_no_more_is_sent(sends), (Some(sends), sends));
        }
    }

    proptest! {
        #[test]
        fn whatever_passes_is_found_to_the_byte(mtu in 1280u16..=9000, passes in 84u16..=9000) {
            prop_assert_eq!(found(mtu, passes).0, Some(passes.min(mtu)));
        }
    }

    #[test]
    fn a_line_without_a_limit_takes_one_round_and_a_silent_one_takes_one_as_well() {
        assert_eq!(found(1500, 1500), (Some(1500), 1));
        assert_eq!(found(1500, 0), (None, 1));
    }

    #[test]
    fn a_limit_of_which_somebody_tells_is_no_fault() {
        use crate::report::Held;
        let target = IpAddr::from([10, 0, 0, 9]);
        for (passed, told, held) in
            [(1500, None, Held::Ok), (1400, None, Held::Fail), (1492, Some(1492), Held::Ok)]
        {
            let notes = Notes::new();
            let search = Search { passed: Some(passed), told, ..Search::new(1500) };
            note_found(target, &search, &notes);
            assert_eq!(notes.rungs()[0].outcome, held, "{passed} {told:?}");
        }
    }
}
