//! YAML: a list of maps, item by item.
//!
//! The maps' lines are written here, so that a list of any length is streamed, and so that YAML 1.1 readers (to which
//! `no` is false, `10:20:30` a number and `2026-11-22` a date) read the same texts as YAML 1.2 readers: a text that
//! is not plainly a word is quoted. Text of several lines is laid out by the YAML library. What is nested is JSON,
//! which is YAML.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, Write};

use super::Encode;
use crate::text::json;
use crate::{Row, Value, rfc3339};

/// The words that some version of YAML reads as something else than text, in lower case.
const NOT_TEXT: [&str; 13] =
    ["y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf", "infinity", "none"];

/// A list of maps.
pub(super) struct Yaml<W> {
    out: W,
    empty: bool,
}

impl<W: Write> Yaml<W> {
    pub(super) fn new(out: W) -> Yaml<W> {
        Yaml { out, empty: true }
    }
}

impl<W: Write> Encode for Yaml<W> {
    fn row(&mut self, row: Row<'_>) -> io::Result<()> {
        self.empty = false;
        if row.columns.is_empty() {
            return self.out.write_all(b"- {}\n");
        }
        let mut start = "- ";
        for (column, value) in row.columns.iter().zip(row.cells) {
            writeln!(self.out, "{start}{}: {}", scalar(column.key), inline(value))?;
            start = "  ";
        }
        Ok(())
    }

    fn end(&mut self) -> io::Result<()> {
        if self.empty {
            self.out.write_all(b"[]\n")?;
        }
        self.out.flush()
    }
}

/// A value after its key, without the line's end.
fn inline(value: &Value) -> Cow<'_, str> {
    match value {
        Value::Null => Cow::Borrowed("null"),
        Value::Bool(true) => Cow::Borrowed("true"),
        Value::Bool(false) => Cow::Borrowed("false"),
        Value::Int(number) | Value::Span(number) => Cow::Owned(number.to_string()),
        Value::Text(text) if text.contains('\n') => block(text).map_or_else(|| scalar(text), Cow::Owned),
        Value::Text(text) => scalar(text),
        Value::Time(ms) => rfc3339(*ms).map_or(Cow::Borrowed("null"), |at| Cow::Owned(format!("\"{at}\""))),
        Value::Money { .. } | Value::List(_) | Value::Object(_) | Value::Json(_) => {
            Cow::Owned(printable(json(value)))
        }
    }
}

/// A text in one line: as it is where it is plainly a word, else quoted.
fn scalar(text: &str) -> Cow<'_, str> {
    if is_plain(text) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(printable(serde_json::to_string(text).expect("a text is JSON")))
}

/// Whether every YAML reads these characters as this text: it begins with a letter, and has nothing that YAML uses.
fn is_plain(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "_-./ ".contains(c) || (c > '\u{a0}' && c.is_alphabetic()))
        && !text.ends_with(' ')
        && !NOT_TEXT.iter().any(|word| text.eq_ignore_ascii_case(word))
}

/// Quoted JSON with the characters escaped that YAML does not allow to stand (YAML 1.2, 5.1) or that break a line in
/// YAML 1.1.
fn printable(quoted: String) -> String {
    let stands = |c: char| {
        matches!(c, ' '..='~' | '\u{a0}'..='\u{2027}' | '\u{202a}'..='\u{d7ff}' | '\u{e000}'..='\u{fefe}'
            | '\u{ff00}'..='\u{fffd}' | '\u{10000}'..)
    };
    if quoted.chars().all(stands) {
        return quoted;
    }
    let mut escaped = String::with_capacity(quoted.len() + 8);
    for c in quoted.chars() {
        if stands(c) {
            escaped.push(c);
        } else {
            write!(escaped, "\\u{:04x}", u32::from(c)).expect("a string takes any text");
        }
    }
    escaped
}

/// Text of several lines as a literal block, indented to stand in a list's map; none where the library has no block
/// for it.
fn block(text: &str) -> Option<String> {
    let laid_out = serde_yaml::to_string(text).ok().filter(|yaml| yaml.starts_with('|'))?;
    let lines = laid_out.strip_suffix('\n')?.replace('\n', "\n  ");
    Some(lines)
}
