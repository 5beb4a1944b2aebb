//! Random faults of every kind at a whole site, and an oracle that is independent of the product.
//!
//! The business writes to the core all the time, in one and in two phases. Programs are killed and suspended, connections cut and
//! delayed, tasks panic, the core's clock is stepped, and core, store and exchange are replaced by older copies. The operators
//! of both sides follow only what `slacktide status` shows them. Then the business pauses. When both sides show *caught up*, the
//! oracle reads core and store by SQL: each row is there once, with the same values. A lane that stays stopped or unverified,
//! and that the shown remedies do not repair, fails the test.
//!
//! The schedule depends on the seed; the moments depend on the machine, too. `SLACKTIDE_SEED` and `FLOW_FAULTS` set seed and
//! number of faults: `make test-nemesis` runs many.
//!
//! - `schedule` the faults of a seed; `world` the site, and how faults are injected; `copies` older copies
//! - `business` the clients of the core
//! - `operator` the operators of both sides; `remedy` the commands that a text names
//! - `oracle` compares core and store; `record` what happened, for messages

mod business;
mod copies;
mod operator;
mod oracle;
mod record;
mod remedy;
mod schedule;
mod world;

use harness::rng::Rng;

use record::Record;
use schedule::{DECK, describe, schedule};
use world::World;

/// The seed of `make test`.
const SEED: u64 = 6;

const ROWS: u32 = 2_000;

#[tokio::test(flavor = "multi_thread")]
async fn site_faults_of_every_kind_lose_and_double_nothing() {
    let faults =
        std::env::var("FLOW_FAULTS").map_or(DECK, |text| text.parse().expect("FLOW_FAULTS is a number"));
    let (_, seed) = Rng::seeded(SEED);
    let record = Record::new(seed, faults);
    let steps = schedule(seed, faults);
    record.event(&describe(&steps));
    let mut world = World::start(record, seed, ROWS).await;
    for (number, step) in steps.into_iter().enumerate() {
        if number % DECK == 0 {
            world.make_copies().await;
        }
        world.run(step).await;
        if step.is_compared {
            world.compare().await;
        }
    }
    world.finish().await;
}
