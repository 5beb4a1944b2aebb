//! Rows and columns that the account cannot see.

use gate::Gate;
use source::evidence::ROWS_BY_ACCOUNT;
use source::{CursorSetBy, ErrorKind, Fence, Source};

use crate::postgres::{READER, database, open};
use crate::rows::{Taken, feed, run_checks, unverified};

const TABLE: &str = "CREATE TABLE t (id bigint PRIMARY KEY, tenant text, secret text); INSERT INTO t VALUES (1, 'a', 's'), (2, 'b', 's');";

/// Regression: a policy hides rows silently.
#[tokio::test]
async fn postgres_row_level_security_is_an_error() {
    let db = database(&format!(
        "{TABLE} CREATE VIEW mine AS SELECT * FROM t; ALTER TABLE t ENABLE ROW LEVEL SECURITY; \
         CREATE POLICY p ON t USING (tenant = 'a');"
    ))
    .await;
    let gate = Gate::fixed_open();
    let permit = gate.permit().await;
    let (source, role) = open(&db, READER, &gate).await;
    let feed = feed("SELECT id, tenant FROM t", &["id"], CursorSetBy::Application);
    let error = source.open_feed(&feed, &permit).await.err().unwrap();
    assert_eq!(error.kind, ErrorKind::Refused);
    assert!(
        error
            .to_string()
            .contains("row level security of \"public\".\"t\""),
        "{error}"
    );
    assert!(
        error
            .remedy
            .contains(&format!("ALTER ROLE \"{role}\" BYPASSRLS;")),
        "{error}"
    );
    // The remedy works.
    db.execute(&format!("ALTER ROLE \"{role}\" BYPASSRLS")).await;
    let mut reader = source.open_feed(&feed, &permit).await.unwrap();
    let mut taken = Taken::default();
    reader
        .read(None, &Fence::Open, 10, &permit, &mut taken)
        .await
        .unwrap();
    assert_eq!(taken.ids(), [1, 2]);
    // Enabled while the feed is read, it stops the feed as well.
    db.execute(&format!("ALTER ROLE \"{role}\" NOBYPASSRLS")).await;
    let error = reader
        .read(None, &Fence::Open, 10, &permit, &mut Taken::default())
        .await
        .unwrap_err();
    assert!(
        error.kind == ErrorKind::Refused && error.to_string().contains("row level security"),
        "{error}"
    );
}

/// Regression: the account may read some columns, but not those of the feed.
#[tokio::test]
async fn postgres_unreadable_column_is_found_when_opened() {
    let db = database(TABLE).await;
    let gate = Gate::fixed_open();
    let permit = gate.permit().await;
    let (source, role) = open(
        &db,
        "GRANT SELECT (id, tenant) ON t TO $role; GRANT pg_read_all_stats TO $role;",
        &gate,
    )
    .await;
    let whole = feed("SELECT * FROM t", &["id"], CursorSetBy::Application);
    let error = source.open_feed(&whole, &permit).await.err().unwrap();
    assert_eq!(error.kind, ErrorKind::Denied);
    assert!(
        error
            .remedy
            .contains(&format!("GRANT SELECT ON \"public\".\"t\" TO \"{role}\";")),
        "{error}"
    );
    let part = feed("SELECT id, tenant FROM t", &["id"], CursorSetBy::Application);
    let mut reader = source.open_feed(&part, &permit).await.unwrap();
    let mut taken = Taken::default();
    reader
        .read(None, &Fence::Open, 10, &permit, &mut taken)
        .await
        .unwrap();
    assert_eq!(taken.ids(), [1, 2]);
    db.execute(&format!("GRANT SELECT ON t TO \"{role}\"")).await;
    assert!(source.open_feed(&whole, &permit).await.is_ok());
}

#[tokio::test]
async fn postgres_view_that_depends_on_the_account_is_reported() {
    let db = database(&format!(
        "{TABLE} CREATE VIEW inner_view AS SELECT * FROM t WHERE tenant = current_user OR tenant = 'a';
         CREATE VIEW outer_view AS SELECT id, tenant FROM inner_view;
         CREATE VIEW plain_view AS SELECT id, tenant AS \"user\" FROM t;"
    ))
    .await;
    let gate = Gate::fixed_open();
    let permit = gate.permit().await;
    let (source, _) = open(&db, READER, &gate).await;
    for (sql, shown) in [
        ("SELECT * FROM outer_view", true),
        ("SELECT * FROM plain_view", false),
        ("SELECT * FROM t WHERE current_setting('x.y', true) IS NULL", true),
    ] {
        let feed = feed(sql, &["id"], CursorSetBy::Application);
        let mut reader = source.open_feed(&feed, &permit).await.unwrap();
        let codes = run_checks(reader.as_mut(), &permit).await;
        assert_eq!(codes.contains(&ROWS_BY_ACCOUNT), shown, "{sql}");
        if sql.contains("outer_view") {
            assert!(unverified(reader.as_ref(), ROWS_BY_ACCOUNT).contains("inner_view"));
        }
    }
}
