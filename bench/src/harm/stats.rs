//! PURE: the median of paired ratios, and its confidence interval.

use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};
use serde::Serialize;

/// A median and its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub(crate) struct Median {
    /// The median.
    pub(crate) middle: f64,
    /// The lower end.
    pub(crate) low: f64,
    /// The upper end.
    pub(crate) high: f64,
    /// Pairs.
    pub(crate) pairs: usize,
}

/// Number of bootstrap samples.
const DRAWS: usize = 4_000;

/// Returns the median of the ratios with a bootstrap interval (Efron's percentile method): the pairs are resampled with
/// replacement, and the interval contains 95 % of the medians. For few pairs it is about the smallest and the largest,
/// and covers less.
pub(crate) fn middle(ratios: &[f64], seed: u64) -> Median {
    if ratios.is_empty() {
        return Median::default();
    }
    let mut lot = StdRng::seed_from_u64(seed);
    let mut medians: Vec<f64> = (0..DRAWS)
        .map(|_| {
            let drawn = (0..ratios.len()).map(|_| ratios[draw(&mut lot, ratios.len())]);
            median(drawn.collect())
        })
        .collect();
    medians.sort_by(f64::total_cmp);
    let at = |thousandths: usize| medians[(DRAWS * thousandths / 1_000).min(DRAWS - 1)];
    Median {
        middle: median(ratios.to_vec()),
        low: at(25),
        high: at(975),
        pairs: ratios.len(),
    }
}

/// Returns the median, or the geometric mean of the two middle values: ratios multiply.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let upper = values.len() / 2;
    if values.len() % 2 == 1 {
        return values[upper];
    }
    (values[upper - 1] * values[upper]).sqrt()
}

fn draw(lot: &mut impl Rng, length: usize) -> usize {
    lot.random_range(0..length)
}

impl std::fmt::Display for Median {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.2} [{:.2}, {:.2}]", self.middle, self.low, self.high)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interval_is_narrow_for_equal_ratios_and_wide_for_scattered() {
        let sure = middle(&[1.5; 8], 1);
        assert!((sure.middle - 1.5).abs() < 1e-9 && (sure.high - sure.low).abs() < 1e-9);
        let unsure = middle(&[0.5, 2.0, 0.5, 2.0, 0.5, 2.0], 1);
        assert!((unsure.middle - 1.0).abs() < 1e-9, "{unsure}");
        assert!(unsure.low < 0.75 && unsure.high > 1.3, "{unsure}");
        // One slot disturbed by other work.
        assert!((middle(&[1.0, 1.1, 0.9, 40.0, 1.0], 1).middle - 1.0).abs() < 1e-9);
        assert_eq!(middle(&[], 1).pairs, 0);
    }
}
