//! What customers are told, and what they are not.

use std::sync::Arc;

use axum::http::{HeaderMap, Method};
use jiff::tz::TimeZone;
use schedules::Clock;

use super::*;
use crate::app::App;
use crate::domain::device::State;
use crate::domain::ids::SiteId;
use crate::store::events::Actor;
use crate::store::maintenance::{self, Subject, When};
use crate::store::status::Watched;
use crate::store::{Mode, Store, WriteTx, devices, sites, states};
use crate::web::Web;
use crate::web::asked::Who;
use crate::web::verbs::{self, Call, Refused, Verb, Verbs, Why};

const NOW: Time = Time(1_795_608_000_000);
const DAY: Millis = Millis::from_secs(86_400);

struct NoVerbs;

impl Verbs for NoVerbs {
    fn all(&self) -> &[Verb] {
        &[]
    }

    fn run(&self, _call: Call) -> Result<verbs::Answer, Refused> {
        Err(Refused::new(Why::NotFound, "there is no verb"))
    }
}

struct Home {
    asked: Asked,
    clock: Clock,
    _folder: tempfile::TempDir,
}

impl Home {
    /// A store that begins ten days ago: two sites, one with a device that was out for an hour.
    fn new() -> Home {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::manual(NOW - DAY.times(10));
        let store = Store::open(&folder.path().join("lineman.db"), clock.clone(), Mode::Create).unwrap();
        store
            .write(|tx: &WriteTx<'_>| -> crate::store::Result<()> {
                let by = Actor::System;
                for (name, device) in [("Leipzig", "secret-router"), ("Halle", "hidden-switch")] {
                    let site = Some(sites::add(tx, name, "UTC", "", &by)?.id);
                    let new = devices::New {
                        site,
                        address: Some("192.0.2.77".to_owned()),
                        ..devices::New::named(device)
                    };
                    let device = devices::add(tx, &new, &by)?;
                    states::changed(tx, device.id, tx.now, State::Up, "")?;
                    if name == "Leipzig" {
                        states::changed(tx, device.id, tx.now + DAY, State::Down, "")?;
                        states::changed(
                            tx,
                            device.id,
                            tx.now + DAY + Millis::from_secs(3_600),
                            State::Up,
                            "",
                        )?;
                    }
                }
                Ok(())
            })
            .unwrap();
        clock.set(NOW);
        let app = App::new(store, clock.clone()).unwrap();
        let asked = Asked {
            web: Web::new(app, Arc::new(NoVerbs), false),
            method: Method::GET,
            path: "/status".to_owned(),
            words: Vec::new(),
            query: Vec::new(),
            form: Vec::new(),
            body: Vec::new(),
            headers: HeaderMap::new(),
            peer: [127, 0, 0, 1].into(),
            who: Who::Nobody,
        };
        Home { asked, clock, _folder: folder }
    }

    fn set(&self, key: &'static str, value: &'static str) {
        let set = move |tx: &WriteTx<'_>| settings::set(tx, key, value, &Actor::System);
        self.asked.web.app.store.write(set).unwrap();
    }

    fn told(&self) -> String {
        view::page(&status(&self.asked).unwrap(), &TimeZone::UTC).into_string()
    }
}

#[test]
fn while_it_is_off_there_is_nothing_there() {
    let home = Home::new();
    for handler in [page, badge] {
        let Err(trouble) = handler(&home.asked) else { panic!("it is there") };
        assert_eq!(trouble.status().as_u16(), 404);
    }
    home.set("status.page", "all");
    let answer = badge(&home.asked).unwrap();
    assert!(answer.headers.iter().any(|(_, value)| value == "cross-origin"), "others may show it");
    assert_eq!(page(&home.asked).unwrap().status.as_u16(), 200);
}

#[test]
fn no_device_and_no_address_is_named_and_those_sites_alone_that_were_chosen() {
    let home = Home::new();
    home.set("status.page", "all");
    let all = home.told();
    assert!(all.contains("All systems") && !all.contains("Leipzig"), "{all}");
    home.set("status.sites", "Leipzig");
    let chosen = home.told();
    assert!(
        chosen.contains("Leipzig") && !chosen.contains("Halle") && !chosen.contains("All systems"),
        "{chosen}"
    );
    for text in [&all, &chosen] {
        for hidden in ["secret-router", "hidden-switch", "192.0.2", "/devices/", "style="] {
            assert!(!text.contains(hidden), "{hidden}: {text}");
        }
    }
    // 1 h of the 10 days since there has been anything.
    assert!(
        chosen.contains("Available 99.583 % of the time that was measured in the last 90 days."),
        "{chosen}"
    );
}

#[test]
fn a_site_that_is_called_otherwise_or_gone_is_so_in_the_settings() {
    let home = Home::new();
    home.set("status.sites", "Leipzig,Halle");
    let store = &home.asked.web.app.store;
    let renamed = |tx: &WriteTx<'_>| -> crate::store::Result<String> {
        let change = sites::Change { name: Some("Jena".to_owned()), ..sites::Change::default() };
        sites::edit(tx, &sites::get(tx, "Halle")?, &change, &Actor::System)?;
        Ok(settings::load(tx)?.text("status.sites").to_owned())
    };
    assert_eq!(store.write(renamed).unwrap(), "Leipzig,Jena");
    let wrong = |tx: &WriteTx<'_>| settings::set(tx, "status.sites", "Nowhere", &Actor::System);
    assert!(store.write(wrong).is_err());
}

#[test]
fn work_is_announced_at_the_sites_where_it_is_and_told_once() {
    let home = Home::new();
    home.set("status.page", "all");
    let planned = |tx: &WriteTx<'_>| -> crate::store::Result<()> {
        for name in ["secret-router", "hidden-switch"] {
            let device = devices::get(tx, name)?;
            let new = maintenance::New {
                subject: Subject::Device(device.id, device.name),
                when: When::Once(tx.now + DAY, tx.now + DAY.times(2)),
                time_zone: "UTC".to_owned(),
                note: "swap the secret-router".to_owned(),
            };
            maintenance::add(tx, &new, &Actor::System)?;
        }
        Ok(())
    };
    home.asked.web.app.store.write(planned).unwrap();
    let all = home.told();
    assert_eq!(all.matches("2026-11-26 12:00 to 2026-11-27 12:00").count(), 1, "{all}");
    assert!(!all.contains("secret") && !all.contains("under way"), "{all}");
    home.set("status.sites", "Halle");
    home.clock.set(NOW + DAY + Millis(1));
    let there = home.told();
    assert!(there.contains("Halle</strong>: 2026-11-26") && there.contains("under way"), "{there}");
}

#[test]
fn how_devices_stand_together_is_told_in_one_word() {
    let one = |state, is_in_maintenance, since| Watched {
        site: Some(SiteId(1)),
        state,
        since: Time(since),
        is_in_maintenance,
    };
    let up = one(State::Up, false, 1);
    let (down, behind) = (one(State::Down, false, 5), one(State::Unreachable, false, 3));
    let (worked, unknown) = (one(State::Down, true, 2), one(State::Unknown, false, 4));
    for (devices, wanted, since) in [
        (vec![], Standing::Unknown, None),
        (vec![unknown], Standing::Unknown, None),
        (vec![up, unknown], Standing::Operational, None),
        (vec![up, one(State::Degraded, false, 9)], Standing::Disturbed, None),
        (vec![up, down, behind], Standing::Disturbed, Some(Time(3))),
        (vec![down, behind, unknown], Standing::Down, Some(Time(3))),
        (vec![up, worked], Standing::Maintenance, None),
        (vec![down, worked], Standing::Down, Some(Time(5))),
    ] {
        assert_eq!(load::standing(&devices), (wanted, since), "{devices:?}");
    }
    let line = |standing| Line {
        name: String::new(),
        standing,
        out_since: None,
        days: Vec::new(),
        work: Vec::new(),
    };
    let of = |all: &[Standing]| {
        Status { lines: all.iter().copied().map(line).collect(), at: NOW, days_at: NOW }.standing()
    };
    assert_eq!(of(&[Standing::Down, Standing::Operational]), Standing::Disturbed);
    assert_eq!(of(&[Standing::Down, Standing::Down]), Standing::Down);
    assert_eq!(of(&[Standing::Operational, Standing::Maintenance]), Standing::Maintenance);
}

#[test]
fn what_costs_much_is_read_anew_now_and_then_only() {
    let home = Home::new();
    home.set("status.page", "all");
    let first = status(&home.asked).unwrap();
    let after = |secs: i64| {
        home.clock.set(NOW + Millis::from_secs(secs));
        let status = status(&home.asked).unwrap();
        (status.at.since(NOW).0 / 1_000, status.days_at.since(NOW).0 / 1_000)
    };
    assert_eq!((first.at, first.days_at), (NOW, NOW));
    assert_eq!([19, 21, 299, 320].map(after), [(0, 0), (21, 0), (299, 0), (320, 320)]);
}

#[test]
fn a_badge_says_it_by_shape_and_word() {
    use Standing::{Disturbed, Down, Maintenance, Operational, Unknown};
    for standing in [Operational, Maintenance, Disturbed, Down, Unknown] {
        let text = badge::draw(standing).into_string();
        assert!(text.contains(&format!("<title>status: {}</title>", standing.as_str())), "{text}");
        assert!(!text.contains("style=") && !text.contains("class="), "{text}");
    }
}
