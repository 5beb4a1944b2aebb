//! Every kind of source to every kind of store: wide, mostly empty rows, equal column by column, exact sums.

use super::files::OPEN;
use super::site::{SOON, Site};
use harness::until;
use std::fmt::Write as _;

/// 85 columns, of which a row fills a dozen; a composite key; amounts as badly maintained cores write them.
const COLUMNS: usize = 85;
const LINES: i64 = 400;

/// `(name, cursor, columns)`; the money column is `paid_amount`, if the table has it.
fn tables() -> [(&'static str, [&'static str; 2], Vec<String>); 3] {
    let wide = (6..=COLUMNS).map(|n| format!("diagnosis_code_{n}"));
    let head = [
        "claim_id",
        "claim_line_number",
        "service_date",
        "paid_amount",
        "note",
    ]
    .map(str::to_owned);
    let pharmacy = ["claim_id", "claim_line_number", "dispensed_on", "paid_amount"].map(str::to_owned);
    let spans = ["patient_id", "enrollment_start_date", "enrollment_end_date"].map(str::to_owned);
    let key = ["claim_id", "claim_line_number"];
    [
        ("medical_claim", key, head.into_iter().chain(wide).collect()),
        ("pharmacy_claim", key, pharmacy.to_vec()),
        (
            "eligibility",
            ["patient_id", "enrollment_start_date"],
            spans.to_vec(),
        ),
    ]
}

/// Returns the value of a column in a row as SQL text; none is NULL.
fn value(column: &str, row: i64) -> Option<String> {
    Some(match column {
        "claim_id" => format!("C{:05}", row / 3),
        "claim_line_number" => (row % 3 + 1).to_string(),
        "patient_id" => format!("P{row}"),
        "paid_amount" if row % 7 == 0 => "46.620000000000005".to_owned(),
        "paid_amount" => format!("{}.{:02}", row * 3, row % 100),
        "note" if row % 5 == 0 => "a line\nand \"quotes\", é漢".to_owned(),
        "enrollment_end_date" if row % 2 == 0 => return None,
        _ if column.contains("date") || column == "dispensed_on" => {
            format!("2018-0{}-1{}", row % 9 + 1, row % 10)
        }
        _ if column.len() as i64 % 9 == row % 9 && column.ends_with('7') => format!("E{row}.9"),
        _ => return None,
    })
}

/// Returns statements that create and fill the tables; PostgreSQL uses its date and numeric types.
fn sql(postgres: bool) -> String {
    let mut text = String::new();
    for (name, key, columns) in tables() {
        let declared = columns.iter().map(|column| {
            let kind = match column.as_str() {
                "claim_line_number" => "integer",
                "paid_amount" if postgres => "numeric",
                _ if postgres && (column.contains("date") || column == "dispensed_on") => "date",
                _ => "text",
            };
            let not_null = if key.contains(&column.as_str()) {
                " NOT NULL"
            } else {
                ""
            };
            format!("{column} {kind}{not_null}")
        });
        let declared = declared.collect::<Vec<_>>().join(", ");
        writeln!(
            text,
            "CREATE TABLE {name} ({declared}, PRIMARY KEY ({}));",
            key.join(", ")
        )
        .unwrap();
        for row in 0..LINES {
            let values = columns
                .iter()
                .map(|column| value(column, row).map_or("NULL".to_owned(), |value| format!("'{value}'")));
            let values = values.collect::<Vec<_>>().join(", ");
            writeln!(text, "INSERT INTO {name} VALUES ({values});").unwrap();
        }
    }
    text
}

fn feeds(postgres: bool) -> String {
    let mut text = String::new();
    for (name, key, columns) in tables() {
        let money = columns.iter().any(|column| column == "paid_amount");
        write!(
            text,
            "[[feed]]\nname = \"{name}\"\nsql = \"SELECT * FROM {name}\"\ncursor = {key:?}\n\
             cursor_set_by = \"application\"\nlag = \"1s\"\nkey = {key:?}\nrecipients = [\"insurer-a\"]\n"
        )
        .unwrap();
        if money {
            text += "money = [\"paid_amount\"]\n";
        }
        if money && !postgres {
            text += "types = { paid_amount = \"numeric\" }\n";
        }
    }
    text
}

/// Returns all rows of a table at the store, every column as text.
async fn stored_rows(
    site: &Site,
    postgres: bool,
    name: &str,
    columns: &[String],
    key: &[&str],
) -> Option<Vec<Vec<Option<String>>>> {
    let select = columns
        .iter()
        .map(|column| format!("CAST({column} AS text)"))
        .collect::<Vec<_>>()
        .join(", ");
    let select = format!("SELECT {select} FROM {name} ORDER BY {}", key.join(", "));
    let width = columns.len();
    if postgres {
        let rows = site.insurer.connect().await.query(&select, &[]).await.ok()?;
        return Some(
            rows.iter()
                .map(|row| (0..width).map(|at| row.get(at)).collect())
                .collect(),
        );
    }
    let store = rusqlite::Connection::open_with_flags(
        site.path("store.db"),
        rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY,
    )
    .ok()?;
    let mut rows = store.prepare(&select).ok()?;
    let rows = rows
        .query_map([], |row| (0..width).map(|at| row.get(at)).collect())
        .ok()?;
    rows.collect::<Result<_, _>>().ok()
}

async fn pair(from_postgres: bool, to_postgres: bool) {
    let mut site = Site::start().await;
    let source = if from_postgres {
        site.core.execute(&sql(true)).await;
        site.core
            .execute(&format!(
                "GRANT SELECT ON ALL TABLES IN SCHEMA public TO {}",
                site.reader
            ))
            .await;
        site.postgres_source()
    } else {
        let core = rusqlite::Connection::open(site.path("core.db")).unwrap();
        core.execute_batch(&format!("BEGIN; {} COMMIT;", sql(false)))
            .unwrap();
        "kind = \"sqlite\"\npath = \"core.db\"".to_owned()
    };
    let store = if to_postgres {
        site.postgres_store()
    } else {
        "kind = \"sqlite\"\npath = \"store.db\"".to_owned()
    };
    site.social("s1", &source, OPEN, &feeds(from_postgres));
    site.commercial("c1", &store);
    site.start_agent("s1", "social");
    site.start_agent("c1", "commercial");
    for (name, key, columns) in tables() {
        let rows = until(&format!("all rows of {name}"), SOON, async || {
            let rows = stored_rows(&site, to_postgres, name, &columns, &key)
                .await
                .unwrap_or_default();
            let count = rows.len();
            if count == usize::try_from(LINES).unwrap() {
                return Ok(rows);
            }
            let (social, commercial) = (site.status("s1").await, site.status("c1").await);
            Err(format!("{count} rows; {social:?}; {commercial:?}"))
        })
        .await;
        let mut wanted: Vec<Vec<Option<String>>> = (0..LINES)
            .map(|row| columns.iter().map(|column| value(column, row)).collect())
            .collect();
        // The order of text differs between databases, so sets with their counts are compared.
        let mut rows = rows;
        wanted.sort();
        rows.sort();
        for (row, wanted) in rows.iter().zip(&wanted) {
            for ((column, got), wanted) in columns.iter().zip(row).zip(wanted) {
                assert_eq!(got, wanted, "{name}.{column} of {:?}", &row[..2]);
            }
        }
    }
    site.assert_chain_valid(1).await;
}

#[tokio::test]
async fn delivery_from_postgres_to_postgres() {
    pair(true, true).await;
}

#[tokio::test]
async fn delivery_from_postgres_to_sqlite() {
    pair(true, false).await;
}

#[tokio::test]
async fn delivery_from_sqlite_to_postgres() {
    pair(false, true).await;
}

#[tokio::test]
async fn delivery_from_sqlite_to_sqlite() {
    pair(false, false).await;
}
