//! The due-queue: many keys, each due at one moment; asked again and again which is due next.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::hash::Hash;

use crate::Time;

/// Keys by the moment they are due; of those due at the same moment, the lesser key first. Setting a key that is
/// already there moves it. `set`, `remove` and `pop_due` take logarithmic time on average, `next` and `get` constant.
///
/// A heap with lazy deletion: a key that is moved or removed leaves its old entry behind, and such stale entries are
/// never more than twice the live ones and 64, so memory follows the number of keys, not of changes.
#[derive(Clone, Debug)]
pub struct Queue<K> {
    /// Live and stale entries. Between calls the earliest is live: so `next` needs only a look.
    heap: BinaryHeap<Reverse<(Time, K)>>,
    /// When each key is due: what makes an entry of the heap live.
    due: HashMap<K, Time>,
}

impl<K> Default for Queue<K> {
    fn default() -> Queue<K> {
        Queue { heap: BinaryHeap::new(), due: HashMap::new() }
    }
}

impl<K: Ord + Hash + Clone> Queue<K> {
    /// A queue with nothing in it.
    #[must_use]
    pub fn new() -> Queue<K> {
        Queue::default()
    }

    /// `key` is due at `at`, whenever it was due before.
    pub fn set(&mut self, key: K, at: Time) {
        let before = self.due.insert(key.clone(), at);
        if before == Some(at) {
            return;
        }
        self.heap.push(Reverse((at, key)));
        if before.is_some() {
            self.settle();
        }
    }

    /// Takes `key` out, and says when it was due.
    pub fn remove(&mut self, key: &K) -> Option<Time> {
        let at = self.due.remove(key)?;
        self.settle();
        Some(at)
    }

    /// When `key` is due.
    #[must_use]
    pub fn get(&self, key: &K) -> Option<Time> {
        self.due.get(key).copied()
    }

    /// When the first key is due.
    #[must_use]
    pub fn next(&self) -> Option<Time> {
        self.heap.peek().map(|Reverse((at, _))| *at)
    }

    /// Takes out the first key that is due at `now` or before, with the moment it was due.
    pub fn pop_due(&mut self, now: Time) -> Option<(K, Time)> {
        if self.next()? > now {
            return None;
        }
        let Reverse((at, key)) = self.heap.pop()?;
        self.due.remove(&key);
        self.settle();
        Some((key, at))
    }

    /// How many keys are due at some time.
    #[must_use]
    pub fn len(&self) -> usize {
        self.due.len()
    }

    /// Whether no key is due at any time.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.due.is_empty()
    }

    /// Takes everything out.
    pub fn clear(&mut self) {
        self.heap.clear();
        self.due.clear();
    }

    /// Drops stale entries from the top of the heap, and all of them once they are too many. Every key has a live entry,
    /// so there are stale ones only where the heap is longer than the map.
    fn settle(&mut self) {
        let due = &self.due;
        if self.heap.len() > 3 * due.len() + 64 {
            self.heap = due.iter().map(|(key, at)| Reverse((*at, key.clone()))).collect();
        }
        while self.heap.len() > due.len()
            && let Some(Reverse((at, key))) = self.heap.peek()
            && due.get(key) != Some(at)
        {
            self.heap.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_due_comes_out_in_order_of_time_then_key() {
        let mut queue = Queue::new();
        for (key, at) in [("gateway", 20), ("printer", 10), ("camera", 20), ("mast", 30)] {
            queue.set(key, Time(at));
        }
        assert_eq!(queue.pop_due(Time(9)), None);
        let mut out = Vec::new();
        while let Some((key, at)) = queue.pop_due(Time(20)) {
            out.push((key, at.0));
        }
        assert_eq!(out, [("printer", 10), ("camera", 20), ("gateway", 20)]);
        assert_eq!(queue.next(), Some(Time(30)));
    }

    #[test]
    fn a_key_that_is_moved_is_due_once_at_its_new_moment() {
        let mut queue = Queue::new();
        queue.set(1, Time(10));
        queue.set(1, Time(50));
        assert_eq!(queue.next(), Some(Time(50)));
        queue.set(1, Time(10));
        assert_eq!(queue.pop_due(Time(100)), Some((1, Time(10))));
        assert_eq!(queue.pop_due(Time(100)), None);
        assert!(queue.is_empty());
    }

    #[test]
    fn a_key_moved_a_million_times_leaves_no_pile() {
        let mut queue = Queue::new();
        queue.set(0, Time(0));
        for at in 0..1_000_000 {
            queue.set(1, Time(2_000_000 - at));
        }
        assert!(queue.heap.len() <= 3 * 2 + 64, "{}", queue.heap.len());
    }

    #[derive(Clone, Debug)]
    enum Step {
        Set(u8, i64),
        Remove(u8),
        Pop(i64),
        Clear,
    }

    fn step() -> impl Strategy<Value = Step> {
        let time = prop_oneof![8 => 0..40_i64, 1 => Just(i64::MAX), 1 => Just(i64::MIN)];
        prop_oneof![
            40 => (0..20_u8, time.clone()).prop_map(|(key, at)| Step::Set(key, at)),
            10 => (0..20_u8).prop_map(Step::Remove),
            20 => time.prop_map(Step::Pop),
            1 => Just(Step::Clear),
        ]
    }

    proptest! {
        #[test]
        fn a_queue_does_what_a_plain_map_would(steps in prop::collection::vec(step(), 0..600)) {
            let mut queue = Queue::new();
            let mut model: BTreeMap<u8, Time> = BTreeMap::new();
            for step in steps {
                match step {
                    Step::Set(key, at) => {
                        queue.set(key, Time(at));
                        model.insert(key, Time(at));
                    }
                    Step::Remove(key) => prop_assert_eq!(queue.remove(&key), model.remove(&key)),
                    Step::Pop(now) => {
                        let first = model.iter().map(|(key, at)| (*at, *key)).min();
                        let due = first.filter(|(at, _)| *at <= Time(now)).map(|(at, key)| (key, at));
                        if let Some((key, _)) = due {
                            model.remove(&key);
                        }
                        prop_assert_eq!(queue.pop_due(Time(now)), due);
                    }
                    Step::Clear => {
                        queue.clear();
                        model.clear();
                    }
                }
                prop_assert_eq!(queue.next(), model.values().min().copied());
                prop_assert_eq!(queue.len(), model.len());
                prop_assert_eq!(queue.get(&7), model.get(&7).copied());
                prop_assert!(queue.heap.len() - queue.len() <= 2 * queue.len() + 64);
            }
        }
    }
}
