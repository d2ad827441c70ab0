//! When an outage is judged again, what of others is asked for it, and what the server knows better than the device.

use agent::report::Moment;

use super::*;
use crate::domain::event::{About, Kind as Happened};
use crate::domain::verdict::Others;
use crate::store::WriteTx;
use crate::store::verdicts::Elsewhere;

impl House {
    async fn checks_in_for(&self, secs: i64, callers: &mut [&mut Caller]) {
        for _ in 0..secs / 10 {
            for caller in &mut *callers {
                self.check_in(caller).await;
            }
            self.turn(10).await;
        }
    }

    fn outage_of(&self, name: &str) -> Outage {
        let all = self.outages();
        let of_it = |outage: &&Outage| outage.device.1 == name;
        all.iter().filter(of_it).max_by_key(|outage| outage.started_at).expect("it was out").clone()
    }

    async fn write<T: Send + 'static>(
        &self,
        f: impl FnOnce(&WriteTx) -> crate::store::Result<T> + Send + 'static,
    ) -> T {
        self.app.store.submit(f).await.unwrap()
    }
}

#[tokio::test]
async fn what_one_device_tells_of_the_whole_site_is_not_lost_on_one_that_was_back_first() {
    let house = House::new().await;
    let (mut router, mut camera) = (house.joined("router").await, house.joined("camera").await);
    house.site_of("north", &[router.device, camera.device]).await;
    house.checks_in_for(20, &mut [&mut router, &mut camera]).await;
    house.turn(60).await;
    house.checks_in_for(60, &mut [&mut camera]).await;
    let (seen, told) = (house.outage_of("camera"), house.outage_of("router"));
    assert_eq!(house.verdict(&seen).verdict.code, Code::Unknown, "it is back, and told nothing");
    assert!(house.verdict(&seen).is_final);
    house.checks_in_for(300, &mut [&mut camera]).await;
    let climb =
        |secs| (told.started_at + Millis::from_secs(secs), What::Ladder(cut_behind_gateway(Why::Again)));
    house.tells(&mut router, 0, vec![climb(1), climb(20), climb(40)]).await.unwrap();
    house.checks_in_for(30, &mut [&mut camera, &mut router]).await;
    assert_eq!(house.verdict(&told).verdict.code, Code::LastMile);
    let given = house.verdict(&seen);
    assert_eq!((given.verdict.code, given.is_final), (Code::LastMile, true), "{given:#?}");
}

#[tokio::test]
async fn an_agent_that_has_just_come_back_did_not_report_without_a_break() {
    let mut house = House::new().await;
    let mut agent = house.joined("router").await;
    house.check_in(&mut agent).await;
    let ping = house.probe(agent.device).await;
    for _ in 0..60 {
        house.turn(1).await;
        house.probed(&[(ping, Outcome::Fail)]).await;
    }
    assert_eq!(house.state("router"), State::Down);
    let outage = house.outage_of("router");
    // Its first check-in tells that it was cut off; a second one is needed for it to be well again.
    let told = AgentOutage {
        began_at: outage.started_at,
        ended_at: Some(house.now()),
        tries: 5,
        ..AgentOutage::default()
    };
    house.tells(&mut agent, 0, vec![(house.now(), What::Outage(told))]).await.unwrap();
    house.turn(5).await;
    assert_eq!(house.state("router"), State::Down, "it is not well yet");
    assert!(!house.codes(&outage).contains(&Code::InboundFilter), "{:#?}", house.verdicts(&outage));
    let reported = |started_at: Time| {
        let outage = Outage { started_at, ended_at: None, ..outage.clone() };
        let around = house.app.store.read(move |tx| verdicts::around(tx, &outage, &mut Elsewhere::default()));
        around.unwrap().reported
    };
    assert!(!reported(outage.started_at), "one check-in since is no proof");
    house.checks_in_for(60, &mut [&mut agent]).await;
    assert!(!reported(outage.started_at), "it was not well all the time");
    assert!(reported(house.now() - secs(20)), "its check-ins were good since before that");
}

#[tokio::test]
async fn a_clock_that_stood_still_does_not_date_the_loss_of_power() {
    let house = House::new().await;
    let (mut agent, outage) = house.dark("router").await;
    house.turn(240).await;
    // By the device's clock it checked in and wrote its last line just now.
    let last = Moment {
        at: house.now() - secs(30),
        checked_in_at: Some(house.now() - secs(34)),
        ..Moment::default()
    };
    let gap = Gap { last: Some(last), ..lost_power(house.now() - secs(30), house.now() - secs(2)) };
    house.tells(&mut agent, 0, vec![(house.now(), What::Gap(gap))]).await.unwrap();
    let given = house.verdict(&outage);
    assert!(given.verdict.sentence.contains("lost its power from 14:00 to 14:04"), "{given:#?}");
}

#[tokio::test]
async fn other_sites_are_asked_about_once_for_all_that_are_judged_together() {
    let house = House::new().await;
    let mut all = Vec::new();
    for name in ["a", "b", "c", "d", "e", "f"] {
        let mut caller = house.joined(name).await;
        house.site_of(&format!("site-{name}"), &[caller.device]).await;
        house.check_in(&mut caller).await;
        all.push(caller);
    }
    let [a, b, rest @ ..] = &mut all[..] else { panic!("six of them") };
    let (a, b, fine) = (a.device, b.device, rest[0].device);
    house.checks_in_for(60, &mut rest.iter_mut().collect::<Vec<_>>()).await;
    let [from_a, from_b] = ["a", "b"].map(|name| house.outage_of(name).started_at);
    let now = house.now();
    let told = house
        .write(move |tx| {
            let mut elsewhere = Elsewhere::default();
            let of_a = elsewhere.others(tx, a, (from_a, now))?;
            outages::begin(tx, fine, now - secs(10), "no answer", None, &Actor::System)?;
            let of_b = elsewhere.others(tx, b, (from_b, now))?;
            let anew = Elsewhere::default().others(tx, b, (from_b, now))?;
            Ok([of_a, of_b, anew])
        })
        .await;
    let others = |dropped, fine| Others { dropped, fine, provider: None, of_provider: (0, 0) };
    assert_eq!(told, [others(1, 4), others(1, 4), others(2, 3)]);
}

#[tokio::test]
async fn an_address_that_changed_while_it_was_out_is_found_among_all_that_happened() {
    let house = House::new().await;
    let mut agent = house.joined("router").await;
    house.check_in(&mut agent).await;
    let device = agent.device;
    let moves = async |from: &'static str, to: &'static str| {
        house
            .write(move |tx| {
                let body = serde_json::json!({"from": from, "to": to});
                for kind in [Happened::AgentStarted, Happened::DeviceAddress, Happened::AgentStarted] {
                    events::record(tx, &Actor::System, kind, About::from(device), &body)?;
                }
                Ok(())
            })
            .await;
    };
    moves("192.0.2.1", "192.0.2.2").await;
    house.turn(60).await;
    let outage = house.outage_of("router");
    let moved = || {
        let outage = outage.clone();
        let around = house.app.store.read(move |tx| verdicts::around(tx, &outage, &mut Elsewhere::default()));
        around.unwrap().moved
    };
    assert_eq!(moved(), None, "that was before");
    moves("192.0.2.2", "192.0.2.3").await;
    house.clock.advance(secs(3_600));
    let ended = Outage { ended_at: Some(outage.started_at + secs(120)), ..outage.clone() };
    moves("192.0.2.3", "192.0.2.4").await;
    let found = house.app.store.read(move |tx| verdicts::around(tx, &ended, &mut Elsewhere::default()));
    assert_eq!(found.unwrap().moved, Some(("192.0.2.2".into(), "192.0.2.3".into())));
}
