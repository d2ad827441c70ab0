//! A table in, bytes out.
//!
//! A [`Table`] has named columns and rows of [`Value`]s. [`write()`] turns a whole one into a [`Format`]; a [`Writer`]
//! takes the rows one by one, so that an export of any length needs the memory of one row. A leaf: it knows nothing
//! of devices or money's rules, only how things are written.
//!
//! | format | a row is | heading | times | money |
//! | --- | --- | --- | --- | --- |
//! | `csv`, `tsv` | a line | the keys | RFC 3339 | two columns: `key` holds `12.50`, `key_currency` holds `EUR` |
//! | `json`, `jsonl`, `yaml` | an object | - | RFC 3339 | `{"amount":"12.50","minor":1250,"currency":"EUR"}` |
//! | `md`, `html` | a row of a table | the titles | RFC 3339 | `12.50 EUR` |
//! | `name` | a line: the column `name`, else the first | - | | |
//!
//! In `csv` and `tsv` a text that begins like a formula (`= + - @`) has a `'` before it, so that no spreadsheet runs what
//! somebody else wrote; [`unguarded`] takes it away. Spans are whole milliseconds everywhere. What is missing is `null`, and an empty cell in the flat formats.

mod format;
mod money;
mod table;
mod text;
mod write;

pub use format::{Format, UnknownFormat};
pub use money::{amount, minor_digits};
pub use table::{Column, Kind, Row, Table, UnknownColumn, Value};
pub use text::{rfc3339, text, unguarded};
pub use write::{Error, Writer, write};
