//! Dossiers that come in, and the verdicts that are given on them.

mod judged;

use std::net::IpAddr;

use agent::report::{AgentOutage, Climb, Family, Gap, Held, Hop, Rung, Step, Transport, Why};

use super::*;
use crate::domain::provider;
use crate::domain::verdict::{Code, Who};
use crate::reports;
use crate::store::settings::Scope;
use crate::store::sites::{self, Site};
use crate::store::verdicts::{self, Given};

fn secs(n: i64) -> Millis {
    Millis::from_secs(n)
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn rung(step: Step, outcome: Held) -> Rung {
    Rung { step, outcome, reason: String::new(), after: Millis::ZERO, rtt_us: None, loss_permille: None }
}

/// A climb that ends behind the gateway.
fn cut_behind_gateway(why: Why) -> Climb {
    let gateway = ip("192.0.2.1");
    let hop = Hop {
        ttl: 1,
        address: Some(gateway),
        rtt_us: Some(400),
        sent: 3,
        answered: 3,
        last: false,
        said: String::new(),
    };
    let (target, server, transport) = (ip("203.0.113.10"), true, Transport::Tcp);
    let rungs = vec![
        rung(Step::Link { interface: "eth0".into(), speed_mbit: None }, Held::Ok),
        rung(
            Step::Address {
                interface: "eth0".into(),
                family: Family::Ipv4,
                addresses: vec!["192.0.2.7/24".into()],
            },
            Held::Ok,
        ),
        rung(
            Step::Neighbour { gateway, mac: "aa:bb:cc:00:00:01".into(), state: "reachable".into() },
            Held::Ok,
        ),
        rung(Step::Gateway { gateway }, Held::Ok),
        rung(Step::Anchor { address: ip("198.51.100.1"), given: true }, Held::Fail),
        rung(
            Step::ServerConnect { address: "203.0.113.10:443".parse().unwrap(), refused: false },
            Held::Fail,
        ),
        rung(Step::Route { target, server, transport, hops: vec![hop] }, Held::Fail),
    ];
    Climb { outage: None, why, took: Millis(3_000), rungs }
}

fn lost_power(from: Time, to: Time) -> Gap {
    Gap {
        from: Some(from),
        to,
        booted: true,
        boots: 1,
        booted_at: Some(to - secs(20)),
        restarted: true,
        clean: false,
        suspended: Millis::ZERO,
        last: None,
    }
}

impl House {
    async fn site_of(&self, name: &str, devices: &[DeviceId]) -> Site {
        let (name, devices) = (name.to_owned(), devices.to_vec());
        let by = Actor::Person("ana".to_owned());
        let made = self.app.store.submit(move |tx| -> crate::store::Result<Site> {
            let site = sites::add(tx, &name, "Europe/Berlin", "key at the porter", &by)?;
            for id in devices {
                let device = devices::of(tx, id)?;
                devices::edit(tx, id, &New { site: Some(site.id), ..New::like(&device) }, &by)?;
            }
            Ok(site)
        });
        made.await.unwrap()
    }

    /// The agent tells all of these, each of which happened at its time.
    async fn tells(
        &self,
        caller: &mut Caller,
        waiting: u64,
        all: Vec<(Time, What)>,
    ) -> Result<Reply, Refused> {
        let mut call = CheckIn { waiting, ..self.empty_call("a") };
        for (at, what) in all {
            caller.seq += 1;
            call.records.push(Record { seq: caller.seq, at, mono: Millis(at.0), boot: None, what });
        }
        caller.seq += 1;
        let status = self.record(caller.seq, What::Status(Status::default()));
        if waiting == 0 {
            call.records.push(status);
        } else {
            call.current.push(Record { seq: caller.seq + 10_000, ..status });
        }
        self.call(Credential::Secret(caller.secret), call, None).await
    }

    /// An agent that checked in, and is down since.
    async fn dark(&self, name: &str) -> (Caller, Outage) {
        let mut agent = self.joined(name).await;
        self.check_in(&mut agent).await;
        self.turn(60).await;
        assert_eq!(self.state(name), State::Down, "{name}");
        let outage = self.outages().into_iter().find(|outage| outage.device.1 == name).unwrap();
        (agent, outage)
    }

    fn verdicts(&self, outage: &Outage) -> Vec<Given> {
        let id = outage.id;
        self.app.store.read(move |tx| verdicts::all_of(tx, id)).unwrap()
    }

    fn verdict(&self, outage: &Outage) -> Given {
        self.verdicts(outage).pop().expect("it was judged")
    }

    fn codes(&self, outage: &Outage) -> Vec<Code> {
        self.verdicts(outage).iter().map(|given| given.verdict.code).collect()
    }

    fn story(&self, outage: &Outage) -> String {
        let id = outage.id.to_string();
        self.app.store.read(|tx| reports::outages::show(tx, &outages::get(tx, &id)?)).unwrap().story
    }
}

#[tokio::test]
async fn an_outage_has_a_provisional_verdict_that_is_replaced_when_the_dossier_comes() {
    let house = House::new().await;
    let (mut agent, outage) = house.dark("router").await;
    house.site_of("north", &[agent.device]).await;
    assert_eq!(house.codes(&outage), [Code::Provisional]);
    assert!(!house.verdict(&outage).is_final);
    house.turn(60).await;
    let began = outage.started_at;
    let mut records: Vec<(Time, What)> = (0..3)
        .map(|n| {
            (
                began + secs(1 + 20 * n),
                What::Ladder(cut_behind_gateway(if n == 0 { Why::Failure } else { Why::Again })),
            )
        })
        .collect();
    let told =
        AgentOutage { began_at: began, ended_at: Some(house.now()), tries: 5, ..AgentOutage::default() };
    records.push((house.now(), What::Outage(told)));
    house.tells(&mut agent, 0, records).await.unwrap();
    house.turn(10).await;
    house.check_in(&mut agent).await;
    house.turn(15).await;
    let given = house.verdict(&outage);
    assert_eq!((given.verdict.code, given.is_final), (Code::LastMile, true), "{given:#?}");
    assert_eq!(given.verdict.who, Who::Provider);
    assert!(given.verdict.sentence.contains("line to north was cut from 15:00 to 15:0"), "{given:#?}");
    assert_eq!(house.codes(&outage)[0], Code::Provisional, "what was said before stays");
    assert_eq!(
        house.happened("outage.verdict"),
        3,
        "two on the outage as it was seen, one on it as it was told"
    );
    let story = house.story(&outage);
    for part in [
        "TIMELINE",
        "gateway 192.0.2.1",
        "   1  192.0.2.1",
        "climbed again (still cut off): as before",
        "WHO ACTS",
    ] {
        assert!(story.contains(part), "{part} is missing in {story}");
    }
}

#[tokio::test]
async fn a_device_and_its_neighbour_that_lost_their_power_make_it_the_sites() {
    let house = House::new().await;
    let (mut router, outage) = house.dark("router").await;
    let (mut ap, _) = house.dark("ap").await;
    house.site_of("north", &[router.device, ap.device]).await;
    house.turn(120).await;
    let from = outage.started_at - secs(5);
    let gap = || lost_power(from, house.now() - secs(2));
    house.tells(&mut router, 0, vec![(house.now(), What::Gap(gap()))]).await.unwrap();
    assert_eq!(house.verdict(&outage).verdict.code, Code::DevicePower, "the other one has told nothing yet");
    house.tells(&mut ap, 0, vec![(house.now(), What::Gap(gap()))]).await.unwrap();
    let given = house.verdict(&outage);
    assert_eq!(given.verdict.code, Code::SitePower, "{given:#?}");
    assert!(given.verdict.sentence.starts_with("Power was lost at north from"), "{given:#?}");
    assert!(given.verdict.sentence.ends_with("2 devices rebooted, neither shut down cleanly."), "{given:#?}");
}

#[tokio::test]
async fn power_that_was_lost_while_nobody_measured_proves_that_the_device_was_down() {
    let house = House::new().await;
    let mut agent = house.joined("router").await;
    house.check_in(&mut agent).await;
    house.turn(5).await;
    house.app.store.submit(settings::alive).await.unwrap();
    house.clock.advance(secs(600));
    start::start(&house.app).await.unwrap();
    let from = START + secs(100);
    let gap = lost_power(from, from + secs(320));
    house.tells(&mut agent, 0, vec![(from + secs(320), What::Gap(gap))]).await.unwrap();
    let device = agent.device;
    let proofs =
        house.app.store.read(move |tx| crate::store::states::proofs(tx, device, (START, Time::MAX))).unwrap();
    assert_eq!(proofs.down, [(from, from + secs(300))]);
    assert!(proofs.up.contains(&(from + secs(300), from + secs(320))), "{proofs:?}");
}

#[tokio::test]
async fn a_verdict_is_final_once_the_agent_has_told_all() {
    let house = House::new().await;
    let (mut agent, outage) = house.dark("router").await;
    let climb = |at: Time| (at, What::Ladder(cut_behind_gateway(Why::Failure)));
    house.tells(&mut agent, 700, vec![climb(outage.started_at + secs(1))]).await.unwrap();
    house.turn(12).await;
    let given = house.verdict(&outage);
    assert_eq!((given.verdict.code, given.is_final), (Code::LastMile, false), "more is to come");
    house.check_in(&mut agent).await;
    house.turn(15).await;
    assert!(house.verdict(&outage).is_final);
    // What comes days later belongs to it as well.
    house.clock.advance(Millis::from_secs(86_400));
    let gap = lost_power(outage.started_at - secs(4), outage.started_at + secs(55));
    house.tells(&mut agent, 0, vec![(outage.started_at + secs(55), What::Gap(gap))]).await.unwrap();
    assert!(house.verdict(&outage).verdict.code.is_own_power(), "{:#?}", house.verdict(&outage));
}

#[tokio::test]
async fn a_record_that_is_sent_twice_counts_once_and_one_that_is_too_large_is_set_aside() {
    let house = House::new().await;
    let mut agent = house.joined("router").await;
    house.check_in(&mut agent).await;
    let record = house.record(2, What::Ladder(cut_behind_gateway(Why::Failure)));
    for _ in 0..2 {
        let call = CheckIn { records: vec![record.clone()], ..house.empty_call("a") };
        house.call(Credential::Secret(agent.secret), call, None).await.unwrap();
    }
    let device = agent.device;
    let kept = house.app.store.read(move |tx| crate::store::dossiers::count(tx, device));
    assert_eq!(kept.unwrap(), 1);
    let mut large = cut_behind_gateway(Why::Again);
    large.rungs[0].reason = "x".repeat(70_000);
    let call = CheckIn { records: vec![house.record(3, What::Ladder(large))], ..house.empty_call("a") };
    match house.call(Credential::Secret(agent.secret), call, None).await {
        Err(Refused::Bad(why, Some(3))) => assert!(why.contains("65536 are the most"), "{why}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_ticket_knows_where_the_fault_is_and_own_power_is_less_urgent() {
    let house = House::new().await;
    let (mut agent, outage) = house.dark("router").await;
    let ticket = house.ticket();
    assert_eq!(ticket.score, 50);
    let gap = lost_power(outage.started_at - secs(2), house.now() - secs(1));
    house.tells(&mut agent, 0, vec![(house.now(), What::Gap(gap))]).await.unwrap();
    assert_eq!(house.verdict(&outage).verdict.code, Code::DevicePower);
    let shown = house.app.store.read(|tx| reports::tickets::record(tx, &ticket)).unwrap();
    let at = shown.columns.iter().position(|column| column.key == "verdict").unwrap();
    assert!(exports::text(&shown.rows[0][at]).contains("device-power"), "{:?}", shown.rows[0][at]);
}

#[tokio::test]
async fn the_provider_is_told_what_was_measured() {
    let house = House::new().await;
    let (mut agent, outage) = house.dark("router").await;
    let site = house.site_of("north", &[agent.device]).await;
    let change = provider::Change {
        provider: Some("ACME".into()),
        circuit: Some("C-4711".into()),
        phone: Some("+49 30 1234".into()),
        mail: None,
    };
    house.app.store.submit(move |tx| sites::set_contact(tx, &site, &change, &Actor::System)).await.unwrap();
    let climb = (outage.started_at + secs(1), What::Ladder(cut_behind_gateway(Why::Failure)));
    house.tells(&mut agent, 0, vec![climb]).await.unwrap();
    let id = outage.id.to_string();
    let shown = house.app.store.read(|tx| reports::outages::show(tx, &outages::get(tx, &id)?)).unwrap();
    assert!(shown.story.contains("the provider: ACME, circuit C-4711, +49 30 1234"), "{}", shown.story);
    let letter = shown.letter.unwrap();
    assert!(letter.starts_with("Subject: fault at north, circuit C-4711, 2026-11-22 15:0"), "{letter}");
    assert!(letter.contains("Route to 203.0.113.10 while it was broken"), "{letter}");
}

#[tokio::test]
async fn settings_of_a_site_and_of_a_device_are_taken_to_their_agents() {
    let house = House::new().await;
    let (mut agent, mut other) = (house.joined("router").await, house.joined("elsewhere").await);
    let site = house.site_of("north", &[agent.device]).await;
    let config = async |caller: &mut Caller, known: Option<String>| {
        let call = CheckIn { config: known, ..house.empty_call("a") };
        house.app.refresh().unwrap();
        house.call(Credential::Secret(caller.secret), call, None).await.unwrap().config
    };
    let [of_site, of_device] =
        [Scope::Site(site.id, site.name), Scope::Device(agent.device, "router".into())];
    let before = [config(&mut agent, None).await.unwrap(), config(&mut other, None).await.unwrap()];
    assert!(before[0].ladder.anchors.is_empty());
    let set = |scope: &Scope, key: &'static str, value: &'static str| {
        let (scope, by) = (scope.clone(), Actor::Person("ana".to_owned()));
        house.app.store.submit(move |tx| settings::set_scoped(tx, &scope, key, value, &by))
    };
    set(&of_site, "ladder.anchors", "192.0.2.1,198.51.100.1").await.unwrap();
    set(&of_site, "recorder.every", "10s").await.unwrap();
    set(&of_device, "recorder.every", "5s").await.unwrap();
    let after = config(&mut agent, Some(before[0].etag.clone())).await.expect("it is another one");
    assert_eq!((after.ladder.anchors.len(), after.record_every), (2, secs(5)), "the device's own wins");
    assert_eq!(config(&mut other, Some(before[1].etag.clone())).await, None, "others are not concerned");
    let (scope, by) = (of_device.clone(), Actor::Person("ana".to_owned()));
    house
        .app
        .store
        .submit(move |tx| settings::unset_scoped(tx, &scope, "recorder.every", &by))
        .await
        .unwrap();
    let then = config(&mut agent, Some(after.etag)).await.expect("it is another one");
    assert_eq!(then.record_every, secs(10), "the site's holds again");
    let why = set(&of_site, "check_in.every", "5s").await.unwrap_err().to_string();
    assert!(why.contains("is one for all"), "{why}");
    assert_eq!(house.happened("setting.changed"), 6 + 4);
}

#[tokio::test]
async fn two_outages_soon_after_one_another_have_each_its_own_records() {
    let house = House::new().await;
    let (mut agent, first) = house.dark("router").await;
    let climb = (first.started_at + secs(1), What::Ladder(cut_behind_gateway(Why::Failure)));
    house.tells(&mut agent, 0, vec![climb]).await.unwrap();
    house.turn(10).await;
    house.check_in(&mut agent).await;
    house.turn(60).await;
    let all = house.outages();
    let second = all.iter().find(|outage| outage.ended_at.is_none()).expect("it is down again");
    let gap = lost_power(second.started_at - secs(2), house.now() - secs(1));
    house.tells(&mut agent, 0, vec![(house.now(), What::Gap(gap))]).await.unwrap();
    let codes = [&first, second].map(|outage| house.verdict(outage).verdict);
    assert_eq!(
        codes.each_ref().map(|verdict| verdict.code),
        [Code::LastMile, Code::DevicePower],
        "{codes:#?}"
    );
    assert_eq!(codes[1].also, None, "the first one's climb is none of the second's: {codes:#?}");
}

#[tokio::test]
async fn what_an_agent_tells_of_being_cut_off_is_one_outage_however_late_each_record_is() {
    let house = House::new().await;
    let mut agent = house.joined("router").await;
    house.check_in(&mut agent).await;
    house.clock.advance(secs(120));
    let began_at = house.now() - secs(60);
    let told = |ended_at| AgentOutage { began_at, ended_at, tries: 3, ..AgentOutage::default() };
    let record = house.record(10, What::Outage(told(None)));
    // This call was on its way for seven seconds.
    let call = CheckIn { records: vec![record], ..house.empty_call("a") };
    house.clock.advance(secs(7));
    house.call(Credential::Secret(agent.secret), call, None).await.unwrap();
    agent.seq = 10;
    let ended_at = house.now() - secs(1);
    house.tells(&mut agent, 0, vec![(house.now(), What::Outage(told(Some(ended_at))))]).await.unwrap();
    let all = house.outages();
    assert_eq!(all.len(), 1, "{all:#?}");
    assert_eq!((all[0].started_at, all[0].ended_at), (began_at, Some(ended_at)));
}
