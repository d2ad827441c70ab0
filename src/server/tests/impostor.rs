//! An address that answers is not the device that had it, once another one has it.

use agent::report::Outcome;

use super::House;
use crate::domain::check::Kind;
use crate::domain::device::State;
use crate::domain::ids::CheckId;
use crate::store::{checks, devices};

/// The server's own attempts to contact a device, where there are any.
fn contact_of(house: &House, name: &str) -> Option<CheckId> {
    let device = house.find(name).id;
    let all = house.app.store.read(|tx| checks::of_device(tx, device)).unwrap();
    all.into_iter().find(|check| check.kind == Kind::Contact).map(|check| check.id)
}

#[tokio::test]
async fn an_address_that_another_device_was_given_says_nothing_about_the_one_that_is_dark() {
    let mut house = House::new().await;
    let (address, elsewhere) = ("192.0.2.50".parse().unwrap(), "192.0.2.51".parse().unwrap());
    let mut dark = house.joined("dark").await;
    let mut other = house.joined("other").await;
    house.check_in_from(&mut dark, Some(address), address).await;
    house.check_in_from(&mut other, Some(elsewhere), elsewhere).await;
    assert_eq!(house.state("dark"), State::Up);

    house.turn(20).await;
    house.check_in_from(&mut other, Some(elsewhere), elsewhere).await;
    house.turn(10).await;
    let contact = contact_of(&house, "dark").expect("it is tried");
    for _ in 0..2 {
        house.probed(&[(contact, Outcome::Ok)]).await;
        house.turn(1).await;
    }
    assert_eq!(house.state("dark"), State::Degraded, "it answers, and nobody else has its address");

    house.check_in_from(&mut other, Some(address), address).await;
    house.turn(1).await;
    assert_eq!(house.state("dark"), State::Down, "who answers is the other one");
    assert_eq!(house.happened("device.impostor"), 1);
    assert!(contact_of(&house, "dark").is_none());
    for _ in 0..5 {
        house.turn(10).await;
        house.check_in_from(&mut other, Some(address), address).await;
    }
    assert_eq!((house.state("dark"), house.happened("device.impostor")), (State::Down, 1));
    assert_eq!(house.find("other").state, State::Up);

    let fresh = "192.0.2.60".parse().unwrap();
    house.check_in_from(&mut dark, Some(fresh), fresh).await;
    house.turn(10).await;
    house.check_in_from(&mut dark, Some(fresh), fresh).await;
    assert_eq!(house.state("dark"), State::Up, "its own check-in is believed");
}

#[tokio::test]
async fn a_ping_of_a_persons_own_is_not_fooled_either_but_a_fixed_address_is_believed() {
    let mut house = House::new().await;
    let address = "192.0.2.50".parse().unwrap();
    for name in ["learnt", "fixed"] {
        let mut caller = house.joined(name).await;
        house.check_in_from(&mut caller, Some(address), address).await;
        house.probe(caller.device).await;
    }
    let (learnt, fixed) = (house.find("learnt").id, house.find("fixed").id);
    let edit = |device: &devices::Device| devices::New {
        address_from: crate::domain::device::AddressFrom::Fixed,
        ..devices::New::like(device)
    };
    let (by, new) = (crate::store::events::Actor::System, edit(&house.find("fixed")));
    house.app.store.submit(move |tx| devices::edit(tx, fixed, &new, &by)).await.unwrap();
    let pings: Vec<_> = [learnt, fixed]
        .map(|device| house.app.store.read(|tx| checks::of_device(tx, device)).unwrap())
        .into_iter()
        .flatten()
        .filter(|check| check.kind == Kind::Icmp)
        .map(|check| (check.id, Outcome::Ok))
        .collect();
    let mut other = house.joined("other").await;
    for _ in 0..8 {
        house.turn(5).await;
        house.probed(&pings).await;
        house.check_in_from(&mut other, Some(address), address).await;
    }
    assert_eq!(house.state("learnt"), State::Down);
    assert_eq!(house.state("fixed"), State::Degraded, "a person said that this is its address");
    assert_eq!(house.happened("device.impostor"), 1);
}
