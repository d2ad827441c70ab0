//! How a running agent says how it stands: over a socket in its data directory, so that nothing need be written for it.

use std::io::{self, Read as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::UnixListener;
use tokio::sync::watch;

use super::Status;

/// The socket's name in the data directory.
pub(super) const SOCKET_FILE: &str = "agent.sock";
/// How long either side waits for the other.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long to wait where no connection can be taken.
const PAUSE: Duration = Duration::from_secs(1);
/// The longest answer that is read, in bytes.
const MAX_ANSWER: u64 = 64 * 1024;

/// Says how the agent stands to whoever connects, until it is dropped.
pub(crate) struct Live {
    path: PathBuf,
    task: tokio::task::JoinHandle<()>,
}

impl Live {
    /// Opens the socket of `dir`, whose lock the caller holds. Needs a tokio runtime.
    pub(crate) fn open(dir: &Path, told: watch::Receiver<Status>) -> io::Result<Live> {
        let path = dir.join(SOCKET_FILE);
        match std::fs::remove_file(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        let listener = in_dir(dir, |short| UnixListener::bind(short))?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
        let task = tokio::spawn(serve(listener, told));
        Ok(Live { path, task })
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.task.abort();
        drop(std::fs::remove_file(&self.path));
    }
}

/// Calls with the socket's path: a short one, as the kernel takes no more than a hundred bytes or so.
fn in_dir<T>(dir: &Path, call: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
    let dir = std::fs::File::open(dir)?;
    call(Path::new(&format!("/proc/self/fd/{}/{SOCKET_FILE}", dir.as_raw_fd())))
}

async fn serve(listener: UnixListener, told: watch::Receiver<Status>) {
    loop {
        let Ok((mut stream, _)) = listener.accept().await else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let answer = serde_json::to_vec(&*told.borrow()).unwrap_or_default();
        // Whoever does not read is not waited for.
        drop(tokio::time::timeout(PATIENCE, stream.write_all(&answer)).await);
    }
}

/// What the agent that runs on `dir` says of itself; none where it does not answer.
pub(super) fn ask(dir: &Path) -> Option<Status> {
    let stream = in_dir(dir, |short| UnixStream::connect(short)).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let mut answer = Vec::new();
    stream.take(MAX_ANSWER).read_to_end(&mut answer).ok()?;
    serde_json::from_slice(&answer).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn who_asks_hears_the_newest_and_nobody_answers_for_an_agent_that_is_gone() {
        let long = "a-long-name".repeat(20);
        let dir = tempfile::Builder::new().prefix(&long).tempdir().unwrap();
        assert_eq!(ask(dir.path()), None);
        let (tell, told) = watch::channel(Status::default());
        let live = Live::open(dir.path(), told.clone()).unwrap();
        let status = Status { state: "online".into(), backlog: 7, ..Status::default() };
        tell.send_replace(status.clone());
        assert_eq!(ask(dir.path()), Some(status));
        let mode = std::fs::metadata(dir.path().join(SOCKET_FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        drop(live);
        assert_eq!(ask(dir.path()), None);
        std::fs::write(dir.path().join(SOCKET_FILE), "left over").unwrap();
        let _live = Live::open(dir.path(), told).unwrap();
        assert!(ask(dir.path()).is_some(), "what a killed agent left is in nobody's way");
    }
}
