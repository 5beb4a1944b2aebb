//! Making the core and filling it.

use std::path::Path;
use std::time::Duration;

use rusqlite::types::Value;
use rusqlite::{Connection, Transaction, params_from_iter};

use super::chance::Chance;
use super::person::Person;
use super::settlement::Settlement;
use super::tables::TABLES;
use super::visit::Visit;

/// 2024-03-01 00:00 in Shanghai: history ends here, long before any clock that runs the demo.
const HISTORY_END_MS: i64 = 1_709_222_400_000;

/// Opens the core for the business: WAL, so that a reader never waits for a writer.
pub(crate) fn open(path: &Path) -> rusqlite::Result<Connection> {
    let core = Connection::open(path)?;
    core.busy_timeout(Duration::from_secs(10))?;
    core.pragma_update(None, "journal_mode", "WAL")?;
    core.pragma_update(None, "synchronous", "NORMAL")?;
    core.set_prepared_statement_cache_capacity(64);
    Ok(core)
}

/// Makes the tables and fills them with at least so many rows; returns how many.
pub(crate) fn fill(core: &mut Connection, rows: u64, seed: u64) -> rusqlite::Result<u64> {
    for table in &TABLES {
        core.execute_batch(&table.create())?;
    }
    let mut chance = Chance::new(seed);
    let tx = core.transaction()?;
    let (mut count, mut number) = (0, 0);
    // About twenty rows a settlement; one row is touched every 5 ms of history, oldest first.
    let begin = HISTORY_END_MS - i64::try_from(rows).unwrap_or(0) * 5 - 1_000_000;
    while count < rows {
        number += 1;
        let now = begin + i64::try_from(number).unwrap_or(0) * 100;
        count += settle(&tx, number, now.min(HISTORY_END_MS), &mut chance)?;
    }
    tx.commit()?;
    Ok(count)
}

/// One settlement with all that belongs to it, at this time; returns how many rows.
pub(crate) fn settle(
    tx: &Transaction<'_>,
    number: u64,
    now: i64,
    chance: &mut Chance,
) -> rusqlite::Result<u64> {
    let person = Person::new(number, chance);
    let visit = Visit::new(number, chance);
    let setl = Settlement::new(number, &person, &visit, chance);
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

    /// In SQL over the stored text, whole cents: as an auditor would ask.
    #[test]
    fn the_stored_identities_hold() -> rusqlite::Result<()> {
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
        assert!((10..=16).contains(&per), "{per} fee lines a settlement");
        Ok(())
    }

    #[test]
    fn the_same_seed_makes_the_same_core() -> rusqlite::Result<()> {
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
    fn identity_numbers_check() -> rusqlite::Result<()> {
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
