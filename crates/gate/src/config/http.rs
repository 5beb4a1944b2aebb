//! `[gate.signals.url.NAME]`: a number that another system tells over HTTP.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use runtime::config::{Secret, show};
use runtime::span::Span;
use serde::{Deserialize, Serialize};

use super::ConfigError;
use super::database::{named, ordered};
use crate::limits::Limit;
use crate::sample::SignalName;

/// One `[gate.signals.url.NAME]`.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UrlSignalConfig {
    /// What is asked with GET; redirects are not followed. Only its host is ever shown.
    pub url: String,
    /// A header to send, such as `authorization`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<HeaderConfig>,
    /// What of the answer is the value.
    #[serde(default)]
    pub value: UrlValue,
    /// Where in a JSON answer the number stands, for example `/data/lag`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub json: Option<String>,
    /// How often it is asked.
    #[serde(default = "second")]
    pub every: Span,
    /// How long an answer may take, the connection included.
    #[serde(default = "second")]
    pub timeout: Span,
    /// The gate shuts at this value; 1 where the value is the status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop: Option<f64>,
    /// It may open below this one; 0.5 where the value is the status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resume: Option<f64>,
    /// Everything stops and connections are dropped at this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub critical: Option<f64>,
}

/// A header of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeaderConfig {
    /// Its name.
    pub name: String,
    /// Its value: `{ file = … }` or `{ env = … }`.
    pub value: Secret,
}

/// What of an answer is the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UrlValue {
    /// The number in the body.
    #[default]
    Number,
    /// 0 for status 200, 1 for any other, as throttlers answer a check.
    Status,
}

fn second() -> Span {
    Span::from_secs(1)
}

impl fmt::Debug for UrlSignalConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A path or a query may be a secret as well as a user.
        f.debug_struct("UrlSignalConfig")
            .field("host", &self.host())
            .field("value", &self.value)
            .field("every", &self.every)
            .finish_non_exhaustive()
    }
}

impl UrlSignalConfig {
    /// The host, for people; never more of the URL.
    #[must_use]
    pub fn host(&self) -> &str {
        let rest = self.url.split_once("://").map_or("", |(_, rest)| rest);
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        authority.rsplit('@').next().unwrap_or_default()
    }

    fn limit(&self) -> Limit {
        let status = self.value == UrlValue::Status;
        let fallback = |value: f64| if status { value } else { f64::NAN };
        Limit {
            stop: self.stop.unwrap_or(fallback(1.0)),
            resume: self.resume.unwrap_or(fallback(0.5)),
            critical: self.critical,
            quiet: None,
            unit: "value",
        }
    }
}

/// The name of a `[gate.signals.url.NAME]` signal.
#[must_use]
pub fn url_name(name: &str) -> SignalName {
    format!("url.{name}").into()
}

pub(super) fn url_limits(urls: &BTreeMap<String, UrlSignalConfig>) -> BTreeMap<SignalName, Limit> {
    urls.iter()
        .map(|(name, table)| (url_name(name), table.limit()))
        .collect()
}

pub(super) fn validate_urls(urls: &BTreeMap<String, UrlSignalConfig>) -> Result<(), ConfigError> {
    for (name, table) in urls {
        named("signals.url", name)?;
        let wrong = |key, what: &str, remedy| {
            Err(ConfigError {
                key,
                what: format!("of {name:?} {what}"),
                remedy,
            })
        };
        let is_web = table.url.starts_with("http://") || table.url.starts_with("https://");
        if !is_web || table.host().is_empty() {
            let remedy = "write it as http://host:port/path or https://host/path";
            return wrong("signals.url.NAME.url", "is no address", remedy);
        }
        let before_host = table.url.split(['/', '?', '#']).nth(2).unwrap_or_default();
        if before_host.contains('@') || show::without_password(&table.url) != table.url {
            let remedy = "put it into a header: header = { name = \"authorization\", value = { file = … } }";
            return wrong("signals.url.NAME.url", "holds a password", remedy);
        }
        if table.value == UrlValue::Status && table.json.is_some() {
            let remedy = "a status has no body: leave json out, or value = \"status\"";
            return wrong("signals.url.NAME.json", "is given beside a status", remedy);
        }
        if table.json.as_ref().is_some_and(|json| !json.starts_with('/')) {
            let remedy = "write a JSON pointer, for example /data/lag";
            return wrong("signals.url.NAME.json", "is no pointer", remedy);
        }
        if table.every.get() < Duration::from_millis(100) || table.every.get() > Duration::from_secs(600) {
            return wrong("signals.url.NAME.every", "does not fit", "give 100ms to 10m");
        }
        if table.timeout.get().is_zero() || table.timeout.get() > Duration::from_secs(60) {
            return wrong("signals.url.NAME.timeout", "does not fit", "give 1ms to 1m");
        }
        ordered("signals.url.NAME", Some(name), &table.limit())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {

    use crate::config::GateConfig;

    fn parse(text: &str) -> Result<GateConfig, String> {
        let text = format!("[signals.url.replicas]\n{text}");
        let config: GateConfig = toml::from_str(&text).map_err(|error| error.to_string())?;
        config.validate().map_err(|error| error.to_string())?;
        Ok(config)
    }

    #[test]
    fn a_status_needs_no_limits_and_a_number_does() {
        let limits = parse("url = \"http://freno:9777/check/x\"\nvalue = \"status\"")
            .unwrap_or_default()
            .limits();
        assert_eq!(
            limits
                .signals
                .get("url.replicas")
                .map(|limit| (limit.stop, limit.resume)),
            Some((1.0, 0.5))
        );
        let error = parse("url = \"http://a/\"").err().unwrap_or_default();
        assert!(error.contains("gate.signals.url.NAME of \"replicas\""), "{error}");
    }

    #[test]
    fn an_address_with_a_password_is_refused_and_never_shown() {
        let error = parse("url = \"https://li:hunter2@a/secret\"\nstop = 2\nresume = 1")
            .err()
            .unwrap_or_default();
        assert!(
            error.contains("holds a password") && !error.contains("hunter2"),
            "{error}"
        );
        let config = parse("url = \"https://a:1/hooks/t0ken?k=s3cret\"\nstop = 2\nresume = 1");
        let shown = format!("{config:?}");
        assert!(
            shown.contains("a:1") && !shown.contains("t0ken") && !shown.contains("s3cret"),
            "{shown}"
        );
        for text in [
            "url = \"ftp://a/\"\nstop = 2\nresume = 1",
            "url = \"http://a/\"\nstop = 2\nresume = 1\nevery = \"1ms\"",
            "url = \"http://a/\"\nstop = 2\nresume = 1\njson = \"x\"",
            "url = \"http://a/\"\nvalue = \"status\"\njson = \"/x\"",
            "url = \"http://a/\"\nstop = 2\nresume = 1\nheader = \"x\"",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
