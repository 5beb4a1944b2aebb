//! PURE: finds what `$1`, `$2`, … are compared with in a query's SQL.
//!
//! This is not a parser and makes no security decision. It finds comparisons that would give wrong results silently, so that
//! they are refused before the query runs.

use crate::shape::{Token, tokens};

/// One use of an argument.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Place {
    /// The function whose argument it is, in lower case.
    pub(crate) function: Option<String>,
    /// The column that it is compared with, as written: its table or alias first, if given.
    pub(crate) column: Option<Vec<String>>,
    /// How it is compared with it.
    pub(crate) operator: Operator,
    /// It is cast to a type.
    pub(crate) is_cast: bool,
    /// It is an operand of `+`, `-`, `*`, `/` or `||`.
    pub(crate) is_operand: bool,
    /// It is only compared with null.
    pub(crate) is_null_test: bool,
}

impl Place {
    /// Whether the argument itself is compared, without a cast or an expression.
    pub(crate) fn is_bare(&self) -> bool {
        self.function.is_none() && !self.is_cast && !self.is_operand
    }
}

/// How an argument is compared with a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) enum Operator {
    /// `=`
    Equal,
    /// `<`, `<=`, `>`, `>=`, BETWEEN.
    Range,
    /// Not compared, or in a way that does not restrict to a range.
    #[default]
    Other,
}

impl Operator {
    fn parse(signs: &str) -> Self {
        match signs {
            "=" => Self::Equal,
            "<" | "<=" | ">" | ">=" => Self::Range,
            _ => Self::Other,
        }
    }
}

/// Words before a parenthesis that are not functions.
const NON_FUNCTION_WORDS: [&str; 16] = [
    "in", "and", "or", "not", "select", "where", "on", "between", "values", "exists", "any", "all", "some",
    "when", "then", "from",
];

/// Returns every use of `$number`.
pub(crate) fn places(sql: &str, number: usize) -> Vec<Place> {
    let tokens = tokens(sql);
    let mut found = Vec::new();
    for at in 0..tokens.len() {
        if is_parameter(&tokens, at) == Some(number) {
            found.push(place(&tokens, at));
        }
    }
    found
}

/// Whether the SQL contains a word outside of quotes and comments.
pub(crate) fn has_word(sql: &str, wanted: &[&str]) -> bool {
    tokens(sql)
        .iter()
        .any(|token| matches!(token, Token::Word(word) if wanted.contains(&word.as_str())))
}

fn is_parameter(tokens: &[Token], at: usize) -> Option<usize> {
    match (tokens.get(at), tokens.get(at + 1)) {
        (Some(Token::Sign('$')), Some(Token::Word(digits))) => digits.parse().ok(),
        _ => None,
    }
}

fn place(tokens: &[Token], at: usize) -> Place {
    let before = |back: usize| at.checked_sub(back).and_then(|at| tokens.get(at));
    let behind = |ahead: usize| tokens.get(at + 1 + ahead);
    let is_word =
        |token: Option<&Token>, wanted: &str| matches!(token, Some(Token::Word(word)) if word == wanted);
    let sign = |token: Option<&Token>| match token {
        Some(Token::Sign(sign)) => Some(*sign),
        _ => None,
    };
    let computes = |token: Option<&Token>| sign(token).is_some_and(|sign| "+-*/%|".contains(sign));
    let in_cast = sign(before(1)) == Some('(') && is_word(before(2), "cast");
    let is_cast = in_cast || (sign(behind(1)) == Some(':') && sign(behind(2)) == Some(':'));
    let compared = left(tokens, at).or_else(|| right(tokens, at + 2));
    let (column, operator) = compared.unzip();
    Place {
        function: function(tokens, at).filter(|name| name != "cast"),
        column,
        operator: operator.unwrap_or_default(),
        is_cast,
        is_operand: computes(before(1)) || computes(behind(1)),
        is_null_test: is_word(behind(1), "is"),
    }
}

fn function(tokens: &[Token], at: usize) -> Option<String> {
    let mut depth = 0_usize;
    for place in (0..at).rev() {
        match tokens.get(place) {
            Some(Token::Sign(')')) => depth += 1,
            Some(Token::Sign('(')) if depth == 0 => {
                return match place.checked_sub(1).and_then(|before| tokens.get(before)) {
                    Some(Token::Word(name)) if !NON_FUNCTION_WORDS.contains(&name.as_str()) => {
                        Some(name.clone())
                    }
                    _ => None,
                };
            }
            Some(Token::Sign('(')) => depth -= 1,
            _ => {}
        }
    }
    None
}

/// Returns the column before a comparison with the parameter at `at`.
fn left(tokens: &[Token], at: usize) -> Option<(Vec<String>, Operator)> {
    let mut end = at;
    let previous = |end: usize| end.checked_sub(1).and_then(|place| tokens.get(place));
    // The upper bound of BETWEEN: its column is before the lower bound.
    if matches!(previous(end), Some(Token::Word(word)) if word == "and") {
        let between = (end.saturating_sub(12)..end.saturating_sub(1))
            .rev()
            .find(|place| matches!(tokens.get(*place), Some(Token::Word(word)) if word == "between"))?;
        end = between + 1;
    }
    let operator = match previous(end) {
        Some(Token::Word(word)) if word == "between" => {
            end -= 1;
            let is_not = matches!(previous(end), Some(Token::Word(word)) if word == "not");
            end -= usize::from(is_not);
            if is_not { Operator::Other } else { Operator::Range }
        }
        Some(Token::Sign('<' | '>' | '=')) => {
            let mut signs = String::new();
            while let Some(Token::Sign(sign @ ('<' | '>' | '=' | '!'))) = previous(end) {
                signs.insert(0, *sign);
                end -= 1;
            }
            Operator::parse(&signs)
        }
        _ => return None,
    };
    name_before(tokens, end).map(|name| (name, operator))
}

/// Returns the column after a comparison that begins at `at`.
fn right(tokens: &[Token], at: usize) -> Option<(Vec<String>, Operator)> {
    let (mut begin, mut signs) = (at, String::new());
    while let Some(Token::Sign(sign @ ('<' | '>' | '=' | '!'))) = tokens.get(begin) {
        signs.push(*sign);
        begin += 1;
    }
    if begin == at {
        return None;
    }
    let mut name = Vec::new();
    while let Some(Token::Word(part) | Token::Quoted(part)) = tokens.get(begin) {
        name.push(part.clone());
        begin += 1;
        if tokens.get(begin) != Some(&Token::Sign('.')) {
            break;
        }
        begin += 1;
    }
    let is_call = tokens.get(begin) == Some(&Token::Sign('('));
    (!name.is_empty() && !is_call).then(|| (name, Operator::parse(&signs)))
}

fn name_before(tokens: &[Token], end: usize) -> Option<Vec<String>> {
    let mut name = Vec::new();
    let mut at = end;
    while let Some(Token::Word(part) | Token::Quoted(part)) =
        at.checked_sub(1).and_then(|place| tokens.get(place))
    {
        name.insert(0, part.clone());
        at -= 1;
        if at.checked_sub(1).and_then(|place| tokens.get(place)) != Some(&Token::Sign('.')) {
            break;
        }
        at -= 1;
    }
    // `x::date >= $1` does not compare the column.
    let is_type = at.checked_sub(1).and_then(|place| tokens.get(place)) == Some(&Token::Sign(':'));
    (!name.is_empty() && !is_type).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(sql: &str, number: usize) -> Vec<Option<String>> {
        places(sql, number)
            .iter()
            .map(|place| place.column.as_ref().map(|name| name.join(".")))
            .collect()
    }

    #[test]
    fn placeholder_compared_column_is_found() {
        for (sql, number, wanted) in [
            ("select a from t where begntime >= $1", 1, "begntime"),
            ("select a from t where t.begntime<=$1", 1, "t.begntime"),
            ("select a from t where \"Begn\" <> $1", 1, "Begn"),
            ("select a from t where $1 < begntime", 1, "begntime"),
            ("select a from t where d between $1 and $2", 1, "d"),
            ("select a from t where d between $1 and $2", 2, "d"),
            ("select a from t where d not between $1 and $2", 2, "d"),
        ] {
            assert_eq!(column(sql, number), [Some(wanted.to_owned())], "{sql}");
        }
        for sql in [
            "select a from t where d::date >= $1",
            "select a from t where date(d) >= $1",
            "select '$1 > d' from t where a in ($1)",
            "select a from t where $1 = lower(d)",
        ] {
            assert_eq!(column(sql, 1), [None], "{sql}");
        }
    }

    #[test]
    fn placeholder_range_operator_is_found() {
        for (condition, wanted) in [
            ("a = $1", Operator::Equal),
            ("$1 = a", Operator::Equal),
            ("a <= $1", Operator::Range),
            ("$1 < a", Operator::Range),
            ("a between $1 and 9", Operator::Range),
            ("a not between $1 and 9", Operator::Other),
            ("a <> $1", Operator::Other),
            ("a != $1", Operator::Other),
            ("a in ($1)", Operator::Other),
        ] {
            let sql = format!("select a from t where {condition}");
            assert_eq!(places(&sql, 1)[0].operator, wanted, "{condition}");
        }
    }

    #[test]
    fn placeholder_function_cast_and_operand_are_found() {
        let one = |sql: &str| places(sql, 1).remove(0);
        assert_eq!(
            one("select datetime($1, '+8 hours')").function.as_deref(),
            Some("datetime")
        );
        assert_eq!(
            one("select strftime('%s', $1)").function.as_deref(),
            Some("strftime")
        );
        assert_eq!(one("select a where (a > $1) and b in ($1)").function, None);
        assert!(one("select a where d < $1::date + 1").is_cast);
        assert!(one("select a where d < cast($1 as date)").is_cast);
        assert!(one("select a where d < $1 + 1").is_operand);
        assert!(one("select a where $1 is null").is_null_test);
        assert!(one("select a where d >= $1").is_bare());
        assert!(places("select $12, '$1' -- $1", 1).is_empty());
        assert!(has_word("select NOW()", &["now"]) && !has_word("select 'now'", &["now"]));
    }
}
