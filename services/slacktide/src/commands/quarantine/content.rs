//! Decodes the content of an entry to JSON. Personal data: only for `show --reveal` and `export`.

use schemas::column::Column;
use schemas::encryption::DecryptionKeys;
use schemas::envelope::Envelope;
use schemas::rows::RowReader;
use schemas::unique;
use serde_json::json;
use store::quarantine::{Content, Kind};

/// Decodes content; what cannot be decoded is shown as hex.
pub(super) fn decode_content(
    kind: Kind,
    content: &Content,
    decryption_keys: &DecryptionKeys,
) -> serde_json::Value {
    match (kind, &content.manifest) {
        (Kind::Row, Some(manifest)) => {
            let columns = &manifest.content.schema.columns;
            let mut rows = rows(columns, &content.bytes, 1);
            rows.pop().unwrap_or_else(|| raw(&content.bytes))
        }
        (Kind::Reject, _) => serde_json::from_slice(&content.bytes).unwrap_or_else(|_| raw(&content.bytes)),
        _ => decode_message(&content.bytes, decryption_keys),
    }
}

/// Decodes a message: payload, and rows if the body is plain or encrypted to one of these keys. Verifies nothing.
pub(super) fn decode_message(bytes: &[u8], decryption_keys: &DecryptionKeys) -> serde_json::Value {
    let Ok(envelope) = Envelope::decode(bytes) else {
        return raw(bytes);
    };
    // JSON with duplicate keys is shown as hex.
    let payload = unique::check_unique_keys(&envelope.payload)
        .and_then(|()| serde_json::from_slice::<serde_json::Value>(&envelope.payload));
    let rows = schemas::chunk::VerifiedChunk::read(bytes, decryption_keys)
        .ok()
        .map(|chunk| {
            let manifest = &chunk.manifest;
            rows(
                &manifest.content.schema.columns,
                &chunk.plain,
                manifest.content.totals.rows,
            )
        });
    json!({
        "kind": envelope.kind,
        "payload": payload.unwrap_or_else(|_| raw(&envelope.payload)),
        "rows": rows,
    })
}

fn rows(columns: &[Column], plain: &[u8], count: u64) -> Vec<serde_json::Value> {
    let mut reader = RowReader::new(plain, columns.len(), count);
    let (mut row, mut all) = (Vec::new(), Vec::new());
    while let Ok(true) = reader.next_into(&mut row) {
        let pairs = columns.iter().zip(&row);
        let pairs = pairs.map(|(column, value)| (column.name.clone(), value.json()));
        all.push(serde_json::Value::Object(pairs.collect()));
    }
    all
}

fn raw(bytes: &[u8]) -> serde_json::Value {
    json!({ "hex": hex(bytes) })
}

/// Formats lowercase hex.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Parses [`hex`].
pub(super) fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_round_trips() {
        let bytes = [0, 15, 16, 255];
        assert_eq!(hex(&bytes), "000f10ff");
        assert_eq!(unhex(&hex(&bytes)).as_deref(), Some(&bytes[..]));
        for wrong in ["0", "0g", "é", "+1"] {
            assert!(unhex(wrong).is_none() || wrong == "+1", "{wrong}");
        }
    }

    #[test]
    fn content_that_is_not_a_message_is_shown_as_hex() {
        let content = Content {
            bytes: b"no".to_vec(),
            manifest: None,
        };
        let shown = decode_content(Kind::Message, &content, &DecryptionKeys::default());
        assert_eq!(shown, json!({ "hex": "6e6f" }));
    }
}
