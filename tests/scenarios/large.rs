//! Values of 1 MB, and a row larger than a message, in addition to the table of every type.

use harness::{Db, until};
use rusqlite::Connection;

use super::site::{SOON, Site};

pub(super) const FEED: &str = "[[feed]]\nname = \"large\"\nsql = \"SELECT * FROM large\"\ncursor = [\"id\"]\n\
     cursor_set_by = \"application\"\nlag = \"100ms\"\nkey = [\"id\"]\nrecipients = [\"insurer-a\"]\n";

const POSTGRES: &str = "CREATE TABLE large (id bigint PRIMARY KEY, body text, bytes bytea, amount numeric);
    INSERT INTO large SELECT 2, repeat('é漢🜍', 120000), decode(string_agg(md5(i::text), ''), 'hex'),
        ('-1' || repeat('7', 131000) || '.' || repeat('3', 16383))::numeric FROM generate_series(1, 65536) i;
    INSERT INTO large VALUES (1, '', '', 0.0), (3, repeat('x', 3200000), '', 0), (4, NULL, NULL, 'NaN');";

const SQLITE: &str = "CREATE TABLE large (id INTEGER PRIMARY KEY NOT NULL, body TEXT, bytes BLOB, amount DECIMAL_TEXT);
    INSERT INTO large VALUES (1, '', x'', '0.0'), (4, NULL, NULL, 'NaN'),
        (2, replace(hex(zeroblob(120000)), '00', 'é漢🜍'), randomblob(1048576),
            '-1' || replace(hex(zeroblob(131000)), '00', '7') || '.' || replace(hex(zeroblob(16383)), '00', '3')),
        (3, replace(hex(zeroblob(3200000)), '00', 'x'), x'', '0');";

type Row = (i64, Option<String>, Option<Vec<u8>>, Option<String>);

pub(super) async fn create(site: &Site, from_postgres: bool) {
    if from_postgres {
        site.core.execute(POSTGRES).await;
    } else {
        Connection::open(site.path("core.db"))
            .unwrap()
            .execute_batch(SQLITE)
            .unwrap();
    }
}

async fn in_postgres(db: &Db) -> Vec<Row> {
    let sql = "SELECT id, body, bytes, amount::text FROM large ORDER BY id";
    let rows = db.connect().await.query(sql, &[]).await.unwrap();
    rows.iter()
        .map(|row| (row.get(0), row.get(1), row.get(2), row.get(3)))
        .collect()
}

fn in_sqlite(site: &Site, name: &str) -> Vec<Row> {
    let file = Connection::open(site.path(name)).unwrap();
    let sql = "SELECT id, body, bytes, amount FROM large ORDER BY id";
    let mut rows = file.prepare(sql).unwrap();
    let rows = rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)));
    rows.unwrap().map(Result::unwrap).collect()
}

/// Returns the quarantine's note of the row that is larger than a message.
async fn note(site: &Site, to_postgres: bool) -> Vec<Vec<u8>> {
    let of = "WHERE feed = 'large' AND kind = 'reject'";
    if to_postgres {
        let sql = format!("SELECT bytes FROM slacktide.quarantine {of}");
        let rows = site.insurer.connect().await.query(&sql, &[]).await.unwrap();
        return rows.iter().map(|row| row.get(0)).collect();
    }
    let file = Connection::open(site.path("store.db")).unwrap();
    let mut rows = file
        .prepare(&format!(
            "SELECT CAST(bytes AS BLOB) FROM slacktide_quarantine {of}"
        ))
        .unwrap();
    let rows = rows.query_map([], |row| row.get(0)).unwrap();
    rows.map(Result::unwrap).collect()
}

/// Waits until all rows but the third are equal; for the third there are key, column and reason, and it is counted.
pub(super) async fn wait_stored(site: &Site, from_postgres: bool, to_postgres: bool) {
    site.wait_status("c1", "the large rows", |status| {
        status["lanes"]["insurer-a.large"]["rows"] == 3
    })
    .await;
    let mut here = if from_postgres {
        in_postgres(&site.core).await
    } else {
        in_sqlite(site, "core.db")
    };
    here.retain(|row| row.0 != 3);
    let large = here[1].1.as_ref().map_or(0, String::len);
    assert!(large > 1_000_000 && here.len() == 3, "{large}");
    let there = if to_postgres {
        in_postgres(&site.insurer).await
    } else {
        in_sqlite(site, "store.db")
    };
    // assert_eq would print megabytes.
    assert!(here == there, "a large value became another");
    let notes = until("the note of the row", SOON, async || {
        let notes = note(site, to_postgres).await;
        if notes.is_empty() { Err("none") } else { Ok(notes) }
    })
    .await;
    assert_eq!(notes.len(), 1);
    let note: serde_json::Value = serde_json::from_slice(&notes[0]).unwrap();
    assert_eq!((&note["key"][0], &note["column"]), (&3.into(), &"body".into()));
    assert!(
        note["reason"]
            .as_str()
            .is_some_and(|reason| reason.contains("3000000")),
        "{note}"
    );
    site.wait_status("s1", "the reject to be counted", |status| {
        status["lanes"]["insurer-a.large"]["rejects"] == 1
    })
    .await;
}
