//! Tickets, as lists and records show them.

use exports::{Column, Table, Value};

use crate::domain::ticket::Score;
use crate::reports::{maybe_text, maybe_time, service, texts, time};
use crate::store::filter::{Page, Selection};
use crate::store::tickets::{self, Ticket};
use crate::store::verdicts::{self, Given};
use crate::store::{Result, Tx};

/// The tickets that are asked for.
///
/// # Errors
/// The database's.
pub fn list(tx: &Tx, wanted: &Selection, page: &Page) -> Result<Table> {
    let mut table = Table::new("tickets", columns());
    for ticket in tickets::list(tx, wanted, page)? {
        table.push(row(&ticket));
    }
    Ok(table)
}

/// One ticket, with what is written on it.
///
/// # Errors
/// The database's.
pub fn record(tx: &Tx, ticket: &Ticket) -> Result<Table> {
    let mut all = columns();
    all.push(Column::list("comments", "COMMENTS").hidden());
    let comments = tickets::comments(tx, ticket.id)?
        .into_iter()
        .map(|c| {
            Value::Object(vec![
                ("at", time(c.at)),
                ("author", Value::Text(c.author)),
                ("text", Value::Text(c.text)),
            ])
        })
        .collect();
    let mut values = row(ticket);
    values.push(Value::List(comments));
    all.push(Column::object("verdict", "FAULT").hidden());
    values.push(verdicts::of_ticket(tx, ticket.id)?.as_ref().map_or(Value::Null, fault));
    let (clock_columns, clock_values) = service::values(tx, ticket.id)?;
    all.extend(clock_columns);
    values.extend(clock_values);
    let mut table = Table::new("tickets", all);
    table.push(values);
    Ok(table)
}

/// The verdict on its newest outage that has one: the whole of it is told with the outage.
fn fault(given: &Given) -> Value {
    Value::Object(vec![
        ("sentence", Value::Text(given.verdict.sentence.clone())),
        ("code", Value::Text(given.verdict.code.to_string())),
        ("confidence", Value::Int(i64::from(given.verdict.confidence))),
        ("who", Value::Text(given.verdict.who.to_string())),
    ])
}

/// Why a ticket's priority is what it is, a line a reason; and where its fault is, as far as that is known.
///
/// # Errors
/// The database's.
pub fn reasons(tx: &Tx, ticket: &Ticket, score: &Score) -> Result<Table> {
    let columns = vec![Column::int("points", "POINTS"), Column::text("reason", "BECAUSE")];
    let mut table = Table::new("reasons", columns);
    for (points, why) in &score.reasons {
        table.push(vec![Value::Int(i64::from(*points)), Value::Text(why.clone())]);
    }
    let sum = match (ticket.pinned, &ticket.pinned_by) {
        (Some(pinned), Some(who)) => {
            format!(
                "in all: ticket {} would be {}, and {who} set it to {pinned}",
                ticket.id,
                score.priority()
            )
        }
        (Some(_) | None, _) => format!("in all: ticket {} is {}", ticket.id, score.priority()),
    };
    if let Some(given) = verdicts::of_ticket(tx, ticket.id)? {
        let line = format!("{} ({} % sure)", given.verdict.sentence, given.verdict.confidence);
        table.push(vec![Value::Null, Value::Text(line)]);
    }
    table.push(vec![Value::Int(i64::from(score.points())), Value::Text(sum)]);
    Ok(table)
}

fn columns() -> Vec<Column> {
    vec![
        Column::int("id", "ID"),
        Column::state("priority", "PRIORITY"),
        Column::state("state", "STATE"),
        Column::text("title", "TITLE"),
        Column::time("opened_at", "OPENED"),
        Column::text("assignee", "ASSIGNEE"),
        Column::text("device", "DEVICE"),
        Column::text("site", "SITE"),
        Column::list("affected", "AFFECTED"),
        Column::int("recurrences", "RECURRED"),
        Column::int("score", "SCORE").hidden(),
        Column::text("kind", "KIND").hidden(),
        Column::time("recovered_at", "RECOVERED").hidden(),
        Column::time("resolved_at", "RESOLVED").hidden(),
        Column::time("acknowledged_at", "ACKNOWLEDGED").hidden(),
        Column::time("settles_at", "SETTLES").hidden(),
        Column::int("outage", "OUTAGE").hidden(),
        Column::text("opened_by", "OPENED BY").hidden(),
        Column::text("close_reason", "CLOSED BECAUSE").hidden(),
        Column::time("began_at", "BEGAN").hidden(),
        Column::int("merged_into", "PART OF").hidden(),
        Column::text("pinned", "PINNED").hidden(),
        Column::text("pinned_by", "PINNED BY").hidden(),
        Column::text("acknowledged_by", "ACKNOWLEDGED BY").hidden(),
        Column::time("acknowledged_until", "ACKNOWLEDGED UNTIL").hidden(),
        Column::time("waiting_until", "WAITS UNTIL").hidden(),
    ]
}

fn row(ticket: &Ticket) -> Vec<Value> {
    vec![
        Value::Int(ticket.id.0),
        Value::Text(ticket.priority.to_string()),
        Value::Text(ticket.state.to_string()),
        Value::Text(ticket.title.clone()),
        time(ticket.opened_at),
        maybe_text(ticket.assignee.as_deref()),
        maybe_text(ticket.device.as_ref().map(|d| d.1.as_str())),
        maybe_text(ticket.site.as_ref().map(|s| s.1.as_str())),
        texts(&ticket.affected),
        Value::Int(ticket.recurrences),
        Value::Int(ticket.score),
        Value::Text(ticket.kind.to_string()),
        maybe_time(ticket.recovered_at),
        maybe_time(ticket.resolved_at),
        maybe_time(ticket.acknowledged_at),
        maybe_time(ticket.settle_at),
        ticket.outage.map_or(Value::Null, Value::Int),
        Value::Text(ticket.opened_by.clone()),
        maybe_text(ticket.close_reason.as_deref()),
        maybe_time(ticket.began_at),
        ticket.merged_into.map_or(Value::Null, |id| Value::Int(id.0)),
        maybe_text(ticket.pinned.map(crate::domain::ticket::Priority::as_str)),
        maybe_text(ticket.pinned_by.as_deref()),
        maybe_text(ticket.acknowledged_by.as_deref()),
        maybe_time(ticket.acknowledged_until),
        maybe_time(ticket.waiting_until),
    ]
}
