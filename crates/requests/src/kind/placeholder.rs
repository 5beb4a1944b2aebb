//! Checks that a kind's SQL is one statement that uses exactly `$1..$n`.
//!
//! The SQL is the bureau's own, so this finds mistakes, not attacks: the source's account is read-only, and arguments never become
//! SQL. A `$2` in quotes or comments is not a placeholder.

use std::collections::BTreeSet;

/// The error of a kind's SQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SqlError {
    /// It is not a query.
    #[error("it is one SELECT (or WITH … SELECT)")]
    NoSelect,
    /// It has more than one statement.
    #[error("it is one statement: leave out everything from the first ';' on")]
    Several,
    /// A quote or comment is not closed.
    #[error("a quote or comment is not closed")]
    Open,
    /// An argument is not used.
    #[error("the argument ${0} is not used in it: use it, or leave the argument out")]
    Unused(usize),
    /// A placeholder has no argument.
    #[error("it uses ${0}, and there is no such argument")]
    NoArgument(usize),
}

/// Checks that a statement uses exactly the placeholders `$1` to `$count`.
///
/// # Errors
/// [`SqlError`].
pub(super) fn check(sql: &str, count: usize) -> Result<(), SqlError> {
    let bare = strip(sql)?;
    let trimmed = bare.trim();
    let statement = trimmed.strip_suffix(';').unwrap_or(trimmed);
    if statement.contains(';') {
        return Err(SqlError::Several);
    }
    let word: String = statement
        .trim_start_matches('(')
        .trim_start()
        .chars()
        .take_while(char::is_ascii_alphabetic)
        .collect();
    if !["select", "with"].contains(&word.to_ascii_lowercase().as_str()) {
        return Err(SqlError::NoSelect);
    }
    let used = places(statement);
    if let Some(place) = used.iter().find(|place| !(1..=count).contains(*place)) {
        return Err(SqlError::NoArgument(*place));
    }
    match (1..=count).find(|place| !used.contains(place)) {
        Some(place) => Err(SqlError::Unused(place)),
        None => Ok(()),
    }
}

fn places(sql: &str) -> BTreeSet<usize> {
    let mut used = BTreeSet::new();
    for (at, _) in sql.match_indices('$') {
        let name = sql[..at]
            .chars()
            .next_back()
            .is_some_and(|c| c.is_alphanumeric() || c == '_');
        let digits: String = sql[at + 1..].chars().take_while(char::is_ascii_digit).collect();
        if !name && !digits.is_empty() {
            used.insert(digits.parse().unwrap_or(usize::MAX));
        }
    }
    used
}

/// Replaces each quoted text, quoted name and comment by a blank.
fn strip(sql: &str) -> Result<String, SqlError> {
    let mut bare = String::with_capacity(sql.len());
    let mut rest = sql;
    while let Some(first) = rest.chars().next() {
        let skipped = match first {
            '\'' | '"' => Some(quoted(rest, first).ok_or(SqlError::Open)?),
            '-' if rest.starts_with("--") => Some(rest.find('\n').unwrap_or(rest.len())),
            '/' if rest.starts_with("/*") => Some(comment(rest).ok_or(SqlError::Open)?),
            '$' => dollar(rest)?,
            _ => None,
        };
        if let Some(skipped) = skipped {
            bare.push(' ');
            rest = rest.get(skipped..).unwrap_or_default();
        } else {
            bare.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    Ok(bare)
}

/// Returns the length of a quoted text, including doubled quotes.
fn quoted(text: &str, quote: char) -> Option<usize> {
    let mut at = 1;
    loop {
        at += text.get(at..)?.find(quote)? + 1;
        if !text[at..].starts_with(quote) {
            return Some(at);
        }
        at += 1;
    }
}

/// Returns the length of a comment, which may be nested.
fn comment(text: &str) -> Option<usize> {
    let (mut at, mut depth) = (0, 0_usize);
    loop {
        let rest = text.get(at..).filter(|rest| !rest.is_empty())?;
        if rest.starts_with("/*") {
            (at, depth) = (at + 2, depth + 1);
        } else if rest.starts_with("*/") {
            (at, depth) = (at + 2, depth - 1);
            if depth == 0 {
                return Some(at);
            }
        } else {
            at += rest.chars().next()?.len_utf8();
        }
    }
}

/// Returns the length of `$tag$ … $tag$`, or `None` if the `$` begins something else.
fn dollar(text: &str) -> Result<Option<usize>, SqlError> {
    let Some(end) = text[1..].find('$') else {
        return Ok(None);
    };
    let tag = &text[..end + 2];
    let name = &tag[1..tag.len() - 1];
    let plain = name.chars().all(|c| c.is_alphanumeric() || c == '_');
    if !plain || name.starts_with(|c: char| c.is_ascii_digit()) {
        return Ok(None);
    }
    let body = &text[tag.len()..];
    let close = body.find(tag).ok_or(SqlError::Open)?;
    Ok(Some(tag.len() * 2 + close))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholder_in_quotes_and_comments_is_ignored() {
        for (sql, count) in [
            ("select 1", 0),
            ("SELECT a FROM t WHERE a = $1 AND b >= $2;", 2),
            (
                "with x as (select $1::date as d) select * from x, t where t.d < $1",
                1,
            ),
            ("( select $1 )", 1),
            (
                "select '$2', \"$3\", 'it''s $4' from t where a = $1 -- $5\n/* $6 /* $7 */ */",
                1,
            ),
            ("select $q$ $9; $q$, $$;$$ where a = $1", 1),
            ("-- the settlements\nselect $1", 1),
        ] {
            assert_eq!(check(sql, count), Ok(()), "{sql}");
        }
    }

    #[test]
    fn placeholder_mistake_is_refused() {
        for (sql, count, error) in [
            ("", 0, SqlError::NoSelect),
            ("update t set a = $1", 1, SqlError::NoSelect),
            ("select 1; select 2", 0, SqlError::Several),
            ("select $1; -- ;\n ;", 1, SqlError::Several),
            ("select 'a", 0, SqlError::Open),
            ("select /* $1", 1, SqlError::Open),
            ("select $x$ $1", 1, SqlError::Open),
            ("select $1", 2, SqlError::Unused(2)),
            ("select '$1'", 1, SqlError::Unused(1)),
            ("select $1, $12", 1, SqlError::NoArgument(12)),
            ("select $0", 0, SqlError::NoArgument(0)),
        ] {
            assert_eq!(check(sql, count), Err(error), "{sql}");
        }
    }

    proptest::proptest! {
        #[test]
        fn placeholder_any_text_is_accepted_or_refused(sql in "(\\PC|['\"$/*;\\-\n0-9a-z ]){0,60}", count in 0_usize..3) {
            let _ = check(&sql, count);
            let _ = check(&format!("select {sql}"), count);
        }
    }
}
