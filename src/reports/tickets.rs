//! Tickets, as lists and records show them.

use exports::{Column, Table, Value};

use crate::domain::ticket::Score;
use crate::reports::{maybe_text, maybe_time, texts, time};
use crate::store::filter::{Page, Selection};
use crate::store::tickets::{self, Ticket};
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
    let mut table = Table::new("tickets", all);
    table.push(values);
    Ok(table)
}

/// Why a ticket's priority is what it is, a line a reason.
#[must_use]
pub fn reasons(ticket: &Ticket, score: &Score) -> Table {
    let columns = vec![Column::int("points", "POINTS"), Column::text("reason", "BECAUSE")];
    let mut table = Table::new("reasons", columns);
    for (points, why) in &score.reasons {
        table.push(vec![Value::Int(i64::from(*points)), Value::Text(why.clone())]);
    }
    let sum = format!("in all: ticket {} is {}", ticket.id, score.priority());
    table.push(vec![Value::Int(i64::from(score.points())), Value::Text(sum)]);
    table
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
    ]
}
