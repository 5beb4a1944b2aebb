//! Configuration: one TOML file per process, read and checked completely before anything is changed.
//!
//! Unknown keys are errors (the types have `deny_unknown_fields`) with file, line, column and the
//! most similar key. `SLACKTIDE_A__B=value` overrides `a.b`; the value is TOML, or
//! else a string. Paths in a file are meant from its own folder: [`Loaded::resolve`].
//!
//! - [`overrides`] PURE: from the environment
//! - [`error`] what is wrong, and where
//! - [`secret`] what is not in the file
//! - [`show`] the effective configuration, without passwords

pub mod error;
pub mod overrides;
pub mod secret;
pub mod show;

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

pub use self::error::ConfigError;
pub use self::overrides::Override;
pub use self::secret::{Secret, SecretText};

/// A configuration and where it came from.
#[derive(Debug, Clone)]
pub struct Loaded<T> {
    /// The parsed value.
    pub value: T,
    /// The file.
    pub path: PathBuf,
    /// What the environment overrode.
    pub overrides: Vec<Override>,
}

impl<T> Loaded<T> {
    /// The folder of the file: relative paths in it are meant from here.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new(""))
    }

    /// A path of the configuration, from the folder of the file when it is relative.
    #[must_use]
    pub fn resolve(&self, path: &Path) -> PathBuf {
        self.folder().join(path)
    }
}

/// Reads a configuration with the overrides of this process's environment.
///
/// # Errors
/// Where in the file, or in which variable, what is wrong and what may have been meant.
pub fn load<T: DeserializeOwned>(path: &Path) -> Result<Loaded<T>, ConfigError> {
    // A variable that is not Unicode cannot name a key.
    let variables = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    load_with(path, variables)
}

/// Reads a configuration with the overrides of these variables; others among them are left alone.
///
/// # Errors
/// As [`load`].
pub fn load_with<T: DeserializeOwned>(
    path: &Path,
    variables: impl IntoIterator<Item = (String, String)>,
) -> Result<Loaded<T>, ConfigError> {
    let text = read(path)?;
    let overrides = overrides::from_variables(variables);
    let value = parse(path, &text, &overrides)?;
    Ok(Loaded {
        value,
        path: path.to_owned(),
        overrides,
    })
}

/// Reads the text of a configuration file, without the byte order mark that some editors put in front.
///
/// # Errors
/// If the file cannot be read or is not a text.
pub fn read(path: &Path) -> Result<String, ConfigError> {
    let bytes = std::fs::read(path).map_err(|error| ConfigError::Unreadable {
        path: path.to_owned(),
        why: error.to_string(),
    })?;
    let text = crate::text::decode(&bytes).map_err(|bad| ConfigError::Place {
        path: path.to_owned(),
        line: bad.line,
        column: bad.column,
        key: "file".to_owned(),
        what: bad.what.to_owned(),
    })?;
    Ok(text.to_owned())
}

/// PURE: the configuration that a text and overrides make; the path is for messages.
///
/// # Errors
/// As [`load`].
pub fn parse<T: DeserializeOwned>(path: &Path, text: &str, overrides: &[Override]) -> Result<T, ConfigError> {
    let in_text = |error: &toml::de::Error| ConfigError::in_text(path, text, error);
    if overrides.is_empty() {
        return toml::from_str(text).map_err(|error| in_text(&error));
    }
    let mut table: toml::Table = text.parse().map_err(|error| in_text(&error))?;
    for one in overrides {
        one.apply(&mut table)?;
    }
    toml::Value::Table(table)
        .try_into()
        .map_err(|error: toml::de::Error| {
            // A tree has no lines. If the file alone has the same fault, its place is known.
            match toml::from_str::<T>(text) {
                Err(alone) if alone.message() == error.message() => in_text(&alone),
                Ok(_) | Err(_) => {
                    let variables: Vec<_> = overrides.iter().map(|one| one.variable.as_str()).collect();
                    ConfigError::overridden(path, &variables, &error)
                }
            }
        })
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        name: String,
        #[serde(default)]
        feeds: Vec<Feed>,
        #[serde(default)]
        gate: Option<Gate>,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Feed {
        limit: u32,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Gate {
        hold: crate::span::Span,
    }

    fn read(text: &str, variables: &[(&str, &str)]) -> Result<Sample, ConfigError> {
        let variables = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let overrides = overrides::from_variables(variables);
        parse(Path::new("social.toml"), text, &overrides)
    }

    fn error_of(text: &str, variables: &[(&str, &str)]) -> String {
        read(text, variables).map_or_else(|error| error.to_string(), |_| String::new())
    }

    #[test]
    fn config_unknown_key_has_position_and_suggestion() {
        let error = error_of("name = \"a\"\n\n[gate]\n  hodl = \"2s\"\n", &[]);
        assert!(error.starts_with("social.toml:4:3: gate.hodl: "), "{error}");
        assert!(error.contains("did you mean `hold`?"), "{error}");
    }

    #[test]
    fn config_wrong_value_has_its_position() {
        let error = error_of("name = \"a\"\n[gate]\nhold = \"2 fortnights\"\n", &[]);
        assert!(
            error.starts_with("social.toml:3:") && error.contains("fortnights"),
            "{error}"
        );
        let error = error_of("name = \"a\"\n[[feeds]]\nlimit = -1\n", &[]);
        assert!(error.starts_with("social.toml:3:9: feeds.limit: "), "{error}");
    }

    #[test]
    fn bad_syntax_and_missing_keys_are_named() {
        assert!(error_of("name = \n", &[]).starts_with("social.toml:1:"));
        assert!(error_of("", &[]).contains("missing field `name`"));
    }

    #[test]
    fn config_environment_overrides_values_and_strings() {
        let text = "name = \"a\"\n[[feeds]]\nlimit = 1\n";
        let variables = [
            ("SLACKTIDE_NAME", "b c"),
            ("SLACKTIDE_FEEDS__0__LIMIT", "7"),
            ("SLACKTIDE_GATE__HOLD", "9s"),
            ("SLACKTIDE_LOG", "debug"),
            ("PATH", "/bin"),
        ];
        let wanted = Sample {
            name: "a".to_owned(),
            feeds: vec![Feed { limit: 7 }],
            gate: Some(Gate {
                hold: crate::span::Span::from_secs(9),
            }),
        };
        assert_eq!(read(text, &variables), Ok(wanted));
    }

    #[test]
    fn config_unknown_override_names_the_variable() {
        let error = error_of("name = \"a\"\n", &[("SLACKTIDE_GATE__HODL", "2s")]);
        assert!(
            error.contains("SLACKTIDE_GATE__HODL") && error.contains("did you mean `hold`?"),
            "{error}"
        );
    }

    #[test]
    fn config_file_error_keeps_its_position_with_overrides() {
        let error = error_of("name = \"a\"\ngat = 1\n", &[("SLACKTIDE_GATE__HOLD", "2s")]);
        assert!(error.starts_with("social.toml:2:1: "), "{error}");
    }

    #[test]
    fn config_override_below_a_value_is_an_error() {
        assert!(
            error_of("name = \"a\"\n", &[("SLACKTIDE_NAME__FIRST", "b")]).contains("SLACKTIDE_NAME__FIRST")
        );
        assert!(error_of("name = \"a\"\n", &[("SLACKTIDE_FEEDS__X", "1")]).contains("SLACKTIDE_FEEDS__X"));
    }

    #[test]
    fn config_missing_file_is_named() {
        let error = load_with::<Sample>(Path::new("/nowhere/a.toml"), Vec::new());
        assert!(error.is_err_and(|error| error.to_string().contains("/nowhere/a.toml")));
    }

    #[test]
    fn relative_paths_are_meant_from_the_files_folder() {
        let loaded = Loaded {
            value: (),
            path: "/etc/slacktide/social.toml".into(),
            overrides: Vec::new(),
        };
        assert_eq!(loaded.resolve(Path::new("key")), Path::new("/etc/slacktide/key"));
        assert_eq!(loaded.resolve(Path::new("/run/key")), Path::new("/run/key"));
    }

    #[test]
    fn config_file_of_another_editor_is_read_or_its_fault_is_placed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("social.toml");
        let load = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            load_with::<Sample>(&path, []).map(|loaded| loaded.value.name)
        };
        let error = |bytes: &[u8]| load(bytes).unwrap_err().to_string();
        assert_eq!(load(b"\xEF\xBB\xBFname = \"a\"\r\n"), Ok("a".to_owned()));
        assert!(error(b"\xEF\xBB\xBFnome = \"a\"\n").contains("social.toml:1:1: nome:"));
        assert!(error(b"name = \"a\"\n# \xFF\n").contains("social.toml:2:3: file: this is not UTF-8"));
        for twice in [
            "name = \"a\"\nname = \"b\"\n",
            "name = \"a\"\ngate = { hold = \"1s\", hold = \"2s\" }\n",
            "name = \"a\"\n[gate]\nhold = \"1s\"\n[gate]\n",
            "name = \"a\"\n[gate]\nhold = \"1s\"\nhold = \"2s\"\n",
        ] {
            assert!(
                error(twice.as_bytes()).contains("duplicate key"),
                "{}",
                error(twice.as_bytes())
            );
        }
    }
}
