//! The connections that read: opened when they are needed, a few at most, lent to one at a time.

use std::path::PathBuf;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use super::engine::{Db, Role};
use super::error::{Error, Result};
use super::locked;

/// The most connections that read.
pub(super) const MOST: usize = 4;
/// How long one waits for a connection.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) struct Readers {
    path: PathBuf,
    pool: Mutex<Pool>,
    returned: Condvar,
}

#[derive(Default)]
struct Pool {
    idle: Vec<Db>,
    lent: usize,
    closed: bool,
}

/// A connection that is lent; it goes back by itself, its transaction ended.
pub(super) struct Lease<'a> {
    readers: &'a Readers,
    db: Option<Db>,
}

impl Readers {
    pub(super) fn new(path: PathBuf) -> Readers {
        Readers { path, pool: Mutex::default(), returned: Condvar::new() }
    }

    /// A connection of one's own for a while.
    pub(super) fn lease(&self) -> Result<Lease<'_>> {
        let all_busy = |pool: &mut Pool| !pool.closed && pool.idle.is_empty() && pool.lent >= MOST;
        let (mut pool, _) = self
            .returned
            .wait_timeout_while(locked(&self.pool), PATIENCE, all_busy)
            .unwrap_or_else(PoisonError::into_inner);
        if pool.closed {
            return Err(Error::Closed);
        }
        if all_busy(&mut pool) {
            return Err(Error::Busy("all readers are at work"));
        }
        pool.lent += 1;
        let idle = pool.idle.pop();
        drop(pool);
        let mut lease = Lease { readers: self, db: idle };
        if lease.db.is_none() {
            lease.db = Some(Db::open(&self.path, Role::Reader)?);
        }
        Ok(lease)
    }

    /// Lends no more.
    pub(super) fn close(&self) {
        let mut pool = locked(&self.pool);
        pool.closed = true;
        pool.idle.clear();
        self.returned.notify_all();
    }
}

impl Lease<'_> {
    pub(super) fn db(&self) -> &Db {
        self.db.as_ref().expect("a lease holds its connection until it is dropped")
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        let whole = self.db.take().filter(Db::roll_back);
        let mut pool = locked(&self.readers.pool);
        pool.lent -= 1;
        if !pool.closed {
            pool.idle.extend(whole);
        }
        self.readers.returned.notify_one();
    }
}
