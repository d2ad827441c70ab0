//! What is said follows from what was told last and how things are now, in whatever order events come.

use proptest::prelude::*;

use super::*;

const NOW: Time = Time(1_000_000);
const HOUR: Millis = Millis::from_secs(3_600);

fn facts(priority: Priority, acknowledged: Acknowledged, recurrences: i64) -> Facts {
    Facts { priority: Some(priority), acknowledged, recurrences }
}

fn seen(standing: Standing) -> Seen {
    Seen { standing, facts: facts(Priority::P2, Acknowledged::No, 0), noted: Noted::Nothing }
}

fn wish() -> Wish {
    Wish {
        fits: Fits::Yes,
        paused: Paused::No,
        after: None,
        duty: OnDuty::No,
        quiet_until: None,
        repeat: HOUR,
    }
}

fn told() -> Told {
    Told { at: NOW, priority: Some(Priority::P2), acknowledged: false, recurrences: 0 }
}

#[test]
fn who_was_told_nothing_hears_what_his_rule_lets_through() {
    let soon = Time(NOW.0 + 5);
    let acknowledged =
        Seen { facts: facts(Priority::P2, Acknowledged::ByAnother, 0), ..seen(Standing::Broken) };
    for (seen, wish, say) in [
        (seen(Standing::Broken), wish(), Say::Tell(News::Broke)),
        (seen(Standing::Over), wish(), Say::Nothing),
        (seen(Standing::Note), wish(), Say::Tell(News::Note)),
        (seen(Standing::Broken), Wish { fits: Fits::No, ..wish() }, Say::Nothing),
        (seen(Standing::Broken), Wish { paused: Paused::Yes, ..wish() }, Say::Wait(None)),
        (seen(Standing::Broken), Wish { quiet_until: Some(soon), ..wish() }, Say::Wait(Some(soon))),
        (seen(Standing::Broken), Wish { after: Some(soon), ..wish() }, Say::Wait(Some(soon))),
        (seen(Standing::Broken), Wish { after: Some(NOW), ..wish() }, Say::Tell(News::Broke)),
        (
            seen(Standing::Broken),
            Wish { after: Some(soon), fits: Fits::Owed, ..wish() },
            Say::Tell(News::Broke),
        ),
        (acknowledged, wish(), Say::Tell(News::Broke)),
        (acknowledged, Wish { after: Some(NOW), ..wish() }, Say::Nothing),
        (acknowledged, Wish { duty: OnDuty::Yes, ..wish() }, Say::Nothing),
    ] {
        assert_eq!(decide(None, &seen, &wish, NOW), say, "{seen:?} {wish:?}");
    }
}

#[test]
fn who_was_told_hears_what_changed_and_always_that_it_is_mended() {
    let again = Time(NOW.0 + HOUR.0);
    let lasts = seen(Standing::Broken);
    let with = |facts| Seen { facts, ..lasts };
    for (seen, wish, now, say) in [
        (lasts, wish(), NOW, Say::Wait(Some(again))),
        (lasts, wish(), again, Say::Tell(News::Changed)),
        (Seen { noted: Noted::Something, ..lasts }, wish(), NOW, Say::Tell(News::Changed)),
        (with(facts(Priority::P1, Acknowledged::No, 0)), wish(), NOW, Say::Tell(News::Changed)),
        (with(facts(Priority::P2, Acknowledged::No, 1)), wish(), NOW, Say::Tell(News::Changed)),
        (with(facts(Priority::P2, Acknowledged::ByAnother, 0)), wish(), NOW, Say::Tell(News::Changed)),
        (with(facts(Priority::P2, Acknowledged::ByHimself, 0)), wish(), again, Say::Wait(None)),
        (
            with(facts(Priority::P1, Acknowledged::No, 0)),
            Wish { fits: Fits::No, ..wish() },
            NOW,
            Say::Wait(None),
        ),
        (seen(Standing::Over), wish(), NOW, Say::Tell(News::Mended)),
        (
            seen(Standing::Over),
            Wish { fits: Fits::No, paused: Paused::Yes, quiet_until: Some(again), ..wish() },
            NOW,
            Say::Tell(News::Mended),
        ),
    ] {
        assert_eq!(decide(Some(&told()), &seen, &wish, now), say, "{seen:?} {wish:?}");
    }
}

/// One look at a trouble: how it stands, and what somebody wants then.
fn looks() -> impl Strategy<Value = Vec<(Seen, Wish, i64)>> {
    let priority = prop_oneof![Just(Priority::P1), Just(Priority::P3), Just(Priority::P5)];
    let acknowledged =
        prop_oneof![Just(Acknowledged::No), Just(Acknowledged::ByHimself), Just(Acknowledged::ByAnother)];
    let fits = prop_oneof![Just(Fits::Yes), Just(Fits::No), Just(Fits::Owed)];
    let look = (
        any::<bool>(),
        priority,
        acknowledged,
        0..3_i64,
        any::<bool>(),
        fits,
        any::<[bool; 4]>(),
        0..9_000_000_i64,
    )
        .prop_map(|(broken, priority, acknowledged, recurrences, noted, fits, flags, passed)| {
            let [paused, after, duty, quiet] = flags;
            let seen = Seen {
                standing: if broken { Standing::Broken } else { Standing::Over },
                facts: facts(priority, acknowledged, recurrences),
                noted: if noted { Noted::Something } else { Noted::Nothing },
            };
            let wish = Wish {
                fits,
                paused: if paused { Paused::Yes } else { Paused::No },
                after: after.then_some(Time(5_000_000)),
                duty: if duty { OnDuty::Yes } else { OnDuty::No },
                quiet_until: quiet.then_some(Time(i64::MAX)),
                repeat: HOUR,
            };
            (seen, wish, passed)
        });
    proptest::collection::vec(look, 1..40)
}

proptest! {
    #[test]
    fn every_told_broke_ends_in_exactly_one_mended(looks in looks()) {
        let (mut last, mut now) = (None, NOW);
        let (mut broke, mut mended) = (0, 0);
        let over = (seen(Standing::Over), Wish { fits: Fits::No, paused: Paused::Yes, ..wish() }, 0);
        for (seen, wish, passed) in looks.into_iter().chain([over, over]) {
            now += Millis(passed);
            if let Say::Tell(news) = decide(last.as_ref(), &seen, &wish, now) {
                match news {
                    News::Broke => {
                        prop_assert!(last.is_none(), "broke is told once");
                        broke += 1;
                    }
                    News::Changed => prop_assert!(last.is_some(), "only what was told changes"),
                    News::Mended => {
                        prop_assert!(last.is_some(), "only what was told is mended");
                        mended += 1;
                    }
                    News::Note => prop_assert!(false, "a trouble is no note"),
                }
                last = (news != News::Mended).then_some(Told {
                    at: now,
                    priority: seen.facts.priority,
                    acknowledged: seen.facts.acknowledged != Acknowledged::No,
                    recurrences: seen.facts.recurrences,
                });
            }
        }
        prop_assert_eq!(broke, mended);
        prop_assert!(last.is_none(), "nothing is owed in the end");
    }

    #[test]
    fn who_is_told_a_change_is_not_told_it_again(looks in looks()) {
        for (seen, wish, _) in looks {
            let told = Told {
                at: NOW,
                priority: seen.facts.priority,
                acknowledged: seen.facts.acknowledged != Acknowledged::No,
                recurrences: seen.facts.recurrences,
            };
            let calm = Seen { noted: Noted::Nothing, standing: Standing::Broken, ..seen };
            prop_assert!(matches!(decide(Some(&told), &calm, &wish, NOW), Say::Wait(_)));
        }
    }
}
