use proptest::prelude::*;

use super::*;

#[test]
fn quantiles_are_values_that_occurred() {
    let values: Vec<f64> = (1..=100).rev().map(f64::from).collect();
    assert_eq!(quantile(&values, 0.99), 99.0);
    assert_eq!(quantile(&values, 0.5), 50.0);
    assert_eq!(quantile(&values, 1.0), 100.0);
    assert_eq!(quantile(&values, 0.0), 1.0);
    assert_eq!(quantile(&[7.0], 0.99), 7.0);
    assert!(quantile(&[], 0.5).is_nan());
}

#[test]
fn medians_of_odd_and_even_counts() {
    assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
    assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
    assert!(median(&[]).is_nan());
}

/// The median of a resample of seven is at most the k-th smallest value with a probability that can be worked out:
/// P(at least 4 of 7 draws among the k smallest), k/7 each: 0.00 for 1, 0.10 for 2. So the bounds are the 2nd smallest and the 2nd largest.
#[test]
fn bounds_are_those_of_the_binomial() {
    let values = [0.98, 0.95, 1.01, 0.99, 1.00, 0.97, 0.96];
    assert_eq!(median_bounds(&values), (0.96, 1.00));
    assert_eq!(median_bounds(&[1.0; 7]), (1.0, 1.0));
}

#[test]
fn a_slope_is_that_of_the_line() {
    let points: Vec<(f64, f64)> = (0..50).map(|x| (f64::from(x), 3.0 + 0.25 * f64::from(x))).collect();
    assert!((slope(&points) - 0.25).abs() < 1e-12);
    assert!(slope(&[]).is_nan());
}

#[test]
fn floats_become_counts() {
    assert_eq!((whole(2.9), whole(-1.0), whole(f64::NAN)), (2, 0, 0));
}

proptest! {
    // Each case resamples ten thousand times.
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn the_median_lies_between_its_bounds(values in prop::collection::vec(-1e6_f64..1e6, 1..12)) {
        let (lower, upper) = median_bounds(&values);
        let middle = median(&values);
        prop_assert!(lower <= middle && middle <= upper, "{lower} {middle} {upper}");
    }
}
