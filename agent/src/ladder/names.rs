//! The resolvers' rung: each is asked for somebody else's name and for the server's, over UDP, then over TCP.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use hickory_proto::op::{Message, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};

use super::{Found, Server, plain};
use crate::report::{Plan, Step, Transport};

/// The port of DNS.
const PORT: u16 = 53;
/// The most configured resolvers that are asked: the C library asks no more either.
const MOST: usize = 3;
/// The most addresses that are kept of an answer.
const MOST_ADDRESSES: usize = 8;
/// The most bytes of an answer.
const MAX_ANSWER: usize = 4096;

/// A question for a resolver.
struct Ask {
    name: String,
    ours: bool,
}

/// What a resolver says.
struct Told {
    code: ResponseCode,
    addresses: Vec<IpAddr>,
}

/// Asks all resolvers at the same time.
pub(super) fn rungs(plan: &Plan, server: Option<&Server>, timeout: Duration) -> Vec<Found> {
    let configured = configured(&std::fs::read("/etc/resolv.conf").unwrap_or_default());
    let mut resolvers: Vec<(IpAddr, bool)> = configured.into_iter().take(MOST).map(|a| (a, true)).collect();
    resolvers.extend(plan.resolver.map(|other| (other, false)));
    let asks = asks(plan, server);
    std::thread::scope(|scope| {
        let asked: Vec<_> = resolvers
            .iter()
            .flat_map(|(resolver, own)| asks.iter().map(move |ask| (*resolver, *own, ask)))
            .map(|(resolver, own, ask)| scope.spawn(move || rung(resolver, own, ask, timeout)))
            .collect();
        asked.into_iter().flat_map(|asked| asked.join().unwrap_or_default()).collect()
    })
}

fn configured(text: &[u8]) -> Vec<IpAddr> {
    let Ok(config) = resolv_conf::Config::parse(text) else { return Vec::new() };
    config.nameservers.iter().map(|server| IpAddr::from(server.clone())).collect()
}

/// Somebody else's name, and the server's where it has one.
fn asks(plan: &Plan, server: Option<&Server>) -> Vec<Ask> {
    let page_host = plan.page.split("://").nth(1).and_then(|rest| rest.split(['/', ':', '?']).next());
    let page_host = page_host.filter(|host| !host.is_empty() && host.parse::<IpAddr>().is_err());
    let other = if plan.name.is_empty() { page_host.unwrap_or(".") } else { &plan.name };
    let mut all = vec![Ask { name: other.to_owned(), ours: false }];
    if let Some(server) = server.filter(|server| server.host.parse::<IpAddr>().is_err()) {
        all.push(Ask { name: server.host.clone(), ours: true });
    }
    all
}

fn rung(resolver: IpAddr, configured: bool, ask: &Ask, timeout: Duration) -> Vec<Found> {
    let mut all = Vec::new();
    for transport in [Transport::Udp, Transport::Tcp] {
        let began = Instant::now();
        let told = exchange(resolver, ask, transport, timeout);
        let step = |rcode: Option<String>, addresses| Step::Resolver {
            resolver,
            configured,
            transport,
            name: ask.name.clone(),
            ours: ask.ours,
            rcode,
            addresses,
        };
        match told {
            Ok(told) => {
                let code = code(told.code);
                let good = match told.code {
                    ResponseCode::NoError => !ask.ours || !told.addresses.is_empty(),
                    ResponseCode::NXDomain => !ask.ours,
                    _ => false,
                };
                let empty = told.addresses.is_empty();
                let step = step(Some(code.clone()), told.addresses);
                let found = if good {
                    Found::ok(step)
                } else if code == "NOERROR" && empty {
                    Found::fail(step, "the name has no address")
                } else {
                    Found::fail(step, format!("it answers {code}"))
                };
                all.push(found.took(began));
                return all;
            }
            Err(why) => all.push(Found::fail(step(None, Vec::new()), why)),
        }
    }
    all
}

/// A code as the field writes it.
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

fn exchange(resolver: IpAddr, ask: &Ask, transport: Transport, timeout: Duration) -> Result<Told, String> {
    let kinds = if ask.name == "." { vec![RecordType::NS] } else { vec![RecordType::A, RecordType::AAAA] };
    let mut all: Option<Told> = None;
    for kind in kinds {
        let told = one(resolver, &ask.name, kind, transport, timeout)?;
        let done = told.code != ResponseCode::NoError;
        match &mut all {
            Some(all) => all.addresses.extend(told.addresses),
            None => all = Some(told),
        }
        if done {
            break;
        }
    }
    let mut told = all.ok_or("nothing was asked")?;
    told.addresses.truncate(MOST_ADDRESSES);
    Ok(told)
}

fn one(
    resolver: IpAddr,
    name: &str,
    kind: RecordType,
    transport: Transport,
    timeout: Duration,
) -> Result<Told, String> {
    let absolute = if name.ends_with('.') { name.to_owned() } else { format!("{name}.") };
    let parsed = Name::from_ascii(&absolute).map_err(|e| format!("'{name}' is no DNS name: {e}"))?;
    let mut asked = Message::query();
    asked.metadata.recursion_desired = true;
    asked.add_query(Query::query(parsed, kind));
    let bytes = asked.to_vec().map_err(|e| e.to_string())?;
    let answer = match transport {
        Transport::Tcp => over_tcp((resolver, PORT).into(), &bytes, timeout),
        Transport::Udp | Transport::Icmp => over_udp((resolver, PORT).into(), &bytes, timeout),
    };
    let answer = answer.map_err(|e| plain(&e))?;
    let told = Message::from_vec(&answer).map_err(|e| format!("its answer is none: {e}"))?;
    let addresses = told.answers.iter().filter_map(|record| match &record.data {
        RData::A(a) => Some(IpAddr::V4(a.0)),
        RData::AAAA(a) => Some(IpAddr::V6(a.0)),
        _ => None,
    });
    Ok(Told { code: told.metadata.response_code, addresses: addresses.take(MOST_ADDRESSES).collect() })
}

/// One packet there, and a second one where the first was lost.
fn over_udp(resolver: SocketAddr, question: &[u8], timeout: Duration) -> std::io::Result<Vec<u8>> {
    let any: SocketAddr = if resolver.is_ipv4() {
        (Ipv4Addr::UNSPECIFIED, 0).into()
    } else {
        (Ipv6Addr::UNSPECIFIED, 0).into()
    };
    let socket = UdpSocket::bind(any)?;
    socket.connect(resolver)?;
    let mut buffer = vec![0; MAX_ANSWER];
    let mut last = std::io::Error::from(std::io::ErrorKind::TimedOut);
    for _ in 0..2 {
        let until = Instant::now() + timeout;
        socket.send(question)?;
        while let Some(left) = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            socket.set_read_timeout(Some(left))?;
            match socket.recv(&mut buffer) {
                Ok(len) if buffer.get(..2) == question.get(..2) && len >= 12 => {
                    buffer.truncate(len);
                    return Ok(buffer);
                }
                Ok(_) => {}
                Err(e) => {
                    last = e;
                    break;
                }
            }
        }
    }
    Err(last)
}

fn over_tcp(resolver: SocketAddr, question: &[u8], timeout: Duration) -> std::io::Result<Vec<u8>> {
    let mut connection = TcpStream::connect_timeout(&resolver, timeout)?;
    connection.set_read_timeout(Some(timeout))?;
    connection.set_write_timeout(Some(timeout))?;
    let len = u16::try_from(question.len()).map_err(std::io::Error::other)?;
    connection.write_all(&[&len.to_be_bytes(), question].concat())?;
    let mut len = [0; 2];
    connection.read_exact(&mut len)?;
    let mut answer = vec![0; usize::from(u16::from_be_bytes(len)).min(MAX_ANSWER)];
    connection.read_exact(&mut answer)?;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn somebody_elses_name_is_asked_for_and_ours_where_it_is_one() {
        let named = |host: &str| Server { host: host.into(), port: 443, tls: true, pin: None, address: None };
        let names = |plan: &Plan, host: &str| -> Vec<String> {
            asks(plan, Some(&named(host)))
                .into_iter()
                .map(|ask| format!("{} {}", ask.name, ask.ours))
                .collect()
        };
        let page = Plan { page: "http://known.example:8080/page".into(), ..Plan::default() };
        assert_eq!(names(&page, "lineman.example"), ["known.example false", "lineman.example true"]);
        assert_eq!(names(&Plan::default(), "192.0.2.7"), [". false"]);
        let given = Plan { name: "example.org".into(), page: "http://192.0.2.8/".into(), ..Plan::default() };
        assert_eq!(names(&given, "::1"), ["example.org false"]);
    }
}
