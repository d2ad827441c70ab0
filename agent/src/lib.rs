//! What runs at a device and at a site, and inside the server: probes, facts, a spool, and the link to the server.
//! A leaf: it knows nothing of the server's house.

pub mod facts;
pub mod home;
pub mod join;
pub mod ladder;
pub mod link;
pub mod probe;
pub mod recorder;
pub mod report;
pub mod run;
pub mod spool;
pub mod state;
mod unit;

pub use home::{Status, leave};
pub use join::{JoinError, JoinToken, join};
pub use run::{Device, Options, alone, run, runtime};
pub use unit::unit;
