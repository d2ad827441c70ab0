//! A value as plain text: what a cell of a flat format holds.

use std::borrow::Cow;

use jiff::Timestamp;
use jiff::fmt::temporal::DateTimePrinter;

use crate::{Value, amount};

static WHOLE_SECONDS: DateTimePrinter = DateTimePrinter::new().precision(Some(0));
static MILLISECONDS: DateTimePrinter = DateTimePrinter::new().precision(Some(3));

/// The first moment that RFC 3339 can write: the start of the year 0.
const FIRST: i64 = -62_167_219_200_000;
/// The last moment in which it is not yet the year 10000 anywhere.
const LAST: i64 = 253_402_207_199_999;

/// A moment (milliseconds since 1970 UTC) as RFC 3339 with `Z`; milliseconds are written only where they are not
/// zero. Outside the years 0 to 9999 there is no such text.
#[must_use]
pub fn rfc3339(ms: i64) -> Option<String> {
    if !(FIRST..=LAST).contains(&ms) {
        return None;
    }
    let printer = if ms.rem_euclid(1000) == 0 { &WHOLE_SECONDS } else { &MILLISECONDS };
    Timestamp::from_millisecond(ms).ok().map(|at| printer.timestamp_to_string(&at))
}

/// A value as one text: nothing is empty, a list is joined with comma and space, an object is compact JSON, money is
/// `12.50 EUR`, a span is its milliseconds.
#[must_use]
pub fn text(value: &Value) -> Cow<'_, str> {
    match value {
        Value::Null => Cow::Borrowed(""),
        Value::Bool(true) => Cow::Borrowed("true"),
        Value::Bool(false) => Cow::Borrowed("false"),
        Value::Int(number) | Value::Span(number) => Cow::Owned(number.to_string()),
        Value::Text(text) => Cow::Borrowed(text),
        Value::Time(ms) => rfc3339(*ms).map_or(Cow::Borrowed(""), Cow::Owned),
        Value::Money { minor, currency } => Cow::Owned(format!("{} {currency}", amount(*minor, currency))),
        Value::List(values) => Cow::Owned(values.iter().map(text).collect::<Vec<_>>().join(", ")),
        Value::Object(_) | Value::Json(_) => Cow::Owned(json(value)),
    }
}

/// Whether a spreadsheet that opens the cell may run it: it begins, behind any `'`, with one of `= + - @`, their
/// full-width forms, a tab or the end of a line (OWASP, "CSV Injection").
pub(crate) fn is_like_a_formula(cell: &str) -> bool {
    cell.trim_start_matches('\'').starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠', '\t', '\r', '\n'])
}

/// What a cell of CSV or TSV says: a text that begins like a formula is written with one `'` before it, so that no
/// spreadsheet runs it. Numbers are written as they are.
#[must_use]
pub fn unguarded(cell: &str) -> &str {
    if is_like_a_formula(cell) { cell.strip_prefix('\'').unwrap_or(cell) } else { cell }
}

/// A value as compact JSON.
pub(crate) fn json(value: &Value) -> String {
    serde_json::to_string(value).expect("a value has string keys and no failing parts")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rfc_3339_with_milliseconds_only_where_there_are_some() {
        for (ms, shown) in [
            (0, Some("1970-01-01T00:00:00Z")),
            (1_795_356_000_000, Some("2026-11-22T14:00:00Z")),
            (1_795_356_000_500, Some("2026-11-22T14:00:00.500Z")),
            (-1, Some("1969-12-31T23:59:59.999Z")),
            (FIRST, Some("0000-01-01T00:00:00Z")),
            (LAST, Some("9999-12-30T21:59:59.999Z")),
            (FIRST - 1, None),
            (LAST + 1, None),
            (i64::MAX, None),
            (i64::MIN, None),
        ] {
            assert_eq!(rfc3339(ms).as_deref(), shown, "{ms}");
        }
    }

    #[test]
    fn lists_and_objects_are_one_text() {
        let list = Value::List(vec!["a".into(), Value::money(1250, "EUR"), Value::Null, true.into()]);
        assert_eq!(text(&list), "a, 12.50 EUR, , true");
        let object = Value::Object(vec![("code", "power".into()), ("parts", list)]);
        assert_eq!(
            text(&object),
            r#"{"code":"power","parts":["a",{"amount":"12.50","minor":1250,"currency":"EUR"},null,true]}"#
        );
    }
}
