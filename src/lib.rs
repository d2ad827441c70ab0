//! lineman: watches a network.

pub mod store;
