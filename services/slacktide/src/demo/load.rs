//! The business of the demo: a separate process that settles, queries and prices, in phases.
//!
//! In busy phases one thread per core loads the host; in quiet phases there is little work. New settlements and changes
//! to existing rows continue in both. The process ends after its time, or when its standard input closes because the
//! demo has ended.

use std::io::Read;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use runtime::exit::Exit;
use rusqlite::{Connection, TransactionBehavior};

use super::data::core;
use super::data::rng::Rng;
use crate::cli::DemoLoadArgs;
use crate::failure::{Failure, Outcome};
use crate::output;

/// Duration of a busy phase; the business begins with one.
const BUSY_DURATION: Duration = Duration::from_secs(5);
/// Duration of a quiet phase.
const QUIET_DURATION: Duration = Duration::from_secs(8);

/// State shared by the threads.
struct Business {
    /// The number of the next settlement.
    number: AtomicU64,
    /// The last time given to a row: never decreases.
    clock: AtomicI64,
    stopped: AtomicBool,
    end: Instant,
    begin: Instant,
    error: Mutex<Option<String>>,
}

impl Business {
    fn is_ended(&self) -> bool {
        self.stopped.load(Ordering::Relaxed) || Instant::now() >= self.end
    }
}

/// PURE: whether the business is busy this long after its start.
pub(crate) fn is_busy(since: Duration) -> bool {
    let position = since.as_millis() % (BUSY_DURATION + QUIET_DURATION).as_millis();
    position < BUSY_DURATION.as_millis()
}

/// Runs the business until its end.
pub(crate) fn run(args: &DemoLoadArgs) -> Outcome {
    let failed = |error: rusqlite::Error| Failure::new(Exit::Source, format!("the demo's business: {error}"));
    let core = core::open(&args.core).map_err(failed)?;
    let settled: u64 = core
        .query_row("SELECT count(*) FROM setl", [], |row| row.get::<_, i64>(0))
        .map(i64::unsigned_abs)
        .map_err(failed)?;
    drop(core);
    let begin = Instant::now();
    let business = Arc::new(Business {
        // Far above the existing numbers, so that a restarted business never reuses one.
        number: AtomicU64::new(1_000_000 + settled),
        clock: AtomicI64::new(0),
        stopped: AtomicBool::new(false),
        end: begin + Duration::from_secs(args.seconds),
        begin,
        error: Mutex::new(None),
    });
    watch_input(Arc::clone(&business));
    let threads = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for at in 0..threads {
            let business = &business;
            scope.spawn(move || {
                if let Err(error) = work(business, &args.core, args.seed, at) {
                    *business.error.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.to_string());
                    business.stopped.store(true, Ordering::Relaxed);
                }
            });
        }
        print_phases(&business);
    });
    let error = business
        .error
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .take();
    match error {
        Some(error) => Err(Failure::new(
            Exit::Source,
            format!("the demo's business: {error}"),
        )),
        None => Ok(Exit::Done),
    }
}

fn watch_input(business: Arc<Business>) {
    std::thread::spawn(move || {
        let mut rest = Vec::new();
        let _ = std::io::stdin().lock().read_to_end(&mut rest);
        business.stopped.store(true, Ordering::Relaxed);
    });
}

fn print_phases(business: &Business) {
    let mut printed = None;
    while !business.is_ended() {
        let busy = is_busy(business.begin.elapsed());
        if printed != Some(busy) {
            printed = Some(busy);
            output::line(if busy { "busy" } else { "quiet" });
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn work(business: &Business, path: &Path, seed: u64, at: usize) -> rusqlite::Result<()> {
    let mut core = core::open(path)?;
    let mut rng = Rng::new(seed ^ ((at as u64 + 1) << 32));
    while !business.is_ended() {
        let busy = is_busy(business.begin.elapsed());
        if busy || at == 0 {
            transact(business, &mut core, &mut rng)?;
        }
        if busy {
            price(&mut rng, Duration::from_millis(60));
            core.prepare_cached("SELECT count(*), max(det_item_fee_sumamt) FROM (SELECT det_item_fee_sumamt FROM fee ORDER BY rid DESC LIMIT 5000)")?
                .query_row([], |_| Ok(()))?;
        } else {
            std::thread::sleep(Duration::from_millis(150));
        }
    }
    Ok(())
}

/// Inserts one settlement and updates three older rows, in one transaction. The time is taken under the write lock, so
/// it increases in commit order.
fn transact(business: &Business, core: &mut Connection, rng: &mut Rng) -> rusqlite::Result<()> {
    let tx = core.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let now = Timestamp::now()
        .as_millisecond()
        .max(business.clock.load(Ordering::SeqCst));
    business.clock.store(now, Ordering::SeqCst);
    let number = business.number.fetch_add(1, Ordering::SeqCst);
    core::settle(&tx, number, now, rng)?;
    for (table, change) in [
        (
            "setl",
            "refd_setl_flag = CASE refd_setl_flag WHEN '0' THEN '1' ELSE '0' END",
        ),
        (
            "fee",
            "hosp_appr_flag = CASE hosp_appr_flag WHEN '0' THEN '1' ELSE '0' END",
        ),
        (
            "psn_insu",
            "psn_insu_stas = CASE psn_insu_stas WHEN '1' THEN '2' ELSE '1' END",
        ),
    ] {
        let max_rid: i64 = tx.query_row(&format!("SELECT max(rid) FROM {table}"), [], |row| row.get(0))?;
        let rid = rng.between(1, max_rid);
        tx.prepare_cached(&format!(
            "UPDATE {table} SET {change}, updt_time = ?1 WHERE rid = ?2"
        ))?
        .execute([now, rid])?;
    }
    tx.commit()
}

/// Uses CPU time like a price calculation.
fn price(rng: &mut Rng, how_long: Duration) {
    let end = Instant::now() + how_long;
    let mut sum = 0_u64;
    while Instant::now() < end {
        for _ in 0..10_000 {
            sum = sum.wrapping_add(rng.next());
        }
    }
    std::hint::black_box(sum);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn business_alternates_busy_and_quiet_phases() {
        let phases: Vec<bool> = [0, 4_999, 5_000, 12_999, 13_000]
            .map(|ms| is_busy(Duration::from_millis(ms)))
            .to_vec();
        assert_eq!(phases, [true, true, false, false, true]);
    }
}
