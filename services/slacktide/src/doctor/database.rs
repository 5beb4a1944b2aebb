//! What protects the connection to a database.

use servers::Security;

use super::finding::Findings;
use crate::failure::Failure;

/// Reports what is in force on a connection that was opened, or why none could be.
pub(crate) fn security(about: &str, found: Result<Security, Failure>, findings: &mut Findings) {
    match found {
        Ok(security) => match security.weakness() {
            Some(weakness) => findings.warn(about, format!("{security}: {weakness}")),
            None => findings.ok(about, security.to_string()),
        },
        Err(failure) => findings.fail(about, &failure),
    }
}
