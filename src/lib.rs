//! lineman: watches a network.

pub mod app;
pub mod domain;
pub mod reports;
pub mod secret;
pub mod server;
pub mod store;
pub mod web;
