//! The bytes of an ICMP echo and of what may come back for it (RFC 792, RFC 4443): pure, and never surprised.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Header and payload of one echo: as long as that of an ordinary `ping`, which no filter finds odd.
pub(crate) const LEN: usize = 64;
/// The ICMP header, and the token behind it.
const TOKEN_END: usize = 16;

/// What one socket hands over: which protocol, and whether the kernel has taken the packet apart already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// A raw IPv4 socket: the IP header comes too, and every ICMP packet of the machine.
    RawV4,
    /// A datagram IPv4 socket: ICMP alone, and only what answers this socket's own identifier.
    DatagramV4,
    /// A raw IPv6 socket: ICMPv6 alone, every packet of the machine.
    RawV6,
    /// A datagram IPv6 socket: ICMPv6 alone, only what answers this socket's own identifier.
    DatagramV6,
}

impl Form {
    fn is_v4(self) -> bool {
        match self {
            Form::RawV4 | Form::DatagramV4 => true,
            Form::RawV6 | Form::DatagramV6 => false,
        }
    }
}

/// A packet that concerns one of our echoes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// The echo came back.
    Reply { id: u16, seq: u16, token: u64 },
    /// Somebody on the way says that the echo to `target` will not come back. A router may quote so little of the
    /// echo that its token is missing.
    Trouble { id: u16, seq: u16, token: Option<u64>, target: IpAddr, why: Why },
}

/// Why an echo will not come back, as a router or the target itself says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    NoNetwork,
    NoHost,
    NoPort,
    Forbidden,
    Hops,
    /// It was larger than what passes there; 0: the router does not say what does.
    TooBig {
        mtu: u32,
    },
    Other {
        kind: u8,
        code: u8,
    },
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Why::NoNetwork => f.write_str("network unreachable"),
            Why::NoHost => f.write_str("host unreachable"),
            Why::NoPort => f.write_str("protocol or port unreachable"),
            Why::Forbidden => f.write_str("forbidden by a filter"),
            Why::Hops => f.write_str("too many hops on the way (a routing loop?)"),
            Why::TooBig { mtu: 0 } => f.write_str("packet too big"),
            Why::TooBig { mtu } => write!(f, "packet too big, {mtu} bytes pass"),
            Why::Other { kind, code } => write!(f, "undeliverable (ICMP type {kind} code {code})"),
        }
    }
}

impl Why {
    /// What an ICMP packet of this type and code says of the IPv4 packet that it quotes; none where it is no complaint.
    pub(crate) fn of_v4(kind: u8, code: u8, mtu: u32) -> Option<Why> {
        Some(match (kind, code) {
            (11, _) => Why::Hops,
            (3, 0 | 6 | 11) => Why::NoNetwork,
            (3, 1 | 7 | 12) => Why::NoHost,
            (3, 2 | 3) => Why::NoPort,
            (3, 4) => Why::TooBig { mtu },
            (3, 9 | 10 | 13) => Why::Forbidden,
            (3, _) => Why::Other { kind, code },
            _ => return None,
        })
    }

    /// The same for IPv6.
    pub(crate) fn of_v6(kind: u8, code: u8, mtu: u32) -> Option<Why> {
        Some(match (kind, code) {
            (3, _) => Why::Hops,
            (2, _) => Why::TooBig { mtu },
            (1, 0) => Why::NoNetwork,
            (1, 3) => Why::NoHost,
            (1, 4) => Why::NoPort,
            (1, 1 | 5 | 6) => Why::Forbidden,
            (1, _) => Why::Other { kind, code },
            _ => return None,
        })
    }
}

/// An echo request, ready to send. A datagram socket replaces `id` by its own; the kernel sums up IPv6.
pub(crate) fn request(form: Form, id: u16, seq: u16, token: u64) -> [u8; LEN] {
    let mut packet = [0; LEN];
    fill(&mut packet, form, id, seq, token);
    packet
}

/// Makes an echo request of `packet`, which is all zeros and at least as long as header and token.
pub(crate) fn fill(packet: &mut [u8], form: Form, id: u16, seq: u16, token: u64) {
    packet[0] = if form.is_v4() { 8 } else { 128 };
    packet[4..6].copy_from_slice(&id.to_be_bytes());
    packet[6..8].copy_from_slice(&seq.to_be_bytes());
    packet[8..TOKEN_END].copy_from_slice(&token.to_be_bytes());
    if form.is_v4() {
        let sum = checksum(packet);
        packet[2..4].copy_from_slice(&sum.to_be_bytes());
    }
}

/// Reads what a socket received; none for what has nothing to do with an echo of anybody. Whether the echo is one of
/// ours is for the caller to say: identifier, sequence number, token and source address must all fit.
pub(crate) fn parse(form: Form, bytes: &[u8]) -> Option<Heard> {
    match form {
        Form::RawV4 => {
            let icmp = behind_v4(bytes)?.1;
            (checksum(icmp) == 0).then_some(())?;
            parse_v4(icmp)
        }
        Form::DatagramV4 => parse_v4(bytes),
        Form::RawV6 | Form::DatagramV6 => parse_v6(bytes),
    }
}

fn parse_v4(icmp: &[u8]) -> Option<Heard> {
    let (&kind, &code) = (icmp.first()?, icmp.get(1)?);
    match kind {
        0 if code == 0 => reply(icmp),
        3 | 11 => {
            let why = Why::of_v4(kind, code, short(icmp, 6)?.into())?;
            let (header, echo) = behind_v4(icmp.get(8..)?)?;
            (header[9] == 1 && echo.first() == Some(&8)).then_some(())?;
            let target = Ipv4Addr::from(<[u8; 4]>::try_from(&header[16..20]).ok()?);
            trouble(echo, target.into(), why)
        }
        _ => None,
    }
}

fn parse_v6(icmp: &[u8]) -> Option<Heard> {
    let (&kind, &code) = (icmp.first()?, icmp.get(1)?);
    match kind {
        129 if code == 0 => reply(icmp),
        1..=3 => {
            let mtu = u32::from_be_bytes(icmp.get(4..8)?.try_into().ok()?);
            let why = Why::of_v6(kind, code, mtu)?;
            let header = icmp.get(8..48)?;
            let echo = &icmp[48..];
            (header[0] >> 4 == 6 && header[6] == 58 && echo.first() == Some(&128)).then_some(())?;
            let target = Ipv6Addr::from(<[u8; 16]>::try_from(&header[24..40]).ok()?);
            trouble(echo, target.into(), why)
        }
        _ => None,
    }
}

fn reply(icmp: &[u8]) -> Option<Heard> {
    let (id, seq) = (short(icmp, 4)?, short(icmp, 6)?);
    Some(Heard::Reply { id, seq, token: token(icmp)? })
}

fn trouble(echo: &[u8], target: IpAddr, why: Why) -> Option<Heard> {
    let (id, seq) = (short(echo, 4)?, short(echo, 6)?);
    Some(Heard::Trouble { id, seq, token: token(echo), target, why })
}

/// An IPv4 packet's header, at least 20 bytes, and what stands behind it.
fn behind_v4(packet: &[u8]) -> Option<(&[u8], &[u8])> {
    let first = *packet.first()?;
    let len = usize::from(first & 0x0f) * 4;
    (first >> 4 == 4 && len >= 20).then_some(())?;
    packet.split_at_checked(len)
}

fn short(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn token(icmp: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(icmp.get(8..TOKEN_END)?.try_into().ok()?))
}

/// The Internet checksum (RFC 1071); of a packet that holds its own right sum it is 0.
fn checksum(bytes: &[u8]) -> u16 {
    let mut sum: u32 = 0;
    for pair in bytes.chunks(2) {
        sum += u32::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]));
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).expect("the loop above leaves sixteen bits")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FORMS: [Form; 4] = [Form::RawV4, Form::DatagramV4, Form::RawV6, Form::DatagramV6];

    fn ip4(proto: u8, to: [u8; 4], inner: &[u8]) -> Vec<u8> {
        let mut packet = vec![0; 20];
        packet[0] = 0x45;
        packet[9] = proto;
        packet[16..20].copy_from_slice(&to);
        packet.extend_from_slice(inner);
        packet
    }

    fn summed(mut icmp: Vec<u8>) -> Vec<u8> {
        icmp[2..4].fill(0);
        let sum = checksum(&icmp);
        icmp[2..4].copy_from_slice(&sum.to_be_bytes());
        icmp
    }

    #[test]
    fn a_reply_gives_back_what_the_request_carried() {
        for form in FORMS {
            let mut echo = request(form, 7, 9, 0x0123_4567_89ab_cdef).to_vec();
            assert_eq!(checksum(&echo) == 0, form.is_v4());
            echo[0] = if form.is_v4() { 0 } else { 129 };
            if form == Form::RawV4 {
                echo = ip4(1, [127, 0, 0, 1], &summed(echo));
            }
            let heard = parse(form, &echo);
            assert_eq!(heard, Some(Heard::Reply { id: 7, seq: 9, token: 0x0123_4567_89ab_cdef }));
        }
    }

    #[test]
    fn our_own_request_and_a_damaged_reply_are_not_heard() {
        let echo = request(Form::RawV4, 7, 9, 1).to_vec();
        assert_eq!(parse(Form::RawV4, &ip4(1, [127, 0, 0, 1], &echo)), None);
        let mut reply = echo;
        reply[0] = 0;
        reply = summed(reply);
        reply[20] ^= 1;
        assert_eq!(parse(Form::RawV4, &ip4(1, [127, 0, 0, 1], &reply)), None);
    }

    #[test]
    fn a_router_that_quotes_eight_bytes_is_understood() {
        let echo = request(Form::RawV4, 7, 9, 1);
        for (kind, code, why) in [
            (3, 0, Why::NoNetwork),
            (3, 1, Why::NoHost),
            (3, 3, Why::NoPort),
            (3, 13, Why::Forbidden),
            (3, 4, Why::TooBig { mtu: 0 }),
            (3, 200, Why::Other { kind: 3, code: 200 }),
            (11, 0, Why::Hops),
        ] {
            let mut icmp = vec![kind, code, 0, 0, 0, 0, 0, 0];
            icmp.extend(ip4(1, [10, 0, 0, 7], &echo[..8]));
            let heard = parse(Form::RawV4, &ip4(1, [10, 0, 0, 1], &summed(icmp)));
            let target = IpAddr::from([10, 0, 0, 7]);
            assert_eq!(heard, Some(Heard::Trouble { id: 7, seq: 9, token: None, target, why }));
        }
    }

    #[test]
    fn an_ipv6_router_says_the_same() {
        let mut icmp = vec![1, 3, 0, 0, 0, 0, 0, 0];
        let mut header = [0; 40];
        header[0] = 0x60;
        header[6] = 58;
        header[39] = 9;
        icmp.extend(header);
        icmp.extend(request(Form::RawV6, 7, 9, 5));
        let target: IpAddr = "::9".parse().unwrap();
        let heard = Heard::Trouble { id: 7, seq: 9, token: Some(5), target, why: Why::NoHost };
        assert_eq!(parse(Form::RawV6, &icmp), Some(heard));
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_parser_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            for form in FORMS {
                parse(form, &bytes);
            }
        }

        #[test]
        fn nor_do_bytes_that_look_like_a_packet(
            kind in prop::sample::select(vec![0u8, 1, 3, 11, 129]), code in 0u8..16, options in 0u8..16,
            rest in prop::collection::vec(any::<u8>(), 0..120), cut in 0usize..150,
        ) {
            let mut icmp = vec![kind, code, 0, 0, 0, 0, 0, 0];
            let mut quoted = ip4(1, [1, 2, 3, 4], &rest);
            quoted[0] = 0x40 | options;
            icmp.extend(quoted);
            let icmp = summed(icmp);
            for form in FORMS {
                parse(form, &icmp[..cut.min(icmp.len())]);
                let outer = ip4(1, [1, 2, 3, 4], &icmp);
                parse(form, &outer[..cut.min(outer.len())]);
            }
        }
    }
}
