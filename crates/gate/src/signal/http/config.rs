//! `[gate.signals.url.NAME]`: a number from another system over HTTP.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use runtime::config::{Secret, show};
use runtime::span::Span;
use serde::{Deserialize, Serialize};

use crate::config_error::ConfigError;
use crate::limits::Limit;
use crate::sample::SignalName;
use crate::signal::limit_checks::{validate_limit_order, validate_name};

/// One `[gate.signals.url.NAME]`.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UrlSignalConfig {
    /// The URL, requested with GET; redirects are not followed. Only its host is ever shown.
    pub url: String,
    /// A header to send, such as `authorization`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<HeaderConfig>,
    /// Which part of the answer is the value.
    #[serde(default)]
    pub value: UrlValue,
    /// JSON pointer to the number in the answer, for example `/data/lag`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub json: Option<String>,
    /// The polling interval.
    #[serde(default = "second")]
    pub every: Span,
    /// Timeout of a request, including the connection.
    #[serde(default = "second")]
    pub timeout: Span,
    /// The gate closes at this value; 1 by default if the value is the status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop: Option<f64>,
    /// The gate may open below this value; 0.5 by default if the value is the status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resume: Option<f64>,
    /// At this value everything stops and connections are dropped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub critical: Option<f64>,
}

/// A header of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeaderConfig {
    /// The name.
    pub name: String,
    /// The value: `{ file = … }` or `{ env = … }`.
    pub value: Secret,
}

/// Which part of an answer is the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UrlValue {
    /// The number in the body.
    #[default]
    Number,
    /// 0 for status 200, 1 for any other, as throttlers answer.
    Status,
}

fn second() -> Span {
    Span::from_secs(1)
}

impl fmt::Debug for UrlSignalConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The path or query may be a secret as well as the user.
        f.debug_struct("UrlSignalConfig")
            .field("host", &self.host())
            .field("value", &self.value)
            .field("every", &self.every)
            .finish_non_exhaustive()
    }
}

impl UrlSignalConfig {
    /// Returns the host for display; never more of the URL.
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

/// Returns the name of a `[gate.signals.url.NAME]` signal.
#[must_use]
pub fn url_name(name: &str) -> SignalName {
    format!("url.{name}").into()
}

pub(crate) fn url_limits(urls: &BTreeMap<String, UrlSignalConfig>) -> BTreeMap<SignalName, Limit> {
    urls.iter()
        .map(|(name, table)| (url_name(name), table.limit()))
        .collect()
}

pub(crate) fn validate_urls(urls: &BTreeMap<String, UrlSignalConfig>) -> Result<(), ConfigError> {
    for (name, table) in urls {
        validate_name("signals.url", name)?;
        let violation = |key, what: &str, remedy| {
            Err(ConfigError {
                key,
                what: format!("of {name:?} {what}"),
                remedy,
            })
        };
        let is_web = table.url.starts_with("http://") || table.url.starts_with("https://");
        if !is_web || table.host().is_empty() {
            let remedy = "write http://host:port/path or https://host/path";
            return violation("signals.url.NAME.url", "is not an HTTP address", remedy);
        }
        let before_host = table.url.split(['/', '?', '#']).nth(2).unwrap_or_default();
        if before_host.contains('@') || show::without_password(&table.url) != table.url {
            let remedy = "set a header: header = { name = \"authorization\", value = { file = … } }";
            return violation("signals.url.NAME.url", "contains a password", remedy);
        }
        if table.value == UrlValue::Status && table.json.is_some() {
            let remedy = "a status has no body: remove json, or value = \"status\"";
            return violation(
                "signals.url.NAME.json",
                "is set in addition to value = \"status\"",
                remedy,
            );
        }
        if table.json.as_ref().is_some_and(|json| !json.starts_with('/')) {
            let remedy = "set a JSON pointer, for example /data/lag";
            return violation("signals.url.NAME.json", "is not a JSON pointer", remedy);
        }
        if table.every.get() < Duration::from_millis(100) || table.every.get() > Duration::from_secs(600) {
            return violation("signals.url.NAME.every", "is out of range", "set 100ms to 10m");
        }
        if table.timeout.get().is_zero() || table.timeout.get() > Duration::from_secs(60) {
            return violation("signals.url.NAME.timeout", "is out of range", "set 1ms to 1m");
        }
        validate_limit_order("signals.url.NAME", Some(name), &table.limit())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {

    use crate::config::parsed::{error_of, parse};

    fn replicas(text: &str) -> String {
        format!(
            "[signals.url.replicas]
{text}"
        )
    }

    #[test]
    fn url_signal_number_requires_limits_and_status_does_not() {
        let limits = parse(&replicas(
            "url = \"http://freno:9777/check/x\"\nvalue = \"status\"",
        ))
        .unwrap_or_default()
        .limits();
        assert_eq!(
            limits
                .signals
                .get("url.replicas")
                .map(|limit| (limit.stop, limit.resume)),
            Some((1.0, 0.5))
        );
        let error = error_of(&replicas("url = \"http://a/\""));
        assert!(error.contains("gate.signals.url.NAME of \"replicas\""), "{error}");
    }

    #[test]
    fn url_signal_with_a_password_is_refused_and_not_shown() {
        let error = error_of(&replicas(
            "url = \"https://li:hunter2@a/secret\"\nstop = 2\nresume = 1",
        ));
        assert!(
            error.contains("contains a password") && !error.contains("hunter2"),
            "{error}"
        );
        let config = parse(&replicas(
            "url = \"https://a:1/hooks/t0ken?k=s3cret\"\nstop = 2\nresume = 1",
        ));
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
            assert!(parse(&replicas(text)).is_err(), "{text}");
        }
    }
}
