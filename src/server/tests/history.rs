//! What a device was, as seen and as proven; and readings that grow old.

use agent::report::Outcome::{Fail, Ok as Good};
use exports::Table;
use jiff::tz::TimeZone;

use super::*;
use crate::domain::availability::Period;
use crate::domain::rollup::Every;
use crate::reports::availability::{Asked, By};
use crate::reports::{self};
use crate::server::jobs;
use crate::store::{history, maintenance, sites};

const SECOND: Millis = Millis::from_secs(1);
const HOUR: Millis = Millis::from_secs(3_600);

impl House {
    /// The states of a device since it was added, as `seconds state (as proven)`.
    fn timeline(&self, name: &str) -> Vec<String> {
        let device = self.find(name);
        let settings = &self.app.known().settings;
        let interval = (device.created_at, self.now());
        let table = self
            .app
            .store
            .read(|tx| reports::history::states(tx, &device, interval, settings, None))
            .unwrap();
        let text = |row: &[exports::Value], at: usize| exports::text(&row[at]).into_owned();
        let line = |row: &Vec<exports::Value>| {
            let exports::Value::Span(ms) = row[2] else { panic!("{row:?}") };
            let (seen, proven) = (text(row, 3), text(row, 4));
            let proven = if seen == proven { String::new() } else { format!(" ({proven})") };
            format!("{} {seen}{proven}", ms / 1000)
        };
        table.rows.iter().map(line).collect()
    }

    fn availability(&self, period: Period, by: By) -> Table {
        let asked = Asked { period, site: None, by };
        let settings = &self.app.known().settings;
        self.app.store.read(|tx| reports::availability::report(tx, &asked, settings)).unwrap()
    }

    /// The server is well for five seconds, and then away for so many.
    async fn away_for(&self, secs: i64) {
        self.turn(5).await;
        self.app.store.submit(settings::alive).await.unwrap();
        self.clock.advance(Millis::from_secs(secs));
        start::start(&self.app).await.unwrap();
    }

    /// The agent delivers what it kept: a status every 10 s, from `from` up to now.
    async fn deliver_since(&self, caller: &mut Caller, from: Time) {
        let mut records = Vec::new();
        let mut at = from;
        while at <= self.now() {
            caller.seq += 1;
            let what = What::Status(Status::default());
            records.push(Record { seq: caller.seq, at, mono: Millis(at.0), boot: None, what });
            at += Millis::from_secs(10);
        }
        for some in records.chunks(200) {
            let call = CheckIn { records: some.to_vec(), ..self.empty_call("a") };
            self.call(Credential::Secret(caller.secret), call, None).await.unwrap();
        }
    }
}

fn cell(table: &Table, row: usize, key: &str) -> String {
    let at = table.columns.iter().position(|column| column.key == key).unwrap();
    exports::text(&table.rows[row][at]).into_owned()
}

#[tokio::test]
async fn every_state_is_kept_with_its_true_start() {
    let mut house = House::new().await;
    let check = house.pinged("ap", &[]).await;
    house.turn(10).await;
    house.probed(&[(check, Good)]).await;
    house.turn(10).await;
    for outcome in [Fail, Fail, Fail, Good, Good] {
        house.turn(1).await;
        house.probed(&[(check, outcome)]).await;
    }
    house.turn(5).await;
    assert_eq!(house.timeline("ap"), ["10 unknown", "11 up", "3 down", "6 up"]);
}

#[tokio::test]
async fn a_backlog_proves_what_nobody_saw_and_what_was_seen_stays() {
    let house = House::new().await;
    let mut agent = house.joined("gw").await;
    house.check_in(&mut agent).await;
    let since = house.now();
    house.away_for(3_600).await;
    house.clock.advance(Millis::from_secs(30));
    assert_eq!(house.timeline("gw"), ["5 up", "3600 unknown", "30 up"]);
    house.deliver_since(&mut agent, since + Millis::from_secs(10)).await;
    assert_eq!(house.timeline("gw"), ["5 up", "3600 unknown (up)", "30 up"]);
    let period = Period::Between("-2h".to_owned(), None);
    let report = house.availability(period, By::Device);
    let row = (0..report.rows.len()).find(|&row| cell(&report, row, "device") == "gw").unwrap();
    let told = |key| cell(&report, row, key);
    assert_eq!((told("unknown_ms"), told("proven_unknown_ms")), ("3600000".into(), "0".into()));
    assert_eq!((told("up_ms"), told("proven_up_ms")), ("35000".into(), "3635000".into()));
    assert_eq!((told("availability"), told("availability_proven")), ("100.000".into(), "100.000".into()));
}

#[tokio::test]
async fn a_hole_in_a_backlog_stays_unknown() {
    let house = House::new().await;
    let mut agent = house.joined("gw").await;
    house.check_in(&mut agent).await;
    let since = house.now();
    house.away_for(3_600).await;
    house.deliver_since(&mut agent, since + Millis::from_secs(1_805)).await;
    house.clock.advance(SECOND);
    assert_eq!(house.timeline("gw"), ["5 up", "1800 unknown", "1800 unknown (up)", "1 up"]);
}

#[tokio::test]
async fn an_agent_that_tells_it_was_cut_off_ran_all_that_time() {
    let house = House::new().await;
    let mut agent = house.joined("gw").await;
    house.check_in(&mut agent).await;
    house.away_for(600).await;
    agent.seq += 1;
    let (began_at, ended_at) = (house.now() - Millis::from_secs(595), Some(house.now()));
    let told = agent::report::AgentOutage {
        began_at,
        ended_at,
        tries: 4,
        reason: "refused".to_owned(),
        ..agent::report::AgentOutage::default()
    };
    let call =
        CheckIn { records: vec![house.record(agent.seq, What::Outage(told))], ..house.empty_call("a") };
    house.call(Credential::Secret(agent.secret), call, None).await.unwrap();
    house.clock.advance(SECOND);
    assert_eq!(house.timeline("gw"), ["5 up", "600 unknown (up)", "1 up"]);
}

#[tokio::test]
async fn late_results_prove_up_and_down_of_what_was_watched() {
    let mut house = House::new().await;
    let check = house.pinged("ap", &[]).await;
    house.probed(&[(check, Good)]).await;
    house.away_for(600).await;
    let away = house.now() - Millis::from_secs(600);
    let records: Vec<Record> = (1..60)
        .map(|n| {
            house.local_seq += 1;
            let at = away + Millis::from_secs(n * 10);
            let outcome = if (20..40).contains(&n) { Fail } else { Good };
            let what = What::Result(result(check, outcome));
            Record { seq: house.local_seq, at, mono: Millis(at.0), boot: None, what }
        })
        .collect();
    let call = CheckIn { records, ..house.empty_call("local") };
    house.call(Credential::Local(house.this_machine), call, None).await.unwrap();
    house.clock.advance(SECOND);
    let timeline = house.timeline("ap");
    assert_eq!(
        timeline,
        [
            "5 up",
            "190 unknown (up)",
            "10 unknown",
            "190 unknown (down)",
            "10 unknown",
            "200 unknown (up)",
            "1 up"
        ]
    );
}

#[tokio::test]
async fn maintenance_excuses_an_outage_until_it_ends() {
    let mut house = House::new().await;
    let check = house.pinged("ap", &[]).await;
    house.probed(&[(check, Good)]).await;
    house.turn(10).await;
    let (id, from) = (house.find("ap").id, house.now());
    let new = maintenance::New {
        subject: maintenance::Subject::Device(id, String::new()),
        when: maintenance::When::Once(from, from + Millis::from_secs(60)),
        time_zone: "UTC".to_owned(),
        note: String::new(),
    };
    house.app.store.submit(move |tx| maintenance::add(tx, &new, &Actor::System)).await.unwrap();
    for _ in 0..100 {
        house.turn(1).await;
        house.probed(&[(check, Fail)]).await;
    }
    assert_eq!(house.timeline("ap"), ["11 up", "99 down"]);
    let report = house.availability(Period::Between("-1h".to_owned(), None), By::Device);
    let row = (0..report.rows.len()).find(|&row| cell(&report, row, "device") == "ap").unwrap();
    let parts = ["up_ms", "maintenance_ms", "down_ms", "availability"].map(|key| cell(&report, row, key));
    assert_eq!(parts, ["11000", "59000", "40000", "21.568"]);
}

#[tokio::test]
async fn a_month_is_that_of_the_site_and_a_day_has_25_hours() {
    let house = House::new().await;
    house
        .clock
        .set("2026-09-15T00:00:00Z".parse::<jiff::Timestamp>().map(|t| Time(t.as_millisecond())).unwrap());
    for (site, zone) in [("berlin", "Europe/Berlin"), ("york", "America/New_York")] {
        let add = move |tx: &crate::store::WriteTx<'_>| {
            let site = sites::add(tx, site, zone, "", &Actor::System)?;
            devices::add(
                tx,
                &New { site: Some(site.id), ..New::named(&format!("{site}-1", site = site.name)) },
                &Actor::System,
            )
        };
        house.app.store.submit(add).await.unwrap();
    }
    house
        .clock
        .set("2026-11-05T12:00:00Z".parse::<jiff::Timestamp>().map(|t| Time(t.as_millisecond())).unwrap());
    let report = house.availability(Period::LastMonth, By::Site);
    let lines: Vec<String> = (0..report.rows.len())
        .map(|row| ["site", "unknown_ms", "availability"].map(|key| cell(&report, row, key)).join(" "))
        .collect();
    let hours = |h: i64| (h * HOUR.0).to_string();
    assert_eq!(lines, [format!("berlin {} ", hours(745)), format!("york {} ", hours(744))]);
    let days = house.availability(Period::Month("2026-10".parse().unwrap()), By::Day);
    let long: Vec<(String, String)> = (0..days.rows.len())
        .map(|row| (cell(&days, row, "day"), cell(&days, row, "unknown_ms")))
        .filter(|(_, ms)| *ms != hours(24))
        .collect();
    assert_eq!((days.rows.len(), long), (62, vec![("2026-10-25".to_owned(), hours(25))]));
}

#[tokio::test]
async fn readings_are_told_as_finely_as_they_are_kept() {
    let mut house = House::new().await;
    let check = house.pinged("ap", &[]).await;
    let told = |house: &House, every: Every| {
        let of = house.app.store.read(|tx| checks::of_device(tx, house.find("ap").id)).unwrap();
        let interval = (START, house.now());
        let settings = house.app.known().settings.clone();
        let zone = TimeZone::UTC;
        let read = |tx: &crate::store::Tx<'_>| {
            reports::history::readings(tx, &of, interval, every, (&settings, &zone), None)
        };
        house.app.store.read(read).unwrap().rows.len()
    };
    for _ in 0..6 {
        house.probed(&[(check, Good)]).await;
        house.clock.advance(Millis::from_secs(20));
    }
    let all = [Every::Reading, Every::Minute, Every::Hour, Every::Day];
    assert_eq!(all.map(|every| told(&house, every)), [6, 2, 1, 1]);
    house.clock.advance(HOUR.times(2));
    tick::settle(&house.app).await.unwrap();
    assert_eq!(house.app.store.read(|tx| checks::count_readings(tx, check)).unwrap(), 0, "they are packed");
    assert_eq!(all.map(|every| told(&house, every)), [6, 2, 1, 1]);
    for (days, lines) in [(3, [2, 2, 1, 1]), (10, [1, 1, 1, 1]), (100, [1, 1, 1, 1]), (2_000, [0, 0, 0, 0])] {
        house.clock.set(START + HOUR.times(24 * days));
        jobs::maintain_if_due(&house.app).await.unwrap();
        house.clock.advance(HOUR.times(24));
        jobs::maintain_if_due(&house.app).await.unwrap();
        assert_eq!(all.map(|every| told(&house, every)), lines, "after {days} days");
    }
    let left = house
        .app
        .store
        .read(|tx| history::rollups(tx, crate::domain::rollup::Level::Day, check, (Time::MIN, Time::MAX)));
    assert!(left.unwrap().is_empty());
}

#[tokio::test]
async fn a_backlog_days_old_reaches_the_roll_ups() {
    let house = House::new().await;
    let mut agent = house.joined("gw").await;
    house.check_in(&mut agent).await;
    let since = house.now();
    house.clock.advance(HOUR.times(50));
    tick::settle(&house.app).await.unwrap();
    house.deliver_since(&mut agent, since + Millis::from_secs(10)).await;
    house.clock.advance(HOUR.times(2));
    for _ in 0..20 {
        house.clock.advance(SECOND);
        tick::settle(&house.app).await.unwrap();
    }
    let check = house.app.store.read(|tx| checks::of_device(tx, agent.device)).unwrap().remove(0).id;
    let days = house
        .app
        .store
        .read(|tx| history::rollups(tx, crate::domain::rollup::Level::Day, check, (Time::MIN, Time::MAX)))
        .unwrap();
    assert_eq!(days.iter().map(|day| day.ok).sum::<u64>(), agent.seq);
    assert_eq!(house.app.store.read(|tx| checks::count_readings(tx, check)).unwrap(), 0);
}
