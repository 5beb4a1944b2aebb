//! PURE: the addresses of gateways.

use std::net::IpAddr;

use hyper::Uri;

/// The address of one gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    /// Whether the connection uses TLS.
    pub(crate) is_tls: bool,
    /// The host: a name or an IP address, without brackets.
    pub(crate) host: String,
    /// The port.
    pub(crate) port: u16,
    /// Host and port as in the URL, for the Host header.
    pub(crate) authority: String,
}

/// A text that is not a list of addresses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadAddress {
    /// Not a URL of a gateway.
    #[error("{0:?} is not an address of a gateway; write https://host:port without a path")]
    Form(String),
    /// Without TLS, and not this host.
    #[error("{0:?} would send the token unencrypted; http:// is for this host itself, write https://")]
    Unencrypted(String),
}

/// Parses one address or several, separated by commas.
pub(crate) fn parse_all(url: &str) -> Result<Vec<Address>, BadAddress> {
    url.split(',').map(|one| parse(one.trim())).collect()
}

fn parse(url: &str) -> Result<Address, BadAddress> {
    // The text of a malformed URL may hold a password.
    let shown = || url.rsplit('@').next().unwrap_or_default().to_owned();
    let form = || BadAddress::Form(shown());
    let uri: Uri = url.parse().map_err(|_| form())?;
    let (is_tls, default_port) = match uri.scheme_str() {
        Some("https") => (true, 443),
        Some("http") => (false, 80),
        _ => return Err(form()),
    };
    let authority = uri.authority().ok_or_else(form)?;
    let has_path = !matches!(uri.path(), "" | "/") || uri.query().is_some();
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    if has_path || authority.as_str().contains('@') || host.is_empty() {
        return Err(form());
    }
    if !is_tls && !is_loopback(host) {
        return Err(BadAddress::Unencrypted(shown()));
    }
    Ok(Address {
        is_tls,
        host: host.to_owned(),
        port: authority.port_u16().unwrap_or(default_port),
        authority: authority.as_str().to_owned(),
    })
}

/// Returns whether a host is this host itself.
fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_has_a_default_port_and_no_brackets() {
        let all = parse_all("https://gateway.example, https://[::1]:8443/,http://127.0.0.1:80").unwrap();
        let shown: Vec<_> = all.iter().map(|one| (one.host.as_str(), one.port)).collect();
        assert_eq!(
            shown,
            [("gateway.example", 443), ("::1", 8443), ("127.0.0.1", 80)]
        );
        assert_eq!(all[1].authority, "[::1]:8443");
    }

    #[test]
    fn address_malformed_or_unencrypted_is_refused() {
        for bad in [
            "nats://h:4222",
            "https://",
            "h:1",
            "https://h/v1",
            "https://h?a=b",
            "https://user:secret@h",
            "https://a,",
        ] {
            let error = parse_all(bad).unwrap_err();
            assert!(matches!(error, BadAddress::Form(_)), "{bad}: {error}");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
        let error = parse_all("http://gateway.example").unwrap_err();
        assert!(matches!(error, BadAddress::Unencrypted(_)), "{error}");
    }
}
