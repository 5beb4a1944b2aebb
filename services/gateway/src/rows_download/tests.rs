//! Downloads of rows: the end record, and where a download ends.

use schemas::manifest::Resync;
use serde_json::Value as Json;
use sha2::{Digest as _, Sha256};

use super::*;
use crate::fixture::Fixture;

struct Read {
    text: String,
    rows: Vec<Json>,
    end: Json,
}

async fn begin(
    fixture: &Fixture,
    after: Option<&str>,
    max: usize,
    format: Format,
) -> Result<RowsDownload, RowsError> {
    let after = after.map(|text| text.parse().unwrap());
    let mut reader = FeedReader::open(
        fixture.exchange.clone(),
        fixture.lane.clone(),
        after.as_ref(),
        None,
    )
    .await
    .unwrap();
    let first = reader.next().await.unwrap().unwrap();
    RowsDownload::begin(reader, &first, format, max, CancellationToken::new())
}

async fn text(mut download: RowsDownload) -> String {
    let mut body = Vec::new();
    while let Some(part) = download.step().await {
        body.extend_from_slice(&part);
    }
    String::from_utf8(body).unwrap()
}

/// Downloads and checks the end record.
async fn download(fixture: &Fixture, after: Option<&str>, max: usize) -> Read {
    let text = text(begin(fixture, after, max, Format::Ndjson).await.unwrap()).await;
    let start = text.trim_end().rfind('\n').map_or(0, |at| at + 1);
    let end: Json = serde_json::from_str(&text[start..]).unwrap();
    let end = end["end"].clone();
    let rows: Vec<Json> = text[..start]
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let digest = format!("sha-256:{}", hex::encode(Sha256::digest(&text[..start])));
    assert_eq!(end["digest"], digest);
    assert_eq!(end["rows"], rows.len());
    Read { text, rows, end }
}

fn ids(read: &Read) -> Vec<i64> {
    read.rows
        .iter()
        .map(|row| row["row"]["id"].as_i64().unwrap())
        .collect()
}

#[tokio::test]
async fn download_in_any_pages_has_each_row_once() {
    let mut fixture = Fixture::new();
    for chunk in 0..12_i64 {
        fixture.publish_next(&[chunk * 2, chunk * 2 + 1]).await;
    }
    let whole = download(&fixture, None, 100).await;
    assert_eq!(ids(&whole), (0..24).collect::<Vec<i64>>());
    assert_eq!(
        (&whole.end["reason"], &whole.end["is_caught_up"]),
        (&"caught_up".into(), &true.into())
    );
    for max in 1..=12 {
        let (mut after, mut found) = (None, Vec::new());
        loop {
            let read = download(&fixture, after.as_deref(), max).await;
            found.extend(ids(&read));
            after = read.end["next"].as_str().map(str::to_owned);
            if read.end["is_caught_up"] == true {
                break;
            }
            assert_eq!(read.end["reason"], "max");
        }
        assert_eq!(found, ids(&whole), "pages of {max}");
        assert_eq!(after.as_deref(), whole.end["next"].as_str());
    }
    assert!(whole.text.ends_with("}}\n"));
}

#[tokio::test]
async fn download_ends_before_other_columns() {
    let mut fixture = Fixture::new();
    fixture.publish_next(&[1]).await;
    fixture
        .publish(fixture.manifest(&["id", "more"]), &[2], false)
        .await;
    let one = text(begin(&fixture, None, 100, Format::Csv).await.unwrap()).await;
    let lines: Vec<&str> = one.split("\r\n").collect();
    assert_eq!(lines[..2], ["_epoch,_number,_deleted,id", "1,1,false,1"]);
    assert!(
        lines[2].starts_with("#end,1,sha-256:") && lines[2].ends_with(",false,columns_changed,"),
        "{one}"
    );
    let next = lines[2].split(',').nth(3).unwrap();
    let other = text(begin(&fixture, Some(next), 100, Format::Csv).await.unwrap()).await;
    assert!(
        other.starts_with("_epoch,_number,_deleted,id,more\r\n1,2,false,2,2\r\n#end,1,"),
        "{other}"
    );
}

#[tokio::test]
async fn download_ends_after_a_completed_resync() {
    let mut fixture = Fixture::new();
    fixture.publish_next(&[1]).await;
    let mut manifest = fixture.manifest(&["id"]);
    Fixture::open_epoch(&mut manifest);
    manifest.resync = Some(Resync {
        excluded_rows: 2,
        is_complete: true,
    });
    fixture.publish(manifest, &[1], false).await;
    fixture.publish_next(&[2]).await;
    let read = download(&fixture, None, 100).await;
    assert_eq!(read.end["reason"], "resynced");
    assert_eq!(
        read.end["resynced"],
        serde_json::json!({ "epoch": 2, "excluded_rows": 2 })
    );
    assert_eq!((read.rows.len(), &read.rows[1]["epoch"]), (2, &2.into()));
    let read = download(&fixture, read.end["next"].as_str(), 100).await;
    assert_eq!((ids(&read), read.end.get("resynced")), (vec![2], None));
}

#[tokio::test]
async fn download_of_encrypted_rows_is_refused() {
    let mut fixture = Fixture::new();
    fixture.publish_next(&[1]).await;
    fixture.publish(fixture.manifest(&["id"]), &[2], true).await;
    let read = download(&fixture, None, 100).await;
    assert_eq!((ids(&read), &read.end["reason"]), (vec![1], &"encrypted".into()));
    let next = read.end["next"].as_str();
    let refused = begin(&fixture, next, 100, Format::Ndjson).await;
    assert!(matches!(refused, Err(RowsError::Encrypted)));
}

#[tokio::test]
async fn download_ends_before_what_is_not_a_chunk() {
    let mut fixture = Fixture::new();
    fixture.publish_next(&[1]).await;
    fixture.publish_bytes(Bytes::from_static(b"not a chunk")).await;
    fixture.publish_next(&[2]).await;
    let read = download(&fixture, None, 100).await;
    assert_eq!((ids(&read), &read.end["reason"]), (vec![1], &"unreadable".into()));
    assert_eq!(read.end["is_caught_up"], false);
}

#[tokio::test]
async fn download_of_an_altered_body_returns_no_row() {
    let mut fixture = Fixture::new();
    fixture.publish_next(&[1]).await;
    let stored = fixture
        .exchange
        .stored_messages(exchange::port::Stream::Data)
        .remove(0);
    let chunk = FeedChunk::read(stored).unwrap();
    let mut altered = chunk.clone();
    let mut bytes = altered.stored.bytes.to_vec();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    altered.stored.bytes = bytes.into();
    let reader = FeedReader::open(fixture.exchange.clone(), fixture.lane.clone(), None, None)
        .await
        .unwrap();
    let refused = RowsDownload::begin(reader, &altered, Format::Ndjson, 1, CancellationToken::new());
    match refused {
        Err(RowsError::Unreadable(what)) => assert!(what.contains("digest"), "{what}"),
        _ => panic!("altered bytes were returned as rows"),
    }
}
