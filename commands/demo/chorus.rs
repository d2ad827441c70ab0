//! Says what lineman makes of the story: of all that it writes into its log, what a person would be told.

use lineman::app::App;
use lineman::domain::device::State;
use lineman::domain::ids::EventId;
use lineman::store::events::{self, Event};
use lineman::store::filter::Selection;
use lineman::store::tickets;

use crate::failure::Failure;

/// The most events that are read at a time.
const MOST: u32 = 500;

/// How far the log has been read.
pub struct Chorus {
    app: App,
    seen: EventId,
    version: i64,
}

impl Chorus {
    /// One that tells what happens from now on.
    pub fn new(app: App) -> Result<Chorus, Failure> {
        let seen = app.store.read(|tx| events::newest(tx))?;
        Ok(Chorus { app, seen, version: 0 })
    }

    /// What happened since the last time, a sentence each.
    pub fn news(&mut self) -> Result<Vec<String>, Failure> {
        let version = self.app.store.version();
        if version == self.version {
            return Ok(Vec::new());
        }
        self.version = version;
        let seen = self.seen;
        let (said, last) = self.app.store.read(|tx| {
            let events = events::after(tx, seen, &Selection::default(), MOST)?;
            let mut said = Vec::new();
            for event in &events {
                let affected = match event.ticket {
                    Some(ticket) => tickets::of(tx, ticket)?.affected.len(),
                    None => 0,
                };
                said.extend(sentence(event, affected));
            }
            Ok::<_, Failure>((said, events.last().map_or(seen, |event| event.id)))
        })?;
        self.seen = last;
        Ok(said)
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
        "device.state" if body("to") == State::Degraded.as_str() => {
            format!("{device} is degraded: {}", body("reason"))
        }
        "device.flapping" => format!("{device} is flapping"),
        "device.address" => format!("{device} is at {} now", body("to")),
        "outage.verdict" if !body("sentence").is_empty() => {
            format!("the fault, as the evidence has it: {}", body("sentence"))
        }
        _ => return None,
    })
}
