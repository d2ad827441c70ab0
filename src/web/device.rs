//! What the pages of devices and sites show beyond their facts: graphs, and what hangs on what.

use jiff::tz::TimeZone;
use maud::{Markup, html};

use crate::store::{devices, sites};
use crate::web::answer::Trouble;
use crate::web::asked::Asked;
use crate::web::graphs;

/// The graphs of a device.
///
/// # Errors
/// The database's.
pub fn graphs(asked: &Asked, name: &str) -> Result<Markup, Trouble> {
    let now = asked.web.app.clock.now();
    let word = asked.asks("span");
    let drawn = asked.web.app.store.read(|tx| -> crate::store::Result<_> {
        let device = devices::get(tx, name)?;
        let site = device.site.as_ref().map(|(_, name)| sites::get(tx, name)).transpose()?;
        let zone = site.and_then(|site| TimeZone::get(&site.time_zone).ok()).unwrap_or(TimeZone::UTC);
        graphs::device(tx, &device, graphs::span(word), now, &zone)
    })?;
    Ok(html! {
        section aria-labelledby="h-graphs" {
            h2 #h-graphs { "How it was" }
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
