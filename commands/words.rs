//! How values read for people: times as they pass, spans in their two largest units, words in their colour.

use std::borrow::Cow;

use exports::{Value, rfc3339};
use schedules::Time;

const SECOND: i64 = 1_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// What stands where nothing is known.
pub const NOTHING: &str = "-";

/// How times are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Times {
    /// As they are: RFC 3339.
    Exact,
    /// As they look from this moment: `3 min ago`.
    From(Time),
}

/// A value on one line.
pub fn line(value: &Value, times: Times) -> String {
    match value {
        Value::Null => NOTHING.to_owned(),
        Value::Time(at) => match times {
            Times::Exact => rfc3339(*at).unwrap_or_else(|| NOTHING.to_owned()),
            Times::From(now) => ago(Time(*at), now),
        },
        Value::Span(ms) => span(*ms),
        Value::List(values) if values.is_empty() => NOTHING.to_owned(),
        Value::List(values) => values.iter().map(|value| line(value, times)).collect::<Vec<_>>().join(", "),
        other => match exports::text(other) {
            text if text.is_empty() => NOTHING.to_owned(),
            text => printable(&text).into_owned(),
        },
    }
}

/// What could move the cursor, ring the bell or break the line is written out.
fn printable(text: &str) -> Cow<'_, str> {
    if !text.chars().any(needs_escape) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if needs_escape(c) {
            shown.extend(c.escape_debug());
        } else {
            shown.push(c);
        }
    }
    Cow::Owned(shown)
}

/// Control characters, and those that turn the direction of the text around.
fn needs_escape(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Several lines of text, each printable.
pub fn lines(text: &str) -> impl Iterator<Item = Cow<'_, str>> {
    text.lines().map(printable)
}

/// A moment as it looks from `now`.
pub fn ago(at: Time, now: Time) -> String {
    let passed = now.since(at).0;
    let size = passed.saturating_abs();
    let span = match size {
        ..SECOND => return "now".to_owned(),
        SECOND..MINUTE => format!("{} s", size / SECOND),
        MINUTE..HOUR => format!("{} min", size / MINUTE),
        HOUR.. if size < 2 * DAY => format!("{} h", size / HOUR),
        _ if size < 60 * DAY => format!("{} d", size / DAY),
        _ => return rfc3339(at.0).map_or_else(|| "never".to_owned(), |text| text.chars().take(10).collect()),
    };
    if passed > 0 { format!("{span} ago") } else { format!("in {span}") }
}

/// A span of time in its two largest units: `2m 5s`.
pub fn span(ms: i64) -> String {
    let mut rest = ms.unsigned_abs();
    let mut parts = Vec::new();
    for (unit, name) in [(DAY, "d"), (HOUR, "h"), (MINUTE, "m"), (SECOND, "s"), (1, "ms")] {
        let unit = unit.unsigned_abs();
        if rest >= unit && parts.len() < 2 {
            parts.push(format!("{}{name}", rest / unit));
        } else if !parts.is_empty() {
            break;
        }
        rest %= unit;
    }
    let sign = if ms < 0 { "-" } else { "" };
    if parts.is_empty() { "0s".to_owned() } else { format!("{sign}{}", parts.join(" ")) }
}

/// The colour of a word for how something is, as the number of an ANSI colour.
pub fn colour(word: &str) -> Option<&'static str> {
    match word {
        "up" | "ok" | "online" | "resolved" | "recovered" => Some("32"),
        "degraded" | "warn" | "soft" | "waiting" | "P3" => Some("33"),
        "down" | "failed" | "fail" | "cut-off" | "open" | "P1" | "P2" => Some("31"),
        "unreachable" => Some("35"),
        "unknown" | "closed" | "merged" | "P5" => Some("2"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_read_as_they_pass() {
        let now = Time(1_795_356_000_000);
        for (ms, shown) in [
            (0, "now"),
            (-999, "now"),
            (5 * SECOND, "5 s ago"),
            (-90 * SECOND, "in 1 min"),
            (3 * MINUTE, "3 min ago"),
            (47 * HOUR, "47 h ago"),
            (3 * DAY, "3 d ago"),
            (100 * DAY, "2026-08-14"),
        ] {
            assert_eq!(ago(Time(now.0 - ms), now), shown, "{ms}");
        }
        assert_eq!(ago(Time::MAX, now), "never");
        assert_eq!(ago(Time::MIN, now), "never");
    }

    #[test]
    fn spans_read_in_their_two_largest_units() {
        for (ms, shown) in [
            (0, "0s"),
            (250, "250ms"),
            (1_500, "1s 500ms"),
            (125_000, "2m 5s"),
            (2 * HOUR, "2h"),
            (2 * HOUR + 5_000, "2h"),
            (3 * DAY + 4 * HOUR + 5 * MINUTE, "3d 4h"),
            (-5_000, "-5s"),
        ] {
            assert_eq!(span(ms), shown, "{ms}");
        }
    }

    #[test]
    fn nothing_that_a_device_says_moves_the_cursor() {
        let value = Value::Text("\u{1b}[2Jowned\nby\u{202e}me".to_owned());
        assert_eq!(line(&value, Times::Exact), "\\u{1b}[2Jowned\\nby\\u{202e}me");
    }
}
