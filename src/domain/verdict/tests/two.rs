//! Two faults at once, contradictions, and the words it is told in.

use super::*;

fn gateway_down() -> Ladder {
    let beyond = ["neighbour", "gateway", "anchor", "resolver", "page", "server-name", "server-connect"];
    good().fail(&beyond).skip(&["server-tls", "server-answer", "packet-size"]).route(&[])
}

fn resolver_down() -> Ladder {
    let lost = good().fail(&["server-name", "page"]).skip(&["server-connect", "server-tls", "server-answer"]);
    lost.each(|rung| {
        if let Step::Resolver { configured: true, .. } = rung.step {
            rung.outcome = Held::Fail;
        }
    })
}

/// Climbs, each so many seconds after the beginning.
fn climbs(all: &[(i64, &Ladder)]) -> Dossier {
    let climb = |(secs, ladder): &(i64, &Ladder)| {
        let why = if *secs == 0 { Why::Failure } else { Why::Again };
        kept((*ladder).clone(), why, FROM + Millis::from_secs(*secs))
    };
    let good_day = Some(kept(good(), Why::Baseline, FROM - minutes(180)));
    Dossier { climbs: all.iter().map(climb).collect(), good_day, ..told(empty()) }
}

#[test]
fn the_first_fault_is_the_cause_and_the_second_is_named() {
    let (gateway, resolver) = (gateway_down(), resolver_down());
    let dossier =
        climbs(&[(0, &gateway), (10, &gateway), (40, &resolver), (160, &resolver), (760, &resolver)]);
    let verdict = judge(&dossier, &others_fine());
    assert_eq!((verdict.code, verdict.also), (Code::Gateway, Some(Code::Resolver)), "{verdict:#?}");
    assert!(verdict.confidence < 75, "most climbs show something else: {verdict:#?}");
    assert!(verdict.evidence.iter().any(|one| one.what.contains("a second fault: resolver")), "{verdict:#?}");
}

#[test]
fn a_site_that_comes_up_again_has_no_second_fault() {
    let gateway = gateway_down();
    let back = UNTIL - minutes(2);
    let gap = Gap { booted_at: Some(back), to: back + Millis::from_secs(20), ..power_gap() };
    let climb = kept(gateway, Why::Failure, back + Millis::from_secs(30));
    let dossier = Dossier { climbs: vec![climb], ..gapped(gap.clone()) };
    let cohort = Cohort { siblings: vec![Sibling { gaps: vec![gap], ..sibling("ap") }], ..others_fine() };
    let verdict = judge(&dossier, &cohort);
    assert_eq!((verdict.code, verdict.also), (Code::SitePower, None), "{verdict:#?}");
}

#[test]
fn power_that_is_lost_while_the_line_is_cut_is_the_second_fault() {
    let cut = good().cut_beyond_gateway(&["192.0.2.1"]);
    let dossier = climbs(&[(0, &cut), (10, &cut), (40, &cut)]);
    let from = FROM + minutes(9);
    let gap =
        Gap { from: Some(from), to: from + minutes(2), booted_at: Some(from + minutes(1)), ..power_gap() };
    let dossier = Dossier { gaps: gapped(gap).gaps, ..dossier };
    let verdict = judge(&dossier, &others_fine());
    assert_eq!((verdict.code, verdict.also), (Code::LastMile, Some(Code::DevicePower)), "{verdict:#?}");
}

#[test]
fn one_climb_and_climbs_that_disagree_are_less_sure() {
    let (cut, fine) = (good().cut_beyond_gateway(&["192.0.2.1"]), good());
    let all = judge(&climbs(&[(0, &cut), (10, &cut), (40, &cut)]), &others_fine());
    let one = judge(&climbs(&[(0, &cut)]), &others_fine());
    let half = judge(&climbs(&[(0, &cut), (10, &fine), (40, &fine), (160, &cut)]), &others_fine());
    assert!(all.confidence > one.confidence && one.confidence > half.confidence, "{all:?} {one:?} {half:?}");
}

#[test]
fn what_no_climb_measured_is_named_and_did_not_fail() {
    let blind =
        good().skip(&["anchor", "page", "packet-size"]).no_server().route(&["192.0.2.1", "100.64.0.1"]);
    let verdict = judge(&climbs(&[(0, &blind), (10, &blind)]), &others_fine());
    let words: Vec<&str> = verdict.not_measured.iter().map(|missing| missing.rung.as_str()).collect();
    assert_eq!(words, ["anchor", "page", "server-tls", "server-answer", "packet-size"]);
    assert!(verdict.confidence <= 65, "without anchors nobody is sure: {verdict:#?}");
}

#[test]
fn the_sentence_is_told_on_the_clocks_of_the_site() {
    let twin =
        Cohort { siblings: vec![Sibling { gaps: vec![power_gap()], ..sibling("ap") }], ..others_fine() };
    let verdict = judge(&gapped(power_gap()), &twin);
    assert_eq!(
        verdict.sentence,
        "Power was lost at north from 02:11 to 02:47: 2 devices rebooted, neither shut down cleanly."
    );
    let dark = |name: &str| Sibling { dark: vec![(FROM, UNTIL)], ..sibling(name) };
    let teller = Sibling { verdict: Some((Code::SitePower, 95)), ..dark("router") };
    let mute = Cohort { has_agent: false, siblings: vec![teller, dark("camera")], ..others_fine() };
    assert_eq!(
        judge(&empty(), &mute).sentence,
        "Power was lost at north from 02:11 to 02:48: 3 devices went dark together.",
        "what a device without an agent did is not known"
    );
    let cut = good().cut_beyond_gateway(&["192.0.2.1"]);
    let verdict = judge(&climbs(&[(0, &cut), (10, &cut)]), &others_fine());
    assert_eq!(
        verdict.sentence,
        "The provider's line to north was cut from 02:11 to 02:48: the gateway answered, and nothing beyond it did."
    );
    assert_eq!(verdict.who, Who::Provider);
    let dark = Dossier { until: None, progress: Progress::Dark, now: FROM + minutes(3), ..empty() };
    let verdict = judge(&dark, &others_fine());
    assert_eq!(
        verdict.sentence,
        "router at north is out since 02:11 and has told nothing yet; nothing around it says why."
    );
}

#[test]
fn the_text_to_send_has_the_circuit_the_times_and_the_route() {
    let cut = good().cut_beyond_gateway(&["192.0.2.1", "*", "100.64.0.2"]);
    let dossier = climbs(&[(0, &cut), (10, &cut)]);
    let verdict = judge(&dossier, &others_fine());
    let contact = Contact { provider: "ACME".into(), circuit: "C-4711".into(), ..Contact::default() };
    let text = text_to_send(&dossier, &verdict, &contact);
    for part in [
        "Subject: fault at north, circuit C-4711, 2026-11-25 02:11:00 +01:00\n",
        "Ended:  2026-11-25 02:48:00 +01:00 (it lasted 37 min)\n",
        "Route to 203.0.113.10 while it was broken",
        "   2  *",
        "on a good day, to compare with",
    ] {
        assert!(text.contains(part), "{part} is missing: {text}");
    }
}

#[test]
fn what_came_back_last_is_told() {
    let (gateway, dossier) = (gateway_down(), empty());
    let dossier = Dossier { climbs: vec![kept(gateway, Why::Failure, FROM)], ..told(dossier) };
    let first = |rung: &str, target: &str, secs: i64| First {
        rung: rung.into(),
        target: target.into(),
        at: UNTIL - Millis::from_secs(secs),
    };
    let firsts = vec![first("link", "", 99), first("gateway", "192.0.2.1", 9), first("server-answer", "", 0)];
    let dossier =
        Dossier { told: dossier.told.clone().map(|told| AgentOutage { firsts, ..told }), ..dossier };
    let verdict = judge(&dossier, &others_fine());
    let last = verdict.evidence.iter().any(|one| one.what.contains("gateway 192.0.2.1 came back last"));
    assert!(last, "{verdict:#?}");
}
