//! The security of a database connection.

use servers::Security;

use super::finding::Findings;
use crate::failure::Failure;

/// Reports the security of an opened connection, or the connection error.
pub(crate) fn security(about: &str, found: Result<Security, Failure>, findings: &mut Findings) {
    match found {
        Ok(security) => match security.weakness() {
            Some(weakness) => findings.warn(about, format!("{security}: {weakness}")),
            None => findings.ok(about, security.to_string()),
        },
        Err(failure) => findings.fail(about, &failure),
    }
}
