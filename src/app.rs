//! What every handler, step and command is given: the store, the clock, the settings.

use std::sync::{Arc, RwLock};

use schedules::{Cadence, Clock, Millis};

use crate::domain::check::Limits;
use crate::domain::setting::Settings;
use crate::store::{self, Store, Tx, settings};

/// The store, the clock and the settings. Cheap to clone; clones share everything.
#[derive(Clone)]
pub struct App {
    /// All that is kept.
    pub store: Store,
    /// What time it is.
    pub clock: Clock,
    known: Arc<RwLock<Arc<Snapshot>>>,
}

/// The settings at one moment, with what a check-in needs of them at hand.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The version of the agents' configuration.
    pub config_version: i64,
    /// The settings.
    pub settings: Settings,
    /// `check_in.every`
    pub every: Millis,
    /// `check_in.grace`
    pub grace: Millis,
    /// `check.soft_failures`, `check.good_results`
    pub limits: Limits,
}

impl Snapshot {
    /// The settings as they stand.
    ///
    /// # Errors
    /// The database's.
    pub fn load(tx: &Tx) -> store::Result<Snapshot> {
        let settings = settings::load(tx)?;
        let count = |key| u32::try_from(settings.count(key)).unwrap_or(1);
        Ok(Snapshot {
            config_version: settings::config_version(tx)?,
            every: settings.span("check_in.every"),
            grace: settings.span("check_in.grace"),
            limits: Limits {
                soft_failures: count("check.soft_failures"),
                good_results: count("check.good_results"),
            },
            settings,
        })
    }

    /// When a check runs that has no schedule of its own.
    #[must_use]
    pub fn check_cadence(&self) -> Cadence {
        self.settings.text("check.every").parse().unwrap_or(Cadence::Every(Millis::from_secs(30)))
    }
}

impl App {
    /// Over a store that is open.
    ///
    /// # Errors
    /// The database's.
    pub fn new(store: Store, clock: Clock) -> store::Result<App> {
        let snapshot = store.read(Snapshot::load)?;
        Ok(App { store, clock, known: Arc::new(RwLock::new(Arc::new(snapshot))) })
    }

    /// The same, as pages and calls of the API are given it: what they ask leaves the server's own duties their readers.
    #[must_use]
    pub fn for_people(&self) -> App {
        App { store: self.store.for_people(), ..self.clone() }
    }

    /// The settings as they were when [`App::refresh`] last looked.
    #[must_use]
    pub fn known(&self) -> Arc<Snapshot> {
        match self.known.read() {
            Ok(known) => known.clone(),
            Err(poisoned) => poisoned.into_inner().clone(),
        }
    }

    /// Looks whether somebody, maybe another process, changed a setting, a check or a device; true if so.
    ///
    /// # Errors
    /// The database's.
    pub fn refresh(&self) -> store::Result<bool> {
        let version = self.store.read(settings::config_version)?;
        if version == self.known().config_version {
            return Ok(false);
        }
        let snapshot = Arc::new(self.store.read(Snapshot::load)?);
        match self.known.write() {
            Ok(mut known) => *known = snapshot,
            Err(poisoned) => *poisoned.into_inner() = snapshot,
        }
        Ok(true)
    }
}
