//! The flight recorder.

pub(crate) mod netlink;
