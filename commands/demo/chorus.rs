//! Says what lineman makes of the story: of all that it writes into its log, what a person would be told.

use std::collections::BTreeMap;

use lineman::app::App;
use lineman::domain::device::State;
use lineman::domain::event::Kind;
use lineman::domain::ids::EventId;
use lineman::store::events::{self, Event};
use lineman::store::filter::Selection;
use lineman::store::tickets;
use schedules::{Millis, Time};

use crate::failure::Failure;

/// The most events that are read at a time.
const MOST: u32 = 500;

/// How long a device is degraded before that is told: on its way down, or up again, many are for a moment.
const LASTS: Millis = Millis::from_secs(6);
/// A verdict that is less sure is not told, in percent.
const SURE: i64 = 50;

/// How far the log has been read, and what may be told later.
pub struct Chorus {
    app: App,
    seen: EventId,
    version: i64,
    /// The devices that are degraded, each since when and why.
    degraded: BTreeMap<String, (Time, String)>,
    /// What was said last: one fault that many outages have is told once.
    last: String,
}

impl Chorus {
    /// One that tells what happens from now on.
    pub fn new(app: App) -> Result<Chorus, Failure> {
        let seen = app.store.read(events::newest)?;
        Ok(Chorus { app, seen, version: 0, degraded: BTreeMap::new(), last: String::new() })
    }

    /// What happened since the last time, a sentence each.
    pub fn news(&mut self, now: Time) -> Result<Vec<String>, Failure> {
        let mut said = Vec::new();
        let version = self.app.store.version();
        if version != self.version {
            self.version = version;
            self.read(&mut said)?;
        }
        self.degraded.retain(|device, (since, why)| {
            let lasts = now.since(*since) >= LASTS;
            if lasts {
                said.push(format!("{device} is degraded: {why}"));
            }
            !lasts
        });
        Ok(said)
    }

    fn read(&mut self, said: &mut Vec<String>) -> Result<(), Failure> {
        let seen = self.seen;
        let news = self.app.store.read(|tx| {
            let mut news = Vec::new();
            for event in events::after(tx, seen, &Selection::default(), MOST)? {
                let affected = match event.ticket {
                    Some(ticket) => tickets::of(tx, ticket)?.affected.len(),
                    None => 0,
                };
                news.push((affected, event));
            }
            Ok::<_, Failure>(news)
        })?;
        for (affected, event) in news {
            self.seen = event.id;
            self.note(&event);
            if let Some(sentence) = sentence(&event, affected).filter(|sentence| *sentence != self.last) {
                self.last.clone_from(&sentence);
                said.push(sentence);
            }
        }
        Ok(())
    }

    /// Keeps in mind who is degraded.
    fn note(&mut self, event: &Event) {
        let Some((_, Some(device))) = &event.device else { return };
        if event.kind != Kind::DeviceState.as_str() {
            return;
        }
        let text = |key: &str| event.body[key].as_str().unwrap_or_default();
        if text("to") == State::Degraded.as_str() {
            self.degraded.insert(device.clone(), (event.at, text("reason").to_owned()));
        } else {
            self.degraded.remove(device);
        }
    }
}

/// What a person is told of an event; nothing of most.
fn sentence(event: &Event, affected: usize) -> Option<String> {
    let body = |key: &str| event.body[key].as_str().unwrap_or_default().to_owned();
    let ticket = event.ticket.map(|id| id.0).unwrap_or_default();
    let device = event.device.as_ref().and_then(|(_, name)| name.clone()).unwrap_or_default();
    Some(match event.kind.as_str() {
        "ticket.opened" => {
            let behind = match affected {
                0 => String::new(),
                1 => ", with one device behind it".to_owned(),
                many => format!(", with {many} devices behind it"),
            };
            format!("ticket {ticket} opened: {}{behind} ({})", body("title"), body("priority"))
        }
        "ticket.reopened" => format!("ticket {ticket} reopened: {device} again"),
        "ticket.recovered" => format!("ticket {ticket} stands down: {device} came back"),
        "ticket.resolved" => format!("ticket {ticket} resolved itself"),
        "device.flapping" => format!("{device} is flapping"),
        "device.address" => format!("{device} is at {} now", body("to")),
        "outage.verdict" if event.body["confidence"].as_i64() >= Some(SURE) => body("sentence"),
        _ => return None,
    })
}
