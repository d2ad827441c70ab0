//! Runs the stories in `tests/scenarios/`: a network in which things break and are mended, and what is to be seen of it.
//! Each is told twice: once as it stands, and once with the server restarted before every line.
//!
//! A line without a time sets the scene; one with a time (`minutes:seconds` from the start) breaks, mends or does
//! something, or says what must be seen then. What is not reachable in the network does not answer, and agents behind it do
//! not come through. The verbs are those of `Scene::tell`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use agent::report::Outcome;

use super::notify::Phone;
use super::*;
use crate::domain::notify::channel::{Channel, Command};
use crate::domain::notify::rule::Rule;
use crate::server::notify::outbox::Outbox;
use crate::store::notify::entries::{self, Destination};
use crate::store::notify::{looks, outbox};
use crate::store::{maintenance, sites};

/// A network, and the server that watches it.
pub(super) struct Scene {
    pub(super) house: House,
    /// The story's name and line, for whoever reads that it failed.
    place: String,
    devices: BTreeMap<String, Thing>,
    /// What of the network is broken; `line` is the server's own way out.
    broken: BTreeSet<String>,
    /// Whose agents say nothing.
    mute: BTreeSet<String>,
    /// Who does not answer from outside.
    blocked: BTreeSet<String>,
    /// What goes up and down, how often, and until when.
    swinging: BTreeMap<String, (i64, Time)>,
    began: Time,
    /// When each check last ran, and how often somebody had wanted it by then.
    ran: BTreeMap<i64, (Time, u64)>,
    /// What was proved of each device, and when: whether it answered, or its agent came through.
    proofs: BTreeMap<String, Vec<(Time, bool)>>,
    restarts: Restarts,
    phone: Phone,
    outbox: Outbox<Phone>,
    /// What was said to people since the story last asked.
    said: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Restarts {
    Never,
    BeforeEachLine,
}

struct Thing {
    parents: Vec<String>,
    agent: Option<Caller>,
}

const EVERY: Millis = Millis::from_secs(10);
const RETRY: Millis = Millis::from_secs(1);

impl Scene {
    pub(super) async fn new(restarts: Restarts) -> Scene {
        let house = House::new().await;
        for (key, value) in [
            ("check.every", "10s"),
            ("blind.window", "20s"),
            ("flap.window", "5m"),
            ("flap.quiet", "3m"),
            ("agent.retry_max", "20s"),
            ("notify.group_wait", "0s"),
            ("notify.group_interval", "0s"),
        ] {
            let by = Actor::Person("ana".to_owned());
            house.app.store.submit(move |tx| settings::set(tx, key, value, &by)).await.unwrap();
        }
        house.app.refresh().unwrap();
        let phone = Phone::default();
        let outbox = Outbox::new(house.app.clone(), phone.clone()).await.unwrap();
        let began = house.now();
        Scene {
            house,
            place: String::new(),
            devices: BTreeMap::new(),
            broken: BTreeSet::new(),
            mute: BTreeSet::new(),
            blocked: BTreeSet::new(),
            swinging: BTreeMap::new(),
            began,
            ran: BTreeMap::new(),
            proofs: BTreeMap::new(),
            restarts,
            phone,
            outbox,
            said: Vec::new(),
        }
    }

    /// Whether a device can be reached from the server.
    fn is_reached(&self, name: &str) -> bool {
        if self.broken.contains("line") || self.broken.contains(name) {
            return false;
        }
        if let Some((every, until)) = self.swinging.get(name)
            && self.house.now() < *until
            && self.house.now().since(self.began).0 / (every * 1000) % 2 == 0
        {
            return false;
        }
        let thing = &self.devices[name];
        thing.parents.is_empty() || thing.parents.iter().any(|parent| self.is_reached(parent))
    }

    /// A second passes: what is due is probed, agents call, the server does what falls due.
    async fn second(&mut self) {
        self.house.clock.advance(Millis::from_secs(1));
        let now = self.house.now();
        let due = self.house.app.store.read(|tx| checks::to_run(tx, None)).unwrap();
        let mut results = Vec::new();
        for check in due {
            let (last, nudge) = self.ran.get(&check.id.0).copied().unwrap_or((now - EVERY, check.nudge));
            let wait = if check.health.is_some_and(|h| h.is_in_doubt()) { RETRY } else { EVERY };
            if now.since(last) < wait && nudge == check.nudge {
                continue;
            }
            self.ran.insert(check.id.0, (now, check.nudge));
            let name = &check.device.1;
            let answers = self.is_reached(name) && !self.blocked.contains(name);
            // What cannot be seen from here is proved by nobody.
            if !self.broken.contains("line") {
                self.proofs.entry(name.clone()).or_default().push((now, answers));
            }
            results.push((check.id, if answers { Outcome::Ok } else { Outcome::Fail }));
        }
        if !results.is_empty() {
            self.house.probed(&results).await;
        }
        let calls = now.since(self.began).0 % EVERY.0 == 5000;
        let names: Vec<String> =
            self.devices.keys().filter(|name| calls && self.calls(name)).cloned().collect();
        for name in names {
            let mut agent = self.devices.get_mut(&name).unwrap().agent.take().unwrap();
            self.house.check_in(&mut agent).await;
            self.proofs.entry(name.clone()).or_default().push((now, true));
            self.devices.get_mut(&name).unwrap().agent = Some(agent);
        }
        tick::settle(&self.house.app).await.unwrap();
        while self.outbox.start_due().await.unwrap() > 0 {
            while self.outbox.one_ended().await {}
            tick::settle(&self.house.app).await.unwrap();
        }
        let said = self.phone.said.lock().unwrap().drain(..).collect::<Vec<_>>();
        self.said.extend(
            said.into_iter().map(|(who, message)| format!("{who} {} {}", message.news, message.title)),
        );
    }

    /// The server is stopped, and started again.
    async fn restart(&mut self) {
        self.house = self.house.restarted().await;
        self.outbox = Outbox::new(self.house.app.clone(), self.phone.clone()).await.unwrap();
    }

    fn calls(&self, name: &str) -> bool {
        self.devices[name].agent.is_some() && !self.mute.contains(name) && self.is_reached(name)
    }

    /// So many seconds pass.
    pub(super) async fn pass(&mut self, seconds: i64) {
        for _ in 0..seconds {
            self.second().await;
        }
    }

    /// Something goes up and down, every `every` seconds for `seconds`.
    pub(super) fn swing(&mut self, name: &str, every: i64, seconds: i64) {
        self.swinging.insert(name.to_owned(), (every, self.house.now() + Millis::from_secs(seconds)));
    }

    /// Nothing is broken any more.
    pub(super) fn mend_all(&mut self) {
        self.broken.clear();
        self.mute.clear();
        self.blocked.clear();
        self.swinging.clear();
    }

    /// Whoever was told that something broke was told that it is mended.
    pub(super) fn owes_nobody(&self) {
        let store = &self.house.app.store;
        for entry in store.read(|tx| entries::list(tx, &Selection::all(), &Page::default())).unwrap() {
            let owed = store.read(|tx| looks::owed(tx, entry.id)).unwrap();
            assert_eq!(owed, [], "{} is owed", entry.name);
        }
        let state = outbox::State::Waiting;
        let waiting = store.read(|tx| outbox::list(tx, &Selection::all(), &Page::default())).unwrap();
        assert!(waiting.iter().all(|delivery| delivery.state != state), "{waiting:?}");
    }

    async fn until(&mut self, at: Time) {
        while self.house.now() < at {
            self.second().await;
        }
    }

    pub(super) async fn line(&mut self, line: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.first().and_then(|word| clock(word)) {
            None => self.set(&words).await,
            Some(at) => {
                self.until(self.began + at).await;
                if self.restarts == Restarts::BeforeEachLine {
                    self.restart().await;
                }
                self.tell(words[1], &words[2..]).await;
            }
        }
    }

    /// Sets the scene: `site NAME [ZONE]`, `device NAME [at SITE] [on PARENT]… [agent] [silent]`, `set KEY VALUE`.
    async fn set(&mut self, words: &[&str]) {
        let by = Actor::Person("ana".to_owned());
        match words[0] {
            "site" => {
                let (name, zone) = (words[1].to_owned(), words.get(2).unwrap_or(&"UTC").to_string());
                self.house.app.store.submit(move |tx| sites::add(tx, &name, &zone, "", &by)).await.unwrap();
            }
            "set" => {
                let (key, value) = (words[1].to_owned(), words[2].to_owned());
                self.house.app.store.submit(move |tx| settings::set(tx, &key, &value, &by)).await.unwrap();
                self.house.app.refresh().unwrap();
            }
            "start" => {
                let at = crate::domain::when::time(words[1], self.began, &jiff::tz::TimeZone::UTC).unwrap();
                self.house.clock.set(at);
                self.began = at;
                self.restart().await;
            }
            "device" => self.add(words[1], &words[2..]).await,
            "person" => {
                let channel =
                    Channel::Command(Command { program: format!("/{}", words[1]), args: Vec::new() });
                let rule = Rule { when: words[2..].join(" "), ..Rule::everything() };
                let (name, destination) = (words[1].to_owned(), Destination::Channel(Box::new(channel)));
                let new = entries::New { name, destination, rule };
                self.house.app.store.submit(move |tx| entries::add(tx, &new, &by)).await.unwrap();
            }
            other => panic!("{}: nothing is set by '{other}'", self.place),
        }
    }

    async fn add(&mut self, name: &str, words: &[&str]) {
        let after = |key: &str| -> Vec<String> {
            words.windows(2).filter(|pair| pair[0] == key).map(|pair| pair[1].to_owned()).collect()
        };
        let parents = after("on");
        let own: Vec<&str> = parents.iter().map(String::as_str).collect();
        let agent =
            if words.contains(&"agent") { Some(self.house.joined_on(name, &own).await) } else { None };
        if !words.contains(&"unprobed") {
            match &agent {
                Some(agent) => self.house.probe(agent.device).await,
                None => self.house.pinged(name, &own).await,
            };
        }
        if let Some(site) = after("at").first().cloned() {
            let device = self.house.find(name);
            self.house
                .app
                .store
                .submit(move |tx| {
                    let site = Some(sites::get(tx, &site)?.id);
                    devices::edit(tx, device.id, &New { site, ..New::like(&device) }, &Actor::System)
                })
                .await
                .unwrap();
        }
        self.devices.insert(name.to_owned(), Thing { parents, agent });
    }

    /// What happens, and what must be seen.
    pub(super) async fn tell(&mut self, verb: &str, words: &[&str]) {
        match verb {
            "break" | "mend" | "mute" | "unmute" | "block" | "unblock" => self.knows(words),
            "swing" => self.knows(&words[..1]),
            _ => {}
        }
        match verb {
            "break" => self.broken.extend(words.iter().map(|word| (*word).to_owned())),
            "mend" => self.broken.retain(|word| !words.contains(&word.as_str())),
            "mute" => self.mute.extend(words.iter().map(|word| (*word).to_owned())),
            "unmute" => self.mute.retain(|word| !words.contains(&word.as_str())),
            "block" => self.blocked.extend(words.iter().map(|word| (*word).to_owned())),
            "unblock" => self.blocked.retain(|word| !words.contains(&word.as_str())),
            "swing" => {
                let until = self.began + clock(words[2]).unwrap();
                self.swinging.insert(words[0].to_owned(), (words[1].parse().unwrap(), until));
            }
            "restart" => self.restart().await,
            "comment" => {
                let id = self.ticket_of(words[0]).expect("it has a ticket").id;
                let (text, by) = (words[1..].join(" "), Actor::Person("ana".to_owned()));
                let known = self.house.app.known();
                let store = &self.house.app.store;
                store
                    .submit(move |tx| {
                        tickets::comment(tx, &tickets::of(tx, id)?, &text, &by)?;
                        crate::server::tickets::refresh(tx, &known, id, &by)
                    })
                    .await
                    .unwrap();
            }
            "maintain" => self.maintain(words[0], clock(words[1]).unwrap()).await,
            "told" => {
                let wanted = words.join(" ");
                let at = self.said.iter().position(|said| said.starts_with(&wanted));
                assert!(at.is_some(), "{}: of {:#?}", self.place, self.said);
                self.said.remove(at.unwrap());
            }
            "told-nothing" => assert!(self.said.is_empty(), "{}: {:#?}", self.place, self.said),
            "state" => self.sees_state(words[0], words[1]),
            "states" => {
                let meant: Vec<_> = self.devices.keys().filter(|name| matches(name, words[0])).collect();
                assert!(!meant.is_empty(), "{}: nobody is called {}", self.place, words[0]);
                meant.into_iter().for_each(|name| self.sees_state(name, words[1]));
            }
            "ticket" => self.sees_ticket(words[0], &words[1..]),
            "no-ticket" => words.iter().for_each(|name| self.sees_no_ticket(name)),
            "tickets" => self.sees_count("tickets opened", self.house.happened("ticket.opened"), words[0]),
            "unfinished" => {
                let open = self.house.tickets().iter().filter(|ticket| !ticket.state.is_done()).count();
                self.sees_count("tickets that are not done", open, words[0]);
            }
            "event" => self.sees_count(words[0], self.house.happened(words[0]), words[1]),
            "outage" => self.sees_outage(words[0], words[1], words.get(2).copied()),
            "flaps" => assert!(self.house.find(words[0]).flapping_since.is_some(), "{}", self.place),
            "steady" => assert!(self.house.find(words[0]).flapping_since.is_none(), "{}", self.place),
            other => panic!("{}: nobody knows how to '{other}'", self.place),
        }
    }

    /// Whether all that is named is there to be broken and mended.
    fn knows(&self, names: &[&str]) {
        assert!(!names.is_empty(), "{}: of what?", self.place);
        for name in names {
            let is_known = *name == "line" || self.devices.contains_key(*name);
            assert!(is_known, "{}: nobody is called {name}", self.place);
        }
    }

    async fn maintain(&self, name: &str, until: Millis) {
        let (device, until) = (self.house.find(name), self.began + until);
        let new = maintenance::New {
            subject: maintenance::Subject::Device(device.id, device.name),
            when: maintenance::When::Once(self.house.now(), until),
            time_zone: "UTC".to_owned(),
            note: String::new(),
        };
        self.house.app.store.submit(move |tx| maintenance::add(tx, &new, &Actor::System)).await.unwrap();
        tick::settle(&self.house.app).await.unwrap();
    }

    fn sees_count(&self, what: &str, seen: usize, wanted: &str) {
        assert_eq!(seen.to_string(), wanted, "{}: {what}", self.place);
    }

    fn sees_state(&self, name: &str, wanted: &str) {
        let device = self.house.find(name);
        assert_eq!(device.state.as_str(), wanted, "{}: {name} ({})", self.place, device.reason);
    }

    fn ticket_of(&self, name: &str) -> Option<Ticket> {
        let mut all = self.house.tickets();
        all.retain(|ticket| ticket.device.as_ref().is_some_and(|device| device.1 == name));
        all.sort_by_key(|ticket| ticket.id);
        all.pop()
    }

    fn sees_no_ticket(&self, name: &str) {
        let ticket = self.ticket_of(name);
        assert!(ticket.is_none(), "{}: {name} has {ticket:?}", self.place);
    }

    /// `ticket DEVICE STATE [P1…P5] [affects A,B|affects N] [recurred N] [into DEVICE]`
    fn sees_ticket(&self, name: &str, words: &[&str]) {
        let Some(ticket) = self.ticket_of(name) else { panic!("{}: {name} has no ticket", self.place) };
        assert_eq!(ticket.state.as_str(), words[0], "{}: {ticket:?}", self.place);
        let mut rest = words[1..].iter();
        while let Some(word) = rest.next() {
            match *word {
                "affects" => {
                    let wanted = rest.next().unwrap();
                    match wanted.parse::<usize>() {
                        Ok(count) => assert_eq!(ticket.affected.len(), count, "{}", self.place),
                        Err(_) => assert_eq!(ticket.affected.join(","), *wanted, "{}", self.place),
                    }
                }
                "recurred" => {
                    let wanted = rest.next().unwrap();
                    assert_eq!(ticket.recurrences.to_string(), *wanted, "{}", self.place);
                }
                "into" => {
                    let root = self.ticket_of(rest.next().unwrap()).unwrap();
                    assert_eq!(ticket.merged_into, Some(root.id), "{}", self.place);
                }
                priority => assert_eq!(ticket.priority.as_str(), priority, "{}: {ticket:?}", self.place),
            }
        }
    }

    /// `outage DEVICE FROM [TO]`: its newest one. It began with the first proof of a run that failed, and ended with the
    /// first that was good, within a second; never at the moment when that was confirmed. The story tells these times.
    fn sees_outage(&self, name: &str, from: &str, to: Option<&str>) {
        let mut all = self.house.outages();
        all.retain(|outage| outage.device.1 == name);
        let outage = all.pop().unwrap_or_else(|| panic!("{}: {name} had no outage", self.place));
        let near = |at: Time, wanted: &str, is_good: bool| {
            let told = self.began + clock(wanted).unwrap();
            let turn = self.turn_near(name, told, is_good);
            let off = (at.since(turn).0, turn.since(told).0);
            assert!(off.0.abs() <= 1_000, "{}: {wanted} is off by {} ms: {outage:?}", self.place, off.0);
            assert!(off.1.abs() <= 1_000, "{}: {wanted} was {} ms later", self.place, off.1);
        };
        near(outage.started_at, from, false);
        match (to, outage.ended_at) {
            (Some(to), Some(at)) => near(at, to, true),
            (None, None) => {}
            (to, ended) => panic!("{}: {name}: ended {ended:?}, not {to:?}", self.place),
        }
    }

    /// When, next to `at`, a device's proofs turned good, or turned to fail.
    fn turn_near(&self, name: &str, at: Time, is_good: bool) -> Time {
        let proofs = self.proofs.get(name).map(Vec::as_slice).unwrap_or_default();
        let turns = proofs.windows(2).filter(|two| two[0].1 != two[1].1 && two[1].1 == is_good);
        let nearest = turns.map(|two| two[1].0).min_by_key(|turn| turn.since(at).0.abs());
        nearest.unwrap_or_else(|| panic!("{}: it never turned so: {proofs:?}", self.place))
    }
}

/// Whether a name is meant by one that may end in `*`.
fn matches(name: &str, pattern: &str) -> bool {
    pattern.strip_suffix('*').map_or(name == pattern, |start| name.starts_with(start))
}

fn clock(word: &str) -> Option<Millis> {
    let (minutes, seconds) = word.split_once(':')?;
    Some(Millis::from_secs(minutes.parse::<i64>().ok()? * 60 + seconds.parse::<i64>().ok()?))
}

/// Every name of `ap-{1..40}` that a line may hold.
fn spread(line: &str) -> Vec<String> {
    let Some((before, rest)) = line.split_once('{') else { return vec![line.to_owned()] };
    let (range, after) = rest.split_once('}').unwrap();
    let (from, to) = range.split_once("..").unwrap();
    let (from, to): (i64, i64) = (from.parse().unwrap(), to.parse().unwrap());
    (from..=to).map(|i| format!("{before}{i}{after}").replace("{}", &i.to_string())).collect()
}

async fn run(path: &Path, restarts: Restarts) {
    let mut scene = Scene::new(restarts).await;
    let text = std::fs::read_to_string(path).unwrap();
    for (number, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        scene.place =
            format!("{}:{}: {line} ({restarts:?})", path.file_name().unwrap().to_string_lossy(), number + 1);
        for line in spread(line) {
            scene.line(&line).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_story_comes_out_as_it_is_told_also_when_the_server_is_restarted_in_the_middle() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let wanted = std::env::var("SCENARIO").unwrap_or_default();
    let mut tasks = tokio::task::JoinSet::new();
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|end| end != "story") || !path.to_string_lossy().contains(&wanted) {
            continue;
        }
        for restarts in [Restarts::Never, Restarts::BeforeEachLine] {
            let path = path.clone();
            tasks.spawn(async move { run(&path, restarts).await });
            count += 1;
        }
    }
    let mut failed = Vec::new();
    while let Some(ended) = tasks.join_next().await {
        if let Err(error) = ended {
            failed.push(error.to_string());
        }
    }
    assert!(count > 0, "there are stories");
    assert!(failed.is_empty(), "{} of {count} stories: {}", failed.len(), failed.join("\n"));
}
