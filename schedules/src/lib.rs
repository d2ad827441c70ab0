//! When things are due: the clock, cadences (every 30 s, or a cron line), the due-queue, back-off, and a stable
//! spread of many things over one interval. A leaf: it knows nothing of devices or tickets.

mod backoff;
mod cadence;
mod clock;
mod cron;
mod queue;
mod spread;
mod time;

pub use backoff::Backoff;
pub use cadence::{BadCadence, Cadence};
pub use clock::Clock;
pub use cron::CronLine;
pub use queue::Queue;
pub use spread::spread;
pub use time::{BadSpan, Millis, Time};
