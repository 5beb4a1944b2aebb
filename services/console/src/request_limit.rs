//! Limits the requests of one session, so that one browser or stolen cookie does not use up the gateway's processor.

use std::num::NonZeroU32;

use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

/// A page with its stream needs a few requests at once.
const BURST_SECONDS: u32 = 3;

/// The limiter, by the digest of a session's id.
#[derive(Debug)]
pub(crate) struct RequestLimit(DefaultKeyedRateLimiter<[u8; 32]>);

impl RequestLimit {
    /// Allows each session this many requests a second over time, and three times as many at once.
    pub(crate) fn new(per_second: u32) -> Self {
        let per_second = NonZeroU32::new(per_second).unwrap_or(NonZeroU32::MIN);
        let burst = per_second.saturating_mul(NonZeroU32::MIN.saturating_add(BURST_SECONDS - 1));
        Self(RateLimiter::keyed(
            Quota::per_second(per_second).allow_burst(burst),
        ))
    }

    /// Counts a request and returns whether it may be answered.
    pub(crate) fn allows(&self, session: &[u8; 32]) -> bool {
        self.0.check_key(session).is_ok()
    }

    /// Frees the memory of sessions that have their full allowance again.
    pub(crate) fn forget_idle(&self) {
        self.0.retain_recent();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_limit_is_of_each_session() {
        let limit = RequestLimit::new(2);
        let (one, other) = ([1; 32], [2; 32]);
        assert_eq!((0..9).filter(|_| limit.allows(&one)).count(), 6);
        assert!(limit.allows(&other));
    }
}
