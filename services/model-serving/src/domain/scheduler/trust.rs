//! How far a foretold time can be trusted: learnt from how long calls really took.

use std::time::Duration;

/// Ratios are counted in so many parts of one.
const ONE: u64 = 1024;
/// Of each new ratio, a sixteenth counts.
const WEIGHT: u64 = 16;
/// Times shorter than this say more about the clock and the threads than about the queue.
const SHORTEST: Duration = Duration::from_millis(5);
/// How far from the average one should be prepared for.
const DEVIATIONS: u64 = 4;
/// What the ratio is held within: a stall of the machine must not shut the door for long.
const RATIO: (u64, u64) = (ONE / 4, 4 * ONE);

/// The moving average of the real time over the foretold one, and of its deviation: Jacobson's estimate of round-trip times
/// (RFC 6298), with four deviations as there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Trust {
    ratio: u64,
    deviation: u64,
}

impl Default for Trust {
    /// Before anything is known: right on average, a sixteenth off either way.
    fn default() -> Self {
        Self { ratio: ONE, deviation: ONE / 16 }
    }
}

impl Trust {
    /// A call took `real` where `foretold` was foretold.
    pub(super) fn learn(&mut self, foretold: Duration, real: Duration) {
        if foretold < SHORTEST {
            return;
        }
        let ratio = real.as_nanos().saturating_mul(u128::from(ONE)) / foretold.as_nanos().max(1);
        let ratio = u64::try_from(ratio).unwrap_or(u64::MAX).clamp(RATIO.0, RATIO.1);
        self.deviation = average(self.deviation, ratio.abs_diff(self.ratio));
        self.ratio = average(self.ratio, ratio);
    }

    /// The time that one should be prepared for.
    pub(super) fn at_worst(&self, foretold: Duration) -> Duration {
        let factor = u128::from(self.ratio.saturating_add(self.deviation.saturating_mul(DEVIATIONS)));
        let nanos = foretold.as_nanos().saturating_mul(factor) / u128::from(ONE);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

fn average(old: u64, new: u64) -> u64 {
    (old.saturating_mul(WEIGHT - 1).saturating_add(new)) / WEIGHT
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORETOLD: Duration = Duration::from_millis(100);

    #[test]
    fn a_steady_error_is_learnt_and_then_no_margin_is_left() {
        let mut trust = Trust::default();
        assert_eq!(trust.at_worst(FORETOLD), Duration::from_millis(125));
        for _ in 0..200 {
            trust.learn(FORETOLD, Duration::from_millis(150));
        }
        let worst = trust.at_worst(FORETOLD);
        assert!((140..=160).contains(&worst.as_millis()), "{worst:?}");
    }

    #[test]
    fn what_varies_gets_a_margin() {
        let mut trust = Trust::default();
        for _ in 0..200 {
            trust.learn(FORETOLD, Duration::from_millis(80));
            trust.learn(FORETOLD, Duration::from_millis(120));
        }
        let worst = trust.at_worst(FORETOLD);
        assert!((170..=190).contains(&worst.as_millis()), "{worst:?}");
    }

    #[test]
    fn a_stall_is_forgotten_and_trifles_teach_nothing() {
        let mut trust = Trust::default();
        trust.learn(FORETOLD, Duration::from_secs(3600));
        assert!(trust.at_worst(FORETOLD) < Duration::from_millis(250), "{trust:?}");
        for _ in 0..100 {
            trust.learn(FORETOLD, FORETOLD);
        }
        assert!(trust.at_worst(FORETOLD) < Duration::from_millis(110));
        let before = trust;
        trust.learn(Duration::ZERO, FORETOLD);
        assert_eq!(trust.ratio, before.ratio);
    }
}
