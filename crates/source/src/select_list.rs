//! PURE: which column of its table an output column of a plain SELECT is.
//!
//! `SELECT claim_id AS id FROM line` gives a column that is called as the table's key and is another. Where the database does not
//! tell the origin of a column, the select list is read; what is not plainly a name is no column.

use crate::shape::{Token, tokens};

/// The output columns of a SELECT that are columns of a table, in lower case.
#[derive(Debug, Clone, Default)]
pub(crate) struct SelectList {
    /// Output name and the column that it is; none: an expression.
    named: Vec<(String, Option<String>)>,
    /// Whether all columns of the table are given.
    star: bool,
}

impl SelectList {
    /// Of a SELECT.
    pub(crate) fn of(sql: &str) -> Self {
        let tokens = tokens(sql);
        let mut list = Self::default();
        let mut parts = tokens.iter().peekable();
        if !matches!(parts.next(), Some(Token::Word(word)) if word == "select") {
            return list;
        }
        if matches!(parts.peek(), Some(Token::Word(word)) if word == "all") {
            parts.next();
        }
        let mut depth = 0_usize;
        let mut item: Vec<&Token> = Vec::new();
        for token in parts {
            match token {
                Token::Word(word) if depth == 0 && word == "from" => break,
                Token::Sign(',') if depth == 0 => list.item(&std::mem::take(&mut item)),
                token => {
                    match token {
                        Token::Sign('(') => depth += 1,
                        Token::Sign(')') => depth = depth.saturating_sub(1),
                        _ => {}
                    }
                    item.push(token);
                }
            }
        }
        list.item(&item);
        list
    }

    /// The table's column that an output column is.
    pub(crate) fn origin(&self, output: &str) -> Option<String> {
        let output = output.to_lowercase();
        let mut found = self.named.iter().filter(|(name, _)| *name == output);
        match (found.next(), found.next()) {
            (Some((_, origin)), None) => origin.clone(),
            (None, _) if self.star => Some(output),
            _ => None,
        }
    }

    fn item(&mut self, item: &[&Token]) {
        let is_dot = |token: &&Token| matches!(token, Token::Sign('.'));
        // Names with dots between them, and what is behind.
        let mut end = 0;
        while name(item.get(end)).is_some() && item.get(end + 1).is_some_and(is_dot) {
            end += 2;
        }
        let rest = item.get(end..).unwrap_or_default();
        if matches!(rest, [Token::Sign('*')]) {
            self.star = true;
            return;
        }
        let column = name(rest.first());
        match (rest, column) {
            ([_], Some(column)) => self.named.push((column.clone(), Some(column))),
            ([_, Token::Word(word), alias], Some(column)) if word == "as" => {
                if let Some(alias) = name(Some(alias)) {
                    self.named.push((alias, Some(column)));
                }
            }
            ([_, alias], Some(column)) if name(Some(alias)).is_some() => {
                if let Some(alias) = name(Some(alias)) {
                    self.named.push((alias, Some(column)));
                }
            }
            _ => {
                if let Some(alias) = name(item.last()) {
                    self.named.push((alias, None));
                }
            }
        }
    }
}

fn name(token: Option<&&Token>) -> Option<String> {
    match token {
        Some(Token::Word(name)) if name != "as" => Some(name.clone()),
        Some(Token::Quoted(name)) => Some(name.to_lowercase()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn select_list_names_the_column_behind_an_output() {
        for (sql, output, origin) in [
            ("SELECT id, day FROM t", "id", Some("id")),
            ("SELECT * FROM t", "ID", Some("id")),
            ("SELECT t.* FROM t", "id", Some("id")),
            ("SELECT main.t.Id FROM t", "Id", Some("id")),
            ("SELECT claim_id AS id FROM line", "id", Some("claim_id")),
            ("SELECT claim_id id FROM line", "id", Some("claim_id")),
            ("SELECT l.\"Claim\" AS \"Id\" FROM line l", "Id", Some("claim")),
            ("SELECT rowid AS id FROM line", "id", Some("rowid")),
            ("SELECT claim_id / 1000 AS id FROM line", "id", None),
            ("SELECT max(id, 1) AS id FROM line", "id", None),
            ("SELECT CASE WHEN a THEN id END AS id FROM line", "id", None),
            ("SELECT (SELECT id FROM x) AS id FROM line", "id", None),
            ("SELECT *, lower(a) AS b FROM line", "b", None),
            ("SELECT *, lower(a) AS b FROM line", "a", Some("a")),
            ("SELECT 'id' FROM line", "id", None),
            ("WITH x AS (SELECT 1) SELECT id FROM x", "id", None),
        ] {
            assert_eq!(SelectList::of(sql).origin(output).as_deref(), origin, "{sql}");
        }
    }
}
