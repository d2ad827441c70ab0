//! lineman: watches a network.

pub mod domain;
