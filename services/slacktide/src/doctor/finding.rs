//! Findings and their list.

use runtime::exit::Exit;
use schemars::JsonSchema;
use serde::Serialize;

use crate::failure::Failure;
use crate::output::{Line, Report, Style, View};

/// The severity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Level {
    /// No problem.
    Ok,
    /// It works, but an operator should check it.
    Warn,
    /// It cannot work.
    Fail,
}

/// The result of one check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct Finding {
    level: Level,
    /// The subject of the check.
    about: String,
    /// The result and the remedy.
    what: String,
}

/// A list of findings.
#[derive(Debug, Default, Serialize, JsonSchema)]
#[schemars(title = "doctor")]
pub(crate) struct Findings {
    #[serde(rename = "items")]
    findings: Vec<Finding>,
    /// Statements that an administrator of the database may run.
    grants: Vec<String>,
    #[serde(skip)]
    exit: Option<Exit>,
}

impl Findings {
    /// Adds a success.
    pub(crate) fn ok(&mut self, about: &str, what: impl Into<String>) {
        self.add(Level::Ok, about, what.into());
    }

    /// Adds a warning.
    pub(crate) fn warn(&mut self, about: &str, what: impl Into<String>) {
        self.add(Level::Warn, about, what.into());
    }

    /// Adds a failure; the first one determines the exit code.
    pub(crate) fn fail(&mut self, about: &str, failure: &Failure) {
        self.exit.get_or_insert(failure.exit);
        self.add(Level::Fail, about, failure.to_string());
    }

    /// Adds statements for an administrator, without duplicates.
    pub(crate) fn grant(&mut self, statements: Vec<String>) {
        for statement in statements {
            if !self.grants.contains(&statement) {
                self.grants.push(statement);
            }
        }
    }

    /// Whether a check failed.
    pub(crate) fn has_failed(&self) -> bool {
        self.exit.is_some()
    }

    /// Returns the exit code of the first failure.
    pub(crate) fn exit(&self) -> Exit {
        self.exit.unwrap_or(Exit::Done)
    }

    /// Returns the lines without colours.
    #[cfg(test)]
    pub(crate) fn plain_text(&self) -> String {
        self.view()
            .plain()
            .iter()
            .map(|line| format!("{line}\n"))
            .collect()
    }

    fn add(&mut self, level: Level, about: &str, what: String) {
        self.findings.push(Finding {
            level,
            about: about.to_owned(),
            what,
        });
    }
}

/// The minimum width of the subject of a check.
const ABOUT_WIDTH: usize = 20;

impl Report for Findings {
    fn view(&self) -> View {
        let mut view = View::new();
        for Finding { level, about, what } in &self.findings {
            let (style, word) = match level {
                Level::Ok => (Style::Good, "ok  "),
                Level::Warn => (Style::Waiting, "warn"),
                Level::Fail => (Style::Alarm, "FAIL"),
            };
            let subject = format!("  {about:<ABOUT_WIDTH$} ");
            view.line(Line::styled(style, word).and(subject).and(what.clone()));
        }
        if !self.grants.is_empty() {
            view.blank().line(
                "privileges for the read-only account, to be granted by an administrator of the database:",
            );
            for grant in &self.grants {
                // It is copied into a database client.
                view.exact(format!("  {grant}"));
            }
        }
        view
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_first_failure_determines_the_exit_code() {
        let mut findings = Findings::default();
        findings.ok("a", "good");
        findings.warn("b", "look");
        assert!(!findings.has_failed());
        findings.fail("c", &Failure::new(Exit::Denied, "no; do"));
        findings.fail("d", &Failure::new(Exit::Source, "no; do"));
        findings.grant(vec!["GRANT a".to_owned(), "GRANT a".to_owned()]);
        assert_eq!(findings.exit(), Exit::Denied);
        assert!(
            findings.plain_text().contains("FAIL  c") && findings.plain_text().matches("GRANT").count() == 1
        );
    }
}
