//! Messages: what is told of tickets, and of the server itself, in words and as JSON.

use jiff::tz::TimeZone;
use schedules::Time;
use serde_json::{Value, json};

use crate::domain::ids::TicketId;
use crate::domain::notify::channel::Kind;
use crate::domain::notify::group::MAX_LINES;
use crate::domain::notify::rule::{self, Stir};
use crate::domain::notify::words::{self, Ending, Told};
use crate::domain::notify::{Message, News};
use crate::domain::ticket::{Priority, State};
use crate::domain::verdict::Who;
use crate::reports;
use crate::store::events::Event;
use crate::store::notify::entries::{Destination, Entry};
use crate::store::notify::looks::{self, Look};
use crate::store::notify::outbox;
use crate::store::outages::{self, Outage};
use crate::store::tickets::{self, Ticket};
use crate::store::{Error, Result, Tx, WriteTx, sites, verdicts};

/// The most events of a ticket that a message carries.
const MAX_EVENTS: u32 = 20;
/// The most devices out of reach that its JSON names.
const MAX_AFFECTED: usize = 100;
/// The longest body of an event in it, in bytes.
const MAX_BODY: usize = 2_000;

/// Something that is told of.
#[derive(Clone, Debug)]
pub struct Item {
    /// What is told.
    pub news: News,
    /// Of what.
    pub look: Look,
}

/// Writes into the outbox what is told to an entry: one message for all, where its channel can do with that.
///
/// # Errors
/// The database's, or the system has no randomness to give.
pub fn enqueue(tx: &WriteTx, to: &Entry, items: &[Item]) -> Result<()> {
    let mut items: Vec<&Item> = items.iter().collect();
    items.sort_by_key(|item| (item.news, item.look.priority));
    let Destination::Channel(channel) = &to.destination else { return Ok(()) };
    let at_once = if groups(channel.kind()) { items.len() } else { 1 };
    let about = |group: &[&Item]| group.iter().map(|item| item.look.incident.clone()).collect();
    let messages = items
        .chunks(at_once.max(1))
        .map(|group| Ok(outbox::New { message: message(tx, to, group)?, about: about(group) }));
    outbox::add(tx, to.id, &messages.collect::<Result<Vec<_>>>()?)
}

/// Whether one message may tell of several troubles. PagerDuty opens and closes each by its name.
fn groups(kind: Kind) -> bool {
    match kind {
        Kind::PagerDuty => false,
        Kind::Email
        | Kind::Webhook
        | Kind::Ntfy
        | Kind::Slack
        | Kind::Discord
        | Kind::Teams
        | Kind::Telegram
        | Kind::Matrix
        | Kind::Command => true,
    }
}

fn message(tx: &Tx, to: &Entry, group: &[&Item]) -> Result<Message> {
    let key = new_key()?;
    let shown =
        group.iter().take(MAX_LINES).map(|item| describe(tx, to, item)).collect::<Result<Vec<_>>>()?;
    let told: Vec<Told> = shown.iter().map(|one| one.told.clone()).collect();
    let news: Vec<News> = group.iter().map(|item| item.news).collect();
    let (title, text) = words::several(&told, &news);
    let (incident, at) = match (shown.as_slice(), group) {
        ([one], [item]) => (item.look.incident.clone(), one.at),
        _ => (format!("lineman-group-{key}"), shown.iter().map(|one| one.at).max().unwrap_or(tx.now)),
    };
    let news = news.into_iter().min().unwrap_or(News::Note);
    let lasting = group.iter().filter(|item| item.news == news);
    let priority = lasting.filter_map(|item| item.look.priority).min();
    let mut body = json!({"key": key, "incident": incident, "news": news.as_str(), "title": title, "text": text,
        "priority": priority.map(Priority::as_str), "at": time(at)});
    if let ([one], [_]) = (shown.as_slice(), group) {
        for (name, value) in ["ticket", "device", "site", "events"].iter().zip(one.json()) {
            body[*name] = value;
        }
    } else {
        let all: Vec<Value> = shown.iter().map(Shown::in_group).collect();
        for name in ["ticket", "device", "site"] {
            body[name] = Value::Null;
        }
        body["events"] = json!([]);
        body["all"] = all.into();
        body["count"] = group.len().into();
    }
    Ok(Message { key, incident, news, title, text, priority, at, body })
}

/// A message for trying a channel.
///
/// # Errors
/// The system has no randomness to give.
pub fn test(name: &str, now: Time) -> Result<Message> {
    let key = new_key()?;
    let title = format!("lineman can tell '{name}'");
    let text = format!("{title}\n\nThis is a test. Nothing is broken.\n");
    let incident = format!("lineman-test-{key}");
    let body = json!({"key": key, "incident": incident, "news": News::Note.as_str(), "title": title, "text": text,
        "priority": null, "at": time(now), "ticket": null, "device": null, "site": null, "events": []});
    Ok(Message { key, incident, news: News::Note, title, text, priority: None, at: now, body })
}

/// 128 random bits in hexadecimal.
fn new_key() -> Result<String> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes).map_err(|e| Error::Other(format!("the system has no randomness: {e}")))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// One trouble, in words and as JSON.
struct Shown {
    told: Told,
    at: Time,
    incident: String,
    ticket: Value,
    events: Vec<Value>,
}

impl Shown {
    /// The ticket, the device, the site, the events.
    fn json(&self) -> [Value; 4] {
        let text = |text: &Option<String>| text.clone().map_or(Value::Null, Value::String);
        [self.ticket.clone(), text(&self.told.device), text(&self.told.site), self.events.clone().into()]
    }

    fn in_group(&self) -> Value {
        let [ticket, device, site, events] = self.json();
        json!({"incident": self.incident, "news": self.told.news.as_str(), "title": self.told.title(),
            "priority": self.told.priority.map(Priority::as_str), "at": time(self.at), "ticket": ticket,
            "device": device, "site": site, "events": events})
    }
}

fn describe(tx: &Tx, to: &Entry, item: &Item) -> Result<Shown> {
    match item.look.ticket {
        Some(ticket) => of_ticket(tx, to, item, ticket),
        None => wide(tx, to, item),
    }
}

fn of_ticket(tx: &Tx, to: &Entry, item: &Item, id: TicketId) -> Result<Shown> {
    let ticket = match tickets::of(tx, id) {
        Ok(ticket) => ticket,
        Err(Error::NotFound(_)) => return Ok(gone(tx, to, item, id)),
        Err(error) => return Err(error),
    };
    let outage = ticket.outage.map(|id| outages::get(tx, &id.to_string())).transpose()?;
    let events = match item.look.event {
        Some(from) => looks::news_of(tx, id, from, MAX_EVENTS)?,
        None => Vec::new(),
    };
    let (ending, until) = ending(&ticket, item.news, outage.as_ref());
    let since = outage.as_ref().map(|o| o.started_at).or(ticket.began_at).unwrap_or(ticket.opened_at);
    let told = Told {
        news: item.news,
        priority: Some(ticket.priority),
        title: ticket.title.clone(),
        device: ticket.device.as_ref().map(|device| device.1.clone()),
        site: ticket.site.as_ref().map(|site| site.1.clone()),
        since,
        until,
        zone: zone(tx, to, &ticket)?,
        reason: outage.map(|outage| outage.reason),
        verdict: fault(tx, id)?,
        affected: ticket.affected.clone(),
        ticket: Some(id),
        changes: changes(item, &ticket, &events, to.rule.person.as_deref()),
        ending,
    };
    let at = match item.news {
        News::Broke => since,
        News::Changed | News::Mended | News::Note => events.last().map_or(tx.now, |event| event.at),
    };
    let events = events.iter().map(event_json).collect();
    Ok(Shown { told, at, incident: item.look.incident.clone(), ticket: ticket_json(tx, &ticket)?, events })
}

/// A ticket as `ticket show --json` has it, but for what is written on it and what has no limit.
fn ticket_json(tx: &Tx, ticket: &Ticket) -> Result<Value> {
    let table = reports::tickets::record(tx, ticket)?;
    let json = table.rows().next().map(serde_json::to_value).transpose();
    let mut json =
        json.map_err(|e| Error::Other(format!("write a ticket as JSON: {e}")))?.unwrap_or_default();
    if let Some(fields) = json.as_object_mut() {
        fields.remove("comments");
        fields.insert("affected_count".to_owned(), ticket.affected.len().into());
        if let Some(affected) = fields.get_mut("affected").and_then(Value::as_array_mut) {
            affected.truncate(MAX_AFFECTED);
        }
    }
    Ok(json)
}

/// Where its fault is, where anything is known of that.
fn fault(tx: &Tx, id: TicketId) -> Result<Option<String>> {
    let given = verdicts::of_ticket(tx, id)?.map(|given| given.verdict);
    let given = given.filter(|given| given.who != Who::Wait || given.likeliest.is_some());
    Ok(given.map(|given| format!("{} ({} % sure)", given.sentence, given.confidence)))
}

/// How it ended, and when.
fn ending(ticket: &Ticket, news: News, outage: Option<&Outage>) -> (Ending, Option<Time>) {
    if news != News::Mended {
        return (Ending::Lasts, None);
    }
    let back = outage.and_then(|o| o.ended_at).or(ticket.recovered_at).or(ticket.resolved_at);
    match ticket.state {
        State::Merged => (ticket.merged_into.map_or(Ending::Gone, Ending::PartOf), None),
        State::Closed => (Ending::Closed(ticket.close_reason.clone()), ticket.resolved_at),
        State::Open | State::Waiting | State::Recovered | State::Resolved => (Ending::Recovered, back),
    }
}

/// What changed since it was last told.
fn changes(item: &Item, ticket: &Ticket, events: &[Event], person: Option<&str>) -> Vec<String> {
    let mut changes = Vec::new();
    let Some(was) = item.look.told.as_ref().filter(|_| item.news == News::Changed) else {
        return changes;
    };
    if let Some(priority) = was.priority.filter(|priority| *priority != ticket.priority) {
        changes.push(format!("it was {priority}"));
    }
    if ticket.recurrences != was.recurrences {
        changes.push("it was back for a moment".to_owned());
    }
    let by = ticket.acknowledged_by.as_deref().map(|by| by.strip_prefix("user:").unwrap_or(by));
    match (was.acknowledged, ticket.acknowledged_at) {
        (false, Some(_)) if by.is_some() && by == person => {}
        (false, Some(_)) => changes.push(format!("{} knows of it", by.unwrap_or("somebody"))),
        (true, None) => changes.push("nobody looks after it any more".to_owned()),
        (false, None) | (true, Some(_)) => {}
    }
    let said: Vec<&str> = events.iter().filter_map(|event| noted(&event.kind)).collect();
    if item.look.noted && said.is_empty() {
        changes.push("its state changes too often".to_owned());
    }
    changes.extend(said.into_iter().map(str::to_owned));
    changes.dedup();
    changes
}

fn noted(kind: &str) -> Option<&'static str> {
    match rule::stir(kind)? {
        Stir::Noted(what) | Stir::Device(what) => Some(what),
        Stir::Ticket | Stir::Merged | Stir::Blind | Stir::Sighted | Stir::GaveUp => None,
    }
}

/// The entry's own zone, else that of the site.
fn zone(tx: &Tx, to: &Entry, ticket: &Ticket) -> Result<TimeZone> {
    if to.rule.zone.is_some() {
        return Ok(to.rule.zone());
    }
    let site = ticket.site.as_ref().map(|site| sites::find(tx, &site.0.to_string())).transpose()?.flatten();
    Ok(site.and_then(|site| TimeZone::get(&site.time_zone).ok()).unwrap_or(TimeZone::UTC))
}

/// What concerns the whole server.
fn wide(tx: &Tx, to: &Entry, item: &Item) -> Result<Shown> {
    let Some(wide) = looks::wide(tx, &item.look.incident)? else {
        return Ok(plain(tx, to, item, item.look.incident.clone()));
    };
    let mut shown = plain(tx, to, item, wide.title);
    shown.told.since = wide.since;
    shown.told.until = wide.until;
    shown.told.reason = Some(wide.reason);
    shown.at = wide.until.unwrap_or(wide.since);
    Ok(shown)
}

/// A ticket that is there no more.
fn gone(tx: &Tx, to: &Entry, item: &Item, id: TicketId) -> Shown {
    let mut shown = plain(tx, to, item, format!("ticket {id} is gone"));
    shown.told.ticket = Some(id);
    shown.told.until = Some(tx.now);
    shown
}

fn plain(tx: &Tx, to: &Entry, item: &Item, title: String) -> Shown {
    let told = Told {
        news: item.news,
        priority: None,
        title,
        device: None,
        site: None,
        since: item.look.broke_at,
        until: None,
        zone: to.rule.zone(),
        reason: None,
        verdict: None,
        affected: Vec::new(),
        ticket: None,
        changes: Vec::new(),
        ending: Ending::Gone,
    };
    Shown { told, at: tx.now, incident: item.look.incident.clone(), ticket: Value::Null, events: Vec::new() }
}

fn event_json(event: &Event) -> Value {
    let long = event.body.to_string().len() > MAX_BODY;
    let body = if long { Value::Null } else { event.body.clone() };
    json!({"id": event.id.0, "at": time(event.at), "kind": event.kind, "actor": event.actor, "body": body})
}

fn time(at: Time) -> Value {
    exports::rfc3339(at.0).map_or(Value::Null, Value::String)
}
