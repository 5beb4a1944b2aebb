//! PURE: whether the columns of the source fit a kind.

use requests::kind::KindConfig;
use requests::mask::plan::Plan;
use schemas::column::RowSchema;

/// Describes who gets how many columns.
///
/// # Errors
/// What is missing, and what to do, in a sentence.
pub fn fits(kind: &KindConfig, columns: &RowSchema) -> Result<String, String> {
    if let Some(person) = kind.person.iter().find(|name| columns.index_of(name).is_none()) {
        return Err(format!(
            "person names the column {person:?}, which the SQL does not bring; without it nobody could be kept back: \
             add it to the SELECT"
        ));
    }
    // An answer is a list and no table: its rows need no key.
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
        description.push_str("; nobody may ask it");
    }
    Ok(description)
}
