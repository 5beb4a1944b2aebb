//! Work that runs during a test, such as the business writing to a core.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// Work that a thread repeats until it is stopped or dropped.
#[derive(Debug)]
pub struct Background {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Background {
    /// Starts to repeat `work`, with `pause` between the runs.
    #[must_use]
    pub fn repeat(pause: Duration, mut work: impl FnMut() + Send + 'static) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let is_stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            while !is_stopped.load(Ordering::Relaxed) {
                work();
                std::thread::park_timeout(pause);
            }
        });
        Self {
            stop,
            thread: Some(thread),
        }
    }

    /// Stops the work and waits until its last run has ended.
    pub fn stop(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            thread.join().expect("the background work succeeds");
        }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU32;

    #[test]
    fn background_work_repeats_until_stopped() {
        let done = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&done);
        let work = Background::repeat(Duration::ZERO, move || {
            counted.fetch_add(1, Ordering::Relaxed);
        });
        while done.load(Ordering::Relaxed) < 3 {
            std::thread::yield_now();
        }
        work.stop();
        assert_eq!(Arc::strong_count(&done), 1, "the thread still runs");
    }
}
