//! The formats of lines and cells: CSV, TSV, and the names alone.

use std::borrow::Cow;
use std::io::{self, Write};

use super::Encode;
use crate::text::is_like_a_formula;
use crate::{Column, Kind, Row, Value, amount, text};

/// What the second column of money is called: `total` and `total_currency`.
const CURRENCY: &str = "_currency";

/// CSV as RFC 4180 says, but for the ends of lines; texts are guarded against spreadsheets.
pub(super) struct Csv<W: Write>(csv::Writer<W>);

impl<W: Write> Csv<W> {
    pub(super) fn new(out: W, columns: &[Column]) -> io::Result<Csv<W>> {
        let mut csv = csv::WriterBuilder::new().buffer_capacity(64 * 1024).from_writer(out);
        for key in keys(columns) {
            csv.write_field(key.as_bytes())?;
        }
        csv.write_record(None::<&[u8]>)?;
        Ok(Csv(csv))
    }
}

impl<W: Write> Encode for Csv<W> {
    fn row(&mut self, row: Row<'_>) -> io::Result<()> {
        for cell in cells(row) {
            self.0.write_field(cell.as_bytes())?;
        }
        self.0.write_record(None::<&[u8]>)?;
        Ok(())
    }

    fn end(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Tab separated; what would break a line is escaped, and texts are guarded against spreadsheets.
pub(super) struct Tsv<W>(W);

impl<W: Write> Tsv<W> {
    pub(super) fn new(mut out: W, columns: &[Column]) -> io::Result<Tsv<W>> {
        tsv_line(&mut out, keys(columns))?;
        Ok(Tsv(out))
    }
}

impl<W: Write> Encode for Tsv<W> {
    fn row(&mut self, row: Row<'_>) -> io::Result<()> {
        tsv_line(&mut self.0, cells(row))
    }

    fn end(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

fn tsv_line<'a>(out: &mut impl Write, cells: impl Iterator<Item = Cow<'a, str>>) -> io::Result<()> {
    for (at, cell) in cells.enumerate() {
        if at > 0 {
            out.write_all(b"\t")?;
        }
        out.write_all(one_line(&cell).as_bytes())?;
    }
    out.write_all(b"\n")
}

/// The names alone: the column `name`, or the first.
pub(super) struct Name<W> {
    out: W,
    column: usize,
}

impl<W: Write> Name<W> {
    pub(super) fn new(out: W, columns: &[Column]) -> Name<W> {
        Name { out, column: columns.iter().position(|column| column.key == "name").unwrap_or(0) }
    }
}

impl<W: Write> Encode for Name<W> {
    fn row(&mut self, row: Row<'_>) -> io::Result<()> {
        let name = row.cells.get(self.column).map(text).unwrap_or_default();
        self.out.write_all(one_line(&name).as_bytes())?;
        self.out.write_all(b"\n")
    }

    fn end(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// The headings: each key, and after each key of money the one of its currency.
fn keys(columns: &[Column]) -> impl Iterator<Item = Cow<'_, str>> {
    columns.iter().flat_map(|column| {
        let currency = (column.kind == Kind::Money).then(|| Cow::Owned(format!("{}{CURRENCY}", column.key)));
        std::iter::once(Cow::Borrowed(column.key)).chain(currency)
    })
}

/// The cells: each value, and after each value of money its currency.
fn cells<'a>(row: Row<'a>) -> impl Iterator<Item = Cow<'a, str>> {
    row.columns.iter().zip(row.cells).flat_map(|(column, value)| {
        let (first, second) = match (column.kind, value) {
            (Kind::Money, Value::Money { minor, currency }) => {
                (Cow::Owned(amount(*minor, currency)), Some(guarded(Cow::Borrowed(&currency[..]))))
            }
            (Kind::Money, other) => (cell(other), Some(Cow::Borrowed(""))),
            (_, other) => (cell(other), None),
        };
        std::iter::once(first).chain(second)
    })
}

fn cell(value: &Value) -> Cow<'_, str> {
    match value {
        // A number may begin with a minus.
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Time(_) | Value::Span(_) => text(value),
        Value::Text(_) | Value::Money { .. } | Value::List(_) | Value::Object(_) | Value::Json(_) => {
            guarded(text(value))
        }
    }
}

/// A text that no spreadsheet takes for a formula: before one that begins like a formula stands a `'` (see
/// [`unguarded`](crate::unguarded)).
fn guarded(cell: Cow<'_, str>) -> Cow<'_, str> {
    if is_like_a_formula(&cell) { Cow::Owned(format!("'{cell}")) } else { cell }
}

/// Writes tab, line feed, carriage return and backslash as `\t`, `\n`, `\r` and `\\`.
fn one_line(cell: &str) -> Cow<'_, str> {
    if !cell.contains(['\t', '\n', '\r', '\\']) {
        return Cow::Borrowed(cell);
    }
    let mut line = String::with_capacity(cell.len() + 8);
    for c in cell.chars() {
        match c {
            '\t' => line.push_str("\\t"),
            '\n' => line.push_str("\\n"),
            '\r' => line.push_str("\\r"),
            '\\' => line.push_str("\\\\"),
            other => line.push(other),
        }
    }
    Cow::Owned(line)
}
