//! Ports that no client can take by accident.
//!
//! A server that is killed and started again on the same port must find it free. The kernel hands out ephemeral
//! ports to every outgoing connection on the machine, so a port from that range may be gone in between; worse, a
//! client that keeps reconnecting to it can be given that very port and connect to itself. So ports come from below
//! the ephemeral range. Two test processes may still pick the same one: a server that cannot bind is started again
//! on another.

use std::net::{Ipv4Addr, TcpListener};

const LOWEST: u16 = 15_000;

/// A loopback port on which nothing listens now, outside the range the kernel gives to clients.
#[must_use]
pub fn free_port() -> u16 {
    let above = first_ephemeral();
    loop {
        let port = rand::random_range(LOWEST..above);
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}

fn first_ephemeral() -> u16 {
    std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range")
        .ok()
        .and_then(|range| range.split_whitespace().next()?.parse().ok())
        .filter(|first| *first > LOWEST + 1_000)
        .unwrap_or(32_768)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stays_below_the_ephemeral_range() {
        for _ in 0..100 {
            assert!((LOWEST..first_ephemeral()).contains(&free_port()));
        }
    }
}
