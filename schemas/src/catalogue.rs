//! The JSON Schemas of all payloads, generated from the types.
//!
//! `v1/*.json` holds them as published. A test compares both, so that a change of a type shows as a
//! change of a file that other parties read.

use schemars::{JsonSchema, Schema, SchemaGenerator};

use crate::envelope::Payload;
use crate::{
    approval, audit, confirm, control, lease, manifest, part, progress, receipt, reply, request,
    status_report,
};

fn schema_for<P: JsonSchema + Payload>() -> (&'static str, Schema) {
    (P::KIND, SchemaGenerator::default().into_root_schema_for::<P>())
}

/// Returns every payload's kind with its schema.
#[must_use]
pub fn all() -> Vec<(&'static str, Schema)> {
    vec![
        schema_for::<manifest::Manifest>(),
        schema_for::<receipt::Receipt>(),
        schema_for::<lease::Lease>(),
        schema_for::<request::Request>(),
        schema_for::<request::Cancel>(),
        schema_for::<reply::Reply>(),
        schema_for::<part::Part>(),
        schema_for::<progress::Progress>(),
        schema_for::<approval::Approval>(),
        schema_for::<confirm::Confirm>(),
        schema_for::<audit::AuditEntry>(),
        schema_for::<control::Control>(),
        schema_for::<status_report::StatusReport>(),
    ]
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// `SLACKTIDE_WRITE_SCHEMAS=1` writes the files instead of comparing them.
    #[test]
    fn catalogue_published_schemas_equal_those_of_the_types() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("v1");
        for (kind, schema) in all() {
            let file = folder.join(format!("{kind}.json"));
            let text = format!("{}\n", serde_json::to_string_pretty(&schema).unwrap());
            if std::env::var_os("SLACKTIDE_WRITE_SCHEMAS").is_some() {
                std::fs::create_dir_all(&folder).unwrap();
                std::fs::write(&file, &text).unwrap();
            }
            let published = std::fs::read_to_string(&file).unwrap_or_default();
            assert_eq!(
                published,
                text,
                "{} differs: run with SLACKTIDE_WRITE_SCHEMAS=1",
                file.display()
            );
        }
    }
}
