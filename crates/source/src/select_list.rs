//! PURE: which table column an output column of a plain SELECT is.
//!
//! `SELECT claim_id AS id FROM line` gives an output column with the name of the table's key that is another column. If the
//! database does not report the origin of a column, the select list is parsed. Anything but a plain name is an expression.

use crate::shape::{Token, tokens};

/// The output columns of a SELECT, in lower case.
#[derive(Debug, Clone, Default)]
pub(crate) struct SelectList {
    /// Output name, and its column or `None` for an expression.
    named: Vec<(String, Option<String>)>,
    /// Whether the list contains `*`.
    star: bool,
}

impl SelectList {
    /// Parses a SELECT.
    pub(crate) fn parse(sql: &str) -> Self {
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

    /// Returns the table column of an output column.
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
        // Qualified names, and what follows them.
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
    fn select_list_finds_the_column_of_an_output() {
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
            assert_eq!(SelectList::parse(sql).origin(output).as_deref(), origin, "{sql}");
        }
    }
}
