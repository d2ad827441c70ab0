//! A table: named columns, and rows of values.

use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::{amount, rfc3339};

/// A list of things, ready to be written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// What the rows are, in the plural: `devices`.
    pub name: String,
    /// The columns, in the order in which they are written.
    pub columns: Vec<Column>,
    /// The rows; each has one value a column.
    pub rows: Vec<Vec<Value>>,
}

/// One column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name to machines: stable, snake_case; the key in JSON and YAML, the heading in CSV.
    pub key: &'static str,
    /// Its heading where people read.
    pub title: &'static str,
    /// What its values are: how they are aligned, coloured and split.
    pub kind: Kind,
    /// Whether a terminal's table shows it. Every format that is written to a file has all columns.
    pub shown: bool,
    /// Whether it becomes another one by itself, as time goes by or by what is measured. What nobody changed has the same
    /// values in all other columns.
    pub moves: bool,
}

/// What a column's values are. Any of them may be [`Value::Null`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text.
    Text,
    /// A word for how something is, such as a device's state: [`Value::Text`] that a terminal may colour.
    State,
    /// Yes or no.
    Bool,
    /// A whole number.
    Int,
    /// A moment.
    Time,
    /// A span of time. Its key ends in `_ms`.
    Span,
    /// An amount of money.
    Money,
    /// Several values.
    List,
    /// Named values.
    Object,
}

/// One cell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Value {
    /// Nothing is known, or there is none.
    #[default]
    Null,
    /// Yes or no.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Text.
    Text(String),
    /// A moment: milliseconds since 1970-01-01T00:00:00Z. Outside the years 0 to 9999 (such as "never") it is
    /// written as [`Value::Null`] is.
    Time(i64),
    /// A span of time in milliseconds.
    Span(i64),
    /// An amount of money.
    Money {
        /// How many of the currency's smallest units: cents, for euros.
        minor: i64,
        /// The currency's code in ISO 4217: `EUR`.
        currency: String,
    },
    /// Several values.
    List(Vec<Value>),
    /// Named values, in their order.
    Object(Vec<(&'static str, Value)>),
    /// Any JSON, as it came.
    Json(serde_json::Value),
}

/// A column that is not there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no field '{asked}': there are {}", .known.join(", "))]
pub struct UnknownColumn {
    /// The key that was asked for.
    pub asked: String,
    /// The keys there are.
    pub known: Vec<&'static str>,
}

/// One row beside its columns: serialises as a map, key to value. A cell that is missing is null.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    /// The columns.
    pub columns: &'a [Column],
    /// The values, in the order of the columns.
    pub cells: &'a [Value],
}

impl Table {
    /// An empty table of `name` (what its rows are, in the plural) with these columns.
    #[must_use]
    pub fn new(name: impl Into<String>, columns: Vec<Column>) -> Table {
        Table { name: name.into(), columns, rows: Vec::new() }
    }

    /// Adds a row; it must have a value for each column.
    pub fn push(&mut self, row: Vec<Value>) {
        debug_assert_eq!(row.len(), self.columns.len(), "a row of {} has a value for each column", self.name);
        self.rows.push(row);
    }

    /// The rows beside their columns.
    pub fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        self.rows.iter().map(|cells| Row { columns: &self.columns, cells })
    }

    /// The same rows with the columns of `keys` alone, in that order; all of them are shown.
    ///
    /// # Errors
    /// A key that no column has.
    pub fn select<S: AsRef<str>>(self, keys: &[S]) -> Result<Table, UnknownColumn> {
        let places = keys.iter().map(|key| self.place(key.as_ref())).collect::<Result<Vec<_>, _>>()?;
        let columns = places.iter().map(|&at| Column { shown: true, ..self.columns[at] }).collect();
        let rows = self
            .rows
            .into_iter()
            .map(|row| places.iter().map(|&at| row.get(at).cloned().unwrap_or_default()).collect())
            .collect();
        Ok(Table { name: self.name, columns, rows })
    }

    fn place(&self, key: &str) -> Result<usize, UnknownColumn> {
        self.columns.iter().position(|column| column.key == key).ok_or_else(|| UnknownColumn {
            asked: key.to_owned(),
            known: self.columns.iter().map(|column| column.key).collect(),
        })
    }
}

impl Column {
    /// A column that is shown.
    #[must_use]
    pub const fn new(key: &'static str, title: &'static str, kind: Kind) -> Column {
        Column { key, title, kind, shown: true, moves: false }
    }

    /// A column of text.
    #[must_use]
    pub const fn text(key: &'static str, title: &'static str) -> Column {
        Column::new(key, title, Kind::Text)
    }

    /// A column of states.
    #[must_use]
    pub const fn state(key: &'static str, title: &'static str) -> Column {
        Column::new(key, title, Kind::State)
    }

    /// A column of yes and no.
    #[must_use]
    pub const fn bool(key: &'static str, title: &'static str) -> Column {
        Column::new(key, title, Kind::Bool)
    }

    /// A column of whole numbers.
    #[must_use]
    pub const fn int(key: &'static str, title: &'static str) -> Column {
        Column::new(key, title, Kind::Int)
    }

    /// A column of moments.
    #[must_use]
    pub const fn time(key: &'static str, title: &'static str) -> Column {
        Column::new(key, title, Kind::Time)
    }

    /// A column of spans of time; `key` ends in `_ms`.
    #[must_use]
    pub const fn span(key: &'static str, title: &'static str) -> Column {
        Column::new(key, title, Kind::Span)
    }

    /// A column of amounts of money.
    #[must_use]
    pub const fn money(key: &'static str, title: &'static str) -> Column {
        Column::new(key, title, Kind::Money)
    }

    /// A column of lists.
    #[must_use]
    pub const fn list(key: &'static str, title: &'static str) -> Column {
        Column::new(key, title, Kind::List)
    }

    /// A column of named values.
    #[must_use]
    pub const fn object(key: &'static str, title: &'static str) -> Column {
        Column::new(key, title, Kind::Object)
    }

    /// The same column, left out of a terminal's table.
    #[must_use]
    pub const fn hidden(self) -> Column {
        Column { shown: false, ..self }
    }

    /// The same column, of values that become others by themselves.
    #[must_use]
    pub const fn moving(self) -> Column {
        Column { moves: true, ..self }
    }
}

impl Value {
    /// An amount: `minor` of the smallest units of `currency` (ISO 4217).
    #[must_use]
    pub fn money(minor: i64, currency: impl Into<String>) -> Value {
        Value::Money { minor, currency: currency.into() }
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Value::Null => serializer.serialize_unit(),
            Value::Bool(yes) => serializer.serialize_bool(*yes),
            Value::Int(number) | Value::Span(number) => serializer.serialize_i64(*number),
            Value::Text(text) => serializer.serialize_str(text),
            Value::Time(ms) => match rfc3339(*ms) {
                Some(text) => serializer.serialize_str(&text),
                None => serializer.serialize_unit(),
            },
            Value::Money { minor, currency } => {
                let mut map = serializer.serialize_map(Some(3))?;
                map.serialize_entry("amount", &amount(*minor, currency))?;
                map.serialize_entry("minor", minor)?;
                map.serialize_entry("currency", currency)?;
                map.end()
            }
            Value::List(values) => serializer.collect_seq(values),
            Value::Object(fields) => serializer.collect_map(fields.iter().map(|(key, value)| (key, value))),
            Value::Json(json) => json.serialize(serializer),
        }
    }
}

impl Serialize for Row<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let cells = self.cells.iter().chain(std::iter::repeat(&Value::Null));
        serializer.collect_map(self.columns.iter().map(|column| column.key).zip(cells))
    }
}

impl From<bool> for Value {
    fn from(yes: bool) -> Value {
        Value::Bool(yes)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Value {
        Value::Int(number)
    }
}

impl From<i32> for Value {
    fn from(number: i32) -> Value {
        Value::Int(number.into())
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Value {
        Value::Int(number.into())
    }
}

impl From<u64> for Value {
    /// The largest number there is stands for all beyond it.
    fn from(number: u64) -> Value {
        Value::Int(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<usize> for Value {
    /// The largest number there is stands for all beyond it.
    fn from(number: usize) -> Value {
        Value::Int(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Value {
        Value::Text(text)
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Value {
        value.map_or(Value::Null, Into::into)
    }
}

impl<T: Into<Value>> From<Vec<T>> for Value {
    fn from(values: Vec<T>) -> Value {
        Value::List(values.into_iter().map(Into::into).collect())
    }
}

impl From<Vec<(&'static str, Value)>> for Value {
    fn from(fields: Vec<(&'static str, Value)>) -> Value {
        Value::Object(fields)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_chosen_by_key_and_an_unknown_one_names_those_there_are() {
        let mut table =
            Table::new("devices", vec![Column::int("id", "ID"), Column::text("name", "NAME").hidden()]);
        table.push(vec![1.into(), "gw".into()]);
        let chosen = table.clone().select(&["name"]).unwrap();
        assert_eq!(chosen.rows, [[Value::from("gw")]]);
        assert!(chosen.columns[0].shown);
        let error = table.select(&["nam"]).unwrap_err();
        assert_eq!(error.to_string(), "there is no field 'nam': there are id, name");
    }
}
