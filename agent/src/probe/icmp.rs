//! ICMP echo: one socket per family carries the echoes to all targets, and one task hands out what comes back.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket as StdUdpSocket};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use schedules::Millis;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;
use tokio::sync::Notify;

use super::echo::{self, Form, Heard, Why};
use super::{Failed, Limit, Measured};
use crate::report::Outcome;

/// The most echoes one probe may send.
pub const MAX_PACKETS: u32 = 20;
/// Echoes of one probe leave this far apart.
const APART: Duration = Duration::from_millis(100);
/// The most echoes of one family that may be waiting: one for each sequence number.
const MAX_WAITING: usize = 1 << 16;
/// Packets read in one go before others get their turn.
const BURST: usize = 256;
/// The most bursts that are read in one go where a probe is about to give up.
const LAST_BURSTS: usize = 64;
/// Room for answers that arrive while this process does not run; the kernel may grant less.
const RECEIVE_BUFFER: usize = 4 << 20;
/// How often, and after which pause, a send is tried again when the machine has no buffer for it.
const NO_BUFFER_TRIES: u32 = 20;
const NO_BUFFER_PAUSE: Duration = Duration::from_millis(5);
/// Linux's "no buffer space available"; the standard library has no name for it.
const ENOBUFS: i32 = libc::ENOBUFS;

/// What one run asks for.
pub(super) struct Ask<'a> {
    /// As the person wrote it, for messages.
    pub(super) name: &'a str,
    pub(super) target: IpAddr,
    pub(super) packets: u32,
    pub(super) warn_loss_permille: Option<u32>,
    pub(super) warn_rtt: Option<Millis>,
}

/// The sockets, opened when they are first needed.
#[derive(Default)]
pub(super) struct Pinger {
    v4: Mutex<Option<Arc<Echoes>>>,
    v6: Mutex<Option<Arc<Echoes>>>,
}

impl Pinger {
    /// Sends the echoes and waits until all are answered, or until `timeout` after the last one left.
    pub(super) async fn run(&self, ask: &Ask<'_>, timeout: Millis) -> Measured {
        match self.fly(ask, timeout).await {
            Ok(landed) => judge(ask, timeout, &landed),
            Err(failed) => failed.into(),
        }
    }

    async fn fly(&self, ask: &Ask<'_>, timeout: Millis) -> Result<Landed, Failed> {
        let packets = ask.packets.clamp(1, MAX_PACKETS);
        let echoes = self.echoes(ask.target)?;
        let mut flight = Flying::new(&echoes, ask.target, packets);
        let start = tokio::time::Instant::now();
        for nth in 0..packets {
            if nth > 0 {
                tokio::time::sleep_until(start + APART * nth).await;
            }
            flight.send(Limit::new(timeout).deadline).await;
        }
        let over = Limit::new(timeout).deadline;
        if tokio::time::timeout_at(over, flight.flight.done.notified()).await.is_err() {
            // This process may have been late itself: what has arrived meanwhile counts.
            echoes.last_look();
        }
        let landed = lock(&flight.flight.landed).clone();
        Ok(landed)
    }

    fn echoes(&self, target: IpAddr) -> Result<Arc<Echoes>, Failed> {
        let family = if target.is_ipv4() { &self.v4 } else { &self.v6 };
        let mut open = lock(family);
        if let Some(echoes) = &*open {
            return Ok(Arc::clone(echoes));
        }
        let echoes = Arc::new(Echoes::open(target.is_ipv4())?);
        *open = Some(Arc::clone(&echoes));
        Ok(echoes)
    }
}

/// One socket, and who waits for an answer on it.
struct Echoes {
    socket: UdpSocket,
    form: Form,
    /// Our identifier on a raw socket; a datagram socket has its own, and the kernel looks after it.
    id: u16,
    waiting: Mutex<Waiting>,
    /// Wakes the receiving task when nobody waits any more, so that it ends.
    emptied: Notify,
}

/// The echoes under way; the place in `slots` is the echo's sequence number.
#[derive(Default)]
struct Waiting {
    slots: Vec<Option<Slot>>,
    free: Vec<u16>,
    receiving: bool,
}

struct Slot {
    token: u64,
    sent: Instant,
    flight: Arc<Flight>,
}

/// All the echoes of one run.
struct Flight {
    target: IpAddr,
    landed: Mutex<Landed>,
    done: Notify,
}

/// How the echoes of one run ended, so far.
#[derive(Clone, Default)]
struct Landed {
    /// Not yet sent, or on the way.
    open: u32,
    answered: u32,
    sum_us: u64,
    /// Never left this machine, through no fault of the target.
    unsent: u32,
    trouble: Option<Trouble>,
}

/// The first reason anybody gave why an echo failed.
#[derive(Clone)]
enum Trouble {
    Told { by: IpAddr, why: Why },
    Send(Arc<io::Error>),
    Crowded,
}

enum End {
    Answered(Duration),
    Lost(Trouble),
    Unsent(Trouble),
}

impl Flight {
    fn land(&self, end: End) {
        let mut landed = lock(&self.landed);
        match end {
            End::Answered(rtt) => {
                landed.answered += 1;
                landed.sum_us += u64::try_from(rtt.as_micros()).unwrap_or(u64::MAX >> 8);
            }
            End::Lost(trouble) => drop(landed.trouble.get_or_insert(trouble)),
            End::Unsent(trouble) => {
                landed.unsent += 1;
                landed.trouble.get_or_insert(trouble);
            }
        }
        landed.open -= 1;
        if landed.open == 0 {
            self.done.notify_one();
        }
    }
}

/// A run's echoes under way; dropped (the probe ended, or was given up), they leave the table.
struct Flying<'a> {
    echoes: &'a Arc<Echoes>,
    flight: Arc<Flight>,
    sent: Vec<u16>,
}

impl<'a> Flying<'a> {
    fn new(echoes: &'a Arc<Echoes>, target: IpAddr, packets: u32) -> Flying<'a> {
        let landed = Mutex::new(Landed { open: packets, ..Landed::default() });
        let flight = Arc::new(Flight { target, landed, done: Notify::new() });
        Flying { echoes, flight, sent: Vec::new() }
    }

    async fn send(&mut self, until: tokio::time::Instant) {
        let token = fastrand::u64(..);
        let Some(seq) = self.echoes.enter(token, &self.flight) else {
            return self.flight.land(End::Unsent(Trouble::Crowded));
        };
        self.sent.push(seq);
        let packet = echo::request(self.echoes.form, self.echoes.id, seq, token);
        if let Err(error) = self.echoes.send(&packet, seq, &self.flight, until).await
            && self.echoes.leave(seq, &self.flight)
        {
            let ours = is_ours(&error);
            let trouble = Trouble::Send(Arc::new(error));
            self.flight.land(if ours { End::Unsent(trouble) } else { End::Lost(trouble) });
        }
    }
}

impl Drop for Flying<'_> {
    fn drop(&mut self) {
        for &seq in &self.sent {
            self.echoes.leave(seq, &self.flight);
        }
    }
}

/// Whether a failed send says something about this machine only, and nothing about the way to the target.
fn is_ours(error: &io::Error) -> bool {
    use io::ErrorKind::{
        AddrNotAvailable, HostUnreachable, NetworkDown, NetworkUnreachable, PermissionDenied,
    };
    !matches!(
        error.kind(),
        HostUnreachable | NetworkUnreachable | NetworkDown | PermissionDenied | AddrNotAvailable
    )
}

impl Echoes {
    fn open(v4: bool) -> Result<Echoes, Failed> {
        let (domain, protocol) =
            if v4 { (Domain::IPV4, Protocol::ICMPV4) } else { (Domain::IPV6, Protocol::ICMPV6) };
        let (datagram, raw) =
            if v4 { (Form::DatagramV4, Form::RawV4) } else { (Form::DatagramV6, Form::RawV6) };
        let (socket, form) = Socket::new(domain, Type::DGRAM, Some(protocol))
            .map(|socket| (socket, datagram))
            .or_else(|_| Socket::new(domain, Type::RAW, Some(protocol)).map(|socket| (socket, raw)))
            .map_err(|error| closed(v4, &error))?;
        let failed = |error: io::Error| Failed::unknown(format!("ping: set up an ICMP socket: {error}"));
        socket.set_nonblocking(true).map_err(failed)?;
        // Only a wish: the kernel's limit may be lower, and the probes work all the same.
        drop(socket.set_recv_buffer_size(RECEIVE_BUFFER));
        hear_only_what_concerns_echoes(&socket, form);
        let socket = UdpSocket::from_std(StdUdpSocket::from(socket)).map_err(failed)?;
        Ok(Echoes { socket, form, id: fastrand::u16(..), waiting: Mutex::default(), emptied: Notify::new() })
    }

    /// Takes a place for one echo; none where 65,536 are under way. Starts the receiving task if it does not run.
    fn enter(self: &Arc<Self>, token: u64, flight: &Arc<Flight>) -> Option<u16> {
        let slot = Slot { token, sent: Instant::now(), flight: Arc::clone(flight) };
        let mut waiting = lock(&self.waiting);
        let seq = match waiting.free.pop() {
            Some(seq) => {
                waiting.slots[usize::from(seq)] = Some(slot);
                seq
            }
            None if waiting.slots.len() < MAX_WAITING => {
                waiting.slots.push(Some(slot));
                u16::try_from(waiting.slots.len() - 1).expect("there are at most 65,536 places")
            }
            None => return None,
        };
        if !waiting.receiving {
            waiting.receiving = true;
            tokio::spawn(Arc::clone(self).receive());
        }
        Some(seq)
    }

    /// Gives up the place of an echo of `flight`; false where it has landed before.
    fn leave(&self, seq: u16, flight: &Arc<Flight>) -> bool {
        let mut waiting = lock(&self.waiting);
        let ours = waiting.slot(seq).is_some_and(|slot| Arc::ptr_eq(&slot.flight, flight));
        if ours {
            waiting.release(seq);
            if waiting.is_empty() {
                self.emptied.notify_one();
            }
        }
        ours
    }

    async fn send(
        &self,
        packet: &[u8],
        seq: u16,
        flight: &Arc<Flight>,
        until: tokio::time::Instant,
    ) -> io::Result<()> {
        let to = SocketAddr::new(flight.target, 0);
        let mut no_buffer = 0;
        loop {
            match self.socket.try_send_to(packet, to) {
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    tokio::time::timeout_at(until, self.socket.writable()).await??;
                }
                Err(error) if error.raw_os_error() == Some(ENOBUFS) && no_buffer < NO_BUFFER_TRIES => {
                    no_buffer += 1;
                    tokio::time::sleep(NO_BUFFER_PAUSE).await;
                }
                Err(error) => return Err(error),
            }
            if let Some(slot) = lock(&self.waiting).slot_mut(seq)
                && Arc::ptr_eq(&slot.flight, flight)
            {
                slot.sent = Instant::now();
            }
        }
    }

    /// Hands out what arrives, until nobody waits any more.
    async fn receive(self: Arc<Self>) {
        loop {
            tokio::select! {
                ready = self.socket.readable() => if ready.is_err() {
                    // The runtime is going away, and the probes with it.
                    lock(&self.waiting).receiving = false;
                    return;
                },
                () = self.emptied.notified() => {}
            }
            while self.burst() {
                tokio::task::yield_now().await;
            }
            let mut waiting = lock(&self.waiting);
            if waiting.is_empty() {
                waiting.receiving = false;
                return;
            }
        }
    }

    fn last_look(&self) {
        for _ in 0..LAST_BURSTS {
            if !self.burst() {
                return;
            }
        }
    }

    /// Reads until nothing is left, at most [`BURST`] packets; true where there may be more.
    fn burst(&self) -> bool {
        let mut buffer = [0; 2048];
        for _ in 0..BURST {
            match self.socket.try_recv_from(&mut buffer) {
                Ok((len, from)) => self.hear(&buffer[..len], from.ip()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                // An error that waited at the socket: it is gone now.
                Err(_) => {}
            }
        }
        true
    }

    fn hear(&self, packet: &[u8], from: IpAddr) {
        let Some(heard) = echo::parse(self.form, packet) else { return };
        let mut waiting = lock(&self.waiting);
        let (Heard::Reply { id, seq, .. } | Heard::Trouble { id, seq, .. }) = heard;
        let raw = matches!(self.form, Form::RawV4 | Form::RawV6);
        let fits = waiting.slot(seq).is_some_and(|slot| match heard {
            Heard::Reply { token, .. } => token == slot.token && from == slot.flight.target,
            Heard::Trouble { token, target, .. } => {
                token.is_none_or(|token| token == slot.token) && target == slot.flight.target
            }
        });
        if !fits || (raw && id != self.id) {
            return;
        }
        let Some(slot) = waiting.release(seq) else { return };
        drop(waiting);
        slot.flight.land(match heard {
            Heard::Reply { .. } => End::Answered(slot.sent.elapsed()),
            Heard::Trouble { why, .. } => End::Lost(Trouble::Told { by: from, why }),
        });
    }
}

impl Waiting {
    fn slot(&self, seq: u16) -> Option<&Slot> {
        self.slots.get(usize::from(seq))?.as_ref()
    }

    fn slot_mut(&mut self, seq: u16) -> Option<&mut Slot> {
        self.slots.get_mut(usize::from(seq))?.as_mut()
    }

    fn release(&mut self, seq: u16) -> Option<Slot> {
        let slot = self.slots.get_mut(usize::from(seq))?.take()?;
        self.free.push(seq);
        Some(slot)
    }

    fn is_empty(&self) -> bool {
        self.free.len() == self.slots.len()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Why no ICMP socket opens, and the one command that mends it.
pub(crate) fn closed(v4: bool, error: &io::Error) -> Failed {
    Failed::unknown(match error.kind() {
        io::ErrorKind::PermissionDenied => {
            let binary = std::env::current_exe()
                .map_or_else(|_| "lineman".to_owned(), |path| path.display().to_string());
            format!(
                "ping: this user may not open ICMP sockets; as root run \
                 `sysctl -w net.ipv4.ping_group_range=\"0 2147483647\"` or `setcap cap_net_raw+ep {binary}`"
            )
        }
        _ if !v4 && error.raw_os_error() == Some(libc::EAFNOSUPPORT) => {
            "ping: this machine has no IPv6; give the device an IPv4 address or switch IPv6 on".to_owned()
        }
        _ => format!("ping: open an ICMP socket: {error}"),
    })
}

/// A raw socket is given every ICMP packet of the machine; the kernel leaves out those of other kinds. Where it cannot,
/// they are left out when they are read.
#[expect(unsafe_code, reason = "no safe wrapper sets the ICMP filters of raw sockets")]
pub(crate) fn hear_only_what_concerns_echoes(socket: &Socket, form: Form) {
    use std::os::fd::AsRawFd;
    /// `ICMP_FILTER` of linux/icmp.h and `ICMPV6_FILTER` of linux/icmpv6.h: a set bit blocks a type.
    const FILTER: libc::c_int = 1;
    let mut blocked = [u32::MAX; 8];
    let (level, words, kinds): (_, usize, &[u8]) = match form {
        Form::RawV4 => (libc::SOL_RAW, 1, &[0, 3, 11]),
        Form::RawV6 => (libc::SOL_ICMPV6, 8, &[1, 2, 3, 129]),
        Form::DatagramV4 | Form::DatagramV6 => return,
    };
    for kind in kinds {
        blocked[usize::from(kind >> 5)] &= !(1 << (kind & 31));
    }
    let len = libc::socklen_t::try_from(words * 4).expect("at most 32 bytes");
    // SAFETY: `blocked` is valid for `len` bytes, and the call only reads it.
    let _ = unsafe { libc::setsockopt(socket.as_raw_fd(), level, FILTER, blocked.as_ptr().cast(), len) };
}

fn judge(ask: &Ask<'_>, timeout: Millis, landed: &Landed) -> Measured {
    let packets = ask.packets.clamp(1, MAX_PACKETS);
    let sent = packets - landed.unsent;
    let whom = if ask.name.parse() == Ok(ask.target) {
        ask.name.to_owned()
    } else {
        format!("{} ({})", ask.name, ask.target)
    };
    let trouble = landed.trouble.as_ref().map(|trouble| match trouble {
        Trouble::Told { by, why } if *by == ask.target => format!("ping {whom}: {why}"),
        Trouble::Told { by, why } => format!("ping {whom}: {why}, says {by}"),
        Trouble::Send(error) => format!("ping {whom}: {}", super::plain(error)),
        Trouble::Crowded => format!("ping {whom}: {MAX_WAITING} echoes are under way already"),
    });
    if sent == 0 {
        return Failed::unknown(trouble.unwrap_or_default()).into();
    }
    let loss = (sent - landed.answered) * 1000 / sent;
    let Some(average) = landed.sum_us.checked_div(landed.answered.into()) else {
        let echoes = if sent == 1 { "the echo" } else { "any echo" };
        let silent = || format!("ping {whom}: no answer to {echoes} within {timeout}");
        let mut measured: Measured = Failed::fail(trouble.unwrap_or_else(silent)).into();
        measured.loss_permille = Some(loss);
        return measured;
    };
    let mut over = Vec::new();
    if let Some(limit) = ask.warn_loss_permille.filter(|limit| loss > *limit) {
        over.push(format!("loss {} is over {}", percent(loss), percent(limit)));
    }
    let limit_us = |limit: Millis| u64::try_from(limit.0).unwrap_or(0).saturating_mul(1000);
    if let Some(limit) = ask.warn_rtt.filter(|limit| average > limit_us(*limit)) {
        over.push(format!("round trip {} is over {limit}", milliseconds(average)));
    }
    let outcome = if over.is_empty() { Outcome::Ok } else { Outcome::Warn };
    let message = if over.is_empty() {
        format!("ping {whom}: {} of {sent} answered, {} on average", landed.answered, milliseconds(average))
    } else {
        format!("ping {whom}: {}", over.join(", "))
    };
    let rtt_us = Some(u32::try_from(average).unwrap_or(u32::MAX));
    Measured { outcome, rtt_us, loss_permille: Some(loss), message: super::sentence(&message) }
}

fn percent(permille: u32) -> String {
    format!("{}.{} %", permille / 10, permille % 10)
}

fn milliseconds(us: u64) -> String {
    format!("{}.{:02} ms", us / 1000, us % 1000 / 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(packets: u32, warn_loss_permille: Option<u32>, warn_rtt: Option<Millis>) -> Ask<'static> {
        let target = IpAddr::from([10, 0, 0, 7]);
        Ask { name: "10.0.0.7", target, packets, warn_loss_permille, warn_rtt }
    }

    #[test]
    fn a_run_is_judged_by_its_loss_and_its_average() {
        let limits = (Some(200), Some(Millis(10)));
        for (answered, sum_us, outcome, message) in [
            (3, 3_000, Outcome::Ok, "ping 10.0.0.7: 3 of 3 answered, 1.00 ms on average"),
            (2, 2_500, Outcome::Warn, "ping 10.0.0.7: loss 33.3 % is over 20.0 %"),
            (3, 30_003, Outcome::Warn, "ping 10.0.0.7: round trip 10.00 ms is over 10ms"),
            (
                1,
                99_000,
                Outcome::Warn,
                "ping 10.0.0.7: loss 66.6 % is over 20.0 %, round trip 99.00 ms is over 10ms",
            ),
            (0, 0, Outcome::Fail, "ping 10.0.0.7: no answer to any echo within 2s"),
        ] {
            let landed = Landed { open: 3 - answered, answered, sum_us, ..Landed::default() };
            let measured = judge(&ask(3, limits.0, limits.1), Millis(2000), &landed);
            assert_eq!((measured.outcome, measured.message.as_str()), (outcome, message));
            assert_eq!(measured.rtt_us.is_some(), answered > 0);
        }
    }

    #[test]
    fn what_a_router_says_is_passed_on_and_our_own_trouble_is_no_failure_of_the_device() {
        let told = Trouble::Told { by: IpAddr::from([10, 0, 0, 1]), why: Why::NoHost };
        let landed = Landed { trouble: Some(told), ..Landed::default() };
        let measured = judge(&ask(1, None, None), Millis(2000), &landed);
        assert_eq!(measured.outcome, Outcome::Fail);
        assert_eq!(measured.message, "ping 10.0.0.7: host unreachable, says 10.0.0.1");
        let landed = Landed { unsent: 2, trouble: Some(Trouble::Crowded), ..Landed::default() };
        assert_eq!(judge(&ask(2, None, None), Millis(2000), &landed).outcome, Outcome::Unknown);
    }

    #[tokio::test(flavor = "current_thread")]
    async fn the_table_is_bounded_and_a_probe_that_is_given_up_leaves_it() {
        let Ok(echoes) = Echoes::open(true) else { return };
        let echoes = Arc::new(echoes);
        let target = IpAddr::from([127, 0, 0, 1]);
        let mut flight = Flying::new(&echoes, target, 1);
        for _ in 0..MAX_WAITING {
            flight.sent.push(echoes.enter(1, &flight.flight).unwrap());
        }
        assert_eq!(echoes.enter(1, &flight.flight), None);
        drop(flight);
        assert!(lock(&echoes.waiting).is_empty());
        let task_ends = async {
            while lock(&echoes.waiting).receiving {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), task_ends).await.unwrap();
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_forged_late_or_repeated_reply_is_ignored() {
        let Ok(mut echoes) = Echoes::open(true) else { return };
        echoes.form = Form::DatagramV4;
        let echoes = Arc::new(echoes);
        let target = IpAddr::from([127, 0, 0, 1]);
        let flight = Flying::new(&echoes, target, 2);
        let seq = echoes.enter(42, &flight.flight).unwrap();
        let reply = |seq, token| {
            let mut packet = echo::request(Form::DatagramV4, 0, seq, token);
            packet[0] = 0;
            packet
        };
        echoes.hear(&reply(seq, 41), target);
        echoes.hear(&reply(seq, 42), IpAddr::from([127, 0, 0, 2]));
        echoes.hear(&reply(seq + 1, 42), target);
        assert_eq!(lock(&flight.flight.landed).answered, 0);
        echoes.hear(&reply(seq, 42), target);
        echoes.hear(&reply(seq, 42), target);
        assert_eq!(lock(&flight.flight.landed).answered, 1);
        let again = echoes.enter(43, &flight.flight).unwrap();
        assert_eq!(again, seq, "the place is used again");
        echoes.hear(&reply(seq, 42), target);
        assert_eq!(lock(&flight.flight.landed).answered, 1, "late");
    }
}
