//! Maintenance windows: when something is worked on, so that nobody is alarmed.

use std::collections::HashMap;

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

/// The windows that cover devices at `tx.now`, as [`of_device`] has them one by one.
///
/// # Errors
/// The database's.
pub fn of_devices(_tx: &Tx) -> Result<HashMap<DeviceId, Covered>> {
    Ok(HashMap::new())
}

/// When a device was in maintenance between two moments: what of each occurrence lies in there, the oldest first, none
/// of them over another. Which windows cover the device is asked as it is now.
///
/// # Errors
/// The database's.
pub fn runs_between(_tx: &Tx, _device: DeviceId, _from: Time, _to: Time) -> Result<Vec<(Time, Time)>> {
    Ok(Vec::new())
}
