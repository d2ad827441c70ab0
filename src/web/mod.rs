//! The page and the JSON API, for people with browsers and for programs.
//!
//! A request goes one way: `routes.rs` finds the route, `door.rs` says who asks and whether that is allowed, a handler of
//! the noun's file asks the store and the verbs, and hands back an answer. Handlers block; they run on threads for that.

pub mod answer;
pub mod api;
pub mod asked;
pub mod body;
mod complete;
mod device;
mod door;
mod forms;
pub mod graphs;
mod layout;
mod lists;
pub mod live;
mod metrics;
mod nouns;
mod now;
mod outage;
pub mod routes;
mod search;
mod sign_in;
mod status;
mod things;
mod ticket;
pub mod verbs;

use std::sync::Arc;

use crate::app::App;
use verbs::Verbs;

/// What all handlers share. Cheap to clone.
#[derive(Clone)]
pub struct Web {
    /// The store, the clock, the settings.
    pub app: App,
    /// What can be asked and changed.
    pub verbs: Arc<dyn Verbs>,
    /// Whether browsers reach it by TLS: then cookies are for TLS alone.
    pub is_encrypted: bool,
    /// Passwords are hashed one at a time: each takes 19 MiB.
    hashing: Arc<sign_in::Hashing>,
    /// Who listens to what happens.
    pub streams: live::Streams,
}

impl Web {
    /// Over a store, with the verbs of the binary.
    #[must_use]
    pub fn new(app: App, verbs: Arc<dyn Verbs>, is_encrypted: bool) -> Web {
        Web {
            app: app.for_people(),
            verbs,
            is_encrypted,
            hashing: Arc::default(),
            streams: live::Streams::default(),
        }
    }
}
