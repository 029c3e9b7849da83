//! The few numbers that many numbers are told by.

use crate::random::Random;

/// Resamples of a bootstrap: its bounds move by less than a thousandth beyond this.
const RESAMPLES: usize = 10_000;

/// The value below which a share `q` of the values lies (nearest rank); NaN of nothing.
pub fn quantile(values: &[f64], q: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    at_rank(&sorted, q)
}

/// The middle; of an even number of values the mean of the two in the middle; NaN of nothing.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    median_of_sorted(&sorted)
}

fn at_rank(sorted: &[f64], q: f64) -> f64 {
    let rank = (q * sorted.len() as f64).ceil().max(1.0);
    sorted.get(whole(rank) - 1).or(sorted.last()).copied().unwrap_or(f64::NAN)
}

fn median_of_sorted(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    let high = sorted.get(middle).copied().unwrap_or(f64::NAN);
    match sorted.len() % 2 {
        1 => high,
        _ => middle.checked_sub(1).and_then(|low| sorted.get(low)).map_or(f64::NAN, |low| (low + high) / 2.0),
    }
}

/// The 5th and the 95th percentile of the median, by the percentile bootstrap (Efron, 1979): each is a
/// one-sided bound at 95 %. Deterministic.
pub fn median_bounds(values: &[f64]) -> (f64, f64) {
    let mut random = Random::new(0x5EED);
    let mut medians = Vec::with_capacity(RESAMPLES);
    let mut sample = Vec::with_capacity(values.len());
    for _ in 0..RESAMPLES {
        sample.clear();
        sample.extend((0..values.len()).filter_map(|_| values.get(random.below(values.len()))));
        sample.sort_by(f64::total_cmp);
        medians.push(median_of_sorted(&sample));
    }
    medians.sort_by(f64::total_cmp);
    (at_rank(&medians, 0.05), at_rank(&medians, 0.95))
}

/// The slope of the line through points by least squares; NaN where there is none.
pub fn slope(points: &[(f64, f64)]) -> f64 {
    let count = points.len() as f64;
    let mean_x = points.iter().map(|(x, _)| x).sum::<f64>() / count;
    let mean_y = points.iter().map(|(_, y)| y).sum::<f64>() / count;
    let covariance: f64 = points.iter().map(|(x, y)| (x - mean_x) * (y - mean_y)).sum();
    let variance: f64 = points.iter().map(|(x, _)| (x - mean_x) * (x - mean_x)).sum();
    covariance / variance
}

/// A float as a count: what is negative or no number is 0, fractions are dropped.
pub fn whole(value: f64) -> usize {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a cast of a float saturates, and that is what is wanted"
    )]
    let count = value as usize;
    count
}

#[cfg(test)]
mod tests;
