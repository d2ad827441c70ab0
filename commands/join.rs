//! `--join`: the token with which the agent of a device joins, and how it is used.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use exports::{Column, Value};
use lineman::reports;
use lineman::server::secret;
use lineman::store::devices::Device;
use lineman::store::events::Actor;
use lineman::store::{WriteTx, agents, settings};

use crate::failure::Failure;
use crate::output::Output;

/// A device with a new token for its agent. Only the token's hash is kept; tokens of it that nobody used are void.
pub fn with_token(tx: &WriteTx, device: &Device, by: &Actor) -> Result<Output, Failure> {
    let pin = settings::key_hash(tx)?;
    let mut random = [0; 32];
    getrandom::fill(&mut random).map_err(|e| Failure::failed(format!("make a join token: {e}")))?;
    let part = format!("lmj_{}", URL_SAFE_NO_PAD.encode(random));
    agents::make_token(tx, device.id, &secret::hash(&part), by)?;
    let token = match pin {
        Some(pin) => format!("{part}.{}", URL_SAFE_NO_PAD.encode(pin)),
        None => part,
    };
    let mut record = reports::devices::record(device);
    record.columns.push(Column::text("token", "TOKEN").hidden());
    record.rows.iter_mut().for_each(|row| row.push(Value::Text(token.clone())));
    let scheme = if pin.is_some() { "https" } else { "http" };
    let days = agents::TOKEN_LIFE.0 / 86_400_000;
    let how = format!(
        "\nTo join its agent within {days} days, run on the device, with the address of this server as the device sees it:\n\n  lineman agent join {scheme}://SERVER:8080 {token}\n"
    );
    Ok(Output::Changed(record, how))
}
