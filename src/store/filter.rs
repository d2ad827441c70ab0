//! What of a list is asked for: a checked query as SQL, and which page of it.

use crate::store::Arg;

/// A condition in SQL, with its arguments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    sql: String,
    args: Vec<Value>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Value {
    Int(i64),
    Text(String),
}

/// How much of a list, and in which order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// At most so many.
    pub limit: Option<u32>,
    /// The key of the column by which they are ordered; absent: as the list is wont to be.
    pub sort: Option<Sort>,
}

/// By what a list is ordered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sort {
    /// The expression, from a list's columns.
    sql: &'static str,
    /// The largest first.
    falling: bool,
}

/// One key that a query for some list may ask for, and where that stands.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// The key.
    pub key: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// The expression in SQL; for [`Kind::Exists`] a query that lacks its `= value)`.
    sql: &'static str,
}

/// What a key takes.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// Text, compared without regard to case; `*` at the end stands for anything.
    Text,
    /// One of these words.
    Words(&'static [&'static str]),
    /// A moment.
    Time,
    /// A whole number.
    Number,
    /// Yes or no.
    Flag,
    /// Text of which the thing may have several.
    Exists,
}

impl Column {
    /// A column of text.
    #[must_use]
    pub const fn text(key: &'static str, sql: &'static str) -> Column {
        Column { key, kind: Kind::Text, sql }
    }

    /// A column of words.
    #[must_use]
    pub const fn words(key: &'static str, sql: &'static str, words: &'static [&'static str]) -> Column {
        Column { key, kind: Kind::Words(words), sql }
    }

    /// A column of moments.
    #[must_use]
    pub const fn time(key: &'static str, sql: &'static str) -> Column {
        Column { key, kind: Kind::Time, sql }
    }

    /// A column of whole numbers.
    #[must_use]
    pub const fn number(key: &'static str, sql: &'static str) -> Column {
        Column { key, kind: Kind::Number, sql }
    }

    /// A condition that holds or not.
    #[must_use]
    pub const fn flag(key: &'static str, sql: &'static str) -> Column {
        Column { key, kind: Kind::Flag, sql }
    }

    /// Text of which the thing may have several: a query that ends with the expression that is compared.
    #[must_use]
    pub const fn exists(key: &'static str, sql: &'static str) -> Column {
        Column { key, kind: Kind::Exists, sql }
    }
}

impl Selection {
    /// Everything.
    #[must_use]
    pub fn all() -> Selection {
        Selection::default()
    }

    /// The condition.
    #[must_use]
    pub fn sql(&self) -> &str {
        if self.sql.is_empty() { "1 = 1" } else { &self.sql }
    }

    /// Its arguments.
    #[must_use]
    pub fn args(&self) -> Vec<Arg<'_>> {
        let arg = |value| match value {
            &Value::Int(number) => Arg::Int(number),
            Value::Text(text) => Arg::Text(text),
        };
        self.args.iter().map(arg).collect()
    }
}

impl Page {
    /// The end of the statement: order and limit. `usual`: the order where none is asked for.
    #[must_use]
    pub fn sql(&self, usual: &str) -> String {
        let mut sql = match &self.sort {
            Some(sort) => {
                format!("ORDER BY {}{}, {usual}", sort.sql, if sort.falling { " DESC" } else { "" })
            }
            None => format!("ORDER BY {usual}"),
        };
        if let Some(limit) = self.limit {
            sql.push_str(&format!(" LIMIT {limit}"));
        }
        sql
    }
}
