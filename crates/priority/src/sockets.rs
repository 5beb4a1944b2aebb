//! PURE: the TCP connections in a text in the form of `/proc/PID/net/tcp`, and their two ends.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// One end of an established connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connection {
    /// This end.
    pub local: SocketAddr,
    /// The other.
    pub remote: SocketAddr,
    /// The number of its socket.
    pub inode: u64,
}

impl Connection {
    /// Whether these are the two ends of one connection, in one network.
    #[must_use]
    pub fn meets(&self, other: &Self) -> bool {
        self.local == other.remote && self.remote == other.local && self.inode != other.inode
    }
}

/// The established connections of a table; lines in no known form are none.
pub fn connections(table: &str) -> impl Iterator<Item = Connection> {
    table.lines().skip(1).filter_map(connection)
}

fn connection(line: &str) -> Option<Connection> {
    const ESTABLISHED: &str = "01";
    let words: Vec<&str> = line.split_whitespace().collect();
    if *words.get(3)? != ESTABLISHED {
        return None;
    }
    let inode = words.get(9)?.parse().ok()?;
    // Without a socket of a process nothing can be said of it.
    (inode != 0).then_some(())?;
    Some(Connection {
        local: address(words.get(1)?)?,
        remote: address(words.get(2)?)?,
        inode,
    })
}

/// Words of 32 bits in the machine's own order, and the port in the network's.
fn address(text: &str) -> Option<SocketAddr> {
    let (host, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    if !host.is_ascii() || !host.len().is_multiple_of(8) {
        return None;
    }
    let mut bytes = Vec::with_capacity(16);
    for at in (0..host.len()).step_by(8) {
        bytes.extend(u32::from_str_radix(host.get(at..at + 8)?, 16).ok()?.to_ne_bytes());
    }
    let ip = match bytes.len() {
        4 => IpAddr::V4(Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?)),
        // One end may be an IPv4 socket and the other an IPv6 one that speaks IPv4.
        16 => Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?).to_canonical(),
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str =
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";

    fn row(local: &str, remote: &str, state: &str, inode: u64) -> String {
        format!(
            "   0: {local} {remote} {state} 00000000:00000000 00:00000000 00000000  1000        0 {inode} 1\n"
        )
    }

    #[cfg(target_endian = "little")]
    #[test]
    fn two_ends_meet_even_over_mapped_addresses() {
        let four = format!("{HEAD}{}", row("0100007F:D431", "0100007F:1538", "01", 11));
        let six = format!(
            "{HEAD}{}",
            row(
                "0000000000000000FFFF00000100007F:1538",
                "0000000000000000FFFF00000100007F:D431",
                "01",
                22
            )
        );
        let (one, other) = (
            connections(&four).next().expect("one"),
            connections(&six).next().expect("one"),
        );
        assert_eq!(one.remote, "127.0.0.1:5432".parse().expect("an address"));
        assert!(one.meets(&other) && other.meets(&one) && !one.meets(&one));
        let elsewhere = Connection {
            local: "127.0.0.1:5433".parse().expect("an address"),
            ..other
        };
        assert!(!one.meets(&elsewhere));
    }

    #[test]
    fn only_established_connections_of_a_process_count_and_garbage_is_none() {
        for line in [
            row("0100007F:D431", "0100007F:1538", "0A", 11),
            row("0100007F:D431", "0100007F:1538", "06", 11),
            row("0100007F:D431", "0100007F:1538", "01", 0),
            row("0100007:D431", "0100007F:1538", "01", 1),
            row("0100007F", "0100007F:1538", "01", 1),
            row("ÄÄÄÄ:D431", "0100007F:1538", "01", 1),
            "\0 garbage".to_owned(),
        ] {
            assert_eq!(connections(&format!("{HEAD}{line}")).count(), 0, "{line}");
        }
    }
}
