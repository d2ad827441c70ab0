//! What the due-queue costs: 50,000 jobs, each due once a minute, over ten simulated minutes; beside it, in the same
//! run, a bare binary heap of the standard library that can neither move nor remove a job. One line a figure.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::hint::black_box;
use std::time::Instant;

use schedules::{Cadence, Millis, Queue, Time};

const JOBS: u64 = 50_000;
const PERIOD: Millis = Millis(60_000);
const MINUTES: i64 = 10;
const ROUNDS: usize = 7;

fn main() {
    let (mut queue, mut bare, mut with_cadence) = (f64::MAX, f64::MAX, f64::MAX);
    // By turns, so that what else the machine does meets both; the best round of each is the least disturbed.
    for _ in 0..ROUNDS {
        queue = queue.min(nanoseconds_a_job(|| run_queue(|_, at| at + PERIOD)));
        bare = bare.min(nanoseconds_a_job(run_bare_heap));
        let cadence = Cadence::Every(PERIOD);
        with_cadence = with_cadence.min(nanoseconds_a_job(|| run_queue(|key, at| cadence.next(at, key))));
    }
    println!("due-queue, {JOBS} jobs: {queue:.0} ns per pop+set");
    println!("bare BinaryHeap, {JOBS} jobs: {bare:.0} ns per pop+push");
    println!("ratio: {:.2}", queue / bare);
    println!("due-queue with Cadence::next: {with_cadence:.0} ns per pop+next+set");
}

/// The time of one job in a run that says how many it did.
fn nanoseconds_a_job(run: impl FnOnce() -> u64) -> f64 {
    let start = Instant::now();
    let jobs = run();
    let spent = start.elapsed();
    assert_eq!(jobs, JOBS * MINUTES.unsigned_abs(), "a job was lost or done twice");
    spent.as_nanos() as f64 / jobs as f64
}

/// The moment a job is due first.
fn first(key: u64) -> Time {
    Time(schedules::spread(key, PERIOD).0)
}

fn run_queue(next: impl Fn(u64, Time) -> Time) -> u64 {
    let mut queue = Queue::new();
    for key in 0..JOBS {
        queue.set(key, first(key));
    }
    let mut done = 0;
    for now in 0..MINUTES * PERIOD.0 {
        while let Some((key, at)) = queue.pop_due(Time(now)) {
            queue.set(black_box(key), next(key, at));
            done += 1;
        }
    }
    done
}

fn run_bare_heap() -> u64 {
    let mut heap = BinaryHeap::new();
    for key in 0..JOBS {
        heap.push(Reverse((first(key), key)));
    }
    let mut done = 0;
    for now in 0..MINUTES * PERIOD.0 {
        while heap.peek().is_some_and(|Reverse((at, _))| *at <= Time(now)) {
            let Some(Reverse((at, key))) = heap.pop() else { break };
            heap.push(Reverse((at + PERIOD, black_box(key))));
            done += 1;
        }
    }
    done
}
