//! Creates and fills the core.

use std::path::Path;
use std::time::Duration;

use rusqlite::types::Value;
use rusqlite::{Connection, Transaction, params_from_iter};

use super::person::Person;
use super::rng::Rng;
use super::settlement::Settlement;
use super::tables::TABLES;
use super::visit::Visit;

/// 2024-03-01 00:00 in Shanghai: the history ends here, long before any clock that runs the demo.
const HISTORY_END_MS: i64 = 1_709_222_400_000;

/// Opens the core for the business, in WAL mode, so that a reader never waits for a writer.
pub(crate) fn open(path: &Path) -> rusqlite::Result<Connection> {
    let core = Connection::open(path)?;
    core.busy_timeout(Duration::from_secs(10))?;
    core.pragma_update(None, "journal_mode", "WAL")?;
    core.pragma_update(None, "synchronous", "NORMAL")?;
    core.set_prepared_statement_cache_capacity(64);
    Ok(core)
}

/// Creates the tables and fills them with at least this many rows; returns the number.
pub(crate) fn fill(core: &mut Connection, rows: u64, seed: u64) -> rusqlite::Result<u64> {
    for table in &TABLES {
        core.execute_batch(&table.create())?;
    }
    let mut rng = Rng::new(seed);
    let tx = core.transaction()?;
    let (mut count, mut number) = (0, 0);
    // About twenty rows per settlement; one row changes every 5 ms of history, oldest first.
    let begin = HISTORY_END_MS - i64::try_from(rows).unwrap_or(0) * 5 - 1_000_000;
    while count < rows {
        number += 1;
        let now = begin + i64::try_from(number).unwrap_or(0) * 100;
        count += settle(&tx, number, now.min(HISTORY_END_MS), &mut rng)?;
    }
    tx.commit()?;
    Ok(count)
}

/// Inserts one settlement with all its rows at this time; returns their number.
pub(crate) fn settle(tx: &Transaction<'_>, number: u64, now: i64, rng: &mut Rng) -> rusqlite::Result<u64> {
    let person = Person::new(number, rng);
    let visit = Visit::new(number, rng);
    let setl = Settlement::new(number, &person, &visit, rng);
    let groups = [
        vec![person.row()],
        vec![visit.row(&person)],
        visit.diagnoses(&person),
        vec![setl.row(&person, &visit)],
        setl.fund_rows(),
        setl.fee_rows(&visit),
    ];
    let mut count = 0;
    for (table, rows) in TABLES.iter().zip(groups) {
        let mut insert = tx.prepare_cached(&table.insert())?;
        for mut row in rows {
            row.push(Value::Integer(now));
            insert.execute(params_from_iter(row))?;
            count += 1;
        }
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(core: &Connection, sql: &str) -> i64 {
        core.query_row(sql, [], |row| row.get(0)).unwrap_or(-1)
    }

    /// Checks in SQL over the stored text, in whole cents, as an auditor would.
    #[test]
    fn core_amounts_satisfy_the_identities() -> rusqlite::Result<()> {
        let mut core = Connection::open_in_memory()?;
        let rows = fill(&mut core, 5_000, 3)?;
        assert!(rows >= 5_000);
        let c = |column: &str| format!("CAST(replace({column}, '.', '') AS INTEGER)");
        let broken = |rule: String| count(&core, &format!("SELECT count(*) FROM setl WHERE NOT ({rule})"));
        assert_eq!(
            broken(format!(
                "{} + {} = {}",
                c("fund_pay_sumamt"),
                c("psn_part_amt"),
                c("medfee_sumamt")
            )),
            0
        );
        assert_eq!(
            broken(format!(
                "{} + {} = {}",
                c("acct_pay"),
                c("psn_cash_pay"),
                c("psn_part_amt")
            )),
            0
        );
        assert_eq!(
            broken(format!(
                "{} = {} + {} + {} + {}",
                c("medfee_sumamt"),
                c("fulamt_ownpay_amt"),
                c("overlmt_selfpay"),
                c("preselfpay_amt"),
                c("inscp_scp_amt")
            )),
            0
        );
        let lines = c("det_item_fee_sumamt");
        assert_eq!(
            broken(format!(
                "{} = (SELECT sum({lines}) FROM fee WHERE fee.setl_id = setl.setl_id)",
                c("medfee_sumamt")
            )),
            0
        );
        let funds = c("fund_payamt");
        assert_eq!(
            broken(format!(
                "{} = (SELECT sum({funds}) FROM setl_fund f WHERE f.setl_id = setl.setl_id)",
                c("fund_pay_sumamt")
            )),
            0
        );
        assert_eq!(
            count(
                &core,
                "SELECT count(*) FROM setl WHERE typeof(medfee_sumamt) <> 'text'"
            ),
            0
        );
        assert_eq!(
            count(
                &core,
                "SELECT count(*) FROM fee WHERE typeof(cnt) <> 'text' OR typeof(pric) <> 'text'"
            ),
            0
        );
        let per = count(&core, "SELECT count(*) FROM fee") / count(&core, "SELECT count(*) FROM setl");
        assert!((10..=16).contains(&per), "{per} fee lines per settlement");
        Ok(())
    }

    #[test]
    fn core_is_deterministic_for_a_seed() -> rusqlite::Result<()> {
        let mut prints = Vec::new();
        for seed in [5, 5, 6] {
            let mut core = Connection::open_in_memory()?;
            fill(&mut core, 500, seed)?;
            prints.push(core.query_row(
                "SELECT group_concat(certno || medfee_sumamt) FROM setl",
                [],
                |row| row.get::<_, String>(0),
            )?);
        }
        assert_eq!(prints[0], prints[1]);
        assert_ne!(prints[0], prints[2]);
        Ok(())
    }

    #[test]
    fn core_identity_numbers_have_valid_check_digits() -> rusqlite::Result<()> {
        let mut core = Connection::open_in_memory()?;
        fill(&mut core, 500, 5)?;
        let mut query = core.prepare("SELECT certno FROM psn_insu")?;
        let numbers: Vec<String> = query
            .query_map([], |row| row.get(0))?
            .collect::<rusqlite::Result<_>>()?;
        for number in numbers {
            let (body, check) = number.split_at(17);
            assert_eq!(
                super::super::certno::check_digit(body).to_string(),
                check,
                "{number}"
            );
        }
        Ok(())
    }
}
