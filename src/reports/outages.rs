//! Outages, as lists and records show them.

mod story;

use exports::{Column, Table, Value};
use serde::Serialize;
use serde_json::json;

pub use story::Story;

use crate::domain::dossier::{Dossier, Kept};
use crate::domain::outage::duration;
use crate::domain::verdict::{Code, Contact, Evidence, text_to_send};
use crate::reports::{maybe_text, maybe_time, time, told};
use crate::store::filter::{Page, Selection};
use crate::store::outages::{self, Outage};
use crate::store::verdicts::{self, Given};
use crate::store::{Result, Tx, settings, sites};

/// The outages that are asked for.
///
/// # Errors
/// The database's.
pub fn list(tx: &Tx, wanted: &Selection, page: &Page) -> Result<Table> {
    let mut table = Table::new("outages", columns());
    for outage in outages::list(tx, wanted, page)? {
        let given = verdicts::of_outage(tx, outage.id)?;
        table.push(row(tx, &outage, given.as_ref()));
    }
    Ok(table)
}

/// What `outage show` tells of one.
#[derive(Debug)]
pub struct Shown {
    /// To machines: all of it.
    pub table: Table,
    /// To people: the story.
    pub story: String,
    /// What is sent to whoever is to act; none where nobody has judged it.
    pub letter: Option<String>,
}

/// One outage with its dossier.
///
/// # Errors
/// The database's.
pub fn show(tx: &Tx, outage: &Outage) -> Result<Shown> {
    let dossier = verdicts::dossier(tx, outage, settings::load(tx)?.span("check_in.every"))?;
    let all = verdicts::all_of(tx, outage.id)?;
    let given = all.last();
    let site = dossier.site.as_ref().map(|site| sites::get(tx, site)).transpose()?;
    let contact = site.as_ref().map(|site| site.contact.clone()).unwrap_or_default();
    let note = site.as_ref().map_or("", |site| site.note.as_str());
    let story = Story { outage, dossier: &dossier, given, verdicts: all.len(), contact: &contact, note };
    let letter = given.map(|given| text_to_send(&dossier, &given.verdict, &contact));
    let mut columns = columns();
    columns.extend([
        Column::object("dossier", "DOSSIER").hidden(),
        Column::object("contact", "CONTACT").hidden(),
        Column::list("verdicts", "VERDICTS").hidden(),
    ]);
    let mut table = Table::new("outages", columns);
    let mut values = row(tx, outage, given);
    values.push(Value::Json(told(records(&dossier))));
    values.push(contact_value(&contact));
    values.push(Value::List(all.iter().map(verdict).collect()));
    table.push(values);
    Ok(Shown { table, story: story.text(), letter })
}

fn columns() -> Vec<Column> {
    vec![
        Column::int("id", "ID"),
        Column::text("device", "DEVICE"),
        Column::time("started_at", "STARTED"),
        Column::time("ended_at", "ENDED"),
        Column::span("duration_ms", "LASTED"),
        Column::text("reason", "WHY"),
        Column::text("source", "TOLD BY"),
        Column::int("ticket", "TICKET"),
        Column::text("fault", "FAULT"),
        Column::int("tries", "TRIES").hidden(),
        Column::object("verdict", "VERDICT").hidden(),
    ]
}

fn row(tx: &Tx, outage: &Outage, given: Option<&Given>) -> Vec<Value> {
    vec![
        Value::Int(outage.id.0),
        Value::Text(outage.device.1.clone()),
        time(outage.started_at),
        maybe_time(outage.ended_at),
        Value::Span(duration(outage.started_at, outage.ended_at, tx.now).0),
        Value::Text(outage.reason.clone()),
        Value::Text(outage.source.to_string()),
        outage.ticket.map_or(Value::Null, |t| Value::Int(t.0)),
        maybe_text(given.map(fault).as_deref()),
        outage.tries.map_or(Value::Null, Value::Int),
        given.map_or(Value::Null, verdict),
    ]
}

/// A verdict in a word: its code, or the likeliest one with a question mark.
fn fault(given: &Given) -> String {
    match given.verdict.likeliest {
        Some(likeliest) => format!("{likeliest}?"),
        None => given.verdict.code.to_string(),
    }
}

/// A verdict, as machines read it.
#[must_use]
pub fn verdict(given: &Given) -> Value {
    let Given { at, verdict, is_final } = given;
    let evidence = |one: &Evidence| {
        Value::Object(vec![("at", maybe_time(one.at)), ("what", Value::Text(one.what.clone()))])
    };
    let missing = verdict.not_measured.iter().map(|one| {
        Value::Object(vec![("rung", Value::Text(one.rung.clone())), ("why", Value::Text(one.why.clone()))])
    });
    Value::Object(vec![
        ("code", Value::Text(verdict.code.to_string())),
        ("sentence", Value::Text(verdict.sentence.clone())),
        ("confidence", Value::Int(i64::from(verdict.confidence))),
        ("evidence", Value::List(verdict.evidence.iter().map(evidence).collect())),
        ("not_measured", Value::List(missing.collect())),
        ("who", Value::Text(verdict.who.to_string())),
        ("likeliest", maybe_text(verdict.likeliest.map(Code::as_str))),
        ("also", maybe_text(verdict.also.map(Code::as_str))),
        ("final", Value::Bool(*is_final)),
        ("at", time(*at)),
    ])
}

/// Whom to call, as machines read it.
fn contact_value(contact: &Contact) -> Value {
    let part = |text: &str| maybe_text(Some(text).filter(|text| !text.is_empty()));
    Value::Object(vec![
        ("provider", part(&contact.provider)),
        ("circuit", part(&contact.circuit)),
        ("phone", part(&contact.phone)),
        ("mail", part(&contact.mail)),
    ])
}

/// The records of a dossier as their agent wrote them: times in milliseconds since 1970, on the server's clock.
fn records(dossier: &Dossier) -> serde_json::Value {
    fn all<T: Serialize>(some: &[Kept<T>]) -> Vec<serde_json::Value> {
        some.iter().map(|kept| json!({"at": kept.at, "skew_ms": kept.skew, "record": kept.it})).collect()
    }
    json!({
        "climbs": all(&dossier.climbs),
        "good_day": dossier.good_day.as_ref().map(|kept| json!({"at": kept.at, "record": kept.it})),
        "gaps": all(&dossier.gaps),
        "outage": dossier.told,
    })
}
