//! The page of one thing: what is known of it, what hangs on it, and what can be done with it.

use exports::{Kind, Table, Value};
use maud::{Markup, html};

use crate::domain::query::quoted;
use crate::domain::user::{Right, Subject};
use crate::web::answer::{Answer, Trouble};
use crate::web::asked::Asked;
use crate::web::lists::{Wanted, linked, rows, title};
use crate::web::nouns::{self, NOUNS, Noun};
use crate::web::verbs::{Call, ParamKind, Refused, Verb, Why};
use crate::web::{device, layout, outage, ticket};

/// How many of what hangs on a thing are shown.
const BESIDE: usize = 20;

/// The page.
///
/// # Errors
/// There is no such thing, or whoever asks may not.
pub fn show(asked: &Asked) -> Result<Answer, Trouble> {
    let noun = nouns::of_path(asked).ok_or_else(|| Trouble::NotFound("there is no such page".into()))?;
    let key = asked.word("key");
    let table = one(asked, noun, key)?;
    let heading = match noun.noun {
        "ticket" => format!("Ticket {key}: {}", cell(&table, "title")),
        "outage" => format!("Outage {key} of {}", cell(&table, "device")),
        "device" | "site" | "notify" | "setting" | "user" | "dns" => key.to_owned(),
        _ => format!("{} {key}", title(noun.one)),
    };
    let body = html! {
        p.quiet { a href={"/" (noun.path)} { (noun.title) } }
        h1 { (heading) }
        div data-live="top" { (top(asked, noun, &table)?) }
        (actions(asked, noun, key, &table))
        @let beside = beside(asked, noun, key)?;
        @let facts = html! { section aria-labelledby="h-facts" data-live="facts" { h2 #h-facts { "What is known" } (facts(asked, &table)) } };
        @if beside.0.is_empty() { (facts) } @else { div.columns { div { (beside) } (facts) } }
    };
    Ok(Answer::html(layout::page(asked, &heading, &body)))
}

/// The thing as `show` shows it; where its noun has no such verb, its row of the list.
fn one(asked: &Asked, noun: &Noun, key: &str) -> Result<Table, Trouble> {
    let verbs = &asked.web.verbs;
    let show = verbs.named(noun.noun, "show");
    let missing = || Trouble::NotFound(format!("there is no {} '{key}'", noun.one));
    let user = asked.user()?.clone();
    if let Some(show) = show {
        let first =
            show.params.iter().find(|param| param.positional).map_or("name", |param| param.name.as_str());
        let answer = verbs.run(Call::new(user, noun.noun, "show").with(first, key))?;
        return if answer.table.rows.is_empty() { Err(missing()) } else { Ok(answer.table) };
    }
    let mut table = rows(asked, noun, &Wanted { page: 1, ..Wanted::default() }, 100_000)?;
    let at = table.columns.iter().position(|column| column.key == noun.key).unwrap_or(0);
    let wanted = key.to_lowercase();
    table
        .rows
        .retain(|row| row.get(at).map(super::lists::plain).is_some_and(|word| word.to_lowercase() == wanted));
    if table.rows.is_empty() { Err(missing()) } else { Ok(table) }
}

/// A cell of the thing, as a plain word.
#[must_use]
pub fn cell(table: &Table, key: &str) -> String {
    value(table, key).map(super::lists::plain).unwrap_or_default()
}

/// A cell of the thing.
#[must_use]
pub fn value<'t>(table: &'t Table, key: &str) -> Option<&'t Value> {
    let at = table.columns.iter().position(|column| column.key == key)?;
    table.rows.first()?.get(at)
}

fn top(asked: &Asked, noun: &Noun, table: &Table) -> Result<Markup, Trouble> {
    Ok(match noun.noun {
        "ticket" => ticket::top(asked, table)?,
        "outage" => outage::top(asked, table),
        "device" => html! { p { (layout::state(&cell(table, "state"))) " " (cell(table, "reason")) } },
        _ => html! {},
    })
}

/// All cells, a line each; what has none is left out.
fn facts(asked: &Asked, table: &Table) -> Markup {
    let now = asked.web.app.clock.now();
    let row = table.rows.first().map_or(&[][..], Vec::as_slice);
    let told_apart =
        |key: &str| matches!(key, "dossier" | "verdicts" | "comments" | "verdict" | "contact" | "title");
    let none = |value: &Value| match value {
        Value::Null => true,
        Value::Text(text) => text.is_empty(),
        Value::List(all) => all.is_empty(),
        _ => false,
    };
    html! {
        dl.facts {
            @for (column, value) in table.columns.iter().zip(row) {
                @if !none(value) && !told_apart(column.key) {
                    dt { (title(column.title)) }
                    dd {
                        @match value {
                            Value::List(all) if all.iter().any(|one| matches!(one, Value::Object(_))) => {
                                ul { @for one in all { li { (layout::value(one, Kind::Object, now)) } } }
                            }
                            _ => { (linked(column, value, now)) }
                        }
                    }
                }
            }
        }
    }
}

/// What can be done with it, by whoever asks: at once, where nothing is to be said, else by a form.
fn actions(asked: &Asked, noun: &Noun, key: &str, table: &Table) -> Markup {
    let verbs: Vec<&Verb> = asked
        .web
        .verbs
        .all()
        .iter()
        .filter(|verb| verb.noun == noun.noun && !verb.only_asks() && asked.who.may(verb.right))
        .filter(|verb| !verb.verb.contains(' ') && is_about_one(verb) && makes_sense(verb, table))
        .collect();
    html! {
        @if !verbs.is_empty() {
            div.row role="group" aria-label="What can be done" {
                @for verb in verbs {
                    @let at = format!("{}/{}", nouns::link(noun.path, key), verb.verb);
                    @let word = title(&verb.verb.replace('-', " "));
                    @if is_plain(verb) {
                        form method="post" action=(at) { (layout::form_token(asked)) button title=(verb.about) data-key=[key_of(verb)] { (word) } }
                    } @else if is_often_plain(verb) {
                        form method="post" action=(at) { (layout::form_token(asked)) button title=(verb.about) data-key=[key_of(verb)] { (word) } }
                        a.button href=(at) title={(verb.about) ", with more to say"} { (word) "…" }
                    } @else {
                        a.button href=(at) title=(verb.about) data-key=[key_of(verb)] { (word) }
                    }
                }
            }
        }
    }
}

/// The key that leads to it: those of `layout::KEYS`.
fn key_of(verb: &Verb) -> Option<&'static str> {
    match (verb.noun, verb.verb.as_str()) {
        (_, "edit") => Some("e"),
        ("ticket", "acknowledge") => Some("a"),
        ("ticket", "assign") => Some("s"),
        ("ticket", "resolve") => Some("r"),
        _ => None,
    }
}

/// Whether a verb is about one thing that is there: its first word names it.
fn is_about_one(verb: &Verb) -> bool {
    !matches!(verb.verb.as_str(), "add" | "open") && verb.params.iter().any(|param| param.positional)
}

/// Whether nothing needs to be said to it but which thing.
fn is_plain(verb: &Verb) -> bool {
    let dangerous = matches!(verb.verb.as_str(), "remove" | "close" | "revoke" | "disable");
    !dangerous
        && verb.params.iter().filter(|param| !param.positional).all(|param| param.kind == ParamKind::Switch)
        && verb.params.iter().filter(|param| param.positional).count() == 1
}

/// Whether there is seldom more to say than which thing, though there may be: whoever is woken does it with one touch.
fn is_often_plain(verb: &Verb) -> bool {
    (verb.noun, verb.verb.as_str()) == ("ticket", "acknowledge")
}

/// What would change nothing is not offered.
fn makes_sense(verb: &Verb, table: &Table) -> bool {
    let has = |key: &str| value(table, key).is_some_and(|value| !matches!(value, Value::Null));
    let state = cell(table, "state");
    let marks = cell(table, "marks");
    let is_done = matches!(state.as_str(), "closed" | "resolved" | "merged");
    match (verb.noun, verb.verb.as_str()) {
        ("device", "pause") => !marks.contains("paused") && state != "paused",
        ("device", "resume") => marks.contains("paused") || state == "paused",
        ("ticket", "acknowledge") => !has("acknowledged_at") && !is_done,
        ("ticket", "unacknowledge") => has("acknowledged_at"),
        // It has a form of its own below.
        ("ticket", "comment") => false,
        ("ticket", "unpin") => has("pinned"),
        ("ticket", "resume") => state == "waiting",
        ("ticket", "wait") => state == "open",
        ("ticket", "reopen") => state == "closed" || state == "resolved",
        ("ticket", "close" | "resolve" | "merge" | "pin" | "assign") => !is_done,
        ("maintenance", "end") => state == "active",
        ("maintenance", "extend" | "remove") => state == "active" || state == "planned",
        ("notify", "pause") => !has("paused_at"),
        ("notify", "resume") => has("paused_at"),
        ("notify", "rota-swap") => cell(table, "kind") == "rota",
        // It is about a delivery: the outbox has it.
        ("notify", "retry") => false,
        ("user", "enable") => state == "disabled",
        ("user", "disable" | "link" | "sign-out") => state != "disabled",
        _ => true,
    }
}

/// What hangs on it.
fn beside(asked: &Asked, noun: &Noun, key: &str) -> Result<Markup, Trouble> {
    Ok(match noun.noun {
        "device" => html! {
            (device::graphs(asked, key)?)
            (some(asked, "checks", &format!("device:{}", quoted(key)))?)
            @if asked.who.may(Right::change(Subject::Network)) {
                p { a.button href={"/new/check?device=" (nouns::encoded(key)) } { "Add a check" } }
            }
            (some(asked, "devices", &format!("parent:{}", quoted(key)))?)
            (some(asked, "outages", &format!("device:{}", quoted(key)))?)
            (some(asked, "tickets", &format!("device:{}", quoted(key)))?)
            (some(asked, "log", &format!("device:{}", quoted(key)))?)
        },
        "site" => html! {
            (device::tree(asked, key)?)
            (some(asked, "devices", &format!("site:{}", quoted(key)))?)
            (some(asked, "tickets", &format!("site:{}", quoted(key)))?)
        },
        "ticket" => ticket::beside(asked, key)?,
        "outage" => outage::beside(asked, key)?,
        _ => html! {},
    })
}

/// The first ones of a list that a query finds, as a section.
///
/// # Errors
/// The database's. Where whoever asks may not see them, there is nothing.
pub fn some(asked: &Asked, path: &str, query: &str) -> Result<Markup, Trouble> {
    let Some(noun) = NOUNS.iter().find(|noun| noun.path == path) else { return Ok(html! {}) };
    let wanted = Wanted { query: query.to_owned(), page: 1, ..Wanted::default() };
    let mut table = match rows(asked, noun, &wanted, BESIDE + 1) {
        Ok(table) => table,
        Err(Refused { why: Why::NotAllowed, .. }) => return Ok(html! {}),
        Err(other) => return Err(other.into()),
    };
    if noun.noun == "event" {
        table.rows.reverse();
    }
    let more = table.rows.len() > BESIDE;
    table.rows.truncate(BESIDE);
    // What the page is about needs no column.
    let about = query.split(':').next().unwrap_or_default();
    if let Some(column) = table.columns.iter_mut().find(|column| column.key == about) {
        column.shown = false;
    }
    let id = format!("h-{path}");
    let heading =
        if path == "devices" && query.starts_with("parent:") { "What hangs on it" } else { noun.title };
    Ok(html! {
        @if !table.rows.is_empty() {
            section aria-labelledby=(id) data-live=(path) {
                h2 #(id) { (heading) }
                (super::lists::small(asked, noun, &table))
                @if more { p { a href={"/" (path) "?q=" (nouns::encoded(query))} { "All of them" } } }
            }
        }
    })
}
