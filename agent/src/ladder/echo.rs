//! Echoes of any size, to any distance, and whatever is said about them on the way, over one socket of its own.
//!
//! Without privileges that is a datagram socket, whose error queue tells what routers say (`IP_RECVERR`); where those are
//! not allowed, and raw ones are, a raw socket, to which such messages come as packets.

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr, SocketAddrV6, UdpSocket as StdUdpSocket};
use std::os::fd::{AsRawFd, RawFd};
use std::time::{Duration, Instant};

use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, setsockopt, sockopt as options,
};
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::io::Interest;
use tokio::net::UdpSocket;

use crate::probe::echo::{self, Form, Heard, LEN, Why};
use crate::probe::icmp::{closed, hear_only_what_concerns_echoes};

/// `IP_PMTUDISC_PROBE`: not to be fragmented, and whatever the machine believes of the way is not believed.
const PROBE: libc::c_int = 3;
/// Room for an answer: the largest echo that is sent, and a header.
const ROOM: usize = 10_240;
/// The most packets that are read in one go.
const MOST_READ: usize = 1_024;
/// The smallest echo: header and token.
const LEAST: usize = 16;

/// One echo's fate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fate {
    /// Which echo.
    pub(super) seq: u16,
    /// Who says it.
    pub(super) from: IpAddr,
    /// None: it came back. Else why it did not.
    pub(super) why: Option<Why>,
    /// When it was heard.
    pub(super) at: Instant,
}

/// A socket for echoes to one target.
pub(super) struct Echoes {
    socket: UdpSocket,
    form: Form,
    id: u16,
    token: u64,
    target: IpAddr,
    to: SocketAddr,
}

impl Echoes {
    /// Opens one. `scope`: the interface's number, where the target is an address of one link.
    ///
    /// # Errors
    /// Why no socket opens, in words.
    pub(super) fn open(target: IpAddr, scope: u32) -> Result<Echoes, String> {
        let v4 = target.is_ipv4();
        let (domain, protocol) =
            if v4 { (Domain::IPV4, Protocol::ICMPV4) } else { (Domain::IPV6, Protocol::ICMPV6) };
        let (datagram, raw) =
            if v4 { (Form::DatagramV4, Form::RawV4) } else { (Form::DatagramV6, Form::RawV6) };
        let (socket, form) = Socket::new(domain, Type::DGRAM, Some(protocol))
            .map(|socket| (socket, datagram))
            .or_else(|_| Socket::new(domain, Type::RAW, Some(protocol)).map(|socket| (socket, raw)))
            .map_err(|error| closed(v4, &error).message)?;
        let failed = |error: io::Error| format!("ping: set up an ICMP socket: {error}");
        socket.set_nonblocking(true).map_err(failed)?;
        hear_only_what_concerns_echoes(&socket, form);
        let discover = if v4 { libc::IP_MTU_DISCOVER } else { libc::IPV6_MTU_DISCOVER };
        set(&socket, v4, discover, PROBE).map_err(failed)?;
        if !v4 {
            setsockopt(&socket, options::Ipv6DontFrag, &true).map_err(|e| failed(e.into()))?;
        }
        if matches!(form, Form::DatagramV4 | Form::DatagramV6) {
            tell_errors(&socket, v4).map_err(failed)?;
        }
        let socket = UdpSocket::from_std(StdUdpSocket::from(socket)).map_err(failed)?;
        let to = match target {
            IpAddr::V4(ip) => (ip, 0).into(),
            IpAddr::V6(ip) => SocketAddrV6::new(ip, 0, 0, scope).into(),
        };
        Ok(Echoes { socket, form, id: fastrand::u16(1..), token: fastrand::u64(..), target, to })
    }

    /// Bytes of an IP packet around the echo's own.
    pub(super) fn headers(&self) -> usize {
        if self.target.is_ipv4() { 20 } else { 40 }
    }

    /// How far the echoes go that are sent from now on.
    pub(super) fn go_as_far_as(&self, hops: u8) -> io::Result<()> {
        set_hops(&SockRef::from(&self.socket), self.target.is_ipv4(), hops)
    }

    /// Sends one of the ordinary size.
    pub(super) fn send(&self, seq: u16) -> io::Result<()> {
        self.send_packet(seq, self.headers() + LEN)
    }

    /// Sends one that fills an IP packet of `size` bytes.
    pub(super) fn send_packet(&self, seq: u16, size: usize) -> io::Result<()> {
        let mut packet = vec![0; size.saturating_sub(self.headers()).clamp(LEAST, ROOM - 64)];
        echo::fill(&mut packet, self.form, self.id, seq, self.token);
        for tries_left in [true, false] {
            match SockRef::from(&self.socket).send_to(&packet, &self.to.into()) {
                Ok(_) => return Ok(()),
                // What was said about an earlier echo is told at the next call: it stands in the queue as well.
                Err(_) if tries_left && self.form_tells_late() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn form_tells_late(&self) -> bool {
        matches!(self.form, Form::DatagramV4 | Form::DatagramV6)
    }

    /// What is heard next; none where nothing is until `until`.
    pub(super) async fn hear(&self, until: tokio::time::Instant) -> Option<Fate> {
        let interest = Interest::READABLE | Interest::ERROR;
        loop {
            tokio::time::timeout_at(until, self.socket.ready(interest)).await.ok()?.ok()?;
            // One kind of readiness at a time: that is what is taken back where there is nothing more.
            let nothing = || io::ErrorKind::WouldBlock.into();
            let packet = || self.take_packet().ok_or_else(nothing);
            let complaint = || self.take_complaint().ok_or_else(nothing);
            let heard = self.socket.try_io(Interest::READABLE, packet);
            if let Ok(fate) = heard.or_else(|_| self.socket.try_io(Interest::ERROR, complaint)) {
                return Some(fate);
            }
        }
    }

    /// The next packet that has arrived already and concerns us.
    fn take_packet(&self) -> Option<Fate> {
        let mut buffer = vec![0; ROOM];
        for _ in 0..MOST_READ {
            let packet = receive(self.socket.as_raw_fd(), &mut buffer, MsgFlags::MSG_DONTWAIT);
            if is_nothing(&packet) {
                return None;
            }
            // An error here is about an echo from before, and stands in the error queue as well.
            if let Ok(Packet { len, from: Some(from), .. }) = packet
                && let Some(fate) = self.read(&buffer[..len], from)
            {
                return Some(fate);
            }
        }
        None
    }

    /// The next thing in the error queue that somebody said about an echo.
    fn take_complaint(&self) -> Option<Fate> {
        let mut buffer = vec![0; ROOM];
        for _ in 0..MOST_READ {
            let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_ERRQUEUE;
            let error = receive(self.socket.as_raw_fd(), &mut buffer, flags);
            if is_nothing(&error) {
                return None;
            }
            // What it is about stands in the packet, as it was sent.
            if let Ok(Packet { len, said: Some((from, why)), .. }) = error
                && let Some(seq) = buffer[..len].get(6..8)
            {
                let seq = u16::from_be_bytes([seq[0], seq[1]]);
                return Some(Fate { seq, from, why: Some(why), at: Instant::now() });
            }
        }
        None
    }

    fn read(&self, bytes: &[u8], from: IpAddr) -> Option<Fate> {
        let raw = matches!(self.form, Form::RawV4 | Form::RawV6);
        let at = Instant::now();
        match echo::parse(self.form, bytes)? {
            Heard::Reply { id, seq, token } => {
                let ours = token == self.token && from == self.target && (!raw || id == self.id);
                ours.then_some(Fate { seq, from, why: None, at })
            }
            Heard::Trouble { id, seq, token, target, why } => {
                let ours = token.is_none_or(|token| token == self.token) && target == self.target;
                (ours && (!raw || id == self.id)).then_some(Fate { seq, from, why: Some(why), at })
            }
        }
    }
}

/// Asks the kernel to keep what routers say about what a socket sent.
pub(super) fn tell_errors(socket: &Socket, v4: bool) -> io::Result<()> {
    let set = if v4 {
        setsockopt(socket, options::Ipv4RecvErr, &true)
    } else {
        setsockopt(socket, options::Ipv6RecvErr, &true)
    };
    set.map_err(io::Error::from)
}

/// How many hops the packets of a socket may go.
pub(super) fn set_hops(socket: &Socket, v4: bool, hops: u8) -> io::Result<()> {
    let hops = libc::c_int::from(hops);
    let set = if v4 {
        setsockopt(socket, options::Ipv4Ttl, &hops)
    } else {
        setsockopt(socket, options::Ipv6Ttl, &hops)
    };
    set.map_err(io::Error::from)
}

#[expect(unsafe_code, reason = "no safe wrapper sets how the size of a path is found out")]
fn set(socket: &Socket, v4: bool, option: libc::c_int, value: libc::c_int) -> io::Result<()> {
    let level = if v4 { libc::IPPROTO_IP } else { libc::IPPROTO_IPV6 };
    let len = libc::socklen_t::try_from(size_of_val(&value)).expect("four bytes");
    // SAFETY: `value` is valid for `len` bytes, and the call only reads it.
    let done = unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, (&raw const value).cast(), len) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

struct Packet {
    len: usize,
    from: Option<IpAddr>,
    /// From the error queue: who says what.
    said: Option<(IpAddr, Why)>,
}

fn is_nothing(received: &nix::Result<Packet>) -> bool {
    matches!(
        received,
        Err(nix::errno::Errno::EAGAIN | nix::errno::Errno::EBADF | nix::errno::Errno::ENOTSOCK)
    )
}

fn receive(socket: RawFd, buffer: &mut [u8], flags: MsgFlags) -> nix::Result<Packet> {
    let mut control = nix::cmsg_space!(libc::sock_extended_err, libc::sockaddr_in6);
    let mut parts = [IoSliceMut::new(buffer)];
    let message = recvmsg::<SockaddrStorage>(socket, &mut parts, Some(&mut control), flags)?;
    let said = message.cmsgs().ok().and_then(|mut all| all.find_map(|one| complaint(&one)));
    let from = message.address.as_ref().and_then(address);
    Ok(Packet { len: message.bytes, from, said })
}

fn address(address: &SockaddrStorage) -> Option<IpAddr> {
    let v4 = address.as_sockaddr_in().map(|v4| v4.ip().into());
    v4.or_else(|| address.as_sockaddr_in6().map(|v6| v6.ip().into()))
}

/// Who says what in an entry of the error queue.
fn complaint(control: &ControlMessageOwned) -> Option<(IpAddr, Why)> {
    match control {
        ControlMessageOwned::Ipv4RecvErr(error, Some(from)) if error.ee_origin == libc::SO_EE_ORIGIN_ICMP => {
            let why = Why::of_v4(error.ee_type, error.ee_code, error.ee_info)?;
            Some((IpAddr::from(from.sin_addr.s_addr.to_ne_bytes()), why))
        }
        ControlMessageOwned::Ipv6RecvErr(error, Some(from))
            if error.ee_origin == libc::SO_EE_ORIGIN_ICMP6 =>
        {
            let why = Why::of_v6(error.ee_type, error.ee_code, error.ee_info)?;
            Some((IpAddr::from(from.sin6_addr.s6_addr), why))
        }
        _ => None,
    }
}

/// What routers said about a TCP socket's packets; none where nobody did.
pub(super) fn said_about(socket: RawFd) -> Option<(IpAddr, Why)> {
    let mut buffer = [0; 512];
    for _ in 0..8 {
        let received = receive(socket, &mut buffer, MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_ERRQUEUE);
        match received {
            Ok(Packet { said: Some(said), .. }) => return Some(said),
            Ok(_) => {}
            Err(_) => return None,
        }
    }
    None
}

/// How several echoes to one target ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Pinged {
    /// How many left.
    pub(super) sent: u32,
    /// How many came back.
    pub(super) answered: u32,
    /// How long they took, all together.
    pub(super) sum: Duration,
    /// The first thing that anybody said about those that did not.
    pub(super) said: Option<(IpAddr, Why)>,
    /// Why one could not be sent.
    pub(super) unsent: Option<Unsent>,
}

/// Why an echo did not leave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unsent {
    /// This machine knows no way there.
    NoRoute,
    /// Something else about this machine.
    Other(String),
}

impl Unsent {
    pub(super) fn of(error: &io::Error) -> Unsent {
        match error.kind() {
            io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::NetworkDown
            | io::ErrorKind::AddrNotAvailable => Unsent::NoRoute,
            _ => Unsent::Other(crate::probe::plain(error)),
        }
    }
}

impl Pinged {
    /// The average round trip in microseconds.
    pub(super) fn rtt_us(&self) -> Option<u32> {
        let average = self.sum.as_micros().checked_div(self.answered.into())?;
        Some(u32::try_from(average).unwrap_or(u32::MAX))
    }

    /// The loss in thousandths.
    pub(super) fn loss_permille(&self) -> Option<u32> {
        (self.sent > 0).then(|| (self.sent - self.answered.min(self.sent)) * 1000 / self.sent)
    }
}

/// Sends `count` echoes, `apart`, and waits for what comes back, `timeout` after the last one.
pub(super) async fn ping(
    (target, scope): (IpAddr, u32),
    count: u16,
    apart: Duration,
    timeout: Duration,
) -> Result<Pinged, String> {
    let echoes = Echoes::open(target, scope)?;
    let mut pinged = Pinged::default();
    let mut sent = Vec::with_capacity(count.into());
    let mut open: Vec<u16> = Vec::new();
    let start = tokio::time::Instant::now();
    for seq in 0..count {
        sent.push(Instant::now());
        match echoes.send(seq) {
            Ok(()) => {
                pinged.sent += 1;
                open.push(seq);
            }
            Err(error) => {
                pinged.unsent.get_or_insert_with(|| Unsent::of(&error));
            }
        }
        let last = seq + 1 == count;
        let until =
            if last { tokio::time::Instant::now() + timeout } else { start + apart * (u32::from(seq) + 1) };
        while !(last && open.is_empty()) {
            let Some(fate) = echoes.hear(until).await else { break };
            let Some(at) = open.iter().position(|seq| *seq == fate.seq) else { continue };
            open.swap_remove(at);
            match fate.why {
                None => {
                    pinged.answered += 1;
                    pinged.sum += fate.at.saturating_duration_since(sent[usize::from(fate.seq)]);
                }
                Some(why) => drop(pinged.said.get_or_insert((fate.from, why))),
            }
        }
    }
    Ok(pinged)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn echoes_of_this_machine_come_back_at_any_size() {
        for target in ["127.0.0.1", "::1"] {
            let target: IpAddr = target.parse().unwrap();
            let Ok(echoes) = Echoes::open(target, 0) else { continue };
            for (seq, size) in [(0, 100), (1, 1500), (2, 9000)] {
                // A machine without IPv6 has no such address.
                if echoes.send_packet(seq, size).is_err() {
                    break;
                }
                let until = tokio::time::Instant::now() + Duration::from_secs(20);
                let fate = echoes.hear(until).await.unwrap();
                assert_eq!((fate.seq, fate.from, fate.why), (seq, target, None));
            }
        }
    }

    #[test]
    fn loss_and_round_trip_are_of_what_was_sent_and_what_came_back() {
        let pinged = Pinged { sent: 3, answered: 2, sum: Duration::from_millis(3), ..Pinged::default() };
        assert_eq!((pinged.rtt_us(), pinged.loss_permille()), (Some(1_500), Some(333)));
        assert_eq!((Pinged::default().rtt_us(), Pinged::default().loss_permille()), (None, None));
    }
}
