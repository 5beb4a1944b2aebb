//! PURE: parses `/proc/PID/net/tcp` and matches the two ends of a connection.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// A listening socket, or one end of an established connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TcpSocket {
    /// The local address.
    pub local: SocketAddr,
    /// The remote address.
    pub remote: SocketAddr,
    /// The inode of the socket.
    pub inode: u64,
    /// Whether it is listening; otherwise it is connected.
    pub listens: bool,
}

impl TcpSocket {
    /// Whether these are the two ends of one connection, in one network namespace.
    #[must_use]
    pub fn meets(&self, other: &Self) -> bool {
        let connected = !self.listens && !other.listens;
        connected && self.local == other.remote && self.remote == other.local && self.inode != other.inode
    }

    /// Whether that listening socket accepted, or could accept, a connection with this local end.
    #[must_use]
    pub fn accepted_by(&self, listener: &Self) -> bool {
        let address = listener.local.ip();
        listener.listens
            && !self.listens
            && self.local.port() == listener.local.port()
            && (address.is_unspecified() || address == self.local.ip())
    }
}

/// Parses a line of the table; `None` for other states and unknown formats.
#[must_use]
pub fn tcp_socket(line: &str) -> Option<TcpSocket> {
    const ESTABLISHED: &str = "01";
    const LISTENS: &str = "0A";
    let words: Vec<&str> = line.split_whitespace().collect();
    let state = *words.get(3)?;
    if ![ESTABLISHED, LISTENS].contains(&state) {
        return None;
    }
    let inode = words.get(9)?.parse().ok()?;
    // Inode 0: the socket belongs to no process.
    (inode != 0).then_some(())?;
    Some(TcpSocket {
        local: address(words.get(1)?)?,
        remote: address(words.get(2)?)?,
        inode,
        listens: state == LISTENS,
    })
}

/// Words of 32 bits in native byte order, and the port in network byte order.
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
        // One end may be an IPv4 socket and the other an IPv4-mapped IPv6 one.
        16 => Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?).to_canonical(),
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn row(local: &str, remote: &str, state: &str, inode: u64) -> String {
        format!(
            "   0: {local} {remote} {state} 00000000:00000000 00:00000000 00000000  1000        0 {inode} 1\n"
        )
    }

    #[cfg(target_endian = "little")]
    #[test]
    fn two_ends_meet_even_over_mapped_addresses() {
        let four = row("0100007F:D431", "0100007F:1538", "01", 11);
        let six = row(
            "0000000000000000FFFF00000100007F:1538",
            "0000000000000000FFFF00000100007F:D431",
            "01",
            22,
        );
        let (one, other) = (tcp_socket(&four).expect("one"), tcp_socket(&six).expect("one"));
        assert_eq!(one.remote, "127.0.0.1:5432".parse().expect("an address"));
        assert!(one.meets(&other) && other.meets(&one) && !one.meets(&one));
        let elsewhere = TcpSocket {
            local: "127.0.0.1:5433".parse().expect("an address"),
            ..other
        };
        assert!(!one.meets(&elsewhere));
    }

    #[cfg(target_endian = "little")]
    #[test]
    fn accepted_connection_has_the_address_of_the_listener() {
        let end = tcp_socket(&row("0100007F:1538", "0100007F:D431", "01", 22)).expect("one");
        let listener = |local, state| tcp_socket(&row(local, "00000000:0000", state, 33)).expect("one");
        assert!(end.accepted_by(&listener("0100007F:1538", "0A")));
        assert!(end.accepted_by(&listener("00000000:1538", "0A")));
        let six = row(
            "00000000000000000000000000000000:1538",
            "00000000000000000000000000000000:0000",
            "0A",
            33,
        );
        assert!(end.accepted_by(&tcp_socket(&six).expect("one")));
        assert!(!end.accepted_by(&listener("0100007F:1539", "0A")));
        assert!(!end.accepted_by(&listener("0200007F:1538", "0A")));
        assert!(!end.accepted_by(&listener("0100007F:1538", "01")));
    }

    #[test]
    fn other_states_and_garbage_are_no_sockets() {
        for line in [
            row("0100007F:D431", "0100007F:1538", "06", 11),
            row("0100007F:D431", "0100007F:1538", "01", 0),
            row("0100007:D431", "0100007F:1538", "01", 1),
            row("0100007F", "0100007F:1538", "01", 1),
            row("ÄÄÄÄ:D431", "0100007F:1538", "01", 1),
            "\0 garbage".to_owned(),
        ] {
            assert_eq!(tcp_socket(&line), None, "{line}");
        }
    }

    proptest! {
        #[test]
        fn lines_of_any_content_are_read_without_a_panic(line in any::<String>(), host in "[0-9A-Fa-fÄ:]{0,40}") {
            let _ = (tcp_socket(&line), tcp_socket(&row(&host, &line, "01", 1)), tcp_socket(&row(&line, &host, "0A", 1)));
        }
    }
}
