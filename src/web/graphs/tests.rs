//! Graphs of what stands in a store.

use agent::report::Outcome;
use jiff::tz::TimeZone;
use schedules::{Clock, Millis, Time};

use super::*;
use crate::domain::device::State;
use crate::domain::ids::CheckId;
use crate::store::checks::{Check, Measured, New, Reading};
use crate::store::events::Actor;
use crate::store::{Mode, Store, WriteTx, devices, history, sites, states};

const NOW: Time = Time(1_795_608_000_000);
const MINUTE: i64 = 60_000;

struct Home {
    store: Store,
    _folder: tempfile::TempDir,
}

/// A home with a device that was added 40 days ago, its check, and a reading a minute but for one hour.
fn home(days: i64) -> Home {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::manual(NOW - Millis::from_secs(40 * 86_400));
    let store = Store::open(&folder.path().join("lineman.db"), clock.clone(), Mode::Create).unwrap();
    let check = store
        .write(|tx: &WriteTx<'_>| -> Result<Check> {
            let site = sites::add(tx, "Leipzig", "Europe/Berlin", "", &Actor::System)?;
            let core = devices::add(tx, &devices::New::named("core"), &Actor::System)?;
            let new = devices::New {
                site: Some(site.id),
                parents: vec![core.name],
                ..devices::New::named("router")
            };
            let device = devices::add(tx, &new, &Actor::System)?;
            states::changed(tx, device.id, tx.now, State::Up, "it answers")?;
            let new = New { cadence: Some("1m".to_owned()), ..New::plain(device.id, Kind::Icmp) };
            checks::add(tx, &new, &Actor::System)
        })
        .unwrap();
    clock.set(NOW);
    store.write(move |tx: &WriteTx<'_>| readings(tx, check.id, days * 1_440)).unwrap();
    Home { store, _folder: folder }
}

fn readings(tx: &WriteTx, check: CheckId, many: i64) -> Result<()> {
    for ago in (0..many).filter(|ago| !(100..160).contains(ago)) {
        let is_lost = ago == 30;
        let reading = Reading {
            at: NOW - Millis(ago * MINUTE + 1),
            seq: u64::try_from(many - ago).unwrap(),
            outcome: if is_lost { Outcome::Fail } else { Outcome::Ok },
            measured: Measured {
                rtt_us: (!is_lost).then_some(20_000),
                loss_permille: Some(if is_lost { 1_000 } else { 0 }),
                ..Measured::default()
            },
        };
        checks::keep_reading(tx, check, &reading)?;
    }
    history::roll_up(tx, 1_000_000)?;
    Ok(())
}

impl Home {
    fn read<T>(&self, f: impl FnOnce(&Tx<'_>) -> Result<T>) -> T {
        self.store.read(f).unwrap()
    }

    fn check(&self) -> Check {
        self.read(|tx| Ok(checks::of_device(tx, devices::get(tx, "router")?.id)?.remove(0)))
    }

    fn latency(&self, long: Millis) -> latency::Latency {
        let check = self.check();
        self.read(|tx| load::latency(tx, &check, load::until_now(NOW, long), &settings::load(tx)?))
    }
}

#[test]
fn whatever_the_span_no_more_points_are_drawn_than_are_seen() {
    let home = home(3);
    for (word, _, long) in SPANS {
        let latency = home.latency(*long);
        assert!(!latency.points.is_empty(), "{word}");
        assert!(latency.points.len() <= 400, "{word}: {}", latency.points.len());
        assert!(latency.points.windows(2).all(|two| two[0].end_of() <= two[1].at), "{word}");
    }
    let runs = |long: Millis| home.latency(long).points.iter().map(|point| point.runs).sum::<u64>();
    assert_eq!(runs(Millis(60 * MINUTE)), 60);
    assert_eq!(
        runs(Millis(1_440 * MINUTE)),
        1_380,
        "none is lost or counted twice where it is taken together"
    );
}

impl latency::Point {
    fn end_of(&self) -> Time {
        self.at + self.long
    }
}

#[test]
fn a_device_is_drawn_with_its_gaps_and_its_losses() {
    let home = home(3);
    let draw = |long: Millis| {
        home.read(|tx| device(tx, &devices::get(tx, "router")?, long, NOW, &TimeZone::UTC)).into_string()
    };
    let text = draw(span(Some("hour")));
    assert_eq!(text.matches("<svg").count(), 3, "the strip, the line, and what the strip's looks mean");
    assert_eq!(text.matches("class=\"trace\"").count(), 2, "one run is lost: {text}");
    assert!(text.contains("100 % lost") && text.contains("icmp of router from the server"), "{text}");
    let text = draw(span(None));
    assert_eq!(text.matches("class=\"trace\"").count(), 2, "an hour without readings");
    assert!(text.contains("20 % lost"), "one of five runs: {text}");
    let text = draw(span(Some("month")));
    assert!(text.contains("Availability of router by the day") && text.contains("100.000 %"), "{text}");
    for part in ["style=", "NaN", "inf", "<script"] {
        assert!(!text.contains(part), "{part}: {text}");
    }
    let ids: Vec<&str> = text.split(" id=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    let mut once = ids.clone();
    once.sort_unstable();
    once.dedup();
    assert_eq!(once.len(), ids.len(), "{ids:?}");
}

#[test]
fn a_site_is_a_tree_with_what_it_hangs_on_elsewhere() {
    let home = home(0);
    let text = home.read(|tx| site_tree(tx, &sites::get(tx, "Leipzig")?)).into_string();
    assert!(text.contains("<small>(no site)</small>"), "{text}");
    assert!(text.find(">core<").unwrap() < text.find(">router<").unwrap(), "{text}");
}
