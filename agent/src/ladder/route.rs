//! The way to a target, hop by hop, with ICMP and with TCP; and the largest packet that passes on it uncut.
//!
//! Few packets: routers answer only so many a second, and a hop that stays silent is asked once more at most.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use nix::poll::PollFlags;
use nix::sys::socket::sockopt::{Ipv4RecvErr, Ipv6RecvErr};
use nix::sys::socket::{MsgFlags, SockaddrStorage, recvmsg, setsockopt};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use super::echo::{self, Echo, Heard, PLAIN, What};
use crate::report::Hop;

/// So many silent hops in a row end a route.
const SILENT: usize = 5;
/// How often a hop is asked.
const TRIES: u8 = 2;
/// The sizes of IP packets that are tried, the largest first: Ethernet, PPPoE, tunnels, and the least of IPv6.
const SIZES: [u32; 9] = [9000, 1500, 1492, 1480, 1472, 1452, 1400, 1280, 576];

/// A route that was walked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Walked {
    pub(super) hops: Vec<Hop>,
    /// Whether it came to the target.
    pub(super) reached: bool,
}

/// Walks to the target with echoes.
pub(super) fn icmp(target: IpAddr, most: u8, timeout: Duration) -> io::Result<Walked> {
    let echo = Echo::open(target)?;
    let mut hops: Vec<Hop> = (1..=most).map(blank).collect();
    let mut sent = vec![Instant::now(); usize::from(most)];
    for _ in 0..TRIES {
        let last = hops.iter().position(|hop| hop.last).map_or(usize::from(most), |at| at + 1);
        // Behind a long silence nothing is asked again.
        let horizon = horizon(&hops, last);
        let mut open = 0_usize;
        for at in 0..horizon.min(last) {
            if hops[at].answered > 0 {
                continue;
            }
            echo.set_hops(hops[at].ttl)?;
            sent[at] = Instant::now();
            echo.send(u16::from(hops[at].ttl), PLAIN)?;
            hops[at].sent += 1;
            open += 1;
        }
        let until = Instant::now() + timeout;
        while open > 0
            && let Some(heard) = echo.hear(until)
        {
            open = open.saturating_sub(usize::from(note(&mut hops, &sent, &heard, target)));
            // Once the target has answered, only the hops before it are waited for.
            if let Some(at) = hops.iter().position(|hop| hop.last) {
                open = hops[..at].iter().filter(|hop| hop.answered == 0 && hop.said.is_empty()).count();
            }
        }
    }
    Ok(cut(hops))
}

fn blank(ttl: u8) -> Hop {
    Hop { ttl, address: None, rtt_us: None, sent: 0, answered: 0, last: false, said: String::new() }
}

/// Up to which hop it is worth asking again: at the first round all of them.
fn horizon(hops: &[Hop], last: usize) -> usize {
    if hops.iter().all(|hop| hop.sent == 0) {
        return last;
    }
    let far = hops.iter().rposition(|hop| hop.answered > 0).map_or(0, |at| at + 1);
    (far + SILENT).min(last)
}

/// Notes what was heard; false where it tells nothing new.
fn note(hops: &mut [Hop], sent: &[Instant], heard: &Heard, target: IpAddr) -> bool {
    let Some(at) = usize::from(heard.seq).checked_sub(1) else { return false };
    let (Some(hop), Some(sent)) = (hops.get_mut(at), sent.get(at)) else { return false };
    let rtt = u32::try_from(heard.at.saturating_duration_since(*sent).as_micros()).unwrap_or(u32::MAX);
    if hop.answered > 0 {
        return false;
    }
    match &heard.what {
        What::Answer => {
            (hop.address, hop.last) = (Some(target), true);
        }
        What::Expired(from) => hop.address = Some(*from),
        What::Refused(from, why) => {
            hop.address = *from;
            hop.said = (*why).to_owned();
        }
        What::TooLarge => return false,
    }
    if hop.address.is_some() {
        hop.answered = 1;
        hop.rtt_us = Some(rtt);
    }
    true
}

/// Leaves out what lies behind the target, and the silence at the end.
fn cut(mut hops: Vec<Hop>) -> Walked {
    let reached = hops.iter().position(|hop| hop.last);
    if let Some(at) = reached {
        hops.truncate(at + 1);
    } else {
        let far = hops.iter().rposition(|hop| hop.address.is_some()).map_or(0, |at| at + 1);
        hops.truncate(far);
    }
    Walked { hops, reached: reached.is_some() }
}

/// Walks to a port of the target with beginnings of TCP connections: for where echoes are not let through.
pub(super) fn tcp(target: SocketAddr, most: u8, timeout: Duration) -> io::Result<Walked> {
    let mut open: Vec<(Hop, Socket, Instant)> = Vec::new();
    for ttl in 1..=most {
        let domain = if target.is_ipv4() { Domain::IPV4 } else { Domain::IPV6 };
        let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
        if target.is_ipv4() {
            setsockopt(&socket, Ipv4RecvErr, &true)?;
            socket.set_ttl_v4(ttl.into())?;
        } else {
            setsockopt(&socket, Ipv6RecvErr, &true)?;
            socket.set_unicast_hops_v6(ttl.into())?;
        }
        socket.set_nonblocking(true)?;
        let sent = Instant::now();
        let begun = socket.connect(&SockAddr::from(target));
        let mut hop = Hop { sent: 1, ..blank(ttl) };
        if let Err(e) = begun
            && e.raw_os_error() != Some(libc::EINPROGRESS)
        {
            hop.said =
                if e.kind() == io::ErrorKind::ConnectionRefused { String::new() } else { e.to_string() };
            hop.last = hop.said.is_empty();
        }
        open.push((hop, socket, sent));
    }
    let until = Instant::now() + timeout;
    while Instant::now() < until && open.iter().any(|(hop, ..)| hop.answered == 0) {
        let mut news = false;
        for (hop, socket, sent) in &mut open {
            news |= hop.answered == 0 && look(hop, socket, *sent, target.ip());
        }
        let reached = open.iter().position(|(hop, ..)| hop.last);
        if reached.is_some_and(|at| open[..at].iter().all(|(hop, ..)| hop.answered > 0)) {
            break;
        }
        if !news && let Some((_, socket, _)) = open.iter().find(|(hop, ..)| hop.answered == 0) {
            let nap = until.saturating_duration_since(Instant::now()).min(Duration::from_millis(10));
            echo::wait(socket, PollFlags::POLLOUT, nap);
        }
    }
    Ok(cut(open.into_iter().map(|(hop, ..)| hop).collect()))
}

/// Looks what became of one beginning; true where it has ended.
fn look(hop: &mut Hop, socket: &Socket, sent: Instant, target: IpAddr) -> bool {
    let rtt = u32::try_from(sent.elapsed().as_micros()).unwrap_or(u32::MAX);
    let mut buffer = [0; 256];
    let mut into = [io::IoSliceMut::new(&mut buffer)];
    let mut space = nix::cmsg_space!(libc::sock_extended_err, libc::sockaddr_in6);
    let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
    if let Ok(message) = recvmsg::<SockaddrStorage>(socket.as_raw_fd(), &mut into, Some(&mut space), flags)
        && let Some(told) = message.cmsgs().ok().and_then(|mut all| all.find_map(echo::told))
    {
        match told {
            What::Expired(from) => hop.address = Some(from),
            What::Refused(from, why) => {
                hop.address = from;
                hop.said = why.to_owned();
            }
            What::Answer | What::TooLarge => return false,
        }
    } else if socket.peer_addr().is_ok()
        || socket.take_error().ok().flatten().is_some_and(|e| e.kind() == io::ErrorKind::ConnectionRefused)
    {
        (hop.address, hop.last) = (Some(target), true);
    } else {
        return false;
    }
    hop.answered = 1;
    hop.rtt_us = Some(rtt);
    true
}

/// What is known of the largest packet on a way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size {
    /// The largest IP packet that was answered.
    pub(super) largest: Option<u32>,
    /// Whether somebody on the way said that one was too large.
    pub(super) told: bool,
}

/// Finds the largest packet that passes uncut, of those that are not larger than `mtu`.
pub(super) fn packet_size(target: IpAddr, mtu: u32, timeout: Duration) -> io::Result<Size> {
    let echo = Echo::open(target)?;
    echo.forbid_fragments()?;
    let ip_header = if target.is_ipv4() { 20 } else { 40 };
    let mut sizes: Vec<u32> = SIZES.into_iter().filter(|size| *size < mtu).collect();
    sizes.insert(0, mtu.min(9000));
    let mut size = Size { largest: None, told: false };
    for _ in 0..TRIES {
        let mut open = 0;
        for (at, bytes) in sizes.iter().enumerate() {
            if size.largest.is_some_and(|largest| *bytes <= largest) {
                continue;
            }
            let seq = u16::try_from(at).unwrap_or(u16::MAX);
            let too_large = echo.send(seq, usize::try_from(*bytes - ip_header).unwrap_or(PLAIN))?;
            open += usize::from(!too_large);
        }
        let until = Instant::now() + timeout;
        while open > 0
            && let Some(heard) = echo.hear(until)
        {
            match heard.what {
                What::Answer => {
                    let bytes = sizes.get(usize::from(heard.seq)).copied();
                    size.largest = size.largest.max(bytes);
                    open -= 1;
                }
                What::TooLarge => {
                    size.told = true;
                    open -= 1;
                }
                What::Expired(_) | What::Refused(..) => open -= 1,
            }
        }
        if size.largest == sizes.first().copied() {
            break;
        }
    }
    Ok(size)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hop(ttl: u8, address: Option<&str>) -> Hop {
        let address = address.map(|text| text.parse().unwrap());
        Hop { address, answered: u8::from(address.is_some()), sent: 1, ..blank(ttl) }
    }

    #[test]
    fn silence_at_the_end_is_left_out_and_what_lies_behind_the_target_too() {
        let walked =
            cut(vec![hop(1, Some("192.0.2.1")), hop(2, None), hop(3, Some("192.0.2.3")), hop(4, None)]);
        assert_eq!((walked.hops.len(), walked.reached), (3, false));
        let last = Hop { last: true, ..hop(2, Some("192.0.2.9")) };
        let walked = cut(vec![hop(1, None), last.clone(), last]);
        assert_eq!((walked.hops.len(), walked.reached), (2, true));
        assert_eq!(cut(vec![hop(1, None)]), Walked { hops: Vec::new(), reached: false });
    }

    #[test]
    fn after_a_long_silence_nothing_is_asked_again() {
        let mut hops: Vec<Hop> = (1..=20).map(|ttl| hop(ttl, None)).collect();
        hops[2].answered = 1;
        assert_eq!(horizon(&hops, 20), 8);
        assert_eq!(horizon(&(1..=20).map(blank).collect::<Vec<_>>(), 20), 20, "the first round");
    }

    #[test]
    fn the_way_to_loopback_is_one_hop_and_takes_what_loopback_takes() {
        let timeout = Duration::from_secs(5);
        let walked = icmp("127.0.0.1".parse().unwrap(), 5, timeout).unwrap();
        assert_eq!((walked.hops.len(), walked.reached), (1, true), "{walked:?}");
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let walked = tcp(listener.local_addr().unwrap(), 3, timeout).unwrap();
        assert_eq!((walked.hops.len(), walked.reached), (1, true), "{walked:?}");
        let size = packet_size("127.0.0.1".parse().unwrap(), 1500, timeout).unwrap();
        assert_eq!(size, Size { largest: Some(1500), told: false });
    }
}
