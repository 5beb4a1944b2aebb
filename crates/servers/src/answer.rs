//! PURE: what may be passed on of a server's error.
//!
//! Message, detail, hint and context of an error hold values: those of the row that a constraint refused, of the text
//! that a cast could not read, and everything that a trigger or a function raises. No list of harmless ones could be complete,
//! so none of these texts is passed on. What is: the SQLSTATE, its meaning in our words, the place in the statement,
//! and names of constraints and columns where the server itself put them there.

mod condition;

use std::fmt;

use tokio_postgres::error::{DbError, ErrorPosition, SqlState};

/// The places in the server's languages that raise what a function's author wrote: with any code that he chose.
const RAISING: &[&str] = &[
    "exec_stmt_raise",
    "exec_stmt_assert",
    "PLy_elog",
    "PLy_elog_impl",
    "plperl_call_perl_trigger_func",
    "plperl_call_perl_func",
    "throw_tcl_error",
];

/// What may be passed on of a server's error.
#[derive(Clone, Copy)]
pub struct Answer<'a>(&'a DbError);

/// The functions of the server that name the constraint, column and table which an error is about. `RAISE … USING
/// CONSTRAINT = …, COLUMN = …` sets the same fields to any text, and a function of another language can; where such an
/// error comes from is the one field that none of them sets.
const NAMING: &[&str] = &[
    "_bt_check_unique",
    "check_exclusion_or_unique_constraint",
    "comparetup_index_btree",
    "comparetup_index_btree_tiebreak",
    "ExecConstraints",
    "ReportNotNullViolationError",
    "ri_ReportViolation",
    "ExecEvalConstraintCheck",
    "ExecEvalConstraintNotNull",
    "domain_check_input",
];

impl<'a> Answer<'a> {
    /// Of an error.
    #[must_use]
    pub fn of(error: &'a DbError) -> Self {
        Self(error)
    }

    /// The code, for decisions.
    #[must_use]
    pub fn code(&self) -> &'a SqlState {
        self.0.code()
    }

    /// The code, for people.
    #[must_use]
    pub fn sqlstate(&self) -> &'a str {
        sqlstate(self.0)
    }

    /// What the code means.
    #[must_use]
    pub fn condition(&self) -> &'static str {
        condition::of(self.sqlstate())
    }

    /// Whether the server found that the columns of a prepared statement have changed. The code has other meanings too;
    /// the place in the server does not follow its language.
    #[must_use]
    pub fn columns_changed(&self) -> bool {
        self.0.routine() == Some("RevalidateCachedQuery")
    }

    /// Whether the server refused a read because row level security would leave rows out of it. The code means any missing
    /// privilege; the place in the server does not follow its language.
    #[must_use]
    pub fn rows_hidden(&self) -> bool {
        self.0.routine() == Some("check_enable_rls")
    }

    /// Whether a function raised it on purpose, with a code that its author chose.
    #[must_use]
    pub fn is_raised(&self) -> bool {
        self.0.routine().is_some_and(|routine| RAISING.contains(&routine))
    }

    /// Whether a policy for rows refused a row. Its code is that of a missing privilege.
    #[must_use]
    pub fn is_policy(&self) -> bool {
        self.0.routine() == Some("ExecWithCheckOptions")
    }

    /// Whether it happened within a function, such as a trigger's: each puts a line of its own behind the error,
    /// and a COPY one that names its line and table.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "whether there is a text is what is returned, and nothing of it"
    )]
    pub fn is_within_function(&self) -> bool {
        let copied = |line: &str| line.starts_with("COPY ");
        self.0
            .where_()
            .is_some_and(|place| place.lines().any(|line| !line.is_empty() && !copied(line)))
    }

    /// The constraint that refused a row.
    #[must_use]
    pub fn constraint(&self) -> Option<&'a str> {
        self.0.constraint().filter(|_| self.names())
    }

    /// The column that the error is about.
    #[must_use]
    pub fn column(&self) -> Option<&'a str> {
        self.0.column().filter(|_| self.names())
    }

    /// Which of these columns a COPY could not read: `COPY t, line 1, column c: "value"`.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "what is returned is a name of the caller, and nothing of the text"
    )]
    pub fn copied_column<'b>(&self, known: &[&'b str]) -> Option<&'b str> {
        let place = self.0.where_()?.split_once(", column ")?.1;
        let matching = known.iter().copied().filter(|name| place.starts_with(name));
        matching.max_by_key(|name| name.len())
    }

    /// The place in the statement that was sent, in characters from 1.
    #[must_use]
    pub fn position(&self) -> Option<usize> {
        match self.0.position() {
            Some(ErrorPosition::Original(at)) => usize::try_from(*at).ok(),
            _ => None,
        }
    }

    fn names(&self) -> bool {
        self.0.routine().is_some_and(|routine| NAMING.contains(&routine))
    }
}

/// Meaning, code, and the names that are the server's own.
impl fmt::Display for Answer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let condition = match self.is_raised() {
            true => condition::of("P0001"),
            false => self.condition(),
        };
        write!(f, "{condition} (SQLSTATE {})", self.sqlstate())?;
        if let Some(column) = self.column() {
            write!(f, ", column {column:?}")?;
        }
        if let Some(constraint) = self.constraint() {
            write!(f, ", constraint {constraint:?}")?;
        }
        Ok(())
    }
}

/// The same as [`Display`](fmt::Display): the error itself shows its message.
impl fmt::Debug for Answer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The code of an error or a notice, or `unknown` where it has not the form of one.
pub(crate) fn sqlstate(error: &DbError) -> &str {
    let code = error.code().code();
    let fits = code.len() == 5
        && code
            .bytes()
            .all(|sign| sign.is_ascii_digit() || sign.is_ascii_uppercase());
    if fits { code } else { "unknown" }
}
