//! DNS over UDP: an answer leaves from the address that was asked, also where the socket listens on all there are; else
//! the machine would choose one, and whoever asked another would not take the answer.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::AsRawFd;
use std::sync::Arc;

use nix::sys::socket::sockopt::{Ipv4PacketInfo, Ipv6RecvPacketInfo};
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, sendmsg, setsockopt,
};
use socket2::{Domain, Socket as Raw, Type};
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::sync::watch;

use super::zone::{Records, Way};
use super::{AFTER_ERROR, MAX_PACKET};

/// How many bytes of questions may wait while the processor is busy elsewhere, if the machine grants as much.
const BUFFER: usize = 4 * 1024 * 1024;

/// A socket that knows at which of its addresses it was asked.
pub(super) struct Socket {
    socket: UdpSocket,
    /// Whether it listens on all addresses; else there is but one to answer from.
    on_all: bool,
}

/// A packet that came.
struct Heard {
    len: usize,
    from: SocketAddr,
    /// To which of several addresses it was sent.
    at: Option<Own>,
}

/// An address of this machine, and the number of the interface where that counts, else 0: only a link-local address is tied
/// to one; by all others an answer goes wherever the routes lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Own {
    address: IpAddr,
    interface: u32,
}

impl Socket {
    /// Takes the port.
    ///
    /// # Errors
    /// The machine's.
    pub(super) fn bind(at: SocketAddr) -> io::Result<Socket> {
        let raw = Raw::new(Domain::for_address(at), Type::DGRAM, None)?;
        raw.set_nonblocking(true)?;
        // Where the machine grants less, less is what there is.
        drop(raw.set_recv_buffer_size(BUFFER));
        // Before the port is taken: each packet that waits there tells to whom it came.
        let on_all = at.ip().is_unspecified();
        match at {
            SocketAddr::V4(_) if on_all => setsockopt(&raw, Ipv4PacketInfo, &true)?,
            SocketAddr::V6(_) if on_all => setsockopt(&raw, Ipv6RecvPacketInfo, &true)?,
            SocketAddr::V4(_) | SocketAddr::V6(_) => {}
        }
        raw.bind(&at.into())?;
        Ok(Socket { socket: UdpSocket::from_std(raw.into())?, on_all })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// The machine's.
    pub(super) fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    async fn receive(&self, packet: &mut [u8]) -> io::Result<Heard> {
        if !self.on_all {
            let (len, from) = self.socket.recv_from(packet).await?;
            return Ok(Heard { len, from, at: None });
        }
        let receive = || heard(&self.socket, packet);
        self.socket.async_io(Interest::READABLE, receive).await
    }

    async fn answer(&self, told: &[u8], heard: &Heard) -> io::Result<()> {
        match heard.at {
            None => self.socket.send_to(told, heard.from).await.map(drop),
            Some(own) => {
                let send = || answer_from(&self.socket, own, told, heard.from);
                self.socket.async_io(Interest::WRITABLE, send).await
            }
        }
    }
}

/// Answers each question.
pub(super) async fn serve(socket: Socket, records: watch::Receiver<Arc<Records>>) {
    let mut packet = [0; MAX_PACKET];
    loop {
        let heard = match socket.receive(&mut packet).await {
            Ok(heard) => heard,
            Err(error) => {
                // What an earlier answer ran into is told here as well; there is nothing to be done about it.
                tracing::debug!(%error, "DNS over UDP");
                tokio::time::sleep(AFTER_ERROR).await;
                continue;
            }
        };
        let told = records.borrow().answer(&packet[..heard.len], Way::Udp);
        if let Some(told) = told
            && let Err(error) = socket.answer(&told, &heard).await
        {
            tracing::debug!(%error, from = %heard.from, "a DNS answer cannot be sent");
        }
    }
}

/// Reads a packet with what the kernel says of it (`ip(7)`, IP_PKTINFO; RFC 3542, IPV6_PKTINFO).
fn heard(socket: &UdpSocket, packet: &mut [u8]) -> io::Result<Heard> {
    let mut said = nix::cmsg_space!(libc::in6_pktinfo);
    let mut parts = [IoSliceMut::new(packet)];
    let message =
        recvmsg::<SockaddrStorage>(socket.as_raw_fd(), &mut parts, Some(&mut said), MsgFlags::empty())?;
    let from = message.address.as_ref().and_then(address);
    let from = from.ok_or_else(|| io::Error::other("a packet from no address"))?;
    let at = message.cmsgs()?.find_map(|one| asked(&one));
    Ok(Heard { len: message.bytes, from, at })
}

/// The address of this machine that was asked. What was sent to many at once has none over IPv6.
fn asked(said: &ControlMessageOwned) -> Option<Own> {
    let own = match said {
        ControlMessageOwned::Ipv4PacketInfo(said) => {
            Own { address: Ipv4Addr::from(said.ipi_spec_dst.s_addr.to_ne_bytes()).into(), interface: 0 }
        }
        ControlMessageOwned::Ipv6PacketInfo(said) => {
            let address = Ipv6Addr::from(said.ipi6_addr.s6_addr);
            let interface = if address.is_unicast_link_local() { said.ipi6_ifindex } else { 0 };
            Own { address: address.into(), interface }
        }
        _ => return None,
    };
    (!own.address.is_unspecified() && !own.address.is_multicast()).then_some(own)
}

fn answer_from(socket: &UdpSocket, own: Own, told: &[u8], to: SocketAddr) -> io::Result<()> {
    let to = SockaddrStorage::from(to);
    let send = |from: ControlMessage<'_>| {
        sendmsg(socket.as_raw_fd(), &[IoSlice::new(told)], &[from], MsgFlags::empty(), Some(&to))
    };
    match own.address {
        IpAddr::V4(at) => send(ControlMessage::Ipv4PacketInfo(&libc::in_pktinfo {
            ipi_ifindex: 0,
            ipi_spec_dst: libc::in_addr { s_addr: u32::from_ne_bytes(at.octets()) },
            ipi_addr: libc::in_addr { s_addr: 0 },
        })),
        IpAddr::V6(at) => send(ControlMessage::Ipv6PacketInfo(&libc::in6_pktinfo {
            ipi6_addr: libc::in6_addr { s6_addr: at.octets() },
            ipi6_ifindex: own.interface,
        })),
    }?;
    Ok(())
}

fn address(address: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = address.as_sockaddr_in().map(|v4| SocketAddrV4::from(*v4).into());
    v4.or_else(|| address.as_sockaddr_in6().map(|v6| SocketAddrV6::from(*v6).into()))
}
