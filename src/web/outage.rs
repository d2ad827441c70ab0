//! The page of an outage beyond its facts: where the fault was, the story step by step, and the text for the provider.

use exports::Table;
use maud::{Markup, html};

use crate::reports;
use crate::store::outages;
use crate::web::answer::Trouble;
use crate::web::asked::Asked;
use crate::web::things::value;
use crate::web::ticket;

/// Where the fault was.
#[must_use]
pub fn top(_asked: &Asked, table: &Table) -> Markup {
    value(table, "verdict").map(ticket::fault).unwrap_or_default()
}

/// The story, and what to send.
///
/// # Errors
/// There is no such outage, or the database's.
pub fn beside(asked: &Asked, key: &str) -> Result<Markup, Trouble> {
    let shown = asked.web.app.store.read(|tx| -> crate::store::Result<_> {
        let outage = outages::get(tx, key)?;
        reports::outages::show(tx, &outage)
    })?;
    Ok(html! {
        section aria-labelledby="h-story" data-live="story" {
            h2 #h-story { "Step by step" }
            pre tabindex="0" { (shown.story) }
        }
        @if let Some(letter) = &shown.letter {
            section aria-labelledby="h-letter" {
                h2 #h-letter { "To send to whoever acts" }
                pre tabindex="0" { (letter) }
            }
        }
    })
}
