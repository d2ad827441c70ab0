//! What the zone answers, to whatever packet.

use hickory_proto::op::Message;
use proptest::prelude::*;

use super::*;

fn records() -> Records {
    let hosts: Hosts = [
        ("gw.devices.example", vec!["192.0.2.1", "2001:db8::1"]),
        ("ap.north.devices.example", vec!["192.0.2.7"]),
    ]
    .into_iter()
    .map(|(name, addresses)| {
        (name.to_owned(), addresses.into_iter().map(|text| text.parse().unwrap()).collect())
    })
    .collect();
    Records::new(&"devices.example".parse().unwrap(), 7, 60, hosts).unwrap()
}

fn question(name: &str, kind: RecordType) -> Message {
    let mut asked = Message::query();
    asked.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
    asked
}

fn ask(asked: &Message) -> Message {
    let told = records().answer(&asked.to_vec().unwrap(), Way::Udp).expect("an answer");
    Message::from_vec(&told).unwrap()
}

/// What is answered, in short: the code, what stands in the answer, and whether the zone's SOA says that there is no more.
fn told(name: &str, kind: RecordType) -> (ResponseCode, Vec<String>, bool) {
    let told = ask(&question(name, kind));
    let answers = told.answers.iter().map(|record| record.data.to_string()).collect();
    let soa = told.authorities.iter().any(|record| record.record_type() == RecordType::SOA);
    (told.metadata.response_code, answers, soa)
}

#[test]
fn names_of_the_zone_have_their_addresses_and_nothing_else() {
    use RecordType as T;
    let no: fn() -> Vec<String> = Vec::new;
    for (name, kind, code, answers, soa) in [
        ("gw.devices.example.", T::A, ResponseCode::NoError, vec!["192.0.2.1".to_owned()], false),
        ("GW.Devices.Example.", T::AAAA, ResponseCode::NoError, vec!["2001:db8::1".to_owned()], false),
        ("gw.devices.example.", T::MX, ResponseCode::NoError, no(), true),
        ("ap.north.devices.example.", T::AAAA, ResponseCode::NoError, no(), true),
        ("north.devices.example.", T::A, ResponseCode::NoError, no(), true),
        ("south.devices.example.", T::A, ResponseCode::NXDomain, no(), true),
        ("x.gw.devices.example.", T::A, ResponseCode::NXDomain, no(), true),
        ("devices.example.", T::NS, ResponseCode::NoError, vec!["ns.devices.example.".to_owned()], false),
        ("devices.example.", T::A, ResponseCode::NoError, no(), true),
        ("example.", T::A, ResponseCode::Refused, no(), false),
        ("gw.devices.example.net.", T::A, ResponseCode::Refused, no(), false),
        ("notdevices.example.", T::A, ResponseCode::Refused, no(), false),
        ("devices.example.", T::AXFR, ResponseCode::Refused, no(), false),
        (
            "1.2.0.192.in-addr.arpa.",
            T::PTR,
            ResponseCode::NoError,
            vec!["gw.devices.example.".to_owned()],
            false,
        ),
        ("1.2.0.192.in-addr.arpa.", T::A, ResponseCode::NoError, no(), true),
        ("9.2.0.192.in-addr.arpa.", T::PTR, ResponseCode::Refused, no(), false),
        (
            "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa.",
            T::PTR,
            ResponseCode::NoError,
            vec!["gw.devices.example.".to_owned()],
            false,
        ),
    ] {
        assert_eq!(told(name, kind), (code, answers, soa), "{name} {kind}");
    }
}

#[test]
fn the_zone_says_who_it_is_and_answers_in_the_letters_of_the_question() {
    let (code, answers, _) = told("devices.example.", RecordType::SOA);
    assert_eq!(code, ResponseCode::NoError);
    assert!(answers[0].starts_with("ns.devices.example. hostmaster.devices.example. 7 "), "{answers:?}");
    let told = ask(&question("Gw.dEvices.example.", RecordType::A));
    assert_eq!(told.answers[0].name.to_ascii(), "Gw.dEvices.example.");
    assert!(told.metadata.authoritative && !told.metadata.recursion_available);
}

#[test]
fn what_is_no_question_is_refused_in_the_words_of_the_standards() {
    let mut update = question("devices.example.", RecordType::SOA);
    update.metadata.op_code = OpCode::Update;
    assert_eq!(ask(&update).metadata.response_code, ResponseCode::NotImp);
    let mut two = question("gw.devices.example.", RecordType::A);
    two.add_query(Query::query(Name::root(), RecordType::NS));
    assert_eq!(ask(&two).metadata.response_code, ResponseCode::FormErr);
    let mut chaos = question("version.bind.", RecordType::TXT);
    chaos.queries[0].query_class = DNSClass::CH;
    assert_eq!(ask(&chaos).metadata.response_code, ResponseCode::Refused);
    let mut edns = question("gw.devices.example.", RecordType::A);
    let mut later = Edns::new();
    later.set_version(1);
    edns.set_edns(later);
    let told = ask(&edns);
    // BADVERS, which shares its number with a code of TSIG.
    assert_eq!((u16::from(told.metadata.response_code), told.edns.map(|e| e.version())), (16, Some(0)));
    let mut answer = question("gw.devices.example.", RecordType::A);
    answer.metadata.message_type = MessageType::Response;
    assert_eq!(records().answer(&answer.to_vec().unwrap(), Way::Udp), None, "or two servers talk for ever");
}

#[test]
fn what_does_not_fit_one_packet_says_so_and_comes_whole_over_tcp() {
    let many = (0..200).map(|last| IpAddr::from([192, 0, 2, last])).collect();
    let hosts: Hosts = [("many.devices.example".to_owned(), many)].into_iter().collect();
    let records = Records::new(&"devices.example".parse().unwrap(), 1, 60, hosts).unwrap();
    let mut asked = question("many.devices.example.", RecordType::A);
    let mut edns = Edns::new();
    edns.set_max_payload(4096);
    asked.set_edns(edns);
    let asked = asked.to_vec().unwrap();
    let (udp, tcp) = (records.answer(&asked, Way::Udp).unwrap(), records.answer(&asked, Way::Tcp).unwrap());
    assert!(udp.len() <= usize::from(MAX_UDP));
    assert!(Message::from_vec(&udp).unwrap().metadata.truncation);
    assert_eq!(Message::from_vec(&tcp).unwrap().answers.len(), 200);
}

#[test]
fn who_follows_the_name_of_the_server_finds_it() {
    let zone = "devices.example".parse().unwrap();
    let own = ["192.0.2.53", "0.0.0.0", "2001:db8::53"].map(|text| text.parse().unwrap());
    let bare = Records::new(&zone, 7, 60, Hosts::new()).unwrap();
    let ask = |records: &Records, name: &str, kind| {
        let told = records.answer(&question(name, kind).to_vec().unwrap(), Way::Udp).unwrap();
        Message::from_vec(&told).unwrap()
    };
    let named = bare.clone().with_server(&own);
    let told = ask(&named, "devices.example.", RecordType::NS);
    let beside: Vec<String> = told.additionals.iter().map(|record| record.data.to_string()).collect();
    assert_eq!(beside, ["192.0.2.53", "2001:db8::53"]);
    let told = ask(&named, "ns.devices.example.", RecordType::A);
    assert_eq!(told.answers[0].data.to_string(), "192.0.2.53");
    let told = ask(&bare.with_server(&own[1..2]), "ns.devices.example.", RecordType::A);
    assert_eq!((told.metadata.response_code, told.answers.len()), (ResponseCode::NoError, 0));
    let hosts: Hosts = [("ns.devices.example".to_owned(), vec!["192.0.2.9".parse().unwrap()])].into();
    let told = ask(
        &Records::new(&zone, 7, 60, hosts).unwrap().with_server(&own),
        "ns.devices.example.",
        RecordType::A,
    );
    assert_eq!(told.answers[0].data.to_string(), "192.0.2.9", "a device keeps its name");
}

/// Some ten thousand packets, or as many as `LINEMAN_PACKETS` says: noise, questions with bits turned, cut off or doubled
/// pieces, counts that lie, and names that point at themselves.
#[test]
fn tens_of_thousands_of_bad_packets_are_answered_or_passed_over() {
    let packets = std::env::var("LINEMAN_PACKETS").ok().and_then(|n| n.parse().ok()).unwrap_or(30_000);
    let records = records().with_server(&["192.0.2.53".parse().unwrap()]);
    let mut random = fastrand::Rng::with_seed(20_261_126);
    let names = ["gw.devices.example.", "devices.example.", "1.2.0.192.in-addr.arpa.", "a.b.c.d.e.f."];
    let (mut answered, mut whole) = (0, 0);
    for _ in 0..packets {
        let mut asked = question(names[random.usize(..names.len())], RecordType::from(random.u16(..300)));
        asked.metadata.id = random.u16(..);
        if random.bool() {
            asked.set_edns(Edns::new());
        }
        let mut packet = asked.to_vec().unwrap();
        match random.u8(..7) {
            0 => {
                packet = vec![0; random.usize(..600)];
                random.fill(&mut packet);
            }
            1 => packet.truncate(random.usize(..=packet.len())),
            2 => packet[4 + random.usize(..8)] = random.u8(..),
            // A name that points at itself, at the header, or behind the end.
            3 => packet[12..14].copy_from_slice(&[0xc0 | random.u8(..4), random.u8(..)]),
            4 => packet.extend_from_within(random.usize(..packet.len())..),
            _ => {}
        }
        for _ in 0..random.usize(..4) {
            if !packet.is_empty() {
                let at = random.usize(..packet.len());
                packet[at] ^= 1 << random.u8(..8);
            }
        }
        let way = if random.bool() { Way::Udp } else { Way::Tcp };
        let Some(told) = records.answer(&packet, way) else { continue };
        answered += 1;
        assert_eq!(told[..2], packet[..2], "it is an answer to that: {packet:?}");
        assert!(told[2] & 0x80 != 0, "{packet:?}");
        assert!(way == Way::Tcp || told.len() <= usize::from(MAX_UDP), "{packet:?}");
        whole += usize::from(Message::from_vec(&told).is_ok());
    }
    assert!(
        answered > packets / 3 && whole == answered,
        "{answered} of {packets} answered, {whole} can be read"
    );
}

proptest! {
    /// A packet of any bytes, and a good one with some of its bytes turned, is answered or passed over; nothing else happens.
    #[test]
    fn no_packet_is_too_odd(
        noise in prop::collection::vec(any::<u8>(), 0..600),
        turned in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        kind in any::<u16>(),
    ) {
        let records = records();
        let mut good = question("gw.devices.example.", RecordType::from(kind)).to_vec().unwrap();
        for (at, byte) in turned {
            let at = at.index(good.len());
            good[at] = byte;
        }
        for packet in [noise, good] {
            for way in [Way::Udp, Way::Tcp] {
                if let Some(told) = records.answer(&packet, way) {
                    prop_assert_eq!(&told[..2], &packet[..2], "it is an answer to that");
                    prop_assert!(told[2] & 0x80 != 0);
                    prop_assert!(way == Way::Tcp || told.len() <= usize::from(MAX_UDP));
                }
            }
        }
    }
}
