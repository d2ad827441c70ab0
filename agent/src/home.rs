//! An agent's data directory: who may use it, what can be seen of it from outside, and how it is left.

mod live;

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use schedules::Time;
use serde::{Deserialize, Serialize};

use crate::ladder::Server;
use crate::report::Plan;
use crate::spool::{self, Glance, SpoolError};

pub(crate) use live::Live;

/// The name of the agent's database in its data directory.
pub const SPOOL_FILE: &str = "agent.db";
/// The name of the file that a running agent holds locked. It holds the agent's process id.
pub const LOCK_FILE: &str = "agent.lock";
/// How long a lock is waited for: somebody who only looks holds it for a moment.
const LOCK_WAIT: Duration = Duration::from_millis(500);

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    /// Another agent runs on it.
    #[error("an agent already runs on {dir} (process {pid}): stop it first; {lock} is its lock")]
    InUse {
        /// The directory.
        dir: PathBuf,
        /// The other's process id, as far as it is known.
        pid: String,
        /// The lock.
        lock: PathBuf,
    },
    /// A file cannot be made, read or removed.
    #[error("{what} {path}: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// There is no agent here.
    #[error("{dir} belongs to no server: join one with `lineman agent join URL TOKEN`")]
    NotJoined {
        /// The directory.
        dir: PathBuf,
    },
    /// The database is damaged.
    #[error(
        "{path} is damaged: `lineman agent run` sets it aside and goes on with the identity in it; what it held for the \
         server is lost"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// The database cannot be used.
    #[error(transparent)]
    Spool(SpoolError),
}

impl HomeError {
    /// What `error` says of the database at `path`.
    fn of(error: SpoolError, path: &Path) -> HomeError {
        if error.is_corrupt() {
            HomeError::Damaged { path: path.to_owned() }
        } else {
            HomeError::Spool(error)
        }
    }
}

/// The right to run on a data directory: one at a time, given back when it is dropped or its process ends.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock of `dir`; makes the directory where it is missing.
    ///
    /// # Errors
    /// Where another process has it, or the directory cannot be used.
    pub fn take(dir: &Path) -> Result<Lock, HomeError> {
        let path = dir.join(LOCK_FILE);
        let io = |what, path: &Path| {
            let path = path.to_owned();
            move |source| HomeError::Io { what, path, source }
        };
        DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(io("make", dir))?;
        let mut file = lock_file(dir, &path).map_err(io("open", &path))?;
        let began = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if began.elapsed() < LOCK_WAIT => {
                    std::thread::sleep(Duration::from_millis(10));
                }
                Err(TryLockError::WouldBlock) => {
                    let mut pid = String::new();
                    drop(file.take(32).read_to_string(&mut pid));
                    let pid =
                        if pid.trim().is_empty() { "unknown".to_owned() } else { pid.trim().to_owned() };
                    return Err(HomeError::InUse { dir: dir.to_owned(), pid, lock: path });
                }
                Err(TryLockError::Error(e)) => return Err(io("lock", &path)(e)),
            }
        }
        // Whose it is serves people alone: where the disk is full the lock holds all the same.
        drop(mark(&mut file));
        Ok(Lock { _file: file })
    }

    /// The process that runs on `dir`, where one does.
    fn holder(dir: &Path) -> Option<u32> {
        let mut file = File::open(dir.join(LOCK_FILE)).ok()?;
        match file.try_lock_shared() {
            Err(TryLockError::WouldBlock) => {}
            Ok(()) | Err(TryLockError::Error(_)) => return None,
        }
        let mut pid = String::new();
        file.read_to_string(&mut pid).ok()?;
        Some(pid.trim().parse().unwrap_or(0))
    }
}

/// The file that is locked. Where nothing can be written the one that is there will do, and else the directory.
fn lock_file(dir: &Path, path: &Path) -> std::io::Result<File> {
    let opened =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path);
    opened.or_else(|error| match error.kind() {
        ErrorKind::ReadOnlyFilesystem | ErrorKind::StorageFull => {
            File::open(path).or_else(|_| File::open(dir))
        }
        _ => Err(error),
    })
}

fn mark(file: &mut File) -> std::io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}

/// How an agent stands, as `lineman agent status` shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Status {
    /// `starting`, `online`, `cut-off`, `refused`, or `stopped` where no agent runs.
    pub state: String,
    /// The server's URL.
    pub server: String,
    /// The device's name there.
    pub device: String,
    /// How many tries failed in a row.
    pub failed_tries: u32,
    /// How many records wait for the server.
    pub backlog: u64,
    /// When the server last answered a check-in.
    pub last_check_in_at: Option<Time>,
    /// Since when the server cannot be reached.
    pub cut_off_since: Option<Time>,
    /// When the agent calls next.
    pub next_check_in_at: Option<Time>,
    /// What the last call that failed said.
    pub error: Option<String>,
    /// How many checks the agent runs.
    pub checks: u64,
    /// When it was started.
    pub started_at: Option<Time>,
    /// Its version.
    pub version: String,
    /// Its process, where it runs.
    pub pid: Option<u32>,
}

impl Status {
    /// How the agent of the data directory `dir` stands; also while it runs.
    ///
    /// # Errors
    /// Where it has joined no server, or its database is damaged or cannot be read.
    pub fn read(dir: &Path) -> Result<Status, HomeError> {
        let path = dir.join(SPOOL_FILE);
        let not_joined = || HomeError::NotJoined { dir: dir.to_owned() };
        if !path.exists() {
            return Err(not_joined());
        }
        let pid = Lock::holder(dir);
        if let Some(told) = pid.and_then(|_| live::ask(dir)).filter(|told| !told.state.is_empty()) {
            return Ok(Status { pid, ..told });
        }
        let glance = Glance::at(&path).map_err(|e| HomeError::of(e, &path))?;
        let identity = glance.identity.ok_or_else(not_joined)?;
        let told =
            glance.status.and_then(|text| serde_json::from_str::<Status>(&text).ok()).unwrap_or_default();
        let state = if pid.is_none() { "stopped".to_owned() } else { told.state };
        let next_check_in_at = pid.and(told.next_check_in_at);
        Ok(Status {
            state,
            pid,
            next_check_in_at,
            backlog: glance.waiting,
            server: identity.server,
            device: identity.name,
            ..told
        })
    }
}

/// Where the ladder of evidence leads for the agent of the data directory `dir`, and what it asks; none where no server
/// was joined.
///
/// # Errors
/// Where its database cannot be read.
pub fn ladder(dir: &Path) -> Result<Option<(Server, Plan)>, HomeError> {
    let path = dir.join(SPOOL_FILE);
    if !path.exists() {
        return Ok(None);
    }
    let glance = Glance::at(&path).map_err(|e| HomeError::of(e, &path))?;
    let server = glance.identity.and_then(|identity| Server::at(&identity.server, identity.pin).ok());
    Ok(server.map(|server| (server, glance.ladder)))
}

/// Whether a damaged database was set aside in the data directory `dir`.
#[must_use]
pub fn has_set_aside(dir: &Path) -> bool {
    !spool::set_aside_at(&dir.join(SPOOL_FILE)).is_empty()
}

/// Forgets the server, and all that was to be told it, with what was set aside of it. Gives back which server it was and
/// how the agent was called there, where that can still be read.
///
/// # Errors
/// Where no server was joined, an agent runs, or the files cannot be removed.
pub fn leave(dir: &Path) -> Result<Option<(String, String)>, HomeError> {
    let broken = spool::set_aside_at(&dir.join(SPOOL_FILE));
    let whose = match Status::read(dir) {
        Ok(status) => Some((status.server, status.device)),
        Err(HomeError::Damaged { .. }) => None,
        Err(HomeError::NotJoined { .. }) if !broken.is_empty() => None,
        Err(other) => return Err(other),
    };
    let _lock = Lock::take(dir)?;
    let own = ["-wal", "-shm", ""].map(|end| dir.join(format!("{SPOOL_FILE}{end}")));
    for path in own.into_iter().chain(broken) {
        match std::fs::remove_file(&path) {
            Err(source) if source.kind() != ErrorKind::NotFound => {
                return Err(HomeError::Io { what: "remove", path, source });
            }
            _ => {}
        }
    }
    drop(std::fs::remove_file(dir.join(live::SOCKET_FILE)));
    Ok(whose)
}
