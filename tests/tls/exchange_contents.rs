//! Everything stored at the exchange: the bytes of its files, and every message of every stream.

use std::path::Path;

use data_encoding::BASE64;
use nats::topology::Admin;
use schemas::chunk;
use schemas::encryption::DecryptionKeys;
use serde_json::json;

/// Returns every byte of every file below a folder.
pub(super) fn files(folder: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            bytes.extend(files(&path));
        } else {
            bytes.extend(std::fs::read(&path).unwrap());
        }
    }
    bytes
}

/// Returns every message of every stream over the administrator's own connection, readable without keys: rows that are only
/// compressed are unpacked.
pub(super) async fn messages(admin: &Admin) -> Vec<u8> {
    let mut seen = Vec::new();
    for stream in admin.live().await.unwrap().streams {
        let name = stream.config["name"].as_str().unwrap();
        let [first, last] = ["first_seq", "last_seq"].map(|key| stream.state[key].as_u64().unwrap());
        for sequence in first..=last {
            let question = format!("STREAM.MSG.GET.{name}");
            // An overwritten message is gone.
            let Ok(answer) = admin.api(&question, &json!({ "seq": sequence })).await else {
                continue;
            };
            let message = &answer["message"];
            let bytes = BASE64
                .decode(message["data"].as_str().unwrap_or_default().as_bytes())
                .unwrap();
            if let Ok(opened) = chunk::VerifiedChunk::read(&bytes, &DecryptionKeys::default()) {
                seen.extend(opened.plain);
            }
            seen.extend(message.to_string().bytes());
            seen.extend(bytes);
        }
    }
    seen
}

pub(super) fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|part| part == text.as_bytes())
}
