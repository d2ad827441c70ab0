//! Who is told, and what is delivered to them, as lists and records show it. No secret is in it.

use exports::{Column, Table, Value};

use crate::domain::notify::rota::Rota;
use crate::domain::notify::rule::Directly;
use crate::reports::{json, maybe_text, maybe_time, time};
use crate::store::filter::{Page, Selection};
use crate::store::notify::entries::{self, Destination, Entry};
use crate::store::notify::looks;
use crate::store::notify::outbox::{self, Delivery};
use crate::store::{Result, Tx};

/// The entries that are asked for.
///
/// # Errors
/// The database's.
pub fn list(tx: &Tx, wanted: &Selection, page: &Page) -> Result<Table> {
    let mut table = Table::new("notifications", columns());
    for entry in entries::list(tx, wanted, page)? {
        table.push(row(tx, &entry)?);
    }
    Ok(table)
}

/// One entry, with who has duty, and what it was told that lasts.
///
/// # Errors
/// The database's.
pub fn record(tx: &Tx, entry: &Entry) -> Result<Table> {
    let mut all = columns();
    for column in &mut all {
        column.shown = true;
    }
    all.push(Column::list("owed", "TOLD AND NOT YET MENDED"));
    let owed = looks::owed(tx, entry.id)?.into_iter().map(|(incident, since, told_at)| {
        Value::Object(vec![
            ("incident", Value::Text(incident)),
            ("since", time(since)),
            ("told_at", time(told_at)),
        ])
    });
    let mut values = row(tx, entry)?;
    values.push(Value::List(owed.collect()));
    let mut table = Table::new("notifications", all);
    table.push(values);
    Ok(table)
}

/// One entry as a line.
///
/// # Errors
/// The database's.
pub fn line(tx: &Tx, entry: &Entry) -> Result<Table> {
    let mut table = Table::new("notifications", columns());
    table.push(row(tx, entry)?);
    Ok(table)
}

fn columns() -> Vec<Column> {
    vec![
        Column::int("id", "ID"),
        Column::text("name", "NAME"),
        Column::text("kind", "BY"),
        Column::text("told", "TOLD"),
        Column::int("waiting", "WAITING").moving(),
        Column::time("paused_at", "PAUSED"),
        Column::text("duty", "HAS DUTY").moving(),
        Column::time("duty_until", "UNTIL").hidden().moving(),
        Column::text("next", "THEN").hidden().moving(),
        Column::time("next_from", "FROM").hidden().moving(),
        Column::object("channel", "HOW").hidden(),
        Column::list("members", "MEMBERS").hidden(),
        Column::time("rota_from", "FIRST TURN").hidden(),
        Column::int("rota_days", "DAYS A TURN").hidden(),
        Column::list("swaps", "SWAPS").hidden(),
        Column::text("when", "WHEN").hidden(),
        Column::bool("by_itself", "BY ITSELF").hidden(),
        Column::span("after_ms", "AFTER").hidden(),
        Column::text("quiet", "QUIET").hidden(),
        Column::list("quiet_passes", "PASSES").hidden(),
        Column::text("tz", "TIME ZONE").hidden(),
        Column::text("person", "PERSON").hidden(),
        Column::time("told_at", "LAST TOLD").hidden().moving(),
        Column::time("created_at", "ADDED").hidden(),
    ]
}

fn row(tx: &Tx, entry: &Entry) -> Result<Vec<Value>> {
    let rule = &entry.rule;
    let mut values = vec![
        Value::Int(entry.id.0),
        Value::Text(entry.name.clone()),
        Value::Text(entry.kind().to_owned()),
        Value::Text(rule.in_words()),
        Value::Int(entry.waiting),
        maybe_time(entry.paused_at),
    ];
    match &entry.destination {
        Destination::Channel(channel) => {
            values.extend([Value::Null, Value::Null, Value::Null, Value::Null, json(&channel.shown())]);
            values.extend([Value::Null, Value::Null, Value::Null, Value::Null]);
        }
        Destination::Rota(rota) => values.extend(turns(tx, entry, rota)?),
    }
    values.extend([
        Value::Text(rule.when.clone()),
        Value::Bool(rule.told == Directly::Yes),
        rule.after.map_or(Value::Null, |after| Value::Span(after.0)),
        rule.quiet.map_or(Value::Null, |quiet| Value::Text(quiet.to_string())),
        Value::List(rule.passes.iter().map(|p| Value::Text(p.to_string())).collect()),
        maybe_text(rule.zone.as_deref()),
        maybe_text(rule.person.as_deref()),
        maybe_time(entry.told_at),
        time(entry.created_at),
    ]);
    Ok(values)
}

/// Who has duty and who comes next, and of whom a rota is made.
fn turns(tx: &Tx, entry: &Entry, rota: &Rota) -> Result<Vec<Value>> {
    let zone = entry.rule.zone();
    let name = |id| entries::name_of(tx, id).map(Value::Text);
    let (duty, until) = match rota.duty(tx.now, &zone) {
        Some(duty) => (name(duty.who)?, time(duty.until)),
        None => (Value::Null, Value::Null),
    };
    let (next, from) = match rota.next(tx.now, &zone) {
        Some((who, from)) => (name(who)?, time(from)),
        None => (Value::Null, Value::Null),
    };
    let members: Result<Vec<Value>> = rota.members.iter().map(|member| name(*member)).collect();
    let swap = |swap: &crate::domain::notify::rota::Swap| {
        Ok(Value::Object(vec![
            ("who", name(swap.who)?),
            ("from", time(swap.from)),
            ("until", time(swap.until)),
        ]))
    };
    let swaps: Result<Vec<Value>> = rota.swaps.iter().map(swap).collect();
    Ok(vec![
        duty,
        until,
        next,
        from,
        Value::Null,
        Value::List(members?),
        time(rota.from),
        Value::Int(rota.days),
        Value::List(swaps?),
    ])
}

/// The deliveries that are asked for, the newest first.
///
/// # Errors
/// The database's.
pub fn deliveries(tx: &Tx, wanted: &Selection, page: &Page) -> Result<Table> {
    let mut table = Table::new("deliveries", delivery_columns());
    for delivery in outbox::list(tx, wanted, page)? {
        table.push(delivery_row(&delivery));
    }
    Ok(table)
}

/// One delivery.
#[must_use]
pub fn delivery(delivery: &Delivery) -> Table {
    let mut table = Table::new("deliveries", delivery_columns());
    table.push(delivery_row(delivery));
    table
}

fn delivery_columns() -> Vec<Column> {
    vec![
        Column::int("id", "ID"),
        Column::state("state", "STATE"),
        Column::text("to", "TO"),
        Column::text("news", "NEWS"),
        Column::text("title", "TITLE"),
        Column::int("attempts", "TRIES"),
        Column::time("created_at", "WRITTEN"),
        Column::time("due_at", "DUE"),
        Column::time("done_at", "DONE"),
        Column::text("error", "WHY NOT"),
        Column::text("key", "KEY").hidden(),
        Column::text("incident", "INCIDENT").hidden(),
        Column::text("priority", "PRIORITY").hidden(),
        Column::time("at", "HAPPENED").hidden(),
        Column::text("text", "TEXT").hidden(),
        Column::object("body", "BODY").hidden(),
    ]
}

fn delivery_row(delivery: &Delivery) -> Vec<Value> {
    let message = &delivery.message;
    let due = match delivery.state {
        outbox::State::Waiting => time(delivery.due_at),
        outbox::State::Sent | outbox::State::Failed => Value::Null,
    };
    vec![
        Value::Int(delivery.id.0),
        Value::Text(delivery.state.to_string()),
        Value::Text(delivery.entry.1.clone()),
        Value::Text(message.news.to_string()),
        Value::Text(message.title.clone()),
        Value::Int(i64::from(delivery.attempts)),
        time(delivery.created_at),
        due,
        maybe_time(delivery.done_at),
        Value::Text(delivery.error.clone()),
        Value::Text(message.key.clone()),
        Value::Text(message.incident.clone()),
        maybe_text(message.priority.map(|p| p.as_str())),
        time(message.at),
        Value::Text(message.text.clone()),
        json(&message.body),
    ]
}
