//! The messages of an update (RFC 2136), signed (RFC 8945), and what comes back: pure.

use std::net::IpAddr;

use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::tsig::TsigAlgorithm;
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType, TSigVerifier, TSigner};

use crate::domain::dns::change::{Addresses, Demand, Sight};
use crate::domain::dns::{Algorithm, Key, Zone};

/// By how many seconds the two clocks may differ (RFC 8945 recommends it).
const FUDGE: u16 = 300;

/// Why it did not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// What is there is not what was just seen there: it is looked at again.
    Changed,
    /// What is there is somebody else's: what that is.
    Conflict(Sight),
    /// It does not accept the key, or the answer's signature is wrong.
    Key(String),
    /// It refuses to: whether this name alone or any, the others tell.
    Denied(String),
    /// This name cannot be, and will not.
    Refused(String),
    /// It does not do this one now.
    Later(String),
    /// It does not answer, or is not well.
    Away(String),
}

/// The question for the addresses of one family that a name has.
pub(super) fn question(name: &str, kind: RecordType) -> Result<Vec<u8>, Trouble> {
    let mut asked = Message::query();
    asked.add_query(Query::query(name_of(name)?, kind));
    asked.to_vec().map_err(|e| Trouble::Refused(format!("a question for {name}: {e}")))
}

/// What an answer shows; no address for a name that is not there.
pub(super) fn sight(name: &str, told: &[u8]) -> Result<Sight, Trouble> {
    let told = Message::from_vec(told).map_err(|e| Trouble::Away(format!("an answer that is none: {e}")))?;
    match told.metadata.response_code {
        ResponseCode::NoError | ResponseCode::NXDomain => {}
        ResponseCode::Refused | ResponseCode::NotAuth => {
            return Err(Trouble::Denied(format!("the name server refuses to answer for {name}")));
        }
        other => return Err(Trouble::Away(format!("the name server answers {other} for {name}"))),
    }
    let wanted = name_of(name)?;
    let mut found = Addresses::new();
    for record in told.answers.iter().filter(|record| record.name == wanted) {
        match &record.data {
            RData::A(a) => drop(found.insert(IpAddr::V4(a.0))),
            RData::AAAA(a) => drop(found.insert(IpAddr::V6(a.0))),
            RData::CNAME(alias) => return Ok(Sight::Alias(alias.0.to_string())),
            _ => {}
        }
    }
    Ok(Sight::Addresses(found))
}

/// A change of a name's addresses: what must be there for it to be made, what is added, and then what is taken away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Change<'a> {
    pub(super) zone: &'a Zone,
    pub(super) name: &'a str,
    /// What must be so for it to be made.
    pub(super) demand: &'a Demand,
    pub(super) add: &'a [IpAddr],
    pub(super) remove: &'a [IpAddr],
    /// How long others may keep what is added, in seconds.
    pub(super) ttl: u32,
}

/// The message that asks for a change, signed, and what proves the answer to it. One message is done as a whole, or not at
/// all (RFC 2136, 3.4.2.7): at no moment is there no address.
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
    match change.demand {
        Demand::Exactly(there) => exactly(&mut asked, &name, there),
        // Name is not in use (RFC 2136, 2.4.5): wildcards do not count.
        Demand::Unused => demand_none(&mut asked, &name, RecordType::ANY),
    }
    for address in change.add {
        asked.add_authority(record(&name, *address, change.ttl, DNSClass::IN));
    }
    for address in change.remove {
        asked.add_authority(record(&name, *address, 0, DNSClass::NONE));
    }
    let failed = |e: &dyn std::fmt::Display| Trouble::Refused(format!("an update of {}: {e}", change.name));
    let verifier = match key {
        Some(key) => asked.finalize(&signer(key)?, now_secs).map_err(|e| failed(&e))?,
        None => None,
    };
    Ok((asked.to_vec().map_err(|e| failed(&e))?, verifier))
}

/// Demands that the addresses of a name are exactly these, value dependent (RFC 2136, 2.4.2).
fn exactly(asked: &mut Message, name: &Name, there: &Addresses) {
    for address in there {
        asked.add_answer(record(name, *address, 0, DNSClass::IN));
    }
    for (kind, any) in [
        (RecordType::A, there.iter().any(IpAddr::is_ipv4)),
        (RecordType::AAAA, there.iter().any(IpAddr::is_ipv6)),
    ] {
        if !any {
            demand_none(asked, name, kind);
        }
    }
}

fn demand_none(asked: &mut Message, name: &Name, kind: RecordType) {
    let mut none = Record::update0(name.clone(), 0, kind);
    none.dns_class = DNSClass::NONE;
    asked.add_answer(none);
}

/// What the name server made of it.
pub(super) fn outcome(told: &[u8], verifier: Option<TSigVerifier>) -> Result<(), Trouble> {
    let message =
        Message::from_vec(told).map_err(|e| Trouble::Away(format!("an answer that is none: {e}")))?;
    match message.metadata.response_code {
        ResponseCode::NoError => {}
        ResponseCode::YXDomain | ResponseCode::YXRRSet | ResponseCode::NXRRSet | ResponseCode::NXDomain => {
            return Err(Trouble::Changed);
        }
        code @ ResponseCode::NotAuth => {
            let why = message.signature.as_ref().and_then(|tsig| tsig.data.error);
            return Err(match why {
                Some(why) => Trouble::Key(format!(
                    "the name server does not accept the key ({why:?}): look at dns.key, and at both clocks"
                )),
                None => Trouble::Denied(format!(
                    "the name server has no such zone, or does not accept the key ({code}): look at dns.zone and dns.key"
                )),
            });
        }
        code @ (ResponseCode::Refused | ResponseCode::NotImp) => {
            return Err(Trouble::Denied(format!(
                "the name server refuses the update ({code}): look at dns.key, and at what it allows that key to change"
            )));
        }
        code @ (ResponseCode::NotZone | ResponseCode::FormErr) => {
            return Err(Trouble::Refused(format!("the name server does not take the update: {code}")));
        }
        other => return Err(Trouble::Away(format!("the name server answers {other}"))),
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: u64 = 1_795_356_000;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn sent(key: Option<&Key>) -> (Vec<u8>, Option<TSigVerifier>) {
        sent_if(&Demand::Exactly([ip("192.0.2.1")].into()), key)
    }

    fn sent_if(demand: &Demand, key: Option<&Key>) -> (Vec<u8>, Option<TSigVerifier>) {
        let change = Change {
            zone: &"devices.example".parse().unwrap(),
            name: "gw.devices.example",
            demand,
            add: &[ip("2001:db8::2")],
            remove: &[ip("192.0.2.1")],
            ttl: 60,
        };
        request(&change, key, NOW).unwrap()
    }

    fn key(secret: u8) -> Key {
        Key { name: "ddns".to_owned(), algorithm: Algorithm::Sha256, secret: vec![secret; 32] }
    }

    #[test]
    fn one_message_adds_before_it_takes_away_and_only_where_all_is_as_it_was_seen() {
        let read = Message::from_vec(&sent(None).0).unwrap();
        assert_eq!(read.metadata.op_code, OpCode::Update);
        assert_eq!(read.queries[0].to_string(), "devices.example. IN SOA");
        let lines = |records: &[Record]| {
            let line = |r: &Record| format!("{} {} {}", r.ttl, r.dns_class, r.record_type());
            records.iter().map(line).collect::<Vec<_>>()
        };
        assert_eq!(lines(&read.answers), ["0 IN A", "0 NONE AAAA"]);
        assert_eq!(lines(&read.authorities), ["60 IN AAAA", "0 NONE A"]);
        let read = Message::from_vec(&sent_if(&Demand::Unused, None).0).unwrap();
        assert_eq!(lines(&read.answers), ["0 NONE ANY"], "name is not in use");
    }

    #[test]
    fn an_answer_that_is_not_signed_or_with_another_key_is_not_believed() {
        let mut told = Message::response(0, OpCode::Update);
        let plain = told.to_vec().unwrap();
        let (_, verifier) = sent(Some(&key(7)));
        assert!(matches!(outcome(&plain, verifier), Err(Trouble::Key(_))));
        let (_, verifier) = sent(Some(&key(7)));
        told.finalize(&signer(&key(8)).unwrap(), NOW).unwrap();
        assert!(matches!(outcome(&told.to_vec().unwrap(), verifier), Err(Trouble::Key(_))));
        assert_eq!(outcome(&plain, None), Ok(()));
    }

    #[test]
    fn who_refuses_says_whether_it_is_the_key() {
        let told = |code, signed: bool| {
            let mut told = Message::response(0, OpCode::Update);
            told.metadata.response_code = code;
            if signed {
                told.finalize(&signer(&key(7)).unwrap(), NOW).unwrap();
            }
            outcome(&told.to_vec().unwrap(), None)
        };
        for (code, signed) in [
            (ResponseCode::NotAuth, false),
            (ResponseCode::NotAuth, true),
            (ResponseCode::Refused, false),
            (ResponseCode::NotImp, true),
        ] {
            assert!(matches!(told(code, signed), Err(Trouble::Denied(_))), "{code} {signed}");
        }
        assert!(matches!(told(ResponseCode::NotZone, true), Err(Trouble::Refused(_))));
    }

    proptest! {
        #[test]
        fn no_answer_of_a_name_server_is_too_odd(
            noise in prop::collection::vec(any::<u8>(), 0..300),
            turned in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
        ) {
            let (mut near, _) = sent(Some(&key(7)));
            near[2] |= 0x80;
            for (at, byte) in turned {
                let at = at.index(near.len());
                near[at] = byte;
            }
            for told in [noise, near] {
                drop(sight("gw.devices.example", &told));
                drop(outcome(&told, None));
                drop(outcome(&told, sent(Some(&key(7))).1));
            }
        }
    }
}
