//! Ports that no client and no other test can take by accident.
//!
//! A server that is killed and started again on the same port must find it free. The kernel hands out ephemeral
//! ports to every outgoing connection on the machine, so a port from that range may be gone in between; worse, a
//! client that keeps reconnecting to it can be given that very port and connect to itself. So ports come from below
//! the ephemeral range. They are given out once each: a test process takes blocks of them for as long as it lives, so
//! that a port which nobody listens on at this moment, since its server has yet to start or was killed, is not given
//! to another test of this process or of another one.

use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::{Mutex, PoisonError};

const LOWEST: u16 = 15_000;

/// How many ports a process takes at once.
const BLOCK: u16 = 50;

/// What this process has taken: the rest of the newest block, and the sockets that keep the blocks.
static TAKEN: Mutex<Taken> = Mutex::new(Taken {
    left: 0..0,
    kept: Vec::new(),
});

struct Taken {
    left: Range<u16>,
    kept: Vec<UnixDatagram>,
}

/// A loopback port on which nothing listens, outside the range the kernel gives to clients, and which no other call
/// gives as long as this process lives.
///
/// # Panics
/// When other test processes have taken all of them.
#[must_use]
pub fn free_port() -> u16 {
    let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        match taken.left.next() {
            Some(port) if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() => return port,
            // A program that is none of ours listens there.
            Some(_) => {}
            None => {
                let (block, keeper) = take_block();
                taken.left = block;
                taken.kept.push(keeper);
            }
        }
    }
}

/// A block of ports that no other process has. A name in the kernel's own table keeps it, which goes with the process,
/// however it ends.
fn take_block() -> (Range<u16>, UnixDatagram) {
    let blocks = (first_ephemeral() - LOWEST) / BLOCK;
    let first = rand::random_range(0..blocks);
    (0..blocks)
        .map(|step| (first + step) % blocks)
        .find_map(|block| {
            let name = format!("slacktide-test-ports-{block}");
            let address = SocketAddr::from_abstract_name(name).ok()?;
            let keeper = UnixDatagram::bind_addr(&address).ok()?;
            let begin = LOWEST + block * BLOCK;
            Some((begin..begin + BLOCK, keeper))
        })
        .expect("other test processes have taken all ports below the ephemeral range")
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
    use std::collections::BTreeSet;

    #[test]
    fn free_port_stays_below_the_ephemeral_range_and_is_given_once() {
        // More than a block, and nobody listens on any of them meanwhile.
        let ports: BTreeSet<u16> = (0..2 * BLOCK).map(|_| free_port()).collect();
        assert_eq!(ports.len(), usize::from(2 * BLOCK));
        assert!(
            ports
                .iter()
                .all(|port| (LOWEST..first_ephemeral()).contains(port))
        );
    }

    #[test]
    fn taken_block_is_given_to_nobody_else() {
        let (block, _keeper) = take_block();
        let name = format!("slacktide-test-ports-{}", (block.start - LOWEST) / BLOCK);
        let address = SocketAddr::from_abstract_name(name).unwrap();
        assert!(UnixDatagram::bind_addr(&address).is_err());
    }
}
