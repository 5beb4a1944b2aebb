//! One finding, and the list.

use runtime::exit::Exit;
use serde::Serialize;

use crate::failure::Failure;
use crate::output::{Line, Style};

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Level {
    /// Good.
    Ok,
    /// It works, and somebody should look.
    Warn,
    /// It cannot work.
    Fail,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    level: Level,
    /// What was looked at.
    about: String,
    /// What was found, and what to do about it.
    what: String,
}

/// All of them.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Findings {
    findings: Vec<Finding>,
    /// Statements that an administrator of the database may run.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    grants: Vec<String>,
    #[serde(skip)]
    exit: Option<Exit>,
}

impl Findings {
    /// Good.
    pub(crate) fn ok(&mut self, about: &str, what: impl Into<String>) {
        self.add(Level::Ok, about, what.into());
    }

    /// Somebody should look.
    pub(crate) fn warn(&mut self, about: &str, what: impl Into<String>) {
        self.add(Level::Warn, about, what.into());
    }

    /// It cannot work; the first failure gives the exit code.
    pub(crate) fn fail(&mut self, about: &str, failure: &Failure) {
        self.exit.get_or_insert(failure.exit);
        self.add(Level::Fail, about, failure.to_string());
    }

    /// Statements to be run by an administrator; each once.
    pub(crate) fn grant(&mut self, statements: Vec<String>) {
        for statement in statements {
            if !self.grants.contains(&statement) {
                self.grants.push(statement);
            }
        }
    }

    /// Whether something cannot work.
    pub(crate) fn failed(&self) -> bool {
        self.exit.is_some()
    }

    /// The class of the first failure.
    pub(crate) fn exit(&self) -> Exit {
        self.exit.unwrap_or(Exit::Done)
    }

    /// For people.
    pub(crate) fn lines(&self) -> Vec<Line> {
        let line = |Finding { level, about, what }: &Finding| {
            let (style, word) = match level {
                Level::Ok => (Style::Good, "ok  "),
                Level::Warn => (Style::Waiting, "warn"),
                Level::Fail => (Style::Alarm, "FAIL"),
            };
            Line::styled(style, word).and(format!("  {about:<20} {what}"))
        };
        let mut lines: Vec<Line> = self.findings.iter().map(line).collect();
        if !self.grants.is_empty() {
            lines.push(Line::default());
            lines.push(
                "what the read-only account needs, to be run by an administrator of the database:".into(),
            );
            lines.extend(self.grants.iter().map(|grant| format!("  {grant}").into()));
        }
        lines
    }

    /// The lines without colours.
    #[cfg(test)]
    pub(crate) fn told(&self) -> String {
        self.lines().iter().map(|line| line.plain() + "\n").collect()
    }

    fn add(&mut self, level: Level, about: &str, what: String) {
        self.findings.push(Finding {
            level,
            about: about.to_owned(),
            what,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_failure_gives_the_code_and_warnings_give_none() {
        let mut findings = Findings::default();
        findings.ok("a", "good");
        findings.warn("b", "look");
        assert!(!findings.failed());
        findings.fail("c", &Failure::new(Exit::Denied, "no; do"));
        findings.fail("d", &Failure::new(Exit::Source, "no; do"));
        findings.grant(vec!["GRANT a".to_owned(), "GRANT a".to_owned()]);
        assert_eq!(findings.exit(), Exit::Denied);
        assert!(findings.told().contains("FAIL  c") && findings.told().matches("GRANT").count() == 1);
    }
}
