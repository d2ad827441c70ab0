//! lineman: watches a network.

pub mod app;
pub mod domain;
pub mod reports;
pub mod server;
pub mod store;
