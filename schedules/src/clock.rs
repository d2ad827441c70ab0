//! The one place that reads the wall clock. Everything else is told what time it is.
//!
//! A [`Clock`] answers *when*; how long something took is a stopwatch's work (`std::time::Instant`) and stays real.

use std::path::Path;
#[cfg(debug_assertions)]
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use crate::{Millis, Time};

/// Where the time comes from. Cheap to clone; clones show the same time.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System,
    Manual(Arc<AtomicI64>),
    #[cfg(debug_assertions)]
    File(Arc<PathBuf>),
}

impl Clock {
    /// The machine's own clock.
    #[must_use]
    pub fn system() -> Clock {
        Clock(Source::System)
    }

    /// A clock that stands at `start` until [`Clock::set`] or [`Clock::advance`] turns it: for tests in one process.
    #[must_use]
    pub fn manual(start: Time) -> Clock {
        Clock(Source::Manual(Arc::new(AtomicI64::new(start.0))))
    }

    /// A clock that several processes share: `path` holds the milliseconds since 1970 as text. Debug builds only.
    /// Whoever turns it replaces the file by rename.
    #[cfg(debug_assertions)]
    #[must_use]
    pub fn file(path: &Path) -> Clock {
        Clock(Source::File(Arc::new(path.to_owned())))
    }

    /// The clock file named by `path` in a debug build, the system's clock where there is none.
    ///
    /// # Errors
    /// A release build has no turned clock, and says so.
    pub fn from_file(path: Option<&Path>) -> Result<Clock, &'static str> {
        match path {
            None => Ok(Clock::system()),
            #[cfg(debug_assertions)]
            Some(path) => Ok(Clock::file(path)),
            #[cfg(not(debug_assertions))]
            Some(_) => Err("a turned clock works in debug builds only"),
        }
    }

    /// What time it is.
    #[must_use]
    pub fn now(&self) -> Time {
        match &self.0 {
            Source::System => Time(system_ms()),
            Source::Manual(at) => Time(at.load(Ordering::SeqCst)),
            #[cfg(debug_assertions)]
            Source::File(path) => read_file(path),
        }
    }

    /// Time since this machine was booted, with the time it slept (CLOCK_BOOTTIME). On a turned clock: the time
    /// since 1970, so that spans agree with [`Clock::now`].
    #[must_use]
    pub fn mono(&self) -> Millis {
        match &self.0 {
            Source::System => kernel_time(libc::CLOCK_BOOTTIME),
            Source::Manual(_) => Millis(self.now().0),
            #[cfg(debug_assertions)]
            Source::File(_) => Millis(self.now().0),
        }
    }

    /// Time since this machine was booted, without the time it slept (CLOCK_MONOTONIC). On a turned clock as
    /// [`Clock::mono`]: nobody sleeps there.
    #[must_use]
    pub fn awake(&self) -> Millis {
        match &self.0 {
            Source::System => kernel_time(libc::CLOCK_MONOTONIC),
            Source::Manual(_) => self.mono(),
            #[cfg(debug_assertions)]
            Source::File(_) => self.mono(),
        }
    }

    /// How long one may really sleep when the next thing is due at `until`, before looking at the clock again.
    /// On a turned clock that is a few milliseconds: it may be turned at any moment.
    #[must_use]
    pub fn nap(&self, until: Time) -> Duration {
        match &self.0 {
            Source::System => until.since(self.now()).duration(),
            Source::Manual(_) => Duration::from_millis(2),
            #[cfg(debug_assertions)]
            Source::File(_) => Duration::from_millis(5),
        }
    }

    /// Whether this clock only moves when it is turned.
    #[must_use]
    pub fn is_turned(&self) -> bool {
        !matches!(self.0, Source::System)
    }

    /// Turns a manual clock to `at`; nothing happens to any other clock.
    pub fn set(&self, at: Time) {
        if let Source::Manual(now) = &self.0 {
            now.store(at.0, Ordering::SeqCst);
        }
    }

    /// Turns a manual clock forward by `span`; nothing happens to any other clock.
    pub fn advance(&self, span: Millis) {
        if let Source::Manual(now) = &self.0 {
            now.fetch_add(span.0, Ordering::SeqCst);
        }
    }

    /// Says, on a shared clock file, that the loop called `name` has done all that was due at `seen` and waits for
    /// the clock to be turned: it writes `seen` to `<clock file>.<process id>.<name>`. So a test turns the clock,
    /// waits until every loop has seen it, and turns it again, with no sleep for luck. On other clocks: nothing.
    pub fn idle(&self, name: &str, seen: Time) {
        #[cfg(debug_assertions)]
        if let Source::File(path) = &self.0 {
            let mut file = path.as_os_str().to_owned();
            file.push(format!(".{}.{name}", std::process::id()));
            let new = PathBuf::from(&file).with_extension(format!("{name}-new"));
            if std::fs::write(&new, seen.0.to_string()).is_ok() {
                drop(std::fs::rename(&new, &file));
            }
        }
        #[cfg(not(debug_assertions))]
        let _ = (name, seen);
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
fn system_ms() -> i64 {
    match std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_millis()).map_or(i64::MIN, |ms| -ms),
    }
}

#[expect(unsafe_code, reason = "clock_gettime has no safe wrapper in the standard library for these clocks")]
fn kernel_time(clock: libc::clockid_t) -> Millis {
    let mut ts = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `ts` is a valid timespec, and the call writes nothing else.
    let failed = unsafe { libc::clock_gettime(clock, &raw mut ts) };
    if failed != 0 {
        return Millis(0);
    }
    Millis(ts.tv_sec.saturating_mul(1000).saturating_add(ts.tv_nsec / 1_000_000))
}

#[cfg(debug_assertions)]
fn read_file(path: &Path) -> Time {
    let text =
        std::fs::read_to_string(path).unwrap_or_else(|e| panic!("the clock file {}: {e}", path.display()));
    Time(text.trim().parse().unwrap_or_else(|e| panic!("the clock file {}: {e}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_moves_only_when_turned() {
        let clock = Clock::manual(Time(1_000));
        let same = clock.clone();
        clock.advance(Millis(500));
        assert_eq!(same.now(), Time(1_500));
        assert_eq!(same.mono(), Millis(1_500));
    }

    #[test]
    fn processes_share_a_clock_file_and_say_when_they_are_idle() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("clock");
        std::fs::write(&path, "42").unwrap();
        let clock = Clock::file(&path);
        assert_eq!(clock.now(), Time(42));
        clock.idle("tick", Time(42));
        let seen =
            std::fs::read_to_string(dir.path().join(format!("clock.{}.tick", std::process::id()))).unwrap();
        assert_eq!(seen, "42");
    }
}
