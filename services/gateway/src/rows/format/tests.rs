//! Rows in each format, read back.

use schemas::column::{Column, ColumnType};
use web::interface::feeds::{EndReason, Resynced};

use super::*;

const CHUNK: ChunkNumber = ChunkNumber { epoch: 2, number: 17 };

fn schema() -> RowSchema {
    let column = |name: &str, kind| Column {
        name: name.to_owned(),
        kind,
        nullable: true,
    };
    RowSchema {
        name: "claims".to_owned(),
        version: 1,
        columns: vec![
            column("id", ColumnType::Int8),
            column(
                "amount",
                ColumnType::Decimal {
                    precision: None,
                    scale: Some(2),
                },
            ),
            column("memo", ColumnType::Text { max: None }),
            column("deleted", ColumnType::Bool),
        ],
        key: vec!["id".to_owned()],
        tombstone: Some("deleted".to_owned()),
    }
}

fn row<'a>(memo: Value<'a>, deleted: bool) -> [Value<'a>; 4] {
    [Value::Int(7), Value::Text("-12.50"), memo, Value::Bool(deleted)]
}

fn end() -> RowsEnd {
    RowsEnd {
        rows: 2,
        digest: "sha-256:00".to_owned(),
        next: "2.17.99.0123456789abcdef".to_owned(),
        is_caught_up: true,
        reason: EndReason::CaughtUp,
        rejects: 0,
        withheld: 3,
        resynced: Some(Resynced {
            epoch: 2,
            excluded_rows: 0,
        }),
    }
}

#[test]
fn ndjson_row_has_chunk_deletion_mark_and_values() {
    let mut out = String::new();
    Format::Ndjson.feed_header(&schema(), &mut out);
    Format::Ndjson.feed_row(&schema(), CHUNK, &row(Value::Text("a\n\"张\""), false), &mut out);
    Format::Ndjson.feed_row(&schema(), CHUNK, &row(Value::Null, true), &mut out);
    Format::Ndjson.feed_end(&end(), &mut out);
    let lines: Vec<serde_json::Value> = out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(
        lines[0],
        json!({ "epoch": 2, "number": 17, "deleted": false,
                "row": { "id": 7, "amount": "-12.50", "memo": "a\n\"张\"", "deleted": false } })
    );
    assert_eq!(
        (&lines[1]["deleted"], &lines[1]["row"]["memo"]),
        (&json!(true), &json!(null))
    );
    assert_eq!(lines[2]["end"]["next"], "2.17.99.0123456789abcdef");
    assert_eq!(lines[2]["end"]["reason"], "caught_up");
    assert_eq!(
        lines[2]["end"]["resynced"],
        json!({ "epoch": 2, "excluded_rows": 0 })
    );
    assert_eq!(lines.len(), 3);
}

#[test]
fn csv_is_rfc4180_and_values_stay_data() {
    let mut out = String::new();
    Format::Csv.feed_header(&schema(), &mut out);
    for memo in [
        Value::Text("=1+1"),
        Value::Text("a,\"b\"\r\nc"),
        Value::Text(""),
        Value::Null,
    ] {
        Format::Csv.feed_row(&schema(), CHUNK, &row(memo, false), &mut out);
    }
    Format::Csv.feed_end(&end(), &mut out);
    let expected = "_epoch,_number,_deleted,id,amount,memo,deleted\r\n\
        2,17,false,7,-12.50,=1+1,false\r\n\
        2,17,false,7,-12.50,\"a,\"\"b\"\"\r\nc\",false\r\n\
        2,17,false,7,-12.50,\"\",false\r\n\
        2,17,false,7,-12.50,,false\r\n\
        #end,2,sha-256:00,2.17.99.0123456789abcdef,true,caught_up,2\r\n";
    assert_eq!(out, expected);
}

#[test]
fn answer_is_valid_in_each_format() {
    let write = |format: Format| {
        let mut out = String::new();
        format.answer_header(Some(&schema()), &json!({ "id": "20260131-abcdefgh" }), &mut out);
        format.answer_row(&schema(), true, &row(Value::Text("x"), false), &mut out);
        format.answer_row(&schema(), false, &row(Value::Null, false), &mut out);
        format.answer_end(2, "sha-256:00", "answered", None, &mut out);
        out
    };
    let json: serde_json::Value = serde_json::from_str(&write(Format::Json)).unwrap();
    assert_eq!(
        json,
        json!({ "id": "20260131-abcdefgh",
                "rows": [[7, "-12.50", "x", false], [7, "-12.50", null, false]] })
    );
    assert_eq!(
        write(Format::Csv),
        "id,amount,memo,deleted\r\n7,-12.50,x,false\r\n7,-12.50,,false\r\n#end,2,sha-256:00,answered\r\n"
    );
    let ndjson = write(Format::Ndjson);
    let lines: Vec<serde_json::Value> = ndjson
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines[0]["row"]["memo"], "x");
    assert_eq!(lines[2]["end"]["outcome"], "answered");
}

#[test]
fn answer_without_rows_is_valid_json() {
    let mut out = String::new();
    Format::Json.answer_header(None, &json!({}), &mut out);
    Format::Json.answer_end(0, "sha-256:00", "empty", None, &mut out);
    let read: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(read, json!({ "rows": [] }));
}

#[test]
fn format_is_chosen_by_the_accept_header() {
    let offered = [Format::Ndjson, Format::Csv];
    for (accept, expected) in [
        (None, Some(Format::Ndjson)),
        (Some("*/*"), Some(Format::Ndjson)),
        (Some("text/csv"), Some(Format::Csv)),
        (Some("TEXT/CSV; q=0.5, */*;q=0.1"), Some(Format::Csv)),
        (Some("text/*"), Some(Format::Csv)),
        (Some("application/x-ndjson;q=0, */*"), Some(Format::Csv)),
        (Some("text/html, application/x-ndjson"), Some(Format::Ndjson)),
        (Some("application/json"), None),
        (Some("text/csv;q=0"), None),
        (Some(""), None),
    ] {
        assert_eq!(Format::accepted(accept, &offered), expected, "{accept:?}");
    }
}
