//! Graphs, drawn on the server as SVG: each has a title, axes with units, and a table of the same numbers. Everything here
//! but `load.rs` goes from plain data to markup.

mod axis;
pub mod days;
mod frame;
pub mod latency;
pub mod load;
pub mod strip;
pub mod tree;

#[cfg(test)]
mod tests;

use jiff::tz::TimeZone;
use maud::{Markup, html};
use schedules::{Millis, Time};

use crate::domain::check::Kind;
use crate::store::devices::Device;
use crate::store::sites::Site;
use crate::store::{Result, Tx, checks, settings};

/// How far graphs go back: the word in an address, what a person reads, and how long it is.
pub const SPANS: &[(&str, &str, Millis)] = &[
    ("hour", "2 hours", Millis::from_secs(2 * 3_600)),
    ("day", "1 day", Millis::from_secs(86_400)),
    ("week", "7 days", Millis::from_secs(7 * 86_400)),
    ("month", "30 days", Millis::from_secs(30 * 86_400)),
    ("quarter", "90 days", Millis::from_secs(90 * 86_400)),
    ("year", "1 year", Millis::from_secs(365 * 86_400)),
];

/// The most checks of a device that are drawn.
const MOST_CHECKS: usize = 12;
/// Days are drawn where there are several.
const SEVERAL_DAYS: Millis = Millis::from_secs(2 * 86_400);

/// The span of that word; without one, or with another, a day.
#[must_use]
pub fn span(word: Option<&str>) -> Millis {
    let found = SPANS.iter().find(|(known, ..)| Some(*known) == word);
    found.map_or(SPANS[1].2, |(_, _, long)| *long)
}

/// All graphs of a device's page, of `long` up to now, on the clocks of `zone`; with links to the other spans.
///
/// # Errors
/// The database's.
pub fn device(tx: &Tx, device: &Device, long: Millis, now: Time, zone: &TimeZone) -> Result<Markup> {
    let settings = settings::load(tx)?;
    let interval = load::until_now(now, long);
    let strip = load::states(tx, device, interval, &settings)?;
    let measures = |kind: Kind| kind != Kind::CheckIn && kind != Kind::Contact && kind != Kind::Ping;
    let checks: Vec<_> =
        checks::of_device(tx, device.id)?.into_iter().filter(|check| measures(check.kind)).collect();
    let mut drawn = Vec::new();
    for check in checks.iter().take(MOST_CHECKS) {
        drawn.push(latency::draw(&load::latency(tx, check, interval, &settings)?, zone));
    }
    Ok(html! {
        (spans(long))
        (strip::draw(&strip, zone))
        @if long >= SEVERAL_DAYS { (days::draw(&load::availability(&strip, device, zone))) }
        @for one in drawn { (one) }
        @if checks.len() > MOST_CHECKS {
            p.quiet { "The first " (MOST_CHECKS) " of " (checks.len()) " checks are drawn." }
        }
    })
}

fn spans(chosen: Millis) -> Markup {
    html! {
        p.row {
            "The last "
            @for (word, text, long) in SPANS {
                a href={"?span=" (word)} aria-current=[(*long == chosen).then_some("true")] { (text) }
            }
        }
    }
}

/// What hangs on what at a site.
///
/// # Errors
/// The database's.
pub fn site_tree(tx: &Tx, site: &Site) -> Result<Markup> {
    Ok(tree::draw(&load::tree(tx, site)?))
}
