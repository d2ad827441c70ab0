//! The long-running process: it takes reports in, runs the duties that are due, and an agent of its own.

pub mod config;
pub mod contact;
pub mod http;
pub mod ingest;
pub mod jobs;
pub mod judge;
pub mod ping;
pub mod routes;
pub mod secret;
pub mod start;
pub mod steps;
pub mod tick;
pub mod tls;

#[cfg(test)]
mod tests;
