//! The business of the demo: a process of its own that settles, queries and prices, in phases.
//!
//! Busy: as many threads as cores keep the host at work. Quiet: a trickle. New settlements and
//! changes to existing rows come all the while. It ends by itself, or when its standard input
//! ends, which is when the demo is gone.

use std::io::Read;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use runtime::exit::Exit;
use rusqlite::{Connection, TransactionBehavior};

use super::data::chance::Chance;
use super::data::core;
use crate::cli::DemoLoadArgs;
use crate::failure::{Failure, Outcome};
use crate::output;

/// How long a busy phase lasts; the business begins with one.
const BUSY: Duration = Duration::from_secs(5);
/// How long a quiet phase lasts.
const QUIET: Duration = Duration::from_secs(8);

/// What the threads share.
struct Shop {
    /// The next settlement's number.
    number: AtomicU64,
    /// The last time given to a row: never goes back.
    clock: AtomicI64,
    over: AtomicBool,
    end: Instant,
    begin: Instant,
    trouble: Mutex<Option<String>>,
}

impl Shop {
    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed) || Instant::now() >= self.end
    }
}

/// PURE: whether the business is busy, so long after its beginning.
pub(crate) fn is_busy(since: Duration) -> bool {
    let place = since.as_millis() % (BUSY + QUIET).as_millis();
    place < BUSY.as_millis()
}

/// Runs the business until its time is over.
pub(crate) fn run(args: &DemoLoadArgs) -> Outcome {
    let failed = |error: rusqlite::Error| Failure::new(Exit::Source, format!("the demo's business: {error}"));
    let core = core::open(&args.core).map_err(failed)?;
    let settled: u64 = core
        .query_row("SELECT count(*) FROM setl", [], |row| row.get::<_, i64>(0))
        .map(i64::unsigned_abs)
        .map_err(failed)?;
    drop(core);
    let begin = Instant::now();
    let shop = Arc::new(Shop {
        // Far above history, so that restarts of the business never meet a number again.
        number: AtomicU64::new(1_000_000 + settled),
        clock: AtomicI64::new(0),
        over: AtomicBool::new(false),
        end: begin + Duration::from_secs(args.seconds),
        begin,
        trouble: Mutex::new(None),
    });
    watch_input(Arc::clone(&shop));
    let threads = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for at in 0..threads {
            let shop = &shop;
            scope.spawn(move || {
                if let Err(error) = work(shop, &args.core, args.seed, at) {
                    *shop.trouble.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.to_string());
                    shop.over.store(true, Ordering::Relaxed);
                }
            });
        }
        tell_phases(&shop);
    });
    let trouble = shop.trouble.lock().unwrap_or_else(PoisonError::into_inner).take();
    match trouble {
        Some(error) => Err(Failure::new(
            Exit::Source,
            format!("the demo's business: {error}"),
        )),
        None => Ok(Exit::Done),
    }
}

fn watch_input(shop: Arc<Shop>) {
    std::thread::spawn(move || {
        let mut rest = Vec::new();
        let _ = std::io::stdin().lock().read_to_end(&mut rest);
        shop.over.store(true, Ordering::Relaxed);
    });
}

fn tell_phases(shop: &Shop) {
    let mut told = None;
    while !shop.is_over() {
        let busy = is_busy(shop.begin.elapsed());
        if told != Some(busy) {
            told = Some(busy);
            output::line(if busy { "busy" } else { "quiet" });
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn work(shop: &Shop, path: &Path, seed: u64, at: usize) -> rusqlite::Result<()> {
    let mut core = core::open(path)?;
    let mut chance = Chance::new(seed ^ ((at as u64 + 1) << 32));
    while !shop.is_over() {
        let busy = is_busy(shop.begin.elapsed());
        if busy || at == 0 {
            transact(shop, &mut core, &mut chance)?;
        }
        if busy {
            price(&mut chance, Duration::from_millis(60));
            core.prepare_cached("SELECT count(*), max(det_item_fee_sumamt) FROM (SELECT det_item_fee_sumamt FROM fee ORDER BY rid DESC LIMIT 5000)")?
                .query_row([], |_| Ok(()))?;
        } else {
            std::thread::sleep(Duration::from_millis(150));
        }
    }
    Ok(())
}

/// One settlement, and changes to three older rows, in one transaction. The time is taken inside
/// the write lock, so it is in the order of commits.
fn transact(shop: &Shop, core: &mut Connection, chance: &mut Chance) -> rusqlite::Result<()> {
    let tx = core.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let now = Timestamp::now()
        .as_millisecond()
        .max(shop.clock.load(Ordering::SeqCst));
    shop.clock.store(now, Ordering::SeqCst);
    let number = shop.number.fetch_add(1, Ordering::SeqCst);
    core::settle(&tx, number, now, chance)?;
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
        let most: i64 = tx.query_row(&format!("SELECT max(rid) FROM {table}"), [], |row| row.get(0))?;
        let rid = chance.between(1, most);
        tx.prepare_cached(&format!(
            "UPDATE {table} SET {change}, updt_time = ?1 WHERE rid = ?2"
        ))?
        .execute([now, rid])?;
    }
    tx.commit()
}

/// Works the processor, as a price calculation does.
fn price(chance: &mut Chance, how_long: Duration) {
    let end = Instant::now() + how_long;
    let mut sum = 0_u64;
    while Instant::now() < end {
        for _ in 0..10_000 {
            sum = sum.wrapping_add(chance.next());
        }
    }
    std::hint::black_box(sum);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_business_comes_and_goes() {
        let phases: Vec<bool> = [0, 4_999, 5_000, 12_999, 13_000]
            .map(|ms| is_busy(Duration::from_millis(ms)))
            .to_vec();
        assert_eq!(phases, [true, true, false, false, true]);
    }
}
