//! Now: what is wrong and since when, first; then the sites, and what happens.

use http::StatusCode;
use maud::{Markup, html};
use serde_json::json;

use crate::domain::ids::OutageId;
use crate::domain::user::{Right, Subject};
use crate::store::verdicts;
use crate::web::answer::{Answer, Trouble};
use crate::web::asked::Asked;
use crate::web::lists::{Wanted, plain, rows};
use crate::web::verbs::{Call, ParamKind};
use crate::web::{layout, lists, nouns};

/// How many alerts, sites and events are shown.
const ALERTS: usize = 30;
const SITES: usize = 60;
const EVENTS: usize = 25;

/// The page.
///
/// # Errors
/// Whoever asks may not, or the database's.
pub fn show(asked: &Asked) -> Result<Answer, Trouble> {
    let body = html! {
        h1 { "Now" }
        div.columns {
            div {
                section aria-labelledby="h-alerts" data-live="alerts" { h2 #h-alerts { "What is wrong" } (alerts(asked)?) }
                section aria-labelledby="h-sites" data-live="sites" { h2 #h-sites { "Sites" } (sites(asked)?) }
            }
            section aria-labelledby="h-events" data-live="events" { h2 #h-events { "What happens" } (events(asked)?) }
        }
    };
    Ok(Answer::html(layout::page(asked, "Now", &body)))
}

fn alerts(asked: &Asked) -> Result<Markup, Trouble> {
    let noun = nouns::named("ticket").ok_or_else(|| Trouble::NotFound("there are no tickets".into()))?;
    let wanted = Wanted { query: "state:open,waiting".to_owned(), page: 1, ..Wanted::default() };
    let table = rows(asked, noun, &wanted, ALERTS + 1)?;
    let now = asked.web.app.clock.now();
    let of = |row: &[exports::Value], key: &str| {
        let at = table.columns.iter().position(|column| column.key == key)?;
        row.get(at).cloned()
    };
    let word = |row: &[exports::Value], key: &str| of(row, key).as_ref().map(plain).unwrap_or_default();
    let may = asked.who.may(Right::change(Subject::Tickets));
    Ok(html! {
        @for row in table.rows.iter().take(ALERTS) {
            @let acknowledged = word(row, "acknowledged_by");
            article.alert.(word(row, "priority")) {
                p {
                    (layout::state(&word(row, "priority"))) " "
                    strong { a href=(nouns::link("tickets", &word(row, "id"))) { (word(row, "title")) } }
                    @if let Some(at) = of(row, "began_at").filter(|at| *at != exports::Value::Null).or_else(|| of(row, "opened_at")) {
                        " " span.quiet { (layout::value(&at, exports::Kind::Time, now)) }
                    }
                    @if !word(row, "site").is_empty() { " · " a href=(nouns::link("sites", &word(row, "site"))) { (word(row, "site")) } }
                    @if !word(row, "assignee").is_empty() { " · " (word(row, "assignee")) }
                    @else if !acknowledged.is_empty() { " · acknowledged by " (acknowledged) }
                }
                @if let Some(sentence) = fault(asked, of(row, "outage").as_ref())? { p.quiet { (sentence) } }
                @if let Some(exports::Value::List(all)) = of(row, "affected") {
                    @if !all.is_empty() { p.quiet { (all.len()) " more behind it" } }
                }
                @if may && acknowledged.is_empty() {
                    form method="post" action={(nouns::link("tickets", &word(row, "id"))) "/acknowledge"} {
                        (layout::form_token(asked))
                        button aria-label={"Acknowledge " (word(row, "title"))} { "Acknowledge" }
                    }
                }
            }
        }
        @if table.rows.is_empty() { (without_ticket(asked)?) }
        @if table.rows.len() > ALERTS { p { a href="/tickets" { "All tickets" } } }
    })
}

/// What is not well though no ticket is open: an outage that is young, in maintenance, or whose ticket was closed.
fn without_ticket(asked: &Asked) -> Result<Markup, Trouble> {
    let noun = nouns::named("device").ok_or_else(|| Trouble::NotFound("there are no devices".into()))?;
    let query = "state:down,unreachable,degraded";
    let wanted = Wanted { query: query.to_owned(), page: 1, ..Wanted::default() };
    let table = rows(asked, noun, &wanted, ALERTS + 1)?;
    let name = table.columns.iter().position(|column| column.key == "name").unwrap_or(0);
    let state = table.columns.iter().position(|column| column.key == "state").unwrap_or(0);
    Ok(html! {
        @if table.rows.is_empty() { p.done { "Nothing is wrong that lineman knows of." } }
        @else {
            p { "No ticket is open, and these are not well:" }
            ul {
                @for row in table.rows.iter().take(ALERTS) {
                    @let name = row.get(name).map(plain).unwrap_or_default();
                    li { (layout::state(&row.get(state).map(plain).unwrap_or_default())) " " a href=(nouns::link("devices", &name)) { (name) } }
                }
            }
            @if table.rows.len() > ALERTS { p { a href={"/devices?q=" (nouns::encoded(query))} { "All of them" } } }
        }
    })
}

/// Where the fault of an outage is, as far as is known, in a sentence.
fn fault(asked: &Asked, outage: Option<&exports::Value>) -> Result<Option<String>, Trouble> {
    let Some(exports::Value::Int(number)) = outage else { return Ok(None) };
    let given = asked.web.app.store.read(|tx| verdicts::of_outage(tx, OutageId(*number)))?;
    Ok(given.map(|given| given.verdict.sentence))
}

fn sites(asked: &Asked) -> Result<Markup, Trouble> {
    let noun = nouns::named("site").ok_or_else(|| Trouble::NotFound("there are no sites".into()))?;
    let table = rows(asked, noun, &Wanted { page: 1, ..Wanted::default() }, SITES + 1)?;
    let word = |row: &[exports::Value], key: &str| {
        let at = table.columns.iter().position(|column| column.key == key);
        at.and_then(|at| row.get(at)).map(plain).unwrap_or_default()
    };
    let alone = rows(
        asked,
        nouns::named("device").unwrap_or(noun),
        &Wanted { query: "state:down,unreachable,degraded".into(), page: 1, ..Wanted::default() },
        1,
    )?;
    Ok(html! {
        ul.tiles {
            @for row in table.rows.iter().take(SITES) {
                @let count = |key: &str| word(row, key).parse::<i64>().unwrap_or(0);
                @let tile = Tile { all: count("devices"), out: count("out"), degraded: count("degraded"), unknown: count("unknown") };
                li.tile.(tile.class()) {
                    strong { a href=(nouns::link("sites", &word(row, "name"))) { (word(row, "name")) } }
                    p { (layout::state(tile.state())) " " (tile.sentence()) }
                }
            }
        }
        @if table.rows.is_empty() {
            p.quiet { @if alone.rows.is_empty() { "No site yet: all devices that are watched are well." } @else { "No site yet." } " " a href="/new/site" { "Add a site" } " or " a href="/devices" { "look at the devices" } }
        }
        @if table.rows.len() > SITES { p { a href="/sites" { "All sites" } } }
    })
}

/// How many devices a site has, and how they are.
#[derive(Clone, Copy)]
struct Tile {
    all: i64,
    out: i64,
    degraded: i64,
    unknown: i64,
}

impl Tile {
    /// The word for all of them. What nobody watches is not well, and not ill.
    fn state(self) -> &'static str {
        match self {
            Tile { out: 1.., .. } => "down",
            Tile { degraded: 1.., .. } => "degraded",
            Tile { all, unknown, .. } if unknown == all => "unknown",
            Tile { .. } => "ok",
        }
    }

    fn class(self) -> &'static str {
        match self.state() {
            "down" => "bad",
            "degraded" => "warn",
            "unknown" => "dim",
            _ => "good",
        }
    }

    fn sentence(self) -> String {
        let Tile { all, out, degraded, unknown } = self;
        let of = |count: i64, how: &str| (count > 0).then(|| format!("{count} {how}"));
        let counts = [of(out, "out"), of(degraded, "degraded"), of(unknown, "unknown")];
        let told: Vec<String> = counts.into_iter().flatten().collect();
        let devices = if all == 1 { "device" } else { "devices" };
        match told.as_slice() {
            [] => format!("{all} {devices}"),
            some => format!("{} of {all} {devices}", some.join(", ")),
        }
    }
}

fn events(asked: &Asked) -> Result<Markup, Trouble> {
    let noun = nouns::named("event").ok_or_else(|| Trouble::NotFound("there is no log".into()))?;
    let wanted = Wanted { query: "-kind:job.ran".to_owned(), page: 1, ..Wanted::default() };
    let table = rows(asked, noun, &wanted, EVENTS)?;
    let now = asked.web.app.clock.now();
    let of = |row: &[exports::Value], key: &str| {
        table.columns.iter().position(|column| column.key == key).and_then(|at| row.get(at).cloned())
    };
    let word = |row: &[exports::Value], key: &str| of(row, key).as_ref().map(plain).unwrap_or_default();
    Ok(html! {
        ul.stream {
            @for row in table.rows.iter().rev() {
                li {
                    span.quiet { @if let Some(at) = of(row, "at") { (layout::value(&at, exports::Kind::Time, now)) } } " "
                    (word(row, "kind").replace(['.', '-'], " "))
                    @if !word(row, "device").is_empty() { " " a href=(nouns::link("devices", &word(row, "device"))) { (word(row, "device")) } }
                    @if let Some(exports::Value::Json(body)) = of(row, "body") { (told(&body, &word(row, "device"))) }
                    @if word(row, "actor").starts_with("user:") { " by " (word(row, "actor").trim_start_matches("user:")) }
                }
            }
        }
        p { a href="/log" { "The whole log" } }
    })
}

/// What an event tells besides its kind and its device: what it is about, and what became of that.
fn told(body: &serde_json::Value, device: &str) -> Markup {
    let word = |key: &str| body.get(key).and_then(serde_json::Value::as_str).filter(|word| !word.is_empty());
    let about = ["title", "key", "name", "user"].into_iter().find_map(word).filter(|about| *about != device);
    html! {
        @if let Some(about) = about { " “" bdi { (about.chars().take(60).collect::<String>()) } "”" }
        @if let Some(state) = word("to") { " → " (layout::state(state)) }
    }
}

/// Where there is nothing: browsers are shown a page, programs are told in JSON.
///
/// # Errors
/// There is nothing.
pub fn nowhere(asked: &Asked) -> Result<Answer, Trouble> {
    const NOTHING: &str = "there is nothing at this address";
    let wants_page = asked.header("accept").is_some_and(|kinds| kinds.contains("text/html"));
    if wants_page && !asked.path.starts_with("/api/") {
        return Err(Trouble::NotFound(NOTHING.to_owned()));
    }
    Ok(Answer::json(&json!({ "error": NOTHING })).status(StatusCode::NOT_FOUND))
}

/// What is wrong with lineman itself.
///
/// # Errors
/// Whoever asks may not, or the database's.
pub fn doctor(asked: &Asked) -> Result<Answer, Trouble> {
    let answer = asked.web.verbs.run(Call::new(asked.user()?.clone(), "doctor", ""))?;
    let health = answer.table.columns.iter().position(|column| column.key == "health");
    let warned = answer
        .table
        .rows
        .iter()
        .filter(|row| health.and_then(|at| row.get(at)).is_some_and(|value| plain(value) == "warn"));
    let warned = warned.count();
    let body = html! {
        h1 { "Doctor" }
        @match (&answer.wrong, warned) {
            (Some(wrong), _) => { p.wrong { (layout::sentence(wrong)) } }
            (None, 0) => { p.done { "All is well." } }
            (None, 1) => { p { "Nothing has failed; one thing is worth a look." } }
            (None, _) => { p { "Nothing has failed; " (warned) " things are worth a look." } }
        }
        (lists::plain_table(asked, &answer.table))
    };
    Ok(Answer::html(layout::page(asked, "Doctor", &body)))
}

/// Reports: how available sites and devices were.
///
/// # Errors
/// Whoever asks may not, or the database's.
pub fn reports(asked: &Asked) -> Result<Answer, Trouble> {
    let verb = asked.web.verbs.named("report", "availability");
    let verb = verb.ok_or_else(|| Trouble::NotFound("there is no such report".into()))?;
    let mut call = Call::new(asked.user()?.clone(), "report", "availability");
    for param in &verb.params {
        if let Some(text) = asked.asks(&param.name) {
            call = call.with(&param.name, text);
        }
    }
    let (table, wrong) = match asked.web.verbs.run(call) {
        Ok(answer) => (Some(answer.table), None),
        Err(refused) => (None, Some(refused.message)),
    };
    let body = html! {
        h1 { "Availability" }
        p { (layout::sentence(&verb.about)) }
        @if let Some(wrong) = &wrong { p.wrong role="alert" { (layout::sentence(wrong)) } }
        form.row action="/reports" {
            @for param in verb.params.iter().filter(|param| !param.positional) {
                @let id = format!("f-{}", param.name);
                @let text = asked.asks(&param.name).unwrap_or_default();
                @match &param.kind {
                    ParamKind::Switch => { label.inline { input type="checkbox" name=(param.name) value="true" checked[text == "true"]; (lists::title(&param.name.replace('_', " "))) } }
                    ParamKind::Choice(words) => {
                        span.pair {
                            label for=(id) { (lists::title(&param.name.replace('_', " "))) }
                            select #(id) name=(param.name) { option value="" { "–" } @for word in words { option value=(word) selected[word == text] { (word) } } }
                        }
                    }
                    _ => { span.pair { label for=(id) { (lists::title(&param.name.replace('_', " "))) } input #(id) name=(param.name) value=(text) title=(param.about); } }
                }
            }
            button { "Show" }
        }
        @match &table {
            Some(table) if table.rows.is_empty() => { p.quiet { "Nothing is known of that time: choose another one, or " a href="/devices" { "add devices" } " and come back when they were watched." } }
            Some(table) => { (lists::plain_table(asked, table)) }
            None => {}
        }
    };
    Ok(Answer::html(layout::page(asked, "Reports", &body)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_site_is_told_by_its_worst_device_and_unknown_is_not_well() {
        for ((all, out, degraded, unknown), state, told) in [
            ((3, 0, 0, 0), "ok", "3 devices"),
            ((1, 1, 0, 0), "down", "1 out of 1 device"),
            ((4, 1, 1, 1), "down", "1 out, 1 degraded, 1 unknown of 4 devices"),
            ((4, 0, 2, 1), "degraded", "2 degraded, 1 unknown of 4 devices"),
            ((4, 0, 0, 3), "ok", "3 unknown of 4 devices"),
            ((2, 0, 0, 2), "unknown", "2 unknown of 2 devices"),
            ((0, 0, 0, 0), "unknown", "0 devices"),
        ] {
            let tile = Tile { all, out, degraded, unknown };
            assert_eq!((tile.state(), tile.sentence().as_str()), (state, told));
        }
    }
}
