//! An allocator that counts the bytes in use.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use schemas::body::MAX_PLAIN_BYTES;

/// Counts the thread's allocated bytes and their maximum.
struct Counting;

thread_local! {
    static IN_USE: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

fn count(bytes: isize) {
    // A thread that ends frees memory after its cells are gone.
    let _ = IN_USE.try_with(|in_use| {
        in_use.set(in_use.get() + bytes);
        let _ = PEAK.try_with(|peak| peak.set(peak.get().max(in_use.get())));
    });
}

#[allow(clippy::cast_possible_wrap, reason = "no layout is larger than isize")]
fn signed(size: usize) -> isize {
    size as isize
}

// SAFETY: every call is forwarded unchanged to the system's allocator; counting only accesses two cells of this thread,
// which do not allocate.
#[allow(unsafe_code, reason = "an allocator cannot be counted otherwise")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(signed(layout.size()));
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-signed(layout.size()));
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // Both blocks exist during the move.
        count(signed(size));
        count(-signed(layout.size()));
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Runs a closure and fails if its peak memory exceeds one body plus a multiple of the input size.
pub(crate) fn bounded<T>(input: usize, run: impl FnOnce() -> T) -> T {
    const TIMES: usize = 160;
    const FLOOR: usize = MAX_PLAIN_BYTES + (2 << 20);
    let before = IN_USE.get();
    PEAK.set(before);
    let done = run();
    let peak = PEAK.get() - before;
    assert!(
        peak <= signed(FLOOR + TIMES * input),
        "an input of {input} bytes made a decoder allocate {peak}"
    );
    done
}
