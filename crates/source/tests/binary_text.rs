//! Values that are converted to text by the agent, next to the text that the server makes of them.

use std::fmt::Write as _;

use gate::Gate;
use source::{CursorSetBy, Fence, Source};

use crate::postgres::{READER, database, open};
use crate::rows::{drain, feed};

/// Expressions over a row number `i`, for each type. Each has edges and random values.
const VALUES: [(&str, &str); 6] = [
    (
        "numeric",
        "CASE WHEN i <= 14 THEN (ARRAY['NaN', 'Infinity', '-Infinity', '0', '-0.00', '0.0000', '1e-30', '1e30', '-9999.9999',
            '10000', '0.00010', '100000000.00000000', '99999999999999999999.99', NULL])[i]::numeric
         ELSE round((random() * 10 ^ (i % 25) - 10 ^ (i % 7))::numeric, (i % 31) - 6) END",
    ),
    (
        "date",
        "CASE WHEN i <= 10 THEN (ARRAY['infinity', '-infinity', '0001-01-01', '0001-12-31 BC', '4713-01-01 BC',
            '5874897-12-31', '2000-02-29', '1900-02-28', '1900-03-01', NULL])[i]::date
         ELSE '2000-01-01'::date + (random() * 3000000 - 900000)::int END",
    ),
    (
        "time",
        "CASE WHEN i <= 5 THEN (ARRAY['24:00:00', '00:00:00', '23:59:59.999999', '12:00:00.10', NULL])[i]::time
         ELSE '00:00:00'::time + random() * interval '1 day' END",
    ),
    (
        "timestamp",
        "CASE WHEN i <= 7 THEN (ARRAY['infinity', '-infinity', '294276-12-31 23:59:59.999999', '4713-01-01 00:00:00 BC',
            '0001-12-31 23:59:59.000001 BC', '1999-12-31 23:59:59.9', NULL])[i]::timestamp
         ELSE '2000-01-01'::timestamp + (random() * 2000000 - 700000) * interval '1 day' END",
    ),
    (
        "timestamptz",
        "CASE WHEN i <= 7 THEN (ARRAY['infinity', '-infinity', '294276-12-31 23:59:59.999999+00', '4713-01-01 00:00:00+00 BC',
            '0001-12-31 23:59:59.000001+00 BC', '1999-12-31 23:59:59.9+08', NULL])[i]::timestamptz
         ELSE '2000-01-01'::timestamptz + (random() * 2000000 - 700000) * interval '1 day' END",
    ),
    ("uuid", "CASE WHEN i > 1 THEN gen_random_uuid() END"),
];

/// The text of a value becomes part of the chunk, of positions and of keys: it must not depend on who makes it.
#[tokio::test]
async fn binary_text_is_the_text_of_the_server() {
    let (mut columns, mut values, mut select) = (String::new(), String::new(), String::new());
    for (kind, expression) in VALUES {
        write!(columns, ", v_{kind} {kind}").unwrap();
        write!(values, ", {expression}").unwrap();
        write!(select, ", v_{kind}, v_{kind}::text AS t_{kind}").unwrap();
    }
    let db = database(&format!(
        "SET TIME ZONE 'UTC'; CREATE TABLE t (id bigint PRIMARY KEY{columns});
         INSERT INTO t SELECT i{values} FROM generate_series(1, 5000) AS i;"
    ))
    .await;
    let gate = Gate::fixed_open();
    let (source, _) = open(&db, READER, &gate).await;
    let permit = gate.permit().await;
    let feed = feed(
        &format!("SELECT id{select} FROM t"),
        &["id"],
        CursorSetBy::Application,
    );
    let mut reader = source.open_feed(&feed, &permit).await.unwrap();
    let taken = drain(reader.as_mut(), &["id"], &Fence::Open, 999, &permit).await;
    assert_eq!((taken.rows.len(), taken.rejects.len()), (5000, 0));
    for row in &taken.rows {
        for ((kind, _), pair) in VALUES.iter().zip(row[1..].chunks(2)) {
            assert_eq!(pair[0], pair[1], "{kind} of row {}", row[0]);
        }
    }
    source.close().await;
}
