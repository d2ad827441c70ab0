//! What is offered to whoever types a query is what fits best, however large the network.

use schedules::Clock;

use crate::store::{Mode, Store, args, devices, offers};

#[test]
fn of_ten_thousand_devices_the_twenty_that_fit_best_are_offered() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("lineman.db"), Clock::system(), Mode::Create).unwrap();
    store
        .write(|tx| {
            for n in 0..10_000 {
                let (name, address) = (format!("rack-{n}"), format!("10.0.{}.{}", n / 250, n % 250));
                tx.run(
                    "INSERT INTO device (name, address, state_since, created_at) VALUES ($1, $2, 0, 0)",
                    args![name, address],
                )?;
            }
            Ok::<(), crate::store::Error>(())
        })
        .unwrap();
    let column = |key: &str| devices::QUERY.iter().find(|column| column.key == key).unwrap();
    let values = |key: &str, text: &str| store.read(|tx| offers::values(tx, column(key), text, 20)).unwrap();
    assert_eq!(values("name", "RACK-99")[..2], ["rack-99", "rack-990"]);
    assert_eq!(values("name", "%"), Vec::<String>::new(), "nothing stands for anything else");
    for (key, text) in [("name", ""), ("name", "k-9"), ("address", "10."), ("site", ""), ("tag", "x")] {
        let some = values(key, text).len();
        assert_eq!(some, if ["name", "address"].contains(&key) { 20 } else { 0 }, "{key}:{text}");
    }
}
