//! Whoever is not to blame: what looks like a fault of somebody's and is another's, or was over before.

use super::table::hold;
use super::*;

fn cut() -> Ladder {
    good().cut_beyond_gateway(&["192.0.2.1"])
}

fn dropped(dropped: u32, fine: u32) -> Cohort {
    Cohort { has_agent: true, others: Others { dropped, fine, ..Others::default() }, ..Cohort::default() }
}

/// The same, with all configured resolvers at `address`, and answering.
fn answered_by(ladder: Ladder, address: &str) -> Ladder {
    let address = ip(address);
    ladder.each(move |rung| {
        if let Step::Resolver { resolver, configured: true, .. } = &mut rung.step {
            (*resolver, rung.outcome) = (address, Held::Ok);
        }
    })
}

/// The same without anchors: nobody has named any, and no hop beyond the gateway is known.
fn without_anchors(mut ladder: Ladder) -> Ladder {
    ladder.0.retain(|rung| !matches!(rung.step, Step::Anchor { .. }));
    ladder.skip(&["page"])
}

#[test]
fn a_fault_that_was_over_before_is_not_the_cause() {
    let resolver = good().fail(&["server-name", "page"]).skip(&["server-connect"]).each(|rung| {
        if let Step::Resolver { configured: true, .. } = rung.step {
            rung.outcome = Held::Fail;
        }
    });
    let at = |at: Time, outage: Time| {
        let mut climb = kept(resolver.clone(), Why::Failure, at);
        climb.it.outage = Some(outage);
        vec![climb]
    };
    let (before, after) = (FROM - minutes(6), UNTIL + minutes(2));
    let power = |climbs| Dossier { climbs, ..gapped(power_gap()) };
    let alone = |climbs| Dossier { climbs, ..told(empty()) };
    hold(vec![
        ("six good minutes between", power(at(before, before)), others_fine(), Code::DevicePower, 40..=65),
        ("alone, and long before", alone(at(before, before)), others_fine(), Code::Unknown, 0..=30),
        ("alone, and after it", alone(at(after, after)), others_fine(), Code::Unknown, 0..=30),
        ("noticed with it, climbed later", alone(at(after, FROM)), others_fine(), Code::Resolver, 60..=90),
        (
            "its first sign, which the server saw later",
            alone(at(FROM - minutes(1), FROM - minutes(1))),
            others_fine(),
            Code::Resolver,
            60..=90,
        ),
    ]);
}

#[test]
fn a_resolver_at_the_site_is_none_of_the_providers() {
    let second_gateway = || {
        let mut ladder = answered_by(cut(), "198.51.100.254");
        ladder.0.insert(4, rung(Step::Gateway { gateway: ip("198.51.100.254") }, Held::Ok));
        ladder
    };
    let dead_gateway = good()
        .fail(&["neighbour", "gateway", "anchor", "resolver", "page", "server-name"])
        .no_server()
        .route(&[]);
    let mut cases = vec![(
        "a gateway that is dead",
        climbed(answered_by(dead_gateway, "127.0.0.53")),
        others_fine(),
        Code::Gateway,
        80..=99,
    )];
    for (name, ladder) in [
        ("on the device", answered_by(cut(), "127.0.0.1")),
        ("link-local", answered_by(cut(), "fe80::1")),
        ("in another network of the site", answered_by(cut(), "10.1.1.1")),
        ("a second gateway", second_gateway()),
    ] {
        cases.push((name, climbed(ladder), others_fine(), Code::LastMile, 80..=95));
    }
    hold(cases);
    let core = judge(&climbed(answered_by(cut(), "100.64.0.53")), &others_fine());
    assert_eq!(core.code, Code::ProviderCore);
    assert!(!core.sentence.contains("hop"), "no route showed a hop there: {core:#?}");
}

#[test]
fn where_only_our_server_failed_it_is_not_the_provider() {
    let near = || {
        let ladder = without_anchors(good().no_server()).skip(&["route"]);
        ladder.each(|rung| {
            if let Step::ServerConnect { address, .. } = &mut rung.step {
                *address = "192.0.2.10:443".parse().unwrap();
            }
        })
    };
    let far = || without_anchors(good().no_server()).skip(&["resolver"]).route(&["192.0.2.1"]);
    let next_hop = || Dossier {
        good_day: Some(kept(good().route(&["192.0.2.1", OURS]), Why::Baseline, FROM - minutes(99))),
        ..climbed(far())
    };
    let provider = Others { dropped: 4, fine: 0, provider: Some("ACME".into()), of_provider: (4, 0) };
    let provider = Cohort { others: provider, ..others_fine() };
    let six_server = good().no_server().each(|rung| match &mut rung.step {
        Step::ServerConnect { address, .. } => *address = "[2001:db8:2::10]:443".parse().unwrap(),
        Step::Address { addresses, .. } => addresses.push("2001:db8::7/64".into()),
        _ => {}
    });
    let six_server = {
        let mut ladder = six_server;
        let addresses = vec!["2001:db8::7/64".to_owned()];
        let six = Step::Address { interface: "eth0".into(), family: Family::Ipv6, addresses };
        ladder.0.insert(2, rung(six, Held::Ok));
        ladder
    };
    let mut seen = 0;
    let half = good().no_server().each(move |rung| {
        if rung.step.word() == "anchor" {
            rung.outcome = if seen == 0 { Held::Ok } else { Held::Fail };
            seen += 1;
        }
    });
    let half = half.route(&["192.0.2.1", "100.64.0.1"]);
    hold(vec![
        ("on the same link", climbed(near()), dropped(0, 0), Code::Server, 50..=75),
        ("on the same link, all dropped", climbed(near()), dropped(4, 0), Code::Server, 80..=95),
        ("the next hop on a good day", next_hop(), dropped(0, 0), Code::Server, 50..=75),
        ("far, all dropped", climbed(far()), dropped(4, 0), Code::Server, 70..=95),
        ("far, all sites of the provider dropped", climbed(far()), provider, Code::LastMile, 60..=90),
        ("far, nobody else dropped", climbed(far()), others_fine(), Code::LastMile, 60..=90),
        (
            "known by IPv6 alone, down for all",
            climbed(six_server.clone()),
            dropped(4, 0),
            Code::Server,
            80..=95,
        ),
        ("known by IPv6 alone", climbed(six_server), others_fine(), Code::Path, 40..=90),
        ("an anchor is dead, all dropped", climbed(half), dropped(9, 0), Code::Server, 70..=95),
    ]);
}

#[test]
fn a_part_of_a_site_that_loses_its_power_is_not_the_site() {
    let twin = |name: &str| Sibling { gaps: vec![power_gap()], ..sibling(name) };
    let heard = |name: &str, at: Time| Sibling { heard: Some(at), ..sibling(name) };
    let ran_on = || (1..=6).map(|n| heard(&format!("switch-{n}"), UNTIL));
    let of = |siblings: Vec<Sibling>| Cohort { siblings, ..others_fine() };
    let strip = of([twin("ap")].into_iter().chain(ran_on()).collect());
    let battery = of(vec![twin("ap"), twin("nas"), heard("switch", UNTIL)]);
    let blip =
        Gap { from: Some(FROM), to: FROM + minutes(1), booted_at: Some(FROM + minutes(1)), ..power_gap() };
    let short = Dossier { until: Some(FROM + minutes(1)), ..gapped(blip.clone()) };
    // Nobody missed the camera, which has no agent: that says little of a minute.
    let camera = of(vec![Sibling { gaps: vec![blip.clone()], ..sibling("ap") }, sibling("camera")]);
    let switch = of(vec![Sibling { gaps: vec![blip], ..sibling("ap") }, heard("switch", FROM + minutes(2))]);
    hold(vec![
        ("two on one power strip", gapped(power_gap()), strip.clone(), Code::DevicePower, 60..=80),
        ("all but one, which has a battery", gapped(power_gap()), battery, Code::SitePower, 30..=45),
        ("a minute, and one that nobody would miss", short.clone(), camera, Code::SitePower, 85..=99),
        ("a minute, and one that was heard since", short, switch, Code::DevicePower, 60..=80),
    ]);
    let verdict = judge(&gapped(power_gap()), &strip);
    for part in ["ap lost its power within a minute", "switch-1 and 5 more at north ran on"] {
        assert!(verdict.evidence.iter().any(|one| one.what.contains(part)), "{part}: {verdict:#?}");
    }
}

#[test]
fn a_gap_begins_where_the_server_last_heard_the_device() {
    // On a good day the lines of the record reach the disk every ten minutes.
    let early = |ago: i64| Gap { from: Some(FROM - minutes(ago)), booted_at: None, ..power_gap() };
    let twin =
        Sibling { gaps: vec![early(3)], dark: vec![(FROM + Millis::from_secs(30), UNTIL)], ..sibling("ap") };
    let other = Sibling { dark: vec![(FROM + minutes(9), UNTIL)], ..twin.clone() };
    let with = |sibling: Sibling| Cohort { siblings: vec![sibling], ..others_fine() };
    hold(vec![
        ("two of one cut", gapped(early(10)), with(twin), Code::SitePower, 85..=99),
        (
            "one that was heard for nine minutes more",
            gapped(early(10)),
            with(other),
            Code::DevicePower,
            40..=90,
        ),
    ]);
    for from in [Some(FROM - minutes(10)), None] {
        let verdict = judge(&gapped(Gap { from, ..power_gap() }), &others_fine());
        assert!(verdict.sentence.contains("lost its power from 02:11 to 02:47"), "{verdict:#?}");
    }
}

#[test]
fn no_sentence_says_the_same_minute_twice() {
    for (lasted, said) in [
        (Millis::from_secs(12), "lost its power from 02:11:00 to 02:11:12:"),
        (Millis(900), "lost its power at 02:11:00:"),
        (minutes(2), "lost its power from 02:11 to 02:13:"),
    ] {
        let until = FROM + lasted;
        let gap = Gap { booted_at: Some(until), to: until, ..power_gap() };
        let verdict = judge(&Dossier { until: Some(until), ..gapped(gap) }, &others_fine());
        assert!(verdict.sentence.contains(said), "{said} {verdict:#?}");
    }
}

#[test]
fn a_clock_is_to_blame_only_where_a_right_one_would_have_done() {
    let tls = |wrong: TlsError, off: i64, skew: i64| {
        let ladder = good().fail(&["server-tls"]).skip(&["server-answer"]).each(move |rung| {
            if let Step::ServerTls { error, clock_off } = &mut rung.step {
                (*error, *clock_off) = (Some(wrong), Some(Millis::from_secs(off)));
            }
        });
        let dossier = climbed(ladder);
        let climbs =
            dossier.climbs.into_iter().map(|climb| Kept { skew: Some(Millis::from_secs(skew)), ..climb });
        Dossier { climbs: climbs.collect(), ..dossier }
    };
    let (expired, early) = (TlsError::Expired, TlsError::NotYetValid);
    hold(vec![
        ("two days, 90 s", tls(expired, 172_800, 90), others_fine(), Code::Certificate, 75..=95),
        ("the wrong way", tls(expired, 60, -86_400), others_fine(), Code::Certificate, 75..=95),
        (
            "the wrong way, before its time",
            tls(early, -60, 86_400),
            others_fine(),
            Code::Certificate,
            75..=95,
        ),
        ("half a minute", tls(expired, 28, 30), others_fine(), Code::DeviceClock, 85..=99),
        ("before its time", tls(early, -28, -30), others_fine(), Code::DeviceClock, 85..=99),
    ]);
}

#[test]
fn an_agent_that_was_cut_off_itself_has_no_filter_before_it() {
    let open = |dossier: Dossier| Dossier { until: None, progress: Progress::Dark, ..dossier };
    let filtered = Cohort { reported: true, inbound: Some(Inbound::Fails), ..others_fine() };
    let not_all_the_time = Cohort { reported: false, ..filtered.clone() };
    hold(vec![
        ("all the time", open(empty()), filtered.clone(), Code::InboundFilter, 65..=90),
        ("its own record says so", open(told(empty())), filtered, Code::Provisional, 0..=50),
        ("once", open(empty()), not_all_the_time, Code::Provisional, 0..=50),
    ]);
}

#[test]
fn a_sentence_claims_nothing_that_was_not_measured() {
    let no_ping = cut().skip(&["gateway"]);
    let second_hop = good().cut_beyond_gateway(&["192.0.2.1", "100.64.0.1"]);
    let only_server = without_anchors(good().no_server()).skip(&["resolver"]).with(&["page"], Held::Ok);
    let dead_anchor = Dossier {
        good_day: None,
        ..climbed(good().no_server().skip(&["anchor", "resolver"]).with(&["page"], Held::Ok))
    };
    let only_ours = {
        let lost = without_anchors(good().fail(&["server-name"]).skip(&["server-connect", "server-tls"]));
        lost.skip(&["server-answer", "route"]).each(|rung| {
            if let Step::Resolver { ours, rcode, .. } = &mut rung.step {
                (rung.outcome, *rcode) = (Held::NotMeasured, None);
                if *ours {
                    (rung.outcome, *rcode) = (Held::Fail, Some("NXDOMAIN".into()));
                }
            }
        })
    };
    let broken = good().fail(&["server-answer"]).each(|rung| {
        if let Step::ServerAnswer { status } = &mut rung.step {
            *status = Some(502);
        }
    });
    for (name, dossier, cohort, said, never) in [
        (
            "no ping",
            climbed(no_ping),
            others_fine(),
            ": nothing beyond the gateway answered.",
            ": the gateway answered",
        ),
        ("a hop", climbed(second_hop), others_fine(), "and nothing behind hop 2 did.", "nothing beyond it"),
        ("a page alone", climbed(only_server), others_fine(), ": other sites reached us.", "all else"),
        (
            "no anchor",
            dead_anchor,
            dropped(4, 0),
            "Our server did not answer from 02:11 to 02:48.",
            "all else",
        ),
        (
            "ours alone",
            climbed(only_ours),
            others_fine(),
            "Our own name lineman.example did not",
            "other names",
        ),
        ("a status", climbed(broken), others_fine(), ": the server answered with 502.", "did not answer"),
    ] {
        let verdict = judge(&dossier, &cohort);
        assert!(verdict.sentence.contains(said), "{name}: {verdict:#?}");
        assert!(!verdict.sentence.contains(never), "{name}: {verdict:#?}");
    }
    let dark = |name: &str| Sibling { dark: vec![(FROM, UNTIL)], ..sibling(name) };
    let teller = Sibling { verdict: Some((Code::LastMile, 88)), ..dark("router") };
    let mute = Cohort { has_agent: false, siblings: vec![teller], ..others_fine() };
    assert_eq!(
        judge(&empty(), &mute).sentence,
        "The provider's line to north was cut from 02:11 to 02:48: 2 devices went dark together."
    );
}
