//! PURE: small elements that templates insert as they are. Each escapes its own texts.

use std::fmt;

use askama::filters::HtmlSafe;
use jiff::Timestamp;

use crate::format::Formatter;
use crate::texts::Texts;

/// Escapes text for HTML, in content and in quoted attributes.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            character => escaped.push(character),
        }
    }
    escaped
}

/// A time, with its age.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Time {
    iso: String,
    text: String,
    age: String,
}

impl Time {
    /// Returns a time with its age.
    #[must_use]
    pub fn with_age(at: Timestamp, formatter: &Formatter<'_>) -> Self {
        Self {
            iso: format!("{at:.0}"),
            text: formatter.time(at),
            age: formatter.ago(at),
        }
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { iso, text, age } = self;
        write!(
            f,
            "<time datetime=\"{}\">{}</time> <span class=\"age\">({})</span>",
            escape(iso),
            escape(text),
            escape(age)
        )
    }
}

impl HtmlSafe for Time {}

/// How much attention something needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// None.
    Good,
    /// It waits, as it should.
    Waiting,
    /// It is not known.
    Unknown,
    /// An operator must act or look.
    Alarm,
}

impl Level {
    fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Waiting => "waiting",
            Self::Unknown => "unknown",
            Self::Alarm => "alarm",
        }
    }

    /// A symbol, so that colour is not the only difference.
    fn symbol(self) -> &'static str {
        match self {
            Self::Good => "●",
            Self::Waiting => "◐",
            Self::Unknown => "?",
            Self::Alarm => "▲",
        }
    }
}

/// A state as symbol and text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Badge {
    /// How much attention it needs.
    pub level: Level,
    /// The text.
    pub label: String,
}

impl Badge {
    /// Returns a badge of plain text.
    #[must_use]
    pub fn new(level: Level, label: impl Into<String>) -> Self {
        Self {
            level,
            label: label.into(),
        }
    }

    /// Returns the badge of a lane's state, as `slacktide status` names it. Nothing unknown is shown as good.
    #[must_use]
    pub fn of_state(state: &str, texts: Texts) -> Self {
        let level = match state {
            "flowing" | "caught_up" => Level::Good,
            "waiting_for_slack" | "held" => Level::Waiting,
            "unknown" | "unverified" | "not_running" => Level::Unknown,
            _ => Level::Alarm,
        };
        let label = texts.known(&format!("state.{state}")).unwrap_or(state);
        Self::new(level, label)
    }
}

impl fmt::Display for Badge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "<span class=\"badge {}\"><span class=\"symbol\" aria-hidden=\"true\">{}</span> {}</span>",
            self.level.class(),
            self.level.symbol(),
            escape(&self.label)
        )
    }
}

impl HtmlSafe for Badge {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::texts::Language;

    #[test]
    fn badge_of_hostile_state_is_escaped_and_not_good() {
        let badge = Badge::of_state("<img src=x onerror=alert(1)>", Texts(Language::En));
        assert_eq!(badge.level, Level::Alarm);
        let text = badge.to_string();
        assert!(text.contains("&lt;img") && !text.contains("<img"), "{text}");
    }

    #[test]
    fn badge_of_known_state_has_its_text_in_both_languages() {
        for state in [
            "flowing",
            "caught_up",
            "waiting_for_slack",
            "held",
            "unverified",
            "stopped",
            "other_side_behind",
            "behind",
            "not_running",
            "unknown",
        ] {
            for language in [Language::En, Language::Zh] {
                let label = Texts(language).known(&format!("state.{state}"));
                assert_eq!(Some(&*Badge::of_state(state, Texts(language)).label), label);
                assert!(label.is_some(), "{state}");
            }
        }
    }
}
