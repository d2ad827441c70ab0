//! What all graphs share: the figure around them, the table of the same numbers, and how a state is drawn.

use jiff::tz::TimeZone;
use maud::{Markup, html};
use schedules::Time;

use crate::domain::device::State;
use crate::domain::history::Interval;
use crate::domain::named;
use crate::domain::wall;
use crate::web::layout;

/// How wide every drawing is, in its own units. A browser makes it as wide as the page is.
pub const WIDE: f64 = 720.0;
/// Where what is drawn begins: before it stand the numbers of the axis.
pub const LEFT: f64 = 78.0;
/// Where it ends.
pub const RIGHT: f64 = 708.0;
/// The most rows of a table beside a drawing.
const MOST_ROWS: usize = 400;

/// A drawing with its title, and what stands below it.
pub struct Figure {
    /// A word that no other figure of the page has.
    pub id: String,
    /// What it shows.
    pub title: String,
    /// The same in a sentence with the numbers that matter, for who cannot see it.
    pub says: String,
    /// How high it is.
    pub height: f64,
}

impl Figure {
    /// The whole figure.
    #[must_use]
    pub fn around(&self, drawn: &Markup, below: &Markup) -> Markup {
        let (title, says) = (format!("{}-title", self.id), format!("{}-says", self.id));
        html! {
            figure.graph {
                figcaption { (self.title) }
                svg xmlns="http://www.w3.org/2000/svg" viewBox={"0 0 " (px(WIDE)) " " (px(self.height))}
                    width=(px(WIDE)) height=(px(self.height)) role="img" aria-labelledby={(title) " " (says)} {
                    title id=(title) { (self.title) }
                    desc id=(says) { (self.says) }
                    (drawn)
                }
                (below)
            }
        }
    }
}

/// A number in a drawing: to a tenth.
#[must_use]
pub fn px(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map_or_else(|| text.clone(), str::to_owned)
}

/// Where moments stand from left to right.
#[derive(Clone, Copy, Debug)]
pub struct Across(pub Interval);

impl Across {
    /// The place of a moment; one outside stands at the edge.
    #[must_use]
    pub fn x(self, at: Time) -> f64 {
        let Across((from, to)) = self;
        let long = to.since(from).0.max(1) as f64;
        let share = (at.since(from).0 as f64 / long).clamp(0.0, 1.0);
        LEFT + share * (RIGHT - LEFT)
    }

    /// The place and the width of a time, at least `least` wide.
    #[must_use]
    pub fn stretch(self, from: Time, to: Time, least: f64) -> (f64, f64) {
        let (start, end) = (self.x(from), self.x(to));
        let wide = (end - start).max(least);
        (start.min(RIGHT - wide), wide)
    }
}

named! {
    /// What a time was, as it is drawn.
    pub enum Look {
        /// Reachable, and all well.
        Up = "up",
        /// Reachable.
        Degraded = "degraded",
        /// Down.
        Down = "down",
        /// Out because its parents were.
        Unreachable = "unreachable",
        /// Being worked on.
        Maintenance = "maintenance",
        /// Nobody knows.
        Unknown = "unknown",
    }
}

impl From<State> for Look {
    fn from(state: State) -> Look {
        match state {
            State::Up => Look::Up,
            State::Degraded => Look::Degraded,
            State::Down => Look::Down,
            State::Unreachable => Look::Unreachable,
            State::Unknown => Look::Unknown,
        }
    }
}

impl Look {
    fn class(self) -> &'static str {
        match self {
            Look::Up => "good",
            Look::Degraded => "warn",
            Look::Down => "bad",
            Look::Unreachable => "dim",
            Look::Maintenance => "calm",
            Look::Unknown => "none",
        }
    }

    /// The lines over its colour, on a square of 8 by 8; none: the colour alone.
    fn lines(self) -> Option<&'static str> {
        match self {
            Look::Up | Look::Unknown => None,
            Look::Degraded => Some("M-2 2L2 -2M0 8L8 0M6 10L10 6"),
            Look::Down => Some("M0 0L8 8M0 8L8 0"),
            Look::Unreachable => Some("M0 4H3"),
            Look::Maintenance => Some("M4 0V8"),
        }
    }
}

/// The patterns of a drawing: each look has its own, so that nobody needs the colour.
#[must_use]
pub fn patterns(id: &str) -> Markup {
    html! {
        defs {
            @for &look in Look::ALL {
                @if let Some(lines) = look.lines() {
                    pattern id={(id) "-" (look.as_str())} width="8" height="8" patternUnits="userSpaceOnUse" {
                        path.mark d=(lines) {}
                    }
                }
            }
        }
    }
}

/// A rectangle with the look of a state. `says`: what a pointer over it tells.
#[must_use]
pub fn area(id: &str, look: Look, (x, y): (f64, f64), (wide, high): (f64, f64), says: &str) -> Markup {
    let (x, y, wide, high) = (px(x), px(y), px(wide), px(high));
    html! {
        g {
            @if !says.is_empty() { title { (says) } }
            rect class=(look.class()) x=(x) y=(y) width=(wide) height=(high) {}
            @if look.lines().is_some() {
                rect x=(x) y=(y) width=(wide) height=(high) fill={"url(#" (id) "-" (look.as_str()) ")"} {}
            }
        }
    }
}

/// What the looks mean, those alone that are there.
#[must_use]
pub fn legend(id: &str, looks: &[Look]) -> Markup {
    html! {
        ul.legend {
            @for &look in looks {
                li {
                    svg viewBox="0 0 16 16" width="16" height="16" aria-hidden="true" {
                        (area(id, look, (0.0, 0.0), (16.0, 16.0), ""))
                    }
                    " " (look.as_str())
                }
            }
        }
    }
}

/// The numbers of a drawing as a table, that opens when it is wanted. Of very many the newest, and it says so.
#[must_use]
pub fn numbers(title: &str, heads: &[&str], mut rows: Vec<Vec<Markup>>) -> Markup {
    let all = rows.len();
    rows.drain(..all.saturating_sub(MOST_ROWS));
    html! {
        details.numbers {
            summary { "The same as a table" }
            @if rows.is_empty() { p { "Nothing was measured." } }
            @else {
                @if all > rows.len() { p { "The newest " (rows.len()) " of " (all) " rows." } }
                div.scroll tabindex="0" role="region" aria-label=(title) {
                    table {
                        caption.hidden { (title) }
                        thead { tr { @for head in heads { th scope="col" { (head) } } } }
                        tbody { @for row in &rows { tr { @for cell in row { td { (cell) } } } } }
                    }
                }
            }
        }
    }
}

/// A moment as the clocks of `zone` show it, to the second where that matters.
#[must_use]
pub fn moment(at: Time, zone: &TimeZone) -> Markup {
    let Some(wall) = wall::reading(at, zone) else { return html! { "–" } };
    let seconds = if wall.second() == 0 { String::new() } else { format!(":{:02}", wall.second()) };
    let text = format!("{} {:02}:{:02}{seconds}", wall.date(), wall.hour(), wall.minute());
    html! { time datetime=[exports::rfc3339(at.0)] { (text) } }
}

/// The same as plain text.
#[must_use]
pub fn clock(at: Time, zone: &TimeZone) -> String {
    crate::domain::verdict::clock(at, None, zone)
}

/// A state as a word with its shape.
#[must_use]
pub fn state(look: Look) -> Markup {
    layout::state(look.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_look_differs_from_the_others_without_its_colour() {
        let mut lines: Vec<_> = Look::ALL.iter().filter_map(|look| look.lines()).collect();
        lines.sort_unstable();
        lines.dedup();
        assert_eq!(lines.len(), Look::ALL.len() - 2, "all but those that are whole: up, and the pale one");
    }

    #[test]
    fn a_moment_outside_stands_at_the_edge() {
        let across = Across((Time(1_000), Time(2_000)));
        assert_eq!(
            [0, 1_000, 1_500, 2_000, 9_000].map(|at| px(across.x(Time(at)))),
            ["78", "78", "393", "708", "708"]
        );
        assert_eq!(across.stretch(Time(2_000), Time(2_000), 3.0), (705.0, 3.0));
        let empty = Across((Time(5), Time(5)));
        assert_eq!(px(empty.x(Time(5))), "78");
    }

    #[test]
    fn a_table_of_very_many_rows_says_that_it_is_cut() {
        let rows = (0..1_000).map(|n| vec![html! { (n) }]).collect();
        let text = numbers("t", &["n"], rows).into_string();
        assert!(text.contains("The newest 400 of 1000 rows."), "{text}");
        assert!(text.contains("<td>999</td>") && !text.contains("<td>599</td>"), "{text}");
    }
}
