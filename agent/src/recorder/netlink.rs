//! What the kernel tells of its network: at once when something changes, and on asking, what `/proc` does not say.

use std::io;
use std::net::IpAddr;

use netlink_packet_core::{
    NLM_F_DUMP, NLM_F_REPLACE, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::address::{AddressAttribute, AddressMessage, AddressScope};
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState,
};
use netlink_packet_route::route::{RouteAttribute, RouteMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};
use schedules::Millis;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// What the kernel is asked to tell of: links, addresses, routes, neighbours.
const GROUPS: [u32; 6] = [
    libc::RTNLGRP_LINK,
    libc::RTNLGRP_IPV4_IFADDR,
    libc::RTNLGRP_IPV6_IFADDR,
    libc::RTNLGRP_IPV4_ROUTE,
    libc::RTNLGRP_IPV6_ROUTE,
    libc::RTNLGRP_NEIGH,
];
/// The largest datagram that is read; the kernel's own are smaller.
const MAX_DATAGRAM: usize = 32 * 1024;
/// How many datagrams of one answer are read.
const MAX_ANSWERS: usize = 256;
/// The unit in which the kernel tells times to programs, in milliseconds (`USER_HZ` is 100 on every architecture).
const TICK: i64 = 10;
/// A lifetime without an end.
const FOR_EVER: u32 = u32::MAX;

/// The kernel's messages of changes.
pub(crate) struct Watch {
    socket: AsyncFd<Socket>,
}

impl Watch {
    /// Begins to listen. Needs a tokio runtime.
    #[expect(unsafe_code, reason = "tokio asks for a promise about the descriptor")]
    pub(crate) fn open() -> io::Result<Watch> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind(&SocketAddr::new(0, 0))?;
        for group in GROUPS {
            socket.add_membership(group)?;
        }
        socket.set_non_blocking(true)?;
        // SAFETY: the socket owns its descriptor, and keeps it until it is dropped.
        let socket = unsafe { AsyncFd::register_with_interest(socket, Interest::READABLE)? };
        Ok(Watch { socket })
    }

    /// Waits until something has changed that is not only a neighbour other than `gateway`. Nothing is lost where the
    /// wait is given up.
    pub(crate) async fn changed(&mut self, gateway: Option<IpAddr>) -> io::Result<()> {
        loop {
            let mut ready = self.socket.readable().await?;
            let mut buffer = Vec::with_capacity(MAX_DATAGRAM);
            match ready.try_io(|fd| fd.get_ref().recv(&mut buffer, 0)) {
                Ok(Ok(_)) if matters(&buffer, gateway) => return Ok(()),
                Ok(Ok(_)) | Err(_) => {}
                // More changed than there was room for: what, nobody knows.
                Ok(Err(e)) if e.raw_os_error() == Some(libc::ENOBUFS) => return Ok(()),
                Ok(Err(e)) if e.kind() == io::ErrorKind::Interrupted => {}
                Ok(Err(e)) => return Err(e),
            }
        }
    }
}

/// Whether a datagram tells of a change that is looked at.
fn matters(datagram: &[u8], gateway: Option<IpAddr>) -> bool {
    messages(datagram).any(|message| match message {
        NetlinkPayload::InnerMessage(
            RouteNetlinkMessage::NewNeighbour(neighbour) | RouteNetlinkMessage::DelNeighbour(neighbour),
        ) => gateway.is_some() && destination(&neighbour) == gateway,
        NetlinkPayload::InnerMessage(_) => true,
        NetlinkPayload::Overrun(_) => true,
        _ => false,
    })
}

/// The messages of a datagram, up to the first that cannot be read.
fn messages(datagram: &[u8]) -> impl Iterator<Item = NetlinkPayload<RouteNetlinkMessage>> {
    let mut rest = datagram;
    std::iter::from_fn(move || {
        let message = NetlinkMessage::<RouteNetlinkMessage>::deserialize(rest).ok()?;
        let length = (message.header.length as usize).next_multiple_of(4).max(16);
        rest = rest.get(length..).unwrap_or_default();
        Some(message.payload)
    })
}

fn destination(neighbour: &NeighbourMessage) -> Option<IpAddr> {
    neighbour.attributes.iter().find_map(|attribute| match attribute {
        NeighbourAttribute::Destination(NeighbourAddress::Inet(ip)) => Some(IpAddr::V4(*ip)),
        NeighbourAttribute::Destination(NeighbourAddress::Inet6(ip)) => Some(IpAddr::V6(*ip)),
        _ => None,
    })
}

/// What is known of a neighbour.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Neighbour {
    /// Its hardware address; empty where it is not known.
    pub(crate) mac: String,
    /// The kernel's word for its entry.
    pub(crate) state: String,
    /// How long ago it was heard of last; none where the kernel does not say.
    pub(crate) confirmed: Option<Millis>,
}

/// A way to ask the kernel. Its answers are there when the question is sent: nothing waits.
pub(crate) struct Asker {
    socket: Socket,
    sequence: u32,
}

impl Asker {
    pub(crate) fn open() -> io::Result<Asker> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        socket.set_non_blocking(true)?;
        Ok(Asker { socket, sequence: 0 })
    }

    /// The kernel's entry for `address` on an interface; none where it has none.
    pub(crate) fn neighbour(&mut self, interface: u32, address: IpAddr) -> Option<Neighbour> {
        let mut ask = NeighbourMessage::default();
        ask.header.ifindex = interface;
        let destination = match address {
            IpAddr::V4(ip) => {
                ask.header.family = AddressFamily::Inet;
                NeighbourAddress::Inet(ip)
            }
            IpAddr::V6(ip) => {
                ask.header.family = AddressFamily::Inet6;
                NeighbourAddress::Inet6(ip)
            }
        };
        ask.attributes.push(NeighbourAttribute::Destination(destination));
        let answers = self.ask(RouteNetlinkMessage::GetNeighbour(ask), NLM_F_REQUEST).ok()?;
        answers.into_iter().find_map(|answer| match answer {
            RouteNetlinkMessage::NewNeighbour(entry) => Some(neighbour(&entry)),
            _ => None,
        })
    }

    /// Asks the kernel to find out now whether a neighbour that it knows still answers; what comes of it is the state of
    /// its entry, three seconds later at the latest. Needs the right to change neighbours.
    pub(crate) fn verify(mut self, interface: u32, address: IpAddr) -> io::Result<()> {
        let mut entry = NeighbourMessage::default();
        (entry.header.ifindex, entry.header.state) = (interface, NeighbourState::Probe);
        let destination = match address {
            IpAddr::V4(ip) => {
                entry.header.family = AddressFamily::Inet;
                NeighbourAddress::Inet(ip)
            }
            IpAddr::V6(ip) => {
                entry.header.family = AddressFamily::Inet6;
                NeighbourAddress::Inet6(ip)
            }
        };
        entry.attributes.push(NeighbourAttribute::Destination(destination));
        self.send(RouteNetlinkMessage::NewNeighbour(entry), NLM_F_REQUEST | NLM_F_REPLACE)?;
        let mut buffer = Vec::with_capacity(MAX_DATAGRAM);
        match self.socket.recv(&mut buffer, 0) {
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Err(e) => Err(e),
            Ok(_) => Err(io::ErrorKind::PermissionDenied.into()),
        }
    }

    /// The number of the interface through which packets to `address` leave; none where there is no way there.
    pub(crate) fn interface_towards(&mut self, address: IpAddr) -> Option<u32> {
        let mut ask = RouteMessage::default();
        (ask.header.address_family, ask.header.destination_prefix_length) = match address {
            IpAddr::V4(_) => (AddressFamily::Inet, 32),
            IpAddr::V6(_) => (AddressFamily::Inet6, 128),
        };
        ask.attributes.push(RouteAttribute::Destination(address.into()));
        let answers = self.ask(RouteNetlinkMessage::GetRoute(ask), NLM_F_REQUEST).ok()?;
        answers.into_iter().find_map(|answer| match answer {
            RouteNetlinkMessage::NewRoute(route) => route.attributes.into_iter().find_map(|one| match one {
                RouteAttribute::Oif(number) => Some(number),
                _ => None,
            }),
            _ => None,
        })
    }

    /// How long the address of an interface is still valid, the one that ends first, IPv4 before IPv6; none where they
    /// are not leased.
    pub(crate) fn lease(&mut self, interface: u32) -> Option<Millis> {
        let mut ask = AddressMessage::default();
        ask.header.index = interface;
        let answers =
            self.ask(RouteNetlinkMessage::GetAddress(ask), NLM_F_REQUEST | NLM_F_DUMP).unwrap_or_default();
        let leases = answers.into_iter().filter_map(|answer| match answer {
            RouteNetlinkMessage::NewAddress(address) if address.header.index == interface => lease(&address),
            _ => None,
        });
        leases.min().map(|(_, seconds)| Millis::from_secs(seconds.into()))
    }

    fn send(&mut self, message: RouteNetlinkMessage, flags: u16) -> io::Result<()> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut header = NetlinkHeader::default();
        (header.flags, header.sequence_number) = (flags, self.sequence);
        let mut packet = NetlinkMessage::new(header, NetlinkPayload::InnerMessage(message));
        packet.finalize();
        let mut bytes = vec![0; packet.buffer_len()];
        packet.serialize(&mut bytes);
        self.socket.send(&bytes, 0).map(drop)
    }

    fn ask(&mut self, message: RouteNetlinkMessage, flags: u16) -> io::Result<Vec<RouteNetlinkMessage>> {
        self.send(message, flags)?;
        let is_dump = flags & NLM_F_DUMP == NLM_F_DUMP;
        let mut found = Vec::new();
        let mut buffer = Vec::with_capacity(MAX_DATAGRAM);
        for _ in 0..MAX_ANSWERS {
            buffer.clear();
            self.socket.recv(&mut buffer, 0)?;
            for payload in messages(&buffer) {
                match payload {
                    NetlinkPayload::InnerMessage(answer) => found.push(answer),
                    NetlinkPayload::Done(_) => return Ok(found),
                    NetlinkPayload::Error(error) => return Err(error.to_io()),
                    _ => {}
                }
            }
            if !is_dump {
                break;
            }
        }
        Ok(found)
    }
}

fn neighbour(entry: &NeighbourMessage) -> Neighbour {
    let mac = entry.attributes.iter().find_map(|attribute| match attribute {
        NeighbourAttribute::LinkLayerAddress(bytes) => Some(hex(bytes)),
        _ => None,
    });
    let state = match entry.header.state {
        NeighbourState::Incomplete => "incomplete",
        NeighbourState::Reachable => "reachable",
        NeighbourState::Stale => "stale",
        NeighbourState::Delay => "delay",
        NeighbourState::Probe => "probe",
        NeighbourState::Failed => "failed",
        NeighbourState::Noarp => "noarp",
        NeighbourState::Permanent => "permanent",
        _ => "none",
    };
    let confirmed = entry.attributes.iter().find_map(|attribute| match attribute {
        NeighbourAttribute::CacheInfo(times) => Some(Millis(i64::from(times.confirmed) * TICK)),
        _ => None,
    });
    Neighbour { mac: mac.unwrap_or_default(), state: state.to_owned(), confirmed }
}

fn hex(bytes: &[u8]) -> String {
    let pairs: Vec<String> = bytes.iter().take(32).map(|byte| format!("{byte:02x}")).collect();
    pairs.join(":")
}

/// The rank of an address' family, and its seconds.
fn lease(address: &AddressMessage) -> Option<(u8, u32)> {
    if address.header.scope == AddressScope::Link || address.header.scope == AddressScope::Host {
        return None;
    }
    let rank = u8::from(address.header.family != AddressFamily::Inet);
    address.attributes.iter().find_map(|attribute| match attribute {
        AddressAttribute::CacheInfo(times) if times.ifa_valid != FOR_EVER => Some((rank, times.ifa_valid)),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use netlink_packet_route::neighbour::NeighbourCacheInfo;

    use super::*;

    fn datagram(message: RouteNetlinkMessage) -> Vec<u8> {
        let mut packet = NetlinkMessage::new(NetlinkHeader::default(), NetlinkPayload::InnerMessage(message));
        packet.finalize();
        let mut bytes = vec![0; packet.buffer_len()];
        packet.serialize(&mut bytes);
        bytes
    }

    fn neighbour_of(address: [u8; 4]) -> RouteNetlinkMessage {
        let mut entry = NeighbourMessage::default();
        entry.header.family = AddressFamily::Inet;
        entry.header.state = NeighbourState::Failed;
        entry.attributes.push(NeighbourAttribute::Destination(NeighbourAddress::Inet(address.into())));
        entry.attributes.push(NeighbourAttribute::LinkLayerAddress(vec![2, 0, 0, 0, 0, 0xfe]));
        let times = [250_u32, 1, 9, 0].map(u32::to_ne_bytes).concat();
        let times = NeighbourCacheInfo::parse(&times).unwrap();
        entry.attributes.push(NeighbourAttribute::CacheInfo(times));
        RouteNetlinkMessage::NewNeighbour(entry)
    }

    #[test]
    fn other_neighbours_than_the_gateway_do_not_matter() {
        let gateway = Some("192.0.2.1".parse().unwrap());
        let (of_gateway, other) =
            (datagram(neighbour_of([192, 0, 2, 1])), datagram(neighbour_of([192, 0, 2, 9])));
        assert!(matters(&of_gateway, gateway));
        assert!(!matters(&other, gateway));
        assert!(!matters(&other, None));
        assert!(matters(&[other, of_gateway].concat(), gateway), "the second of two");
        assert!(matters(&datagram(RouteNetlinkMessage::NewAddress(AddressMessage::default())), None));
        assert!(!matters(b"nonsense that is longer than a header", gateway));
    }

    #[test]
    fn an_entry_says_who_it_is_and_how_the_kernel_calls_it() {
        let RouteNetlinkMessage::NewNeighbour(entry) = neighbour_of([192, 0, 2, 1]) else { panic!() };
        let expected = Neighbour {
            mac: "02:00:00:00:00:fe".into(),
            state: "failed".into(),
            confirmed: Some(Millis(2_500)),
        };
        assert_eq!(neighbour(&entry), expected);
    }

    #[test]
    fn the_kernel_answers() {
        let mut asker = Asker::open().unwrap();
        let lo = nix::net::if_::if_nametoindex("lo").unwrap();
        assert_eq!(asker.lease(lo), None);
        assert_eq!(asker.neighbour(lo, "192.0.2.1".parse().unwrap()), None);
        assert_eq!(asker.interface_towards("127.0.0.1".parse().unwrap()), Some(lo));
        assert_eq!(asker.lease(lo), None, "an answer that is none leaves nothing behind");
    }
}
