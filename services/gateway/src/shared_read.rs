//! One read for all callers that ask for the same at the same time.
//!
//! A caller that asks while a read runs waits for the next one, which begins after its question. So no caller gets an older value
//! than a read of its own would return, and nothing is kept between reads. The more callers wait, the more share one read.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Reads in progress, by what is read.
#[derive(Debug)]
pub(crate) struct SharedReads<K: Ord, T> {
    slots: Mutex<BTreeMap<K, Arc<Slot<T>>>>,
}

#[derive(Debug)]
struct Slot<T> {
    /// How many callers have asked.
    asked: AtomicU64,
    last: tokio::sync::Mutex<Option<Answer<T>>>,
}

/// The result of one read.
#[derive(Debug)]
struct Answer<T> {
    /// How many callers had asked when the read began: it answers these.
    asked: u64,
    value: T,
}

impl<K: Ord, T> Default for SharedReads<K, T> {
    fn default() -> Self {
        Self {
            slots: Mutex::default(),
        }
    }
}

impl<K: Ord + Clone, T: Clone> SharedReads<K, T> {
    /// Returns the value of a read that begins after this call: of `read`, or of another caller's.
    ///
    /// A caller that stops waiting, also the one whose read runs, does not harm the others. One that is no longer polled would: call
    /// it from a task that awaits nothing else meanwhile.
    pub(crate) async fn read<F: Future<Output = T>>(&self, key: &K, read: impl FnOnce() -> F) -> T {
        let held = self.hold(key);
        let Some(slot) = held.slot.as_deref() else {
            return read().await;
        };
        let before = slot.asked.fetch_add(1, Ordering::SeqCst);
        let mut last = slot.last.lock().await;
        if let Some(answer) = last.as_ref().filter(|answer| answer.asked > before) {
            return answer.value.clone();
        }
        let asked = slot.asked.load(Ordering::SeqCst);
        let value = read().await;
        *last = Some(Answer {
            asked,
            value: value.clone(),
        });
        value
    }

    fn hold(&self, key: &K) -> Held<'_, K, T> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = slots.entry(key.clone()).or_insert_with(|| {
            Arc::new(Slot {
                asked: AtomicU64::new(0),
                last: tokio::sync::Mutex::default(),
            })
        });
        Held {
            reads: self,
            key: key.clone(),
            slot: Some(Arc::clone(slot)),
        }
    }
}

/// A slot in use. The last user removes it, so that callers cannot fill the memory with keys.
struct Held<'a, K: Ord, T> {
    reads: &'a SharedReads<K, T>,
    key: K,
    /// `None` only while it is dropped.
    slot: Option<Arc<Slot<T>>>,
}

impl<K: Ord, T> Drop for Held<'_, K, T> {
    fn drop(&mut self) {
        let mut slots = self.reads.slots.lock().unwrap_or_else(PoisonError::into_inner);
        // Inside the lock, so that of two last users one sees that it is the last.
        self.slot = None;
        if slots
            .get(&self.key)
            .is_some_and(|slot| Arc::strong_count(slot) == 1)
        {
            slots.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::future::join_all;
    use tokio::sync::{Notify, oneshot};

    use super::*;

    type Reads = SharedReads<&'static str, u64>;

    /// A source whose value is the number of finished changes, and whose reads wait for a permit.
    #[derive(Default)]
    struct Source {
        value: AtomicU64,
        reads: AtomicU64,
        begun: Notify,
        go_on: Notify,
    }

    impl Source {
        async fn read(&self) -> u64 {
            self.reads.fetch_add(1, Ordering::SeqCst);
            let value = self.value.load(Ordering::SeqCst);
            self.begun.notify_one();
            self.go_on.notified().await;
            value
        }
    }

    #[tokio::test]
    async fn shared_read_serves_all_waiting_callers_with_a_value_no_older_than_their_question() {
        let (reads, source) = (Reads::default(), Source::default());
        let first = reads.read(&"lane", || source.read());
        let later = async {
            source.begun.notified().await;
            // The running read has its value already.
            source.value.store(1, Ordering::SeqCst);
            let waiting = (0..100).map(|_| reads.read(&"lane", || source.read()));
            let release = async {
                source.go_on.notify_one();
                source.begun.notified().await;
                source.go_on.notify_one();
            };
            tokio::join!(join_all(waiting), release).0
        };
        let (first, later) = tokio::join!(first, later);
        assert_eq!(first, 0);
        assert_eq!(later, [1; 100]);
        assert_eq!(source.reads.load(Ordering::SeqCst), 2);
        assert!(reads.slots.lock().unwrap().is_empty(), "a slot is left");
    }

    #[tokio::test]
    async fn shared_read_survives_a_caller_that_stops_waiting() {
        let (reads, source) = (Reads::default(), Source::default());
        let (stop, stopped) = oneshot::channel::<()>();
        let leaving = async {
            tokio::select! {
                _ = reads.read(&"lane", || source.read()) => panic!("the read was released"),
                _ = stopped => {}
            }
        };
        let staying = async {
            source.begun.notified().await;
            let staying = reads.read(&"lane", || source.read());
            let release = async {
                stop.send(()).unwrap();
                source.begun.notified().await;
                source.go_on.notify_one();
            };
            tokio::join!(staying, release).0
        };
        assert_eq!(tokio::join!(leaving, staying).1, 0);
        assert!(reads.slots.lock().unwrap().is_empty(), "a slot is left");
    }

    #[tokio::test]
    async fn shared_read_of_another_key_does_not_wait() {
        let (reads, source) = (Reads::default(), Source::default());
        let slow = reads.read(&"slow", || source.read());
        let quick = async {
            source.begun.notified().await;
            let value = reads.read(&"quick", || async { 7 }).await;
            source.go_on.notify_one();
            value
        };
        assert_eq!(tokio::join!(slow, quick), (0, 7));
    }
}
