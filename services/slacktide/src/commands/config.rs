//! `slacktide config check|show`.

use std::path::Path;

use runtime::config::{Loaded, show as shown};
use runtime::exit::Exit;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use crate::failure::{Failure, Outcome};
use crate::output::{self, Report, View};
use crate::settings::{ConfigFile, load_any, load_gateway, sample_keys};

/// Checks a file of any kind.
pub(crate) fn check(path: &Path) -> Outcome {
    if let Some(loaded) = load_gateway(path)? {
        let parties = loaded.value.parties.len();
        output::line(&format!(
            "{}: valid, a gateway's file for {parties} parties",
            path.display()
        ));
        return Ok(Exit::Done);
    }
    let what = match load_any(path)? {
        ConfigFile::Social(loaded) => format!(
            "a social agent's file with {} feeds and {} kinds of requests",
            loaded.value.feeds.len(),
            loaded.value.kinds.len()
        ),
        ConfigFile::Commercial(loaded) => format!(
            "a commercial agent's file for {}",
            loaded.value.commercial.recipient
        ),
        ConfigFile::Party(loaded) => format!("a connection file of user {}", loaded.value.exchange.user),
    };
    sample_keys::refuse_sample_keys(path)?;
    output::line(&format!("{}: valid, {what}", path.display()));
    Ok(Exit::Done)
}

/// Prints the effective values.
pub(crate) fn show(path: &Path, json: bool) -> Outcome {
    if let Some(loaded) = load_gateway(path)? {
        return print(&loaded, json);
    }
    match load_any(path)? {
        ConfigFile::Social(loaded) => print(&loaded, json),
        ConfigFile::Commercial(loaded) => print(&loaded, json),
        ConfigFile::Party(loaded) => print(&loaded, json),
    }
}

fn print<T: Serialize>(loaded: &Loaded<T>, json: bool) -> Outcome {
    let mut value = toml::Value::try_from(&loaded.value).map_err(|error| Failure::internal(&error))?;
    shown::redact(&mut value);
    let overrides = loaded.overrides.iter().map(|one| OverrideItem {
        key: one.key.join("."),
        variable: one.variable.clone(),
    });
    let report = ConfigReport {
        file: loaded.path.display().to_string(),
        overrides: overrides.collect(),
        values: serde_json::to_value(value).map_err(|error| Failure::internal(&error))?,
        text: shown::show(loaded).map_err(|error| Failure::internal(&error))?,
    };
    output::report(&report, json)?;
    Ok(Exit::Done)
}

/// The effective values of a configuration, without secrets.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(title = "config show")]
pub(in crate::commands) struct ConfigReport {
    /// The path of the file.
    file: String,
    /// The keys that environment variables override.
    overrides: Vec<OverrideItem>,
    /// The tables of the file, with defaults.
    values: Value,
    /// The same in TOML, for people.
    #[serde(skip)]
    text: String,
}

/// An overridden key.
#[derive(Debug, Serialize, JsonSchema)]
struct OverrideItem {
    /// Its path, with dots.
    key: String,
    /// The environment variable.
    variable: String,
}

impl Report for ConfigReport {
    fn view(&self) -> View {
        let mut view = View::new();
        for line in self.text.trim_end().lines() {
            // It is copied into a file: nothing is wrapped.
            view.exact(line);
        }
        view
    }
}
