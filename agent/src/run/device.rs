//! The agent of a data directory: opened, so that it is known whose it is, and then run.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use schedules::Clock;
use tokio::sync::{Notify, watch};

use super::{Error, Options, Process, drive, thin};
use crate::home::{HomeError, Live, Lock, SPOOL_FILE, Status};
use crate::link::Http;
use crate::probe::Prober;
use crate::spool::{Identity, Spool};

/// How many threads there may be for what blocks. Names that nobody resolves hold eight for probes, and a few for climbs:
/// the call of a server that can be reached never waits for a resolver that cannot. Each has its stack while it runs,
/// and ends a second later.
const BLOCKING_THREADS: usize = 16;

/// The runtime for an agent alone in its process: one thread, and a few that come and go for what blocks.
///
/// # Errors
/// Where the system gives no threads or descriptors.
pub fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS)
        .thread_keep_alive(Duration::from_secs(1))
        .thread_stack_size(512 * 1024)
        .on_thread_park(thin::on_park)
        .build()
}

/// Does `work` on a runtime of its own. When it is done, nothing is waited for that blocks: neither a call that nobody
/// answers, nor a name that nobody resolves.
///
/// # Errors
/// Where the system gives no threads or descriptors.
pub fn alone<T>(work: impl Future<Output = T>) -> std::io::Result<T> {
    let runtime = runtime()?;
    let done = runtime.block_on(work);
    runtime.shutdown_background();
    Ok(done)
}

/// The agent of a data directory, which is locked for it.
#[derive(Debug)]
pub struct Device {
    dir: PathBuf,
    _lock: Lock,
    spool: Spool,
    identity: Identity,
}

impl Device {
    /// Opens the data directory `dir`. A damaged database is set aside, and the agent goes on with the identity in it; where
    /// the disk takes nothing, it goes on in memory.
    ///
    /// # Errors
    /// Where it has joined no server, another agent runs on the directory, or its database cannot be used.
    pub fn open(dir: &Path) -> Result<Device, Error> {
        let not_joined = || HomeError::NotJoined { dir: dir.to_owned() };
        if !dir.join(SPOOL_FILE).exists() {
            return Err(not_joined().into());
        }
        let lock = Lock::take(dir)?;
        let spool = Spool::open_or_stand_in(&dir.join(SPOOL_FILE))?;
        let identity = spool.identity().ok_or_else(not_joined)?.clone();
        Ok(Device { dir: dir.to_owned(), _lock: lock, spool, identity })
    }

    /// Which server it reports to, and as whom.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Runs it until `stop` is true.
    ///
    /// # Errors
    /// Where its server's URL cannot be used, or its database is damaged or cannot be read.
    pub async fn run(self, clock: Clock, stop: watch::Receiver<bool>) -> Result<(), Error> {
        let Device { dir, _lock, spool, identity } = self;
        let link = Http::new(&identity.server, &identity.secret, identity.pin)?;
        tracing::info!(server = %identity.server, device = %identity.name, "the agent starts");
        let told = watch::Sender::new(Status::default());
        let _live = Live::open(&dir, told.subscribe()).inspect_err(|e| {
            tracing::warn!(error = %e, "no socket for `lineman agent status`: it says what was last written");
        });
        let options = Options {
            clock,
            spool,
            link,
            prober: Prober::new(),
            stop,
            wake: Arc::new(Notify::new()),
            server: None,
            name: identity.name,
            told,
        };
        drive(options, Process::Own).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::resolve::AT_ONCE;

    #[test]
    fn names_that_nobody_resolves_keep_no_call_waiting() {
        // Those of probes, those of a climb or two, and the server's own.
        let names = AT_ONCE + 5;
        let (done, wait) = std::sync::mpsc::channel::<()>();
        let wait = Arc::new(std::sync::Mutex::new(wait));
        let call = alone(async move {
            for _ in 0..names {
                let wait = Arc::clone(&wait);
                tokio::task::spawn_blocking(move || wait.lock().unwrap().recv().is_ok());
            }
            let call = tokio::task::spawn_blocking(|| "answered");
            tokio::time::timeout(Duration::from_secs(20), call).await
        });
        assert_eq!(call.unwrap().unwrap().unwrap(), "answered");
        drop(done);
    }
}
