//! What runs by itself at set times, the schedules: when it ran, how that went, and when it runs next.

use std::str::FromStr;

use exports::{Column, Table, Value};
use schedules::Cadence;

use crate::domain::schedule;
use crate::reports::{maybe_time, time};
use crate::store::{Result, Tx, jobs, settings};

/// All schedules.
///
/// # Errors
/// The database's.
pub fn list(tx: &Tx) -> Result<Table> {
    let columns = vec![
        Column::text("name", "NAME"),
        Column::text("when", "WHEN"),
        Column::time("next_at", "NEXT"),
        Column::time("last_ran_at", "LAST RUN"),
        Column::span("took_ms", "TOOK"),
        Column::text("outcome", "OUTCOME"),
        Column::text("setting", "SETTING").hidden(),
        Column::text("about", "ABOUT"),
    ];
    let mut table = Table::new("schedules", columns);
    let settings = settings::load(tx)?;
    for one in schedule::ALL {
        let when = settings.text(one.setting);
        let run = jobs::find(tx, one.name)?;
        let from = run.as_ref().map_or(tx.now, |run| run.last_due_at);
        // What was missed is made up at once.
        let next = Cadence::from_str(when).map(|cadence| cadence.next(from, 0).max(tx.now));
        let last = run.filter(|run| run.last_ran_at.is_some());
        table.push(vec![
            Value::Text(one.name.to_owned()),
            Value::Text(when.to_owned()),
            next.map_or(Value::Null, time),
            maybe_time(last.as_ref().and_then(|run| run.last_ran_at)),
            last.as_ref().and_then(|run| run.took).map_or(Value::Null, |took| Value::Span(took.0)),
            last.map_or(Value::Null, |run| Value::Text(run.outcome)),
            Value::Text(one.setting.to_owned()),
            Value::Text(one.about.to_owned()),
        ]);
    }
    Ok(table)
}
