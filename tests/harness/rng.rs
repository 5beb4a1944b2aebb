//! Random numbers that depend on a seed only, the same on every machine.

use rand_xoshiro::SplitMix64;
use rand_xoshiro::rand_core::{Rng as _, SeedableRng as _};

/// A random number generator.
#[derive(Debug, Clone)]
pub struct Rng(SplitMix64);

impl Rng {
    /// Creates a generator from a seed. Those of neighbouring seeds are unrelated.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self::from_state(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0xD1B5_4A32_D192_ED03)
    }

    /// Creates a generator and returns its seed: `SLACKTIDE_SEED` if the environment has it, else this one.
    ///
    /// # Panics
    /// If the value is not a number.
    #[must_use]
    pub fn seeded(default: u64) -> (Self, u64) {
        let seed = std::env::var("SLACKTIDE_SEED")
            .map_or(default, |text| text.parse().expect("SLACKTIDE_SEED is a number"));
        (Self::new(seed), seed)
    }

    /// Creates a generator in this state.
    #[must_use]
    pub fn from_state(state: u64) -> Self {
        Self(SplitMix64::from_seed(state.to_le_bytes()))
    }

    /// Returns the next number.
    #[expect(
        clippy::should_implement_trait,
        reason = "numbers do not end, so it is no iterator"
    )]
    pub fn next(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Returns a number in `0..below`; 0 when `below` is 0.
    pub fn below(&mut self, below: usize) -> usize {
        usize::try_from(self.next() % (below.max(1) as u64)).unwrap_or(0)
    }

    /// Returns a number in `from..to`; `from` when the range is empty.
    pub fn span(&mut self, from: i64, to: i64) -> i64 {
        from + i64::try_from(self.next() % u64::try_from((to - from).max(1)).unwrap_or(1)).unwrap_or(0)
    }

    /// Returns true in this percentage of the calls.
    pub fn percent(&mut self, chance: usize) -> bool {
        self.below(100) < chance
    }

    /// Returns one of these values.
    pub fn pick<T: Copy>(&mut self, values: &[T]) -> T {
        values[self.below(values.len())]
    }
}
