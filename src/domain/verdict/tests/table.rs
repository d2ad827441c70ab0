//! One cause after another, each with what it leaves behind, and the near misses beside it.

use super::*;

/// A case: what it is, what was recorded, who was around, what is to come of it, and how sure at least and at most.
pub(super) type Case = (&'static str, Dossier, Cohort, Code, std::ops::RangeInclusive<u8>);

#[track_caller]
pub(super) fn hold(cases: Vec<Case>) {
    for (name, dossier, cohort, code, sure) in cases {
        let verdict = judge(&dossier, &cohort);
        assert_eq!(verdict.code, code, "{name}: {verdict:#?}");
        assert!(
            sure.contains(&verdict.confidence),
            "{name}: {} is not in {sure:?}: {verdict:#?}",
            verdict.confidence
        );
        assert!(!verdict.evidence.is_empty(), "{name}: {verdict:#?}");
    }
}

#[test]
fn gaps_of_the_record() {
    let twin =
        |gap: Gap| Cohort { siblings: vec![Sibling { gaps: vec![gap], ..sibling("ap") }], ..others_fine() };
    let later = Gap { from: Some(FROM + minutes(9)), booted_at: Some(UNTIL + minutes(9)), ..power_gap() };
    let ran_on = Cohort { siblings: vec![sibling("ap")], ..others_fine() };
    let dark = Sibling { dark: vec![(FROM, UNTIL)], ..sibling("ap") };
    let asleep = Gap { booted: false, boots: 0, booted_at: None, suspended: minutes(37), ..power_gap() };
    let asleep = Gap { restarted: false, clean: true, ..asleep };
    let restarted = Gap { booted: false, boots: 0, booted_at: None, ..power_gap() };
    hold(vec![
        ("two lost their power", gapped(power_gap()), twin(power_gap()), Code::SitePower, 85..=99),
        ("the other one rebooted later", gapped(power_gap()), twin(later), Code::DevicePower, 40..=90),
        ("the other one ran on", gapped(power_gap()), ran_on, Code::DevicePower, 80..=95),
        ("nobody else tells", gapped(power_gap()), others_fine(), Code::DevicePower, 40..=65),
        (
            "the other one is dark and tells nothing",
            gapped(power_gap()),
            Cohort { siblings: vec![dark], ..others_fine() },
            Code::DevicePower,
            40..=65,
        ),
        (
            "shut down in order",
            gapped(Gap { clean: true, ..power_gap() }),
            others_fine(),
            Code::Reboot,
            80..=95,
        ),
        (
            "one was shut down in order, the other was not",
            gapped(power_gap()),
            twin(Gap { clean: true, ..power_gap() }),
            Code::DevicePower,
            40..=90,
        ),
        ("only the agent", gapped(restarted.clone()), others_fine(), Code::AgentRestart, 70..=95),
        ("it slept", gapped(asleep), others_fine(), Code::Sleep, 85..=99),
        (
            "a gap that nothing explains",
            gapped(Gap { restarted: false, ..restarted }),
            others_fine(),
            Code::Unknown,
            0..=30,
        ),
    ]);
}

#[test]
fn a_gap_that_explains_little_is_not_the_cause() {
    let short = Gap {
        from: Some(FROM - minutes(1)),
        to: FROM,
        booted: false,
        boots: 0,
        booted_at: None,
        ..power_gap()
    };
    let cut = climbed(good().cut_beyond_gateway(&["192.0.2.1"]));
    let both = Dossier { gaps: gapped(short).gaps, ..cut };
    let verdict = judge(&both, &others_fine());
    assert_eq!((verdict.code, verdict.also), (Code::LastMile, Some(Code::AgentRestart)), "{verdict:#?}");
    let alone = Dossier { climbs: Vec::new(), good_day: None, ..both.clone() };
    let verdict = judge(&alone, &others_fine());
    let unknown = (Code::Unknown, Some(Code::AgentRestart));
    assert_eq!((verdict.code, verdict.likeliest), unknown, "a minute is not 37: {verdict:#?}");
    let over = Gap { from: Some(FROM - minutes(20)), to: FROM - minutes(9), booted_at: None, ..power_gap() };
    let both = Dossier { gaps: gapped(over).gaps, ..climbed(good().cut_beyond_gateway(&["192.0.2.1"])) };
    assert_eq!(judge(&both, &others_fine()).code, Code::LastMile, "it was over before");
}

#[test]
fn the_device_and_its_gateway() {
    let no_link = || good().fail(&["link"]).skip(&["address", "neighbour", "gateway", "anchor", "resolver"]);
    let no_link =
        || no_link().skip(&["page", "server-name", "server-connect", "server-tls", "server-answer"]);
    let unknown_beyond =
        ["neighbour", "gateway", "anchor", "resolver", "page", "server-name", "server-connect"];
    let no_gateway = || good().fail(&unknown_beyond).skip(&["server-tls", "server-answer", "packet-size"]);
    let icmp_silent = || good().fail(&["gateway"]);
    hold(vec![
        ("no carrier", climbed(no_link().route(&[])), others_fine(), Code::Link, 80..=99),
        (
            "no address",
            climbed(
                good()
                    .fail(&["address"])
                    .skip(&unknown_beyond)
                    .skip(&["server-tls", "server-answer"])
                    .route(&[]),
            ),
            others_fine(),
            Code::NoAddress,
            80..=99,
        ),
        ("no gateway", climbed(no_gateway().route(&[])), others_fine(), Code::Gateway, 80..=99),
        (
            "a gateway that is there and does nothing",
            climbed(icmp_silent().cut_beyond_gateway(&["*"])),
            others_fine(),
            Code::Gateway,
            40..=65,
        ),
        (
            "a gateway that never answers pings",
            Dossier {
                good_day: Some(kept(icmp_silent(), Why::Baseline, FROM - minutes(99))),
                ..climbed(icmp_silent().cut_beyond_gateway(&["192.0.2.1"]))
            },
            others_fine(),
            Code::LastMile,
            60..=85,
        ),
        (
            "the link says that it is down, and the anchors answer all the same",
            climbed(good().fail(&["link"]).no_server().route(&["192.0.2.1", "100.64.0.1"])),
            others_fine(),
            Code::Path,
            60..=85,
        ),
    ]);
}

#[test]
fn the_line_and_what_is_beyond_it() {
    let no_good_day = |dossier: Dossier| Dossier { good_day: None, ..dossier };
    let silent_provider = good().route(&["192.0.2.1", "*", "*", "198.51.100.9", OURS]);
    let half = |at: usize| {
        let mut seen = 0;
        good().no_server().route(&["192.0.2.1", "100.64.0.1", "100.64.0.2"]).each(move |rung| {
            if rung.step.word() == "anchor" {
                rung.outcome = if seen == at { Held::Ok } else { Held::Fail };
                seen += 1;
            }
        })
    };
    let dead_anchor = half(0).with(&["server-connect", "server-tls", "server-answer"], Held::Ok);
    let resolver_beyond = good().cut_beyond_gateway(&["192.0.2.1"]).each(|rung| {
        if let Step::Resolver { resolver, .. } = &mut rung.step {
            *resolver = ip("100.64.0.53");
            rung.outcome = Held::Ok;
        }
    });
    hold(vec![
        (
            "behind the gateway",
            climbed(good().cut_beyond_gateway(&["192.0.2.1"])),
            others_fine(),
            Code::LastMile,
            80..=95,
        ),
        (
            "behind the first hop of the provider",
            climbed(good().cut_beyond_gateway(&["192.0.2.1", "100.64.0.1"])),
            others_fine(),
            Code::LastMile,
            80..=95,
        ),
        (
            "without a good day to compare with",
            no_good_day(climbed(good().cut_beyond_gateway(&["192.0.2.1"]))),
            others_fine(),
            Code::LastMile,
            60..=84,
        ),
        (
            "hops that are silent on a good day prove nothing",
            Dossier {
                good_day: Some(kept(silent_provider, Why::Baseline, FROM - minutes(99))),
                ..climbed(good().cut_beyond_gateway(&["192.0.2.1"]))
            },
            others_fine(),
            Code::LastMile,
            30..=60,
        ),
        (
            "further out",
            climbed(good().cut_beyond_gateway(&["192.0.2.1", "100.64.0.1", "100.64.0.2"])),
            others_fine(),
            Code::ProviderCore,
            65..=90,
        ),
        (
            "the provider's resolver answers",
            climbed(resolver_beyond),
            others_fine(),
            Code::ProviderCore,
            60..=90,
        ),
        ("some anchors", climbed(half(1)), others_fine(), Code::Transit, 60..=85),
        (
            "an anchor that is dead does not matter",
            climbed(dead_anchor),
            others_fine(),
            Code::Unknown,
            0..=30,
        ),
        (
            "an anchor that is dead on a good day as well",
            Dossier { good_day: Some(kept(half(0), Why::Baseline, FROM - minutes(99))), ..climbed(half(0)) },
            others_fine(),
            Code::Path,
            60..=90,
        ),
    ]);
}

fn names(ladder: Ladder, held: impl Fn(IpAddr, bool, Transport, bool) -> Held) -> Ladder {
    ladder.each(|rung| {
        if let Step::Resolver { resolver, configured, transport, ours, .. } = rung.step {
            rung.outcome = held(resolver, configured, transport, ours);
        }
    })
}

#[test]
fn names_that_do_not_resolve() {
    let lost =
        || good().fail(&["server-name", "page"]).skip(&["server-connect", "server-tls", "server-answer"]);
    let if_ok = |ok: bool| if ok { Held::Ok } else { Held::Fail };
    let no_other = |ladder: Ladder| {
        let mut ladder = ladder;
        ladder.0.retain(|rung| !matches!(rung.step, Step::Resolver { configured: false, .. }));
        ladder
    };
    let literal = names(good().skip(&["server-name"]), |_, configured, _, _| if_ok(!configured));
    hold(vec![
        (
            "the resolver",
            climbed(names(lost(), |_, configured, _, _| if_ok(!configured))),
            others_fine(),
            Code::Resolver,
            80..=95,
        ),
        (
            "the resolver, and no other was asked",
            climbed(no_other(names(lost(), |_, _, _, _| Held::Fail))),
            others_fine(),
            Code::Resolver,
            45..=70,
        ),
        (
            "over UDP nothing, over TCP one",
            climbed(names(lost(), |_, _, transport, _| if_ok(transport == Transport::Tcp))),
            others_fine(),
            Code::DnsBlocked,
            75..=95,
        ),
        (
            "over neither",
            climbed(names(lost(), |_, _, _, _| Held::Fail)),
            others_fine(),
            Code::DnsBlocked,
            25..=55,
        ),
        (
            "ours alone",
            climbed(names(lost().with(&["page"], Held::Ok), |_, _, _, ours| if_ok(!ours))),
            others_fine(),
            Code::OurDns,
            75..=95,
        ),
        (
            "a resolver that is broken while the server has a literal address",
            climbed(literal.clone()),
            others_fine(),
            Code::Unknown,
            0..=60,
        ),
        (
            "the same, and the way to the server is broken",
            climbed(literal.no_server()),
            others_fine(),
            Code::Path,
            60..=90,
        ),
    ]);
}

#[test]
fn our_own_end() {
    let dropped = |dropped, fine| Cohort {
        has_agent: true,
        others: Others { dropped, fine, ..Others::default() },
        ..Cohort::default()
    };
    let refused = good().no_server().each(|rung| {
        if let Step::ServerConnect { refused, .. } = &mut rung.step {
            *refused = true;
        }
    });
    let tls = |wrong: TlsError, off: Option<i64>| {
        good().fail(&["server-tls"]).skip(&["server-answer"]).each(move |rung| {
            if let Step::ServerTls { error, clock_off } = &mut rung.step {
                (*error, *clock_off) = (Some(wrong), off.map(Millis));
            }
        })
    };
    let skewed = |dossier: Dossier, skew: Option<i64>| {
        let climbs =
            dossier.climbs.into_iter().map(|climb| Kept { skew: skew.map(Millis), ..climb }).collect();
        Dossier { climbs, ..dossier }
    };
    let year = 366 * 86_400_000;
    let away = Cohort { absences: vec![((FROM - minutes(1), UNTIL), Absence::Away)], ..others_fine() };
    let status = good().fail(&["server-answer"]).each(|rung| {
        if let Step::ServerAnswer { status } = &mut rung.step {
            *status = Some(502);
        }
    });
    hold(vec![
        ("others the same", climbed(good().no_server()), dropped(4, 0), Code::Server, 80..=95),
        ("others are fine", climbed(good().no_server()), dropped(0, 4), Code::Path, 70..=90),
        ("some others the same", climbed(good().no_server()), dropped(1, 4), Code::Path, 40..=65),
        ("nobody to compare with", climbed(good().no_server()), dropped(0, 0), Code::Path, 25..=50),
        ("refused, nobody to compare with", climbed(refused.clone()), dropped(0, 0), Code::Server, 50..=70),
        ("lineman itself was away", climbed(refused), away.clone(), Code::Server, 85..=99),
        ("lineman was away, and nobody climbed", told(empty()), away, Code::Server, 85..=99),
        ("a status that says it is broken", climbed(status), others_fine(), Code::Server, 65..=85),
        (
            "the clock is a year behind",
            skewed(climbed(tls(TlsError::NotYetValid, Some(-year))), Some(-year)),
            others_fine(),
            Code::DeviceClock,
            85..=99,
        ),
        (
            "the clock is ahead",
            skewed(climbed(tls(TlsError::Expired, Some(year))), Some(year)),
            others_fine(),
            Code::DeviceClock,
            85..=99,
        ),
        (
            "nobody knows how the clock was",
            skewed(climbed(tls(TlsError::NotYetValid, Some(-year))), None),
            others_fine(),
            Code::DeviceClock,
            50..=75,
        ),
        (
            "it expired, and the clock is right",
            climbed(tls(TlsError::Expired, Some(90_000))),
            others_fine(),
            Code::Certificate,
            75..=95,
        ),
        ("another key", climbed(tls(TlsError::Untrusted, None)), others_fine(), Code::Certificate, 75..=95),
        ("another name", climbed(tls(TlsError::OtherName, None)), others_fine(), Code::Certificate, 70..=95),
        (
            "TLS fails, nobody knows why",
            climbed(tls(TlsError::Other, None)),
            others_fine(),
            Code::Certificate,
            25..=45,
        ),
    ]);
}

fn minute(n: i64, loss: u32, errors: u64, used: u32) -> Moment {
    Moment {
        at: FROM - minutes(5) + Millis::from_secs(30 * n),
        gateway_loss_permille: Some(loss),
        errors,
        used_permille: Some(used),
        ..Moment::default()
    }
}

#[test]
fn the_frozen_minutes() {
    let frozen = |dossier: Dossier, lines: Vec<Moment>| {
        let told = dossier.told.map(|told| AgentOutage { before: lines, ..told });
        Dossier { told, ..dossier }
    };
    let lossy = good().each(|rung| {
        if rung.step.word() == "gateway" {
            rung.loss_permille = Some(300);
        }
    });
    let lossy = lossy.fail(&["server-answer"]).each(|rung| {
        if let Step::ServerAnswer { status } = &mut rung.step {
            *status = None;
        }
    });
    let noisy = (0..10).map(|n| minute(n, 250, 40, 100)).collect::<Vec<_>>();
    let full = (0..10).map(|n| minute(n, 150, 0, 980)).collect::<Vec<_>>();
    let quiet = (0..10).map(|n| minute(n, 0, 0, 100)).collect::<Vec<_>>();
    hold(vec![
        ("noise", frozen(climbed(lossy.clone()), noisy.clone()), others_fine(), Code::LineNoise, 75..=95),
        (
            "noise without errors",
            frozen(climbed(lossy), quiet.clone()),
            others_fine(),
            Code::LineNoise,
            30..=60,
        ),
        ("our own link was full", frozen(told(empty()), full), others_fine(), Code::Congestion, 60..=85),
        (
            "a noisy line that was cut then",
            frozen(climbed(good().cut_beyond_gateway(&["192.0.2.1"])), noisy),
            others_fine(),
            Code::LastMile,
            75..=95,
        ),
        ("a quiet line says nothing", frozen(told(empty()), quiet), others_fine(), Code::Unknown, 0..=30),
    ]);
}

#[test]
fn what_is_no_outage_and_what_comes_in() {
    let moved = told(empty());
    let moved = Dossier {
        told: moved.told.map(|told| AgentOutage {
            address_before: Some(ip("192.0.2.7")),
            address_after: Some(ip("192.0.2.99")),
            ..told
        }),
        climbs: vec![kept(good(), Why::Recovery, UNTIL)],
        ..moved
    };
    let filtered = Cohort { reported: true, inbound: Some(Inbound::Fails), ..others_fine() };
    let open = Dossier { until: None, progress: Progress::Dark, ..empty() };
    hold(vec![
        ("the address moved", moved, others_fine(), Code::AddressChange, 65..=90),
        ("it reports, and does not answer", open, filtered.clone(), Code::InboundFilter, 65..=90),
        (
            "it is back, and told nothing",
            empty(),
            Cohort { reported: true, ..filtered },
            Code::InboundFilter,
            65..=90,
        ),
    ]);
}

#[test]
fn while_nothing_is_told_the_cohort_says_what_is_the_likeliest() {
    let dark = Dossier { until: None, progress: Progress::Dark, now: FROM + minutes(3), ..empty() };
    let gone = |name: &str| Sibling { dark: vec![(FROM, FROM + minutes(3))], ..sibling(name) };
    let with = |siblings: Vec<Sibling>| Cohort { siblings, ..others_fine() };
    let of_provider = Others { dropped: 4, fine: 9, provider: Some("ACME".into()), of_provider: (3, 0) };
    let provider = Cohort { others: of_provider, ..others_fine() };
    let most = Cohort { others: Others { dropped: 9, fine: 1, ..Others::default() }, ..others_fine() };
    let away = Cohort { absences: vec![((FROM - minutes(1), UNTIL), Absence::Blind)], ..others_fine() };
    for (name, cohort, likeliest) in [
        ("the whole site", with(vec![gone("ap"), gone("switch")]), Some(Code::LastMile)),
        ("one alone", with(vec![sibling("ap"), gone("switch")]), Some(Code::DevicePower)),
        ("the provider's sites", provider, Some(Code::ProviderCore)),
        ("most sites", most, Some(Code::Server)),
        ("the server cannot see", away, Some(Code::Server)),
        ("nobody", others_fine(), None),
    ] {
        let verdict = judge(&dark, &cohort);
        assert_eq!((verdict.code, verdict.likeliest), (Code::Provisional, likeliest), "{name}: {verdict:#?}");
        assert_eq!(verdict.who, Who::Wait);
        assert!(verdict.confidence <= 70, "{name}: a guess is never sure");
    }
    let last = Moment { gateway_loss_permille: Some(200), ..Moment::default() };
    let noisy = judge(&Dossier { last: Some(last), ..dark }, &others_fine());
    assert_eq!(noisy.likeliest, Some(Code::LineNoise));
    // What hangs on the same line has the same fault; one of a device alone has not.
    let tells = |code| Cohort {
        siblings: vec![Sibling { verdict: Some((code, 90)), ..gone("ap") }],
        has_agent: false,
        ..others_fine()
    };
    assert_eq!(judge(&empty(), &tells(Code::LastMile)).code, Code::LastMile);
    assert_eq!(judge(&empty(), &tells(Code::DevicePower)).code, Code::Unknown);
}

#[test]
fn every_code_comes_from_some_evidence() {
    // Read off the tables of this file: a code that no case leads to is a code without a test.
    let source = [include_str!("table.rs"), include_str!("two.rs"), include_str!("way.rs")].concat();
    for code in Code::ALL {
        let name = format!("Code::{code:?}");
        assert!(source.matches(&name).count() > 0, "{name} has no case");
    }
}
