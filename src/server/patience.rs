//! How long is waited for whoever is at the other end of a connection.
//!
//! hyper counts one time for both: how long a connection lies idle between two requests, and how long a head may take. Agents
//! keep theirs open from one check-in to the next, so whoever sends a head byte by byte would have as long. Here a head's
//! time runs from its first byte, and an answer's from the last byte of it that was taken. A body has its own (`web/body.rs`).

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

/// How long a connection may be idle between two requests: longer than agents keep theirs.
pub const IDLE: Duration = Duration::from_secs(100);
/// How long a head may take: it is one packet or two, and each may be lost four times.
pub const HEAD: Duration = Duration::from_secs(20);
/// How long nothing of an answer may be taken.
pub const TAKEN: Duration = Duration::from_secs(60);

/// Whose turn it is on a connection: an odd number while a request is answered.
#[derive(Clone, Default)]
pub struct Turns(Arc<AtomicUsize>);

/// A request is answered, until this goes out of sight.
pub struct Turn(Turns);

impl Turns {
    /// A head is whole: its request is answered.
    #[must_use]
    pub fn begin(&self) -> Turn {
        self.0.fetch_add(1, Ordering::AcqRel);
        Turn(self.clone())
    }

    fn now(&self) -> usize {
        self.0.load(Ordering::Acquire)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.0.fetch_add(1, Ordering::AcqRel);
    }
}

/// What a connection waits for between two turns, and until when.
#[derive(Clone, Copy)]
enum Waits {
    /// It was not asked yet.
    No,
    /// For a head to begin.
    Begin(Instant),
    /// For the rest of a head.
    End(Instant),
}

/// One timer for all that a connection waits for. It is set anew when it goes off too early, not whenever the moment moves on:
/// that is at every request.
struct Timer(Pin<Box<Sleep>>);

impl Timer {
    /// Pending until that moment; then an error.
    fn over<T>(
        &mut self,
        until: Instant,
        context: &mut Context<'_>,
        why: &'static str,
    ) -> Poll<io::Result<T>> {
        if self.0.deadline() > until {
            self.0.as_mut().reset(until);
        }
        while self.0.as_mut().poll(context).is_ready() {
            if self.0.deadline() >= until {
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, why)));
            }
            self.0.as_mut().reset(until);
        }
        Poll::Pending
    }
}

/// A connection whose other end is not waited for without end.
pub struct Patient<S> {
    stream: S,
    turns: Turns,
    /// The turn in which `waits` was set.
    seen: usize,
    waits: Waits,
    /// When more of an answer must have been taken.
    taken: Option<Instant>,
    timer: Timer,
}

impl<S> Patient<S> {
    /// A connection that was just taken: its first head begins now.
    pub fn new(stream: S, turns: Turns) -> Patient<S> {
        let seen = turns.now();
        let until = Instant::now() + HEAD;
        let timer = Timer(Box::pin(sleep_until(until)));
        Patient { stream, turns, seen, waits: Waits::End(until), taken: None, timer }
    }

    fn wrote(
        &mut self,
        context: &mut Context<'_>,
        wrote: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if wrote.is_ready() {
            // What is told goes on: a stream is not idle.
            (self.taken, self.waits) = (None, Waits::No);
            return wrote;
        }
        let until = *self.taken.get_or_insert_with(|| Instant::now() + TAKEN);
        self.timer.over(until, context, "nothing of the answer is taken")
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let turn = this.turns.now();
        if turn != this.seen {
            (this.seen, this.waits) = (turn, Waits::No);
        }
        let before = into.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(context, into);
        if turn % 2 == 1 {
            // What comes now is a body.
            return read;
        }
        if into.filled().len() > before && !matches!(this.waits, Waits::End(_)) {
            this.waits = Waits::End(Instant::now() + HEAD);
        }
        if read.is_ready() {
            return read;
        }
        if matches!(this.waits, Waits::No) {
            this.waits = Waits::Begin(Instant::now() + IDLE);
        }
        match this.waits {
            Waits::No => read,
            Waits::Begin(until) => this.timer.over(until, context, "nothing more is asked"),
            Waits::End(until) => this.timer.over(until, context, "the head takes too long"),
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let wrote = Pin::new(&mut this.stream).poll_write(context, bytes);
        this.wrote(context, wrote)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let wrote = Pin::new(&mut this.stream).poll_write_vectored(context, parts);
        this.wrote(context, wrote)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        match Pin::new(&mut this.stream).poll_flush(context) {
            Poll::Pending => this.wrote(context, Poll::Pending).map_ok(drop),
            flushed => flushed,
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        match Pin::new(&mut this.stream).poll_shutdown(context) {
            Poll::Pending => this.wrote(context, Poll::Pending).map_ok(drop),
            closed => closed,
        }
    }
}
