//! Limits logins: by address, and in total, so that guessing costs time and many addresses do not use up the processor.

use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;

use governor::{DefaultDirectRateLimiter, DefaultKeyedRateLimiter, Quota, RateLimiter};

/// Logins per second of all addresses.
const TOTAL_PER_SECOND: NonZeroU32 = NonZeroU32::new(50).unwrap();

/// The limiter.
#[derive(Debug)]
pub(crate) struct LoginLimit {
    by_address: DefaultKeyedRateLimiter<IpAddr>,
    total: DefaultDirectRateLimiter,
}

impl LoginLimit {
    /// Allows this many logins of an address in a minute.
    pub(crate) fn new(per_minute: u32) -> Self {
        let per_minute = NonZeroU32::new(per_minute).unwrap_or(NonZeroU32::MIN);
        Self {
            by_address: RateLimiter::keyed(Quota::per_minute(per_minute)),
            total: RateLimiter::direct(Quota::per_second(TOTAL_PER_SECOND)),
        }
    }

    /// Counts a login and returns whether it may be tried.
    pub(crate) fn allows(&self, peer: Option<IpAddr>) -> bool {
        if self.total.check().is_err() {
            return false;
        }
        // Addresses that have their full allowance again need no memory.
        self.by_address.retain_recent();
        self.by_address
            .check_key(&network(peer.unwrap_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED))))
            .is_ok()
    }
}

/// Returns the network of an address: one client has a whole /64 of IPv6.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn login_limit_is_of_each_address() {
        let limit = LoginLimit::new(2);
        let address = |text: &str| Some(text.parse().unwrap());
        assert!(limit.allows(address("192.0.2.1")) && limit.allows(address("192.0.2.1")));
        assert!(!limit.allows(address("192.0.2.1")));
        assert!(!limit.allows(address("::ffff:192.0.2.1")), "the same address");
        assert!(limit.allows(address("192.0.2.2")));
        assert!(limit.allows(address("2001:db8::1")) && limit.allows(address("2001:db8::2")));
        assert!(!limit.allows(address("2001:db8::3")), "the same network");
    }
}
