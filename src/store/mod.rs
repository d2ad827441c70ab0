//! All SQL. [`Store`] is the database: one writer that commits together what arrives together, a few readers, and
//! [`Tx`] with the few verbs that everything here speaks. One file an aggregate stands beside it.
//!
//! rusqlite is named in `engine.rs` and `tx.rs` alone. A new shape of the tables is a new file in `migrations/` and a
//! line in `migrate.rs`. No constraint is deferred: one that fails only at the commit would fail for its neighbours.

pub mod agents;
pub mod blind;
pub mod checks;
pub mod devices;
pub mod dns;
pub mod doctor;
pub mod dossiers;
mod engine;
mod error;
pub mod events;
pub mod filter;
pub mod history;
pub mod jobs;
pub mod maintenance;
pub mod marks;
pub mod metrics;
mod migrate;
pub mod notify;
pub mod offers;
mod open;
pub mod outages;
pub mod parents;
mod readers;
pub mod service;
pub mod sessions;
pub mod settings;
pub mod sites;
pub mod states;
pub mod status;
pub mod tickets;
mod tx;
pub mod users;
mod value;
pub mod verdicts;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use schedules::Clock;

pub use crate::{args, id_column, text_column};
use engine::{Db, Role};
pub use error::{Constraint, Error, OpenError, Result};
use migrate::Migration;
pub use open::Mode;
use readers::Readers;
pub use tx::{Row, Tx, WriteTx};
pub use value::{Arg, FromColumn, Misfit, ToArg};
use writer::{Queue, Reply, Work};

/// The database. Cheap to clone; the last clone that goes ends the writer, as [`Store::close`] does.
#[derive(Clone)]
pub struct Store {
    all: Arc<Inner>,
    lane: Lane,
}

/// For whom it reads. Each lane has readers of its own, so that whoever asks much waits for nobody but his like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lane {
    /// The server's own duties, and a command's.
    Duties,
    /// Pages and calls of the API.
    People,
}

struct Inner {
    path: PathBuf,
    clock: Clock,
    queue: Arc<Queue>,
    duties: Readers,
    people: Readers,
    watcher: Mutex<Watcher>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

/// A connection that never changes anything and so notices every commit, whoever made it.
enum Watcher {
    NotYet,
    Watching { db: Db, seen: i64 },
    Closed { seen: i64 },
}

impl Store {
    /// Opens the database at `path`, makes it where `mode` says so, and brings its tables up to date.
    ///
    /// # Errors
    /// The file is missing, is none of ours, was made by a newer lineman, is damaged, cannot be written, or the disk
    /// is full. In each case it is left as it was.
    pub fn open(path: &Path, clock: Clock, mode: Mode) -> Result<Store, OpenError> {
        Store::open_with(path, clock, mode, migrate::MIGRATIONS)
    }

    fn open_with(
        path: &Path,
        clock: Clock,
        mode: Mode,
        migrations: &[Migration],
    ) -> Result<Store, OpenError> {
        let (path, db) = open::open(path, mode, migrations)?;
        let queue = Arc::new(Queue::default());
        let writer = writer::start(db, clock.clone(), Arc::clone(&queue)).map_err(|e| OpenError::Io {
            path: path.clone(),
            why: format!("its writer does not start: {e}"),
        })?;
        let all = Arc::new(Inner {
            duties: Readers::new(path.clone()),
            people: Readers::new(path.clone()),
            path,
            clock,
            queue,
            watcher: Mutex::new(Watcher::NotYet),
            writer: Mutex::new(Some(writer)),
        });
        Ok(Store { all, lane: Lane::Duties })
    }

    /// The same store for pages and calls of the API: what they ask, however slow, leaves the server's own duties their
    /// readers.
    #[must_use]
    pub fn for_people(&self) -> Store {
        Store { all: Arc::clone(&self.all), lane: Lane::People }
    }

    /// Where the database is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.all.path
    }

    /// Asks: what `f` reads agrees with itself, whatever is committed meanwhile. Waits while all readers are busy.
    /// Not to be called inside another `read` or `write`.
    ///
    /// # Errors
    /// What `f` says; or all readers were busy for 10 s, or the store is closed.
    pub fn read<T, E: From<Error>>(&self, f: impl FnOnce(&Tx<'_>) -> Result<T, E>) -> Result<T, E> {
        let readers = match self.lane {
            Lane::Duties => &self.all.duties,
            Lane::People => &self.all.people,
        };
        let lease = readers.lease()?;
        lease.db().begin()?;
        f(&Tx::new(lease.db(), self.all.clock.now()))
    }

    /// Changes, and returns when it is durable: `f` runs on the writer's thread, and is committed together with what
    /// else waits. If it fails or panics, its own changes alone are undone.
    ///
    /// # Errors
    /// What `f` says; or the commit failed, or the store is closed.
    pub fn write<T, E, F>(&self, f: F) -> Result<T, E>
    where
        F: FnOnce(&WriteTx<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        let (reply, answer) = std::sync::mpsc::sync_channel(1);
        self.all.queue.push(writer::job(f, Reply::Blocking(reply)))?;
        answer.recv().unwrap_or_else(|_| Err(Error::Closed.into()))
    }

    /// As [`Store::write`], for async callers. The change is on its way as soon as this returns, also if the future
    /// is dropped.
    ///
    /// # Errors
    /// As [`Store::write`]; and [`Error::Busy`] at once where 65,536 changes wait already.
    pub fn submit<T, E, F>(&self, f: F) -> impl Future<Output = Result<T, E>> + Send + use<T, E, F>
    where
        F: FnOnce(&WriteTx<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        let (reply, answer) = tokio::sync::oneshot::channel();
        let pushed = self.all.queue.try_push(writer::job(f, Reply::Async(reply)));
        async move {
            pushed?;
            answer.await.unwrap_or_else(|_| Err(Error::Closed.into()))
        }
    }

    /// A number that is another one after every commit, also one of another process. Cheap enough to be asked many
    /// times a second.
    #[must_use]
    pub fn version(&self) -> i64 {
        let mut watcher = locked(&self.all.watcher);
        if matches!(*watcher, Watcher::NotYet)
            && let Ok(db) = Db::open(&self.all.path, Role::Reader)
        {
            *watcher = Watcher::Watching { db, seen: 0 };
        }
        match &mut *watcher {
            Watcher::NotYet => 0,
            Watcher::Watching { db, seen } => {
                *seen = db.data_version().unwrap_or(*seen);
                *seen
            }
            Watcher::Closed { seen } => *seen,
        }
    }

    /// How many transactions this store has committed.
    #[must_use]
    pub fn commits(&self) -> u64 {
        self.all.queue.commits()
    }

    /// How long the oldest change has been waiting for its commit; nothing where none waits.
    #[must_use]
    pub fn lag(&self) -> Duration {
        self.all.queue.lag()
    }

    /// How many changes wait for their commit.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.all.queue.pending()
    }

    /// The nightly work: moves the log into the database file and empties it, and lets the engine look at its
    /// statistics. Runs on the writer's thread between two commits, and blocks until it is done.
    ///
    /// # Errors
    /// The database's, or the store is closed.
    pub fn maintain(&self) -> Result<()> {
        let (reply, answer) = std::sync::mpsc::sync_channel(1);
        self.all.queue.push(Work::Maintain(reply))?;
        answer.recv().unwrap_or(Err(Error::Closed))
    }

    /// Takes no more changes, commits those that wait, and ends the writer. Where no other process has the database
    /// open, its log is moved into the file. Closing twice does no harm.
    pub fn close(&self) {
        self.all.close();
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Store").field(&self.all.path).finish()
    }
}

impl Inner {
    fn close(&self) {
        self.queue.close();
        self.duties.close();
        self.people.close();
        let mut watcher = locked(&self.watcher);
        let seen = match &*watcher {
            Watcher::NotYet => 0,
            Watcher::Watching { seen, .. } | Watcher::Closed { seen } => *seen,
        };
        *watcher = Watcher::Closed { seen };
        drop(watcher);
        let mut writer = locked(&self.writer);
        // A change that holds the last clone of the store drops it on the writer's own thread, which ends by itself.
        if let Some(thread) = writer.take_if(|t| t.thread().id() != thread::current().id()) {
            // It catches what its changes panic with; were it to panic itself, its callers have their errors.
            drop(thread.join());
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.close();
    }
}

/// A panic elsewhere while the lock was held leaves nothing half done here.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A word of the domain in a column.
fn word<T>(row: &Row<'_>, column: usize) -> Result<T>
where
    T: std::str::FromStr,
    T::Err: std::fmt::Display,
{
    let text: String = row.get(column)?;
    text.parse().map_err(|why: T::Err| Error::Other(format!("the database has a word that is none: {why}")))
}

#[cfg(test)]
mod tests;
