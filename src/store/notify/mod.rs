//! Who is told, of what he was told, and what is still to be delivered to him.

pub mod entries;
pub mod looks;
pub mod outbox;
#[cfg(test)]
pub(crate) mod staged;
