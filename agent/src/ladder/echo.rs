//! ICMP echoes of a climb: with a chosen number of hops and size, and with what routers say to them.
//!
//! A datagram socket needs no privilege where the system allows it; else a raw one. What a router says comes by the socket's
//! error queue (ip(7), IP_RECVERR), so both are read alike.

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::sockopt::{Ipv4RecvErr, Ipv6RecvErr};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, setsockopt};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

/// The bytes of an ICMP header.
const HEADER: usize = 8;
/// The bytes of an ordinary ping: header and payload.
pub(super) const PLAIN: usize = 64;
/// The largest packet that is read.
const MAX_PACKET: usize = 2048;

/// What was heard of an echo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Heard {
    /// Which echo.
    pub(super) seq: u16,
    /// When.
    pub(super) at: Instant,
    pub(super) what: What,
}

/// What came back for an echo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// The target answered.
    Answer,
    /// It ran out of hops at this router.
    Expired(IpAddr),
    /// It was too large for somebody on the way.
    TooLarge,
    /// Somebody says that it cannot get there, or may not.
    Refused(Option<IpAddr>, &'static str),
}

/// A socket for echoes to one target.
pub(super) struct Echo {
    socket: Socket,
    raw: bool,
    v4: bool,
    id: u16,
}

impl Echo {
    pub(super) fn open(target: IpAddr) -> io::Result<Echo> {
        Echo::open_at(SocketAddr::new(target, 0))
    }

    fn open_at(target: SocketAddr) -> io::Result<Echo> {
        let v4 = target.is_ipv4();
        let (domain, protocol) =
            if v4 { (Domain::IPV4, Protocol::ICMPV4) } else { (Domain::IPV6, Protocol::ICMPV6) };
        let (socket, raw) = match Socket::new(domain, Type::DGRAM, Some(protocol)) {
            Ok(socket) => (socket, false),
            Err(_) => (Socket::new(domain, Type::RAW, Some(protocol))?, true),
        };
        if v4 {
            setsockopt(&socket, Ipv4RecvErr, &true)?;
        } else {
            setsockopt(&socket, Ipv6RecvErr, &true)?;
        }
        socket.set_nonblocking(true)?;
        socket.connect(&SockAddr::from(target))?;
        Ok(Echo { socket, raw, v4, id: fastrand::u16(1..) })
    }

    /// Packets may not be cut on the way, and none is kept back here because of what was learnt before.
    pub(super) fn forbid_fragments(&self) -> io::Result<()> {
        let (level, name, value) = if self.v4 {
            (libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_PROBE)
        } else {
            (libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_PROBE)
        };
        set_number(&self.socket, level, name, value)
    }

    /// How many hops the next echoes may make.
    pub(super) fn set_hops(&self, hops: u8) -> io::Result<()> {
        if self.v4 {
            self.socket.set_ttl_v4(hops.into())
        } else {
            self.socket.set_unicast_hops_v6(hops.into())
        }
    }

    /// Sends an echo of so many bytes, ICMP header included. True: too large for this machine itself.
    pub(super) fn send(&self, seq: u16, bytes: usize) -> io::Result<bool> {
        let mut packet = vec![0; bytes.max(HEADER)];
        packet[0] = if self.v4 { 8 } else { 128 };
        packet[4..6].copy_from_slice(&self.id.to_be_bytes());
        packet[6..8].copy_from_slice(&seq.to_be_bytes());
        if self.v4 {
            let sum = checksum(&packet);
            packet[2..4].copy_from_slice(&sum.to_be_bytes());
        }
        // What is waiting in the error queue is told here too, once, and then the way is free.
        for _ in 0..4 {
            match self.socket.send(&packet) {
                Ok(_) => return Ok(false),
                Err(e) if e.raw_os_error() == Some(libc::EMSGSIZE) => return Ok(true),
                Err(e) if matches!(e.raw_os_error(), Some(libc::EHOSTUNREACH | libc::ECONNREFUSED)) => {}
                Err(e) => return Err(e),
            }
        }
        Ok(false)
    }

    /// What comes next; none by `until`.
    pub(super) fn hear(&self, until: Instant) -> Option<Heard> {
        loop {
            if let Some(heard) = self.trouble().or_else(|| self.answer()) {
                return Some(heard);
            }
            let left = until.checked_duration_since(Instant::now())?;
            wait(&self.socket, PollFlags::POLLIN | PollFlags::POLLERR, left);
        }
    }

    fn answer(&self) -> Option<Heard> {
        let mut buffer = [0; MAX_PACKET];
        loop {
            let mut into = [IoSliceMut::new(&mut buffer)];
            let read =
                recvmsg::<SockaddrStorage>(self.socket.as_raw_fd(), &mut into, None, MsgFlags::MSG_DONTWAIT);
            let len = match read {
                Ok(message) => message.bytes,
                Err(nix::Error::EAGAIN) => return None,
                // What an echo ran into: the error queue has it.
                Err(_) => return None,
            };
            let bytes = buffer.get(..len)?;
            let icmp = if self.raw && self.v4 { behind_v4(bytes)? } else { bytes };
            let kind = if self.v4 { 0 } else { 129 };
            let ours = !self.raw || icmp.get(4..6) == Some(&self.id.to_be_bytes()[..]);
            if icmp.first() == Some(&kind) && ours {
                return Some(Heard { seq: seq(icmp)?, at: Instant::now(), what: What::Answer });
            }
        }
    }

    fn trouble(&self) -> Option<Heard> {
        let mut buffer = [0; MAX_PACKET];
        let mut into = [IoSliceMut::new(&mut buffer)];
        let mut space = nix::cmsg_space!(libc::sock_extended_err, libc::sockaddr_in6);
        let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
        let message =
            recvmsg::<SockaddrStorage>(self.socket.as_raw_fd(), &mut into, Some(&mut space), flags).ok()?;
        let len = message.bytes;
        let told = message.cmsgs().ok()?.find_map(told)?;
        let icmp = buffer.get(..len)?;
        let ours = !self.raw || icmp.get(4..6) == Some(&self.id.to_be_bytes()[..]);
        if !ours {
            return None;
        }
        Some(Heard { seq: seq(icmp)?, at: Instant::now(), what: told })
    }
}

/// What the error queue says.
pub(super) fn told(message: ControlMessageOwned) -> Option<What> {
    let (error, from) = match message {
        ControlMessageOwned::Ipv4RecvErr(error, from) => {
            (error, from.map(|from| IpAddr::from(from.sin_addr.s_addr.to_ne_bytes())))
        }
        ControlMessageOwned::Ipv6RecvErr(error, from) => {
            (error, from.map(|from| IpAddr::from(from.sin6_addr.s6_addr)))
        }
        _ => return None,
    };
    if error.ee_errno == libc::EMSGSIZE.cast_unsigned() {
        return Some(What::TooLarge);
    }
    Some(match (error.ee_origin, error.ee_type, error.ee_code) {
        (libc::SO_EE_ORIGIN_ICMP, 11, _) | (libc::SO_EE_ORIGIN_ICMP6, 3, _) => match from {
            Some(from) => What::Expired(from),
            None => What::Refused(None, "out of hops"),
        },
        (libc::SO_EE_ORIGIN_ICMP, 3, code) => What::Refused(from, unreachable_v4(code)),
        (libc::SO_EE_ORIGIN_ICMP6, 1, code) => What::Refused(from, unreachable_v6(code)),
        (libc::SO_EE_ORIGIN_LOCAL, ..) => What::Refused(None, "this machine cannot send it"),
        _ => What::Refused(from, "undeliverable"),
    })
}

fn unreachable_v4(code: u8) -> &'static str {
    match code {
        0 | 6 | 11 => "network unreachable",
        1 | 7 | 12 => "host unreachable",
        2 | 3 => "port unreachable",
        9 | 10 | 13 => "prohibited by a filter",
        _ => "unreachable",
    }
}

fn unreachable_v6(code: u8) -> &'static str {
    match code {
        0 => "no route",
        1 | 5 | 6 => "prohibited by a filter",
        3 => "host unreachable",
        4 => "port unreachable",
        _ => "unreachable",
    }
}

/// Waits until something is there, or the time is over.
pub(super) fn wait(socket: &impl AsFd, flags: PollFlags, left: Duration) {
    let left = u16::try_from(left.as_millis().saturating_add(1)).unwrap_or(u16::MAX);
    // Whether something came is seen by who reads.
    let _ = poll(&mut [PollFd::new(socket.as_fd(), flags)], PollTimeout::from(left));
}

/// Sets an option that nobody has wrapped.
pub(super) fn set_number(
    socket: &Socket,
    level: libc::c_int,
    name: libc::c_int,
    value: libc::c_int,
) -> io::Result<()> {
    let size = libc::socklen_t::try_from(size_of::<libc::c_int>()).expect("four bytes");
    #[expect(unsafe_code, reason = "neither socket2 nor nix know this option")]
    // SAFETY: the descriptor is open, and `value` is as large as it is said to be.
    let failed =
        unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, (&raw const value).cast(), size) };
    if failed == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn seq(icmp: &[u8]) -> Option<u16> {
    Some(u16::from_be_bytes(icmp.get(6..8)?.try_into().ok()?))
}

/// What stands behind an IPv4 header.
fn behind_v4(packet: &[u8]) -> Option<&[u8]> {
    packet.get(usize::from(packet.first()? & 0x0f) * 4..)
}

fn checksum(bytes: &[u8]) -> u16 {
    let sum: u32 = bytes
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0)))
        .sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    !u16::try_from((folded & 0xffff) + (folded >> 16)).unwrap_or(0)
}

/// How a few plain echoes ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pinged {
    pub(super) sent: u32,
    pub(super) answered: u32,
    pub(super) rtt_us: Option<u32>,
}

impl Pinged {
    pub(super) fn loss_permille(&self) -> u32 {
        (self.sent - self.answered.min(self.sent)) * 1000 / self.sent.max(1)
    }
}

/// Pings a target: `packets` echoes a twentieth of a second apart, each answered within `timeout` or not at all.
pub(super) fn ping(target: IpAddr, packets: u16, timeout: Duration) -> io::Result<Pinged> {
    ping_by(&Echo::open(target)?, packets, timeout)
}

/// The same for an address that means something on one interface alone.
pub(super) fn ping_on(
    target: IpAddr,
    interface: &str,
    packets: u16,
    timeout: Duration,
) -> io::Result<Pinged> {
    let index = nix::net::if_::if_nametoindex(interface)?;
    let target = match target {
        IpAddr::V4(_) => SocketAddr::new(target, 0),
        IpAddr::V6(v6) => SocketAddr::V6(std::net::SocketAddrV6::new(v6, 0, 0, index)),
    };
    ping_by(&Echo::open_at(target)?, packets, timeout)
}

fn ping_by(echo: &Echo, packets: u16, timeout: Duration) -> io::Result<Pinged> {
    let mut sent = Vec::new();
    let (mut answered, mut sum) = (0_u32, Duration::ZERO);
    let mut note = |heard: Heard, sent: &[Instant]| {
        if heard.what == What::Answer
            && let Some(at) = sent.get(usize::from(heard.seq))
        {
            answered += 1;
            sum += heard.at.saturating_duration_since(*at);
        }
    };
    for seq in 0..packets {
        sent.push(Instant::now());
        echo.send(seq, PLAIN)?;
        let until = Instant::now() + Duration::from_millis(50);
        while let Some(heard) = echo.hear(until) {
            note(heard, &sent);
        }
    }
    let until = Instant::now() + timeout.saturating_sub(Duration::from_millis(50));
    let mut heard_of = 0;
    while heard_of < packets
        && let Some(heard) = echo.hear(until)
    {
        note(heard, &sent);
        heard_of += 1;
    }
    let rtt_us = sum.checked_div(answered).map(|rtt| u32::try_from(rtt.as_micros()).unwrap_or(u32::MAX));
    Ok(Pinged { sent: packets.into(), answered, rtt_us })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_answers_and_says_how_fast() {
        for target in ["127.0.0.1", "::1"] {
            let pinged = ping(target.parse().unwrap(), 3, Duration::from_secs(5)).unwrap();
            assert_eq!((pinged.sent, pinged.answered, pinged.loss_permille()), (3, 3, 0), "{target}");
            assert!(pinged.rtt_us.is_some());
        }
    }
}
