//! PURE: checks of names and limits that the configurations of several signals share.

use crate::config_error::ConfigError;
use crate::limits::Limit;

/// Checks the name of a custom signal; it appears in evidence, metrics and logs.
pub(super) fn validate_name(key: &'static str, name: &str) -> Result<(), ConfigError> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if name.is_empty() || name.len() > 40 || !name.chars().all(fits) {
        return Err(ConfigError {
            key,
            what: format!("has a signal {name:?}"),
            remedy: "use up to 40 of a-z, 0-9 and _",
        });
    }
    Ok(())
}

/// Checks `resume < stop <= critical`, all of them finite.
pub(super) fn validate_limit_order(
    key: &'static str,
    name: Option<&str>,
    limit: &Limit,
) -> Result<(), ConfigError> {
    let Limit {
        stop,
        resume,
        critical,
        ..
    } = *limit;
    let critical_or_stop = critical.unwrap_or(stop);
    let finite = [stop, resume, critical_or_stop]
        .iter()
        .all(|value| value.is_finite());
    let remedy = if !finite || stop <= 0.0 || resume <= 0.0 {
        "set numbers above 0"
    } else if resume >= stop {
        "equal limits cause flapping: set resume below stop"
    } else if critical_or_stop < stop {
        "set critical to at least stop"
    } else {
        return Ok(());
    };
    let prefix = name.map(|name| format!("of {name:?} ")).unwrap_or_default();
    let critical = critical
        .map(|value| format!(", critical {value}"))
        .unwrap_or_default();
    Err(ConfigError {
        key,
        what: format!("{prefix}has stop {stop}, resume {resume}{critical}"),
        remedy,
    })
}
