//! PURE: checks the source's columns against a kind.

use requests::kind::KindConfig;
use requests::mask::plan::Plan;
use schemas::column::RowSchema;

/// Checks the columns and describes how many each recipient gets.
///
/// # Errors
/// What is missing, with the remedy.
pub fn check_columns(kind: &KindConfig, columns: &RowSchema) -> Result<String, String> {
    if let Some(person) = kind.person.iter().find(|name| columns.index_of(name).is_none()) {
        return Err(format!(
            "person names the column {person:?}, which the SQL does not return, so no person's rows could be withheld: add it \
             to the SELECT"
        ));
    }
    // An answer is a list, so its rows need no key.
    let mut plain = columns.clone();
    (plain.key, plain.tombstone) = (Vec::new(), None);
    let mut description = format!("{} columns", columns.columns.len());
    for grant in &kind.grant {
        let plan = Plan::new(&plain, Some(&grant.columns), &grant.masks, &kind.money);
        let plan = plan.map_err(|error| format!("grant to {}: {error}", grant.recipient))?;
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
