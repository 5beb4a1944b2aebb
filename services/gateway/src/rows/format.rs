//! Rows, header and end record of each format.
//!
//! **NDJSON**: one object a line. A row of a feed is `{"epoch":1,"number":17,"deleted":false,"row":{…}}`, a row of an answer
//! `{"row":{…}}`, the last line `{"end":{…}}`. The columns are in an object of their own, so that no column name can collide with
//! the other fields.
//!
//! **CSV** (RFC 4180, lines end with CRLF): a header; the first three columns of a feed are `_epoch`, `_number` and `_deleted`. An
//! empty field is null, `""` is an empty text. The last line is `#end,rows,digest,next,is_caught_up,reason,resynced_epoch`, for an
//! answer `#end,rows,digest,outcome`. Values are written as they are: a reader that opens the file in a spreadsheet has to
//! import every column as text, because a value may begin like a formula.
//!
//! **JSON**, for answers only: one object whose rows are arrays in the order of `columns`. One that was cut off is not JSON.

use std::fmt::Write as _;

use schemas::column::RowSchema;
use schemas::value::Value;
use serde_json::json;
use web::interface::feeds::RowsEnd;
use web::interface::media;

use super::value;

/// A format of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// One JSON object a line.
    Ndjson,
    /// RFC 4180.
    Csv,
    /// One JSON object; for answers only.
    Json,
}

/// The chunk that a row is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ChunkNumber {
    /// Its epoch.
    pub(crate) epoch: u32,
    /// Its number.
    pub(crate) number: u64,
}

impl Format {
    /// Returns its media type, as the `Content-Type` header has it.
    #[must_use]
    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::Ndjson => media::NDJSON,
            Self::Csv => "text/csv; charset=utf-8; header=present",
            Self::Json => media::JSON,
        }
    }

    /// Returns its media type, without parameters.
    #[must_use]
    pub(crate) fn media_type(self) -> &'static str {
        match self {
            Self::Ndjson => media::NDJSON,
            Self::Csv => media::CSV,
            Self::Json => media::JSON,
        }
    }

    /// Returns the first of `offered` that an `Accept` header names; without a header, or with `*/*` alone, the first offered.
    /// Quality values are considered only as far as `q=0` excludes a type.
    #[must_use]
    pub(crate) fn accepted(accept: Option<&str>, offered: &[Self]) -> Option<Self> {
        let Some(accept) = accept else {
            return offered.first().copied();
        };
        let ranges = accept.split(',').map(|range| {
            let mut parts = range.split(';').map(str::trim);
            let name = parts.next().unwrap_or_default().to_ascii_lowercase();
            let is_excluded = parts.any(|part| matches!(part, "q=0" | "q=0.0" | "q=0.00" | "q=0.000"));
            (name, is_excluded)
        });
        let ranges: Vec<(String, bool)> = ranges.collect();
        let is_excluded = |name: &str| ranges.iter().any(|(range, excluded)| range == name && *excluded);
        for (range, excluded) in &ranges {
            if *excluded {
                continue;
            }
            let found = offered.iter().find(|format| {
                let name = format.media_type();
                let of_type = name.split('/').next().unwrap_or_default();
                !is_excluded(name) && (range == name || range == "*/*" || *range == format!("{of_type}/*"))
            });
            if let Some(format) = found {
                return Some(*format);
            }
        }
        None
    }

    /// Appends what comes before the first row of a feed.
    pub(crate) fn feed_header(self, schema: &RowSchema, out: &mut String) {
        if self == Self::Csv {
            let names = schema.columns.iter().map(|column| column.name.as_str());
            csv_line(
                ["_epoch", "_number", "_deleted"]
                    .into_iter()
                    .chain(names)
                    .map(Some),
                out,
            );
        }
    }

    /// Appends a row of a feed.
    pub(crate) fn feed_row(
        self,
        schema: &RowSchema,
        chunk: ChunkNumber,
        row: &[Value<'_>],
        out: &mut String,
    ) {
        let ChunkNumber { epoch, number } = chunk;
        let tombstone = schema.tombstone_index().and_then(|index| row.get(index));
        let is_deleted = tombstone.is_some_and(Value::is_tombstone);
        match self {
            Self::Ndjson | Self::Json => {
                // Writing to a String does not fail.
                let _ = write!(
                    out,
                    "{{\"epoch\":{epoch},\"number\":{number},\"deleted\":{is_deleted},\"row\":"
                );
                json_object(schema, row, out);
                out.push_str("}\n");
            }
            Self::Csv => {
                let _ = write!(out, "{epoch},{number},{is_deleted}");
                csv_values(schema, row, out);
            }
        }
    }

    /// Appends the end record of a feed.
    pub(crate) fn feed_end(self, end: &RowsEnd, out: &mut String) {
        match self {
            Self::Ndjson | Self::Json => {
                let _ = writeln!(out, "{}", json!({ "end": end }));
            }
            Self::Csv => {
                let resynced = end.resynced.map(|resynced| resynced.epoch.to_string());
                let (rows, caught_up) = (end.rows.to_string(), end.is_caught_up.to_string());
                let fields = [
                    Some("#end"),
                    Some(&rows),
                    Some(&end.digest),
                    Some(&end.next),
                    Some(&caught_up),
                    Some(end.reason.as_str()),
                    resynced.as_deref(),
                ];
                csv_line(fields.into_iter(), out);
            }
        }
    }

    /// Appends what comes before the first row of an answer. `head` are the fields of the JSON object before `rows`.
    pub(crate) fn answer_header(
        self,
        schema: Option<&RowSchema>,
        head: &serde_json::Value,
        out: &mut String,
    ) {
        match self {
            Self::Ndjson => {}
            Self::Csv => {
                let names = schema.into_iter().flat_map(|schema| &schema.columns);
                let mut names = names.map(|column| Some(column.name.as_str())).peekable();
                if names.peek().is_some() {
                    csv_line(names, out);
                }
            }
            Self::Json => {
                let text = head.to_string();
                out.push_str(text.strip_suffix('}').unwrap_or(&text));
                out.push_str(if text == "{}" { "\"rows\":[" } else { ",\"rows\":[" });
            }
        }
    }

    /// Appends a row of an answer. `is_first`: no row is before it.
    pub(crate) fn answer_row(self, schema: &RowSchema, is_first: bool, row: &[Value<'_>], out: &mut String) {
        match self {
            Self::Ndjson => {
                out.push_str("{\"row\":");
                json_object(schema, row, out);
                out.push_str("}\n");
            }
            Self::Csv => {
                let start = out.len();
                csv_values(schema, row, out);
                // No column is before the first value.
                if out[start..].starts_with(',') {
                    out.remove(start);
                }
            }
            Self::Json => {
                out.push_str(if is_first { "\n" } else { ",\n" });
                let values = schema.columns.iter().zip(row);
                let values = values.map(|(column, value)| value::json(&column.kind, *value));
                let _ = write!(out, "{}", serde_json::Value::Array(values.collect()));
            }
        }
    }

    /// Appends the end of an answer: rows, digest of the bytes before it, outcome, and the reason of a partial one.
    pub(crate) fn answer_end(
        self,
        rows: u64,
        digest: &str,
        outcome: &str,
        reason: Option<&str>,
        out: &mut String,
    ) {
        match self {
            Self::Ndjson => {
                let end = json!({ "rows": rows, "digest": digest, "outcome": outcome, "reason": reason });
                let _ = writeln!(out, "{}", json!({ "end": end }));
            }
            Self::Csv => {
                let rows = rows.to_string();
                csv_line(
                    [Some("#end"), Some(&rows), Some(digest), Some(outcome)].into_iter(),
                    out,
                );
            }
            Self::Json => out.push_str("\n]}\n"),
        }
    }
}

fn json_object(schema: &RowSchema, row: &[Value<'_>], out: &mut String) {
    out.push('{');
    for (index, (column, value)) in schema.columns.iter().zip(row).enumerate() {
        let separator = if index == 0 { "" } else { "," };
        let name = serde_json::Value::from(column.name.as_str());
        let _ = write!(out, "{separator}{name}:{}", value::json(&column.kind, *value));
    }
    out.push('}');
}

/// Appends a comma and a value for each column, and ends the line.
fn csv_values(schema: &RowSchema, row: &[Value<'_>], out: &mut String) {
    for (column, value) in schema.columns.iter().zip(row) {
        out.push(',');
        if let Some(text) = value::text(&column.kind, *value) {
            csv_field(&text, out);
        }
    }
    out.push_str("\r\n");
}

fn csv_line<'a>(fields: impl Iterator<Item = Option<&'a str>>, out: &mut String) {
    for (index, field) in fields.enumerate() {
        if index > 0 {
            out.push(',');
        }
        if let Some(text) = field {
            csv_field(text, out);
        }
    }
    out.push_str("\r\n");
}

/// Appends a field. The empty text is quoted, because an empty field is null.
fn csv_field(text: &str, out: &mut String) {
    let is_plain = !text.is_empty() && !text.contains(['"', ',', '\n', '\r']);
    if is_plain {
        out.push_str(text);
    } else {
        out.push('"');
        out.push_str(&text.replace('"', "\"\""));
        out.push('"');
    }
}

#[cfg(test)]
mod tests;
