//! An allocator that counts.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use schemas::body::MOST_PLAIN;

/// Counts what the thread holds, and the most that it held.
struct Counting;

thread_local! {
    static HELD: Cell<isize> = const { Cell::new(0) };
    static MOST: Cell<isize> = const { Cell::new(0) };
}

fn count(bytes: isize) {
    // A thread that ends frees memory after its cells are gone.
    let _ = HELD.try_with(|held| {
        held.set(held.get() + bytes);
        let _ = MOST.try_with(|most| most.set(most.get().max(held.get())));
    });
}

#[allow(clippy::cast_possible_wrap, reason = "no layout is larger than isize")]
fn signed(size: usize) -> isize {
    size as isize
}

// SAFETY: every call is passed on to the system's allocator as it came; the count beside it
// touches no memory but two cells of this thread, which allocate nothing.
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
        // While it is moved both are there.
        count(signed(size));
        count(-signed(layout.size()));
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Runs it, and fails when it held more at once than a body, and so many times what it was given.
pub(crate) fn bounded<T>(given: usize, run: impl FnOnce() -> T) -> T {
    const TIMES: usize = 160;
    const FLOOR: usize = MOST_PLAIN + (2 << 20);
    let before = HELD.get();
    MOST.set(before);
    let done = run();
    let most = MOST.get() - before;
    assert!(
        most <= signed(FLOOR + TIMES * given),
        "{given} bytes made a decoder hold {most}"
    );
    done
}
