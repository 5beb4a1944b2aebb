//! Reading a feed in order, from cursors, around what is not a chunk.

use bytes::Bytes;

use super::*;
use crate::fixture::Fixture;

async fn open(
    fixture: &Fixture,
    after: Option<&FeedCursor>,
    skip: Option<u64>,
) -> Result<FeedReader, ReadError> {
    FeedReader::open(fixture.exchange.clone(), fixture.lane.clone(), after, skip).await
}

/// Reads to the end and returns epoch and number of each chunk, and the error that ended it.
async fn numbers(reader: &mut FeedReader) -> (Vec<(u32, u64)>, Option<String>) {
    let mut found = Vec::new();
    loop {
        match reader.next().await {
            Ok(Some(chunk)) => found.push((chunk.manifest.epoch, chunk.manifest.number)),
            Ok(None) => return (found, None),
            Err(ReadError::Unreadable(what)) => return (found, Some(what)),
            Err(other) => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn reader_returns_each_chunk_once_after_any_cursor() {
    let mut fixture = Fixture::new();
    for value in 0..20 {
        fixture.publish_next(&[value]).await;
    }
    let mut reader = open(&fixture, None, None).await.unwrap();
    let mut cursors = Vec::new();
    while let Some(chunk) = reader.next().await.unwrap() {
        cursors.push((chunk.manifest.number, chunk.cursor()));
    }
    assert_eq!(cursors.len(), 20);
    for (number, cursor) in cursors {
        let mut reader = open(&fixture, Some(&cursor), None).await.unwrap();
        let (found, error) = numbers(&mut reader).await;
        let expected: Vec<(u32, u64)> = (number + 1..=20).map(|number| (1, number)).collect();
        assert_eq!((found, error), (expected, None), "after {cursor}");
    }
}

#[tokio::test]
async fn reader_continues_in_the_next_epoch() {
    let mut fixture = Fixture::new();
    fixture.publish_next(&[1]).await;
    let mut manifest = fixture.manifest(&["id"]);
    Fixture::open_epoch(&mut manifest);
    fixture.publish(manifest, &[1], false).await;
    fixture.publish_next(&[2]).await;
    let mut reader = open(&fixture, None, None).await.unwrap();
    let expected = vec![(1, 1), (2, 1), (2, 2)];
    assert_eq!(numbers(&mut reader).await, (expected, None));
}

#[tokio::test]
async fn reader_cursor_of_another_history_is_gone() {
    let mut fixture = Fixture::new();
    let mut other = Fixture::new();
    for value in 0..3 {
        fixture.publish_next(&[value]).await;
        other.publish_next(&[value + 10]).await;
    }
    let mut reader = open(&other, None, None).await.unwrap();
    let foreign = reader.next().await.unwrap().unwrap().cursor();
    let beyond = FeedCursor {
        sequence: 99,
        ..foreign.clone()
    };
    for cursor in [&foreign, &beyond] {
        match open(&fixture, Some(cursor), None).await {
            Err(ReadError::CursorGone(what)) => {
                assert!(what.contains("1.1: start again without `after`"), "{what}");
            }
            _ => panic!("{cursor} was accepted"),
        }
    }
}

#[tokio::test]
async fn reader_stops_at_what_is_not_the_next_chunk() {
    let mut fixture = Fixture::new();
    fixture.publish_next(&[1]).await;
    fixture.publish_bytes(Bytes::from_static(b"not a chunk")).await;
    let foreign = fixture.last_sequence();
    fixture.publish_next(&[2]).await;
    let mut reader = open(&fixture, None, None).await.unwrap();
    let (found, error) = numbers(&mut reader).await;
    let error = error.unwrap();
    assert_eq!(found, [(1, 1)]);
    assert!(
        error.contains("it is not a chunk") && error.contains(&format!("&skip={foreign}")),
        "{error}"
    );
    // It stays there.
    assert!(numbers(&mut reader).await.1.is_some());
    let mut reader = open(&fixture, None, Some(foreign)).await.unwrap();
    assert_eq!(numbers(&mut reader).await, (vec![(1, 1), (1, 2)], None));
}

#[tokio::test]
async fn reader_gap_in_the_numbers_is_reported() {
    let mut fixture = Fixture::new();
    fixture.publish_next(&[1]).await;
    let mut manifest = fixture.manifest(&["id"]);
    manifest.number += 1;
    fixture.publish(manifest, &[3], false).await;
    let sequence = fixture.last_sequence();
    let mut reader = open(&fixture, None, None).await.unwrap();
    let (found, error) = numbers(&mut reader).await;
    assert_eq!(found, [(1, 1)]);
    assert!(error.unwrap().contains("chunks between them are missing"));
    let mut reader = open(&fixture, None, Some(sequence)).await.unwrap();
    assert_eq!(numbers(&mut reader).await, (vec![(1, 1), (1, 3)], None));
}

#[tokio::test]
async fn reader_chunk_of_another_chain_is_reported() {
    let mut fixture = Fixture::new();
    fixture.publish_next(&[1]).await;
    let mut relinked = fixture.manifest(&["id"]);
    relinked.previous = Some(Digest::of(&[b"another"]));
    fixture.publish(relinked, &[2], false).await;
    let mut reader = open(&fixture, None, None).await.unwrap();
    let error = numbers(&mut reader).await.1.unwrap();
    assert!(error.contains("does not name the digest"), "{error}");
    let mut fixture = Fixture::new();
    fixture.publish_next(&[1]).await;
    let mut unopened = fixture.manifest(&["id"]);
    unopened.epoch = 2;
    unopened.number = 1;
    fixture.publish(unopened, &[2], false).await;
    let mut reader = open(&fixture, None, None).await.unwrap();
    let error = numbers(&mut reader).await.1.unwrap();
    assert!(error.contains("does not open the next epoch"), "{error}");
}
