//! Maintenance windows: when something is worked on, so that nobody is alarmed.

use schedules::Time;

use crate::domain::ids::DeviceId;
use crate::store::{Result, Tx};

/// What covers a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Covered {
    /// The window.
    pub window: i64,
    /// When it ends, as planned.
    pub until: Time,
}

/// The window that covers a device at `tx.now`, of several the one that ends last.
///
/// # Errors
/// The database's.
pub fn of_device(_tx: &Tx, _device: DeviceId) -> Result<Option<Covered>> {
    Ok(None)
}
