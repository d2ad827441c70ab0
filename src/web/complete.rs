//! What may follow in the box of a list, while somebody types: the keys of its query language, then the values of one.

use maud::{Markup, html};
use serde_json::json;

use crate::domain::query::{MAX_LEN, quoted, unfinished};
use crate::store::filter::{Column, Kind};
use crate::store::offers;
use crate::web::answer::{Answer, Trouble};
use crate::web::asked::Asked;
use crate::web::lists;
use crate::web::nouns::{NOUNS, Noun};

/// The most that is offered at once.
const MOST: usize = 20;

/// What is offered for the text up to the cursor. It is offered to whoever may see the list.
///
/// # Errors
/// There is no such list, whoever asks may not see it, or the database's.
pub fn offer(asked: &Asked) -> Result<Answer, Trouble> {
    let noun = NOUNS.iter().find(|noun| noun.path == asked.word("noun") && !noun.columns.is_empty());
    let noun = noun.ok_or_else(|| Trouble::NotFound("there is no such list".into()))?;
    asked.user()?;
    if !lists::can(asked, noun, noun.list) {
        return Err(Trouble::NotAllowed(format!("you may not see {}", noun.title.to_lowercase())));
    }
    let text = asked.asks("q").unwrap_or_default();
    if text.len() > MAX_LEN {
        return Err(Trouble::Bad("the query is too long".to_owned()));
    }
    let at = unfinished(text);
    let values =
        |column: &Column, word: &str| asked.web.app.store.read(|tx| offers::values(tx, column, word, MOST));
    let mut rows = Vec::new();
    if let Some(key) = at.key {
        if let Some(column) = noun.columns.iter().find(|column| column.key == key) {
            for value in values(column, &at.word)? {
                rows.push(json!({"put": written(column, &value), "about": ""}));
            }
        }
    } else {
        for column in noun.columns.iter().filter(|column| column.key.starts_with(&at.word.to_lowercase())) {
            rows.push(json!({"put": format!("{}:", column.key), "about": takes(column)}));
        }
        // A name may stand without its key.
        if let (false, Some(column)) =
            (at.word.is_empty(), noun.columns.iter().find(|column| column.key == "name"))
        {
            for value in values(column, &at.word)? {
                rows.push(json!({"put": written(column, &value), "about": noun.one}));
            }
        }
    }
    rows.truncate(MOST);
    Ok(Answer::json(&json!({"keep": at.kept, "rows": rows})))
}

/// A value as it stands in a query: signs that compare are no part of it.
fn written(column: &Column, value: &str) -> String {
    match column.kind {
        Kind::Time => value.to_owned(),
        Kind::Text | Kind::Words(_) | Kind::Number | Kind::Flag | Kind::Exists | Kind::Named => quoted(value),
    }
}

/// What a key takes, in a few words.
fn takes(column: &Column) -> String {
    if let Some(words) = column.knows().filter(|words| words.len() <= 12) {
        return words.join(", ");
    }
    match column.kind {
        Kind::Words(_) => "a word".to_owned(),
        Kind::Flag => "yes or no".to_owned(),
        Kind::Time => "a time: <7d, >1h, 2026-11-22, none".to_owned(),
        Kind::Number => "a number: 5, <5, >5".to_owned(),
        Kind::Text | Kind::Exists | Kind::Named => "text; * at its end stands for anything".to_owned(),
    }
}

/// What a list may be asked for, to read beside its box.
#[must_use]
pub fn help(noun: &Noun) -> Markup {
    html! {
        details.help {
            summary { "What can be asked" }
            p {
                "Any words are looked for as they are. " code { "key:value" } " asks one column, " code { "key:a,b" }
                " for either, " code { "-key:value" } " for all but that; a text with spaces stands in \"quotation marks\"."
            }
            dl.facts {
                @for column in noun.columns { dt { code { (column.key) ":" } } dd { (takes(column)) } }
            }
        }
    }
}
