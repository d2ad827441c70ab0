//! Users and their programs' tokens, as tables.

use exports::{Column, Table, Value};

use crate::store::sessions::Token;
use crate::store::users::Account;

/// Users.
#[must_use]
pub fn list<'a>(all: impl IntoIterator<Item = &'a Account>) -> Table {
    let columns = vec![
        Column::text("name", "NAME"),
        Column::text("role", "ROLE"),
        Column::state("state", "STATE"),
        Column::bool("second_factor", "SECOND FACTOR"),
        Column::int("sessions", "SESSIONS"),
        Column::time("signed_in_at", "SIGNED IN"),
        Column::time("created_at", "ADDED"),
    ];
    let mut table = Table::new("users", columns);
    for account in all {
        let state = match (&account.user.disabled_at, &account.password) {
            (Some(_), _) => "disabled",
            (None, None) => "new",
            (None, Some(_)) => "active",
        };
        table.push(vec![
            account.user.name.as_str().into(),
            account.user.role.as_str().into(),
            state.into(),
            Value::Bool(account.factor.is_some()),
            Value::Int(account.sessions),
            account.signed_in_at.map_or(Value::Null, |at| Value::Time(at.0)),
            Value::Time(account.created_at.0),
        ]);
    }
    table
}

/// Tokens.
#[must_use]
pub fn tokens<'a>(all: impl IntoIterator<Item = &'a Token>) -> Table {
    let columns = vec![
        Column::int("id", "ID"),
        Column::text("user", "USER"),
        Column::text("name", "NAME"),
        Column::text("role", "ROLE"),
        Column::time("until_at", "UNTIL"),
        Column::time("seen_at", "USED"),
        Column::time("created_at", "MADE"),
    ];
    let mut table = Table::new("tokens", columns);
    let time = |at: Option<schedules::Time>| at.map_or(Value::Null, |at| Value::Time(at.0));
    for token in all {
        table.push(vec![
            Value::Int(token.id.0),
            token.user.as_str().into(),
            token.name.as_str().into(),
            token.role.as_str().into(),
            time(token.until_at),
            time(token.seen_at),
            Value::Time(token.created_at.0),
        ]);
    }
    table
}
