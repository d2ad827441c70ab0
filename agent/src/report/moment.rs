//! The flight recorder's lines: what the device was like at a moment, and where its record has a gap.

use std::net::IpAddr;

use schedules::{Millis, Time};
use serde::{Deserialize, Serialize};

/// What the device was like at a moment: one line of the record that is always kept, about 100 bytes where it is stored.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Moment {
    /// The device's clock.
    pub at: Time,
    /// Time since boot, suspended time included.
    pub mono: Millis,
    /// Time since boot without suspended time.
    pub awake: Millis,
    /// Whether the kernel says that the clock is synchronised.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub synced: Option<bool>,
    /// The interface on the way out; empty where there is none.
    pub interface: String,
    /// Whether it has a carrier.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub carrier: Option<bool>,
    /// Its speed in Mbit/s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub speed_mbit: Option<u32>,
    /// Its addresses with prefix length.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<String>,
    /// How long its address is still valid, where it is leased.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lease: Option<Millis>,
    /// The default gateway.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gateway: Option<IpAddr>,
    /// Its hardware address.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub gateway_mac: String,
    /// The kernel's word for its neighbour entry.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub neighbour: String,
    /// The gateway's round trip in microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gateway_rtt_us: Option<u32>,
    /// Packets to the gateway that were lost, in thousandths; absent: not measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gateway_loss_permille: Option<u32>,
    /// Signal in dBm, where the way out is by radio.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signal_dbm: Option<i32>,
    /// Errors of the interface since the moment before.
    pub errors: u64,
    /// Packets that it dropped since the moment before.
    pub drops: u64,
    /// How full the interface was since the moment before, the fuller way, in thousandths of its speed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub used_permille: Option<u32>,
    /// The last check-in that was answered, by the device's clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checked_in_at: Option<Time>,
}

/// The record has a gap: nobody looked at the device from its last line before to the first one after it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Gap {
    /// The device's clock at the last line before; absent where there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Time>,
    /// The device's clock at the first line after it.
    pub to: Time,
    /// Whether the machine was booted between.
    pub booted: bool,
    /// How often it was booted between, as far as that was noticed.
    #[serde(default)]
    pub boots: u32,
    /// When it was booted, by the device's clock, where it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub booted_at: Option<Time>,
    /// Whether the agent was started anew between.
    pub restarted: bool,
    /// Whether the end before it was ordered: the agent was told to stop (and so, where the machine was booted, was that).
    pub clean: bool,
    /// How long the machine slept between.
    #[serde(default)]
    pub suspended: Millis,
    /// The last line before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<Moment>,
}

/// The first time that a step towards the server held again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct First {
    /// Which step: a word of [`Step::word`](super::Step::word).
    pub rung: String,
    /// What of it, where there are several: an address, an interface.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub target: String,
    /// When, by the device's clock.
    pub at: Time,
}
