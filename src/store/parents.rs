//! What a device may hang on: learnt from what agents report and from its site, and only ever offered.

use std::collections::HashMap;
use std::net::IpAddr;

use crate::domain::device::{State, cycle};
use crate::domain::ids::{DeviceId, SiteId};
use crate::store::devices::Device;
use crate::store::{Result, Tx, agents, args, word};

/// The most that is offered.
const MOST: usize = 8;

/// A device that may be a parent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suggestion {
    /// The device, and its name.
    pub parent: (DeviceId, String),
    /// Why it is likely.
    pub because: String,
}

/// What a device may hang on, the likeliest first; none of those it hangs on already, and none that hangs on it.
///
/// # Errors
/// The database's.
pub fn suggested(tx: &Tx, device: &Device) -> Result<Vec<Suggestion>> {
    let mut all: Vec<Suggestion> = Vec::new();
    for gateway in gateways(tx, device.id)? {
        for parent in at(tx, gateway)? {
            let because = format!("its agent has {gateway} as its gateway");
            all.push(Suggestion { parent, because });
        }
    }
    if let Some((site, site_name)) = &device.site {
        let agents_there = tx.all(
            "SELECT d.id FROM device d JOIN agent_status s ON s.device_id = d.id WHERE d.site_id = $1 AND d.id <> $2
             ORDER BY d.id LIMIT 100",
            args![site.0, device.id.0],
            |row| Ok(DeviceId(row.get(0)?)),
        )?;
        for agent in agents_there {
            for gateway in gateways(tx, agent)? {
                for parent in at(tx, gateway)? {
                    let because = format!("other agents at {site_name} have {gateway} as their gateway");
                    all.push(Suggestion { parent, because });
                }
            }
        }
        all.extend(tx.all(
            "SELECT up.id, up.name, count(*) FROM device_parent p JOIN device d ON d.id = p.device_id
             JOIN device up ON up.id = p.parent_id WHERE d.site_id = $1 AND up.site_id = $1 AND d.id <> $2
             GROUP BY up.id, up.name ORDER BY count(*) DESC, up.id LIMIT 3",
            args![site.0, device.id.0],
            |row| {
                let hang: i64 = row.get(2)?;
                Ok(Suggestion {
                    parent: (DeviceId(row.get(0)?), row.get(1)?),
                    because: format!("{hang} other devices at {site_name} hang on it"),
                })
            },
        )?);
    }
    let mut known: HashMap<DeviceId, Vec<DeviceId>> = HashMap::new();
    tx.each("SELECT device_id, parent_id FROM device_parent", args![], |row| {
        known.entry(DeviceId(row.get(0)?)).or_default().push(DeviceId(row.get(1)?));
        Ok::<(), crate::store::Error>(())
    })?;
    let mut kept: Vec<Suggestion> = Vec::new();
    for suggestion in all {
        let parent = suggestion.parent.0;
        let has = known.get(&device.id).is_some_and(|own| own.contains(&parent));
        let offered = kept.iter().any(|other| other.parent.0 == parent);
        if !has && !offered && cycle(&known, device.id, parent).is_none() && kept.len() < MOST {
            kept.push(suggestion);
        }
    }
    Ok(kept)
}

/// The gateways that the agent on a device reports.
fn gateways(tx: &Tx, device: DeviceId) -> Result<Vec<IpAddr>> {
    Ok(agents::status(tx, device)?.map(|(_, status)| status.gateways).unwrap_or_default())
}

/// The devices that have an address.
fn at(tx: &Tx, address: IpAddr) -> Result<Vec<(DeviceId, String)>> {
    let address = address.to_string();
    tx.all(
        "SELECT id, name FROM device WHERE address = $1 ORDER BY id LIMIT 8",
        args![address.as_str()],
        |row| Ok((DeviceId(row.get(0)?), row.get(1)?)),
    )
}

/// A device with what it hangs on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hanging {
    /// The device.
    pub id: DeviceId,
    /// Its name.
    pub name: String,
    /// What it is.
    pub state: State,
    /// Whether a person has it not watched.
    pub is_paused: bool,
    /// Its site.
    pub site: Option<(SiteId, String)>,
    /// What it hangs on, by name; of a device of another site this is not asked.
    pub parents: Vec<DeviceId>,
}

/// The devices of a site and those elsewhere that they hang on, by name.
///
/// # Errors
/// The database's.
pub fn at_site(tx: &Tx, site: SiteId) -> Result<Vec<Hanging>> {
    let mut ties: HashMap<DeviceId, Vec<DeviceId>> = HashMap::new();
    tx.each(
        "SELECT p.device_id, p.parent_id FROM device_parent p JOIN device d ON d.id = p.device_id
         JOIN device up ON up.id = p.parent_id WHERE d.site_id = $1 ORDER BY up.name",
        args![site.0],
        |row| {
            ties.entry(DeviceId(row.get(0)?)).or_default().push(DeviceId(row.get(1)?));
            Ok::<(), crate::store::Error>(())
        },
    )?;
    tx.all(
        "SELECT d.id, d.name, d.state, d.paused_at, s.id, s.name FROM device d LEFT JOIN site s ON s.id = d.site_id
         WHERE d.site_id = $1 OR d.id IN (SELECT p.parent_id FROM device_parent p JOIN device c ON c.id = p.device_id
         WHERE c.site_id = $1) ORDER BY d.name",
        args![site.0],
        |row| {
            let id = DeviceId(row.get(0)?);
            let site = row.get::<Option<i64>>(4)?.map(SiteId);
            Ok(Hanging {
                id,
                name: row.get(1)?,
                state: word(row, 2)?,
                is_paused: row.get::<Option<i64>>(3)?.is_some(),
                site: site.zip(row.get::<Option<String>>(5)?),
                parents: ties.remove(&id).unwrap_or_default(),
            })
        },
    )
}
