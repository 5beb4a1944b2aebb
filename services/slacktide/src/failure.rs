//! The error of a command: a message with cause and remedy, and an exit code.

use std::fmt;

use exchange::ErrorKind;
use runtime::exit::Exit;

/// A command that could not do its work.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    /// The exit code.
    pub(crate) exit: Exit,
    what: String,
    more: Vec<String>,
}

/// The result of a command.
pub(crate) type Outcome = Result<Exit, Failure>;

impl Failure {
    /// Creates a failure with an exit code and a message.
    pub(crate) fn new(exit: Exit, what: impl Into<String>) -> Self {
        Self {
            exit,
            what: what.into(),
            more: Vec::new(),
        }
    }

    /// Adds lines that are printed below the message.
    pub(crate) fn with(mut self, more: impl IntoIterator<Item = String>) -> Self {
        self.more.extend(more);
        self
    }

    /// Returns the message.
    pub(crate) fn what(&self) -> &str {
        &self.what
    }

    /// Returns the lines below the message.
    pub(crate) fn more(&self) -> &[String] {
        &self.more
    }

    /// An error in the command line or in a file; nothing was changed.
    pub(crate) fn usage(what: impl Into<String>) -> Self {
        Self::new(Exit::Usage, what)
    }

    /// An internal error, or an error of the operating system.
    pub(crate) fn internal(what: &impl fmt::Display) -> Self {
        Self::new(Exit::Internal, what.to_string())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        self.more.iter().try_for_each(|line| write!(f, "\n{line}"))
    }
}

impl std::error::Error for Failure {}

impl From<exchange::Error> for Failure {
    fn from(error: exchange::Error) -> Self {
        let exit = match error.kind {
            ErrorKind::Unauthenticated | ErrorKind::Certificate | ErrorKind::Denied => Exit::Denied,
            _ => Exit::Exchange,
        };
        Self::new(exit, error.to_string())
    }
}

impl From<source::Error> for Failure {
    fn from(error: source::Error) -> Self {
        let exit = if error.kind == source::ErrorKind::Denied {
            Exit::Denied
        } else {
            Exit::Source
        };
        Self::new(exit, error.to_string())
    }
}

impl From<store::Error> for Failure {
    fn from(error: store::Error) -> Self {
        let exit = if error.kind == store::ErrorKind::Denied {
            Exit::Denied
        } else {
            Exit::Store
        };
        Self::new(exit, error.to_string())
    }
}

impl From<runtime::config::ConfigError> for Failure {
    fn from(error: runtime::config::ConfigError) -> Self {
        Self::usage(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failure_denied_has_its_own_exit_code() {
        let denied = [
            Failure::from(exchange::Error::new(ErrorKind::Denied, "a")),
            Failure::from(source::Error::new(source::ErrorKind::Denied, "a", "b")),
            Failure::from(store::Error::new(store::ErrorKind::Denied, "a", "b")),
        ];
        assert!(denied.iter().all(|failure| failure.exit == Exit::Denied));
        assert_eq!(
            Failure::from(exchange::Error::new(ErrorKind::Full, "a")).exit,
            Exit::Exchange
        );
    }
}
