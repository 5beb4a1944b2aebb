//! PURE: the oldest nats-server that may be a server of a cluster.

use async_nats::ServerInfo;
use exchange::{Error, ErrorKind, Result};

/// From this version on, a leader compares the expected sequence within its own term: an earlier one may store a message that a
/// leader before it refused.
const MINIMUM: [u64; 3] = [2, 15, 1];

/// Checks the server of a connection. A stand-alone server may be older.
///
/// # Errors
/// `Protocol`, with the remedy.
pub(crate) fn check(info: &ServerInfo) -> Result<()> {
    let Some(cluster) = &info.cluster else {
        return Ok(());
    };
    if numbers(&info.version).is_some_and(|version| version >= MINIMUM) {
        return Ok(());
    }
    let (name, version) = (&info.server_name, &info.version);
    let [major, minor, patch] = MINIMUM;
    let text = format!(
        "server {name} of cluster {cluster} is nats-server {version}; a cluster needs {major}.{minor}.{patch} or later on every \
         server: upgrade it"
    );
    Err(Error::new(ErrorKind::Protocol, text))
}

/// Reads `2.15.1`; a pre-release such as `2.15.1-RC.1` counts as its version.
fn numbers(version: &str) -> Option<[u64; 3]> {
    let release = version.split('-').next()?;
    let mut parts = release.split('.').map(|part| part.parse().ok());
    Some([parts.next()??, parts.next()??, parts.next()??])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_too_old_for_a_cluster_is_refused() {
        let info = |cluster: Option<&str>, version: &str| ServerInfo {
            cluster: cluster.map(str::to_owned),
            version: version.to_owned(),
            server_name: "n1".to_owned(),
            ..ServerInfo::default()
        };
        for version in ["2.15.0", "2.14.9", "1.99.99", "2.15", "odd", ""] {
            let error = check(&info(Some("east"), version)).unwrap_err();
            assert!(
                error.what.contains("n1") && error.what.contains("2.15.1"),
                "{error}"
            );
            assert!(check(&info(None, version)).is_ok(), "{version}");
        }
        for version in ["2.15.1", "2.15.2-RC.1", "2.16.0", "3.0.0"] {
            assert!(check(&info(Some("east"), version)).is_ok(), "{version}");
        }
    }
}
