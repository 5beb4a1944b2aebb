//! The insurers' own programs: what they write and read.

use std::collections::BTreeMap;

use harness::NatsServers;

use super::{INSURERS, RequestSite};
use crate::requests::cases::RequestCase;

impl<S: NatsServers> RequestSite<S> {
    /// Writes a request into the outbox, as a program of insurer-a.
    pub(crate) async fn write_outbox_of_a(&self, cases: &[RequestCase]) {
        let session = self.store.connect().await;
        for request_case in cases {
            let arguments = serde_json::to_string(&request_case.arguments).unwrap();
            session
                .execute(
                    "INSERT INTO slacktide.outbox (idempotency, kind, arguments, purpose, basis) VALUES ($1, $2, $3, '01', $4) \
                     ON CONFLICT DO NOTHING",
                    &[&request_case.key, &request_case.kind, &arguments, &request_case.basis],
                )
                .await
                .unwrap();
        }
    }

    /// Returns each answer in insurer-a's database as one line, by recipient and request.
    pub(crate) async fn answers_of_a(&self) -> BTreeMap<String, String> {
        let mut all = BTreeMap::new();
        for (kind, line) in LINES {
            let sql = format!(
                "SELECT 'insurer-a.' || _slacktide_request, string_agg(concat_ws('|', {line}), ',' ORDER BY _slacktide_row_number) \
                 FROM answer_{kind} GROUP BY 1"
            );
            for row in self.store.query(&sql).await {
                assert!(
                    all.insert(row.get(0), row.get(1)).is_none(),
                    "two answers to one request"
                );
            }
        }
        all
    }

    /// Returns those of insurer-b.
    pub(crate) fn answers_of_b(&self) -> BTreeMap<String, String> {
        let store = rusqlite::Connection::open(self.file("insurer-b.db")).unwrap();
        let mut all: BTreeMap<String, String> = BTreeMap::new();
        for (kind, line) in LINES.iter().filter(|(kind, _)| *kind != "claim__over") {
            let line = line.replace(", ", " || '|' || ");
            let sql = format!(
                "SELECT 'insurer-b.' || _slacktide_request, {line} FROM answer_{kind} ORDER BY _slacktide_request, _slacktide_row_number"
            );
            // The table is created with the first rows of its kind.
            let there = format!("SELECT count(*) FROM sqlite_schema WHERE name = 'answer_{kind}'");
            if store.query_row(&there, [], |row| row.get::<_, i64>(0)).unwrap() == 0 {
                continue;
            }
            let mut statement = store.prepare(&sql).unwrap();
            let rows =
                statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)));
            for row in rows.unwrap() {
                let (request, line) = row.unwrap();
                all.entry(request)
                    .and_modify(|all| *all = format!("{all},{line}"))
                    .or_insert(line);
            }
        }
        all
    }

    pub(crate) async fn count_feed_rows(&self, insurer: &str) -> i64 {
        let sql = "SELECT count(*) FROM claim";
        if insurer == INSURERS[0] {
            return self.store.number(sql).await;
        }
        let store = rusqlite::Connection::open(self.file("insurer-b.db")).unwrap();
        store.query_row(sql, [], |row| row.get(0)).unwrap()
    }
}

/// For each kind, the columns of an answer's line.
const LINES: [(&str, &str); 3] = [
    ("claim__by_person", "id, day, amount"),
    ("claim__day", "day, claims, total"),
    ("claim__over", "id, day, amount"),
];
