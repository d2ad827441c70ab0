//! A channel: by which way somebody is told.
