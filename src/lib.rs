//! lineman: watches a network.
