//! Maintenance windows as time passes, and the service clock of tickets.

use agent::report::Outcome::{Fail, Ok as Good};
use exports::Value;
use jiff::tz::TimeZone;

use super::*;
use crate::domain::device::Mark;
use crate::domain::ids::{SiteId, TicketId};
use crate::domain::maintenance::{Ends, Recurring, Standing};
use crate::domain::ticket::{Score, State};
use crate::reports;
use crate::server::service::follow;
use crate::store::maintenance::{self, Subject, When, Window};
use crate::store::sites::{self, CalendarChange};
use crate::store::{Result, WriteTx};
use crate::{domain, store};

const MINUTE: Millis = Millis::from_secs(60);
const HOUR: Millis = Millis::from_secs(3_600);

impl House {
    /// Turns the clock at once, and does all that is due then.
    async fn leap(&self, span: Millis) {
        self.clock.advance(span);
        tick::settle(&self.app).await.unwrap();
    }

    async fn change<T: Send + 'static>(&self, f: impl FnOnce(&WriteTx) -> Result<T> + Send + 'static) -> T {
        self.app.store.submit(f).await.unwrap()
    }

    async fn window(&self, subject: Subject, when: When) -> i64 {
        let new =
            maintenance::New { subject, when, time_zone: "Europe/Berlin".to_owned(), note: String::new() };
        self.change(move |tx| Ok(maintenance::add(tx, &new, &Actor::System)?.id)).await
    }

    /// A window on a device, from now on.
    async fn now_for(&self, device: DeviceId, span: Millis) -> i64 {
        self.window(Subject::Device(device, String::new()), When::Once(self.now(), self.now() + span)).await
    }

    fn shown(&self, window: i64) -> Window {
        self.app.store.read(|tx| maintenance::get(tx, &window.to_string())).unwrap()
    }

    fn runs(&self, window: i64) -> Vec<maintenance::Run> {
        self.app.store.read(|tx| maintenance::runs(tx, window, 100)).unwrap()
    }

    fn covered(&self, device: DeviceId) -> Option<i64> {
        let one = self.app.store.read(|tx| maintenance::of_device(tx, device)).unwrap();
        let all = self.app.store.read(maintenance::of_devices).unwrap();
        assert_eq!(one, all.get(&device).copied(), "one by one and all at once they agree");
        one.map(|covered| covered.window)
    }

    /// A device that is down since the next second.
    async fn goes_down(&mut self, check: CheckId) {
        self.probed(&[(check, Good)]).await;
        for _ in 0..3 {
            self.turn(1).await;
            self.probed(&[(check, Fail)]).await;
        }
    }

    async fn site(&self, name: &'static str, hours: &'static str) -> SiteId {
        self.change(move |tx| {
            let site = sites::add(tx, name, "Europe/Berlin", "", &Actor::System)?;
            let hours = Some(hours.parse().unwrap());
            let change = CalendarChange { hours, ..CalendarChange::default() };
            Ok(sites::set_calendar(tx, &site, &change, &Actor::System)?.id)
        })
        .await
    }

    /// A request of P4: a first response within 8 hours, restored within 5 days.
    async fn request(&self, site: Option<SiteId>) -> TicketId {
        let known = self.app.known();
        self.change(move |tx| {
            let new = tickets::New {
                kind: domain::ticket::Kind::Request,
                title: "new cable".to_owned(),
                device: None,
                site,
            };
            let score = Score { reasons: vec![(20, "work".to_owned())] };
            let id = tickets::open(tx, &new, &score, None, &Actor::System)?;
            follow(tx, &known.settings, &tickets::of(tx, id)?)?;
            Ok(id)
        })
        .await
    }

    /// Changes a ticket, and brings its clock up to date twice: the second time changes nothing.
    async fn then(&self, id: TicketId, f: impl FnOnce(&WriteTx, &Ticket) -> Result<()> + Send + 'static) {
        let known = self.app.known();
        self.change(move |tx| {
            let ticket = tickets::of(tx, id)?;
            f(tx, &ticket)?;
            follow(tx, &known.settings, &ticket)?;
            let once = (store::service::find(tx, id)?, store::service::pauses(tx, id)?, events::newest(tx)?);
            follow(tx, &known.settings, &ticket)?;
            let twice = (store::service::find(tx, id)?, store::service::pauses(tx, id)?, events::newest(tx)?);
            assert_eq!(once, twice);
            Ok(())
        })
        .await;
    }

    fn clock_of(&self, id: TicketId) -> store::service::Clock {
        self.app.store.read(|tx| store::service::find(tx, id)).unwrap().unwrap()
    }

    fn value(&self, id: TicketId, key: &str) -> Value {
        let (columns, values) = self.app.store.read(|tx| reports::service::values(tx, id)).unwrap();
        assert_eq!(columns.len(), values.len());
        let place = columns.iter().position(|column| column.key == key).unwrap();
        values[place].clone()
    }
}

#[tokio::test]
async fn a_device_is_covered_by_its_own_window_its_sites_and_its_tags() {
    let house = House::new().await;
    let site = house.site("north", "").await;
    let (ap, sw, gw) =
        (house.device("ap", &[]).await, house.device("sw", &[]).await, house.device("gw", &[]).await);
    house
        .change(move |tx| {
            let new = New { site: Some(site), ..New::like(&devices::of(tx, sw)?) };
            devices::edit(tx, sw, &new, &Actor::System)?;
            let new = New { tags: vec!["core".to_owned()], ..New::like(&devices::of(tx, gw)?) };
            devices::edit(tx, gw, &new, &Actor::System)
        })
        .await;
    let (now, later) = (house.now(), house.now() + HOUR);
    let own = house.now_for(ap, HOUR).await;
    let sites = house.window(Subject::Site(site, String::new()), When::Once(now, later)).await;
    let tags = house.window(Subject::Tag("core".to_owned()), When::Once(now, later)).await;
    let all = |house: &House| [ap, sw, gw].map(|device| house.covered(device));
    assert_eq!(all(&house), [Some(own), Some(sites), Some(tags)], "also before anybody has begun it");
    house.leap(Millis(1)).await;
    assert_eq!(all(&house), [Some(own), Some(sites), Some(tags)]);
    assert_eq!(house.covered(house.this_machine), None);
    assert_eq!(house.find("gw").marks, [Mark::Maintenance]);
    let marked = |query: &str| {
        let wanted = Selection::parse(query, devices::QUERY, devices::TEXT, now, &TimeZone::UTC).unwrap();
        let found = house.app.store.read(|tx| devices::list(tx, &wanted, &Page::default())).unwrap();
        found.into_iter().map(|device| (device.name, device.marks)).collect::<Vec<_>>()
    };
    let named = |name: &str| (name.to_owned(), vec![Mark::Maintenance]);
    assert_eq!(marked("mark:maintenance"), [named("ap"), named("gw"), named("sw")]);
    assert_eq!(marked("mark:paused"), [("this-machine".to_owned(), vec![Mark::Paused])]);

    // Of several the one that ends last.
    let longer = house.now_for(gw, HOUR.times(2)).await;
    assert_eq!(house.covered(gw), Some(longer));
    house.leap(HOUR).await;
    assert_eq!(all(&house), [None, None, Some(longer)]);
    house.leap(HOUR).await;
    assert_eq!(all(&house), [None, None, None]);
    let runs = house.app.store.read(|tx| maintenance::runs_between(tx, gw, now, later + HOUR)).unwrap();
    assert_eq!(runs, [(now, now + Millis(1) + HOUR.times(2))].map(|(from, to)| (from, to.min(later + HOUR))));
    let inside =
        house.app.store.read(|tx| maintenance::runs_between(tx, ap, now + MINUTE, later - MINUTE)).unwrap();
    assert_eq!(inside, [(now + MINUTE, later - MINUTE)]);
    assert_eq!((house.happened("maintenance.began"), house.happened("maintenance.ended")), (4, 4));
    assert_eq!(house.happened("maintenance.overrun"), 0);
}

#[tokio::test]
async fn what_is_still_down_when_maintenance_ends_counts_from_there() {
    let mut house = House::new().await;
    let check = house.pinged("ap", &[]).await;
    let device = house.find("ap").id;
    let first = house.now_for(device, HOUR).await;
    let second = house.now_for(device, HOUR.times(2)).await;
    house.goes_down(check).await;
    let since = house.outages()[0].started_at;
    house.leap(HOUR).await;
    assert_eq!(house.shown(first).standing, Standing::Over);
    assert_eq!(house.happened("maintenance.overrun"), 0, "another window covers it still");
    house.leap(HOUR).await;
    assert_eq!(house.happened("maintenance.overrun"), 1);
    let all = house.app.store.read(|tx| events::list(tx, &Selection::all(), &Page::default())).unwrap();
    let told = all.iter().find(|event| event.kind == "maintenance.overrun").unwrap();
    assert_eq!(told.body["devices"][0]["name"], "ap");
    assert_eq!(told.body["devices"][0]["down_since"], since.0);
    let ended = house.runs(second)[0].ended_at.unwrap();
    assert_eq!(ended, house.runs(second)[0].until_at, "as planned");
    house.leap(MINUTE.times(30)).await;
    house.probed(&[(check, Good)]).await;
    let back = house.now();
    house.turn(1).await;
    house.probed(&[(check, Good)]).await;
    house.leap(HOUR).await;
    let run = house.runs(second).remove(0);
    assert_eq!((run.devices, run.overrun), (1, back.since(ended)), "until it came back, and no longer");
    assert_eq!(house.runs(first)[0].overrun, Millis::ZERO);
}

#[tokio::test]
async fn when_maintenance_begins_and_ends_whatever_it_covers_is_judged_anew() {
    let house = House::new().await;
    let device = house.device("ap", &[]).await;
    tick::settle(&house.app).await.unwrap();
    let window = house.now_for(device, HOUR).await;
    let to_judge = |tx: &store::Tx| devices::to_judge(tx, tx.now, 10);
    assert_eq!(house.app.store.read(to_judge).unwrap(), []);
    house.change(move |tx| maintenance::step(tx, window)).await;
    assert_eq!(house.app.store.read(to_judge).unwrap(), [device]);
    tick::settle(&house.app).await.unwrap();
    assert_eq!(house.app.store.read(to_judge).unwrap(), []);
    house.change(move |tx| maintenance::end(tx, window, &Actor::System)).await;
    assert_eq!(house.app.store.read(to_judge).unwrap(), [device]);
}

#[tokio::test]
async fn what_was_missed_is_written_down_as_it_was_planned() {
    let house = House::new().await;
    let device = house.device("ap", &[]).await;
    let cron = "0 * * * * Europe/Berlin".parse().unwrap();
    let zone = TimeZone::get("Europe/Berlin").unwrap();
    let hourly = When::Again(Recurring { cron, ends: Ends::After(MINUTE.times(20)), zone });
    let window = house.window(Subject::Device(device, String::new()), hourly).await;
    house.leap(HOUR + MINUTE).await;
    assert_eq!(house.covered(device), Some(window));
    // The server is away from the middle of one occurrence to the middle of another: 300 hours.
    house.clock.advance(HOUR.times(300));
    start::start(&house.app).await.unwrap();
    tick::settle(&house.app).await.unwrap();
    let started = house.app.store.read(|tx| maintenance::runs(tx, window, 1_000)).unwrap();
    assert_eq!(started.len(), 301);
    assert!(started.windows(2).all(|pair| pair[0].began_at.since(pair[1].began_at) == HOUR));
    let (running, gone) = started.split_first().unwrap();
    assert_eq!((running.began_at, running.ended_at), (house.now() - MINUTE, None));
    assert!(gone.iter().all(|run| run.ended_at == Some(run.began_at + MINUTE.times(20))));
    // A restart in the middle changes nothing.
    start::start(&house.app).await.unwrap();
    tick::settle(&house.app).await.unwrap();
    assert_eq!((house.happened("maintenance.began"), house.happened("maintenance.ended")), (301, 300));
}

#[tokio::test]
async fn a_person_ends_and_extends_an_occurrence_and_the_next_one_comes_again() {
    let house = House::new().await;
    let device = house.device("ap", &[]).await;
    let cron = "0 * * * * Europe/Berlin".parse().unwrap();
    let zone = TimeZone::get("Europe/Berlin").unwrap();
    let hourly = When::Again(Recurring { cron, ends: Ends::After(MINUTE.times(20)), zone });
    let window = house.window(Subject::Device(device, String::new()), hourly).await;
    let by = Actor::Person("ana".to_owned());
    let end = {
        let by = by.clone();
        move |tx: &WriteTx| maintenance::end(tx, window, &by)
    };
    assert!(matches!(house.app.store.submit(end.clone()).await, Err(store::Error::Conflict(_))));
    house.leap(HOUR + MINUTE).await;
    house.app.store.submit(end.clone()).await.unwrap();
    assert_eq!(house.covered(device), None);
    assert_eq!(house.runs(window)[0].ended_at, Some(house.now()));
    house.leap(HOUR).await;
    assert_eq!(house.covered(device), Some(window));
    // Over the next start: then it goes on until that one ends.
    let until = house.now() + MINUTE.times(70);
    house.change(move |tx| maintenance::extend(tx, window, until, &by)).await;
    for _ in 0..78 {
        house.leap(MINUTE).await;
        assert_eq!(house.covered(device), Some(window));
    }
    house.leap(MINUTE).await;
    assert_eq!(house.covered(device), None);
    assert_eq!(house.runs(window).len(), 2);
    let removed = house.change(move |tx| maintenance::remove(tx, window, &Actor::System)).await;
    assert_eq!((removed.standing, removed.next), (Standing::Removed, None));
    house.leap(HOUR.times(5)).await;
    assert_eq!(house.runs(window).len(), 2, "it comes no more, and what was stays");
}

#[tokio::test]
async fn a_broken_promise_is_told_once_also_by_a_server_that_was_away() {
    let house = House::new().await;
    let kinds = [
        "ticket.response-nearing",
        "ticket.response-breached",
        "ticket.restore-nearing",
        "ticket.restore-breached",
    ];
    let told = |house: &House| kinds.map(|kind| house.happened(kind));
    let ticket = house.request(None).await;
    let opened = house.now();
    house.leap(MINUTE.times(8 * 60 * 80 / 100) - Millis(1)).await;
    assert_eq!(told(&house), [0, 0, 0, 0]);
    house.leap(Millis(1)).await;
    assert_eq!(told(&house), [1, 0, 0, 0], "80 of 100 are over");
    house.leap(HOUR.times(2)).await;
    assert_eq!(told(&house), [1, 1, 0, 0]);
    house.clock.advance(HOUR.times(24 * 30));
    start::start(&house.app).await.unwrap();
    tick::settle(&house.app).await.unwrap();
    house.leap(HOUR.times(24)).await;
    assert_eq!(told(&house), [1, 1, 0, 1], "that it neared its end is no news any more");
    let all = house.app.store.read(|tx| events::list(tx, &Selection::all(), &Page::default())).unwrap();
    let breached = all.iter().find(|event| event.kind == kinds[3]).unwrap();
    assert_eq!(breached.body["due_at"], (opened + HOUR.times(24 * 5)).0);
    assert_eq!(house.value(ticket, "restore_breached"), Value::Bool(true));
    assert_eq!(house.value(ticket, "restored_at"), Value::Null);
    house.then(ticket, |tx, ticket| tickets::close(tx, ticket, None, &Actor::Person("ana".to_owned()))).await;
    assert_eq!(house.value(ticket, "resolved_by_person_at"), Value::Time(house.now().0));
    assert_eq!(told(&house), [1, 1, 0, 1]);
}

#[tokio::test]
async fn the_clock_goes_by_the_hours_of_the_site_and_stands_while_a_ticket_waits() {
    let house = House::new().await;
    // It is Sunday afternoon in Berlin.
    let site = house.site("office", "mon-fri 08:00-16:00").await;
    let ticket = house.request(Some(site)).await;
    let monday = house.now() + HOUR.times(17);
    let clock = house.clock_of(ticket);
    assert_eq!(clock.respond.due_at, Some(monday + HOUR.times(8)), "8 hours of service from Monday on");
    let week = HOUR.times(24 * 7);
    assert_eq!(
        clock.restore.due_at,
        Some(monday + week.times(2) + HOUR.times(24 * 4 + 8)),
        "5 days are 15 of 8 hours"
    );

    // Monday is a holiday after all: the clock follows.
    house
        .change(|tx| {
            let change =
                CalendarChange { holidays: vec!["2026-11-23".parse().unwrap()], ..CalendarChange::default() };
            sites::set_calendar(tx, &sites::get(tx, "office")?, &change, &Actor::System)
        })
        .await;
    house.leap(Millis(1)).await;
    assert_eq!(house.clock_of(ticket).respond.due_at, Some(monday + HOUR.times(32)));

    // On Tuesday at noon somebody responds; from one to three it waits for the customer.
    house.leap(HOUR.times(17 + 24 + 4) - Millis(1)).await;
    house
        .then(ticket, |tx, ticket| {
            tickets::comment(tx, ticket, "on my way", &Actor::Person("ana".to_owned()))
        })
        .await;
    let clock = house.clock_of(ticket);
    assert_eq!(clock.respond.done_at, Some(house.now()));
    assert_eq!(house.value(ticket, "response_breached"), Value::Bool(false));
    let due = clock.restore.due_at.unwrap();
    house.leap(HOUR).await;
    house.then(ticket, |tx, ticket| store::service::put(tx, ticket.id, State::Waiting)).await;
    assert_eq!(house.clock_of(ticket).restore.due_at, None, "the clock stands");
    house.leap(HOUR.times(2)).await;
    house.then(ticket, |tx, ticket| store::service::put(tx, ticket.id, State::Open)).await;
    assert_eq!(
        house.clock_of(ticket).restore.due_at,
        Some(due + HOUR.times(18)),
        "two hours of service later is the morning of the next day"
    );
    assert_eq!(house.value(ticket, "paused_ms"), Value::Span(HOUR.times(2).0));
    assert_eq!(house.value(ticket, "service_ms"), Value::Span(HOUR.times(5).0));
}

#[tokio::test]
async fn a_relapse_lets_the_clock_go_on_where_it_stood() {
    let mut house = House::new().await;
    let check = house.pinged("ap", &[]).await;
    house.goes_down(check).await;
    house.turn(21).await;
    let ticket = house.ticket();
    house.then(ticket.id, |_, _| Ok(())).await;
    let clock = house.clock_of(ticket.id);
    // P3: a response within 4 hours, restored within a day.
    assert_eq!(clock.restore.due_at, Some(ticket.opened_at + HOUR.times(24)));
    house.turn(60).await;
    for _ in 0..2 {
        house.turn(1).await;
        house.probed(&[(check, Good)]).await;
    }
    house.then(ticket.id, |_, _| Ok(())).await;
    let back = house.ticket().recovered_at.unwrap();
    let clock = house.clock_of(ticket.id);
    assert_eq!((clock.restore.done_at, clock.restore.breached(house.now())), (Some(back), Some(false)));

    house.leap(MINUTE.times(30)).await;
    house.then(ticket.id, |_, _| Ok(())).await;
    assert_eq!(house.ticket().state, State::Resolved);
    assert_eq!(house.clock_of(ticket.id).resolved_at, None, "no person did that");
    for _ in 0..60 {
        house.turn(1).await;
        house.probed(&[(check, Fail)]).await;
        if house.ticket().state == State::Open {
            break;
        }
    }
    house.then(ticket.id, |_, _| Ok(())).await;
    let clock = house.clock_of(ticket.id);
    assert_eq!(clock.restore.done_at, None);
    let stood = house.now().since(back);
    assert!(stood > MINUTE.times(30));
    assert_eq!(clock.restore.due_at, Some(ticket.opened_at + HOUR.times(24) + stood));
    assert_eq!(house.value(ticket.id, "paused_ms"), Value::Span(stood.0));
    assert_eq!(house.happened("ticket.restore-breached"), 0);
}
