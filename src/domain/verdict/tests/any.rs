//! Whatever an agent may send, a verdict comes of it: one sentence, within its bounds.

use proptest::prelude::*;

use super::*;

fn held() -> impl Strategy<Value = Held> {
    prop::sample::select(vec![Held::Ok, Held::Fail, Held::NotMeasured])
}

fn time() -> impl Strategy<Value = Time> {
    prop_oneof![
        4 => (-7_200_000..7_200_000_i64).prop_map(|ms| FROM + Millis(ms)),
        1 => prop::sample::select(vec![Time::MIN, Time::MAX, Time(0)]),
    ]
}

fn span() -> impl Strategy<Value = Millis> {
    prop_oneof![4 => (-10_000..10_000_000_i64).prop_map(Millis), 1 => prop::sample::select(vec![Millis(i64::MIN), Millis(i64::MAX)])]
}

/// A climb in which each rung of a good day ended somehow, some are gone, and the rest is odd.
fn ladder() -> impl Strategy<Value = Ladder> {
    let odd = (any::<bool>(), any::<bool>(), prop::option::of(0..3_000_u32), 0..7_usize, any::<bool>());
    let loss = prop::option::of(0..2_000_u32);
    (prop::collection::vec((held(), any::<bool>()), 24), odd, loss, prop::collection::vec(0..5_usize, 0..9))
        .prop_map(|(outcomes, (refused, changed, largest, wrong, six), loss, hops)| {
            let mut ladder = good();
            for (rung, (outcome, _)) in ladder.0.iter_mut().zip(&outcomes) {
                rung.outcome = *outcome;
                rung.loss_permille = loss;
                match &mut rung.step {
                    Step::ServerConnect { refused: it, address } => {
                        *it = refused;
                        if six {
                            *address = "[2001:db8::1]:443".parse().unwrap();
                        }
                    }
                    Step::Page { changed: it, .. } => *it = changed,
                    Step::PacketSize { largest: it, .. } => *it = largest,
                    Step::ServerTls { error, clock_off } => {
                        let errors = [
                            TlsError::Expired,
                            TlsError::NotYetValid,
                            TlsError::Untrusted,
                            TlsError::OtherName,
                        ];
                        *error = errors.get(wrong).copied();
                        *clock_off = Some(Millis(i64::MIN));
                    }
                    _ => {}
                }
            }
            let hosts = ["*", "192.0.2.1", "100.64.0.1", OURS, "2001:db8::1"];
            let hops: Vec<&str> = hops.iter().map(|at| hosts[*at]).collect();
            let mut at = 0;
            ladder.0.retain(|_| {
                at += 1;
                outcomes.get(at - 1).is_none_or(|(_, stays)| *stays)
            });
            ladder.route(&hops)
        })
}

fn why() -> impl Strategy<Value = Why> {
    prop::sample::select(vec![Why::Failure, Why::Again, Why::Recovery, Why::Asked, Why::Baseline])
}

fn climb() -> impl Strategy<Value = Kept<Climb>> {
    (ladder(), why(), time(), prop::option::of(span()))
        .prop_map(|(ladder, why, at, skew)| Kept { skew, ..kept(ladder, why, at) })
}

fn gap() -> impl Strategy<Value = Gap> {
    let times = (prop::option::of(time()), time(), prop::option::of(time()), span());
    (times, any::<bool>(), any::<bool>(), any::<bool>(), any::<u32>()).prop_map(
        |((from, to, booted_at, suspended), booted, restarted, clean, boots)| Gap {
            from,
            to,
            booted,
            boots,
            booted_at,
            restarted,
            clean,
            suspended,
            last: None,
        },
    )
}

fn moments() -> impl Strategy<Value = Vec<Moment>> {
    let one =
        (time(), prop::option::of(any::<u32>()), any::<u64>(), prop::option::of(any::<u32>()), any::<u32>());
    prop::collection::vec(
        one.prop_map(|(at, loss, errors, used, rtt)| Moment {
            at,
            gateway_loss_permille: loss,
            errors,
            used_permille: used,
            gateway_rtt_us: Some(rtt),
            ..Moment::default()
        }),
        0..6,
    )
}

fn dossier() -> impl Strategy<Value = Dossier> {
    let progress = prop::sample::select(vec![Progress::Dark, Progress::Coming, Progress::Whole]);
    let times = (time(), prop::option::of(time()), time());
    let records =
        (prop::collection::vec(climb(), 0..5), prop::option::of(climb()), prop::collection::vec(gap(), 0..3));
    (times, progress, records, prop::option::of((time(), prop::option::of(time()), moments()))).prop_map(
        |((from, until, now), progress, (climbs, good_day, gaps), told)| Dossier {
            from,
            until,
            now,
            progress,
            climbs,
            good_day,
            gaps: gaps.into_iter().map(|gap| Kept { at: gap.to, skew: None, it: gap }).collect(),
            told: told.map(|(began_at, ended_at, before)| AgentOutage {
                began_at,
                ended_at,
                before,
                ..AgentOutage::default()
            }),
            ..empty()
        },
    )
}

fn cohort() -> impl Strategy<Value = Cohort> {
    let sibling =
        (prop::collection::vec((time(), time()), 0..3), prop::collection::vec(gap(), 0..2), any::<bool>())
            .prop_map(|(dark, gaps, tells)| Sibling {
                dark,
                gaps,
                heard: tells.then_some(FROM),
                verdict: tells.then_some((Code::LastMile, 250)),
                ..sibling("a\nb")
            });
    let absence = prop::collection::vec(((time(), time()), Just(Absence::Away)), 0..2);
    (prop::collection::vec(sibling, 0..3), absence, any::<u32>(), any::<u32>(), any::<bool>()).prop_map(
        |(siblings, absences, dropped, fine, has_agent)| Cohort {
            has_agent,
            reported: has_agent,
            inbound: Some(Inbound::Fails),
            siblings,
            absences,
            others: Others { dropped, fine, provider: Some("ACME".into()), of_provider: (dropped, fine) },
            moved: None,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn whatever_was_recorded_a_verdict_comes_of_it(dossier in dossier(), cohort in cohort()) {
        let verdict = judge(&dossier, &cohort);
        prop_assert!(!verdict.sentence.is_empty());
        prop_assert!(!verdict.sentence.chars().any(char::is_control), "{}", verdict.sentence);
        prop_assert!(verdict.confidence <= 99);
        prop_assert!(verdict.evidence.len() <= MAX_EVIDENCE);
        prop_assert!(verdict.also != Some(verdict.code));
        let open = matches!(verdict.code, Code::Provisional | Code::Unknown);
        prop_assert_eq!(verdict.likeliest.is_some() && !open, false);
        drop(text_to_send(&dossier, &verdict, &Contact::default()));
    }
}
