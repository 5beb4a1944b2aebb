//! The rows: settlements of about 300 bytes, identical in every run.

use std::collections::BTreeMap;
use std::time::Duration;

use schemas::name::FeedName;
use source::{CursorSetBy, FeedDefinition};

use crate::Outcome;

/// The table in the core, and in the target of the ceiling.
pub(crate) const TABLE: &str = "CREATE TABLE setl (
    setl_id bigint PRIMARY KEY,
    updt_time timestamptz NOT NULL,
    mdtrt_id text NOT NULL,
    psn_no text NOT NULL,
    insutype text NOT NULL,
    psn_type text NOT NULL,
    fixmedins_code text NOT NULL,
    fixmedins_name text NOT NULL,
    dept_name text NOT NULL,
    begndate date NOT NULL,
    enddate date NOT NULL,
    med_type text NOT NULL,
    medfee_sumamt numeric(16,2) NOT NULL,
    fulamt_ownpay_amt numeric(16,2) NOT NULL,
    inscp_scp_amt numeric(16,2) NOT NULL,
    hifp_pay numeric(16,2) NOT NULL,
    acct_pay numeric(16,2) NOT NULL,
    psn_cash_pay numeric(16,2) NOT NULL,
    dise_codg text,
    dise_name text,
    refd boolean NOT NULL
)";

/// Fills the table with `$rows` rows. Amounts are consistent: the sum is what the fund, the account and the person pay.
pub(crate) const FILL: &str = "INSERT INTO setl
SELECT n, timestamptz '2026-01-01 00:00:00+00' + n * interval '1 ms',
    'M' || md5(n::text), 'P' || lpad((n * 7919 % 10000000)::text, 19, '0'),
    CASE WHEN n % 3 = 0 THEN '310' ELSE '390' END, (1101 + n % 4)::text,
    'H' || lpad((n % 211)::text, 11, '0'), 'Municipal People''s Hospital No. ' || n % 211,
    'Department of Internal Medicine ' || n % 53,
    date '2025-12-01' + (n % 28)::int, date '2025-12-03' + (n % 28)::int,
    CASE WHEN n % 5 = 0 THEN '21' ELSE '11' END,
    fund + account + cash, cash * 0.4, fund + account, fund, account, cash,
    CASE WHEN n % 7 > 0 THEN 'I' || lpad((n % 97)::text, 2, '0') || '.' || n % 10 END,
    CASE WHEN n % 7 > 0 THEN 'Essential hypertension, stage ' || n % 3 || ', risk group ' || n % 97 END,
    n % 1000 = 0
FROM generate_series(1::bigint, $rows) AS n,
    LATERAL (SELECT (n * 104729 % 900000) / 100.0 AS fund, (n * 1299709 % 50000) / 100.0 AS account,
        (n * 15485863 % 90000) / 100.0 AS cash) AS amounts";

/// The index of the feed's cursor.
pub(crate) const INDEX: &str = "CREATE INDEX setl_updt ON setl (updt_time, setl_id)";

/// The money columns whose sums are control totals.
pub(crate) const MONEY: [&str; 3] = ["medfee_sumamt", "hifp_pay", "psn_cash_pay"];

/// The cursor.
pub(crate) const CURSOR: [&str; 2] = ["updt_time", "setl_id"];

/// The key.
pub(crate) const KEY: &str = "setl_id";

/// Returns the feed's SQL for the first rows.
pub(crate) fn sql(rows: u64) -> String {
    format!("SELECT * FROM setl WHERE setl_id <= {rows}")
}

/// Returns the feed, for the stages without a configuration file.
///
/// # Errors
/// If the name is invalid.
pub(crate) fn definition(name: &str, rows: u64) -> Outcome<FeedDefinition> {
    Ok(FeedDefinition {
        name: FeedName::new(name)?,
        version: 1,
        sql: sql(rows),
        cursor: CURSOR.map(str::to_owned).to_vec(),
        cursor_set_by: CursorSetBy::Transaction,
        lag: Duration::from_secs(2),
        key: vec![KEY.to_owned()],
        money: MONEY.map(str::to_owned).to_vec(),
        tombstone: None,
        types: BTreeMap::new(),
        clock: source::feed::CursorClock::default(),
    })
}
