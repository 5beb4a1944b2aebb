//! What a page is rendered for: the person, the language, the time.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use schemas::name::PartyName;

use crate::csrf;
use crate::format::Formatter;
use crate::html::Time;
use crate::site::{ConsoleRole, PartyRole};
use crate::texts::{Language, Texts};

/// The colours of the pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Theme {
    /// As the system has them.
    System,
    /// Light.
    Light,
    /// Dark.
    Dark,
}

impl Theme {
    /// The value of the cookie, the form and the attribute.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }

    /// Reads a code.
    #[must_use]
    pub fn parse(code: &str) -> Option<Self> {
        [Self::System, Self::Light, Self::Dark]
            .into_iter()
            .find(|theme| theme.code() == code)
    }
}

/// What every page needs, before a login too.
#[derive(Debug, Clone)]
pub struct Display {
    /// The texts in the person's language.
    pub texts: Texts,
    /// The colours.
    pub theme: Theme,
    /// The time of the rendering.
    pub now: Timestamp,
    /// The time zone in which times are shown.
    pub zone: TimeZone,
    /// The secret of the forms.
    pub form_secret: String,
    /// Path and query of the request, for a form that returns to it.
    pub path: String,
    /// The version of the product.
    pub version: &'static str,
}

impl Display {
    /// Returns the token for a form of this name.
    #[must_use]
    pub fn csrf(&self, form: &str) -> String {
        csrf::token(&self.form_secret, form)
    }

    /// The language.
    #[must_use]
    pub fn language(&self) -> Language {
        self.texts.0
    }

    /// Returns the formatter of times, ages and numbers.
    #[must_use]
    pub fn formatter(&self) -> Formatter<'_> {
        Formatter {
            texts: self.texts,
            zone: &self.zone,
            now: self.now,
        }
    }

    /// Returns a time with its age as an element.
    #[must_use]
    pub fn time(&self, at: Timestamp) -> Time {
        Time::with_age(at, &self.formatter())
    }

    /// Returns the offset of the zone from UTC, such as `+08:00`.
    #[must_use]
    pub fn offset(&self) -> String {
        self.now.to_zoned(self.zone.clone()).strftime("%:z").to_string()
    }
}

/// A session's page.
#[derive(Debug, Clone)]
pub struct Context {
    /// What every page needs.
    pub display: Display,
    /// The texts, as in `display`.
    pub texts: Texts,
    /// The time of the rendering, as in `display`.
    pub now: Timestamp,
    /// The session's party.
    pub party: PartyName,
    /// What the party is at the exchange.
    pub party_role: PartyRole,
    /// What the person may do.
    pub role: ConsoleRole,
    /// The parameters of the URL.
    pub query: BTreeMap<String, String>,
}

impl Context {
    /// Returns whether the person may prepare commands.
    #[must_use]
    pub fn is_operator(&self) -> bool {
        self.role == ConsoleRole::Operator
    }

    /// Returns a parameter of the URL; empty if it is missing.
    #[must_use]
    pub fn parameter(&self, name: &str) -> &str {
        self.query.get(name).map_or("", String::as_str)
    }

    /// Returns the token for a form of this name.
    #[must_use]
    pub fn csrf(&self, form: &str) -> String {
        self.display.csrf(form)
    }

    /// Returns a time with its age as an element.
    #[must_use]
    pub fn time(&self, at: Timestamp) -> Time {
        self.display.time(at)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Returns the context of an operator of the bureau, in English and UTC.
    pub(crate) fn context(now: &str) -> Context {
        let now = now.parse().unwrap();
        let texts = Texts(Language::En);
        Context {
            display: Display {
                texts,
                theme: Theme::System,
                now,
                zone: TimeZone::UTC,
                form_secret: "secret".to_owned(),
                path: "/console/overview".to_owned(),
                version: "0",
            },
            texts,
            now,
            party: PartyName::new("bureau").unwrap(),
            party_role: PartyRole::Bureau,
            role: ConsoleRole::Operator,
            query: BTreeMap::new(),
        }
    }
}
