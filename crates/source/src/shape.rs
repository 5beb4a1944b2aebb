//! PURE: which relations a feed's SQL names, and whether each output row is a row of one table.
//!
//! This is not a parser. It finds the names after FROM and JOIN; the database decides whether they are relations. It makes no
//! security decision: the database checks privileges, and the reader compares neighbouring rows in any case.

/// The structure of a feed's SQL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape {
    /// Names after FROM and JOIN, each in parts: `["public", "setl"]`. Unquoted names are in lower case.
    pub relations: Vec<Vec<String>>,
    /// Whether it has one relation, no join, grouping, set operation or subquery: each output row is a row of the relation.
    pub plain: bool,
}

/// A token of SQL text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Token {
    /// An unquoted name, a keyword or a number, in lower case.
    Word(String),
    /// A quoted name.
    Quoted(String),
    /// Any other character. A text literal is one `'`.
    Sign(char),
}

const FROM_TERMINATORS: [&str; 14] = [
    "where",
    "group",
    "having",
    "window",
    "order",
    "limit",
    "offset",
    "fetch",
    "for",
    "union",
    "intersect",
    "except",
    "on",
    "using",
];
const MULTI_ROW_KEYWORDS: [&str; 9] = [
    "join",
    "group",
    "distinct",
    "union",
    "intersect",
    "except",
    "with",
    "having",
    "values",
];
const FROM_MODIFIERS: [&str; 2] = ["only", "lateral"];

impl Shape {
    /// Parses a SELECT.
    #[must_use]
    pub fn parse(sql: &str) -> Self {
        let tokens = tokens(sql);
        let mut relations: Vec<Vec<String>> = Vec::new();
        let mut plain = true;
        let mut selects = 0;
        // Per depth of parentheses: whether this is a FROM list.
        let mut in_from = vec![false];
        let mut expects = false;
        let mut at = 0;
        while let Some(token) = tokens.get(at) {
            at += 1;
            match token {
                Token::Sign('(') => {
                    in_from.push(expects);
                    // A parenthesis in a FROM list may hold a join.
                }
                Token::Sign(')') => {
                    in_from.pop();
                    expects = false;
                }
                Token::Sign(',') => {
                    expects = in_from.last().copied().unwrap_or(false);
                    plain &= !expects;
                }
                Token::Sign(_) => expects = false,
                Token::Word(word) if word == "from" || word == "join" => {
                    expects = true;
                    plain &= word == "from";
                    if let Some(here) = in_from.last_mut() {
                        *here = true;
                    }
                }
                Token::Word(word) if FROM_MODIFIERS.contains(&word.as_str()) => {}
                Token::Word(word) if word == "select" => {
                    selects += 1;
                    expects = false;
                    if let Some(here) = in_from.last_mut() {
                        *here = false;
                    }
                }
                Token::Word(word) if FROM_TERMINATORS.contains(&word.as_str()) => {
                    expects = false;
                    plain &= !MULTI_ROW_KEYWORDS.contains(&word.as_str());
                    // After ON and USING the list may continue with another JOIN, but not with a comma that matters here.
                    if !matches!(word.as_str(), "on" | "using")
                        && let Some(here) = in_from.last_mut()
                    {
                        *here = false;
                    }
                }
                Token::Word(name) | Token::Quoted(name) => {
                    if matches!(token, Token::Word(_)) && MULTI_ROW_KEYWORDS.contains(&name.as_str()) {
                        plain = false;
                    } else if expects {
                        let mut parts = vec![name.clone()];
                        while let (Some(Token::Sign('.')), Some(Token::Word(part) | Token::Quoted(part))) =
                            (tokens.get(at), tokens.get(at + 1))
                        {
                            parts.push(part.clone());
                            at += 2;
                        }
                        // A name before a parenthesis is a function.
                        if tokens.get(at) == Some(&Token::Sign('(')) {
                            plain = false;
                        } else if !relations.contains(&parts) {
                            relations.push(parts);
                        } else {
                            plain = false;
                        }
                        expects = false;
                    }
                }
            }
        }
        plain &= selects == 1 && relations.len() == 1;
        Self { relations, plain }
    }
}

/// Splits a statement into tokens, without whitespace and comments.
pub(crate) fn tokens(sql: &str) -> Vec<Token> {
    let mut found = Vec::new();
    let mut rest = sql;
    while let Some(first) = rest.chars().next() {
        if first.is_whitespace() {
            rest = &rest[first.len_utf8()..];
        } else if rest.starts_with("--") {
            rest = rest.split_once('\n').map_or("", |(_, behind)| behind);
        } else if rest.starts_with("/*") {
            rest = rest.split_once("*/").map_or("", |(_, behind)| behind);
        } else if first == '\'' {
            let (_, behind) = delimited(rest, '\'');
            rest = behind;
            found.push(Token::Sign('\''));
        } else if first == '"' || first == '`' {
            let (name, behind) = delimited(rest, first);
            rest = behind;
            found.push(Token::Quoted(name));
        } else if first.is_alphanumeric() || first == '_' {
            let end = rest
                .find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '$'))
                .unwrap_or(rest.len());
            found.push(Token::Word(rest[..end].to_lowercase()));
            rest = &rest[end..];
        } else {
            found.push(Token::Sign(first));
            rest = &rest[first.len_utf8()..];
        }
    }
    found
}

/// Returns the text between delimiters, which are doubled inside it, and the rest.
fn delimited(text: &str, mark: char) -> (String, &str) {
    let mut inner = String::new();
    let mut rest = &text[mark.len_utf8()..];
    while let Some((before, behind)) = rest.split_once(mark) {
        inner.push_str(before);
        if let Some(more) = behind.strip_prefix(mark) {
            inner.push(mark);
            rest = more;
        } else {
            return (inner, behind);
        }
    }
    inner.push_str(rest);
    (inner, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn relations(sql: &str) -> Vec<String> {
        Shape::parse(sql)
            .relations
            .iter()
            .map(|parts| parts.join("."))
            .collect()
    }

    #[test]
    fn shape_of_a_plain_select_is_plain() {
        let shape =
            Shape::parse("SELECT a, 'from x', b AS \"from\" FROM Public.\"Set l\" s -- from y\nWHERE a > 1");
        assert_eq!(shape.relations, [["public", "Set l"]]);
        assert!(shape.plain);
    }

    #[test]
    fn shape_finds_every_relation() {
        assert_eq!(
            relations(
                "WITH x AS (SELECT 1 FROM a) SELECT * FROM x JOIN ONLY b ON true, c LEFT JOIN (d JOIN e USING (id)) ON 1=1"
            ),
            ["a", "x", "b", "c", "d", "e"]
        );
        assert_eq!(
            relations("SELECT id FROM a WHERE id IN (SELECT id FROM b) UNION ALL SELECT 1 FROM c"),
            ["a", "b", "c"]
        );
        assert_eq!(
            relations("SELECT extract(year FROM t.at), x FROM t"),
            ["t.at", "t"]
        );
        assert!(relations("SELECT n FROM generate_series(1, 3) AS n").is_empty());
    }

    #[test]
    fn shape_that_may_repeat_rows_is_not_plain() {
        for sql in [
            "SELECT a.id FROM a JOIN b ON true",
            "SELECT a.id FROM a, b",
            "SELECT id FROM a GROUP BY id",
            "SELECT DISTINCT id FROM a",
            "SELECT id FROM a UNION ALL SELECT id FROM a",
            "SELECT id FROM (SELECT id FROM a) x",
            "SELECT id FROM f(1)",
        ] {
            assert!(!Shape::parse(sql).plain, "{sql}");
        }
    }
}
