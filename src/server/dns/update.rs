//! The messages of an update (RFC 2136), signed (RFC 8945), and what comes back: pure.

use std::collections::BTreeSet;
use std::net::IpAddr;

use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::tsig::TsigAlgorithm;
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType, TSigVerifier, TSigner};

use crate::domain::dns::{Algorithm, Key, Zone};

/// By how many seconds the two clocks may differ (RFC 8945 recommends it).
const FUDGE: u16 = 300;

/// What a name has at the name server.
pub(super) type Addresses = BTreeSet<IpAddr>;

/// Why it did not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// What is there is not what was expected: somebody else changed it meanwhile.
    Changed,
    /// It does not accept the key, or the answer's signature is wrong.
    Key(String),
    /// It refuses, and will again.
    Refused(String),
    /// It does not answer, or cannot now.
    Later(String),
}

/// The question for the addresses of one family that a name has.
pub(super) fn question(name: &str, kind: RecordType) -> Result<Vec<u8>, Trouble> {
    let mut asked = Message::query();
    asked.add_query(Query::query(name_of(name)?, kind));
    asked.to_vec().map_err(|e| Trouble::Refused(format!("a question for {name}: {e}")))
}

/// The addresses in an answer. None for a name that is not there.
pub(super) fn addresses(name: &str, told: &[u8]) -> Result<Addresses, Trouble> {
    let told = Message::from_vec(told).map_err(|e| Trouble::Later(format!("an answer that is none: {e}")))?;
    match told.metadata.response_code {
        ResponseCode::NoError | ResponseCode::NXDomain => {}
        ResponseCode::Refused | ResponseCode::NotAuth => {
            return Err(Trouble::Refused(format!("the name server refuses to answer for {name}")));
        }
        other => return Err(Trouble::Later(format!("the name server answers {other} for {name}"))),
    }
    let wanted = name_of(name)?;
    let ours = told.answers.iter().filter(|record| record.name == wanted);
    Ok(ours
        .filter_map(|record| match &record.data {
            RData::A(a) => Some(IpAddr::V4(a.0)),
            RData::AAAA(a) => Some(IpAddr::V6(a.0)),
            _ => None,
        })
        .collect())
}

/// A change of a name's addresses of one family: what must be there for it to be made, and what is added or taken away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Change<'a> {
    pub(super) zone: &'a Zone,
    pub(super) name: &'a str,
    /// What is there now, of the family of `add` or `remove`.
    pub(super) there: &'a Addresses,
    pub(super) what: What,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    Add(IpAddr, u32),
    Remove(IpAddr),
}

/// The message that asks for a change, signed, and what proves the answer to it.
pub(super) fn request(
    change: &Change<'_>,
    key: Option<&Key>,
    now_secs: u64,
) -> Result<(Vec<u8>, Option<TSigVerifier>), Trouble> {
    let mut asked = Message::query();
    asked.metadata.message_type = MessageType::Query;
    asked.metadata.op_code = OpCode::Update;
    asked.metadata.recursion_desired = false;
    asked.add_query(Query::query(name_of(change.zone.as_str())?, RecordType::SOA));
    let name = name_of(change.name)?;
    let (address, ttl, class) = match change.what {
        What::Add(address, ttl) => (address, ttl, DNSClass::IN),
        What::Remove(address) => (address, 0, DNSClass::NONE),
    };
    let same = |other: &&IpAddr| other.is_ipv4() == address.is_ipv4();
    for there in change.there.iter().filter(same) {
        // Value dependent: the whole set is exactly this (RFC 2136, 2.4.2).
        asked.add_answer(record(&name, *there, 0, DNSClass::IN));
    }
    if change.there.iter().filter(same).count() == 0 {
        let kind = if address.is_ipv4() { RecordType::A } else { RecordType::AAAA };
        let mut none = Record::update0(name.clone(), 0, kind);
        none.dns_class = DNSClass::NONE;
        asked.add_answer(none);
    }
    asked.add_authority(record(&name, address, ttl, class));
    let failed = |e: &dyn std::fmt::Display| Trouble::Refused(format!("an update of {}: {e}", change.name));
    let verifier = match key {
        Some(key) => asked.finalize(&signer(key)?, now_secs).map_err(|e| failed(&e))?,
        None => None,
    };
    Ok((asked.to_vec().map_err(|e| failed(&e))?, verifier))
}

/// What the name server made of it.
pub(super) fn outcome(told: &[u8], verifier: Option<TSigVerifier>) -> Result<(), Trouble> {
    let message =
        Message::from_vec(told).map_err(|e| Trouble::Later(format!("an answer that is none: {e}")))?;
    match message.metadata.response_code {
        ResponseCode::NoError => {}
        ResponseCode::YXDomain | ResponseCode::YXRRSet | ResponseCode::NXRRSet | ResponseCode::NXDomain => {
            return Err(Trouble::Changed);
        }
        ResponseCode::NotAuth => {
            let why = message.signature.as_ref().and_then(|tsig| tsig.data.error);
            let why = why.map_or(String::new(), |code| format!(" ({code:?})"));
            return Err(Trouble::Key(format!(
                "the name server does not accept the key{why}, or has no such zone: look at dns.key and dns.zone"
            )));
        }
        ResponseCode::Refused | ResponseCode::NotZone | ResponseCode::NotImp | ResponseCode::FormErr => {
            return Err(Trouble::Refused(format!(
                "the name server refuses the update: {}",
                message.metadata.response_code
            )));
        }
        other => return Err(Trouble::Later(format!("the name server answers {other}"))),
    }
    let Some(mut verifier) = verifier else { return Ok(()) };
    match verifier.verify(told) {
        Ok(_) => Ok(()),
        Err(e) => Err(Trouble::Key(format!("the answer is not signed with our key: {e}"))),
    }
}

fn signer(key: &Key) -> Result<TSigner, Trouble> {
    let algorithm = match key.algorithm {
        Algorithm::Sha256 => TsigAlgorithm::HmacSha256,
        Algorithm::Sha384 => TsigAlgorithm::HmacSha384,
        Algorithm::Sha512 => TsigAlgorithm::HmacSha512,
    };
    TSigner::new(key.secret.clone(), algorithm, name_of(&key.name)?, FUDGE)
        .map_err(|e| Trouble::Key(format!("dns.key: {e}")))
}

fn record(name: &Name, address: IpAddr, ttl: u32, class: DNSClass) -> Record {
    let data = match address {
        IpAddr::V4(v4) => RData::A(v4.into()),
        IpAddr::V6(v6) => RData::AAAA(v6.into()),
    };
    let mut record = Record::from_rdata(name.clone(), ttl, data);
    record.dns_class = class;
    record
}

fn name_of(name: &str) -> Result<Name, Trouble> {
    Name::from_ascii(format!("{}.", name.trim_end_matches('.')))
        .map_err(|e| Trouble::Refused(format!("'{name}' is no DNS name: {e}")))
}
