//! `--join`: the token with which the agent of a device joins, and how it is used.

use ::agent::JoinToken;
use exports::{Column, Value};
use lineman::reports;
use lineman::store::devices::Device;
use lineman::store::events::Actor;
use lineman::store::{WriteTx, agents, settings};

use crate::failure::Failure;
use crate::output::Output;

/// A device with a new token for its agent. Only the token's hash is kept; tokens of it that nobody used are void.
pub fn with_token(tx: &WriteTx, device: &Device, by: &Actor) -> Result<Output, Failure> {
    let pin = settings::key_hash(tx)?;
    let token = JoinToken::random(pin).map_err(|e| Failure::failed(format!("make a join token: {e}")))?;
    agents::make_token(tx, device.id, &token.hash(), by)?;
    let token = token.to_string();
    let mut record = reports::devices::record(device);
    record.columns.push(Column::text("token", "TOKEN").hidden());
    record.rows.iter_mut().for_each(|row| row.push(Value::Text(token.clone())));
    let server = settings::url(tx)?.unwrap_or_else(|| "https://SERVER:8080".to_owned());
    let named = ["0.0.0.0", "[::]"].iter().find(|any| server.contains(*any));
    let server = named.map_or(server.clone(), |any| server.replace(any, "SERVER"));
    let days = agents::TOKEN_LIFE.0 / 86_400_000;
    let how = format!(
        "\nTo join its agent within {days} days, run on the device (SERVER: this server as the device sees it):\n\n  lineman agent join {server} {token}\n"
    );
    Ok(Output::Changed(record, how))
}
