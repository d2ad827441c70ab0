//! What holds whatever the network looks like, and whatever breaks in it.

use std::collections::HashMap;

use proptest::prelude::*;
use proptest::test_runner::Config;

use super::scenarios::{Restarts, Scene};
use super::*;
use crate::domain::ids::EventId;
use crate::store::events::Event;

/// What happens to a network.
#[derive(Clone, Debug)]
enum Happens {
    Break(usize),
    Mend(usize),
    Line(bool),
    Mute(usize, bool),
    Swing(usize),
    Restart,
}

/// A network: of each device its site, its parents among those before it, and whether an agent runs on it.
type Network = Vec<(Option<usize>, Vec<usize>, bool)>;

fn network() -> impl Strategy<Value = Network> {
    let device = (
        prop::option::weighted(0.8, 0..4_usize),
        prop::collection::vec(any::<prop::sample::Index>(), 0..3),
        prop::bool::weighted(0.3),
    );
    prop::collection::vec(device, 1..9).prop_map(|devices| {
        let parents = |at: usize, picks: Vec<prop::sample::Index>| {
            if at == 0 { Vec::new() } else { picks.iter().map(|pick| pick.index(at)).collect() }
        };
        devices
            .into_iter()
            .enumerate()
            .map(|(at, (site, picks, agent))| (site, parents(at, picks), agent))
            .collect()
    })
}

fn happens() -> impl Strategy<Value = Happens> {
    prop_oneof![
        6 => (0..9_usize).prop_map(Happens::Break),
        4 => (0..9_usize).prop_map(Happens::Mend),
        1 => any::<bool>().prop_map(Happens::Line),
        1 => (0..9_usize, any::<bool>()).prop_map(|(at, mute)| Happens::Mute(at, mute)),
        1 => (0..9_usize).prop_map(Happens::Swing),
        1 => Just(Happens::Restart),
    ]
}

async fn built(network: &Network) -> Scene {
    let mut scene = Scene::new(Restarts::Never).await;
    for line in [
        "set ticket.settle 1m",
        "set flap.quiet 1m",
        "person ana",
        "person ben priority:P1,P2",
        "site s-0",
        "site s-1",
        "site s-2",
        "site s-3",
    ] {
        scene.line(line).await;
    }
    for (at, (site, parents, agent)) in network.iter().enumerate() {
        let mut line = format!("device d-{at}");
        if let Some(site) = site {
            line.push_str(&format!(" at s-{site}"));
        }
        for parent in parents {
            line.push_str(&format!(" on d-{parent}"));
        }
        if *agent {
            line.push_str(" agent");
        }
        scene.line(&line).await;
    }
    scene.pass(15).await;
    scene
}

async fn apply(scene: &mut Scene, count: usize, happens: &Happens) {
    let name = |at: &usize| format!("d-{}", at % count);
    match happens {
        Happens::Break(at) => scene.tell("break", &[&name(at)]).await,
        Happens::Mend(at) => scene.tell("mend", &[&name(at)]).await,
        Happens::Line(true) => scene.tell("break", &["line"]).await,
        Happens::Line(false) => scene.tell("mend", &["line"]).await,
        Happens::Mute(at, true) => scene.tell("mute", &[&name(at)]).await,
        Happens::Mute(at, false) => scene.tell("unmute", &[&name(at)]).await,
        Happens::Swing(at) => scene.swing(&name(at), 15, 120),
        Happens::Restart => scene.tell("restart", &[]).await,
    }
}

/// The log from `after` on, as it stands.
fn log(scene: &Scene, after: EventId) -> Vec<Event> {
    let all = scene.house.app.store.read(|tx| events::after(tx, after, &Selection::all(), 100_000));
    all.unwrap()
}

/// No ticket is opened for a device to which every path is down.
fn no_ticket_behind_a_fault(scene: &Scene, events: &[Event]) {
    for event in events {
        if !matches!(event.kind.as_str(), "ticket.opened" | "ticket.unmerged" | "ticket.reopened") {
            continue;
        }
        let Some((device, _)) = &event.device else { continue };
        let parents = scene.house.app.store.read(|tx| devices::parents(tx, *device)).unwrap();
        let gone = !parents.is_empty() && parents.iter().all(|(_, parent)| parent.state.is_out());
        let own = scene.house.app.store.read(|tx| devices::of(tx, *device)).unwrap();
        assert!(
            !gone || own.flapping_since.is_some(),
            "{} of {} whose parents are {parents:?}",
            event.kind,
            own.name
        );
    }
}

/// The state that the log tells is the state that is stored.
fn the_log_tells_the_states(scene: &Scene) {
    let mut told = HashMap::new();
    for event in log(scene, EventId(0)) {
        if event.kind == "device.state" {
            told.insert(event.device.unwrap().0, event.body["to"].as_str().unwrap().to_owned());
        }
    }
    for device in
        scene.house.app.store.read(|tx| devices::list(tx, &Selection::all(), &Page::default())).unwrap()
    {
        let told = told.get(&device.id).map_or("unknown", String::as_str);
        assert_eq!(told, device.state.as_str(), "{}", device.name);
    }
}

async fn holds(network: Network, story: Vec<(u8, Happens)>) {
    let mut scene = built(&network).await;
    let mut seen = EventId(0);
    for (wait, happens) in &story {
        apply(&mut scene, network.len(), happens).await;
        for _ in 0..*wait {
            scene.pass(1).await;
            let new = log(&scene, seen);
            no_ticket_behind_a_fault(&scene, &new);
            seen = new.last().map_or(seen, |event| event.id);
        }
    }
    scene.mend_all();
    scene.pass(240).await;
    the_log_tells_the_states(&scene);
    for at in 0..network.len() {
        assert_eq!(
            scene.house.state(&format!("d-{at}")),
            State::Up,
            "all is well: {}",
            scene.house.find(&format!("d-{at}")).reason
        );
    }
    let lasting: Vec<Outage> = scene.house.outages().into_iter().filter(|o| o.ended_at.is_none()).collect();
    assert!(lasting.is_empty(), "{lasting:?}");
    let open: Vec<Ticket> = scene.house.tickets().into_iter().filter(|t| !t.state.is_done()).collect();
    assert!(open.is_empty(), "{open:?}");
    scene.owes_nobody();
}

proptest! {
    #![proptest_config(Config { cases: std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(12), ..Config::default() })]
    #[test]
    fn whatever_breaks_all_is_well_and_nothing_is_owed_once_all_is_mended(
        network in network(),
        story in prop::collection::vec((1..50_u8, happens()), 1..10),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(holds(network, story));
    }
}
