//! Ports that no client and no other test is given by accident.
//!
//! A server that is killed and restarted on the same port must find it free. The kernel assigns ephemeral ports to outgoing
//! connections, so a port of that range may be taken in between; a client that keeps reconnecting to it can even be assigned
//! that port and connect to itself. So these ports are below the ephemeral range, and each is returned once: a test process
//! reserves blocks of them as long as it lives. A port on which nothing listens yet is therefore not returned to another test
//! of this process or of another one.

use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::{Mutex, PoisonError};

const LOWEST: u16 = 15_000;

/// Number of ports that a process reserves at once.
const BLOCK: u16 = 50;

/// The rest of the newest block of this process, and the sockets that reserve its blocks.
static TAKEN: Mutex<Taken> = Mutex::new(Taken {
    left: 0..0,
    kept: Vec::new(),
});

struct Taken {
    left: Range<u16>,
    kept: Vec<UnixDatagram>,
}

/// Returns a loopback port on which nothing listens, outside the kernel's ephemeral range. No other call returns it while this
/// process lives.
#[must_use]
pub fn free_port() -> u16 {
    let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        match taken.left.next() {
            Some(port) if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() => return port,
            // A program that is not part of the tests listens there.
            Some(_) => {}
            None => {
                let (block, keeper) = take_block();
                taken.left = block;
                taken.kept.push(keeper);
            }
        }
    }
}

/// Reserves a block of ports. An abstract socket name reserves it; the kernel removes the name when the process ends.
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
        // More ports than a block, and nothing listens on any of them.
        let ports: BTreeSet<u16> = (0..2 * BLOCK).map(|_| free_port()).collect();
        assert_eq!(ports.len(), usize::from(2 * BLOCK));
        assert!(
            ports
                .iter()
                .all(|port| (LOWEST..first_ephemeral()).contains(port))
        );
    }

    #[test]
    fn port_block_taken_is_not_given_again() {
        let (block, _keeper) = take_block();
        let name = format!("slacktide-test-ports-{}", (block.start - LOWEST) / BLOCK);
        let address = SocketAddr::from_abstract_name(name).unwrap();
        assert!(UnixDatagram::bind_addr(&address).is_err());
    }
}
