//! Stories in one process on a turned clock: what is reported, and what follows from it.

mod calendar;
mod diagnosis;
mod history;
mod impostor;
mod notify;
mod people;
mod properties;
mod reports;
mod scenarios;
mod stories;

use std::net::IpAddr;
use std::sync::Arc;

use agent::report::{CheckIn, CheckResult, Outcome, Record, Reply, Status, What};
use schedules::{Clock, Millis, Time};

use super::ingest::{self, Credential, Refused};
use super::{start, tick};
use crate::app::App;
use crate::domain::check::Kind;
use crate::domain::device::State;
use crate::domain::ids::{CheckId, DeviceId};
use crate::store::devices::{Device, New};
use crate::store::events::Actor;
use crate::store::filter::{Page, Selection};
use crate::store::outages::Outage;
use crate::store::tickets::Ticket;
use crate::store::{Mode, Store, agents, checks, devices, events, outages, settings, tickets};

const START: Time = Time(1_795_356_000_000);

/// A server without its processes: the store, the steps, and a clock that is turned.
struct House {
    app: App,
    clock: Clock,
    this_machine: DeviceId,
    local_seq: u64,
    _dir: Arc<tempfile::TempDir>,
}

/// An agent as the server knows it: who it is, and how far its log goes.
struct Caller {
    device: DeviceId,
    secret: [u8; 32],
    seq: u64,
}

impl House {
    /// A house with intervals of 10 s, a grace of 5 s, and tickets after 20 s.
    async fn new() -> House {
        let dir = tempfile::tempdir().unwrap();
        let clock = Clock::manual(START);
        let store = Store::open(&dir.path().join("lineman.db"), clock.clone(), Mode::Create).unwrap();
        let by = Actor::Person("ana".to_owned());
        for (key, value) in [
            ("check_in.every", "10s"),
            ("check_in.grace", "5s"),
            ("check.retry", "1s"),
            ("check.timeout", "1s"),
            ("ticket.group_wait", "20s"),
            ("ticket.settle", "5m"),
        ] {
            let by = by.clone();
            store.submit(move |tx| settings::set(tx, key, value, &by)).await.unwrap();
        }
        let app = App::new(store, clock.clone()).unwrap();
        let this_machine = start::start(&app).await.unwrap();
        // Its own agent does not run in these stories.
        app.store.submit(move |tx| devices::pause(tx, this_machine, &Actor::System)).await.unwrap();
        House { app, clock, this_machine, local_seq: 0, _dir: Arc::new(dir) }
    }

    fn now(&self) -> Time {
        self.clock.now()
    }

    /// Turns the clock second by second; all that falls due is done.
    async fn turn(&self, secs: i64) {
        for _ in 0..secs {
            self.clock.advance(Millis::from_secs(1));
            tick::settle(&self.app).await.unwrap();
        }
    }

    async fn device(&self, name: &str, parents: &[&str]) -> DeviceId {
        let parents = parents.iter().map(|p| (*p).to_owned()).collect();
        let new = New { parents, ..New::named(name) };
        let by = Actor::Person("ana".to_owned());
        self.app.store.submit(move |tx| devices::add(tx, &new, &by)).await.unwrap().id
    }

    /// A device with an address and a ping check that the server's agent runs.
    async fn pinged(&self, name: &str, parents: &[&str]) -> CheckId {
        let device = self.device(name, parents).await;
        self.probe(device).await
    }

    /// A ping check of a device, which the server's agent runs.
    async fn probe(&self, device: DeviceId) -> CheckId {
        let new = checks::New {
            probe: Some(super::config::contact_probe()),
            ..checks::New::plain(device, Kind::Icmp)
        };
        self.app.store.submit(move |tx| checks::add(tx, &new, &Actor::System)).await.unwrap().id
    }

    /// The same house after its server was stopped and started again.
    async fn restarted(&self) -> House {
        let clock = self.clock.clone();
        self.app.store.close();
        let store = Store::open(&self._dir.path().join("lineman.db"), clock.clone(), Mode::Existing).unwrap();
        let app = App::new(store, clock.clone()).unwrap();
        let this_machine = start::start(&app).await.unwrap();
        tick::settle(&app).await.unwrap();
        House { app, clock, this_machine, local_seq: self.local_seq, _dir: self._dir.clone() }
    }

    async fn joined(&self, name: &str) -> Caller {
        self.joined_on(name, &[]).await
    }

    async fn joined_on(&self, name: &str, parents: &[&str]) -> Caller {
        let device = self.device(name, parents).await;
        let secret: [u8; 32] =
            std::array::from_fn(|at| u8::try_from(at).unwrap() ^ u8::try_from(device.0).unwrap());
        self.app
            .store
            .submit(move |tx| agents::join(tx, device, Some(&secret), &serde_json::json!({}), &Actor::System))
            .await
            .unwrap();
        Caller { device, secret, seq: 0 }
    }

    async fn call(&self, who: Credential, call: CheckIn, from: Option<IpAddr>) -> Result<Reply, Refused> {
        let known = self.app.known();
        let answer = self.app.store.submit(move |tx| ingest::check_in(tx, &known, who, &call, from)).await;
        tick::settle(&self.app).await.unwrap();
        answer.unwrap()
    }

    /// The agent checks in with its newest status, from the address of its own device.
    async fn check_in(&self, caller: &mut Caller) {
        let [.., low, last] = caller.device.0.to_be_bytes();
        let from = IpAddr::from([198, 18, low, last]);
        self.check_in_from(caller, Some(from), from).await;
    }

    async fn check_in_from(&self, caller: &mut Caller, own: Option<IpAddr>, seen: IpAddr) {
        caller.seq += 1;
        let record = self.record(caller.seq, What::Status(Status { address: own, ..Status::default() }));
        let call = CheckIn { records: vec![record], ..self.empty_call("a") };
        self.call(Credential::Secret(caller.secret), call, Some(seen)).await.unwrap();
    }

    /// The server's agent tells a result of each of these checks.
    async fn probed(&mut self, results: &[(CheckId, Outcome)]) {
        let mut call = self.empty_call("local");
        for &(check, outcome) in results {
            self.local_seq += 1;
            call.records.push(self.record(self.local_seq, What::Result(result(check, outcome))));
        }
        self.call(Credential::Local(self.this_machine), call, None).await.unwrap();
    }

    fn empty_call(&self, log: &str) -> CheckIn {
        CheckIn {
            sent_at: self.now(),
            sent_mono: Millis(self.now().0),
            log: log.to_owned(),
            ..CheckIn::default()
        }
    }

    fn record(&self, seq: u64, what: What) -> Record {
        Record { seq, at: self.now(), mono: Millis(self.now().0), boot: None, what }
    }

    fn find(&self, name: &str) -> Device {
        self.app.store.read(|tx| devices::get(tx, name)).unwrap()
    }

    fn state(&self, name: &str) -> State {
        self.find(name).state
    }

    fn tickets(&self) -> Vec<Ticket> {
        self.app.store.read(|tx| tickets::list(tx, &Selection::all(), &Page::default())).unwrap()
    }

    #[track_caller]
    fn ticket(&self) -> Ticket {
        let mut all = self.tickets();
        assert_eq!(all.len(), 1, "one trouble has one ticket: {all:#?}");
        all.remove(0)
    }

    fn outages(&self) -> Vec<Outage> {
        self.app.store.read(|tx| outages::list(tx, &Selection::all(), &Page::default())).unwrap()
    }

    /// What happened to a device, by kind.
    fn happened(&self, kind: &str) -> usize {
        let all = self.app.store.read(|tx| events::list(tx, &Selection::all(), &Page::default())).unwrap();
        all.iter().filter(|event| event.kind == kind).count()
    }
}

fn result(check: CheckId, outcome: Outcome) -> CheckResult {
    CheckResult {
        check: check.0,
        outcome,
        in_a_row: 0,
        since: None,
        rtt_us: None,
        loss_permille: None,
        message: String::new(),
    }
}
