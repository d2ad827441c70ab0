//! What the pages of devices and sites show beyond their facts: graphs, and what hangs on what.

use jiff::tz::TimeZone;
use maud::{Markup, html};

use crate::store::{devices, sites};
use crate::web::answer::Trouble;
use crate::web::asked::Asked;
use crate::web::{graphs, nouns};

/// The spans of graphs that are offered.
const SPANS: &[(&str, &str)] = &[("6h", "6 hours"), ("1d", "a day"), ("7d", "a week"), ("30d", "30 days"), ("90d", "90 days")];

/// The graphs of a device.
///
/// # Errors
/// The database's.
pub fn graphs(asked: &Asked, name: &str) -> Result<Markup, Trouble> {
    let now = asked.web.app.clock.now();
    let word = asked.asks("span");
    let drawn = asked.web.app.store.read(|tx| -> crate::store::Result<_> {
        let device = devices::get(tx, name)?;
        let site = device.site.as_ref().map(|(id, _)| sites::of(tx, *id)).transpose()?;
        let zone = site.and_then(|site| TimeZone::get(&site.time_zone).ok()).unwrap_or(TimeZone::UTC);
        graphs::device(tx, &device, graphs::span(word), now, &zone)
    })?;
    let at = nouns::link("devices", name);
    Ok(html! {
        section aria-labelledby="h-graphs" {
            h2 #h-graphs { "How it was" }
            p.quiet {
                "Show: "
                @for (at_most, (span, told)) in SPANS.iter().enumerate() {
                    @if at_most > 0 { " · " }
                    a href={(at) "?span=" (span) "#h-graphs"} aria-current=[(word == Some(*span)).then_some("true")] { (told) }
                }
            }
            (drawn)
        }
    })
}

/// What hangs on what at a site.
///
/// # Errors
/// The database's.
pub fn tree(asked: &Asked, name: &str) -> Result<Markup, Trouble> {
    let drawn = asked.web.app.store.read(|tx| graphs::site_tree(tx, &sites::get(tx, name)?))?;
    Ok(html! { div data-live="tree" { (drawn) } })
}
