//! Captive portals, packets that get stuck, and one family of addresses.

use super::table::hold;
use super::*;

#[test]
fn portals_and_packets() {
    let portal =
        good().fail(&["page", "server-tls"]).skip(&["server-answer"]).each(|rung| match &mut rung.step {
            Step::Page { changed, .. } => *changed = true,
            Step::ServerTls { error, .. } => *error = Some(TlsError::NotTls),
            _ => {}
        });
    let walled = good().fail(&["anchor", "page"]).no_server().each(|rung| {
        if let Step::Page { changed, .. } = &mut rung.step {
            *changed = true;
        }
    });
    let edited = good().fail(&["page"]).no_server().each(|rung| {
        if let Step::Page { changed, .. } = &mut rung.step {
            *changed = true;
        }
    });
    let clamp = |largest: u32| {
        move |rung: &mut Rung| {
            if let Step::PacketSize { largest: most, .. } = &mut rung.step {
                (*most, rung.outcome) = (Some(largest), Held::Fail);
            }
        }
    };
    let stuck = good().fail(&["server-tls"]).skip(&["server-answer"]).each(clamp(1_400));
    let unanswered = good().fail(&["server-answer"]).each(clamp(1_400)).each(|rung| {
        if let Step::ServerAnswer { status } = &mut rung.step {
            *status = None;
        }
    });
    let pppoe = good().no_server().each(clamp(1_492));
    hold(vec![
        ("a portal", climbed(portal), others_fine(), Code::CaptivePortal, 85..=99),
        ("a walled garden", climbed(walled), others_fine(), Code::CaptivePortal, 75..=90),
        (
            "a page that somebody edited long ago",
            Dossier {
                good_day: Some(kept(edited.clone(), Why::Baseline, FROM - minutes(99))),
                ..climbed(edited)
            },
            others_fine(),
            Code::Path,
            50..=90,
        ),
        ("large packets get stuck", climbed(stuck), others_fine(), Code::Mtu, 75..=90),
        ("an answer gets stuck", climbed(unanswered), others_fine(), Code::Mtu, 70..=90),
        (
            "a smaller MTU is as always",
            Dossier {
                good_day: Some(kept(pppoe.clone(), Why::Baseline, FROM - minutes(99))),
                ..climbed(pppoe)
            },
            others_fine(),
            Code::Path,
            60..=90,
        ),
    ]);
}

#[test]
fn one_family_of_addresses() {
    let six = |held: Held| {
        let mut ladder = good();
        let addresses = vec!["2001:db8::7/64".to_owned()];
        ladder.0.insert(
            2,
            rung(Step::Address { interface: "eth0".into(), family: Family::Ipv6, addresses }, Held::Ok),
        );
        ladder.0.insert(5, rung(Step::Anchor { address: ip("2001:db8:1::1"), given: true }, held));
        ladder
    };
    let six_server = |ladder: Ladder| {
        ladder.each(|rung| {
            if let Step::ServerConnect { address, .. } = &mut rung.step {
                *address = "[2001:db8:2::10]:443".parse().unwrap();
            }
        })
    };
    let six_broken = six_server(six(Held::Fail)).no_server();
    let never_had_six = {
        let mut ladder = six_broken.clone();
        ladder.0.retain(|rung| !matches!(rung.step, Step::Address { family: Family::Ipv6, .. }));
        ladder
    };
    let six_good = Some(kept(six(Held::Ok), Why::Baseline, FROM - minutes(99)));
    hold(vec![
        (
            "IPv6 alone",
            Dossier { good_day: six_good, ..climbed(six_broken) },
            others_fine(),
            Code::AddressFamily,
            75..=95,
        ),
        ("one that never had IPv6", climbed(never_had_six), others_fine(), Code::Path, 40..=90),
    ]);
}
