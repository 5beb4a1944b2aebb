//! PURE: the file of variables that a server's configuration uses: `NAME='value'` lines, as a shell and systemd read them.

/// A line that cannot be used. The value is not repeated, because it may be a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line} {what}; write NAME='value', one for each line")]
pub(crate) struct BadLine {
    /// Counted from 1.
    line: usize,
    what: &'static str,
}

/// Returns the variables of the file, in its order. Nothing is expanded: `$` is a character of the value.
///
/// # Errors
/// [`BadLine`] names the line.
pub(crate) fn parse(text: &str) -> Result<Vec<(String, String)>, BadLine> {
    let mut variables = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let bad = |what| BadLine {
            line: index + 1,
            what,
        };
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, value) = line.split_once('=').ok_or_else(|| bad("has no '='"))?;
        let is_name = !name.is_empty()
            && !name.starts_with(|c: char| c.is_ascii_digit())
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if !is_name {
            return Err(bad("does not begin with the name of a variable"));
        }
        let value =
            unquote(value).ok_or_else(|| bad("has a quotation mark or a blank where none is expected"))?;
        variables.push((name.to_owned(), value.to_owned()));
    }
    Ok(variables)
}

/// Returns the value without its quotation marks.
fn unquote(value: &str) -> Option<&str> {
    for quote in ['\'', '"'] {
        if let Some(rest) = value.strip_prefix(quote) {
            let inner = rest.strip_suffix(quote)?;
            return (!inner.contains(quote)).then_some(inner);
        }
    }
    let is_plain = !value.contains(['\'', '"', '\\', '`', '#']) && !value.contains(char::is_whitespace);
    is_plain.then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn environment_lines_are_read_as_a_shell_reads_them() {
        let text = "# the exchange\nA='10.0.0.5:4222'\n\nB=\"x y\"\nC=plain\nD=\nE='$a \"b\"'\n";
        let read = parse(text).unwrap();
        let read: Vec<(&str, &str)> = read
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let expected = [
            ("A", "10.0.0.5:4222"),
            ("B", "x y"),
            ("C", "plain"),
            ("D", ""),
            ("E", "$a \"b\""),
        ];
        assert_eq!(read, expected);
    }

    #[test]
    fn environment_error_names_the_line_and_not_the_value() {
        for (line, what) in [
            ("export A=1", "name of a variable"),
            ("secret", "no '='"),
            ("A='secret", "quotation mark"),
            ("A=se cret", "blank"),
            ("A='a'secret'", "quotation mark"),
            ("1A=secret", "name of a variable"),
            ("A=`secret`", "quotation mark"),
        ] {
            let error = parse(&format!("OK=1\n{line}\n")).unwrap_err().to_string();
            assert!(error.starts_with("line 2 ") && error.contains(what), "{error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
