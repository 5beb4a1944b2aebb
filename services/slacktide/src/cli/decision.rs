//! Who decides, and why: the options of every command that is signed and kept.

use clap::Args;

use crate::failure::Failure;

/// A decision of the operator at this terminal.
#[derive(Debug, Args)]
pub(crate) struct Decision {
    /// The deciding operator. Default: the login name.
    #[arg(long, value_name = "NAME")]
    pub(crate) actor: Option<String>,
    /// The reason. It is signed and kept; do not name a person in it.
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
}

/// A decision that changes what a lane or a store continues from: the operator must be named.
#[derive(Debug, Args)]
pub(crate) struct NamedDecision {
    /// The deciding operator.
    #[arg(long, value_name = "NAME")]
    pub(crate) actor: String,
    /// The reason. It is signed and kept.
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
}

impl NamedDecision {
    /// Checks that neither is empty.
    ///
    /// # Errors
    /// A usage error.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        if self.actor.trim().is_empty() || self.reason.trim().is_empty() {
            return Err(Failure::usage(
                "--actor and --reason are kept permanently and must not be empty",
            ));
        }
        Ok(())
    }
}
