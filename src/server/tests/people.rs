//! What people did with a ticket, and the network after that.

use agent::report::Outcome::{Fail, Ok as Good};

use super::*;
use crate::domain::ticket::State as Stands;
use crate::store::tickets::End;

/// A house whose one device was told of three times, a second apart.
async fn told(house: &mut House, check: CheckId, outcome: Outcome) {
    for _ in 0..3 {
        house.turn(1).await;
        house.probed(&[(check, outcome)]).await;
    }
}

#[tokio::test]
async fn a_ticket_that_waits_when_its_device_comes_back_holds_nothing_up() {
    let mut house = House::new().await;
    let check = house.pinged("ap", &[]).await;
    told(&mut house, check, Good).await;
    told(&mut house, check, Fail).await;
    house.turn(21).await;
    let (ticket, by) = (house.ticket(), Actor::Person("ana".to_owned()));
    let until = house.now() + Millis::from_secs(120);
    house.app.store.submit(move |tx| tickets::wait(tx, &ticket, None, Some(until), &by)).await.unwrap();
    told(&mut house, check, Good).await;
    assert_eq!(house.ticket().state, Stands::Recovered);
    assert_eq!(house.ticket().waiting_until, None);
    // The moment passes until which it was to wait: all else that is due is done as ever.
    house.turn(150).await;
    let other = house.pinged("switch", &[]).await;
    told(&mut house, other, Good).await;
    told(&mut house, other, Fail).await;
    house.turn(21).await;
    assert_eq!(house.tickets().len(), 2);
}

#[tokio::test]
async fn an_older_ticket_that_was_opened_again_is_the_one_of_the_next_outage() {
    let mut house = House::new().await;
    let check = house.pinged("ap", &[]).await;
    let by = || Actor::Person("ana".to_owned());
    told(&mut house, check, Good).await;
    for nth in 0..2 {
        told(&mut house, check, Fail).await;
        house.turn(21).await;
        assert_eq!(house.tickets().len(), nth + 1);
        let ticket = house.tickets().into_iter().max_by_key(|ticket| ticket.id).unwrap();
        let end = move |tx: &crate::store::WriteTx| {
            tickets::end(tx, &ticket, End::Closed, Some("the mast is gone"), &Actor::System)
        };
        house.app.store.submit(end).await.unwrap();
        told(&mut house, check, Good).await;
    }
    let first = house.tickets().into_iter().min_by_key(|ticket| ticket.id).unwrap();
    let id = first.id;
    house.app.store.submit(move |tx| tickets::reopen(tx, &first, &by())).await.unwrap();
    told(&mut house, check, Fail).await;
    house.turn(21).await;
    assert_eq!(house.tickets().len(), 2, "one trouble has one ticket");
    let unfinished: Vec<_> = house.tickets().into_iter().filter(|ticket| !ticket.state.is_done()).collect();
    assert_eq!(unfinished.iter().map(|ticket| ticket.id).collect::<Vec<_>>(), [id]);
    assert_eq!(house.outages().iter().filter(|outage| outage.ticket == Some(id)).count(), 2);
}

#[tokio::test]
async fn a_device_whose_address_is_no_longer_fixed_has_the_one_that_its_agent_reports() {
    let house = House::new().await;
    let mut agent = house.joined("gw").await;
    let edit = |change: fn(&mut New)| {
        let device = house.find("gw");
        let mut new = New::like(&device);
        change(&mut new);
        house.app.store.submit(move |tx| devices::edit(tx, device.id, &new, &Actor::System))
    };
    house.check_in(&mut agent).await;
    let own = house.find("gw").address;
    assert!(own.is_some());
    edit(|new| {
        new.address = Some("192.0.2.9".to_owned());
        new.address_from = crate::domain::device::AddressFrom::Fixed;
    })
    .await
    .unwrap();
    house.check_in(&mut agent).await;
    assert_eq!(house.find("gw").address.as_deref(), Some("192.0.2.9"));
    edit(|new| new.address_from = crate::domain::device::AddressFrom::Agent).await.unwrap();
    house.check_in(&mut agent).await;
    assert_eq!(house.find("gw").address, own);
    edit(|new| new.address = None).await.unwrap();
    house.check_in(&mut agent).await;
    assert_eq!(house.find("gw").address, own);
}

#[tokio::test]
async fn what_an_agent_says_of_now_has_the_same_bounds_as_what_it_recorded() {
    let house = House::new().await;
    let agent = house.joined("gw").await;
    let status = Status { gateways: vec!["192.0.2.1".parse().unwrap(); 100_000], ..Status::default() };
    let large = house.record(1, What::Status(status));
    let call = CheckIn { current: vec![large], ..house.empty_call("a") };
    let answer = house.call(Credential::Secret(agent.secret), call, None).await;
    assert!(matches!(answer, Err(Refused::Bad(why, Some(1))) if why.contains("bytes")));
}

#[tokio::test]
async fn an_agent_that_makes_a_new_log_with_each_call_fills_no_table() {
    let house = House::new().await;
    let agent = house.joined("gw").await;
    for n in 0..100 {
        let record = house.record(1, What::Status(Status::default()));
        let call = CheckIn { records: vec![record], ..house.empty_call(&format!("log-{n}")) };
        house.call(Credential::Secret(agent.secret), call, None).await.unwrap();
    }
    let kept = house.app.store.read(|tx| agents::logs(tx, agent.device)).unwrap();
    assert!(kept <= 33, "{kept}");
}
