//! PURE: checks the source's columns against a kind.

use disclosure::mask::plan::{Plan, PlanError};
use requests::kind::KindConfig;
use schemas::column::RowSchema;
use schemas::name::RecipientName;

/// Why a kind does not match the source.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ColumnMismatch {
    /// The column of a person is missing.
    #[error(
        "person names the column {0:?}, which the SQL does not return, so no person's rows could be withheld: add it to the \
         SELECT"
    )]
    NoPerson(String),
    /// A grant does not match the columns.
    #[error("grant to {recipient}: {error}")]
    Grant {
        /// The recipient.
        recipient: RecipientName,
        /// What does not match.
        error: PlanError,
    },
}

/// Checks the columns and describes how many each recipient gets.
///
/// # Errors
/// [`ColumnMismatch`], with the remedy.
pub fn check_columns(kind: &KindConfig, columns: &RowSchema) -> Result<String, ColumnMismatch> {
    if let Some(person) = kind.person.iter().find(|name| columns.index_of(name).is_none()) {
        return Err(ColumnMismatch::NoPerson(person.clone()));
    }
    // An answer is a list, so its rows need no key.
    let mut plain = columns.clone();
    (plain.key, plain.tombstone) = (Vec::new(), None);
    let mut description = format!("{} columns", columns.columns.len());
    for grant in &kind.grant {
        let plan = Plan::new(&plain, Some(&grant.columns), &grant.masks, &kind.money);
        let plan = plan.map_err(|error| ColumnMismatch::Grant {
            recipient: grant.recipient.clone(),
            error,
        })?;
        description.push_str(&format!(
            "; {} gets {}",
            grant.recipient,
            plan.schema().columns.len()
        ));
    }
    if kind.grant.is_empty() {
        description.push_str("; no recipient may request it");
    }
    Ok(description)
}
