//! For stories: tickets as they are after something happened to them, with its event.

use serde_json::{Value, json};

use crate::domain::event::{About, Kind as Happened};
use crate::domain::ids::{DeviceId, TicketId};
use crate::domain::ticket::{Kind, Priority, Score};
use crate::store::events::{self, Actor};
use crate::store::{Result, WriteTx, args, tickets};

/// An outage ticket of `points`.
pub(crate) fn open(tx: &WriteTx, device: DeviceId, title: &str, points: i32) -> Result<TicketId> {
    let new = tickets::New { kind: Kind::Outage, title: title.to_owned(), device: Some(device), site: None };
    let score = Score { reasons: vec![(points, "it was said so".to_owned())] };
    tickets::open(tx, &new, &score, None, &Actor::System)
}

/// Its device is back.
pub(crate) fn recover(tx: &WriteTx, id: TicketId) -> Result<()> {
    tickets::recovered(tx, &tickets::of(tx, id)?, tx.now, None, &Actor::System)
}

/// Its device is down again.
pub(crate) fn relapse(tx: &WriteTx, id: TicketId) -> Result<()> {
    tickets::relapse(tx, &tickets::of(tx, id)?, &Actor::System)
}

/// Its priority is another.
pub(crate) fn prioritise(tx: &WriteTx, id: TicketId, to: Priority) -> Result<()> {
    tx.run("UPDATE ticket SET priority = $2 WHERE id = $1", args![id.0, to.as_str()])?;
    record(tx, id, Happened::TicketPriority, &json!({"to": to.as_str()}))
}

/// Somebody acknowledged it.
pub(crate) fn acknowledge(tx: &WriteTx, id: TicketId, by: &str) -> Result<()> {
    tx.run(
        "UPDATE ticket SET acknowledged_at = $2, acknowledged_by = $3 WHERE id = $1",
        args![id.0, tx.now, by],
    )?;
    record(tx, id, Happened::TicketAcknowledged, &json!({}))
}

/// It went into another one.
pub(crate) fn merge(tx: &WriteTx, id: TicketId, into: TicketId) -> Result<()> {
    tx.run("UPDATE ticket SET state = 'merged', merged_into = $2 WHERE id = $1", args![id.0, into.0])?;
    record(tx, id, Happened::TicketMerged, &json!({"into": into.0}))
}

/// Something else happened to it.
pub(crate) fn record(tx: &WriteTx, id: TicketId, kind: Happened, body: &Value) -> Result<()> {
    let about = About { ticket: Some(id), ..About::default() };
    events::record(tx, &Actor::System, kind, about, body)?;
    Ok(())
}
