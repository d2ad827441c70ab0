//! The search on top of each page: over all that has a name or a title, in the query language of the lists.

use exports::Table;
use maud::html;

use crate::store::{self, Tx, devices, sites};
use crate::web::answer::{Answer, Trouble};
use crate::web::asked::Asked;
use crate::web::layout;
use crate::web::lists::{self, Wanted, rows};
use crate::web::nouns::{self, NOUNS, Noun};
use crate::web::verbs::{Refused, Why};

/// The lists that are searched.
const LISTS: &[&str] = &["devices", "sites", "tickets", "outages", "maintenance"];
/// How many of each are shown.
const SHOWN: usize = 20;

/// What is found. A device or a site of exactly that name, and a ticket by `#7`, are shown at once; where one list alone
/// has something, that list is.
///
/// # Errors
/// No list can be asked that, or the database's.
pub fn show(asked: &Asked) -> Result<Answer, Trouble> {
    let text = asked.asks("q").unwrap_or_default().trim();
    if text.is_empty() {
        return Ok(Answer::see("/devices"));
    }
    if let Some(place) = named(asked, text)? {
        return Ok(Answer::see(&place));
    }
    let text: String = text.chars().take(500).collect();
    let Found { mut all, wrong } = found(asked, &text)?;
    if let (true, Some(wrong)) = (all.is_empty(), wrong) {
        return Err(wrong.into());
    }
    all.retain(|(_, table)| !table.rows.is_empty());
    let list = |noun: &Noun| format!("/{}?q={}", noun.path, nouns::encoded(&text));
    if let [(noun, _)] = all.as_slice() {
        return Ok(Answer::see(&list(noun)));
    }
    let body = html! {
        h1 { "“" (text) "”" }
        @for (noun, table) in &mut all {
            @let more = table.rows.len() > SHOWN;
            @let () = table.rows.truncate(SHOWN);
            @let id = format!("h-{}", noun.path);
            section aria-labelledby=(id) {
                h2 #(id) { (noun.title) }
                (lists::small(asked, noun, table))
                p { a href=(list(noun)) { @if more { "All of them" } @else { "As a list" } } }
            }
        }
        @if all.is_empty() {
            p { "Nothing of that name or title: devices, sites, tickets, outages and maintenance were looked through." }
            p.quiet { "Also addresses, notes, and what the lists can be asked, such as " code { "state:down" } ", " code { "site:north" } ", or " code { "#7" } " for a ticket." }
        }
    };
    Ok(Answer::html(layout::page(asked, "Search", &body)))
}

/// The page of the one thing that is meant.
fn named(asked: &Asked, text: &str) -> Result<Option<String>, Trouble> {
    let number = text.strip_prefix('#').filter(|number| number.parse::<u32>().is_ok());
    if let (Some(number), Some(noun)) = (number, nouns::named("ticket"))
        && lists::can(asked, noun, "show")
    {
        return Ok(Some(nouns::link("tickets", number)));
    }
    let both = |tx: &Tx| -> store::Result<_> { Ok((devices::find(tx, text)?, sites::find(tx, text)?)) };
    let (device, site) = asked.web.app.store.read(both)?;
    // What is found by its number is not what was typed.
    let device = device.filter(|device| device.name == text).map(|it| nouns::link("devices", &it.name));
    let site = site.filter(|site| site.name == text).map(|it| nouns::link("sites", &it.name));
    // A name of both leads to neither.
    Ok(if device.is_some() && site.is_some() { None } else { device.or(site) })
}

/// What the lists have of it, and why some could not be asked.
struct Found {
    all: Vec<(&'static Noun, Table)>,
    wrong: Option<Refused>,
}

fn found(asked: &Asked, text: &str) -> Result<Found, Trouble> {
    let mut found = Found { all: Vec::new(), wrong: None };
    for noun in LISTS.iter().filter_map(|path| NOUNS.iter().find(|noun| noun.path == *path)) {
        let wanted = Wanted { query: text.to_owned(), page: 1, ..Wanted::default() };
        match rows(asked, noun, &wanted, SHOWN + 1) {
            Ok(table) => found.all.push((noun, table)),
            Err(refused) if refused.why == Why::NotAllowed => {}
            Err(refused) if refused.why == Why::Usage => found.wrong = found.wrong.or(Some(refused)),
            Err(refused) => return Err(refused.into()),
        }
    }
    Ok(found)
}
