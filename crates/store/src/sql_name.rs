//! PURE: names in SQL statements.

/// Returns a quoted SQL name.
#[must_use]
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Returns quoted SQL names, separated by commas.
#[must_use]
pub fn listed<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().map(quoted).collect::<Vec<_>>().join(", ")
}

/// The maximum length of a name, in bytes. PostgreSQL truncates longer names without an error, so two names could become
/// one.
pub const LONGEST: usize = 63;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_name_cannot_escape_quotes() {
        assert_eq!(
            listed(["a", "b\"; DROP TABLE x; --"]),
            "\"a\", \"b\"\"; DROP TABLE x; --\""
        );
    }
}
