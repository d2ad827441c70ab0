//! The one thread that writes, and the queue before it. What waits is committed together: each change in a savepoint
//! of its own, so that one that fails leaves its neighbours alone, and one commit for all of them.

use std::any::Any;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use schedules::Clock;
use tokio::sync::oneshot;

use super::engine::{Db, Marks};
use super::error::{Error, Result};
use super::locked;
use super::tx::WriteTx;

/// The most changes that wait.
pub(super) const MOST_WAITING: usize = 64 * 1024;
/// The most changes in one commit; more brings nothing.
pub(super) const MOST_TOGETHER: usize = 1_000;

/// What the writer is given to do.
pub(super) enum Work {
    /// A change.
    Change(Box<dyn Change>),
    /// The nightly work.
    Maintain(SyncSender<Result<()>>),
}

/// A change, whatever it answers.
pub(super) trait Change: Send {
    /// Makes it; false where it failed and is to be undone. Does not panic.
    fn make(&mut self, tx: &WriteTx<'_>) -> bool;
    /// Gives its caller the answer.
    fn answer(self: Box<Self>);
    /// Tells its caller that it was not committed; its own failure, where it failed itself.
    fn refuse(self: Box<Self>, why: &Error);
}

/// Where an answer goes.
pub(super) enum Reply<A> {
    Blocking(SyncSender<A>),
    Async(oneshot::Sender<A>),
}

struct Call<F, T, E> {
    f: Option<F>,
    made: Option<Result<T, E>>,
    reply: Reply<Result<T, E>>,
}

/// A change made by `f`.
pub(super) fn job<T, E, F>(f: F, reply: Reply<Result<T, E>>) -> Work
where
    F: FnOnce(&WriteTx<'_>) -> Result<T, E> + Send + 'static,
    T: Send + 'static,
    E: From<Error> + Send + 'static,
{
    Work::Change(Box::new(Call { f: Some(f), made: None, reply }))
}

impl<T, E, F> Change for Call<F, T, E>
where
    F: FnOnce(&WriteTx<'_>) -> Result<T, E> + Send,
    T: Send,
    E: From<Error> + Send,
{
    fn make(&mut self, tx: &WriteTx<'_>) -> bool {
        let Some(f) = self.f.take() else { return false };
        // What the change holds is dropped by the panic; of the database, everything it did is undone.
        let made = catch_unwind(AssertUnwindSafe(|| f(tx)))
            .unwrap_or_else(|panic| Err(Error::Panicked(message(panic.as_ref())).into()));
        self.made.insert(made).is_ok()
    }

    fn answer(self: Box<Self>) {
        let Call { made, reply, .. } = *self;
        reply.send(made.unwrap_or_else(|| Err(Error::Closed.into())));
    }

    fn refuse(self: Box<Self>, why: &Error) {
        let Call { made, reply, .. } = *self;
        reply.send(match made {
            Some(Err(own)) => Err(own),
            Some(Ok(_)) | None => Err(why.clone().into()),
        });
    }
}

impl<A> Reply<A> {
    /// A caller that has gone away needs no answer.
    fn send(self, answer: A) {
        match self {
            Reply::Blocking(to) => drop(to.send(answer)),
            Reply::Async(to) => drop(to.send(answer)),
        }
    }
}

fn message(panic: &(dyn Any + Send)) -> String {
    match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => (*text).to_owned(),
        (None, Some(text)) => text.clone(),
        (None, None) => "no message".to_owned(),
    }
}

/// What waits for the writer.
#[derive(Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    wake: Condvar,
    room: Condvar,
    commits: AtomicU64,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Waiting>,
    asleep: bool,
    closed: bool,
    /// How many the writer has taken and not answered yet, and how long the oldest of them has waited.
    taken: usize,
    taken_since: Option<Instant>,
}

struct Waiting {
    work: Work,
    since: Instant,
}

impl Queue {
    /// Puts work at the end; waits for room.
    pub(super) fn push(&self, work: Work) -> Result<()> {
        let full = |state: &mut State| !state.closed && state.waiting.len() >= MOST_WAITING;
        let state = self.room.wait_while(locked(&self.state), full).unwrap_or_else(PoisonError::into_inner);
        self.put(state, work)
    }

    /// Puts work at the end where there is room.
    pub(super) fn try_push(&self, work: Work) -> Result<()> {
        let state = locked(&self.state);
        if !state.closed && state.waiting.len() >= MOST_WAITING {
            return Err(Error::Busy("too many changes wait already"));
        }
        self.put(state, work)
    }

    fn put(&self, mut state: MutexGuard<'_, State>, work: Work) -> Result<()> {
        if state.closed {
            return Err(Error::Closed);
        }
        state.waiting.push_back(Waiting { work, since: Instant::now() });
        let asleep = std::mem::take(&mut state.asleep);
        drop(state);
        if asleep {
            self.wake.notify_one();
        }
        Ok(())
    }

    /// Takes no more work; what waits is done still.
    pub(super) fn close(&self) {
        locked(&self.state).closed = true;
        self.wake.notify_one();
        self.room.notify_all();
    }

    pub(super) fn commits(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }

    pub(super) fn lag(&self) -> Duration {
        let state = locked(&self.state);
        let oldest = state.taken_since.or_else(|| state.waiting.front().map(|w| w.since));
        oldest.map_or(Duration::ZERO, |since| since.elapsed())
    }

    pub(super) fn pending(&self) -> usize {
        let state = locked(&self.state);
        state.taken + state.waiting.len()
    }

    /// Waits for work and takes it; false where the queue is closed and empty.
    fn wait(&self, into: &mut VecDeque<Work>) -> bool {
        let nothing = |state: &mut State| {
            state.asleep = state.waiting.is_empty() && !state.closed;
            state.asleep
        };
        let mut state =
            self.wake.wait_while(locked(&self.state), nothing).unwrap_or_else(PoisonError::into_inner);
        self.take(&mut state, into, MOST_TOGETHER)
    }

    /// Takes what has come meanwhile, `most` at most; false where there is nothing.
    fn more(&self, into: &mut VecDeque<Work>, most: usize) -> bool {
        self.take(&mut locked(&self.state), into, most)
    }

    fn take(&self, state: &mut State, into: &mut VecDeque<Work>, most: usize) -> bool {
        let was_full = state.waiting.len() >= MOST_WAITING;
        let count = state.waiting.len().min(most);
        if state.taken_since.is_none() {
            state.taken_since = state.waiting.front().map(|w| w.since);
        }
        state.taken += count;
        into.extend(state.waiting.drain(..count).map(|w| w.work));
        if was_full {
            self.room.notify_all();
        }
        count > 0
    }

    /// All that was taken is done, `left` excepted.
    fn done(&self, left: usize) {
        let mut state = locked(&self.state);
        state.taken = left;
        if left == 0 {
            state.taken_since = None;
        }
    }
}

/// Starts the writer.
pub(super) fn start(db: Db, clock: Clock, queue: Arc<Queue>) -> std::io::Result<JoinHandle<()>> {
    thread::Builder::new().name("store-writer".to_owned()).spawn(move || {
        let _last = LastWord(&queue);
        match db.marks() {
            Ok(marks) => Writer::new(&db, marks, clock, &queue).run(),
            Err(why) => tracing::error!(%why, "the database's writer does not start"),
        }
        // The last connection to be closed, of whichever process, moves the log into the file and removes it.
    })
}

/// However the writer ends, nobody waits for it any more.
struct LastWord<'a>(&'a Queue);

impl Drop for LastWord<'_> {
    fn drop(&mut self) {
        self.0.close();
        let left = std::mem::take(&mut locked(&self.0.state).waiting);
        drop(left);
    }
}

struct Writer<'a> {
    db: &'a Db,
    marks: Marks<'a>,
    clock: Clock,
    queue: &'a Queue,
    /// What is to be done next.
    taken: VecDeque<Work>,
    /// What was made, and waits for the commit.
    held: Vec<Box<dyn Change>>,
    /// Who asked for the nightly work, which is done after the commit.
    maintain: Option<SyncSender<Result<()>>>,
}

impl<'a> Writer<'a> {
    fn new(db: &'a Db, marks: Marks<'a>, clock: Clock, queue: &'a Queue) -> Writer<'a> {
        Writer { db, marks, clock, queue, taken: VecDeque::new(), held: Vec::new(), maintain: None }
    }

    fn run(mut self) {
        while !self.taken.is_empty() || self.queue.wait(&mut self.taken) {
            let committed = self.commit_together();
            self.queue.done(self.taken.len());
            self.answer(committed);
            if let Some(reply) = self.maintain.take() {
                let done = self.db.optimize().and_then(|()| self.db.checkpoint());
                drop(reply.send(done));
            }
        }
    }

    /// Makes what waits, and what comes meanwhile, and commits it.
    fn commit_together(&mut self) -> Result<()> {
        let now = self.clock.now();
        let mut count = 0;
        while count < MOST_TOGETHER {
            let Some(work) = self.taken.pop_front() else {
                if self.queue.more(&mut self.taken, MOST_TOGETHER - count) {
                    continue;
                }
                break;
            };
            match work {
                Work::Change(change) => self.make(change, now)?,
                Work::Maintain(reply) => {
                    self.maintain = Some(reply);
                    break;
                }
            }
            count += 1;
        }
        if self.db.in_transaction() {
            self.marks.commit()?;
            self.queue.commits.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Makes one change. Where it fails it alone is undone; an error: all that is held is lost with it.
    fn make(&mut self, mut change: Box<dyn Change>, now: schedules::Time) -> Result<()> {
        // The first of a transaction needs no savepoint: to undo it is to begin anew.
        let first = !self.db.in_transaction();
        let marked = if first { self.marks.begin() } else { self.marks.savepoint() };
        if let Err(why) = marked {
            self.held.push(change);
            // Each of the others would wait as long for whoever holds the database: they are told at once.
            while let Some(work) = self.taken.pop_front() {
                match work {
                    Work::Change(other) => self.held.push(other),
                    Work::Maintain(reply) => drop(reply.send(Err(why.clone()))),
                }
            }
            return Err(why);
        }
        let tx = WriteTx::new(self.db, now);
        let keep = change.make(&tx);
        let lost = tx.into_lost();
        self.held.push(change);
        if !self.db.in_transaction() {
            return Err(
                lost.unwrap_or_else(|| Error::Other("a change ended the transaction itself".to_owned()))
            );
        }
        match (keep, first) {
            (true, true) => Ok(()),
            (true, false) => self.marks.keep(),
            (false, true) if self.db.roll_back() => Ok(()),
            (false, true) => Err(Error::Other("a change could not be undone".to_owned())),
            (false, false) => self.marks.undo(),
        }
    }

    /// Answers all that is held.
    fn answer(&mut self, committed: Result<()>) {
        match committed {
            Ok(()) => self.held.drain(..).for_each(Change::answer),
            Err(why) => {
                tracing::warn!(%why, changes = self.held.len(), "changes to the database were not committed");
                self.db.roll_back();
                self.held.drain(..).for_each(|change| change.refuse(&why));
            }
        }
    }
}
