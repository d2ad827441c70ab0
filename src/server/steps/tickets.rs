//! Tickets: one is due for an outage that lasts; one has settled; one has aged.

use super::{AT_ONCE, Worked};
use crate::app::App;
use crate::server::tickets as desk;
use crate::store::events::Actor;
use crate::store::{Result, outages, tickets};

/// Opens the tickets that are due.
///
/// # Errors
/// The database's.
pub async fn open(app: &App) -> Result<Worked> {
    let now = app.clock.now();
    let next = app.store.read(outages::next_ticket_due)?;
    if next.is_none_or(|at| at > now) {
        return Ok(Worked::No(next, "a ticket is due"));
    }
    let known = app.known();
    app.store
        .submit(move |tx| {
            for outage in outages::tickets_due(tx, tx.now, AT_ONCE)? {
                desk::open(tx, &known, &outage, &Actor::System)?;
            }
            Ok(())
        })
        .await?;
    Ok(Worked::Yes)
}

/// Resolves the tickets that have settled, and counts the age of those nobody acknowledged.
///
/// # Errors
/// The database's.
pub async fn settle(app: &App) -> Result<Worked> {
    let now = app.clock.now();
    let next = app.store.read(tickets::next_due)?;
    if next.is_none_or(|at| at > now) {
        return Ok(Worked::No(next, "a ticket settles or ages"));
    }
    let known = app.known();
    app.store
        .submit(move |tx| {
            for ticket in tickets::due(tx, tx.now, AT_ONCE)? {
                if ticket.settle_at.is_some_and(|at| at <= tx.now) {
                    if tickets::self_resolve(tx, &ticket, &Actor::System)? {
                        tracing::info!(ticket.id = ticket.id.0, "ticket resolved by itself");
                        desk::refresh(tx, &known, ticket.id, &Actor::System)?;
                    } else {
                        tickets::set_settle(tx, ticket.id, None)?;
                    }
                } else {
                    desk::refresh(tx, &known, ticket.id, &Actor::System)?;
                }
            }
            Ok(())
        })
        .await?;
    Ok(Worked::Yes)
}
