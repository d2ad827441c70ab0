//! lineman's own zone, and what it answers: a pure function of the records and a packet.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::{NS, PTR, SOA};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};

use crate::domain::dns::Zone;

/// The most bytes of an answer over UDP, however much the other side says it takes: no fragments (RFC 9715).
const MAX_UDP: u16 = 1232;
/// The most bytes of an answer over UDP to somebody who says nothing (RFC 1035).
const PLAIN_UDP: usize = 512;
/// The bytes of a header.
const HEADER: usize = 12;
/// How long another server of the zone, if there ever is one, waits between its looks, in seconds.
const REFRESH: i32 = 600;
const RETRY: i32 = 120;
const EXPIRE: i32 = 86_400;

/// How a question came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// In one packet.
    Udp,
    /// On a connection.
    Tcp,
}

/// What the zone holds at a moment.
#[derive(Clone, Debug)]
pub struct Records {
    apex: Name,
    zone: Zone,
    soa: Record,
    ns: Record,
    server: String,
    ttl: u32,
    addresses: HashMap<String, Vec<IpAddr>>,
    names: HashMap<IpAddr, Name>,
    /// Names with nothing of their own, but something below them: they exist (RFC 8020).
    between: HashSet<String>,
}

/// A name of the zone in full, in small letters, with its addresses.
pub type Hosts = BTreeMap<String, Vec<IpAddr>>;

impl Records {
    /// The zone with these hosts.
    ///
    /// # Errors
    /// The zone's own name is too long for the names that stand in it.
    pub fn new(zone: &Zone, serial: u32, ttl: u32, hosts: Hosts) -> Result<Records, String> {
        let name = |text: &str| {
            Name::from_ascii(format!("{text}.")).map_err(|e| format!("'{text}' is no DNS name: {e}"))
        };
        let apex = name(zone.as_str())?;
        let server = name(&format!("ns.{zone}"))?;
        let mailbox = name(&format!("hostmaster.{zone}"))?;
        let soa = SOA::new(server.clone(), mailbox, serial, REFRESH, RETRY, EXPIRE, ttl);
        let mut names = HashMap::new();
        let mut between = HashSet::new();
        for (host, addresses) in &hosts {
            let full = name(host)?;
            for address in addresses {
                names.entry(*address).or_insert_with(|| full.clone());
            }
            let mut rest = host.as_str();
            while let Some((_, above)) = rest.split_once('.') {
                if !zone.holds(above) || above == zone.as_str() {
                    break;
                }
                between.insert(above.to_owned());
                rest = above;
            }
        }
        Ok(Records {
            soa: Record::from_rdata(apex.clone(), ttl, RData::SOA(soa)),
            ns: Record::from_rdata(apex.clone(), ttl, RData::NS(NS(server))),
            apex,
            server: format!("ns.{zone}"),
            zone: zone.clone(),
            ttl,
            addresses: hosts.into_iter().collect(),
            names,
            between,
        })
    }

    /// The same, with the addresses of the server itself: who follows its name must find it. Where a device has that name,
    /// it keeps it; an address that is none of its own, as where it listens on all, is left out.
    #[must_use]
    pub fn with_server(mut self, own: &[IpAddr]) -> Records {
        let own = own.iter().map(IpAddr::to_canonical).filter(|address| !address.is_unspecified()).collect();
        self.addresses.entry(self.server.clone()).or_insert(own);
        self
    }

    /// The answer to a packet; none where none is due: what is no question at all, or an answer itself.
    #[must_use]
    pub fn answer(&self, packet: &[u8], way: Way) -> Option<Vec<u8>> {
        if packet.len() < HEADER || packet[2] & 0x80 != 0 {
            return None;
        }
        let id = u16::from_be_bytes([packet[0], packet[1]]);
        let Ok(asked) = Message::from_vec(packet) else {
            let op = OpCode::from_u8((packet[2] >> 3) & 0xf);
            return Message::error_msg(id, op, ResponseCode::FormErr).to_vec().ok();
        };
        let mut told = Message::response(id, asked.metadata.op_code);
        told.metadata.recursion_desired = asked.metadata.recursion_desired;
        told.add_queries(asked.queries.iter().take(1).cloned());
        if asked.edns.is_some() {
            let mut edns = Edns::new();
            edns.set_max_payload(MAX_UDP).set_version(0);
            told.set_edns(edns);
        }
        told.metadata.response_code = match refused(&asked) {
            Some(code) => code,
            None => self.look_up(&asked.queries[0], &mut told),
        };
        if let Some(edns) = &mut told.edns {
            edns.set_rcode_high(told.metadata.response_code.high());
        }
        let bytes = told.to_vec().ok()?;
        let most = match (way, &asked.edns) {
            (Way::Tcp, _) => usize::from(u16::MAX),
            (Way::Udp, None) => PLAIN_UDP,
            (Way::Udp, Some(edns)) => usize::from(edns.max_payload().clamp(512, MAX_UDP)),
        };
        if bytes.len() <= most { Some(bytes) } else { told.truncate().to_vec().ok() }
    }

    fn look_up(&self, query: &Query, told: &mut Message) -> ResponseCode {
        let name = query.name().to_lowercase();
        let text = name.to_ascii();
        let bare = text.strip_suffix('.').unwrap_or(&text);
        if matches!(query.query_type(), RecordType::AXFR | RecordType::IXFR) {
            return ResponseCode::Refused;
        }
        if let Some(address) = reverse(bare) {
            return self.look_up_reverse(address, &name, query.query_type(), told);
        }
        if !self.zone.holds(bare) {
            return ResponseCode::Refused;
        }
        told.metadata.authoritative = true;
        let wants = |kind| query.query_type() == kind || query.query_type() == RecordType::ANY;
        if name == self.apex {
            if wants(RecordType::SOA) {
                told.add_answer(self.soa.clone());
            }
            if wants(RecordType::NS) {
                told.add_answer(self.ns.clone());
                if let RData::NS(server) = &self.ns.data {
                    let own = self.addresses.get(&self.server).into_iter().flatten();
                    told.add_additionals(own.map(|address| self.address(&server.0, *address)));
                }
            }
        }
        let addresses = self.addresses.get(bare);
        for address in addresses.into_iter().flatten() {
            let kind = if address.is_ipv4() { RecordType::A } else { RecordType::AAAA };
            if wants(kind) {
                // In the letters in which it was asked for: some resolvers look at them.
                told.add_answer(self.address(query.name(), *address));
            }
        }
        if !told.answers.is_empty() {
            return ResponseCode::NoError;
        }
        told.add_authority(self.soa.clone());
        let exists = name == self.apex || addresses.is_some() || self.between.contains(bare);
        if exists { ResponseCode::NoError } else { ResponseCode::NXDomain }
    }

    fn address(&self, name: &Name, address: IpAddr) -> Record {
        let data = match address {
            IpAddr::V4(v4) => RData::A(v4.into()),
            IpAddr::V6(v6) => RData::AAAA(v6.into()),
        };
        Record::from_rdata(name.clone(), self.ttl, data)
    }

    /// What address belongs to whom: only of addresses that are known; all others are somebody else's to tell.
    fn look_up_reverse(
        &self,
        address: IpAddr,
        asked: &Name,
        kind: RecordType,
        told: &mut Message,
    ) -> ResponseCode {
        let Some(name) = self.names.get(&address) else { return ResponseCode::Refused };
        told.metadata.authoritative = true;
        if matches!(kind, RecordType::PTR | RecordType::ANY) {
            told.add_answer(Record::from_rdata(asked.clone(), self.ttl, RData::PTR(PTR(name.clone()))));
        } else {
            // How long that holds is said as in any zone (RFC 2308): each such name is one of its own.
            let mut soa = self.soa.clone();
            soa.name = asked.clone();
            told.add_authority(soa);
        }
        ResponseCode::NoError
    }
}

/// Why a message is not answered as a question; none: it is one.
fn refused(asked: &Message) -> Option<ResponseCode> {
    debug_assert_eq!(asked.metadata.message_type, MessageType::Query, "answers were passed over");
    if asked.metadata.op_code != OpCode::Query {
        return Some(ResponseCode::NotImp);
    }
    if asked.edns.as_ref().is_some_and(|edns| edns.version() > 0) {
        return Some(ResponseCode::BADVERS);
    }
    let [query] = &asked.queries[..] else { return Some(ResponseCode::FormErr) };
    match query.query_class() {
        DNSClass::IN | DNSClass::ANY => None,
        _ => Some(ResponseCode::Refused),
    }
}

/// The address that a name of the reverse trees stands for, in full: nibbles or numbers, the last one first.
fn reverse(name: &str) -> Option<IpAddr> {
    if let Some(numbers) = name.strip_suffix(".in-addr.arpa") {
        let parts: Vec<u8> = numbers.split('.').map(|part| part.parse().ok()).collect::<Option<_>>()?;
        let [d, c, b, a] = parts[..] else { return None };
        return Some(IpAddr::from([a, b, c, d]));
    }
    let nibbles: Vec<u128> = name
        .strip_suffix(".ip6.arpa")?
        .split('.')
        .map(|part| if part.len() == 1 { u128::from_str_radix(part, 16).ok() } else { None })
        .collect::<Option<_>>()?;
    if nibbles.len() != 32 {
        return None;
    }
    let bits = nibbles.iter().rev().fold(0, |bits, nibble| bits << 4 | nibble);
    Some(IpAddr::V6(bits.into()))
}

#[cfg(test)]
#[path = "zone_tests.rs"]
mod tests;
