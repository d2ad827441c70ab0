//! How what is written into the outbox is delivered: again, in order, and never without an end.

use super::*;

#[tokio::test]
async fn a_refused_message_is_tried_again_with_the_same_key_and_before_later_ones() {
    let mut office = Office::new().await;
    office.entry("ana", Rule::everything()).await;
    office.set("notify.group_wait", "0s").await;
    office.phone.refusals.lock().unwrap().extend([
        Again::Later,
        Again::After(Millis::from_secs(60)),
        Again::Later,
    ]);
    office.open("one is down", 50).await;
    office.turn(5).await;
    office.open("two is down", 50).await;
    office.turn(300).await;
    let said: Vec<_> = office.phone.said.lock().unwrap().drain(..).map(|(_, message)| message).collect();
    let titles: Vec<&str> = said.iter().map(|message| message.title.as_str()).collect();
    let one = "P3 one is down";
    assert_eq!(titles, [one, one, one, one, "P3 two is down"]);
    assert!(said[..4].iter().all(|message| *message == said[0]), "each try is the same, byte for byte");
    assert_ne!(said[4].key, said[0].key);
    assert!(office.deliveries().iter().all(|delivery| delivery.state == Became::Sent));
    assert_eq!(office.house.happened("notify.sent"), 2);
}

#[tokio::test]
async fn a_message_that_the_other_end_cannot_bear_holds_up_only_what_is_about_the_same() {
    let mut office = Office::new().await;
    office.entry("ana", Rule::everything()).await;
    *office.phone.poison.lock().unwrap() = Some("P3 one is down".to_owned());
    let one = office.open("one is down", 50).await;
    office.turn(31).await;
    for _ in 0..30 {
        office.jump(60).await;
    }
    office.said();
    office.open("two is down", 80).await;
    office.change(move |tx| staged::recover(tx, one)).await;
    office.jump(31).await;
    let waiting = |office: &Office| -> Vec<String> {
        let all = office.deliveries().into_iter().filter(|delivery| delivery.state == Became::Waiting);
        all.map(|delivery| delivery.message.title).collect()
    };
    let three = office.open("three is down", 80).await;
    office.jump(600).await;
    office.jump(600).await;
    assert!(waiting(&office).contains(&"P3 one is down".to_owned()), "{:?}", waiting(&office));
    let said = office.said();
    assert!(said.iter().any(|text| text.contains("three is down")), "{three}: {said:?}");
    assert!(!said.iter().any(|text| text.contains("mended")), "it is not mended before it broke: {said:?}");
    *office.phone.poison.lock().unwrap() = None;
    for _ in 0..20 {
        office.jump(60).await;
    }
    let said = office.said();
    let at = |what: &str| said.iter().position(|text| text.contains(what));
    assert!(at("P3 one is down") < at("mended") && at("mended").is_some(), "{said:?}");
    assert_eq!(waiting(&office), Vec::<String>::new());
}

#[tokio::test]
async fn what_is_given_up_is_told_through_another_and_comes_to_an_end() {
    let mut office = Office::new().await;
    office.set("notify.give_up", "1h").await;
    office.set("notify.repeat", "30d").await;
    office.entry("ana", Rule::everything()).await;
    office.entry("ben", rule("priority:P1")).await;
    *office.phone.dead.lock().unwrap() = Some("ana".to_owned());
    office.open("tower is down", 50).await;
    office.turn(31).await;
    for _ in 0..8 {
        office.jump(900).await;
    }
    let said = office.said();
    let (ana, ben): (Vec<_>, Vec<_>) = said.iter().partition(|text| text.starts_with("ana"));
    assert!(ana.len() > 3 && ana.iter().all(|text| *text == "ana broke P3 tower is down"), "{ana:?}");
    assert_eq!(ben, ["ben note 'ana' could not be told: P3 tower is down"]);
    // Both are dead: what cannot be told of what could not be told is not told.
    office.phone.refusals.lock().unwrap().extend([Again::Never; 20]);
    office.open("mast is down", 50).await;
    office.turn(31).await;
    for _ in 0..20 {
        office.jump(900).await;
    }
    assert_eq!(
        office.house.happened("notify.gave-up"),
        3,
        "two to ana, and one to ben of the second of them"
    );
    assert_eq!(office.deliveries().iter().filter(|delivery| delivery.state == Became::Waiting).count(), 0);
}

#[tokio::test]
async fn a_try_that_nobody_came_back_from_is_made_again_with_the_same_key() {
    let mut office = Office::new().await;
    office.entry("ana", Rule::everything()).await;
    office.open("tower is down", 50).await;
    office.house.turn(31).await;
    let claimed = office.change(|tx| outbox::claim(tx, 8, tx.now + Millis::from_secs(300), &[])).await;
    assert_eq!(claimed.len(), 1);
    office.send().await;
    assert_eq!(office.said(), Vec::<String>::new(), "somebody has it");
    office.outbox = Outbox::new(office.house.app.clone(), office.phone.clone()).await.unwrap();
    office.send().await;
    let said = office.phone.said.lock().unwrap().clone();
    assert_eq!(said.len(), 1);
    assert_eq!(said[0].1, claimed[0].0.message);
}

#[tokio::test]
async fn an_outbox_that_is_full_drops_first_what_nobody_needs_to_know() {
    let office = Office::new().await;
    let ana = office.entry("ana", Rule::everything()).await.id;
    let message = |n: i64, news| Message {
        key: format!("key-{n}"),
        incident: "lineman-ticket-1".to_owned(),
        news,
        title: format!("number {n}"),
        text: String::new(),
        priority: None,
        at: START,
        body: serde_json::json!({}),
    };
    office
        .change(move |tx| {
            let news = |n: i64| if n % 2 == 0 { News::Broke } else { News::Changed };
            let new = |n, news| outbox::New { message: message(n, news), about: Vec::new() };
            let full: Vec<outbox::New> = (0..outbox::MAX_WAITING).map(|n| new(n, news(n))).collect();
            outbox::add(tx, ana, &full)?;
            outbox::add(tx, ana, &[new(-1, News::Broke)])
        })
        .await;
    let (dropped, waiting): (Vec<_>, Vec<_>) =
        office.deliveries().into_iter().partition(|delivery| delivery.state == Became::Failed);
    assert_eq!((dropped.len(), waiting.len()), (100, 9_901));
    assert!(dropped.iter().all(|delivery| delivery.message.news == News::Changed));
    assert_eq!(office.house.happened("notify.gave-up"), 1);
}
