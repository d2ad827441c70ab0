//! When things are due: the clock, cadences (every 30 s, or a cron line), the due-queue, back-off, and a stable
//! spread of many things over one interval. A leaf: it knows nothing of devices or tickets.

mod clock;
mod time;

pub use clock::Clock;
pub use time::{BadSpan, Millis, Time};
