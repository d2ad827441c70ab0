//! Lists: what a verb lists, with a box to filter, order, pages, downloads, and what may be done with several at once.

use exports::{Format, Kind, Table, Value};
use maud::{Markup, html};
use schedules::Time;

use crate::web::answer::{Answer, Trouble};
use crate::web::asked::Asked;
use crate::web::nouns::{self, Noun};
use crate::web::verbs::{Call, Refused, Why};
use crate::web::{complete, layout, status};

/// How many rows a page has.
const ROWS: usize = 100;
/// The most rows of a download.
const MOST: usize = 1_000_000;

/// What of a list is asked for.
#[derive(Clone, Default)]
pub struct Wanted {
    /// The query.
    pub query: String,
    /// The key to order by; with `-` the largest first.
    pub sort: String,
    /// Which page, from 1.
    pub page: usize,
}

impl Wanted {
    fn of(asked: &Asked) -> Wanted {
        let text = |name: &str| asked.asks(name).unwrap_or_default().chars().take(500).collect::<String>();
        let page = asked.asks("page").and_then(|page| page.parse::<usize>().ok()).unwrap_or(1);
        Wanted { query: text("q"), sort: text("sort"), page: page.clamp(1, 100_000) }
    }

    fn link(&self, noun: &Noun) -> String {
        let mut parts = Vec::new();
        let mut say = |key: &str, value: &str| {
            if !value.is_empty() {
                parts.push(format!("{key}={}", nouns::encoded(value)));
            }
        };
        say("q", &self.query);
        say("sort", &self.sort);
        if self.page > 1 {
            say("page", &self.page.to_string());
        }
        let path = noun.path;
        if parts.is_empty() { format!("/{path}") } else { format!("/{path}?{}", parts.join("&")) }
    }
}

/// Whether the verb that lists a noun takes that.
fn takes(asked: &Asked, noun: &Noun, name: &str) -> bool {
    let list = asked.web.verbs.named(noun.noun, noun.list);
    list.is_some_and(|verb| verb.params.iter().any(|param| param.name == name))
}

/// Calls the verb that lists a noun.
///
/// # Errors
/// The query is wrong, or whoever asks may not.
pub fn rows(asked: &Asked, noun: &Noun, wanted: &Wanted, many: usize) -> Result<Table, Refused> {
    let who = asked.user().map_err(|_| Refused::new(Why::NotAllowed, "sign in first"))?.clone();
    let mut call = Call::new(who, noun.noun, noun.list);
    let sort = if wanted.sort.is_empty() { noun.sort } else { &wanted.sort };
    for (name, value) in [
        ("query", wanted.query.trim().to_owned()),
        ("sort", sort.to_owned()),
        ("limit", many.to_string()),
        ("skip", (wanted.page.saturating_sub(1) * ROWS).to_string()),
    ] {
        if takes(asked, noun, name) && !value.is_empty() {
            call = call.with(name, value);
        }
    }
    Ok(asked.web.verbs.run(call)?.table)
}

/// The page of a list.
///
/// # Errors
/// Whoever asks may not, or the database's.
pub fn show(asked: &Asked) -> Result<Answer, Trouble> {
    let noun = nouns::of_path(asked).ok_or_else(|| Trouble::NotFound("there is no such page".into()))?;
    let wanted = Wanted::of(asked);
    let (mut table, wrong) = match rows(asked, noun, &wanted, ROWS + 1) {
        Ok(table) => (table, None),
        Err(refused) if refused.why == Why::Usage => (Table::default(), Some(refused.message)),
        Err(refused) => return Err(refused.into()),
    };
    if noun.noun == "event" {
        // The newest are on the first page; there the newest stands first.
        table.rows.reverse();
    }
    let more = table.rows.len() > ROWS;
    table.rows.truncate(ROWS);
    let body = html! {
        h1 { (noun.title) }
        (toolbar(asked, noun, &wanted, wrong.as_deref()))
        @if wrong.is_none() {
            form method="post" action={"/bulk/" (noun.path)} {
                (layout::form_token(asked))
                div data-live="list" {
                    @if table.rows.is_empty() {
                        p.quiet { (noun.empty) }
                        @if !noun.add.is_empty() && can(asked, noun, noun.add) {
                            p { a.button.main href={"/new/" (noun.noun)} { "Add a " (noun.one) } }
                        }
                    } @else {
                        (grid(asked, noun, &table, &wanted))
                    }
                }
                @if !table.rows.is_empty() { (bulk(asked, noun)) }
            }
            (pages(noun, &wanted, more))
        }
    };
    let answer = Answer::html(layout::page(asked, noun.title, &body));
    Ok(if wrong.is_some() { answer.status(http::StatusCode::UNPROCESSABLE_ENTITY) } else { answer })
}

/// Whether whoever asks may do that with a noun.
#[must_use]
pub fn can(asked: &Asked, noun: &Noun, verb: &str) -> bool {
    asked.web.verbs.all().iter().any(|one| {
        one.noun == noun.noun
            && (one.verb == verb || one.verb.starts_with(&format!("{verb} ")))
            && asked.who.may(one.right)
    })
}

fn toolbar(asked: &Asked, noun: &Noun, wanted: &Wanted, wrong: Option<&str>) -> Markup {
    html! {
        div.row {
            @if !noun.columns.is_empty() {
                form.filter action={"/" (noun.path)} role="search" {
                    label.hidden for="q" { "Filter " (noun.title.to_lowercase()) }
                    span.combo {
                        input #q name="q" type="search" value=(wanted.query) placeholder=(sample(noun)) maxlength="500"
                            data-complete={"/complete/" (noun.path)} aria-describedby=[wrong.map(|_| "q-wrong")] aria-invalid=[wrong.map(|_| "true")];
                    }
                    @if !wanted.sort.is_empty() { input type="hidden" name="sort" value=(wanted.sort); }
                    button { "Filter" }
                }
            }
            @if !noun.add.is_empty() && can(asked, noun, noun.add) {
                a.button href={"/new/" (noun.noun)} data-key="n" { (title(noun.add)) }
            }
            @for (title, path) in noun.beside.iter().filter(|(_, path)| *path != "/status" || status::is_on(asked)) {
                a.button href=(path) { (title) }
            }
        }
        @if let Some(wrong) = wrong { p.wrong #q-wrong role="alert" { (layout::sentence(wrong)) } }
        @if !noun.columns.is_empty() { (complete::help(noun)) }
        @if !noun.examples.is_empty() {
            p.quiet {
                "Show: "
                a href={"/" (noun.path)} { (noun.usual) }
                @for (name, query) in noun.examples {
                    " · " a href=(Wanted { query: (*query).to_owned(), ..Wanted::default() }.link(noun)) { (name) }
                }
            }
        }
        p.quiet {
            "Download: "
            @for (at, format) in Format::ALL.iter().enumerate() {
                @if at > 0 { " · " }
                a href={"/download/" (noun.path) "?format=" (format) "&q=" (nouns::encoded(&wanted.query)) "&sort=" (nouns::encoded(&wanted.sort))} { (format) }
            }
        }
    }
}

/// What a box shows while it is empty.
fn sample(noun: &Noun) -> String {
    match noun.examples.first() {
        Some((_, query)) => format!("Filter, such as {query}"),
        None => "Filter".to_owned(),
    }
}

/// The rows.
fn grid(asked: &Asked, noun: &Noun, table: &Table, wanted: &Wanted) -> Markup {
    let now = asked.web.app.clock.now();
    let shown: Vec<usize> = (0..table.columns.len()).filter(|&at| table.columns[at].shown).collect();
    let key = table
        .columns
        .iter()
        .position(|column| column.key == noun.key || (noun.key.is_empty() && column.key == "id"));
    let sorts = takes(asked, noun, "sort");
    let boxes = noun.bulk.iter().any(|verb| can(asked, noun, verb));
    html! {
        div.scroll tabindex="0" role="region" aria-label=(noun.title) {
        table.list {
            thead { tr {
                @if boxes { th.choose scope="col" { input type="checkbox" data-all="" hidden aria-label="All of this page"; } }
                @for &at in &shown { (heading(noun, &table.columns[at], wanted, sorts)) }
            } }
            tbody {
                @for row in &table.rows {
                    @let word = key.and_then(|at| row.get(at)).map(plain).unwrap_or_default();
                    tr {
                        @if boxes { td.choose { input type="checkbox" name="which" value=(word) aria-label={"Choose " (word)}; } }
                        @for &at in &shown { (cell(noun, table, row, at, &word, now)) }
                    }
                }
            }
        }
        }
    }
}

fn heading(noun: &Noun, column: &exports::Column, wanted: &Wanted, sorts: bool) -> Markup {
    let class = matches!(column.kind, Kind::Int | Kind::Money).then_some("number");
    let title = title(column.title);
    // Columns of time are ordered by the query's word for them.
    let by = column.key.trim_end_matches("_at").to_owned();
    let sortable = sorts && noun.columns.iter().any(|one| one.key == by && one.orders());
    let order = (wanted.sort.trim_start_matches('-') == by)
        .then(|| if wanted.sort.starts_with('-') { "descending" } else { "ascending" });
    let next = if order == Some("ascending") { format!("-{by}") } else { by };
    html! {
        th scope="col" class=[class] data-sorts=[sortable.then_some("")] aria-sort=[order] {
            @if sortable { a href=(Wanted { sort: next, page: 1, ..wanted.clone() }.link(noun)) { (title) } } @else { (title) }
        }
    }
}

/// A heading as people write it.
#[must_use]
pub fn title(heading: &str) -> String {
    let lower = heading.to_lowercase();
    let mut chars = lower.chars();
    let text: String =
        chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default();
    text.replace("Dns", "DNS").replace("rtt", "RTT").replace("Rtt", "RTT")
}

fn cell(noun: &Noun, table: &Table, row: &[Value], at: usize, word: &str, now: Time) -> Markup {
    let column = &table.columns[at];
    let Some(value) = row.get(at) else { return html! { td {} } };
    let is_empty = matches!(value, Value::Null)
        || matches!(value, Value::Text(text) if text.is_empty())
        || matches!(value, Value::List(all) if all.is_empty());
    let number = matches!(column.kind, Kind::Int | Kind::Money);
    let class = match (number, is_empty) {
        (true, true) => Some("number empty"),
        (true, false) => Some("number"),
        (false, true) => Some("empty"),
        (false, false) => None,
    };
    let own = column.key == noun.key
        || (column.key == "title" && noun.noun == "ticket")
        || (column.key == "id" && noun.key == "id");
    html! {
        td class=[class] data-label=(title(column.title)) {
            @if own && !noun.key.is_empty() && !word.is_empty() {
                a href=(nouns::link(noun.path, word)) { (layout::value(value, column.kind, now)) }
            } @else {
                (linked(column, value, now))
            }
        }
    }
}

/// A value, with a link to what it names.
#[must_use]
pub fn linked(column: &exports::Column, value: &Value, now: Time) -> Markup {
    let Some(path) = nouns::path_of_column(column.key) else { return layout::value(value, column.kind, now) };
    match value {
        Value::Text(text) if !text.is_empty() => html! { a href=(nouns::link(path, text)) { (text) } },
        Value::Int(number) => html! { a href=(nouns::link(path, &number.to_string())) { (number) } },
        Value::List(all) if !all.is_empty() => html! {
            @for (at, one) in all.iter().take(20).enumerate() {
                @if at > 0 { ", " }
                (linked(column, one, now))
            }
            @if all.len() > 20 { " and " (all.len() - 20) " more" }
        },
        other => layout::value(other, column.kind, now),
    }
}

/// A value as a plain word.
#[must_use]
pub fn plain(value: &Value) -> String {
    match value {
        Value::Text(text) => text.clone(),
        Value::Int(number) => number.to_string(),
        Value::Bool(yes) => yes.to_string(),
        Value::List(all) => all.iter().map(plain).collect::<Vec<_>>().join(", "),
        Value::Json(json) => json.as_str().map_or_else(|| json.to_string(), ToOwned::to_owned),
        Value::Null | Value::Time(_) | Value::Span(_) | Value::Money { .. } | Value::Object(_) => {
            String::new()
        }
    }
}

fn bulk(asked: &Asked, noun: &Noun) -> Markup {
    let allowed: Vec<&&str> = noun.bulk.iter().filter(|verb| can(asked, noun, verb)).collect();
    html! {
        @if !allowed.is_empty() {
            div.row role="group" aria-label="With those that are chosen" {
                span.quiet { "With those that are chosen:" }
                @for verb in allowed { button name="verb" value=(verb) { (title(verb)) } }
            }
        }
    }
}

fn pages(noun: &Noun, wanted: &Wanted, more: bool) -> Markup {
    html! {
        @if wanted.page > 1 || more {
            nav.row aria-label="Pages" {
                @if wanted.page > 1 { a.button rel="prev" href=(Wanted { page: wanted.page - 1, ..wanted.clone() }.link(noun)) { "Before" } }
                span { "Page " (wanted.page) }
                @if more { a.button rel="next" href=(Wanted { page: wanted.page + 1, ..wanted.clone() }.link(noun)) { "Next" } }
            }
        }
    }
}

/// Does something with several things; what could not be done with some is told.
///
/// # Errors
/// Nothing was chosen, or the noun has no such verb.
pub fn several(asked: &Asked) -> Result<Answer, Trouble> {
    let noun = nouns::NOUNS.iter().find(|noun| noun.path == asked.word("noun"));
    let noun = noun.ok_or_else(|| Trouble::NotFound("there is no such list".into()))?;
    let verb = asked.said("verb").filter(|verb| noun.bulk.contains(verb));
    let verb = verb.ok_or_else(|| Trouble::Bad("choose what to do".into()))?;
    let which: Vec<&str> =
        asked.form.iter().filter(|(key, _)| key == "which").map(|(_, word)| word.as_str()).collect();
    if which.is_empty() {
        return Err(Trouble::Bad(format!("choose at least one {}", noun.one)));
    }
    let user = asked.user()?;
    let described = asked.web.verbs.all().iter().find(|one| one.noun == noun.noun && one.verb == verb);
    let first = described
        .and_then(|verb| verb.params.iter().find(|param| param.positional))
        .map(|param| param.name.clone());
    let first = first.ok_or_else(|| Trouble::Bad(format!("'{verb}' is not for several")))?;
    let mut failed = Vec::new();
    for word in &which {
        let mut call = Call::new(user.clone(), noun.noun, verb).with(&first, (*word).to_owned());
        if verb == "assign" {
            call = call.with("who", user.name.clone());
        }
        if let Err(refused) = asked.web.verbs.run(call) {
            failed.push(format!("{word}: {}", refused.message));
        }
    }
    if failed.is_empty() {
        return Ok(Answer::see(&format!("/{}", noun.path)));
    }
    let body = html! {
        h1 { (title(verb)) ": not all" }
        p { (which.len() - failed.len()) " of " (which.len()) " are done." }
        ul { @for one in &failed { li.wrong { (one) } } }
        p { a href={"/" (noun.path)} { "Back" } }
    };
    Ok(Answer::html(layout::page(asked, noun.title, &body)).status(http::StatusCode::CONFLICT))
}

/// A list as a file, in one of the export formats.
///
/// # Errors
/// The query or the format is wrong, or whoever asks may not.
pub fn download(asked: &Asked) -> Result<Answer, Trouble> {
    let noun = nouns::NOUNS.iter().find(|noun| noun.path == asked.word("noun"));
    let noun = noun.ok_or_else(|| Trouble::NotFound("there is no such list".into()))?;
    let format = asked.asks("format").unwrap_or("csv").parse::<Format>();
    let format = format.map_err(|e| Trouble::Bad(e.to_string()))?;
    let table = rows(asked, noun, &Wanted { page: 1, ..Wanted::of(asked) }, MOST)?;
    let mut bytes = Vec::new();
    exports::write(&table, format, &mut bytes)
        .map_err(|e| Trouble::Failed(format!("write {format}: {e}")))?;
    Ok(Answer::file(format.media_type(), &format!("{}.{format}", noun.path), bytes))
}

/// Rows that are the part of another page.
#[must_use]
pub fn small(asked: &Asked, noun: &Noun, table: &Table) -> Markup {
    let now = asked.web.app.clock.now();
    let key = table.columns.iter().position(|column| column.key == noun.key);
    html! {
        div.scroll tabindex="0" role="region" aria-label=(noun.title) {
        table.list {
            thead { tr { @for column in table.columns.iter().filter(|column| column.shown) { th scope="col" { (title(column.title)) } } } }
            tbody {
                @for row in &table.rows {
                    @let word = key.and_then(|at| row.get(at)).map(plain).unwrap_or_default();
                    tr { @for at in (0..table.columns.len()).filter(|&at| table.columns[at].shown) { (cell(noun, table, row, at, &word, now)) } }
                }
            }
        }
        }
    }
}

/// A table that is no list of things.
#[must_use]
pub fn plain_table(asked: &Asked, table: &Table) -> Markup {
    let now = asked.web.app.clock.now();
    if table.rows.is_empty() {
        return html! { p.quiet { "There is nothing to show." } };
    }
    html! {
        div.scroll tabindex="0" role="region" aria-label=(title(&table.name)) {
        table.list {
            thead { tr { @for column in table.columns.iter().filter(|column| column.shown) { th scope="col" { (title(column.title)) } } } }
            tbody {
                @for row in &table.rows {
                    tr {
                        @for (column, value) in table.columns.iter().zip(row).filter(|(column, _)| column.shown) {
                            td data-label=(title(column.title)) { (linked(column, value, now)) }
                        }
                    }
                }
            }
        }
        }
    }
}
