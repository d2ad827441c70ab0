//! The settings, as a list shows them.

use exports::{Column, Table, Value};

use crate::domain::setting::ALL;
use crate::store::settings::{Scope, shown};
use crate::store::{Result, Tx, devices, settings};

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

/// The settings of a site or a device, as they stand there, and from where each is.
///
/// # Errors
/// The database's.
pub fn list_for(tx: &Tx, scope: &Scope) -> Result<Table> {
    let all = settings::load(tx)?;
    let own = settings::set_for(tx, scope)?;
    let above = match scope {
        Scope::Site(..) => None,
        Scope::Device(device, _) => devices::of(tx, *device)?.site.map(|(id, name)| Scope::Site(id, name)),
    };
    let of_site = above.as_ref().map(|site| settings::set_for(tx, site)).transpose()?.unwrap_or_default();
    let now = all.with(of_site.iter().chain(&own).cloned());
    let set = settings::set_keys(tx)?;
    let has = |some: &[(String, String)], key: &str| some.iter().any(|(known, _)| known == key);
    let columns = vec![
        Column::text("key", "KEY"),
        Column::text("value", "VALUE"),
        Column::text("default", "DEFAULT"),
        Column::text("from", "FROM"),
        Column::bool("set", "SET").hidden(),
        Column::text("meaning", "MEANING"),
    ];
    let mut table = Table::new("settings", columns);
    for setting in ALL.iter().filter(|setting| setting.is_scoped()) {
        let from = match &above {
            _ if has(&own, setting.key) => scope.name(),
            Some(site) if has(&of_site, setting.key) => site.name(),
            Some(_) | None if set.iter().any(|key| key == setting.key) => "all".to_owned(),
            Some(_) | None => "default".to_owned(),
        };
        table.push(vec![
            Value::Text(setting.key.to_owned()),
            Value::Text(shown(setting, now.text(setting.key)).to_owned()),
            Value::Text(setting.default.to_owned()),
            Value::Text(from),
            Value::Bool(has(&own, setting.key)),
            Value::Text(setting.meaning.to_owned()),
        ]);
    }
    Ok(table)
}
