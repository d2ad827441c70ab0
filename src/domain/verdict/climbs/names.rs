//! Faults of names: the resolver, DNS on the way, or our own name.

use agent::report::{Held, Transport};

use super::Look;
use crate::domain::dossier::any_holds;
use crate::domain::verdict::findings::Finding;
use crate::domain::verdict::picture::Asked;
use crate::domain::verdict::{Code, Evidence};

/// Whose answers are meant.
#[derive(Clone, Copy)]
enum Whose {
    Configured,
    Other,
}

/// Which name was asked for.
#[derive(Clone, Copy)]
enum Name {
    Ours,
    Another,
}

struct Answers<'a>(Vec<Asked<'a>>);

impl Answers<'_> {
    fn held(&self, whose: Whose, over: Option<Transport>, name: Name) -> Held {
        let wanted = self.0.iter().filter(|asked| {
            asked.configured == matches!(whose, Whose::Configured)
                && over.is_none_or(|over| asked.transport == over)
                && asked.ours == matches!(name, Name::Ours)
        });
        any_holds(wanted.map(|asked| asked.held))
    }

    fn listed(&self) -> String {
        let mut all: Vec<String> = Vec::new();
        for asked in self.0.iter().filter(|asked| asked.configured && asked.held == Held::Fail) {
            let said = asked.rcode.unwrap_or("no answer");
            let one = format!("{} ({said})", asked.resolver);
            if !all.contains(&one) {
                all.push(one);
            }
        }
        all.truncate(4);
        all.join(", ")
    }
}

/// A fault of names, where there is one.
pub(super) fn find(look: &Look<'_>) -> Option<Finding> {
    let now = look.now;
    let answers = Answers(now.asked().collect());
    let both = [Transport::Udp, Transport::Tcp];
    let [udp, tcp] = both.map(|over| answers.held(Whose::Configured, Some(over), Name::Another));
    let [other_udp, other_tcp] = both.map(|over| answers.held(Whose::Other, Some(over), Name::Another));
    let ours = answers.held(Whose::Configured, None, Name::Ours);
    let ours_elsewhere = answers.held(Whose::Other, None, Name::Ours);
    let literal = now.server_name() == Held::NotMeasured;
    let needed = now.connect() != Held::Ok || (!literal && now.server_name() != Held::Ok);
    if !needed {
        return None;
    }
    let at = now.at;
    // Without a way out no resolver beyond the gateway can answer; it is no fault of its own then.
    let known_way = now.anchors().any(|anchor| anchor.held == Held::Ok) || now.connect() == Held::Ok;
    let least = if known_way { 0 } else { 20 };
    let found = |code, sure: u8, what: String| {
        let thing = now.asked().find(|asked| asked.configured).map(|asked| asked.resolver);
        let mut found = Finding::new(code, sure.saturating_sub(least), at, vec![Evidence::at(at, what)]);
        found.address = thing;
        Some(thing.map_or(found.clone(), |thing| found.of(thing)))
    };
    let failed = answers.listed();
    if udp == Held::Fail {
        let over_tcp = tcp == Held::Ok || other_tcp == Held::Ok;
        return match (other_udp, over_tcp) {
            (Held::Ok, _) => found(
                Code::Resolver,
                90,
                format!("the configured resolvers failed: {failed}; another one answered"),
            ),
            (Held::Fail, true) => found(
                Code::DnsBlocked,
                88,
                "every resolver failed over UDP, and one answered over TCP".to_owned(),
            ),
            (Held::NotMeasured, true) if tcp == Held::Ok => {
                let what = "the configured resolvers failed over UDP, and answered over TCP".to_owned();
                found(Code::DnsBlocked, 75, what)
            }
            (Held::NotMeasured, true) => found(
                Code::Resolver,
                65,
                format!("the configured resolvers failed: {failed}; another one answered over TCP"),
            ),
            (Held::Fail, false) if known_way => found(
                Code::DnsBlocked,
                45,
                format!("no resolver answered, configured ({failed}) or not, over UDP or TCP"),
            ),
            (Held::NotMeasured, false) if known_way => found(
                Code::Resolver,
                65,
                format!("the configured resolvers failed: {failed}; no other one was asked"),
            ),
            (Held::Fail | Held::NotMeasured, false) => None,
        };
    }
    if ours == Held::Fail && ours_elsewhere == Held::Ok {
        return found(Code::Resolver, 62, format!("our name resolves elsewhere, and not at {failed}"));
    }
    let others_resolve = udp == Held::Ok || tcp == Held::Ok || other_udp == Held::Ok;
    if ours == Held::Fail || (now.server_name() == Held::Fail && ours != Held::Ok) {
        let host = now.host().unwrap_or("our name");
        let name_error = now.asked().any(|asked| asked.ours && asked.rcode == Some("NXDOMAIN"));
        let found = match (others_resolve, name_error) {
            (true, _) => found(Code::OurDns, 86, format!("other names resolved, {host} did not")),
            (false, true) => found(Code::OurDns, 62, format!("there is no name {host}, says the resolver")),
            (false, false) => None,
        };
        return found.map(|found| found.of(host));
    }
    None
}
