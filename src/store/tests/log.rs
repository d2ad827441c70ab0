//! The log forgets what is old, and finds where that ends without reading it all.

use schedules::{Clock, Millis, Time};
use serde_json::json;

use crate::domain::event::{About, Kind};
use crate::domain::ids::EventId;
use crate::store::events::{self, Actor};
use crate::store::filter::{Page, Selection};
use crate::store::{Mode, Result, Store};

const HOUR: Millis = Millis::from_secs(3_600);

#[test]
fn what_is_old_is_forgotten_and_what_happened_to_devices_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::manual(Time(0));
    let store = Store::open(&folder.path().join("lineman.db"), clock.clone(), Mode::Create).unwrap();
    let kinds = [Kind::SettingChanged, Kind::DeviceState, Kind::PingLogged, Kind::OutageBegan];
    for kind in kinds.into_iter().cycle().take(100) {
        store
            .write(move |tx| events::record(tx, &Actor::System, kind, About::default(), &json!({})))
            .unwrap();
        clock.advance(HOUR);
    }
    let first = |hours: i64| store.read(|tx| events::first_since(tx, Time(0) + HOUR.times(hours))).unwrap();
    assert_eq!([first(0), first(1), first(60), first(99)], [1, 2, 61, 100].map(EventId));
    assert_eq!(first(1_000), EventId(101), "all are older");
    let counts = || {
        let all = store.read(|tx| events::list(tx, &Selection::all(), &Page::default())).unwrap();
        let of = |kind: Kind| all.iter().filter(|event| event.kind == kind.as_str()).count();
        kinds.map(of)
    };
    assert_eq!(counts(), [25; 4]);
    store.write(|tx| events::prune_pings(tx, (EventId(1), EventId(81)), 1_000)).unwrap();
    assert_eq!(counts(), [25, 25, 5, 25]);
    let prune = |from, window| store.write(move |tx| events::prune(tx, (EventId(from), EventId(41)), window));
    assert_eq!(prune(1, 20).unwrap(), 5, "a piece at a time");
    assert_eq!(prune(21, 1_000).unwrap(), 5, "and not beyond the end");
    assert_eq!(counts(), [15, 25, 5, 25]);
    let none = store.write(|tx| -> Result<usize> { events::prune(tx, (EventId(0), EventId(0)), 10) });
    assert_eq!(none.unwrap(), 0);
}
