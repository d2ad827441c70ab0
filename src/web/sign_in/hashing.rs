//! Passwords are hashed one at a time, since each takes 19 MiB; few wait, so that whoever guesses takes no places from pages.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use schedules::Millis;

use crate::web::answer::Trouble;

/// How many are hashed or wait for it.
const MOST: usize = 8;
/// When those beyond are to come again.
const LATER: Millis = Millis::from_secs(2);

/// The one place where passwords are hashed.
#[derive(Debug, Default)]
pub struct Hashing {
    one: Mutex<()>,
    here: AtomicUsize,
}

impl Hashing {
    /// Does the work when no other is done.
    ///
    /// # Errors
    /// Too many wait.
    pub fn alone<T>(&self, work: impl FnOnce() -> T) -> Result<T, Trouble> {
        let place = |here: usize| (here < MOST).then_some(here + 1);
        if self.here.fetch_update(Ordering::AcqRel, Ordering::Acquire, place).is_err() {
            return Err(Trouble::Later(LATER));
        }
        let one = self.one.lock().unwrap_or_else(PoisonError::into_inner);
        let done = work();
        drop(one);
        self.here.fetch_sub(1, Ordering::AcqRel);
        Ok(done)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn few_wait_and_the_others_are_told_to_come_again() {
        let hashing = Hashing::default();
        let (open, opened) = mpsc::channel::<()>();
        let (begin, begun) = mpsc::channel::<()>();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                hashing.alone(move || {
                    drop(begin);
                    opened.recv()
                })
            });
            // The first one is at work: the others wait.
            assert!(begun.recv().is_err());
            for _ in 1..MOST {
                scope.spawn(|| hashing.alone(|| ()));
            }
            while hashing.here.load(Ordering::Acquire) < MOST {
                std::thread::yield_now();
            }
            assert!(matches!(hashing.alone(|| ()), Err(Trouble::Later(_))));
            drop(open);
        });
        assert!(hashing.alone(|| ()).is_ok(), "places are given back");
    }
}
