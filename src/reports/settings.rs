//! The settings, as a list shows them.

use exports::{Column, Table, Value};

use crate::domain::setting::{ALL, Setting, Shape};
use crate::store::{Result, Tx, settings};

/// All settings, as they stand and as they are where nobody set them.
///
/// # Errors
/// The database's.
pub fn list(tx: &Tx) -> Result<Table> {
    let now = settings::load(tx)?;
    let set = settings::set_keys(tx)?;
    let columns = vec![
        Column::text("key", "KEY"),
        Column::text("value", "VALUE"),
        Column::text("default", "DEFAULT"),
        Column::bool("set", "SET").hidden(),
        Column::text("meaning", "MEANING"),
    ];
    let mut table = Table::new("settings", columns);
    for setting in ALL {
        table.push(vec![
            Value::Text(setting.key.to_owned()),
            Value::Text(shown(setting, now.text(setting.key)).to_owned()),
            Value::Text(setting.default.to_owned()),
            Value::Bool(set.iter().any(|key| key == setting.key)),
            Value::Text(setting.meaning.to_owned()),
        ]);
    }
    Ok(table)
}

/// A value as it is shown: of a secret only that there is one.
fn shown<'a>(setting: &Setting, value: &'a str) -> &'a str {
    match setting.shape {
        Shape::Key if !value.is_empty() => "(secret)",
        Shape::Key
        | Shape::Zone
        | Shape::Span(..)
        | Shape::Count(..)
        | Shape::When
        | Shape::Names(_)
        | Shape::Addresses(_)
        | Shape::Spans(..)
        | Shape::Text(_) => value,
    }
}
