//! The page of a ticket beyond its facts: where its fault is, why its priority is what it is, and what was said.

use exports::{Table, Value};
use maud::{Markup, html};

use crate::domain::user::{Right, Subject};
use crate::domain::verdict::Who;
use crate::web::answer::{Answer, Trouble};
use crate::web::asked::Asked;
use crate::web::layout;
use crate::web::lists::{Wanted, plain, rows};
use crate::web::nouns;
use crate::web::things::{cell, value};

/// What stands on top: how urgent, how it is, where the fault is.
///
/// # Errors
/// Nobody is signed in.
pub fn top(asked: &Asked, table: &Table) -> Result<Markup, Trouble> {
    let now = asked.web.app.clock.now();
    let opened = value(table, "opened_at").map(|at| layout::value(at, exports::Kind::Time, now));
    let user = asked.user()?;
    Ok(html! {
        p {
            (layout::state(&cell(table, "priority"))) " " (layout::state(&cell(table, "state")))
            " opened " (opened.unwrap_or_default())
            @let who = cell(table, "assignee");
            @if who.is_empty() { ", nobody has it" } @else if who == user.name { ", you have it" } @else { ", " (who) " has it" }
        }
        @if let Some(verdict) = value(table, "verdict") { (fault(verdict)) }
    })
}

/// A verdict, in one sentence, with how sure it is and who acts.
#[must_use]
pub fn fault(verdict: &Value) -> Markup {
    let Value::Object(all) = verdict else { return html! {} };
    let of = |key: &str| {
        all.iter().find(|(name, _)| *name == key).map(|(_, value)| plain(value)).unwrap_or_default()
    };
    let evidence = all.iter().find_map(|(name, value)| match (*name, value) {
        ("evidence", Value::List(list)) => Some(list.as_slice()),
        _ => None,
    });
    html! {
        section.box aria-label="Where the fault is" {
            p { strong { (of("sentence")) } }
            p.quiet {
                (of("code")) @if of("confidence") != "0" { ", " (of("confidence")) " % sure" }
                "; who acts: " @if of("who") == Who::Wait.as_str() { "nobody yet" } @else { (of("who")) }
                @if !of("likeliest").is_empty() { "; the likeliest: " (of("likeliest")) }
                @if !of("also").is_empty() { "; beside it: " (of("also")) }
            }
            @if let Some(all) = evidence {
                ul {
                    @for one in all {
                        @if let Value::Object(parts) = one {
                            li { @for (name, value) in parts { @if *name == "what" { (plain(value)) } } }
                        }
                    }
                }
            }
        }
    }
}

/// What was said of it, a place to say more, and why its priority is what it is.
///
/// # Errors
/// The database's.
pub fn beside(asked: &Asked, key: &str) -> Result<Markup, Trouble> {
    let user = asked.user()?.clone();
    let now = asked.web.app.clock.now();
    let run = |verb: &str| asked.web.verbs.run(asked.web.verbs.about(user.clone(), "ticket", verb, key));
    let shown = run("show")?.table;
    let reasons = run("explain")?.table;
    let comments = match value(&shown, "comments") {
        Some(Value::List(all)) => all.as_slice(),
        _ => &[],
    };
    let part = |one: &Value, key: &str| match one {
        Value::Object(parts) => parts.iter().find(|(name, _)| *name == key).map(|(_, value)| value.clone()),
        _ => None,
    };
    let may = asked.who.may(Right::change(Subject::Tickets));
    Ok(html! {
        section aria-labelledby="h-said" {
            h2 #h-said { "What was said" }
            ol.timeline data-live="comments" {
                @for one in comments {
                    li {
                        strong { (part(one, "author").or_else(|| part(one, "by")).map(|who| plain(&who)).unwrap_or_default()) }
                        " " span.quiet { @if let Some(at) = part(one, "at") { (layout::value(&at, exports::Kind::Time, now)) } }
                        p { (part(one, "text").map(|text| plain(&text)).unwrap_or_default()) }
                    }
                }
                @if comments.is_empty() { li.quiet { "Nothing yet." } }
            }
            @if may {
                form method="post" action={(nouns::link("tickets", key)) "/comment"} {
                    (layout::form_token(asked))
                    label for="f-text" { "Say something" }
                    textarea #f-text name="text" required maxlength="10000" data-key="c" {}
                    button { "Comment" }
                }
            }
        }
        section aria-labelledby="h-why" {
            h2 #h-why { "Why this priority" }
            table {
                thead { tr { th.number scope="col" { "Points" } th scope="col" { "Because" } } }
                tbody data-live="why" {
                    @for row in &reasons.rows {
                        tr { @for (at, value) in row.iter().enumerate() { td class=[(at == 0).then_some("number")] { (layout::value(value, exports::Kind::Text, now)) } } }
                    }
                }
            }
        }
        (super::things::some(asked, "log", &format!("ticket:{key}"))?)
    })
}

/// How many tickets of a state the board shows.
const BOARD: usize = 100;

/// Tickets by state, side by side.
///
/// # Errors
/// Whoever asks may not, or the database's.
pub fn board(asked: &Asked) -> Result<Answer, Trouble> {
    let noun = nouns::named("ticket").ok_or_else(|| Trouble::NotFound("there are no tickets".into()))?;
    let now = asked.web.app.clock.now();
    let mut columns = Vec::new();
    for (state, heading) in
        [("open", "Open"), ("waiting", "Waiting"), ("recovered", "Recovered"), ("resolved", "Resolved")]
    {
        let wanted = Wanted { query: format!("state:{state}"), page: 1, ..Wanted::default() };
        columns.push((heading, wanted.query.clone(), rows(asked, noun, &wanted, BOARD + 1)?));
    }
    let body = html! {
        h1 { "Tickets" }
        p { a.button href="/tickets" { "As a list" } }
        div.board data-live="board" {
            @for (heading, query, table) in &columns {
                @let more = table.rows.len() > BOARD;
                section aria-label=(heading) {
                    h2 { (heading) " " span.quiet { (table.rows.len().min(BOARD)) @if more { "+" } } }
                    @for row in table.rows.iter().take(BOARD) {
                        @let of = |key: &str| table.columns.iter().position(|column| column.key == key).and_then(|at| row.get(at));
                        @let id = of("id").map(plain).unwrap_or_default();
                        div.card {
                            (layout::state(&of("priority").map(plain).unwrap_or_default())) " "
                            a href=(nouns::link("tickets", &id)) { (of("title").map(plain).unwrap_or_default()) }
                            p.quiet {
                                @if let Some(at) = of("opened_at") { (layout::value(at, exports::Kind::Time, now)) }
                                @let who = of("assignee").map(plain).unwrap_or_default();
                                @if !who.is_empty() { " · " (who) }
                            }
                        }
                    }
                    @if table.rows.is_empty() { p.quiet { "None." } }
                    @if more { p { a href={"/tickets?q=" (nouns::encoded(query))} { "All of them" } } }
                }
            }
        }
    };
    Ok(Answer::html(layout::page(asked, "Board", &body)))
}
