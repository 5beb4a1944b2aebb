//! The exchange as a cluster of three servers: feeds and requests flow on through every fault of one server, of its routes and of
//! the leaders.
//!
//! | module | what |
//! |---|---|
//! | `fault` | faults of the servers, and the time until rows flow again |
//! | `feeds` | a feed through each fault: nothing lost, doubled or different, and no lane needs an operator |
//! | `requests` | requests through the same faults: one outcome each |
//!
//! Three servers that sync each message use a small machine whole, for minutes: `make test-cluster` runs these tests, one after the
//! other. A run of all tests reports them as skipped.

mod fault;
mod feeds;
mod requests;

/// Returns whether these tests are to run. Reports the calling one as skipped if not.
fn is_wanted() -> bool {
    harness::is_wanted("SLACKTIDE_TEST_CLUSTER", "make test-cluster")
}
