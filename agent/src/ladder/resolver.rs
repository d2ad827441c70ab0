//! Resolvers: each is asked a question over UDP, and over TCP where that brought no answer.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;
use std::time::{Duration, Instant};

use hickory_proto::op::{Edns, Message, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UdpSocket;

use super::ground::{Ground, family_of, word};
use super::knock::{Knock, knock};
use super::notes::{Measure, Notes};
use crate::report::{Step, Transport};

/// The most configured resolvers that are asked.
pub(super) const MOST: usize = 6;
/// The most addresses that are kept of an answer.
const MOST_ADDRESSES: usize = 16;
/// How often a question is sent over UDP.
const TRIES: u32 = 2;
/// The largest answer over UDP that is asked for (RFC 9715), and the most that is read.
const PAYLOAD: u16 = 1_232;
const ROOM: usize = 4_096;
const PORT: u16 = 53;

/// Whom to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) resolver: IpAddr,
    /// Whether this machine is configured to ask it.
    pub(super) configured: bool,
}

/// What to ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Question {
    /// A name; empty or `.`: the root's name servers.
    pub(super) name: String,
    /// Whether that is the server's own.
    pub(super) ours: bool,
}

/// A resolver's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Answer {
    code: ResponseCode,
    addresses: Vec<IpAddr>,
    /// How many records there were of what was asked for.
    records: usize,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Silence {
    /// It could not be asked.
    Untried(String),
    /// It was asked, in vain.
    Unanswered(String),
}

/// Asks a resolver one question.
pub(super) async fn note(
    ground: &Ground,
    asked: Asked,
    question: &Question,
    notes: &Notes,
    timeout: Duration,
) {
    let step = |transport, answer: Option<&Answer>| Step::Resolver {
        resolver: asked.resolver,
        configured: asked.configured,
        transport,
        name: question.name.clone(),
        ours: question.ours,
        rcode: answer.map(|answer| code(answer.code)),
        addresses: answer.map_or(Vec::new(), |answer| answer.addresses.clone()),
    };
    if let Some(why) = ground.blocked(family_of(asked.resolver))
        && !ground.is_own(asked.resolver)
    {
        return notes.not_measured(step(Transport::Udp, None), &why);
    }
    let kinds = kinds(question);
    let Ok(name) = Name::from_str(&question.name) else {
        let why = format!("'{}' is no name of DNS", question.name);
        return notes.not_measured(step(Transport::Udp, None), &why);
    };
    for transport in [Transport::Udp, Transport::Tcp] {
        let began = Instant::now();
        let answer = ask(asked.resolver, transport, &name, kinds, timeout).await;
        let measure = Measure::since(began);
        match answer {
            Ok(answer) => {
                let rung = step(transport, Some(&answer));
                match refusal(&answer) {
                    None => notes.holds(rung, measure),
                    Some(why) => notes.fails(rung, &why, measure),
                }
                return;
            }
            Err(Silence::Untried(why)) => return notes.not_measured(step(transport, None), &why),
            Err(Silence::Unanswered(why)) => {
                notes.fails(step(transport, None), &why, Measure::default());
            }
        }
    }
}

/// The kinds of records that are asked for.
fn kinds(question: &Question) -> &'static [RecordType] {
    if matches!(question.name.as_str(), "" | ".") {
        &[RecordType::NS]
    } else {
        &[RecordType::A, RecordType::AAAA]
    }
}

/// What is wrong with an answer, where something is.
fn refusal(answer: &Answer) -> Option<String> {
    match answer.code {
        ResponseCode::NoError if answer.records > 0 => None,
        ResponseCode::NoError => Some("the name has no address".to_owned()),
        ResponseCode::NXDomain => Some("there is no such name".to_owned()),
        ResponseCode::ServFail => Some("it could not find out".to_owned()),
        ResponseCode::Refused => Some("it refuses to answer".to_owned()),
        other => Some(format!("it answers {}", code(other))),
    }
}

/// The code as the field writes it.
fn code(code: ResponseCode) -> String {
    match code {
        ResponseCode::NoError => "NOERROR".to_owned(),
        ResponseCode::FormErr => "FORMERR".to_owned(),
        ResponseCode::ServFail => "SERVFAIL".to_owned(),
        ResponseCode::NXDomain => "NXDOMAIN".to_owned(),
        ResponseCode::NotImp => "NOTIMP".to_owned(),
        ResponseCode::Refused => "REFUSED".to_owned(),
        other => format!("RCODE{}", u16::from(other)),
    }
}

/// All kinds at the same time, as one answer.
async fn ask(
    resolver: IpAddr,
    transport: Transport,
    name: &Name,
    kinds: &[RecordType],
    timeout: Duration,
) -> Result<Answer, Silence> {
    let one = |kind: RecordType| async move {
        let message = message(name, kind);
        let id = message.metadata.id;
        let bytes = message.to_vec().map_err(|e| Silence::Untried(format!("make a question: {e}")))?;
        let to = SocketAddr::new(resolver, PORT);
        match transport {
            Transport::Tcp => over_tcp(to, &bytes, id, timeout * 3).await,
            Transport::Udp | Transport::Icmp => over_udp(to, &bytes, id, timeout).await,
        }
    };
    let second = async {
        match kinds.get(1) {
            Some(&kind) => Some(one(kind).await),
            None => None,
        }
    };
    let (first, second) = tokio::join!(one(kinds[0]), second);
    Ok(match (first, second) {
        (first, None) => summed(&first?),
        (Ok(first), Some(Ok(second))) => together(summed(&first), summed(&second)),
        (Ok(one), Some(Err(_))) | (Err(_), Some(Ok(one))) => summed(&one),
        (Err(silence), Some(Err(_))) => return Err(silence),
    })
}

fn message(name: &Name, kind: RecordType) -> Message {
    let mut message = Message::query();
    message.metadata.id = fastrand::u16(..);
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(name.clone(), kind));
    let mut edns = Edns::new();
    edns.set_max_payload(PAYLOAD);
    message.set_edns(edns);
    message
}

fn summed(message: &Message) -> Answer {
    let mut addresses: Vec<IpAddr> = Vec::new();
    let mut records = 0;
    for record in &message.answers {
        let address: Option<IpAddr> = match &record.data {
            RData::A(a) => Some(Ipv4Addr::from(*a).into()),
            RData::AAAA(a) => Some(Ipv6Addr::from(*a).into()),
            _ => None,
        };
        records += usize::from(address.is_some() || matches!(record.data, RData::NS(_)));
        addresses.extend(address.filter(|_| addresses.len() < MOST_ADDRESSES));
    }
    Answer { code: message.metadata.response_code, addresses, records }
}

/// An answer for both families is good where one of them is.
fn together(mut one: Answer, other: Answer) -> Answer {
    if one.records == 0 && other.records > 0 {
        return other;
    }
    one.addresses.extend(other.addresses);
    one.addresses.truncate(MOST_ADDRESSES);
    one.records += other.records;
    one
}

/// The answer to our question, if `bytes` are that.
fn read(bytes: &[u8], id: u16) -> Option<Message> {
    let message = Message::from_vec(bytes).ok()?;
    let is_answer = message.metadata.message_type == hickory_proto::op::MessageType::Response;
    (message.metadata.id == id && is_answer).then_some(message)
}

async fn over_udp(to: SocketAddr, question: &[u8], id: u16, timeout: Duration) -> Result<Message, Silence> {
    let any: SocketAddr =
        if to.is_ipv4() { (Ipv4Addr::UNSPECIFIED, 0).into() } else { (Ipv6Addr::UNSPECIFIED, 0).into() };
    let untried = |e: std::io::Error| match e.kind() {
        std::io::ErrorKind::NetworkUnreachable => {
            Silence::Untried(format!("this machine has no {} route to it", word(family_of(to.ip()))))
        }
        _ => Silence::Untried(format!("ask {to}: {}", crate::probe::plain(&e))),
    };
    let socket = UdpSocket::bind(any).await.map_err(untried)?;
    socket.connect(to).await.map_err(untried)?;
    let mut why = "no answer".to_owned();
    let mut buffer = vec![0; ROOM];
    for _ in 0..TRIES {
        let until = tokio::time::Instant::now() + timeout;
        match socket.send(question).await {
            Ok(_) => {}
            Err(e) if e.kind() == std::io::ErrorKind::NetworkUnreachable => return Err(untried(e)),
            Err(e) => {
                why = crate::probe::plain(&e);
                continue;
            }
        }
        loop {
            match tokio::time::timeout_at(until, socket.recv(&mut buffer)).await {
                Err(_) => break,
                Ok(Err(e)) => {
                    why = crate::probe::plain(&e);
                    break;
                }
                Ok(Ok(len)) => match read(&buffer[..len], id) {
                    Some(answer) => return Ok(answer),
                    None => "what answers does not speak DNS".clone_into(&mut why),
                },
            }
        }
    }
    Err(Silence::Unanswered(why))
}

async fn over_tcp(to: SocketAddr, question: &[u8], id: u16, timeout: Duration) -> Result<Message, Silence> {
    let until = tokio::time::Instant::now() + timeout;
    let mut stream = match knock(to, None, timeout).await {
        Knock::Open(stream, _) => stream,
        failed => return Err(Silence::Unanswered(failed.why(to.ip()))),
    };
    let asked = async {
        let length = u16::try_from(question.len()).unwrap_or(u16::MAX).to_be_bytes();
        stream.write_all(&[&length[..], question].concat()).await?;
        let length = stream.read_u16().await?;
        let mut answer = vec![0; length.into()];
        stream.read_exact(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    let unanswered = |why: String| Err(Silence::Unanswered(why));
    match tokio::time::timeout_at(until, asked).await {
        Err(_) => unanswered("connected, and no answer".to_owned()),
        Ok(Err(e)) => unanswered(format!("connected, and then {}", crate::probe::plain(&e))),
        Ok(Ok(bytes)) => match read(&bytes, id) {
            Some(answer) => Ok(answer),
            None => unanswered("what answers does not speak DNS".to_owned()),
        },
    }
}

#[cfg(test)]
mod tests {
    use hickory_proto::op::{MessageType, OpCode};
    use hickory_proto::rr::Record;
    use hickory_proto::rr::rdata::{A, AAAA};
    use proptest::prelude::*;

    use super::*;

    fn answered(code: ResponseCode, data: Vec<RData>) -> Answer {
        let mut message = Message::new(7, MessageType::Response, OpCode::Query);
        message.metadata.response_code = code;
        for data in data {
            message.add_answer(Record::from_rdata(Name::from_str("lineman.example.").unwrap(), 60, data));
        }
        let bytes = message.to_vec().unwrap();
        assert_eq!(read(&bytes, 8), None, "an answer to another question");
        summed(&read(&bytes, 7).unwrap())
    }

    #[test]
    fn an_answer_is_good_where_it_holds_what_was_asked_for() {
        let four = answered(ResponseCode::NoError, vec![RData::A(A::new(192, 0, 2, 7))]);
        let six =
            answered(ResponseCode::NoError, vec![RData::AAAA(AAAA::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 7))]);
        let none = answered(ResponseCode::NoError, vec![]);
        for (one, other) in [(&four, &six), (&none, &six), (&four, &none)] {
            assert_eq!(refusal(&together(one.clone(), other.clone())), None);
        }
        assert_eq!(together(four, six).addresses.len(), 2);
        assert_eq!(refusal(&none).unwrap(), "the name has no address");
        let missing = answered(ResponseCode::NXDomain, vec![]);
        assert_eq!(refusal(&together(missing.clone(), missing)).unwrap(), "there is no such name");
    }

    #[test]
    fn codes_are_written_as_the_field_writes_them() {
        for (value, word) in [(0, "NOERROR"), (2, "SERVFAIL"), (3, "NXDOMAIN"), (5, "REFUSED"), (9, "RCODE9")]
        {
            assert_eq!(code(ResponseCode::from(0, value)), word);
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            if let Some(message) = read(&bytes, 7) {
                summed(&message);
            }
        }
    }

    #[tokio::test]
    async fn a_question_that_is_answered_with_rubbish_is_asked_to_its_end() {
        let liar = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let to = liar.local_addr().unwrap();
        let lie = async {
            let mut buffer = [0; 512];
            loop {
                let (_, from) = liar.recv_from(&mut buffer).await.unwrap();
                liar.send_to(b"rubbish", from).await.unwrap();
            }
        };
        let asked = over_udp(to, b"\0\x07", 7, Duration::from_millis(50));
        tokio::select! {
            answer = asked => assert_eq!(
                answer.unwrap_err(),
                Silence::Unanswered("what answers does not speak DNS".into())
            ),
            () = lie => {}
        }
    }
}
