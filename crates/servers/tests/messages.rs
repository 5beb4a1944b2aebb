//! What a real server's errors and notices leave behind.

use harness::Postgres;
use servers::{Answer, cause};

use crate::site::connect;

/// Each is a way in which a server repeats a value of a row.
const SPEAKING: &[(&str, &str)] = &[
    (
        "SELECT 'HUSH'::integer",
        "a text does not read as the column's type (SQLSTATE 22P02)",
    ),
    (
        "INSERT INTO t VALUES (1, 'HUSH')",
        "a unique constraint is violated (SQLSTATE 23505), constraint \"t_pkey\"",
    ),
    (
        "INSERT INTO t VALUES (2, repeat('HUSH', 9))",
        "a check constraint is violated (SQLSTATE 23514), constraint \"short\"",
    ),
    (
        "INSERT INTO t VALUES (NULL, 'HUSH')",
        "a null where none is allowed (SQLSTATE 23502), column \"id\"",
    ),
    (
        "SELECT loud('P0001')",
        "a function or trigger raised an error (SQLSTATE P0001)",
    ),
    // Posing as the server's own: a constraint, a column, a name in a statement.
    (
        "SELECT loud('23505')",
        "a function or trigger raised an error (SQLSTATE 23505)",
    ),
    (
        "SELECT loud('42703')",
        "a function or trigger raised an error (SQLSTATE 42703)",
    ),
    (
        "SELECT loud('57014')",
        "a function or trigger raised an error (SQLSTATE 57014)",
    ),
    (
        "SELECT loud('AB123')",
        "a function or trigger raised an error (SQLSTATE AB123)",
    ),
    ("SELECT dynamic()", "syntax error (SQLSTATE 42601)"),
    (
        "INSERT INTO d DEFAULT VALUES",
        "a function or trigger raised an error (SQLSTATE P0001)",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn answer_of_the_server_passes_on_no_value() {
    let db = Postgres::shared().await.database("messages").await;
    db.execute(
        "CREATE TABLE t (id int PRIMARY KEY, name text CONSTRAINT short CHECK (length(name) < 30)); \
         INSERT INTO t VALUES (1, 'HUSH'); \
         CREATE FUNCTION loud(code text) RETURNS int LANGUAGE plpgsql AS $$ BEGIN \
         RAISE NOTICE 'HUSH'; RAISE WARNING 'HUSH'; RAISE EXCEPTION 'HUSH' USING ERRCODE = code, DETAIL = 'HUSH', \
         HINT = 'HUSH', COLUMN = 'HUSH', CONSTRAINT = 'HUSH', DATATYPE = 'HUSH', TABLE = 'HUSH', SCHEMA = 'HUSH'; END $$; \
         CREATE FUNCTION dynamic() RETURNS int LANGUAGE plpgsql AS $$ BEGIN EXECUTE 'SELECT 1 HUSH HUSH'; END $$; \
         CREATE TABLE d (x int DEFAULT loud('P0001'))",
    )
    .await;
    let reached = connect(&db.url).await.unwrap();
    tokio::spawn(reached.driver.run());
    for (sql, expected) in SPEAKING {
        let error = reached.client.batch_execute(sql).await.expect_err(sql);
        let answer = Answer::of(error.as_db_error().unwrap());
        let shown = [cause(&error), answer.to_string(), format!("{answer:?}")];
        for text in shown {
            assert_eq!(text, *expected, "{sql}");
        }
    }
    let copied = reached
        .client
        .batch_execute("SELECT 'x: HUSH'::int")
        .await
        .unwrap_err();
    let answer = Answer::of(copied.as_db_error().unwrap());
    assert_eq!((answer.position(), answer.copied_column(&["x"])), (Some(8), None));
}
