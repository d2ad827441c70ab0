//! What a device hangs on, and what it may hang on.

use exports::{Column, Table, Value};

use crate::reports::time;
use crate::store::devices::{self, Device};
use crate::store::{Result, Tx, parents};

/// Its parents.
///
/// # Errors
/// The database's.
pub fn list(tx: &Tx, device: &Device) -> Result<Table> {
    let columns = vec![
        Column::text("parent", "PARENT"),
        Column::state("state", "STATE"),
        Column::time("since", "SINCE"),
        Column::text("reason", "WHY"),
    ];
    let mut table = Table::new("parents", columns);
    for name in &device.parents {
        let parent = devices::get(tx, name)?;
        table.push(vec![
            Value::Text(parent.name),
            Value::Text(parent.state.to_string()),
            time(parent.since),
            Value::Text(parent.reason),
        ]);
    }
    Ok(table)
}

/// What it may hang on, and why that is likely.
///
/// # Errors
/// The database's.
pub fn suggested(tx: &Tx, device: &Device) -> Result<Table> {
    let mut table =
        Table::new("parents", vec![Column::text("parent", "PARENT"), Column::text("because", "BECAUSE")]);
    for suggestion in parents::suggested(tx, device)? {
        table.push(vec![Value::Text(suggestion.parent.1), Value::Text(suggestion.because)]);
    }
    Ok(table)
}
