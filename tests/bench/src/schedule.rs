//! When requests are due, and how long their texts are: recorded, so that every arm gets the same.

use std::time::Duration;

use crate::random::Random;
use crate::statistics::whole;

/// The times of a Poisson process of `rate` a second within `length`, from 0. The same for the same seed.
pub fn poisson(seed: u64, rate: f64, length: Duration) -> Vec<Duration> {
    let mut random = Random::new(seed);
    let (mut due, mut times) = (0.0, Vec::new());
    loop {
        due += random.exponential() / rate;
        match Duration::try_from_secs_f64(due) {
            Ok(time) if time < length => times.push(time),
            _ => return times,
        }
    }
}

/// Log-normal lengths in tokens with median 24 and 95th percentile 128, cut to `3..=most`: a text has at least
/// one token of its own between the two special ones.
pub fn lengths(seed: u64, count: usize, most: usize) -> Vec<usize> {
    const MEDIAN: f64 = 24.0;
    const P95: f64 = 128.0;
    /// The 95th percentile of the normal distribution.
    const Z95: f64 = 1.644_853_6;
    let mut random = Random::new(seed);
    let deviation = (P95 / MEDIAN).ln() / Z95;
    let length = |_| whole((MEDIAN.ln() + deviation * random.normal()).exp().round()).clamp(3, most);
    (0..count).map(length).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::quantile;

    #[test]
    fn a_poisson_trace_has_its_rate_and_its_spread() {
        let times = poisson(1, 200.0, Duration::from_secs(100));
        assert!((19_500..20_500).contains(&times.len()), "{}", times.len());
        assert!(times.is_sorted() && times.iter().all(|time| *time < Duration::from_secs(100)));
        let gaps: Vec<f64> = times.windows(2).map(|pair| (pair[1] - pair[0]).as_secs_f64() * 200.0).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
        assert!((mean - 1.0).abs() < 0.03 && (variance - 1.0).abs() < 0.08, "{mean} {variance}");
        assert_eq!(times, poisson(1, 200.0, Duration::from_secs(100)));
        assert_ne!(times, poisson(2, 200.0, Duration::from_secs(100)));
    }

    #[test]
    fn lengths_have_their_median_and_tail() {
        let lengths: Vec<f64> =
            lengths(3, 20_000, 512).into_iter().map(|n| f64::from(u16::try_from(n).unwrap())).collect();
        assert!((23.0..=25.0).contains(&quantile(&lengths, 0.5)));
        assert!((120.0..=136.0).contains(&quantile(&lengths, 0.95)));
        assert!(lengths.iter().all(|length| (3.0..=512.0).contains(length)));
    }
}
