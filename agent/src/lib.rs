//! What runs at a device and at a site, and inside the server: probes, facts, a spool, and the link to the server.
//! A leaf: it knows nothing of the server's house.

pub mod probe;
pub mod report;
