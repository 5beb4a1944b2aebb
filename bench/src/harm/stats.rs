//! PURE: the middle of paired ratios, and how sure it is.

use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};
use serde::Serialize;

/// A middle and its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub(crate) struct Middle {
    /// The median.
    pub(crate) middle: f64,
    /// The lower end.
    pub(crate) low: f64,
    /// The upper end.
    pub(crate) high: f64,
    /// Pairs.
    pub(crate) pairs: usize,
}

/// How often the pairs are drawn again.
const DRAWS: usize = 4_000;

/// The median of ratios with a bootstrap interval (Efron's percentile method): the pairs are
/// drawn again with replacement, and the interval holds 95 % of the medians. Of a few pairs it is
/// about the smallest and the largest, and covers less.
pub(crate) fn middle(ratios: &[f64], seed: u64) -> Middle {
    if ratios.is_empty() {
        return Middle::default();
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
    Middle {
        middle: median(ratios.to_vec()),
        low: at(25),
        high: at(975),
        pairs: ratios.len(),
    }
}

/// The middle one, or the geometric mean of the two in the middle: ratios multiply.
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

impl std::fmt::Display for Middle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.2} [{:.2}, {:.2}]", self.middle, self.low, self.high)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_ratios_are_sure_and_scattered_ones_are_not() {
        let sure = middle(&[1.5; 8], 1);
        assert!((sure.middle - 1.5).abs() < 1e-9 && (sure.high - sure.low).abs() < 1e-9);
        let unsure = middle(&[0.5, 2.0, 0.5, 2.0, 0.5, 2.0], 1);
        assert!((unsure.middle - 1.0).abs() < 1e-9, "{unsure}");
        assert!(unsure.low < 0.75 && unsure.high > 1.3, "{unsure}");
        // One slot that something else on the machine spoilt.
        assert!((middle(&[1.0, 1.1, 0.9, 40.0, 1.0], 1).middle - 1.0).abs() < 1e-9);
        assert_eq!(middle(&[], 1).pairs, 0);
    }
}
