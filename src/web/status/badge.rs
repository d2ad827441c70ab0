//! A badge for other pages: it brings its colours along, since no style of ours is there.

use maud::{Markup, html};

use super::Standing;

/// How wide a letter is, about.
const LETTER: usize = 7;
const LABEL: &str = "status";

/// Draws it.
#[must_use]
pub fn draw(standing: Standing) -> Markup {
    // Each with white on it in a contrast of 4.5 and more.
    let (ground, shape) = match standing {
        Standing::Operational => ("#1a6e34", "●"),
        Standing::Maintenance => ("#5b3da8", "❙❙"),
        Standing::Disturbed => ("#8a5300", "▲"),
        Standing::Down => ("#b3202c", "✕"),
        Standing::Unknown => ("#59636e", "?"),
    };
    let word = standing.as_str();
    let (left, right) = (LABEL.len() * LETTER + 16, (word.len() + 3) * LETTER + 12);
    let (wide, middle) = (left + right, left + right / 2);
    let title = format!("{LABEL}: {word}");
    html! {
        svg xmlns="http://www.w3.org/2000/svg" width=(wide) height="22" viewBox={"0 0 " (wide) " 22"} role="img" aria-label=(title) {
            title { (title) }
            rect width=(wide) height="22" rx="4" fill=(ground) {}
            path d={"M4 0H" (left) "V22H4A4 4 0 0 1 0 18V4A4 4 0 0 1 4 0Z"} fill="#32383f" {}
            g fill="#ffffff" text-anchor="middle" font-family="system-ui, sans-serif" font-size="12" {
                text x=(left / 2) y="15" { (LABEL) }
                text x=(middle) y="15" { (shape) " " (word) }
            }
        }
    }
}
