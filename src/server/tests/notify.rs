//! Who is told what, and when: stories with a sender that writes down what it is given.

mod delivery;

use std::collections::VecDeque;
use std::sync::Mutex;

use super::*;
use crate::domain::event::{About, Kind as Happened};
use crate::domain::ids::TicketId;
use crate::domain::notify::channel::{Channel, Command};
use crate::domain::notify::rota::Rota;
use crate::domain::notify::rule::{Directly, Rule};
use crate::domain::notify::{Message, News};
use crate::domain::ticket::{Priority, State as TicketState};
use crate::server::notify::outbox::{Outbox, Sender};
use crate::server::notify::{Again, Failed, Sent};
use crate::store::notify::entries::{self, Destination, Entry};
use crate::store::notify::outbox::{self, Delivery, State as Became};
use crate::store::notify::{looks, staged};
use crate::store::{Result as Stored, WriteTx};

/// Writes down who was told what; answers first what it was told to answer.
#[derive(Clone, Default)]
struct Phone {
    said: Arc<Mutex<Vec<(String, Message)>>>,
    refusals: Arc<Mutex<VecDeque<Again>>>,
    dead: Arc<Mutex<Option<String>>>,
    poison: Arc<Mutex<Option<String>>>,
}

impl Sender for Phone {
    async fn send(&self, channel: Channel, message: Message, _: Time) -> Result<Sent, Failed> {
        let who = match channel {
            Channel::Command(Command { program, .. }) => program.trim_start_matches('/').to_owned(),
            other => other.kind().to_string(),
        };
        let unbearable = self.poison.lock().unwrap().as_ref() == Some(&message.title);
        let refused = if unbearable || self.dead.lock().unwrap().as_ref() == Some(&who) {
            Some(Again::Later)
        } else {
            self.refusals.lock().unwrap().pop_front()
        };
        self.said.lock().unwrap().push((who, message));
        match refused {
            Some(again) => Err(Failed { why: "nobody answers".to_owned(), again }),
            None => Ok(Sent { said: "ok".to_owned() }),
        }
    }
}

/// A house with somebody to tell.
struct Office {
    house: House,
    outbox: Outbox<Phone>,
    phone: Phone,
}

impl Office {
    async fn new() -> Office {
        let house = House::new().await;
        let phone = Phone::default();
        let outbox = Outbox::new(house.app.clone(), phone.clone()).await.unwrap();
        tick::settle(&house.app).await.unwrap();
        Office { house, outbox, phone }
    }

    async fn set(&self, key: &'static str, value: &'static str) {
        self.change(move |tx| settings::set(tx, key, value, &Actor::System)).await;
        self.house.app.refresh().unwrap();
    }

    async fn change<T: Send + 'static>(&self, f: impl FnOnce(&WriteTx) -> Stored<T> + Send + 'static) -> T {
        self.house.app.store.submit(f).await.unwrap()
    }

    async fn entry(&self, name: &'static str, rule: Rule) -> Entry {
        let channel = Channel::Command(Command { program: format!("/{name}"), args: Vec::new() });
        self.add(name, Destination::Channel(Box::new(channel)), rule).await
    }

    async fn add(&self, name: &'static str, destination: Destination, rule: Rule) -> Entry {
        let new = entries::New { name: name.to_owned(), destination, rule };
        self.change(move |tx| entries::add(tx, &new, &Actor::System)).await
    }

    async fn open(&self, title: &'static str, points: i32) -> TicketId {
        // One device has one trouble, so each ticket has its own.
        let device = self.house.device(&format!("device of {title}"), &[]).await;
        self.change(move |tx| staged::open(tx, device, title, points)).await
    }

    /// Turns the clock, and sends what is due.
    async fn turn(&mut self, secs: i64) {
        for _ in 0..secs {
            self.house.turn(1).await;
            self.send().await;
        }
    }

    /// Turns the clock far, in one step.
    async fn jump(&mut self, secs: i64) {
        self.house.clock.advance(Millis::from_secs(secs));
        tick::settle(&self.house.app).await.unwrap();
        self.send().await;
    }

    async fn send(&mut self) {
        while self.outbox.start_due().await.unwrap() > 0 {
            while self.outbox.one_ended().await {}
        }
        tick::settle(&self.house.app).await.unwrap();
    }

    /// What was said since this was last asked: `ana broke P3 tower is down`.
    fn said(&self) -> Vec<String> {
        let said: Vec<_> = self.phone.said.lock().unwrap().drain(..).collect();
        said.into_iter().map(|(who, message)| format!("{who} {} {}", message.news, message.title)).collect()
    }

    fn deliveries(&self) -> Vec<Delivery> {
        self.house.app.store.read(|tx| outbox::list(tx, &Selection::all(), &Page::default())).unwrap()
    }

    fn owes_nothing(&self) {
        for entry in
            self.house.app.store.read(|tx| entries::list(tx, &Selection::all(), &Page::default())).unwrap()
        {
            let owed = self.house.app.store.read(|tx| looks::owed(tx, entry.id)).unwrap();
            assert_eq!(owed, [], "{}", entry.name);
        }
    }
}

fn rule(when: &str) -> Rule {
    Rule { when: when.to_owned(), ..Rule::everything() }
}

#[tokio::test]
async fn what_breaks_is_told_once_and_mended_once() {
    let mut office = Office::new().await;
    office.entry("ana", Rule::everything()).await;
    let ticket = office.open("tower is down", 50).await;
    office.turn(29).await;
    assert_eq!(office.said(), Vec::<String>::new(), "the group waits");
    office.turn(1).await;
    assert_eq!(office.said(), ["ana broke P3 tower is down"]);
    office.turn(10).await;
    office.change(move |tx| staged::recover(tx, ticket)).await;
    office.turn(289).await;
    assert_eq!(office.said(), Vec::<String>::new(), "news of what was told wait for the interval");
    office.turn(1).await;
    assert_eq!(office.said(), ["ana mended mended: device of tower is down is back after 40s"]);
    office.jump(100_000).await;
    assert_eq!(office.said(), Vec::<String>::new());
    office.owes_nothing();
    let body = &office.deliveries().pop().unwrap().message.body;
    assert_eq!(
        (&body["ticket"]["id"], &body["events"][0]["kind"]),
        (&ticket.0.into(), &"ticket.opened".into())
    );
}

#[tokio::test]
async fn what_is_over_before_it_was_told_is_never_told() {
    let mut office = Office::new().await;
    office.entry("ana", Rule::everything()).await;
    let ticket = office.open("tower is down", 50).await;
    office.turn(20).await;
    office.change(move |tx| staged::recover(tx, ticket)).await;
    office.jump(100_000).await;
    assert_eq!(office.said(), Vec::<String>::new());
}

#[tokio::test]
async fn many_troubles_are_one_message() {
    let mut office = Office::new().await;
    office.entry("ana", Rule::everything()).await;
    let first = office.open("one is down", 50).await;
    office.turn(10).await;
    office.open("two is down", 80).await;
    office.turn(20).await;
    assert_eq!(office.said(), ["ana broke 2 broke: P1 two is down, and 1 more"]);
    office.turn(300).await;
    office.change(move |tx| staged::recover(tx, first)).await;
    office.open("three is down", 20).await;
    office.turn(30).await;
    assert_eq!(office.said(), ["ana broke 1 broke, 1 mended: P4 three is down, and 1 more"]);
    let newest = office.deliveries().remove(0).message;
    assert_eq!(newest.body["all"][1]["news"], "mended");
    assert!(
        newest.text.contains("\nmended: device of one is down is back after 5m 30s · ticket 1\n"),
        "{}",
        newest.text
    );
}

#[tokio::test]
async fn pagerduty_is_told_of_each_trouble_by_its_own_name() {
    let mut office = Office::new().await;
    let json = serde_json::json!({"kind": "pagerduty", "server": "https://events.pagerduty.com", "key": "0".repeat(32)});
    let channel = serde_json::from_value(json).unwrap();
    office.add("oncall", Destination::Channel(Box::new(channel)), Rule::everything()).await;
    let (one, two) = (office.open("one is down", 50).await, office.open("two is down", 80).await);
    office.turn(31).await;
    for ticket in [one, two] {
        office.change(move |tx| staged::recover(tx, ticket)).await;
    }
    office.jump(301).await;
    let said: Vec<_> = office.phone.said.lock().unwrap().drain(..).map(|(_, message)| message).collect();
    let told: Vec<_> = said.iter().map(|message| (message.incident.as_str(), message.news)).collect();
    let (first, second) = ("lineman-ticket-2", "lineman-ticket-1");
    assert_eq!(told[..2], [(first, News::Broke), (second, News::Broke)]);
    assert_eq!(told.len(), 4);
    assert!(told[2..].contains(&(first, News::Mended)) && told[2..].contains(&(second, News::Mended)));
}

#[tokio::test]
async fn who_is_resumed_is_told_what_broke_meanwhile_and_still_lasts() {
    let mut office = Office::new().await;
    let ana = office.entry("ana", Rule::everything()).await;
    let paused = {
        let (was, paused) = (ana.clone(), Entry { paused_at: Some(START), ..ana.clone() });
        office.change(move |tx| entries::edit(tx, &was, &paused, &Actor::System)).await
    };
    let over = office.open("one is down", 50).await;
    office.open("two is down", 50).await;
    office.turn(31).await;
    office.change(move |tx| staged::recover(tx, over)).await;
    office.jump(400).await;
    assert_eq!(office.said(), Vec::<String>::new());
    office.change(move |tx| entries::edit(tx, &paused, &ana, &Actor::System)).await;
    office.jump(1).await;
    assert_eq!(office.said(), ["ana broke P3 two is down"]);
}

#[tokio::test]
async fn a_priority_that_rises_is_told_where_it_begins_to_match_and_mended_whatever_it_is_then() {
    let mut office = Office::new().await;
    let boss = office.entry("boss", rule("priority:P1,P2")).await;
    office.entry("ana", Rule::everything()).await;
    let ticket = office.open("tower is down", 50).await;
    office.turn(31).await;
    assert_eq!(office.said(), ["ana broke P3 tower is down"]);
    office.change(move |tx| staged::prioritise(tx, ticket, Priority::P1)).await;
    office.turn(300).await;
    let mut said = office.said();
    said.sort();
    assert_eq!(said, ["ana changed P1 tower is down: it was P3", "boss broke P1 tower is down"]);
    office.change(move |tx| staged::prioritise(tx, ticket, Priority::P5)).await;
    office
        .change(move |tx| {
            let paused = Entry { paused_at: Some(tx.now), ..boss.clone() };
            entries::edit(tx, &boss, &paused, &Actor::System)
        })
        .await;
    office.turn(301).await;
    assert_eq!(office.said(), ["ana changed P5 tower is down: it was P1"]);
    office.change(move |tx| staged::recover(tx, ticket)).await;
    office.jump(600).await;
    assert_eq!(office.said().len(), 2, "both hear that it is mended");
    office.owes_nothing();
}

#[tokio::test]
async fn an_escalation_is_told_only_what_nobody_acknowledged() {
    let mut office = Office::new().await;
    let later = Rule { after: Some(Millis::from_secs(900)), ..Rule::everything() };
    office.entry("boss", later).await;
    office.open("one is down", 50).await;
    let known = office.open("two is down", 50).await;
    office.turn(600).await;
    office.change(move |tx| staged::acknowledge(tx, known, "user:ana")).await;
    office.turn(299).await;
    assert_eq!(office.said(), Vec::<String>::new());
    office.turn(1).await;
    assert_eq!(office.said(), ["boss broke P3 one is down"]);
}

#[tokio::test]
async fn quiet_hours_hold_back_what_can_wait_and_nothing_that_is_owed() {
    let mut office = Office::new().await;
    // It is 14:00.
    let quiet = Rule { quiet: "14:30-15:00".parse().ok(), ..Rule::everything() };
    office.entry("ana", quiet).await;
    let told = office.open("zero is down", 50).await;
    office.turn(31).await;
    assert_eq!(office.said(), ["ana broke P3 zero is down"]);
    office.jump(1_800).await;
    let (early, _) = (office.open("one is down", 50).await, office.open("two is down", 50).await);
    office.open("three is down", 90).await;
    office.change(move |tx| staged::recover(tx, told)).await;
    office.jump(300).await;
    assert_eq!(office.said(), ["ana broke 1 broke, 1 mended: P1 three is down, and 1 more"]);
    office.change(move |tx| staged::recover(tx, early)).await;
    office.jump(1_300).await;
    assert_eq!(office.said(), Vec::<String>::new());
    office.jump(300).await;
    assert_eq!(office.said(), ["ana broke P3 two is down"], "what is over by then is not told");
}

#[tokio::test]
async fn duty_is_handed_over_with_what_nobody_acknowledged_and_each_hears_the_end() {
    let mut office = Office::new().await;
    let member = Rule { told: Directly::No, ..Rule::everything() };
    let ana = office.entry("ana", member.clone()).await.id;
    let ben = office.entry("ben", member).await.id;
    let from = START + Millis::from_secs(3_600) - Millis::from_secs(86_400);
    let rota = Rota { from, days: 1, members: vec![ana, ben], swaps: Vec::new() };
    office.add("duty", Destination::Rota(rota), Rule::everything()).await;
    let ticket = office.open("one is down", 50).await;
    let known = office.open("two is down", 50).await;
    office.turn(31).await;
    assert_eq!(office.said(), ["ana broke 2 broke: P3 one is down, and 1 more"]);
    office.change(move |tx| staged::acknowledge(tx, known, "user:ana")).await;
    office.turn(301).await;
    assert_eq!(office.said(), ["ana changed P3 two is down: ana knows of it"]);
    office.jump(3_600).await;
    assert_eq!(office.said(), ["ben broke P3 one is down"]);
    office.change(move |tx| staged::recover(tx, ticket)).await;
    office.change(move |tx| staged::recover(tx, known)).await;
    office.jump(301).await;
    let mut said = office.said();
    said.sort();
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(
        said[0].starts_with("ana mended 2 mended: ") && said[1].starts_with("ben mended mended: "),
        "{said:?}"
    );
    office.owes_nothing();
}

#[tokio::test]
async fn who_was_told_of_a_merged_ticket_is_told_of_its_root() {
    let mut office = Office::new().await;
    office.entry("ana", rule("\"leaf\"")).await;
    let leaf = office.open("leaf is down", 50).await;
    office.turn(31).await;
    assert_eq!(office.said(), ["ana broke P3 leaf is down"]);
    let root = office.open("root is down", 80).await;
    office.change(move |tx| staged::merge(tx, leaf, root)).await;
    office.turn(301).await;
    assert_eq!(office.said(), ["ana broke 1 broke, 1 mended: P1 root is down, and 1 more"]);
    let text = office.deliveries().remove(0).message.text;
    assert!(text.contains("mended: device of leaf is down is part of ticket 2 now"), "{text}");
    office.change(move |tx| staged::recover(tx, root)).await;
    office.jump(301).await;
    assert_eq!(office.said().len(), 1);
    office.owes_nothing();
}

#[tokio::test]
async fn what_lasts_is_told_again_until_somebody_knows_of_it() {
    let mut office = Office::new().await;
    office.entry("ana", Rule { person: Some("ana".to_owned()), ..Rule::everything() }).await;
    let ticket = office.open("tower is down", 50).await;
    office.turn(31).await;
    office.jump(4 * 3_600).await;
    assert_eq!(office.said(), ["ana broke P3 tower is down", "ana changed P3 tower is down: it still lasts"]);
    office.change(move |tx| staged::relapse(tx, ticket)).await;
    office.jump(301).await;
    assert_eq!(office.said(), ["ana changed P3 tower is down: it was back for a moment"]);
    office.change(move |tx| staged::acknowledge(tx, ticket, "user:ana")).await;
    office.jump(301).await;
    office.jump(8 * 3_600).await;
    assert_eq!(office.said(), Vec::<String>::new(), "she knows what she did herself");
    let breached = Happened::TicketRestoreBreached;
    office.change(move |tx| staged::record(tx, ticket, breached, &serde_json::json!({}))).await;
    office.jump(301).await;
    assert_eq!(office.said(), ["ana changed P3 tower is down: it was not restored in time"]);
}

#[tokio::test]
async fn the_servers_own_blindness_is_told_to_who_has_no_rule() {
    let mut office = Office::new().await;
    office.entry("ana", Rule::everything()).await;
    office.entry("ben", rule("priority:P1")).await;
    for kind in [Happened::MonitorBlind, Happened::MonitorSighted] {
        let body = serde_json::json!({"reason": "no anchor answers"});
        office.change(move |tx| events::record(tx, &Actor::System, kind, About::default(), &body)).await;
        office.jump(301).await;
    }
    assert_eq!(
        office.said(),
        [
            "ana broke lineman is blind: it is cut off itself, and nothing is known of the network",
            "ana mended mended: lineman can see again, it lasted 5m 1s"
        ]
    );
    office.owes_nothing();
}

/// What each was told of each trouble, in its order: `broke`, `changed`, `mended`.
fn told(office: &Office) -> std::collections::BTreeMap<(String, String), Vec<String>> {
    let mut told = std::collections::BTreeMap::<_, Vec<String>>::new();
    for (who, message) in office.phone.said.lock().unwrap().iter() {
        let all = message.body["all"].as_array().cloned().unwrap_or_else(|| vec![message.body.clone()]);
        for one in all {
            let text = |key: &str| one[key].as_str().unwrap().to_owned();
            told.entry((who.clone(), text("incident"))).or_default().push(text("news"));
        }
    }
    told
}

/// Something happens to one of the tickets.
async fn something(office: &Office, random: &mut fastrand::Rng, tickets: &[TicketId]) {
    let (one, other) = (tickets[random.usize(..tickets.len())], tickets[random.usize(..tickets.len())]);
    let state = office.house.app.store.read(|tx| tickets::of(tx, one)).unwrap().state;
    let priority = Priority::ALL[random.usize(..Priority::ALL.len())];
    match (random.u8(..6), state) {
        (0 | 1, TicketState::Open) => office.change(move |tx| staged::recover(tx, one)).await,
        (0 | 1, _) => office.change(move |tx| staged::relapse(tx, one)).await,
        (2, TicketState::Open) if one != other => {
            office.change(move |tx| staged::merge(tx, one, other)).await
        }
        (3, _) => office.change(move |tx| staged::acknowledge(tx, one, "user:ana")).await,
        _ => office.change(move |tx| staged::prioritise(tx, one, priority)).await,
    }
}

#[tokio::test]
async fn whatever_happens_each_broke_that_was_told_has_its_mended() {
    for seed in 0..6 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut office = Office::new().await;
        let member = Rule { told: Directly::No, ..Rule::everything() };
        let ana = office.entry("ana", member.clone()).await.id;
        let ben = office.entry("ben", member).await.id;
        let rota = Rota { from: START, days: 1, members: vec![ana, ben], swaps: Vec::new() };
        office.add("duty", Destination::Rota(rota), Rule::everything()).await;
        office.entry("carl", Rule { quiet: "16:00-09:00".parse().ok(), ..rule("priority:P1,P2,P3") }).await;
        office.entry("dora", Rule { after: Some(Millis::from_secs(900)), ..rule("priority:P1") }).await;
        let mut tickets = Vec::new();
        for title in ["one is down", "two is down", "three is down", "four is down"] {
            tickets.push(office.open(title, random.i32(20..100)).await);
        }
        for _ in 0..60 {
            something(&office, &mut random, &tickets).await;
            if random.bool() {
                office.jump(random.i64(1..8_000)).await;
            }
        }
        for id in tickets {
            office
                .change(move |tx| {
                    staged::relapse(tx, id)?;
                    staged::recover(tx, id)
                })
                .await;
        }
        office.jump(1_000).await;
        office.owes_nothing();
        let told = told(&office);
        assert!(told.len() > 4, "seed {seed}: somebody was told something: {told:?}");
        for ((who, incident), news) in told {
            let mut broken = false;
            for one in &news {
                let fits = match one.as_str() {
                    "broke" => !broken,
                    "changed" | "mended" => broken,
                    _ => false,
                };
                assert!(fits, "seed {seed}: {who} of {incident}: {news:?}");
                broken = one != "mended";
            }
            assert!(!broken, "seed {seed}: {who} of {incident}: {news:?}");
        }
    }
}

#[tokio::test]
async fn what_stirs_nothing_is_passed_over_and_much_of_what_does_is_one_message() {
    let mut office = Office::new().await;
    let ana = office.entry("ana", Rule::everything()).await.id;
    office
        .change(|tx| {
            for _ in 0..10_000 {
                events::record(
                    tx,
                    &Actor::System,
                    Happened::DeviceState,
                    About::default(),
                    &serde_json::json!({}),
                )?;
            }
            Ok(())
        })
        .await;
    office.turn(1).await;
    let store = &office.house.app.store;
    let (place, newest) = (store.read(looks::read_up_to).unwrap(), store.read(events::newest).unwrap());
    assert_eq!(place, Some(newest));
    office
        .change(|tx| {
            for n in 0..1_200 {
                let device = devices::add(tx, &New::named(&format!("ap-{n}")), &Actor::System)?.id;
                staged::open(tx, device, &format!("ap-{n} is down"), 50)?;
            }
            Ok(())
        })
        .await;
    office.jump(31).await;
    assert_eq!(office.said(), ["ana broke 1200 broke: P3 ap-0 is down, and 1199 more"]);
    let message = office.deliveries().remove(0).message;
    assert_eq!((message.body["all"].as_array().unwrap().len(), &message.body["count"]), (50, &1_200.into()));
    assert_eq!(office.house.app.store.read(|tx| looks::owed(tx, ana)).unwrap().len(), 1_200);
}
