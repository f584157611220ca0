//! What was replaced and may still be asked for: kept for a while, as far as memory allows.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long and how much is kept.
#[derive(Clone, Copy, Debug)]
pub struct Keep {
    /// For how long.
    pub time: Duration,
    /// Most bytes that only what was replaced holds; the last one stays whatever it holds.
    pub bytes: usize,
}

/// Replaced values, oldest first.
#[derive(Debug)]
pub(in crate::engine) struct Kept<T> {
    all: VecDeque<Replaced<T>>,
    bytes: usize,
}

#[derive(Debug)]
struct Replaced<T> {
    value: Arc<T>,
    at: Instant,
    bytes: usize,
}

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self {
            all: VecDeque::new(),
            bytes: 0,
        }
    }
}

impl<T> Kept<T> {
    /// Adds what was replaced now; `bytes` are those that its successor does not share. Hands out
    /// what is too old or too much, so that whoever holds a lock drops it afterwards.
    pub(in crate::engine) fn add(
        &mut self,
        value: Arc<T>,
        bytes: usize,
        now: Instant,
        keep: Keep,
    ) -> Vec<Arc<T>> {
        let mut gone = Vec::new();
        self.bytes += bytes;
        self.all.push_back(Replaced {
            value,
            at: now,
            bytes,
        });
        while let Some(oldest) = self.all.front() {
            let is_old = keep.time < now.duration_since(oldest.at);
            let is_much = keep.bytes < self.bytes && 1 < self.all.len();
            if !is_old && !is_much {
                break;
            }
            self.bytes -= oldest.bytes;
            gone.extend(self.all.pop_front().map(|oldest| oldest.value));
        }
        gone
    }

    /// What is kept, newest first.
    pub(in crate::engine) fn iter(&self) -> impl Iterator<Item = &Arc<T>> {
        self.all.iter().rev().map(|replaced| &replaced.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEEP: Keep = Keep {
        time: Duration::from_mins(10),
        bytes: 100,
    };

    fn kept(kept: &Kept<u32>) -> Vec<u32> {
        kept.iter().map(|value| **value).collect()
    }

    #[test]
    fn what_is_too_old_goes() {
        let (mut all, start) = (Kept::default(), Instant::now());
        let second = |n| start + Duration::from_secs(n);
        for (number, at) in [(1, 0), (2, 300), (3, 600)] {
            let gone = all.add(Arc::new(number), 1, second(at), KEEP);
            assert!(gone.is_empty());
        }
        assert_eq!(kept(&all), [3, 2, 1]);
        let gone = all.add(Arc::new(4), 1, second(601), KEEP);
        assert_eq!((kept(&all), *gone[0]), (vec![4, 3, 2], 1));
    }

    #[test]
    fn what_is_too_much_goes_but_never_the_last() {
        let (mut all, now) = (Kept::default(), Instant::now());
        for (number, bytes) in [(1, 40), (2, 30), (3, 30)] {
            all.add(Arc::new(number), bytes, now, KEEP);
        }
        assert_eq!(kept(&all), [3, 2, 1]);
        all.add(Arc::new(4), 35, now, KEEP);
        assert_eq!(kept(&all), [4, 3, 2]);
        all.add(Arc::new(5), 500, now, KEEP);
        assert_eq!(kept(&all), [5]);
        all.add(Arc::new(6), 1, now, KEEP);
        assert_eq!(kept(&all), [6]);
    }
}
