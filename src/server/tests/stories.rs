//! From a report to a ticket, and back.

use agent::report::Interface;
use agent::report::Outcome::{Fail, Ok as Good};

use super::*;
use crate::domain::ticket::{self, Priority};

#[tokio::test]
async fn a_silent_agent_gets_one_ticket_that_stands_down_and_is_reopened_by_a_relapse() {
    let house = House::new().await;
    let mut agent = house.joined("gw").await;
    assert_eq!(house.state("gw"), State::Unknown);
    house.check_in_from(&mut agent, Some("127.0.0.1".parse().unwrap()), "127.0.0.1".parse().unwrap()).await;
    assert_eq!(house.state("gw"), State::Up);
    let last = house.now();

    house.turn(24).await;
    assert_eq!(house.state("gw"), State::Up, "two intervals and the grace are not over");
    house.turn(1).await;
    assert_eq!(house.state("gw"), State::Down);
    assert!(house.tickets().is_empty(), "a ticket waits for the grouping time");
    house.turn(20).await;
    let ticket = house.ticket();
    assert_eq!((ticket.state, ticket.priority, ticket.score), (ticket::State::Open, Priority::P3, 50));
    let outage = house.outages().remove(0);
    assert_eq!(
        outage.started_at,
        last + Millis::from_secs(10),
        "it began when the first check-in did not come"
    );
    assert_eq!(outage.ticket, Some(ticket.id));

    let local = "127.0.0.1".parse().unwrap();
    house.check_in_from(&mut agent, Some(local), local).await;
    assert_eq!(house.state("gw"), State::Down, "one is not enough");
    let back = house.now();
    house.turn(10).await;
    house.check_in_from(&mut agent, Some(local), local).await;
    assert_eq!(house.state("gw"), State::Up);
    assert_eq!(house.outages().remove(0).ended_at, Some(back), "it ended with the first of the stable run");
    let ticket = house.ticket();
    assert_eq!((ticket.state, ticket.priority), (ticket::State::Recovered, Priority::P5));

    house.turn(60).await;
    let ticket = house.ticket();
    assert_eq!((ticket.state, ticket.recurrences, ticket.priority), (ticket::State::Open, 1, Priority::P3));
    house.check_in_from(&mut agent, Some(local), local).await;
    for _ in 0..31 {
        house.turn(10).await;
        house.check_in_from(&mut agent, Some(local), local).await;
    }
    let ticket = house.ticket();
    assert_eq!(ticket.state, ticket::State::Resolved, "it settled untouched");
    house.turn(60).await;
    assert_eq!(house.ticket().recurrences, 2, "within the day the same ticket is reopened");
    assert_eq!(house.happened("ticket.opened"), 1);
}

#[tokio::test]
async fn a_ticket_that_a_person_touched_stays_theirs() {
    let mut house = House::new().await;
    let check = house.pinged("ap", &[]).await;
    house.probed(&[(check, Good)]).await;
    for _ in 0..3 {
        house.turn(1).await;
        house.probed(&[(check, Fail)]).await;
    }
    house.turn(21).await;
    let ticket = house.ticket();
    let by = Actor::Person("ana".to_owned());
    house.app.store.submit(move |tx| tickets::comment(tx, &ticket, "on my way", &by)).await.unwrap();
    for _ in 0..2 {
        house.turn(1).await;
        house.probed(&[(check, Good)]).await;
    }
    house.turn(1000).await;
    let ticket = house.ticket();
    assert_eq!((ticket.state, ticket.priority), (ticket::State::Recovered, Priority::P5));
}

#[tokio::test]
async fn a_blip_shorter_than_the_grouping_time_is_an_outage_without_a_ticket() {
    let mut house = House::new().await;
    let check = house.pinged("ap", &[]).await;
    for outcome in [Good, Fail, Fail, Fail, Good, Good] {
        house.turn(1).await;
        house.probed(&[(check, outcome)]).await;
    }
    house.turn(60).await;
    assert!(house.tickets().is_empty());
    let outage = house.outages().remove(0);
    assert_eq!(outage.ended_at.unwrap().since(outage.started_at), Millis::from_secs(3));
}

#[tokio::test]
async fn children_of_a_dead_parent_are_unreachable_and_on_its_ticket() {
    let mut house = House::new().await;
    let parent = house.pinged("tower", &[]).await;
    let children = [house.pinged("ap-1", &["tower"]).await, house.pinged("ap-2", &["tower"]).await];
    house.probed(&[(parent, Good), (children[0], Good), (children[1], Good)]).await;
    // The children fail first: they are not judged on what was known of the parent before.
    for _ in 0..3 {
        house.turn(1).await;
        house.probed(&[(children[0], Fail), (children[1], Fail)]).await;
    }
    assert_eq!((house.state("ap-1"), house.state("tower")), (State::Up, State::Up));
    for _ in 0..3 {
        house.turn(1).await;
        house.probed(&[(parent, Fail), (children[0], Fail), (children[1], Fail)]).await;
    }
    house.turn(2).await;
    assert_eq!(house.state("tower"), State::Down);
    assert_eq!((house.state("ap-1"), house.state("ap-2")), (State::Unreachable, State::Unreachable));
    house.turn(20).await;
    let ticket = house.ticket();
    assert_eq!(ticket.title, "tower is down");
    assert_eq!(ticket.affected, ["ap-1", "ap-2"]);
    assert_eq!((ticket.score, ticket.priority), (60, Priority::P2), "three out of reach are one doubling");
    // One child stays dead when the rest is back: it gets its own ticket, after it was tried itself.
    for _ in 0..2 {
        house.turn(1).await;
        house.probed(&[(parent, Good), (children[0], Good)]).await;
    }
    assert_eq!(house.state("ap-2"), State::Unreachable, "it was not tried since its parent came back");
    house.turn(1).await;
    house.probed(&[(children[1], Fail)]).await;
    house.turn(22).await;
    assert_eq!((house.state("ap-1"), house.state("ap-2")), (State::Up, State::Down));
    let titles: Vec<String> = house.tickets().into_iter().map(|t| t.title).collect();
    assert_eq!(titles, ["ap-2 is down", "tower is down"]);
}

#[tokio::test]
async fn a_child_of_a_living_parent_is_down() {
    let mut house = House::new().await;
    let parent = house.pinged("tower", &[]).await;
    let child = house.pinged("ap", &["tower"]).await;
    house.probed(&[(parent, Good), (child, Good)]).await;
    for _ in 0..3 {
        house.turn(1).await;
        house.probed(&[(child, Fail)]).await;
    }
    assert_eq!(house.state("ap"), State::Up, "its parent is checked first");
    house.turn(1).await;
    house.probed(&[(parent, Good)]).await;
    house.turn(1).await;
    assert_eq!(house.state("ap"), State::Down);
}

#[tokio::test]
async fn a_device_whose_agent_is_silent_but_that_answers_is_degraded() {
    let mut house = House::new().await;
    let mut agent = house.joined("gw").await;
    house.check_in(&mut agent).await;
    house.turn(25).await;
    let attempts = house.app.store.read(|tx| checks::of_device(tx, agent.device)).unwrap();
    let contact = attempts.iter().find(|check| check.kind == Kind::Contact).expect("it is contacted");
    assert_eq!(house.state("gw"), State::Up, "the answer is awaited");
    house.probed(&[(contact.id, Good)]).await;
    assert_eq!(house.state("gw"), State::Degraded);
    assert_eq!(house.find("gw").reason, "its agent is silent, but it answers");
    house.turn(1).await;
    house.check_in(&mut agent).await;
    house.turn(10).await;
    house.check_in(&mut agent).await;
    assert_eq!(house.state("gw"), State::Up);
    let attempts = house.app.store.read(|tx| checks::of_device(tx, agent.device)).unwrap();
    assert!(attempts.iter().all(|check| check.kind != Kind::Contact), "the attempts ended");
}

#[tokio::test]
async fn an_address_that_is_the_servers_own_is_not_tried() {
    let house = House::new().await;
    let mut agent = house.joined("gw").await;
    let own: IpAddr = "192.0.2.2".parse().unwrap();
    let interface = Interface { addresses: vec!["192.0.2.2/24".to_owned()], ..Default::default() };
    let status = Status { interfaces: vec![interface], ..Status::default() };
    let (this_machine, at) = (house.this_machine, house.now());
    house.app.store.submit(move |tx| agents::set_status(tx, this_machine, at, &status, 0)).await.unwrap();
    house.check_in_from(&mut agent, Some(own), own).await;
    house.turn(25).await;
    assert_eq!(house.state("gw"), State::Down, "an answer would come from the server itself");
}

#[tokio::test]
async fn attempts_that_nobody_can_make_do_not_hold_the_judgement_up() {
    let house = House::new().await;
    let mut agent = house.joined("gw").await;
    house.check_in(&mut agent).await;
    house.turn(25 + 12).await;
    assert_eq!(house.state("gw"), State::Down);
}

#[tokio::test]
async fn what_a_silent_agent_watched_is_unknown_and_not_down() {
    let house = House::new().await;
    let mut probe = house.joined("probe").await;
    let printer = house.device("printer", &[]).await;
    let new = checks::New {
        probe: Some(crate::server::config::contact_probe()),
        from: Some(probe.device),
        ..checks::New::plain(printer, Kind::Icmp)
    };
    let check = house.app.store.submit(move |tx| checks::add(tx, &new, &Actor::System)).await.unwrap().id;
    house.check_in(&mut probe).await;
    probe.seq += 1;
    let record = house.record(probe.seq, What::Result(result(check, Good)));
    let call = CheckIn { records: vec![record], ..house.empty_call("a") };
    house.call(Credential::Secret(probe.secret), call, None).await.unwrap();
    assert_eq!(house.state("printer"), State::Up);
    house.turn(60).await;
    assert_eq!(house.state("printer"), State::Unknown);
    assert!(house.tickets().iter().all(|ticket| ticket.title != "printer is down"));
}

#[tokio::test]
async fn a_server_that_was_away_gives_agents_time_to_come_back() {
    let house = House::new().await;
    let mut agent = house.joined("gw").await;
    house.check_in(&mut agent).await;
    house.clock.advance(Millis::from_secs(3600));
    start::start(&house.app).await.unwrap();
    house.turn(300).await;
    assert_eq!(house.state("gw"), State::Up, "it may have backed off for five minutes");
    house.turn(60).await;
    assert_eq!(house.state("gw"), State::Down);
    assert!(house.outages()[0].started_at >= START + Millis::from_secs(3600), "nobody listened before");
}

#[tokio::test]
async fn an_address_is_followed_unless_it_is_fixed() {
    let house = House::new().await;
    let mut agent = house.joined("van").await;
    house.check_in(&mut agent).await;
    assert_eq!(house.find("van").address.as_deref(), Some("198.18.0.2"));
    let moved: IpAddr = "192.0.2.99".parse().unwrap();
    house.check_in_from(&mut agent, Some(moved), moved).await;
    assert_eq!(house.find("van").address.as_deref(), Some("192.0.2.99"));
    assert_eq!(house.happened("device.address"), 2);

    let van = house.find("van");
    let fixed = New {
        address: Some("192.0.2.1".to_owned()),
        address_from: crate::domain::device::AddressFrom::Fixed,
        ..New::like(&van)
    };
    house.app.store.submit(move |tx| devices::edit(tx, van.id, &fixed, &Actor::System)).await.unwrap();
    let other: IpAddr = "192.0.2.50".parse().unwrap();
    for _ in 0..3 {
        house.turn(10).await;
        house.check_in_from(&mut agent, Some(other), other).await;
    }
    assert_eq!(house.find("van").address.as_deref(), Some("192.0.2.1"));
    assert_eq!(house.happened("device.address-differs"), 1, "told once, not at every check-in");
}

#[tokio::test]
async fn a_paused_device_is_unknown_and_gets_no_ticket() {
    let mut house = House::new().await;
    let check = house.pinged("ap", &[]).await;
    house.probed(&[(check, Good)]).await;
    let id = house.find("ap").id;
    house.app.store.submit(move |tx| devices::pause(tx, id, &Actor::System)).await.unwrap();
    house.turn(1).await;
    assert_eq!(house.state("ap"), State::Unknown);
    for _ in 0..3 {
        house.turn(1).await;
        house.probed(&[(check, Fail)]).await;
    }
    house.turn(60).await;
    assert_eq!((house.state("ap"), house.tickets().len()), (State::Unknown, 0));
}
